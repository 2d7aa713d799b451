"""Scores of free runs and forecasts, and scorers for ``scoring=``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from sklearn_jedi._data._forms import (
    TrialsLike,
    labels_given,
    recorded_trials,
    refuse_other_ids,
    refuse_other_times,
    refuse_other_units,
    trials_of,
)
from sklearn_jedi._data._gate import check_labels
from sklearn_jedi._data._halves import second_halves
from sklearn_jedi._data._time_step import warn_of_other_dt
from sklearn_jedi._utils._checks import check_choice, check_integer
from sklearn_jedi._utils._streaming import BitsSums, R2Sums, pooled_bits, pooled_r2
from sklearn_jedi._utils._types import Forecaster

__all__ = ["ForecastScorer", "trajectory_r2"]

Sums = TypeVar("Sums", R2Sums, BitsSums)


def trajectory_r2(X: TrialsLike, X_pred: TrialsLike) -> float:
    """R^2 of predicted activity.

    `1 - SSE / SST`, pooled over trials, time and neurons, SST about each neuron's mean
    over these trials. Leave out bins that the prediction copied from the data.

    Parameters
    ----------
    X, X_pred : array-like of shape (n_trials, n_timepoints, n_neurons), list of \
            arrays of shape (n_timepoints_i, n_neurons), or TrialSet
        Recorded and predicted activity; bins where X is NaN do not count. Labelled
        arrays are read by the names of their axes; where both name trials, times or
        neurons, they have to be the same.

    Returns
    -------
    float
        1 for a perfect prediction; 0 for each neuron's mean. Where the activity does
        not vary: 1 if predicted exactly, otherwise 0.

    Raises
    ------
    ValueError
        If the two are not of the same trials, times and neurons, or a bin that was
        recorded is predicted as NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.metrics import trajectory_r2
    >>> X = np.arange(12.0).reshape(2, 3, 2)
    >>> trajectory_r2(X, X), trajectory_r2(X, np.broadcast_to(X.mean((0, 1)), X.shape))
    (1.0, 0.0)
    """
    trials, runs = paired(X, X_pred, "X_pred")
    for k, (trial, run) in enumerate(zip(trials, runs, strict=True)):
        missing = np.argwhere(np.isnan(run) & ~np.isnan(trial))
        if len(missing):
            time, neuron = missing[0]
            raise ValueError(
                f"X_pred is NaN in trial {k}, time point {time}, neuron {neuron}, "
                "where X was recorded: make X NaN where nothing was predicted"
            )
    return pooled_r2(summed(R2Sums, trials, runs))


def summed(
    kind: type[Sums],
    trials: Sequence[np.ndarray],
    runs: Sequence[np.ndarray],
    sessions: np.ndarray | None = None,
) -> list[Sums]:
    """Sums over the trials of each session; bins where a trial is NaN do not count."""
    numbers = np.zeros(len(trials), dtype=int) if sessions is None else sessions
    parts: dict[int, Sums] = {}
    for number, trial, run in zip(numbers.tolist(), trials, runs, strict=True):
        if number not in parts:
            parts[number] = kind(trial.shape[1])
        parts[number].add(trial[None], run[None], ~np.isnan(trial)[None])
    return list(parts.values())


def check_counts(
    counts: Sequence[np.ndarray], rates: Sequence[np.ndarray], name: str
) -> None:
    """Refuse what is no count, and rates under which counts cannot be.

    Raises
    ------
    ValueError
        It says which value, and where.
    """
    for k, (count, rate) in enumerate(zip(counts, rates, strict=True)):
        known = ~np.isnan(count)
        with np.errstate(invalid="ignore"):
            faults = {
                "X must be spike counts, whole numbers of at least 0 (not their square "
                "roots, nor spikes per second)": (
                    count,
                    (count < 0) | (count % 1 != 0),
                ),
                f"{name} must be expected counts per bin, finite and not negative (of "
                "observation='poisson' or 'negative_binomial')": (
                    rate,
                    (rate < 0) | ~np.isfinite(rate),
                ),
                f"{name} must be positive where there are spikes; a rate of 0 rules "
                "them out": (rate, (rate == 0) & (count > 0)),
            }
        for text, (values, wrong) in faults.items():
            places = np.argwhere(wrong & known)
            if len(places):
                time, neuron = places[0]
                raise ValueError(
                    f"{text}; got {values[time, neuron]:.4g} in trial {k}, time point "
                    f"{time}, neuron {neuron}"
                )


def paired(
    X: TrialsLike, predicted: TrialsLike, name: str
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Trials and predictions as lists of arrays (n_timepoints_i, n_neurons).

    Raises
    ------
    ValueError
        If they have other axes, or not the same, or are of other neurons or trials.
    """
    trials, runs = _as_trials(X, "X"), _as_trials(predicted, name)
    shapes = [[trial.shape for trial in part] for part in (trials, runs)]
    if shapes[0] != shapes[1]:
        described = [_described(of_part) for of_part in shapes]
        raise ValueError(
            f"X and {name} must have the same shape (n_trials, n_timepoints, "
            f"n_neurons), or the same number of trials of the same shapes; got "
            f"{described[0]} and {described[1]}"
        )
    refuse_other_ids(X, predicted, name)
    refuse_other_times(X, predicted, name)
    refuse_other_units(**{"X": trials, name: runs})
    return [np.asarray(x) for x in trials], [np.asarray(x) for x in runs]


