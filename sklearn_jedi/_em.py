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

from typing import NamedTuple

import numpy as np
from scipy import linalg

from sklearn_jedi._moments import Moments, moving_average, trial_moments


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
    """

    A: np.ndarray
    noise_cov: np.ndarray
    inflation: float
    n_iter: int

    def weights(self, embeddings: np.ndarray) -> np.ndarray:
        """Reduced weights of shape (n_trials, K, rank)."""
        return self.A[0] + np.tensordot(embeddings, self.A[1:], 1)


def fit_bilinear(
    moments: Moments,
    embedding_dim: int,
    *,
    ridge: float,
    inflation: float,
    max_iter: int = 20,
    tol: float = 1e-2,
) -> BilinearModel:
    """Closed-form start, then EM; deterministic.

    Parameters
    ----------
    moments : Moments
    embedding_dim : int
        Axes that the data cannot support come out as zero maps.
    ridge : float
        Prior precision of the weights, in units of the mean square of a feature.
    inflation : float
        Serially correlated windows that count as one independent one.
    max_iter, tol : int, float
        EM stops when no embedding moves by more than `tol` prior standard deviations
        (root mean square), or after `max_iter` rounds.
    """
    n_trials, K, rank = moments.fy.shape
    penalty = ridge * max(np.trace(moments.ff.sum(0)) / K, np.finfo(float).tiny)
    embeddings = _start(moments, embedding_dim, penalty)
    n_axes = embeddings.shape[1]
    cov = np.zeros((n_trials, n_axes, n_axes))
    n_iter = 0
    while True:
        model = _m_step(moments, embeddings, cov, penalty, inflation, n_iter)
        if n_axes == 0 or n_iter == max_iter:
            break
        n_iter += 1
        before = embeddings
        embeddings, cov = posterior(moments, model)
        model, embeddings, cov = _whiten(model, embeddings, cov)
        if np.sqrt(np.mean((embeddings - before) ** 2)) < tol:
            break
    A = np.zeros((embedding_dim + 1, K, rank))
    A[: n_axes + 1] = _fix_gauge(moments, model)
    return model._replace(A=A, n_iter=n_iter)


def posterior(moments: Moments, model: BilinearModel) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian posterior of each trial's embedding (the E step).

    Returns
    -------
    mean : array of shape (n_trials, embedding_dim)
    cov : array of shape (n_trials, embedding_dim, embedding_dim)
    """
    A, n_axes = model.A, len(model.A) - 1
    n_trials = len(moments.ff)
    weighted = A[1:] @ np.linalg.inv(model.noise_cov) / model.inflation
    residual = moments.fy - moments.ff @ A[0]
    rhs = np.einsum("nkr,jkr->nj", residual, weighted)
    precision = np.empty((n_trials, n_axes, n_axes))
    for j in range(n_axes):
        precision[:, j] = np.einsum("nkr,mkr->nm", moments.ff @ A[1 + j], weighted)
    precision = 0.5 * (precision + np.swapaxes(precision, 1, 2)) + np.eye(n_axes)
    cov = np.linalg.inv(precision)
    return (cov @ rhs[..., None])[..., 0], cov


def serial_inflation(residuals: np.ndarray) -> float:
    """Integrated autocorrelation time of residuals, in steps, at least one.

    Parameters
    ----------
    residuals : array of shape (n_trials, n_steps, n_dims)

    References
    ----------
    .. [1] Sokal, "Monte Carlo methods in statistical mechanics: foundations and new
       algorithms", in Functional Integration (1997).
    """
    n_steps = residuals.shape[1]
    scale = np.sqrt(np.mean(residuals**2, axis=(0, 1)))
    r = residuals / np.where(scale > 0, scale, 1.0)
    variance = np.mean(r**2)
    if variance == 0:
        return 1.0
    time = 1.0
    for lag in range(1, n_steps):
        correlation = np.sum(r[:, lag:] * r[:, :-lag]) / (r.size * variance)
        if correlation < 0.05:
            break
        time += 2 * correlation
    return float(time)


def trial_residuals(
    drives: np.ndarray, features: np.ndarray, window: int
) -> np.ndarray:
    """Residuals of a regression of each trial by itself, shrunk to the pooled one."""
    moments = trial_moments(drives, features, window)
    weights = _per_trial(moments, 0.0, 1e-6)[1]
    return moving_average(drives, window) - moving_average(features, window) @ weights


