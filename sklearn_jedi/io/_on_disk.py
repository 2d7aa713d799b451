"""Trials on disk, of which scikit-learn takes folds without reading them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._data._trials import SlicedByTrial

__all__ = ["TrialsOnDisk"]


class TrialsOnDisk:
    """A view of some trials of an array on disk.

    Estimators read `numpy.memmap`, zarr and h5py arrays in pieces by themselves. But a
    cross-validation first takes its folds, ``X[rows]``, which reads them into memory.
    Out of a `TrialsOnDisk` it takes another view, and nothing is read.

    Parameters
    ----------
    source : array-like of shape (n_trials, n_timepoints, n_neurons)
        Such as a `numpy.memmap` or a zarr array; it travels to other processes by name.
    rows : int array of shape (n_rows,), default=None
        The trials of the view; None means all.

    Attributes
    ----------
    shape : tuple of int
        ``(n_rows, n_timepoints, n_neurons)``.
    ndim : int
        3.
    dtype : dtype
        Of the source.

    Raises
    ------
    ValueError
        If `source` does not have three dimensions.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.io import TrialsOnDisk
    >>> X = TrialsOnDisk(np.zeros((10, 50, 3)))  # or np.load(path, mmap_mode="r")
    >>> X[[7, 1]].shape, X[0].shape, X[2:4].shape
    ((2, 50, 3), (50, 3), (2, 50, 3))
    >>> type(X[[7, 1]]).__name__, type(X[2:4]).__name__  # a fold; trials that are read
    ('TrialsOnDisk', 'ndarray')
    """

    ndim = 3

    def __init__(self, source: SlicedByTrial, rows: ArrayLike | None = None) -> None:
        if len(source.shape) != 3:
            raise ValueError(
                "source must have shape (n_trials, n_timepoints, n_neurons); got "
                f"{source.shape}"
            )
        self.source = source
        self.rows = np.arange(source.shape[0]) if rows is None else np.asarray(rows)
        self.shape = (len(self.rows), *source.shape[1:])
        self.dtype = source.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: object) -> np.ndarray | TrialsOnDisk:
        """A trial, a slice of trials, or the view of those of an array of numbers."""
        chosen: Any = key
        if isinstance(key, tuple):  # scikit-learn's X[rows, ...]
            chosen, *others = key
            if any(not (one is ... or one == slice(None)) for one in others):
                raise IndexError(
                    "only trials can be chosen here; read them, X[:10], to choose time "
                    "points or neurons"
                )
        rows = self.rows[chosen]
        if np.ndim(rows) > 1:
            raise IndexError(f"trials are chosen in one row; got {chosen!r}")
        if isinstance(chosen, slice):
            out = np.empty((len(rows), *self.shape[1:]), self.dtype)
            for place, row in zip(out, rows, strict=True):
                place[:] = self._read(row)
            return out
        if np.ndim(rows) == 0:
            return self._read(rows)
        return TrialsOnDisk(self.source, rows)

    def __repr__(self) -> str:
        return f"TrialsOnDisk({len(self)} of {self.source.shape[0]} trials)"

    def _read(self, row: int) -> np.ndarray:
        return np.asarray(self.source[int(row)])
