"""The equation in few dimensions: subspaces, rows of the weights, free runs.

With `J = P A^T Q^T` a state splits into `x = P kappa + rest`: the recurrent drive moves
`kappa` alone, and the rest decays towards the mean drive whatever the network does.
Everything here takes numpy arrays and torch tensors alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple

import numpy as np

from sklearn_jedi._networks._equation import Equation, library_of
from sklearn_jedi._networks._nonlinearities import Array

if TYPE_CHECKING:
    import torch


class Rows(NamedTuple, Generic[Array]):
    """Reduced weights, or arrays of their shape, by what each row multiplies.

    The one place that knows the order of the rows: first those of the features, then
    the constant.

    Attributes
    ----------
    features : array of shape (..., n_directions, rank)
    constant : array of shape (..., rank)
    """

    features: Array
    constant: Array

    @classmethod
    def of(cls, weights: Array) -> Rows[Array]:
        """Views of weights (..., K, rank), where K = n_directions + 1."""
        return cls(weights[..., :-1, :], weights[..., -1, :])

    @staticmethod
    def count(n_directions: int) -> int:
        """K, the number of rows of so many feature directions."""
        return n_directions + 1

    @staticmethod
    def leading(n_directions: int, n_rows: int) -> np.ndarray:
        """Numbers of the rows that remain where only the first directions are kept."""
        return np.append(np.arange(n_directions), n_rows - 1)

    @staticmethod
    def design(features: np.ndarray) -> np.ndarray:
        """What weights are multiplied by: features (..., n_directions), a constant."""
        out = np.ones((*features.shape[:-1], features.shape[-1] + 1))
        out[..., :-1] = features
        return out


class Basis(NamedTuple):
    """What all trials share: the subspaces of the weights, in network units.

    Attributes
    ----------
    P : array of shape (n_neurons, rank)
        Orthonormal directions in which the recurrent drive acts.
    Q : array of shape (n_neurons, n_directions)
        Orthonormal directions of the features.
    drive_mean, feature_mean : arrays of shape (n_neurons,)
        Pooled means of drives and of features.
    """

    P: np.ndarray
    Q: np.ndarray
    drive_mean: np.ndarray
    feature_mean: np.ndarray

    @classmethod
    def of_units(cls, loading: np.ndarray) -> Basis:
        """Units with the activity `loading [z, 1]`; features are still to be found."""
        P, offset = loading[:, :-1], loading[:, -1]
        return cls(P, np.empty((len(P), 0)), offset, np.zeros(len(P)))

    def directions(self, n_directions: int) -> Basis:
        """The basis with only the leading feature directions."""
        return self._replace(Q=self.Q[:, :n_directions].copy())


@dataclass(frozen=True)
class Reduction(Generic[Array]):
    """What a free run needs besides weights and states; arrays of one library.

    Attributes
    ----------
    P, Q : arrays of shape (n_neurons, rank), (n_neurons, n_directions)
        As in `Basis`.
    mean_in : array of shape (rank,)
        Mean drive within the span of `P`.
    mean_out : array of shape (n_neurons,)
        Mean drive outside of it.
    feature_mean : array of shape (n_directions,)
        Mean of the reduced features.
    equation : Equation
    """

    P: Array
    Q: Array
    mean_in: Array
    mean_out: Array
    feature_mean: Array
    equation: Equation

    @classmethod
    def of(cls, basis: Basis, equation: Equation) -> Reduction[np.ndarray]:
        """The numpy reduction of a basis."""
        mean_in = basis.drive_mean @ basis.P
        return Reduction(
            basis.P,
            basis.Q,
            mean_in,
            basis.drive_mean - basis.P @ mean_in,
            basis.feature_mean @ basis.Q,
            equation,
        )

    def to_torch(
        self, dtype: torch.dtype, device: torch.device | str = "cpu"
    ) -> Reduction[torch.Tensor]:
        """The same in torch."""
        import torch

        P, Q, mean_in, mean_out, feature_mean = (
            torch.as_tensor(array, dtype=dtype, device=device)
            for array in (
                self.P,
                self.Q,
                self.mean_in,
                self.mean_out,
                self.feature_mean,
            )
        )
        return Reduction(P, Q, mean_in, mean_out, feature_mean, self.equation)

    def split(self, states: Array) -> tuple[Array, Array]:
        """`kappa` of shape (..., rank) and the rest of shape (..., n_neurons)."""
        kappa = states @ self.P
        return kappa, states - kappa @ self.P.T

    def features(self, states: Array) -> tuple[Array, Callable[[], Array]]:
        """Features (..., n_directions) of states (..., n_neurons).

        And a function that returns the slopes of all units' transfer functions, of the
        shape of the states: the features' derivative is `diag(slopes) Q`.
        """
        activity, slope = self.equation.activity(states)
        # one gain for all units, here
        features: Array = activity @ self.Q / float(self.equation.gain)
        return features - self.feature_mean, slope

    def design(self: Reduction[np.ndarray], states: np.ndarray) -> np.ndarray:
        """Features and the constant (..., K) of states (..., n_neurons)."""
        return Rows.design(self.features(states)[0])

    def project(
        self: Reduction[np.ndarray], X: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Reduced drives and features of X (n_trials, n_timepoints, n_neurons).

        Returns
        -------
        drives : array of shape (n_trials, n_timepoints - 1, rank)
            Without their mean.
        features : array of shape (n_trials, n_timepoints - 1, K)
        """
        kappa = X @ self.P
        drives = self.equation.drive(kappa[:, :-1], kappa[:, 1:])
        drives -= self.mean_in
        return drives, self.design(X[:, :-1])

    def unreduced(self, weights: Array) -> Rows[Array]:
        """What the weights (n, K, rank) are, for the activity `phi` of the units.

        Returns
        -------
        Rows
            Of shapes (n, n_neurons, rank) and (n, rank): `V`, so that the drive within
            the span of `P` is `phi V` and a constant, without `mean_in`.
        """
        rows = Rows.of(weights)
        return Rows(self.Q @ rows.features, self.centred(rows))

    def centred(self, rows: Rows[Array]) -> Array:
        """The constant (n, rank) of features whose mean is not taken off."""
        constant: Array = rows.constant - self.feature_mean @ rows.features
        return constant


