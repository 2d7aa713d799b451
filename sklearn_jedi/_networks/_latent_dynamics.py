"""Dynamics of a few latents, driven by units that read them."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._networks._dynamics import (
    Dynamics,
    as_batch,
    per_unit,
    sorted_eigenvalues,
)
from sklearn_jedi._networks._low_rank_rnn import LowRankRNN
from sklearn_jedi._networks._nonlinearities import Nonlinearity

__all__ = ["LatentDynamics"]


class LatentDynamics(Dynamics):
    r"""A batch of dynamical systems of latents that share their units.

    The latents `z` of each network obey

    .. math:: \tau \dot z = -z + W^T \phi(P z + d) + b,

    integrated by Euler steps of `dt`, with `phi(u) = f(gain u) / gain` and `f` named by
    `nonlinearity`. `P` and `d`, by which units read the latents, are shared by the
    networks; `W` and `b` are each network's own. The units then behave like a rate
    network with the low-rank weights `J = P W^T`, as long as its state lies in the
    subspace that the latents span [1]_; `networks` returns that rate network. Given
    latent dynamics, analyzers take and return states, directions and distances in
    latents.

    Parameters
    ----------
    readin : array-like of shape (n_units, n_latents)
        How the units read the latents, `P`, of full column rank. Its columns need not
        be orthonormal.
    weights : array-like of shape ([n_networks,] n_units, n_latents)
        How the units drive the latents, `W`. A 2-D array is one network.
    bias : array-like of shape (n_networks, n_latents) or (n_latents,), default=None
        Constant input `b` of the latents. None means zero.
    threshold : float or array-like of shape (n_units,), default=None
        State `d` of the units where all latents are 0. None means zero.
    tau : float, default=0.1
        Time constant of the latents in seconds.
    dt : float, default=0.01
        Time step in seconds; at most `tau`.
    nonlinearity : str or Nonlinearity, default="tanh"
        The transfer function `f`: "tanh", "relu", "softplus", "linear", or your own.
    gain : float or array-like of shape (n_units,), default=1.0
        Slope inside `f`. Positive.

    Attributes
    ----------
    n_networks, n_latents, n_units : int
        Sizes of the batch.
    transfer : Nonlinearity
        The transfer function `f`, its slope, and bounds on both.

    Raises
    ------
    ValueError
        If shapes disagree, values are not finite, the read-in lacks full column
        rank, or `dt > tau`.

    See Also
    --------
    LowRankRNN : Networks whose units are the recorded neurons.

    References
    ----------
    .. [1] Beiran, Dubreuil, Valente, Mastrogiuseppe and Ostojic, "Shaping dynamics with
       multiple populations in low-rank recurrent networks", Neural Computation 33
       (2021).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi import LatentDynamics
    >>> from sklearn_jedi.analysis import FixedPointAnalyzer
    >>> readin = np.linalg.qr(np.random.default_rng(0).standard_normal((30, 2)))[0]
    >>> latent = LatentDynamics(readin, readin @ np.diag([2.0, 0.5]))
    >>> latent.eigenvalues.real.round(6).tolist()
    [[2.0, 0.5]]
    >>> latent.simulate([0.1, 0.0], 200).shape
    (1, 200, 2)
    >>> points = FixedPointAnalyzer(random_state=0).fit(latent)
    >>> points.fixed_points_[0].shape, points.stability_type_[0].tolist()
    ((3, 2), ['stable node', 'stable node', 'saddle (1)'])
    """

    state_axis = "latents"

    def __init__(
        self,
        readin: ArrayLike,
        weights: ArrayLike,
        bias: ArrayLike | None = None,
        threshold: float | ArrayLike | None = None,
        tau: float = 0.1,
        dt: float = 0.01,
        nonlinearity: str | Nonlinearity = "tanh",
        *,
        gain: float | ArrayLike = 1.0,
    ) -> None:
        self.readin = np.asarray(readin, dtype=float)
        if self.readin.ndim != 2 or 0 in self.readin.shape:
            raise ValueError(
                "readin must have the shape (n_units, n_latents), one matrix for all "
                f"networks; got {self.readin.shape}"
            )
        if not np.isfinite(self.readin).all():
            raise ValueError("readin contains NaN or infinity")
        n_units, n_latents = self.readin.shape
        if n_latents > n_units:
            raise ValueError(
                f"readin has {n_units} units for {n_latents} latents; at least as many "
                "units as latents are needed: its shape is (n_units, n_latents), is it "
                "transposed?"
            )
        if np.linalg.matrix_rank(self.readin) < n_latents:
            raise ValueError(
                f"readin must have full column rank, {n_latents}: otherwise there are "
                "latents that no unit reads"
            )
        self.weights = as_batch("weights", weights, 3)
        if self.weights.shape[1:] != self.readin.shape:
            raise ValueError(
                f"weights must have the shape (n_networks, {n_units}, {n_latents}), as "
                f"many units and latents as readin; got {self.weights.shape}"
            )
        n_networks = len(self.weights)
        if bias is None:
            bias = np.zeros((n_networks, n_latents))
        self.bias = as_batch("bias", bias, 2)
        if self.bias.shape != (n_networks, n_latents):
            raise ValueError(
                f"bias must have shape {(n_networks, n_latents)}, one value per "
                f"network and latent; got {self.bias.shape}"
            )
        self._set_equation(tau, dt, nonlinearity, gain, n_units)
        self.threshold = per_unit(
            "threshold", 0.0 if threshold is None else threshold, n_units
        )

    # ------------------------------------------------------------ as a container

    @property
    def n_networks(self) -> int:
        return len(self.weights)

    @property
    def n_units(self) -> int:
        return int(self.weights.shape[1])

    @property
    def n_latents(self) -> int:
        return int(self.weights.shape[2])

    @property
    def state_dim(self) -> int:
        return self.n_latents

    @property
    def n_dims(self) -> int:
        return self.n_latents

    @property
    def _input_vectors(self) -> np.ndarray:
        return self.weights

    def _select(self, rows: slice | np.ndarray) -> Self:
        return type(self)(
            self.readin,
            self.weights[rows],
            self.bias[rows],
            self.threshold,
            self.tau,
            self.dt,
            self.nonlinearity,
            gain=self.gain,
        )

    def __repr__(self) -> str:
        return (
            f"LatentDynamics(n_networks={self.n_networks}, n_units={self.n_units}, "
            f"n_latents={self.n_latents}, tau={self.tau}, dt={self.dt}, "
            f"nonlinearity={self.nonlinearity!r})"
        )

    # -------------------------------------------------------------- the dynamics

    @property
    def networks(self) -> LowRankRNN:
        """The rate networks of the units, whose states are `P z + d`."""
        return LowRankRNN(
            np.broadcast_to(self.readin, self.weights.shape),
            self.weights,
            self.units(self.bias),
            self.tau,
            self.dt,
            self.nonlinearity,
            gain=self.gain,
        )

    @property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues of `W^T P`, the linear dynamics where every slope is 1.

        Those of `J = P W^T` other than zeros, the largest magnitude first, of shape
        (n_networks, n_latents), complex.
        """
        return sorted_eigenvalues(np.swapaxes(self.weights, 1, 2) @ self.readin)

    def units(self, z: ArrayLike) -> np.ndarray:
        """States `P z + d` of the units.

        Parameters
        ----------
        z : array-like of shape (..., n_latents)
            Latents.

        Returns
        -------
        array of shape (..., n_units)
        """
        units: np.ndarray = np.asarray(z, dtype=float) @ self.readin.T + self.threshold
        return units

    def _unit_states(self, states: np.ndarray) -> np.ndarray:
        return self.units(states)

    def _spread(self, kappa: np.ndarray) -> np.ndarray:
        drive: np.ndarray = kappa + self.bias[:, None]
        return drive

    def _drive_jacobian(self, slopes: np.ndarray) -> np.ndarray:
        weighted = np.swapaxes(self.weights, 1, 2)[:, None] * slopes[..., None, :]
        jacobian: np.ndarray = weighted @ self.readin
        return jacobian
