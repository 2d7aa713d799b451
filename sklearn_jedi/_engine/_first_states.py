"""Where EM for noisy recordings starts: states from smoothed recordings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sklearn_jedi._data._kernel_smoothing import gaussian_kernel, smoothed
from sklearn_jedi._data._trials import Trials
from sklearn_jedi._data._units import Scaling
from sklearn_jedi._engine._basis import leading_directions
from sklearn_jedi._engine._likelihoods import (
    LEAST_VARIANCE,
    Gaussian,
    Likelihood,
)
from sklearn_jedi._engine._readout import gauge, new_readout, with_one
from sklearn_jedi._engine._smoother import smooth
from sklearn_jedi._engine._state_space import StateSpace

# Trials of the first rounds of EM; after them come passes over all trials.
_START_TRIALS = 256
# Standard deviations of the kernels that recordings are first smoothed with, in bins.
_WIDTHS = (1, 2, 4, 8)
_WIDTH_TRIALS = 64
# Newton steps of the regression of recordings on given states.
_READOUT_STEPS = 12
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
    likelihood : Likelihood
    """

    trials: Trials
    loading: np.ndarray
    paths: list[np.ndarray]
    likelihood: Likelihood


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
            residual = block.masked(block.values - smoothed(block, kernel, 0.0))
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
            yield (smoothed(block, kernel, mean) - mean)[block.within]

    P = leading_directions(rows, rank, trials.n_neurons, centre=False)[0]
    paths = []
    squares, count = np.zeros(len(P)), np.zeros(len(P))
    for block in part.blocks():
        average = smoothed(block, kernel, mean)
        squares += (block.masked(block.values - average) ** 2).sum((0, 1))
        count += block.n_recorded
        paths.append(average @ P)
    variance = np.maximum(squares / np.maximum(count, 1), LEAST_VARIANCE)
    loading = np.column_stack([P, mean - P @ (mean @ P)])
    return FirstStates(trials, loading, paths, Gaussian(variance))


def inferred_by(model: StateSpace, trials: Trials) -> list[np.ndarray]:
    """States of a fitted model, for each block of the first `start_trials`."""
    return [smooth(model, block).z for block in start_trials(trials).blocks()]


def read_out(
    likelihood: type[Likelihood],
    trials: Trials,
    paths: list[np.ndarray],
    units: Scaling,
) -> FirstStates:
    """Recordings regressed on given states; the loading is not orthonormal.

    Parameters
    ----------
    trials : Trials
        As the likelihood takes them.
    paths : list of arrays (n_trials, n_timepoints, rank)
        For each block of the first `start_trials`.
    units : Scaling
        Of the activity.
    """
    part = start_trials(trials)
    current: Likelihood = likelihood.first(units)
    loading = np.zeros((len(units.offset), paths[0].shape[2] + 1))
    for _ in range(_READOUT_STEPS):
        pieces = (
            (block, with_one(path)[None])
            for block, path in zip(part.blocks(), paths, strict=True)
        )
        loading, current = new_readout(current, loading, pieces)
    return FirstStates(trials, loading, paths, current)


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
    return gaussian_kernel(width, reach=max(1, round(3 * width)))
