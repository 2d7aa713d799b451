"""Forecasts of a peer: Koopman operators by pykoop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from benchmarks.baselines._peers import peer
from benchmarks.baselines._trials import complete_trials


class KoopmanForecast(BaseEstimator):
    """Extended dynamic mode decomposition [1]_ of the `pykoop` package.

    The lifted state holds the principal components of the activity and their products
    up to `order`, both now and `n_delays` time points back, and a constant; ridge
    regression finds its linear map. Forecasts iterate the map in the lifted space. One
    map serves all trials; there is no embedding.

    Parameters
    ----------
    n_components : int, default=10
    n_delays : int, default=5
    order : int, default=1
        Degree of the monomials; 1: the components alone.
    alpha : float, default=0.01
        Penalty of the regression.

    Attributes
    ----------
    pca_ : PCA
    pipeline_ : pykoop.KoopmanPipeline

    References
    ----------
    .. [1] Williams, Kevrekidis and Rowley, "A data-driven approximation of the Koopman
       operator", Journal of Nonlinear Science 25 (2015).
    """

    def __init__(
        self,
        n_components: int = 10,
        n_delays: int = 5,
        order: int = 1,
        alpha: float = 0.01,
    ) -> None:
        self.n_components = n_components
        self.n_delays = n_delays
        self.order = order
        self.alpha = alpha

    def fit(self, X: ArrayLike, y: Any = None) -> KoopmanForecast:
        """Fit to trials (n_trials, n_timepoints, n_neurons); y is ignored."""
        trials = complete_trials(X, self.n_delays + 2)
        pykoop = peer("pykoop")
        flat = trials.reshape(-1, trials.shape[2])
        self.pca_ = PCA(self.n_components, svd_solver="full").fit(flat)
        lifting = [
            ("delays", pykoop.DelayLiftingFn(self.n_delays, 0)),
            ("constant", pykoop.ConstantLiftingFn()),
        ]
        if self.order > 1:
            products = pykoop.PolynomialLiftingFn(order=self.order)
            lifting.insert(0, ("products", products))
        self.pipeline_ = pykoop.KoopmanPipeline(lifting, pykoop.Edmd(alpha=self.alpha))
        self.pipeline_.fit(self._episodes(trials), n_inputs=0, episode_feature=True)
        return self

    def forecast(self, X: ArrayLike, n_steps: int) -> np.ndarray:
        """Run on from each trial's end, (n_trials, n_steps, n_neurons)."""
        check_is_fitted(self)
        trials = complete_trials(X, self.n_delays + 1)
        n_given = self.n_delays + 1
        given = self._episodes(trials[:, -n_given:])
        # no inputs: all that these rows say is how long to run
        length = np.repeat(np.arange(len(trials)), n_given + n_steps)[:, None]
        run = self.pipeline_.predict_trajectory(
            given, length.astype(float), relift_state=False
        )
        components = run[:, 1:].reshape(len(trials), n_given + n_steps, -1)
        return components[:, n_given:] @ self.pca_.components_ + self.pca_.mean_

    def _episodes(self, trials: np.ndarray) -> np.ndarray:
        """Components of all trials, one below the other, each row with its trial."""
        n_trials, n_timepoints, n_neurons = trials.shape
        components = self.pca_.transform(trials.reshape(-1, n_neurons))
        trial = np.repeat(np.arange(n_trials), n_timepoints)
        return np.column_stack([trial, components])
