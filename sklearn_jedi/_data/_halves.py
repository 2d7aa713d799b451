"""Forecasting the second part of trials from the first, the same for every model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

ForecastFunction = Callable[[list[np.ndarray], int], Sequence[np.ndarray] | np.ndarray]


def second_halves(
    forecast: ForecastFunction, X: Sequence[np.ndarray], n_given: int | None = None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What was recorded later in each trial, and what is forecast of it.

    Parameters
    ----------
    forecast : callable
        ``forecast(first, n_steps)`` continues first parts, a list of arrays, by
        `n_steps` time points or more, each an array of shape (n_steps, n_neurons).
    X : sequence of arrays of shape (n_timepoints_i, n_neurons)
        Whole trials.
    n_given : int, default=None
        Time points that the forecast may see; None: half of each trial, and at least 2.

    Returns
    -------
    later, predicted : lists of arrays of shape (n_timepoints_i - n_given, n_neurons)
        Of no time points where a trial has no more than were given.
    """
    given = [max(2, len(trial) // 2) if n_given is None else n_given for trial in X]
    later = [trial[n:] for trial, n in zip(X, given, strict=True)]
    # a forecast goes on from the last bin that was recorded
    first = [_recorded_part(trial[:n]) for trial, n in zip(X, given, strict=True)]
    gaps = [n - len(part) for n, part in zip(given, first, strict=True)]
    n_steps = [gap + len(part) for gap, part in zip(gaps, later, strict=True)]
    runs = forecast(first, max(1, *n_steps))
    return later, [
        run[gap : gap + len(part)]
        for run, gap, part in zip(runs, gaps, later, strict=True)
    ]


def _recorded_part(trial: np.ndarray) -> np.ndarray:
    """Without the bins after the last recorded one; at least 2 of them."""
    recorded = np.flatnonzero(~np.isnan(trial).all(1))
    return trial[: max(2, recorded[-1] + 1)] if len(recorded) else trial
