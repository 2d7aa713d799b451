r"""Closed-form start and EM for the bilinear model of trials and embeddings.

Trial i follows, in the reduced drives and features of `_moments`,

    y_i = f_i (A_0 + sum_j c_ij A_j) + noise,    c_i ~ N(0, I),

and EM [1]_ alternates the Gaussian posterior of each `c_i` with one pooled regression.

References
----------
.. [1] Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the
   EM algorithm", Journal of the Royal Statistical Society B 39 (1977).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from scipy import linalg

from sklearn_jedi._engine._moments import (
    Moments,
    moving_average,
    trial_moments,
    whole_windows,
)

# Passes over a recording whose moments do not fit in memory, after EM on a part.
_PASSES = 3
_EVIDENCE_ROUNDS = 3


class BilinearModel(NamedTuple):
    """The affine map from embeddings to reduced weights, and its noise.

    Attributes
    ----------
    A : array of shape (embedding_dim + 1, K, rank)
        `A[0]` is shared, `A[j]` is what one unit of embedding axis j adds.
    noise_cov : array of shape (rank, rank)
        Covariance of the residuals of one (averaged) step.
    inflation : float
        Number of serially correlated residuals that count as one.
    n_iter : int
        EM iterations done.
    known : array of shape (K, K), default=None
        How well the weights of a network are known: the precision of a column, in units
        of that of the noise. None: exactly.
    """

    A: np.ndarray
    noise_cov: np.ndarray
    inflation: float
    n_iter: int
    known: np.ndarray | None = None

    @property
    def n_axes(self) -> int:
        return len(self.A) - 1

    def weights(self, embeddings: np.ndarray) -> np.ndarray:
        """Reduced weights of shape (n_trials, K, rank)."""
        result: np.ndarray = self.A[0] + np.tensordot(embeddings, self.A[1:], 1)
        return result

    def weights_and_slopes(
        self, embeddings: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same, and derivatives of shape (n_trials, embedding_dim, K, rank)."""
        slopes = np.broadcast_to(self.A[1:], (len(embeddings), *self.A[1:].shape))
        return self.weights(embeddings), slopes


class Pooled(NamedTuple):
    """What the M step needs of all trials; sums of it are sums over trials.

    With `c = [1, embedding]`:

    Attributes
    ----------
    second : array of shape (embedding_dim + 1, embedding_dim + 1)
        Sum of `E[c c^T]` over trials.
    gram : array of shape (embedding_dim + 1, embedding_dim + 1, K, K)
        Sum of `E[c c^T] f^T f`.
    cross : array of shape (embedding_dim + 1, K, rank)
        Sum of `E[c] f^T y`.
    yy : array of shape (rank, rank)
    n_windows : float
    """

    second: np.ndarray
    gram: np.ndarray
    cross: np.ndarray
    yy: np.ndarray
    n_windows: float

    def plus(self, other: Pooled) -> Pooled:
        return Pooled(
            self.second + other.second,
            self.gram + other.gram,
            self.cross + other.cross,
            self.yy + other.yy,
            self.n_windows + other.n_windows,
        )

    def times(self, factor: float) -> Pooled:
        return Pooled(
            factor * self.second,
            factor * self.gram,
            factor * self.cross,
            factor * self.yy,
            factor * self.n_windows,
        )

    def transformed(self, T: np.ndarray) -> Pooled:
        """The same for embeddings `T c`."""
        gram = np.tensordot(T, np.tensordot(T, self.gram, 1), ([1], [1]))
        return self._replace(
            second=T @ self.second @ T.T,
            gram=np.swapaxes(gram, 0, 1),
            cross=np.tensordot(T, self.cross, 1),
        )


