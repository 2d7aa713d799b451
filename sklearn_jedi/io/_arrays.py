"""Trials out of named arrays: activity, bin times, one label per trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._data._labelled_arrays import DIMS
from sklearn_jedi._data._numbers import FILLING
from sklearn_jedi.io._bin_times import start_and_width
from sklearn_jedi.io._files import import_io, quoted
from sklearn_jedi.io._selection import Selection
from sklearn_jedi.io._text import with_text
from sklearn_jedi.io._trial_set import TrialSet

if TYPE_CHECKING:
    from pandas import Index

_NO_LABEL = object()


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
        If the values are not real numbers.
    """
    activity = np.asarray(values)
    if activity.dtype.kind not in "biuf":
        raise ValueError(f"{what} must hold real numbers; it holds {activity.dtype}")
    if activity.dtype not in (np.float32, np.float64):
        activity = activity.astype(np.float64)
    return activity


def chosen_of(
    trials: TrialSet,
    chosen_trials: Selection | None,
    chosen_units: Selection | None,
    what: str,
) -> TrialSet:
    """The trials and neurons that were chosen.

    Raises
    ------
    ValueError
        If nothing is chosen, or values of what is chosen are infinite.
    """
    if chosen_trials is not None or chosen_units is not None:
        trials = trials.select(chosen_trials, chosen_units)
    for trial, values in zip(trials.table.index, trials.X, strict=True):
        refuse_infinite(values, trials.units.index, what, f" in trial {trial}")
    return trials


def refuse_infinite(
    values: np.ndarray, names: Index, what: str, place: str = ""
) -> None:
    """Raise where values (n_timepoints, n_neurons) are infinite, and say of whom."""
    infinite = np.isinf(values).any(axis=0)
    if infinite.any():
        raise ValueError(
            f"{what} has infinite values, of neuron {names[int(infinite.argmax())]}"
            f"{place}: use NaN where none was recorded, or leave the neuron out by "
            "units="
        )


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
    trials: Selection | None,
    units: Selection | None,
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
    trials, units : str, bool array, list of numbers or None
        Those that are chosen.
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
        name: column_of(values, len(X))
        for name, values in arrays.items()
        if name not in (key, time)
    }
    columns = {name: column for name, column in columns.items() if column is not None}
    table = with_text(pandas.DataFrame(columns, index=range(len(X))))
    all_units = pandas.DataFrame(index=range(X.shape[2]))
    everything = TrialSet(X, dt, table, all_units, start)
    return chosen_of(everything, trials, units, f"{where}: {key}")


def column_of(values: object, n_trials: int) -> ArrayLike | None:
    """One number or text per trial, as a column; None where these are none.

    Empty arrays, MATLAB's [], are missing values. The spaces that fill up rows of
    characters are dropped.
    """
    if isinstance(values, np.ndarray) and values.dtype != object:
        if values.shape != (n_trials,):
            return None
        return np.char.rstrip(values, FILLING) if values.dtype.kind == "U" else values
    if not isinstance(values, (list, np.ndarray)) or len(values) != n_trials:
        return None
    labels = [_label(value) for value in values]
    if _NO_LABEL in labels or all(label is None for label in labels):
        return None
    missing = "" if any(isinstance(label, str) for label in labels) else np.nan
    return [missing if label is None else label for label in labels]


def _label(value: Any) -> Any:
    """A number or text; None where there is nothing."""
    if isinstance(value, str):
        return str(value).rstrip(FILLING)
    if isinstance(value, np.ndarray) and value.size < 2:
        return value.item() if value.size else None
    return value if value is None or np.isscalar(value) else _NO_LABEL
