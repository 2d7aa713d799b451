"""Settings of the closed-form fit, chosen on held-out windows of training trials."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._engine import _bilinear_em, _moments
from sklearn_jedi._engine._basis import find_basis
from sklearn_jedi._engine._reduction import (
    Basis,
    Reduction,
    Rows,
    free_run,
    rest_path,
)
from sklearn_jedi._networks._equation import Equation

# Trials that settings are fitted to while they are compared, so that a regression has
# about as many samples for its unknowns as the final one, and how many of these have
# windows held out: enough to rank settings by; more would only cost time.
_MAX_TRIALS = 96
_SCORED_TRIALS = 24
_EM_ITERATIONS = 10
# One scored trial in so many is left out as a whole; none is where there are fewer
# trials, or where they share embeddings.
_LEFT_OUT_EVERY = 4
_FEWEST_TO_LEAVE_OUT = 8
_GAINS = (1.0, 0.3)
# From the least to the most bias in the weights.
_WINDOWS = (1, 5, 15)
_RIDGES = (1e-4, 1e-2, 1e-1, 1.0)
_DIRECTIONS_PER_RANK = (4, 2, 1)
_MIN_DIRECTIONS = 12
# Where a regression has as many unknowns as samples, the least ridge is this.
_RIDGE_WHEN_SATURATED = 0.1
# A more biased setting, or one in less natural units, has to lower the error by this
# share.
_WORTH_BIAS = 0.1
# What is chosen between units has to explain this share of the variance.
_TELLING = 0.05


class Settings(NamedTuple):
    """Settings of the closed-form fit.

    Attributes
    ----------
    gain : float
        Argument scale of the transfer function, in 1 / network units.
    window : int
        Steps over which the equation is averaged before regressing; 0 where states are
        inferred.
    n_directions : int
        Feature directions (M).
    ridge : float
        Prior precision of the weights, in units of the mean square of a feature.
    score : float
        Free-run R^2 on the held-out windows; NaN where nothing was chosen.
    start_smoothing : int
        Where states are inferred: standard deviation, in time points, of the kernel
        that EM starts from; 0 is still to be chosen.
    """

    gain: float
    window: int
    n_directions: int
    ridge: float
    score: float = np.nan
    start_smoothing: int = 0

    def describe(self) -> str:
        """One line about what was chosen."""
        smoothing = f"start_smoothing={self.start_smoothing or 'auto'}"
        averaging = f"window={self.window}" if self.window else smoothing
        ridge = "by evidence" if np.isnan(self.ridge) else f"{self.ridge:g}"
        text = (
            f"gain={self.gain:g}, {averaging}, ridge={ridge}, "
            f"{self.n_directions} feature directions"
        )
        if np.isnan(self.score):
            return text
        return f"{text} (R^2 on held-out windows {self.score:.3f})"


def default_settings(
    rank: int,
    n_neurons: int,
    *,
    gain: float | str,
    start_smoothing: float | str,
    ridge: float | str,
) -> Settings:
    """Settings of EM for noisy recordings."""
    return Settings(
        gain=1.0 if gain == "auto" else float(gain),
        window=0,
        n_directions=min(n_neurons, max(2 * rank, rank + 4)),
        ridge=np.nan if ridge == "auto" else float(ridge),
        start_smoothing=0 if start_smoothing == "auto" else int(start_smoothing),
    )


def held_out_windows(block: Block, every: int = 1) -> np.ndarray:
    """Steps to hold out: a quarter of the trial in every `every`-th trial.

    The windows lie in the second, third and last quarter in turn; steps to bins that
    were not recorded are not among them.

    Returns
    -------
    bool array of shape (n_trials, n_timepoints - 1)
    """
    held = np.zeros((len(block.numbers), block.values.shape[1] - 1), dtype=bool)
    for row, number in enumerate(block.numbers):
        if number % every == 0:
            n_steps = block.lengths[row] - 1
            length = max(1, n_steps // 4)
            stop = n_steps - (2 - number // every % 3) * length
            held[row, max(stop - length, 0) : max(stop, 0)] = True
    result: np.ndarray = held & block.bins[:, 1:]
    return result


def first_as_good(settings: Sequence[Settings], default: int) -> int:
    """Which settings to take, of some in several units in order of preference.

    Parameters
    ----------
    settings : sequence of Settings
        Later ones are taken only where they lower the error clearly.
    default : int
        Which to take where none predicts anything.
    """
    best = default
    for number, one in enumerate(settings):
        if one.score > _TELLING and (
            best == default
            or 1 - one.score < (1 - _WORTH_BIAS) * (1 - settings[best].score)
        ):
            best = number
    return best


def choose_settings(
    trials: Trials,
    rank: int,
    embedding_dim: int,
    equation: Equation,
    *,
    gain: float | str,
    window: int | str,
    ridge: float | str,
    full_rank: bool,
    weights: np.ndarray,
) -> Settings:
    """Coordinate search: window, ridge, directions (then again), and gain.

    The free run hardly tells apart settings that bias the weights by different
    degrees: averaging, shrinking and fewer directions all make eigenvalues smaller. So
    the search starts at the least biased setting, and leaves it only where that pays.

    Parameters
    ----------
    trials : Trials
        Training trials in network units.
    equation : Equation
        Its gain plays no part.
    gain, window, ridge : number or "auto"
        A number is kept as it is.
    full_rank : bool
        Use every feature direction.
    weights : array of shape (n_neurons,)
        By which errors count, so that scores of several units compare.

    Returns
    -------
    Settings
    """
    n_neurons, n_steps = trials.n_neurons, trials.n_timepoints - 1
    n_samples = max(int((trials.lengths - 1).sum()), 1)
    directions = [
        min(n_neurons, max(times * rank, _MIN_DIRECTIONS * times // 4, rank))
        for times in _DIRECTIONS_PER_RANK
    ]
    n_directions = n_neurons if full_rank else directions[0]
    unknowns = (embedding_dim + 1) * Rows.count(n_directions)
    least = _RIDGE_WHEN_SATURATED * (unknowns / n_samples) ** 2
    ridges = [max(least, _RIDGES[0]), *(r for r in _RIDGES[1:] if r > least)]
    given = Settings(
        gain=_GAINS[0] if gain == "auto" else float(gain),
        window=_WINDOWS[0] if window == "auto" else int(window),
        n_directions=n_directions,
        ridge=ridges[0] if ridge == "auto" else float(ridge),
    )

    if n_steps < 4:
        return given
    some = trials.in_order().sample(_MAX_TRIALS)
    block = some.sample_block(_MAX_TRIALS)

    @functools.cache
    def basis_at(gain: float) -> Basis:
        return find_basis(some, equation._replace(gain=gain), rank, n_directions)

    search = _Search(block, embedding_dim, equation, basis_at, weights)
    windows = [w for w in _WINDOWS if w <= n_steps // 2]

    def with_averaging(start: Settings) -> Settings:
        if window == "auto":
            start = search.best(start, "window", windows)
        if ridge == "auto":
            start = search.best(start, "ridge", ridges)
        return start

    best = with_averaging(search.scored(given))
    if not full_rank:
        fewer = search.best(best, "n_directions", directions)
        # fewer unknowns need less of it
        best = best if fewer is best else with_averaging(fewer)
    if gain == "auto":
        best = search.best(best, "gain", _GAINS)
    if ridge == "auto" and not best.score > 0:
        # rather hardly any weights than a free run that is worse than the mean
        best = search.best(best, "ridge", [1e1, 1e3, 1e6])
    return best


class _Search:
    """Tries settings on one set of trials, remembering what it has seen."""

    def __init__(
        self,
        block: Block,
        embedding_dim: int,
        equation: Equation,
        basis_at: Callable[[float], Basis],
        weights: np.ndarray,
    ) -> None:
        self.block = block
        self.X = X = block.values
        self.steps = block.steps
        self.embedding_dim = embedding_dim
        self.equation = equation
        self.basis_at = basis_at
        self.weights = weights
        scored = np.linspace(0, len(X) - 1, min(len(X), _SCORED_TRIALS))
        self.scored_rows = rows = scored.round().astype(int)
        self.held = np.zeros(X[:, 1:, 0].shape, dtype=bool)
        self.held[rows] = held_out_windows(block)[rows]
        self.targets = X[:, 1:][self.held]
        about_mean = (self.targets - self.targets.mean(0)) * weights
        self.total = (about_mean**2).sum()
        self._reduced: dict[float, tuple[Any, ...]] = {}
        self._moments: dict[tuple[float, int], tuple[_moments.Moments, float]] = {}

    def best(self, start: Settings, name: str, values: Sequence[float]) -> Settings:
        """The first of `start` and its variants that no later one betters clearly."""
        best = start
        for value in values:
            if value == getattr(start, name):
                continue
            variant = self.scored(Settings(**{**start._asdict(), name: value}))
            if 1 - variant.score < (1 - _WORTH_BIAS) * (1 - best.score):
                best = variant
        return best

    def scored(self, settings: Settings) -> Settings:
        """The settings with their free-run R^2 on the held-out windows.

        Half of it is that of windows of trials whose other bins were fitted to, half
        that of trials that only their embeddings were inferred from, where each trial
        has its own.
        """
        gain, window = settings.gain, settings.window
        if gain not in self._reduced:
            basis = self.basis_at(gain)
            red = Reduction.of(basis, self.equation._replace(gain=gain))
            series = red.project(self.X)
            self._reduced[gain] = (basis, *series, *self._split_targets(red))
        basis, drives, features, to_errors, targets, floor = self._reduced[gain]
        if (gain, window) not in self._moments:
            keep = self.steps & ~self.held
            moments = _moments.trial_moments(drives, features, window, keep)
            moments = moments.grouped(self.block)
            inflation = 1.0
            if moments.n_windows.any():
                inflation = _bilinear_em.step_inflation(
                    drives, features, window, self.steps
                )
            self._moments[gain, window] = moments, inflation
        moments, inflation = self._moments[gain, window]
        if not moments.n_windows.any():  # none without a gap is that long
            return settings._replace(score=-np.inf)
        moments = moments.directions(settings.n_directions)
        red = Reduction.of(
            basis.directions(settings.n_directions),
            self.equation._replace(gain=gain),
        )
        rows, held = self.scored_rows, self.held
        trial_of_target = rows[np.nonzero(held[rows])[0]]
        group, n_groups = self.block.group, self.block.n_groups

        def error(rows: np.ndarray, fitted: np.ndarray, *, new: bool) -> float:
            model = _bilinear_em.fit_bilinear(
                moments.of(fitted),
                self.embedding_dim,
                ridge=settings.ridge,
                inflation=inflation,
                max_iter=_EM_ITERATIONS,
            )
            if not new:
                model = model._replace(known=None)
            embeddings = _bilinear_em.posterior(moments, model)[0]
            wanted = targets[np.isin(trial_of_target, rows)]
            with np.errstate(over="ignore", invalid="ignore"):
                path = free_run(
                    red,
                    model.weights(embeddings[group[rows]]),
                    self.X[rows, 0],
                    self.X.shape[1] - 1,
                )
                squares = (path[held[rows]] @ to_errors - wanted) ** 2
            return float(squares.sum())

        within = error(rows, np.arange(n_groups), new=False)
        left_out = rows[::_LEFT_OUT_EVERY]
        share = held[left_out].sum() / max(held[rows].sum(), 1)
        # later trials of groups are of the same groups
        alone = n_groups == len(group) >= _FEWEST_TO_LEAVE_OUT
        if alone and share > 0:
            others = np.setdiff1d(np.arange(n_groups), group[left_out])
            of_new = error(left_out, others, new=True)
            within = (within + of_new / share) / 2
        score = 1 - (floor + within) / self.total if self.total > 0 else 0.0
        return settings._replace(score=score if np.isfinite(score) else -np.inf)

    def _split_targets(
        self, red: Reduction[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """From reduced coordinates to errors, held-out states there, and the rest.

        Outside the span of `P` a free run decays in the same way whatever the weights:
        its error is a number. Within it, coordinates times the first matrix (rank,
        rank) less the second (n_steps, rank) are errors, weighted as they count.
        """
        rows = self.scored_rows
        rest = rest_path(red, self.X[rows, 0], self.X.shape[1] - 1)[self.held[rows]]
        span, to_errors = np.linalg.qr(self.weights[:, None] * red.P)
        wanted = (self.targets - rest) * self.weights
        within = wanted @ span
        outside = (wanted**2).sum() - (within**2).sum()
        return to_errors.T, within, max(float(outside), 0.0)
