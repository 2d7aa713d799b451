"""The equation that every network here obeys, for numpy arrays and torch tensors alike.

Whoever wants other dynamics (another leak, another step) changes this file: free runs,
regressions, the smoother, training, networks and analyzers all ask it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple, Self

import numpy as np

from sklearn_jedi._networks._nonlinearities import Array, Nonlinearity, get_nonlinearity

__all__ = ["Equation", "library_of"]


class Equation(NamedTuple):
    r"""Rates that relax towards a drive, integrated by Euler steps.

    .. math::

       \tau \dot x = -x + y, \qquad
       x_{t+1} = (1 - \alpha) x_t + \alpha y_t, \qquad \alpha = dt / \tau.

    The drive `y` is affine in the activity of the units, `phi(x) = f(gain x) / gain`,
    which alone is nonlinear. A step is linear in `x` and `y`: `step` also takes their
    derivatives, and those of the states of a run follow from it.

    Where a method takes `time`, it answers for one step of the map ("map") or for the
    flow, in 1/s ("flow").

    Attributes
    ----------
    tau, dt : float
        Time constant and time step in seconds.
    transfer : Nonlinearity
        `f`.
    gain : float or array of shape (n_units,)
        Slope inside `f`, in 1 / units of the states.
    """

    tau: float
    dt: float
    transfer: Nonlinearity
    gain: float | np.ndarray = 1.0

    @classmethod
    def of(
        cls,
        tau: float,
        dt: float,
        nonlinearity: str | Nonlinearity,
        gain: float | np.ndarray = 1.0,
    ) -> Self:
        """The equation with a transfer function that may be given by its name."""
        if not isinstance(nonlinearity, Nonlinearity):
            nonlinearity = get_nonlinearity(nonlinearity)
        return cls(tau, dt, nonlinearity, gain)

    # ---------------------------------------------------------------- states in time

    @property
    def alpha(self) -> float:
        """`dt / tau`."""
        return self.dt / self.tau

    @property
    def kept(self) -> float:
        """Share of a state that is left after one step without a drive."""
        return 1 - self.alpha

    def step(self, x: Array | float, drive: Array) -> Array:
        """The next states; or the derivative of it, from those of `x` and the drive."""
        after: Array = self.kept * x + self.alpha * drive
        return after

    def drive(self, before: Array, after: Array) -> Array:
        """The drive that takes states to others in one step, the inverse of `step`."""
        drive: Array = (after - self.kept * before) / self.alpha
        return drive

    def velocity(self, x: Array | float, drive: Array) -> Array:
        """Time derivative of the flow, per second; or the derivative of it."""
        velocity: Array = (drive - x) / self.tau
        return velocity

    def decay(self, n_steps: int) -> np.ndarray:
        """Share (n_steps,) of a first state that is left after 1, 2, ... steps."""
        left: np.ndarray = self.kept ** np.arange(1, n_steps + 1)
        return left

    # ------------------------------------------------------------------ linearised

    def linearised(self, jacobian: np.ndarray, time: str) -> np.ndarray:
        """Jacobians (..., n, n) of the map or of the flow, from those of the drive."""
        eye = np.eye(jacobian.shape[-1])
        if time == "map":
            return self.step(eye, jacobian)
        return self.velocity(eye, jacobian)

    def eigenvalues(self, of_drive: np.ndarray, time: str) -> np.ndarray:
        """Eigenvalues of `linearised`, from those of the Jacobian of the drive."""
        return (
            self.step(1.0, of_drive) if time == "map" else self.velocity(1.0, of_drive)
        )

    def drive_eigenvalues(self, values: np.ndarray, time: str) -> np.ndarray:
        """Eigenvalues of the Jacobian of the drive, the inverse of `eigenvalues`."""
        of_drive: np.ndarray
        if time == "map":
            of_drive = 1 + (self.tau / self.dt) * (values - 1)
        else:
            of_drive = 1 + self.tau * values
        return of_drive

    def modes(self, of_drive: np.ndarray, time: str) -> tuple[np.ndarray, np.ndarray]:
        """Growth rates (1/s) and frequencies (Hz), from eigenvalues as `eigenvalues`.

        A rate is minus infinity where one step of the map extinguishes a mode.
        """
        values = self.eigenvalues(of_drive, time)
        if time == "flow":
            return values.real, values.imag / (2 * np.pi)
        with np.errstate(divide="ignore"):
            rates: np.ndarray = np.log(np.abs(values)) / self.dt
        return rates, np.angle(values) / (2 * np.pi * self.dt)

    # --------------------------------------------------------- activity of the units

    def activity(self, x: Array) -> tuple[Array, Callable[[], Array]]:
        """`f(gain x)`, and a function that returns `f'(gain x)`.

        `phi` is the first divided by the gain; its slope is the second.
        """
        xp = library_of(x)
        gain: Any = self.gain
        argument: Array = gain * x
        value = self.transfer.value(xp, argument)
        return value, lambda: self.transfer.slope(xp, argument, value)

    def phi(self, x: Array) -> Array:
        """Activity of the units, in the units of the states."""
        gain: Any = self.gain
        phi: Array = self.transfer.value(library_of(x), gain * x) / gain
        return phi


def library_of(array: object) -> ModuleType:
    """numpy, or torch for a tensor."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    import torch

    return torch
