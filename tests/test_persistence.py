"""Files: exact, safe to load, refused when damaged."""

import copy
import hashlib
import json
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
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
    assert document["format_version"] == 3
    assert document["params"]["rank"] == 2
    assert kinds <= {"f", "i", "b"}


# how the header of a file has the checksum
MARK = rb"{\"sha256\": \""


def with_checksum(data):
    """The file with its SHA-256, taken with zeros where the checksum itself is."""
    begin = data.index(MARK) + len(MARK)
    zeroed = data[:begin] + b"0" * 64 + data[begin + 64 :]
    digest = hashlib.sha256(zeroed).hexdigest().encode()
    return data[:begin] + digest + data[begin + 64 :]


def rewritten(path, change, checksum=True):
    """The file with its JSON document changed, as if it had been written so."""
    with safe_open(path, framework="numpy") as file:
        document = json.loads(file.metadata()["sklearn_jedi"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(document, arrays)
    if not checksum:
        del document["sha256"]
    save_file(arrays, path, metadata={"sklearn_jedi": json.dumps(document)})
    if checksum:
        path.write_bytes(with_checksum(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, a: d.update(format_version=4), "version 4; .*reads 3: update it"),
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


def test_files_without_a_checksum_are_refused(path):
    """Of the format before there may be some: they are not called damaged."""
    rewritten(path, lambda d, a: d.update(format_version=2), checksum=False)
    with pytest.raises(ValueError, match=r"version 2, an older layout .*fit the est"):
        JEDIEstimator.load(path)
    rewritten(path, lambda d, a: d.update(format_version=3, sha256=""), checksum=False)
    with pytest.raises(ValueError, match=r"is damaged.*no checksum.*load a copy"):
        JEDIEstimator.load(path)


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


# --------------------------------------------------------- what parameters are made of

OF_NUMPY = {
    "rank": np.int32(2),
    "embedding_dim": np.uint8(2),
    "gain": np.float32(1.5),
    "ridge": Fraction(1, 4),
    "hidden_layer_sizes": (np.int64(8), np.int16(4)),
    "device": torch.device("cpu"),
    "random_state": np.int64(3),
    "dt": np.float64(0.01),
    "verbose": np.int64(0),
}
PLAIN = {
    **{"rank": 2, "embedding_dim": 2, "gain": 1.5, "ridge": 0.25},
    **{"hidden_layer_sizes": (8, 4), "device": "cpu", "random_state": 3},
    **{"dt": 0.01, "verbose": 0},
}


@pytest.fixture(scope="module")
def numpy_fitted(X):
    """Both estimators, with parameters of numpy."""
    jedi = JEDIEstimator(**OF_NUMPY, observation="state", window=1, max_epochs=1)
    of_both = {name: of for name, of in OF_NUMPY.items() if name != "rank"}
    meta = MetaDynamicalSSM(np.int64(2), **of_both, max_epochs=np.int64(0))
    with pytest.warns(UserWarning, match="not used with max_epochs=0"):
        meta.fit(X[:8, :12], sessions=np.repeat(np.array([7, 3]), 4))
    return jedi.fit(X[:8, :12]), meta


@pytest.mark.parametrize("number", [0, 1], ids=["JEDI", "MetaDynamicalSSM"])
def test_numbers_of_numpy_come_back_as_numbers(numpy_fitted, tmp_path, number):
    model = numpy_fitted[number]
    model.save(tmp_path / "model.safetensors")
    again = type(model).load(tmp_path / "model.safetensors")
    params = again.get_params()
    for name in PLAIN.keys() & params.keys():
        assert params[name] == PLAIN[name], name
        assert type(params[name]) is type(PLAIN[name]), name
    for name in ("dt_", "tau_", "gain_", "n_iter_", "best_epoch_"):
        assert type(getattr(again, name)) in (int, float), name


@pytest.mark.parametrize("sizes", [np.array([8, 4]), [np.int64(8), 4]])
def test_sizes_may_be_an_array_or_a_list(X, tmp_path, sizes):
    jedi = JEDIEstimator(2, 2, hidden_layer_sizes=sizes, max_epochs=0, dt=0.01)
    jedi.set_params(observation="state", window=1, ridge=0.1, gain=1.0).fit(X)
    jedi.save(tmp_path / "model.safetensors")
    again = JEDIEstimator.load(tmp_path / "model.safetensors")
    assert list(again.hidden_layer_sizes) == [8, 4]
    assert {type(size) for size in again.hidden_layer_sizes} == {int}


RECORDED = {
    "float32": (np.float32(1.5), 1.5),
    "int64": (np.int64(3), 3),
    "bool": (np.bool_(True), True),
    "0-d": (np.array(2.5), 2.5),
    "array": (np.arange(3), [0, 1, 2]),
    "tensor": (torch.tensor(2.5, requires_grad=True), 2.5),
    "bfloat16": (torch.tensor([1, 0.5], dtype=torch.bfloat16), [1.0, 0.5]),
    "tuple": ((np.int64(1), (2, "a")), (1, (2, "a"))),
    "mapping": ({np.int64(1): np.float32(2)}, {1: 2.0}),
    "path": (Path("a") / "b", str(Path("a") / "b")),
    "bytes": (b"a\xff", b"a\xff"),
    "infinite": (np.float64("inf"), float("inf")),
    "text": (np.str_("x"), "x"),
    "date": (np.datetime64("2020-01-02"), "2020-01-02"),
    "none": (None, None),
}


def test_what_callbacks_record_comes_back_as_plain_values(numpy_fitted, tmp_path):
    """What a file of numbers and text cannot hold is left out, and named once."""
    model = copy.copy(numpy_fitted[1])
    epoch = {name: given for name, (given, _) in RECORDED.items()}
    model.history_ = [{**epoch, "net": object(), "batches": [1], "root": 1j}] * 2
    with pytest.warns(UserWarning, match="left out of the history") as caught:
        model.save(tmp_path / "model.safetensors")
    assert [str(one.message) for one in caught] == [
        "left out of the history that is saved: net: object is neither numbers nor "
        "text; root: complex is neither numbers nor text"
    ]
    again = MetaDynamicalSSM.load(tmp_path / "model.safetensors").history_
    assert again == [{name: plain for name, (_, plain) in RECORDED.items()}] * 2
    for name, (_, plain) in RECORDED.items():
        assert type(again[0][name]) is type(plain), name


def test_parameters_that_cannot_be_kept_are_named(numpy_fitted, tmp_path):
    model = copy.copy(numpy_fitted[0]).set_params(gain=object)
    with pytest.raises(TypeError, match=r"gain=.* cannot be kept in a file of num"):
        model.save(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "ids",
    [
        [3, 7, 9, -12, 20, 31, 2**40, 1, 2, 0],
        [("A", 0), ("A", 1), *(("B", k) for k in range(8))],
        [1.5, *range(9)],
        [True, False, *"abcdefgh"],
        [None, *"abcdefghi"],
        ["3", 3, b"3", ("3",), *range(6)],
    ],
    ids=["integers", "tuples", "floats", "bools", "missing", "mixed"],
)
@pytest.mark.parametrize("of_numpy", [False, True])
def test_ids_of_units_come_back_as_they_were(numpy_fitted, tmp_path, ids, of_numpy):
    given = np.empty(10, dtype=object)
    given[:] = ids
    if of_numpy:  # as columns and coordinates have them
        given[:] = [
            np.array([name])[0] if isinstance(name, (int, str, float)) else name
            for name in ids
        ]
    jedi, meta = (copy.copy(model) for model in numpy_fitted)
    jedi.neuron_names_in_ = given
    meta._neurons = {label: copy.copy(of) for label, of in meta._neurons.items()}
    meta._neurons[3].neuron_names_in_ = given
    for model, names in (
        (jedi, lambda again: again.neuron_names_in_),
        (meta, lambda again: again._neurons[3].neuron_names_in_),
    ):
        model.save(tmp_path / "model.safetensors")
        found = names(type(model).load(tmp_path / "model.safetensors"))
        assert found.shape == (10,)
        assert found.tolist() == ids
        assert [type(name) for name in found] == [type(name) for name in ids]


def test_labels_of_sessions_come_back_as_they_were(X, tmp_path):
    meta = MetaDynamicalSSM(gain=1.2, dt=0.01, n_units=4)
    labels = [2, 0.5, False]
    sessions = np.array(labels, dtype=object)
    meta.fit(X[:3, :10], sessions=sessions).save(tmp_path / "model.safetensors")
    again = MetaDynamicalSSM.load(tmp_path / "model.safetensors")
    assert [(k, type(k)) for k in again._models] == [(k, type(k)) for k in labels]
    np.testing.assert_array_equal(
        again.transform(X[:3, :10], sessions=sessions), meta.embeddings_
    )


def test_what_set_output_was_told_comes_back(numpy_fitted, tmp_path, X):
    pytest.importorskip("pandas")
    model = copy.copy(numpy_fitted[0]).set_output(transform="pandas")
    model.save(tmp_path / "model.safetensors")
    frame = JEDIEstimator.load(tmp_path / "model.safetensors").transform(X)
    assert list(frame.columns) == ["jediestimator0", "jediestimator1"]


# ------------------------------------------------------------------------ other models


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


def test_no_byte_can_change_unnoticed(numpy_fitted, tmp_path):
    path = tmp_path / "model.safetensors"
    numpy_fitted[0].save(path)
    whole = path.read_bytes()
    assert with_checksum(whole) == whole
    rng = np.random.default_rng(0)
    positions = {*range(160), *rng.integers(len(whole), size=250), len(whole) - 1}
    for position in positions:
        changed = bytearray(whole)
        changed[position] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"is damaged.*load a copy, or fit again"):
            JEDIEstimator.load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="is damaged"):
        JEDIEstimator.load(path)
    # numbers within one array that changed places
    path.write_bytes(whole[:-16] + whole[-8:] + whole[-16:-8])
    with pytest.raises(ValueError, match="is damaged"):
        JEDIEstimator.load(path)


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
