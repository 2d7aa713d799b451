"""The contract with scikit-learn."""

import importlib
import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    LeaveOneGroupOut,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_rotation_family

# What scikit-learn 1.6 to 1.9 have for a transformer that takes NaN.
N_CHECKS = 46


class ThreeChannels(JEDIEstimator):
    """Makes three neurons of one, so that checks on 2-D X see several neurons."""

    def _stack(self, X, reset=False):
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=(np.float64, np.float32),
            ensure_all_finite="allow-nan",
            ensure_min_features=2 if reset else 1,
        )
        return np.stack([X, 2 * X, X**2], axis=-1)

    def fit(self, X, y=None, *, conditions=None):
        super().fit(self._stack(X, reset=True), y, conditions=conditions)
        validate_data(self, X, skip_check_array=True)  # names of the columns
        return self

    def transform(self, X):
        check_is_fitted(self)
        return super().transform(self._stack(X))

    def score(self, X, y=None):
        check_is_fitted(self)
        return super().score(self._stack(X), y)


@pytest.mark.parametrize(
    "estimator",
    [
        JEDIEstimator(max_epochs=0),
        ThreeChannels(
            observation="state", window=1, ridge=0.01, gain=1.0, max_epochs=2
        ),
    ],
    ids=["em", "three-trained"],
)
def test_all_of_scikit_learns_checks_run_and_pass(estimator):
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    others = {
        result["check_name"]: (result["status"], repr(result["exception"]))
        for result in results
        if result["status"] != "passed"
    }
    assert others == {}
    assert len(results) >= N_CHECKS


SETTINGS = {"observation": "state", "window": 5, "ridge": 0.01, "gain": 1.0}


def small(**params):
    given = {"rank": 2, "embedding_dim": 2, "max_epochs": 0, **SETTINGS}
    return JEDIEstimator(**given | params)


@pytest.fixture(params=[0, 2], ids=["em", "trained"])
def jedi(request):
    return small(max_epochs=request.param, random_state=0)


@pytest.fixture(scope="module")
def small_fitted(rotations):
    """What `jedi` is fitted to, by its epochs; tests must not change it."""
    return {n: small(max_epochs=n, random_state=0).fit(rotations[0]) for n in (0, 2)}


def test_clone_has_the_parameters_and_nothing_learned(em_fitted):
    copy = clone(em_fitted)
    assert copy.get_params() == em_fitted.get_params()
    assert not [name for name in vars(copy) if name.endswith("_")]


def test_pickle_keeps_every_result(fitted, rotations):
    X = rotations[0][:3]
    again = pickle.loads(pickle.dumps(fitted))
    # strides, and so the order of sums, may differ
    np.testing.assert_allclose(again.transform(X), fitted.transform(X), atol=1e-10)
    np.testing.assert_allclose(again.reconstruct(X), fitted.reconstruct(X), atol=1e-10)
    assert again.best_epoch_ == fitted.best_epoch_


def test_joblib_keeps_every_result(fitted, rotations, tmp_path):
    X = rotations[0][:3]
    joblib.dump(fitted, tmp_path / "jedi.joblib")
    again = joblib.load(tmp_path / "jedi.joblib")
    np.testing.assert_allclose(again.transform(X), fitted.transform(X), atol=1e-10)


# ------------------------------------------------------------------------- randomness


def test_same_seed_same_result(rotations, jedi, small_fitted):
    X, first = rotations[0], small_fitted[jedi.max_epochs].embeddings_
    np.testing.assert_array_equal(jedi.fit(X).embeddings_, first)
    np.testing.assert_array_equal(jedi.fit(X).embeddings_, first)


def test_random_state_instance_counts_as_a_seed(rotations):
    X = rotations[0]
    draws = [
        small(max_epochs=2, random_state=np.random.RandomState(3)).fit(X).history_
        for _ in range(2)
    ]
    assert draws[0][:, "train_loss"] == draws[1][:, "train_loss"]


def test_another_seed_draws_another_perceptron_and_other_windows(rotations):
    X = rotations[0]
    one, two = (small(max_epochs=2, random_state=s).fit(X) for s in (0, 1))
    first_layer = [e.net_.module_.hypernetwork.perceptron[0].weight for e in (one, two)]
    assert not torch.equal(*first_layer)
    assert one.history_[:, "train_loss"] != two.history_[:, "train_loss"]


def test_em_needs_no_seed(rotations, small_fitted):
    one = small_fitted[0]
    two, none = (small(random_state=s).fit(rotations[0]) for s in (1, None))
    np.testing.assert_array_equal(one.embeddings_, two.embeddings_)
    np.testing.assert_array_equal(one.embeddings_, none.embeddings_)


