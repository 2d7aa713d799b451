"""The window of each trial, from the columns of its table."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sklearn_jedi._utils._checks import check_real
from sklearn_jedi._utils._warnings import warn_user
from sklearn_jedi.io._bin_times import LATEST
from sklearn_jedi.io._binning import TOLERANCE, Bins, nanoseconds
from sklearn_jedi.io._size import check_n_bins
from sklearn_jedi.io._trial_times import Clock, checked_times

if TYPE_CHECKING:
    from pandas import DataFrame

# Begin and end, each in seconds from the alignment or a column with the time.
Window = Sequence[float | str]


class TrialWindows(NamedTuple):
    """Where the bins of each trial lie.

    Attributes
    ----------
    bins : Bins
    start : float or array of shape (n_trials,)
        Left edge of the first bin relative to the alignment, in s.
    rows : int array of shape (n_trials,)
        Rows of the table that have a window.
    """

    bins: Bins
    start: float | np.ndarray
    rows: np.ndarray

    @property
    def edges(self) -> np.ndarray:
        """Begin and end (n_trials, 2) of each window, in s."""
        return np.stack([self.bins.lefts, self.bins.rights], axis=1) / 1e9

    def keep(self, kept: np.ndarray, bin_size: float) -> TrialWindows:
        """The windows of some of the trials."""
        bins = Bins(self.bins.lefts[kept], self.bins.n_bins[kept], bin_size)
        start = self.start
        if isinstance(start, np.ndarray):
            start = start[kept]
        return TrialWindows(bins, start, self.rows[kept])


def cut_windows(
    table: DataFrame,
    align: str | None,
    window: Window,
    bin_size: float,
    where: str,
    clock: Clock | None = None,
    recording: tuple[float, float] | None = None,
) -> TrialWindows:
    """The window of each trial, from the times in its row of the table.

    Parameters
    ----------
    table : DataFrame
        One row per trial; times in s.
    align : str or None
        Column with the time that is 0; None: where the window begins.
    window : pair of float or str
        Begin and end: seconds from the alignment, or a column with the time.
    bin_size : float
        In s; a window holds as many whole bins as fit.
    where : str
        File or object, for messages.
    clock : Clock, default=None
        Of the recording that trials are cut from; None: each trial has its own.
    recording : pair of float, default=None
        Without a clock, the first and last time recorded in any trial.

    Warns
    -----
    UserWarning
        If trials are left out, because their times are missing or no bin fits in; if
        times cannot be or are those of another clock.

    Raises
    ------
    ValueError
        If a column is missing, no trial has a window, or windows are too long.
    """
    check_real("bin_size", bin_size)
    begin, end = check_window(window, bin_size)
    if align is None and not isinstance(begin, str):
        raise ValueError(
            f"{where}: window={window!r} begins at a number of seconds from the "
            "alignment: name the column in align"
        )
    ends = [str(begin) if align is None else align, begin, end]
    used = list(dict.fromkeys(name for name in ends if isinstance(name, str)))
    times = checked_times(table, used, clock, bin_size, where, recording)
    zero, lefts, rights = (
        times[name] if isinstance(name, str) else times[str(ends[0])] for name in ends
    )
    known = np.isfinite(zero) & np.isfinite(lefts) & np.isfinite(rights)
    warn_left_out(where, ~known, f"{' or '.join(used)} is missing")
    if not known.any():
        raise ValueError(f"{where}: {' or '.join(used)} is missing in every trial")

    zero_ns, left_ns, right_ns = (
        nanoseconds(times[known]) for times in (zero, lefts, rights)
    )
    left_ns += 0 if isinstance(begin, str) else nanoseconds(begin)
    right_ns += 0 if isinstance(end, str) else nanoseconds(end)
    n_bins = np.floor((right_ns - left_ns + TOLERANCE) / (bin_size * 1e9))
    fits = n_bins > 0
    warn_left_out(where, ~fits, f"no bin of {bin_size:g} s fits in window={window!r}")
    if not fits.any():
        raise ValueError(
            f"{where}: in no trial a bin of {bin_size:g} s fits in window={window!r}"
        )
    rows = np.flatnonzero(known)[fits]
    check_n_bins(n_bins[fits], table.index.to_numpy()[rows], bin_size, where)
    if clock is not None:
        _warn_of_one_place(left_ns[fits], right_ns[fits], " or ".join(used), where)
    start = (left_ns - zero_ns)[fits] / 1e9
    return TrialWindows(
        Bins(left_ns[fits], n_bins[fits].astype(int), bin_size),
        float(start[0]) if (start == start[0]).all() else start,
        rows,
    )


def _warn_of_one_place(
    left_ns: np.ndarray, right_ns: np.ndarray, used: str, where: str
) -> None:
    """Say where trials are cut out of the recording at the same place."""
    windows = np.stack([left_ns, right_ns], axis=1)
    _, which, sizes = np.unique(
        windows, axis=0, return_inverse=True, return_counts=True
    )
    same = sizes[which.ravel()] > 1
    if same.any():
        left, right = windows[same.argmax()] / 1e9
        what = (
            f"{same.sum()} of {len(same)} trials have the window of another trial, "
            f"such as {left:g} to {right:g} s"
        )
    elif len(same) > 2 and left_ns.max() < right_ns.min():
        what = (
            f"the windows of all {len(same)} trials overlap, between "
            f"{left_ns.min() / 1e9:g} and {right_ns.max() / 1e9:g} s"
        )
    else:
        return
    warn_user(
        f"{where}: {what}, so that they hold the same spikes or samples: is {used!r} "
        "on the clock of the recording, and not that of each trial, and all in seconds?"
    )


def check_window(window: object, bin_size: float) -> tuple[float | str, float | str]:
    """Begin and end of a window.

    Raises
    ------
    ValueError
        If it is no pair of numbers or columns, has no length, or is shorter than a bin.
    """
    ends = tuple(window) if isinstance(window, (tuple, list)) else ()
    numbers_ = [float(end) for end in ends if isinstance(end, numbers.Real)]
    names = [end for end in ends if isinstance(end, str)]
    if len(ends) != 2 or len(numbers_) + len(names) != 2:
        raise ValueError(
            "window must be a pair, each end a number of seconds from the alignment "
            f"or the name of a column; got {window!r}"
        )
    if not all(math.isfinite(end) for end in numbers_):
        raise ValueError(f"window must be finite; got {window!r}")
    if any(abs(end) > LATEST for end in numbers_):
        raise ValueError(f"window must be in seconds, up to {LATEST:g}; got {window!r}")
    if len(numbers_) == 2:
        length = ends[1] - ends[0]
        if length <= 0:
            raise ValueError(f"window must end after it begins; got {window!r}")
        if bin_size > length + 1e-9:
            raise ValueError(
                f"bin_size={bin_size:g} s is longer than the window, {length:g} s; "
                "both are in seconds: 10 ms is 0.01"
            )
    return ends[0], ends[1]


def warn_left_out(where: str, left_out: np.ndarray, why: str) -> None:
    """Say how many trials are left out, if any are."""
    if left_out.any():
        warn_user(
            f"{where}: {left_out.sum()} of {len(left_out)} trials are left out: {why}"
        )
