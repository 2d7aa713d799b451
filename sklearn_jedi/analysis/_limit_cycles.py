"""Limit cycles: closed invariant curves of the map, or periodic orbits of the flow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi.analysis._cycles._harmonics import smooth_circle
from sklearn_jedi.analysis._cycles._orbit import size_of
from sklearn_jedi.analysis._cycles._returns import mean_period, returns, sections
from sklearn_jedi.analysis._cycles._samples import sampled_circle
from sklearn_jedi.analysis._cycles._shooting import periodic_orbit
from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["LimitCycle", "closed_curve", "find_cycle"]

# errors of returns by interpolation, as shares of the size of the path
_EXACT = {"map": 1e-4, "flow": 1e-8}
_STEADY = 0.03  # how far the returns of a path that is settled may move, likewise
_FITTED, _AT_LEAST = 10, 400  # periods of a trajectory that are fitted; steps


class LimitCycle(NamedTuple):
    """A periodic attractor, or repeller, of a network.

    Attributes
    ----------
    period : float
        In seconds.
    states : array of shape (n_points, n_neurons)
        Points along the cycle, evenly spaced in time, in rates (or latents).
    multipliers : complex array of shape (n_dims,)
        Floquet multipliers: how perturbations grow within one period. The first is
        the one along the cycle, 1; the others by magnitude, the largest first. Only
        their magnitudes are known of cycles of the map that are not smooth; then, and
        in the flow, of networks of more than 30 dimensions only the ten largest.
    is_stable : bool
        Whether all multipliers but the first are smaller than 1 in magnitude.
    residual : float
        By how much one step misses the curve, as a share of its size (with
        ``time="flow"``: by how much the orbit misses its start after a period).
    """

    period: float
    states: np.ndarray
    multipliers: np.ndarray
    is_stable: bool
    residual: float


def find_cycle(
    system: ReducedDynamics, path: np.ndarray, time: str
) -> LimitCycle | None:
    """The cycle that a settled trajectory follows, or None.

    A cycle of the map is an invariant circle: a curve that a step moves along itself,
    while its period need not be a whole number of steps. It is solved for where it is
    smooth, and sampled where it has corners, as relaxation oscillations have. A cycle
    of the flow is a periodic orbit. None is what cannot be told from a focus that
    decays, or grows, very slowly.

    Parameters
    ----------
    system : ReducedDynamics of one network
    path : array of shape (n_timepoints, n_dims)
        A trajectory, without its transient.
    time : {"map", "flow"}
    """
    size = size_of(path)
    for section in sections(path, _EXACT[time]):
        if time == "flow":
            orbit = periodic_orbit(system, path[-1], section.period, size)
        else:
            last = path[-max(int(_FITTED * section.period), _AT_LEAST) :]
            times, places = returns(last, section)
            if len(times) < 3:
                continue
            orbit = smooth_circle(system, last, mean_period(times))
            if orbit is None and np.ptp(places, axis=0).max() < _STEADY * size:
                orbit = sampled_circle(system, path[-1], section)
        # not a fixed point, nor another curve than the one that was followed
        if orbit is not None and 0.5 < size_of(orbit.points) / size < 2:
            return LimitCycle(
                float(orbit.period * system.equation.dt),
                system.lift(orbit.points),
                orbit.multipliers,
                bool((np.abs(orbit.multipliers[1:]) < 1).all()),
                float(orbit.residual / size),
            )
    return None


def closed_curve(points: np.ndarray, n_points: int = 200) -> np.ndarray:
    """The smooth closed curve through points evenly spaced in phase, first = last."""
    n_points = max(len(points), n_points)
    coefficients = np.fft.rfft(points, axis=0)
    curve = np.fft.irfft(coefficients, n=n_points, axis=0) * (n_points / len(points))
    return np.concatenate([curve, curve[:1]])
