"""How recordings scatter about the activity of the network, and how that is learned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi._data._trials import Block

LEAST_VARIANCE = 1e-6


class Readout(NamedTuple):
    """How recordings scatter about the activity `x` of the network.

    Attributes
    ----------
    poisson : bool
        True for counts of expectation `exp(x + offset)`, False for Gaussian noise.
    variance : array of shape (n_neurons,)
        Of the Gaussian noise, in squared network units.
    offset : array of shape (n_neurons,)
        Log of the expected count at `x = 0`.
    """

    poisson: bool
    variance: np.ndarray
    offset: np.ndarray

    def terms(self, loading: np.ndarray, block: Block) -> GaussianTerms | PoissonTerms:
        """The log likelihood of a block as a function of its states.

        Parameters
        ----------
        loading : array of shape (n_neurons, rank + 1)
            The activity is `loading [z, 1]`.
        """
        if self.poisson:
            return PoissonTerms(loading, block, self.offset)
        return GaussianTerms(loading, block, self.variance)


class GaussianTerms:
    """Negative log likelihood of states: quadratic, its parts computed once."""

    def __init__(self, loading: np.ndarray, block: Block, variance: np.ndarray) -> None:
        P, offset = loading[:, :-1], loading[:, -1]
        rank = P.shape[1]
        weighted = P / variance[:, None]
        residual = block.masked(block.values - offset)
        self._linear = residual @ weighted
        n_bins: np.ndarray | int = block.values.shape[1]
        n_bins = n_bins if block.recorded is None else block.recorded.sum(1)
        fixed = (residual**2).sum(1) / variance + n_bins * np.log(variance)
        self._constant = 0.5 * fixed.sum(1)
        if block.recorded is None:
            self._curvature = (P.T @ weighted)[None, None]
        else:
            outer = (weighted[:, :, None] * P[:, None, :]).reshape(len(P), -1)
            curvature = block.recorded.astype(float) @ outer
            self._curvature = curvature.reshape(*curvature.shape[:2], rank, rank)

    def cost(self, z: np.ndarray) -> np.ndarray:
        """(n_trials,), up to a constant."""
        curved = (self._curvature @ z[..., None])[..., 0]
        return (z * (0.5 * curved - self._linear)).sum((1, 2)) + self._constant

    def slopes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Descent (n_trials, T, rank), curvature that broadcasts with rank x rank."""
        curved = (self._curvature @ z[..., None])[..., 0]
        return self._linear - curved, self._curvature


