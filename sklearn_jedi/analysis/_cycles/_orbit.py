"""What the methods that pin a cycle down have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["MAX_POINTS", "Orbit", "along_first", "evenly", "size_of", "tail"]

MAX_POINTS = 1025  # of a curve


class Orbit(NamedTuple):
    """A closed curve in reduced coordinates, and how it is passed along.

    Attributes
    ----------
    period : float
        In steps of `dt`.
    points : array of shape (n_points, n_dims)
        Evenly spaced in time.
    multipliers : complex array
        As of `LimitCycle`.
    residual : float
        In units of the points.
    """

    period: float
    points: np.ndarray
    multipliers: np.ndarray
    residual: float


def size_of(points: np.ndarray) -> float:
    """Root mean square distance (n_points, n_dims) from the mean."""
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()))


def tail(points: np.ndarray) -> float:
    """Share of the amplitude in the highest quarter of the harmonics."""
    size = np.abs(np.fft.rfft(points, axis=0)).sum(axis=1)
    return float(size[-max(1, len(size) // 4) :].sum() / size[1:].sum())


def evenly(curve: Callable[[np.ndarray], np.ndarray], smooth: float) -> np.ndarray:
    """Evenly spaced points (n_points, n_dims), as many as the sharpest corner asks for.

    Parameters
    ----------
    curve : callable
        Takes phases (n_points,) from 0 to 1; returns the points there.
    smooth : float
        Share of the amplitude that may be in the highest quarter of the harmonics.
    """
    n = 65
    while True:
        points = curve(np.arange(n) / n)
        if n >= MAX_POINTS or tail(points) < smooth:
            return points
        n = 2 * n - 1


def along_first(multipliers: np.ndarray) -> np.ndarray:
    """The multiplier along the cycle, 1, then the others, the largest first."""
    along = int(np.abs(multipliers - 1).argmin())
    rest = np.delete(multipliers, along)
    order = np.abs(rest).argsort()[::-1]
    return np.concatenate([multipliers[[along]], rest[order]])
