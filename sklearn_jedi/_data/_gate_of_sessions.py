"""The gate for trials of several sessions, each with neurons of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._data._forms import TrialsLike, names_of, unwrap
from sklearn_jedi._data._gate import Sizes, Summary, check_labels, check_trials
from sklearn_jedi._data._numbers import as_objects
from sklearn_jedi._data._trials import Trials

Label = str | int | float | None
# The label of the only session where none was given; nothing else can have it.
UNNAMED = None


class SizesOfSessions(Sizes, Protocol):
    """Where the gate notes what it learns of all sessions."""

    n_features_in_: int
    batch_size: int


class Neurons:
    """What is known of a session's neurons; see `check_trials`.

    Attributes
    ----------
    n_neurons_in_ : int
    neuron_names_in_ : array of shape (n_neurons,)
        Where the neurons of its trials have names.
    """

    n_neurons_in_: int
    n_timepoints_in_: int | np.ndarray
    neuron_names_in_: np.ndarray

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size


class SessionTrials(NamedTuple):
    """The trials of one session.

    Attributes
    ----------
    label : int, float, str or None
    rows : int array of shape (n_trials,)
        Which trials of X these are.
    trials : Trials
        In data units.
    summary : Summary
    """

    label: Label
    rows: np.ndarray
    trials: Trials
    summary: Summary


def check_sessions(
    estimator: SizesOfSessions,
    X: TrialsLike,
    sessions: ArrayLike | None,
    *,
    known: dict[Label, Neurons] | None,
) -> tuple[list[SessionTrials], dict[Label, Neurons]]:
    """Validate trials, session by session.

    Parameters
    ----------
    estimator : estimator
        Where nothing is known, gets `n_features_in_` and `n_timepoints_in_`.
    X : list of arrays (n_timepoints_i, n_neurons of the session), or array-like of \
            shape (n_trials, n_timepoints, n_neurons) or (n_trials, n_timepoints), or \
            TrialSet
    sessions : array-like of shape (n_trials,) or None
        The session of each trial; None: all are of one.
    known : dict or None
        The neurons of each session, from `fit`; None: this is `fit`.

    Returns
    -------
    parts : list of SessionTrials
        In the order in which sessions appear.
    neurons : dict
        Of all the sessions.

    Raises
    ------
    ValueError, TypeError
        If the trials cannot be used; the message names the session.
    """
    reset = known is None
    if sessions is None:
        if known is not None and list(known) != [UNNAMED]:
            labels = list(known)
            raise ValueError(
                f"{type(estimator).__name__} was fitted on the sessions "
                f"{_some(labels)}: pass sessions=, the session of each trial, as in fit"
            )
        _refuse_different_neurons(unwrap(X))
        trials, summary = check_trials(estimator, X, reset=reset)
        part = SessionTrials(UNNAMED, np.arange(len(trials)), trials, summary)
        return [part], {UNNAMED: Neurons(trials.batch_size)}
    if reset and hasattr(estimator, "neuron_names_in_"):
        del estimator.neuron_names_in_
    items, names = _items(unwrap(X)), names_of(X)
    numbers = check_labels("sessions", sessions, len(items))
    labels = _plain_labels(sessions, numbers)
    if known is not None:
        _refuse_unseen(estimator, labels, list(known))
    neurons = dict(known or {})
    parts = []
    for number, label in enumerate(labels):
        rows = np.flatnonzero(numbers == number)
        record = neurons.setdefault(label, Neurons(estimator.batch_size))
        try:
            trials, summary = check_trials(
                record,
                [items[row] for row in rows],
                reset=reset,
                name=type(estimator).__name__,
                names=names,
                prefix=f"session {label!r}, trials counted within it: ",
            )
        except (ValueError, TypeError) as error:
            raise type(error)(
                f"session {label!r} ({len(rows)} trials, counted from 0 within the "
                f"session): {error}"
            ) from None
        parts.append(SessionTrials(label, rows, trials, summary))
    if reset:
        lengths = np.empty(len(items), dtype=int)
        for part in parts:
            lengths[part.rows] = part.trials.lengths
        estimator.n_features_in_ = int(max(len(item) for item in items))
        same = len(set(lengths)) == 1
        estimator.n_timepoints_in_ = int(lengths[0]) if same else lengths
    return parts, neurons


def _items(X: Any) -> list[Any]:
    """Trials, one by one."""
    if not hasattr(X, "__len__") or len(X) == 0:
        raise ValueError("X has 0 sample(s): there are no trials in it")
    if hasattr(X, "columns") or np.ndim(X[0]) != 2:
        raise ValueError(
            "with sessions=, X must be a list of (time points x neurons) arrays, one "
            "for each trial, or an array of shape (n_trials, n_timepoints, n_neurons)"
        )
    return [x if hasattr(x, "shape") else np.asarray(x) for x in X]


def _refuse_different_neurons(X: Any) -> None:
    """Trials of different neurons are of several sessions."""
    if isinstance(X, (list, tuple)):
        widths = {np.shape(x)[1] for x in X if np.ndim(x) == 2}
        if len(widths) > 1:
            raise ValueError(
                f"trials have different numbers of neurons, {sorted(widths)[:5]}: pass "
                "sessions=, one label per trial, if they are of several sessions; "
                "otherwise select the same units in all"
            )


def _plain_labels(sessions: ArrayLike, numbers: np.ndarray) -> list[Label]:
    """The label of each number, as Python's own."""
    array = as_objects(sessions)
    firsts = [int(np.argmax(numbers == k)) for k in range(numbers.max() + 1)]
    labels = [array[row] for row in firsts]
    labels = [x.item() if isinstance(x, np.generic) else x for x in labels]
    refuse_mixed(labels)
    return labels


def refuse_mixed(labels: Sequence[object]) -> None:
    """Raise where sessions are labelled by something else than all text or numbers."""
    if not all(isinstance(x, (int, float)) for x in labels) and not all(
        isinstance(x, str) for x in labels
    ):
        kinds = sorted({type(x).__name__ for x in labels})
        raise TypeError(
            f"sessions must be labelled by text or by numbers, not by {kinds}"
        )


def _refuse_unseen(
    estimator: object, labels: Sequence[Label], known: list[Label]
) -> None:
    unseen = [label for label in labels if label not in known]
    if unseen and known == [UNNAMED]:
        raise ValueError(
            f"{type(estimator).__name__} was fitted without sessions=: leave it out, "
            "or fit with it"
        )
    if unseen:
        raise ValueError(
            f"session{'s' * (len(unseen) > 1)} {_some(unseen)} "
            f"{'were' if len(unseen) > 1 else 'was'} not among those of fit, "
            f"{_some(known)}: a readout of the new neurons is needed first; "
            "new = estimator.adapt(X_new, sessions=...) learns it from a few trials"
        )


def _some(labels: Sequence[Label]) -> str:
    text = ", ".join(repr(label) for label in labels[:5])
    return text + (f", ... ({len(labels)} in all)" if len(labels) > 5 else "")
