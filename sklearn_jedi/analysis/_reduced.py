"""The low-dimensional system that holds every attractor of a low-rank network."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_jedi._low_rank_rnn import LowRankRNN

__all__ = ["ReducedDynamics", "check_networks", "check_states", "weighted_gram"]

# numbers in the table of products w_ik q_il, above which Jacobians are made one by one
_MAX_PRODUCTS = 2_000_000


class ReducedDynamics:
    r"""The dynamics of low-rank networks within their invariant subspace.

    With `J = U V^T` and `U = Q S` (Q orthonormal), the rates `r = b + Q kappa + rest`
    of a network split into [1]_

    .. math:: \kappa_{t+1} = \kappa_t + \alpha (F(\kappa_t) - \kappa_t), \quad
       F(\kappa) = W^T \phi(b + Q \kappa), \quad W = V S^T,

    and a rest that shrinks by `1 - alpha` a step whatever the network does,
    `alpha = dt / tau`. Distances of `kappa` are distances of rates, because the columns
    of Q are orthonormal; nothing depends on how `J` was split into U and V.

    Written without units, `F(kappa) = B^T f(A kappa + c)` with `A = gain Q`,
    `B = W / gain` and `c = gain (b - offset)`.

    Parameters
    ----------
    networks : LowRankRNN

    Attributes
    ----------
    A, B, Q, W : arrays of shape (n_networks, n_neurons, n_dims)
        `n_dims` is the rank, or the number of neurons where that is smaller.
    c, bias : arrays of shape (n_networks, n_neurons)
    alpha : float
        `dt / tau`.

    References
    ----------
    .. [1] Beiran, Dubreuil, Valente, Mastrogiuseppe and Ostojic, "Shaping dynamics with
       multiple populations in low-rank recurrent networks", Neural Computation 33
       (2021).
    """

    def __init__(self, networks: LowRankRNN) -> None:
        self.Q, S = np.linalg.qr(networks.U)
        if S.shape[1] == S.shape[2] and np.linalg.cond(S).max() < 1e6:
            # U = Q S then holds to a rounding, which Householder's Q grants only on the
            # scale of n_neurons of them
            U_T, S_T = (np.swapaxes(M, 1, 2) for M in (networks.U, S))
            self.Q = np.swapaxes(np.linalg.solve(S_T, U_T), 1, 2)
        self.W = networks.V @ np.swapaxes(S, 1, 2)
        self.A = networks.gain[:, None] * self.Q
        self.B = self.W / networks.gain[:, None]
        self.bias = networks.bias
        self.c = networks.gain * (networks.bias - networks.offset)
        self.transfer = networks.transfer
        self.tau, self.dt = networks.tau, networks.dt
        self.alpha = networks.dt / networks.tau
        self._products: np.ndarray | None = None

    def __getitem__(self, index: Any) -> ReducedDynamics:
        """One network, whose arrays then lack the leading axis, or a choice of them."""
        one = object.__new__(ReducedDynamics)
        one.__dict__.update(self.__dict__, _products=None)
        for name in ("A", "B", "Q", "W", "c", "bias"):
            setattr(one, name, getattr(self, name)[index])
        return one

    @property
    def n_dims(self) -> int:
        return self.A.shape[-1]

    @property
    def natural_size(self) -> float:
        """Size of the `kappa` at which neurons leave the linear range of `f`."""
        return float(np.sqrt(self.A.size / (self.A**2).sum()))

    def lift(self, kappa: np.ndarray) -> np.ndarray:
        """Rates (..., n_states, n_neurons) of coordinates (..., n_states, n_dims)."""
        return kappa @ np.swapaxes(self.Q, -1, -2) + self.bias[..., None, :]

    def project(self, states: np.ndarray) -> np.ndarray:
        """Coordinates of the part of the rates that lies in the invariant subspace."""
        return (states - self.bias[..., None, :]) @ self.Q

    def activity(self, kappa: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`f` and `f'` of all neurons, each (..., n_states, n_neurons)."""
        u = kappa @ np.swapaxes(self.A, -1, -2) + self.c[..., None, :]
        value = self.transfer.value(np, u)
        return value, self.transfer.slope(np, u, value)

    def drive(self, kappa: np.ndarray) -> np.ndarray:
        """`F(kappa)`, of the shape of kappa."""
        u = kappa @ np.swapaxes(self.A, -1, -2) + self.c[..., None, :]
        return self.transfer.value(np, u) @ self.B

    def jacobian(self, slopes: np.ndarray) -> np.ndarray:
        """Derivative of `F`, `B^T D A`, (..., n_states, n_dims, n_dims)."""
        if self._products is None:
            self._products = _outer_products(self.B, self.A)
        return weighted_gram(self.B, self.A, slopes, self._products)

    def step(self, kappa: np.ndarray) -> np.ndarray:
        """One time step of the map."""
        return (1 - self.alpha) * kappa + self.alpha * self.drive(kappa)

    def linearise(self, jacobian: np.ndarray, time: str) -> np.ndarray:
        """The derivative of the map or of the flow (1/s) from that of `F`."""
        eye = np.eye(self.n_dims)
        if time == "map":
            return eye + self.alpha * (jacobian - eye)
        return (jacobian - eye) / self.tau

    def box(self) -> np.ndarray:
        """Bounds of `|F_k|` (..., n_dims), within which all roots lie; or infinity."""
        bound = self.transfer.bound
        if bound is None:
            return np.full((*self.A.shape[:-2], self.n_dims), np.inf)
        return bound * np.abs(self.B).sum(-2)


