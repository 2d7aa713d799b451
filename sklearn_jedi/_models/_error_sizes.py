"""Sizes of forecast errors, from forecasts of training trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import optimize, stats

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._engine._bilinear_em import fit_bilinear
from sklearn_jedi._engine._moments import Moments, trial_moments
from sklearn_jedi._engine._reduction import rest_path
from sklearn_jedi._models._forecast_errors import (
    DRIFTS,
    N_WITHIN,
    ErrorSizes,
    Runs,
    Strayed,
    recorded_variance,
    rest_growth,
    rest_of_recording,
    stray,
)
from sklearn_jedi._models._parts_of_trials import part

if TYPE_CHECKING:
    from sklearn_jedi._models._observed import ObservedModel

# Shares of training trials from which the rest of the trial is forecast.
_GIVEN = (0.25, 0.5, 0.75)
_MOST_TRIALS = 48
_FOLDS = 6
_FEWEST_TRIALS = 3
_FEWEST_RUNS = 12
# How many steps covariances may be propagated, times the cube of the rank.
_WORK = 2e8
_FURTHEST = 256
_N_HORIZONS = 10
# Central shares of the errors that the intervals are made to hold.
_SHARES = (0.5, 0.9)
# Runs that count as much as what the sources say.
_PRIOR_RUNS = 8.0
_ROUNDS = 30
_SMALLEST_SHARE = 1e-3
_SMALL_GAIN = 1e-6
_NEGLIGIBLE = 1e-6
_TINY = np.finfo(float).tiny


class _Tests(NamedTuple):
    """Forecasts of training trials from their beginnings, to compare with the rest.

    Attributes
    ----------
    runs : Runs
    targets : array of shape (n, n_horizons, n_neurons)
        Recordings.
    scored : bool array of shape (n, n_horizons)
        Where the bin was recorded as a whole.
    """

    runs: Runs
    targets: np.ndarray
    scored: np.ndarray

    @classmethod
    def of(
        cls, model: ObservedModel, block: Block, share: float, horizons: np.ndarray
    ) -> _Tests:
        """Of a block's trials, from a share of their length."""
        lengths = block.lengths
        given = np.clip(np.floor(share * lengths).astype(int), 2, lengths)
        beginnings = part(block, np.zeros_like(given), given)
        found = model.infer(beginnings)
        bins = (given - 1 - found.since)[:, None] + horizons
        inside = np.minimum(bins, block.values.shape[1] - 1)
        rows = np.arange(len(lengths))[:, None]
        scored = (bins >= given[:, None]) & (bins < lengths[:, None])
        scored &= block.bins[rows, inside]
        runs = Runs.of(model, found, block.group)
        return cls(runs, block.values[rows, inside], scored)

    def at(self, which: np.ndarray) -> _Tests:
        """Some of the horizons."""
        return _Tests(self.runs, self.targets[:, which], self.scored[:, which])


def _tests(
    pairs: Iterable[tuple[ObservedModel, Block]], horizons: np.ndarray
) -> _Tests:
    """Tests of models on trials, from all shares that are given."""
    parts = [
        _Tests.of(model, block, share, horizons)
        for model, block in pairs
        for share in _GIVEN
    ]
    runs, targets, scored = zip(*parts, strict=True)
    joined = Runs(*(np.concatenate(arrays) for arrays in zip(*runs, strict=True)))
    return _Tests(joined, np.concatenate(targets), np.concatenate(scored))


class _Ahead(NamedTuple):
    """What came of these forecasts, at each horizon.

    Attributes
    ----------
    strayed : list of Strayed
    forecast, errors : arrays of shape (n, n_horizons, n_neurons)
    scored : bool array of shape (n, n_horizons)
    """

    strayed: list[Strayed]
    forecast: np.ndarray
    errors: np.ndarray
    scored: np.ndarray


