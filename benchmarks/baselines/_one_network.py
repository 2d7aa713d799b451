"""The baseline of one low-rank network for all trials: JEDI without embeddings."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi import JEDIEstimator, LowRankRNN


class OneNetwork(BaseEstimator):
    """One network without embeddings for all trials.

    A clone of a `JEDIEstimator` with one embedding axis is fitted to all trials as one
    condition. An axis that nothing varies along stays at its prior, and the network is
    the same whatever the embedding.

    Parameters
    ----------
    jedi : JEDIEstimator or None, default=None
        Rank, observation model, training and all else; None: the defaults.

    Attributes
    ----------
    jedi_ : JEDIEstimator
        The fitted clone.
    """

    def __init__(self, jedi: JEDIEstimator | None = None) -> None:
        self.jedi = jedi

    def fit(self, X: ArrayLike, y: Any = None) -> OneNetwork:
        """Fit to trials; labels are ignored."""
        jedi = JEDIEstimator() if self.jedi is None else clone(self.jedi)
        jedi.set_params(embedding_dim=1, embedding="condition")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*embedding ax")
            self.jedi_ = jedi.fit(X, conditions=np.zeros(len(X)))
        return self

    def dynamics(self) -> LowRankRNN:
        """The network, in the units of the data."""
        check_is_fitted(self)
        return self.jedi_.dynamics(self.jedi_.embeddings_[:1])

    def reconstruct(self, X: ArrayLike) -> np.ndarray:
        """Free run from each trial's initial state."""
        check_is_fitted(self)
        return self.jedi_.reconstruct(X, conditions=np.zeros(len(X)))

    def forecast(self, X: ArrayLike, n_steps: int) -> np.ndarray:
        """Run on from the state at each trial's end."""
        check_is_fitted(self)
        return self.jedi_.forecast(X, n_steps, conditions=np.zeros(len(X)))

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """R^2 of free runs, as `JEDIEstimator.score` counts it."""
        check_is_fitted(self)
        return self.jedi_.score(X, conditions=np.zeros(len(X)))
