"""The baselines of the JEDI paper, with one small scikit-learn interface.

Written from the papers that each cites. `fit(X)` sees training trials only, and labels
only in `PerCondition`; `transform(X)`, `reconstruct(X)`, `forecast(X, n_steps)` and
`score(X)` change nothing.
"""

from benchmarks.baselines._force import ForceRNN
from benchmarks.baselines._one_network import OneNetwork
from benchmarks.baselines._per_condition import PerCondition
from benchmarks.baselines._rnn_vae import RecurrentVAE
from benchmarks.baselines._vae import TrialVAE

__all__ = ["ForceRNN", "OneNetwork", "PerCondition", "RecurrentVAE", "TrialVAE"]
