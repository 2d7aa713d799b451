"""Fitted latent dynamics that sessions with different neurons share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sklearn_jedi._data._trials import Trials
from sklearn_jedi._data._units import Scaling
from sklearn_jedi._engine import _alignment
from sklearn_jedi._engine._first_states import (
    FirstStates,
    kernel_width,
    poisson_states,
    smoothed_states,
    transformed,
    whitened,
)
from sklearn_jedi._engine._moments import Basis
from sklearn_jedi._engine._settings import Settings
from sklearn_jedi._engine._smoother import StateSpace
from sklearn_jedi._engine._state_space_em import StateSpaceEM
from sklearn_jedi._models._forecast_scores import forecast_score
from sklearn_jedi._models._inferred import NoisyModel, gaussian_units, log_rates
from sklearn_jedi._networks._latent_dynamics import LatentDynamics
from sklearn_jedi._networks._nonlinearities import scaled_nonlinearity

NONLINEARITY = "tanh"
_MAX_ROUNDS = 40
# Gains that are tried: units saturate within the range of the latents, or hardly.
_GAINS = (1.2, 0.4, 0.1)
# One trial in so many is held out to choose by, if there are enough of them; so many
# sessions and rounds are enough to choose.
_HELD_OUT_EVERY = 4
_FEWEST_HELD_OUT = 8
_SESSIONS_TO_CHOOSE = 8
_ROUNDS_TO_CHOOSE = 12
# Another than the first has to raise the share that is explained, or the bits, by this.
_WORTH_CHANGING = 0.01
# Counts say so little about each state that the evidence of draws trusts rough fields.
_LEAST_RIDGE_OF_COUNTS = 1e-2
_UNITS_PER_LATENT = 15
_FEWEST_UNITS = 30
_MOST_DIRECTIONS = 60


class Session(NamedTuple):
    """A recording of one set of neurons.

    Attributes
    ----------
    trials : Trials
        In data units.
    scaling : Scaling
        From data to network units, for recordings that are not counts.
    mean : array of shape (n_neurons,)
        Of the recordings, in data units.
    conditions : array or None
        Labels that are comparable between sessions, of all trials that `trials` are a
        choice of.
    """

    trials: Trials
    scaling: Scaling
    mean: np.ndarray
    conditions: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class LatentModel(NoisyModel):
    """A session's view of the family: shared dynamics, read out by its own neurons.

    The units of the network are not recorded; `P` and `drive_mean` of the basis are how
    they read the latents.

    Attributes
    ----------
    loading : array of shape (n_neurons, n_latents + 1)
        From `[z, 1]` to the activity of the session's neurons, in network units.
    """

    loading: np.ndarray

    @property
    def output(self) -> np.ndarray:
        return self.loading[:, :-1]

    @property
    def state_space(self) -> StateSpace:
        return super().state_space._replace(
            map=self.hypernetwork or self.bilinear, loading=self.loading
        )

    def latents(self, x: np.ndarray) -> np.ndarray:
        """Latents of the units' activity."""
        return x @ self.basis.P  # their thresholds are orthogonal to it

    def expected(self, x: np.ndarray) -> np.ndarray:
        z = self.latents(x)
        return super().expected(z @ self.output.T + self.loading[:, -1])

    def latent_dynamics(self, embeddings: np.ndarray) -> LatentDynamics:
        """The dynamics of embeddings."""
        basis = self.basis
        weights = self.weights(np.asarray(embeddings, dtype=np.float64))
        slopes, bias = weights[:, :-1], weights[:, -1]
        bias = bias - np.einsum("k,nkr->nr", basis.feature_mean @ basis.Q, slopes)
        return LatentDynamics(
            basis.P,
            basis.Q @ slopes,
            bias,
            basis.drive_mean,
            self.tau,
            self.dt,
            self.nonlinearity,
            gain=self.settings.gain,
        )


class Family(NamedTuple):
    """What `fit_family` returns.

    Attributes
    ----------
    models : list of LatentModel
    interrupted : bool
        Whether Ctrl-C ended EM.
    """

    models: list[LatentModel]
    interrupted: bool


def random_units(
    n_latents: int, n_units: int, gain: float = _GAINS[0]
) -> tuple[Basis, float]:
    """Units that read the latents with random weights, always the same.

    Weights on latents of unit variance are about as large as `gain`, thresholds up to
    twice that; returned is also the factor that brings `P` to these weights. The
    features span smooth functions of the latents, as in random feature regression
    [1]_. `P` is orthonormal and the thresholds orthogonal to it.

    References
    ----------
    .. [1] Rahimi and Recht, "Random features for large-scale kernel machines", Advances
       in Neural Information Processing Systems 20 (2007).
    """
    rng = np.random.RandomState(0)
    weights = rng.standard_normal((n_units, n_latents))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    weights *= rng.uniform(0.5, 1.5, (n_units, 1))
    P = np.linalg.qr(weights)[0]
    factor = gain * np.sqrt(n_units / n_latents)
    threshold = rng.uniform(-2, 2, n_units) * gain / factor
    threshold -= P @ (P.T @ threshold)
    nothing = np.empty((n_units, 0))
    return Basis(P, nothing, threshold, np.zeros(n_units)), factor


