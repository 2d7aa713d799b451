"""Runs with noise from draws of a posterior: how far the activity ahead may stray."""

from __future__ import annotations

import numpy as np

from sklearn_jedi._engine._reduction import free_run
from sklearn_jedi._models._model import Model, Posterior

# Antithetic pairs of draws.
_PAIRS = 32


def activity_variance(
    model: Model, found: Posterior, c: np.ndarray, n_steps: int
) -> np.ndarray:
    """Variance (n, n_steps, n_neurons) of the activity ahead, in network units.

    From runs with noise, started from draws of the last state and the embedding. All
    trials get the same random numbers, so that none depends on the others.
    """
    red, rank = model.reduction, len(model.step_cov)
    joint = found.last_cov()
    n, size = joint.shape[:2]
    rng = np.random.RandomState(0)
    unit = rng.standard_normal((_PAIRS, size))
    step = rng.standard_normal((_PAIRS, n_steps, rank)) @ _root(model.step_cov).T
    unit, step = np.concatenate([unit, -unit]), np.concatenate([step, -step])
    moved = np.einsum("nij,sj->nsi", _root(joint), unit)
    n_draws = len(unit)
    states = found.last[:, None] + moved[..., :rank] @ red.P.T
    weights = model.weights((c[:, None] + moved[..., rank:]).reshape(n * n_draws, -1))
    with np.errstate(over="ignore", invalid="ignore"):
        path = free_run(
            red,
            weights,
            states.reshape(n * n_draws, -1),
            n_steps,
            np.tile(step, (n, 1, 1)),
        ).reshape(n, n_draws, n_steps, rank)
    path = path - path.mean(1, keepdims=True)
    cov = np.einsum("nstq,nstr->ntqr", path, path) / n_draws
    out = model.output
    within = np.einsum("iq,ntqr,ir->nti", out, cov, out, optimize=True)
    kept = red.equation.kept ** (2 * np.arange(n_steps))
    result: np.ndarray = within + np.cumsum(kept)[:, None] * model.rest_variance
    return result


def _root(cov: np.ndarray) -> np.ndarray:
    """A square root of covariance matrices that may be singular."""
    values, vectors = np.linalg.eigh(cov)
    result: np.ndarray = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    return result