def pool(moments: Moments, mean: np.ndarray, cov: np.ndarray | None = None) -> Pooled:
    """Sum trials up, given the first two moments of their embeddings."""
    n_trials, K, rank = moments.fy.shape
    c = np.column_stack([np.ones(n_trials), mean])
    size = c.shape[1]
    second = c[:, :, None] * c[:, None, :]
    if cov is not None:
        second[:, 1:, 1:] += cov
    gram = second.reshape(n_trials, -1).T @ moments.ff.reshape(n_trials, -1)
    cross = c.T @ moments.fy.reshape(n_trials, -1)
    return Pooled(
        second.sum(0),
        gram.reshape(size, size, K, K),
        cross.reshape(size, K, rank),
        moments.yy.sum(0),
        float(moments.n_windows.sum()),
    )


def whitening(pooled: Pooled) -> np.ndarray:
    """`T` that makes embeddings `T c` standard normal over trials."""
    second = pooled.second / pooled.second[0, 0]
    centre = second[0, 1:]
    spread = second[1:, 1:] - np.outer(centre, centre)
    root = np.linalg.cholesky(spread + 1e-12 * np.eye(len(spread)))
    inverse = np.linalg.inv(root)
    T = np.eye(len(second))
    T[1:, 0], T[1:, 1:] = -inverse @ centre, inverse
    return T


def fit_bilinear(
    moments: Moments,
    embedding_dim: int,
    *,
    ridge: float,
    inflation: float,
    everything: Callable[[], Iterable[Moments]] | None = None,
    max_iter: int = 20,
    tol: float = 1e-2,
    change_rank: int | None = None,
) -> BilinearModel:
    """Closed-form start, then EM; deterministic.

    Parameters
    ----------
    moments : Moments
        Of all trials, or of as many as fit in memory.
    embedding_dim : int
        Axes that the data cannot support come out as zero maps.
    ridge : float
        Prior precision of the weights, in units of the mean square of a feature.
    inflation : float
        Serially correlated windows that count as one independent one.
    everything : callable, default=None
        Returns the moments of all trials in pieces; EM then ends with passes over them.
    max_iter, tol : int, float
        EM stops when no embedding moves by more than `tol` prior standard deviations
        (root mean square), or after `max_iter` rounds.
    change_rank : int, default=None
        As in `solve`.
    """
    K, rank = moments.fy.shape[1:]
    penalty = ridge * max(np.trace(moments.ff.sum(0)) / K, np.finfo(float).tiny)
    embeddings = _start(moments, embedding_dim, penalty)
    n_axes = embeddings.shape[1]
    model = solve(pool(moments, embeddings), penalty, inflation, change_rank)
    gram, n_iter = moments.ff.sum(0), 0
    while n_axes and n_iter < max_iter:
        n_iter += 1
        mean, cov = posterior(moments, model)
        pooled = pool(moments, mean, cov)
        T = whitening(pooled)
        model = solve(pooled.transformed(T), penalty, inflation, change_rank)
        before, embeddings = embeddings, mean @ T[1:, 1:].T + T[1:, 0]
        if np.sqrt(np.mean((embeddings - before) ** 2)) < tol:
            break
    if everything is not None and n_axes:
        for _ in range(_PASSES):
            n_iter += 1
            parts = (pool(part, *posterior(part, model)) for part in everything())
            pooled = functools.reduce(Pooled.plus, parts)
            gram = pooled.gram[0, 0]
            pooled = pooled.transformed(whitening(pooled))
            share = pooled.n_windows / moments.n_windows.sum()
            model = solve(pooled, share * penalty, inflation, change_rank)
    A = np.zeros((embedding_dim + 1, K, rank))
    A[: n_axes + 1] = fix_gauge(moments.ff.sum(0), model.A, model.noise_cov)
    return model._replace(A=A, n_iter=n_iter, known=gram)


