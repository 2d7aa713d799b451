"""Views of trials on disk."""

import numpy as np
import pytest
import zarr
from sklearn.model_selection import GridSearchCV, KFold

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_rotation_family
from sklearn_jedi.io import TrialsOnDisk


@pytest.fixture(scope="module")
def X():
    return make_rotation_family(5, n_neurons=8, n_timepoints=30, random_state=0)[0]


@pytest.fixture(params=["memmap", "zarr"])
def stored(request, X, tmp_path):
    if request.param == "zarr":
        array = zarr.open_array(
            tmp_path / "X.zarr",
            mode="w",
            shape=X.shape,
            dtype=X.dtype,
            chunks=(4, 30, 8),
        )
        array[:] = X
        return array
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


class ReadOnce(np.ndarray):
    """Says which trials are read, and refuses to be read at once."""

    def __getitem__(self, key):
        if isinstance(key, int):
            self.read.append(key)
            return np.asarray(self)[key]
        raise AssertionError(f"read {key!r} at once")


def test_indexing_is_that_of_the_array(X, stored):
    view = TrialsOnDisk(stored)
    rows = [7, 2, 2, 11]
    assert view.shape == X.shape
    assert view.dtype == X.dtype
    assert len(view[rows]) == 4
    np.testing.assert_array_equal(view[rows][1:3], X[[2, 2]])
    np.testing.assert_array_equal(view[rows][np.array([3, 0]), ...][0], X[11])
    np.testing.assert_array_equal(view[X[:, 0, 0] > 0][:], X[X[:, 0, 0] > 0])
    np.testing.assert_array_equal(np.stack(list(view[rows])), X[rows])


def test_a_fold_reads_nothing(X):
    source = X.view(ReadOnce)
    source.read = []
    fold = TrialsOnDisk(source)[np.arange(3, 9)]
    assert source.read == []
    fold[1:3]
    assert source.read == [4, 5]


SOME = np.array([0, 5, 10, 15, 1, 6, 11, 16])  # two trials of each kind


def scores_of_a_search(X):
    jedi = JEDIEstimator(
        embedding_dim=2,
        observation="state",
        dt=0.01,
        gain=1.0,
        ridge=0.01,
        window=1,
        max_epochs=0,
    )
    search = GridSearchCV(jedi, {"rank": [1, 2]}, cv=KFold(2))
    return search.fit(X).cv_results_["mean_test_score"]


@pytest.fixture(scope="module")
def scores_in_memory(X):
    return scores_of_a_search(X[SOME])


def test_a_search_finds_the_same(stored, scores_in_memory):
    scores = scores_of_a_search(TrialsOnDisk(stored, SOME))
    np.testing.assert_allclose(scores, scores_in_memory, rtol=1e-10)


def test_only_trials_are_chosen(X):
    view = TrialsOnDisk(X)
    assert view[3:3].shape == (0, *X.shape[1:])
    np.testing.assert_array_equal(view[[2, 1], :, ...][:], X[[2, 1]])
    for key in ((slice(None), slice(4)), (0, 1)):
        with pytest.raises(IndexError, match="only trials can be chosen"):
            view[key]


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"n_neurons\); got \(3, 4\)"):
        TrialsOnDisk(np.zeros((3, 4)))
