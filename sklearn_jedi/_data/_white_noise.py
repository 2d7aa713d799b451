"""The rule that tells noisy recordings from activity that is nearly free of noise."""

from __future__ import annotations

import numpy as np

from sklearn_jedi._data._trials import Trials

# Recordings with a larger share of white noise in their variance have noise.
_MOST_WHITE = 0.1
_TRIALS = 64
_SHORTEST = 6


def choose_observation(trials: Trials, mean: np.ndarray, partial_bins: int) -> str:
    """Return "gaussian" where recordings need a model of noise, otherwise "state".

    They do where white noise makes up more than a tenth of the variance, or where some
    neurons are missing in bins that others have.

    Parameters
    ----------
    trials : Trials
        In network units.
    mean : array of shape (n_neurons,)
        Of the recordings, in network units.
    partial_bins : int
        Bins in which some neurons were recorded and others were not.
    """
    if partial_bins or white_share(trials, mean) > _MOST_WHITE:
        return "gaussian"
    return "state"


def white_share(trials: Trials, mean: np.ndarray) -> float:
    """Share of white noise in the variance, pooled over neurons.

    White noise is in the autocovariance at lag zero only. What the rest would be there
    is extrapolated from lags 1 to 3 by a parabola; zero for shorter trials than 6 bins.
    """
    if trials.n_timepoints < _SHORTEST:
        return 0.0
    sums, counts = np.zeros(4), np.zeros(4)
    for block in trials.sample(_TRIALS).blocks():
        centred = block.masked(block.values - mean)
        n_timepoints = centred.shape[1]
        for lag in range(min(4, n_timepoints)):
            stop = n_timepoints - lag
            sums[lag] += np.vdot(centred[:, :stop], centred[:, lag:])
            if block.recorded is None:
                counts[lag] += centred[:, :stop].size
            else:
                pairs = block.recorded[:, :stop] & block.recorded[:, lag:]
                counts[lag] += pairs.sum()
    if not counts.all() or sums[0] == 0:
        return 0.0
    covariance = sums / counts
    smooth = 3 * covariance[1] - 3 * covariance[2] + covariance[3]
    return float(1 - smooth / covariance[0])
