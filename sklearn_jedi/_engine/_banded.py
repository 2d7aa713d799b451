"""Block tridiagonal systems, one per trial: the Hessians of the smoother."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

# What rounding can take from the diagonal of a matrix that is positive definite, as a
# share of its largest entry. More is another matrix.
_ROUNDING = (1e-12, 1e-9)


class NotPositiveDefiniteError(np.linalg.LinAlgError):
    """A matrix that has to be positive definite is not, beyond rounding.

    Parameters
    ----------
    number : int
        Which of the matrices.
    what : str
        How it shows.
    """

    def __init__(self, number: int, what: str) -> None:
        super().__init__(
            f"block tridiagonal matrix {number} is not positive definite: {what}"
        )
        self.number, self.what = number, what


class BlockTridiagonal:
    """Symmetric positive definite block tridiagonal matrices, factored by Cholesky.

    A matrix has `T` diagonal blocks of `rank` x `rank`; solving with it costs a number
    of operations linear in `T`.

    Parameters
    ----------
    diagonal : array of shape (n, T, rank, rank)
    below : array of shape (n, T - 1, rank, rank)
        Blocks (t + 1, t).

    Raises
    ------
    NotPositiveDefiniteError
        If one of the matrices is not positive definite, or not finite; the message
        says which.
    """

    def __init__(self, diagonal: np.ndarray, below: np.ndarray) -> None:
        n, T, rank, _ = diagonal.shape
        self.rank = rank
        band = np.zeros((n, T, rank, 2 * rank))  # of each column: diagonal and below
        for q in range(rank):
            band[:, :, q, : rank - q] = diagonal[:, :, q:, q]
            band[:, :-1, q, rank - q : 2 * rank - q] = below[:, :, :, q]
        finite = np.isfinite(band).all((1, 2, 3))
        if not finite.all():
            number = int(finite.argmin())
            raise NotPositiveDefiniteError(number, "it contains NaN or infinity")
        matrices = band.reshape(n, T * rank, 2 * rank)
        self._factors = [_cholesky(matrix, i) for i, matrix in enumerate(matrices)]

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """`H^-1 rhs` of each matrix; rhs and result (n, T * rank, m)."""
        out = np.empty_like(rhs)
        for i, factor in enumerate(self._factors):
            out[i] = lapack.dpbtrs(factor, rhs[i], lower=1)[0]
        return out

    def draw(self, white: np.ndarray) -> np.ndarray:
        """From standard normal numbers (n, T * rank, m), draws of covariance `H^-1`."""
        out = np.empty_like(white)
        for i, factor in enumerate(self._factors):
            out[i] = lapack.dtbtrs(factor, white[i], uplo="L", trans="T")[0]
        return out

    def log_det(self) -> np.ndarray:
        """Log determinants (n,)."""
        return np.array([2 * np.log(factor[0]).sum() for factor in self._factors])

    def marginal_cov(self, at: np.ndarray) -> np.ndarray:
        """Diagonal blocks (n, rank, rank) of `H^-1`, at one time point (n,) of each."""
        rank = self.rank
        out = np.empty((len(self._factors), rank, rank))
        for i, factor in enumerate(self._factors):
            rows = slice(at[i] * rank, (at[i] + 1) * rank)
            unit = np.zeros((factor.shape[1], rank))
            unit[rows] = np.eye(rank)
            out[i] = lapack.dpbtrs(factor, unit, lower=1)[0][rows]
        return out


def _cholesky(columns: np.ndarray, number: int) -> np.ndarray:
    """Banded Cholesky factor; the diagonal is raised where rounding has spoilt it."""
    factor: np.ndarray
    factor, info = lapack.dpbtrf(columns.T, lower=1)
    for share in _ROUNDING:
        if not info:
            break
        raised = columns.copy()
        raised[:, 0] += share * np.abs(columns[:, 0]).max()
        factor, info = lapack.dpbtrf(raised.T, lower=1, overwrite_ab=1)
    if info:
        what = f"its leading minor of order {info} is not positive"
        raise NotPositiveDefiniteError(number, what)
    return factor
