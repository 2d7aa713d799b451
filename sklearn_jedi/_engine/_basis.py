"""The subspaces that the weights of all trials share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy import linalg

from sklearn_jedi._data._trials import Trials
from sklearn_jedi._engine._reduction import Basis
from sklearn_jedi._networks._equation import Equation

# Beyond this many neurons a randomised range finder, linear in their number, is
# quicker than the Gram matrix, quadratic in it.
_EXACT_NEURONS = 500
_POWER_ITERATIONS = 4
# Trials that the subspaces are found from: more would hardly move them.
_BASIS_TRIALS = 2048


def find_basis(
    trials: Trials, equation: Equation, rank: int, n_directions: int
) -> Basis:
    """Leading directions of what the drive adds to the activity, and of the features.

    A free run can only leave the decay of its first state within the span of `P`, so
    `P` are the principal components of the activity without that decay: the drive as
    the neurons' own time constant filters it, where recording noise weighs less than in
    the drive itself. The first bin of each trial has to be recorded as a whole.
    """
    trials = trials.sample(_BASIS_TRIALS)
    n_neurons = trials.n_neurons
    total, n_rows = np.zeros(n_neurons), 0
    for block in trials.blocks():
        X, steps = block.values, block.steps
        drive = equation.drive(X[:, :-1], X[:, 1:])
        total += np.einsum("nt,ntk->k", steps.astype(float), drive)
        n_rows += int(steps.sum())
    drive_mean = total / max(n_rows, 1)

    def driven() -> Iterator[np.ndarray]:
        for block in trials.blocks():
            X = block.values
            decay = equation.decay(X.shape[1] - 1)[:, None]
            driven = X[:, 1:] - decay * X[:, :1] - (1 - decay) * drive_mean
            yield _rows(driven, block.bins[:, 1:])

    def features() -> Iterator[np.ndarray]:
        for block in trials.blocks():
            yield _rows(equation.phi(block.values[:, :-1]), block.steps)

    P, _ = leading_directions(driven, rank, n_neurons, centre=False)
    Q, feature_mean = leading_directions(features, n_directions, n_neurons, centre=True)
    return Basis(P, Q, drive_mean, feature_mean)


def _rows(array: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The kept bins of all trials, (n_rows, n_neurons)."""
    return array.reshape(-1, array.shape[2]) if keep.all() else array[keep]


def leading_directions(
    row_blocks: Callable[[], Iterator[np.ndarray]],
    k: int,
    n_neurons: int,
    *,
    centre: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal principal directions (n_neurons, k), and the mean of the rows.

    From the Gram matrix, or for many neurons by block power iteration from a fixed
    random start [1]_, whose cost is linear in the number of neurons.

    References
    ----------
    .. [1] Halko, Martinsson and Tropp, "Finding structure with randomness:
       probabilistic algorithms for constructing approximate matrix decompositions",
       SIAM Review 53 (2011).
    """
    width = k + 10
    if n_neurons <= _EXACT_NEURONS or width > n_neurons // 2:
        gram, mean = _gram_times(row_blocks, None, n_neurons, centre)
        return _top_eigenvectors(gram, k), mean
    block = np.random.RandomState(0).standard_normal((n_neurons, width))
    for _ in range(_POWER_ITERATIONS):
        product, _ = _gram_times(row_blocks, block, n_neurons, centre)
        block = np.linalg.qr(product)[0]
    product, mean = _gram_times(row_blocks, block, n_neurons, centre)
    return block @ _top_eigenvectors(block.T @ product, k), mean


def _gram_times(
    row_blocks: Callable[[], Iterator[np.ndarray]],
    matrix: np.ndarray | None,
    n_neurons: int,
    centre: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrix of the rows times a matrix (None: itself), and their mean."""
    width = n_neurons if matrix is None else matrix.shape[1]
    product, total, n_rows = np.zeros((n_neurons, width)), np.zeros(n_neurons), 0
    for rows in row_blocks():
        product += rows.T @ (rows if matrix is None else rows @ matrix)
        total += rows.sum(0)
        n_rows += len(rows)
    mean = total / max(n_rows, 1)
    if centre:
        along = mean if matrix is None else mean @ matrix
        product -= n_rows * np.outer(mean, along)
    return product, mean


def _top_eigenvectors(matrix: np.ndarray, k: int) -> np.ndarray:
    """The k eigenvectors of a symmetric matrix with the largest eigenvalues."""
    last = len(matrix) - 1
    result: np.ndarray = linalg.eigh(
        0.5 * (matrix + matrix.T), subset_by_index=(last - k + 1, last)
    )[1][:, ::-1].copy()
    return result
