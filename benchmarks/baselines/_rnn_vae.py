"""The baseline with latents but no networks of neurons: a recurrent VAE."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from benchmarks.baselines._elbo import VAE


class RecurrentVAE(VAE):
    """Variational autoencoder of trials with recurrent encoder and decoder.

    A bidirectional gated recurrent unit (GRU) [1]_ reads the trial; its two last
    states give the posterior of the latent `z`. The decoder is a GRU that runs on its
    own: its first state is `tanh(A z + a)`, `z` is its input at every step, and the
    activity is read out linearly, as in autonomous LFADS [2]_. Objective, units and
    training: `benchmarks.baselines._elbo.VAE`.

    Parameters
    ----------
    n_latents : int, default=16
        Latents of a trial.
    hidden : int, default=128
        Units of the decoder, and of each direction of the encoder.
    beta : float, default=1e-5
        Weight of the divergence from the prior against the mean squared error, in
        units of the variance.
    n_epochs : int, default=300
        Most epochs.
    learning_rate : float, default=5e-3
        Of Adam, at first.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out tenth, the first weights, minibatches, latents and what the
        encoder sees.
    batch_size : int, default=16
        Trials of a minibatch.
    patience : int, default=30
        Epochs without a better one on held-out trials that end training.
    least_seen : float, default=0.5
        In training the encoder sees the beginning of each minibatch, of a length drawn
        from this share to the whole of the trial, and all of it is to be decoded: it
        learns to forecast. 1 shows it whole trials only.

    Attributes
    ----------
    module_ : torch.nn.Module
        The best nets.
    best_epoch_ : int
        Their epoch.
    losses_ : list of float
        Loss on the held-out tenth, seen as a whole, after each epoch.
    mean_, scale_ : array of shape (n_neurons,), float
        Units of the nets, in those of the data.

    References
    ----------
    .. [1] Cho et al., "Learning phrase representations using RNN encoder-decoder for
       statistical machine translation", EMNLP (2014).
    .. [2] Pandarinath et al., "Inferring single-trial neural population dynamics using
       sequential auto-encoders", Nature Methods 15 (2018).
    """

    def __init__(
        self,
        n_latents: int = 16,
        hidden: int = 128,
        beta: float = 1e-5,
        n_epochs: int = 300,
        learning_rate: float = 5e-3,
        random_state: Any = None,
        *,
        batch_size: int = 16,
        patience: int = 30,
        least_seen: float = 0.5,
    ) -> None:
        self.n_latents = n_latents
        self.hidden = hidden
        self.beta = beta
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.batch_size = batch_size
        self.patience = patience
        self.least_seen = least_seen

    def forecast(self, X: ArrayLike, n_steps: int) -> np.ndarray:
        """Infer latents from what is given, run the decoder on past its end."""
        n_given = np.shape(X)[1]
        return self.decode(self.transform(X), n_given + n_steps)[:, n_given:]

    def _module(self, train: Tensor) -> nn.Module:
        return _GatedNets(train.shape[2], self.hidden, self.n_latents)

    def _seen(self, x: Tensor) -> Tensor:
        n_timepoints = x.shape[1]
        fewest = max(2, round(self.least_seen * n_timepoints))
        n_seen = int(torch.randint(fewest, n_timepoints + 1, ()))
        return x[:, :n_seen]


class _GatedNets(nn.Module):
    def __init__(self, n_neurons: int, hidden: int, k: int) -> None:
        super().__init__()
        self.encoder = nn.GRU(n_neurons, hidden, batch_first=True, bidirectional=True)
        self.posterior = nn.Linear(2 * hidden, 2 * k)
        self.first_state = nn.Linear(k, hidden)
        self.decoder = nn.GRU(k, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, n_neurons)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        last = self.encoder(x)[1]
        mean, log_var = self.posterior(torch.cat([last[0], last[1]], 1)).chunk(2, 1)
        return mean, log_var

    def decode(self, z: Tensor, n_timepoints: int) -> Tensor:
        first = torch.tanh(self.first_state(z))[None]
        states = self.decoder(z[:, None].expand(-1, n_timepoints, -1), first)[0]
        return self.readout(states)
