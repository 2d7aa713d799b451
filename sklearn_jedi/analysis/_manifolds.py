"""Lines, rings and surfaces of nearly fixed points (continuous attractors)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = [
    "SPACING",
    "Manifold",
    "distance_to_curve",
    "gather_surface",
    "is_near",
    "trace_manifolds",
]

SPACING = 0.02  # of the points along a curve, as a share of the size of the states
_MAX_POINTS = 2000
_SHORTEST = 0.5  # length of a curve, as a share of the size of the states
_EXACT = 1e-9  # drift within tau of fixed points, as a share of the same
_HALVINGS = 5  # of the last step, towards the end of a curve


class Manifold(NamedTuple):
    """A curve or surface of states at which a network hardly moves.

    Attributes
    ----------
    kind : {"line", "ring", "surface"}
        A ring is closed; a surface has two dimensions or more.
    states : array of shape (n_points, n_neurons)
        Points of it, in rates (or latents); in order along a line or ring.
    drift_speed : array of shape (n_points,)
        `|dr/dt|` there, in rate units per second.
    length : float
        Of the line or ring, in rate units; NaN for a surface.
    is_attracting : bool
        Whether all other directions decay, at every point.
    """

    kind: str
    states: np.ndarray
    drift_speed: np.ndarray
    length: float
    is_attracting: bool


def trace_manifolds(
    system: ReducedDynamics, seeds: np.ndarray, scale: float, slow: float
) -> tuple[list[Manifold], list[np.ndarray]]:
    """Follow curves of slow points through fixed or slow points of one network.

    A curve starts at a seed where one direction is slow: a real eigenvalue of
    `F' - I` (rates in units of 1/tau) within `2 slow`, and at most a third of the
    others. It goes on where the speed has no component but along its slow direction,
    for as long as that holds and the speed is below `slow * scale / tau`.

    Parameters
    ----------
    system : ReducedDynamics of one network
    seeds : array of shape (n_seeds, n_dims)
    scale : float
        Size of the states.
    slow : float
        Drift within tau, as a share of the scale, that counts as slow.

    Returns
    -------
    manifolds : list of Manifold
    curves : list of arrays of shape (n_points, n_dims)
        Their points in reduced coordinates.
    """
    manifolds: list[Manifold] = []
    curves: list[np.ndarray] = []
    for seed in seeds[_has_slow_direction(system, seeds, slow)]:
        if any(distance_to_curve(seed, c) < 2 * SPACING * scale for c in curves):
            continue
        curve, is_ring = _trace(system, seed, scale, slow)
        steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
        length = float(steps.sum())
        if length < _SHORTEST * scale and not _is_exact(system, curve, scale):
            continue
        manifolds.append(
            _describe(system, curve, "ring" if is_ring else "line", length)
        )
        curves.append(curve)
    return manifolds, curves


def _is_exact(system: ReducedDynamics, curve: np.ndarray, scale: float) -> bool:
    """Whether a curve consists of fixed points, however short it may be."""
    drift = np.linalg.norm(system.drive(curve) - curve, axis=1)
    return len(curve) > 2 and bool(drift.max() <= _EXACT * scale)


def gather_surface(
    system: ReducedDynamics, points: np.ndarray, slow: float
) -> tuple[Manifold | None, np.ndarray]:
    """Points (n_points, n_dims) that lie on a continuum of more than one dimension.

    Returns it, or None where there are not at least three such points, and which of
    the points belong to it. Its points are in no order, and it has no length.
    """
    if len(points) < 3 or system.n_dims < 2:
        return None, np.zeros(len(points), dtype=bool)
    _, slopes = system.activity(points)
    rates = np.linalg.eigvals(system.jacobian(slopes)) - 1
    n_flat = (np.abs(rates) < 1e-2 * slow).sum(axis=1)
    flat = n_flat > 1
    if flat.sum() < 3:
        return None, np.zeros(len(points), dtype=bool)
    n_slow = round(np.median(n_flat[flat]))
    return _describe(system, points[flat], "surface", np.nan, n_slow), flat


def _describe(
    system: ReducedDynamics,
    points: np.ndarray,
    kind: str,
    length: float,
    n_slow: int = 1,
) -> Manifold:
    activity, slopes = system.activity(points)
    speed = np.linalg.norm(
        system.equation.velocity(points, activity @ system.B), axis=1
    )
    rates = np.linalg.eigvals(system.jacobian(slopes)) - 1
    order = np.abs(rates).argsort(axis=1)
    across = np.take_along_axis(rates.real, order, axis=1)[:, n_slow:]
    return Manifold(kind, system.lift(points), speed, length, bool((across < 0).all()))


def distance_to_curve(point: np.ndarray, curve: np.ndarray) -> float:
    """From a point to the nearest segment between neighbouring points of a curve."""
    start, along = curve[:-1], np.diff(curve, axis=0)
    share = ((point - start) * along).sum(axis=1) / np.maximum(
        (along**2).sum(axis=1), 1e-300
    )
    nearest = start + np.clip(share, 0, 1)[:, None] * along
    return float(np.linalg.norm(point - nearest, axis=1).min())


def is_near(points: np.ndarray, curve: np.ndarray, distance: float) -> np.ndarray:
    """Which points (n_points, n_dims) lie within a distance of a curve."""
    return np.array([distance_to_curve(p, curve) < distance for p in points], bool)


def _trace(
    system: ReducedDynamics, seed: np.ndarray, scale: float, slow: float
) -> tuple[np.ndarray, bool]:
    """Points (n_points, n_dims) of the slow curve through a seed, and if it closes."""
    ahead, is_ring = _follow(system, seed, scale, slow, 1.0)
    if is_ring:
        return np.array([*ahead, seed]), True
    behind, _ = _follow(system, seed, scale, slow, -1.0)
    return np.array([*behind[:0:-1], *ahead]), False


def _follow(
    system: ReducedDynamics,
    seed: np.ndarray,
    scale: float,
    slow: float,
    direction: float,
) -> tuple[list[np.ndarray], bool]:
    spacing = SPACING * scale
    tangent = _slow_direction(system, seed, slow)
    points = [seed]
    if tangent is None:
        return points, False
    # a sign of its own for each direction of travel, the same in every run
    tangent = direction * np.sign(tangent[np.abs(tangent).argmax()]) * tangent
    halvings = 0
    while len(points) < _MAX_POINTS and halvings <= _HALVINGS:
        length = spacing / 2**halvings
        point = _correct(system, points[-1] + length * tangent, tangent, length)
        new = None if point is None else _slow_direction(system, point, slow)
        if point is None or new is None or _speed(system, point) > slow * scale:
            halvings += 1
            continue
        tangent = new * np.sign(new @ (point - points[-1]))
        points.append(point)
        if len(points) > 6 and np.linalg.norm(point - seed) < spacing:
            return points, True
    return points, False


def _speed(system: ReducedDynamics, point: np.ndarray) -> float:
    return float(np.linalg.norm(system.drive(point[None])[0] - point))


def _slow_direction(
    system: ReducedDynamics, point: np.ndarray, slow: float
) -> np.ndarray | None:
    """Unit eigenvector of the only slow eigenvalue, or None."""
    _, slopes = system.activity(point[None])
    rates, vectors = np.linalg.eig(system.jacobian(slopes)[0] - np.eye(system.n_dims))
    if not _is_slow(rates[None], slow)[0]:
        return None
    return vectors[:, np.abs(rates).argmin()].real


def _has_slow_direction(
    system: ReducedDynamics, points: np.ndarray, slow: float
) -> np.ndarray:
    """Which points (n_points, n_dims) have a direction that is slow, and only one."""
    _, slopes = system.activity(points)
    return _is_slow(np.linalg.eigvals(system.jacobian(slopes)) - 1, slow)


def _is_slow(rates: np.ndarray, slow: float) -> np.ndarray:
    """Whether one of the rates (n_points, n_dims) is real, small, and far the least."""
    order = np.abs(rates).argsort(axis=1)
    ordered = np.take_along_axis(rates, order, axis=1)
    least = np.abs(ordered[:, 0])
    is_slow: np.ndarray = (least <= 2 * slow) & (ordered[:, 0].imag == 0)
    if rates.shape[1] > 1:
        is_slow &= np.abs(ordered[:, 1]) >= 3 * least
    return is_slow


def _correct(
    system: ReducedDynamics, point: np.ndarray, tangent: np.ndarray, spacing: float
) -> np.ndarray | None:
    """The nearby point, across the tangent, where the speed is along the tangent."""
    across = np.linalg.svd(tangent[None])[2][1:].T  # an orthonormal basis
    start = point
    if not across.shape[1]:
        return point
    for _ in range(10):
        activity, slopes = system.activity(point[None])
        G = (activity @ system.B)[0] - point
        jac = across.T @ (system.jacobian(slopes)[0] @ across - across)
        move = across @ np.linalg.lstsq(jac, across.T @ G, rcond=None)[0]
        point = point - move
        if np.linalg.norm(point - start) > spacing:
            return None
        if np.linalg.norm(move) < 1e-9 * spacing:
            return point
    return None
