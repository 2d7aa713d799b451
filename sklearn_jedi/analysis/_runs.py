"""Many states run forward at once, by steps of the map or of the flow."""

from __future__ import annotations

import numpy as np

from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["run"]

_FINE = 0.1  # longest step of the flow, in tau


def run(
    system: ReducedDynamics, kappa: np.ndarray, n_steps: int, time: str = "map"
) -> np.ndarray:
    """States (n_steps, n_states, n_dims) after each `dt`."""
    path = np.empty((n_steps, *kappa.shape))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(n_steps):
            kappa = system.step(kappa) if time == "map" else _flow(system, kappa)
            path[t] = kappa
    return path


def _flow(system: ReducedDynamics, kappa: np.ndarray) -> np.ndarray:
    """A `dt` later, by the classical fourth-order Runge-Kutta rule."""
    n_between = int(np.ceil(system.equation.alpha / _FINE - 1e-9))
    h = system.equation.dt / n_between
    for _ in range(n_between):
        k1 = system.velocity(kappa)
        k2 = system.velocity(kappa + h / 2 * k1)
        k3 = system.velocity(kappa + h / 2 * k2)
        k4 = system.velocity(kappa + h * k3)
        kappa = kappa + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return kappa
