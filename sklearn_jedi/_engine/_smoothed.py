"""What the smoother finds: the posterior of states and embeddings, and its draws."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi._data._trials import Block
from sklearn_jedi._engine._banded import BlockTridiagonal


class Smoothed(NamedTuple):
    """Laplace's approximation of the posterior of a block of trials.

    Attributes
    ----------
    z : array of shape (n_trials, n_timepoints, rank)
    c : array of shape (n_groups, embedding_dim)
    cov : array of shape (n_groups, embedding_dim, embedding_dim)
        Of the embeddings.
    converged : bool array of shape (n_groups,)
    log_evidence : array of shape (n_groups,)
        Log likelihood, states and embeddings integrated out, up to a constant.
    hessian : BlockTridiagonal
        Of the negative log posterior of each trial, with respect to the states.
    response : array of shape (n_trials, n_timepoints * rank, embedding_dim)
        The states move by `-response` where the embedding moves by one.
    group : int array of shape (n_trials,)
    """

    z: np.ndarray
    c: np.ndarray
    cov: np.ndarray
    converged: np.ndarray
    log_evidence: np.ndarray
    hessian: BlockTridiagonal
    response: np.ndarray
    group: np.ndarray

    def draws(
        self,
        block: Block,
        n_pairs: int,
        sessions: np.ndarray | None = None,
        sessions_of_groups: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Antithetic pairs of draws from the posterior of states and embeddings.

        The random numbers of a trial depend on its number and session alone.

        Parameters
        ----------
        sessions, sessions_of_groups : int arrays of shape (n_trials,), (n_groups,)
            None: all are of one.

        Returns
        -------
        z : array of shape (2 * n_pairs, n_trials, n_timepoints, rank)
        c : array of shape (2 * n_pairs, n_groups, embedding_dim)
        """
        n, T, rank = self.z.shape
        d = self.c.shape[1]
        if sessions is None or sessions_of_groups is None:
            sessions = np.zeros(n, dtype=int)
            sessions_of_groups = np.zeros(len(self.c), dtype=int)
        groups = zip(block.labels, sessions_of_groups, strict=True)
        root = np.linalg.cholesky(self.cov)
        unit = np.stack([_normal(-1 - k, s, (n_pairs, d)) for k, s in groups], 1)
        move_c = np.einsum("gij,pgj->pgi", root, unit)
        white = np.zeros((n, T * rank, n_pairs))
        for i, length in enumerate(block.lengths):
            own = white[i, : int(length) * rank]
            own[:] = _normal(block.numbers[i], sessions[i], own.shape)
        free = self.hessian.draw(white)
        move_z = np.empty((n_pairs, n, T * rank))
        for i in range(n):
            move_z[:, i] = free[i].T - move_c[:, self.group[i]] @ self.response[i].T
        move_z = move_z.reshape(n_pairs, n, T, rank)
        return (
            np.concatenate([self.z + move_z, self.z - move_z]),
            np.concatenate([self.c + move_c, self.c - move_c]),
        )

    def marginal_covs(self) -> np.ndarray:
        """Covariance (n_trials, n_timepoints, rank, rank) of each state."""
        response = self._response
        along = response @ self.cov[self.group][:, None]
        own = self.hessian.marginal_covs()
        result: np.ndarray = own + along @ np.swapaxes(response, -1, -2)
        return result

    def state_cov(self, at: np.ndarray) -> np.ndarray:
        """Joint covariance (n_trials, rank + d, rank + d) of a state and the embedding.

        Parameters
        ----------
        at : int array of shape (n_trials,)
            The time point of each trial.
        """
        (n, _, rank), d, rows = self.z.shape, self.c.shape[1], np.arange(len(at))
        cov = self.cov[self.group]
        out = np.empty((n, rank + d, rank + d))
        out[:, :rank, :rank] = self.marginal_covs()[rows, at]
        out[:, :rank, rank:] = -self._response[rows, at] @ cov
        out[:, rank:, :rank] = np.swapaxes(out[:, :rank, rank:], 1, 2)
        out[:, rank:, rank:] = cov
        return out

    @property
    def _response(self) -> np.ndarray:
        """`response`, of shape (n_trials, n_timepoints, rank, embedding_dim)."""
        result: np.ndarray = self.response.reshape(*self.z.shape, self.c.shape[1])
        return result


def _normal(seed: int, stream: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers that depend on seed (any integer) and stream alone."""
    rng = np.random.default_rng([abs(seed), int(seed < 0), stream])
    return rng.standard_normal(shape)
