"""Levenberg-Marquardt against finite differences and scipy's optimisers."""

import numpy as np
import pytest
import torch
from scipy import optimize

from sklearn_jedi import _inference
from sklearn_jedi._em import serial_inflation
from sklearn_jedi._hypernetwork import Hypernetwork
from sklearn_jedi._inference import PathNoise, cover, infer_embeddings, path_noise
from sklearn_jedi._moments import Basis
from sklearn_jedi._rollout import free_run, reduction, split_state

N_NEURONS, RANK, N_DIRECTIONS, N_AXES = 7, 2, 3, 2


@pytest.fixture(scope="module")
def red():
    rng = np.random.default_rng(0)
    P = np.linalg.qr(rng.standard_normal((N_NEURONS, RANK)))[0]
    Q = np.linalg.qr(rng.standard_normal((N_NEURONS, N_DIRECTIONS)))[0]
    means = 0.1 * rng.standard_normal((2, N_NEURONS))
    return reduction(Basis(P, Q, *means), 0.15, "tanh", 0.8)


@pytest.fixture(scope="module")
def hypernetwork():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((N_AXES + 1, N_DIRECTIONS + 1, RANK))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Hypernetwork(A, (6,)).double()
        torch.nn.init.normal_(net.perceptron[-1].weight, std=0.3)
    return net.requires_grad_(False)


@pytest.fixture(scope="module")
def trials(red, hypernetwork):
    """Free runs of known embeddings from known states, recorded with noise."""
    rng = np.random.default_rng(2)
    c = rng.standard_normal((6, N_AXES))
    states = rng.standard_normal((6, N_NEURONS))
    kappa = free_run(red, hypernetwork.weights(c)[0], states, 25)
    later = kappa @ red.P.T
    later += 0.05 * rng.standard_normal(later.shape)
    return np.concatenate([states[:, None], later], axis=1), c


NOISE = PathNoise(np.array([[0.02, 0.005], [0.005, 0.01]]), 2.0, horizon=25)


def objective(c, red, hypernetwork, x, noise, windows=None):
    """Minus the log posterior of one trial, written out."""
    windows = windows or [(0, 0, 25)]
    weights = hypernetwork.weights(c[None])[0]
    precision = np.linalg.inv(noise.cov) / noise.inflation
    value = 0.5 * c @ c
    for start, first_scored, stop in windows:
        path = free_run(red, weights, x[None, start], stop - start)[0]
        error = split_state(red, x[start + 1 : stop + 1])[0] - path
        error = error[first_scored - start :]
        value += 0.5 * np.einsum("tr,rs,ts->", error, precision, error)
    return value


@pytest.mark.parametrize(
    ("n_steps", "horizon", "starts", "length"),
    [
        (10, 10, [0], 10),
        (10, 99, [0], 10),
        (10, 5, [0, 5], 5),
        (10, 4, [0, 4, 6], 4),
        (11, 10, [0, 5], 6),
        (1, 1, [0], 1),
    ],
)
def test_windows_cover_every_step_once(n_steps, horizon, starts, length):
    windows = cover(n_steps, horizon)
    assert windows.starts.tolist() == starts
    assert windows.length == length
    scored = (windows.starts[:, None] + np.arange(length))[windows.fresh]
    assert scored.tolist() == list(range(n_steps))


def test_sensitivities_are_derivatives_of_the_free_run(red, hypernetwork, trials):
    X, c = trials
    weights, slopes = hypernetwork.weights(c, with_slopes=True)
    path, sensitivity = _inference._run_with_sensitivity(
        red, weights, slopes, X[:, 0], 12
    )
    np.testing.assert_allclose(path, free_run(red, weights, X[:, 0], 12), atol=1e-12)
    eps = 1e-6
    for j in range(N_AXES):
        up, down = (
            free_run(red, hypernetwork.weights(c + s)[0], X[:, 0], 12)
            for s in (eps * np.eye(N_AXES)[j], -eps * np.eye(N_AXES)[j])
        )
        np.testing.assert_allclose(
            sensitivity[:, :, j], (up - down) / (2 * eps), atol=1e-7
        )


