"""Roots and slow points of the reduced dynamics, from many starts at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["Ends", "descend_all", "merge", "random_starts"]

# points nearer to each other than this share of the size of the states are one
MERGE = 1e-6
_MAX_SLOW = 32  # slow points looked for in one search
_MAX_IDLE = 6  # steps in a row that lower the speed by less than a hundredth


class Ends(NamedTuple):
    """What descents from many starts ended in, in reduced coordinates.

    Attributes
    ----------
    roots : array of shape (n_roots, n_dims)
        Distinct points with a residual within the tolerance.
    slow : array of shape (n_slow, n_dims)
        Distinct local minima of the speed that are no roots.
    n_unconverged : int
        Starts that ended in neither.
    """

    roots: np.ndarray
    slow: np.ndarray
    n_unconverged: int


def random_starts(
    system: ReducedDynamics, n_starts: int, rng: np.random.RandomState
) -> np.ndarray:
    """Starting points (n_starts, n_dims), in the range of `F` where the roots are.

    Every root is a value of `F`. Half of the points are `F` at random points of
    all sizes, which reach the edge of its range; half shrink those towards its centre.
    """
    directions = rng.standard_normal((n_starts, system.n_dims))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sizes = system.natural_size * 10 ** rng.uniform(-1.5, 1.5, (n_starts, 1))
    starts = system.drive(sizes * directions)
    starts[1::2] *= rng.uniform(0, 1, (len(starts[1::2]), 1))
    return starts


def descend_all(
    system: ReducedDynamics,
    starts: np.ndarray,
    tol: float,
    scale: float,
    max_iter: int = 100,
) -> Ends:
    """Roots of `G(kappa) = F(kappa) - kappa` by Levenberg-Marquardt steps.

    A step is Newton's, damped where it would not lower `|G|`. The damping shrinks with
    the residual, so that convergence to a root is quadratic [1]_, also to one that is
    not isolated. `|G|` is the speed `tau |dr/dt|` within the invariant subspace.

    Parameters
    ----------
    system : ReducedDynamics of one network
    starts : array of shape (n_starts, n_dims)
    tol : float
        Largest residual of a root, as a share of `scale`.
    scale : float
        Size of the states.
    max_iter : int, default=100
        Steps from each start.

    References
    ----------
    .. [1] Yamashita and Fukushima, "On the rate of convergence of the
       Levenberg-Marquardt method", Computing Supplementum 15 (2001).
    """
    kappa, speed = _descend(system, starts, tol * scale, scale, max_iter)
    reached = speed <= tol * scale
    roots = merge(_polish(system, merge(kappa[reached], scale)), scale)
    slow, n_slow = _slow_points(system, kappa[~reached], tol, scale)
    return Ends(roots, slow, int((~reached).sum()) - n_slow)


def merge(points: np.ndarray, scale: float, tol: float = MERGE) -> np.ndarray:
    """The first of each group of points nearer to each other than `tol * scale`."""
    kept: list[np.ndarray] = []
    rest = points
    while len(rest):
        kept.append(rest[0])
        rest = rest[np.linalg.norm(rest - rest[0], axis=1) > tol * scale]
    return np.array(kept).reshape(-1, points.shape[1])


def _evaluate(
    system: ReducedDynamics, kappa: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`G`, its derivative and its norm."""
    activity, slopes = system.activity(kappa)
    jac = system.jacobian(slopes)
    diagonal = np.arange(system.n_dims)
    jac[:, diagonal, diagonal] -= 1
    G = activity @ system.B - kappa
    return G, jac, np.sqrt((G**2).sum(axis=1))


def _descend(
    system: ReducedDynamics,
    starts: np.ndarray,
    tol: float,
    scale: float,
    max_iter: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Where damped Newton steps lead from each start, and the speed there."""
    ends = starts.copy()
    end_speeds = np.empty(len(starts))
    active = np.arange(len(starts))
    kappa = starts
    G, jac, speed = _evaluate(system, kappa)
    damping = np.full(len(starts), 1e-2)
    idle = np.zeros(len(starts), dtype=int)
    eye = np.eye(system.n_dims)
    for _ in range(max_iter):
        done = (speed <= tol) | (idle > _MAX_IDLE) | ~np.isfinite(speed)
        if done.any():
            ends[active[done]], end_speeds[active[done]] = kappa[done], speed[done]
            go = ~done
            active, kappa, G, jac = active[go], kappa[go], G[go], jac[go]
            speed, damping, idle = speed[go], damping[go], idle[go]
            if not len(active):
                return ends, end_speeds
        transposed = np.swapaxes(jac, 1, 2)
        level = (damping * np.minimum(speed / scale, 1.0))[:, None, None]
        steps = np.linalg.solve(
            transposed @ jac + (level + 1e-300) * eye, transposed @ G[..., None]
        )[..., 0]
        trial = kappa - steps
        G_new, jac_new, speed_new = _evaluate(system, trial)
        better = speed_new < speed
        idle = np.where(speed_new < 0.99 * speed, 0, idle + 1)
        damping = np.where(better, 0.2 * damping, 8 * damping)
        some = better[:, None]
        kappa = np.where(some, trial, kappa)
        G = np.where(some, G_new, G)
        jac = np.where(some[..., None], jac_new, jac)
        speed = np.where(better, speed_new, speed)
    ends[active], end_speeds[active] = kappa, speed
    return ends, end_speeds


def _polish(system: ReducedDynamics, roots: np.ndarray) -> np.ndarray:
    """A few Newton steps more, down to rounding, keeping the best of each."""
    if not len(roots):
        return roots
    kappa = roots
    best, best_speed = kappa, np.full(len(kappa), np.inf)
    for _ in range(4):
        G, jac, speed = _evaluate(system, kappa)
        better = speed < best_speed
        best = np.where(better[:, None], kappa, best)
        best_speed = np.where(better, speed, best_speed)
        steps = np.linalg.pinv(jac, rcond=1e-9) @ G[..., None]
        kappa = best - np.where(better[:, None], steps[..., 0], 0.0)
    return best


def _slow_points(
    system: ReducedDynamics, ends: np.ndarray, tol: float, scale: float
) -> tuple[np.ndarray, int]:
    """Distinct local minima of the speed near the ends of descents that stalled.

    Returns them, and how many of the descents ended near one of them.
    """
    ends = ends[np.isfinite(ends).all(axis=1)]

    def energy(kappa: np.ndarray) -> tuple[float, np.ndarray]:
        G, jac, _ = _evaluate(system, kappa[None] * scale)
        return float(G[0] @ G[0]) / scale**2, 2 * G[0] @ jac[0] / scale

    slow: list[np.ndarray] = []
    n_explained = 0
    groups = sorted(_groups(ends, 0.02 * scale), key=len, reverse=True)
    for group in groups[:_MAX_SLOW]:
        fit = minimize(energy, group[0] / scale, jac=True, options={"gtol": 1e-9})
        gradient = np.linalg.norm(fit.jac)
        if fit.fun > tol**2 and gradient <= 1e-6 * np.sqrt(fit.fun):
            slow.append(scale * fit.x)
            n_explained += len(group)
    return merge(np.array(slow).reshape(-1, system.n_dims), scale, 1e-3), n_explained


def _groups(points: np.ndarray, radius: float) -> list[np.ndarray]:
    """Points in groups that lie within a radius of the group's first."""
    groups = []
    while len(points):
        near = np.linalg.norm(points - points[0], axis=1) <= radius
        groups.append(points[near])
        points = points[~near]
    return groups
