"""The models of `side_by_side`, and the settings that each may choose from.

Three candidates each, compared on the same quarter of the training trials:

| model | searched | given |
|---|---|---|
| JEDI | rank | embedding dimension; the rest it chooses inside `fit` |
| VAE | 8, 16 or 32 latents | 256 hidden units, 300 epochs at 1e-3, beta 1e-4 |
| recurrent VAE | 32 units at 1e-2, 64 at 5e-3 or 1e-2 | 16 latents, 60 epochs |
| FORCE | alpha 1, 10 or 100 | 10 passes, g 1.5 |
| one network, one per condition | rank | the rest chosen inside `fit` |
| linear (own EM), pooled and per condition | states | 100 rounds |
| dynamax | states | 30 rounds, its default priors |
| cebra | time offset 1, 5 or 10 | 8 latents, 300 steps of 128 bins at 3e-3 |
| pykoop | 10 components, 5 delays; 10, 10; cubic products of 4, 2 | alpha 0.01; 1; 1 |
| dsa-metric | 5 or 10 delays at rank 10, 10 at rank 20 | 10 components |

Ranks and states depend on the data set, and are the same for all models that have them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from benchmarks._common import DT
from benchmarks._side_by_side_data import DataSet
from benchmarks.baselines import (
    CebraTime,
    DynamaxLinear,
    DynamicalSimilarity,
    ForceRNN,
    KoopmanForecast,
    OneNetwork,
    PerCondition,
    RecurrentVAE,
    TrialVAE,
    linear_network,
)
from sklearn_jedi import JEDIEstimator, LowRankRNN
from sklearn_jedi.baselines import LinearStateSpace


def alone(model: Any, X: np.ndarray, y: np.ndarray) -> Any:
    return model.fit(X)


def labelled(model: Any, X: np.ndarray, y: np.ndarray) -> Any:
    return model.fit(X, y)


def shared(model: Any, X: np.ndarray, y: np.ndarray) -> Any:
    """One embedding for each label; held-out trials come without theirs."""
    return model.fit(X, conditions=y)


class Model(NamedTuple):
    """Candidates for a data set, how labels enter a fit, and the package it needs."""

    candidates: Callable[[DataSet], list[Any]]
    fit: Callable[[Any, np.ndarray, np.ndarray], Any] = alone
    package: str | None = None


def jedi(data: DataSet, **parameters: Any) -> list[Any]:
    return [
        JEDIEstimator(rank, data.embedding_dim, dt=DT, random_state=0, **parameters)
        for rank in data.ranks
    ]


def one_network(data: DataSet) -> list[Any]:
    return [OneNetwork(JEDIEstimator(rank, dt=DT, max_epochs=0)) for rank in data.ranks]


def linear(data: DataSet) -> list[Any]:
    return [LinearStateSpace(k) for k in data.states]


def per_condition(
    candidates: Callable[[DataSet], list[Any]],
) -> Callable[[DataSet], list[Any]]:
    return lambda data: [PerCondition(m, data.n_given) for m in candidates(data)]


MODELS: dict[str, Model] = {
    "JEDI": Model(jedi),
    "JEDI, EM": Model(lambda data: jedi(data, max_epochs=0)),
    "JEDI, labels": Model(
        lambda data: jedi(data, embedding="condition", max_epochs=0), shared
    ),
    "VAE": Model(lambda _: [TrialVAE(k, 256, random_state=0) for k in (8, 16, 32)]),
    "recurrent VAE": Model(
        lambda _: [
            RecurrentVAE(16, units, n_epochs=60, learning_rate=rate, random_state=0)
            for units, rate in ((32, 1e-2), (64, 5e-3), (64, 1e-2))
        ]
    ),
    "FORCE": Model(
        lambda _: [ForceRNN(alpha=a, random_state=0) for a in (1.0, 10.0, 100.0)]
    ),
    "one network": Model(one_network),
    "linear": Model(linear),
    "one network per condition": Model(per_condition(one_network), labelled),
    "linear per condition": Model(per_condition(linear), labelled),
    "dynamax": Model(
        lambda data: [DynamaxLinear(k) for k in data.states], package="dynamax"
    ),
    "pykoop": Model(
        lambda _: [
            KoopmanForecast(10, 5),
            KoopmanForecast(10, 10, alpha=1.0),
            KoopmanForecast(4, 2, 3, alpha=1.0),
        ],
        package="pykoop",
    ),
    "cebra": Model(
        lambda _: [CebraTime(8, offset, random_state=0) for offset in (1, 5, 10)],
        package="cebra",
    ),
    "dsa-metric": Model(
        lambda _: [DynamicalSimilarity(*of) for of in ((5, 10), (10, 10), (10, 20))],
        package="DSA",
    ),
}
QUICK = ("JEDI, EM", "FORCE", "one network", "one network per condition", "pykoop")


def fitted(name: str, candidate: Any, X: np.ndarray, y: np.ndarray) -> Any:
    return MODELS[name].fit(clone(candidate), X, y)


def network_of(
    model: Any, label: int, X: np.ndarray, y: np.ndarray
) -> LowRankRNN | None:
    """The network that a model has for a condition, if it has networks.

    X, y are the training trials, whose mean embedding is a condition's.
    """
    if isinstance(model, PerCondition):
        own = model.models_[list(model.classes_).index(label)]
        return network_of(own, label, X, y)
    if isinstance(model, JEDIEstimator):
        return model.dynamics(model.embeddings_[y == label].mean(0, keepdims=True))
    if isinstance(model, LinearStateSpace):
        return linear_network(
            model.transition_, model.drift_, model.loading_, model.offset_
        )
    return model.dynamics() if hasattr(model, "dynamics") else None
