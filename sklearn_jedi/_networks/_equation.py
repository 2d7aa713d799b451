"""The equation that every network here obeys, for numpy arrays and torch tensors alike.

Whoever wants other dynamics (another leak, another step) changes this file: free runs,
regressions, the smoother, training, networks and analyzers all ask it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sklearn_jedi._networks._nonlinearities import Nonlinearity, get_nonlinearity

__all__ = ["Equation", "library_of"]


class Equation(NamedTuple):
    r"""Rates that relax towards a drive, integrated by Euler steps.

    .. math::

       \tau \dot x = -x + y, \qquad
       x_{t+1} = (1 - \alpha) x_t + \alpha y_t, \qquad \alpha = dt / \tau.

    The drive `y` is affine in the activity of the units, `phi(x) = f(gain x) / gain`,
    which alone is nonlinear. A step is linear in `x` and `y`: `step` also takes their
    derivatives, and those of the states of a run follow from it.

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
    gain: Any = 1.0

    @classmethod
    def of(
        cls, tau: float, dt: float, nonlinearity: str | Nonlinearity, gain: Any = 1.0
    ) -> Equation:
        """The equation with a transfer function that may be given by its name."""
        if not isinstance(nonlinearity, Nonlinearity):
            nonlinearity = get_nonlinearity(nonlinearity)
        return cls(tau, dt, nonlinearity, gain)

    @property
    def alpha(self) -> float:
        """`dt / tau`."""
        return self.dt / self.tau

    @property
    def kept(self) -> float:
        """Share of a state that is left after one step without a drive."""
        return 1 - self.alpha

    def step(self, x: Any, drive: Any) -> Any:
        """The next states; or the derivative of it, from those of `x` and the drive."""
        return self.kept * x + self.alpha * drive

    def drive(self, before: Any, after: Any) -> Any:
        """The drive that takes states to others in one step, the inverse of `step`."""
        return (after - self.kept * before) / self.alpha

    def velocity(self, x: Any, drive: Any) -> Any:
        """Time derivative of the flow, per second; or the derivative of it."""
        return (drive - x) / self.tau

    def linearised(self, jacobian: np.ndarray, time: str) -> np.ndarray:
        """Jacobians (..., n, n) of the map, or of the flow (1/s), from the drive's."""
        eye = np.eye(jacobian.shape[-1])
        if time == "map":
            return self.step(eye, jacobian)
        return self.velocity(eye, jacobian)

    def decay(self, n_steps: int) -> np.ndarray:
        """Share (n_steps,) of a first state that is left after 1, 2, ... steps."""
        return self.kept ** np.arange(1, n_steps + 1)

    def activity(self, x: Any) -> tuple[Any, Callable[[], Any]]:
        """`f(gain x)`, and a function that returns `f'(gain x)`.

        `phi` is the first divided by the gain; its slope is the second.
        """
        xp, argument = library_of(x), self.gain * x
        value = self.transfer.value(xp, argument)
        return value, lambda: self.transfer.slope(xp, argument, value)

    def phi(self, x: Any) -> Any:
        """Activity of the units, in the units of the states."""
        return self.transfer.value(library_of(x), self.gain * x) / self.gain


def library_of(array: Any) -> Any:
    """numpy, or torch for a tensor."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch
