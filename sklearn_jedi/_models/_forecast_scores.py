"""How well second halves of trials are forecast from the first."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sklearn_jedi._data._trials import Trials
from sklearn_jedi._models import _predictions
from sklearn_jedi._models._model import Model
from sklearn_jedi._utils._streaming import BitsSums, R2Sums, pooled_bits, pooled_r2


def forecast_score(pairs: Iterable[tuple[Model, Trials]], *, poisson: bool) -> float:
    """R^2, or bits per spike, over recordings of different neurons.

    Parameters
    ----------
    pairs : iterable of (Model, Trials)
        The trials as the model takes them.
    """
    if poisson:
        bits = []
        for model, trials in pairs:
            bits.append(BitsSums(trials.n_neurons))
            _add_forecasts(bits[-1], model, trials)
        return pooled_bits(bits)
    squares = []
    for model, trials in pairs:
        squares.append(R2Sums(trials.n_neurons))
        _add_forecasts(squares[-1], model, trials)
    return pooled_r2(squares)


def _add_forecasts(sums: BitsSums | R2Sums, model: Model, trials: Trials) -> None:
    rows = np.arange(len(trials)) if trials.rows is None else trials.rows
    source = [
        np.asarray(trials.source[row])[:length]
        for row, length in zip(rows, trials.lengths, strict=True)
    ]
    given = np.maximum(2, trials.lengths // 2)
    head = trials._replace(
        source=[x[:n] for x, n in zip(source, given, strict=True)],
        lengths=given,
        rows=None,
    )
    n_steps = max(1, int((trials.lengths - given).max()))
    ahead = _predictions.forecast(model, head, n_steps, with_std=False).mean
    for trial, n_given, predicted in zip(source, given, ahead, strict=True):
        later = trial[n_given:]
        if len(later):
            where = ~np.isnan(later)
            sums.add(later[None], predicted[None, : len(later)], where[None])
