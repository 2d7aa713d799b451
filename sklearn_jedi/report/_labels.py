"""Labels of trials as text."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def labels_as_text(
    name: str, labels: ArrayLike | None, n_trials: int
) -> np.ndarray | None:
    """Labels as text, "" where there is none; whole numbers without a point.

    Raises
    ------
    ValueError
        If there is not one entry per trial.
    """
    if labels is None:
        return None
    array = np.asarray(labels)
    if array.dtype.kind in "mM":  # as objects they would be nanoseconds
        array = np.where(np.isnat(array), "", array.astype(str))
    array = array.astype(object)
    if array.shape != (n_trials,):
        raise ValueError(
            f"{name} must have one entry per trial, shape ({n_trials},); got "
            f"{array.shape}"
        )
    return np.array([_text(label) for label in array.tolist()])


def _text(label: object) -> str:
    # NaN is not equal to itself; whether pandas' NA is, is not known
    if label is None or str(label) in ("nan", "<NA>", "NaT"):
        return ""
    if isinstance(label, bytes):
        return label.decode("utf-8", "replace").strip()
    if isinstance(label, float):
        short = f"{label:g}"
        return short if float(short) == label else repr(label)
    return str(label).strip()
