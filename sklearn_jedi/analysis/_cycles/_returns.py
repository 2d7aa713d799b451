"""When a trajectory returns to where it was, to a fraction of a step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi.analysis._cycles._orbit import size_of

__all__ = ["Section", "bump", "mean_period", "returns", "sections"]

_MAX_CROSSINGS = 64  # of the section, within one period
_SAME = 0.05  # distance between returns to one place, as a share of the size
_MIN_PERIODS = 2


class Section(NamedTuple):
    """A plane that a rhythmic trajectory crosses, always in one direction.

    Attributes
    ----------
    point, normal : arrays of shape (n_dims,)
    n_crossings : int
        How often a period crosses it.
    period : float
        In steps, nearly.
    """

    point: np.ndarray
    normal: np.ndarray
    n_crossings: int
    period: float


def sections(path: np.ndarray, exact: float) -> list[Section]:
    """Sections where a path (n_timepoints, n_dims) returns, the most likely first.

    The plane stands across the path where that is smoothest from step to step, so that
    times between the steps are known best. After a period, all crossings come back to
    their places. Few crossings that do so nearly are tried before more that do so much
    better, as after a doubling of the period; distances up to `exact`, a share of the
    size of the path, count as none.
    """
    size = size_of(path)
    along = path[2:] - path[:-2]
    speed = np.linalg.norm(along, axis=1)
    if not size > 1e-9 * np.abs(path).max() or not speed.max() > 0:
        return []
    bend = np.linalg.norm(path[2:] - 2 * path[1:-1] + path[:-2], axis=1)
    bend[speed < 0.5 * np.median(speed)] = np.inf
    k = int((bend / np.maximum(speed, 1e-300)).argmin())
    point, normal = path[k + 1], along[k] / speed[k]
    times, places = _crossings(path, point, normal)
    found: list[Section] = []
    best = _SAME
    for m in range(1, min(_MAX_CROSSINGS, (len(times) - 1) // _MIN_PERIODS) + 1):
        moved = np.linalg.norm(places[m:] - places[:-m], axis=1)
        apart = max(moved[-2 * m :].max() / size, exact)
        if apart < best:
            best = 0.1 * apart
            n = (len(times) - 1) // m
            period = (times[-1] - times[-1 - n * m]) / n
            found.append(Section(point, normal, m, float(period)))
    return found


def returns(path: np.ndarray, section: Section) -> tuple[np.ndarray, np.ndarray]:
    """Times, in steps, and places at which a path returns to that of the section."""
    times, places = _crossings(path, section.point, section.normal)
    m = section.n_crossings
    if not len(times):
        return times, places
    first = int(np.linalg.norm(places[:m] - section.point, axis=1).argmin())
    return times[first::m], places[first::m]


def mean_period(times: np.ndarray) -> float:
    """Mean time between returns; the error falls faster than any power of their number.

    Of a quasi-periodic sequence that is smooth in its phase: a weighted Birkhoff
    average [1]_.

    References
    ----------
    .. [1] Das, Sander, Saiki and Yorke, "Quantitative quasiperiodicity", Nonlinearity
       30 (2017).
    """
    return float(bump(len(times) - 1) @ np.diff(times))


def bump(n: int) -> np.ndarray:
    """Weights (n,) that sum to 1 and vanish smoothly at both ends."""
    t = np.arange(1, n + 1) / (n + 1)
    weights = np.exp(-1 / (t * (1 - t)))
    normed: np.ndarray = weights / weights.sum()
    return normed


def _crossings(
    path: np.ndarray, point: np.ndarray, normal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Times and places where a path crosses a plane, by cubic interpolation."""
    height = (path - point) @ normal
    k = 1 + np.flatnonzero((height[1:-2] < 0) & (height[2:-1] >= 0))
    around = k[:, None] + np.arange(-1, 3)
    nodes = height[around]
    rise = nodes[:, 2] - nodes[:, 1]
    share = -nodes[:, 1] / rise
    for _ in range(10):
        value = (_weights(share) * nodes).sum(axis=1)
        share = np.clip(share - value / rise, 0.0, 1.0)
    return k + share, np.einsum("kj,kjd->kd", _weights(share), path[around])


def _weights(s: np.ndarray) -> np.ndarray:
    """Of values at -1, 0, 1 and 2, in the cubic through them, at s between 0 and 1."""
    a, b, c = s + 1, s - 1, s - 2
    return np.stack([-s * b * c / 6, a * b * c / 2, -a * s * c / 2, a * s * b / 6], 1)
