"""Trials as a report takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._estimator import JEDIEstimator
from sklearn_jedi._parameters import check_choice, check_integer
from sklearn_jedi._validation import check_trials
from sklearn_jedi.report._study import Study, Trials

_FEWEST_TRIALS = 6
_FEWEST_TIMEPOINTS = 8
_MOST_LABELS = 20


def prepare(
    X: Any,
    *,
    dt: float,
    labels: ArrayLike | None,
    label_name: str,
    groups: ArrayLike | None,
    rank: int | None,
    embedding_dim: int | None,
    observation: str,
    **settings: Any,
) -> tuple[Study, list[str]]:
    """A study of the trials, and what was left out of it.

    Raises
    ------
    ValueError, TypeError
        If trials, labels or settings cannot be used.
    """
    for name, value in (("rank", rank), ("embedding_dim", embedding_dim)):
        if value is not None:
            check_integer(name, value, 1)
    check_choice("observation", observation, ("auto", "state", "noisy", "poisson"))
    if not 0 < dt <= settings["tau"]:
        raise ValueError(
            f"dt must be positive and at most tau ({settings['tau']} s); got {dt}"
        )
    gate = JEDIEstimator()
    trials, summary = check_trials(gate, X, reset=True, name="the report")
    values = [
        np.array(trials.source[k][:length], dtype=float)
        for k, length in enumerate(trials.lengths)
    ]
    notes: list[str] = []
    names = _labels("labels", labels, len(values))
    together = _labels("groups", groups, len(values))
    kept = np.ones(len(values), dtype=bool)
    for what, of in (("label", names), ("group", together)):
        if of is not None:
            kept &= of != ""
            if (of == "").any():
                notes.append(
                    f"{(of == '').sum()} trials without a {what} are left out."
                )
    short = np.array([len(x) < _FEWEST_TIMEPOINTS for x in values])
    if (short & kept).any():
        notes.append(
            f"{(short & kept).sum()} trials of fewer than {_FEWEST_TIMEPOINTS} time "
            "points are left out."
        )
    kept &= ~short
    if kept.sum() < _FEWEST_TRIALS:
        raise ValueError(
            f"a report needs at least {_FEWEST_TRIALS} trials of at least "
            f"{_FEWEST_TIMEPOINTS} time points (with a label, where labels are given); "
            f"got {kept.sum()} such of {len(values)}"
        )
    values = [x for x, keep in zip(values, kept, strict=True) if keep]
    names = None if names is None else names[kept]
    together = None if together is None else together[kept]
    if names is not None and len(np.unique(names)) > _MOST_LABELS:
        raise ValueError(
            f"{label_name} has {len(np.unique(names))} different values; a report "
            f"compares at most {_MOST_LABELS} conditions: choose another label, or bin "
            "it"
        )
    if together is not None and len(np.unique(together)) < 3:
        raise ValueError(
            "groups needs at least 3 different values, so that some can be held out "
            f"twice; got {len(np.unique(together))}"
        )
    values, silent = _without_constants(values)
    if silent:
        notes.append(f"{silent} neurons that never change are left out.")
    unit = "the unit of the data"
    counts = bool(summary.counts)
    if counts and observation == "auto":
        values, observation = [np.sqrt(x) for x in values], "noisy"
        unit = "√(spikes per bin)"
    elif counts:
        unit = "spikes per bin"
    study = Study(
        values,
        dt=dt,
        unit=unit,
        labels=names,
        label_name=label_name,
        groups=together,
        observation=observation,
        rank=None if rank is None else min(rank, values[0].shape[1]),
        embedding_dim=embedding_dim,
        **settings,
    )
    return study, notes


def _labels(name: str, labels: ArrayLike | None, n_trials: int) -> np.ndarray | None:
    """Labels as text, "" where there is none; whole numbers without a point."""
    if labels is None:
        return None
    array = np.asarray(labels, dtype=object)
    if array.shape != (n_trials,):
        raise ValueError(
            f"{name} must have one entry per trial, shape ({n_trials},); got "
            f"{array.shape}"
        )
    return np.array([_text(label) for label in array.tolist()])


def _text(label: Any) -> str:
    # NaN, NaT and pandas' NA are not equal to themselves
    if label is None or label != label or str(label) in ("<NA>", "NaT"):
        return ""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return f"{label:g}" if isinstance(label, float) else str(label).strip()


def _without_constants(values: Trials) -> tuple[Trials, int]:
    """Trials without the neurons that never change, and how many these are."""
    flat = np.concatenate(values)
    moves = np.nanmax(flat, 0) > np.nanmin(flat, 0)
    if not moves.any():
        raise ValueError("no neuron's activity ever changes: there is nothing to fit")
    return [x[:, moves] for x in values], int((~moves).sum())
