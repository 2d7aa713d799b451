"""The fitted model of noisy recordings and of counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sklearn_jedi._first_states import (
    FirstStates,
    kernel_width,
    poisson_states,
    smoothed_states,
)
from sklearn_jedi._model import Model, Posterior
from sklearn_jedi._readout import Readout
from sklearn_jedi._running import RunningMoments
from sklearn_jedi._scaling import Scaling
from sklearn_jedi._selection import Settings
from sklearn_jedi._smoother import StateSpace, smooth
from sklearn_jedi._state_space import StateSpaceEM
from sklearn_jedi._trials import Block, Trials

# A neuron without a spike counts as having had this many.
_FEWEST_SPIKES = 0.5
_MAX_ROUNDS = 40


@dataclass(frozen=True, kw_only=True)
class NoisyModel(Model):
    """Recordings scatter about the activity of the network; states are inferred.

    Attributes
    ----------
    first_mean, first_cov : arrays of shape (rank,), (rank, rank)
        Prior of the first states' coordinates.
    readout : Readout
    """

    first_mean: np.ndarray
    first_cov: np.ndarray
    readout: Readout

    @property
    def state_space(self) -> StateSpace:
        red = self.reduction
        return StateSpace(
            red,
            self.bilinear,
            self.step_cov,
            self.first_mean,
            self.first_cov,
            np.column_stack([red.P, red.mean_out]),
            self.readout,
        )

    def prepare(self, trials: Trials, first_whole: np.ndarray) -> Trials:
        """Trials in network units; counts are left as they are."""
        return trials if self.readout.poisson else trials.in_units(self.scaling)

    def infer(self, block: Block) -> Posterior:
        """Posterior of the states and embeddings of a block of trials."""
        model = self.state_space
        found = smooth(model, block, marginal=True)
        last = block.lengths - 1
        return Posterior(
            found.c,
            found.cov,
            found.converged,
            model.activity(found.z[:, 0]),
            model.activity(found.z[np.arange(len(last)), last]),
            np.zeros_like(last),
            lambda: model.activity(found.z),
            lambda: found.state_cov(last),
        )

    def expected(self, x: np.ndarray) -> np.ndarray:
        """Expected recording, in data units, of activity in network units."""
        x = self.scaling.to_data(x)
        return np.exp(x) if self.readout.poisson else x

    def noise_variance(self) -> np.ndarray:
        return self.readout.variance * self.scaling.scale**2

    def recording_std(self, expected: np.ndarray, variance: np.ndarray) -> np.ndarray:
        if self.readout.poisson:  # a log-normal rate, and counts about it
            spread = np.expm1(np.minimum(variance, 50.0)) * expected**2
            return np.sqrt(spread + expected)
        return np.sqrt(variance + self.readout.variance) * self.scaling.scale


class _SquareRoot:
    """Square roots of counts as network units: their noise varies little with rate."""

    def to_network(self, X: np.ndarray) -> np.ndarray:
        return np.sqrt(X)

    def to_data(self, X: np.ndarray) -> np.ndarray:
        return X**2


def fit_noisy(
    trials: Trials,
    scaling: Scaling,
    mean: np.ndarray,
    settings: Settings,
    rank: int,
    embedding_dim: int,
    nonlinearity: str,
    tau: float,
    dt: float,
    *,
    poisson: bool,
    ridge: float | str,
    report: Callable[[int, int, str], None],
) -> tuple[NoisyModel, bool]:
    """EM for noisy recordings or, from the solution for their square roots, counts.

    Parameters
    ----------
    trials : Trials
        In data units.
    scaling : Scaling
        From data to network units, for recordings that are not counts.
    mean : array of shape (n_neurons,)
        Of the recordings, in data units.
    settings : Settings
        With a `window` of 0 where the width of the first kernel is to be chosen.

    Returns
    -------
    model : NoisyModel
    interrupted : bool
        Whether Ctrl-C ended EM.
    """

    def em(first: FirstStates, *, rounds: bool = True) -> StateSpaceEM:
        return StateSpaceEM(
            [first],
            embedding_dim,
            nonlinearity,
            dt / tau,
            gain=settings.gain,
            ridge=ridge,
            n_directions=settings.n_directions,
            report=report,
        ).run(_MAX_ROUNDS if rounds else 0)

    if poisson:
        network_units = trials.in_units(_SquareRoot())
        roots = RunningMoments(trials.n_neurons)
        for block in network_units.blocks():
            roots.add(block.values, block.recorded)
        centre = roots.mean
    else:
        network_units, centre = trials.in_units(scaling), scaling.to_network(mean)
    width = settings.window or kernel_width(network_units)
    first = smoothed_states(network_units, centre, rank, width)
    fit = em(first)
    if poisson:
        n_bins = max(int(trials.lengths.sum()), 1)
        log_mean = np.log(np.maximum(mean, _FEWEST_SPIKES / n_bins))
        scaling = Scaling(log_mean, np.ones_like(log_mean), False)
        first = poisson_states(trials, network_units, fit.models[0], log_mean)
        interrupted = fit.interrupted
        fit = em(first, rounds=not interrupted)
        fit.interrupted |= interrupted
    model = fit.models[0]
    fitted = NoisyModel(
        scaling=scaling,
        settings=settings._replace(window=width),
        basis=fit.basis,
        bilinear=model.map,
        nonlinearity=nonlinearity,
        tau=tau,
        dt=dt,
        step_cov=model.step_cov,
        first_mean=model.first_mean,
        first_cov=model.first_cov,
        readout=model.readout,
    )
    return fitted, fit.interrupted
