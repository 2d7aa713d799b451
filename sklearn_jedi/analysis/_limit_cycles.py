"""Limit cycles: closed invariant curves of the map, or periodic orbits of the flow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import expm
from scipy.optimize import minimize_scalar

from sklearn_jedi.analysis._exponents import lyapunov_exponents
from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["LimitCycle", "closed_curve", "find_cycle"]

_MAX_HARMONICS = 128
_MAX_UNKNOWNS = 1200  # of the curve, beyond which it is fitted and not solved for
_N_SIZES = 10  # multipliers of a cycle that is fitted
_FITTED_TOL = 1e-3  # residual of a curve that is only fitted


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
        the one along the cycle, 1; the others by magnitude, the largest first. Of
        networks of more than about 30 dimensions only the ten largest magnitudes.
    is_stable : bool
        Whether all multipliers but the first are smaller than 1 in magnitude.
    residual : float
        By how much one step misses the curve, as a share of its size (with
        ``time="flow"``: by how much the velocities differ).
    """

    period: float
    states: np.ndarray
    multipliers: np.ndarray
    is_stable: bool
    residual: float


def find_cycle(
    system: ReducedDynamics, path: np.ndarray, time: str, tol: float = 1e-6
) -> LimitCycle | None:
    r"""The cycle that a settled trajectory follows, or None.

    The cycle is a curve `gamma(theta)`, a trigonometric polynomial in the phase, that
    one step of the map turns by an angle `omega` [1]_,

    .. math:: f(\gamma(\theta)) = \gamma(\theta + \omega),

    so that the period `2 pi dt / omega` need not be a whole number of steps; for the
    flow, `omega gamma'(theta) = dkappa/dt`. Newton's method on the values of gamma at
    evenly spaced phases, and on omega, starts from the trajectory. A perturbation
    `v(theta)` of the curve is turned into `f'(gamma) v`; the multipliers are those of
    the eigenfunctions of that operator.

    Parameters
    ----------
    system : ReducedDynamics of one network
    path : array of shape (n_timepoints, n_dims)
        A trajectory, without its transient.
    time : {"map", "flow"}
    tol : float, default=1e-6
        Largest residual of a curve that is solved for; one that is only fitted to the
        trajectory (of dense networks) may have 1e-3.

    References
    ----------
    .. [1] Haro, Canadell, Figueras, Luque and Mondelo, "The parameterization method
       for invariant manifolds" (2016), chapter 3.
    """
    omega = _turn_per_step(path)
    if omega is None:
        return None
    dt = system.equation.dt
    unit = dt if time == "map" else 1.0  # seconds in the unit of time
    size = np.sqrt(((path - path.mean(axis=0)) ** 2).sum(axis=1).mean())
    n_harmonics = 8
    while n_harmonics <= _MAX_HARMONICS:
        small = (2 * n_harmonics + 1) * system.n_dims <= _MAX_UNKNOWNS
        if not small:
            omega = _refine_turn(path, omega, n_harmonics)
        gamma = _fit_curve(path, omega, n_harmonics)
        solved = _solve(
            system, gamma, omega * unit / dt, time, max_iter=12 if small else 1
        )
        if solved is not None:
            gamma, rate, residual = solved
            radius = np.sqrt(((gamma - gamma.mean(axis=0)) ** 2).sum(axis=1).mean())
            tail = _tail(gamma)
            # not a fixed point, nor another curve than the one that was followed
            limit = tol if small else _FITTED_TOL
            if residual < limit * size and tail < limit and 0.5 < radius / size < 2:
                multipliers = (_multipliers if small else _multiplier_sizes)(
                    system, gamma, rate, time
                )
                return LimitCycle(
                    float(2 * np.pi * unit / rate),
                    system.lift(gamma),
                    multipliers,
                    bool((np.abs(multipliers[1:]) < 1).all()),
                    float(residual / size),
                )
        n_harmonics *= 2
    return None


def closed_curve(points: np.ndarray, n_points: int = 200) -> np.ndarray:
    """The smooth closed curve through points evenly spaced in phase, first = last."""
    n_points = max(len(points), n_points)
    coefficients = np.fft.rfft(points, axis=0)
    curve = np.fft.irfft(coefficients, n=n_points, axis=0) * (n_points / len(points))
    return np.concatenate([curve, curve[:1]])


