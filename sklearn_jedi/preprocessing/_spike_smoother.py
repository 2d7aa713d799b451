"""Gaussian smoothing of spike counts along time."""

from __future__ import annotations

import numpy as np

from sklearn_jedi._data._gate import Summary
from sklearn_jedi._data._kernel_smoothing import gaussian_kernel, smoothed
from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._utils._checks import check_real
from sklearn_jedi._utils._warnings import warn_user
from sklearn_jedi.preprocessing._base import TrialStep

__all__ = ["SpikeSmoother"]

# Where the kernel is cut off, in standard deviations; as in scipy.ndimage.
_TRUNCATE = 4.0
# Bins: with a smaller standard deviation the next bin weighs less than 0.04 %.
_NARROWEST = 0.25


class SpikeSmoother(TrialStep):
    """Smooth each neuron of each trial with a Gaussian.

    Each bin becomes the mean of the recorded bins around it, weighted by the Gaussian.
    The weights are normalised over the recorded bins of the trial. At edges and beside
    gaps the mean is therefore over fewer bins: activity does not sag towards zero
    there, and constant activity stays what it is. NaN stays NaN.

    The unit stays that of X, such as counts per bin. Models that have noise in their
    observations (``observation="gaussian"``, ``"poisson"`` or ``"negative_binomial"``)
    do better without smoothing.

    Parameters
    ----------
    width : float, default=0.025
        Standard deviation of the Gaussian in seconds. The kernel ends at 4 standard
        deviations.
    dt : float or "auto", default="auto"
        Time step in seconds. "auto" takes that of X where X carries it (a TrialSet, an
        xarray.DataArray, objects of pynapple); otherwise 0.01, with a warning.
    causal : bool, default=False
        True to average over the present and the past only, with half a Gaussian. The
        result lags behind, by about ``0.8 * width - 0.3 * dt`` seconds.

    Attributes
    ----------
    dt_ : float
        Time step in seconds.
    n_features_in_ : int
        Time points of the longest trial of `fit`.
    n_timepoints_in_ : int, or int array of shape (n_trials,)
        Time points of the trials of `fit`, an array where they differ.
    n_neurons_in_ : int
        Neurons of `fit`.
    neuron_names_in_ : array of shape (n_neurons,)
        Only where trials are data frames, labelled arrays or a TrialSet.

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
        self,
        width: float = 0.025,
        *,
        dt: float | str = "auto",
        causal: bool = False,
    ) -> None:
        self.width = width
        self.dt = dt
        self.causal = causal

    def _check_parameters(self) -> None:
        check_real("width", self.width)
        check_real("dt", self.dt, auto=True)
        if not isinstance(self.causal, (bool, np.bool_)):
            raise TypeError(f"causal must be True or False; got {self.causal!r}")

    def _learn(self, trials: Trials, summary: Summary) -> None:
        if self.width < _NARROWEST * self.dt_:
            raise ValueError(
                f"width={self.width:g} s is so small beside dt={self.dt_:g} s that "
                "nothing is smoothed: both are in seconds, 25 ms is 0.025. To leave "
                'the step out of a Pipeline, set it to "passthrough"'
            )
        longest = trials.n_timepoints * self.dt_
        if self.width > longest:
            warn_user(
                f"width={self.width:g} s exceeds the longest trial ({longest:g} s): "
                "little but the mean of each trial remains. Both width and dt are in "
                "seconds, 25 ms is 0.025"
            )

    def _forward(self, block: Block) -> np.ndarray:
        sd = self.width / self.dt_
        # no longer than trials are
        reach = int(min(_TRUNCATE * sd + 0.5, block.values.shape[1] - 1))
        kernel = gaussian_kernel(sd, reach)
        if self.causal:
            kernel[:reach] = 0.0
        return smoothed(block, kernel)
