"""Means, sums of squares and scores of data that come in pieces."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.special import xlogy

_LEAST_RATE = 1e-9
_PARTS = 8  # of a trial


class RunningMoments:
    """Count, mean and scatter of each neuron, merged piece by piece [1]_.

    scikit-learn's `StandardScaler.partial_fit` finds the same to 1e-15, but makes the
    pass over the data in which this is used 1.7 times as long, with gaps more than
    twice as long.

    Parameters
    ----------
    n_neurons : int

    Attributes
    ----------
    count, mean, scatter : arrays of shape (n_neurons,)
        Values, their mean, and their summed squares about it.

    References
    ----------
    .. [1] Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
       computing sample variances", COMPSTAT (1982).
    """

    def __init__(self, n_neurons: int) -> None:
        self.count = np.zeros(n_neurons)
        self.mean = np.zeros(n_neurons)
        self.scatter = np.zeros(n_neurons)

    def add(self, values: np.ndarray, where: np.ndarray | None) -> None:
        """Take in values (n_trials, n_timepoints, n_neurons); None: all of them."""
        if where is None:
            here: np.ndarray | int = values.shape[0] * values.shape[1]
            mean = values.mean((0, 1))
            centred = values - mean
        else:
            here = where.sum((0, 1))
            mean = np.where(where, values, 0.0).sum((0, 1)) / np.maximum(here, 1)
            centred = np.where(where, values - mean, 0.0)
        both, shift = np.maximum(self.count + here, 1), mean - self.mean
        self.scatter += np.einsum("ntk,ntk->k", centred, centred)
        self.scatter += shift**2 * self.count * here / both
        self.mean += shift * here / both
        self.count += here


class RunningExtremes:
    """Largest value of each neuron, and the next largest, piece by piece.

    Trials are looked at in parts, and the next is the largest of a part whose largest
    value is another: values within one part of a trial hide each other.

    Parameters
    ----------
    n_neurons : int

    Attributes
    ----------
    top, following : arrays of shape (n_neurons,)
        The two; minus infinity where there is none.
    trial : int array of shape (n_neurons,)
        The number of a trial with the largest.
    """

    def __init__(self, n_neurons: int) -> None:
        self.top = np.full(n_neurons, -np.inf)
        self.following = np.full(n_neurons, -np.inf)
        self.trial = np.zeros(n_neurons, dtype=int)

    def add(
        self, values: np.ndarray, where: np.ndarray | None, numbers: np.ndarray
    ) -> None:
        """Take in values (n_trials, n_timepoints, n_neurons) of numbered trials."""
        n_timepoints, n_neurons = values.shape[1:]
        known = values if where is None else np.where(where, values, -np.inf)
        edges = np.arange(_PARTS + 1) * n_timepoints // _PARTS
        # several times as fast as np.maximum.reduceat
        parts = np.concatenate(
            [known[:, a:b].max(1) for a, b in pairwise(edges) if b > a]
        )
        at = parts.argmax(0)
        top = parts[at, np.arange(n_neurons)]
        self.trial = np.where(top > self.top, numbers[at % len(values)], self.trial)
        found = np.concatenate([parts, [self.top, self.following]])
        self.top = np.maximum(self.top, top)
        self.following = np.where(found < self.top, found, -np.inf).max(0)


class R2Sums:
    """R^2 from sums over pieces of the data.

    Parameters
    ----------
    n_neurons : int

    Attributes
    ----------
    error : float
        SSE.
    """

    def __init__(self, n_neurons: int) -> None:
        self.error = 0.0
        self._true = RunningMoments(n_neurons)

    @property
    def total(self) -> float:
        """SST, about each neuron's mean."""
        return float(self._true.scatter.sum())

    def add(
        self, true: np.ndarray, predicted: np.ndarray, where: np.ndarray | None
    ) -> None:
        """Take in arrays (n_trials, n_timepoints, n_neurons); None: all of them."""
        error = true - predicted
        if where is not None:
            error = np.where(where, error, 0.0)
        self.error += float((error**2).sum())
        self._true.add(true, where)

    def r2(self) -> float:
        """`1 - SSE / SST`; where nothing varies 1 if predicted exactly, otherwise 0."""
        return pooled_r2([self])


def pooled_r2(parts: list[R2Sums]) -> float:
    """R^2 of recordings of different neurons, errors and squares summed over them."""
    error, total = sum(part.error for part in parts), sum(part.total for part in parts)
    return float(r2_of(np.array(error), np.array(total)))


def r2_of(error: np.ndarray, total: np.ndarray) -> np.ndarray:
    """`1 - SSE / SST`; where nothing varies 1 if predicted exactly, otherwise 0."""
    varies = total > 0
    still = np.where(error == 0, 1.0, 0.0)
    r2: np.ndarray = np.where(varies, 1 - error / np.where(varies, total, 1.0), still)
    return r2


class BitsSums:
    """Poisson log likelihoods from sums over pieces of the data.

    Parameters
    ----------
    n_neurons : int
    """

    def __init__(self, n_neurons: int) -> None:
        self._log_likelihood = np.zeros(n_neurons)
        self._spikes = np.zeros(n_neurons)
        self._bins = np.zeros(n_neurons)

    def add(
        self, true: np.ndarray, predicted: np.ndarray, where: np.ndarray | None
    ) -> None:
        """Take in arrays (n_trials, n_timepoints, n_neurons); None: all of them."""
        if where is None:
            where = np.ones(true.shape, dtype=bool)
        counts = np.where(where, true, 0.0)
        rates = np.maximum(np.where(where, predicted, 1.0), _LEAST_RATE)
        terms = np.where(where, counts * np.log(rates) - rates, 0.0)
        self._log_likelihood += terms.sum((0, 1))
        self._spikes += counts.sum((0, 1))
        self._bins += where.sum((0, 1))

    @property
    def n_spikes(self) -> float:
        return float(self._spikes.sum())

    @property
    def gain(self) -> float:
        """Log likelihood, beyond that of each neuron's mean rate, in nats."""
        mean = self._spikes / np.maximum(self._bins, 1)
        null = xlogy(self._spikes, mean) - self._spikes
        return float((self._log_likelihood - null).sum())


def pooled_bits(parts: list[BitsSums]) -> float:
    """Bits per spike over recordings of different neurons."""
    n_spikes = sum(part.n_spikes for part in parts)
    if n_spikes == 0:
        return 0.0
    return sum(part.gain for part in parts) / (n_spikes * float(np.log(2)))
