"""Trials from NWB files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_jedi._utils._warnings import warn_user
from sklearn_jedi.io._bin_times import LATEST
from sklearn_jedi.io._cutting import cut_spikes
from sklearn_jedi.io._files import check_file, import_io, quoted, unreadable
from sklearn_jedi.io._intervals import duration, union
from sklearn_jedi.io._selection import Selection, select_rows
from sklearn_jedi.io._spike_times import problem_of
from sklearn_jedi.io._text import with_text
from sklearn_jedi.io._trial_set import TrialSet
from sklearn_jedi.io._trial_times import corrupt_times
from sklearn_jedi.io._windows import Window

if TYPE_CHECKING:
    from pandas import DataFrame, Index

# So many times as late as all else, or as long as the session, a time is corrupt.
_FAR = 30.0


def trials_from_nwb(
    path: str | os.PathLike[str],
    *,
    align: str | None = "start_time",
    window: Window = (-0.3, 0.6),
    bin_size: float = 0.01,
    trials: Selection | None = None,
    units: Selection | None = None,
    epochs: str = "trials",
) -> TrialSet:
    """Trials of spike counts from an NWB file.

    Reads the spike times of its units and its table of trials. A bin that is not wholly
    within the time in which a unit was recorded is NaN: within the unit's
    `obs_intervals` where the file has them, otherwise within the session, from the
    first spike or trial to the end of the last.

    Parameters
    ----------
    path : str or path-like
        NWB file.
    align : str or None, default="start_time"
        Column of the trial table with the time of each trial that is 0; None: where
        the window begins, then a column.
    window : pair of float or str, default=(-0.3, 0.6)
        Begin and end of each trial: seconds from the alignment, or names of columns
        with times. ``("go_cue_time", "stop_time")`` cuts each trial from its go cue to
        its end, ``(-0.2, "stop_time")`` from 0.2 s before the alignment; trials then
        differ in length. Time after the last whole bin of a window is not used.
    bin_size : float, default=0.01
        Bin width in s. A spike on an edge counts in the bin that begins there.
    trials, units : str, bool array, list of ids or None
        Which trials and units: an expression of columns, such as ``"rewarded and side
        == 'left'"`` or ``"rate > 1 and quality == 'good'"`` (names that are no
        identifiers in backticks), a mask, or ids.
    epochs : str, default="trials"
        The table with the trials: "trials", or another of time intervals.

    Returns
    -------
    TrialSet
        The table and the units have those columns of the file that hold one number or
        text a row. Units also get `rate`, the mean rate in spikes/s, and, where the
        file says it, `location`, the place of the unit's first electrode; columns of
        these names in the file are kept as they are.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If it is no NWB file, tables or columns are missing, spike times are negative,
        not finite or not in order, unit ids are not unique, nothing is selected, or the
        window has no length.
    ImportError
        If the `io` extra is not installed.

    Warns
    -----
    UserWarning
        If trials are left out, because a time is missing, no bin fits into the window
        or nothing was recorded in it.

    Examples
    --------
    >>> import datetime, os, tempfile
    >>> import pynwb
    >>> from sklearn_jedi.io import trials_from_nwb
    >>> nwb = pynwb.NWBFile("reaches", "1", datetime.datetime.now().astimezone())
    >>> nwb.add_unit(spike_times=[0.1, 1.205, 1.21])
    >>> nwb.add_trial(start_time=1.0, stop_time=2.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "reaches.nwb")
    ...     with pynwb.NWBHDF5IO(path, "w") as io:
    ...         io.write(nwb)
    ...     trials_from_nwb(path, window=(0.19, 0.23)).X[0, :, 0]
    array([0., 1., 1., 0.])
    """
    path = check_file(path)
    with _opened(path) as nwb:
        table = _table(nwb, epochs, path)
        trains, unit_table, observed = _units(nwb, path)
    problems = _problems(trains, observed, unit_table.index, path)
    times = table[["start_time", "stop_time"]].to_numpy(dtype=float)
    fine = [t for t, problem in zip(trains, problems, strict=True) if not problem]
    session = _session(fine, times)
    _warn_of_observed(observed, session, unit_table.index, path)
    observed = [union(of_unit) if len(of_unit) else session for of_unit in observed]
    durations = np.array([duration(_within(o, session)) for o in observed])
    n_spikes = np.array([len(train) for train in trains])
    if "rate" not in unit_table:
        unit_table["rate"] = n_spikes / np.where(durations > 0, durations, np.nan)
    table = table.iloc[select_rows(table, trials, "trials", str(path))]
    chosen = select_rows(unit_table, units, "units", str(path))
    for k in chosen:
        if problem := problems[k]:
            raise ValueError(f"{problem}; units= can leave it out")
    return cut_spikes(
        [trains[k] for k in chosen],
        [observed[k] for k in chosen],
        table,
        unit_table.iloc[chosen],
        align,
        window,
        bin_size,
        f"{path}: {epochs}",
        ("start_time", "stop_time"),
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The contents of an NWB file, closed afterwards whatever happens."""
    pynwb, h5py = import_io("pynwb"), import_io("h5py")
    try:
        with h5py.File(path, "r") as file:
            is_nwb = "nwb_version" in file.attrs
    except OSError as error:
        raise unreadable(path, "an NWB file", error) from error
    if not is_nwb:
        raise ValueError(f"{path} is an HDF5 file, but not an NWB file")
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        try:
            nwb = io.read()
        except Exception as error:
            raise unreadable(path, "an NWB file", error) from error
        try:
            yield nwb
        except OSError as error:
            raise unreadable(path, "an NWB file", error) from error


