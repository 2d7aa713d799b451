r"""Embeddings of trials under a trained hypernetwork: Levenberg-Marquardt, per trial.

The posterior of trial i is

    -log p(c | r_i) = 1/2 |c|^2 + 1/(2 s) sum_t e_t^T S^-1 e_t + const,

`e_t` the errors of free runs over windows that start from recorded states, `S` their
covariance on the training trials and `s` the number of serially correlated errors that
count as one. Everything is float64; each trial has its own damping and stops by itself,
so its result does not depend on which other trials are in the batch.

References
----------
.. [1] Nocedal and Wright, "Numerical Optimization" (2006), chapter 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sklearn_jedi._em import serial_inflation
from sklearn_jedi._rollout import Reduction, free_run, split_state

if TYPE_CHECKING:
    from sklearn_jedi._hypernetwork import Hypernetwork

# Trials optimised together: many enough to hide the overhead of a torch call, few
# enough that the sensitivities stay in the cache.
_BATCH = 96


class Windows(NamedTuple):
    """Free runs that cover each trial, from recorded states.

    Attributes
    ----------
    starts : array of shape (n_windows,)
        First bins.
    length : int
        Steps of each run.
    fresh : bool array of shape (n_windows, length)
        False where a bin was scored by an earlier window already.
    """

    starts: np.ndarray
    length: int
    fresh: np.ndarray


class PathNoise(NamedTuple):
    """Errors of free runs: covariance (rank, rank), serial inflation and run length."""

    cov: np.ndarray
    inflation: float
    horizon: int


def cover(n_steps: int, horizon: int) -> Windows:
    """The fewest windows of at most `horizon` steps that cover `n_steps` steps."""
    n_windows = -(-n_steps // horizon)
    length = -(-n_steps // n_windows)
    starts = np.minimum(length * np.arange(n_windows), n_steps - length)
    bins = starts[:, None] + np.arange(length)
    fresh = bins >= (length * np.arange(n_windows))[:, None]
    return Windows(starts, length, fresh)


def path_noise(
    red: Reduction, hypernetwork: Hypernetwork, X: np.ndarray, embeddings: np.ndarray,
    horizon: int,
) -> PathNoise:  # fmt: skip
    """Noise of free runs under given embeddings, on the training trials."""
    windows = cover(X.shape[1] - 1, horizon)
    states, targets = _window_data(red, X, windows)
    weights = hypernetwork.weights(embeddings)[0].repeat(len(windows.starts), 0)
    errors = targets - free_run(red, weights, states, windows.length)
    flat = errors.reshape(-1, errors.shape[-1])
    cov = flat.T @ flat / len(flat)
    cov += (1e-6 * np.trace(cov) / len(cov) + 1e-12) * np.eye(len(cov))
    return PathNoise(cov, serial_inflation(errors), horizon)


def infer_embeddings(
    red: Reduction,
    hypernetwork: Hypernetwork,
    noise: PathNoise,
    X: np.ndarray,
    start: np.ndarray,
    *,
    max_iter: int = 50,
    tol: float = 1e-6,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior mode and covariance of each trial's embedding.

    Parameters
    ----------
    red : Reduction
    hypernetwork : Hypernetwork
        In float64.
    noise : PathNoise
    X : array of shape (n_trials, n_timepoints, n_neurons)
        Trials in network units.
    start : array of shape (n_trials, embedding_dim)
        Where to start.
    max_iter, tol : int, float
        A trial is done when a full step would raise the log posterior by less than
        `tol`.

    Returns
    -------
    mean : array of shape (n_trials, embedding_dim)
    cov : array of shape (n_trials, embedding_dim, embedding_dim)
        Inverse Gauss-Newton Hessian at the mode.
    converged : bool array of shape (n_trials,)
    """
    windows = cover(X.shape[1] - 1, noise.horizon)
    whiten = np.linalg.cholesky(np.linalg.inv(noise.cov * noise.inflation))
    mean = np.array(start, dtype=np.float64)
    n_trials, n_axes = mean.shape
    cov = np.empty((n_trials, n_axes, n_axes))
    converged = np.zeros(n_trials, dtype=bool)
    for first in range(0, n_trials, _BATCH):
        batch = slice(first, first + _BATCH)
        states, targets = _window_data(red, X[batch], windows)
        problem = _Problem(red, hypernetwork, whiten, windows, states, targets)
        mean[batch], cov[batch], converged[batch] = _levenberg_marquardt(
            problem, mean[batch], max_iter, tol
        )
    return mean, cov, converged


def _window_data(
    red: Reduction, X: np.ndarray, windows: Windows
) -> tuple[np.ndarray, np.ndarray]:
    """First states and target coordinates, windows of a trial one after the other."""
    kappa = split_state(red, X)[0]
    bins = windows.starts[:, None] + 1 + np.arange(windows.length)
    states = X[:, windows.starts].reshape(-1, X.shape[2])
    return states, kappa[:, bins].reshape(len(states), windows.length, -1)


