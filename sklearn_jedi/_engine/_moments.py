r"""From trials to the sufficient statistics of the closed-form fit.

With `alpha = dt / tau`, the *drive* `y[t] = (r[t+1] - (1 - alpha) r[t]) / alpha` of a
rate network is `J phi(r[t]) + b`: linear in the weights. Drives are reduced to `rank`
directions `P`, features `phi(r)` to some more directions `Q`, both pooled over trials,
so that `y = f A + noise` with `f = [Q^T (phi(r) - mean), 1]`. Given the moments
`f^T f`, `f^T y`, `y^T y` of each trial, nothing later depends on its length. Averaged
over windows (the weak, or integral, form) the equation still holds, and noise that does
not build up averages out [1]_.

References
----------
.. [1] Messenger and Bortz, "Weak SINDy for partial differential equations",
   Journal of Computational Physics 443 (2021).
.. [2] Halko, Martinsson and Tropp, "Finding structure with randomness: probabilistic
   algorithms for constructing approximate matrix decompositions", SIAM Review 53
   (2011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import linalg

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._networks._nonlinearities import scaled_nonlinearity

# Beyond this many neurons a randomised range finder, linear in their number, is
# quicker than the Gram matrix, quadratic in it.
_EXACT_NEURONS = 500
_POWER_ITERATIONS = 4
# Trials that the subspaces are found from: more would hardly move them.
_BASIS_TRIALS = 2048


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

    def directions(self, n_directions: int) -> Basis:
        """The basis with only the leading feature directions."""
        return self._replace(Q=self.Q[:, :n_directions].copy())


class Moments(NamedTuple):
    """Sufficient statistics of each trial (or group of trials), K = n_directions + 1.

    Attributes
    ----------
    ff, fy, yy : arrays of shape (n_trials, K, K), (n_trials, K, rank) and \
            (n_trials, rank, rank)
    n_windows : array of shape (n_trials,)
        Number of (overlapping) windows summed.
    """

    ff: np.ndarray
    fy: np.ndarray
    yy: np.ndarray
    n_windows: np.ndarray

    def grouped(self, block: Block) -> Moments:
        """The moments of each group of trials."""
        return Moments(*(block.sum_groups(part) for part in self))

    def directions(self, n_directions: int) -> Moments:
        """The moments with only the leading feature directions (and the constant)."""
        keep = np.r_[:n_directions, self.ff.shape[1] - 1]
        ff = self.ff[:, keep[:, None], keep]
        return Moments(ff, self.fy[:, keep], self.yy, self.n_windows)


def find_basis(
    trials: Trials, nonlinearity: str, gain: float, alpha: float, rank: int, n_dirs: int
) -> Basis:
    """Leading directions of what the drive adds to the activity, and of the features.

    A free run can only leave the decay of its first state within the span of `P`, so
    `P` are the principal components of `r[t] - (1 - alpha)^t r[0]`, the drive as the
    neurons' own time constant filters it: recording noise weighs less there than in
    the drive itself. The first bin of each trial has to be recorded as a whole.
    """
    trials = trials.sample(_BASIS_TRIALS)
    n_neurons = trials.n_neurons
    total, n_rows = np.zeros(n_neurons), 0
    for block in trials.blocks():
        X, steps = block.values, block.steps
        change = X[:, 1:] - (1 - alpha) * X[:, :-1]
        total += np.einsum("nt,ntk->k", steps.astype(float), change)
        n_rows += int(steps.sum())
    drive_mean = total / (alpha * max(n_rows, 1))

    def driven() -> Iterator[np.ndarray]:
        for block in trials.blocks():
            X = block.values
            decay = (1 - alpha) ** np.arange(1, X.shape[1])[:, None]
            driven = X[:, 1:] - decay * X[:, :1] - (1 - decay) * drive_mean
            yield _rows(driven, block.bins[:, 1:])

    def features() -> Iterator[np.ndarray]:
        for block in trials.blocks():
            activity = scaled_nonlinearity(nonlinearity, block.values[:, :-1], gain)
            yield _rows(activity, block.steps)

    P, _ = leading_directions(driven, rank, n_neurons, centre=False)
    Q, feature_mean = leading_directions(features, n_dirs, n_neurons, centre=True)
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
    random start [2]_, whose cost is linear in the number of neurons.
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
    return linalg.eigh(0.5 * (matrix + matrix.T), subset_by_index=(last - k + 1, last))[
        1
    ][:, ::-1].copy()


def project(
    X: np.ndarray, basis: Basis, nonlinearity: str, gain: float, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Reduced drives (n_trials, n_steps, rank) and features (n_trials, n_steps, K)."""
    states = X @ basis.P
    drives = (states[:, 1:] - (1 - alpha) * states[:, :-1]) / alpha
    drives -= basis.drive_mean @ basis.P
    return drives, features_of(X[:, :-1], basis, nonlinearity, gain)


def features_of(
    X: np.ndarray, basis: Basis, nonlinearity: str, gain: float
) -> np.ndarray:
    """Reduced features (n_trials, n_timepoints, K) of activity X, the constant last."""
    features = np.ones((*X.shape[:2], basis.Q.shape[1] + 1))
    features[..., :-1] = scaled_nonlinearity(nonlinearity, X, gain) @ basis.Q
    features[..., :-1] -= basis.feature_mean @ basis.Q
    return features


def moving_average(series: np.ndarray, window: int) -> np.ndarray:
    """Averages over `window` consecutive steps along axis 1."""
    if window == 1:
        return series
    total = np.cumsum(series, axis=1)
    total[:, window:] -= total[:, :-window].copy()
    return total[:, window - 1 :] / window


def whole_windows(keep: np.ndarray, window: int) -> np.ndarray:
    """Windows (n_trials, n_windows) all of whose steps are kept."""
    if window == 1 or keep.all():
        return keep[:, window - 1 :]
    return moving_average(keep.astype(float), window) > 1 - 0.5 / window


def trial_moments(
    drives: np.ndarray,
    features: np.ndarray,
    window: int,
    keep: np.ndarray,
) -> Moments:
    """Moments of each trial in the weak form, over windows of kept steps only.

    Parameters
    ----------
    drives, features : arrays from `project`
    window : int
        Steps averaged before regressing; 1 is the equation as it stands.
    keep : bool array of shape (n_trials, n_steps)
        Steps that may be used.
    """
    y = moving_average(drives, window)
    f = moving_average(features, window)
    whole = whole_windows(keep, window)
    if not whole.all():
        y = y * whole[..., None]
        f = f * whole[..., None]
    count = whole.sum(1).astype(float)
    f_t = np.swapaxes(f, 1, 2)
    return Moments(f_t @ f, f_t @ y, np.swapaxes(y, 1, 2) @ y, count)


def block_moments(
    block: Block,
    basis: Basis,
    nonlinearity: str,
    gain: float,
    alpha: float,
    window: int,
) -> Moments:
    """Moments of each group of a block."""
    drives, features = project(block.values, basis, nonlinearity, gain, alpha)
    window = min(window, drives.shape[1])
    return trial_moments(drives, features, window, block.steps).grouped(block)


def concatenate(parts: Sequence[Moments]) -> Moments:
    """Moments of several blocks, one after the other."""
    return Moments(*(np.concatenate(part) for part in zip(*parts, strict=True)))
