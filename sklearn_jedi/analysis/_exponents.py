"""Lyapunov exponents of any map, by QR decompositions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["lyapunov_exponents"]


def lyapunov_exponents(
    step: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    states: np.ndarray,
    n_steps: int,
    dt: float,
    *,
    n_exponents: int | None = None,
    n_blocks: int = 20,
    n_between: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Lyapunov exponents of any map, by Benettin's method [1]_.

    Parameters
    ----------
    step : callable
        Takes states (..., n_dims); returns the next ones and the Jacobians of the step,
        (..., n_dims, n_dims).
    states : array of shape (..., n_dims)
        Where to start: on the attractor, transients discarded.
    n_steps : int
        Number of steps; rounded up to whole blocks. A quarter as many go first, in
        which the frame of perturbations turns into place.
    dt : float
        Time of a step in seconds (or any unit).
    n_exponents : int, default=None
        How many of the largest exponents; None means all `n_dims`.
    n_blocks : int, default=20
        Blocks of steps whose means are returned.
    n_between : int, default=1
        Steps between orthonormalisations.

    Returns
    -------
    block_exponents : array of shape (n_blocks, ..., n_exponents)
        Exponents of each block in 1/s (one over the unit of dt), descending on average.
    states : array of shape (..., n_dims)
        Where the runs ended.

    References
    ----------
    .. [1] Benettin, Galgani, Giorgilli and Strelcyn, "Lyapunov characteristic exponents
       for smooth dynamical systems", Meccanica 15 (1980).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.analysis import lyapunov_exponents
    >>> def henon(states):
    ...     x, y = states
    ...     jacobian = np.array([[-2.8 * x, 1], [0.3, 0]])
    ...     return np.array([1 - 1.4 * x**2 + y, 0.3 * x]), jacobian
    >>> blocks, _ = lyapunov_exponents(henon, np.zeros(2), 5000, 1.0)
    >>> blocks.mean(axis=0).round(1)  # published: 0.419, -1.623
    array([ 0.4, -1.6])
    """
    n_dims = states.shape[-1]
    n_exponents = n_exponents or n_dims
    n_rounds = -(-n_steps // (n_blocks * n_between))
    # a frame of coordinate axes could stay within a part of the state space for good
    axes = np.random.default_rng(0).standard_normal((n_dims, n_exponents))
    frame = np.broadcast_to(np.linalg.qr(axes)[0], (*states.shape, n_exponents))
    n_first = max(1, n_blocks // 4)  # in which the frame turns into place
    blocks = np.zeros((n_first + n_blocks, *states.shape[:-1], n_exponents))
    for block in blocks:
        for _ in range(n_rounds):
            for _ in range(n_between):
                states, jac = step(states)
                frame = jac @ frame
            frame, stretch = np.linalg.qr(frame)
            sizes = np.abs(np.diagonal(stretch, axis1=-2, axis2=-1))
            block += np.log(np.maximum(sizes, 1e-300))
    return blocks[n_first:] / (n_rounds * n_between * dt), states
