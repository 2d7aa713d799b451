"""Cholesky factors of block tridiagonal matrices, stored by band."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack


def cholesky_factors(diagonal: np.ndarray, below: np.ndarray) -> list[np.ndarray]:
    """Banded Cholesky factors of block tridiagonal matrices, one per trial.

    Parameters
    ----------
    diagonal : array of shape (n, T, rank, rank)
    below : array of shape (n, T - 1, rank, rank)
        Blocks (t + 1, t).
    """
    n, T, rank, _ = diagonal.shape
    band = np.zeros((n, T, rank, 2 * rank))  # of each column: the diagonal and below
    for q in range(rank):
        band[:, :, q, : rank - q] = diagonal[:, :, q:, q]
        band[:, :-1, q, rank - q : 2 * rank - q] = below[:, :, :, q]
    return [_cholesky(matrix) for matrix in band.reshape(n, T * rank, 2 * rank)]


def _cholesky(columns: np.ndarray) -> np.ndarray:
    """Banded Cholesky factor; the diagonal is raised where rounding has spoilt it."""
    for jitter in (0.0, 1e-12, 1e-9, 1e-6, 1e-3, 1.0):
        band = columns.copy()
        band[:, 0] += jitter * np.abs(band[:, 0]).max()
        factor, info = lapack.dpbtrf(band.T, lower=1, overwrite_ab=1)
        if not info:
            break
    return factor
