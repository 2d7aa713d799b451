"""Torch: recognition networks, which guess states and embeddings from recordings."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

_HIDDEN = 32
# The first gate, and standard deviations relative to those of the noise of a step.
_FIRST_GATE = -2.0
_FIRST_LOG_SD = -0.1


class Code(NamedTuple):
    """What recognition makes of a batch.

    Attributes
    ----------
    read : tensor of shape (n_trials, n_timepoints, rank)
        States as a linear readout of each bin by itself guesses them.
    hidden : tensor of shape (n_trials, n_timepoints, n_hidden)
    mean, variance : tensors of shape (n_groups, embedding_dim)
        Of the embeddings' posterior.
    """

    read: torch.Tensor
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

    A bidirectional recurrent network (GRU) runs over what was read. Each trial of a
    group is Gaussian evidence on the group's embedding, which multiplies with the
    prior's N(0, I): means are averaged with their precisions. States follow a deep
    Kalman filter [1]_ with the model's own dynamics as its prediction; its gates see
    the embedding, but do not train it.

    Parameters
    ----------
    read_in : tensor of shape (n_sessions, n_neurons, rank)
        Zero for neurons that a session does not have.
    centre : tensor of shape (n_sessions, n_neurons)
        Recordings at the state zero.
    spread, noise : tensors of shape (rank,)
        Standard deviations of states, and of the noise of what is read.
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
            rank + 1, _HIDDEN, batch_first=True, bidirectional=True
        )
        self.evidence = nn.Linear(2 * _HIDDEN, 2 * embedding_dim)
        self.correction = nn.Sequential(
            nn.Linear(2 * _HIDDEN + embedding_dim, _HIDDEN),
            nn.Tanh(),
            nn.Linear(_HIDDEN, 3 * rank),
        )
        last = self.correction[-1]
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(
                torch.tensor([0.0, _FIRST_GATE, _FIRST_LOG_SD]).repeat_interleave(rank)
            )
        self.first_log_sd = nn.Parameter(noise.log())

    def forward(self, batch: dict[str, torch.Tensor]) -> Code:
        session, within = batch["session"], batch["within"]
        n_recorded = batch["recorded"].sum(2, keepdim=True)
        share = n_recorded / self.n_neurons[session][:, None, None]
        excess = (batch["values"] - self.centre[session][:, None]) * batch["recorded"]
        read = excess @ self.read_in[session] / share.clamp_min(0.05)
        hidden, _ = self.recurrent(torch.cat([read / self.spread, share], 2))
        n_bins = within.sum(1, keepdim=True)
        pooled = (hidden * within[..., None]).sum(1) / n_bins
        value, log_precision = self.evidence(pooled).chunk(2, 1)
        precision = log_precision.exp()
        empty = value.new_zeros(int(batch["group"].max()) + 1, value.shape[1])
        total = 1 + empty.index_add(0, batch["group"], precision)
        mean = empty.index_add(0, batch["group"], precision * value) / total
        return Code(read, hidden, mean, 1 / total)

    def corrections(self, code: Code, group: torch.Tensor) -> Corrections:
        known = code.mean.detach()[group][:, None].expand(-1, code.read.shape[1], -1)
        target, gate, log_sd = self.correction(
            torch.cat([code.hidden, known], 2)
        ).chunk(3, 2)
        first = log_sd[:, :1] + self.first_log_sd
        log_sd = torch.cat([first, log_sd[:, 1:]], 1)
        return Corrections(
            code.read + self.noise * target, gate.sigmoid(), log_sd.exp()
        )
