"""Transfer functions and their derivatives, for numpy arrays and torch tensors."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["NONLINEARITIES", "Array", "Nonlinearity", "get_nonlinearity"]

Array = TypeVar("Array", np.ndarray, "torch.Tensor")


class Value(Protocol):
    """`phi(x)`, elementwise, by the functions of `xp`."""

    def __call__(self, xp: ModuleType, x: Array, /) -> Array: ...


class Slope(Protocol):
    """`phi'(x)`, elementwise, given `y = phi(x)`."""

    def __call__(self, xp: ModuleType, x: Array, y: Array, /) -> Array: ...


class Nonlinearity(NamedTuple):
    """A transfer function `phi` and what is known of it.

    Attributes
    ----------
    value : callable
        ``value(xp, x)`` returns `phi(x)`, elementwise; `xp` is ``numpy`` (or, within
        the estimators, ``torch``).
    slope : callable
        ``slope(xp, x, y)`` returns `phi'(x)` given `y = phi(x)`, so that nothing
        transcendental is computed twice.
    bound : float or None, default=None
        The supremum of `|phi|`. Without it there is no index test of fixed points and
        no proof that none is missing. None also stands for an unbounded `phi`.
    curvature_bound : float or None, default=None
        The supremum of `|phi''|`. Without it there are no certificates.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.special import expit
    >>> from sklearn_jedi import LowRankRNN, Nonlinearity
    >>> logistic = Nonlinearity(
    ...     value=lambda xp, x: expit(x),
    ...     slope=lambda xp, x, y: y * (1 - y),
    ...     bound=1.0,
    ...     curvature_bound=1 / (6 * np.sqrt(3)),
    ... )
    >>> rnn = LowRankRNN(np.ones((4, 1)), np.ones((4, 1)), nonlinearity=logistic)
    >>> rnn.phi(np.zeros(4))
    array([0.5, 0.5, 0.5, 0.5])
    """

    value: Value
    slope: Slope
    bound: float | None = None
    curvature_bound: float | None = None


# functions of the module, not lambdas, so that networks can be pickled
def _tanh(xp: ModuleType, x: Array) -> Array:
    y: Array = xp.tanh(x)
    return y


def _tanh_slope(xp: ModuleType, x: Array, y: Array) -> Array:
    slope: Array = 1 - y * y
    return slope


def _relu(xp: ModuleType, x: Array) -> Array:
    y: Array = 0.5 * (x + abs(x))
    return y


def _relu_slope(xp: ModuleType, x: Array, y: Array) -> Array:
    slope: Array = 1.0 * (x > 0)
    return slope


def _softplus(xp: ModuleType, x: Array) -> Array:
    # max(x, 0) + log(1 + exp(-|x|)) does not overflow
    y: Array = 0.5 * (x + abs(x)) + xp.log1p(xp.exp(-abs(x)))
    return y


def _softplus_slope(xp: ModuleType, x: Array, y: Array) -> Array:
    slope: Array = 1 - xp.exp(-y)
    return slope


def _linear(xp: ModuleType, x: Array) -> Array:
    return x


def _linear_slope(xp: ModuleType, x: Array, y: Array) -> Array:
    slope: Array = xp.ones_like(x)
    return slope


NONLINEARITIES: dict[str, Nonlinearity] = {
    "tanh": Nonlinearity(_tanh, _tanh_slope, 1.0, 4 / (3 * np.sqrt(3))),
    "relu": Nonlinearity(_relu, _relu_slope),
    "softplus": Nonlinearity(_softplus, _softplus_slope, None, 0.25),
    "linear": Nonlinearity(_linear, _linear_slope, None, 0.0),
}


def get_nonlinearity(name: str) -> Nonlinearity:
    """Look a transfer function up by its name.

    Raises
    ------
    ValueError
        If there is no transfer function of that name.
    """
    if not isinstance(name, str) or name not in NONLINEARITIES:
        raise ValueError(
            f"nonlinearity must be one of {sorted(NONLINEARITIES)}; got {name!r}. "
            "LowRankRNN also takes a Nonlinearity of your own"
        )
    return NONLINEARITIES[name]