def test_global_random_states_stay_untouched(rotations, jedi):
    X = rotations[0]
    numpy_before = np.random.get_state()  # noqa: NPY002 (the legacy global state is what is tested)
    torch_before = torch.get_rng_state()
    jedi.fit(X).transform(X)
    numpy_after = np.random.get_state()  # noqa: NPY002 (the legacy global state is what is tested)
    for before, after in zip(numpy_before, numpy_after, strict=True):
        np.testing.assert_array_equal(before, after)
    assert torch.equal(torch_before, torch.get_rng_state())


# ---------------------------------------------------------------- trials by themselves


@pytest.mark.parametrize("max_epochs", [0, 8], ids=["em", "trained"])
def test_a_trial_is_embedded_alone_as_in_a_batch_of_100(max_epochs):
    X = make_rotation_family(25, n_timepoints=40, n_neurons=20, random_state=0)[0]
    jedi = small(embedding_dim=3, ridge=1.0, max_epochs=max_epochs, random_state=0).fit(
        X
    )
    assert (jedi.best_epoch_ > 0) == (max_epochs > 0)
    together = jedi.transform(X)
    assert len(together) == 100
    alone = np.concatenate([jedi.transform(X[[i]]) for i in range(0, 100, 9)])
    np.testing.assert_allclose(alone, together[::9], rtol=0, atol=1e-6)
    np.testing.assert_allclose(jedi.transform(X[::-1]), together[::-1], atol=1e-6)


def test_fit_transform_is_fit_then_transform(rotations, jedi, small_fitted):
    X, fitted = rotations[0], small_fitted[jedi.max_epochs]
    Z = jedi.fit_transform(X)
    np.testing.assert_array_equal(fitted.embeddings_, Z)
    np.testing.assert_allclose(fitted.transform(X), Z, rtol=0, atol=1e-6)


def test_using_a_model_changes_nothing_of_it(fitted, rotations):
    X = rotations[0]
    before = pickle.dumps(vars(fitted))
    names = set(vars(fitted))
    fitted.transform(X[:2])
    fitted.score(X)
    fitted.reconstruct(X)
    fitted.forecast(X, 2)
    fitted.embedding_posterior(X)
    fitted.dynamics(fitted.embeddings_).J  # noqa: B018 (reading it is the use)
    assert set(vars(fitted)) == names
    assert pickle.dumps(vars(fitted)) == before


def test_y_is_ignored(rotations, small_fitted):
    X, y, _ = rotations
    np.testing.assert_array_equal(
        small().fit(X, y).embeddings_, small_fitted[0].embeddings_
    )


# ------------------------------------------------------------------ memory and dtypes


def _memory_mapped(X, path):
    np.save(path / "X.npy", X)
    return np.load(path / "X.npy", mmap_mode="r")


class OnDisk:
    """What zarr and h5py arrays have in common: slices and numbers of trials."""

    def __init__(self, X):
        self._X, self.shape, self.dtype, self.ndim = X, X.shape, X.dtype, X.ndim

    def __getitem__(self, index):
        assert isinstance(index, (int, slice))
        return self._X[index]

    def __len__(self):
        return len(self._X)


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param(lambda X, _: X[::-1].copy()[::-1], id="negative-strides"),
        pytest.param(lambda X, _: np.asfortranarray(X), id="fortran"),
        pytest.param(lambda X, _: X.tolist(), id="nested-lists"),
        pytest.param(lambda X, _: list(X), id="list-of-trials"),
        pytest.param(_memory_mapped, id="memory-mapped"),
        pytest.param(lambda X, _: OnDisk(X), id="sliced-on-disk"),
    ],
)
def test_layout_in_memory_does_not_matter(
    rotations, jedi, layout, tmp_path, small_fitted
):
    X = rotations[0]
    assert not X.flags.writeable
    other = layout(X, tmp_path)
    expected = small_fitted[jedi.max_epochs]
    jedi.fit(other)
    # sums over another layout round differently, and training magnifies it
    tol = {"rtol": 0, "atol": 1e-8 if jedi.max_epochs == 0 else 1e-3}
    np.testing.assert_allclose(jedi.embeddings_, expected.embeddings_, **tol)
    np.testing.assert_allclose(jedi.reconstruct(other), expected.reconstruct(X), **tol)


@pytest.mark.parametrize("method", ["transform", "reconstruct", "initial_states"])
def test_float32_stays_float32(fitted, rotations, method):
    X = rotations[0][:4]
    single = getattr(fitted, method)(X.astype(np.float32))
    assert single.dtype == np.float32
    assert getattr(fitted, method)(X).dtype == np.float64
    np.testing.assert_allclose(single, getattr(fitted, method)(X), atol=1e-3)


def test_float32_stays_float32_in_tuples_and_fits(fitted, rotations):
    X = rotations[0].astype(np.float32)
    assert fitted.forecast(X, 3).dtype == np.float32
    assert [a.dtype for a in fitted.embedding_posterior(X)] == [np.float32] * 2
    assert small().fit_transform(X).dtype == np.float32