def free_run(
    red: Reduction[Array],
    weights: Array,
    states: Array,
    n_steps: int,
    noise: Array | None = None,
) -> Array:
    """Coordinates `kappa` of a free run.

    Parameters
    ----------
    red : Reduction
    weights : array of shape (n, K, rank)
        Reduced weights of each run.
    states : array of shape (n, n_neurons)
        Where to start.
    n_steps : int
    noise : array of shape (n, n_steps, rank), default=None
        Added to the coordinates after each step.

    Returns
    -------
    array of shape (n, n_steps, rank)
        The coordinates after each step; the first state is not among them.
    """
    step = red.equation.step
    kappa, rest = red.split(states)
    rows = Rows.of(weights)
    constant = rows.constant + red.mean_in
    path = []
    for t in range(n_steps):
        features, _ = red.features(kappa @ red.P.T + rest)
        drive = (features[:, None] @ rows.features)[:, 0] + constant
        kappa = step(kappa, drive)
        if noise is not None:
            kappa = kappa + noise[:, t]
        rest = step(rest, red.mean_out)
        path.append(kappa)
    run: Array = library_of(kappa).stack(path, 1)
    return run


def run_with_sensitivity(
    red: Reduction[np.ndarray],
    weights: np.ndarray,
    slopes: np.ndarray,
    states: np.ndarray,
    n_steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """A free run and its derivative with respect to the embedding.

    Parameters
    ----------
    slopes : array of shape (n, embedding_dim, K, rank)
        Derivatives of the weights.

    Returns
    -------
    path : array of shape (n, n_steps, rank)
    sensitivity : array of shape (n, n_steps, embedding_dim, rank)
    """
    step, P, Q = red.equation.step, red.P, red.Q
    kappa, rest = red.split(states)
    rows = Rows.of(weights)
    constant = rows.constant + red.mean_in
    n, d, n_rows, rank = slopes.shape
    by_row = np.swapaxes(slopes, 1, 2).reshape(n, n_rows, d * rank)
    direct_rows = Rows.of(by_row)
    direct_features = direct_rows.features.copy()
    tangent = np.zeros((n, d, rank))
    path = np.empty((n, n_steps, rank))
    sensitivity = np.empty((n, n_steps, d, rank))
    for t in range(n_steps):
        features, slope = red.features(kappa @ P.T + rest)
        features = features[:, None]
        moved = tangent.reshape(n * d, rank) @ P.T
        moved = moved.reshape(n, d, -1) * slope()[:, None]
        moved = (moved.reshape(n * d, -1) @ Q).reshape(n, d, -1)
        direct = (features @ direct_features)[:, 0] + direct_rows.constant
        tangent = step(tangent, moved @ rows.features + direct.reshape(n, d, rank))
        kappa = step(kappa, (features @ rows.features)[:, 0] + constant)
        rest = step(rest, red.mean_out)
        path[:, t], sensitivity[:, t] = kappa, tangent
    return path, sensitivity


def rest_path(
    red: Reduction[np.ndarray], states: np.ndarray, n_steps: int
) -> np.ndarray:
    """What a free run leaves outside the span of `P`: (n, n_steps, n_neurons)."""
    rest = red.split(states)[1]
    decay = red.equation.decay(n_steps)[:, None]
    path: np.ndarray = decay * rest[:, None] + (1 - decay) * red.mean_out
    return path