def _solve_psd(matrix: np.ndarray, rhs: np.ndarray, penalty: float) -> np.ndarray:
    """Ridge regression; rounding-size jitter keeps the matrix positive definite."""
    jitter = 1e-10 * max(np.trace(matrix) / len(matrix), np.finfo(float).tiny)
    regular = matrix.copy()
    regular.flat[:: len(matrix) + 1] += penalty + jitter
    return linalg.solve(
        regular, rhs, assume_a="pos", overwrite_a=True, check_finite=False
    )


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
    ff = moments.ff.sum(0) / moments.n_windows.sum()
    values, vectors = linalg.eigh(ff)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    precision_root = np.linalg.cholesky(np.linalg.inv(noise))
    change = (root @ (own - pooled) @ precision_root).reshape(n_trials, -1)
    change -= change.mean(0)
    left, sizes, _ = linalg.svd(change, full_matrices=False)
    supported = int((sizes > 1e-8 * max(1.0, np.sqrt(change.size))).sum())
    n_axes = min(embedding_dim, supported, n_trials - 1)
    return left[:, :n_axes] * np.sqrt(n_trials)


def _noise_cov(moments: Moments, A: np.ndarray) -> np.ndarray:
    """Residual covariance of one regression for all trials."""
    ff, fy, yy = moments.ff.sum(0), moments.fy.sum(0), moments.yy.sum(0)
    cross = fy.T @ A
    return _shrink(yy - cross - cross.T + A.T @ ff @ A, moments.n_windows.sum(), yy)


def _shrink(scatter: np.ndarray, count: float, total: np.ndarray) -> np.ndarray:
    """Covariance from a scatter matrix, shrunk to a sphere where data are few."""
    rank = len(scatter)
    floor = 1e-8 * np.trace(total) / (rank * count) + np.finfo(float).tiny ** 0.5
    level = max(np.trace(scatter) / (rank * count), 0.0)
    share = min(1.0, rank / count)
    cov = (1 - share) * 0.5 * (scatter + scatter.T) / count
    cov += (share * level + floor) * np.eye(rank)
    return cov


def _m_step(
    moments: Moments,
    embeddings: np.ndarray,
    cov: np.ndarray,
    penalty: float,
    inflation: float,
    n_iter: int,
) -> BilinearModel:
    """One pooled regression for all `A_j`, with `E[c c^T]`, and the noise."""
    n_trials, K, rank = moments.fy.shape
    c = np.column_stack([np.ones(n_trials), embeddings])
    size = c.shape[1]
    second = c[:, :, None] * c[:, None, :]
    second[:, 1:, 1:] += cov
    gram = second.reshape(n_trials, -1).T @ moments.ff.reshape(n_trials, -1)
    gram = gram.reshape(size, size, K, K).transpose(0, 2, 1, 3).reshape(size * K, -1)
    rhs = (c.T @ moments.fy.reshape(n_trials, -1)).reshape(size * K, rank)
    A = _solve_psd(gram, rhs, penalty)
    cross = rhs.T @ A
    yy = moments.yy.sum(0)
    scatter = yy - cross - cross.T + A.T @ (gram @ A)
    noise = _shrink(scatter, moments.n_windows.sum(), yy)
    return BilinearModel(A.reshape(size, K, rank), noise, inflation, n_iter)


def _whiten(
    model: BilinearModel, mean: np.ndarray, cov: np.ndarray
) -> tuple[BilinearModel, np.ndarray, np.ndarray]:
    """Make the embeddings standard normal over trials; the mean moves into `A_0`."""
    n_axes = mean.shape[1]
    centre = mean.mean(0)
    A = model.A.copy()
    A[0] += np.tensordot(centre, A[1:], 1)
    mean = mean - centre
    spread = mean.T @ mean / len(mean) + cov.mean(0)
    root = np.linalg.cholesky(spread + 1e-12 * np.eye(n_axes))
    A[1:] = np.tensordot(root.T, A[1:], 1)
    inverse = np.linalg.inv(root)
    return model._replace(A=A), mean @ inverse.T, inverse @ cov @ inverse.T


def _fix_gauge(moments: Moments, model: BilinearModel) -> np.ndarray:
    """Order the axes by explained drive and fix their signs, so that refits compare."""
    n_axes = len(model.A) - 1
    if n_axes == 0:
        return model.A
    weighted = model.A[1:] @ np.linalg.inv(model.noise_cov)
    filtered = moments.ff.sum(0) @ model.A[1:]
    explained = np.tensordot(filtered, weighted, ([1, 2], [1, 2]))
    vectors = linalg.eigh(0.5 * (explained + explained.T))[1][:, ::-1]
    axes = np.tensordot(vectors.T, model.A[1:], 1)
    flat = axes.reshape(n_axes, -1)
    largest = flat[np.arange(n_axes), np.abs(flat).argmax(1)]
    axes *= np.where(largest < 0, -1.0, 1.0)[:, None, None]
    return np.concatenate([model.A[:1], axes])
