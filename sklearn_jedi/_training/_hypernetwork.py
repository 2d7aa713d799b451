"""Torch: from embeddings to reduced weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn


class Hypernetwork(nn.Module):
    """The affine map that EM found, plus a perceptron that starts at zero.

    Axes that the data do not support (zero in `A`) have no effect, so that embeddings
    stay at the prior there. Training starts at the closed-form solution and can only
    improve on it. Changes are in units of the standard deviation of the shared weights,
    so that one learning rate suits recordings of any scale.

    Parameters
    ----------
    A : array of shape (embedding_dim + 1, K, rank)
        The affine map, as in `BilinearModel`.
    hidden_layer_sizes : sequence of int
        Widths of the perceptron's hidden layers; none means no perceptron.
    change_rank : int, default=None
        Embeddings change the drive only within its leading directions, this many, in
        which `A_1, A_2, ...` do, so that the change of the weights has at most this
        rank; None: in all.

    References
    ----------
    .. [1] Ha, Dai and Le, "HyperNetworks", ICLR 2017.
    """

    start: torch.Tensor
    unit: torch.Tensor
    supported: torch.Tensor
    within: torch.Tensor | None

    def __init__(
        self,
        A: np.ndarray,
        hidden_layer_sizes: Sequence[int],
        change_rank: int | None = None,
    ) -> None:
        super().__init__()
        self.n_axes, self.shape = len(A) - 1, A.shape[1:]
        self.hidden_layer_sizes = list(hidden_layer_sizes)
        self.change_rank = change_rank
        start = torch.tensor(A.copy(), dtype=torch.get_default_dtype())
        self.register_buffer("start", start)
        self.register_buffer("unit", start[0].std(correction=0).clamp_min(1e-6))
        self.register_buffer("supported", start[1:].flatten(1).any(1).to(start))
        self.change = nn.Parameter(torch.zeros_like(start))
        # not in the state: it follows from A
        self.register_buffer("within", _within(A, change_rank), persistent=False)
        layers: list[nn.Module] = []
        width = self.n_axes
        for size in hidden_layer_sizes:
            layers += [nn.Linear(width, size), nn.Tanh()]
            width = size
        self.perceptron = None
        if layers:
            last = nn.Linear(width, int(np.prod(self.shape)))
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.perceptron = nn.Sequential(*layers, last)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Reduced weights (..., K, rank) of embeddings (..., embedding_dim)."""
        A = self._affine()
        embeddings = embeddings * self.supported
        weights = A[0] + torch.tensordot(embeddings, A[1:], 1)
        if self.perceptron is not None:
            weights = weights + self._scaled(self.perceptron(embeddings))
        result: torch.Tensor = weights
        return result

    def _affine(self) -> torch.Tensor:
        """The affine map, as far as it was trained."""
        change = self.unit * self.change
        if self.within is not None:
            change = torch.cat([change[:1], change[1:] @ self.within])
        return self.start + change

    def _scaled(self, output: torch.Tensor) -> torch.Tensor:
        """What the perceptron's output, or a derivative of it, does to the weights."""
        change = self.unit * output.reshape(*output.shape[:-1], *self.shape)
        result: torch.Tensor = change if self.within is None else change @ self.within
        return result

    @torch.no_grad()
    def weights(self, embeddings: np.ndarray) -> np.ndarray:
        """Reduced weights of shape (n, K, rank), in numpy."""
        result: np.ndarray = self(
            torch.as_tensor(embeddings, dtype=self.start.dtype)
        ).numpy()
        return result

    @torch.no_grad()
    def weights_and_slopes(
        self, embeddings: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same, and derivatives of shape (n, embedding_dim, K, rank).

        By forward mode: one tangent per embedding axis goes through the layers.
        """
        c = torch.as_tensor(embeddings, dtype=self.start.dtype)
        A = self._affine()
        slopes = A[1:].expand(len(c), *A[1:].shape)
        if self.perceptron is not None:
            value, tangent = c * self.supported, torch.eye(c.shape[1], dtype=c.dtype)
            for layer in self.perceptron:
                value = layer(value)
                if isinstance(layer, nn.Linear):
                    tangent = tangent @ layer.weight.T
                else:
                    tangent = tangent * (1 - value**2)[:, None]
            slopes = slopes + self._scaled(tangent)
        slopes = slopes * self.supported[:, None, None]
        return self(c).numpy(), slopes.numpy()


def _within(A: np.ndarray, change_rank: int | None) -> torch.Tensor | None:
    """Projector (rank, rank) on the leading directions of what embeddings change."""
    if change_rank is None or change_rank >= A.shape[2]:
        return None
    stacked = A[1:].reshape(-1, A.shape[2])
    leading = np.linalg.svd(stacked, full_matrices=False)[2][:change_rank]
    return torch.tensor(leading.T @ leading, dtype=torch.get_default_dtype())
