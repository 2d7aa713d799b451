"""Spikes counted, samples averaged, in bins of trials.

Times are compared as whole nanoseconds, with a tolerance of two: a spike that is on an
edge in exact arithmetic belongs to the bin that begins there, whatever rounding makes
of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi.io._intervals import union
from sklearn_jedi.io._size import new_array

_Train = TypeVar("_Train")

# A spike, a beginning, an offset from it and an edge are each half a ns off at most.
TOLERANCE = 2
_UNITS_AT_ONCE = 16  # transposed together, so that they are written in whole lines


def nanoseconds(times: ArrayLike) -> np.ndarray:
    """Seconds to whole nanoseconds."""
    whole: np.ndarray = np.rint(np.multiply(times, 1e9))
    return whole.astype(np.int64)


def _late(times: np.ndarray) -> np.ndarray:
    """Nanoseconds, later by the tolerance: a spike on an edge is not before it."""
    return nanoseconds(times) + TOLERANCE


class Bins:
    """Bins of equal width, in trials that may differ in how many they have.

    Parameters
    ----------
    lefts : int array of shape (n_trials,)
        Left edge of the first bin of each trial, in ns.
    n_bins : int array of shape (n_trials,)
    bin_size : float
        In seconds. Bin k begins k times that, to the nearest ns, after the first.
    """

    def __init__(self, lefts: np.ndarray, n_bins: np.ndarray, bin_size: float) -> None:
        self.lefts = lefts
        self.n_bins = n_bins
        self.edges = nanoseconds(np.arange(n_bins.max() + 1) * bin_size)
        self.rights = lefts + self.edges[n_bins]
        self.first = np.cumsum(n_bins) - n_bins
        self.total = int(n_bins.sum())

    def count(self, trains: list[np.ndarray]) -> np.ndarray:
        """Spike counts (total, n_units) of sorted times in s, one array a unit."""
        return self._by_unit(trains, lambda train: self._within(train)[1:])

    def count_own(self, trains: list[list[np.ndarray]]) -> np.ndarray:
        """Spike counts (total, n_units) where each trial has a clock of its own.

        `trains` has for each unit one array of spike times a trial, in s.
        """

        def of_unit(of_trials: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
            trial = np.repeat(np.arange(len(of_trials)), [len(t) for t in of_trials])
            return trial, _late(np.concatenate(of_trials)) - self.lefts[trial]

        return self._by_unit(trains, of_unit)

    def _by_unit(
        self,
        trains: Sequence[_Train],
        events: Callable[[_Train], tuple[np.ndarray, np.ndarray]],
    ) -> np.ndarray:
        """Counts of events, which come as trials and times after their left edges."""
        counts = new_array(self.total, len(trains))
        for begin in range(0, len(trains), _UNITS_AT_ONCE):
            some = [
                np.bincount(self._bin(*events(train)), minlength=self.total)
                for train in trains[begin : begin + _UNITS_AT_ONCE]
            ]
            counts[:, begin : begin + _UNITS_AT_ONCE] = np.transpose(some)
        return counts

    def average(self, times: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Mean (total, n_neurons) of the samples in each bin; NaN where there are none.

        Samples (n_samples, n_neurons), which may be NaN, at sorted times in s.
        """
        samples, trial, since_left = self._within(times)
        bins = self._bin(trial, since_left)
        means = new_array(self.total, values.shape[1])
        means[:] = np.nan
        if len(bins):
            # samples of a bin stand next to each other
            begins = np.flatnonzero(np.diff(bins, prepend=-1))
            values = values[samples]
            recorded = np.add.reduceat(~np.isnan(values), begins, axis=0, dtype=float)
            sums = np.add.reduceat(np.nan_to_num(values), begins, axis=0)
            recorded[recorded == 0] = np.nan
            means[bins[begins]] = sums / recorded
        return means

    def _within(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which of the sorted times lie in which trial, and how long after its left."""
        times = _late(times)
        begins = np.searchsorted(times, self.lefts)
        n_times = np.searchsorted(times, self.rights) - begins
        trial = np.repeat(np.arange(len(begins)), n_times)
        index = np.arange(len(trial)) + (begins - np.cumsum(n_times) + n_times)[trial]
        return index, trial, times[index] - self.lefts[trial]

    def _bin(self, trial: np.ndarray, since_left: np.ndarray) -> np.ndarray:
        """Numbers of the bins, over all trials, of what lies in one."""
        k = np.searchsorted(self.edges, since_left, side="right") - 1
        inside = (k >= 0) & (k < self.n_bins[trial])
        return np.asarray((self.first[trial] + k)[inside])

    def recorded(self, intervals: np.ndarray) -> np.ndarray:
        """Which bins (total,) lie in one of the intervals (n_intervals, 2), in s."""
        joined = union(intervals)
        if not len(joined):
            return np.zeros(self.total, dtype=bool)
        begins, ends = nanoseconds(joined).T
        trial = np.repeat(np.arange(len(self.lefts)), self.n_bins)
        k = np.arange(self.total) - self.first[trial]
        left = self.lefts[trial] + self.edges[k] + TOLERANCE
        right = self.lefts[trial] + self.edges[k + 1] - TOLERANCE
        at = np.searchsorted(begins, left, side="right") - 1
        return np.asarray((at >= 0) & (right <= ends[at]))

    def in_trials(self, values: np.ndarray) -> np.ndarray | list[np.ndarray]:
        """Bins (total, n_neurons) as trials."""
        return stack(np.split(values, self.first[1:]), values)


def stack(
    trials: list[np.ndarray], together: np.ndarray | None = None
) -> np.ndarray | list[np.ndarray]:
    """One array of trials of one length, a list of others.

    `together` holds their time points in a row, where there is such an array.
    """
    if len({len(trial) for trial in trials}) > 1:
        return trials
    if together is None:
        return np.stack(trials)
    return together.reshape(len(trials), -1, together.shape[1])
