"""Growth rates and frequencies by condition, and the edge of stability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import kruskal

from sklearn_jedi.analysis import SpectrumAnalyzer
from sklearn_jedi.plotting._common import colour_groups
from sklearn_jedi.report._conditions import spread, visited_states
from sklearn_jedi.report._section import Section, Table
from sklearn_jedi.report._study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_TRIALS = 300
_N_STATES = 6
_MARGIN = 0.1  # Hz: slower modes count as not turning


class SpectrumSection(Section):
    """Spectra of each trial's network, linearised where the trial was."""

    name = "spectra"
    title = "Spectra"
    reads_networks = True

    def compute(self, study: Study) -> None:
        assert study.model is not None
        assert study.embeddings is not None
        n_trials = len(study.X)
        self._trials = np.unique(
            np.linspace(0, n_trials - 1, min(n_trials, _MOST_TRIALS)).astype(int)
        )
        states = visited_states(study)
        at = np.stack([spread(states[trial], _N_STATES) for trial in self._trials])
        networks = study.model.dynamics(study.embeddings[self._trials])
        analyzer = SpectrumAnalyzer("jacobian").fit(networks, states=at)
        self.eigenvalues = analyzer.eigenvalues_
        self.rates = analyzer.rates_
        self.frequencies = np.abs(analyzer.frequencies_)
        # the states of a trial are not independent: one number for each trial
        self.leading_rate = self.rates[:, :, 0].mean(1)
        self.leading_frequency = np.array(
            [
                _leading_frequency(r, f)
                for r, f in zip(self.rates, self.frequencies, strict=True)
            ]
        )
        self._names = [name for name, _ in study.conditions]
        self._label_name = study.label_name
        self._condition = np.zeros(len(self._trials), dtype=int)
        for number, (_, trials) in enumerate(study.conditions):
            self._condition[np.isin(self._trials, trials)] = number
        units = study.units_of(self._trials)
        # two tests: each p value is doubled
        self.p_rate, self.p_frequency = (
            np.minimum(1.0, 2 * _differ(values, self._condition, units))
            for values in (self.leading_rate, self.leading_frequency)
        )

    def summary(self) -> str:
        stable = np.mean(self.leading_rate < 0)
        text = (
            f"Linearised where the activity was, the least stable mode "
            f"{'decays' if np.median(self.leading_rate) < 0 else 'grows'} at "
            f"{abs(np.median(self.leading_rate)):.2g} /s (median over trials; "
            f"in {100 * stable:.0f} % it decays)"
        )
        turning = np.isfinite(self.leading_frequency)
        if turning.any():
            text += (
                f"; in {100 * turning.mean():.0f} % of trials modes oscillate, the "
                f"least stable of them at {np.nanmedian(self.leading_frequency):.2g} Hz"
            )
        if len(self._names) > 1 and np.isfinite(self.p_rate):
            text += (
                ". Between conditions (Kruskal-Wallis over all trials, two tests) the "
                f"rate {_verdict(self.p_rate)}"
            )
            if np.isfinite(self.p_frequency):
                text += f", the frequency {_verdict(self.p_frequency)}"
        return text + "."

    def caption(self) -> str:
        return (
            "Left: growth rate and frequency of each mode of each trial's network, "
            f"linearised at {_N_STATES} states that the trial visited; above the "
            "dashed line, the edge of stability, a mode grows. Right: rate of the "
            "least stable mode of each trial, mean over these states; lines: medians. "
            "The fastest decays are not shown. "
            "Rates are those of the fitted map, one step for each bin. They depend on "
            "where the activity was, not on the network alone."
        )

    def draw(self) -> Figure:
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(
            1, 2, figsize=(9.6, 4), layout="constrained"
        )
        labels = self._condition if len(self._names) > 1 else None
        groups = colour_groups(labels, len(self._condition))
        places = np.unique(self._condition)
        for place, (_, mask, colour) in zip(places, groups, strict=True):
            name = None if labels is None else self._names[place]
            rates, frequencies = (
                self.rates[mask].ravel(),
                self.frequencies[mask].ravel(),
            )
            left.plot(
                frequencies,
                rates,
                ".",
                ms=4,
                alpha=0.4,
                color=colour,
                label=name,
                rasterized=True,
            )
            of = self.leading_rate[mask]
            jitter = 0.25 * (np.arange(len(of)) % 7 / 6 - 0.5)
            right.plot(place + jitter, of, "o", ms=4, alpha=0.6, color=colour, mew=0)
            right.plot([place - 0.3, place + 0.3], [np.median(of)] * 2, "k-", lw=1.5)
        for ax in (left, right):
            ax.axhline(0, color="k", ls="--", lw=1)
        least = np.quantile(self.rates, 0.02)
        top = max(self.rates.max(), 0.0)
        left.set_ylim(least - 0.05 * (top - least), top + 0.08 * (top - least))
        left.set_xlabel("frequency (Hz)")
        left.set_ylabel("growth rate (1/s)")
        if labels is not None:
            legend = left.legend(
                title=self._label_name, frameon=False, fontsize="small", markerscale=2
            )
            for handle in legend.legend_handles:
                handle.set_alpha(1)
        turn = 45 if max(map(len, self._names)) > 5 else 0
        right.set_xticks(range(len(self._names)), self._names, rotation=turn)
        right.set_xlabel(self._label_name if labels is not None else "")
        right.set_ylabel("rate of the least stable mode (1/s)")
        return figure

    def tables(self) -> list[Table]:
        rows = []
        for number, name in enumerate(self._names):
            of = self._condition == number
            if of.any():
                rows.append(
                    (
                        name,
                        str(of.sum()),
                        _quartiles(self.leading_rate[of]),
                        _quartiles(self.leading_frequency[of]),
                    )
                )
        header = (
            "condition",
            "trials",
            "least stable mode, 1/s (quartiles)",
            "least stable oscillation, Hz (quartiles)",
        )
        return [Table(header, rows)]

    def notes(self) -> list[str]:
        if len(self._names) == 1:
            return []
        tested = [p for p in (self.p_rate, self.p_frequency) if np.isfinite(p)]
        if not tested:
            return ["Too few trials to test whether spectra differ between conditions."]
        if min(tested) >= 0.05:
            return [
                "Spectra do not differ between conditions by more than they vary "
                "within them (Kruskal-Wallis tests of the leading rate and frequency)."
            ]
        return []

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "trials": self._trials,
            "eigenvalues": self.eigenvalues,
            "rates": self.rates,
            "frequencies": self.frequencies,
            "leading_rate": self.leading_rate,
            "leading_frequency": self.leading_frequency,
        }