def _turn_per_step(path: np.ndarray) -> float | None:
    """Angle per step of the return of a trajectory to its start, or None."""
    size = np.sqrt(((path - path.mean(axis=0)) ** 2).sum(axis=1).mean())
    distance = np.linalg.norm(path - path[0], axis=1)
    step = np.linalg.norm(np.diff(path, axis=0), axis=1).max()
    away = np.flatnonzero(distance > max(0.5 * size, 2 * step))
    if not len(away):
        return None
    later = distance[away[0] :]
    near = np.flatnonzero(later < max(0.05 * size, 1.5 * step))
    if not len(near):
        return None
    # the nearest approach within the first return, between samples by a parabola
    last = near[0]
    while last + 1 < len(later) and later[last + 1] < later[last]:
        last += 1
    first = int(away[0] + last)
    period = _refine(distance, first)
    # averaged over as many returns as the trajectory holds
    count = 1
    while (count + 1) * period + 2 < len(path):
        guess = round((count + 1) * period)
        window = distance[guess - 2 : guess + 3]
        if len(window) < 5:
            break
        if window.min() > max(0.1 * size, 2 * step):
            if count < 3:  # a chance encounter, and no cycle
                return None
            break
        count += 1
        period = _refine(distance, int(guess - 2 + window.argmin())) / count
    return 2 * np.pi / period


def _refine_turn(path: np.ndarray, omega: float, n_harmonics: int) -> float:
    """The angle per step near omega at which a curve fits a trajectory best."""
    waves = np.arange(-n_harmonics, n_harmonics + 1)
    spread = 2 * np.pi / len(path)
    steps = _chosen_steps(path)
    path = path[steps]

    def misfit(angle: float) -> float:
        Q, _ = np.linalg.qr(np.exp(1j * angle * np.outer(steps, waves)))
        return -float((np.abs(Q.conj().T @ path) ** 2).sum())

    bounds = (omega - 0.2 * spread, omega + 0.2 * spread)
    return float(minimize_scalar(misfit, bounds=bounds, options={"xatol": 1e-13}).x)


def _refine(distance: np.ndarray, k: int) -> float:
    """Where the squared distance has its minimum, near sample k."""
    if not 0 < k < len(distance) - 1:
        return float(k)
    a, b, c = distance[k - 1 : k + 2] ** 2
    curve = a - 2 * b + c
    return k + (0.5 * (a - c) / curve if curve > 0 else 0.0)


def _chosen_steps(path: np.ndarray) -> np.ndarray:
    """Steps of a long trajectory, enough of them for a fit, evenly spread."""
    n_chosen = min(len(path), 6 * _MAX_HARMONICS)
    return np.linspace(0, len(path) - 1, n_chosen).round().astype(int)


