"""The forms in which trials are handed over, and handed back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._data._labelled_arrays import (
    axis_named,
    in_order,
    is_labelled,
    like,
    role_of,
)
from sklearn_jedi._data._neuron_names import Name, check_same, neuron_names, plain_name
from sklearn_jedi._data._numbers import as_numbers, has_masks


class SetOfTrials(Protocol):
    """What `sklearn_jedi.io` returns: a `TrialSet`."""

    @property
    def X(self) -> object: ...

    @property
    def dt(self) -> float: ...

    @property
    def table(self) -> object: ...

    @property
    def units(self) -> object: ...


class SequenceOfTrials(Protocol):
    """An array or a list: what is left of X without tables and labels."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ArrayLike]: ...

    def __getitem__(self, number: int, /) -> ArrayLike: ...


# What the gate takes as X; its docstring says what each of them means.
TrialsLike = ArrayLike | Sequence[ArrayLike] | SetOfTrials
# What comes back: as X was given.
Activity = np.ndarray | list[np.ndarray]


def unwrap(X: TrialsLike) -> SequenceOfTrials:
    """The array or list that X is of, with axes in the order in which they are read.

    A `TrialSet` is its activity, a labelled array in the order of its names, a column
    of a table (a pandas or polars Series) or an array of arrays the list of its
    entries. Anything else is returned as it is.

    Raises
    ------
    TypeError, ValueError
        If X is a single object that is not cut into trials, or holds several arrays.
    """
    inner: Any = X.X if is_trial_set(X) else X
    _refuse_uncut(inner)
    inner = in_order(inner)
    entries = entries_of(inner)
    if entries is not None:
        inner = entries
    if isinstance(inner, (list, tuple)):
        inner = [in_order(trial, one_trial=True) for trial in inner]
        inner = _flat(inner)
    elif has_masks(inner) or _needs_numbers(inner):
        inner = as_numbers(inner, "X")
    elif _is_table(inner) and not all(str(d).startswith("float") for d in inner.dtypes):
        values = as_numbers(inner, "X")
        inner = type(inner)(values, index=inner.index, columns=inner.columns)
    array: SequenceOfTrials = inner
    return array


def _refuse_uncut(X: Any) -> None:
    """Say how objects that are no trials become trials."""
    kind = type(X).__name__
    if hasattr(X, "time_support"):
        raise TypeError(
            f"X is one {kind} of pynapple, and not cut into trials: pass a "
            "list with a TsdFrame for each trial, or let "
            "sklearn_jedi.io.trials_from_pynapple cut it"
        )
    if hasattr(X, "data_vars"):
        raise TypeError(
            f"X is a {kind} of xarray: choose one of its variables, such as "
            f"X[{next(iter(X.data_vars), 'name')!r}]"
        )
    if isinstance(X, Mapping) and not hasattr(X, "toarray"):
        raise TypeError(f"X is a {kind}: pass its trials, list(X.values())")
    if _is_table(X) and X.shape[1] > 1:
        held = [k for k in range(X.shape[1]) if _holds_arrays(X.iloc[:, k])]
        if held:
            raise ValueError(
                f"X is a table of the columns {list(X.columns)}: pass the one with the "
                f"trials, X[{X.columns[held[0]]!r}]"
            )
    if _is_table(X) and "time" in map(role_of, X.index.names):
        raise ValueError(
            "X is one data frame with a row for each time point: pass a frame for each "
            "trial, such as [trial for _, trial in X.groupby('trial', sort=False)]"
        )


