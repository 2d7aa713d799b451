"""Linear state-space models as networks, so that the analyzers run on them."""

from __future__ import annotations

import numpy as np

from sklearn_jedi import LowRankRNN


def linear_network(
    A: np.ndarray,
    b: np.ndarray,
    C: np.ndarray,
    d: np.ndarray,
    dt: float = 0.01,
    tau: float = 0.1,
) -> LowRankRNN:
    r"""The linear network whose map is that of the expected activity.

    `z' = A z + b` read out as `x = C z + d` is, for `x` in the range of the readout,

    .. math:: x' = (1 - a) x + a (U V^T (x - d) + c), \quad a = dt / \tau,

    with `U = C`, `V^T = (A - (1 - a) I) C^+ / a` and `c = d + C b / a`. The nonzero
    eigenvalues of `U V^T` are `1 + (mu - 1) / a` for `mu` those of `A`.

    Parameters
    ----------
    A, b : arrays of shape (n_states, n_states) and (n_states,)
    C, d : arrays of shape (n_neurons, n_states) and (n_neurons,)
    dt, tau : float
        In seconds.
    """
    a = dt / tau
    Vt = (A - (1 - a) * np.eye(len(A))) @ np.linalg.pinv(C) / a
    bias = d + C @ b / a
    return LowRankRNN(C, Vt.T, bias, tau, dt, "linear", offset=d)
