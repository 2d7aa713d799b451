"""Trials from pynapple's objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sklearn_jedi.io._arrays import refuse_infinite
from sklearn_jedi.io._bin_times import from_centres
from sklearn_jedi.io._cutting import cut_samples, cut_spikes
from sklearn_jedi.io._files import import_io
from sklearn_jedi.io._selection import Selection, select_rows
from sklearn_jedi.io._spike_times import check_spike_times
from sklearn_jedi.io._text import with_text
from sklearn_jedi.io._trial_set import TrialSet
from sklearn_jedi.io._windows import Window, check_window

if TYPE_CHECKING:
    from pandas import DataFrame
    from pynapple import IntervalSet, Tsd, TsdFrame, TsdTensor, TsGroup

# What pynapple cuts off an interval that ends where the next begins, in s.
_PYNAPPLE_GAP = 1e-6


def trials_from_pynapple(
    data: TsGroup | TsdFrame | Tsd | TsdTensor,
    epochs: IntervalSet | DataFrame | None = None,
    *,
    align: str | None = None,
    window: Window | None = None,
    bin_size: float = 0.01,
    trials: Selection | None = None,
    units: Selection | None = None,
) -> TrialSet:
    """Trials from pynapple's objects.

    Parameters
    ----------
    data : TsGroup, TsdFrame, Tsd or TsdTensor
        - TsGroup: spikes, counted in bins. Bins that are not wholly within its
          `time_support` become NaN. Give the group the time in which it was recorded:
          without it, pynapple takes the time from the first spike to the last, whose
          ends are not used here.
        - TsdFrame, Tsd: continuous activity, one column per neuron, averaged in bins;
          NaN where a bin has no sample.
        - TsdTensor of shape (n_timepoints, n_trials, n_neurons): already cut, as by
          ``compute_perievent`` of a TsdFrame (from pynapple 0.11 on). Its times, evenly
          spaced, are bin centres; `align`, `window` and `bin_size` do not apply.
    epochs : IntervalSet or DataFrame, default=None
        One row per trial, with `start`, `end` and metadata, which become the table. A
        DataFrame may hold what pynapple does not allow in an IntervalSet, such as
        trials that overlap. Needed unless `data` is a TsdTensor.
    align : str, default=None
        Column with the time of each trial, in s, that is 0; None: `start` if `window`
        begins at a number, otherwise where the window begins.
    window : pair of float or str, default=None
        Begin and end of each trial: seconds from the alignment, or names of columns
        with times, where trials may differ in length; None means ("start", "end").
        Time after the last whole bin of a window is not used.
    bin_size : float, default=0.01
        Bin width in s.
    trials, units : str, bool array, list of ids or None
        Which trials and units: an expression of columns of the table or of the
        metadata of `data`, such as ``"rewarded and side == 'left'"``, a mask, or ids.

    Returns
    -------
    TrialSet

    Raises
    ------
    TypeError
        If `data` or `epochs` is something else.
    ValueError
        If a column is missing, nothing is selected, or the window has no length.

    Warns
    -----
    UserWarning
        If trials are left out, because a time is missing, no bin fits into the window
        or nothing was recorded in it; if times look corrupt, or as if they were in
        another unit or relative to the beginning of their trial.

    Examples
    --------
    >>> import numpy as np
    >>> import pynapple as nap
    >>> from sklearn_jedi.io import trials_from_pynapple
    >>> session = nap.IntervalSet(0, 10)
    >>> spikes = nap.TsGroup(
    ...     {3: nap.Ts([1.0, 1.01, 4.2]), 8: nap.Ts([1.02, 4.0])}, time_support=session
    ... )
    >>> epochs = nap.IntervalSet([1, 4], [1.5, 4.6], metadata={"side": ["l", "r"]})
    >>> X, dt, table = trials_from_pynapple(spikes, epochs, window=(-0.02, 0.03))
    >>> X[0].T.tolist(), (table["side"] == "r").tolist()
    ([[0.0, 0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]], [False, True])
    """
    nap = import_io("pynapple")
    if isinstance(data, nap.TsdTensor):
        if align is not None or window is not None:
            raise ValueError(
                "align and window do not apply to a TsdTensor, whose trials are cut "
                "already: pass a TsGroup or TsdFrame"
            )
        return _from_tensor(data, epochs, trials, units)
    if not isinstance(data, (nap.TsGroup, nap.TsdFrame, nap.Tsd)):
        raise TypeError(
            "data must be a TsGroup, TsdFrame, Tsd or TsdTensor of pynapple; got "
            f"{type(data).__name__}"
        )
    table = _table(epochs)
    if window is None:
        window = ("start", "end")
    elif align is None and not isinstance(check_window(window, bin_size)[0], str):
        align = "start"
    table = table.iloc[select_rows(table, trials, "trials", "epochs")]
    neurons = _units(data)
    if not len(neurons):
        raise ValueError("data is empty: there are no units")
    chosen = select_rows(neurons, units, "units", "data")
    neurons = neurons.iloc[chosen]
    cut = (table, neurons, align, window, bin_size, "epochs", ("start", "end"))
    if isinstance(data, nap.TsGroup):
        trains = [data[int(data.index[k])].t for k in chosen]
        for unit, train in zip(neurons.index, trains, strict=True):
            check_spike_times(train, f"data: spike times of unit {unit}", -np.inf)
        return cut_spikes(trains, [_recorded(data)] * len(chosen), *cut)
    values = np.asarray(data.values, dtype=float).reshape(len(data), -1)[:, chosen]
    refuse_infinite(values, neurons.index, "data")
    return cut_samples(data.t, values, *cut)


def _from_tensor(
    data: TsdTensor,
    epochs: IntervalSet | DataFrame | None,
    trials: Selection | None,
    units: Selection | None,
) -> TrialSet:
    pandas = import_io("pandas")
    if data.ndim != 3:
        raise ValueError(
            "a TsdTensor must have the shape (n_timepoints, n_trials, n_neurons); got "
            f"{data.shape}"
        )
    X = np.moveaxis(np.asarray(data.values, dtype=float), 0, 1)
    table = pandas.DataFrame(index=range(len(X))) if epochs is None else _table(epochs)
    if len(table) != len(X):
        raise ValueError(
            f"epochs has {len(table)} rows, but the TsdTensor has {len(X)} trials "
            "(its second axis)"
        )
    start, dt = from_centres(data.t, "the times of the TsdTensor")
    neurons = pandas.DataFrame(index=range(X.shape[2]))
    return TrialSet(X, dt, table, neurons, start).select(trials, units)


def _table(epochs: IntervalSet | DataFrame | None) -> DataFrame:
    """One row for each trial."""
    pandas = import_io("pandas")
    if isinstance(epochs, pandas.DataFrame):
        table = epochs
    elif isinstance(epochs, import_io("pynapple").IntervalSet):
        table = epochs.as_dataframe()
        gaps = table["start"].to_numpy()[1:] - table["end"].to_numpy()[:-1]
        touch = np.append((gaps > 0) & (gaps < 1.5 * _PYNAPPLE_GAP), False)
        table["end"] = table["end"].where(~touch, table["start"].shift(-1))
    else:
        raise TypeError(
            "epochs must be an IntervalSet of pynapple or a DataFrame; got "
            f"{type(epochs).__name__}"
        )
    if not len(table):
        raise ValueError("epochs is empty: there are no trials")
    return with_text(table)


def _units(data: TsGroup | TsdFrame | Tsd) -> DataFrame:
    """Metadata of the neurons, one row each."""
    pandas = import_io("pandas")
    if not hasattr(data, "metadata"):
        return pandas.DataFrame(index=range(1))
    labels = data.columns if hasattr(data, "columns") else data.index
    return with_text(pandas.DataFrame(data.metadata).set_axis(labels, axis=0))


def _recorded(spikes: TsGroup) -> np.ndarray:
    """Intervals (n_intervals, 2), in s, in which spikes were recorded.

    Where a group was made without a time support, pynapple takes the time from its
    first to its last spike. These two say nothing of when the recording began and
    ended, so the intervals are left open there. Where it cut one off because the next
    begins there, nothing is missing.
    """
    intervals = np.array(spikes.time_support.values)
    gaps = intervals[1:, 0] - intervals[:-1, 1]
    touch = np.flatnonzero(gaps < 1.5 * _PYNAPPLE_GAP)
    intervals[touch, 1] = intervals[touch + 1, 0]
    times = [train.t[[0, -1]] for train in spikes.values() if len(train)]
    if times and np.min(times) == intervals[0, 0] and np.max(times) == intervals[-1, 1]:
        intervals[0, 0], intervals[-1, 1] = -1e8, 1e8
    return intervals
