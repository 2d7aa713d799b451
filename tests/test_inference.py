"""Levenberg-Marquardt against finite differences and scipy's optimisers."""

import numpy as np
import pytest
import torch
from conftest import in_block
from scipy import optimize

from sklearn_jedi._engine._bilinear_em import serial_inflation
from sklearn_jedi._engine._reduction import (
    Basis,
    Reduction,
    free_run,
    run_with_sensitivity,
)
from sklearn_jedi._models._free_run_posterior import (
    PathNoise,
    cover,
    infer_embeddings,
    path_noise,
)
from sklearn_jedi._networks._equation import Equation
from sklearn_jedi._training._hypernetwork import Hypernetwork

N_NEURONS, RANK, N_DIRECTIONS, N_AXES = 7, 2, 3, 2


@pytest.fixture(scope="module")
def red():
    rng = np.random.default_rng(0)
    P = np.linalg.qr(rng.standard_normal((N_NEURONS, RANK)))[0]
    Q = np.linalg.qr(rng.standard_normal((N_NEURONS, N_DIRECTIONS)))[0]
    means = 0.1 * rng.standard_normal((2, N_NEURONS))
    return Reduction.of(Basis(P, Q, *means), Equation.of(1.0, 0.15, "tanh", 0.8))


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
    kappa = free_run(red, hypernetwork.weights(c), states, 25)
    later = kappa @ red.P.T
    later += 0.05 * rng.standard_normal(later.shape)
    return np.concatenate([states[:, None], later], axis=1), c


NOISE = PathNoise(np.array([[0.02, 0.005], [0.005, 0.01]]), 2.0, horizon=25)


def objective(c, red, hypernetwork, x, noise, windows=None):
    """Minus the log posterior of one trial, written out."""
    windows = windows or [(0, 25)]
    weights = hypernetwork.weights(c[None])
    precision = np.linalg.inv(noise.cov) / noise.inflation
    value = 0.5 * c @ c
    for start, stop in windows:
        path = free_run(red, weights, x[None, start], stop - start)[0]
        error = red.split(x[start + 1 : stop + 1])[0] - path
        value += 0.5 * np.einsum("tr,rs,ts->", error, precision, error)
    return value


@pytest.mark.parametrize(
    ("n_steps", "horizon", "starts", "length"),
    [
        (10, 10, [0], 10),
        (10, 99, [0], 10),
        (10, 5, [0, 5], 5),
        (10, 4, [0, 4, 8], 4),
        (11, 10, [0, 6], 6),
        (1, 1, [0], 1),
    ],
)
def test_windows_cover_every_step_once(n_steps, horizon, starts, length):
    windows = cover(in_block(np.zeros((2, n_steps + 1, 3))), horizon)
    for trial in range(2):
        own = windows.trial == trial
        assert windows.start[own].tolist() == starts
        assert windows.scored.shape[1] == length
        scored = windows.start[own, None] + np.arange(length)
        assert scored[windows.scored[own]].tolist() == list(range(n_steps))


def test_windows_of_short_trials_with_gaps():
    X = [np.zeros((length, 2)) for length in (9, 4)]
    X[0][3:5, 0] = np.nan
    windows = cover(in_block(X), 4)
    assert windows.trial.tolist() == [0, 0, 1]
    # the second would start in the gap: its run starts at the last bin before
    assert windows.start.tolist() == [0, 2, 0]
    scored = windows.start[:, None] + 1 + np.arange(windows.scored.shape[1])
    bins = [
        row[keep].tolist() for row, keep in zip(scored, windows.scored, strict=True)
    ]
    assert bins == [[1, 2], [5, 6, 7, 8], [1, 2, 3]]


def test_sensitivities_are_derivatives_of_the_free_run(red, hypernetwork, trials):
    X, c = trials
    weights, slopes = hypernetwork.weights_and_slopes(c)
    path, sensitivity = run_with_sensitivity(red, weights, slopes, X[:, 0], 12)
    np.testing.assert_allclose(path, free_run(red, weights, X[:, 0], 12), atol=1e-12)
    eps = 1e-6
    for j in range(N_AXES):
        up, down = (
            free_run(red, hypernetwork.weights(c + s), X[:, 0], 12)
            for s in (eps * np.eye(N_AXES)[j], -eps * np.eye(N_AXES)[j])
        )
        np.testing.assert_allclose(
            sensitivity[:, :, j], (up - down) / (2 * eps), atol=1e-7
        )


@pytest.mark.parametrize(
    ("horizon", "windows"),
    [(25, [(0, 25)]), (10, [(0, 9), (9, 18), (18, 25)])],
)
def test_it_finds_the_optimum_that_scipy_finds(
    red, hypernetwork, trials, horizon, windows
):
    X, _ = trials
    noise = NOISE._replace(horizon=horizon)
    mean, cov, converged = infer_embeddings(
        red, hypernetwork, noise, in_block(X), np.zeros((len(X), N_AXES))
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
        red, hypernetwork, NOISE, in_block(X), np.zeros((len(X), N_AXES))
    )
    squared = np.einsum("ni,nij,nj->n", mean - c, np.linalg.inv(cov), mean - c)
    assert squared.max() < 9.2  # 99 % of a chi-square of two degrees of freedom


