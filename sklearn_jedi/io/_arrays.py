"""Trials out of named arrays: activity, bin times, one label per trial."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sklearn_jedi._data._labelled_arrays import DIMS
from sklearn_jedi.io._bin_times import start_and_width
from sklearn_jedi.io._files import import_io, quoted
from sklearn_jedi.io._text import with_text
from sklearn_jedi.io._trial_set import TrialSet


def check_dims(dims: object) -> tuple[str, ...]:
    """The order of the axes, checked.

    Raises
    ------
    ValueError
        If these are not the three names, each once.
    """
    if not isinstance(dims, (list, tuple)) or sorted(dims) != sorted(DIMS):
        raise ValueError(
            "dims must name the axes of the activity, 'trial', 'time' and 'neuron', in "
            f"their order; got {dims!r}"
        )
    return tuple(dims)


def as_activity(values: object, what: str) -> np.ndarray:
    """Activity as floats: float32 stays, everything else becomes float64.

    Raises
    ------
    ValueError
        If the values are not real numbers, or some are infinite.
    """
    activity = np.asarray(values)
    if activity.dtype.kind not in "biuf":
        raise ValueError(f"{what} must hold real numbers; it holds {activity.dtype}")
    if activity.dtype not in (np.float32, np.float64):
        activity = activity.astype(np.float64)
    if np.isinf(activity).any():
        raise ValueError(f"{what} has infinite values; use NaN where none was recorded")
    return activity


def choose(
    names: list[str], asked: str | None, what: str, parameter: str, there: str = ""
) -> str:
    """The name asked for, or the only candidate.

    Parameters
    ----------
    names : list of str
        The candidates.
    asked : str or None
    what, parameter : str
        What they are, and where one of them is named; for messages.
    there : str
        What there is where there are no candidates.

    Raises
    ------
    ValueError
        If it is none of the candidates, or there is not one candidate.
    """
    if asked is None and len(names) == 1:
        return names[0]
    if asked is None or asked not in names:
        problem = (
            f"{parameter} must name one"
            if asked is None
            else f"{asked!r} is none of them"
        )
        found = "" if names or not there else f"; there are: {there}"
        raise ValueError(f"{what}: {problem}; candidates: {quoted(names)}{found}")
    return asked


def with_shapes(arrays: Mapping[str, np.ndarray]) -> str:
    """Names and shapes of arrays, for messages."""
    return ", ".join(f"{name} {a.shape}" for name, a in arrays.items())


def from_arrays(
    arrays: Mapping[str, object],
    key: str,
    dims: tuple[str, ...],
    dt: float | None,
    time: str | None,
    time_unit: str,
    where: str,
) -> TrialSet:
    """Trials of a 3-D array; arrays with one entry a trial become their table.

    Parameters
    ----------
    arrays : mapping of names to arrays or lists
    key, time : str
        The activity, and (or None) the bin times among the arrays.
    dims : tuple of str
        Axes of the activity.
    dt : float or None
        Bin width in s.
    time_unit : str
        Of the bin times.
    where : str
        The file, for messages.
    """
    pandas = import_io("pandas")
    X = as_activity(arrays[key], f"{where}: {key}")
    if 0 in X.shape:
        raise ValueError(f"{where}: {key} is empty; shape {X.shape}")
    X = X.transpose([dims.index(dim) for dim in DIMS])
    if time is not None and time not in arrays:
        raise ValueError(f"{where} has no array {time!r}; there are: {quoted(arrays)}")
    centres = None if time is None else arrays[time]
    start, dt = start_and_width(
        dt, centres, X.shape[1], f"{where}: {time or key}", time_unit
    )
    columns = {
        name: values
        for name, values in arrays.items()
        if name not in (key, time) and _is_column(values, len(X))
    }
    table = with_text(pandas.DataFrame(columns, index=range(len(X))))
    return TrialSet(X, dt, table, pandas.DataFrame(index=range(X.shape[2])), start)


def _is_column(values: object, n_trials: int) -> bool:
    """Whether there is one number or text per trial."""
    if isinstance(values, list):
        return len(values) == n_trials and all(np.isscalar(value) for value in values)
    return bool(getattr(values, "shape", None) == (n_trials,))