def weighted_gram(
    left: np.ndarray,
    right: np.ndarray,
    weights: np.ndarray,
    products: np.ndarray | None = None,
) -> np.ndarray:
    """`left^T diag(weights) right` for each of many weights.

    Parameters
    ----------
    left, right : arrays of shape (..., n_neurons, n_dims)
    weights : array of shape (..., n_states, n_neurons)
    products : array of shape (..., n_neurons, n_dims * n_dims), default=None
        Products of their columns, where they are at hand.

    Returns
    -------
    array of shape (..., n_states, n_dims, n_dims)
    """
    n_dims = left.shape[-1]
    if products is None:
        products = _outer_products(left, right)
    if products is not None:
        return (weights @ products).reshape(*weights.shape[:-1], n_dims, n_dims)
    gram = np.empty((*weights.shape[:-1], n_dims, n_dims))
    for k in range(weights.shape[-2]):
        gram[..., k, :, :] = (
            np.swapaxes(left, -1, -2) * weights[..., k, None, :]
        ) @ right
    return gram


def _outer_products(left: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    """Products of the columns of two matrices; None where there are too many."""
    n_dims = left.shape[-1]
    if left.size * n_dims > _MAX_PRODUCTS:
        return None
    products = left[..., :, None] * right[..., None, :]
    return products.reshape(*left.shape[:-1], n_dims**2)


def check_networks(dynamics: Any) -> LowRankRNN:
    """The networks, of which there is at least one.

    Raises
    ------
    TypeError
        If `dynamics` is not a `LowRankRNN`.
    ValueError
        If it holds no network.
    """
    if not isinstance(dynamics, LowRankRNN):
        raise TypeError(
            "analyzers take networks: a LowRankRNN, such as jedi.dynamics(Z) of "
            f"embeddings Z = jedi.transform(X); got {type(dynamics).__name__}"
        )
    if len(dynamics) == 0:
        raise ValueError("dynamics holds no network")
    return dynamics


def check_states(dynamics: LowRankRNN, states: Any) -> np.ndarray:
    """States as (n_networks, n_states, n_neurons), of every network its own.

    Raises
    ------
    ValueError
        If they do not fit the networks or are not finite.
    """
    array = as_one_array(states)
    if array.ndim == 2 and len(dynamics) == 1:
        array = array[None]
    if (
        array.ndim != 3
        or len(array) != len(dynamics)
        or array.shape[2] != dynamics.n_neurons
        or array.shape[1] == 0
    ):
        raise ValueError(
            f"states must have shape ({len(dynamics)}, n_states, "
            f"{dynamics.n_neurons}): networks, states of each, neurons; got "
            f"{array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError("states contains NaN or infinity")
    return array


def as_one_array(states: Any) -> np.ndarray:
    """States as an array, where every network has as many.

    Raises
    ------
    ValueError
        If they do not fit together.
    """
    try:
        return np.asarray(states, dtype=float)
    except (TypeError, ValueError):
        shapes = [np.shape(part) for part in states] if isinstance(states, list) else ""
        raise ValueError(
            "states must be numbers, as many states for each network (draw as many of "
            f"each); got {type(states).__name__} {shapes}".rstrip()
        ) from None
