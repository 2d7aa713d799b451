"""Free runs of the reduced network, for numpy arrays and torch tensors alike.

With `J = P A^T Q^T` a state splits into `r = P kappa + rest`: the recurrent drive moves
`kappa` alone, and the rest decays towards the mean drive whatever the network does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sklearn_jedi._engine._moments import Basis
from sklearn_jedi._networks._nonlinearities import get_nonlinearity


class Reduction(NamedTuple):
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
    alpha : float
        `dt / tau`.
    nonlinearity : str
    gain : float
    """

    P: Any
    Q: Any
    mean_in: Any
    mean_out: Any
    feature_mean: Any
    alpha: float
    nonlinearity: str
    gain: float

    def activity(self, states: Any) -> tuple[Any, Any]:
        """`phi(gain x)`, and a function that gives `phi'(gain x)`."""
        phi, xp = get_nonlinearity(self.nonlinearity), _library(states)
        x = self.gain * states
        value = phi.value(xp, x)
        return value, lambda: phi.slope(xp, x, value)


def _library(array: Any) -> Any:
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def reduction(basis: Basis, alpha: float, nonlinearity: str, gain: float) -> Reduction:
    """The numpy `Reduction` of a basis."""
    mean_in = basis.drive_mean @ basis.P
    return Reduction(
        basis.P,
        basis.Q,
        mean_in,
        basis.drive_mean - basis.P @ mean_in,
        basis.feature_mean @ basis.Q,
        alpha,
        nonlinearity,
        gain,
    )


def to_torch(red: Reduction, dtype: Any, device: Any = "cpu") -> Reduction:
    """The same in torch."""
    import torch

    P, Q, mean_in, mean_out, feature_mean = (
        torch.as_tensor(array, dtype=dtype, device=device) for array in red[:5]
    )
    return red._replace(
        P=P, Q=Q, mean_in=mean_in, mean_out=mean_out, feature_mean=feature_mean
    )


def split_state(red: Reduction, states: Any) -> tuple[Any, Any]:
    """`kappa` of shape (..., rank) and the rest of shape (..., n_neurons)."""
    kappa = states @ red.P
    return kappa, states - kappa @ red.P.T


def free_run(
    red: Reduction, weights: Any, states: Any, n_steps: int, noise: Any = None
) -> Any:
    """Coordinates `kappa` of a free run.

    Parameters
    ----------
    red : Reduction
    weights : array of shape (n, K, rank)
        Reduced weights `A` of each run, the bias in the last row.
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
    alpha = red.alpha
    kappa, rest = split_state(red, states)
    slopes, bias = weights[:, :-1], weights[:, -1] + red.mean_in
    path = []
    for t in range(n_steps):
        activity, _ = red.activity(kappa @ red.P.T + rest)
        features = activity @ red.Q / red.gain - red.feature_mean
        drive = (features[:, None] @ slopes)[:, 0] + bias
        kappa = (1 - alpha) * kappa + alpha * drive
        if noise is not None:
            kappa = kappa + noise[:, t]
        rest = (1 - alpha) * rest + alpha * red.mean_out
        path.append(kappa)
    return _library(kappa).stack(path, 1)


def rest_path(red: Reduction, states: np.ndarray, n_steps: int) -> np.ndarray:
    """What a free run leaves outside the span of `P`: (n, n_steps, n_neurons)."""
    rest = split_state(red, states)[1]
    decay = (1 - red.alpha) ** np.arange(1, n_steps + 1)[:, None]
    return decay * rest[:, None] + (1 - decay) * red.mean_out
