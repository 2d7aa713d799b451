"""Cases, models and scores of `benchmarks.generalisation`."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from benchmarks._common import DT, classifier, expected_counts, noisy_family, split
from benchmarks.baselines import OneNetwork, PerCondition
from sklearn_jedi import JEDIEstimator, LowRankRNN
from sklearn_jedi._data._halves import second_halves
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.datasets import make_driven_teachers
from sklearn_jedi.metrics import trajectory_r2

FREQUENCIES = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)  # Hz, each left out in turn
LEAST_RATE = 0.1  # spikes/s, where rates are compared on a logarithmic scale
N_ROUNDS = 50
LINEAR = {"linear": (5, 10, 20), "linear per condition": (4, 7, 10)}


class Case(NamedTuple):
    """Recordings, what runs are scored against, and what is held out.

    Attributes
    ----------
    X, truth : arrays of shape (n_trials, n_timepoints, n_neurons)
        `truth` is the activity without noise; for counts, the rates in spikes/s.
    y : array of shape (n_trials,)
    train, test : arrays of indices
    observation : str
        As JEDIEstimator has it.
    """

    X: np.ndarray
    truth: np.ndarray
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray
    observation: str = "state"

    @property
    def roots(self) -> np.ndarray:
        """What linear-Gaussian models are fitted to."""
        return np.sqrt(self.X) if self.observation == "poisson" else self.X

    def in_units(self, run: np.ndarray, model: Any) -> np.ndarray:
        """What a model predicts, in the units of the truth."""
        if self.observation != "poisson":
            return run
        return (expected_counts(run) if is_linear(model) else run) / DT


def clean_case(seed: int, n_train: int, n_test: int, **size: Any) -> Case:
    X, y, _ = make_driven_teachers(n_train + n_test, random_state=seed, **size)
    return Case(X, X, y, *split(y, n_train))


def noisy_case(seed: int, snr: float, n_train: int, n_test: int, **size: Any) -> Case:
    if np.isinf(snr):
        return clean_case(seed, n_train, n_test, **size)
    size["n_trials_per_condition"] = n_train + n_test
    X, truth, y, _ = noisy_family(make_driven_teachers, snr, seed, **size)
    return Case(X, truth, y, *split(y, n_train), "gaussian")


def count_case(seed: int, rate: float, n_train: int, n_test: int, **size: Any) -> Case:
    clean = clean_case(seed, n_train, n_test, **size)
    shape = np.exp(0.7 * clean.truth / clean.truth.std())
    rates = rate * shape / shape.mean((0, 1))
    counts = np.random.default_rng(seed).poisson(DT * rates).astype(float)
    return clean._replace(X=counts, truth=rates, observation="poisson")


def models(case: Case, jedi: JEDIEstimator, sizes: dict[str, int]) -> dict[str, Any]:
    """JEDI and what stands beside it, `sizes` the states of the linear models."""
    jedi = clone(jedi).set_params(observation=case.observation)
    em = clone(jedi).set_params(max_epochs=0)
    trained = {"JEDI, EM": em} if case.observation == "state" else {}
    jedi = jedi if trained else em
    per_condition = PerCondition(OneNetwork(em), n_given=case.X.shape[1])
    linear = {name: linear_model(name, k, case) for name, k in sizes.items()}
    return {"JEDI": jedi, **trained, "network per condition": per_condition, **linear}


def linear_model(name: str, n_states: int, case: Case) -> Any:
    model = LinearStateSpace(n_states, n_iter=N_ROUNDS)
    if name == "linear":
        return model
    return PerCondition(model, n_given=case.X.shape[1])


def is_linear(model: Any) -> bool:
    return isinstance(getattr(model, "estimator", model), LinearStateSpace)


def linear_sizes(case: Case) -> dict[str, int]:
    """States of the linear models, chosen on a quarter of the training trials."""
    X, y = case.roots[case.train], case.y[case.train]
    inner, held = split(y, 3 * np.bincount(y).max() // 4)
    sizes = {}
    for name, candidates in LINEAR.items():
        scores = []
        for k in candidates:
            model = fitted(linear_model(name, k, case), X[inner], y[inner])
            run = whole_run(model, X[held], y[held])
            scores.append(trajectory_r2(X[held, 1:], run[:, 1:]))
        sizes[name] = candidates[int(np.argmax(scores))]
    return sizes


def fitted(model: Any, X: np.ndarray, y: np.ndarray) -> Any:
    model = clone(model)
    if is_linear(model) and len(np.unique(y)) == len(y):
        # the same likelihood twice, and a covariance of first states for one trial
        X, y = np.repeat(X, 2, axis=0), np.repeat(y, 2)
    with warnings.catch_warnings():
        # few trials determine few axes
        warnings.filterwarnings("ignore", message=".*embedding axes")
        return model.fit(X, y) if isinstance(model, PerCondition) else model.fit(X)


def whole_run(model: Any, X: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
    """Free run of whole trials, by the models of the labels where there are such."""
    if isinstance(model, PerCondition):
        return model.reconstruct(X, y)
    return model.reconstruct(X)


def fit_and_score(
    model: Any, case: Case, read_as: list[int] | None = None
) -> tuple[Any, dict[str, float]]:
    """A fitted model, its held-out R^2 of whole trials and forecasts, the share read.

    One model per condition has labels in training only; a held-out trial is run by the
    model whose free run is nearest to it. A trial counts as read if the label is its
    own or, where they are given, one of `read_as`.
    """
    data = case.roots if is_linear(model) else case.X
    X, y = data[case.test], case.y[case.train]
    model = fitted(model, data[case.train], y)
    per_condition = isinstance(model, PerCondition)
    labels = model.predict(X) if per_condition else None
    ahead = np.stack(second_halves(model.forecast, X)[1])
    scores = r2(case, model, whole_run(model, X, labels), ahead)
    if isinstance(model, JEDIEstimator):
        labels = classifier().fit(model.embeddings_, y).predict(model.transform(X))
    if labels is not None:
        own = case.y[case.test]
        hit = labels == own if read_as is None else np.isin(labels, read_as)
        scores["read"] = float(np.mean(hit))
    return model, scores


def r2(case: Case, model: Any, run: np.ndarray, ahead: np.ndarray) -> dict[str, float]:
    """R^2 against the truth, of rates also on a logarithmic scale."""
    truth, half = case.truth[case.test], case.X.shape[1] - ahead.shape[1]
    pairs = {
        "whole": (truth[:, 1:], case.in_units(run, model)[:, 1:]),
        "forecast": (truth[:, half:], case.in_units(ahead, model)),
    }
    scores = {name: trajectory_r2(*pair) for name, pair in pairs.items()}
    if case.observation == "poisson":
        for name, pair in pairs.items():
            logs = (np.log(np.maximum(rates, LEAST_RATE)) for rates in pair)
            scores[f"{name}_log"] = trajectory_r2(*logs)
    return scores


def held_out_condition(
    case: Case, frequency: float, jedi: JEDIEstimator, sizes: dict[str, int]
) -> dict[str, dict[str, float]]:
    """Scores on a condition without training trials, `read` as one of its neighbours.

    The case has trials of all `FREQUENCIES`.

    JEDI's embedding is inferred from each trial, interpolated between the mean
    embeddings of the two neighbouring conditions, or that of the nearest condition.
    """
    held = FREQUENCIES.index(frequency)
    train, test = case.train[case.y[case.train] != held], np.flatnonzero(case.y == held)
    case = case._replace(train=train, test=test)
    neighbours = [k for k in (held - 1, held + 1) if 0 <= k < len(FREQUENCIES)]
    apart = np.array([abs(FREQUENCIES[k] - frequency) for k in neighbours])
    scores = {}
    for name, model in models(case, jedi, sizes).items():
        model, scores[name] = fit_and_score(model, case, read_as=neighbours)
        if name == "JEDI":
            y = case.y[train]
            means = np.stack([model.embeddings_[y == k].mean(0) for k in neighbours])
            given = {"JEDI, nearest condition": means[apart.argmin()]}
            if len(neighbours) == 2:
                given["JEDI, interpolated"] = apart[::-1] @ means / apart.sum()
            for how, embedding in given.items():
                scores[how] = score_network(model.dynamics(embedding[None]), case)
    return scores


def score_network(network: LowRankRNN, case: Case) -> dict[str, float]:
    """R^2 of one network's runs from recorded states."""
    X = case.X[case.test]
    n_timepoints, half = X.shape[1], X.shape[1] // 2
    run = network.simulate(X[None, :, 0], n_timepoints)[0]
    ahead = network.simulate(X[None, :, half - 1], n_timepoints - half + 1)[0, :, 1:]
    return r2(case, network, run, ahead)
