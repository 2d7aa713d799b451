"""Roots and slow points of the reduced dynamics, from many starts at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["Ends", "descend_all", "merge", "random_starts"]

# points nearer to each other than this share of the size of the states are one
MERGE = 1e-6
_MAX_SLOW = 32  # slow points looked for in one search
_MAX_SETTLING = 30  # Newton steps towards a slow point
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
    # numpy sums pairwise along the last axis, exact to a few roundings; matrix products
    # are off by up to a rounding per neuron
    weights = np.ascontiguousarray(system.B.T)
    for _ in range(4):
        activity, slopes = system.activity(kappa)
        G = (activity[:, None] * weights).sum(-1) - kappa
        speed = np.linalg.norm(G, axis=1)
        better = speed < best_speed
        if not better.any():
            break
        best = np.where(better[:, None], kappa, best)
        best_speed = np.where(better, speed, best_speed)
        jac = system.jacobian(slopes) - np.eye(system.n_dims)
        steps = np.linalg.pinv(jac, rcond=1e-9) @ G[..., None]
        kappa = best - steps[..., 0]
    return best


def _slow_points(
    system: ReducedDynamics, ends: np.ndarray, tol: float, scale: float
) -> tuple[np.ndarray, int]:
    """Distinct local minima of the speed near the ends of descents that stalled.

    Returns them, and how many of the descents ended near one of them.
    """
    ends = ends[np.isfinite(ends).all(axis=1)]
    groups = sorted(_groups(ends, 0.02 * scale), key=len, reverse=True)
    cost = 2 * system.A.size * system.n_dims**2  # of a Hessian, by differences
    groups = groups[: min(_MAX_SLOW, max(4, int(1e9 / cost)))]
    if not groups:
        return np.empty((0, system.n_dims)), 0
    points, is_minimum = _settle(system, np.array([g[0] for g in groups]), scale)
    speed = _evaluate(system, points)[2]
    slow = is_minimum & (speed > tol * scale)
    sizes = np.array([len(group) for group in groups])
    return merge(points[slow], scale, 1e-3), int(sizes[slow].sum())


def _settle(
    system: ReducedDynamics, points: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Local minima of `|G|^2 / 2` by Newton steps, and which points reached one.

    The Hessian is that of central differences of the gradient `G'^T G`; where it is not
    positive definite it is shifted until it is.
    """
    n_points, n_dims = points.shape
    eye = np.eye(n_dims)
    nudges = 1e-5 * scale * np.concatenate([np.zeros((1, n_dims)), eye, -eye])
    for _ in range(_MAX_SETTLING):
        G, jac, speed = _evaluate(
            system, (points[:, None] + nudges).reshape(-1, n_dims)
        )
        gradients = (np.swapaxes(jac, 1, 2) @ G[..., None])[..., 0]
        gradients = gradients.reshape(n_points, -1, n_dims)
        forward, backward = gradients[:, 1 : n_dims + 1], gradients[:, n_dims + 1 :]
        hessian = (forward - backward) / (2e-5 * scale)
        lowest = np.linalg.eigvalsh((hessian + np.swapaxes(hessian, 1, 2)) / 2)[:, 0]
        shift = np.maximum(1e-3 - lowest, 0) * (lowest < 1e-6)
        gradient = gradients[:, 0]
        steps = np.linalg.solve(
            hessian + shift[:, None, None] * eye, gradient[..., None]
        )
        steps = steps[..., 0]
        length = np.linalg.norm(steps, axis=1, keepdims=True)
        small = (
            np.linalg.norm(gradient, axis=1) <= 1e-6 * speed.reshape(n_points, -1)[:, 0]
        )
        if small.all():
            break
        points = points - steps * np.minimum(
            1, 0.05 * scale / np.maximum(length, 1e-300)
        )
    return points, small & (lowest > 0)


def _groups(points: np.ndarray, radius: float) -> list[np.ndarray]:
    """Points in groups that lie within a radius of the group's first."""
    groups = []
    while len(points):
        near = np.linalg.norm(points - points[0], axis=1) <= radius
        groups.append(points[near])
        points = points[~near]
    return groups
