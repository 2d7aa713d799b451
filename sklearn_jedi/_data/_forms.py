"""The forms in which trials are handed over, and handed back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._data._labelled_arrays import (
    in_order,
    is_labelled,
    like,
    neuron_names,
)


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
    """The array or list of a `TrialSet`; anything else as it is.

    Raises
    ------
    TypeError
        If X is a single object of pynapple, which is not cut into trials.
    """
    inner: Any = X.X if is_trial_set(X) else X
    if hasattr(inner, "time_support"):
        raise TypeError(
            f"X is one {type(X).__name__} of pynapple, and not cut into trials: pass a "
            "list with a TsdFrame for each trial, or let "
            "sklearn_jedi.io.trials_from_pynapple cut it"
        )
    array: SequenceOfTrials = inner
    return array


def is_trial_set(X: object) -> TypeGuard[SetOfTrials]:
    return all(hasattr(X, name) for name in ("X", "dt", "table", "units"))


def names_of(X: TrialsLike) -> list[object] | None:
    """Names of the neurons that X has as a whole; those of numbered neurons do not."""
    if not is_trial_set(X):
        return neuron_names(X)
    units: Any = X.units
    names = list(units.index)
    return names if all(isinstance(name, str) for name in names) else None


def trial_ids(X: TrialsLike) -> np.ndarray | None:
    """The ids (n_trials,) that X gives its trials, if it does."""
    if is_trial_set(X):
        table: Any = X.table
        return np.asarray(table.index)
    if is_labelled(X) and "trial" in X.coords:
        return np.asarray(X.coords["trial"].values)
    return None


def is_2d(X: TrialsLike) -> bool:
    """Whether X was read as trials of one neuron."""
    array: Any = unwrap(X)
    if isinstance(array, (list, tuple)):
        return np.ndim(array[0]) == 1
    return len(array.shape if hasattr(array, "shape") else np.asarray(array).shape) == 2


def is_list(X: object) -> bool:
    """Whether X lists arrays or frames (time x neurons), which may differ in length."""
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        X = list(X)
    return isinstance(X, (list, tuple)) and any(
        hasattr(trial, "shape") and len(trial.shape) == 2 for trial in X
    )


def in_form_of(X: TrialsLike, trials: Activity) -> Activity:
    """Values of trials (n_timepoints_i, n_neurons_i), in the form of X."""
    if is_2d(X):
        return np.stack(list(trials))[..., 0]
    if is_list(unwrap(X)) or len({trial.shape for trial in trials}) > 1:
        return list(trials)
    return like(X, trials if isinstance(trials, np.ndarray) else np.stack(trials))


def recorded_trials(X: TrialsLike) -> list[np.ndarray]:
    """Trials (n_timepoints_i, n_neurons) of X, each up to its last value."""
    trials, ordered = [], in_order(unwrap(X))
    for row in range(len(ordered)):
        trial = np.ma.filled(np.asanyarray(ordered[row], dtype=float), np.nan)
        if trial.ndim == 1:
            trial = trial[:, np.newaxis]
        recorded = np.flatnonzero(~np.isnan(trial).all(axis=1))
        trials.append(trial[: recorded[-1] + 1 if len(recorded) else 0])
    return trials


def labels_given(**labels: ArrayLike | None) -> dict[str, ArrayLike]:
    """The labels that are not None, for methods of estimators."""
    return {name: of for name, of in labels.items() if of is not None}
