"""Bringing the latent states of sessions with different neurons to one another.

Principal components of a session, whitened, are known up to an orthogonal matrix. The
right one turns the session's velocities along the vector field that the other sessions
follow, up to speed; or, where labels say which trials are alike, brings averages over
conditions together (orthogonal Procrustes [1]_).

What no alignment can tell: a common orthogonal matrix of all sessions; and, where the
vector field has a symmetry (a limit cycle on a circle looks alike from all sides), that
symmetry in each session.

References
----------
.. [1] Schönemann, "A generalized solution of the orthogonal Procrustes problem",
   Psychometrika 31 (1966).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from sklearn_jedi._engine._first_states import FirstStates, start_trials

# Steps over which velocities are averaged, and how many are compared.
_WINDOW = 5
_MOST_POINTS = 400
_RIDGE = 1e-2
# Starts of the search: angles of a plane, or random turns of more dimensions.
_ANGLES = 36
_RANDOM_TURNS = 200
# Angles between those tried in each plane, in radians, from coarse to fine.
_FINER = (0.3, 0.1, 0.03)
_TRIED = np.arange(-4, 5)
# How many of the best starts are refined; every so many points rank them.
_PROMISING = 4
_RANKING = 3
_PASSES = 2
_TINY = np.finfo(float).tiny

Features = Callable[[np.ndarray], np.ndarray]
Averages = dict[Any, np.ndarray]


class Flow(NamedTuple):
    """Where a session's states were, and how fast they moved there.

    Attributes
    ----------
    states, velocities : arrays of shape (n_points, n_latents)
        In the middle of windows, and the mean change per step over them.
    """

    states: np.ndarray
    velocities: np.ndarray


def flow_of(first: FirstStates) -> Flow:
    """Evenly drawn windows of first states."""
    states, velocities = [], []
    blocks = start_trials(first.trials).blocks()
    for block, path in zip(blocks, first.paths, strict=True):
        window = min(_WINDOW, path.shape[1] - 1)
        change = (path[:, window:] - path[:, :-window]) / window
        middle = path[:, window // 2 :][:, : change.shape[1]]
        keep = block.within[:, window:]
        states.append(middle[keep])
        velocities.append(change[keep])
    z, v = np.concatenate(states), np.concatenate(velocities)
    chosen = np.linspace(0, len(z) - 1, min(len(z), _MOST_POINTS)).astype(int)
    return Flow(z[chosen], v[chosen])


def align_by_flow(flows: Sequence[Flow], features: Features) -> list[np.ndarray]:
    """Orthogonal matrices (n_latents, n_latents) that make the vector fields alike.

    The largest session keeps its axes. Each of the others is turned to those that have
    been, and then once more to all.
    """
    rank = flows[0].states.shape[1]
    turns: list[np.ndarray | None] = [None] * len(flows)
    first = int(np.argmax([len(flow.states) for flow in flows]))
    turns[first] = np.eye(rank)
    starts = orthogonal_starts(rank)
    for _ in range(_PASSES):
        for s, flow in enumerate(flows):
            if s == first:
                continue
            others = [
                (other, turn)
                for k, (other, turn) in enumerate(zip(flows, turns, strict=True))
                if turn is not None and k != s
            ]
            field = _common_field(others, features)

            def velocity(z: np.ndarray, field: np.ndarray = field) -> np.ndarray:
                result: np.ndarray = features(z) @ field
                return result

            turns[s] = _best_turn(flow, starts, velocity)
    return [turn for turn in turns if turn is not None]


def _common_field(
    sessions: list[tuple[Flow, np.ndarray]], features: Features
) -> np.ndarray:
    """Weights (K, n_latents) of the field that sessions share up to their speed."""
    pairs = [(features(f.states @ R.T), f.velocities @ R.T) for f, R in sessions]
    ff = np.mean([f.T @ f / len(f) for f, _ in pairs], axis=0)
    fv = np.mean(
        [f.T @ v / len(f) / max(np.sqrt(np.mean(v**2)), _TINY) for f, v in pairs],
        axis=0,
    )
    level = np.trace(ff) / len(ff)
    result: np.ndarray = linalg.solve(
        ff + _RIDGE * level * np.eye(len(ff)), fv, assume_a="pos"
    )
    return result


def agreement(flow: Flow, turns: np.ndarray, velocity: Features) -> np.ndarray:
    """Cosine of turned velocities and a field, for turns (n, n_latents, n_latents)."""
    across = np.swapaxes(turns, 1, 2)
    states, along = flow.states @ across, flow.velocities @ across
    there = velocity(states.reshape(-1, states.shape[2])).reshape(along.shape)
    size = np.sqrt((there**2).sum((1, 2)) * (along**2).sum((1, 2)))
    result: np.ndarray = (there * along).sum((1, 2)) / np.maximum(size, _TINY)
    return result


def _best_turn(flow: Flow, starts: np.ndarray, velocity: Features) -> np.ndarray:
    """The turn of best agreement, from the most promising starts."""
    some = Flow(flow.states[::_RANKING], flow.velocities[::_RANKING])
    order = np.argsort(-agreement(some, starts, velocity))
    found = np.stack([refined(flow, starts[k], velocity) for k in order[:_PROMISING]])
    result: np.ndarray = found[np.argmax(agreement(flow, found, velocity))]
    return result


def refined(flow: Flow, turn: np.ndarray, velocity: Features) -> np.ndarray:
    """A turn of better agreement, by rotations in one plane after the other."""
    rank = len(turn)
    for size in _FINER:
        for i in range(rank):
            for j in range(i + 1, rank):
                tried = _rotations(rank, i, j, size * _TRIED) @ turn
                turn = tried[np.argmax(agreement(flow, tried, velocity))]
    return turn


def _rotations(rank: int, i: int, j: int, angles: np.ndarray) -> np.ndarray:
    """Rotations (n, rank, rank) within a plane."""
    turns = np.tile(np.eye(rank), (len(angles), 1, 1))
    turns[:, i, i] = turns[:, j, j] = np.cos(angles)
    turns[:, i, j] = -np.sin(angles)
    turns[:, j, i] = np.sin(angles)
    return turns


def orthogonal_starts(rank: int) -> np.ndarray:
    """Orthogonal matrices (n, rank, rank) of either handedness."""
    if rank == 1:
        return np.array([[[1.0]], [[-1.0]]])
    if rank == 2:
        turns = _rotations(2, 0, 1, 2 * np.pi * np.arange(_ANGLES) / _ANGLES)
    else:
        rng = np.random.RandomState(0)
        turns, R = np.linalg.qr(rng.standard_normal((_RANDOM_TURNS, rank, rank)))
        # signs make them uniform over all orthogonal matrices
        turns *= np.sign(np.diagonal(R, axis1=1, axis2=2))[:, None, :]
    mirrored = turns.copy()
    mirrored[:, 0] *= -1
    return np.concatenate([turns, mirrored])


def condition_averages(first: FirstStates, conditions: Any) -> Averages:
    """Mean states (n_timepoints, n_latents) over the trials of each condition.

    As long as its shortest trial.
    """
    part = start_trials(first.trials)
    rows = np.arange(len(part)) if part.rows is None else part.rows
    of_condition: dict[Any, list[np.ndarray]] = {}
    for block, path in zip(part.blocks(), first.paths, strict=True):
        for number, states, length in zip(
            block.numbers, path, block.lengths, strict=True
        ):
            label = conditions[rows[number]]
            of_condition.setdefault(label, []).append(states[:length])
    averages = {}
    for label, paths in of_condition.items():
        length = min(len(path) for path in paths)
        averages[label] = np.mean([path[:length] for path in paths], axis=0)
    return averages


def align_by_conditions(averages: Sequence[Averages]) -> list[np.ndarray]:
    """Orthogonal matrices that bring the averages of like conditions together.

    The session with the most conditions keeps its axes.

    Raises
    ------
    ValueError
        If a session shares no condition with those that were aligned before it.
    """
    first = int(np.argmax([len(of_one) for of_one in averages]))
    order = [first, *(s for s in range(len(averages)) if s != first)]
    rank = next(iter(averages[first].values())).shape[1]
    turns = {first: np.eye(rank)}
    for _ in range(_PASSES):
        for s in order[1:]:
            own, others = [], []
            for k, turn in turns.items():
                for label in averages[k].keys() & averages[s].keys() if k != s else ():
                    a, b = averages[s][label], averages[k][label] @ turn.T
                    length = min(len(a), len(b))
                    own.append(a[:length])
                    others.append(b[:length])
            if not own:
                raise ValueError(
                    f"the conditions of session number {s}, {list(averages[s])[:5]}, "
                    "are not among those of the other sessions: labels must mean the "
                    "same in all; or leave conditions out"
                )
            turns[s] = linalg.orthogonal_procrustes(
                np.concatenate(own), np.concatenate(others)
            )[0].T
    return [turns[s] for s in range(len(averages))]
