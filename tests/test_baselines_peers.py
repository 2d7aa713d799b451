"""Adapters to other packages, each where its package is installed (extra `bench`)."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from benchmarks.baselines import (
    CebraTime,
    DynamaxLinear,
    DynamicalSimilarity,
    KoopmanForecast,
    linear_network,
)
from benchmarks.baselines import _peers as peers
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.metrics import trajectory_r2

PEERS = {
    "cebra": CebraTime(6, n_iter=150, random_state=0),
    "dynamax": DynamaxLinear(2, n_iter=15),
    "pykoop": KoopmanForecast(2, 1, alpha=1e-3),
    "DSA": DynamicalSimilarity(2, 2, 2),
}


@pytest.fixture(scope="module")
def spirals():
    """Planar spirals of 1 or 3 Hz in 8 neurons, little noise; 12 trials of each."""
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], 12)
    turn = 2 * np.pi * np.array([1.0, 3.0])[y][:, None] * np.arange(50) / 100
    phase = rng.uniform(0, 2 * np.pi, len(y))[:, None]
    decay = np.exp(-np.arange(50) / 100)[None]
    plane = np.stack([decay * np.cos(turn + phase), decay * np.sin(turn + phase)], -1)
    X = 5.0 + plane @ rng.standard_normal((2, 8))
    return X + 0.01 * rng.standard_normal(X.shape), y


def fitted(name, X):
    pytest.importorskip(name, reason=f"{name} is not installed: {peers.INSTALL}")
    return clone(PEERS[name]).fit(X)


@pytest.mark.parametrize("name", list(PEERS))
def test_peer_is_an_estimator_that_repeats_itself(name, spirals):
    X = spirals[0]
    assert repr(clone(PEERS[name]).get_params()) == repr(PEERS[name].get_params())
    once = fitted(name, X)
    method = "transform" if hasattr(once, "transform") else "forecast"
    extra = () if method == "transform" else (5,)
    first = getattr(once, method)(X, *extra)
    assert_allclose(getattr(once, method)(X[3:5], *extra), first[3:5], rtol=1e-5)
    if name != "cebra":  # which takes no seed
        assert_array_equal(getattr(fitted(name, X), method)(X, *extra), first)
    with pytest.raises(ValueError, match="NaN"):
        once.fit(np.where(np.arange(8) == 1, np.nan, X))


def test_missing_peer_names_the_extra():
    with pytest.raises(ImportError, match=r"not installed: pip .*\[bench\]"):
        peers.peer("no_such_package")


@pytest.mark.parametrize("name", ["dynamax", "pykoop"])
def test_forecast_of_one_spiral(name, spirals):
    X, y = spirals
    X = X[y == 0]
    model = fitted(name, X[::2])
    ahead = model.forecast(X[1::2, :20], 30)
    assert ahead.shape == (6, 30, 8)
    assert trajectory_r2(X[1::2, 20:], ahead) > 0.98
    # the faster spirals are another map
    fast = spirals[0][y == 1]
    assert trajectory_r2(fast[:, 20:], model.forecast(fast[:, :20], 30)) < 0.5


@pytest.mark.parametrize("name", ["cebra", "DSA"])
def test_embedding_tells_spirals_apart(name, spirals):
    X, y = spirals
    model = fitted(name, X[:12])
    reader = LogisticRegression(C=100.0).fit(model.transform(X[:12]), y[:12])
    # cebra's draws take no seed: it reads 0.83 or more
    assert reader.score(model.transform(X[12:]), y[12:]) >= 0.75


def test_similarity_of_a_trial_to_itself_is_zero(spirals):
    X = spirals[0][:6]
    model = fitted("DSA", X)
    distances = model.transform(X)
    assert_allclose(model.embeddings_, distances, atol=1e-5)
    assert_allclose(np.diag(distances), 0, atol=1e-5)
    assert_allclose(distances, distances.T, atol=1e-5)
    assert distances[0, 1] > 3 * distances[0, 2]


def test_dynamax_finds_the_spectrum(spirals):
    X, y = spirals
    model = fitted("dynamax", X[y == 1])
    true = np.exp(-0.01 + 2j * np.pi * 0.03)
    found = np.linalg.eigvals(np.asarray(model.params_.dynamics.weights))
    assert np.abs(found - true).min() < 0.01
    assert (np.diff(model.log_posterior_) > -1e-6 * abs(model.log_posterior_[0])).all()
    assert model.score(X[y == 1]) > 0.98
    run = model.dynamics().simulate(model.reconstruct(X[:3])[None, :, 0], 50)[0]
    assert_allclose(run, model.reconstruct(X[:3]), atol=1e-8)


def test_linear_network_is_the_map_of_a_state_space(spirals):
    model = LinearStateSpace(2, n_iter=5, start_sd=1.0).fit(spirals[0])
    A = model.transition_
    network = linear_network(A, model.drift_, model.loading_, model.offset_)
    run = model.reconstruct(spirals[0])
    assert_allclose(network.simulate(run[None, :, 0], 50)[0], run, atol=1e-8)
    found = np.sort_complex(network.eigenvalues[0])
    assert_allclose(
        found, np.sort_complex(1 + 10 * (np.linalg.eigvals(A) - 1)), rtol=1e-8
    )
