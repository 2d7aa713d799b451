"""The state-space model that the smoother and EM work with."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from sklearn_jedi._engine._likelihoods import Likelihood
from sklearn_jedi._engine._reduction import Reduction


class WeightMap(Protocol):
    """From embeddings to reduced weights: `BilinearModel` or `Hypernetwork`.

    Attributes
    ----------
    n_axes : int
        `embedding_dim`.
    """

    @property
    def n_axes(self) -> int: ...

    def weights(self, embeddings: np.ndarray) -> np.ndarray:
        """Reduced weights (n, K, rank) of embeddings (n, embedding_dim)."""

    def weights_and_slopes(
        self, embeddings: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same, and derivatives of shape (n, embedding_dim, K, rank)."""


class StateSpace(NamedTuple):
    """Parameters of the model, in network units.

    Attributes
    ----------
    red : Reduction[np.ndarray]
        `P`, `Q`, and in `mean_out` the offset `d`.
    map : WeightMap
        From embeddings to reduced weights.
    step_cov : array of shape (rank, rank)
        Covariance of the noise of one step.
    first_mean, first_cov : arrays of shape (rank,), (rank, rank)
        Prior of the state at the first time point.
    loading : array of shape (n_neurons, rank + 1)
        `C`: from `[z, 1]` to the activity of the recorded neurons.
    likelihood : Likelihood
        How recordings scatter about that activity.
    """

    red: Reduction[np.ndarray]
    map: WeightMap
    step_cov: np.ndarray
    first_mean: np.ndarray
    first_cov: np.ndarray
    loading: np.ndarray
    likelihood: Likelihood

    def activity(self, z: np.ndarray) -> np.ndarray:
        """Activity of the units of the network at states z."""
        x: np.ndarray = z @ self.red.P.T + self.red.mean_out
        return x
