"""Runs with noise from draws of a posterior: where the activity ahead may go."""

from __future__ import annotations

import functools

import numpy as np

from sklearn_jedi._engine._reduction import free_run
from sklearn_jedi._models._model import Model, Posterior

# Antithetic pairs of draws.
_PAIRS = 64
# Values of the units that are held in memory at once.
_AT_ONCE = 2**20


def paths_ahead(
    model: Model, found: Posterior, joint: np.ndarray, group: np.ndarray, n_steps: int
) -> np.ndarray:
    """Coordinates (n, n_draws, n_steps, rank) after the last known state of trials.

    Runs with noise in every step, from draws of the last state and the embedding. All
    trials get the same random numbers, so that none depends on the others.

    Parameters
    ----------
    joint : array of shape (n, rank + embedding_dim, rank + embedding_dim)
        Covariance of the last state's coordinates and the embedding.
    group : int array of shape (n,)
        Rows of `found.mean` that are the trials' embeddings.
    """
    red, rank = model.reduction, len(model.step_cov)
    n, size = joint.shape[:2]
    unit = balanced_normals(_PAIRS, size, n_steps * rank)
    unit = np.concatenate([unit, -unit])
    start, step = unit[:, :size], unit[:, size:].reshape(len(unit), n_steps, rank)
    moved = np.einsum("nij,sj->nsi", _root(joint), start)
    states = found.last[:, None] + moved[..., :rank] @ red.P.T
    embeddings = found.mean[group][:, None] + moved[..., rank:]
    noise = step @ _root(model.step_cov).T
    paths = np.empty((n, *noise.shape))
    at_once = max(1, _AT_ONCE // (len(unit) * states.shape[2]))
    for begin in range(0, n, at_once):
        some = slice(begin, begin + at_once)
        from_here = states[some].reshape(-1, states.shape[2])
        weights = model.weights(embeddings[some].reshape(len(from_here), -1))
        noises = np.tile(noise, (len(paths[some]), 1, 1))
        with np.errstate(over="ignore", invalid="ignore"):
            run = free_run(red, weights, from_here, n_steps, noises)
        paths[some] = run.reshape(-1, *noise.shape)
    return paths


@functools.lru_cache(maxsize=8)
def balanced_normals(n_draws: int, n_first: int, n_later: int) -> np.ndarray:
    """Standard normal numbers whose columns are uncorrelated as far as they can be.

    Each column has mean square one, and is orthogonal to the first ones and to those
    shortly before it (half as many as there are draws): so that with their negatives
    as further draws the mean and covariance of what is linear in them is exact [1]_.
    More columns begin like fewer.

    Parameters
    ----------
    n_draws, n_first, n_later : int

    Returns
    -------
    array of shape (n_draws, n_first + n_later)

    References
    ----------
    .. [1] Owen, "Monte Carlo theory, methods and examples" (2013), chapter 8
       (antithetic variates, moment matching).
    """
    rng = np.random.RandomState(0)
    columns = np.empty((n_first + n_later, n_draws))
    for j, column in enumerate(columns):
        column[:] = rng.standard_normal(n_draws)
        most = n_draws // 2
        first = min(n_first, j, most)
        recent = columns[max(first, j - most + first) : j]
        for before in (columns[:first], recent):
            column -= before.T @ (before @ column) / n_draws
        column *= np.sqrt(n_draws / (column @ column))
    columns.flags.writeable = False
    return columns.T


def _root(cov: np.ndarray) -> np.ndarray:
    """The symmetric square root of covariance matrices that may be singular.

    Other roots have columns whose sign is decided by rounding.
    """
    values, vectors = np.linalg.eigh(cov)
    scaled = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    result: np.ndarray = scaled @ np.swapaxes(vectors, -1, -2)
    return result
