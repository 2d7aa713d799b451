"""The rule that tells noisy recordings from activity that is nearly free of noise."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from sklearn_jedi._data._spectra import Pieces, frequencies

# Recordings with a larger share of white noise in their variance have noise: beyond it
# a model of noise forecasts rotations, attractors, oscillators and driven networks
# better in nine of ten cases, in bins of 10 to 50 ms; without noise in half of them.
_MOST_WHITE = 0.01
# The share of frequencies, those of least power, that white noise is found from. Trends
# dominate the first ones.
_QUIET = 0.5
_FIRST = 2


def choose_observation(pieces: Pieces | None, partial_bins: int) -> str:
    """Return "gaussian" where recordings need a model of noise, otherwise "state".

    They do where white noise makes up more than a hundredth of the variance, or where
    some neurons are missing in bins that others have.

    Parameters
    ----------
    pieces : Pieces or None
        In network units.
    partial_bins : int
        Bins in which some neurons were recorded and others were not.
    """
    if partial_bins or white_share(pieces) > _MOST_WHITE:
        return "gaussian"
    return "state"


def white_share(pieces: Pieces | None) -> float:
    """Share of white noise in the variance, pooled over neurons.

    White noise has the same power at all frequencies; activity, however fast its
    rhythm, has little at some of them. Zero where there are no pieces: trials were too
    short to tell.
    """
    if pieces is None:
        return 0.0
    variance = pieces.variances().sum()
    if variance == 0:
        return 0.0
    power = mean_power(pieces.transforms(), pieces).sum(1)
    white = white_weights(power, pieces) @ power
    return float(np.clip(white / variance, 0.0, 1.0))


def mean_power(transforms: np.ndarray, pieces: Pieces) -> np.ndarray:
    """Mean square (n_frequencies, n_neurons) over the pieces that have the neuron."""
    squares = np.einsum("pfn,pfn->fn", transforms, transforms.conj()).real
    return np.asarray(squares / np.maximum(pieces.present.sum(0), 1))


def white_weights(power: np.ndarray, pieces: Pieces) -> np.ndarray:
    """Weights (n_frequencies,) whose sum with a spectrum is the variance of its noise.

    At the half of the frequencies that have the least power, the spectrum is described
    as that of white noise plus one that falls as the tail of a random walk's, which is
    what leaky neurons make of the noise of their steps. Neither is negative, and errors
    count relative to the power.

    Parameters
    ----------
    power : array of shape (n_frequencies,)
        The spectrum, of all neurons together.
    """
    weights = np.zeros(len(power))
    if not power.any():
        return weights
    power = np.maximum(power, np.finfo(float).eps * power.max())
    usable = np.arange(min(_FIRST, len(power) - 3), len(power))
    n_quiet = max(3, int(np.ceil(_QUIET * len(usable))))
    quiet = usable[np.argsort(power[usable], kind="stable")[:n_quiet]]
    radians = frequencies(pieces.values.shape[1])[quiet]
    shapes = np.stack([np.ones(n_quiet), 2 / (1 - np.cos(radians))], 1)
    relative = shapes / power[quiet, None]
    found = nnls(relative, np.ones(n_quiet))[0] > 0
    if found[0]:
        weights[quiet] = np.linalg.pinv(relative[:, found])[0] / power[quiet]
    return weights
