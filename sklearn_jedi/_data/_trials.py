"""Trials of any lengths, with gaps, read in pieces of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike

from sklearn_jedi._data._units import Units

# Values read at once: few enough that temporaries stay in the cache.
_BLOCK_VALUES = 2**18
# Values, but at least so many trials, from which settings and noise are found.
_SAMPLE_VALUES = 2**22
_SMALLEST_SAMPLE = 24


class SlicedByTrial(Protocol):
    """A 3-D array, in memory or on disk."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, key: int | slice, /) -> np.ndarray: ...


# Trials as they were handed over, of one length or of several.
Source = list[np.ndarray] | SlicedByTrial


class Block(NamedTuple):
    """Some trials in memory, padded to the longest of them.

    Attributes
    ----------
    numbers : int array of shape (n_trials,)
        Which trials these are.
    values : float64 array of shape (n_trials, n_timepoints, n_neurons)
        Network units; zero where nothing was recorded.
    recorded : bool array of the same shape, or None
        Where there is a recording; None where everything is there.
    group : int array of shape (n_trials,)
        Trials of one group (condition) share an embedding; 0, 1, ... in order.
    labels : int array of shape (n_groups,)
        The numbers of these groups among all.
    lengths : int array of shape (n_trials,)
        Time points of each trial.
    """

    numbers: np.ndarray
    values: np.ndarray
    recorded: np.ndarray | None
    group: np.ndarray
    labels: np.ndarray
    lengths: np.ndarray

    @property
    def n_recorded(self) -> np.ndarray:
        """Recorded bins (n_neurons,) of each neuron."""
        if self.recorded is None:
            n_trials, n_timepoints, n_neurons = self.values.shape
            return np.full(n_neurons, n_trials * n_timepoints)
        return np.asarray(self.recorded.sum((0, 1)))

    def masked(self, array: np.ndarray) -> np.ndarray:
        """An array of the shape of `values`, zero where nothing was recorded."""
        return array if self.recorded is None else array * self.recorded

    @property
    def bins(self) -> np.ndarray:
        """Bins (n_trials, n_timepoints) in which every neuron was recorded."""
        if self.recorded is None:
            return np.ones(self.values.shape[:2], dtype=bool)
        return np.asarray(self.recorded.all(2))

    @property
    def steps(self) -> np.ndarray:
        """Steps (n_trials, n_timepoints - 1) between two whole bins."""
        bins = self.bins
        return np.asarray(bins[:, :-1] & bins[:, 1:])

    @property
    def within(self) -> np.ndarray:
        """Bins (n_trials, n_timepoints) before the end of their trial."""
        bins = np.arange(self.values.shape[1])
        return np.asarray(bins < self.lengths[:, None])

    @property
    def n_groups(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Block:
        """Some of the trials."""
        labels, group = np.unique(self.group[rows], return_inverse=True)
        return Block(
            self.numbers[rows],
            self.values[rows],
            None if self.recorded is None else self.recorded[rows],
            group,
            self.labels[labels],
            self.lengths[rows],
        )

    def sum_groups(self, array: np.ndarray) -> np.ndarray:
        """Sums of the trials' entries over each group."""
        if self.n_groups == len(self.group):
            return array
        starts = np.flatnonzero(np.diff(self.group, prepend=-1))
        return np.asarray(np.add.reduceat(array, starts, axis=0))

    def last_bins(self) -> np.ndarray:
        """The last whole bin of each trial."""
        bins = self.bins
        return np.asarray(bins.shape[1] - 1 - bins[:, ::-1].argmax(1))


class Trials:
    """A recording, or the trials of one, without a copy of it.

    Parameters
    ----------
    source : array-like of shape (n_trials, n_timepoints, n_neurons) or list of \
            arrays of shape (n_timepoints_i, n_neurons)
        Anything that is sliced by trial; NaN where nothing was recorded.
    lengths : int array of shape (n_trials,)
        Time points of each trial; what comes later is NaN.
    n_neurons : int
    dtype : dtype
        Of what is returned to the user: float32 or float64.
    batch_size : int
        Trials read at once, unless more share one embedding.
    groups : int array of shape (n_trials,), default=None
        Trials with the same number share an embedding; None: each has its own.
    scaling : Units, default=None
        From data to network units; None leaves the data as they are.
    rows : int array, default=None
        Which trials of the source these are; None means all.
    begins : int array of shape (n_trials,), default=None
        First bins that are read; None means 0.
    order : int array of shape (n_trials,), default=None
        In which samples are taken; None means as the trials come.
    """

    def __init__(
        self,
        source: Source,
        lengths: np.ndarray,
        n_neurons: int,
        dtype: DTypeLike,
        batch_size: int,
        groups: np.ndarray | None = None,
        scaling: Units | None = None,
        rows: np.ndarray | None = None,
        begins: np.ndarray | None = None,
        order: np.ndarray | None = None,
    ) -> None:
        self.source = source
        self.lengths = lengths
        self.n_neurons = n_neurons
        self.dtype = np.dtype(dtype)
        self.batch_size = batch_size
        self.groups = np.arange(len(lengths)) if groups is None else groups
        self.scaling = scaling
        self.rows = rows
        self.begins = begins
        self.order = order

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_timepoints(self) -> int:
        """Time points of the longest trial."""
        return int(self.lengths.max())

    @property
    def n_groups(self) -> int:
        return int(self.groups.max()) + 1

    def _replace(self, **changes: Any) -> Trials:
        other = object.__new__(Trials)
        other.__dict__.update(self.__dict__, **changes)
        return other

    def in_units(self, scaling: Units) -> Trials:
        """The same trials in network units."""
        return self._replace(scaling=scaling)

    def returned_as(self, dtype: DTypeLike) -> Trials:
        """The same trials, of which results have this type."""
        return self._replace(dtype=np.dtype(dtype))

    def grouped(self, groups: np.ndarray) -> Trials:
        """The same trials, those with the same number sharing an embedding."""
        return self._replace(groups=groups)

    def starting_at(self, begins: np.ndarray) -> Trials:
        """The same trials without the bins before the given ones."""
        if not begins.any():
            return self
        return self._replace(begins=begins, lengths=self.lengths - begins)

    def take(self, index: np.ndarray) -> Trials:
        """Some of the trials."""
        return self._replace(
            lengths=self.lengths[index],
            rows=index if self.rows is None else self.rows[index],
            groups=self.groups[index],
            begins=None if self.begins is None else self.begins[index],
            order=None,
        )

    def ordered(self, units: Units) -> Trials:
        """The same trials, sampled in an order that does not depend on theirs.

        It is that of their sums in the given units; finding it is a pass over the data.
        """
        sums = np.zeros(len(self))
        for block in self.in_units(units).blocks():
            sums[block.numbers] = block.values.sum((1, 2))
        return self._replace(order=np.argsort(sums, kind="stable"))

    def in_order(self) -> Trials:
        """The trials in that order, groups numbered as they first come."""
        if self.order is None:
            return self
        trials = self.take(self.order)
        _, first, group = np.unique(
            trials.groups, return_index=True, return_inverse=True
        )
        return trials.grouped(np.argsort(np.argsort(first))[group])

    def blank(self, n_columns: int | None = None) -> np.ndarray | list[np.ndarray]:
        """NaN in the shape of the trials that were handed over, a list if they were.

        Of so many columns, or of one for each neuron.
        """
        n_columns = self.n_neurons if n_columns is None else n_columns
        if isinstance(self.source, list):
            shapes = [(len(trial), n_columns) for trial in self.source]
            return [np.full(shape, np.nan, self.dtype) for shape in shapes]
        return np.full((*self.source.shape[:2], n_columns), np.nan, self.dtype)

    def as_list(self) -> list[np.ndarray]:
        """Each trial (n_timepoints_i, n_neurons), in the units of the data."""
        rows = np.arange(len(self)) if self.rows is None else self.rows
        begins = np.zeros(len(self), int) if self.begins is None else self.begins
        return [
            np.asarray(self.source[row])[begin : begin + length]
            for row, begin, length in zip(rows, begins, self.lengths, strict=True)
        ]

    def cut_to(self, first: list[np.ndarray]) -> Trials:
        """The same trials, of which only the first parts are known."""
        lengths = np.array([len(part) for part in first])
        return self._replace(source=first, lengths=lengths, rows=None, begins=None)

    def sample(self, at_most: int) -> Trials:
        """One trial of each of so many even parts; all where there are no more.

        Which one is drawn, with a seed of its own: evenly spaced trials could all be of
        the same condition, where conditions take turns.
        """
        if len(self) <= at_most:
            return self
        rng = np.random.RandomState(0)
        order = np.arange(len(self)) if self.order is None else self.order
        parts = np.array_split(order, at_most)
        return self.take(np.array([rng.choice(part) for part in parts]))

    def in_data_units(self, values: np.ndarray) -> np.ndarray:
        """Values of a block, as they were recorded."""
        return values if self.scaling is None else self.scaling.to_data(values)

    def sample_block(self, at_most: int) -> Block:
        """A `sample` in memory and in order, of fewer trials where they are large."""
        per_trial = max(self.n_timepoints * self.n_neurons, 1)
        n_trials = max(min(_SAMPLE_VALUES // per_trial, at_most), _SMALLEST_SAMPLE)
        chosen = self.in_order().sample(n_trials)
        return chosen.read(np.arange(len(chosen)))

    def read(self, index: np.ndarray) -> Block:
        """Trials of the given numbers, trials of a group next to each other."""
        order = np.argsort(self.groups[index], kind="stable")
        index = np.asarray(index)[order]
        lengths = self.lengths[index]
        values = self._values(index, max(2, int(lengths.max())))
        recorded = ~np.isnan(values)
        if self.scaling is not None:
            values = self.scaling.to_network(values)
        complete = bool(recorded.all())
        if not complete:
            values[~recorded] = 0.0
        labels, group = np.unique(self.groups[index], return_inverse=True)
        return Block(
            index, values, None if complete else recorded, group, labels, lengths
        )

    def _values(self, index: np.ndarray, n_timepoints: int) -> np.ndarray:
        """A float64 copy, padded with NaN."""
        rows = index if self.rows is None else self.rows[index]
        if self.begins is None and not isinstance(self.source, list):
            piece = self._piece(rows)[:, :n_timepoints]
            return np.array(piece, dtype=np.float64, order="C")
        values = np.full((len(rows), n_timepoints, self.n_neurons), np.nan)
        ragged = isinstance(self.source, list)
        trials = [self.source[row] for row in rows] if ragged else self._piece(rows)
        begins = np.zeros(len(rows), int) if self.begins is None else self.begins[index]
        for value, trial, begin, length in zip(
            values, trials, begins, self.lengths[index], strict=True
        ):
            value[:length] = trial[begin : begin + length]
        return values

    def _piece(self, rows: np.ndarray) -> np.ndarray:
        """Rows of an array-like, as one array."""
        first, last = int(rows[0]), int(rows[-1])
        if np.array_equal(rows, np.arange(first, last + 1)):
            return np.asarray(self.source[first : last + 1])
        if isinstance(self.source, np.ndarray):
            return np.asarray(self.source[rows])
        return np.stack([self.source[int(row)] for row in rows])

    def blocks(self) -> Iterator[Block]:
        """All trials in pieces of at most `batch_size`, unless a group is larger."""
        per_trial = max(self.n_timepoints * self.n_neurons, 1)
        at_most = max(1, min(self.batch_size, _BLOCK_VALUES // per_trial))
        order = np.argsort(self.groups, kind="stable")
        sizes = np.bincount(self.groups)
        sizes = sizes[sizes > 0]
        start = count = 0
        for size in sizes:
            if count and count + size > at_most:
                yield self.read(order[start : start + count])
                start, count = start + count, 0
            count += int(size)
        yield self.read(order[start : start + count])
