"""What a fitted model makes of trials, block by block: runs, forecasts, scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._engine._reduction import free_run
from sklearn_jedi._models._model import Model, Posterior, warn_of_failures

# Antithetic pairs of draws behind the standard deviations of forecasts.
_PAIRS = 32


class Forecast(NamedTuple):
    """New time points, and the standard deviations of recordings there; data units."""

    mean: np.ndarray
    std: np.ndarray | None


def posteriors(model: Model, trials: Trials) -> Iterator[tuple[Block, Posterior]]:
    """Blocks of trials, and what is inferred from each."""
    failed = 0
    for block in trials.blocks():
        found = model.infer(block)
        failed += int((~found.converged).sum())
        yield block, found
    warn_of_failures(failed, trials.n_groups)


def embeddings(model: Model, trials: Trials) -> tuple[np.ndarray, np.ndarray]:
    """Posterior modes (n_trials, d) and covariances (n_trials, d, d)."""
    d = model.bilinear.n_axes
    mean, cov = np.empty((len(trials), d)), np.empty((len(trials), d, d))
    for block, found in posteriors(model, trials):
        mean[block.numbers] = found.mean[block.group]
        cov[block.numbers] = found.cov[block.group]
    return mean, cov


def initial_states(model: Model, trials: Trials) -> np.ndarray:
    """State of the network where each trial begins, in data units."""
    states = np.empty((len(trials), trials.n_neurons))
    for block, found in posteriors(model, trials):
        states[block.numbers] = model.scaling.to_data(found.first)
    return states


def free_runs(model: Model, trials: Trials) -> Iterator[tuple[Block, np.ndarray]]:
    """Expected recordings (n, T, n_neurons) of runs from initial states; data units."""
    for block, found in posteriors(model, trials):
        n_steps = block.values.shape[1] - 1
        later = model.run(found.mean[block.group], found.first, n_steps)
        yield block, model.expected(np.concatenate([found.first[:, None], later], 1))


def smoothed(model: Model, trials: Trials) -> Iterator[tuple[Block, np.ndarray]]:
    """Expected recordings (n, T, n_neurons) at the inferred states; data units."""
    for block, found in posteriors(model, trials):
        yield block, model.expected(found.activity())


def write(pieces: Iterator[tuple[Block, np.ndarray]], trials: Trials, out: Any) -> None:
    """Write trials into arrays (n_timepoints, n_neurons), from where they begin.

    Parameters
    ----------
    pieces : iterator
        From `free_runs` or `smoothed`.
    out : sequence of n_trials arrays
        In data units.
    """
    begins = trials.begins if trials.begins is not None else np.zeros(len(trials), int)
    for block, runs in pieces:
        for number, run, length in zip(block.numbers, runs, block.lengths, strict=True):
            begin = begins[number]
            out[number][begin : begin + length] = run[:length]


def forecast(model: Model, trials: Trials, n_steps: int, *, with_std: bool) -> Forecast:
    """Run on from the last states that are known."""
    shape = (len(trials), n_steps, trials.n_neurons)
    mean, std = np.empty(shape), np.empty(shape) if with_std else None
    for block, found in posteriors(model, trials):
        # the last steps of the trial may have no whole bin
        n_run = int(found.since.max()) + n_steps
        steps = found.since[:, None] + np.arange(n_steps)
        rows = np.arange(len(steps))[:, None]
        c = found.mean[block.group]
        expected = model.expected(model.run(c, found.last, n_run)[rows, steps])
        mean[block.numbers] = expected
        if std is not None:
            variance = _activity_variance(model, found, c, n_run)[rows, steps]
            std[block.numbers] = model.recording_std(expected, variance)
    return Forecast(mean, std)


def _activity_variance(
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
