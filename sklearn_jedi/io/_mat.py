"""Trials from MATLAB files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_jedi.io._arrays import check_dims, choose, from_arrays
from sklearn_jedi.io._files import check_file, import_io, quoted, unreadable
from sklearn_jedi.io._mat73 import read_mat73
from sklearn_jedi.io._mat_trials import (
    Fields,
    is_matrix,
    per_trial,
    trials_of_matrices,
    trials_of_spikes,
)
from sklearn_jedi.io._selection import Selection
from sklearn_jedi.io._trial_set import TrialSet
from sklearn_jedi.io._windows import Window


def trials_from_mat(
    path: str | os.PathLike[str],
    variable: str | None = None,
    *,
    activity: str | None = None,
    spike_times: str | None = None,
    dims: tuple[str, ...] = ("trial", "time", "neuron"),
    dt: float | None = None,
    time: str | None = None,
    time_unit: str = "s",
    align: str | None = None,
    window: Window | None = None,
    bin_size: float = 0.01,
    trials: Selection | None = None,
    units: Selection | None = None,
) -> TrialSet:
    """Trials from a MATLAB file, of version 5 to 7.3.

    Three ways of saving trials are read:

    - A struct array, or a cell of structs, with one element per trial and a field with
      a time x neuron matrix each (``trials(3).rates``), full or sparse; lengths may
      differ.
    - The same with a field that holds a cell of spike times, one vector per neuron
      (``trials(3).spikes{7}``), which are counted in bins.
    - A three-dimensional array, a variable or a field of a struct.

    Fields with one number or text per trial become columns of the table; [] is a
    missing value. With a three-dimensional array, these are the variables or fields
    that hold n_trials numbers or texts. MATLAB's `string` objects cannot be read: save
    text as char.

    Parameters
    ----------
    path : str or path-like
        mat file.
    variable : str, default=None
        The struct array, cell or three-dimensional array; None: the only one.
    activity : str, default=None
        The field with the matrices; None: the only one, unless `spike_times` is given.
    spike_times : str, default=None
        The field with the cells of spike times.
    dims : tuple of str, default=("trial", "time", "neuron")
        The order of the axes of the activity. The matrix of a trial has them without
        "trial": ``("trial", "neuron", "time")`` reads matrices neuron x time.
    dt : float, default=None
        Bin width of the activity in s. This or `time` is needed with activity.
    time : str, default=None
        The field (or variable, with a three-dimensional array) with the times of the
        bins' centres, evenly spaced.
    time_unit : {"s", "ms", "us"}, default="s"
        Unit of times in the file: spike times, `time`, and the fields that `align` and
        `window` name.
    align : str, default=None
        The field with the time of each trial that is 0, on the clock of its spike
        times; None: 0 of that clock.
    window : pair of float or str, default=None
        Begin and end of the trials of spike times: seconds from the alignment, or
        fields with times. Needed with `spike_times`.
    bin_size : float, default=0.01
        Width in s of the bins in which spikes are counted.
    trials, units : str, bool array, list of ids or None
        Which trials and neurons, which are numbered: an expression such as ``"side ==
        'left'"`` or ``"index != 7"``, a mask, or numbers. What is not chosen is not
        looked at: a bad unit that is left out does no harm.

    Returns
    -------
    TrialSet

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If it is no mat file, a variable or field is missing or of another form, trials
        differ in their number of neurons, spike times are not finite or not in order,
        or the bin width is not known.
    ImportError
        If the `io` extra is not installed.

    Warns
    -----
    UserWarning
        If trials are left out, because a time is missing or no bin fits into the
        window; if times look corrupt, or spike times or the window as if they were in
        another unit.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from scipy.io import savemat
    >>> from sklearn_jedi.io import trials_from_mat
    >>> saved = [{"rates": np.ones((n, 3)), "side": "left"} for n in (4, 6)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "trials.mat")
    ...     savemat(path, {"trials": saved})
    ...     trials_from_mat(path, dt=0.01)
    TrialSet(2 trials, 4-6 bins of 0.01 s, 3 neurons; table: side)
    """
    path = check_file(path)
    dims = check_dims(dims)
    if activity is not None and spike_times is not None:
        raise ValueError("pass activity or spike_times, not both")
    if spike_times is not None and window is None:
        raise ValueError(
            "spike_times needs window=(begin, end), in s from the alignment"
        )
    variables = _read(path)
    candidates = [
        name for name, v in variables.items() if is_matrix(v, 3) or _is_struct(v)
    ]
    what = f"{path}: structs, cells of structs, arrays with three axes"
    variable = choose(candidates, variable, what, "variable", quoted(variables))
    where = f"{path}: {variable}"
    value = variables[variable]
    if is_matrix(value, 3):
        return from_arrays(
            variables, variable, dims, dt, time, time_unit, str(path), trials, units
        )

    fields, listed_trials = per_trial(value)
    if spike_times is not None and window is not None:
        choose([*fields], spike_times, f"{where}: fields", "spike_times")
        saved = Fields(fields, listed_trials, spike_times, where)
        return trials_of_spikes(
            saved, align, window, bin_size, time_unit, trials, units
        )
    # of one neuron, matrices arrive as vectors: those have to be asked for
    matrices = [name for name in fields if activity or _is_activity(fields[name])]
    if not matrices:
        _point_to_spike_times(fields, where)
    what = f"{where}: fields"
    activity = choose(matrices, activity, what, "activity", quoted(fields))
    if is_matrix(fields[activity], 3):
        return from_arrays(
            fields, activity, dims, dt, time, time_unit, where, trials, units
        )
    saved = Fields(fields, listed_trials, activity, where)
    return trials_of_matrices(saved, dims, dt, time, time_unit, trials, units)


def _read(path: Path) -> dict[str, Any]:
    """All variables, in the order of their names."""
    pymatreader, h5py = import_io("pymatreader"), import_io("h5py")
    try:
        read = read_mat73 if h5py.is_hdf5(path) else pymatreader.read_mat
        variables = read(path)
    except ImportError:
        raise
    except Exception as error:  # of many kinds, where a file is damaged
        raise unreadable(path, "a MATLAB file", error) from error
    return {name: variables[name] for name in sorted(variables) if name[:2] != "__"}


def _is_struct(value: object) -> bool:
    if isinstance(value, list):
        return len(value) > 0 and isinstance(value[0], dict)
    return isinstance(value, dict)


def _point_to_spike_times(fields: dict[str, Any], where: str) -> None:
    """Say how spike times are read, where fields hold them rather than matrices."""
    found = [name for name, of in fields.items() if _may_be_spike_times(of)]
    if found:
        which = " or ".join(f"spike_times={name!r}" for name in found)
        raise ValueError(
            f"{where}: no field holds matrices of activity, but {quoted(found)} may "
            f"hold spike times: pass {which}, with window=(begin, end) in seconds, and "
            "align=, the field with the time of the event that is 0"
        )


def _may_be_spike_times(value: object) -> bool:
    """Whether a field has a cell of vectors for each trial, of one unit a vector."""
    if not isinstance(value, list):
        return False
    trials = [trial if isinstance(trial, list) else [trial] for trial in value]
    several = any(isinstance(trial, list) or np.size(trial) > 1 for trial in value)
    return several and all(_is_in_order(train) for trial in trials for train in trial)


def _is_in_order(train: Any) -> bool:
    if np.ndim(train) > 1:
        return False
    times = np.asarray(train)
    return times.dtype.kind in "biuf" and bool((np.diff(np.ravel(times)) >= 0).all())


def _is_activity(value: object) -> bool:
    """Whether a field has a matrix for each trial, or one array for all."""
    if isinstance(value, list):
        return any(is_matrix(v, 2) for v in value) and not any(
            isinstance(v, (list, dict, str)) for v in value
        )
    return is_matrix(value, 2) or is_matrix(value, 3)
