"""What the variational autoencoders of trials share: units, objective, training."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from benchmarks.baselines._trials import complete_trials
from sklearn_jedi._utils._threads import few_threads
from sklearn_jedi.metrics import trajectory_r2

_GRADIENT_NORM = 1.0


class VAE(ABC, TransformerMixin, BaseEstimator):
    r"""Variational autoencoder of trials [1]_; subclasses say what its nets are.

    Trials are centred per neuron and divided by one standard deviation, that of all
    values trained on. Training minimises

    .. math:: \langle (x - \hat x)^2 \rangle + \beta \, KL(q(z|x) \| N(0, I)),

    the mean over the values of a trial, the divergence KL over trials: with noise of
    variance `s^2` the evidence lower bound has `beta = 2 s^2 / n_values` [2]_. Adam
    takes minibatches, gradients clipped at norm 1; its learning rate falls to zero
    along a cosine over `n_epochs`. A tenth of the training trials (at least one) is
    held out; training ends after `patience` epochs without a better one on it, and the
    best nets are kept. Labels are not used.

    References
    ----------
    .. [1] Kingma and Welling, "Auto-encoding variational Bayes", ICLR (2014).
    .. [2] Higgins et al., "beta-VAE: learning basic visual concepts with a constrained
       variational framework", ICLR (2017).
    """

    n_latents: int
    beta: float
    n_epochs: int
    learning_rate: float
    batch_size: int
    patience: int
    random_state: Any

    def fit(self, X: ArrayLike, y: Any = None) -> Any:
        """Train on at least 2 trials (n_trials, n_timepoints, n_neurons)."""
        trials = complete_trials(X, 2)
        if len(trials) < 2:
            raise ValueError("one trial is held out: at least 2 are needed; got 1")
        self.n_timepoints_in_, self.n_neurons_in_ = trials.shape[1:]
        rng = check_random_state(self.random_state)
        order = rng.permutation(len(trials))
        n_held_out = max(1, len(trials) // 10)
        held_out, train = trials[order[:n_held_out]], trials[order[n_held_out:]]
        seed = int(rng.randint(2**31 - 1))
        with few_threads(self.n_neurons_in_), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._choose_units(train)
            values = _tensor(self._to_net(train))
            self.module_ = self._module(values)
            self._train(values, _tensor(self._to_net(held_out)))
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Posterior means of the latents, (n_trials, n_latents)."""
        trials = self._check(X)
        with few_threads(self.n_neurons_in_), torch.no_grad():
            mean, _ = self.module_.encode(_tensor(self._to_net(trials)))
        return mean.double().numpy()

    def decode(self, Z: ArrayLike, n_timepoints: int | None = None) -> np.ndarray:
        """Expected trials of latents, (n_trials, n_timepoints, n_neurons)."""
        check_is_fitted(self)
        n_timepoints = n_timepoints or self.n_timepoints_in_
        with few_threads(self.n_neurons_in_), torch.no_grad():
            values = self.module_.decode(_tensor(np.asarray(Z)), n_timepoints)
            return self._from_net(values.double().numpy())

    def reconstruct(self, X: ArrayLike) -> np.ndarray:
        """Trials decoded from the posterior means of their latents; the shape of X."""
        return self.decode(self.transform(X), np.shape(X)[1])

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """R^2 of the reconstruction, pooled over trials, time and neurons."""
        return trajectory_r2(complete_trials(X), self.reconstruct(X))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "best_epoch_")

    # --------------------------------------------------------- for the subclasses

    def _choose_units(self, train: np.ndarray) -> None:
        self.mean_ = train.mean((0, 1))
        self.scale_ = float((train - self.mean_).std()) or 1.0

    def _to_net(self, trials: np.ndarray) -> np.ndarray:
        """What the nets see of trials."""
        return (trials - self.mean_) / self.scale_

    def _from_net(self, values: np.ndarray) -> np.ndarray:
        """Trials, of what the decoder makes."""
        return values * self.scale_ + self.mean_

    @abstractmethod
    def _module(self, train: Tensor) -> nn.Module:
        """Nets with encode(x) -> (mean, log variance), decode(z, n_timepoints) -> x."""

    def _seen(self, x: Tensor) -> Tensor:
        """The part of a minibatch that the encoder sees."""
        return x

    # -------------------------------------------------------------------- helpers

    def _check(self, X: ArrayLike) -> np.ndarray:
        check_is_fitted(self)
        trials = complete_trials(X)
        if trials.shape[2] != self.n_neurons_in_:
            raise ValueError(
                f"X has {trials.shape[2]} neurons, but {type(self).__name__} was "
                f"fitted on {self.n_neurons_in_}: select the same units in both"
            )
        return trials

    def _loss(self, x: Tensor, *, draw: bool) -> Tensor:
        mean, log_var = self.module_.encode(self._seen(x) if draw else x)
        noise = torch.randn_like(mean) if draw else torch.zeros_like(mean)
        z = mean + noise * torch.exp(log_var / 2)
        error = ((self.module_.decode(z, x.shape[1]) - x) ** 2).mean()
        kl = (mean**2 + log_var.exp() - 1 - log_var).sum(1).mean() / 2
        return error + self.beta * kl

    def _train(self, train: Tensor, held_out: Tensor) -> None:
        adam = torch.optim.Adam(self.module_.parameters(), lr=self.learning_rate)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(self.n_epochs, 1))
        best, self.losses_ = None, []
        self.best_epoch_ = 0
        for epoch in range(self.n_epochs):
            self.module_.train()
            for batch in torch.randperm(len(train)).split(self.batch_size):
                adam.zero_grad()
                self._loss(train[batch], draw=True).backward()
                nn.utils.clip_grad_norm_(self.module_.parameters(), _GRADIENT_NORM)
                adam.step()
            decay.step()
            self.module_.eval()
            with torch.no_grad():
                self.losses_.append(float(self._loss(held_out, draw=False)))
            if epoch == 0 or self.losses_[-1] < self.losses_[self.best_epoch_]:
                best = copy.deepcopy(self.module_.state_dict())
                self.best_epoch_ = epoch
            elif epoch - self.best_epoch_ >= self.patience:
                break
        if best is not None:
            self.module_.load_state_dict(best)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)
