"""How well the model describes trials that it has not seen, beside a linear one."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from sklearn_jedi._engine._likelihoods import LIKELIHOODS
from sklearn_jedi._utils._progress import progress_to
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.plotting import ReconstructionDisplay
from sklearn_jedi.report._choice import LINEAR_ROUNDS
from sklearn_jedi.report._scores import MODELS, WIDTH, HeldOutScores, RunsAndForecasts
from sklearn_jedi.report._section import Section, Table
from sklearn_jedi.report._study import Study
from sklearn_jedi.report._text import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOW = 0.1
_WORDS = {"state": "the state of the network"} | {
    name: likelihood.in_words for name, likelihood in LIKELIHOODS.items()
}


class FitSection(Section):
    """The fit to the training trials, scored on the held-out ones.

    Parameters
    ----------
    n_states : callable
        Returns the number of states of the linear model.
    """

    name = "fit"
    title = "Fit and held-out trials"

    def __init__(self, n_states: Callable[[], int]) -> None:
        self._n_states = n_states

    def compute(self, study: Study) -> None:
        train = study.take(study.train)
        assert study.rank is not None
        assert study.embedding_dim is not None
        began = time.perf_counter()
        with progress_to(study.progress), redirect_stdout(StringIO()):
            model = study.estimator(study.rank, study.embedding_dim, verbose=1)
            model.fit(study.with_names(study.train))
        self._seconds = time.perf_counter() - began
        study.model = model
        if model.interrupted_:
            raise KeyboardInterrupt  # the model is kept; nothing more is asked for
        self._observation = model.observation_
        self._sizes = len(train), len(study.test)
        self._smoothed = model.observation_ != "state"
        self._unit_name = "trial" if study.groups is None else "group"
        self._unit, self._dt, self._start = study.unit, study.dt, study.start
        models: dict[str, RunsAndForecasts] = {
            "JEDI": model,
            "linear": LinearStateSpace(self._n_states(), n_iter=LINEAR_ROUNDS).fit(
                train
            ),
        }
        self._scores = HeldOutScores(study, models, self._smoothed)
        self._has_intervals = bool(np.isfinite(self._scores.ahead("forecast")).all())
        scores = [self._scores.r2("JEDI", what) for what in ("free run", "forecast")]
        study.is_doubtful = min(scores) < _LOW

    def summary(self) -> str:
        jedi, linear = (self._scores.r2(name, "forecast") for name in MODELS)
        low, high = self._scores.ahead("forecast")
        text = (
            "The second half of held-out trials is forecast from the first with "
            f"R² {jedi:.3f}"
        )
        if jedi <= 0:
            text += ", no better than each neuron's mean"
        if not self._has_intervals:
            text += f"; with the linear model {linear:.3f}"
        else:
            verdict = (
                "better than"
                if low > 0
                else "worse than"
                if high < 0
                else "not told apart from"
            )
            text += (
                f", {verdict} the linear model ({linear:.3f}; 90 % interval of the "
                f"difference {low:+.3f} to {high:+.3f})"
            )
        return text + ("; against smoothed trials." if self._smoothed else ".")

    def caption(self) -> str:
        scores, n_test = self._scores, self._sizes[1]
        recorded = (
            f"recording (smoothed, SD {1000 * WIDTH:.0f} ms)"
            if self._smoothed
            else "recording"
        )
        bars = (
            f"; bars are 90 % intervals over {self._unit_name}s" * self._has_intervals
        )
        return (
            f"Left: a held-out trial (the median one, R² {scores.example[2]:.2f}), "
            f"{recorded} and free run of its network, of the neurons that vary most "
            f"(numbered among those fitted), in {self._unit}. Right: R² on "
            f"{counted(n_test, 'held-out trial')}, of forecasts of the second half and "
            f"of free runs{bars}. The embedding of a "
            "free run is inferred from the same trial, that of a forecast from the "
            f"first half alone. Recordings are taken as {_WORDS[self._observation]}; "
            f"the fit to {counted(self._sizes[0], 'trial')} took {self._seconds:.1f} s."
        )

    def draw(self) -> Figure:
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(
            1, 2, figsize=(9.6, 3.8), layout="constrained", width_ratios=(1.4, 1)
        )
        activity, run, _ = self._scores.example
        ReconstructionDisplay(activity, run, self._dt, self._start).plot(left)
        self._draw_scores(right)
        return figure

    def _draw_scores(self, ax: Axes) -> None:
        scores = self._scores
        for offset, name, colour in (
            (-0.18, "JEDI", "#D55E00"),
            (0.18, "linear", "0.55"),
        ):
            for place, what in enumerate(("forecast", "free run")):
                value = scores.r2(name, what)
                low, high = scores.interval(name, what, scores.against)
                bars = [[max(value - low, 0)], [max(high - value, 0)]]
                ax.bar(
                    place + offset,
                    value,
                    0.34,
                    color=colour,
                    yerr=bars if self._has_intervals else None,
                    capsize=3,
                    label=None if place else name,
                )
        ax.axhline(0, color="k", lw=0.8)
        ax.set_xticks([0, 1], ["forecast of\nsecond half", "free run"])
        ax.set_ylabel("R² on held-out trials" + ", smoothed" * self._smoothed)
        ax.legend(
            frameon=False,
            fontsize="small",
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=2,
        )

    def tables(self) -> list[Table]:
        rows = []
        for (name, what, against), errors in self._scores.errors.items():
            low, high = self._scores.interval(name, what, against)
            interval = f"{low:.3f} to {high:.3f}" if self._has_intervals else "too few"
            rows.append((name, what, against, f"{errors.r2():.3f}", interval))
        header = ("model", "prediction", "held against", "R²", "90 % interval")
        return [Table(header, sorted(rows, key=lambda row: (row[2], row[1])))]

    def notes(self) -> list[str]:
        notes = []
        for what, scored in (("Free runs", "free run"), ("Forecasts", "forecast")):
            score = self._scores.r2("JEDI", scored)
            if score < _LOW:
                notes.append(
                    f"{what} explain little of the held-out trials (R² {score:.2f}): "
                    "the networks below are of a model that does not describe the "
                    "activity."
                )
        n_units = self._scores.n_units
        if not self._has_intervals:
            notes.append(
                f"With {counted(n_units, self._unit_name)} held out, nothing can be "
                "said of how far scores would change with others."
            )
        elif n_units < 10:
            notes.append(
                f"Only {counted(n_units, self._unit_name)} are held out: intervals are "
                "rough."
            )
        jedi, linear = (self._scores.r2(name, "forecast") for name in MODELS)
        ahead = (
            self._scores.ahead("forecast")[0] if self._has_intervals else jedi - linear
        )
        if ahead <= 0:
            notes.append(
                "Forecasts are not better than those of one linear model for all "
                "trials. Differences between conditions, cycles and several fixed "
                "points need support from elsewhere."
            )
        return notes

    def arrays(self) -> dict[str, np.ndarray]:
        out = {}
        for (name, what, against), errors in self._scores.errors.items():
            key = f"{name}_{what}_{against}".replace(" ", "_").lower()
            out[f"r2_{key}"] = np.array(errors.r2())
            out[f"r2_per_trial_{key}"] = errors.per_trial
        return out
