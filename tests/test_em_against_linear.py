"""EM of linear networks without embeddings, against the linear state-space model.

The same family: with `phi` the identity a step `(1 - alpha) z + alpha (B z + b)` is any
affine map of the state.
"""

import numpy as np
import pytest

from sklearn_jedi._data._gate import check_trials
from sklearn_jedi._data._units import Scaling
from sklearn_jedi._engine._likelihoods import Gaussian
from sklearn_jedi._engine._reduction import free_run
from sklearn_jedi._engine._settings import Settings
from sklearn_jedi._engine._smoother import smooth
from sklearn_jedi._models import _predictions
from sklearn_jedi._models._fit import Recording, fit_inferred
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.metrics import trajectory_r2

N_TRAIN, N_STATES, N_NEURONS = 40, 3, 10
UNITS = Scaling.identity(N_NEURONS)


@pytest.fixture(scope="module")
def trials():
    """Noisy trials of a rotation and a decay, which drives it."""
    rng = np.random.default_rng(0)
    turn, size = 0.3, 0.97
    A = np.array(
        [
            [size * np.cos(turn), -size * np.sin(turn), 0.1],
            [size * np.sin(turn), size * np.cos(turn), 0.0],
            [0.0, 0.0, 0.9],
        ]
    )
    z = [rng.normal([1.0, 0.0, -1.0], 1.0, (60, 3))]
    for _ in range(39):
        noise = 0.2 * rng.standard_normal((60, 3))
        z.append(z[-1] @ A.T + [0.05, 0.0, 0.1] + noise)
    C = rng.standard_normal((3, N_NEURONS)) / np.sqrt(3)
    activity = np.stack(z, 1) @ C + 0.3 * rng.standard_normal(N_NEURONS)
    return activity + 0.6 * rng.standard_normal(activity.shape)


@pytest.fixture(scope="module")
def linear(trials):
    return LinearStateSpace(N_STATES).fit(trials[:N_TRAIN])


@pytest.fixture(scope="module")
def network(trials, linear):
    """A network of rank 3 without embeddings, fitted to the same trials."""
    train = check_trials(linear, trials[:N_TRAIN], reset=False)[0]
    return fit_inferred(
        [Recording(train, UNITS, trials[:N_TRAIN].mean((0, 1)))],
        Gaussian,
        Settings(gain=1.0, window=0, n_directions=N_STATES, ridge=0.0),
        n_states=N_STATES,
        embedding_dim=0,
        nonlinearity="linear",
        tau=0.1,
        dt=0.01,
        n_rounds=200,
    ).models[0]


@pytest.fixture(scope="module")
def same(network, trials):
    """The linear model with the parameters of the network."""
    model = LinearStateSpace(N_STATES, n_iter=1).fit(trials)
    red, k = network.reduction, N_STATES
    states = np.vstack([np.zeros(k), np.eye(k)]) @ red.P.T + red.mean_out
    weights = np.repeat(network.weights(np.empty((1, 0))), k + 1, axis=0)
    after = free_run(red, weights, states, 1)[:, 0]
    model.drift_, model.transition_ = after[0], (after[1:] - after[0]).T
    model.loading_, model.offset_ = red.P, red.mean_out
    model.step_cov_ = network.step_cov
    model.noise_variance_ = network.likelihood.variance
    model.first_mean_, model.first_cov_ = network.first_mean, network.first_cov
    return model


def test_em_finds_what_em_of_the_linear_model_finds(trials, linear, network, same):
    train, test = trials[:N_TRAIN], trials[N_TRAIN:]
    assert same.log_likelihood(train) == pytest.approx(linear.log_likelihood_, rel=1e-3)
    assert same.log_likelihood(test) == pytest.approx(
        linear.log_likelihood(test), rel=1e-3
    )
    given, later = test[:, :20], test[:, 20:]
    ahead = _predictions.forecast(network, prepared(network, given), 20, with_std=False)
    expected = trajectory_r2(later, linear.forecast(given, 20))
    assert expected > 0.4
    assert trajectory_r2(later, ahead.mean) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("kind", ["complete", "gaps", "lengths"])
def test_smoother_is_the_kalman_smoother(trials, network, same, kind):
    """At the same parameters: the likelihood, smoothed trials and forecasts."""
    X = trials[N_TRAIN:].copy()
    if kind == "gaps":
        X[np.random.default_rng(1).random(X.shape) < 0.3] = np.nan
        X[2, 10:14] = np.nan
    if kind == "lengths":
        X[::2, 25:] = np.nan
    ready = prepared(network, X)
    block = ready.read(np.arange(len(ready)))
    found = smooth(network.state_space, block)
    constant = np.log(2 * np.pi) / 2 * np.isfinite(X).sum()
    assert found.log_evidence.sum() - constant == pytest.approx(
        same.log_likelihood(X), rel=1e-10
    )
    activity, expected = network.state_space.activity(found.z), same.smooth(X)
    inside = np.isfinite(expected)
    np.testing.assert_allclose(activity[inside], expected[inside], atol=1e-9)
    ahead = _predictions.forecast(network, ready, 20, with_std=True)
    mean, std = same.forecast(X, 20, return_std=True)
    np.testing.assert_allclose(ahead.mean, mean, atol=1e-9)
    # of 64 draws
    np.testing.assert_allclose(ahead.std, std, rtol=0.4)
    assert np.median(ahead.std / std) == pytest.approx(1, abs=0.05)


def prepared(network, X):
    model = LinearStateSpace(N_STATES, n_iter=1).fit(X)
    trials, summary = check_trials(model, X, reset=False)
    return network.prepare(trials, summary.first_whole)