class PoissonTerms:
    """Negative log likelihood of states that counts were drawn from."""

    def __init__(self, loading: np.ndarray, block: Block, offset: np.ndarray) -> None:
        P = loading[:, :-1]
        self._P, self._offset, self._block = P, loading[:, -1] + offset, block
        self._outer = (P[:, :, None] * P[:, None, :]).reshape(len(P), -1)

    def cost(self, z: np.ndarray) -> np.ndarray:
        """(n_trials,), up to a constant."""
        log_rate = z @ self._P.T + self._offset
        cost = np.exp(log_rate) - self._block.values * log_rate
        return self._block.masked(cost).sum((1, 2))

    def slopes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Descent (n_trials, T, rank), curvature (n_trials, T, rank, rank)."""
        rate = self._block.masked(np.exp(z @ self._P.T + self._offset))
        descent = (self._block.values - rate) @ self._P
        return descent, (rate @ self._outer).reshape(*z.shape, z.shape[2])


class ReadoutSums(NamedTuple):
    """The regression of recordings on `[z, 1]`: normal equations of one Newton step.

    Attributes
    ----------
    curvature : array of shape (n_neurons or 1, rank + 1, rank + 1)
    cross : array of shape (n_neurons, rank + 1)
        Recordings times `[z, 1]`; for counts, their excess over the expected ones.
    squares, n_recorded : arrays of shape (n_neurons,)
        Of the recordings.
    """

    curvature: np.ndarray
    cross: np.ndarray
    squares: np.ndarray
    n_recorded: np.ndarray

    def plus(self, other: ReadoutSums) -> ReadoutSums:
        return ReadoutSums(
            self.curvature + other.curvature,
            self.cross + other.cross,
            self.squares + other.squares,
            self.n_recorded + other.n_recorded,
        )


def readout_sums(
    readout: Readout, loading: np.ndarray, block: Block, one: np.ndarray
) -> ReadoutSums:
    """Sums over a block.

    Parameters
    ----------
    loading : array of shape (n_neurons, rank + 1)
        The present readout.
    one : array of shape (n_draws, n_trials, n_timepoints, rank + 1)
        Draws of `[z, 1]`.
    """
    n_draws, size, n_neurons = len(one), one.shape[3], len(loading)
    values = block.values.reshape(-1, n_neurons)
    squares = np.einsum("sk,sk->k", values, values)
    if readout.poisson:
        cross = np.zeros((n_neurons, size))
        curvature = np.zeros((n_neurons, size * size))
        for draw in one:
            rate = block.masked(np.exp(draw @ loading.T + readout.offset))
            rate, rows = rate.reshape(-1, n_neurons), draw.reshape(-1, size)
            outer = (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
            cross += (values - rate).T @ rows / n_draws
            curvature += rate.T @ outer / n_draws
        curvature = curvature.reshape(-1, size, size)
        return ReadoutSums(curvature, cross, squares, block.n_recorded)
    cross = values.T @ one.mean(0).reshape(-1, size)
    if block.recorded is None:
        rows = one.reshape(-1, size)
        curvature = np.broadcast_to(rows.T @ rows / n_draws, (n_neurons, size, size))
    else:
        outer = np.einsum("sntp,sntq->ntpq", one, one, optimize=True) / n_draws
        recorded = block.recorded.reshape(-1, n_neurons).astype(float)
        curvature = recorded.T @ outer.reshape(len(recorded), -1)
        curvature = curvature.reshape(-1, size, size)
    return ReadoutSums(curvature, cross, squares, block.n_recorded)


def solve_readout(
    readout: Readout, loading: np.ndarray, sums: ReadoutSums
) -> tuple[np.ndarray, Readout]:
    """The new readout (n_neurons, rank + 1), lightly shrunk, and its noise."""
    size = loading.shape[1]
    level = np.trace(sums.curvature, axis1=1, axis2=2) / size
    jitter = 1e-6 * level + np.finfo(float).tiny
    curvature = sums.curvature + jitter[:, None, None] * np.eye(size)
    solved = np.linalg.solve(curvature, sums.cross[..., None])[..., 0]
    if readout.poisson:
        return loading + solved, readout
    seen = sums.n_recorded > 0
    explained = 2 * np.einsum("nk,nk->n", solved, sums.cross)
    explained -= np.einsum("ni,nij,nj->n", solved, sums.curvature, solved)
    variance = (sums.squares - explained) / np.maximum(sums.n_recorded, 1)
    least = LEAST_VARIANCE * max(1.0, float(variance[seen].mean()))
    variance = np.where(seen, np.maximum(variance, least), readout.variance)
    return np.where(seen[:, None], solved, loading), readout._replace(variance=variance)


def with_one(z: np.ndarray) -> np.ndarray:
    """States with a one at the end of each."""
    return np.concatenate([z, np.ones((*z.shape[:-1], 1))], axis=-1)


def gauge(
    loading: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Orthonormal `P` and an offset orthogonal to it, for `z' = turn z + shift`."""
    P, turn = np.linalg.qr(loading[:, :-1])
    sign = np.where(np.diag(turn) < 0, -1.0, 1.0)
    P, turn = P * sign, sign[:, None] * turn
    shift = loading[:, -1] @ P
    return P, loading[:, -1] - P @ shift, turn, shift
