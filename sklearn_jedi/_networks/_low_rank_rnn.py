"""Low-rank rate networks: plain arrays and the mathematics on them."""

from __future__ import annotations

import warnings
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._networks._dynamics import (
    Dynamics,
    as_batch,
    per_unit,
    sorted_eigenvalues,
)
from sklearn_jedi._networks._nonlinearities import Nonlinearity

__all__ = ["LowRankRNN"]


class LowRankRNN(Dynamics):
    r"""A batch of rate networks with recurrent weights `J = U V^T`.

    Each network obeys [1]_

    .. math:: \tau \dot r = -r + U V^T \phi(r) + b,

    integrated by Euler steps of `dt`, so that the map is
    `r[t+1] = r[t] + (dt / tau) (-r[t] + J phi(r[t]) + b)`. The transfer function
    acts in each neuron's own units: `phi(r) = f(gain (r - offset)) / gain` with
    `f` named by `nonlinearity`. Its slope where `r = offset` is that of `f` at zero,
    whatever the gain: the eigenvalues of `J` are those of the linear dynamics there,
    whichever units the rates have.

    Parameters
    ----------
    U : array-like of shape (n_networks, n_neurons, rank) or (n_neurons, rank)
        Output vectors of the recurrent weights. A 2-D array is one network.
    V : array-like of the shape of U
        Input vectors of the recurrent weights.
    bias : array-like of shape (n_networks, n_neurons) or (n_neurons,), default=None
        Constant input `b`, in the units of the rates. None means zero.
    tau : float, default=0.1
        Time constant of the neurons in seconds.
    dt : float, default=0.01
        Time step in seconds; at most `tau`.
    nonlinearity : str or Nonlinearity, default="tanh"
        The transfer function `f`: "tanh", "relu", "softplus", "linear", or your own.
    gain : float or array-like of shape (n_neurons,), default=1.0
        Slope inside `f`, in units of 1 / rate. Positive.
    offset : float or array-like of shape (n_neurons,), default=0.0
        The rate at which the argument of `f` is zero.

    Attributes
    ----------
    n_networks, n_neurons, rank : int
        Sizes of the batch.
    shape : tuple of int
        ``(n_networks, n_neurons, n_neurons)``, the shape of `J`.
    transfer : Nonlinearity
        The transfer function `f`, its slope, and bounds on both.

    Raises
    ------
    ValueError
        If shapes disagree, values are not finite, or `dt > tau`.

    References
    ----------
    .. [1] Mastrogiuseppe and Ostojic, "Linking connectivity, dynamics, and
       computations in low-rank recurrent neural networks", Neuron 99 (2018).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi import LowRankRNN
    >>> u = np.ones((4, 1)) / 2
    >>> rnn = LowRankRNN(u, 2 * u, nonlinearity="tanh")
    >>> round(float(np.linalg.eigvals(rnn.J[0]).real.max()), 6)
    2.0
    >>> rnn.simulate(0.1 * np.ones(4), 200).shape
    (1, 200, 4)
    """

    state_axis = "neurons"

    def __init__(
        self,
        U: ArrayLike,
        V: ArrayLike,
        bias: ArrayLike | None = None,
        tau: float = 0.1,
        dt: float = 0.01,
        nonlinearity: str | Nonlinearity = "tanh",
        *,
        gain: float | ArrayLike = 1.0,
        offset: float | ArrayLike = 0.0,
    ) -> None:
        self.U = as_batch("U", U, 3)
        self.V = as_batch("V", V, 3)
        if self.U.shape != self.V.shape:
            raise ValueError(
                "U and V must have the same shape (n_networks, n_neurons, rank); "
                f"got {self.U.shape} and {self.V.shape}"
            )
        n_networks, n_neurons, rank = self.U.shape
        if rank > n_neurons:
            warnings.warn(
                f"rank {rank} is larger than the {n_neurons} neurons: U and V have the "
                "shape (n_networks, n_neurons, rank); are they transposed?",
                UserWarning,
                stacklevel=2,
            )
        if bias is None:
            bias = np.zeros((n_networks, n_neurons))
        self.bias = as_batch("bias", bias, 2)
        if self.bias.shape != (n_networks, n_neurons):
            raise ValueError(
                f"bias must have shape {(n_networks, n_neurons)}, one value per "
                f"network and neuron; got {self.bias.shape}"
            )
        self._set_equation(tau, dt, nonlinearity, gain, n_neurons)
        self.offset = per_unit("offset", offset, n_neurons)

    @classmethod
    def from_weights(
        cls,
        J: ArrayLike,
        bias: ArrayLike | None = None,
        tau: float = 0.1,
        dt: float = 0.01,
        nonlinearity: str | Nonlinearity = "tanh",
        *,
        gain: float | ArrayLike = 1.0,
        offset: float | ArrayLike = 0.0,
    ) -> Self:
        """Networks with given weights, such as published ones.

        Parameters
        ----------
        J : array-like of shape (n_networks, n_neurons, n_neurons) or \
                (n_neurons, n_neurons)
            Recurrent weights; row i holds the inputs of neuron i.
        bias, tau, dt, nonlinearity, gain, offset
            As in the constructor.

        Returns
        -------
        LowRankRNN
            Weights of low rank (singular values below 1e-13 of the largest count as
            zero) are factored by singular value decomposition. Otherwise `U` is the
            identity, `V` the transpose of `J`, and `rank` the number of neurons.
        """
        weights = as_batch("J", J, 3)
        if weights.shape[1] != weights.shape[2]:
            raise ValueError(
                "J must have as many rows as columns, one for each neuron; "
                f"got shape {np.shape(J)}"
            )
        left, sizes, right = np.linalg.svd(weights)
        rank = int((sizes > 1e-13 * sizes[:, :1]).sum(axis=1).max())
        if 0 < rank < weights.shape[1]:
            U = left[:, :, :rank] * sizes[:, None, :rank]
            V = np.swapaxes(right[:, :rank], 1, 2)
        else:
            U = np.broadcast_to(np.eye(weights.shape[1]), weights.shape)
            V = np.swapaxes(weights, 1, 2)
        return cls(U, V, bias, tau, dt, nonlinearity, gain=gain, offset=offset)

    # ------------------------------------------------------------ as a container

    @property
    def n_networks(self) -> int:
        return len(self.U)

    @property
    def n_neurons(self) -> int:
        return int(self.U.shape[1])

    @property
    def rank(self) -> int:
        return int(self.U.shape[2])

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.n_networks, self.n_neurons, self.n_neurons)

    @property
    def state_dim(self) -> int:
        return self.n_neurons

    @property
    def n_dims(self) -> int:
        """Dimensions of the subspace that holds every attractor."""
        return min(self.rank, self.n_neurons)

    @property
    def _input_vectors(self) -> np.ndarray:
        return self.V

    def _select(self, rows: slice | np.ndarray) -> Self:
        return type(self)(
            self.U[rows],
            self.V[rows],
            self.bias[rows],
            self.tau,
            self.dt,
            self.nonlinearity,
            gain=self.gain,
            offset=self.offset,
        )

    def __repr__(self) -> str:
        return (
            f"LowRankRNN(n_networks={self.n_networks}, n_neurons={self.n_neurons}, "
            f"rank={self.rank}, tau={self.tau}, dt={self.dt}, "
            f"nonlinearity={self.nonlinearity!r})"
        )

    # -------------------------------------------------------------- the dynamics

    @property
    def J(self) -> np.ndarray:
        """Recurrent weights, of shape (n_networks, n_neurons, n_neurons)."""
        J: np.ndarray = self.U @ np.swapaxes(self.V, 1, 2)
        return J

    @property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues of `J` other than the zeros of its null space.

        Those of the `rank` x `rank` matrix `V^T U`, the largest magnitude first, of
        shape (n_networks, rank), complex.
        """
        return sorted_eigenvalues(np.swapaxes(self.V, 1, 2) @ self.U)

    def _unit_states(self, states: np.ndarray) -> np.ndarray:
        units: np.ndarray = states - self.offset
        return units

    def _spread(self, kappa: np.ndarray) -> np.ndarray:
        drive: np.ndarray = kappa @ np.swapaxes(self.U, 1, 2) + self.bias[:, None]
        return drive

    def _drive_jacobian(self, slopes: np.ndarray) -> np.ndarray:
        # column j of J is scaled by the slope of neuron j
        jacobian: np.ndarray = self.J[:, None] * slopes[..., None, :]
        return jacobian
