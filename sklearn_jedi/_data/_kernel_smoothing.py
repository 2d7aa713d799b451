"""Weighted means along time, over the bins that were recorded."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve1d

from sklearn_jedi._data._trials import Block

# Weight of `default` in units of a kernel whose bins were all recorded.
_LITTLE = 1e-6


def gaussian_kernel(sd: float, reach: int) -> np.ndarray:
    """Weights of a Gaussian, 1 in its centre.

    Parameters
    ----------
    sd : float
        Standard deviation, in bins.
    reach : int
        Bins after which the kernel is cut off, on either side.

    Returns
    -------
    array of shape (2 * reach + 1,)
        Entry ``reach + lag`` weights what was recorded `lag` bins earlier: a kernel
        whose first `reach` entries are set to zero looks at the past only.
    """
    lags: np.ndarray = np.arange(-reach, reach + 1) / sd
    return np.exp(-0.5 * lags**2)


def smoothed(
    block: Block, kernel: np.ndarray, default: np.ndarray | float | None = None
) -> np.ndarray:
    """Means of the recorded bins around each bin, weighted by a kernel.

    Weights are normalised over the recorded bins of the trial, so that a constant stays
    what it is at edges and beside gaps.

    Parameters
    ----------
    block : Block
    kernel : array of shape (2 * reach + 1,)
        As `gaussian_kernel` returns it; none of its entries below zero.
    default : array of shape (n_neurons,) or float, default=None
        Value of bins where nothing was recorded within reach. Elsewhere it counts as a
        millionth of a kernel, and with None as nothing: bins without a recording within
        reach are then 0.

    Returns
    -------
    array of shape (n_trials, n_timepoints, n_neurons)
    """
    total = _convolved(block.values, kernel)
    weight = _convolved(_recorded(block).astype(float), kernel)
    if default is None:
        return np.asarray(total / np.where(weight > 0, weight, 1.0))
    little = _LITTLE * kernel.sum()
    return np.asarray((total + little * default) / (weight + little))


def _convolved(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Sums along time, zero beyond the ends."""
    reach, origin = len(kernel) // 2, 0
    if not kernel[:reach].any():  # half of it would be multiplied by zero
        kernel = kernel[reach:]
        origin = -(len(kernel) // 2)
    out = convolve1d(values, kernel, axis=1, mode="constant", origin=origin)
    return np.asarray(out)


def _recorded(block: Block) -> np.ndarray:
    """What was recorded, with one trial or one neuron where all are the same."""
    if block.recorded is None:
        return np.ones((1, block.values.shape[1], 1), dtype=bool)
    whole = block.bins
    if np.array_equal(whole, block.recorded.any(2)):
        return whole[..., None]
    return block.recorded
