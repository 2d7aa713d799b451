"""Low-rank rate networks: plain arrays and the mathematics on them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_jedi._nonlinearities import Nonlinearity, get_nonlinearity

__all__ = ["LowRankRNN"]


class LowRankRNN:
    r"""A batch of rate networks with recurrent weights `J = U V^T`.

    Each network obeys [1]_

    .. math:: \tau \dot r = -r + U V^T \phi(r) + b,

    integrated by Euler steps of `dt`, so that the map is
    `r[t+1] = r[t] + (dt / tau) (-r[t] + J phi(r[t]) + b)`. The transfer function
    acts in each neuron's own units: `phi(r) = f(gain (r - offset)) / gain` with
    `f` named by `nonlinearity`. Its slope at `offset` is that of `f` at zero,
    whatever the gain, so the eigenvalues of `J` mean the same in any units.

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
    nonlinearity : {"tanh", "relu", "softplus", "linear"} or Nonlinearity, \
            default="tanh"
        The transfer function `f`.
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
        self.U = _as_batch("U", U, 3)
        self.V = _as_batch("V", V, 3)
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
        self.bias = _as_batch("bias", bias, 2)
        if self.bias.shape != (n_networks, n_neurons):
            raise ValueError(
                f"bias must have shape {(n_networks, n_neurons)}, one value per "
                f"network and neuron; got {self.bias.shape}"
            )
        if not 0 < dt <= tau < np.inf:
            raise ValueError(f"0 < dt <= tau is needed; got dt={dt} s and tau={tau} s")
        self.tau = float(tau)
        self.dt = float(dt)
        self.nonlinearity = nonlinearity
        self.transfer = (
            nonlinearity
            if isinstance(nonlinearity, Nonlinearity)
            else get_nonlinearity(nonlinearity)
        )
        self.gain = _per_neuron("gain", gain, n_neurons)
        self.offset = _per_neuron("offset", offset, n_neurons)
        if not (self.gain > 0).all():
            raise ValueError("gain must be positive for every neuron")

    @classmethod
    def from_weights(
        cls,
        J: ArrayLike,
        bias: ArrayLike | None = None,
        tau: float = 0.1,
        dt: float = 0.01,
        nonlinearity: str | Nonlinearity = "tanh",
        **transfer: Any,
    ) -> LowRankRNN:
        """Networks with given weights, such as published ones.

        Parameters
        ----------
        J : array-like of shape (n_networks, n_neurons, n_neurons) or \
                (n_neurons, n_neurons)
            Recurrent weights; row i holds the inputs of neuron i.
        bias, tau, dt, nonlinearity, **transfer
            As in the constructor.

        Returns
        -------
        LowRankRNN
            Weights of low rank (singular values below 1e-13 of the largest count as
            zero) are factored by singular value decomposition. Otherwise `U` is the
            identity, `V` the transpose of `J`, and `rank` the number of neurons.
        """
        weights = _as_batch("J", J, 3)
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
            return cls(U, V, bias, tau, dt, nonlinearity, **transfer)
        eye = np.broadcast_to(np.eye(weights.shape[1]), weights.shape)
        V = np.swapaxes(weights, 1, 2)
        return cls(eye, V, bias, tau, dt, nonlinearity, **transfer)

    # ------------------------------------------------------------ as a container

    @property
    def n_networks(self) -> int:
        return self.U.shape[0]

    @property
    def n_neurons(self) -> int:
        return self.U.shape[1]

    @property
    def rank(self) -> int:
        return self.U.shape[2]

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.n_networks, self.n_neurons, self.n_neurons)

    def __len__(self) -> int:
        return self.n_networks

    def __getitem__(self, index: Any) -> LowRankRNN:
        """Select networks by an integer, slice, mask or array of indices."""
        if isinstance(index, tuple):  # scikit-learn indexes with (rows, ...)
            index = index[0]
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(
                    f"network {index} was asked for; there are {len(self)}"
                )
            index = [index]
        return LowRankRNN(
            self.U[index],
            self.V[index],
            self.bias[index],
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
        return self.U @ np.swapaxes(self.V, 1, 2)

    @property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues of `J` other than the zeros of its null space.

        Those of the `rank` x `rank` matrix `V^T U`, the largest magnitude first, of
        shape (n_networks, rank), complex.
        """
        values = np.linalg.eigvals(np.swapaxes(self.V, 1, 2) @ self.U).astype(complex)
        order = np.argsort(-np.abs(values), axis=1, kind="stable")
        return np.take_along_axis(values, order, axis=1)

    def phi(self, r: ArrayLike) -> np.ndarray:
        """Transfer function, elementwise, in the units of the rates."""
        x = self.gain * (np.asarray(r, dtype=float) - self.offset)
        return self.transfer.value(np, x) / self.gain

    def phi_slope(self, r: ArrayLike) -> np.ndarray:
        """Derivative of the transfer function, elementwise, without units."""
        x = self.gain * (np.asarray(r, dtype=float) - self.offset)
        return self.transfer.slope(np, x, self.transfer.value(np, x))

    def vector_field(self, r: ArrayLike) -> np.ndarray:
        """Time derivative `dr/dt` of the flow, in rate units per second.

        Parameters
        ----------
        r : array-like of shape (n_networks, n_neurons) or \
                (n_networks, n_states, n_neurons)
            States, of every network its own. A 1-D array is one state shared by
            all networks.

        Returns
        -------
        array of the shape of r (2-D where r was 1-D)
        """
        states, restore = self._as_states(r)
        return restore(self._drive(states) - states) / self.tau

    def step(self, r: ArrayLike) -> np.ndarray:
        """One Euler step of `dt`; shapes as in `vector_field`."""
        states, restore = self._as_states(r)
        alpha = self.dt / self.tau
        return restore((1 - alpha) * states + alpha * self._drive(states))

    def jacobian(self, r: ArrayLike, *, time: str = "map") -> np.ndarray:
        """Derivative of the map or of the flow at given states.

        Parameters
        ----------
        r : array-like
            States; shapes as in `vector_field`.
        time : {"map", "flow"}, default="map"
            "map" differentiates one step of `dt` (no unit), "flow" the vector
            field (1/s).

        Returns
        -------
        array of shape (..., n_neurons, n_neurons)
        """
        if time not in ("map", "flow"):
            raise ValueError(f'time must be "map" or "flow"; got {time!r}')
        states, restore = self._as_states(r)
        # d/dr (-r + J phi(r)): column j of J is scaled by the slope of neuron j
        jac = self.J[:, None] * self.phi_slope(states)[..., None, :]
        eye = np.eye(self.n_neurons)
        if time == "map":
            jac = eye + (self.dt / self.tau) * (jac - eye)
        else:
            jac = (jac - eye) / self.tau
        return restore(jac)

    def simulate(
        self,
        initial_states: ArrayLike,
        n_timepoints: int,
        *,
        inputs: ArrayLike | None = None,
        noise: float = 0.0,
        random_state: Any = None,
    ) -> np.ndarray:
        """Run the networks by Euler steps of `dt`.

        Parameters
        ----------
        initial_states : array-like
            Where to start; shapes as in `vector_field`.
        n_timepoints : int
            Number of time points returned, the initial one included.
        inputs : array-like, default=None
            Input added to the bias, in rate units, that broadcasts against
            (n_networks, n_timepoints - 1, n_neurons), or against
            (n_networks, n_states, n_timepoints - 1, n_neurons) for several
            states a network.
        noise : float, default=0.0
            Standard deviation, in rate units, of independent Gaussian noise added
            to every neuron at every step.
        random_state : int, RandomState instance or None, default=None
            Draws the noise.

        Returns
        -------
        array of shape (n_networks, n_timepoints, n_neurons) or \
                (n_networks, n_states, n_timepoints, n_neurons)
        """
        if n_timepoints < 1:
            raise ValueError(f"n_timepoints must be at least 1; got {n_timepoints}")
        states, restore = self._as_states(initial_states)
        alpha = self.dt / self.tau
        drive = None
        if inputs is not None:
            drive = np.asarray(inputs, dtype=float)
            if drive.ndim == 3 and np.ndim(initial_states) < 3:
                drive = drive[:, None]
            want = (*states.shape[:2], n_timepoints - 1, self.n_neurons)
            try:
                drive = np.broadcast_to(drive, want)
            except ValueError:
                raise ValueError(
                    f"inputs of shape {np.shape(inputs)} do not broadcast to {want}"
                ) from None
        rng = check_random_state(random_state) if noise else None
        trajectory = np.empty((*states.shape[:2], n_timepoints, self.n_neurons))
        trajectory[:, :, 0] = states
        for t in range(1, n_timepoints):
            target = self._drive(states)
            if drive is not None:
                target = target + drive[:, :, t - 1]
            states = (1 - alpha) * states + alpha * target
            if rng is not None:
                states = states + noise * rng.standard_normal(states.shape)
            trajectory[:, :, t] = states
        return restore(trajectory)

    def _drive(self, states: np.ndarray) -> np.ndarray:
        """`J phi(r) + b` for states of shape (n_networks, n_states, n_neurons)."""
        kappa = self.phi(states) @ self.V
        return kappa @ np.swapaxes(self.U, 1, 2) + self.bias[:, None]

    def _as_states(self, r: ArrayLike) -> tuple[np.ndarray, Any]:
        """States as (n_networks, n_states, n_neurons), and the way back."""
        states = np.asarray(r, dtype=float)
        if states.ndim == 1:
            states = np.broadcast_to(states, (self.n_networks, states.shape[0]))
        squeeze = states.ndim == 2
        if squeeze:
            states = states[:, None]
        if (
            states.ndim != 3
            or states.shape[0] != self.n_networks
            or states.shape[2] != self.n_neurons
        ):
            raise ValueError(
                f"states must have shape ({self.n_networks}, {self.n_neurons}) or "
                f"({self.n_networks}, n_states, {self.n_neurons}), the networks "
                f"first; got {np.shape(r)}. Several states of one network: states[None]"
            )
        return states, (lambda x: x[:, 0]) if squeeze else (lambda x: x)


def _as_batch(name: str, values: ArrayLike, ndim: int) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim == ndim - 1:
        array = array[None]
    if array.ndim != ndim or 0 in array.shape[1:]:
        raise ValueError(
            f"{name} must be a non-empty array of {ndim - 1} or {ndim} dimensions; "
            f"got shape {np.shape(values)}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity")
    return array


def _per_neuron(name: str, value: float | ArrayLike, n_neurons: int) -> np.ndarray:
    array = np.asarray(value, dtype=float)
    if array.shape not in ((), (n_neurons,)) or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be a finite number or an array of shape ({n_neurons},); "
            f"got shape {array.shape}"
        )
    return np.broadcast_to(array, (n_neurons,))