class _Problem(NamedTuple):
    """The least-squares problems of a batch of trials."""

    red: Reduction
    hypernetwork: Hypernetwork
    whiten: np.ndarray
    windows: Windows
    states: np.ndarray
    targets: np.ndarray

    def normal_equations(
        self, c: np.ndarray, trials: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Objective (n,), its descent (n, d) and Hessian (n, d, d) of some trials."""
        n_windows, n_axes = len(self.windows.starts), c.shape[1]
        rows = (trials[:, None] * n_windows + np.arange(n_windows)).ravel()
        weights, slopes = self.hypernetwork.weights(c, with_slopes=True)
        path, sensitivity = _run_with_sensitivity(
            self.red,
            weights.repeat(n_windows, 0),
            slopes.repeat(n_windows, 0),
            self.states[rows],
            self.windows.length,
        )
        mask = np.tile(self.windows.fresh, (len(trials), 1))[..., None]
        error = ((self.targets[rows] - path) @ self.whiten) * mask
        jac = (sensitivity @ self.whiten) * mask[:, :, None]
        error = error.reshape(len(trials), -1, 1)
        # (n, d, windows x steps x rank)
        jac = np.moveaxis(jac, 2, 1).reshape(len(trials), n_windows, n_axes, -1)
        jac = np.swapaxes(jac, 1, 2).reshape(len(trials), n_axes, -1)
        hessian = jac @ np.swapaxes(jac, 1, 2) + np.eye(n_axes)
        descent = (jac @ error)[..., 0] - c
        objective = 0.5 * (error**2).sum((1, 2)) + 0.5 * (c**2).sum(1)
        return objective, descent, hessian


def _run_with_sensitivity(
    red: Reduction,
    weights: np.ndarray,
    slopes: np.ndarray,
    states: np.ndarray,
    n_steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """A free run and its derivative with respect to the embedding.

    Returns
    -------
    path : array of shape (n, n_steps, rank)
    sensitivity : array of shape (n, n_steps, d, rank)
    """
    alpha, P, Q = red.alpha, red.P, red.Q
    kappa, rest = split_state(red, states)
    inner, bias = weights[:, :-1], weights[:, -1] + red.mean_in
    n, d, n_features, rank = slopes.shape
    by_feature = np.swapaxes(slopes, 1, 2).reshape(n, n_features, d * rank)
    direct_inner, direct_bias = by_feature[:, :-1].copy(), by_feature[:, -1]
    tangent = np.zeros((n, d, rank))
    path = np.empty((n, n_steps, rank))
    sensitivity = np.empty((n, n_steps, d, rank))
    for t in range(n_steps):
        activity, slope = red.activity(kappa @ P.T + rest)
        features = (activity @ Q / red.gain - red.feature_mean)[:, None]
        moved = tangent.reshape(n * d, rank) @ P.T
        moved = moved.reshape(n, d, -1) * slope()[:, None]
        moved = (moved.reshape(n * d, -1) @ Q).reshape(n, d, -1)
        direct = (features @ direct_inner)[:, 0] + direct_bias
        tangent = (1 - alpha) * tangent + alpha * (
            moved @ inner + direct.reshape(n, d, rank)
        )
        kappa = (1 - alpha) * kappa + alpha * ((features @ inner)[:, 0] + bias)
        rest = (1 - alpha) * rest + alpha * red.mean_out
        path[:, t], sensitivity[:, t] = kappa, tangent
    return path, sensitivity


def _levenberg_marquardt(
    problem: _Problem, start: np.ndarray, max_iter: int, tol: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimise every trial by itself; a failed step raises its damping alone."""
    c = start.copy()
    n = len(c)
    everyone = np.arange(n)
    objective, descent, hessian = problem.normal_equations(c, everyone)
    damping = np.full(n, 1e-3)
    active = np.ones(n, dtype=bool)
    for _ in range(max_iter):
        trials = everyone[active]
        if len(trials) == 0:
            break
        H, g = hessian[trials], descent[trials]
        damped = H + (damping[trials, None] * np.einsum("nii->ni", H))[
            :, None
        ] * np.eye(c.shape[1])
        step = np.linalg.solve(damped, g[..., None])[..., 0]
        expected = (g * step).sum(1) - 0.5 * np.einsum("ni,nij,nj->n", step, H, step)
        # half the Newton decrement: what an undamped step would gain
        newton = np.linalg.solve(H, g[..., None])[..., 0]
        done = 0.5 * (g * newton).sum(1) < tol
        active[trials[done]] = False
        trials, step, expected = trials[~done], step[~done], expected[~done]
        if len(trials) == 0:
            break
        tried = c[trials] + step
        new = problem.normal_equations(tried, trials)
        # a decrease far below the expected one means that the curvature is larger than
        # Gauss and Newton's: damp, or the steps overshoot from side to side
        ratio = (objective[trials] - new[0]) / expected
        damping[trials] *= np.where(ratio > 0.75, 0.1, np.where(ratio > 0.25, 1.0, 5.0))
        damping[trials] = np.maximum(
            damping[trials], np.where((ratio > 0) & (ratio <= 0.25), 0.2, 1e-6)
        )
        won = ratio > 0
        better = trials[won]
        c[better] = tried[won]
        objective[better], descent[better], hessian[better] = (
            part[won] for part in new
        )
    return c, np.linalg.inv(hessian), ~active