def _fit_curve(path: np.ndarray, omega: float, n_harmonics: int) -> np.ndarray:
    """Values (2 n + 1, n_dims) of the trigonometric polynomial nearest to a path."""
    n_harmonics = min(n_harmonics, max(1, len(path) // 4))
    waves = np.arange(-n_harmonics, n_harmonics + 1)
    steps = _chosen_steps(path)
    path = path[steps]
    basis = np.exp(1j * omega * np.outer(steps, waves))
    gram = basis.conj().T @ basis
    gram += 1e-8 * len(path) * np.eye(len(waves))
    coefficients = np.linalg.solve(gram, basis.conj().T @ path)
    return (np.exp(1j * np.outer(_phases(len(waves)), waves)) @ coefficients).real


def _phases(n: int) -> np.ndarray:
    return 2 * np.pi * np.arange(n) / n


def _advance(n: int, rate: float, time: str) -> tuple[np.ndarray, np.ndarray]:
    """The matrix (n, n) that turns by `rate` (or derives in time), and its derivative.

    Acts on values at n evenly spaced phases, n odd.
    """
    waves = np.fft.fftfreq(n, 1 / n)
    symbol = np.exp(1j * waves * rate) if time == "map" else 1j * waves * rate
    derivative = 1j * waves * (symbol if time == "map" else 1.0)
    to = np.fft.fft(np.eye(n), axis=0)
    matrices = [np.fft.ifft(s[:, None] * to, axis=0).real for s in (symbol, derivative)]
    return matrices[0], matrices[1]


def _velocity(
    system: ReducedDynamics, gamma: np.ndarray, time: str
) -> tuple[np.ndarray, np.ndarray]:
    """The next points of the map, or the velocities of the flow; and the Jacobians."""
    activity, slopes = system.activity(gamma)
    drive, equation = activity @ system.B, system.equation
    jac = equation.linearised(system.jacobian(slopes), time)
    move = equation.step if time == "map" else equation.velocity
    return move(gamma, drive), jac


def _solve(
    system: ReducedDynamics, gamma: np.ndarray, rate: float, time: str, max_iter: int
) -> tuple[np.ndarray, float, float] | None:
    """Newton's method for the curve and its rate; the phase of gamma is held.

    Returns the best curve, its rate and its residual; the given ones if max_iter is 1.
    """
    n, n_dims = gamma.shape
    derive, _ = _advance(n, 1.0, "flow")
    best = (gamma, rate, np.inf)
    for k in range(max_iter):
        advance, by_rate = _advance(n, rate, time)
        target, jac = _velocity(system, gamma, time)
        error = advance @ gamma - target
        residual = float(np.sqrt((error**2).sum(axis=1)).max())
        if not residual < best[2]:
            break
        best = (gamma, rate, residual)
        if k == max_iter - 1:
            break
        tangent = derive @ gamma
        system_matrix = np.zeros((n * n_dims + 1, n * n_dims + 1))
        blocks = system_matrix[:-1, :-1].reshape(n, n_dims, n, n_dims)
        for k in range(n_dims):
            blocks[:, k, :, k] += advance
        rows = np.arange(n)
        blocks[rows, :, rows, :] -= jac
        system_matrix[:-1, -1] = (by_rate @ gamma).ravel()
        system_matrix[-1, :-1] = tangent.ravel()
        right = np.append(-error.ravel(), 0.0)
        try:
            change = np.linalg.solve(system_matrix, right)
        except np.linalg.LinAlgError:
            break
        gamma = gamma + change[:-1].reshape(n, n_dims)
        rate = rate + change[-1]
    return best if best[1] > 0 else None


def _tail(gamma: np.ndarray) -> float:
    """Share of the amplitude in the highest quarter of the harmonics."""
    size = np.abs(np.fft.rfft(gamma, axis=0)).sum(axis=1)
    return float(size[-max(1, len(size) // 4) :].sum() / size[1:].sum())


def _multipliers(
    system: ReducedDynamics, gamma: np.ndarray, rate: float, time: str
) -> np.ndarray:
    """Floquet multipliers from the eigenfunctions of the linearised dynamics.

    Every multiplier comes with a family of eigenfunctions that differ by a factor
    `exp(i m theta)`; the smoothest represents it.
    """
    n, n_dims = gamma.shape
    _, jac = _velocity(system, gamma, time)
    advance, _ = _advance(n, rate, time)
    local = np.zeros((n, n_dims, n, n_dims))
    rows = np.arange(n)
    local[rows, :, rows, :] = jac
    flat = local.reshape(n * n_dims, n * n_dims)
    shift = np.kron(advance, np.eye(n_dims))
    if time == "map":  # v(theta + omega) mu = f' v
        values, vectors = np.linalg.eig(np.linalg.solve(shift, flat))
        exponents = np.log(values) / rate
    else:  # f' v - omega v' = sigma v
        values, vectors = np.linalg.eig(flat - shift)
        exponents = values / rate
    power = np.abs(np.fft.fft(vectors.reshape(n, n_dims, -1), axis=0)) ** 2
    waves = np.abs(np.fft.fftfreq(n, 1 / n))
    roughness = np.einsum("k,kde->e", waves**2, power) / power.sum(axis=(0, 1))
    # members of a family are collinear at every phase: one of each, the smoothest first
    frame = vectors.reshape(n, n_dims, -1)[0]
    basis = np.zeros((n_dims, 0), dtype=complex)
    chosen: list[int] = []
    for k in roughness.argsort():
        new = frame[:, k] / np.linalg.norm(frame[:, k])
        new = new - basis @ (basis.conj().T @ new)
        if np.linalg.norm(new) > 1e-5:
            chosen.append(k)
            basis = np.column_stack([basis, new / np.linalg.norm(new)])
        if len(chosen) == n_dims:
            break
    found = np.exp(2 * np.pi * exponents[chosen])
    along = np.abs(found - 1).argmin()
    rest = np.delete(found, along)
    return np.concatenate([found[[along]], rest[np.abs(rest).argsort()[::-1]]])


def _multiplier_sizes(
    system: ReducedDynamics, gamma: np.ndarray, rate: float, time: str
) -> np.ndarray:
    """Magnitudes of the multipliers, from mean growth along the curve."""
    n = len(gamma)
    waves = np.fft.fftfreq(n, 1 / n)
    coefficients = np.fft.fft(gamma, axis=0) / n
    dt = system.equation.dt
    # turns of an irrational share of the cycle visit all of it evenly
    turn = rate if time == "map" else rate * dt
    period = 2 * np.pi / turn
    phase = 0.0

    def step(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal phase
        kappa = (np.exp(1j * waves * phase) @ coefficients).real[None]
        _, jac = _velocity(system, kappa, time)
        phase += turn
        return states, jac if time == "map" else expm(dt * jac)

    n_steps = int(np.ceil(50 * period))
    n_leading = min(_N_SIZES, gamma.shape[1])
    blocks, _ = lyapunov_exponents(
        step, gamma[:1], n_steps, 1.0, n_exponents=n_leading, n_blocks=2
    )
    sizes: np.ndarray = np.exp(blocks.mean(axis=(0, 1)) * period)
    return sizes.astype(complex)
