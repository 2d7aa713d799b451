"""The baseline of one full network without embeddings: FORCE."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from benchmarks.baselines._trials import complete_trials
from sklearn_jedi import LowRankRNN
from sklearn_jedi._data._units import Scaling, choose_scaling, is_of_unit_scale
from sklearn_jedi.metrics import trajectory_r2


class ForceRNN(BaseEstimator):
    r"""A full network trained to follow recordings by recursive least squares.

    One unit per recorded neuron, stepped once a bin,

    .. math:: x_{t+1} = x_t + (dt / \tau) (-x_t + J \tanh(x_t) + b),

    in the units that `JEDIEstimator` uses (data of unit scale as they are, others
    centred and soft-normalised). At every step of every trial FORCE learning [1]_, as
    in data-constrained networks [2]_, changes all inputs of all units,

    .. math:: k = P r, \quad c = 1 / (1 + r^T P r), \quad
        P \leftarrow P - c k k^T, \quad J \leftarrow J - c e k^T,

    where `r` is `tanh(x_t)` with a 1 for `b` below it, and `e` the error of the drive
    `J tanh(x_t) + b`: that of the next state, times `tau / dt`. (Errors of rates, as in
    [2]_, where a bin has many steps, teach far less in one step a bin.) Trials come in
    random order, each from its first recorded state; `P` is kept from pass to pass. All
    trials given are pooled; one network per condition: ``PerCondition(ForceRNN())``.

    Parameters
    ----------
    dt, tau : float, default=0.01, 0.1
        Duration of a bin and time constant in seconds.
    alpha : float, default=1.0
        `P` starts as `I / alpha`.
    n_passes : int, default=10
        Passes over all trials.
    g : float, default=1.5
        `J` starts with independent normal entries of variance `g^2 / n_neurons`; `b`
        with zeros.
    feedback : {"network", "recorded"}, default="network"
        `x_t` while learning: "network", as published, is the network's own state;
        "recorded" the recorded one. One pass of the latter is ridge regression of the
        drive, `alpha` its penalty on the distance from the first weights, and
        `n_passes` passes are one with `alpha / n_passes`.
    random_state : int, RandomState instance or None, default=None
        Draws the first weights and the order of trials.

    Attributes
    ----------
    weights_, bias_ : arrays of shape (n_neurons, n_neurons) and (n_neurons,)
        `J` and `b` in network units.
    offset_, scale_ : arrays of shape (n_neurons,)
        Network units are `(X - offset_) / scale_`.
    errors_ : list of float
        Mean squared error of the next state while learning, of each pass.

    References
    ----------
    .. [1] Sussillo and Abbott, "Generating coherent patterns of activity from chaotic
       neural networks", Neuron 63 (2009).
    .. [2] Perich et al., "Inferring brain-wide interactions using data-constrained
       recurrent neural network models", bioRxiv 2020.12.18.423348 (2020).
    """

    def __init__(
        self,
        dt: float = 0.01,
        tau: float = 0.1,
        *,
        alpha: float = 1.0,
        n_passes: int = 10,
        g: float = 1.5,
        feedback: str = "network",
        random_state: Any = None,
    ) -> None:
        self.dt = dt
        self.tau = tau
        self.alpha = alpha
        self.n_passes = n_passes
        self.g = g
        self.feedback = feedback
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> ForceRNN:
        """Learn from trials (n_trials, n_timepoints, n_neurons); y is ignored."""
        trials = complete_trials(X, 2)
        if self.feedback not in ("network", "recorded"):
            raise ValueError(
                f'feedback must be "network" or "recorded"; got {self.feedback!r}'
            )
        rng = check_random_state(self.random_state)
        n = trials.shape[2]
        mean, sd = trials.mean((0, 1)), trials.std((0, 1))
        # its own bias takes up the means of data of unit scale
        unit_scale = is_of_unit_scale(sd)
        scaling = Scaling.identity(n) if unit_scale else choose_scaling(mean, sd, None)
        self.offset_, self.scale_ = scaling
        states = (trials - self.offset_) / self.scale_
        weights = np.zeros((n, n + 1))
        weights[:, :n] = self.g / np.sqrt(n) * rng.standard_normal((n, n))
        P = np.eye(n + 1) / self.alpha
        self.errors_ = []
        for _ in range(self.n_passes):
            order = rng.permutation(len(states))
            errors = [self._follow(states[i], weights, P) for i in order]
            self.errors_.append(float(np.mean(errors)))
        self.weights_, self.bias_ = weights[:, :n], weights[:, n]
        return self

    def dynamics(self) -> LowRankRNN:
        """The network, in the units of the data."""
        check_is_fitted(self)
        return LowRankRNN.from_weights(
            self.scale_[:, None] * self.weights_ / self.scale_,
            self.offset_ + self.scale_ * self.bias_,
            self.tau,
            self.dt,
            gain=1 / self.scale_,
            offset=self.offset_,
        )

    def reconstruct(self, X: ArrayLike) -> np.ndarray:
        """Free run from each trial's first state, which is copied; the shape of X."""
        trials = complete_trials(X)
        return self.dynamics().simulate(trials[None, :, 0], trials.shape[1])[0]

    def forecast(self, X: ArrayLike, n_steps: int) -> np.ndarray:
        """Run on from each trial's last state, (n_trials, n_steps, n_neurons)."""
        last = complete_trials(X)[None, :, -1]
        return self.dynamics().simulate(last, n_steps + 1)[0, :, 1:]

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """R^2 of free runs; the first time point, which is copied, does not count."""
        return trajectory_r2(complete_trials(X)[:, 1:], self.reconstruct(X)[:, 1:])

    def _follow(self, trial: np.ndarray, weights: np.ndarray, P: np.ndarray) -> float:
        """Change weights and P in place over a trial; mean squared error of states."""
        step = self.dt / self.tau
        r = np.ones(len(P))
        x, total = trial[0], 0.0
        for recorded in trial[1:]:
            r[:-1] = np.tanh(x)
            ahead = (1 - step) * x + step * (weights @ r)
            error = ahead - recorded
            recursive_least_squares(weights, P, r, error / step)
            total += error @ error
            x = ahead if self.feedback == "network" else recorded
        return total / trial[1:].size


def recursive_least_squares(
    J: np.ndarray, P: np.ndarray, r: np.ndarray, e: np.ndarray
) -> None:
    """Change J (n, m) and P (m, m) in place for inputs r (m,) and error e (n,) of J r.

    From `P = I / alpha` on, `J` is at each step what ridge regression of the targets
    `J r - e` on the inputs so far gives, `alpha` the penalty on the distance from the
    first `J` (Haykin, "Adaptive filter theory").
    """
    k = P @ r
    c = 1 / (1 + r @ k)
    P -= np.outer(c * k, k)
    J -= np.outer(c * e, k)
