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

    def marginal_covs(self) -> np.ndarray:
        """Diagonal blocks (n, T, rank, rank) of `H^-1`, from the last one back [1]_.

        References
        ----------
        .. [1] Rybicki and Hummer, "An accelerated lambda iteration method for
           multilevel radiative transfer", Astronomy and Astrophysics 245 (1991),
           appendix B.
        """
        rank, factors = self.rank, np.stack(self._factors)
        columns = factors.reshape(len(factors), 2 * rank, -1, rank)
        p, q = np.indices((rank, rank))
        # columns[n, k, t, q] is row t * rank + q + k of column t * rank + q
        diagonal = columns[:, np.maximum(p - q, 0), :, q].transpose(2, 3, 0, 1)
        below = columns[:, rank + p - q, :, q].transpose(2, 3, 0, 1)
        inverse = np.linalg.inv(np.tril(diagonal))
        out = np.swapaxes(inverse, -1, -2) @ inverse
        for t in range(out.shape[1] - 2, -1, -1):
            moved = below[:, t] @ inverse[:, t]
            out[:, t] += np.swapaxes(moved, -1, -2) @ out[:, t + 1] @ moved
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
