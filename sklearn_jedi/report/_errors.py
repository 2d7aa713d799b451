"""R^2 of predictions, and how far it would change with other trials."""

from __future__ import annotations

import numpy as np

from sklearn_jedi._utils._streaming import r2_of
from sklearn_jedi.report._study import TrialList


class Errors:
    """Squared errors of each trial, for R^2 over all of them or over resampled ones.

    Parameters
    ----------
    true, predicted : lists of arrays of shape (n_timepoints_i, n_neurons)
        Values that are NaN in either do not count.

    Attributes
    ----------
    per_trial : array of shape (n_trials,)
        R^2 of each trial; NaN where none of it counts.
    """

    def __init__(self, true: TrialList, predicted: TrialList) -> None:
        scored = [
            np.where(np.isnan(p), np.nan, x)
            for x, p in zip(true, predicted, strict=True)
        ]
        flat = np.concatenate(scored)
        n_scored = np.maximum(np.isfinite(flat).sum(0), 1)
        mean = np.nansum(flat, axis=0) / n_scored
        self._error = np.array(
            [np.nansum((x - p) ** 2) for x, p in zip(scored, predicted, strict=True)]
        )
        self._total = np.array([np.nansum((x - mean) ** 2) for x in scored])
        counts = np.array([np.isfinite(x).any() for x in scored])
        self.per_trial = np.where(counts, r2_of(self._error, self._total), np.nan)

    def r2(self) -> float:
        """`1 - SSE / SST` over all trials."""
        return float(r2_of(self._error.sum(), self._total.sum()))

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """R^2 (n_draws,), each trial as often as `weights` (n_draws, n_trials) say."""
        return r2_of(weights @ self._error, weights @ self._total)