def _described(shapes: list[tuple[int, ...]]) -> str:
    if len(set(shapes)) == 1:
        return str((len(shapes), *shapes[0]))
    return f"{len(shapes)} trials of the shapes {sorted(set(shapes))[:3]}"


def _as_trials(X: TrialsLike, name: str) -> list[np.ndarray]:
    trials = trials_of(X, name)
    if not trials or any(trial.ndim != 2 for trial in trials):
        shape = np.shape(trials[0]) if trials else ()
        raise ValueError(
            f"{name} must have the shape (n_trials, n_timepoints, n_neurons), or be a "
            f"list of (n_timepoints_i, n_neurons) arrays; got {(len(trials), *shape)}"
        )
    return trials


class ForecastScorer(BaseEstimator):
    """Scorer: how well the rest of each trial is forecast from its beginning.

    Embeddings and states are inferred from the beginnings alone. Scores are pooled over
    trials, time and neurons; of several sessions, over the neurons of all of them.

    Pass it as ``scoring=`` to scikit-learn, or call it. Where the estimator needs
    labels of trials, enable metadata routing and pass
    ``ForecastScorer().set_score_request(sessions=True)`` (or ``conditions=True``).

    Parameters
    ----------
    n_given : int, default=None
        Time points of each trial that the forecast may see; at least 2. None: half of
        each trial.
    metric : {"r2", "bits_per_spike"}, default="r2"
        "r2": R^2 of the recordings about each neuron's mean over the time points that
        are forecast, see `trajectory_r2`. "bits_per_spike": of spike counts, how much
        more the forecast rates tell than each neuron's mean there, see
        `bits_per_spike`.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_jedi import JEDIEstimator
    >>> from sklearn_jedi.datasets import make_rotation_family
    >>> from sklearn_jedi.metrics import ForecastScorer
    >>> X, _, _ = make_rotation_family(6, n_neurons=20, random_state=0)
    >>> jedi = JEDIEstimator(rank=2, embedding_dim=2, dt=0.01, max_epochs=0)
    >>> cross_val_score(jedi, X, scoring=ForecastScorer(), cv=2).shape
    (2,)
    """

    # scikit-learn reads from the signature of `score` what may be routed to it
    __metadata_request__score: ClassVar[dict[str, Any]] = {"estimator": UNUSED}

    def __init__(self, n_given: int | None = None, *, metric: str = "r2") -> None:
        self.n_given = n_given
        self.metric = metric

    def score(
        self,
        estimator: Forecaster,
        X: TrialsLike,
        y: object = None,
        *,
        sessions: ArrayLike | None = None,
        conditions: ArrayLike | None = None,
    ) -> float:
        """Score the forecasts of a fitted estimator; the same as calling the scorer.

        Parameters
        ----------
        estimator : JEDIEstimator, MetaDynamicalSSM or LinearStateSpace
            Fitted, or any other estimator with a method ``forecast(X, n_steps)``.
        X : trials
            Whole trials of at least 3 time points, in any form that the estimator
            takes.
        y : None
            Ignored.
        sessions, conditions : array-like of shape (n_trials,), default=None
            Labels of the trials, passed on to the estimator's `forecast`. Sessions may
            have different neurons.

        Returns
        -------
        float
            R^2, or bits per spike.
        """
        check_choice("metric", self.metric, ("r2", "bits_per_spike"))
        trials = recorded_trials(X)
        lengths = [len(trial) for trial in trials]
        if max(lengths, default=0) < 3:
            raise ValueError(
                "X needs trials of at least 3 time points, the rest of which is "
                f"forecast from the first; the longest has {max(lengths, default=0)}"
            )
        check_integer("n_given", self.n_given, 1, none=True)
        if self.n_given is not None and not 2 <= self.n_given < min(lengths):
            raise ValueError(
                f"n_given must be at least 2 and less than the {min(lengths)} time "
                f"points of the shortest trial; got {self.n_given}"
            )
        given: Any = labels_given(sessions=sessions, conditions=conditions)
        forecast = partial(estimator.forecast, **given)
        if hasattr(estimator, "dt_"):
            warn_of_other_dt(estimator.dt_, X, type(estimator).__name__)
        later, ahead = second_halves(forecast, trials, self.n_given)
        later = [np.asarray(trial) for trial in later]
        numbers = None
        if sessions is not None:
            numbers = check_labels("sessions", sessions, len(trials))
        if self.metric == "bits_per_spike":
            check_counts(later, ahead, "the forecast")
            return pooled_bits(summed(BitsSums, later, ahead, numbers))
        return pooled_r2(summed(R2Sums, later, ahead, numbers))

    __call__ = score
