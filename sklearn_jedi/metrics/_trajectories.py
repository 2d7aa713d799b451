"""Scores of free runs and forecasts, and scorers for ``scoring=``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._utils._streaming import R2Sums

__all__ = ["ForecastScorer", "trajectory_r2"]


def trajectory_r2(X: ArrayLike, X_pred: ArrayLike) -> float:
    """R^2 of predicted activity.

    `1 - SSE / SST`, pooled over trials, time and neurons, SST about each neuron's mean
    over these trials. Leave out bins that the prediction copied from the data.

    Parameters
    ----------
    X, X_pred : array-like of shape (n_trials, n_timepoints, n_neurons) or list of \
            arrays of shape (n_timepoints_i, n_neurons)
        Recorded and predicted activity; bins where X is NaN do not count.

    Returns
    -------
    float
        1 for a perfect prediction; 0 for each neuron's mean. Where the activity does
        not vary: 1 if predicted exactly, otherwise 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.metrics import trajectory_r2
    >>> X = np.arange(12.0).reshape(2, 3, 2)
    >>> trajectory_r2(X, X), trajectory_r2(X, np.broadcast_to(X.mean((0, 1)), X.shape))
    (1.0, 0.0)
    """
    trials, runs = as_trials(X, "X"), as_trials(X_pred, "X_pred")
    check_shapes(X, X_pred, "X_pred")
    sums = R2Sums(trials[0].shape[1])
    for trial, run in zip(trials, runs, strict=True):
        sums.add(trial[None], run[None], ~np.isnan(trial)[None])
    return sums.r2()


def as_trials(X: Any, name: str) -> list[np.ndarray]:
    """Trials as a list of arrays (n_timepoints_i, n_neurons)."""
    trials = [np.asarray(trial, dtype=np.float64) for trial in X]
    if not trials or any(trial.ndim != 2 for trial in trials):
        raise ValueError(
            f"{name} must have the shape (n_trials, n_timepoints, n_neurons), or be a "
            f"list of (n_timepoints_i, n_neurons) arrays; got {np.shape(trials[:1])}"
        )
    return trials


def check_shapes(X: Any, predicted: Any, name: str) -> None:
    """Refuse predictions of other shapes than the recordings."""
    if [np.shape(trial) for trial in X] != [np.shape(run) for run in predicted]:
        raise ValueError(
            f"X and {name} must have the same shape (n_trials, n_timepoints, "
            f"n_neurons); got {np.shape(X)} and {np.shape(predicted)}"
            if not isinstance(X, list)
            else f"X and {name} must have the same number of trials of the same shapes"
        )


class ForecastScorer:
    """Scorer: R^2 of the rest of each trial, forecast from its beginning.

    Parameters
    ----------
    n_given : int
        Time points of each trial that the forecast may see; at least 2.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_jedi import JEDIEstimator
    >>> from sklearn_jedi.datasets import make_rotation_family
    >>> from sklearn_jedi.metrics import ForecastScorer
    >>> X, _, _ = make_rotation_family(6, n_neurons=20, random_state=0)
    >>> jedi = JEDIEstimator(rank=2, embedding_dim=2, max_epochs=0)
    >>> cross_val_score(jedi, X, scoring=ForecastScorer(50), cv=2).shape
    (2,)
    """

    def __init__(self, n_given: int) -> None:
        self.n_given = n_given

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        trials = [np.asarray(trial) for trial in X]
        if trials[0].ndim == 1:
            trials = [trial[:, np.newaxis] for trial in trials]
        shortest = min(len(trial) for trial in trials)
        if not 2 <= self.n_given < shortest:
            raise ValueError(
                f"n_given must be at least 2 and less than the {shortest} time points "
                f"of the shortest trial; got {self.n_given}"
            )
        later = [trial[self.n_given :] for trial in trials]
        forecast = estimator.forecast(
            np.stack([trial[: self.n_given] for trial in trials]),
            max(len(trial) for trial in later),
        )
        return trajectory_r2(
            later, [run[: len(part)] for run, part in zip(forecast, later, strict=True)]
        )

    def __repr__(self) -> str:
        return f"ForecastScorer(n_given={self.n_given})"