def posterior(moments: Moments, model: BilinearModel) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian posterior of each trial's embedding (the E step).

    Returns
    -------
    mean : array of shape (n_trials, embedding_dim)
    cov : array of shape (n_trials, embedding_dim, embedding_dim)
    """
    A, n_axes = model.A, len(model.A) - 1
    n_trials = len(moments.ff)
    if model.known is not None:
        moments = _as_well_as_known(moments, model.known)
    weighted = A[1:] @ np.linalg.inv(model.noise_cov) / model.inflation
    residual = moments.fy - moments.ff @ A[0]
    rhs = np.einsum("nkr,jkr->nj", residual, weighted)
    precision = np.empty((n_trials, n_axes, n_axes))
    for j in range(n_axes):
        precision[:, j] = np.einsum("nkr,mkr->nm", moments.ff @ A[1 + j], weighted)
    precision = 0.5 * (precision + np.swapaxes(precision, 1, 2)) + np.eye(n_axes)
    cov = np.linalg.inv(precision)
    return (cov @ rhs[..., None])[..., 0], cov


def _as_well_as_known(moments: Moments, known: np.ndarray) -> Moments:
    """Moments that tell of embeddings no more than the weights are known.

    A trial's own regression `ff^-1 fy` errs by its noise, of precision `ff`, and by
    that of the weights that all trials share: together `(ff^-1 + known^-1)^-1`. In
    directions of the features that training trials left alone, a trial then tells
    nothing of its embedding, where it would otherwise send it far from all others.
    """
    jitter = 1e-12 * max(np.trace(known), np.finfo(float).tiny) * np.eye(len(known))
    both = moments.ff + known + jitter
    # known (ff + known)^-1, the share of a trial's moments that counts
    share = np.linalg.solve(both, np.broadcast_to(known, both.shape))
    share = np.swapaxes(share, 1, 2)
    return moments._replace(ff=share @ moments.ff, fy=share @ moments.fy)


def serial_inflation(residuals: np.ndarray, keep: np.ndarray) -> float:
    """Integrated autocorrelation time of residuals, in steps, at least one.

    Parameters
    ----------
    residuals : array of shape (n_trials, n_steps, n_dims)
        Zero where not kept.
    keep : bool array of shape (n_trials, n_steps)

    References
    ----------
    .. [1] Sokal, "Monte Carlo methods in statistical mechanics: foundations and new
       algorithms", in Functional Integration (1997).
    """
    n_steps = residuals.shape[1]
    scale = np.sqrt(np.mean(residuals**2, axis=(0, 1)))
    r = residuals / np.where(scale > 0, scale, 1.0)
    variance = np.sum(r**2) / max(keep.sum(), 1)
    if variance == 0:
        return 1.0
    time = 1.0
    for lag in range(1, n_steps):
        n_pairs = max((keep[:, lag:] & keep[:, :-lag]).sum(), 1)
        covariance = np.sum(r[:, lag:] * r[:, :-lag]) / n_pairs
        correlation = covariance / variance * (n_steps - lag) / n_steps
        if correlation < 0.05:
            break
        time += 2 * correlation
    return float(time)


def step_inflation(
    drives: np.ndarray, features: np.ndarray, window: int, keep: np.ndarray
) -> float:
    """Serial inflation of the residuals of the averaged equation.

    The residuals are those of a regression of each trial by itself, shrunk to the
    pooled one.
    """
    weights = _per_trial(trial_moments(drives, features, window, keep), 0.0, 1e-6)[1]
    whole = whole_windows(keep, window)
    y, f = moving_average(drives, window), moving_average(features, window)
    return serial_inflation((y - f @ weights) * whole[..., None], whole)


def evidence_penalty(
    pooled: Pooled, noise_cov: np.ndarray, penalty: np.ndarray
) -> np.ndarray:
    """Penalties of the `A_j` that raise the evidence; axes without use get large ones.

    Each is updated to the prior precision that the expected square of its weights
    implies [1]_.

    Parameters
    ----------
    noise_cov : array of shape (rank, rank)
        Of the drive.
    penalty : array of shape (embedding_dim + 1,)
        Where to start.

    References
    ----------
    .. [1] MacKay, "Bayesian interpolation", Neural Computation 4 (1992).
    """
    size, K, rank = pooled.cross.shape
    gram = pooled.gram.transpose(0, 2, 1, 3).reshape(size * K, size * K)
    rhs = pooled.cross.reshape(size * K, rank)
    precision = np.linalg.inv(noise_cov)
    least = 1e-8 * max(np.trace(gram) / len(gram), np.finfo(float).tiny)
    for _ in range(_EVIDENCE_ROUNDS):
        cov = np.linalg.inv(gram + np.diag(np.repeat(penalty + least, K)))
        A = (cov @ rhs).reshape(size, K, rank)
        squares = np.einsum("jkr,rs,jks->j", A, precision, A, optimize=True)
        squares += rank * np.diag(cov).reshape(size, K).sum(1)
        penalty = K * rank / squares
    return penalty


def _solve_psd(
    matrix: np.ndarray, rhs: np.ndarray, penalty: float | np.ndarray
) -> np.ndarray:
    """Ridge regression; rounding-size jitter keeps the matrix positive definite."""
    jitter = 1e-10 * max(np.trace(matrix) / len(matrix), np.finfo(float).tiny)
    regular = matrix.copy()
    regular.flat[:: len(matrix) + 1] += penalty + jitter
    result: np.ndarray = linalg.solve(
        regular, rhs, assume_a="pos", overwrite_a=True, check_finite=False
    )
    return result


def _per_trial(
    moments: Moments, penalty: float, shrink: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pooled regression, and one regression per trial shrunk towards it."""
    ff, fy = moments.ff.sum(0), moments.fy.sum(0)
    pooled = _solve_psd(ff, fy, penalty)
    towards = shrink * ff / len(moments.ff)
    towards = towards + 1e-10 * max(np.trace(ff), np.finfo(float).tiny) * np.eye(
        len(ff)
    )
    own = np.linalg.solve(moments.ff + towards, moments.fy + towards @ pooled)
    return pooled, own


