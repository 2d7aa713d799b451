"""Roots and slow points of the reduced dynamics, from many starts at once."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["MERGE", "descend", "evaluate", "merge", "nearest", "polish", "slow_points"]

# points nearer to each other than this share of the size of the states are one
MERGE = 1e-6
_MAX_SLOW = 32  # slow points looked for in one search
_MAX_SETTLING = 30  # Newton steps towards a slow point
_MAX_IDLE = 6  # steps in a row that lower the speed by less than a hundredth
_ROUNDING = 2 * np.finfo(float).eps  # share of a root that its residual may be
_MAX_POLISHING = 4  # Newton steps down to rounding


def descend(
    system: ReducedDynamics,
    starts: np.ndarray,
    tol: float,
    scale: float,
    max_iter: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Where Levenberg-Marquardt steps on `G(kappa) = F(kappa) - kappa` lead.

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

    Returns
    -------
    ends : array of shape (n_starts, n_dims)
    is_root : bool array of shape (n_starts,)
        Whether the residual there is within the tolerance.

    References
    ----------
    .. [1] Yamashita and Fukushima, "On the rate of convergence of the
       Levenberg-Marquardt method", Computing Supplementum 15 (2001).
    """
    tol = tol * scale
    ends, speeds = starts.copy(), np.empty(len(starts))
    active, kappa = np.arange(len(starts)), starts.copy()
    G, jac, speed = evaluate(system, kappa)
    damping, idle = np.full(len(starts), 1e-2), np.zeros(len(starts), dtype=int)
    for _ in range(max_iter):
        done = (speed <= tol) | (idle > _MAX_IDLE)
        n_done = np.count_nonzero(done)
        if 2 * n_done >= len(done):  # those that are done go on until half of them are
            ends[active], speeds[active] = kappa, speed
            go = ~done
            active, kappa, G, jac = active[go], kappa[go], G[go], jac[go]
            speed, damping, idle = speed[go], damping[go], idle[go]
            if not len(active):
                break
        steps = _damped(jac, G, damping * np.minimum(speed / scale, 1.0))
        trial = kappa - steps
        G_new, jac_new, speed_new = evaluate(system, trial)
        better = speed_new < speed
        idle += 1
        idle[speed_new < 0.99 * speed] = 0
        damping *= np.where(better, 0.2, 8.0)
        for old, new in ((kappa, trial), (G, G_new), (speed, speed_new)):
            np.copyto(old, new, where=better if old.ndim == 1 else better[:, None])
        np.copyto(jac, jac_new, where=better[:, None, None])
    ends[active], speeds[active] = kappa, speed
    return ends, speeds <= tol


def merge(points: np.ndarray, scale: float, tol: float = MERGE) -> np.ndarray:
    """The first of each group of points nearer to each other than `tol * scale`."""
    kept: list[np.ndarray] = []
    rest = points
    while len(rest):
        kept.append(rest[0])
        rest = rest[np.linalg.norm(rest - rest[0], axis=1) > tol * scale]
    return np.array(kept).reshape(-1, points.shape[1])


def nearest(points: np.ndarray, roots: np.ndarray, scale: float) -> np.ndarray:
    """Number of the root that each point is; -1 for points that are none of them."""
    if not len(roots) or not len(points):
        return np.full(len(points), -1)
    away = cdist(points, roots)
    which: np.ndarray = away.argmin(axis=1)
    which[away[np.arange(len(points)), which] > MERGE * scale] = -1
    return which


def polish(system: ReducedDynamics, roots: np.ndarray) -> np.ndarray:
    """A few Newton steps more, down to rounding, keeping the best of each."""
    if not len(roots):
        return roots
    kappa = roots
    best, best_speed = kappa, np.full(len(kappa), np.inf)
    # numpy sums pairwise along the last axis, exact to a few roundings; matrix products
    # are off by up to a rounding per neuron
    weights = np.ascontiguousarray(system.B.T)
    for _ in range(_MAX_POLISHING):
        activity, slopes = system.activity(kappa)
        G = (activity[:, None] * weights).sum(-1) - kappa
        speed = np.linalg.norm(G, axis=1)
        better = speed < best_speed
        if not better.any():
            break
        best = np.where(better[:, None], kappa, best)
        best_speed = np.where(better, speed, best_speed)
        if (best_speed <= _ROUNDING * np.linalg.norm(best, axis=1)).all():
            break
        jac = system.jacobian(slopes) - np.eye(system.n_dims)
        steps = np.linalg.pinv(jac, rcond=1e-9) @ G[..., None]
        kappa = best - steps[..., 0]
    return best


def _damped(jac: np.ndarray, G: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Steps (n_points, n_dims) that minimise `|G - jac step|^2 + level |step|^2`."""
    transposed = np.swapaxes(jac, 1, 2)
    gram = transposed @ jac
    diagonal = np.einsum("nkk->nk", gram)
    # a level that rounding would lose leaves a singular matrix singular
    least = 1e-15 * diagonal.sum(axis=1) + 1e-300
    diagonal += np.maximum(level, least)[:, None]
    steps: np.ndarray = np.linalg.solve(gram, transposed @ G[..., None])[..., 0]
    return steps


def evaluate(
    system: ReducedDynamics, kappa: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`G`, its derivative and its norm."""
    activity, slopes = system.activity(kappa)
    jac = system.jacobian(slopes)
    diagonal = np.einsum("nkk->nk", jac)
    diagonal -= 1
    G = activity @ system.B
    G -= kappa
    return G, jac, np.sqrt(np.einsum("nk,nk->n", G, G))


def slow_points(
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
    speed = evaluate(system, points)[2]
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
        G, jac, speed = evaluate(system, (points[:, None] + nudges).reshape(-1, n_dims))
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
