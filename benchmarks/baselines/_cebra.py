"""Embeddings of a peer: CEBRA, contrastive in time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from benchmarks.baselines._peers import peer
from benchmarks.baselines._trials import complete_trials


class CebraTime(TransformerMixin, BaseEstimator):
    """CEBRA-Time [1]_ of the `cebra` package; a trial's embedding is its bins' mean.

    One encoder, convolutional over ten bins, is trained without labels on all trials
    one after the other: bins `time_offset` apart are to be close. It has no dynamics,
    so there are no free runs and no forecasts.

    Parameters
    ----------
    n_latents : int, default=8
        Dimensions of the embedding, a point on their sphere for each bin.
    time_offset : int, default=5
        Time points between the bins of a positive pair.
    n_iter : int, default=300
        Steps of Adam.
    learning_rate : float, default=3e-3
        Of Adam.
    batch_size : int, default=128
        Bins of a step.
    random_state : int, RandomState instance or None, default=None
        Draws the first weights and the bins of each step.

    Attributes
    ----------
    model_ : cebra.CEBRA
        The fitted model.

    References
    ----------
    .. [1] Schneider, Lee and Mathis, "Learnable latent embeddings for joint behavioural
       and neural analysis", Nature 617 (2023).
    """

    def __init__(
        self,
        n_latents: int = 8,
        time_offset: int = 5,
        n_iter: int = 300,
        learning_rate: float = 3e-3,
        batch_size: int = 128,
        random_state: Any = None,
    ) -> None:
        self.n_latents = n_latents
        self.time_offset = time_offset
        self.n_iter = n_iter
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> CebraTime:
        """Train on trials (n_trials, n_timepoints, n_neurons); y is ignored."""
        trials = complete_trials(X, 2)
        cebra, torch = peer("cebra"), peer("torch")
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        self.n_neurons_in_ = trials.shape[2]
        model = cebra.CEBRA(
            model_architecture="offset10-model",
            output_dimension=self.n_latents,
            time_offsets=self.time_offset,
            max_iterations=self.n_iter,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            device="cpu",
        )
        flat = trials.reshape(-1, self.n_neurons_in_).astype(np.float32)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model_ = model.fit(flat)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Mean over the bins of each trial, (n_trials, n_latents)."""
        check_is_fitted(self)
        trials = complete_trials(X).astype(np.float32)
        return np.stack([self.model_.transform(trial).mean(0) for trial in trials])
