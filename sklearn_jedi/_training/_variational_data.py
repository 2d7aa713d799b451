"""Batches of the trials of several sessions, and forecasts of those held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from sklearn_jedi._data._halves import second_halves
from sklearn_jedi._data._trials import Trials
from sklearn_jedi._engine._joint_blocks import padded
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
        self.held_out = [
            (session, trials.take(own))
            for session, (trials, own) in enumerate(zip(sessions, rows, strict=True))
            if len(own)
        ]
        self.start = self._costs(models)
        least = [
            self._cost(session, models, trials, *_smoothed(models[session], trials))
            for session, trials in self.held_out
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
        for session, trials in self.held_out:
            ahead = partial(_ahead, models[session], trials)
            later, states = second_halves(ahead, trials.as_list())
            costs.append(self._cost(session, models, trials, later, states))
        return np.concatenate(costs)

    def _cost(
        self,
        session: int,
        models: list[StateSpace],
        trials: Trials,
        later: list[np.ndarray],
        states: list[np.ndarray],
    ) -> np.ndarray:
        """Of states in the second halves, for each group (n_groups,)."""
        likelihood, costs = self.models[session].likelihood, []
        for block in trials.cut_to(later).blocks():
            z = padded([states[number][None] for number in block.numbers])
            z = np.pad(z, [(0, 0), (0, block.values.shape[1] - z.shape[1]), (0, 0)])
            with np.errstate(over="ignore", invalid="ignore"):
                terms = likelihood.terms(models[session].loading, block)
                costs.append(block.sum_groups(terms.cost(z)))
        return np.concatenate(costs)


def _ahead(
    model: StateSpace, trials: Trials, first: list[np.ndarray], n_steps: int
) -> np.ndarray:
    """States (n_trials, n_steps, rank) after first parts, inferred from them alone."""
    states = np.empty((len(first), n_steps, len(model.first_mean)))
    for block in trials.cut_to(first).blocks():
        found = smooth(model, block, marginal=True)
        last = found.z[np.arange(len(block.lengths)), block.lengths - 1]
        weights = model.map.weights(found.c)[block.group]
        path = free_run(model.red, weights, model.activity(last), n_steps)
        states[block.numbers] = path
    return states


def _smoothed(
    model: StateSpace, trials: Trials
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Second halves of trials, and the states that whole trials tell of there."""
    whole: list[np.ndarray] = [np.empty(0)] * len(trials)
    for block in trials.blocks():
        z = smooth(model, block).z
        for number, path, length in zip(block.numbers, z, block.lengths, strict=True):
            whole[number] = path[:length]
    X = trials.as_list()
    later, _ = second_halves(lambda first, n_steps: [x[len(x) :] for x in first], X)
    return later, [z[-len(part) :] for z, part in zip(whole, later, strict=True)]


def held_out_trials(trials: Trials) -> np.ndarray:
    """Numbers of the trials that training does not see; none of small sessions."""
    if len(trials) < _FEWEST_TRIALS:
        return np.empty(0, dtype=int)
    every = max(_HELD_OUT_EVERY, -(-len(trials) // _MOST_HELD_OUT))
    numbers = np.arange(every // 2, len(trials), every)
    return numbers[trials.lengths[numbers] >= _SHORTEST]
