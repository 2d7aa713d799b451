"""Means and sums of squares of data that come in pieces."""

from __future__ import annotations

import numpy as np


class RunningMoments:
    """Count, mean and scatter of each neuron, merged piece by piece [1]_.

    Parameters
    ----------
    n_neurons : int

    Attributes
    ----------
    count, mean, scatter : arrays of shape (n_neurons,)
        Values, their mean, and their summed squares about it.

    References
    ----------
    .. [1] Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
       computing sample variances", COMPSTAT (1982).
    """

    def __init__(self, n_neurons: int) -> None:
        self.count = np.zeros(n_neurons)
        self.mean = np.zeros(n_neurons)
        self.scatter = np.zeros(n_neurons)

    def add(self, values: np.ndarray, where: np.ndarray | None) -> None:
        """Take in values (n_trials, n_timepoints, n_neurons); None: all of them."""
        if where is None:
            here: np.ndarray | int = values.shape[0] * values.shape[1]
            mean = values.mean((0, 1))
            centred = values - mean
        else:
            here = where.sum((0, 1))
            mean = np.where(where, values, 0.0).sum((0, 1)) / np.maximum(here, 1)
            centred = np.where(where, values - mean, 0.0)
        both, shift = np.maximum(self.count + here, 1), mean - self.mean
        self.scatter += np.einsum("ntk,ntk->k", centred, centred)
        self.scatter += shift**2 * self.count * here / both
        self.mean += shift * here / both
        self.count += here
