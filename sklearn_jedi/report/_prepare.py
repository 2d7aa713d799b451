"""Trials as a report takes them."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._data._forms import TrialsLike, names_of
from sklearn_jedi._data._gate import check_trials
from sklearn_jedi._data._labelled_arrays import is_labelled
from sklearn_jedi._data._neuron_names import Name
from sklearn_jedi._data._time_step import choose_dt, choose_tau
from sklearn_jedi._estimators._jedi import JEDIEstimator
from sklearn_jedi._estimators._parameters import OBSERVATIONS
from sklearn_jedi._utils._checks import check_choice, check_integer, check_real
from sklearn_jedi.io import TrialSet
from sklearn_jedi.report._labels import labels_as_text
from sklearn_jedi.report._preparation import Preparation
from sklearn_jedi.report._study import Study, TrialList
from sklearn_jedi.report._text import counted

_FEWEST_TRIALS = 6
_FEWEST_TO_FIT = 4
_FEWEST_TIMEPOINTS = 8
_FEWEST_GROUPS = 3
_MOST_LABELS = 20
_ZERO_WITHIN = (
    "Time 0 is within the trials. Networks see no input: where a cue or movement there "
    "changes the dynamics, one network has to make up for it, and can end in cycles or "
    "fixed points that are none. Report the time before and after it separately "
    "(--window), and see whether findings stay."
)


def prepare(
    X: TrialsLike,
    *,
    dt: float | str,
    tau: float | str,
    start: float | None,
    labels: ArrayLike | None,
    label_name: str,
    groups: ArrayLike | None,
    rank: int | None,
    embedding_dim: int | None,
    observation: str,
    random_state: int,
    n_jobs: int,
) -> tuple[Study, list[str]]:
    """A study of the trials, and what is to be said of them.

    Raises
    ------
    ValueError, TypeError
        If trials, labels or settings cannot be used.
    """
    for name, value in (("rank", rank), ("embedding_dim", embedding_dim)):
        if value is not None:
            check_integer(name, value, 1)
    check_choice("observation", observation, OBSERVATIONS)
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0; -1 uses all cores")
    dt, tau, notes = _times(dt, tau, X)
    if start is None:
        start = _start_of(X, dt)
    trials, summary = check_trials(JEDIEstimator(), X, reset=True, name="the report")
    values = [
        np.array(trials.source[k][:length], dtype=float)
        for k, length in enumerate(trials.lengths)
    ]
    names = labels_as_text("labels", labels, len(values))
    together = labels_as_text("groups", groups, len(values))
    kept, left_out = _usable(values, names, together)
    notes += left_out
    values = [values[trial] for trial in kept]
    names = None if names is None else names[kept]
    together = None if together is None else together[kept]
    _check_labels(names, label_name, together)
    unit, square_root = "the unit of the data", False
    if summary.counts and observation == "auto":
        square_root = True
        values, observation = [np.sqrt(x) for x in values], "gaussian"
        unit = "√(spikes per bin)"
    elif summary.counts:
        unit = "spikes per bin"
    study = Study(
        values,
        dt=dt,
        tau=tau,
        start=start,
        unit=unit,
        labels=names,
        label_name=label_name,
        groups=together,
        observation=observation,
        rank=rank,
        embedding_dim=embedding_dim,
        random_state=random_state,
        n_jobs=n_jobs,
        rows=kept,
        preparation=Preparation(
            list(range(trials.n_neurons)),
            trials.n_neurons,
            _distinct_names(X, trials.n_neurons),
            square_root,
        ),
    )
    if len(study.train) < _FEWEST_TO_FIT:
        raise ValueError(
            f"with these groups {len(study.train)} trials are left to fit, and at "
            f"least {_FEWEST_TO_FIT} are needed: give groups of more even sizes"
        )
    notes += _leave_out_neurons(study)
    _check_sizes(study)
    if _is_zero_within(study):
        notes.append(_ZERO_WITHIN)
    return study, notes


def _distinct_names(X: TrialsLike, n_neurons: int) -> list[Name] | None:
    """Ids of the neurons, where they tell them apart."""
    names = names_of(X)
    return names if names is not None and len({*names}) == n_neurons else None


def _times(
    dt: float | str, tau: float | str, X: object
) -> tuple[float, float, list[str]]:
    """Time step and time constant in seconds, and what is doubtful about them."""
    for name, value in (("dt", dt), ("tau", tau)):
        check_real(name, value, auto=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        step = choose_dt(dt, X)
        if tau != "auto" and step > float(tau):
            raise ValueError(f"dt must be at most tau ({tau} s); got {step}")
        constant = choose_tau(tau, step)
    return step, constant, [f"{one.message}." for one in caught]


def _start_of(X: object, dt: float) -> float:
    """Time of the first bin in seconds, where the data carry it; otherwise 0."""
    if isinstance(X, TrialSet):
        times = X.time
    elif is_labelled(X) and "time" in X.coords:
        times = np.asarray(X.coords["time"])
    else:
        return 0.0
    if len(times) < 2 or times.dtype.kind not in "fiu":
        return 0.0
    # whatever unit these times have
    return float(times[0] / np.median(np.diff(times)) * dt)


def _check_sizes(study: Study) -> None:
    if study.rank is not None and study.rank > study.n_neurons:
        raise ValueError(
            f"rank is {study.rank}, but there are {study.n_neurons} neurons to fit: "
            "give at most that"
        )
    if study.embedding_dim is not None and study.embedding_dim > len(study.train):
        raise ValueError(
            f"embedding_dim is {study.embedding_dim}, but there are "
            f"{len(study.train)} trials to fit: give less"
        )


def _is_zero_within(study: Study) -> bool:
    """Whether time 0, most likely an event, has bins before and after it."""
    longest = max(len(x) for x in study.X)
    return study.start < -study.dt and study.start + study.dt * longest > 2 * study.dt


def _usable(
    values: TrialList, names: np.ndarray | None, together: np.ndarray | None
) -> tuple[np.ndarray, list[str]]:
    """Numbers of the trials that can be used, and why others cannot."""
    kept, notes = np.ones(len(values), dtype=bool), []

    def leave_out(which: np.ndarray, why: str) -> None:
        n_new = int((which & kept).sum())
        if n_new:
            notes.append(f"Left out: {counted(n_new, 'trial')} {why}.")
        kept[which] = False

    if names is not None:
        leave_out(names == "", "without a label")
    if together is not None:
        leave_out(together == "", "without a group")
    lengths = np.array([len(x) for x in values])
    leave_out(
        lengths < _FEWEST_TIMEPOINTS, f"of fewer than {_FEWEST_TIMEPOINTS} time points"
    )
    known = [np.isfinite(x[: len(x) // 2]).any(1).sum() for x in values]
    leave_out(np.array(known) < 2, "with nothing recorded in the first half")
    if kept.sum() < _FEWEST_TRIALS:
        raise ValueError(
            f"a report needs at least {_FEWEST_TRIALS} trials of at least "
            f"{_FEWEST_TIMEPOINTS} time points (with a label, where labels are given); "
            f"got {kept.sum()} such of {len(values)}"
        )
    return np.flatnonzero(kept), notes


def _check_labels(
    names: np.ndarray | None, label_name: str, together: np.ndarray | None
) -> None:
    if names is not None and len(np.unique(names)) > _MOST_LABELS:
        raise ValueError(
            f"{label_name} has {len(np.unique(names))} different values; a report "
            f"compares at most {_MOST_LABELS} conditions: choose another label, or bin "
            "it"
        )
    if together is not None and len(np.unique(together)) < _FEWEST_GROUPS:
        raise ValueError(
            f"groups needs at least {_FEWEST_GROUPS} different values, so that some "
            f"can be held out twice; got {len(np.unique(together))}"
        )


def _leave_out_neurons(study: Study) -> list[str]:
    """Drop the neurons that a fit could learn nothing of."""
    notes = []
    moves = _moves(study.X)
    if not moves.any():
        raise ValueError("no neuron's activity ever changes: there is nothing to fit")
    if not moves.all():
        n_constant = int((~moves).sum())
        notes.append(f"Left out: {counted(n_constant, 'neuron')} that never changed.")
    always = moves.copy()
    for train in (study.train, *(train for train, _ in study.folds(study.train))):
        always &= _moves(study.take(train))
    if not always.any():
        raise ValueError(
            "no neuron was recorded throughout: each changes in only some of the parts "
            "that the trials are split into"
        )
    n_partly = int((moves & ~always).sum())
    if n_partly:
        notes.append(
            f"Left out: {counted(n_partly, 'neuron')} that changed in only some of the "
            "parts that the trials are split into."
        )
    study.X = [x[:, always] for x in study.X]
    given, left = study.preparation, np.flatnonzero(always).tolist()
    given.neurons = [given.neurons[k] for k in left]
    if given.names is not None:
        given.names = [given.names[k] for k in left]
    return notes


def _moves(trials: TrialList) -> np.ndarray:
    """Which neurons have values that differ."""
    flat = np.concatenate(trials)
    known = np.isfinite(flat)
    highest = np.where(known, flat, -np.inf).max(0)
    moving: np.ndarray = highest > np.where(known, flat, np.inf).min(0)
    return moving
