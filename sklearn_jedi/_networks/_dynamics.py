"""What batches of networks share: states, Euler steps, derivatives, simulation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_jedi._networks._equation import Equation
from sklearn_jedi._networks._nonlinearities import Nonlinearity
from sklearn_jedi._utils._types import RandomState

__all__ = ["Dynamics", "as_batch", "per_unit", "sorted_eigenvalues"]


class Dynamics(ABC):
    r"""A batch of networks, each of which relaxes towards what its units drive.

    The base of `LowRankRNN` and `LatentDynamics`. A state `x` obeys `Equation` with the
    drive `F(x)`, an affine function of the activity `phi` of the units, which alone is
    nonlinear. Subclasses call `_set_equation` and define what is abstract here.
    Analyzers use the public names of this class, and the reduction of its subclasses in
    `sklearn_jedi.analysis._reduced.ReducedDynamics`; a new subclass needs one there.

    Attributes
    ----------
    state_axis : str
        What the last axis of states holds.
    equation : Equation
        How states move. Its parts are also attributes of their own: `tau`, `dt`,
        `transfer` and `gain`, an array of shape (n_units,).
    nonlinearity : str or Nonlinearity
        The transfer function as it was given.
    """

    state_axis: str
    equation: Equation
    nonlinearity: str | Nonlinearity
    tau: float
    dt: float
    transfer: Nonlinearity
    gain: np.ndarray

    # ------------------------------------------------------ what subclasses define

    @property
    @abstractmethod
    def n_networks(self) -> int:
        """Size of the batch."""

    @property
    @abstractmethod
    def state_dim(self) -> int:
        """Length of a state."""

    @property
    @abstractmethod
    def n_dims(self) -> int:
        """Dimensions of the subspace that holds every attractor."""

    @property
    @abstractmethod
    def _input_vectors(self) -> np.ndarray:
        """`V` (n_networks, n_units, rank), of the activity that enters `F`."""

    @abstractmethod
    def _select(self, rows: slice | np.ndarray) -> Self:
        """The networks at a slice, or at an array of indices."""

    @abstractmethod
    def _unit_states(self, states: np.ndarray) -> np.ndarray:
        """States of the units (..., n_units), whose activity is `equation.phi`."""

    @abstractmethod
    def _spread(self, kappa: np.ndarray) -> np.ndarray:
        """`F` from `V^T phi`, of shape (n_networks, n_states, rank)."""

    @abstractmethod
    def _drive_jacobian(self, slopes: np.ndarray) -> np.ndarray:
        """Derivative of `F` at slopes of shape (n_networks, n_states, n_units)."""

    def _set_equation(
        self,
        tau: float,
        dt: float,
        nonlinearity: str | Nonlinearity,
        gain: float | ArrayLike,
        n_units: int,
    ) -> None:
        """Check and keep the time step and the transfer function."""
        if not 0 < dt <= tau < np.inf:
            raise ValueError(f"0 < dt <= tau is needed; got dt={dt} s and tau={tau} s")
        self.gain = per_unit("gain", gain, n_units)
        if not (self.gain > 0).all():
            raise ValueError("gain must be positive everywhere")
        self.nonlinearity = nonlinearity
        self.equation = Equation.of(float(tau), float(dt), nonlinearity, self.gain)
        self.tau, self.dt, self.transfer, _ = self.equation

    # ------------------------------------------------------------ as a container

    def __len__(self) -> int:
        return self.n_networks

    def __getitem__(self, index: SupportsIndex | slice | ArrayLike) -> Self:
        """Select networks by an integer, slice, mask or array of indices."""
        if isinstance(index, tuple):  # scikit-learn indexes with (rows, ...)
            index = index[0]
        if isinstance(index, slice):
            return self._select(index)
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(
                    f"network {index} was asked for; there are {len(self)}"
                )
            index = [int(index)]
        rows = np.asarray(index)
        return self._select(rows if rows.size else rows.astype(int))

    # -------------------------------------------------------------- the dynamics

    def phi(self, states: ArrayLike) -> np.ndarray:
        """Activity of the units.

        Parameters
        ----------
        states : array-like of shape (..., state_dim)
            Rates of neurons, or latents.

        Returns
        -------
        array of shape (..., n_units)
        """
        return self.equation.phi(self._unit_states(np.asarray(states, dtype=float)))

    def phi_slope(self, states: ArrayLike) -> np.ndarray:
        """Slope of the transfer function of each unit (no unit).

        Parameters
        ----------
        states : array-like of shape (..., state_dim)
            As in `phi`.

        Returns
        -------
        array of shape (..., n_units)
        """
        units = self._unit_states(np.asarray(states, dtype=float))
        _, slope = self.equation.activity(units)
        return slope()

    def vector_field(self, states: ArrayLike) -> np.ndarray:
        """Time derivative of the flow, in units of the states per second.

        Parameters
        ----------
        states : array-like of shape (n_networks, state_dim) or \
                (n_networks, n_states, state_dim)
            States, of every network its own: `state_dim` rates of neurons, or latents.
            A 1-D array is one state shared by all networks.

        Returns
        -------
        array of the shape of states (2-D where they were 1-D)
        """
        x, restore = self._as_states(states)
        return restore(self.equation.velocity(x, self._drive(x)))

    def speed(self, states: ArrayLike) -> np.ndarray:
        """Length of the vector field, precise also where it is nearly zero.

        Parameters
        ----------
        states : array-like
            Shapes as in `vector_field`.

        Returns
        -------
        array of the shape of states without its last axis
        """
        x, restore = self._as_states(states)
        # numpy sums pairwise along the last axis; matrix products are off by up to a
        # rounding per unit
        weights = np.ascontiguousarray(np.swapaxes(self._input_vectors, 1, 2))
        kappa = (self.phi(x)[:, :, None] * weights[:, None]).sum(-1)
        velocity = self.equation.velocity(x, self._spread(kappa))
        return restore(np.linalg.norm(velocity, axis=-1))

    def step(self, states: ArrayLike) -> np.ndarray:
        """One Euler step of `dt`.

        Parameters
        ----------
        states : array-like
            Shapes as in `vector_field`.

        Returns
        -------
        array of the shape of states (2-D where they were 1-D)
        """
        x, restore = self._as_states(states)
        return restore(self.equation.step(x, self._drive(x)))

    def jacobian(self, states: ArrayLike, *, time: str = "map") -> np.ndarray:
        """Derivative of the map or of the flow at given states.

        Parameters
        ----------
        states : array-like
            Shapes as in `vector_field`.
        time : {"map", "flow"}, default="map"
            "map" differentiates one step of `dt` (no unit), "flow" the vector
            field (1/s).

        Returns
        -------
        array of shape (..., state_dim, state_dim)
        """
        if time not in ("map", "flow"):
            raise ValueError(f'time must be "map" or "flow"; got {time!r}')
        x, restore = self._as_states(states)
        of_drive = self._drive_jacobian(self.phi_slope(x))
        return restore(self.equation.linearised(of_drive, time))

    def simulate(
        self,
        initial_states: ArrayLike,
        n_timepoints: int,
        *,
        inputs: ArrayLike | None = None,
        noise: float = 0.0,
        random_state: RandomState = None,
    ) -> np.ndarray:
        """Run the networks by Euler steps of `dt`.

        Parameters
        ----------
        initial_states : array-like
            Where to start; shapes as in `vector_field`.
        n_timepoints : int
            Number of time points returned, the initial one included.
        inputs : array-like, default=None
            Input added to the bias, in its unit, that broadcasts against
            (n_networks, n_timepoints - 1, state_dim), or against
            (n_networks, n_states, n_timepoints - 1, state_dim) for several
            states a network.
        noise : float, default=0.0
            Standard deviation, in the unit of the states, of independent Gaussian noise
            added to every neuron, or latent, at every step.
        random_state : int, RandomState instance or None, default=None
            Draws the noise.

        Returns
        -------
        array of shape (n_networks, n_timepoints, state_dim) or \
                (n_networks, n_states, n_timepoints, state_dim)
        """
        if n_timepoints < 1:
            raise ValueError(f"n_timepoints must be at least 1; got {n_timepoints}")
        states, restore = self._as_states(initial_states)
        added = None
        if inputs is not None:
            added = np.asarray(inputs, dtype=float)
            if added.ndim == 3 and np.ndim(initial_states) < 3:
                added = added[:, None]
            want = (*states.shape[:2], n_timepoints - 1, self.state_dim)
            try:
                added = np.broadcast_to(added, want)
            except ValueError:
                raise ValueError(
                    f"inputs of shape {np.shape(inputs)} do not broadcast to {want}"
                ) from None
        rng = check_random_state(random_state) if noise else None
        trajectory = np.empty((*states.shape[:2], n_timepoints, self.state_dim))
        trajectory[:, :, 0] = states
        for t in range(1, n_timepoints):
            drive = self._drive(states)
            if added is not None:
                drive = drive + added[:, :, t - 1]
            states = self.equation.step(states, drive)
            if rng is not None:
                states = states + noise * rng.standard_normal(states.shape)
            trajectory[:, :, t] = states
        return restore(trajectory)

    def _drive(self, states: np.ndarray) -> np.ndarray:
        """`F` at states of shape (n_networks, n_states, state_dim)."""
        return self._spread(self.phi(states) @ self._input_vectors)

    def _as_states(
        self, states: ArrayLike
    ) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """States as (n_networks, n_states, state_dim), and the way back."""
        x = np.asarray(states, dtype=float)
        if x.ndim == 1:
            x = np.broadcast_to(x, (self.n_networks, x.shape[0]))
        squeeze = x.ndim == 2
        if squeeze:
            x = x[:, None]
        if x.ndim != 3 or x.shape[0] != self.n_networks or x.shape[2] != self.state_dim:
            raise ValueError(
                f"states must have shape ({self.n_networks}, {self.state_dim}) or "
                f"({self.n_networks}, n_states, {self.state_dim}), the networks first, "
                f"the {self.state_axis} last; got {np.shape(states)}. Several states "
                "of one network: states[None]"
            )
        return x, (lambda x: x[:, 0]) if squeeze else (lambda x: x)


def sorted_eigenvalues(matrices: np.ndarray) -> np.ndarray:
    """Complex eigenvalues of each, the largest magnitude first."""
    values = np.linalg.eigvals(matrices).astype(complex)
    order = np.argsort(-np.abs(values), axis=1, kind="stable")
    ordered: np.ndarray = np.take_along_axis(values, order, axis=1)
    return ordered


def as_batch(name: str, values: ArrayLike, ndim: int) -> np.ndarray:
    """A finite array of `ndim` axes; without the first, that of one network.

    Raises
    ------
    ValueError
        If it has other axes, an empty one, or values that are not finite.
    """
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


def per_unit(name: str, value: float | ArrayLike, n_units: int) -> np.ndarray:
    """A number, or one for each unit, as an array of shape (n_units,).

    Raises
    ------
    ValueError
        If it has another shape, or is not finite.
    """
    array = np.asarray(value, dtype=float)
    if array.shape not in ((), (n_units,)) or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be a finite number or an array of shape ({n_units},); "
            f"got shape {array.shape}"
        )
    return np.broadcast_to(array, (n_units,))
