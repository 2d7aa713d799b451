"""How much wider the posterior of embeddings is than its noise model says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import chi2

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._models._model import Posterior
from sklearn_jedi._models._parts_of_trials import part

_MOST_TRIALS = 128
# Time points of a half that embeddings are inferred from.
_SHORTEST = 3
# Trials of one label that are compared with each other.
_MOST_ALIKE = 24
_FEWEST = 4
# Standard errors above the estimate: rather too wide than too narrow.
_CAUTION = 2.0
_REGION, _WITHIN = 0.95, 0.9


def inflated(cov: np.ndarray, inflation: float) -> np.ndarray:
    """Covariances (n, d, d) of errors, where noise has `inflation` times its variance.

    The modes are those of the posteriors with the covariances that are given: each is
    the noise, and the pull of the standard normal prior, seen through its covariance.
    """
    if inflation == 1.0:
        return cov
    result: np.ndarray = cov + (inflation - 1) * (cov - cov @ cov)
    return result


def between_halves(
    infer: Callable[[Block], Posterior], trials: Trials
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differences of embeddings (n, d) inferred from two halves, and both covariances.

    Halves of trials, or of all trials that share an embedding.
    """
    block = trials.sample_block(_MOST_TRIALS)
    lengths, bins = block.lengths, block.bins
    half = lengths // 2
    # where the second half begins with a bin that was not recorded as a whole, later
    later = bins & (np.arange(bins.shape[1]) >= half[:, None])
    begin = np.where(later.any(1), later.argmax(1), half)
    known = (half >= _SHORTEST) & later.any(1) & (lengths - begin >= _SHORTEST)
    first = infer(part(block, np.zeros_like(half), np.maximum(half, 2)))
    second = infer(part(block, begin, np.maximum(lengths - begin, 2)))
    usable = first.converged & second.converged
    usable &= block.sum_groups(known.astype(int)) == np.bincount(block.group)
    difference = first.mean - second.mean
    return difference[usable], first.cov[usable], second.cov[usable]


def between_alike(
    mean: np.ndarray, cov: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of pairs of trials with one label.

    Parameters
    ----------
    mean, cov : arrays of shape (n_trials, d), (n_trials, d, d)
    labels : int array of shape (n_trials,)
    """
    pairs = [np.empty((0, 2), int)]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)[:_MOST_ALIKE]
        pairs.append(rows[np.stack(np.triu_indices(len(rows), 1), 1)])
    first, second = np.concatenate(pairs).T
    return mean[first] - mean[second], cov[first], cov[second]


def inflation_of(
    difference: np.ndarray, first: np.ndarray, second: np.ndarray
) -> float:
    """Inflation of the noise at which differences of embeddings are as large as stated.

    Two estimates of one embedding from different recordings have errors that are
    independent but for the prior: with posterior covariances `A` and `B` the covariance
    of their difference is `A + B - A B - B A`. Returned is the mean square of the
    differences in these units and per axis, two standard errors further up; at least
    one, and at least so much that nine of ten lie within the region for 95 %, where
    most differ little and some by far.

    Parameters
    ----------
    difference : array of shape (n, d)
    first, second : arrays of shape (n, d, d)
    """
    found = difference.any(0)  # axes without support are at the prior's mean
    n, d = len(difference), int(found.sum())
    if n < _FEWEST or d == 0:
        return 1.0
    A, B = (cov[:, found][:, :, found] for cov in (first, second))
    cross = A @ B
    cov = A + B - cross - np.swapaxes(cross, 1, 2) + 1e-9 * np.eye(d)
    moved = difference[:, found]
    squares = (moved * np.linalg.solve(cov, moved[..., None])[..., 0]).sum(1) / d
    error = squares.std(ddof=1) / np.sqrt(n)
    region = chi2.ppf(_REGION, d) / d
    within = np.quantile(squares, _WITHIN) / region
    return float(max(1.0, squares.mean() + _CAUTION * error, within))
