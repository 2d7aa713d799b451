"""Torch: recognition networks, which guess states and embeddings from recordings."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

_HIDDEN = 32
# Of the neurons, in bins where fewer were recorded.
_LEAST_SHARE = 0.05


class Code(NamedTuple):
    """What recognition makes of a batch.

    Attributes
    ----------
    hidden : tensor of shape (n_trials, n_timepoints, n_hidden)
    mean, variance : tensors of shape (n_groups, embedding_dim)
        Of the embeddings' posterior.
    """

    hidden: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor


class Corrections(NamedTuple):
    """The states' posterior: what each bin adds to the prediction from the last one.

    `z[t] ~ N(f + gate (target - f), sd^2)` given `f`, predicted from `z[t-1]`.
    """

    target: torch.Tensor
    gate: torch.Tensor
    sd: torch.Tensor


class Recognition(nn.Module):
    """A linear read-in per session, then networks that all sessions share.

    What EM's smoother made of the training trials is where recognition starts: so much
    closer is the bound that what the model gains by training is not what recognition
    failed to see. A bidirectional recurrent network (GRU) runs over what is read of
    each bin beside what was smoothed. It moves the mean, in standard deviations, and
    the variance of each embedding, by the average over the trials of its group in the
    batch. States follow a deep Kalman filter [1]_ with the model's own dynamics as its
    prediction; the embedding is an input of its gates, but not trained through them.

    Parameters
    ----------
    read_in : tensor of shape (n_sessions, n_neurons, rank)
        Zero for neurons that a session does not have.
    centre : tensor of shape (n_sessions, n_neurons)
        Recordings at the state zero.
    spread, noise : tensors of shape (rank,)
        Standard deviations of states, and of the noise of what is read, in units of
        the noise of a step.
    first_sd : tensor of shape (rank,)
        Standard deviation of the smoothed first states.
    embedding_dim : int

    References
    ----------
    .. [1] Krishnan, Shalit and Sontag, "Structured inference networks for nonlinear
       state space models", AAAI (2017).
    """

    centre: torch.Tensor
    spread: torch.Tensor
    noise: torch.Tensor
    n_neurons: torch.Tensor

    def __init__(
        self,
        read_in: torch.Tensor,
        centre: torch.Tensor,
        spread: torch.Tensor,
        noise: torch.Tensor,
        first_sd: torch.Tensor,
        embedding_dim: int,
    ) -> None:
        super().__init__()
        rank = read_in.shape[2]
        self.read_in = nn.Parameter(read_in)
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)
        self.register_buffer("noise", noise)
        self.register_buffer("n_neurons", read_in.any(2).sum(1))
        self.recurrent = nn.GRU(
            2 * rank + 1, _HIDDEN, batch_first=True, bidirectional=True
        )
        self.evidence = nn.Linear(2 * _HIDDEN, 2 * embedding_dim)
        self.correction = nn.Sequential(
            nn.Linear(2 * _HIDDEN + embedding_dim, _HIDDEN),
            nn.Tanh(),
            nn.Linear(_HIDDEN, 3 * rank),
        )
        # what a Kalman filter of random walks, read with this noise, comes to
        filtered = 0.5 * ((1 + 4 * noise**2).sqrt() - 1)
        log_sd = 0.5 * (filtered / (1 + filtered)).log()
        gate = -filtered.log()
        _start_at(self.evidence, torch.zeros(2 * embedding_dim))
        _start_at(self.correction[-1], torch.cat([0 * gate, gate, log_sd]))
        self.first_log_ratio = nn.Parameter(first_sd.log() - log_sd)

    def forward(self, batch: dict[str, torch.Tensor]) -> Code:
        session, within, group = batch["session"], batch["within"], batch["group"]
        n_recorded = batch["recorded"].sum(2, keepdim=True)
        share = n_recorded / self.n_neurons[session][:, None, None]
        excess = (batch["values"] - self.centre[session][:, None]) * batch["recorded"]
        read = excess @ self.read_in[session] / share.clamp_min(_LEAST_SHARE)
        surprise = (read - batch["smoothed"]) / self.noise * (share > 0)
        seen = [surprise, batch["smoothed"] / self.spread, share]
        hidden, _ = self.recurrent(torch.cat(seen, 2))
        pooled = (hidden * within[..., None]).sum(1) / within.sum(1, keepdim=True)
        count = group.bincount()[:, None]

        def average(of_trials: torch.Tensor) -> torch.Tensor:
            total = of_trials.new_zeros(len(count), of_trials.shape[1])
            return total.index_add(0, group, of_trials) / count

        shift, log_ratio = average(self.evidence(pooled)).chunk(2, 1)
        mean, variance = average(batch["mean"]), average(batch["variance"])
        sd = variance.sqrt()
        return Code(hidden, mean + sd * shift, variance * (2 * log_ratio).exp())

    def corrections(self, code: Code, batch: dict[str, torch.Tensor]) -> Corrections:
        smoothed = batch["smoothed"]
        known = code.mean.detach()[batch["group"]][:, None]
        known = known.expand(-1, smoothed.shape[1], -1)
        output = self.correction(torch.cat([code.hidden, known], 2))
        target, gate, log_sd = output.chunk(3, 2)
        first = log_sd[:, :1] + self.first_log_ratio
        log_sd = torch.cat([first, log_sd[:, 1:]], 1)
        return Corrections(smoothed + self.noise * target, gate.sigmoid(), log_sd.exp())


def _start_at(layer: Any, bias: torch.Tensor) -> None:
    """A layer whose output does not depend on its input at first."""
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(bias)


def float_tensor(array: Any) -> torch.Tensor:
    """Of torch's default precision."""
    return torch.as_tensor(np.asarray(array), dtype=torch.get_default_dtype())