def test_integers_become_float64(rotations):
    counts = np.round(10 * rotations[0]).astype(int)
    jedi = small().fit(counts)
    assert jedi.embeddings_.dtype == np.float64
    np.testing.assert_array_equal(
        jedi.embeddings_, small().fit(counts.astype(float)).embeddings_
    )


# -------------------------------------------------------------------------- containers


def test_feature_names(em_fitted):
    names = em_fitted.get_feature_names_out()
    assert list(names) == ["jediestimator0", "jediestimator1"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(rotations, library, small_fitted):
    frames = importlib.import_module(library)  # in the test extra: never skipped
    X, expected = rotations[0], small_fitted[0].embeddings_
    jedi = small().set_output(transform=library)
    for Z in (jedi.fit_transform(X), jedi.transform(X)):
        assert isinstance(Z, frames.DataFrame)
        assert list(Z.columns) == ["jediestimator0", "jediestimator1"]
        np.testing.assert_allclose(Z.to_numpy(), expected, atol=1e-10)
    assert isinstance(jedi.embeddings_, np.ndarray)


def test_pipeline_and_classifier():
    X, y, _ = make_rotation_family(12, n_timepoints=60, n_neurons=20, random_state=0)
    pipe = make_pipeline(small(), StandardScaler(), LogisticRegression(C=100))
    assert pipe.fit(X[::2], y[::2]).score(X[1::2], y[1::2]) == 1.0
    assert list(pipe[:-1].get_feature_names_out()) == [
        "jediestimator0",
        "jediestimator1",
    ]


def test_grid_search_over_rank_and_embedding_dim(rotations):
    X, y, _ = rotations
    search = GridSearchCV(
        make_pipeline(JEDIEstimator(max_epochs=0), LogisticRegression(C=100)),
        {"jediestimator__rank": [1, 2], "jediestimator__embedding_dim": [1, 2]},
        cv=StratifiedKFold(2),
        n_jobs=2,
        error_score="raise",
    ).fit(X, y)
    # one direction cannot rotate
    assert search.best_params_["jediestimator__rank"] == 2
    assert search.best_score_ == 1.0


def test_grid_search_by_its_own_score(rotations):
    X = rotations[0]
    search = GridSearchCV(small(), {"rank": [1, 2]}, cv=3, error_score="raise")
    assert search.fit(X).best_params_ == {"rank": 2}


def test_leave_one_condition_out(rotations):
    X, y, _ = rotations
    scores = cross_val_score(
        small(), X, groups=y, cv=LeaveOneGroupOut(), error_score="raise"
    )
    assert scores.shape == (4,)
    # 2 and 3 Hz lie between frequencies that were seen
    assert scores[1:3].min() > 0.8


# ---------------------------------------------------------------------------- the rest


def test_a_2d_array_is_one_neuron_with_a_warning(rotations):
    X = rotations[0][:, :, 0]
    with pytest.warns(UserWarning, match=r"24 trials of 40 time points of one neuron"):
        jedi = small().fit(X)
    assert (jedi.n_features_in_, jedi.n_timepoints_in_, jedi.n_neurons_in_) == (
        40,
        40,
        1,
    )
    with pytest.warns(UserWarning, match="of one neuron"):
        Z = jedi.transform(X)
    np.testing.assert_allclose(Z, jedi.transform(X[:, :, np.newaxis]), atol=1e-12)
    with pytest.warns(UserWarning, match="of one neuron"):
        assert jedi.reconstruct(X).shape == X.shape
    with pytest.warns(UserWarning, match="of one neuron"):
        assert jedi.forecast(X, 5).shape == (24, 5)


def test_sizes_of_a_3d_array(em_fitted):
    sizes = em_fitted.n_features_in_, em_fitted.n_timepoints_in_
    assert (*sizes, em_fitted.n_neurons_in_) == (40, 40, 20)


def test_rank_is_capped_at_the_number_of_neurons(rotations):
    X = rotations[0][:, :, :3]
    jedi = small(rank=10).fit(X)
    assert (jedi.rank, jedi.rank_) == (10, 3)
    assert jedi.dynamics(jedi.embeddings_).rank == 3


def test_rank_none_is_full_rank():
    X, _, _ = make_rotation_family(
        8, n_timepoints=60, n_neurons=6, noise=0.3, random_state=0
    )
    jedi = small(rank=None).fit(X)
    assert jedi.rank_ == 6
    J = jedi.dynamics(jedi.embeddings_).J
    assert (np.linalg.matrix_rank(J) == 6).all()
    assert (np.linalg.matrix_rank(small().fit(X).dynamics(np.eye(2)).J) == 2).all()
