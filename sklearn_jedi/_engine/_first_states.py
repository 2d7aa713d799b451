"""Where EM for noisy recordings starts: states from smoothed recordings."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.ndimage import convolve1d

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._engine import _moments
from sklearn_jedi._engine._likelihoods import (
    LEAST_VARIANCE,
    Readout,
    ReadoutSums,
    gauge,
    readout_sums,
    solve_readout,
    with_one,
)
from sklearn_jedi._engine._smoother import StateSpace, smooth

# Trials of the first rounds of EM; after them come passes over all trials.
_START_TRIALS = 256
# Standard deviations of the kernels that recordings are first smoothed with, in bins.
_WIDTHS = (1, 2, 4, 8)
_WIDTH_TRIALS = 64
_POISSON_STEPS = 6
# Directions with a smaller share of the largest variance are not blown up.
_LEAST_SHARE = 1e-6
_TINY = np.finfo(float).tiny


class FirstStates(NamedTuple):
    """Where EM starts from.

    Attributes
    ----------
    trials : Trials
        All trials of the session.
    loading : array of shape (n_neurons, rank + 1)
        From `[z, 1]` to activity.
    paths : list of arrays (n_trials, n_timepoints, rank)
        States, for each block of the first `start_trials`.
    readout : Readout
    """

    trials: Trials
    loading: np.ndarray
    paths: list[np.ndarray]
    readout: Readout


def start_trials(trials: Trials) -> Trials:
    """The trials of the first rounds."""
    return trials.sample(_START_TRIALS)


def kernel_width(trials: Trials) -> int:
    """The kernel that best predicts a bin from the others around it, in bins."""
    errors = dict.fromkeys(_WIDTHS, 0.0)
    for block in trials.sample(_WIDTH_TRIALS).blocks():
        for width in _WIDTHS:
            kernel = _kernel(width)
            kernel[len(kernel) // 2] = 0.0
            residual = block.masked(block.values - _smoothed(block, kernel))
            errors[width] += float((residual**2).sum())
    return min(errors, key=errors.__getitem__)


def smoothed_states(
    trials: Trials, mean: np.ndarray, rank: int, width: float
) -> FirstStates:
    """Principal components of the recordings, smoothed with a Gaussian kernel.

    Parameters
    ----------
    trials : Trials
        In network units.
    mean : array of shape (n_neurons,)
        Of the recordings, in network units.
    width : float
        Standard deviation of the kernel, in bins.
    """
    part, kernel = start_trials(trials), _kernel(width)

    def rows() -> Iterator[np.ndarray]:
        for block in part.blocks():
            yield (_smoothed(block, kernel, mean) - mean)[block.within]

    P = _moments.leading_directions(rows, rank, trials.n_neurons, centre=False)[0]
    paths, squares, count = [], np.zeros(len(P)), np.zeros(len(P))
    for block in part.blocks():
        smoothed = _smoothed(block, kernel, mean)
        squares += (block.masked(block.values - smoothed) ** 2).sum((0, 1))
        count += block.n_recorded
        paths.append(smoothed @ P)
    variance = np.maximum(squares / np.maximum(count, 1), LEAST_VARIANCE)
    loading = np.column_stack([P, mean - P @ (mean @ P)])
    return FirstStates(trials, loading, paths, Readout(False, variance, 0.0 * mean))


def poisson_states(
    counts: Trials, roots: Trials, gaussian: StateSpace, log_mean: np.ndarray
) -> FirstStates:
    """States of the Gaussian model of the square roots, read out as log rates.

    Parameters
    ----------
    counts, roots : Trials
        The counts, and their square roots.
    gaussian : StateSpace
        Fitted to the square roots.
    log_mean : array of shape (n_neurons,)
        Log of each neuron's mean count: the zero of its network unit.
    """
    paths = [smooth(gaussian, block).z for block in start_trials(roots).blocks()]
    return poisson_readout(counts, paths, log_mean)


def poisson_readout(
    counts: Trials, paths: list[np.ndarray], log_mean: np.ndarray
) -> FirstStates:
    """Log rates regressed on given states; the loading is not orthonormal."""
    part = start_trials(counts)
    readout = Readout(True, np.exp(log_mean), log_mean)
    loading = np.zeros((len(log_mean), paths[0].shape[2] + 1))
    for _ in range(_POISSON_STEPS):
        parts = (
            readout_sums(readout, loading, block, with_one(path)[None])
            for block, path in zip(part.blocks(), paths, strict=True)
        )
        sums = functools.reduce(ReadoutSums.plus, parts)
        loading, readout = solve_readout(readout, loading, sums)
    return FirstStates(counts, loading, paths, readout)


def orthonormal(first: FirstStates) -> FirstStates:
    """The same in coordinates of an orthonormal loading."""
    P, offset, turn, shift = gauge(first.loading)
    paths = [path @ turn.T + shift for path in first.paths]
    return first._replace(loading=np.column_stack([P, offset]), paths=paths)


def whitened(first: FirstStates) -> FirstStates:
    """The same in coordinates of zero mean and unit covariance within the trials."""
    rank = first.loading.shape[1] - 1
    inside = [block.within for block in start_trials(first.trials).blocks()]
    z = np.concatenate([p[keep] for p, keep in zip(first.paths, inside, strict=True)])
    mean = z.mean(0)
    values, vectors = np.linalg.eigh(np.cov(z.T, bias=True).reshape(rank, rank))
    sizes = np.sqrt(np.maximum(values, _LEAST_SHARE * max(values.max(), _TINY)))
    return transformed(first, vectors.T / sizes[:, None], mean)


def transformed(first: FirstStates, turn: np.ndarray, mean: np.ndarray) -> FirstStates:
    """The same in coordinates `turn (z - mean)`, for an invertible `turn`."""
    C, offset = first.loading[:, :-1], first.loading[:, -1]
    loading = np.column_stack([C @ np.linalg.inv(turn), offset + C @ mean])
    paths = [(path - mean) @ turn.T for path in first.paths]
    return first._replace(loading=loading, paths=paths)


def _kernel(width: float) -> np.ndarray:
    half = max(1, round(3 * width))
    return np.exp(-0.5 * (np.arange(-half, half + 1) / width) ** 2)


def _smoothed(
    block: Block, kernel: np.ndarray, mean: np.ndarray | float = 0.0
) -> np.ndarray:
    """Kernel averages over the recorded bins; `mean` where there are none near."""
    recorded = block.recorded
    if recorded is None:
        recorded = np.ones((1, *block.values.shape[1:]), dtype=bool)
    total = convolve1d(block.values, kernel, axis=1, mode="constant")
    weight = convolve1d(recorded.astype(float), kernel, axis=1, mode="constant")
    little = 1e-6 * kernel.sum()
    return (total + little * mean) / (weight + little)
