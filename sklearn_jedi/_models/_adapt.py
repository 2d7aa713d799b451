"""A new session for a fitted family: its readout, the dynamics left as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._engine._alignment import (
    agreement,
    flow_of,
    orthogonal_starts,
    refined,
)
from sklearn_jedi._engine._first_states import (
    FirstStates,
    read_out,
    start_trials,
    transformed,
    whitened,
)
from sklearn_jedi._engine._readout import new_readout, with_one
from sklearn_jedi._engine._reduction import free_run
from sklearn_jedi._engine._smoother import smooth
from sklearn_jedi._engine._state_space import StateSpace
from sklearn_jedi._models._fit import Recording, first_states
from sklearn_jedi._models._inferred import LatentModel

# Turns that are tried, each with a few rounds, before the best is finished.
_CANDIDATES = 8
_FIRST_ROUNDS = 8
_ROUNDS = 40
_PAIRS = 2
# Relative change of the evidence at which the readout has converged.
_SMALL_CHANGE = 1e-5
# Turns nearer than this cosine are taken to be the same.
_ALIKE = 0.9


def adapt_session(recording: Recording, model: LatentModel) -> LatentModel:
    """The family's view of a new session.

    Whitened principal components of the session are turned in the ways that best fit
    the family's vector field (at the prior's mean embedding); from each, readout and
    embedding are found by EM, and the likeliest are kept.

    Parameters
    ----------
    recording : Recording
        Of the new session.
    model : LatentModel
        Of any session of the family.
    """
    trials, scaling, mean = recording[:3]
    stage, *later_stages = type(model.likelihood).stages()
    smoothed, width = first_states(stage, recording, model.output.shape[1])
    start = whitened(smoothed)
    for stage in later_stages:
        scaling = stage.units(trials, scaling, mean)
    shared = model.state_space
    found = []
    for turn in _candidates(start, shared):
        first = transformed(start, turn, np.zeros(len(turn)))
        for stage in later_stages:
            prepared = stage.recordings(trials, scaling)
            first = read_out(stage, prepared, first.paths, scaling)
        own = shared._replace(loading=first.loading, likelihood=first.likelihood)
        found.append(_fit_readout(own, start_trials(first.trials), _FIRST_ROUNDS))
    best, _ = max(found, key=lambda pair: pair[1])
    best, _ = _fit_readout(best, start_trials(first.trials), _ROUNDS)
    return replace(
        model,
        scaling=scaling,
        settings=model.settings._replace(start_smoothing=width),
        loading=best.loading,
        likelihood=best.likelihood,
        ceiling=best.likelihood.ceiling(trials),
    )


def _candidates(start: FirstStates, shared: StateSpace) -> list[np.ndarray]:
    """Orthogonal matrices that fit the vector field well, all different."""
    flow = flow_of(start)
    none = np.zeros((1, shared.map.n_axes))
    weights = shared.map.weights(none)

    def velocity(z: np.ndarray) -> np.ndarray:
        after: np.ndarray = free_run(shared.red, weights, shared.activity(z), 1)
        result: np.ndarray = after[:, 0] - z
        return result

    starts = orthogonal_starts(flow.states.shape[1])
    order = np.argsort(-agreement(flow, starts, velocity))
    chosen: list[np.ndarray] = []
    for k in order:
        turn = starts[k]
        if all(np.trace(turn.T @ other) < _ALIKE * len(turn) for other in chosen):
            chosen.append(turn)
        if len(chosen) == _CANDIDATES:
            break
    return [refined(flow, turn, velocity) for turn in chosen]


def _fit_readout(
    model: StateSpace, trials: Trials, n_rounds: int
) -> tuple[StateSpace, float]:
    """EM for the readout alone, and the evidence that it reaches."""
    states: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    evidence, before = 0.0, -np.inf

    def draws() -> Iterator[tuple[Block, np.ndarray]]:
        nonlocal evidence
        evidence = 0.0
        for number, block in enumerate(trials.blocks()):
            known = states.get(number, (None, None))
            post = smooth(model, block, *known, max_iter=2 if number in states else 8)
            states[number] = post.z, post.c
            evidence += float(post.log_evidence.sum())
            yield block, with_one(post.draws(block, _PAIRS)[0])

    for _ in range(n_rounds):
        loading, likelihood = new_readout(model.likelihood, model.loading, draws())
        if evidence - before < _SMALL_CHANGE * abs(evidence):
            break
        before = evidence
        model = model._replace(loading=loading, likelihood=likelihood)
    return model, evidence
