"""How many dimensions: rank and embedding dimension, by cross-validated forecasts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from sklearn_jedi._data._halves import second_halves
from sklearn_jedi._utils._types import Forecaster
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.report._errors import Errors
from sklearn_jedi.report._section import Section, Table
from sklearn_jedi.report._study import Study, TrialList
from sklearn_jedi.report._text import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RANKS = (2, 4, 8, 12)
_EMBEDDING_DIMS = (1, 2, 4)
_STATES = (2, 4, 8, 12)
_MOST_TRIALS = 240
_BINS_PER_DIMENSION = 8
_AS_GOOD = 0.01  # of the best R^2
# of simulated attractors, 100 rounds changed R^2 of forecasts by at most 0.0022
LINEAR_ROUNDS = 50


class Candidate(NamedTuple):
    """A model to try: JEDI, or the linear one where the embedding has no dimension."""

    rank: int
    embedding_dim: int


class ChoiceSection(Section):
    """Rank and embedding dimension, chosen where they are not given.

    The second half of held-out training trials is forecast from the first. With the
    largest embedding, the smallest rank is taken that is as good as the best: worse by
    no more than one standard error of the difference, or by 1 % of the R^2. Then, at
    this rank, the largest embedding that is as good as the best: one axis too many does
    little harm, as the trials leave its weights near zero, but with one too few
    conditions that differ get the same network. The linear model's number of states is
    chosen as the rank is.
    """

    name = "choice"
    title = "Rank and embedding dimension"

    def compute(self, study: Study) -> None:
        trials = study.train
        if len(trials) > _MOST_TRIALS:
            rng = np.random.default_rng(study.random_state)
            trials = np.sort(rng.choice(trials, _MOST_TRIALS, replace=False))
        self._n_trials, self._problem = len(trials), ""
        self._folds = list(study.folds(trials))
        n_bins = sum(len(study.X[trial]) for trial in trials)
        widest = min(study.n_neurons, n_bins // _BINS_PER_DIMENSION)
        self._ranks = [study.rank] if study.rank else _at_most(_RANKS, widest)
        self._dims = (
            [study.embedding_dim]
            if study.embedding_dim
            else _at_most(_EMBEDDING_DIMS, max(1, len(trials) // 6))
        )
        self._how = [
            "given" if given else "chosen by cross-validated forecasts"
            for given in (study.rank, study.embedding_dim)
        ]
        self._given = bool(study.rank and study.embedding_dim)
        self.scores: dict[Candidate, np.ndarray] = {}
        linear = [Candidate(n_states, 0) for n_states in _at_most(_STATES, widest)]
        by_rank = [Candidate(rank, max(self._dims)) for rank in self._ranks]
        self._try(study, linear + by_rank * (not self._given))
        self.n_states = min(self._good(linear)).rank
        self.chosen = by_rank[0]
        if not self._given:
            rank = min(self._good(by_rank)).rank
            by_dim = [Candidate(rank, dim) for dim in self._dims]
            self._try(study, by_dim)
            self.chosen = max(self._good(by_dim))
        study.rank, study.embedding_dim = self.chosen

    def _try(self, study: Study, candidates: list[Candidate]) -> None:
        """Score candidates that have not been, R^2 of forecasts (n_folds,) of each."""
        new = [candidate for candidate in candidates if candidate not in self.scores]
        tasks = [
            delayed(held_out_r2)(
                _model(study, candidate), study.take(train), study.take(test)
            )
            for candidate in new
            for train, test in self._folds
        ]
        found = []
        for score, problem in _in_parallel(tasks, study.n_jobs):
            found.append(score)
            self._problem = problem or self._problem
            study.progress(len(found), len(tasks), "fits")
        for candidate, scores in zip(
            new, np.reshape(found, (len(new), len(self._folds))), strict=True
        ):
            self.scores[candidate] = scores

    def _good(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those as good as the best."""
        scores = np.array([self.scores[candidate] for candidate in candidates])
        means = np.where(np.isfinite(scores).all(1), scores.mean(1), -np.inf)
        if not np.isfinite(means).any():
            raise ValueError(
                "no setting could forecast the second half of held-out trials"
                + (f"; the last error: {self._problem}" if self._problem else "")
            )
        best = int(np.argmax(means))
        behind = scores[best] - scores
        error = behind.std(1, ddof=1) / np.sqrt(behind.shape[1])
        good = behind.mean(1) <= np.maximum(error, _AS_GOOD * abs(means[best]))
        return [candidates[k] for k in np.flatnonzero(good)]

    def summary(self) -> str:
        rank, dim = self.chosen
        of_rank, of_dim = self._how
        text = f"Networks of rank {rank}"
        if of_rank != of_dim:
            text += f" ({of_rank})"
        return (
            f"{text} with an embedding of {counted(dim, 'dimension')} a trial "
            f"({of_dim}); the linear model beside them has "
            f"{counted(self.n_states, 'state')}."
        )

    def caption(self) -> str:
        text = (
            "R² of the second half of trials, forecast from the first, in "
            f"{len(self._folds)} folds of {self._n_trials} training trials (points: "
            "means; bars: standard errors over folds; held against single bins, noise "
            "and all). Ringed: what was chosen, the smallest rank (or number of "
            "states) that is as good as the best (within one standard error of the "
            "difference, or 1 %)"
        )
        return text + (
            "." if self._given else ", and at that rank the largest embedding that is."
        )

    def draw(self) -> Figure:
        import matplotlib.pyplot as plt

        figure, ax = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
        colours = plt.colormaps["viridis"](np.linspace(0.1, 0.8, len(self._dims)))
        for dim, colour in zip(self._dims, colours, strict=True):
            self._curve(ax, dim, f"JEDI, embedding {dim}", color=colour, marker="o")
        self._curve(ax, 0, "linear model", color="0.5", marker="s", ls="--")
        for candidate in (self.chosen, Candidate(self.n_states, 0)):
            if candidate in self.scores:
                score = self.scores[candidate].mean()
                ax.plot(candidate.rank, score, "o", ms=13, mfc="none", mec="k")
        ranks = sorted({candidate.rank for candidate in self.scores})
        ax.set_xticks(ranks, [str(rank) for rank in ranks])
        ax.set_xlabel("rank; states of the linear model")
        ax.set_ylabel("R² of forecasts of held-out trials")
        ax.legend(frameon=False, fontsize="small")
        return figure

    def _curve(self, ax: Axes, dim: int, label: str, **style: Any) -> None:
        which = sorted(s for s in self.scores if s.embedding_dim == dim)
        if which:
            scores = np.array([self.scores[candidate] for candidate in which])
            ax.errorbar(
                [candidate.rank for candidate in which],
                scores.mean(1),
                scores.std(1, ddof=1) / np.sqrt(scores.shape[1]),
                label=label,
                capsize=2,
                lw=1.2,
                ms=5,
                **style,
            )

    def tables(self) -> list[Table]:
        rows = [
            (
                "JEDI" if s.embedding_dim else "linear",
                str(s.rank),
                str(s.embedding_dim) if s.embedding_dim else "",
                f"{score.mean():.3f}",
                f"{score.std(ddof=1) / np.sqrt(len(score)):.3f}",
            )
            for s, score in sorted(self.scores.items())
        ]
        return [Table(("model", "rank", "embedding", "R²", "standard error"), rows)]

    def notes(self) -> list[str]:
        tried = [score.mean() for s, score in self.scores.items() if s.embedding_dim]
        if tried and max(tried) <= 0:
            return [
                "No setting forecasts held-out trials better than each neuron's mean, "
                "so rank and embedding could not really be chosen. Where a cue within "
                "the trials changes the dynamics, report the time before and after it "
                "separately (--window)."
            ]
        if len(self._ranks) == 1 or self.chosen.rank < max(self._ranks):
            return []
        return [
            f"The largest rank that was tried ({self.chosen.rank}) was chosen: a "
            "larger one may be better. Try --rank."
        ]

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "settings": np.array(list(self.scores)),
            "scores": np.array(list(self.scores.values())),
        }


def held_out_r2(
    model: Forecaster, train: TrialList, test: TrialList
) -> tuple[float, str]:
    """R^2 of the second halves of test trials; NaN where the fit fails, and why."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            later, ahead = second_halves(model.fit(train).forecast, test)
        except (ValueError, np.linalg.LinAlgError) as error:
            return np.nan, str(error)
    return Errors(later, list(ahead)).r2(), ""


def _model(study: Study, candidate: Candidate) -> Forecaster:
    if not candidate.embedding_dim:
        return LinearStateSpace(candidate.rank, n_iter=LINEAR_ROUNDS)
    return study.estimator(*candidate, max_epochs=0)


def _at_most(values: tuple[int, ...], most: int) -> list[int]:
    return [value for value in values if value <= most] or [max(1, most)]


def _in_parallel(
    tasks: list[tuple[object, ...]], n_jobs: int
) -> Iterator[tuple[float, str]]:
    """Results in order, as they come; workers are ended where the caller stops."""
    results = Parallel(n_jobs, return_as="generator")(tasks)
    try:
        yield from results
    except BaseException:
        if n_jobs != 1:
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown(wait=False, kill_workers=True)
        raise
