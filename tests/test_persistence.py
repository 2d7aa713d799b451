"""Files: exact, safe to load, refused when damaged."""

import json
import pickle

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_rotation_family


@pytest.fixture(scope="module")
def X():
    return make_rotation_family(
        5, n_timepoints=30, n_neurons=10, observation_noise=0.3, random_state=0
    )[0]


FITS = {
    "em": {"observation": "state", "max_epochs": 0},
    "trained": {"observation": "state", "max_epochs": 4, "ridge": 1.0},
    "gaussian": {"observation": "gaussian"},
}


@pytest.fixture(scope="module", params=FITS.values(), ids=FITS.keys())
def model(request, X):
    jedi = JEDIEstimator(rank=2, embedding_dim=2, random_state=3, **request.param)
    return jedi.fit([X[0][:20], *X[1:]])


@pytest.fixture
def path(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_loaded_model_agrees_to_the_bit(model, path, X):
    again = JEDIEstimator.load(path)
    for method in ("transform", "smooth", "reconstruct", "initial_states"):
        np.testing.assert_array_equal(
            getattr(again, method)(X), getattr(model, method)(X), err_msg=method
        )
    for one, other in zip(
        again.forecast(X, 4, return_std=True),
        model.forecast(X, 4, return_std=True),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert again.score(X) == model.score(X)
    Z = model.embeddings_
    np.testing.assert_array_equal(again.dynamics(Z).J, model.dynamics(Z).J)


def test_everything_learned_comes_back(model, path):
    again = JEDIEstimator.load(path)
    assert again.get_params() == model.get_params()
    assert set(vars(again)) == set(vars(model))
    for name, value in vars(model).items():
        if name.endswith("_") and name not in ("net_", "history_"):
            np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)
    losses = [epoch["train_loss"] for epoch in again.history_]
    assert losses == [epoch["train_loss"] for epoch in model.history_]
    assert again.net_ is None


def test_a_loaded_model_can_be_saved_and_fitted_again(model, path, tmp_path, X):
    again = JEDIEstimator.load(path)
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    assert again.fit(X).embeddings_.shape == (len(X), 2)


def test_a_file_holds_text_and_numbers_only(path):
    with safe_open(path, framework="numpy") as file:
        document = json.loads(file.metadata()["sklearn_jedi"])
        kinds = {file.get_tensor(name).dtype.kind for name in file.keys()}  # noqa: SIM118
    assert document["format_version"] == 2
    assert document["params"]["rank"] == 2
    assert kinds <= {"f", "i", "b"}


def rewritten(path, change):
    """The file with its JSON document changed."""
    with safe_open(path, framework="numpy") as file:
        document = json.loads(file.metadata()["sklearn_jedi"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(document, arrays)
    save_file(arrays, path, metadata={"sklearn_jedi": json.dumps(document)})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, a: d.update(format_version=3), "version 3; .*reads 2: update it"),
        (
            lambda d, a: d.update(format_version=1),
            "an older layout .*fit the estimator",
        ),
        (lambda d, a: d.update(format_version="x"), "format version x"),
        (lambda d, a: d.pop("format_version"), "damaged"),
        (lambda d, a: d.update(estimator="Other"), "holds a Other, not a JEDIEst"),
        (lambda d, a: d.pop("model"), "damaged"),
        (lambda d, a: d["model"].update(kind="os.system"), "damaged"),
        (lambda d, a: a.pop("basis.P"), "damaged"),
        (lambda d, a: d["params"].update(evil=1), "damaged"),
    ],
)
def test_older_newer_and_damaged_files_are_refused(path, change, message):
    with pytest.raises(ValueError, match=message):
        JEDIEstimator.load(rewritten(path, change))


def test_names_that_are_not_results_are_ignored(path):
    rewritten(path, lambda d, a: d["learned"].update(__class__="x", transform="y"))
    again = JEDIEstimator.load(path)
    assert type(again) is JEDIEstimator
    assert callable(again.transform)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_truncated_files_are_refused(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match="damaged"):
        JEDIEstimator.load(path)


@pytest.mark.parametrize("observation", ["poisson", "negative_binomial"])
def test_models_of_counts_come_back_to_the_bit(X, observation, tmp_path):
    counts = np.random.default_rng(0).poisson(np.exp(X[:, :15]))
    model = JEDIEstimator(2, 1, observation=observation).fit(counts)
    model.save(tmp_path / "model.safetensors")
    again = JEDIEstimator.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.transform(counts), model.transform(counts))
    for one, other in zip(
        again.forecast(counts, 3, return_std=True),
        model.forecast(counts, 3, return_std=True),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


class Evil:
    def __reduce__(self):
        return (open, ("/nonexistent/ran", "w"))


def test_foreign_files_are_refused_and_run_nothing(tmp_path):
    pickled = tmp_path / "evil.safetensors"
    pickled.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="damaged"):
        JEDIEstimator.load(pickled)
    other = tmp_path / "other.safetensors"
    save_file({"a": np.zeros(2)}, other)
    with pytest.raises(ValueError, match=r"not one that the save of an"):
        JEDIEstimator.load(other)
    with pytest.raises(FileNotFoundError, match="no file"):
        JEDIEstimator.load(tmp_path / "none.safetensors")


def test_an_old_file_survives_a_failed_save(model, path, monkeypatch):
    before = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        model.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_only_fitted_models_are_saved(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        JEDIEstimator().save(tmp_path / "model.safetensors")
