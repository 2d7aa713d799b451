"""Lyapunov exponents of each condition."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from sklearn_jedi._utils._progress import progress_to
from sklearn_jedi.analysis import LyapunovAnalyzer
from sklearn_jedi.report._conditions import condition_networks
from sklearn_jedi.report._section import Section, Table
from sklearn_jedi.report._study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_N_RUNS = 4
_MOST_SHOWN = 4


class LyapunovSection(Section):
    """What becomes of small differences, in the long run of each network."""

    name = "lyapunov"
    title = "Lyapunov exponents"
    reads_networks = True

    def compute(self, study: Study) -> None:
        self._of = condition_networks(study)
        self._label_name = study.label_name
        with warnings.catch_warnings(), progress_to(study.progress):
            warnings.simplefilter("ignore")  # verdicts say it
            self.found = LyapunovAnalyzer(
                _N_RUNS, random_state=study.random_state, verbose=1
            ).fit(self._of.networks, states=self._of.sampled(_N_RUNS))

    def summary(self) -> str:
        verdicts: dict[str, list[str]] = {}
        for name, verdict in zip(self._of.names, self.found.verdict_, strict=True):
            verdicts.setdefault(str(verdict), []).append(name)
        if len(verdicts) == 1:
            whose = "the" if len(self._of.names) == 1 else "every condition's"
            return f"In the long run {whose} network is: {next(iter(verdicts))}."
        return (
            "In the long run: "
            + "; ".join(f"{what} ({', '.join(of)})" for what, of in verdicts.items())
            + "."
        )

    def caption(self) -> str:
        return (
            "The largest Lyapunov exponents of each condition's network (bars: three "
            "standard errors): rates at which nearby states approach each other "
            "(negative) or separate (positive, chaos); 0 along a limit cycle. They are "
            "of the long run, far beyond the length of a trial, without input or "
            "noise. "
            '"Mixed": runs from different states end differently.'
        )

    def draw(self) -> Figure:
        import matplotlib.pyplot as plt

        names = self._of.names
        figure, ax = plt.subplots(
            figsize=(max(5.0, 0.7 * len(names) + 2), 3.4), layout="constrained"
        )
        exponents = self.found.exponents_[:, :_MOST_SHOWN]
        errors = 3 * self.found.standard_errors_[:, :_MOST_SHOWN]
        n_shown = exponents.shape[1]
        colours = plt.colormaps["viridis"](np.linspace(0, 0.85, n_shown))
        for k in range(n_shown):
            ax.errorbar(
                np.arange(len(names)) + 0.12 * (k - (n_shown - 1) / 2),
                exponents[:, k],
                errors[:, k],
                fmt="o",
                ms=5,
                capsize=2,
                color=colours[k],
                label=f"exponent {k + 1}",
            )
        ax.axhline(0, color="k", ls="--", lw=1)
        turn = 45 if max(map(len, names)) > 5 else 0
        ax.set_xticks(range(len(names)), names, rotation=turn)
        ax.set_xlim(-0.6, len(names) - 0.4)
        ax.set_xlabel(self._label_name if len(names) > 1 else "")
        ax.set_ylabel("Lyapunov exponent (1/s)")
        ax.legend(
            frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1)
        )
        return figure

    def tables(self) -> list[Table]:
        rows = [
            (name, str(verdict), f"{exponents[0]:+.3f}", f"{errors[0]:.3f}")
            for name, verdict, exponents, errors in zip(
                self._of.names,
                self.found.verdict_,
                self.found.exponents_,
                self.found.standard_errors_,
                strict=True,
            )
        ]
        return [Table(("condition", "verdict", "largest, 1/s", "standard error"), rows)]

    def notes(self) -> list[str]:
        names, verdicts = np.array(self._of.names), self.found.verdict_
        notes = []
        unclear = np.isin(verdicts, ["undecided", "diverging"])
        if unclear.any():
            notes.append(
                f"The long run of {', '.join(names[unclear])} is undecided or "
                "diverges: its Lyapunov exponents say little."
            )
        slow = verdicts == "not resolved"
        if slow.any():
            notes.append(
                f"The swings of {', '.join(names[slow])} still shrink or grow at the "
                "end of the long run: it is not resolved whether they end on a limit "
                "cycle or at a fixed point."
            )
        return notes

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "exponents": self.found.exponents_,
            "standard_errors": self.found.standard_errors_,
            "verdict": self.found.verdict_.astype(str),
        }
