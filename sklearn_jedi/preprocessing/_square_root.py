"""Square roots of spike counts."""

from __future__ import annotations

import numpy as np
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._gate import Summary, check_trials
from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi.preprocessing._base import SameForm, TrialStep, check_not_negative

__all__ = ["SquareRoot"]


class SquareRoot(TrialStep):
    """Make the noise of spike counts independent of the rate.

    The variance of Poisson counts is equal to their mean. The variance of their square
    roots is near 1/4 at all rates from about 10 spikes per bin on [1]_ (it is 0.26 at
    10, and 0.31 at 4). Anscombe's `2 sqrt(x + 3/8)` has a variance near 1 from about 3
    spikes per bin on [2]_ (0.98 at 3). At lower rates no function makes the noise of
    all neurons equally large: at 0.1 spikes per bin, square roots have a variance of
    0.09. NaN stays NaN.

    Parameters
    ----------
    anscombe : bool, default=False
        True for `2 sqrt(x + 3/8)`, whose variance is near 1, in place of `sqrt(x)`.

    Attributes
    ----------
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
        From `fit` and `transform`, if a value is negative or trials cannot be used.

    References
    ----------
    .. [1] Bartlett, "The square root transformation in analysis of variance",
       Supplement to the Journal of the Royal Statistical Society 3 (1936).
    .. [2] Anscombe, "The transformation of Poisson, binomial and negative-binomial
       data", Biometrika 35 (1948).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.preprocessing import SquareRoot
    >>> counts = np.random.default_rng(0).poisson([10, 50], (1, 100_000, 2))
    >>> SquareRoot().fit_transform(counts).var((0, 1)).round(2)
    array([0.26, 0.25])
    >>> SquareRoot(anscombe=True).fit_transform(counts).var((0, 1)).round(1)
    array([1., 1.])
    """

    def __init__(self, anscombe: bool = False) -> None:
        self.anscombe = anscombe

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def inverse_transform(self, X: SameForm) -> SameForm:
        """Undo `transform`.

        The square of a mean of square roots is smaller than the mean count: it lacks
        the variance of the square roots.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays of \
                shape (n_timepoints_i, n_neurons), or TrialSet
            Trials as `transform` returns them, or a model of them. Values below the
            transform of zero become zero.

        Returns
        -------
        array, list of arrays or of DataFrames, DataArray or TrialSet
            As X is, in counts per bin.
        """
        check_is_fitted(self)
        trials, _ = check_trials(self, X, reset=False)
        return self._mapped(X, trials, self._backward)

    def _check_parameters(self) -> None:
        if not isinstance(self.anscombe, (bool, np.bool_)):
            raise TypeError(f"anscombe must be True or False; got {self.anscombe!r}")

    def _learn(self, trials: Trials, summary: Summary) -> None:
        for block in trials.blocks():
            self._check(block)

    def _check(self, block: Block) -> None:
        check_not_negative(
            self,
            block,
            "Take square roots of counts or rates, before any centring or scaling.",
        )

    def _forward(self, block: Block) -> np.ndarray:
        self._check(block)
        roots: np.ndarray = np.sqrt(block.values + (3 / 8 if self.anscombe else 0))
        return 2 * roots if self.anscombe else roots

    def _backward(self, block: Block) -> np.ndarray:
        counts: np.ndarray = np.maximum(block.values, 0) ** 2
        if self.anscombe:
            counts = np.maximum(counts / 4 - 3 / 8, 0)
        return counts
