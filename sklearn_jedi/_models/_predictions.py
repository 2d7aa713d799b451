"""What a fitted model makes of trials, block by block: runs, forecasts, scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._models._model import (
    Forecast,
    Model,
    Posterior,
    warn_of_failures,
)
from sklearn_jedi._utils._threads import in_order


def posteriors(model: Model, trials: Trials) -> Iterator[tuple[Block, Posterior]]:
    """Blocks of trials, and what is inferred from each."""
    failed = 0

    def inferred(block: Block) -> tuple[Block, Posterior]:
        return block, model.infer(block)

    for block, found in in_order(inferred, ((block,) for block in trials.blocks())):
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
        yield block, model.expected(found.activity(), found.variance())


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
        ahead = model.ahead(block, found, n_run, with_std=with_std)
        mean[block.numbers] = ahead.mean[rows, steps]
        if std is not None and ahead.std is not None:
            std[block.numbers] = ahead.std[rows, steps]
    return Forecast(mean, std)
