"""Fitting models whose states are inferred: of noisy trials, counts, and families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sklearn_jedi._data._trials import Trials
from sklearn_jedi._data._units import Scaling
from sklearn_jedi._engine import _alignment
from sklearn_jedi._engine._first_states import (
    FirstStates,
    inferred_by,
    kernel_width,
    orthonormal,
    read_out,
    smoothed_states,
    transformed,
    whitened,
)
from sklearn_jedi._engine._likelihoods import Likelihood
from sklearn_jedi._engine._reduction import Basis
from sklearn_jedi._engine._settings import Settings
from sklearn_jedi._engine._state_space_em import StateSpaceEM
from sklearn_jedi._models._inferred import InferredModel, LatentModel
from sklearn_jedi._models._random_units import features_of_units
from sklearn_jedi._networks._equation import Equation

MAX_ROUNDS = 40

RoundReport = Callable[[int, int, str], None]


class Recording(NamedTuple):
    """Trials of one set of neurons, and what a fit needs to know of them.

    Attributes
    ----------
    trials : Trials
        In data units.
    scaling : Scaling
        From data to network units, for recordings that are not counts.
    mean : array of shape (n_neurons,)
        Of the recordings, in data units.
    conditions : array or None
        Labels that are comparable between recordings, of all trials that `trials` are a
        choice of.
    """

    trials: Trials
    scaling: Scaling
    mean: np.ndarray
    conditions: np.ndarray | None = None


@dataclass(frozen=True)
class Fitted:
    """What `fit_inferred` returns.

    Attributes
    ----------
    models : list of InferredModel
        One for each recording: `LatentModel` where there were `units`.
    interrupted : bool
        Whether Ctrl-C ended EM.
    """

    models: list[Any]
    interrupted: bool


def fit_inferred(
    recordings: Sequence[Recording],
    observation: type[Likelihood],
    settings: Settings,
    n_states: int,
    embedding_dim: int,
    nonlinearity: str,
    tau: float,
    dt: float,
    *,
    units: Basis | None = None,
    change_rank: int | None = None,
    n_rounds: int = MAX_ROUNDS,
    report: RoundReport = lambda done, total, text: None,
) -> Fitted:
    """EM from smoothed recordings, once for each stage of the likelihood.

    Parameters
    ----------
    recordings : sequence of Recording
        A single one, unless there are `units`.
    observation : subclass of Likelihood
    settings : Settings
        With a `start_smoothing` of 0 where it is to be chosen, and a `ridge` of NaN
        where it is to be found by evidence.
    n_states : int
        Rank of the weights, or number of latents.
    units : Basis, default=None
        Units that read latents which the recordings share; None: the recorded neurons
        are the units of the network.
    change_rank : int, default=None
        Directions in which embeddings change the drive; None: all.
    """
    equation = Equation.of(tau, dt, nonlinearity, settings.gain)

    def em(first: Sequence[FirstStates], rounds: int) -> StateSpaceEM:
        return StateSpaceEM(
            first,
            embedding_dim,
            equation,
            ridge="auto" if np.isnan(settings.ridge) else settings.ridge,
            least_ridge=0.0 if units is None else observation.least_ridge,
            n_directions=settings.n_directions,
            units=units,
            change_rank=change_rank,
            search_noise=units is not None,
            report=report,
        ).run(rounds)

    stage, *later_stages = observation.stages()
    starts = [
        first_states(stage, one, n_states, settings.start_smoothing)
        for one in recordings
    ]
    first = [start for start, _ in starts]
    if units is not None:
        first = _aligned(
            recordings, [whitened(start) for start in first], units, equation
        )
    scalings = [one.scaling for one in recordings]
    fit = em(first, n_rounds)
    for stage in later_stages:
        scalings = [stage.units(*one[:3]) for one in recordings]
        first = [
            read_out(
                stage,
                stage.recordings(one.trials, one.scaling),
                inferred_by(model, start.trials),
                scaling,
            )
            for one, start, model, scaling in zip(
                recordings, first, fit.models, scalings, strict=True
            )
        ]
        if units is None:
            first = [orthonormal(start) for start in first]
        interrupted = fit.interrupted
        fit = em(first, 0 if interrupted else n_rounds)
        fit.interrupted |= interrupted
    models: list[InferredModel] = []
    for one, model, scaling, (_, width) in zip(
        recordings, fit.models, scalings, starts, strict=True
    ):
        fields: dict[str, Any] = {
            "scaling": scaling,
            "settings": settings._replace(start_smoothing=width),
            "basis": fit.basis,
            "bilinear": fit.bilinear,
            "nonlinearity": nonlinearity,
            "tau": tau,
            "dt": dt,
            "step_cov": model.step_cov,
            "first_mean": model.first_mean,
            "first_cov": model.first_cov,
            "likelihood": model.likelihood,
            "centres": np.zeros((1, embedding_dim)),
            "ceiling": observation.ceiling(one.trials),
        }
        if units is None:
            models.append(InferredModel(**fields))
        else:
            models.append(LatentModel(**fields, loading=model.loading))
    return Fitted(models, fit.interrupted)


def first_states(
    stage: type[Likelihood], recording: Recording, n_states: int, width: int = 0
) -> tuple[FirstStates, int]:
    """States of smoothed recordings, and the kernel's width in time points.

    Parameters
    ----------
    width : int
        0: the one that predicts each bin best from the others around it.
    """
    trials, scaling, mean = recording[:3]
    centre = stage.centre(trials, scaling, mean)
    prepared = stage.recordings(trials, scaling)
    width = width or kernel_width(prepared)
    return smoothed_states(prepared, centre, n_states, width), width


def _aligned(
    recordings: Sequence[Recording],
    first: list[FirstStates],
    units: Basis,
    equation: Equation,
) -> list[FirstStates]:
    """First states in axes that agree between recordings."""
    if len(first) == 1:
        return first
    labels = [one.conditions for one in recordings if one.conditions is not None]
    if len(labels) == len(recordings):
        averages = [
            _alignment.condition_averages(start, own)
            for start, own in zip(first, labels, strict=True)
        ]
        turns = _alignment.align_by_conditions(averages)
    else:
        flows = [_alignment.flow_of(start) for start in first]
        turns = _alignment.align_by_flow(flows, features_of_units(units, equation))
    no_shift = np.zeros(len(units.P.T))
    return [
        transformed(start, turn, no_shift)
        for start, turn in zip(first, turns, strict=True)
    ]