def find_error_sizes(model: ObservedModel, trials: Trials) -> ErrorSizes:
    """Sizes of the sources of forecast errors.

    Training trials are cut after a quarter, half and three quarters of their length;
    embeddings are inferred from what comes before, under a map fitted to the other
    trials where training did not change it, and the rest is forecast.

    Parameters
    ----------
    model : ObservedModel
        With the noise of its one-step predictions.
    trials : Trials
        Training trials in network units.
    """
    furthest = min(int(np.ceil((1 - _GIVEN[0]) * trials.n_timepoints)), _FURTHEST)
    # runs that covariances may be propagated along for one step
    n_steps = int(_WORK / len(model.step_cov) ** 3)
    n_runs = int(np.clip(n_steps / furthest, _FEWEST_RUNS, _MOST_TRIALS * len(_GIVEN)))
    furthest = min(furthest, max(n_steps // n_runs, 1))
    block = trials.sample_block(n_runs // len(_GIVEN))
    recorded = block.values[block.bins]
    errors = ErrorSizes.of_steps()._replace(
        mean=recorded.mean(0), variance=recorded.var(0)
    )
    horizons = np.unique(np.geomspace(1, furthest, _N_HORIZONS).round().astype(int))
    trained = model.hypernetwork is not None
    tests = _tests([(model, block)] if trained else _folds(model, block), horizons)
    known = tests.scored.sum(0)
    known = known >= min(_FEWEST_RUNS, max(known.max(), 1))
    if not known.any() or not model.step_variance.any():
        return errors
    tests, horizons = tests.at(known), horizons[known]
    ahead = _ahead(model, tests, horizons)
    if not ahead.errors[ahead.scored].any():
        return errors
    found = errors._replace(sizes=_sizes(model, horizons, ahead))
    factors = _factors(model, found, horizons, ahead)
    if trained:
        factors *= _optimism(model, block, horizons)
    return found._replace(horizons=horizons, factors=factors)


def _optimism(model: ObservedModel, block: Block, horizons: np.ndarray) -> np.ndarray:
    """By how much squared errors are larger in trials that were not fitted.

    Training cannot be repeated for each part of the trials, but EM can, and it is about
    as partial to the trials that it was fitted to.
    """
    em = replace(model, hypernetwork=None, path_noise=None)
    scales: list[list[float]] = []
    for pairs in (_folds(em, block), [(em, block)]):
        ahead = _ahead(em, _tests(pairs, horizons), horizons)
        errors = [ahead.errors[ahead.scored[:, j], j] for j in range(len(horizons))]
        scales.append([_log_scale(of_horizon) for of_horizon in errors])
    others, own = np.array(scales)
    result: np.ndarray = np.exp(2 * np.maximum(others - own, 0.0))
    return result


def _log_scale(errors: np.ndarray) -> float:
    """Log standard deviation of normal errors of which central intervals hold as much.

    The mean of those for half and for nine tenths of the errors.
    """
    sizes = np.quantile(np.abs(errors), _SHARES) if len(errors) else np.zeros(1)
    if not sizes.all():  # most are exactly zero
        return 0.0
    normal = stats.norm.ppf(0.5 + np.array(_SHARES) / 2)
    return float(np.log(sizes / normal).mean())


def _ahead(model: ObservedModel, tests: _Tests, horizons: np.ndarray) -> _Ahead:
    """Run forecasts to their horizons."""
    runs = tests.runs
    red, n_steps = model.reduction, int(horizons[-1])
    forecast = rest_path(red, runs.states, n_steps)[:, horizons - 1]
    strayed: list[Strayed] = []
    alone = np.eye(N_WITHIN)
    with np.errstate(over="ignore", invalid="ignore"):
        for step, now in enumerate(stray(model, runs, n_steps, alone), 1):
            if step == horizons[len(strayed)]:
                strayed.append(now)
                forecast[:, len(strayed) - 1] += now.kappa @ red.P.T
    finite = [np.isfinite(now.cov).all((1, 2, 3)) for now in strayed]
    scored = tests.scored & np.stack(finite, 1) & np.isfinite(forecast).all(2)
    return _Ahead(strayed, forecast, tests.targets - forecast, scored)


def _folds(model: ObservedModel, block: Block) -> Iterator[tuple[ObservedModel, Block]]:
    """Models fitted to the other trials, and the trials left out."""
    n_trials, settings = len(block.numbers), model.settings
    n_folds = min(_FOLDS, n_trials // _FEWEST_TRIALS)
    if n_folds < 2:
        yield model, block
        return
    drives, features = model.reduction.project(block.values)
    window = min(settings.window, drives.shape[1])
    moments = trial_moments(drives, features, window, block.steps)
    fold = np.random.RandomState(0).permutation(n_trials) % n_folds
    for k in range(n_folds):
        others, left_out = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        of_others = Moments(*(of_trial[others] for of_trial in moments))
        bilinear = fit_bilinear(
            of_others.grouped(block.take(others)),
            model.bilinear.n_axes,
            ridge=settings.ridge,
            inflation=model.bilinear.inflation,
        )
        yield replace(model, bilinear=bilinear), block.take(left_out)


def _sizes(model: ObservedModel, horizons: np.ndarray, ahead: _Ahead) -> np.ndarray:
    """Sizes of the sources, from squared errors within the span of `P` and outside."""
    P, noise, at = model.basis.P, model.step_variance, ahead.scored
    within, rest = model.reduction.split(ahead.errors)
    unit = np.maximum(np.diag(model.step_cov), _TINY)
    squares = (within[at] ** 2 / unit).mean(-1)
    diagonal = [np.einsum("nkrr->nkr", now.cov) for now in ahead.strayed]
    design = np.zeros((len(squares), N_WITHIN + 1 + len(DRIFTS)))
    design[:, :N_WITHIN] = (np.stack(diagonal, 1)[at] / unit).mean(-1)
    design[:, 0] += ((noise @ P**2) / unit).mean()
    weight = np.full(len(squares), float(len(unit)))
    # over all neurons: noise that differs between them is not the same inside and out
    variance = noise.sum() - np.trace(model.step_cov)
    if variance > _NEGLIGIBLE * noise.sum():
        growth = rest_growth(model.equation.kept, horizons)
        outside = np.zeros((len(horizons), design.shape[1]))
        noisy = rest_of_recording(model).sum() / variance
        outside[:, 0] = noisy * (1 + growth[:, 0])
        outside[:, N_WITHIN:] = growth[:, 1:]
        more = (rest[at] ** 2).sum(-1) / variance
        squares = np.concatenate([squares, more])
        design = np.concatenate([design, outside[np.nonzero(at)[1]]])
        dof = max(len(noise) - len(unit), 1)
        weight = np.concatenate([weight, np.full(len(more), float(dof))])
    return fit_sizes(squares, design, weight)


def fit_sizes(
    squares: np.ndarray, design: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Sizes, none negative, of sources that make squared errors most likely.

    Maximises the likelihood of squares with the means `design @ sizes` by Fisher
    scoring.

    Parameters
    ----------
    squares, weight : arrays of shape (n,)
    design : array of shape (n, n_sources)

    Returns
    -------
    array of shape (n_sources,)
    """
    unit = max(float(squares.mean()), _TINY)
    scale = design.mean(0)
    used = scale > 0
    scale[~used] = 1.0
    G, e = design / scale, squares / unit
    sizes = used / used.sum()

    def loss(sizes: np.ndarray) -> tuple[float, np.ndarray]:
        v = np.maximum(G @ sizes, _NEGLIGIBLE)
        return float(weight @ (np.log(v) + e / v)), v

    best, v = loss(sizes)
    for _ in range(_ROUNDS):
        w = weight / v**2
        gram = (G * w[:, None]).T @ G
        gram.flat[:: len(gram) + 1] += 1e-9 * np.trace(gram)
        root = np.linalg.cholesky(gram)
        towards = optimize.nnls(root.T, np.linalg.solve(root, G.T @ (w * e)))[0]
        share = 1.0
        while share > _SMALLEST_SHARE:
            tried = sizes + share * (towards - sizes)
            now, v_now = loss(tried)
            if now < best:
                break
            share *= 0.5
        else:
            break
        gain, sizes, best, v = best - now, tried, now, v_now
        if gain < _SMALL_GAIN * weight.sum():
            break
    result: np.ndarray = used * sizes / scale * unit
    return result


def _factors(
    model: ObservedModel, found: ErrorSizes, horizons: np.ndarray, ahead: _Ahead
) -> np.ndarray:
    """What is left: factors with which intervals hold their share of the errors.

    Each is the geometric mean of those that central intervals for half and for nine
    tenths ask for, pulled to one where runs are few.
    """
    P, factors = model.reduction.P, np.ones(len(horizons))
    for j, strayed in enumerate(ahead.strayed):
        rows = np.flatnonzero(ahead.scored[:, j])
        if len(rows):
            S = np.tensordot(strayed.cov[rows], found.mixture[0], ([1], [0]))
            within = ((P @ S) * P).sum(-1)[:, None]
            forecast = ahead.forecast[rows, j : j + 1]
            variance = recorded_variance(
                model, found, within, forecast, horizons[j : j + 1]
            )
            asked = _log_scale(
                ahead.errors[rows, j] / np.sqrt(np.maximum(variance[:, 0], _TINY))
            )
            factors[j] = np.exp(2 * asked * len(rows) / (len(rows) + _PRIOR_RUNS))
    return factors
