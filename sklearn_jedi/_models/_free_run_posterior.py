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

from sklearn_jedi._data._trials import Block
from sklearn_jedi._engine._bilinear_em import serial_inflation
from sklearn_jedi._engine._reduction import Reduction, free_run, run_with_sensitivity

if TYPE_CHECKING:
    from sklearn_jedi._training._hypernetwork import Hypernetwork


class Runs(NamedTuple):
    """Free runs that cover the trials of a block, from recorded states.

    Attributes
    ----------
    trial, start : int arrays of shape (n_windows,)
        Ordered by trial.
    scored : bool array of shape (n_windows, n_steps)
        Steps to whole bins that no earlier window scored.
    """

    trial: np.ndarray
    start: np.ndarray
    scored: np.ndarray

    def data(
        self, red: Reduction[np.ndarray], block: Block
    ) -> tuple[np.ndarray, np.ndarray]:
        """First states (n_windows, n_neurons), coordinates (n_windows, n_steps, R)."""
        kappa, _ = red.split(block.values)
        bins = self.start[:, None] + 1 + np.arange(self.scored.shape[1])
        bins = np.minimum(bins, kappa.shape[1] - 1)
        return (
            block.values[self.trial, self.start],
            kappa[self.trial[:, None], bins],
        )


class PathNoise(NamedTuple):
    """Errors of free runs: covariance (rank, rank), serial inflation and run length."""

    cov: np.ndarray
    inflation: float
    horizon: int


def cover(block: Block, horizon: int) -> Runs:
    """For each trial, the fewest windows of at most `horizon` steps that cover it.

    Where the first bin of a window was not recorded as a whole, its run starts at the
    last one before that was. The first bin of each trial has to be whole.
    """
    bins = block.bins
    n_steps = np.maximum(block.lengths - 1, 1)
    n_windows = -(-n_steps // horizon)
    length = -(-n_steps // n_windows)
    trial = np.repeat(np.arange(len(bins)), n_windows)
    number = np.arange(len(trial)) - (np.cumsum(n_windows) - n_windows)[trial]
    begin = number * length[trial]
    end = np.minimum(begin + length[trial], n_steps[trial])
    last_whole = np.maximum.accumulate(np.where(bins, np.arange(bins.shape[1]), 0), 1)
    start = last_whole[trial, begin]
    step = start[:, None] + 1 + np.arange((end - start).max())
    scored = (step > begin[:, None]) & (step <= end[:, None])
    scored &= bins[trial[:, None], np.minimum(step, bins.shape[1] - 1)]
    return Runs(trial, start, scored)


def path_noise(
    red: Reduction[np.ndarray],
    hypernetwork: Hypernetwork,
    block: Block,
    embeddings: np.ndarray,
    horizon: int,
) -> PathNoise:
    """Noise of free runs under given embeddings (n_groups, d), on training trials."""
    windows = cover(block, horizon)
    states, targets = windows.data(red, block)
    weights = hypernetwork.weights(embeddings)[block.group[windows.trial]]
    errors = targets - free_run(red, weights, states, targets.shape[1])
    errors *= windows.scored[..., None]
    flat = errors.reshape(-1, errors.shape[-1])
    cov = flat.T @ flat / max(windows.scored.sum(), 1)
    cov += (1e-6 * np.trace(cov) / len(cov) + 1e-12) * np.eye(len(cov))
    return PathNoise(cov, serial_inflation(errors, windows.scored), horizon)


def infer_embeddings(
    red: Reduction[np.ndarray],
    hypernetwork: Hypernetwork,
    noise: PathNoise,
    block: Block,
    start: np.ndarray,
    *,
    max_iter: int = 50,
    tol: float = 1e-6,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior mode and covariance of the embedding of each group of trials.

    Parameters
    ----------
    red : Reduction[np.ndarray]
    hypernetwork : Hypernetwork
        In float64.
    noise : PathNoise
    block : Block
        Trials in network units, the first bin of each recorded as a whole.
    start : array of shape (n_groups, embedding_dim)
        Where to start.
    max_iter, tol : int, float
        A group is done when a full step would raise the log posterior by less than
        `tol`.

    Returns
    -------
    mean : array of shape (n_groups, embedding_dim)
    cov : array of shape (n_groups, embedding_dim, embedding_dim)
        Inverse of Gauss and Newton's approximation to the Hessian at the mode, from
        first derivatives of the runs alone.
    converged : bool array of shape (n_groups,)
    """
    problem = _Objective(red, hypernetwork, noise, block)
    return _levenberg_marquardt(problem, start, max_iter, tol)


class _Objective:
    """Objective of each group of trials and its derivatives."""

    def __init__(
        self,
        red: Reduction[np.ndarray],
        hypernetwork: Hypernetwork,
        noise: PathNoise,
        block: Block,
    ) -> None:
        self.red = red
        self.hypernetwork = hypernetwork
        self.whiten = np.linalg.cholesky(np.linalg.inv(noise.cov * noise.inflation))
        windows = cover(block, noise.horizon)
        self.states, self.targets = windows.data(red, block)
        self.scored = windows.scored[..., None]
        self.group = block.group[windows.trial]

    def normal_equations(
        self, c: np.ndarray, groups: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Objective (n,), descent direction (n, d), Gauss-Newton Hessian (n, d, d)."""
        n_axes = c.shape[1]
        place = np.full(self.group[-1] + 1, -1)
        place[groups] = np.arange(len(groups))
        rows = np.flatnonzero(place[self.group] >= 0)
        of = place[self.group[rows]]
        weights, slopes = self.hypernetwork.weights_and_slopes(c)
        path, sensitivity = run_with_sensitivity(
            self.red, weights[of], slopes[of], self.states[rows], self.targets.shape[1]
        )
        error = ((self.targets[rows] - path) @ self.whiten) * self.scored[rows]
        jac = (sensitivity @ self.whiten) * self.scored[rows, :, None]
        error = error.reshape(len(rows), -1, 1)
        jac = np.moveaxis(jac, 2, 1).reshape(len(rows), n_axes, -1)
        starts = np.flatnonzero(np.diff(of, prepend=-1))
        parts = (
            (error**2).sum((1, 2)),
            (jac @ error)[..., 0],
            jac @ np.swapaxes(jac, 1, 2),
        )
        squares, slope, curvature = (np.add.reduceat(p, starts, axis=0) for p in parts)
        objective = 0.5 * squares + 0.5 * (c**2).sum(1)
        return objective, slope - c, curvature + np.eye(n_axes)


def _levenberg_marquardt(
    problem: _Objective, start: np.ndarray, max_iter: int, tol: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimise every group by itself; a failed step raises its damping alone."""
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