def _start(moments: Moments, embedding_dim: int, penalty: float) -> np.ndarray:
    """Whitened principal components of per-trial regressions: the first embeddings.

    Each regression is shrunk to the pooled one, by a tenth of an average trial, or more
    where a trial has fewer windows than twice its K unknowns; differences are measured
    by what they do to the drive, in units of its residuals.
    """
    n_trials, n_features = len(moments.fy), moments.ff.shape[1]
    per_window = 2 * n_features / max(moments.n_windows.mean(), 1.0)
    shrink = per_window if per_window > 1 else 0.1
    pooled, own = _per_trial(moments, penalty, shrink)
    noise = _noise_cov(moments, pooled)
    ff = moments.ff.sum(0) / max(moments.n_windows.sum(), 1.0)
    values, vectors = linalg.eigh(ff)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    precision_root = np.linalg.cholesky(np.linalg.inv(noise))
    change = (root @ (own - pooled) @ precision_root).reshape(n_trials, -1)
    change -= change.mean(0)
    left, sizes, _ = linalg.svd(change, full_matrices=False)
    supported = int((sizes > 1e-8 * max(1.0, np.sqrt(change.size))).sum())
    n_axes = min(embedding_dim, supported, n_trials - 1)
    result: np.ndarray = left[:, :n_axes] * np.sqrt(n_trials)
    return result


def _noise_cov(moments: Moments, A: np.ndarray) -> np.ndarray:
    """Residual covariance of one regression for all trials."""
    ff, fy, yy = moments.ff.sum(0), moments.fy.sum(0), moments.yy.sum(0)
    cross = fy.T @ A
    scatter = yy - cross - cross.T + A.T @ ff @ A
    return _shrink(scatter, moments.n_windows.sum(), yy)


def _shrink(scatter: np.ndarray, count: float, total: np.ndarray) -> np.ndarray:
    """Covariance from a scatter matrix, shrunk to a sphere where data are few."""
    rank, count = len(scatter), max(count, 1.0)
    floor = 1e-8 * np.trace(total) / (rank * count) + np.finfo(float).tiny ** 0.5
    level = max(np.trace(scatter) / (rank * count), 0.0)
    share = min(1.0, rank / count)
    cov: np.ndarray = (1 - share) * 0.5 * (scatter + scatter.T) / count
    cov += (share * level + floor) * np.eye(rank)
    return cov


