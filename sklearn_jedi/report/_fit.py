"""How well the model describes trials that it has not seen, beside a linear one."""

from __future__ import annotations

import time
import warnings
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_jedi._progress import progress_to
from sklearn_jedi.plotting import ReconstructionDisplay
from sklearn_jedi.preprocessing import SpikeSmoother
from sklearn_jedi.report._forecasts import Errors, LinearModel, second_halves
from sklearn_jedi.report._section import Section, Table
from sklearn_jedi.report._study import Study

_N_RESAMPLES = 1000
_LOW = 0.1
_WIDTH = 0.04  # s: single trials are too noisy to be compared with
_MODELS = ("JEDI", "linear")


class FitSection(Section):
    """The fit to the training trials, scored on the held-out ones.

    Parameters
    ----------
    n_states : callable
        Returns the number of states of the linear model.
    """

    name = "fit"
    title = "Fit and held-out trials"

    def __init__(self, n_states: Any) -> None:
        self._n_states = n_states

    def compute(self, study: Study) -> None:
        train, test = study.take(study.train), study.take(study.test)
        assert study.rank is not None
        assert study.embedding_dim is not None
        began = time.perf_counter()
        with (
            warnings.catch_warnings(record=True) as caught,
            progress_to(study.progress),
            redirect_stdout(StringIO()),
        ):
            warnings.simplefilter("always")
            model = study.estimator(study.rank, study.embedding_dim, verbose=1)
            model.fit(train)
        self._seconds = time.perf_counter() - began
        self._warnings = [
            str(one.message)
            for one in caught
            if issubclass(one.category, (UserWarning, ConvergenceWarning))
        ]
        study.model = model
        if model.interrupted_:
            raise KeyboardInterrupt  # the model is kept; nothing more is asked for
        self._observation = model.observation_
        self._sizes = len(train), len(test)
        linear = LinearModel(self._n_states()).fit(train)
        self._score(study, {"JEDI": model, "linear": linear}, test)

    def _score(self, study: Study, models: dict[str, Any], test: list) -> None:
        # with "state" the first bin is copied from the recording
        copied = int(self._observation == "state")
        self._smoothed = self._observation != "state"
        references = {"recorded": test}
        if self._smoothed:
            smoother = SpikeSmoother(_WIDTH, dt=study.dt)
            references["smoothed"] = smoother.fit_transform(test)
        runs = {name: model.reconstruct(test) for name, model in models.items()}
        ahead = {name: second_halves(model, test) for name, model in models.items()}
        self.errors = {}
        for against, trials in references.items():
            later = [x[len(x) // 2 :] for x in trials]
            whole = [x[copied:] for x in trials]
            for name in _MODELS:
                run = [x[copied:] for x in runs[name]]
                self.errors[name, "free run", against] = Errors(whole, run)
                self.errors[name, "forecast", against] = Errors(later, ahead[name])
        rng = np.random.default_rng(study.random_state)
        self._resampled = rng.integers(len(test), size=(_N_RESAMPLES, len(test)))
        against = "smoothed" if self._smoothed else "recorded"
        scores = self.errors["JEDI", "free run", against].per_trial
        middle = int(np.argsort(scores)[len(scores) // 2])
        self._example = (
            references[against][middle],
            runs["JEDI"][middle],
            study.dt,
            study.start,
        )
        self._example_score = scores[middle]
        self._unit = study.unit

    def r2(self, model: str, what: str, against: str = "recorded") -> float:
        return float(self.errors[model, what, against].r2())

    def interval(self, model: str, what: str, against: str) -> np.ndarray:
        """90 % interval over resampled trials."""
        resampled = self.errors[model, what, against].r2(self._resampled)
        return np.nanpercentile(resampled, [5, 95])

    def ahead(self, what: str, against: str) -> np.ndarray:
        """90 % interval of how far JEDI is ahead of the linear model."""
        jedi, linear = (
            self.errors[name, what, against].r2(self._resampled) for name in _MODELS
        )
        return np.nanpercentile(jedi - linear, [5, 95])

    def summary(self) -> str:
        against = "smoothed" if self._smoothed else "recorded"
        jedi, linear = (self.r2(name, "forecast", against) for name in _MODELS)
        low, high = self.ahead("forecast", against)
        verdict = (
            "better than"
            if low > 0
            else "worse than"
            if high < 0
            else "not told apart from"
        )
        return (
            f"The second half of held-out trials is forecast from the first with "
            f"R² {jedi:.3f}, {verdict} the linear model ({linear:.3f}; 90 % interval "
            f"of the difference {low:+.3f} to {high:+.3f}"
            + ("; against smoothed trials" if self._smoothed else "")
            + ")."
        )

    def caption(self) -> str:
        recorded = (
            f"recording (smoothed, SD {1000 * _WIDTH:.0f} ms)"
            if self._smoothed
            else "recording"
        )
        return (
            f"Left: a held-out trial (the median one, R² {self._example_score:.2f}), "
            f"{recorded} and free run of its network, of the neurons that vary most, "
            f"in {self._unit}. Right: R² on the {self._sizes[1]} held-out trials, of "
            "forecasts of their second half and of free runs; bars are 90 % intervals "
            "over trials. The embedding of a free run is inferred from the same trial, "
            "that of a forecast from the first half alone. "
            f"The fit to {self._sizes[0]} trials took {self._seconds:.1f} s "
            f'(observation="{self._observation}").'
        )

    def draw(self) -> Any:
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(
            1, 2, figsize=(9.6, 3.8), layout="constrained", width_ratios=(1.4, 1)
        )
        activity, run, dt, start = self._example
        ReconstructionDisplay(activity, run, dt, start).plot(left)
        against = "smoothed" if self._smoothed else "recorded"
        for offset, name, colour in (
            (-0.18, "JEDI", "#D55E00"),
            (0.18, "linear", "0.55"),
        ):
            for place, what in enumerate(("forecast", "free run")):
                value = self.r2(name, what, against)
                low, high = self.interval(name, what, against)
                right.bar(
                    place + offset,
                    value,
                    0.34,
                    color=colour,
                    yerr=[[max(value - low, 0)], [max(high - value, 0)]],
                    capsize=3,
                    label=None if place else name,
                )
        right.axhline(0, color="k", lw=0.8)
        right.set_xticks([0, 1], ["forecast of\nsecond half", "free run"])
        right.set_ylabel("R² on held-out trials" + ", smoothed" * self._smoothed)
        right.legend(
            frameon=False,
            fontsize="small",
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=2,
        )
        return figure

    def tables(self) -> list[Table]:
        rows = []
        for (name, what, against), errors in self.errors.items():
            low, high = self.interval(name, what, against)
            rows.append(
                (name, what, against, f"{errors.r2():.3f}", f"{low:.3f} to {high:.3f}")
            )
        header = ("model", "prediction", "held against", "R²", "90 % interval")
        return [Table(header, sorted(rows, key=lambda row: (row[2], row[1])))]

    def notes(self) -> list[str]:
        notes = [
            f"While fitting: {message}." for message in dict.fromkeys(self._warnings)
        ]
        against = "smoothed" if self._smoothed else "recorded"
        score = self.r2("JEDI", "free run", against)
        if score < _LOW:
            notes.append(
                f"Free runs explain little of the held-out trials (R² {score:.2f}): "
                "the networks below are of a model that does not describe the activity."
            )
        if self.ahead("forecast", against)[0] <= 0:
            notes.append(
                "Forecasts are not better than those of one linear model for all "
                "trials. Differences between conditions, cycles and several fixed "
                "points need support from elsewhere."
            )
        if self._sizes[1] < 10:
            notes.append(
                f"Only {self._sizes[1]} trials are held out: intervals over trials are "
                "rough."
            )
        return notes

    def arrays(self) -> dict[str, np.ndarray]:
        out = {}
        for (name, what, against), errors in self.errors.items():
            key = f"{name}_{what}_{against}".replace(" ", "_").lower()
            out[f"r2_{key}"] = np.array(errors.r2())
            out[f"r2_per_trial_{key}"] = errors.per_trial
        return out
