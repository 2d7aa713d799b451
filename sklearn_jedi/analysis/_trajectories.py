"""Where trajectories settle: at known points and curves, on a cycle, or nowhere."""

from __future__ import annotations

import numpy as np

from sklearn_jedi.analysis._limit_cycles import LimitCycle, closed_curve, find_cycle
from sklearn_jedi.analysis._manifolds import distance_to_curve
from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["find_cycles"]

_BLOCK = 100  # steps between looks at which trajectories have settled
_TRANSIENT = 50.0  # time constants before a trajectory is recorded
_RECORDED = (150.0, 600.0)  # time constants of it that are recorded; then, if need be
_MAX_STEPS = 20_000
_MAX_RECORDED = 4  # trajectories
_REST = 1e-6  # drift within tau, as a share of the size of the states
_NEAR = 0.02  # share of the size of the states


def find_cycles(
    system: ReducedDynamics,
    starts: np.ndarray,
    stable: np.ndarray,
    curves: list[np.ndarray],
    scale: float,
    time: str,
) -> tuple[list[LimitCycle], np.ndarray, int]:
    """Limit cycles on which trajectories from the starts end.

    Parameters
    ----------
    system : ReducedDynamics of one network
    starts : array of shape (n_starts, n_dims)
    stable : array of shape (n_points, n_dims)
        Stable fixed points.
    curves : list of arrays of shape (n_points, n_dims)
        Continuous attractors.
    scale : float
        Size of the states.
    time : {"map", "flow"}

    Returns
    -------
    cycles : list of LimitCycle
    resting : array of shape (n_resting, n_dims)
        Where trajectories came to rest, other than at the known points and curves.
    n_unsettled : int
        Trajectories (of at most four looked at) that reached neither a point, a curve
        nor a cycle: chaotic, diverging, or with a period of more than about 600 tau.
    """

    def settled(kappa: np.ndarray) -> bool:
        near = np.linalg.norm(stable - kappa, axis=1) < _NEAR * scale
        return bool(near.any()) or any(
            distance_to_curve(kappa, curve) < _NEAR * scale for curve in curves
        )

    kappa = starts
    resting = np.empty((0, system.n_dims))
    alpha = system.equation.alpha
    for _ in range(0, min(round(_TRANSIENT / alpha), _MAX_STEPS), _BLOCK):
        kappa = _run(system, kappa, _BLOCK, time)[-1]
        kappa = kappa[[not settled(state) for state in kappa]]
        at_rest = np.linalg.norm(system.drive(kappa) - kappa, axis=1) < _REST * scale
        resting = np.concatenate([resting, kappa[at_rest]])
        kappa = kappa[~at_rest]
        if not len(kappa):
            return [], resting, 0
    cycles: list[LimitCycle] = []
    closed: list[np.ndarray] = []
    kappa = kappa[:_MAX_RECORDED]
    for duration in _RECORDED:
        n_steps = min(round(duration / alpha), _MAX_STEPS)
        paths = np.swapaxes(_run(system, kappa, n_steps, time), 0, 1)
        unexplained = []
        for k, path in enumerate(paths):
            if not np.isfinite(path).all() or np.abs(path[-1]).max() > 1e6 * scale:
                unexplained.append(k)
            elif _approaches(path, stable) or any(
                distance_to_curve(path[-1], curve) < _NEAR * scale for curve in closed
            ):
                continue
            elif (cycle := find_cycle(system, path, time)) is not None:
                cycles.append(cycle)
                closed.append(closed_curve(system.project(cycle.states)))
            else:
                unexplained.append(k)
        kappa = np.nan_to_num(paths[unexplained, -1])
        if not unexplained:
            break
    return cycles, resting, len(unexplained)


def _approaches(path: np.ndarray, stable: np.ndarray) -> bool:
    """Whether a slow trajectory is on its way to a stable point."""
    if not len(stable):
        return False
    end = np.linalg.norm(stable - path[-1], axis=1)
    nearest = stable[end.argmin()]
    quarter = len(path) // 4
    early = np.linalg.norm(path[:quarter] - nearest, axis=1).max()
    late = np.linalg.norm(path[-quarter:] - nearest, axis=1).max()
    return bool(late < 0.9 * early)


def _run(
    system: ReducedDynamics, kappa: np.ndarray, n_steps: int, time: str
) -> np.ndarray:
    """States (n_steps, n_states, n_dims) after each step of the map, or of the flow.

    A step of the flow is one of the classical fourth-order Runge-Kutta rule.
    """
    path = np.empty((n_steps, *kappa.shape))
    h = system.equation.dt
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(n_steps):
            if time == "map":
                kappa = system.step(kappa)
            else:
                k1 = system.velocity(kappa)
                k2 = system.velocity(kappa + h / 2 * k1)
                k3 = system.velocity(kappa + h / 2 * k2)
                k4 = system.velocity(kappa + h * k3)
                kappa = kappa + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            path[t] = kappa
    return path
