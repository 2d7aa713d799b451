"""Smooth invariant circles of the map: trigonometric polynomials, solved for."""

from __future__ import annotations

import numpy as np

from sklearn_jedi.analysis._cycles._orbit import Orbit, along_first, size_of, tail
from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["smooth_circle"]

_MAX_UNKNOWNS = 360
_N_HARMONICS = (8, 16, 32, 64)  # until the curve is resolved
_MAX_ITER = 12
_MAX_SAMPLES = 768  # of a trajectory, in a fit
_NEARLY = 1e-2  # tail of a fit, above which Newton's method is not tried
_SMALL = 1e-6  # tail and residual of the solution, as shares of its size
_RESOLVED = 1e-6  # multipliers this near to 1 may be 1


def smooth_circle(
    system: ReducedDynamics, path: np.ndarray, period: float
) -> Orbit | None:
    r"""The invariant circle that a trajectory follows; None where it is not smooth.

    It is a curve `gamma(theta)`, a trigonometric polynomial in the phase, that one step
    turns by an angle `omega` [1]_,

    .. math:: f(\gamma(\theta)) = \gamma(\theta + \omega),

    so that the period `2 pi / omega` need not be a whole number of steps. Newton's
    method on the values of gamma at evenly spaced phases, and on omega, starts from the
    trajectory. A perturbation `v(theta)` of the curve is turned into `f'(gamma) v`; the
    multipliers are those of the eigenfunctions of that operator.

    References
    ----------
    .. [1] Haro, Canadell, Figueras, Luque and Mondelo, "The parameterization method
       for invariant manifolds" (2016), chapter 3.
    """
    omega = 2 * np.pi / period
    for n_harmonics in _N_HARMONICS:
        if (2 * n_harmonics + 1) * system.n_dims > _MAX_UNKNOWNS:
            return None
        gamma = _fit_curve(path, omega, n_harmonics)
        if not tail(gamma) < _NEARLY:
            continue
        gamma, rate, residual = _solve(system, gamma, omega)
        if residual < _SMALL * size_of(gamma) and tail(gamma) < _SMALL and rate > 0:
            multipliers = _multipliers(system, gamma, rate)
            if (np.abs(np.abs(multipliers[1:]) - 1) < _RESOLVED).any():
                return None
            return Orbit(2 * np.pi / rate, gamma, multipliers, residual)
    return None


def _fit_curve(path: np.ndarray, omega: float, n_harmonics: int) -> np.ndarray:
    """Values (2 n + 1, n_dims) of the trigonometric polynomial nearest to a path."""
    n_harmonics = min(n_harmonics, max(1, len(path) // 4))
    waves = np.arange(-n_harmonics, n_harmonics + 1)
    n_chosen = min(len(path), _MAX_SAMPLES)
    steps = np.linspace(0, len(path) - 1, n_chosen).round().astype(int)
    basis = np.exp(1j * omega * np.outer(steps, waves))
    gram = basis.conj().T @ basis
    gram += 1e-8 * n_chosen * np.eye(len(waves))
    coefficients = np.linalg.solve(gram, basis.conj().T @ path[steps])
    phases = 2 * np.pi * np.arange(len(waves)) / len(waves)
    curve: np.ndarray = (np.exp(1j * np.outer(phases, waves)) @ coefficients).real
    return curve


def _turn(n: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The matrix (n, n) that turns values at n phases, n odd; and its derivative."""
    waves = np.fft.fftfreq(n, 1 / n)
    symbol = np.exp(1j * waves * rate)
    to = np.fft.fft(np.eye(n), axis=0)
    turn, by_rate = (
        np.fft.ifft(s[:, None] * to, axis=0).real for s in (symbol, 1j * waves * symbol)
    )
    return turn, by_rate


def _step(system: ReducedDynamics, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The next points, and the Jacobians of the step."""
    activity, slopes = system.activity(gamma)
    jac = system.equation.linearised(system.jacobian(slopes), "map")
    return system.equation.step(gamma, activity @ system.B), jac


def _solve(
    system: ReducedDynamics, gamma: np.ndarray, rate: float
) -> tuple[np.ndarray, float, float]:
    """Newton's method for the curve and its rate; the phase of gamma is held.

    Returns the best curve, its rate and its residual.
    """
    n, n_dims = gamma.shape
    rows = np.arange(n)
    _, derive = _turn(n, 0.0)
    best = (gamma, rate, np.inf)
    for _ in range(_MAX_ITER):
        turn, by_rate = _turn(n, rate)
        target, jac = _step(system, gamma)
        error = turn @ gamma - target
        residual = float(np.sqrt((error**2).sum(axis=1)).max())
        if not residual < best[2]:
            break
        best = (gamma, rate, residual)
        matrix = np.zeros((n * n_dims + 1, n * n_dims + 1))
        blocks = matrix[:-1, :-1].reshape(n, n_dims, n, n_dims)
        for k in range(n_dims):
            blocks[:, k, :, k] += turn
        blocks[rows, :, rows, :] -= jac
        matrix[:-1, -1] = (by_rate @ gamma).ravel()
        matrix[-1, :-1] = (derive @ gamma).ravel()
        try:
            change = np.linalg.solve(matrix, np.append(-error.ravel(), 0.0))
        except np.linalg.LinAlgError:
            break
        gamma = gamma + change[:-1].reshape(n, n_dims)
        rate = rate + change[-1]
    return best


def _multipliers(system: ReducedDynamics, gamma: np.ndarray, rate: float) -> np.ndarray:
    """Floquet multipliers from the eigenfunctions of the linearised dynamics.

    Every multiplier comes with a family of eigenfunctions that differ by a factor
    `exp(i m theta)`; the smoothest represents it.
    """
    n, n_dims = gamma.shape
    _, jac = _step(system, gamma)
    turn, _ = _turn(n, rate)
    # v(theta + omega) mu = f' v
    back = np.einsum("jk,kde->jdke", turn.T, jac).reshape(n * n_dims, n * n_dims)
    values, vectors = np.linalg.eig(back)
    exponents = np.log(values) / rate
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
    return along_first(np.exp(2 * np.pi * exponents[chosen]))
