"""Trials saved one by one, as pymatreader returns MATLAB's structs.

pymatreader drops axes of length 1. The matrix of a trial of one neuron or one time
point arrives as a vector, a vector of one spike as a number, and a cell of one neuron
as what is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_jedi._utils._checks import check_choice
from sklearn_jedi._utils._warnings import warn_user
from sklearn_jedi.io._arrays import as_activity, column_of, refuse_infinite
from sklearn_jedi.io._bin_times import SECONDS, start_and_width
from sklearn_jedi.io._binning import stack
from sklearn_jedi.io._files import import_io, quoted
from sklearn_jedi.io._selection import Selection, select_rows
from sklearn_jedi.io._spike_clock import Spikes, warn_of_spike_clock
from sklearn_jedi.io._spike_times import problem_of
from sklearn_jedi.io._trial_set import TrialSet
from sklearn_jedi.io._windows import TrialWindows, Window, cut_windows

if TYPE_CHECKING:
    from pandas import DataFrame

# No window is so many times as long as trials, unless it is not in seconds.
_TOO_LONG = 10.0


def is_matrix(value: object, ndim: int) -> bool:
    """Whether it is a numeric array, full or sparse, with so many axes."""
    dtype = getattr(value, "dtype", np.dtype(object))
    return getattr(value, "ndim", 0) == ndim and dtype.kind in "biuf"


def per_trial(
    value: dict[str, Any] | list[dict[str, Any]],
) -> tuple[dict[str, Any], bool]:
    """Fields of a struct array or a cell of structs, and whether they list trials.

    The fields of a single struct may be anything. Fields are in the order of their
    names, because the order in which pymatreader returns those of version 7.3 changes
    from run to run.
    """
    if isinstance(value, dict):
        lengths = {len(v) if isinstance(v, list) else -1 for v in value.values()}
        fields = {name: value[name] for name in sorted(value)}
        return fields, len(lengths) == 1 and lengths != {-1}
    names = sorted({name for struct in value for name in struct})
    return {name: [struct.get(name) for struct in value] for name in names}, True


class Fields:
    """What is saved of each trial.

    Parameters
    ----------
    fields : dict of lists, or of anything for a single struct
    listed_trials : bool
        Whether all fields are lists with an entry per trial.
    main : str
        The field with activity or spike times.
    where : str
        File and variable, for messages.
    """

    def __init__(
        self, fields: dict[str, Any], listed_trials: bool, main: str, where: str
    ) -> None:
        # A single struct is one trial, unless its main field is a cell of trials: of
        # matrices, or of cells of spike times.
        entries = fields[main]
        several = isinstance(entries, list) and any(
            isinstance(entry, list) or is_matrix(entry, 2) for entry in entries
        )
        if not (listed_trials or several):
            fields = {name: [value] for name, value in fields.items()}
        self.fields, self.main, self.where = fields, main, where
        self.entries = fields[main]

    def __len__(self) -> int:
        return len(self.entries)

    def only(self, chosen: Selection | None) -> tuple[list[int], DataFrame]:
        """Which trials are chosen, and their table."""
        table = self.table()
        rows = select_rows(table, chosen, "trials", self.where)
        return rows.tolist(), table.iloc[rows]

    def of(self, name: str) -> list[Any]:
        """A field, one entry per trial."""
        values = self.fields.get(name)
        if values is None or _length(values) != len(self):
            raise ValueError(
                f"{self.where} has no field {name!r} with one entry per trial; there "
                f"are: {quoted(self.fields)}"
            )
        return list(values)

    def table(self) -> DataFrame:
        """Fields of one number or text per trial, as columns."""
        pandas = import_io("pandas")
        columns = {
            name: column_of(values, len(self))
            for name, values in self.fields.items()
            if name != self.main
        }
        columns = {name: of for name, of in columns.items() if of is not None}
        return pandas.DataFrame(columns, index=range(len(self)))


def _length(values: object) -> int | None:
    """How many entries a field has; None where it is one number or text."""
    return len(values) if isinstance(values, (list, np.ndarray)) else None


def trials_of_matrices(
    saved: Fields,
    dims: tuple[str, ...],
    dt: float | None,
    time: str | None,
    time_unit: str,
    chosen_trials: Selection | None,
    chosen_units: Selection | None,
) -> TrialSet:
    """Trials of one matrix each."""
    pandas = import_io("pandas")
    of_one = [dim for dim in dims if dim != "trial"]
    rows, table = saved.only(chosen_trials)
    trials = _matrices(saved, rows, of_one)
    start: float | np.ndarray
    if time is None:
        what = f"{saved.where}: {saved.main}"
        start, dt = start_and_width(dt, None, 0, what, time_unit)
    else:
        of_trials = saved.of(time)
        found = [
            start_and_width(
                dt, of_trials[k], len(x), f"{saved.where}({k + 1}).{time}", time_unit
            )
            for k, x in zip(rows, trials, strict=True)
        ]
        starts, widths = np.transpose(found)
        if not np.allclose(widths, widths[0]):
            raise ValueError(
                f"{saved.where}: steps of {time} differ between trials, from "
                f"{widths.min():g} to {widths.max():g} s"
            )
        dt = float(widths[0])
        start = float(starts[0]) if np.allclose(starts, starts[0]) else starts
    units = pandas.DataFrame(index=range(trials[0].shape[1]))
    table = table.drop(columns=[time], errors="ignore")
    read = TrialSet(stack(trials), dt, table, units, start)
    read = read if chosen_units is None else read.select(units=chosen_units)
    for row, values in zip(rows, read.X, strict=True):
        what = f"{saved.where}({row + 1}).{saved.main}"
        refuse_infinite(values, read.units.index, what)
    return read


def _matrices(saved: Fields, rows: list[int], of_one: list[str]) -> list[np.ndarray]:
    """Time x neuron matrices of some trials."""
    trials = []
    for row in rows:
        entry = saved.entries[row]
        what = f"{saved.where}({row + 1}).{saved.main}"
        full = entry.toarray() if hasattr(entry, "toarray") else entry
        if isinstance(full, (list, dict, str)) or full is None or np.ndim(full) > 2:
            raise ValueError(f"{what} must be a matrix, {' x '.join(of_one)}")
        matrix = as_activity(full, what)
        if not matrix.size:
            raise ValueError(f"{what} is empty")
        trials.append(matrix)
    axis = of_one.index("neuron")
    sizes = {
        matrix.shape[axis]: row
        for row, matrix in zip(rows, trials, strict=True)
        if matrix.ndim == 2
    }
    if len(sizes) > 1:
        (first, a), (second, b) = list(sizes.items())[:2]
        raise ValueError(
            f"{saved.where}: {saved.main} has {first} neurons in trial {a + 1}, but "
            f"{second} in trial {b + 1}, read as {' x '.join(of_one)}; if it is the "
            f"other way round, pass dims={('trial', *of_one[::-1])}"
        )
    n_neurons = next(iter(sizes), 1)
    for k, matrix in enumerate(trials):
        if matrix.ndim < 2:
            if matrix.size % n_neurons or (sizes and matrix.size != n_neurons):
                raise ValueError(
                    f"{saved.where}({rows[k] + 1}).{saved.main} has {matrix.size} "
                    f"values in a row; other trials have {n_neurons} neurons"
                )
            trials[k] = matrix.reshape(-1, n_neurons)
        elif axis == 0:
            trials[k] = matrix.T
    return trials


def trials_of_spikes(
    saved: Fields,
    align: str | None,
    window: Window,
    bin_size: float,
    time_unit: str,
    chosen_trials: Selection | None,
    chosen_units: Selection | None,
) -> TrialSet:
    """Trials of spike times, one cell of vectors each."""
    pandas = import_io("pandas")
    check_choice("time_unit", time_unit, tuple(SECONDS))
    rows, table = saved.only(chosen_trials)
    cells = [saved.entries[row] for row in rows]
    cells = [cell if isinstance(cell, list) else [cell] for cell in cells]
    n_units = [len(cell) for cell in cells]
    if len(set(n_units)) > 1:
        k = int(np.argmax(np.not_equal(n_units, n_units[0])))
        raise ValueError(
            f"{saved.where}: {saved.main} has {n_units[0]} units in trial "
            f"{rows[0] + 1}, but {n_units[k]} in trial {rows[k] + 1}: each trial needs "
            "a cell for each unit, empty where it did not fire"
        )
    units = pandas.DataFrame(index=range(n_units[0]))
    columns = select_rows(units, chosen_units, "units", saved.where)
    units = units.iloc[columns]
    trials = [
        _spike_times(cell, columns, f"{saved.where}({row + 1}).{saved.main}", time_unit)
        for row, cell in zip(rows, cells, strict=True)
    ]
    times = table.select_dtypes("number") * SECONDS[time_unit]
    if align is None:
        align = "zero of the clock"
        times[align] = 0.0
    spikes = [train[[0, -1]] for trial in trials for train in trial if len(train)]
    recorded = (float(np.min(spikes)), float(np.max(spikes))) if spikes else None
    windows = cut_windows(
        times, align, window, bin_size, saved.where, recording=recorded
    )
    _warn_of_clock(trials, columns, windows, f"{saved.where}: {saved.main}")
    trains = [[trials[row][unit] for row in windows.rows] for unit in range(len(units))]
    return TrialSet(
        windows.bins.in_trials(windows.bins.count_own(trains)),
        float(bin_size),
        table.iloc[windows.rows],
        units,
        windows.start,
    )


def _warn_of_clock(
    trials: list[list[np.ndarray]],
    columns: np.ndarray,
    windows: TrialWindows,
    what: str,
) -> None:
    """Say where times look like another unit, each trial on its own clock."""
    of_trials = [np.concatenate(trial) for trial in trials]
    lasting = [np.ptp(times) for times in of_trials if len(times)]
    if not lasting:
        return
    longest = float(np.diff(windows.edges).max())
    if longest > _TOO_LONG * max(lasting) > 0:
        warn_user(
            f"{what}: the window of a trial lasts {longest:g} s, but spikes of a trial "
            f"{max(lasting):.3g} s at most: window and bin_size are in seconds, 600 ms "
            "is 0.6; spike times and fields in time_unit="
        )
    else:
        warn_of_spike_clock(
            Spikes.of(
                [np.sort(np.concatenate(of)) for of in zip(*trials, strict=True)],
                float(np.sum(lasting)),
            ),
            [*(columns + 1)],
            windows.edges,
            float(np.median(lasting)),
            what,
            "pass their time_unit=, or divide them by {by}",
        )


def _spike_times(
    cell: list[Any], columns: np.ndarray, what: str, time_unit: str
) -> list[np.ndarray]:
    """Spike times of some units in s."""
    trains = []
    for unit in columns + 1:
        times = cell[unit - 1]
        if np.ndim(times) > 1 or np.asarray(times).dtype.kind not in "biuf":
            raise ValueError(f"{what}{{{unit}}} must be a vector of spike times")
        train = np.atleast_1d(np.asarray(times, dtype=float)) * SECONDS[time_unit]
        problem = problem_of(train, f"{what}{{{unit}}}", -np.inf)
        if problem:
            raise ValueError(f"{problem}; units= can leave the unit out")
        trains.append(train)
    return trains