def _leading_frequency(rates: np.ndarray, frequencies: np.ndarray) -> float:
    """Mean frequency of the least stable oscillation over (n_states, rank)."""
    found = []
    for rate, frequency in zip(rates, frequencies, strict=True):
        turning = np.flatnonzero(frequency > _MARGIN)
        if len(turning):
            found.append(frequency[turning[np.argmax(rate[turning])]])
    return float(np.mean(found)) if found else np.nan


def _differ(values: np.ndarray, condition: np.ndarray, units: np.ndarray) -> float:
    """P value of the Kruskal-Wallis test; NaN where it cannot be done.

    Trials of a unit (a group) are not independent: each unit has one value, the median
    of its trials, in a condition.
    """
    known = np.isfinite(values)
    samples = []
    for number in set(condition):
        of = (condition == number) & known
        samples.append([np.median(values[of & (units == u)]) for u in set(units[of])])
    samples = [sample for sample in samples if len(sample) > 1]
    if len(samples) < 2 or np.ptp(np.concatenate(samples)) == 0:
        return np.nan
    return float(kruskal(*samples).pvalue)


def _verdict(p: float) -> str:
    shown = f"p = {p:.3f}" if p >= 0.001 else f"p = {p:.0e}"
    return f"{'differs' if p < 0.05 else 'does not differ'} ({shown})"


def _quartiles(values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    if not len(values):
        return "none"
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
