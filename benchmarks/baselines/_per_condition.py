"""The baseline of one model per condition, whatever the model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from benchmarks.baselines._trials import complete_trials
from sklearn_jedi.metrics import trajectory_r2


class PerCondition(BaseEstimator):
    """A clone of an estimator for each label.

    `fit` uses the labels of the training trials. Held-out trials are predicted by the
    model of their label where labels are given; otherwise by the model whose free run
    is nearest to their beginning, in squares, the first time point left out since
    some models copy it.

    Parameters
    ----------
    estimator : estimator
        With `fit(X)`, `reconstruct(X)` and `forecast(X, n_steps)`,
        such as `OneNetwork()`, `ForceRNN()` or `LinearStateSpace(4)`.
    n_given : int or None, default=None
        Time points that a label may be read from where a whole trial is at hand; None:
        its first half. `forecast` uses all it is given.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The labels.
    models_ : list
        The fitted models, in this order.
    """

    def __init__(self, estimator: Any, n_given: int | None = None) -> None:
        self.estimator = estimator
        self.n_given = n_given

    def fit(self, X: ArrayLike, y: ArrayLike) -> PerCondition:
        """Fit a model to the trials of each label."""
        trials, labels = complete_trials(X, 2), np.asarray(y)
        if labels.shape != (len(trials),):
            raise ValueError(
                f"y must hold a label for each of the {len(trials)} trials; got shape "
                f"{labels.shape}"
            )
        self.classes_ = np.unique(labels)
        self.models_ = [
            clone(self.estimator).fit(trials[labels == label])
            for label in self.classes_
        ]
        return self

    def errors(self, X: ArrayLike) -> np.ndarray:
        """Mean squared error of each model's free run, (n_trials, n_classes)."""
        check_is_fitted(self)
        trials = complete_trials(X)
        runs = [model.reconstruct(trials) for model in self.models_]
        return np.stack(
            [((run - trials)[:, 1:] ** 2).mean((1, 2)) for run in runs], axis=1
        )

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Labels of the models that run nearest to the beginnings of trials."""
        check_is_fitted(self)
        trials = complete_trials(X)
        n_given = (trials.shape[1] + 1) // 2 if self.n_given is None else self.n_given
        return self.classes_[self.errors(trials[:, : max(n_given, 2)]).argmin(1)]

    def accuracy(self, X: ArrayLike, y: ArrayLike) -> float:
        """Share of trials whose label `predict` gets right."""
        return float(np.mean(self.predict(X) == np.asarray(y)))

    def reconstruct(self, X: ArrayLike, y: ArrayLike | None = None) -> np.ndarray:
        """Free runs of the models of the labels y, or of those predicted."""
        trials = complete_trials(X)
        labels = self.predict(trials) if y is None else y
        return self._each(lambda model, of: model.reconstruct(of), trials, labels)

    def forecast(
        self, X: ArrayLike, n_steps: int, y: ArrayLike | None = None
    ) -> np.ndarray:
        """Forecasts of the models of the labels y, or of those nearest to all of X."""
        check_is_fitted(self)
        trials = complete_trials(X)
        if y is None:
            y = self.classes_[self.errors(trials).argmin(1)]
        return self._each(
            lambda model, given: model.forecast(given, n_steps), trials, y
        )

    def score(self, X: ArrayLike, y: ArrayLike | None = None) -> float:
        """R^2 of free runs, with labels if given; the first time point left out."""
        trials = complete_trials(X)
        return trajectory_r2(trials[:, 1:], self.reconstruct(trials, y)[:, 1:])

    def _each(self, run: Any, trials: np.ndarray, y: ArrayLike) -> np.ndarray:
        """What the model of its label makes of each trial."""
        check_is_fitted(self)
        labels = np.asarray(y)
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"no model was fitted to the labels {unknown.tolist()}")
        out: Any = None
        for label, model in zip(self.classes_, self.models_, strict=True):
            mine = labels == label
            if mine.any():
                part = run(model, trials[mine])
                out = np.empty((len(trials), *part.shape[1:])) if out is None else out
                out[mine] = part
        return out
