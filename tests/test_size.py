"""Recordings on disk are read in pieces, and give what arrays in memory give."""

import importlib

import numpy as np
import pytest

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._data import _trials
from sklearn_jedi._engine import _first_states, _state_space_em
from sklearn_jedi._models import _observed
from sklearn_jedi.datasets import make_rotation_family

BATCH = 4


class OnDisk:
    """Sliced by trial; refuses to become one array, and notes the largest piece."""

    def __init__(self, X):
        self._X = X
        self.shape, self.dtype = X.shape, X.dtype
        self.largest = 0

    def __len__(self):
        return len(self._X)

    def __getitem__(self, key):
        piece = self._X[key]
        self.largest = max(self.largest, len(piece) if piece.ndim == 3 else 1)
        return piece.copy()

    def __array__(self, *args, **kwargs):
        raise AssertionError("the whole recording was copied")


@pytest.fixture(scope="module")
def noisy():
    return make_rotation_family(
        4, n_timepoints=20, n_neurons=8, observation_noise=0.5, random_state=0
    )[0].astype(np.float32)


def jedi(**params):
    return JEDIEstimator(
        rank=2, embedding_dim=2, batch_size=BATCH, random_state=0, **params
    )


FITS = {
    "em": {"observation": "state", "max_epochs": 0},
    "trained": {
        "observation": "state",
        "max_epochs": 2,
        "window": 5,
        "ridge": 1.0,
        "gain": 1.0,
    },
    "gaussian": {"observation": "gaussian"},
}


def results(estimator, X):
    """Every method that takes trials."""
    return [
        estimator.fit(X).embeddings_,
        estimator.transform(X),
        estimator.embedding_posterior(X)[1],
        estimator.reconstruct(X),
        estimator.smooth(X),
        estimator.initial_states(X),
        estimator.forecast(X, 3),
        estimator.score(X),
    ]


@pytest.mark.parametrize("params", FITS.values(), ids=FITS.keys())
def test_pieces_are_bounded(noisy, params, monkeypatch):
    monkeypatch.setattr(_trials, "_SAMPLE_VALUES", 0)
    monkeypatch.setattr(_trials, "_SMALLEST_SAMPLE", 2 * BATCH)
    source = OnDisk(noisy)
    on_disk = results(jedi(**params), source)
    in_memory = results(jedi(**params), noisy)
    assert 1 < source.largest <= 2 * BATCH < len(noisy)
    for one, other in zip(on_disk, in_memory, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("library", ["h5py", "zarr"])
def test_arrays_of_other_libraries(noisy, library, tmp_path):
    module = importlib.import_module(library)  # in the test extra: never skipped
    if library == "h5py":
        file = module.File(tmp_path / "X.h5", "w")
        source = file.create_dataset("X", data=noisy)
    else:
        source = module.array(noisy, chunks=(3, *noisy.shape[1:]))
    model = jedi(**FITS["em"])
    np.testing.assert_allclose(
        model.fit_transform(source), model.fit_transform(noisy), atol=1e-8
    )
    np.testing.assert_allclose(model.smooth(source), model.smooth(noisy), atol=1e-8)


def test_counts_on_disk_need_no_float_copy(tmp_path):
    counts = np.random.default_rng(0).poisson(2.0, (8, 20, 5)).astype(np.uint8)
    np.save(tmp_path / "counts.npy", counts)
    mapped = np.load(tmp_path / "counts.npy", mmap_mode="r")
    model = jedi(observation="poisson").fit(mapped)
    np.testing.assert_allclose(
        model.embeddings_, jedi(observation="poisson").fit_transform(counts)
    )
    assert model.embeddings_.dtype == np.float64


@pytest.mark.parametrize("params", FITS.values(), ids=FITS.keys())
def test_em_over_more_trials_than_it_starts_on(noisy, params, monkeypatch):
    """With less room EM starts on a part; the end is close to EM on all trials."""
    whole = jedi(**params).fit(noisy)
    monkeypatch.setattr(_observed, "_MOMENT_BYTES", 8 * 8 * 9**2)
    monkeypatch.setattr(_first_states, "_START_TRIALS", 8)
    monkeypatch.setattr(_observed, "_LEAST_AT_ONCE", 8)
    part = jedi(**params).fit(noisy)
    assert part.n_iter_ >= 3
    assert part.score(noisy) > whole.score(noisy) - 0.02


def test_features_of_any_size_of_pieces_are_the_same(noisy, monkeypatch):
    whole = jedi(**FITS["gaussian"]).fit(noisy)
    monkeypatch.setattr(_state_space_em, "_FEATURE_VALUES", 100)
    pieces = jedi(**FITS["gaussian"]).fit(noisy)
    np.testing.assert_allclose(pieces.embeddings_, whole.embeddings_, atol=1e-6)
