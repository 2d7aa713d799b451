"""Square roots of spike counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._gate import Summary, check_trials
from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi.preprocessing._base import TrialStep, check_not_negative

__all__ = ["SquareRoot"]


class SquareRoot(TrialStep):
    """Make the noise of spike counts independent of the rate.

    The variance of Poisson counts is their mean; that of their square roots is near
    1/4 [1]_ from about 10 spikes per bin on (0.26; 0.31 at 4). Anscombe's
    `2 sqrt(x + 3/8)` [2]_ has a variance near 1 from about 3 (0.98) on. Of counts
    below that no function makes noise of one size: at 0.1 spikes per bin, square roots
    have a variance of 0.09. NaN stays NaN.

    Parameters
    ----------
    anscombe : bool, default=False
        True for `2 sqrt(x + 3/8)`, of variance 1, in place of `sqrt(x)`.

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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def inverse_transform(self, X: ArrayLike) -> Any:
        """Undo `transform`.

        The result for a *mean* of square roots is below the mean count, by their
        variance.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or list of \
                arrays of shape (n_timepoints_i, n_neurons)
            Trials as `transform` returns them, or a model of them; values below the
            transform of zero are taken for zero.

        Returns
        -------
        array, list of arrays or of DataFrames, or DataArray
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
        if self.anscombe:
            return 2 * np.sqrt(block.values + 3 / 8)
        return np.sqrt(block.values)

    def _backward(self, block: Block) -> np.ndarray:
        if self.anscombe:
            return np.maximum((np.maximum(block.values, 0) / 2) ** 2 - 3 / 8, 0)
        return np.maximum(block.values, 0) ** 2
