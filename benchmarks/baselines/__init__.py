"""The baselines of the JEDI paper and today's peers, with one scikit-learn interface.

The paper's are written from the papers that each cites; peers are adapters to packages
of the extra `bench`, imported when they are fitted. `fit(X)` sees training trials only,
and labels only in `PerCondition`; `transform(X)`, `reconstruct(X)`,
`forecast(X, n_steps)` and `score(X)`, of which each has those that it can, change
nothing.
"""

from benchmarks.baselines._cebra import CebraTime
from benchmarks.baselines._dsa import DynamicalSimilarity
from benchmarks.baselines._dynamax import DynamaxLinear
from benchmarks.baselines._force import ForceRNN
from benchmarks.baselines._linear_network import linear_network
from benchmarks.baselines._one_network import OneNetwork
from benchmarks.baselines._per_condition import PerCondition
from benchmarks.baselines._pykoop import KoopmanForecast
from benchmarks.baselines._rnn_vae import RecurrentVAE
from benchmarks.baselines._vae import TrialVAE

__all__ = [
    "CebraTime",
    "DynamaxLinear",
    "DynamicalSimilarity",
    "ForceRNN",
    "KoopmanForecast",
    "OneNetwork",
    "PerCondition",
    "RecurrentVAE",
    "TrialVAE",
    "linear_network",
]
