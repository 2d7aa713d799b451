"""The linear state-space model of a peer: dynamax."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from benchmarks.baselines._linear_network import linear_network
from benchmarks.baselines._peers import peer
from benchmarks.baselines._trials import complete_trials
from sklearn_jedi import LowRankRNN
from sklearn_jedi.metrics import trajectory_r2


class DynamaxLinear(BaseEstimator):
    """`LinearGaussianConjugateSSM` of the `dynamax` package, fitted by EM [1]_.

    In double precision, with its default priors (without them EM breaks down where
    there is little noise), from principal components as the first readout. Unlike
    `LinearStateSpace`, the noise of the neurons may be correlated.

    Parameters
    ----------
    n_states : int, default=8
    n_iter : int, default=30
        Rounds of EM.

    Attributes
    ----------
    params_ : dynamax's parameters
    log_posterior_ : array of shape (n_iter,)

    References
    ----------
    .. [1] Linderman et al., "Dynamax: a Python package for probabilistic state space
       modeling with JAX", Journal of Open Source Software 10 (2025).
    """

    def __init__(self, n_states: int = 8, n_iter: int = 30) -> None:
        self.n_states = n_states
        self.n_iter = n_iter

    def fit(self, X: ArrayLike, y: Any = None) -> DynamaxLinear:
        """Fit to trials (n_trials, n_timepoints, n_neurons); y is ignored."""
        trials = complete_trials(X, 2)
        jax, models = peer("jax"), peer("dynamax.linear_gaussian_ssm")
        n_neurons = trials.shape[2]
        flat = trials.reshape(-1, n_neurons)
        mean = flat.mean(0)
        _, axes = np.linalg.eigh((flat - mean).T @ (flat - mean))
        with jax.enable_x64(True):
            self.model_ = models.LinearGaussianConjugateSSM(self.n_states, n_neurons)
            first, properties = self.model_.initialize(
                emission_weights=jax.numpy.asarray(axes[:, ::-1][:, : self.n_states]),
                emission_bias=jax.numpy.asarray(mean),
            )
            # inside jit the trials are no constants, which XLA would be slow to fold
            fit_em = jax.jit(
                lambda start, trials: self.model_.fit_em(
                    start, properties, trials, num_iters=self.n_iter, verbose=False
                )
            )
            self.params_, log_posterior = fit_em(first, jax.numpy.asarray(trials))
        self.log_posterior_ = np.asarray(log_posterior)
        return self

    def reconstruct(self, X: ArrayLike) -> np.ndarray:
        """Run from the smoothed first state, without noise; the shape of X."""
        trials = complete_trials(X)
        first = self._states("smoother", "smoothed_means", trials)[:, 0]
        return self._run(first, trials.shape[1])

    def forecast(self, X: ArrayLike, n_steps: int) -> np.ndarray:
        """Run on from the filtered last state (n_trials, n_steps, n_neurons)."""
        trials = complete_trials(X)
        last = self._states("filter", "filtered_means", trials)[:, -1]
        return self._run(last, n_steps + 1)[:, 1:]

    def dynamics(self) -> LowRankRNN:
        """The expected activity's map as a linear network."""
        return linear_network(*self._matrices())

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """R^2 of free runs; the first time point left out."""
        return trajectory_r2(complete_trials(X)[:, 1:], self.reconstruct(X)[:, 1:])

    def _matrices(self) -> tuple[np.ndarray, ...]:
        check_is_fitted(self)
        dynamics, readout = self.params_.dynamics, self.params_.emissions
        parts = dynamics.weights, dynamics.bias, readout.weights, readout.bias
        return tuple(np.asarray(part) for part in parts)

    def _states(self, method: str, means: str, trials: np.ndarray) -> np.ndarray:
        check_is_fitted(self)
        jax = peer("jax")

        def one(trial: Any) -> Any:
            return getattr(getattr(self.model_, method)(self.params_, trial), means)

        with jax.enable_x64(True):
            return np.asarray(jax.vmap(one)(jax.numpy.asarray(trials)))

    def _run(self, z: np.ndarray, n_timepoints: int) -> np.ndarray:
        A, b, C, d = self._matrices()
        path = [z]
        for _ in range(n_timepoints - 1):
            path.append(path[-1] @ A.T + b)
        return np.stack(path, 1) @ C.T + d