@pytest.mark.parametrize(
    ("horizon", "windows"),
    [(25, [(0, 0, 25)]), (10, [(0, 0, 9), (9, 9, 18), (16, 18, 25)])],
)
def test_it_finds_the_optimum_that_scipy_finds(
    red, hypernetwork, trials, horizon, windows
):
    X, _ = trials
    noise = NOISE._replace(horizon=horizon)
    mean, cov, converged = infer_embeddings(
        red, hypernetwork, noise, X, np.zeros((len(X), N_AXES))
    )
    assert converged.all()
    for i, x in enumerate(X):
        args = (red, hypernetwork, x, noise, windows)
        found = optimize.minimize(
            objective, mean[i] + 0.1, args, method="BFGS", options={"gtol": 1e-7}
        )
        np.testing.assert_allclose(mean[i], found.x, atol=2e-3)
        assert objective(mean[i], *args) <= found.fun + 1e-5
    assert np.linalg.eigvalsh(cov).min() > 0


def test_known_embeddings_are_recovered_within_their_error(red, hypernetwork, trials):
    X, c = trials
    mean, cov, _ = infer_embeddings(
        red, hypernetwork, NOISE, X, np.zeros((len(X), N_AXES))
    )
    squared = np.einsum("ni,nij,nj->n", mean - c, np.linalg.inv(cov), mean - c)
    assert squared.max() < 9.2  # 99 % of a chi-square of two degrees of freedom


def test_the_covariance_is_the_inverse_of_the_gauss_newton_hessian(
    red, hypernetwork, trials
):
    X, _ = trials
    mean, cov, _ = infer_embeddings(
        red, hypernetwork, NOISE, X, np.zeros((len(X), N_AXES)), tol=1e-12
    )
    eps = 1e-5
    precision = np.linalg.inv(NOISE.cov * NOISE.inflation)
    jac = np.stack(
        [
            free_run(red, hypernetwork.weights(mean + eps * e)[0], X[:, 0], 25)
            - free_run(red, hypernetwork.weights(mean - eps * e)[0], X[:, 0], 25)
            for e in np.eye(N_AXES)
        ],
        axis=1,
    ) / (2 * eps)
    hessian = np.einsum("nitr,rs,njts->nij", jac, precision, jac) + np.eye(N_AXES)
    # evaluated one step before the mode that is returned
    np.testing.assert_allclose(cov, np.linalg.inv(hessian), rtol=1e-4, atol=1e-6)


def test_trials_do_not_see_each_other(red, hypernetwork, trials, monkeypatch):
    X, _ = trials
    start = np.zeros((len(X), N_AXES))
    together = infer_embeddings(red, hypernetwork, NOISE, X, start)
    monkeypatch.setattr(_inference, "_BATCH", 4)
    in_batches = infer_embeddings(red, hypernetwork, NOISE, X, start)
    for a, b in zip(together, in_batches, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)
    wild = X.copy()
    wild[3] *= 50
    others = np.arange(len(X)) != 3
    disturbed = infer_embeddings(red, hypernetwork, NOISE, wild, start)
    for a, b in zip(together, disturbed, strict=True):
        np.testing.assert_allclose(a[others], b[others], atol=1e-10)


def test_too_few_rounds_are_reported(red, hypernetwork, trials):
    X, _ = trials
    start = np.full((len(X), N_AXES), 2.0)
    mean, _, converged = infer_embeddings(
        red, hypernetwork, NOISE, X, start, max_iter=1
    )
    assert not converged.any()
    assert not np.array_equal(mean, start)


def test_path_noise_is_that_of_free_runs(red, hypernetwork, trials):
    X, c = trials
    noise = path_noise(red, hypernetwork, X, c, 25)
    errors = split_state(red, X)[0][:, 1:] - free_run(
        red, hypernetwork.weights(c)[0], X[:, 0], 25
    )
    flat = errors.reshape(-1, RANK)
    np.testing.assert_allclose(noise.cov, flat.T @ flat / len(flat), rtol=1e-4)
    assert noise.inflation == pytest.approx(serial_inflation(errors))
    assert noise.horizon == 25
