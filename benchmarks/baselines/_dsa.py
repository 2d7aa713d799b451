"""Dissimilarities of a peer: dynamical similarity analysis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from benchmarks.baselines._peers import peer
from benchmarks.baselines._trials import complete_trials


class DynamicalSimilarity(TransformerMixin, BaseEstimator):
    """DSA [1]_ of the `dsa-metric` package, one linear model for each trial.

    Each trial gets a delay-embedded dynamic mode decomposition of its principal
    components; a trial's embedding is its dissimilarities to the training trials. They
    are Wasserstein distances of the eigenvalues, the package's default; the paper's
    alignment of vector fields would be optimised anew for each of the pairs.

    Parameters
    ----------
    n_delays : int, default=5
    rank : int, default=10
        Of each trial's decomposition.
    n_components : int, default=10
        Principal components, of all training trials, that it acts on.

    Attributes
    ----------
    pca_ : PCA
    trials_ : list of arrays of shape (n_timepoints, n_components)
        The training trials.
    embeddings_ : array of shape (n_trials, n_trials)
        Their dissimilarities.

    References
    ----------
    .. [1] Ostrow et al., "Beyond geometry: comparing the temporal structure of
       computation in neural circuits with dynamical similarity analysis", NeurIPS
       (2023).
    """

    def __init__(
        self, n_delays: int = 5, rank: int = 10, n_components: int = 10
    ) -> None:
        self.n_delays = n_delays
        self.rank = rank
        self.n_components = n_components

    def fit(self, X: ArrayLike, y: Any = None) -> DynamicalSimilarity:
        """Compare the trials with each other; y is ignored."""
        trials = complete_trials(X, self.n_delays + 1)
        flat = trials.reshape(-1, trials.shape[2])
        self.pca_ = PCA(self.n_components, svd_solver="full").fit(flat)
        self.trials_ = self._components(trials)
        self.embeddings_ = self._compare(self.trials_)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Dissimilarity to each training trial, (n_trials, n_training_trials)."""
        check_is_fitted(self)
        return self._compare(self._components(complete_trials(X)))

    def _compare(self, trials: list[np.ndarray]) -> np.ndarray:
        analysis = peer("DSA").DSA(
            trials,
            self.trials_,
            n_delays=self.n_delays,
            rank=self.rank,
            score_method="wasserstein",
        )
        return np.asarray(analysis.fit_score()).reshape(len(trials), len(self.trials_))

    def _components(self, trials: np.ndarray) -> list[np.ndarray]:
        return [self.pca_.transform(trial) for trial in trials]
