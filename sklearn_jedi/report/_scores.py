"""Scores of held-out trials: free runs and forecasts, JEDI beside a linear model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._data._halves import second_halves
from sklearn_jedi._utils._types import Forecaster
from sklearn_jedi.preprocessing import SpikeSmoother
from sklearn_jedi.report._errors import Errors
from sklearn_jedi.report._study import Study, TrialList

MODELS = ("JEDI", "linear")
WIDTH = 0.04  # s: single trials are too noisy to be compared with
_N_RESAMPLES = 1000
_FEWEST_UNITS = 5


class RunsAndForecasts(Forecaster, Protocol):
    """What is scored: a model that continues trials, and runs freely."""

    def reconstruct(
        self, X: ArrayLike | Sequence[np.ndarray]
    ) -> np.ndarray | list[np.ndarray]: ...


class HeldOutScores:
    """R^2 of the held-out trials of a study, with intervals.

    Parameters
    ----------
    study : Study
    models : dict of str to model
        Fitted models, "JEDI" and "linear".
    smoothed : bool
        Whether trials are too noisy to be compared with as they are, and are smoothed.

    Attributes
    ----------
    errors : dict of (str, str, str) to Errors
        By model, by "free run" or "forecast", and by what it is held against,
        "recorded" or "smoothed".
    against : str
        What is reported first.
    n_units : int
        Held-out trials, or groups of them, that are independent.
    example : tuple of two arrays of shape (n_timepoints, n_neurons), and float
        The median trial, JEDI's free run of it, and its R^2.
    """

    def __init__(
        self, study: Study, models: dict[str, RunsAndForecasts], smoothed: bool
    ) -> None:
        self.against = "smoothed" if smoothed else "recorded"
        test = study.take(study.test)
        whole, later = {"recorded": test}, {}
        runs, ahead = {}, {}
        for name, model in models.items():
            runs[name] = list(model.reconstruct(test))
            later["recorded"], ahead[name] = second_halves(model.forecast, test)
        if smoothed:
            # by itself: what is forecast must not hold what the forecast was given
            smoother = SpikeSmoother(WIDTH, dt=study.dt)
            whole["smoothed"] = smoother.fit_transform(test)
            later["smoothed"] = smoother.fit_transform(later["recorded"])
        else:
            runs["JEDI"] = _without_copies(runs["JEDI"], test)
        self.errors: dict[tuple[str, str, str], Errors] = {}
        self._compare("free run", runs, whole)
        self._compare("forecast", ahead, later)
        self._resample(study)
        each = self.errors["JEDI", "free run", self.against].per_trial
        middle = int(np.argsort(each)[len(each) // 2])
        self.example = whole[self.against][middle], runs["JEDI"][middle], each[middle]

    def _compare(
        self, what: str, found: dict[str, TrialList], references: dict[str, TrialList]
    ) -> None:
        """Errors of both models in the bins that both predict."""
        both = [x + y for x, y in zip(*found.values(), strict=True)]
        for against, true in references.items():
            scored = [
                np.where(np.isnan(predicted), np.nan, x)
                for x, predicted in zip(true, both, strict=True)
            ]
            for name in MODELS:
                self.errors[name, what, against] = Errors(scored, found[name])

    def _resample(self, study: Study) -> None:
        """How often each held-out trial is drawn, groups as a whole."""
        units = study.units_of(study.test)
        self.n_units = int(units.max()) + 1
        rng = np.random.default_rng(study.random_state)
        each = np.full(self.n_units, 1 / self.n_units)
        self._weights = rng.multinomial(self.n_units, each, _N_RESAMPLES)[:, units]

    def r2(self, model: str, what: str) -> float:
        return self.errors[model, what, self.against].r2()

    def interval(self, model: str, what: str, against: str) -> np.ndarray:
        """90 % interval over resampled trials; NaN where they are too few."""
        errors = self.errors[model, what, against]
        return self._percentiles(errors.resampled(self._weights))

    def ahead(self, what: str) -> np.ndarray:
        """90 % interval of how far JEDI is ahead of the linear model."""
        jedi, linear = (
            self.errors[name, what, self.against].resampled(self._weights)
            for name in MODELS
        )
        return self._percentiles(jedi - linear)

    def _percentiles(self, resampled: np.ndarray) -> np.ndarray:
        if self.n_units < _FEWEST_UNITS:
            return np.full(2, np.nan)
        interval: np.ndarray = np.nanpercentile(resampled, [5, 95])
        return interval


def _without_copies(runs: TrialList, trials: TrialList) -> TrialList:
    """Runs without the bin that was copied from the recording, the first whole one."""
    out = [run.copy() for run in runs]
    for run, x in zip(out, trials, strict=True):
        run[np.isfinite(x).all(1).argmax()] = np.nan
    return out
