"""Soft normalisation of each neuron."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._gate import Summary, check_trials
from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._utils._checks import check_real
from sklearn_jedi.preprocessing._base import SameForm, TrialStep, warn_of_rates

__all__ = ["SoftNormalizer"]


class SoftNormalizer(TrialStep):
    """Bring neurons to a similar range, without blowing up those that hardly fire.

    Each neuron becomes `(x - mean) / (range + constant)`, with its mean and range over
    trials and time [1]_. Strong neurons come to a range near 1. The constant keeps the
    noise of neurons that hardly fire from being blown up to the same size. NaN is left
    out, and stays NaN.

    The range is the highest less the lowest value, so smooth or average spike counts
    first. `JEDIEstimator` scales activity itself where it has to, by standard
    deviations; this step is for the published scaling and for other models.

    Parameters
    ----------
    constant : float, default=5.0
        In spikes per second. 0 divides by the range alone.
    dt : float or "auto", default="auto"
        Time step in seconds, for X in counts per bin. "auto" takes that of X where X
        carries it (a TrialSet, an xarray.DataArray, objects of pynapple); otherwise
        0.01, with a warning. Pass 1 where X is in spikes per second, or to
        give `constant` in the unit of X: `constant` is multiplied by it.

    Attributes
    ----------
    dt_ : float
        Time step in seconds; 1 where X is in spikes per second.
    mean_ : array of shape (n_neurons,)
        In the unit of X.
    range_ : array of shape (n_neurons,)
        Highest less lowest value, in the unit of X.
    scale_ : array of shape (n_neurons,)
        What is divided by: ``range_ + constant * dt_``; 1 where that is 0.
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

    References
    ----------
    .. [1] Churchland et al., "Neural population dynamics during reaching", Nature 487
       (2012).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.preprocessing import SoftNormalizer
    >>> rates = np.array([[[0.0, 0.0], [45.0, 5.0], [0.0, 1.0]]])
    >>> SoftNormalizer(constant=5.0, dt=1).fit_transform(rates)
    array([[[-0.3, -0.2],
            [ 0.6,  0.3],
            [-0.3, -0.1]]])
    """

    _takes_rates: ClassVar[bool] = True

    def __init__(self, constant: float = 5.0, *, dt: float | str = "auto") -> None:
        self.constant = constant
        self.dt = dt

    def inverse_transform(self, X: SameForm) -> SameForm:
        """Undo `transform`.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays of \
                shape (n_timepoints_i, n_neurons), or TrialSet
            Trials as `transform` returns them, of any lengths.

        Returns
        -------
        array, list of arrays or of DataFrames, DataArray or TrialSet
            As X is, in the unit of the trials of `fit`.
        """
        check_is_fitted(self)
        trials, _ = check_trials(self, X, reset=False)
        return self._mapped(X, trials, self._backward)

    def _check_parameters(self) -> None:
        check_real("constant", self.constant, positive=False)
        check_real("dt", self.dt, auto=True)

    def _learn(self, trials: Trials, summary: Summary) -> None:
        warn_of_rates(self, summary.mean, self.dt_)
        low = np.full(trials.n_neurons, np.inf)
        high = -low
        for block in trials.blocks():
            there = True if block.recorded is None else block.recorded
            low = np.minimum(low, block.values.min((0, 1), where=there, initial=np.inf))
            high = np.maximum(
                high, block.values.max((0, 1), where=there, initial=-np.inf)
            )
        self.mean_ = summary.mean
        self.range_ = high - low
        scale = self.range_ + self.constant * self.dt_
        self.scale_ = np.where(scale > 0, scale, 1.0)

    def _forward(self, block: Block) -> np.ndarray:
        values: np.ndarray = (block.values - self.mean_) / self.scale_
        return values

    def _backward(self, block: Block) -> np.ndarray:
        values: np.ndarray = block.values * self.scale_ + self.mean_
        return values
