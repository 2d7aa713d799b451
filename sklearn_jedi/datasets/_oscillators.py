"""Sessions with different neurons, whose latent dynamics are of one family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, check_random_state

from sklearn_jedi._utils._checks import check_choice, check_integer, check_real
from sklearn_jedi._utils._types import RandomState

__all__ = ["make_oscillator_sessions"]

# log rates: standard deviation over neurons of the loadings' lengths
_LOG_RATE_LOADING = 0.5
_SUBSTEPS = 4


class _Family(NamedTuple):
    """A planar vector field with parameters, and where trials start.

    Attributes
    ----------
    names : tuple of str
    ranges : tuple of (low, high)
        Parameters are spread evenly (one) or drawn uniformly (several) within them.
    field : callable
        ``field(z, parameters)`` returns `dz/dt` in 1/s, for z of shape (n, 2).
    start : callable
        ``start(rng, n)`` draws first states.
    """

    names: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    field: Callable[[np.ndarray, np.ndarray], np.ndarray]
    start: Callable[[np.random.RandomState, int], np.ndarray]


def make_oscillator_sessions(
    n_sessions: int = 20,
    n_trials: int = 12,
    *,
    family: str = "limit_cycle",
    n_timepoints: int = 100,
    n_neurons: tuple[int, int] = (20, 59),
    noise: float = 0.5,
    process_noise: float = 0.01,
    mean_counts: Sequence[float] | None = None,
    parameters: ArrayLike | None = None,
    dt: float = 0.01,
    random_state: RandomState = None,
) -> Bunch:
    r"""Recordings of different neurons that share a family of latent dynamics.

    Every session has two latents that obey one equation with parameters of the
    session's own, as in the examples of [1]_ (rates here are in 1/s):

    - "limit_cycle": :math:`\dot\rho = 4 \rho (1 - \rho^2),\ \dot\theta = 2 \pi f`, with
      the frequency `f` from 1 to 4 Hz.
    - "hopf": :math:`\dot\rho = \rho (a - 4 \rho^2),\ \dot\theta = 2 \pi f`, with `a`
      from -2 to 4 (spirals that decay, limit cycles from 0 on) and `f` from 1 to 3 Hz.
    - "duffing": :math:`\dot x = s y,\ \dot y = s (a y - x (b + x^2))`, `s = 2 \pi`,
      with `a` from -0.3 to -0.05 and `b` from -1 (two wells) to 1.5 (one).

    Neurons observe `C z + d` with standard normal `C`: with Gaussian noise, or as
    Poisson counts of expectation `exp(C z / 2 + d)`.

    Parameters
    ----------
    n_sessions, n_trials : int, default=20, 12
        Sessions, and trials of each.
    family : {"limit_cycle", "hopf", "duffing"}, default="limit_cycle"
    n_timepoints : int, default=100
        Time points of a trial.
    n_neurons : (int, int), default=(20, 59)
        Least and largest number of neurons of a session.
    noise : float, default=0.5
        Standard deviation of the noise of recordings that are not counts.
    process_noise : float, default=0.01
        Standard deviation of the noise added to each latent at each step.
    mean_counts : (float, float), default=None
        Where given, recordings are spike counts: least and largest count per bin that a
        neuron is expected to have at `z = 0` (drawn log-uniformly).
    parameters : array-like of shape (n_sessions, n_parameters), default=None
        The parameters of each session. None: a single one evenly spread over its range,
        in random order; several drawn uniformly.
    dt : float, default=0.01
        Time step in seconds.
    random_state : int, RandomState instance or None, default=None
        Draws parameters, first states, neurons and noise.

    Returns
    -------
    Bunch
        `X`, list of arrays (n_timepoints, n_neurons of the session), session after
        session; `sessions` (n_sessions * n_trials,), the session of each trial;
        `expected`, as X, without observation noise; `latents`, list of arrays
        (n_timepoints, 2); `parameters` (n_sessions, n_parameters) and
        `parameter_names`; `loadings`, list of arrays (n_neurons, 3), `[C, d]` of each
        session (for counts of their logarithm); `dt`.

    References
    ----------
    .. [1] Vermani, Nassar, Jeon, Dowling and Park, "Meta-dynamical state space models
       for integrative neural data analysis", ICLR (2025), arXiv:2410.05454.

    Examples
    --------
    >>> from sklearn_jedi.datasets import make_oscillator_sessions
    >>> data = make_oscillator_sessions(3, 2, random_state=0)
    >>> len(data.X), data.sessions.tolist(), data.parameters.shape
    (6, [0, 0, 1, 1, 2, 2], (3, 1))
    """
    check_choice("family", family, tuple(_FAMILIES))
    check_integer("n_sessions", n_sessions, 1)
    check_integer("n_trials", n_trials, 1)
    check_integer("n_timepoints", n_timepoints, 1)
    check_real("noise", noise, positive=False)
    check_real("process_noise", process_noise, positive=False)
    check_real("dt", dt)
    _check_range("n_neurons", n_neurons, 1)
    if mean_counts is not None:
        _check_range("mean_counts", mean_counts, np.finfo(float).tiny)
    rng = check_random_state(random_state)
    kind = _FAMILIES[family]
    values = _parameters(kind, n_sessions, parameters, rng)
    latents: list[np.ndarray] = []
    expected: list[np.ndarray] = []
    X: list[np.ndarray] = []
    loadings = []
    for session in range(n_sessions):
        z = _simulate(
            kind, values[session], n_trials, n_timepoints, process_noise, dt, rng
        )
        n = rng.randint(n_neurons[0], n_neurons[1] + 1)
        C, d = rng.standard_normal((n, 2)), rng.standard_normal(n)
        if mean_counts is None:
            x = z @ C.T + d
            recorded = x + noise * rng.standard_normal(x.shape)
        else:
            C = _LOG_RATE_LOADING * C
            d = rng.uniform(*np.log(mean_counts), n)
            x = np.exp(z @ C.T + d)
            recorded = rng.poisson(x).astype(float)
        loadings.append(np.column_stack([C, d]))
        latents += list(z)
        expected += list(x)
        X += list(recorded)
    return Bunch(
        X=X,
        sessions=np.repeat(np.arange(n_sessions), n_trials),
        expected=expected,
        latents=latents,
        parameters=values,
        parameter_names=kind.names,
        loadings=loadings,
        dt=dt,
    )


def _check_range(name: str, values: Sequence[float], least: float) -> None:
    if np.shape(values) != (2,) or not least <= values[0] <= values[1] < np.inf:
        raise ValueError(
            f"{name} must be the least and the largest, both positive; got {values!r}"
        )


def _parameters(
    kind: _Family,
    n_sessions: int,
    given: ArrayLike | None,
    rng: np.random.RandomState,
) -> np.ndarray:
    shape = (n_sessions, len(kind.names))
    low, high = np.transpose(kind.ranges)
    if given is not None:
        values = np.asarray(given, dtype=float)
        if values.shape != shape or not np.isfinite(values).all():
            raise ValueError(
                f"parameters must be finite and of shape {shape}, {kind.names} of each "
                f"session; got shape {values.shape}"
            )
        return values
    if len(kind.names) == 1:
        spread: np.ndarray = np.linspace(low[0], high[0], n_sessions)
        return rng.permutation(spread)[:, None]
    return rng.uniform(low, high, shape)


def _simulate(
    kind: _Family,
    parameters: np.ndarray,
    n_trials: int,
    n_timepoints: int,
    process_noise: float,
    dt: float,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Latents (n_trials, n_timepoints, 2), by Runge and Kutta's fourth-order steps."""
    z = kind.start(rng, n_trials)
    path = np.empty((n_trials, n_timepoints, 2))
    h = dt / _SUBSTEPS
    for t in range(n_timepoints):
        path[:, t] = z
        for _ in range(_SUBSTEPS):
            k1 = kind.field(z, parameters)
            k2 = kind.field(z + 0.5 * h * k1, parameters)
            k3 = kind.field(z + 0.5 * h * k2, parameters)
            k4 = kind.field(z + h * k3, parameters)
            z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        z = z + process_noise * rng.standard_normal(z.shape)
    return path


