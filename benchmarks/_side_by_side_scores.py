"""What `side_by_side` measures, each model in a process of its own."""

from __future__ import annotations

import importlib
import time
import warnings
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks._common import DT, classifier
from benchmarks._memory import memory_watch
from benchmarks._side_by_side_data import DATA, DataSet, small
from benchmarks._side_by_side_models import MODELS, fitted, network_of
from benchmarks.baselines import PerCondition
from sklearn_jedi import JEDIEstimator
from sklearn_jedi._data._halves import second_halves
from sklearn_jedi.analysis import FixedPointAnalyzer
from sklearn_jedi.metrics import compare_dynamics, trajectory_r2

AHEAD = (1, 10, 50)
Task = tuple[str, int, str]  # data set, seed, model


def whole(model: Any, X: np.ndarray, truth: np.ndarray) -> float:
    """R^2 of whole trials; the first time point, which some models copy, left out."""
    if not hasattr(model, "reconstruct"):
        return np.nan
    return r2(truth[:, 1:], model.reconstruct(X)[:, 1:])


def forecasts(
    model: Any, X: np.ndarray, truth: np.ndarray, n_given: int
) -> list[float]:
    """R^2 of the bins `AHEAD` of those given; NaN past the trials' end."""
    if not hasattr(model, "forecast"):
        return [np.nan] * len(AHEAD)
    later = truth[:, n_given:]
    ahead = np.stack(second_halves(model.forecast, X, n_given)[1])
    return [
        r2(later[:, k - 1 : k], ahead[:, k - 1 : k]) if k <= later.shape[1] else np.nan
        for k in AHEAD
    ]


def r2(truth: np.ndarray, found: np.ndarray) -> float:
    return trajectory_r2(truth, found) if np.isfinite(found).all() else -np.inf


def reading(model: Any, X: np.ndarray, y: np.ndarray, train: Any, test: Any) -> float:
    """Share of the conditions of held-out trials that are read."""
    if isinstance(model, PerCondition):
        return model.accuracy(X[test], y[test])
    if not hasattr(model, "transform"):
        return np.nan
    reader = classifier().fit(model.transform(X[train]), y[train])
    return float(reader.score(model.transform(X[test]), y[test]))


def mechanism(model: Any, data: DataSet) -> dict[str, float]:
    """Errors of eigenvalues, or of fixed points, where the true networks are known."""
    scores = dict.fromkeys(("eig_%", "points", "false", "off_%"), np.nan)
    if data.networks is None:
        return scores
    X, y = data.X[data.train], data.y[data.train]
    errors, points = [], []
    for k in range(len(data.networks)):
        network = network_of(model, k, X, y)
        if network is None:
            return scores
        if data.linear_eigenvalues is not None:
            true = leading(data.networks[k].eigenvalues)
            if network.nonlinearity == "linear":
                true = data.linear_eigenvalues[k]
            errors.append(abs(leading(network.eigenvalues) - true) / abs(true))
            continue
        states = data.truth[data.train][y == k][:, ::10]
        with np.errstate(all="ignore"):
            points.append(
                compare_dynamics(
                    data.networks[k],
                    network,
                    states.reshape(1, -1, X.shape[2]),
                    analyzer=FixedPointAnalyzer(limit_cycles=False, random_state=0),
                )
            )
    if errors:
        scores["eig_%"] = 100 * float(np.mean(errors))
        return scores
    for key, score in (
        ("points", "fixed_point_recall"),
        ("false", "fixed_point_precision"),
        ("off_%", "fixed_point_distance"),
    ):
        values = np.concatenate([of[score] for of in points])
        known = values[~np.isnan(values)]
        scores[key] = float(known.mean()) if len(known) else np.nan
    scores["false"], scores["off_%"] = 1 - scores["false"], 100 * scores["off_%"]
    return scores


def leading(eigenvalues: np.ndarray) -> complex:
    """The one of largest real part, in the upper half plane."""
    first = eigenvalues.ravel()[np.argmax(eigenvalues.real)]
    return complex(first.real, abs(first.imag))


# ------------------------------------------------------------ in a process of its own


def prepare(name: str, seed: int, model: str) -> tuple[DataSet, list[Any]]:
    """Data and candidates; the package that they need is imported."""
    warnings.simplefilter("ignore")
    threadpool_limits(1)
    data = small(seed) if name == "small" else DATA[name](seed)
    assert data is not None
    package = MODELS[model].package
    if package:
        importlib.import_module(package)
    return data, MODELS[model].candidates(data)


def choose(task: Task) -> int:
    """The candidate that does best on trials left out of the training trials."""
    data, candidates = prepare(*task)
    fit, held = data.inner()
    X, y = data.X, data.y
    scores = []
    for candidate in candidates:
        model = fitted(task[2], candidate, X[fit], y[fit])
        # observations, since what is behind them is not to be known
        score = whole(model, X[held], X[held])
        if np.isnan(score):
            score = float(np.nanmean(forecasts(model, X[held], X[held], data.n_given)))
        if np.isnan(score):
            score = reading(model, X, y, fit, held)
        scores.append(score)
    return int(np.argmax(scores))


def measure(of: tuple[Task, int]) -> dict[str, Any]:
    """Fit the chosen candidate to all training trials; a row of scores."""
    task, chosen = of
    data, candidates = prepare(*task)
    X, y, train, test = data.X, data.y, data.train, data.test
    warm_up = np.random.default_rng(0).standard_normal((8, 20, 5))
    epochs = 0 if task[0] == "small" else 1
    jedi = JEDIEstimator(2, 2, dt=DT, max_epochs=epochs, observation="state")
    jedi.fit(warm_up)
    model, seconds, megabytes = watched(
        partial(fitted, task[2], candidates[chosen], X[train], y[train])
    )
    given, truth = X[test], data.truth[test]
    ahead = forecasts(model, given, truth, data.n_given)
    return {
        "data": task[0],
        "model": task[2],
        "seed": task[1],
        "candidate": chosen,
        "run": whole(model, given, truth),
        **{f"k={k}": value for k, value in zip(AHEAD, ahead, strict=True)},
        "read": reading(model, X, y, train, test),
        **mechanism(model, data),
        "s": seconds,
        "MB": megabytes,
    }


def watched(function: Any) -> tuple[Any, float, float]:
    """What a function returns, its processor seconds, the memory that it adds."""
    with memory_watch() as added:
        start = time.process_time()
        value = function()
        seconds = time.process_time() - start
        return value, seconds, added()
