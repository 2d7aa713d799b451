"""The low-dimensional system that holds every attractor, and what analyzers take."""

from __future__ import annotations

import numpy as np

from sklearn_jedi._networks._latent_dynamics import LatentDynamics
from sklearn_jedi._networks._low_rank_rnn import LowRankRNN

__all__ = [
    "Networks",
    "ReducedDynamics",
    "check_networks",
    "check_states",
    "weighted_gram",
]

Networks = LowRankRNN | LatentDynamics  # what analyzers take

# numbers in the table of products w_ik q_il, above which Jacobians are made one by one
_MAX_PRODUCTS = 2_000_000


class ReducedDynamics:
    r"""What analyzers know of dynamics: the system within the invariant subspace.

    All analyzers ask their questions of `kappa`, which moves by

    .. math:: \tau \dot \kappa = -\kappa + F(\kappa), \quad
       F(\kappa) = B^T f(A \kappa + c),

    with a row of A, B and c for each unit, or by Euler steps of it (`equation`). `lift`
    makes states of it, `r = bias + Q kappa`; distances of `kappa` are distances of
    states, because the columns of Q are orthonormal.

    Of low-rank networks, with `J = U V^T` and `U = Q S`, it is the part of the rates
    that lies in the invariant subspace [1]_; the rest decays to zero whatever the
    network does. `A = gain Q`, `B = W / gain` with `W = V S^T`, and
    `c = gain (b - offset)`; nothing depends on how `J` was split into U and V.

    Of latent dynamics it is `z - b`: there is no rest, and Q is the identity.
    `A = gain P`, `B = W / gain` and `c = gain (P b + d)`.

    Parameters
    ----------
    dynamics : LowRankRNN or LatentDynamics

    Attributes
    ----------
    A, B, W : arrays of shape (n_networks, n_units, n_dims)
        The units are the neurons of low-rank networks. `n_dims` is the rank, or the
        number of neurons where that is smaller; or the number of latents.
    Q : array of shape (n_networks, state_dim, n_dims)
    c : array of shape (n_networks, n_units)
    bias : array of shape (n_networks, state_dim)
    equation : Equation
        How `kappa` moves. Its gain is 1: that of the units is part of A, B and c.
    of_latents : bool
        Whether states are latents.

    References
    ----------
    .. [1] Beiran, Dubreuil, Valente, Mastrogiuseppe and Ostojic, "Shaping dynamics with
       multiple populations in low-rank recurrent networks", Neural Computation 33
       (2021).
    """

    def __init__(self, dynamics: Networks) -> None:
        gain = dynamics.gain
        self.of_latents = isinstance(dynamics, LatentDynamics)
        if isinstance(dynamics, LatentDynamics):
            eye = np.eye(dynamics.n_latents)
            self.Q = np.broadcast_to(eye, (len(dynamics), *eye.shape))
            self.W = dynamics.weights
            self.A = np.broadcast_to(gain[:, None] * dynamics.readin, self.W.shape)
            self.c = gain * dynamics.units(dynamics.bias)
            self.bias = dynamics.bias
        else:
            self.Q, self.W = _orthonormal(dynamics)
            self.A = gain[:, None] * self.Q
            self.c = gain * (dynamics.bias - dynamics.offset)
            self.bias = dynamics.bias
        self.B = self.W / gain[:, None]
        self.equation = dynamics.equation._replace(gain=1.0)
        self._products: np.ndarray | None = None

    def __getitem__(self, index: int | slice) -> ReducedDynamics:
        """One network, whose arrays then lack the leading axis, or a choice of them."""
        one = object.__new__(ReducedDynamics)
        one.__dict__.update(self.__dict__, _products=None)
        for name in ("A", "B", "Q", "W", "c", "bias"):
            setattr(one, name, getattr(self, name)[index])
        return one

    @property
    def n_dims(self) -> int:
        return int(self.A.shape[-1])

    @property
    def n_rest(self) -> int:
        """Directions of states outside the subspace, of which all decay alike."""
        return int(self.Q.shape[-2]) - self.n_dims

    @property
    def natural_size(self) -> float:
        """Size of the `kappa` at which units leave the linear range of `f`.

        Without bounds, there may be no such size, and inputs tell more: it is at least
        that at which the recurrent part of a unit's argument is as large as `c`.
        """
        transfer = self.equation.transfer
        level = 1.0
        if transfer.bound is None and self.c.any():
            inputs = float(np.sqrt((self.c**2).mean()))
            # where nothing bends but at kinks, no unit but that of the inputs
            bends = transfer.curvature_bound not in (None, 0.0)
            level = max(level, inputs) if bends else inputs
        return level * float(np.sqrt(self.A.size / (self.A**2).sum()))

    def lift(self, kappa: np.ndarray) -> np.ndarray:
        """States (..., n_states, state_dim) of coordinates (..., n_states, n_dims)."""
        inside: np.ndarray = kappa @ np.swapaxes(self.Q, -1, -2)
        states: np.ndarray = inside + self.bias[..., None, :]
        return states

    def project(self, states: np.ndarray) -> np.ndarray:
        """Coordinates of the part of states that lies in the invariant subspace."""
        kappa: np.ndarray = (states - self.bias[..., None, :]) @ self.Q
        return kappa

    def activity(self, kappa: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`f` and `f'` of all units, each (..., n_states, n_units)."""
        u = kappa @ np.swapaxes(self.A, -1, -2) + self.c[..., None, :]
        transfer = self.equation.transfer
        value = transfer.value(np, u)
        return value, transfer.slope(np, u, value)

    def drive(self, kappa: np.ndarray) -> np.ndarray:
        """`F(kappa)`, of the shape of kappa."""
        u = kappa @ np.swapaxes(self.A, -1, -2) + self.c[..., None, :]
        drive: np.ndarray = self.equation.transfer.value(np, u) @ self.B
        return drive

    def jacobian(self, slopes: np.ndarray) -> np.ndarray:
        """Derivative of `F`, `B^T D A`, (..., n_states, n_dims, n_dims)."""
        if self._products is None:
            self._products = _outer_products(self.B, self.A)
        return weighted_gram(self.B, self.A, slopes, self._products)

    def step(self, kappa: np.ndarray) -> np.ndarray:
        """One time step of the map."""
        return self.equation.step(kappa, self.drive(kappa))

    def velocity(self, kappa: np.ndarray) -> np.ndarray:
        """Time derivative of the flow, per second."""
        return self.equation.velocity(kappa, self.drive(kappa))

    def is_odd(self, kappa: np.ndarray) -> bool:
        """Whether `F(-kappa) = -F(kappa)`, as far as some states show.

        Roots and cycles are then their own mirror images, or come in pairs.
        """
        if self.c.any():
            return False
        reach = np.linalg.norm(kappa, axis=-1).max()
        ahead, mirrored = self.drive(kappa), self.drive(-kappa)
        return np.allclose(mirrored, -ahead, rtol=0, atol=1e-12 * reach)

    def box(self) -> np.ndarray:
        """Bounds of `|F_k|` (..., n_dims), within which all roots lie; or infinity."""
        bound = self.equation.transfer.bound
        if bound is None:
            return np.full((*self.A.shape[:-2], self.n_dims), np.inf)
        reach: np.ndarray = bound * np.abs(self.B).sum(-2)
        return reach


def weighted_gram(
    left: np.ndarray,
    right: np.ndarray,
    weights: np.ndarray,
    products: np.ndarray | None = None,
) -> np.ndarray:
    """`left^T diag(weights) right` for each of many weights.

    Parameters
    ----------
    left, right : arrays of shape (..., n_units, n_dims)
    weights : array of shape (..., n_states, n_units)
    products : array of shape (..., n_units, n_dims * n_dims), default=None
        Products of their columns, where they are at hand.

    Returns
    -------
    array of shape (..., n_states, n_dims, n_dims)
    """
    n_dims = left.shape[-1]
    if products is None:
        products = _outer_products(left, right)
    if products is not None:
        flat: np.ndarray = weights @ products
        return flat.reshape(*weights.shape[:-1], n_dims, n_dims)
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
    products: np.ndarray = left[..., :, None] * right[..., None, :]
    return products.reshape(*left.shape[:-1], n_dims**2)


def _orthonormal(networks: LowRankRNN) -> tuple[np.ndarray, np.ndarray]:
    """`Q` and `W` with `J = Q W^T` and orthonormal columns of Q."""
    Q, S = np.linalg.qr(networks.U)
    if S.shape[1] == S.shape[2] and np.linalg.cond(S).max() < 1e6:
        # U = Q S then holds to a rounding, which Householder's Q grants only on the
        # scale of n_neurons of them
        U_T, S_T = (np.swapaxes(M, 1, 2) for M in (networks.U, S))
        Q = np.swapaxes(np.linalg.solve(S_T, U_T), 1, 2)
    return Q, networks.V @ np.swapaxes(S, 1, 2)


def check_networks(dynamics: object) -> Networks:
    """The networks, of which there is at least one.

    Raises
    ------
    TypeError
        If `dynamics` is neither a `LowRankRNN` nor `LatentDynamics`.
    ValueError
        If it holds no network.
    """
    if not isinstance(dynamics, Networks):
        raise TypeError(
            "analyzers take networks: a LowRankRNN, such as jedi.dynamics(Z) of "
            "embeddings Z = jedi.transform(X), or LatentDynamics; got "
            f"{type(dynamics).__name__}"
        )
    if len(dynamics) == 0:
        raise ValueError("dynamics holds no network")
    return dynamics


def check_states(dynamics: Networks, states: object) -> np.ndarray:
    """States as (n_networks, n_states, state_dim), of every network its own.

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
        or array.shape[2] != dynamics.state_dim
        or array.shape[1] == 0
    ):
        raise ValueError(
            f"states must have shape ({len(dynamics)}, n_states, "
            f"{dynamics.state_dim}): networks, states of each, {dynamics.state_axis}; "
            f"got {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError("states contains NaN or infinity")
    return array


def as_one_array(states: object) -> np.ndarray:
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
