"""Trials of several sessions as one block, so that they are smoothed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._engine._likelihoods import Terms
from sklearn_jedi._engine._state_space import StateSpace

# Time points of all trials, beyond which blocks of sessions are not joined.
_MOST_BINS = 2**15


class SessionRows(NamedTuple):
    """One session's trials within a joint block.

    Attributes
    ----------
    session : int
    block : Block
    rows : slice
        The trials, among those of the joint block.
    """

    session: int
    block: Block
    rows: slice


class JointBlock(NamedTuple):
    """Blocks of several sessions.

    Attributes
    ----------
    parts : list of SessionRows
    block : Block
        All trials, without values: padded to the longest, groups numbered anew.
    sessions : int array of shape (n_trials,)
    """

    parts: list[SessionRows]
    block: Block
    sessions: np.ndarray

    @property
    def sessions_of_groups(self) -> np.ndarray:
        """(n_groups,)"""
        return self.sessions[np.unique(self.block.group, return_index=True)[1]]

    def terms(self, models: Sequence[StateSpace]) -> Terms:
        """The log likelihood as a function of the states; models of all sessions."""
        terms: list[Terms] = []
        for session, block, _ in self.parts:
            model = models[session]
            terms.append(model.likelihood.terms(model.loading, block))
        return terms[0] if len(terms) == 1 else _JointTerms(self.parts, terms)


def joint_blocks(trials: Sequence[Trials]) -> Iterator[JointBlock]:
    """All trials of all sessions; small blocks of different sessions are joined."""
    waiting: list[tuple[int, Block]] = []
    n_bins = 0
    for session, of_one in enumerate(trials):
        for block in of_one.blocks():
            size = block.values.shape[0] * block.values.shape[1]
            # within a session blocks are of a size that suits the cache
            if waiting and (waiting[-1][0] == session or n_bins + size > _MOST_BINS):
                yield _join(waiting)
                waiting, n_bins = [], 0
            waiting.append((session, block))
            n_bins += size
    yield _join(waiting)


def _join(blocks: list[tuple[int, Block]]) -> JointBlock:
    parts, groups, first = [], [], 0
    n_groups = 0
    for session, block in blocks:
        n_trials = len(block.numbers)
        parts.append(SessionRows(session, block, slice(first, first + n_trials)))
        groups.append(block.group + n_groups)
        first, n_groups = first + n_trials, n_groups + block.n_groups
    sessions = np.repeat([s for s, _ in blocks], [len(b.numbers) for _, b in blocks])
    longest = max(block.values.shape[1] for _, block in blocks)
    whole = Block(
        np.concatenate([block.numbers for _, block in blocks]),
        np.empty((first, longest, 0)),
        None,
        np.concatenate(groups),
        np.concatenate([block.labels for _, block in blocks]),
        np.concatenate([block.lengths for _, block in blocks]),
    )
    return JointBlock(parts, whole, sessions)


def padded(paths: Sequence[np.ndarray]) -> np.ndarray:
    """Blocks of states (n_trials, n_timepoints, ...) as one, zero beyond their ends."""
    longest = max(path.shape[1] for path in paths)
    n_trials = sum(len(path) for path in paths)
    whole = np.zeros((n_trials, longest, *paths[0].shape[2:]))
    first = 0
    for path in paths:
        whole[first : first + len(path), : path.shape[1]] = path
        first += len(path)
    return whole


class _JointTerms:
    """Negative log likelihood of states; see `_likelihoods.Terms`."""

    def __init__(self, parts: Sequence[SessionRows], terms: Sequence[Terms]) -> None:
        self._of_parts = [
            (part.rows, part.block.values.shape[1], of_one)
            for part, of_one in zip(parts, terms, strict=True)
        ]

    def cost(self, z: np.ndarray) -> np.ndarray:
        parts = self._of_parts
        return np.concatenate([of_one.cost(z[rows, :T]) for rows, T, of_one in parts])

    def slopes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        descent = np.zeros_like(z)
        curvature = np.zeros((*z.shape, z.shape[2]))
        for rows, T, of_one in self._of_parts:
            descent[rows, :T], curvature[rows, :T] = of_one.slopes(z[rows, :T])
        return descent, curvature
