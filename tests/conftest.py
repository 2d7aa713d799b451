"""Shared fixtures: small simulated recordings, and where the real ones are."""

import gc
import os

# scikit-learn's array-API check runs only where scipy was imported with this set
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# pynapple's functions, a few spikes each, are not worth compiling
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

from pathlib import Path

import numpy as np
import pytest
from oscillator_sessions import Recording

from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
from sklearn_jedi._data._trials import Trials
from sklearn_jedi.datasets import make_rotation_family


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Imports leave no garbage, and looking for it takes a third of their time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def in_trials(X, groups=None, batch_size=32):
    """Trials around an array, or a list of arrays of any lengths."""
    lengths = np.array([len(trial) for trial in X])
    return Trials(X, lengths, X[0].shape[1], np.float64, batch_size, groups)


def in_block(X, groups=None):
    """All of an array or list in one block."""
    return in_trials(X, groups).read(np.arange(len(X)))


@pytest.fixture(scope="session")
def rotations():
    """Activity, labels and networks: 4 conditions x 6 trials x 40 bins x 20 neurons."""
    X, y, networks = make_rotation_family(
        6, n_timepoints=40, n_neurons=20, random_state=0
    )
    X.flags.writeable = False
    return X, y, networks


@pytest.fixture(scope="session")
def em_fitted(rotations):
    """An estimator in closed form; tests must not change it."""
    return JEDIEstimator(rank=2, embedding_dim=2, max_epochs=0).fit(rotations[0])


@pytest.fixture(scope="session")
def trained(rotations):
    """An estimator that training has changed; tests must not change it.

    So strong a ridge leaves EM something to improve, whatever the data.
    """
    jedi = JEDIEstimator(
        rank=2, embedding_dim=2, ridge=1.0, max_epochs=8, random_state=0
    ).fit(rotations[0])
    assert jedi.best_epoch_ > 0
    return jedi


@pytest.fixture(params=["em_fitted", "trained"])
def fitted(request):
    """Once in closed form, once trained."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def cycles():
    """Six sessions of limit cycles of different speeds; tests must not change them."""
    params = {"n_sessions": 6, "n_trials": 9, "n_timepoints": 80, "noise": 0.5}
    return Recording(6, MetaDynamicalSSM(gain=1.2), **params, random_state=0)


@pytest.fixture(scope="session")
def real_data():
    """Directory with the real recordings, which cannot be part of the project."""
    directory = os.environ.get("SKLEARN_JEDI_DATA")
    if not directory:
        pytest.skip("set SKLEARN_JEDI_DATA to the folder with the real recordings")
    return Path(directory)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
