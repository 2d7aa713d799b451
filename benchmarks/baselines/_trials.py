"""What the baselines share: their input."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array


def complete_trials(X: ArrayLike, fewest: int = 1) -> np.ndarray:
    """Trials (n_trials, n_timepoints, n_neurons), of so many time points, no NaN."""
    trials = check_array(X, ensure_2d=False, allow_nd=True, dtype=np.float64)
    if trials.ndim != 3 or trials.shape[1] < fewest:
        raise ValueError(
            "X must have shape (n_trials, n_timepoints, n_neurons) with at least "
            f"{fewest} time points; got {trials.shape}"
        )
    return trials
