"""The one gate for trials."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

_ARRAY_RULES: dict[str, Any] = {
    "dtype": (np.float64, np.float32),
    "allow_nd": True,
    "ensure_all_finite": True,
}


def check_trials(estimator: Any, X: Any, *, reset: bool) -> np.ndarray:
    """Validate trials and return them as (n_trials, n_timepoints, n_neurons).

    Parameters
    ----------
    estimator : estimator
        Where ``reset``, gets `n_features_in_` (time points), `n_timepoints_in_` and
        `n_neurons_in_`; otherwise the trials are held against them.
    X : array-like of shape (n_trials, n_timepoints, n_neurons) or \
            (n_trials, n_timepoints)
        Float32 and float64 are kept, other numbers become float64. A 2-D array is one
        neuron, with a warning.
    reset : bool
        True in `fit`.

    Raises
    ------
    ValueError, TypeError
        If the trials cannot be used; the message says what was given and what to do.
    """
    _refuse_ragged(X)
    name = type(estimator).__name__
    n_dims = np.ndim(X) if hasattr(X, "shape") or isinstance(X, (list, tuple)) else 2
    if reset or (n_dims == 2 and getattr(estimator, "n_neurons_in_", None) == 1):
        least = 2 if reset else 1
        X = validate_data(
            estimator, X, reset=reset, ensure_min_features=least, **_ARRAY_RULES
        )
    else:
        X = check_array(X, estimator=estimator, input_name="X", **_ARRAY_RULES)
    if X.ndim == 2:
        warnings.warn(
            f"{name} reads a 2-D X of shape {X.shape} as {X.shape[0]} trials of "
            f"{X.shape[1]} time points of one neuron. For several neurons pass trials "
            "x time x neurons: an array, a list of (time x neurons) arrays or "
            "DataFrames, or X[np.newaxis] for one trial.",
            UserWarning,
            stacklevel=3,
        )
        X = X[:, :, np.newaxis]
    if X.ndim != 3:
        raise ValueError(
            f"X must have shape (n_trials, n_timepoints, n_neurons); got an array of "
            f"{X.ndim} dimensions, {X.shape}"
        )
    if X.shape[1] < 2:
        raise ValueError(
            f"X has {X.shape[1]} time point(s) a trial; {name} needs at least 2. The "
            "axes are (trials, time points, neurons)"
        )
    if X.shape[2] < 1:
        raise ValueError(f"X has no neurons: its shape is {X.shape}")
    if reset:
        estimator.n_timepoints_in_ = X.shape[1]
        estimator.n_neurons_in_ = X.shape[2]
    elif X.shape[2] != estimator.n_neurons_in_:
        raise ValueError(
            f"X has {X.shape[2]} neuron{'s' * (X.shape[2] != 1)}, but {name} was "
            f"fitted on {estimator.n_neurons_in_}: select the same units in both"
            + (
                ". Axis 1 has that many entries: are the axes swapped? They are "
                "(trials, time points, neurons)"
                if X.shape[1] == estimator.n_neurons_in_
                else ""
            )
        )
    return X


def _refuse_ragged(X: Any) -> None:
    """Trials of different shapes, and arrays of such trials, with a clear message."""
    if isinstance(X, (list, tuple)):
        shapes = {np.shape(trial) for trial in X if hasattr(trial, "shape")}
        if len(shapes) > 1:
            raise ValueError(
                "trials of different shapes are not supported: got "
                f"{sorted(shapes)[:3]}. Cut all trials to the same window and select "
                "the same units"
            )
    elif isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        raise ValueError(
            f"X is a 1-D array of {len(X)} objects; stack the trials into one array "
            "of shape (n_trials, n_timepoints, n_neurons) with np.stack"
        )
