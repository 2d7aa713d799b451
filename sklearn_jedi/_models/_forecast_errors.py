r"""Errors of forecasts from recorded states: their sources, and how large they are.

An error grows from several sources along the run, linearised about it: with `F_t` the
Jacobian of the map at step t, the covariance of the coordinates obeys

    S[t+1] = F_t S[t] F_t^T + Q + F_t X[t] + X[t]^T F_t^T + M,
    X[t+1] = r (F_t X[t] + M),

from `S[0]`, the noise of the recording from which the run starts, with steps of
covariance `Q` and a drift `M` of the dynamics that stays correlated over time (`r` from
one step to the next), and to it comes the uncertainty of the embedding. What is
recorded ahead has noise of its own. Recording noise is thus counted twice, whatever
the horizon, and a step's noise once for each step. The variance is linear in the sizes
of the sources, which are found by maximum likelihood on forecasts of the training
trials from their own beginnings.

References
----------
.. [1] Jazwinski, "Stochastic Processes and Filtering Theory" (1970), chapter 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sklearn_jedi._engine._reduction import Reduction, Rows

if TYPE_CHECKING:
    from sklearn_jedi._models._model import Posterior
    from sklearn_jedi._models._observed import ObservedModel

# Time constants, in steps, of what the dynamics miss; the last for good.
DRIFTS = np.array([3.0, 20.0, np.inf])
# Sources within the span of `P`: recording, steps, drifts, embedding.
N_WITHIN = 3 + len(DRIFTS)


class ErrorSizes(NamedTuple):
    """How large the errors of forecasts are.

    Attributes
    ----------
    sizes : array of shape (4 + 2 * n_drifts,)
        Variances of the sources. In units of those of one-step errors: noise of the
        recording; of a step, and drifts, within the span of `P`. In units of its
        posterior: the embedding. As before: of a step, and drifts, outside the span.
    horizons, factors : arrays of shape (n_horizons,)
        What variances are multiplied by so many steps ahead.
    mean, variance : arrays of shape (n_neurons,)
        Of recordings, in network units.
    """

    sizes: np.ndarray
    horizons: np.ndarray
    factors: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of_steps(cls) -> ErrorSizes:
        """Every step's noise is that of one-step errors, and nothing else."""
        sizes = np.zeros(N_WITHIN + 1 + len(DRIFTS))
        sizes[[1, N_WITHIN - 1, N_WITHIN]] = 1.0
        return cls(sizes, np.ones(1), np.ones(1), np.zeros(1), np.full(1, np.inf))

    @property
    def mixture(self) -> np.ndarray:
        """Sizes of the sources within the span of `P`, (1, N_WITHIN)."""
        return self.sizes[None, :N_WITHIN]

    def factor(self, horizons: np.ndarray) -> np.ndarray:
        """Factors so many steps ahead, constant beyond the last known one."""
        known = np.log(self.horizons), np.log(self.factors)
        result: np.ndarray = np.exp(np.interp(np.log(horizons), *known))
        return result


class Runs(NamedTuple):
    """Forecasts of some trials, as far as their errors depend on them.

    Attributes
    ----------
    weights : array of shape (n, K, rank)
    slopes : array of shape (n, embedding_dim, K, rank)
        Derivatives of the weights with respect to the embedding.
    cov : array of shape (n, embedding_dim, embedding_dim)
        Covariance of the embedding.
    states : array of shape (n, n_neurons)
        Recorded, from where the forecast runs on.
    """

    weights: np.ndarray
    slopes: np.ndarray
    cov: np.ndarray
    states: np.ndarray

    @classmethod
    def of(cls, model: ObservedModel, found: Posterior, group: np.ndarray) -> Runs:
        """The forecasts of a block of trials, given what is inferred from it."""
        of_groups = model.map.weights_and_slopes(found.mean)
        weights, slopes = (array[group] for array in of_groups)
        return cls(weights, slopes, found.cov[group], found.last)


class Strayed(NamedTuple):
    """How far forecasts have strayed after a step, in coordinates.

    Attributes
    ----------
    kappa : array of shape (n, rank)
        The forecast.
    cov : array of shape (n, n_mixtures, rank, rank)
        For each mixture of sources, the covariance of the error.
    """

    kappa: np.ndarray
    cov: np.ndarray


def error_variance(
    model: ObservedModel, runs: Runs, forecast: np.ndarray
) -> np.ndarray:
    """Variance of recordings about a forecast, in squared network units.

    Parameters
    ----------
    runs : Runs
    forecast : array of shape (n, n_steps, n_neurons)
        Activity.

    Returns
    -------
    array of the shape of `forecast`
    """
    n_steps, errors, P = forecast.shape[1], model.errors, model.basis.P
    within = np.empty_like(forecast)
    with np.errstate(over="ignore", invalid="ignore"):
        for t, strayed in enumerate(stray(model, runs, n_steps, errors.mixture)):
            within[:, t] = ((P @ strayed.cov[:, 0]) * P).sum(-1)
    horizons = np.arange(1, n_steps + 1)
    variance = recorded_variance(model, errors, within, forecast, horizons)
    result: np.ndarray = variance * errors.factor(horizons)[:, None]
    return result


