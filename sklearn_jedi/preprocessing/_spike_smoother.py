"""Gaussian smoothing of spike counts along time."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.ndimage import convolve1d

from sklearn_jedi._data._gate import Summary
from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._utils._checks import check_real
from sklearn_jedi.preprocessing._base import TrialStep

__all__ = ["SpikeSmoother"]

# Where the kernel is cut off, in standard deviations; as in scipy.ndimage.
_TRUNCATE = 4.0
# Bins: with a smaller standard deviation the next bin weighs less than 0.04 %.
_NARROWEST = 0.25


class SpikeSmoother(TrialStep):
    """Smooth each neuron of each trial with a Gaussian.

    A value is the mean of the recorded bins around it, weighted by the kernel. Weights
    are normalised over the bins of the trial that were recorded: at edges and beside
    gaps the average is over fewer bins, activity does not sag towards zero, and a
    constant stays what it is. Nothing is made up: NaN stays NaN.

    The unit stays that of X (counts per bin of `dt`, usually). Models with noise in
    their observations (``observation="noisy"`` or ``"poisson"``) do better without
    smoothing.

    Parameters
    ----------
    width : float, default=0.025
        Standard deviation of the Gaussian in seconds. The kernel ends at 4 standard
        deviations.
    dt : float, default=0.01
        Time step in seconds.
    causal : bool, default=False
        True to average over the present and the past only, with half a Gaussian. The
        result lags behind, by about ``0.8 * width - 0.3 * dt``.

    Attributes
    ----------
    n_features_in_ : int
        Time points of the longest trial of `fit`.
    n_timepoints_in_ : int, or int array of shape (n_trials,)
        Time points of the trials of `fit`, an array where they differ.
    n_neurons_in_ : int
        Neurons of `fit`.
    neuron_names_in_ : array of shape (n_neurons,)
        Only where trials are data frames with names, or labelled arrays.

    Raises
    ------
    ValueError, TypeError
        From `fit`, if a parameter or the trials cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.preprocessing import SpikeSmoother
    >>> X = np.zeros((1, 9, 1))
    >>> X[0, 4] = 1
    >>> SpikeSmoother(0.01, dt=0.01).fit_transform(X)[0, :, 0].round(3)
    array([0.   , 0.005, 0.054, 0.242, 0.399, 0.242, 0.054, 0.005, 0.   ])
    >>> SpikeSmoother(0.01, dt=0.01, causal=True).fit_transform(X)[0, :, 0].round(3)
    array([0.   , 0.   , 0.   , 0.   , 0.57 , 0.346, 0.077, 0.006, 0.   ])
    """

    def __init__(
        self, width: float = 0.025, *, dt: float = 0.01, causal: bool = False
    ) -> None:
        self.width = width
        self.dt = dt
        self.causal = causal

    def _check_parameters(self) -> None:
        check_real("width", self.width)
        check_real("dt", self.dt)
        if not isinstance(self.causal, (bool, np.bool_)):
            raise TypeError(f"causal must be True or False; got {self.causal!r}")
        if self.width < _NARROWEST * self.dt:
            raise ValueError(
                f"width={self.width:g} s is so small beside dt={self.dt:g} s that "
                "nothing is smoothed: both are in seconds, 25 ms is 0.025. To leave "
                'the step out of a Pipeline, set it to "passthrough"'
            )

    def _learn(self, trials: Trials, summary: Summary) -> None:
        longest = trials.n_timepoints * self.dt
        if self.width > longest:
            warnings.warn(
                f"width={self.width:g} s exceeds the longest trial ({longest:g} s): "
                "little but the mean of each trial remains. Both width and dt are in "
                "seconds, 25 ms is 0.025",
                UserWarning,
                stacklevel=3,
            )

    def _forward(self, block: Block) -> np.ndarray:
        weights, origin = self._kernel(block.values.shape[1])
        within = block.within if block.recorded is None else block.bins
        if block.recorded is None or (within == block.recorded.any(2)).all():
            present = within[..., None]
        else:
            present = block.recorded
        sums, mass = (
            convolve1d(
                x.astype(np.float64, copy=False),
                weights,
                axis=1,
                mode="constant",
                origin=origin,
            )
            for x in (block.values, present)
        )
        # where there is no weight at all, nothing was recorded either
        return sums / np.where(present, mass, 1.0)

    def _kernel(self, n_timepoints: int) -> tuple[np.ndarray, int]:
        """Weights by lag, and where their centre is; no longer than they can reach."""
        sd = self.width / self.dt
        radius = int(min(_TRUNCATE * sd + 0.5, n_timepoints - 1))
        past = np.exp(-0.5 * (np.arange(radius + 1) / sd) ** 2)
        if self.causal:
            return past, -(len(past) // 2)
        return np.concatenate([past[:0:-1], past]), 0