def choose_gain(
    sessions: Sequence[Session], poisson: bool, **params: Any
) -> tuple[float, bool]:
    """The gain of the best forecasts of training trials that are held out.

    And whether Ctrl-C ended the choice, in favour of the first.

    Parameters
    ----------
    **params
        Those of `fit_family`.
    """
    sizes = [len(session.trials) for session in sessions]
    largest = np.sort(np.argsort(sizes)[::-1][:_SESSIONS_TO_CHOOSE])
    fitted, held_out = [], []
    for session in (sessions[k] for k in largest):
        numbers = np.arange(len(session.trials))
        out = numbers % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
        fitted.append(session._replace(trials=session.trials.take(numbers[~out])))
        if out.any() and session.trials.lengths[out].max() > 2:
            held_out.append((len(fitted) - 1, session.trials.take(numbers[out])))
    if sum(len(trials) for _, trials in held_out) < _FEWEST_HELD_OUT:
        return _GAINS[0], False
    scores = {}
    for gain in _GAINS:
        family = fit_family(
            fitted, gain=gain, poisson=poisson, n_rounds=_ROUNDS_TO_CHOOSE, **params
        )
        if family.interrupted:
            return _GAINS[0], True
        pairs = [
            (family.models[k], family.models[k].prepare(trials, np.empty(0)))
            for k, trials in held_out
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores[gain] = forecast_score(pairs, poisson=poisson)
    best = max(_GAINS, key=scores.__getitem__)
    enough = scores[best] > scores[_GAINS[0]] + _WORTH_CHANGING
    return best if enough else _GAINS[0], False


def fit_family(
    sessions: Sequence[Session],
    n_latents: int,
    embedding_dim: int,
    rank: int,
    tau: float,
    dt: float,
    *,
    gain: float,
    n_units: int | None,
    ridge: float | str,
    poisson: bool,
    n_rounds: int = _MAX_ROUNDS,
    report: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> Family:
    """Alignment of the sessions, then EM; for counts again, from their square roots."""
    if n_units is None:
        n_units = max(_FEWEST_UNITS, _UNITS_PER_LATENT * n_latents)
    units, factor = random_units(n_latents, n_units, gain)

    def em(first: Sequence[FirstStates], *, rounds: bool = True) -> StateSpaceEM:
        return StateSpaceEM(
            first,
            embedding_dim,
            NONLINEARITY,
            dt / tau,
            gain=factor,
            ridge=ridge,
            least_ridge=_LEAST_RIDGE_OF_COUNTS if poisson else 0.0,
            n_directions=min(n_units, _MOST_DIRECTIONS),
            units=units,
            change_rank=rank,
            search_noise=True,
            report=report,
        ).run(n_rounds if rounds else 0)

    starts = [first_states(session, n_latents, poisson) for session in sessions]
    first = _aligned(sessions, [start for start, _ in starts], units, factor)
    fit = em(first)
    scalings = [session.scaling for session in sessions]
    if poisson:
        interrupted = fit.interrupted
        scalings = [log_rates(session.trials, session.mean) for session in sessions]
        first = [
            poisson_states(session.trials, start.trials, model, scaling.offset)
            for session, start, model, scaling in zip(
                sessions, first, fit.models, scalings, strict=True
            )
        ]
        fit = em(first, rounds=not interrupted)
        fit.interrupted |= interrupted
    models = [
        LatentModel(
            scaling=scaling,
            settings=Settings(
                factor,
                width,
                min(n_units, _MOST_DIRECTIONS),
                np.nan if ridge == "auto" else float(ridge),
            ),
            basis=fit.basis,
            bilinear=model.map,
            nonlinearity=NONLINEARITY,
            tau=tau,
            dt=dt,
            step_cov=model.step_cov,
            first_mean=model.first_mean,
            first_cov=model.first_cov,
            loading=model.loading,
            readout=model.readout,
            centres=np.zeros((1, embedding_dim)),
        )
        for model, scaling, (_, width) in zip(fit.models, scalings, starts, strict=True)
    ]
    return Family(models, fit.interrupted)


def first_states(
    session: Session, n_latents: int, poisson: bool
) -> tuple[FirstStates, int]:
    """Whitened states of a session (of square roots of counts), and the kernel used."""
    trials, centre = gaussian_units(
        session.trials, session.scaling, session.mean, poisson=poisson
    )
    width = kernel_width(trials)
    return whitened(smoothed_states(trials, centre, n_latents, width)), width


def features_of(units: Basis, gain: float) -> Callable[[np.ndarray], np.ndarray]:
    """Features of states (n, n_latents): the units' activity, and a constant."""

    def features(z: np.ndarray) -> np.ndarray:
        x = z @ units.P.T + units.drive_mean
        activity = scaled_nonlinearity(NONLINEARITY, x, gain)
        return np.column_stack([activity, np.ones(len(z))])

    return features


def _aligned(
    sessions: Sequence[Session],
    first: list[FirstStates],
    units: Basis,
    gain: float,
) -> list[FirstStates]:
    """First states in axes that agree between sessions."""
    if len(first) == 1:
        return first
    if all(session.conditions is not None for session in sessions):
        averages = [
            _alignment.condition_averages(start, session.conditions)
            for start, session in zip(first, sessions, strict=True)
        ]
        turns = _alignment.align_by_conditions(averages)
    else:
        flows = [_alignment.flow_of(start) for start in first]
        turns = _alignment.align_by_flow(flows, features_of(units, gain))
    no_shift = np.zeros(len(units.P.T))
    return [
        transformed(start, turn, no_shift)
        for start, turn in zip(first, turns, strict=True)
    ]
