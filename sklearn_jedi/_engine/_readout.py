"""From states to the activity of recorded neurons: `loading [z, 1]`."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np

from sklearn_jedi._data._trials import Block
from sklearn_jedi._engine._likelihoods import Likelihood, ReadoutSums


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


def new_readout(
    likelihood: Likelihood,
    loading: np.ndarray,
    pieces: Iterable[tuple[Block, np.ndarray]],
) -> tuple[np.ndarray, Likelihood]:
    """The loading and likelihood after one regression of recordings on states.

    Parameters
    ----------
    pieces : iterable of (Block, array)
        Blocks, and draws of `[z, 1]`, of shape (n_draws, n_trials, n_timepoints,
        rank + 1).
    """
    parts = (likelihood.sums(loading, block, one) for block, one in pieces)
    return likelihood.solved(loading, functools.reduce(ReadoutSums.plus, parts))
