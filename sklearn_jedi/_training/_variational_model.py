"""Torch: latent dynamics that sessions share, and their evidence lower bound."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from sklearn_jedi._engine._bilinear_em import BilinearModel
from sklearn_jedi._engine._reduction import Rows
from sklearn_jedi._engine._state_space import StateSpace
from sklearn_jedi._training._hypernetwork import Hypernetwork
from sklearn_jedi._training._variational_recognition import Recognition, float_tensor


class LatentFamily(nn.Module):
    """The generative model of all sessions, starting at EM's.

    Training changes the dynamics and their noise. Readouts stay EM's: learned again, on
    fewer trials than EM saw, they made forecasts of others worse in every family tried.

    Latents are in units in which EM's noise of a step is white with variance one, so
    that diagonal noise contains EM's.

    Parameters
    ----------
    models : list of StateSpace
    change_rank, hidden_layer_sizes
        As in `Hypernetwork`.
    """

    root: torch.Tensor
    inverse: torch.Tensor
    read_in: torch.Tensor
    threshold: torch.Tensor
    directions: torch.Tensor
    feature_mean: torch.Tensor
    mean_in: torch.Tensor
    first_mean: torch.Tensor
    whiten_first: torch.Tensor
    loading: torch.Tensor
    parameters_of_noise: torch.Tensor

    def __init__(
        self,
        models: Sequence[StateSpace],
        change_rank: int | None,
        hidden_layer_sizes: Sequence[int],
    ) -> None:
        super().__init__()
        shared = models[0]
        red, affine = shared.red, shared.map
        assert isinstance(affine, BilinearModel)
        root = np.linalg.cholesky(shared.step_cov)
        inverse = np.linalg.inv(root).T
        self.hypernetwork = Hypernetwork(affine.A, hidden_layer_sizes, change_rank)
        self.equation = red.equation
        self.log_density = shared.likelihood.log_density
        first_cov = inverse.T @ shared.first_cov @ inverse
        whiten_first = np.linalg.cholesky(np.linalg.inv(first_cov))
        for name, array in {
            "root": root,
            "inverse": inverse,
            "read_in": red.P @ root,
            "threshold": red.mean_out,
            "directions": red.Q / red.equation.gain,
            "feature_mean": red.feature_mean,
            "mean_in": red.mean_in,
            "first_mean": shared.first_mean @ inverse,
            "whiten_first": whiten_first,
        }.items():
            self.register_buffer(name, float_tensor(array))
        widths = [len(model.loading) for model in models]
        rank = len(root)
        loading = np.zeros((len(models), max(widths), rank + 1))
        padding = shared.likelihood.padding
        parameters = np.empty((len(padding), len(models), max(widths)))
        parameters[:] = np.reshape(padding, (-1, 1, 1))
        for s, (model, width) in enumerate(zip(models, widths, strict=True)):
            loading[s, :width] = model.loading
            parameters[:, s, :width] = model.likelihood.parameters
        self.register_buffer("loading", float_tensor(loading))
        self.register_buffer("parameters_of_noise", float_tensor(parameters))
        self.log_step = nn.Parameter(torch.zeros(rank))

    def dynamics(self, embeddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (n, n_units, rank) of the units' activity, and bias (n, 1, rank)."""
        rows = Rows.of(self.hypernetwork(embeddings))
        slopes = rows.features @ self.inverse
        bias = (rows.constant + self.mean_in) @ self.inverse
        bias = bias - self.feature_mean @ slopes
        return self.directions @ slopes, bias[:, None]

    def step(
        self, z: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        """Expected next states; all of shape (n, 1, rank)."""
        activity, _ = self.equation.activity(z @ self.read_in.T + self.threshold)
        return self.equation.step(z, torch.baddbmm(bias, activity, weights))

    def log_likelihood(
        self, z: torch.Tensor, batch: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Sum over a batch, up to a constant."""
        session, values = batch["session"], batch["values"]
        loading = self.loading[session]
        activity = z @ self.root.T @ loading[..., :-1].mT + loading[:, None, :, -1]
        noise = self.parameters_of_noise[:, session][:, :, None]
        each = self.log_density(values, activity, noise)
        result: torch.Tensor = (each * batch["recorded"]).sum()
        return result

    def models(self, before: Sequence[StateSpace]) -> list[StateSpace]:
        """The models as they now are, in numpy, with one hypernetwork of float64."""
        hypernetwork = copy.deepcopy(self.hypernetwork).cpu().double()
        hypernetwork.requires_grad_(False)
        log_step, root = (
            part.detach().cpu().double().numpy() for part in (self.log_step, self.root)
        )
        half = root * np.exp(log_step)
        return [
            old._replace(map=hypernetwork, step_cov=half @ half.T) for old in before
        ]


class VariationalModel(nn.Module):
    """The generative model, recognition, and the evidence lower bound."""

    def __init__(self, family: LatentFamily, recognition: Recognition) -> None:
        super().__init__()
        self.family = family
        self.recognition = recognition

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The bound, from one draw, divided by the number of recorded values."""
        family, group, within = self.family, batch["group"], batch["within"]
        code = self.recognition(batch)
        embeddings = code.mean + code.variance.sqrt() * torch.randn_like(code.mean)
        weights, bias = (part[group] for part in family.dynamics(embeddings))
        # a second axis of length one, for products of each trial with its weights
        target, gate, sd = (
            part[:, :, None].unbind(1)
            for part in self.recognition.corrections(code, batch)
        )
        noise = torch.randn_like(batch["smoothed"])[:, :, None].unbind(1)
        mean = target[0]
        first = self._first_divergence(mean[:, 0], sd[0][:, 0])
        states, moves = [mean + sd[0] * noise[0]], []
        for t in range(1, len(target)):
            expected = family.step(states[-1], weights, bias)
            moves.append(gate[t] * (target[t] - expected))
            states.append(expected + moves[-1] + sd[t] * noise[t])
        steps = self._step_divergence(torch.cat(moves, 1), torch.cat(sd[1:], 1))
        bound = family.log_likelihood(torch.cat(states, 1), batch)
        bound = bound - first.sum() - (steps * within[:, 1:]).sum()
        of_embeddings = code.mean**2 + code.variance - 1 - code.variance.log()
        bound = bound - 0.5 * (of_embeddings.sum(1)[group] * batch["share"]).sum()
        result: torch.Tensor = bound / batch["recorded"].sum().clamp_min(1)
        return result

    def _first_divergence(self, mean: torch.Tensor, sd: torch.Tensor) -> torch.Tensor:
        """Of the first states' posterior from their prior, per trial."""
        whiten = self.family.whiten_first
        error = (mean - self.family.first_mean) @ whiten
        trace = (sd[:, :, None] * whiten).square().sum((1, 2))
        constant = 2 * whiten.diagonal().log().sum() + mean.shape[1]
        return 0.5 * (error.square().sum(1) + trace - constant) - sd.log().sum(1)

    def _step_divergence(self, move: torch.Tensor, sd: torch.Tensor) -> torch.Tensor:
        """Of each state's posterior from its prediction (n_trials, n_steps)."""
        log_step = self.family.log_step
        squares = (move**2 + sd**2) * (-2 * log_step).exp()
        return (0.5 * (squares - 1) - sd.log() + log_step).sum(2)