def solve(
    pooled: Pooled,
    penalty: float | np.ndarray,
    inflation: float = 1.0,
    change_rank: int | None = None,
) -> BilinearModel:
    """The M step: one pooled regression for all `A_j`, and the noise.

    Parameters
    ----------
    penalty : float or array of shape (embedding_dim + 1,)
        Prior precision of the weights, for all or each of the `A_j`, in units of the
        precision of the drive.
    change_rank : int, default=None
        Dimensions of the drive that embeddings change: a reduced-rank regression [1]_
        of `A_1, A_2, ...`; None: all.

    References
    ----------
    .. [1] Izenman, "Reduced-rank regression for the multivariate linear model", Journal
       of Multivariate Analysis 5 (1975).
    """
    size, K, rank = pooled.cross.shape
    gram = pooled.gram.transpose(0, 2, 1, 3).reshape(size * K, size * K)
    rhs = pooled.cross.reshape(size * K, rank)
    penalties = np.repeat(np.broadcast_to(penalty, size), K)
    A = _solve_psd(gram, rhs, penalties)

    def noise_cov() -> np.ndarray:
        cross = rhs.T @ A
        scatter = pooled.yy - cross - cross.T + A.T @ (gram @ A)
        return _shrink(scatter, pooled.n_windows, pooled.yy)

    noise = noise_cov()
    if change_rank is not None and size > 1 and change_rank < rank:
        A = _reduce_rank(A, gram, rhs, penalties, noise, K, change_rank)
        noise = noise_cov()
    return BilinearModel(A.reshape(size, K, rank), noise, inflation, 0)


def _reduce_rank(
    A: np.ndarray,
    gram: np.ndarray,
    rhs: np.ndarray,
    penalties: np.ndarray,
    noise: np.ndarray,
    K: int,
    change_rank: int,
) -> np.ndarray:
    """The solution whose rows from K on have a rank of at most `change_rank`."""
    shared, across, own = gram[:K, :K], gram[:K, K:], gram[K:, K:]
    schur = own + np.diag(penalties[K:])
    schur = schur - across.T @ _solve_psd(shared, across, penalties[:K])
    values, vectors = linalg.eigh(0.5 * (schur + schur.T))
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    half = linalg.sqrtm(noise).real
    inverse = np.linalg.inv(half)
    leading = linalg.svd(root @ A[K:] @ inverse, full_matrices=False)[2][:change_rank]
    change = A[K:] @ inverse @ leading.T @ leading @ half
    return np.concatenate(
        [_solve_psd(shared, rhs[:K] - across @ change, penalties[:K]), change]
    )


def fix_gauge(ff: np.ndarray, A: np.ndarray, noise_cov: np.ndarray) -> np.ndarray:
    """Order the axes by explained drive and fix their signs, so that refits compare.

    Parameters
    ----------
    ff : array of shape (K, K)
        Second moments of the features over all trials.
    A : array of shape (embedding_dim + 1, K, rank)
    noise_cov : array of shape (rank, rank)
    """
    n_axes = len(A) - 1
    if n_axes == 0:
        return A
    filtered = ff @ A[1:]
    explained = np.tensordot(
        filtered, A[1:] @ np.linalg.inv(noise_cov), ([1, 2], [1, 2])
    )
    vectors = linalg.eigh(0.5 * (explained + explained.T))[1][:, ::-1]
    axes = np.tensordot(vectors.T, A[1:], 1)
    flat = axes.reshape(n_axes, -1)
    largest = flat[np.arange(n_axes), np.abs(flat).argmax(1)]
    axes *= np.where(largest < 0, -1.0, 1.0)[:, None, None]
    return np.concatenate([A[:1], axes])
