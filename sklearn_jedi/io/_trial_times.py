"""Times in a table of trials: those that cannot be, and those of another clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sklearn_jedi._utils._warnings import warn_user
from sklearn_jedi.io._bin_times import LATEST, as_seconds
from sklearn_jedi.io._files import quoted

if TYPE_CHECKING:
    from pandas import DataFrame

# A time is corrupt if it is so many times as far off the middle of all times as half of
# them are, and further from the recording than so many times its length.
_SPREADS, _LENGTHS = 20.0, 5.0


class Clock(NamedTuple):
    """What is known of the time in which trials lie.

    Attributes
    ----------
    begin, end : str
        Columns with the begin and end of each trial.
    recording : pair of float
        First and last time that was recorded, in s.
    """

    begin: str
    end: str
    recording: tuple[float, float]


def times_of(table: DataFrame, column: str, where: str) -> np.ndarray:
    """A column of times, in s; NaN where missing.

    Raises
    ------
    ValueError
        If there is no such column, it does not hold numbers, or most of them are too
        large.
    """
    if column not in table.columns:
        raise ValueError(
            f"{where} has no column {column!r}; there are: {quoted(table.columns)}"
        )
    times = as_seconds(table[column], f"{where}: times in column {column!r}")
    known = times[~np.isnan(times)]
    if len(known) and np.median(np.abs(known)) > LATEST:
        raise ValueError(
            f"{where}: times in column {column!r} go up to {np.abs(known).max():g} s: "
            "are they in another unit? Seconds are needed"
        )
    return times


def checked_times(
    table: DataFrame,
    columns: list[str],
    clock: Clock | None,
    slack: float,
    where: str,
    recording: tuple[float, float] | None = None,
) -> dict[str, np.ndarray]:
    """Columns of times, with NaN for times that cannot be.

    Parameters
    ----------
    table : DataFrame
        One row per trial.
    columns : list of str
        Those that are needed.
    clock : Clock or None
        None where each trial has a clock of its own.
    slack : float
        How far outside its trial a time may lie, in s.
    where : str
        File or object, for messages.
    recording : pair of float, default=None
        First and last time recorded, where there is no clock that tells.

    Raises
    ------
    ValueError
        As `times_of`.

    Warns
    -----
    UserWarning
        If times cannot be, trials end before they begin, or times lie outside their
        trials.
    """
    of_trial = [] if clock is None else [clock.begin, clock.end]
    names = [*columns, *(n for n in of_trial if n in table and n not in columns)]
    times = np.array([times_of(table, name, where) for name in names]).T
    corrupt = corrupt_times(times, recording if clock is None else clock.recording)
    for name, column, bad in zip(names, times.T, corrupt.T, strict=True):
        if bad.any():
            warn_user(
                f"{where}: {name!r} cannot be right in {bad.sum()} of {len(bad)} "
                f"trials ({_first(table, bad, column)}): taken as missing"
            )
    times[corrupt] = np.nan
    checked = dict(zip(names, times.T, strict=True))
    if clock is not None and all(name in checked for name in of_trial):
        _warn_of_other_clocks(table, checked, clock, slack, where)
    return {name: checked[name] for name in columns}


def corrupt_times(
    times: np.ndarray, recording: tuple[float, float] | None
) -> np.ndarray:
    """Which times (n_trials, n_columns) are infinite, or far from all that is known.

    Where most of a column are far off, it is rather in another unit, and not corrupt.
    """
    corrupt: np.ndarray = np.isinf(times) | (np.abs(times) > LATEST)
    fine = times[np.isfinite(times) & ~corrupt]
    if recording is None or not len(fine):
        return corrupt
    first, last = recording
    middle = np.median(fine)
    spread = max(np.median(np.abs(fine - middle)), (last - first) / 4)
    margin = _LENGTHS * (last - first)
    far = (np.abs(times - middle) > _SPREADS * spread) & (
        (times < first - margin) | (times > last + margin)
    )
    far &= np.isfinite(times)
    known = np.maximum(np.isfinite(times).sum(axis=0), 1)
    corrupt |= far & (far.sum(axis=0) <= known / 2)
    return corrupt


def _warn_of_other_clocks(
    table: DataFrame,
    times: dict[str, np.ndarray],
    clock: Clock,
    slack: float,
    where: str,
) -> None:
    """Say where trials run backwards, or times lie outside their trials."""
    begins, ends = times[clock.begin], times[clock.end]
    backwards = ends < begins
    if backwards.any():
        warn_user(
            f"{where}: {clock.end!r} is before {clock.begin!r} in {backwards.sum()} of "
            f"{len(table)} trials ({_first(table, backwards, begins, ends)})"
        )
    # a trial whose end is not known, or cannot be, may last for ever
    until = np.where(ends >= begins, ends, np.inf)
    for name, column in times.items():
        outside = (column < begins - slack) | (column > until + slack)
        if name in (clock.begin, clock.end) or not outside.any():
            continue
        why = _why(column, times, clock, outside)
        warn_user(
            f"{where}: {name!r} lies outside {clock.begin!r} to {clock.end!r} in "
            f"{outside.sum()} of {len(table)} trials ("
            f"{_first(table, outside, column)}, and the trial goes from "
            f"{begins[outside][0]:g} to {ends[outside][0]:g} s){why}"
        )


def _why(
    column: np.ndarray, times: dict[str, np.ndarray], clock: Clock, outside: np.ndarray
) -> str:
    """What times outside their trials may be, as the end of a sentence."""
    begins, ends = times[clock.begin], times[clock.end]
    out = column[outside]
    if (out == 0).all():
        return ": if 0 means that there was no such event, make it NaN"
    longest = np.nanmax(ends - begins)
    if ((out >= 0) & (out <= max(longest, 0))).all():
        return (
            f": if it counts from the beginning of each trial, add {clock.begin!r} to "
            "it"
        )
    for unit, divisor in (("ms", 1e3), ("microseconds", 1e6)):
        scaled = out / divisor
        if ((scaled >= begins[outside]) & (scaled <= ends[outside])).all():
            return f": it looks like {unit}; divide it by {divisor:g}"
        if ((scaled >= 0) & (scaled <= longest)).all() and longest > 0:
            return (
                f": it looks like {unit} from the beginning of each trial; divide it "
                f"by {divisor:g} and add {clock.begin!r}"
            )
    return ": is it on the clock of the recording, in seconds?"


def _first(table: DataFrame, which: np.ndarray, *columns: np.ndarray) -> str:
    """The first of some trials, and its times."""
    k = int(np.argmax(which))
    times = " to ".join(f"{column[k]:g}" for column in columns)
    return f"first in trial {table.index[k]}: {times} s"