def _table(nwb: Any, name: str, path: Path) -> DataFrame:
    """A table of time intervals, its columns of one value a row."""
    pynwb, pandas = import_io("pynwb"), import_io("pandas")
    tables = {
        item.name: item
        for item in nwb.objects.values()
        if isinstance(item, pynwb.epoch.TimeIntervals)
    }
    if name not in tables:
        raise ValueError(
            f"{path} has no table of time intervals {name!r}; there are: "
            f"{quoted(tables)}"
        )
    # read by pynwb: an IntervalSet joins trials that overlap, and drops their metadata
    table = tables[name].to_dataframe(exclude={"timeseries"})
    if not len(table):
        raise ValueError(f"{path}: {name} is empty: there are no trials")
    for name in table:
        if all(np.shape(value) == (1,) for value in table[name]):
            table[name] = [value[0] for value in table[name]]
    plain = [c for c in table if pandas.api.types.is_scalar(table[c].iloc[0])]
    return with_text(table[plain])


def _units(
    nwb: Any, path: Path
) -> tuple[list[np.ndarray], DataFrame, list[np.ndarray]]:
    """Spike times, metadata and observed intervals of the units."""
    pandas = import_io("pandas")
    if nwb.units is None or not len(nwb.units):
        raise ValueError(f"{path} has no units: there are no spike times in it")
    if "spike_times" not in nwb.units.colnames:
        raise ValueError(
            f"{path}: units has no column 'spike_times'; there are: "
            f"{quoted(nwb.units.colnames)}"
        )
    ids = np.asarray(nwb.units.id[:])
    repeated = np.flatnonzero(np.bincount(np.unique(ids, return_inverse=True)[1]) > 1)
    if len(repeated):
        raise ValueError(
            f"{path}: units: ids are not unique: {quoted(np.unique(ids)[repeated])}"
        )
    if not hasattr(nwb.units, "spike_times_index"):
        raise ValueError(
            f"{path}: units: spike_times has no index, which tells the spikes of one "
            "unit from those of the next: write spike times with add_unit of pynwb"
        )
    # Read by pynwb: pynapple sorts spike times without a word and loses the only spike
    # of a unit; of units whose ids are not in order, some versions mix up the columns.
    times = np.asarray(nwb.units.spike_times.data[:], dtype=float)
    ends = _ends(nwb.units, "spike_times", len(times), path)
    trains = np.split(times[: ends[-1]], ends[:-1])
    observed = [np.empty((0, 2))] * len(ids)
    if "obs_intervals" in nwb.units.colnames:
        if hasattr(nwb.units, "obs_intervals_index"):
            _ends(nwb.units, "obs_intervals", len(nwb.units.obs_intervals.data), path)
        observed = [
            np.reshape(nwb.units.get_unit_obs_intervals(k), (-1, 2)).astype(float)
            for k in range(len(ids))
        ]
    metadata = pandas.DataFrame(_metadata(nwb.units), index=ids)
    return trains, with_text(metadata), observed


