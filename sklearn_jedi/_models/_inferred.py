"""The fitted model of noisy recordings and of counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._data._units import Scaling
from sklearn_jedi._engine._first_states import (
    FirstStates,
    kernel_width,
    orthonormal,
    poisson_states,
    smoothed_states,
)
from sklearn_jedi._engine._likelihoods import Readout
from sklearn_jedi._engine._settings import Settings
from sklearn_jedi._engine._smoother import StateSpace, smooth_from
from sklearn_jedi._engine._state_space_em import StateSpaceEM
from sklearn_jedi._models._model import Model, Posterior
from sklearn_jedi._utils._streaming import RunningMoments

# A neuron without a spike counts as having had this many.
_FEWEST_SPIKES = 0.5
_MAX_ROUNDS = 40
_N_CENTRES = 4

AnyNoisy = TypeVar("AnyNoisy", bound="NoisyModel")


@dataclass(frozen=True, kw_only=True)
class NoisyModel(Model):
    """Recordings scatter about the activity of the network; states are inferred.

    Attributes
    ----------
    first_mean, first_cov : arrays of shape (rank,), (rank, rank)
        Prior of the first states' coordinates.
    readout : Readout
    centres : array of shape (n_centres, embedding_dim)
        Embeddings that inference starts from.
    """

    first_mean: np.ndarray
    first_cov: np.ndarray
    readout: Readout
    centres: np.ndarray

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
        found = smooth_from(model, block, self.centres, marginal=True)
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


def with_centres(model: AnyNoisy, embeddings: np.ndarray) -> AnyNoisy:
    """The model, with centres of the training embeddings to start inference from.

    The posterior of an embedding can have several modes where a trial says little about
    its states.

    Parameters
    ----------
    embeddings : array of shape (n_trials, embedding_dim)
        Inferred from the prior's mean.
    """
    from sklearn.cluster import KMeans

    distinct = np.unique(embeddings.round(6), axis=0)
    n_clusters = min(_N_CENTRES, len(distinct))
    found = KMeans(n_clusters, n_init=4, random_state=0).fit(distinct)
    centres = np.vstack([model.centres[:1], found.cluster_centers_])
    return replace(model, centres=centres)


class _SquareRoot:
    """Square roots of counts as network units: their noise varies little with rate."""

    def to_network(self, X: np.ndarray) -> np.ndarray:
        return np.sqrt(X)

    def to_data(self, X: np.ndarray) -> np.ndarray:
        return X**2


def gaussian_units(
    trials: Trials, scaling: Scaling, mean: np.ndarray, *, poisson: bool
) -> tuple[Trials, np.ndarray]:
    """Trials as recordings with Gaussian noise, and their means (n_neurons,).

    In network units, or square roots of counts.
    """
    if not poisson:
        return trials.in_units(scaling), scaling.to_network(mean)
    roots = trials.in_units(_SquareRoot())
    moments = RunningMoments(trials.n_neurons)
    for block in roots.blocks():
        moments.add(block.values, block.recorded)
    return roots, moments.mean


def log_rates(counts: Trials, mean: np.ndarray) -> Scaling:
    """Network units of counts: logarithms of rates, from that of the mean on."""
    n_bins = max(int(counts.lengths.sum()), 1)
    log_mean = np.log(np.maximum(mean, _FEWEST_SPIKES / n_bins))
    return Scaling(log_mean, np.ones_like(log_mean), False)


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

    network_units, centre = gaussian_units(trials, scaling, mean, poisson=poisson)
    width = settings.window or kernel_width(network_units)
    first = smoothed_states(network_units, centre, rank, width)
    fit = em(first)
    if poisson:
        scaling = log_rates(trials, mean)
        first = poisson_states(trials, network_units, fit.models[0], scaling.offset)
        interrupted = fit.interrupted
        fit = em(orthonormal(first), rounds=not interrupted)
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
        centres=np.zeros((1, embedding_dim)),
    )
    return fitted, fit.interrupted
