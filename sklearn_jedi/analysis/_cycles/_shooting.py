"""Periodic orbits of the flow, integrated to rounding and closed by Newton's method."""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from sklearn_jedi.analysis._cycles._orbit import Orbit, along_first, evenly
from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["periodic_orbit"]

_MAX_ITER = 8
_MAX_TURNS = 40  # where perturbations are followed in some directions only
_ALL_DIRECTIONS = 30  # dimensions up to which they are followed in all
_N_LEADING = 10
_CLOSED = 1e-9  # distance between start and end, as a share of the size of the orbit
_ACCEPTED = 1e-7
_NEARLY = 0.3  # likewise, of the first turn
_CHAOTIC = 100.0  # multipliers of orbits that no trajectory would have stayed near
_RESOLVED = 1e-6  # multipliers this near to 1 may be 1
_RTOL, _RTOL_VARIED = 1e-11, 1e-8  # of the state, and of perturbations of it
_SMOOTH = 1e-8  # share of the amplitude in the highest harmonics of the points


def periodic_orbit(
    system: ReducedDynamics, start: np.ndarray, period: float, size: float
) -> Orbit | None:
    """The periodic orbit near a state; None where none is found.

    Shooting [1]_: the state after a period, and what becomes of perturbations of the
    start, come from an integration of high order; Newton's method moves the start,
    across the orbit, and the period until the orbit closes. In many dimensions it does
    so in the leading directions alone; in all others the orbit attracts.

    Parameters
    ----------
    system : ReducedDynamics of one network
    start : array of shape (n_dims,)
    period : float
        In steps of `dt`, as in the result.
    size : float
        Of the orbit.

    References
    ----------
    .. [1] Lust, Roose, Spence and Champneys, "An adaptive Newton-Picard algorithm with
       subspace iteration for computing periodic solutions", SIAM Journal on Scientific
       Computing 19 (1998).
    """
    dt, n_dims = system.equation.dt, system.n_dims
    all_ = n_dims <= _ALL_DIRECTIONS
    n_directions = n_dims if all_ else _N_LEADING
    axes = np.random.default_rng(0).standard_normal((n_dims, n_directions))
    frame = np.eye(n_dims) if all_ else np.linalg.qr(axes)[0]
    state, time = start, period * dt
    best = None
    for _ in range(_MAX_ITER if all_ else _MAX_TURNS):
        end, grown = _one_turn(system, state, frame, time, size)
        miss = float(np.linalg.norm(end - state))
        if not miss < (_NEARLY * size if best is None else best[0]):
            break
        best = (miss, state, time, np.linalg.eigvals(frame.T @ grown))
        if miss < _CLOSED * size or np.abs(best[3]).max() > _CHAOTIC:
            break
        velocity = system.velocity(end[None])[0]
        matrix = np.zeros((n_dims + 1, n_dims + 1))
        matrix[:-1, :-1] = np.eye(n_dims) - grown @ frame.T
        matrix[:-1, -1] = -velocity
        matrix[-1, :-1] = velocity
        try:
            change = np.linalg.solve(matrix, np.append(end - state, 0.0))
        except np.linalg.LinAlgError:
            break
        state, time = state + change[:-1], time + change[-1]
        if not 0.5 < time / (period * dt) < 2:
            break
        if not all_:
            frame = np.linalg.qr(grown)[0]
    if best is None or not best[0] < _ACCEPTED * size:
        return None
    miss, state, time, multipliers = best
    multipliers = along_first(multipliers.astype(complex))
    if (np.abs(np.abs(multipliers[1:]) - 1) < _RESOLVED).any():
        return None
    points = _points(system, state, time, size)
    return Orbit(time / dt, points, multipliers, miss)


def _one_turn(
    system: ReducedDynamics,
    state: np.ndarray,
    frame: np.ndarray,
    time: float,
    size: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The state after a time, and what becomes of small perturbations of it."""
    n_dims, n_directions = frame.shape

    def motion(t: float, y: np.ndarray) -> np.ndarray:
        kappa, varied = y[None, :n_dims], y[n_dims:].reshape(n_dims, n_directions)
        activity, slopes = system.activity(kappa)
        velocity = system.equation.velocity(kappa, activity @ system.B)[0]
        jac = system.equation.linearised(system.jacobian(slopes), "flow")[0]
        return np.concatenate([velocity, (jac @ varied).ravel()])

    y = np.concatenate([state, frame.ravel()])
    rtol = np.repeat([_RTOL, _RTOL_VARIED], [n_dims, frame.size])
    atol = 0.1 * rtol * np.repeat([size, 1.0], [n_dims, frame.size])
    run = solve_ivp(motion, (0, time), y, "DOP853", [time], rtol=rtol, atol=atol)
    if not run.success:
        return np.full(n_dims, np.nan), np.full(frame.shape, np.nan)
    end = run.y[:, -1]
    return end[:n_dims], end[n_dims:].reshape(frame.shape)


def _points(
    system: ReducedDynamics, state: np.ndarray, time: float, size: float
) -> np.ndarray:
    """Points of the orbit, evenly spaced in time."""
    run = solve_ivp(
        lambda t, y: system.velocity(y[None])[0],
        (0, time),
        state,
        "DOP853",
        dense_output=True,
        rtol=_RTOL,
        atol=0.1 * _RTOL * size,
    )
    return evenly(lambda phases: run.sol(time * phases).T, _SMOOTH)