def _is_table(X: Any) -> bool:
    """A data frame of pandas."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def _holds_arrays(column: Any) -> bool:
    """Whether a column of a data frame holds arrays, one for each trial."""
    return column.dtype == object and any(_ndim(entry) for entry in column[:1])


def _needs_numbers(X: Any) -> bool:
    """An array of trials of what may be numbers, or certainly is none."""
    kind = getattr(getattr(X, "dtype", None), "kind", "f")
    return kind not in "biuf" and len(X.shape) in (2, 3)


def entries_of(X: Any) -> list[Any] | None:
    """Entries of a column, or of an array of arrays: one for each trial; or None."""
    if _is_table(X) and X.shape[1] == 1:
        X = X.iloc[:, 0]  # a table of one column
    elif hasattr(X, "to_series") and getattr(X, "width", None) == 1:  # of polars
        X = X.to_series()
    if hasattr(X, "to_list") and not hasattr(X, "columns"):  # a Series
        entries = X.to_list()
    elif isinstance(X, np.ndarray) and X.dtype == object and X.size in X.shape:
        entries = X.ravel().tolist()  # also cells of MATLAB, (n_trials, 1)
    else:
        return None
    return entries if any(_ndim(entry) for entry in entries) else None


def _flat(trials: list[Any]) -> Any:
    """Trials of one neuron, or nested lists, as an array where all are of one shape."""
    dims = {_ndim(trial) for trial in trials}
    lengths = {len(trial) for trial in trials if dims == {1}}
    if len(lengths) > 1:
        raise ValueError(
            f"X lists trials of one neuron of different lengths, {sorted(lengths)[:5]}:"
            " pass each as time points x 1, [np.reshape(x, (-1, 1)) for x in X]"
        )
    if dims in ({1}, {2}) and not is_list(trials):
        arrays = [as_numbers(trial, f"trial {k}") for k, trial in enumerate(trials)]
        return np.stack(arrays) if len({x.shape for x in arrays}) == 1 else arrays
    return trials


def _ndim(value: Any) -> int:
    """Axes of an array, a frame, or lists in lists; 0 of a number."""
    if hasattr(value, "shape"):
        n_axes = len(value.shape)
        if isinstance(value, np.ndarray) and value.dtype == object and n_axes == 1:
            return 1 + (_ndim(value[0]) if value.size else 0)  # an array of arrays
        return n_axes
    if isinstance(value, (list, tuple)):
        return 1 + (_ndim(value[0]) if value else 0)
    return 0


def is_trial_set(X: object) -> TypeGuard[SetOfTrials]:
    return all(hasattr(X, name) for name in ("X", "dt", "table", "units"))


def names_of(X: TrialsLike) -> list[Name] | None:
    """Names of the neurons that X has as a whole."""
    if not is_trial_set(X):
        return neuron_names(X) if is_labelled(X) and X.ndim == 3 else None
    units: Any = X.units
    return [plain_name(name) for name in units.index]


def trial_ids(X: TrialsLike) -> Any | None:
    """The ids (n_trials,) that X gives its trials, if it does: an index of pandas."""
    if is_trial_set(X):
        table: Any = X.table
        return table.index
    if is_labelled(X):
        return X.indexes.get(axis_named(X, "trial"))
    if isinstance(X, (list, tuple)):
        labels: Any = [x.coords.get("trial") for x in X if is_labelled(x)]
        ids = [label.item() for label in labels if label is not None and not label.ndim]
        return ids if ids and len(ids) == len(X) else None
    return getattr(X, "index", None) if hasattr(X, "iloc") else None


def is_2d(X: TrialsLike) -> bool:
    """Whether X was read as trials of one neuron."""
    array: Any = unwrap(X)
    if isinstance(array, (list, tuple)):
        return _ndim(array[0]) == 1
    return len(array.shape if hasattr(array, "shape") else np.asarray(array).shape) == 2


def is_list(X: object) -> bool:
    """Whether X lists arrays or frames (time x neurons), which may differ in length."""
    return isinstance(X, (list, tuple)) and any(
        hasattr(trial, "shape") and len(trial.shape) == 2 for trial in X
    )


def in_form_of(X: TrialsLike, trials: Activity) -> Activity:
    """Values of trials (n_timepoints_i, n_neurons_i), in the form of X."""
    if is_2d(X):
        return like(X, np.stack(list(trials))[..., 0])
    if is_list(unwrap(X)) or len({trial.shape for trial in trials}) > 1:
        return list(trials)
    return like(X, trials if isinstance(trials, np.ndarray) else np.stack(trials))


class NamedTrial(np.ndarray):
    """A trial (n_timepoints, n_neurons) that knows the names of its neurons.

    Its time points can be sliced; the gate then tells its neurons as those of a frame.
    """

    columns: list[Name] | None

    @classmethod
    def of(cls, trial: np.ndarray, columns: list[Name]) -> NamedTrial:
        """A trial with names."""
        named = trial.view(cls)
        named.columns = columns
        return named

    def __array_finalize__(self, other: Any) -> None:
        self.columns = getattr(other, "columns", None)


def trials_of(X: TrialsLike, name: str = "X") -> list[np.ndarray]:
    """Trials (n_timepoints_i, n_neurons) of X, floats with NaN where one is missing.

    They know the names of their neurons where X does. Trials of one neuron may have one
    axis.
    """
    trials, array, names = [], unwrap(X), names_of(X)
    if not hasattr(array, "__len__") or isinstance(array, str):
        raise TypeError(
            f"{name} must be trials, such as an array of shape (n_trials, n_timepoints,"
            f" n_neurons) or a list of arrays; got {type(X).__name__}"
        )
    for row in range(len(array)):
        own: Any = array[row]
        trial = np.asarray(as_numbers(own, f"trial {row} of {name}"), dtype=float)
        columns = neuron_names(own) if names is None else names
        trials.append(trial if columns is None else NamedTrial.of(trial, columns))
    return trials


def recorded_trials(X: TrialsLike) -> list[np.ndarray]:
    """Trials (n_timepoints_i, n_neurons) of X, each up to its last value."""
    trials = []
    for trial in trials_of(X):
        values = trial[:, np.newaxis] if trial.ndim == 1 else trial
        recorded = np.flatnonzero(~np.isnan(np.asarray(values)).all(axis=1))
        trials.append(values[: recorded[-1] + 1 if len(recorded) else 0])
    return trials


def refuse_other_units(**sets: list[np.ndarray]) -> None:
    """Raise where trials have names of their neurons by which these are not the same.

    Parameters
    ----------
    **sets : lists of trials from `trials_of`
        By what messages call them.
    """
    expected: list[Name] | None = None
    for name, trials in sets.items():
        for k, trial in enumerate(trials):
            names: list[Name] | None = getattr(trial, "columns", None)
            if names is not None and expected is None:
                expected, since = names, f"{name}, trial {k}"
            elif names is not None and expected is not None:
                check_same(names, expected, f"the units of {name}, trial {k},", since)


def refuse_other_ids(X: TrialsLike, other: TrialsLike, name: str) -> None:
    """Raise where both have ids of their trials, and these are not the same."""
    ids = trial_ids(X), trial_ids(other)
    if ids[0] is not None and ids[1] is not None:
        own, given = (list(map(plain_name, labels)) for labels in (ids[0], ids[1]))
        check_same(given, own, f"the trials of {name}", "X")


def refuse_other_times(X: TrialsLike, other: TrialsLike, name: str) -> None:
    """Raise where both are labelled arrays whose times are not the same."""
    found = []
    for array in (X, other):
        axis = axis_named(array, "time") if is_labelled(array) else None
        if axis is None or axis not in array.coords:  # type: ignore[union-attr]
            return
        found.append(np.asarray(array.coords[axis]))  # type: ignore[union-attr]
    own, given = found
    if len(own) != len(given) or not all(t.dtype.kind in "biuf" for t in found):
        return
    step = np.abs(np.diff(own)).min(initial=np.inf)
    differ = np.flatnonzero(np.abs(given - own) > 0.5 * step)
    if len(differ):
        k = int(differ[0])
        raise ValueError(
            f"the times of {name} are not those of X (the first that differs: "
            f"{given[k]:g}, for {own[k]:g}): select the same ones in the same order, "
            "or pass plain arrays if only the labels differ"
        )


def labels_given(**labels: ArrayLike | None) -> dict[str, ArrayLike]:
    """The labels that are not None, for methods of estimators."""
    return {name: of for name, of in labels.items() if of is not None}