def test_the_covariance_is_the_inverse_of_the_gauss_newton_hessian(
    red, hypernetwork, trials
):
    X, _ = trials
    mean, cov, _ = infer_embeddings(
        red, hypernetwork, NOISE, in_block(X), np.zeros((len(X), N_AXES)), tol=1e-12
    )
    eps = 1e-5
    precision = np.linalg.inv(NOISE.cov * NOISE.inflation)
    jac = np.stack(
        [
            free_run(red, hypernetwork.weights(mean + eps * e), X[:, 0], 25)
            - free_run(red, hypernetwork.weights(mean - eps * e), X[:, 0], 25)
            for e in np.eye(N_AXES)
        ],
        axis=1,
    ) / (2 * eps)
    hessian = np.einsum("nitr,rs,njts->nij", jac, precision, jac) + np.eye(N_AXES)
    # evaluated one step before the mode that is returned
    np.testing.assert_allclose(cov, np.linalg.inv(hessian), rtol=1e-4, atol=1e-6)


def test_trials_do_not_see_each_other(red, hypernetwork, trials):
    X, _ = trials
    start = np.zeros((len(X), N_AXES))
    together = infer_embeddings(red, hypernetwork, NOISE, in_block(X), start)
    some = infer_embeddings(red, hypernetwork, NOISE, in_block(X[:4]), start[:4])
    for a, b in zip(together, some, strict=True):
        np.testing.assert_allclose(a[:4], b, atol=1e-10)
    wild = X.copy()
    wild[3] *= 50
    others = np.arange(len(X)) != 3
    disturbed = infer_embeddings(red, hypernetwork, NOISE, in_block(wild), start)
    for a, b in zip(together, disturbed, strict=True):
        np.testing.assert_allclose(a[others], b[others], atol=1e-10)


def test_trials_of_a_group_share_an_embedding(red, hypernetwork, trials):
    X, _ = trials
    groups = np.array([0, 0, 0, 1, 1, 2])
    mean, cov, converged = infer_embeddings(
        red, hypernetwork, NOISE, in_block(X, groups), np.zeros((3, N_AXES))
    )
    assert converged.all()
    assert cov.shape == (3, N_AXES, N_AXES)

    def of_group(c, number):
        """The trials' objectives, and the prior once."""
        own = [objective(c, red, hypernetwork, x, NOISE) for x in X[groups == number]]
        return sum(own) - 0.5 * (len(own) - 1) * c @ c

    for number in range(3):
        found = optimize.minimize(of_group, mean[number] + 0.1, number, method="BFGS")
        np.testing.assert_allclose(mean[number], found.x, atol=2e-3)


def test_what_is_missing_is_left_out_of_the_objective(red, hypernetwork, trials):
    X = trials[0][:2].copy()
    X[0, 20:], X[1, 10:13, 2] = np.nan, np.nan
    mean, _, _ = infer_embeddings(
        red, hypernetwork, NOISE, in_block(X), np.zeros((2, N_AXES))
    )
    alone, _, _ = infer_embeddings(
        red, hypernetwork, NOISE, in_block(X[:1, :20]), np.zeros((1, N_AXES))
    )
    np.testing.assert_allclose(mean[0], alone[0], atol=1e-10)

    def masked(c):
        path = free_run(red, hypernetwork.weights(c[None]), X[1:, 0], 25)[0]
        error = red.split(X[1, 1:])[0] - path
        error = error[~np.isnan(error).any(1)]
        precision = np.linalg.inv(NOISE.cov) / NOISE.inflation
        return 0.5 * c @ c + 0.5 * np.einsum("tr,rs,ts->", error, precision, error)

    found = optimize.minimize(masked, mean[1] + 0.1, method="BFGS")
    np.testing.assert_allclose(mean[1], found.x, atol=2e-3)


def test_too_few_rounds_are_reported(red, hypernetwork, trials):
    X, _ = trials
    start = np.full((len(X), N_AXES), 2.0)
    mean, _, converged = infer_embeddings(
        red, hypernetwork, NOISE, in_block(X), start, max_iter=1
    )
    assert not converged.any()
    assert not np.array_equal(mean, start)


def test_path_noise_is_that_of_free_runs(red, hypernetwork, trials):
    X, c = trials
    noise = path_noise(red, hypernetwork, in_block(X), c, 25)
    errors = red.split(X)[0][:, 1:] - free_run(
        red, hypernetwork.weights(c), X[:, 0], 25
    )
    flat = errors.reshape(-1, RANK)
    np.testing.assert_allclose(noise.cov, flat.T @ flat / len(flat), rtol=1e-4)
    every = np.ones(errors.shape[:2], dtype=bool)
    assert noise.inflation == pytest.approx(serial_inflation(errors, every))
    assert noise.horizon == 25
