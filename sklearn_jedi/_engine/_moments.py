r"""From trials to the sufficient statistics of the closed-form fit.

The drive `y` of a rate network (see `Equation`) is `J phi(x) + b`: linear in the
weights. Drives are reduced to `rank` directions `P`, features `phi(x)` to some more
directions `Q`, both pooled over trials, so that `y = f A + noise` with
`f = [Q^T (phi(x) - mean), 1]`. Given the moments `f^T f`, `f^T y`, `y^T y` of each
trial, nothing later depends on its length. Averaged over windows (the weak, or
integral, form) the equation still holds, and noise that does not build up averages out
[1]_.

References
----------
.. [1] Messenger and Bortz, "Weak SINDy for partial differential equations",
   Journal of Computational Physics 443 (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sklearn_jedi._data._trials import Block
from sklearn_jedi._engine._reduction import Reduction, Rows


class Moments(NamedTuple):
    """Sufficient statistics of each trial (or group of trials), K rows of the weights.

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

    def of(self, trials: np.ndarray) -> Moments:
        """The moments of some trials (or groups)."""
        return Moments(*(part[trials] for part in self))

    def directions(self, n_directions: int) -> Moments:
        """The moments with only the leading feature directions (and the constant)."""
        keep = Rows.leading(n_directions, self.ff.shape[1])
        ff = self.ff[:, keep[:, None], keep]
        return Moments(ff, self.fy[:, keep], self.yy, self.n_windows)


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
    drives, features : arrays from `Reduction.project`
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


def block_moments(block: Block, red: Reduction[np.ndarray], window: int) -> Moments:
    """Moments of each group of a block."""
    drives, features = red.project(block.values)
    window = min(window, drives.shape[1])
    return trial_moments(drives, features, window, block.steps).grouped(block)


def concatenate(parts: Sequence[Moments]) -> Moments:
    """Moments of several blocks, one after the other."""
    return Moments(*(np.concatenate(part) for part in zip(*parts, strict=True)))
