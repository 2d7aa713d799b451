"""Trials with what is known of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_jedi._data._forms import Activity
from sklearn_jedi._data._labelled_arrays import DIMS
from sklearn_jedi.io._binning import stack
from sklearn_jedi.io._files import import_io
from sklearn_jedi.io._selection import Selection, select_rows
from sklearn_jedi.io._text import with_text

if TYPE_CHECKING:
    from pandas import DataFrame
    from xarray import DataArray


@dataclass(frozen=True, eq=False, repr=False)
class TrialSet:
    """Trials of one recording: activity, bin width, and tables of trials and neurons.

    The functions of `sklearn_jedi.io` return it, and estimators and the steps of
    `sklearn_jedi.preprocessing` take it as X, and so do scikit-learn's splits and
    searches: ``trials[rows]`` is a TrialSet of those trials. Iteration is not over
    trials: it gives `X`, `dt` and `table`, so that ``X, dt, table =
    trials_from_nwb(path)`` works.

    Parameters
    ----------
    X : array of shape (n_trials, n_timepoints, n_neurons) or list of arrays of shape \
            (n_timepoints_i, n_neurons)
        Floats; a list where trials differ in length. Spike counts are whole numbers a
        bin; NaN where nothing was recorded.
    dt : float
        Bin width in s.
    table : DataFrame of n_trials rows
        Trial metadata; the index has the ids of the trials. Text that is held as bytes,
        here and in `units`, becomes text.
    units : DataFrame of n_neurons rows
        Metadata of the neurons; the index has their ids or names.
    start : float or array of shape (n_trials,), default=0.0
        Left edge of the first bin in s, relative to the alignment; an array where
        trials begin at different times.

    Raises
    ------
    ValueError
        If the table, `start` or the units are of more or fewer trials or neurons than X
        has.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_jedi.io import TrialSet
    >>> table = pd.DataFrame({"side": ["left", "right", "left"]})
    >>> units = pd.DataFrame({"area": ["M1", "PMd"]}, index=[7, 9])
    >>> trials = TrialSet(np.zeros((3, 4, 2)), 0.01, table, units, start=-0.02)
    >>> trials.time.round(3).tolist()
    [-0.015, -0.005, 0.005, 0.015]
    >>> X, dt, table = trials.select(trials="side == 'left'", units="area == 'M1'")
    >>> X.shape, table.index.tolist()
    ((2, 4, 1), [0, 2])
    >>> len(trials), trials[1:].table["side"].tolist()
    (3, ['right', 'left'])
    """

    X: Activity
    dt: float
    table: DataFrame
    units: DataFrame
    start: float | np.ndarray = 0.0

    def __post_init__(self) -> None:
        listed = isinstance(self.X, list)
        widths = {np.shape(x)[-1] for x in (self.X if listed else [self.X])}
        if any(width != len(self.units) for width in widths):
            raise ValueError(
                f"X has {sorted(widths)} neurons, but units has {len(self.units)} "
                "rows: give one for each neuron"
            )
        sizes = {"table": len(self.table)}
        if np.ndim(self.start):
            sizes["start"] = np.size(self.start)
        for name, size in sizes.items():
            if size != len(self.X):
                raise ValueError(
                    f"X has {len(self.X)} trials, but {name} has {size} rows: give one "
                    "for each trial"
                )
        # of a frozen dataclass
        object.__setattr__(self, "table", with_text(self.table))
        object.__setattr__(self, "units", with_text(self.units))

    def __iter__(self) -> Iterator[Activity | float | DataFrame]:
        return iter((self.X, self.dt, self.table))

    def __len__(self) -> int:
        """Number of trials."""
        return len(self.table)

    def __getitem__(self, rows: Any) -> TrialSet:
        """Some of the trials, by number: also for one number a TrialSet.

        Parameters
        ----------
        rows : int, slice, int array or bool array of shape (n_trials,)
            Numbers count from 0, whatever the ids in the table are; `select` takes ids.

        Raises
        ------
        IndexError
            If there are no such trials, or time points or neurons are asked for.
        """
        if isinstance(rows, tuple):  # scikit-learn's X[rows, ...]
            rows, *others = rows
            if any(one is not ... for one in others):
                raise IndexError(
                    "only trials can be chosen by number; crop chooses time points, "
                    "and select neurons"
                )
        chosen = np.atleast_1d(np.arange(len(self))[rows])
        if chosen.ndim > 1:
            raise IndexError(f"trials are chosen in one row; got {rows!r}")
        if isinstance(self.X, list):
            X = stack([self.X[row] for row in chosen]) if len(chosen) else []
        else:
            X = self.X[chosen]
        start = self.start
        return replace(
            self,
            X=X,
            table=self.table.iloc[chosen],
            start=start[chosen] if isinstance(start, np.ndarray) else start,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of trials, time points of the longest, and neurons."""
        return len(self), int(self.lengths.max(initial=0)), len(self.units)

    def __repr__(self) -> str:
        lengths = np.unique(self.lengths)
        bins = "-".join(map(str, dict.fromkeys([*lengths[:1], *lengths[-1:]]))) or "no"
        return (
            f"TrialSet({len(self)} trials, {bins} bins of {self.dt:g} s, "
            f"{len(self.units)} neurons; table: {', '.join(map(str, self.table))})"
        )

    @property
    def lengths(self) -> np.ndarray:
        """Bins (n_trials,) of each trial."""
        if isinstance(self.X, list):
            return np.array([len(trial) for trial in self.X], dtype=int)
        return np.full(len(self), self.X.shape[1])

    @property
    def time(self) -> np.ndarray:
        """Bin centres (n_timepoints,) of the longest trial in s.

        Relative to the alignment; where trials begin at different times, relative to
        the beginning of the trial.
        """
        start = self.start if np.ndim(self.start) == 0 else 0.0
        return start + (np.arange(self.lengths.max()) + 0.5) * self.dt

    @property
    def is_counts(self) -> bool:
        """Whether X may be spike counts: whole numbers, none below zero."""
        values = (trial[np.isfinite(trial)] for trial in self.X)
        return all(((x >= 0) & (x % 1 == 0)).all() for x in values)

    def select(
        self, trials: Selection | None = None, units: Selection | None = None
    ) -> TrialSet:
        """Choose trials and neurons.

        Parameters
        ----------
        trials, units : str, bool array, list of ids or None
            Which trials and neurons: an expression of columns of `table` or `units`,
            such as ``"side == 'left' and rt < 0.5"`` (names that are no identifiers in
            backticks), a mask, or ids from their index; None: all.

        Returns
        -------
        TrialSet

        Raises
        ------
        ValueError
            If nothing is selected, or the expression is not one of columns.
        """
        rows = select_rows(self.table, trials, "trials", "table")
        columns = select_rows(self.units, units, "units", "units")
        chosen = self[rows]
        if units is None:
            return chosen
        return replace(
            chosen,
            X=stack([trial[:, columns] for trial in chosen.X]),
            units=self.units.iloc[columns],
        )

    def crop(self, begin: float, end: float) -> TrialSet:
        """The bins whose centres lie between two times.

        Parameters
        ----------
        begin, end : float
            In s, relative to the alignment; a centre at `begin` is kept, one at `end`
            is not.

        Returns
        -------
        TrialSet
            Without the trials that end before `begin`, of which a warning tells.

        Raises
        ------
        ValueError
            If no bin is between them, or trials begin at different times.
        """
        if np.ndim(self.start):
            raise ValueError("trials that begin at different times cannot be cropped")
        # a centre on the edge is within, whatever rounding makes of it
        early = self.time + 1e-6 * self.dt
        inside = np.flatnonzero((early >= begin) & (early < end))
        if not len(inside):
            first, last = self.time[[0, -1]]
            raise ValueError(
                f"no bin lies between {begin:g} and {end:g} s; the trials last from "
                f"{first:g} to {last:g} s"
            )
        reach = self.lengths > inside[0]
        if not reach.all():
            warnings.warn(
                f"{(~reach).sum()} of {len(reach)} trials are left out: they end "
                f"before {begin:g} s",
                UserWarning,
                stacklevel=2,
            )
        kept = self.select(reach)
        return replace(
            kept,
            X=stack([trial[inside[0] : inside[-1] + 1] for trial in kept.X]),
            start=float(self.start + inside[0] * self.dt),
        )

    def to_xarray(self) -> DataArray:
        """Labelled array with the dimensions trial, time and neuron.

        Returns
        -------
        xarray.DataArray of shape (n_trials, n_timepoints, n_neurons)
            Shorter trials end with NaN. Coordinates: the ids of trials and neurons,
            `time` (bin centres in s), and each column of `table` along trial and of
            `units` along neuron; a column whose name is taken gets the prefix
            ``trial_`` or ``neuron_``. Where trials begin at different times, `start`
            along trial. Its attribute `dt` is the bin width.
        """
        xarray = import_io("xarray")
        lengths = self.lengths
        values = np.full((len(lengths), lengths.max(), len(self.units)), np.nan)
        for row, trial in zip(values, self.X, strict=True):
            row[: len(trial)] = trial
        labels = (self.table.index.to_numpy(), self.time, self.units.index.to_numpy())
        coords: dict[str, Any] = {
            dim: (dim, of_dim) for dim, of_dim in zip(DIMS, labels, strict=True)
        }
        if np.ndim(self.start):
            coords["start"] = ("trial", self.start)
        for dim, table in (("trial", self.table), ("neuron", self.units)):
            for column in table:
                name = str(column)
                while name in coords:
                    name = f"{dim}_{name}"
                coords[name] = (dim, table[column].to_numpy())
        array: DataArray = xarray.DataArray(values, coords, DIMS, attrs={"dt": self.dt})
        return array
