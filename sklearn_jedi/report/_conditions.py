"""The network of each condition, and where its activity was."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from sklearn_jedi._engine._likelihoods import LIKELIHOODS
from sklearn_jedi._estimators._jedi import JEDIEstimator
from sklearn_jedi._networks._low_rank_rnn import LowRankRNN
from sklearn_jedi.report._study import Study, TrialList


class ConditionNetworks(NamedTuple):
    """Conditions, each with its network.

    Attributes
    ----------
    names : list of str
    networks : LowRankRNN
        One for each.
    states : list of lists of arrays of shape (n_timepoints_i, n_neurons)
        Of the trials of each, in the networks' units.
    """

    names: list[str]
    networks: LowRankRNN
    states: list[TrialList]

    def sampled(self, n_states: int) -> np.ndarray:
        """Visited states (n_conditions, n_states, n_neurons), spread evenly."""
        return np.stack([spread(np.concatenate(of), n_states) for of in self.states])

    def runs(self, condition: int, n_trials: int) -> np.ndarray:
        """Some trials, cut to the shortest of them (n, n_timepoints, n_neurons)."""
        trials = self.states[condition]
        chosen = np.linspace(0, len(trials) - 1, min(n_trials, len(trials))).round()
        some = [trials[int(trial)] for trial in chosen]
        shortest = min(len(states) for states in some)
        return np.stack([states[:shortest] for states in some])


def condition_networks(study: Study) -> ConditionNetworks:
    """The conditions of a study, each with one network; fitted once.

    With labels, the trials of a condition share an embedding in a fit of its own, whose
    axes are no more than conditions can tell apart: averages of embeddings of single
    trials need not be the embedding of anything. Without, there is one condition of all
    trials, and the network of their mean embedding.
    """
    if study.condition_networks is None:
        make = mean_networks if study.labels is None else _shared_networks
        study.condition_networks = make(study)
    return study.condition_networks


def mean_networks(study: Study) -> ConditionNetworks:
    """Conditions with the networks of the mean embeddings of their trials."""
    assert study.model is not None
    assert study.embeddings is not None
    states = visited_states(study)
    of = study.conditions
    means = np.stack([study.embeddings[trials].mean(0) for _, trials in of])
    return ConditionNetworks(
        [name for name, _ in of],
        study.model.dynamics(means),
        [[states[trial] for trial in trials] for _, trials in of],
    )


def _shared_networks(study: Study) -> ConditionNetworks:
    assert study.rank is not None
    assert study.embedding_dim is not None
    assert study.labels is not None
    labels = study.labels[study.train]
    # a condition of held-out trials alone has no network
    of = [name for name, _ in study.conditions if name in labels]
    dim = min(study.embedding_dim, max(1, len(of) - 1))
    train = study.take(study.train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the first fit has said it
        model = study.estimator(study.rank, dim, embedding="condition")
        model.fit(train, conditions=labels)
    states = _states(model, train, labels)
    rows = [np.flatnonzero(labels == name) for name in of]
    return ConditionNetworks(
        of,
        model.dynamics(model.embeddings_[[of_one[0] for of_one in rows]]),
        [[states[row] for row in of_one] for of_one in rows],
    )


def visited_states(study: Study) -> TrialList:
    """Where the networks were in each trial, in their units, gaps filled in."""
    if study.states is None:
        assert study.model is not None
        study.states = _states(study.model, study.X, None)
    return study.states


def _states(model: JEDIEstimator, X: TrialList, labels: np.ndarray | None) -> TrialList:
    smooth = model.smooth(X, conditions=labels)
    if model.observation_ in LIKELIHOODS:
        smooth = [LIKELIHOODS[model.observation_].activity(x) for x in smooth]
    # with "state" there is nothing before the first whole bin
    return [x[np.isfinite(x).all(1)] for x in smooth]


def spread(states: np.ndarray, n_states: int) -> np.ndarray:
    """So many rows of (n, n_neurons), evenly spaced; repeated where there are fewer."""
    rows = np.linspace(0, len(states) - 1, n_states).round().astype(int)
    chosen: np.ndarray = states[rows]
    return chosen
