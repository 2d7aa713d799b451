"""Fixed points, cycles and continuous attractors of each condition."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

from sklearn_jedi._utils._progress import progress_to
from sklearn_jedi.analysis import FixedPointAnalyzer
from sklearn_jedi.plotting import FixedPointDisplay
from sklearn_jedi.report._conditions import (
    ConditionNetworks,
    condition_networks,
    mean_networks,
)
from sklearn_jedi.report._section import Section, Table
from sklearn_jedi.report._study import Study
from sklearn_jedi.report._text import first_few

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

_N_STATES = 64
_N_RUNS = 12
_MOST_PANELS = 8
_HOW = {
    True: "from a fit to the training trials in which trials of a condition share "
    "their embedding",
    False: "that of the mean embedding",
}


class FixedPointSection(Section):
    """Where the network of each condition stands still, and what turns in it."""

    name = "fixed_points"
    title = "Fixed points and trajectories"
    reads_networks = True

    def compute(self, study: Study) -> None:
        self._of = condition_networks(study)
        states = self._of.sampled(_N_STATES)
        self.found = self._find(study, self._of, states)
        self._visited = [
            _is_near(points, of)
            for points, of in zip(self.found.fixed_points_, states, strict=True)
        ]
        self._fitted_together = study.labels is not None
        self._other: list[str] = []
        if self._fitted_together:
            other = mean_networks(study)
            found = self._find(study, other, other.sampled(_N_STATES))
            self._other = [
                name
                for k, name in enumerate(self._of.names)
                if _attractors(found, other.names.index(name))
                != _attractors(self.found, k)
            ]

    @staticmethod
    def _find(
        study: Study, of: ConditionNetworks, states: np.ndarray
    ) -> FixedPointAnalyzer:
        with warnings.catch_warnings(), progress_to(study.progress):
            warnings.simplefilter("ignore")  # what they say is in the notes
            return FixedPointAnalyzer(random_state=study.random_state, verbose=1).fit(
                of.networks, states=states
            )

    def summary(self) -> str:
        kinds: dict[str, list[str]] = {}
        for k, name in enumerate(self._of.names):
            stable, cycles, curves = _attractors(self.found, k)
            parts = [
                f"{count} {what}{'s' * (count > 1)}"
                for count, what in (
                    (stable, "stable fixed point"),
                    (cycles, "stable limit cycle"),
                    (curves, "continuous attractor"),
                )
                if count
            ]
            kinds.setdefault(
                " and ".join(parts) or "no attractor that was found", []
            ).append(name)
        if len(self._of.names) == 1:
            return f"The network has {next(iter(kinds))}."
        if len(kinds) == 1:
            return f"Every condition's network has {next(iter(kinds))}."
        return (
            "The networks differ in their attractors: "
            + "; ".join(f"{what} ({', '.join(names)})" for what, names in kinds.items())
            + "."
        )

    def caption(self) -> str:
        return (
            f"What the network of each condition ({_HOW[self._fitted_together]}) does, "
            "in the plane in which its activity varies most. Grey: activity of "
            "some trials. Filled: stable fixed points; open: unstable ones, with lines "
            "along which they are left; orange: limit cycles; blue: continuous "
            "attractors; crosses: slow points. Components are in the units of the "
            "activity. That the fixed points exist is proven, unless a note says "
            "otherwise; that there are no others is not. Their indices sum to +1 if "
            "all are found, so that another sum shows that one was missed, and the "
            "share of random starts that would lead to points not found is estimated."
        )

    def draw(self) -> Figure:
        import matplotlib.pyplot as plt

        n_panels = min(len(self._of.names), _MOST_PANELS)
        n_columns = min(n_panels, 4)
        n_rows = -(-n_panels // n_columns)
        figure, axes = plt.subplots(
            n_rows,
            n_columns,
            figsize=(max(3.1 * n_columns, 5.2), 3.1 * n_rows + 0.7),
            layout="constrained",
            squeeze=False,
        )
        handles: dict[str, Artist] = {}
        for k, ax in enumerate(axes.flat):
            if k >= n_panels:
                ax.axis("off")
                continue
            runs = self._of.runs(k, _N_RUNS)
            FixedPointDisplay(self.found, k, runs).plot(ax)
            ax.set_title(self._of.names[k], fontsize="medium")
            ax.set_xlabel("component 1" if k // n_columns == n_rows - 1 else "")
            ax.set_ylabel("component 2" if k % n_columns == 0 else "")
            ax.tick_params(labelsize="small")
            for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
                handles.setdefault(name, handle)
            if ax.get_legend():
                ax.get_legend().remove()
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside lower center",
            ncols=3,
            frameon=False,
            fontsize="small",
        )
        return figure

    def tables(self) -> list[Table]:
        rows = []
        for k, name in enumerate(self._of.names):
            stable, cycles, curves = _attractors(self.found, k)
            unstable = int((~self.found.is_stable_[k]).sum())
            periods = ", ".join(
                f"{cycle.period:.2f} s"
                for cycle in self.found.limit_cycles_[k]
                if cycle.is_stable
            )
            sum_ = self.found.index_sum_[k]
            rows.append(
                (
                    name,
                    str(stable),
                    str(unstable),
                    f"{cycles}" + (f" ({periods})" if periods else ""),
                    str(curves),
                    f"{self._visited[k].sum()} of {len(self._visited[k])}",
                    "not defined" if np.isnan(sum_) else f"{sum_:+.0f}",
                    _percent(self.found.missing_mass_[k]),
                )
            )
        header = (
            "condition",
            "stable points",
            "unstable points",
            "stable cycles",
            "continuous attractors",
            "points where activity was",
            "index sum (if not +1, one is missing)",
            "starts that lead to points not found (estimated)",
        )
        return [Table(header, rows)]

    def notes(self) -> list[str]:
        notes = []
        names, found = np.array(self._of.names), self.found
        wrong = np.isfinite(found.index_sum_) & (found.index_sum_ != 1)
        if wrong.any():
            notes.append(
                f"The indices of the fixed points of {first_few(names[wrong])} do not "
                "sum to +1: a fixed point is missing."
            )
        unseen = (found.missing_mass_ > 0) & ~wrong
        if unseen.any():
            share = _percent(found.missing_mass_[unseen].max())
            notes.append(
                f"Fixed points of {first_few(names[unseen])} are probably missing: up "
                f"to {share} of random starts are estimated to lead to others."
            )
        undefined = np.isnan(found.index_sum_)
        if undefined.any():
            notes.append(
                f"The fixed points of {first_few(names[undefined])} cannot be counted "
                "(one is not isolated, as on a ring, or not certified)."
            )
        unsettled = found.n_unsettled_ > 0
        if unsettled.any():
            notes.append(
                f"{found.n_unsettled_[unsettled].sum()} of "
                f"{found.n_trajectories_[unsettled].sum()} runs of "
                f"{first_few(names[unsettled])} reached no attractor that could be "
                "resolved: they are chaotic, slower than the run was long, or change "
                "so slowly that a limit cycle cannot be told from a fixed point."
            )
        far = np.array([len(near) > 0 and not near.any() for near in self._visited])
        if far.any():
            notes.append(
                f"All fixed points of {first_few(names[far])} lie outside of where the "
                "activity was. They are extrapolated: what was not visited is not "
                "identified."
            )
        if self._other:
            notes.append(
                f"The attractors of {first_few(np.array(self._other))} depend on how "
                "the networks are fitted: those of the mean of single trials' "
                "embeddings have others."
            )
        if len(names) > _MOST_PANELS:
            notes.append(
                f"The picture of fixed points shows {_MOST_PANELS} of {len(names)} "
                "conditions; the table has all."
            )
        return notes

    def arrays(self) -> dict[str, np.ndarray]:
        found = self.found
        points = found.fixed_points_
        return {
            "conditions": np.array(self._of.names),
            "fixed_points": np.concatenate(points),
            "condition_of_point": np.repeat(
                np.arange(len(points)), [len(p) for p in points]
            ),
            "is_stable": np.concatenate(found.is_stable_),
            "is_visited": np.concatenate(self._visited),
            "residuals": np.concatenate(found.residuals_),
            "certified_radius": np.concatenate(found.certified_radius_),
            "index_sum": np.asarray(found.index_sum_),
            "missing_mass": np.asarray(found.missing_mass_),
            "U": self._of.networks.U,
            "V": self._of.networks.V,
            "bias": self._of.networks.bias,
        }


def _attractors(found: FixedPointAnalyzer, k: int) -> tuple[int, int, int]:
    """Stable points, stable cycles and continuous attractors of a network."""
    return (
        int(found.is_stable_[k].sum()),
        sum(cycle.is_stable for cycle in found.limit_cycles_[k]),
        sum(curve.is_attracting for curve in found.manifolds_[k]),
    )


def _percent(share: float) -> str:
    return "not defined" if np.isnan(share) else f"{100 * share:.2g} %"


def _is_near(points: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Which points are no further from a visited state than those are spread."""
    if not len(points):
        return np.zeros(0, dtype=bool)
    size = np.sqrt(((states - states.mean(0)) ** 2).sum(1).mean())
    near: np.ndarray = cdist(points, states).min(1) <= size
    return near
