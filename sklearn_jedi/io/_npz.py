"""Trials from numpy's npz files."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from sklearn_jedi._utils._warnings import warn_user
from sklearn_jedi.io._arrays import check_dims, choose, from_arrays, with_shapes
from sklearn_jedi.io._files import check_file, quoted, unreadable
from sklearn_jedi.io._selection import Selection
from sklearn_jedi.io._trial_set import TrialSet


def trials_from_npz(
    path: str | os.PathLike[str],
    key: str | None = None,
    *,
    dt: float | None = None,
    time: str | None = None,
    time_unit: str = "s",
    dims: tuple[str, ...] = ("trial", "time", "neuron"),
    trials: Selection | None = None,
    units: Selection | None = None,
) -> TrialSet:
    """Trials from an npz file, as `numpy.savez` writes it.

    Parameters
    ----------
    path : str or path-like
        npz file.
    key : str, default=None
        The array with the activity, three-dimensional; None: the only such array.
        Trials of different lengths are padded with NaN at their end.
    dt : float, default=None
        Bin width in s. This or `time` is needed.
    time : str, default=None
        The array with the times of the bins' centres, evenly spaced.
    time_unit : {"s", "ms", "us"}, default="s"
        Unit of `time`.
    dims : tuple of str, default=("trial", "time", "neuron")
        What the axes of the activity are.
    trials, units : str, bool array, list of ids or None
        Which trials and neurons, which are numbered: an expression such as ``"side ==
        'left'"`` or ``"index != 7"``, a mask, or numbers. What is not chosen is not
        looked at: a bad unit that is left out does no harm.

    Returns
    -------
    TrialSet
        Each other array of shape (n_trials,) is a column of its table.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If it is no npz file, an array is missing or not of numbers, or the bin width
        is not known. Arrays of Python objects are refused, as reading them could run
        code.

    Warns
    -----
    UserWarning
        If an array other than the activity holds Python objects: it is left out.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from sklearn_jedi.io import trials_from_npz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "reaches.npz")
    ...     times = [-5.0, 5.0, 15.0, 25.0]
    ...     np.savez(path, spikes=np.ones((3, 4, 2), int), ms=times, target=[0, 1, 0])
    ...     trials = trials_from_npz(path, time="ms", time_unit="ms")
    >>> trials.X.shape, trials.dt, trials.start, trials.table["target"].tolist()
    ((3, 4, 2), 0.01, -0.01, [0, 1, 0])
    """
    path = check_file(path)
    dims = check_dims(dims)
    arrays = _read(path, {key, time})
    if key is not None and key in arrays and np.ndim(arrays[key]) != 3:
        raise ValueError(
            f"{path}: {key} must have three axes (trials, time, neurons); its shape is "
            f"{arrays[key].shape}"
        )
    candidates = [
        name for name, a in arrays.items() if a.ndim == 3 and a.dtype.kind in "biuf"
    ]
    what = f"{path}: arrays with three axes"
    key = choose(candidates, key, what, "key", with_shapes(arrays))
    return from_arrays(arrays, key, dims, dt, time, time_unit, str(path), trials, units)


def _read(path: Path, needed: set[str | None]) -> dict[str, np.ndarray]:
    """All arrays but those of Python objects."""
    damage = (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
    try:
        file = np.load(path, allow_pickle=False)
    except (ValueError, *damage) as error:
        raise unreadable(path, "an npz file", error) from error
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError(
            f"{path} holds a single array (npy), not an npz file: np.load it, and save "
            "it with np.savez"
        )
    arrays, of_objects = {}, []
    with file:
        for name in file.files:
            try:
                arrays[name] = file[name]
            except (ValueError, *damage) as error:
                if "allow_pickle" not in str(error):
                    raise unreadable(path, "an npz file", error) from error
                of_objects.append(name)
    if of_objects:
        message = (
            f"{path}: {quoted(of_objects)} holds Python objects, which are not read "
            "because that could run code; save numbers or text: np.asarray(values, "
            "dtype=float or str)"
        )
        if needed & {*of_objects} or not arrays:
            raise ValueError(message)
        warn_user(message)
    return arrays
