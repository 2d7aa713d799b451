"""Scores of free runs and forecasts, and scorers for ``scoring=``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["ForecastScorer", "trajectory_r2"]


def trajectory_r2(X: ArrayLike, X_pred: ArrayLike) -> float:
    """R^2 of predicted activity.

    `1 - SSE / SST`, pooled over trials, time and neurons, SST about each neuron's mean
    over these trials. Leave out bins that the prediction copied from the data.

    Parameters
    ----------
    X, X_pred : array-like of shape (n_trials, n_timepoints, n_neurons)
        Recorded and predicted activity.

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
    true = np.asarray(X, dtype=np.float64)
    predicted = np.asarray(X_pred, dtype=np.float64)
    if true.ndim != 3 or true.shape != predicted.shape:
        raise ValueError(
            "X and X_pred must have the same shape (n_trials, n_timepoints, "
            f"n_neurons); got {true.shape} and {predicted.shape}"
        )
    error = float(((true - predicted) ** 2).sum())
    total = float(((true - true.mean((0, 1))) ** 2).sum())
    if total == 0:
        return 1.0 if error == 0 else 0.0
    return 1 - error / total


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

    def __call__(self, estimator: Any, X: ArrayLike, y: Any = None) -> float:
        trials = np.asarray(X)
        if trials.ndim == 2:
            trials = trials[..., np.newaxis]
        n_timepoints = trials.shape[1]
        if not 2 <= self.n_given < n_timepoints:
            raise ValueError(
                f"n_given must be at least 2 and less than the {n_timepoints} time "
                f"points of a trial; got {self.n_given}"
            )
        forecast = estimator.forecast(
            trials[:, : self.n_given], n_timepoints - self.n_given
        )
        return trajectory_r2(trials[:, self.n_given :], forecast)

    def __repr__(self) -> str:
        return f"ForecastScorer(n_given={self.n_given})"
