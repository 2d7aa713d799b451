"""Selection of neurons by their firing rate."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._gate import Summary
from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._utils._checks import check_real
from sklearn_jedi.preprocessing._base import (
    TrialStep,
    check_not_negative,
    warn_of_rates,
)

__all__ = ["NeuronSelector"]


class NeuronSelector(TrialStep):
    """Keep the neurons that fire enough.

    The rate is the mean over all recorded bins of the trials of `fit`; `transform`
    keeps these neurons, whatever their rate in other trials.

    Parameters
    ----------
    minimum_rate : float, default=1.0
        In spikes per second; neurons of exactly this rate are kept.
    dt : float or "auto", default="auto"
        Time step in seconds, for X in counts per bin. "auto" takes that of X where X
        carries it (a TrialSet, an xarray.DataArray, objects of pynapple); otherwise
        0.01, with a warning. Pass 1 where X is in spikes per second.

    Attributes
    ----------
    dt_ : float
        Time step in seconds; 1 where X is in spikes per second.
    rates_ : array of shape (n_neurons,)
        Mean rates in spikes per second.
    support_ : bool array of shape (n_neurons,)
        Which neurons are kept.
    n_features_in_ : int
        Time points of the longest trial of `fit`.
    n_timepoints_in_ : int, or int array of shape (n_trials,)
        Time points of the trials of `fit`, an array where they differ.
    n_neurons_in_ : int
        Neurons of `fit`, before selection.
    neuron_names_in_ : array of shape (n_neurons,)
        Only where trials are data frames, labelled arrays or a TrialSet; of the neurons
        kept: ``neuron_names_in_[support_]``.

    Raises
    ------
    ValueError, TypeError
        From `fit`, if no neuron fires enough, if a value is negative, or if a parameter
        or the trials cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.preprocessing import NeuronSelector
    >>> X = np.zeros((2, 100, 3))  # trials of one second
    >>> X[:, ::10, 0], X[0, 50, 1], X[:, ::50, 2] = 1, 1, 1
    >>> selector = NeuronSelector(minimum_rate=1.0, dt=0.01).fit(X)
    >>> selector.rates_
    array([10. ,  0.5,  2. ])
    >>> selector.get_support(), selector.transform(X).shape
    (array([ True, False,  True]), (2, 100, 2))
    """

    _takes_rates: ClassVar[bool] = True

    def __init__(self, minimum_rate: float = 1.0, *, dt: float | str = "auto") -> None:
        self.minimum_rate = minimum_rate
        self.dt = dt

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def get_support(self, indices: bool = False) -> np.ndarray:
        """Which neurons are kept.

        Use it to select the same neurons elsewhere, such as in a table of units.

        Parameters
        ----------
        indices : bool, default=False
            True for the numbers of the neurons in place of a mask.

        Returns
        -------
        bool array of shape (n_neurons,), or int array of shape (n_kept,)
        """
        check_is_fitted(self)
        return np.flatnonzero(self.support_) if indices else self.support_.copy()

    def _check_parameters(self) -> None:
        check_real("minimum_rate", self.minimum_rate, positive=False)
        check_real("dt", self.dt, auto=True)

    def _learn(self, trials: Trials, summary: Summary) -> None:
        for block in trials.blocks():
            check_not_negative(
                self, block, "Select neurons by counts or rates, before any centring."
            )
        warn_of_rates(self, summary.mean, self.dt_)
        self.rates_ = summary.mean / self.dt_
        self.support_ = self.rates_ >= self.minimum_rate
        if not self.support_.any():
            highest = int(self.rates_.argmax())
            raise ValueError(
                f"no neuron reaches minimum_rate={self.minimum_rate:g} spikes/s; the "
                f"highest rate found is {self.rates_[highest]:.3g} spikes/s (neuron "
                f"{highest}), X read as counts per bin of dt={self.dt_:g} s. Lower "
                "minimum_rate, or pass dt=1 where X is in spikes/s"
            )

    def _neurons_out(self) -> np.ndarray:
        return np.flatnonzero(self.support_)

    def _forward(self, block: Block) -> np.ndarray:
        return block.values[..., self.support_]
