"""Batches of the trials of several sessions, and forecasts of those held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._engine._reduction import free_run
from sklearn_jedi._engine._smoother import smooth
from sklearn_jedi._engine._state_space import StateSpace
from sklearn_jedi._training._variational_recognition import float_tensor

# Of a session's trials, one in so many is held out, where there are as many as three,
# and no more than that many.
_HELD_OUT_EVERY = 5
_FEWEST_TRIALS = 3
_MOST_HELD_OUT = 32
_SHORTEST = 4
_FEWEST_BATCHES = 2


class TrainingSessions(Dataset[Any]):
    """Trials of all sessions, read when they are needed, and EM's posterior of them.

    Parameters
    ----------
    sessions : list of Trials
    models : list of StateSpace
        EM's.
    whiten : array of shape (rank, rank)
        From states to the units of `LatentFamily`, on the right.

    Attributes
    ----------
    session, row, group : int arrays of shape (n_trials,)
        Of each trial; groups are numbered over all sessions.
    smoothed : array of shape (n_trials, n_timepoints, rank)
    mean, variance : arrays of shape (n_groups, embedding_dim)
        Of embeddings.
    first_sd : array of shape (rank,)
        Standard deviations of the smoothed first states.
    """

    def __init__(
        self, sessions: list[Trials], models: Sequence[StateSpace], whiten: np.ndarray
    ) -> None:
        self.sessions = sessions
        self.n_neurons = max(trials.n_neurons for trials in sessions)
        sizes = [len(trials) for trials in sessions]
        self.session = np.repeat(np.arange(len(sessions)), sizes)
        self.row = np.concatenate([np.arange(size) for size in sizes])
        n_timepoints = max(trials.n_timepoints for trials in sessions)
        rank, n_axes = len(whiten), models[0].map.n_axes
        self.smoothed = np.zeros((len(self), max(2, n_timepoints), rank))
        means, variances, groups = [], [], []
        first_cov, first, n_groups = np.zeros((rank, rank)), 0, 0
        for trials, model in zip(sessions, models, strict=True):
            labels, own_group = np.unique(trials.groups, return_inverse=True)
            mean = np.zeros((len(labels), n_axes))
            variance = np.zeros((len(labels), n_axes))
            for block in trials.blocks():
                posterior = smooth(model, block)
                z = posterior.z @ whiten * block.within[..., None]
                self.smoothed[first + block.numbers, : z.shape[1]] = z
                own = np.searchsorted(labels, block.labels)
                mean[own] = posterior.c
                variance[own] = np.einsum("gjj->gj", posterior.cov)
                at = np.zeros(len(z), dtype=int)
                first_cov += posterior.state_cov(at)[:, :rank, :rank].sum(0)
            means.append(mean)
            variances.append(variance)
            groups.append(n_groups + own_group)
            first, n_groups = first + len(trials), n_groups + len(labels)
        self.mean, self.variance = np.concatenate(means), np.concatenate(variances)
        self.group = np.concatenate(groups)
        first_cov = whiten.T @ first_cov @ whiten / len(self)
        self.first_sd = np.sqrt(np.diag(first_cov))

    def __len__(self) -> int:
        return len(self.row)

    def read(self, index: np.ndarray) -> dict[str, torch.Tensor]:
        """A batch, padded to the largest session and the longest trial."""
        index = index[np.lexsort((self.group[index], self.session[index]))]
        session = self.session[index]
        blocks = [
            self.sessions[s].read(self.row[index[session == s]])
            for s in np.unique(session)
        ]
        n_timepoints = max(block.values.shape[1] for block in blocks)
        shape = (len(index), n_timepoints, self.n_neurons)
        values, recorded = np.zeros(shape), np.zeros(shape)
        first = 0
        for block in blocks:
            own = tuple(slice(size) for size in block.values.shape[1:])
            rows = slice(first, first + len(block.values))
            values[(rows, *own)] = block.values
            recorded[(rows, *own)] = 1.0 if block.recorded is None else block.recorded
            first += len(block.values)
        lengths = np.concatenate([block.lengths for block in blocks])
        labels, group = np.unique(self.group[index], return_inverse=True)
        return {
            "values": float_tensor(values),
            "recorded": float_tensor(recorded),
            "within": float_tensor(np.less(np.arange(n_timepoints), lengths[:, None])),
            "smoothed": float_tensor(self.smoothed[index, :n_timepoints]),
            "session": torch.as_tensor(session),
            "group": torch.as_tensor(group),
            "mean": float_tensor(self.mean[labels[group]]),
            "variance": float_tensor(self.variance[labels[group]]),
            # of the group's prior, so that an epoch has it once
            "share": float_tensor(1 / np.bincount(self.group)[labels[group]]),
        }


class ShuffledBatches:
    """Each trial once, in random order, but in so many batches at least."""

    def __init__(self, dataset: TrainingSessions, batch_size: int) -> None:
        self.dataset = dataset
        n_batches = max(_FEWEST_BATCHES, -(-len(dataset) // batch_size))
        self.n_batches = min(n_batches, len(dataset))

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[Any]:
        order = torch.randperm(len(self.dataset)).numpy()
        for part in np.array_split(order, self.n_batches):
            yield self.dataset.read(part), torch.zeros(1)


class Forecasts:
    """Held-out trials: the second half given the first, through the smoother.

    EM has seen these trials, which speaks for EM. Costs are negative log likelihoods
    under EM's readout noise. Of EM's cost, what is above that of the trials' own
    smoothed states could at best be avoided.

    Parameters
    ----------
    sessions : list of Trials
    rows : list of int arrays
    models : list of StateSpace
        EM's.
    """

    def __init__(
        self, sessions: list[Trials], rows: list[np.ndarray], models: list[StateSpace]
    ) -> None:
        self.models = models
        self.blocks = [
            (session, block)
            for session, (trials, own) in enumerate(zip(sessions, rows, strict=True))
            if len(own)
            for block in trials.take(own).blocks()
        ]
        self.start = self._costs(models)
        least = [
            self._part_cost(session, models, block, smooth(models[session], block).z)
            for session, block in self.blocks
        ]
        self.avoidable = float((self.start - np.concatenate(least)).sum())

    def __call__(self, models: list[StateSpace]) -> float:
        """The cost that could be avoided, as a share of EM's, plus a standard error.

        The error is that of the difference from EM over groups of trials: a single
        group can tell nothing.
        """
        change = self._costs(models) - self.start
        if not self.avoidable > 0 or len(change) < 2:
            return 1.0
        error = np.sqrt(len(change)) * change.std(ddof=1)
        return 1.0 + float(change.sum() + error) / self.avoidable

    def _costs(self, models: list[StateSpace]) -> np.ndarray:
        """Of each group of trials."""
        costs = []
        for session, block in self.blocks:
            model, half = models[session], block.lengths // 2
            posterior = smooth(model, _first_bins(block, half), marginal=True)
            last = posterior.z[np.arange(len(half)), half - 1]
            z = np.zeros((*block.values.shape[:2], last.shape[1]))
            n_steps = block.values.shape[1] - int(half.min())
            weights = model.map.weights(posterior.c)[block.group]
            path = free_run(model.red, weights, model.activity(last), n_steps)
            bins = half[:, None] + np.arange(n_steps)
            trial, step = np.nonzero(bins < block.lengths[:, None])
            z[trial, bins[trial, step]] = path[trial, step]
            costs.append(self._part_cost(session, models, block, z))
        return np.concatenate(costs)

    def _part_cost(
        self, session: int, models: list[StateSpace], block: Block, z: np.ndarray
    ) -> np.ndarray:
        """Of states in the second halves, for each group (n_groups,)."""
        bins = np.arange(z.shape[1])
        later = (bins >= block.lengths[:, None] // 2)[..., None]
        recorded = np.ones(block.values.shape, dtype=bool)
        recorded &= later & block.within[..., None]
        if block.recorded is not None:
            recorded &= block.recorded
        second = block._replace(values=block.values * recorded, recorded=recorded)
        likelihood = self.models[session].likelihood
        with np.errstate(over="ignore", invalid="ignore"):
            terms = likelihood.terms(models[session].loading, second)
            return block.sum_groups(terms.cost(z))


def _first_bins(block: Block, lengths: np.ndarray) -> Block:
    """The first bins of each trial, the others cut off."""
    n_timepoints = max(2, int(lengths.max()))
    cut = block._replace(
        values=block.values[:, :n_timepoints].copy(),
        recorded=None,
        lengths=lengths,
    )
    recorded = np.repeat(cut.within[..., None], block.values.shape[2], axis=2)
    if block.recorded is not None:
        recorded &= block.recorded[:, :n_timepoints]
    cut.values[~recorded] = 0.0
    return cut._replace(recorded=None if recorded.all() else recorded)


def held_out_trials(trials: Trials) -> np.ndarray:
    """Numbers of the trials that training does not see; none of small sessions."""
    if len(trials) < _FEWEST_TRIALS:
        return np.empty(0, dtype=int)
    every = max(_HELD_OUT_EVERY, -(-len(trials) // _MOST_HELD_OUT))
    numbers = np.arange(every // 2, len(trials), every)
    return numbers[trials.lengths[numbers] >= _SHORTEST]
