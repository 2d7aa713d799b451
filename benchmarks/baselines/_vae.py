"""The baseline without dynamics: a variational autoencoder of whole trials."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor, nn

from benchmarks.baselines._elbo import VAE


class TrialVAE(VAE):
    """Variational autoencoder of whole trials, flattened and of one length.

    Encoder and decoder are perceptrons of one hidden layer (ReLU). They see all the
    principal components that the flattened trials trained on have: of those nothing is
    lost, and the nets are far smaller than on `n_timepoints n_neurons` values.
    Objective, units and training: `benchmarks.baselines._elbo.VAE`. Without dynamics
    there is no forecast.

    Parameters
    ----------
    n_latents : int, default=16
        Latents of a trial.
    hidden : int, default=128
        Width of both hidden layers.
    beta : float, default=1e-4
        Weight of the divergence from the prior against the mean squared error, in
        units of the variance.
    n_epochs : int, default=300
        Most epochs.
    learning_rate : float, default=1e-3
        Of Adam, at first.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out tenth, the first weights, minibatches and latents.
    batch_size : int, default=16
        Trials of a minibatch.
    patience : int, default=30
        Epochs without a better one on held-out trials that end training.

    Attributes
    ----------
    module_ : torch.nn.Module
        The best nets.
    best_epoch_ : int
        Their epoch.
    losses_ : list of float
        Loss on the held-out tenth after each epoch.
    mean_, scale_ : array of shape (n_timepoints * n_neurons,), float
        Mean trial, and the unit of components, that makes their mean square 1.
    axes_ : array of shape (n_components, n_timepoints * n_neurons)
        Principal axes.
    """

    def __init__(
        self,
        n_latents: int = 16,
        hidden: int = 128,
        beta: float = 1e-4,
        n_epochs: int = 300,
        learning_rate: float = 1e-3,
        random_state: Any = None,
        *,
        batch_size: int = 16,
        patience: int = 30,
    ) -> None:
        self.n_latents = n_latents
        self.hidden = hidden
        self.beta = beta
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.batch_size = batch_size
        self.patience = patience

    def _choose_units(self, train: np.ndarray) -> None:
        flat = train.reshape(len(train), -1)
        self.mean_ = flat.mean(0)
        _, sizes, axes = np.linalg.svd(flat - self.mean_, full_matrices=False)
        self.axes_ = axes[sizes > 1e-9 * sizes[0]] if sizes[0] else axes[:1]
        self.scale_ = np.sqrt((sizes**2).sum() / (len(train) * len(self.axes_))) or 1.0

    def _to_net(self, trials: np.ndarray) -> np.ndarray:
        flat = trials.reshape(len(trials), -1)
        return (flat - self.mean_) @ self.axes_.T / self.scale_

    def _from_net(self, values: np.ndarray) -> np.ndarray:
        flat = values @ self.axes_ * self.scale_ + self.mean_
        return flat.reshape(-1, self.n_timepoints_in_, self.n_neurons_in_)

    def _module(self, train: Tensor) -> nn.Module:
        return _Perceptrons(train.shape[1], self.hidden, self.n_latents)

    def _check(self, X: ArrayLike) -> np.ndarray:
        trials = super()._check(X)
        if trials.shape[1] != self.n_timepoints_in_:
            raise ValueError(
                f"X has {trials.shape[1]} time points, but TrialVAE was fitted on "
                f"{self.n_timepoints_in_} and sees whole trials only"
            )
        return trials


class _Perceptrons(nn.Module):
    def __init__(self, n_values: int, hidden: int, k: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(n_values, hidden), nn.ReLU(), nn.Linear(hidden, 2 * k)
        )
        self.decoder = nn.Sequential(
            nn.Linear(k, hidden), nn.ReLU(), nn.Linear(hidden, n_values)
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.encoder(x).chunk(2, dim=1)
        return mean, log_var

    def decode(self, z: Tensor, n_timepoints: int) -> Tensor:
        return self.decoder(z)
