"""Trials cut into epochs."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from sklearn_jedi._data._forms import Activity, TrialsLike, is_2d, unwrap
from sklearn_jedi._data._gate import check_trials, refuse_missing
from sklearn_jedi._data._numbers import as_objects, is_missing
from sklearn_jedi._data._time_step import choose_dt
from sklearn_jedi._utils._checks import check_real

__all__ = ["Epochs", "split_epochs"]


class Epochs(NamedTuple):
    """What `split_epochs` returns: all trials in the first window, then in the next.

    Attributes
    ----------
    X : array of shape (n_windows * n_trials, n_bins, n_neurons) or list of arrays
        One entry for each epoch. It is a list where the trials came as a list, or where
        windows differ in length.
    epochs : array of shape (n_windows * n_trials,)
        Name of the window that each epoch was cut from.
    y, groups : array of shape (n_windows * n_trials,), or None
        Labels of the trial that each epoch was cut from; None where none were given.
    trials : int array of shape (n_windows * n_trials,)
        Number of the trial that each epoch was cut from. Passed as ``groups=`` to a
        cross-validation, it keeps the epochs of a trial in one fold;
        ``table.iloc[trials]`` repeats the rows of a table of trials.
    """

    X: Activity
    epochs: np.ndarray
    y: np.ndarray | None
    groups: np.ndarray | None
    trials: np.ndarray


class _Splitter(BaseEstimator):
    """What the gate for trials sets sizes and names on."""

    n_neurons_in_: int
    n_timepoints_in_: int | np.ndarray
    neuron_names_in_: np.ndarray


def split_epochs(
    X: TrialsLike,
    windows: Mapping[str, tuple[float, float]],
    y: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    *,
    dt: float | str = "auto",
    start: float | ArrayLike = 0.0,
) -> Epochs:
    """Cut each trial into epochs, such as preparation and movement.

    A function, because a step of a Pipeline cannot change the number of trials.

    Parameters
    ----------
    X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays of \
            shape (n_timepoints_i, n_neurons), or TrialSet
        NaN where nothing was recorded; a trial ends with its last value.
    windows : dict of name: (start, stop)
        Begin and end of each window, in seconds, rounded to whole bins; the bin at
        `stop` is left out. Where time 0 is within the trials, `start` says. Windows may
        overlap.
    y, groups : array-like of shape (n_trials,), default=None
        Labels of the trials, which their epochs get.
    dt : float or "auto", default="auto"
        Time step in seconds. "auto" takes that of X where X carries it (a TrialSet, an
        xarray.DataArray, objects of pynapple); otherwise 0.01, with a warning.
    start : float or array-like of shape (n_trials,), default=0.0
        Time of the first bin of the trials in seconds: -0.5 where time 0 is half a
        second after it. To align each trial to an event of its own, pass an array: for
        an event 0.7 s after the first bin of a trial, -0.7.

    Returns
    -------
    Epochs
        A named tuple ``X, epochs, y, groups, trials``.

    Raises
    ------
    ValueError, TypeError
        If a window has no bin or reaches beyond a trial, or something else cannot be
        used.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.preprocessing import split_epochs
    >>> X = np.zeros((2, 100, 5))
    >>> windows = {"preparation": (-0.5, -0.1), "movement": (0.0, 0.4)}
    >>> cut = split_epochs(X, windows, y=["left", "right"], dt=0.01, start=-0.5)
    >>> cut.X.shape, cut.trials
    ((4, 40, 5), array([0, 1, 0, 1]))
    >>> print(cut.epochs, cut.y)
    ['preparation' 'preparation' 'movement' 'movement'] ['left' 'right' 'left' 'right']
    """
    check_real("dt", dt, auto=True)
    trials, _ = check_trials(_Splitter(), X, reset=True, name="split_epochs")
    n_trials, given = len(trials), isinstance(trials.source, list)
    y = _check_labels("y", y, n_trials)
    groups = _check_labels("groups", groups, n_trials)
    if groups is not None:
        refuse_missing("groups", groups)
    starts = _check_starts(start, n_trials)
    step = choose_dt(dt, X)
    bins = _bins_of_windows(windows, starts, trials.lengths, step)
    labelled: Any = unwrap(X)
    pieces: list[Any] = [
        _cut(labelled[trial], trials.source[trial], first[trial], first[trial] + n_bins)
        for first, n_bins in bins
        for trial in range(n_trials)
    ]
    cut: Activity = pieces
    if not given and len({len(piece) for piece in pieces}) == 1:
        cut = np.stack(pieces)[..., 0] if is_2d(X) else np.stack(pieces)
    number = np.tile(np.arange(n_trials), len(bins))
    return Epochs(
        cut,
        np.repeat(np.array(list(windows)), n_trials),
        None if y is None else y[number],
        None if groups is None else groups[number],
        number,
    )


def _check_labels(
    name: str, labels: ArrayLike | None, n_trials: int
) -> np.ndarray | None:
    """One entry per trial, or None."""
    if labels is None:
        return None
    objects, array = as_objects(labels), np.asarray(labels)
    if np.ma.isMaskedArray(labels) or array.dtype.kind in "SU":
        array = objects if any(map(is_missing, objects.tolist())) else array
    if array.shape[:1] != (n_trials,):
        raise ValueError(
            f"{name} must have one entry per trial, shape ({n_trials},); got "
            f"{array.shape}"
        )
    return array


def _check_starts(start: ArrayLike, n_trials: int) -> np.ndarray:
    """Times (n_trials,) of the first bins."""
    starts = np.asarray(start, dtype=np.float64)
    if starts.shape not in ((), (n_trials,)):
        raise ValueError(
            f"start must be one number or one per trial, shape ({n_trials},); got an "
            f"array of shape {starts.shape}"
        )
    if not np.isfinite(starts).all():
        raise ValueError(f"start must be finite; got {start!r}")
    return np.broadcast_to(starts, (n_trials,))


def _bins_of_windows(
    windows: object, starts: np.ndarray, lengths: np.ndarray, dt: float
) -> list[tuple[np.ndarray, int]]:
    """First bins (n_trials,) and number of bins of each window."""
    if not isinstance(windows, Mapping):
        raise TypeError(
            "windows must be a dict such as {'movement': (0.0, 0.4)}, in seconds; got "
            f"{type(windows).__name__}"
        )
    if not windows:
        raise ValueError("windows is empty; give at least one, name: (start, stop)")
    bins = []
    for name, window in windows.items():
        if np.shape(window) != (2,) or not all(map(_is_time, window)):
            raise ValueError(
                f"window {name!r} must be (start, stop) in seconds; got {window!r}"
            )
        begin, stop = (float(time) for time in window)
        n_bins = round((stop - begin) / dt)
        if n_bins < 1:
            raise ValueError(
                f"window {name!r} from {begin:g} to {stop:g} s has no bin of dt={dt:g} "
                "s; give (start, stop) in seconds, stop after start"
            )
        first = np.rint((begin - starts) / dt).astype(int)
        outside = np.flatnonzero((first < 0) | (first + n_bins > lengths))
        if len(outside):
            trial = outside[0]
            end = starts[trial] + lengths[trial] * dt
            raise ValueError(
                f"window {name!r} from {begin:g} to {stop:g} s reaches beyond trial "
                f"{trial}, which covers {starts[trial]:g} to {end:g} s "
                f"(so for {len(outside)} of {len(starts)} trials): leave these out, or "
                "give another window, dt or start (the time of the first bin)"
            )
        bins.append((first, n_bins))
    return bins


def _is_time(value: object) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)


def _cut(trial: Any, values: np.ndarray, first: int, last: int) -> Any:
    """Time points of a trial: an array of its own, or a frame."""
    if hasattr(trial, "iloc"):
        return trial.iloc[first:last]
    if hasattr(trial, "columns") or hasattr(trial, "isel"):
        return trial[first:last]
    return np.array(values[first:last])