def _normal_form(z: np.ndarray, growth: float, frequency: float) -> np.ndarray:
    radial = growth - 4 * (z**2).sum(1, keepdims=True)
    turned = np.column_stack([-z[:, 1], z[:, 0]])
    velocity: np.ndarray = radial * z + 2 * np.pi * frequency * turned
    return velocity


def _duffing(z: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    a, b = parameters
    x, y = z.T
    velocity: np.ndarray = 2 * np.pi * np.column_stack([y, a * y - x * (b + x**2)])
    return velocity


def _around_a_circle(rng: np.random.RandomState, n: int) -> np.ndarray:
    angle, radius = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.5, 1.5, n)
    direction = np.column_stack([np.cos(angle), np.sin(angle)])
    start: np.ndarray = radius[:, None] * direction
    return start


_FAMILIES = {
    "limit_cycle": _Family(
        ("frequency",),
        ((1.0, 4.0),),
        lambda z, parameters: _normal_form(z, 4.0, parameters[0]),
        _around_a_circle,
    ),
    "hopf": _Family(
        ("growth", "frequency"),
        ((-2.0, 4.0), (1.0, 3.0)),
        lambda z, parameters: _normal_form(z, *parameters),
        _around_a_circle,
    ),
    "duffing": _Family(
        ("damping", "stiffness"),
        ((-0.3, -0.05), (-1.0, 1.5)),
        _duffing,
        _around_a_circle,
    ),
}
