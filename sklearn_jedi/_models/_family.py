"""Fitting latent dynamics that sessions with different neurons share."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from sklearn_jedi._data._halves import second_halves
from sklearn_jedi._data._trials import Trials
from sklearn_jedi._engine._likelihoods import Likelihood
from sklearn_jedi._engine._settings import Settings
from sklearn_jedi._models._fit import (
    MAX_ROUNDS,
    Fitted,
    Recording,
    RoundReport,
    fit_inferred,
)
from sklearn_jedi._models._inferred import LatentModel
from sklearn_jedi._models._predictions import forecast
from sklearn_jedi._models._random_units import random_units

NONLINEARITY = "tanh"
_MOST_DIRECTIONS = 60
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


class FamilyFit(NamedTuple):
    """What a family is, but for its data and its gain.

    Attributes
    ----------
    observation : subclass of Likelihood
    n_latents, embedding_dim : int
    change_rank : int
        Directions of the latents in which embeddings change the drive.
    tau, dt : float
        In seconds.
    n_units : int or None
        As in `random_units`.
    ridge : float or "auto"
    """

    observation: type[Likelihood]
    n_latents: int
    embedding_dim: int
    change_rank: int
    tau: float
    dt: float
    n_units: int | None
    ridge: float | str

    def fit(
        self,
        recordings: Sequence[Recording],
        gain: float,
        *,
        n_rounds: int = MAX_ROUNDS,
        report: RoundReport = lambda done, total, text: None,
    ) -> Fitted:
        """Alignment of the sessions, then EM."""
        units, factor = random_units(self.n_latents, self.n_units, gain)
        return fit_inferred(
            recordings,
            self.observation,
            Settings(
                gain=factor,
                window=0,
                n_directions=min(len(units.P), _MOST_DIRECTIONS),
                ridge=np.nan if self.ridge == "auto" else float(self.ridge),
            ),
            self.n_latents,
            self.embedding_dim,
            NONLINEARITY,
            self.tau,
            self.dt,
            units=units,
            change_rank=self.change_rank,
            n_rounds=n_rounds,
            report=report,
        )

    def choose_gain(self, recordings: Sequence[Recording]) -> tuple[float, bool]:
        """The gain of the best forecasts of training trials that are held out.

        And whether Ctrl-C ended the choice, in favour of the first.
        """
        sizes = [len(one.trials) for one in recordings]
        largest = np.sort(np.argsort(sizes)[::-1][:_SESSIONS_TO_CHOOSE])
        fitted, held_out = [], []
        for one in (recordings[k] for k in largest):
            numbers = np.arange(len(one.trials))
            out = numbers % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
            fitted.append(one._replace(trials=one.trials.take(numbers[~out])))
            if out.any() and one.trials.lengths[out].max() > 2:
                held_out.append((len(fitted) - 1, one.trials.take(numbers[out])))
        if sum(len(trials) for _, trials in held_out) < _FEWEST_HELD_OUT:
            return _GAINS[0], False
        scores = {}
        for gain in _GAINS:
            family = self.fit(fitted, gain, n_rounds=_ROUNDS_TO_CHOOSE)
            if family.interrupted:
                return _GAINS[0], True
            pairs = ((family.models[k], trials) for k, trials in held_out)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scores[gain] = _score(pairs)
        best = max(_GAINS, key=scores.__getitem__)
        enough = scores[best] > scores[_GAINS[0]] + _WORTH_CHANGING
        return best if enough else _GAINS[0], False


def _score(pairs: Iterable[tuple[LatentModel, Trials]]) -> float:
    """How well second halves are forecast, over recordings of different neurons.

    Parameters
    ----------
    pairs : iterable of (LatentModel, Trials)
        The trials in data units.
    """
    parts, pooled = [], None
    for model, trials in pairs:
        sums = model.likelihood.score_sums(trials.n_neurons)
        halves = second_halves(partial(_ahead, model, trials), trials.as_list())
        for later, predicted in zip(*halves, strict=True):
            if len(later):
                sums.add(later[None], predicted[None], ~np.isnan(later)[None])
        parts.append(sums)
        pooled = model.likelihood.pooled
    assert pooled is not None
    return pooled(parts)


def _ahead(
    model: LatentModel, trials: Trials, first: list[np.ndarray], n_steps: int
) -> np.ndarray:
    """Forecasts of trials of which only the first parts are known."""
    prepared = model.prepare(trials.cut_to(first), np.empty(0))
    return forecast(model, prepared, n_steps, with_std=False).mean