def recorded_variance(
    model: ObservedModel,
    errors: ErrorSizes,
    within: np.ndarray,
    runs: np.ndarray,
    horizons: np.ndarray,
) -> np.ndarray:
    """Variance of recordings, given that of the activity within the span of `P`.

    Linearised errors may grow without bound. Where a forecast knows nothing any more,
    its error is that of a value drawn from all recordings.

    Parameters
    ----------
    within, runs : arrays of shape (n, n_horizons, n_neurons)
    horizons : int array of shape (n_horizons,)
    """
    noise = errors.sizes[0]
    growth = rest_growth(model.equation.kept, horizons)
    outside = (growth[:, 1:] @ errors.sizes[N_WITHIN:])[:, None]
    outside = outside * model.rest_variance
    variance = within + outside + noise * growth[:, :1] * rest_of_recording(model)
    most = np.finfo(float).tiny + errors.variance + (runs - errors.mean) ** 2
    with np.errstate(invalid="ignore", over="ignore"):
        bounded = variance / (1 + variance / most)
    bounded = np.where(np.isfinite(bounded), bounded, most)
    result: np.ndarray = bounded + noise * model.step_variance
    return result


def stray(
    model: ObservedModel, runs: Runs, n_steps: int, mixtures: np.ndarray
) -> Iterator[Strayed]:
    """How far forecasts stray, step by step.

    Parameters
    ----------
    mixtures : array of shape (n_mixtures, N_WITHIN)
        Sizes of the sources within the span of `P`.
    """
    red, Q = model.reduction, model.step_cov
    n, rank = len(runs.states), len(Q)
    recording, steps, embedding = mixtures[:, [0, 1, -1]].T[..., None, None]
    used = mixtures[:, 2:-1].any(0)
    drifts = mixtures[:, 2:-1][:, used]
    kept = np.exp(-1 / DRIFTS[used])[:, None, None]
    cross = np.zeros((n, len(kept), rank, rank))
    first = red.P.T @ (model.step_variance[:, None] * red.P)
    cov = np.broadcast_to(recording * first, (n, len(mixtures), rank, rank))
    for kappa, F_t, tangent in _linearised(red, runs, n_steps):
        F = np.swapaxes(F_t, 1, 2)[:, None]
        moved = F @ cross
        grown = moved + np.swapaxes(moved, -1, -2) + Q
        cov = F @ cov @ F_t[:, None] + steps * Q
        cov = cov + np.einsum("mk,nkrs->nmrs", drifts, grown)
        cross = kept * (moved + Q)
        of_embedding = np.swapaxes(tangent, 1, 2) @ runs.cov @ tangent
        yield Strayed(kappa, cov + embedding * of_embedding[:, None])


def _linearised(
    red: Reduction[np.ndarray], runs: Runs, n_steps: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Each step of runs: coordinates, and the map linearised about them.

    Yields
    ------
    kappa : array of shape (n, rank)
        After the step.
    F_t : array of shape (n, rank, rank)
        Transposed Jacobian of the step.
    tangent : array of shape (n, embedding_dim, rank)
        Derivatives of `kappa` with respect to the embedding.
    """
    step, P = red.equation.step, red.P
    rank = P.shape[1]
    rows = Rows.of(runs.weights)
    constant = rows.constant + red.mean_in
    n, d, n_rows, _ = runs.slopes.shape
    direct_rows = Rows.of(np.swapaxes(runs.slopes, 1, 2).reshape(n, n_rows, d * rank))
    pairs = (P[:, :, None] * red.Q[:, None]).reshape(len(P), -1)
    eye, tangent = np.eye(rank), np.zeros((n, d, rank))
    kappa, rest = red.split(runs.states)
    for _ in range(n_steps):
        features, slope = red.features(kappa @ P.T + rest)
        drive_slopes = (slope() @ pairs).reshape(n, rank, -1) @ rows.features
        F_t = step(eye, drive_slopes)
        direct = (features[:, None] @ direct_rows.features)[:, 0] + direct_rows.constant
        tangent = tangent @ F_t + step(0.0, direct.reshape(n, d, rank))
        kappa = step(kappa, (features[:, None] @ rows.features)[:, 0] + constant)
        rest = step(rest, red.mean_out)
        yield kappa, F_t, tangent


def rest_growth(kept: float, horizons: np.ndarray) -> np.ndarray:
    """Variances outside the span of `P`, of unit sources.

    Returns
    -------
    array of shape (n_horizons, 2 + n_drifts)
        From the recording where the run starts, from steps, and from drifts.
    """
    remains = np.exp(-1 / DRIFTS)
    growth = np.zeros((int(horizons[-1]), 2 + len(DRIFTS)))
    now, cross = np.zeros(2 + len(DRIFTS)), np.zeros(len(DRIFTS))
    now[0] = 1.0
    for after in growth:
        now = kept**2 * now
        now[1] += 1.0
        now[2:] += 2 * kept * cross + 1.0
        cross = remains * (kept * cross + 1.0)
        after[:] = now
    result: np.ndarray = growth[horizons - 1]
    return result


def rest_of_recording(model: ObservedModel) -> np.ndarray:
    """Variance (n_neurons,) of recording noise of unit size outside the span of `P`."""
    P, noise = model.reduction.P, model.step_variance
    within = ((P @ (P.T @ (noise[:, None] * P))) * P).sum(1)
    rest = noise * (1 - 2 * (P**2).sum(1)) + within
    result: np.ndarray = np.maximum(rest, 0.0)
    return result
