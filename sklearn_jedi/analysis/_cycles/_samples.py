"""Invariant circles of the map, however sharp their corners: sampled, not solved."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from sklearn_jedi.analysis._cycles._orbit import MAX_POINTS, Orbit, evenly, size_of
from sklearn_jedi.analysis._cycles._returns import Section, bump, mean_period, returns
from sklearn_jedi.analysis._reduced import ReducedDynamics
from sklearn_jedi.analysis._runs import run

__all__ = ["sampled_circle"]

_N_ORBITS = (4, 16)  # of long and of short periods
_N_PERIODS = (8, 32, 128, 512)  # until the orbits agree
_SETTLING = 8  # periods before
_AGREED = 3e-8  # spread of the period over orbits, as a share of it
_HOPELESS = 0.01  # where longer orbits will not agree
_ACCEPTED = 3e-7  # where longer orbits are of no help
_SETTLED = 3e-5  # how far the orbits drift, as a share of the size
_SLOW = 0.3  # the drift, as a share of that before, where it takes too long
_MAX_STEPS = 40_000
_MISSED = 1e-3  # residual, as a share of the size of the circle
_LOCKED = 1e-9  # distance between an orbit and its return, likewise
_SMOOTH = 1e-6  # share of the amplitude in the highest harmonics of its points
_N_SIZES = 10  # of multipliers
_AT_ONCE = 8  # steps between orthonormalisations
_RESOLVED = 1e-3  # multipliers this near to 1 may be 1


def sampled_circle(
    system: ReducedDynamics, start: np.ndarray, section: Section
) -> Orbit | None:
    """The invariant circle that attracts a state; None where it is none.

    Orbits start from points between the state and the next one, so that together they
    visit all of the circle; each returns to the section again and again. The mean time
    between returns is the period, and the weighted mean of these times the phase of the
    orbit, both far more precisely than a step [1]_. The circle is a spline through all
    samples, ordered by phase. Where orbits close, the circle is locked to them, and the
    period is the exact ratio of whole numbers of steps and of turns.

    References
    ----------
    .. [1] Das, Sander, Saiki and Yorke, "Quantitative quasiperiodicity", Nonlinearity
       30 (2017).
    """
    period = section.period
    n_orbits = int(np.clip(1600 / period, *_N_ORBITS))
    share = np.arange(n_orbits)[:, None] / n_orbits
    kappa = start + share * (system.step(start[None]) - start)
    n_settling = int(min(_SETTLING * period + 200, _MAX_STEPS))
    kappa = run(system, kappa, n_settling)[-1]
    before = np.inf
    for n_periods in _N_PERIODS:
        n_steps = int(min(n_periods * period + 4, _MAX_STEPS))
        paths = run(system, kappa, n_steps)
        if not np.isfinite(paths[-1]).all():
            return None
        size = size_of(paths[:, 0])
        locked = _closed_orbit(system, paths[:, 0], period, _LOCKED * size)
        if locked is not None:
            return locked
        found = [returns(path, section) for path in np.swapaxes(paths, 0, 1)]
        n_returns = min(len(times) for times, _ in found)
        if n_returns < 4:
            return None
        times = np.array([times[:n_returns] for times, _ in found])
        periods = np.array([mean_period(t) for t in times])
        period = float(periods.mean())
        spread = float(periods.std()) / period
        drift = _drift(np.array([places[:n_returns] for _, places in found])) / size
        settled = drift < _SETTLED
        if settled and (spread < _AGREED or n_steps == _MAX_STEPS):
            break
        if spread > _HOPELESS or (not settled and drift > _SLOW * before):
            return None
        kappa, before = paths[-1], drift
    if not settled or spread > _ACCEPTED:
        return None
    weights = bump(n_returns)
    offsets = [weights @ (t - period * np.arange(n_returns)) for t in times]
    phases = (np.arange(n_steps)[:, None] - np.array(offsets)) / period
    curve = _curve_through(phases.ravel() % 1, paths.reshape(-1, system.n_dims), period)
    points = evenly(curve, _SMOOTH)
    ahead = curve((np.arange(len(points)) / len(points) + 1 / period) % 1)
    residual = np.linalg.norm(system.step(points) - ahead, axis=1).max()
    if not residual < _MISSED * size:
        return None
    multipliers = _multipliers(system, paths[:, 0], period)
    if multipliers is None:
        return None
    return Orbit(period, points, multipliers, float(residual))


def _drift(places: np.ndarray) -> float:
    """How far the places (n_orbits, n_returns, n_dims) move within a record."""
    half = places.shape[1] // 2
    middle = places.mean(axis=0)
    weights = bump(half)
    return float(np.linalg.norm(weights @ middle[-half:] - weights @ middle[:half]))


def _closed_orbit(
    system: ReducedDynamics, path: np.ndarray, period: float, tol: float
) -> Orbit | None:
    """The closed orbit that a path ends on, with its turns; None if it ends on none."""
    n_turns = np.arange(1, int(min(len(path), MAX_POINTS) / period) + 1)
    lengths = np.round(n_turns * period).astype(int)
    lengths = np.unique(np.concatenate([lengths - 1, lengths, lengths + 1]))
    lengths = lengths[(lengths > 1) & (lengths < len(path))]
    back = np.linalg.norm(path[-1] - path[-1 - lengths], axis=1)
    if not (back < tol).any():
        return None
    length = int(lengths[back < tol][0])
    turns = round(length / period)
    order = (np.arange(length) * turns % length).argsort()
    points = path[-length:][order]
    multipliers = _multipliers(system, path, length / turns)
    if multipliers is None:
        return None
    residual = float(np.linalg.norm(system.step(path[-1:]) - path[-length]))
    return Orbit(length / turns, points, multipliers, residual)


def _curve_through(
    phases: np.ndarray, points: np.ndarray, period: float
) -> CubicSpline:
    """A periodic spline through one sample of each of many short ranges of phases."""
    n_ranges = int(np.clip(_N_ORBITS[1] * period, 256, len(phases) / 4))
    chosen = np.unique((phases * n_ranges).astype(int), return_index=True)[1]
    chosen = chosen[phases[chosen].argsort()]
    chosen = chosen[np.append(True, np.diff(phases[chosen]) > 0.25 / n_ranges)]
    knots = np.append(phases[chosen], phases[chosen[0]] + 1)
    if knots[-1] - knots[-2] < 0.25 / n_ranges:
        chosen = chosen[:-1]
        knots = np.delete(knots, -2)
    return CubicSpline(knots, points[np.append(chosen, chosen[0])], bc_type="periodic")


def _multipliers(
    system: ReducedDynamics, path: np.ndarray, period: float
) -> np.ndarray | None:
    """Magnitudes of the multipliers, from how perturbations grow along a path.

    None where others than the first may be 1.
    """
    n_chunks = len(path) // _AT_ONCE
    _, slopes = system.activity(path[: n_chunks * _AT_ONCE])
    jac = system.equation.linearised(system.jacobian(slopes), "map")
    jac = jac.reshape(n_chunks, _AT_ONCE, *jac.shape[1:])
    product = jac[:, 0]
    for k in range(1, _AT_ONCE):
        product = jac[:, k] @ product
    n_leading = min(_N_SIZES, system.n_dims) if system.n_dims > 30 else system.n_dims
    axes = np.random.default_rng(0).standard_normal((system.n_dims, n_leading))
    frame = np.linalg.qr(axes)[0]
    growth = np.empty((n_chunks, n_leading))
    for k in range(n_chunks):
        frame, stretch = np.linalg.qr(product[k] @ frame)
        growth[k] = np.log(np.maximum(np.abs(np.diagonal(stretch)), 1e-300))
    first = n_chunks // 4  # in which the frame turns into place
    rate = bump(n_chunks - first) @ growth[first:] / _AT_ONCE
    sizes = np.sort(np.exp(rate * period))[::-1]
    if (sizes[1:] > 1 - _RESOLVED).any():
        return None
    return sizes.astype(complex)