def _ends(units: Any, name: str, n_rows: int, path: Path) -> np.ndarray:
    """After which row of a ragged column each unit ends.

    Raises
    ------
    ValueError
        If there are no such rows.

    Warns
    -----
    UserWarning
        If the last rows are of no unit.
    """
    ends = np.asarray(getattr(units, f"{name}_index").data[:]).astype(np.int64)
    if (np.diff(ends, prepend=0) < 0).any() or ends[-1] > n_rows:
        raise ValueError(
            f"{path}: units: {name}_index must increase from unit to unit, up to the "
            f"{n_rows} rows of {name}; it goes from {ends.min()} to {ends.max()}: the "
            "file is damaged, or was not written by add_unit of pynwb"
        )
    if ends[-1] < n_rows:
        warn_user(
            f"{path}: units: the last {n_rows - ends[-1]} of {n_rows} rows of {name} "
            f"are left out: by {name}_index they are of no unit"
        )
    return ends


def _problems(
    trains: list[np.ndarray], observed: list[np.ndarray], ids: Index, path: Path
) -> list[str | None]:
    """What is wrong with each unit, if anything is: a sentence."""
    problems = []
    for unit, train, intervals in zip(ids, trains, observed, strict=True):
        problem = problem_of(train, f"{path}: units: spike_times of unit {unit}", 0.0)
        what = f"{path}: units: obs_intervals of unit {unit}"
        if not problem and np.isnan(intervals).any():
            problem = f"{what} have ends that are no numbers (NaN)"
        elif not problem and (intervals[:, 1] < intervals[:, 0]).any():
            problem = f"{what} end before they begin"
        problems.append(problem)
    return problems


def _metadata(units: Any) -> dict[str, Any]:
    """Columns of one number or text a unit, and the location of its electrodes."""
    columns = {}
    for name in units.colnames:
        column = units[name]
        plain = name != "electrode_group" and not hasattr(column, "target")
        if plain and np.ndim(column[:]) == 1:
            columns[name] = column[:]
    if "electrodes" in units.colnames and hasattr(units["electrodes"], "target"):
        columns.setdefault("location", _locations(units["electrodes"]))
    if "electrode_group" in units.colnames:
        groups = units["electrode_group"][:]
        columns["electrode_group"] = [group.name for group in groups]
        columns.setdefault("location", [group.location for group in groups])
    return columns


def _locations(electrodes: Any) -> np.ndarray:
    """Where the first electrode of each unit is; empty for units without one."""
    region = electrodes.target
    places = np.append(region.table["location"][:], "")
    rows = np.append(region.data[:], -1).astype(int)
    ends = np.asarray(electrodes.data[:]).astype(int)
    begins = np.append(0, ends[:-1])
    return np.asarray(places[np.where(begins < ends, rows[begins], -1)])


def _session(trains: list[np.ndarray], times: np.ndarray) -> np.ndarray:
    """The time (1, 2) in which a session without further evidence was recorded.

    What is far from everything else is corrupt, and does not count.
    """
    spikes = np.array([train[[0, -1]] for train in trains if len(train)]).reshape(-1, 2)
    known = times[np.isfinite(times) & (np.abs(times) < LATEST)]
    usual = max(np.median(spikes[:, 1]) if len(spikes) else 0.0, *known, 0.0)
    spikes = spikes[spikes[:, 1] <= _FAR * usual]
    if len(spikes):
        corrupt = corrupt_times(times, (spikes.min(), spikes.max()))
        known = times[np.isfinite(times) & ~corrupt]
    seen = np.concatenate([spikes.ravel(), known])
    return np.array([[seen.min(), seen.max()]])


def _reach(session: np.ndarray) -> tuple[float, float]:
    """From where to where units can have been observed at most."""
    begin, end = session[0]
    return begin - _FAR * (end - begin), end + _FAR * (end - begin)


def _within(observed: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Intervals whose ends, where they are open or cannot be, are the session's."""
    first, last = _reach(session)
    ended = np.where(observed < first, session[0, 0], observed)
    return union(np.where(ended > last, session[0, 1], ended))


def _warn_of_observed(
    observed: list[np.ndarray], session: np.ndarray, ids: Index, path: Path
) -> None:
    """Say where observation intervals are far longer than the session."""
    first, last = _reach(session)
    far = [
        bool(((o < first) & (o > -np.inf) | (o > last) & (o < np.inf)).any())
        for o in observed
    ]
    if any(far):
        unit = int(np.argmax(far))
        warn_user(
            f"{path}: units: obs_intervals of {sum(far)} of {len(far)} units (first: "
            f"{ids[unit]}) go from {observed[unit].min():g} to "
            f"{observed[unit].max():g}, and spikes and trials only from "
            f"{session[0, 0]:g} to {session[0, 1]:g} s: are they in seconds? Rates are "
            "taken within the session"
        )
