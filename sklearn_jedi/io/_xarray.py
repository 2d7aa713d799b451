"""Trials from labelled arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn_jedi._data._labelled_arrays import DIMS
from sklearn_jedi._data._time_step import unit_of
from sklearn_jedi.io._arrays import as_activity, chosen_of
from sklearn_jedi.io._bin_times import start_and_width
from sklearn_jedi.io._files import import_io
from sklearn_jedi.io._selection import Selection
from sklearn_jedi.io._trial_set import TrialSet

if TYPE_CHECKING:
    from pandas import DataFrame
    from xarray import DataArray


def trials_from_xarray(
    array: DataArray,
    *,
    dt: float | None = None,
    time_unit: str | None = None,
    trials: Selection | None = None,
    units: Selection | None = None,
) -> TrialSet:
    """Trials from a labelled array.

    Parameters
    ----------
    array : xarray.DataArray
        With the dimensions trial, time and neuron, in any order. NaN is kept.
    dt : float, default=None
        Bin width in s; None: the step of the time coordinate, or the attribute `dt`.
    time_unit : {"s", "ms", "us"}, default=None
        Unit of the time coordinate, the bins' centres; None: what its attribute `units`
        says, seconds where it says nothing.
    trials, units : str, bool array, list of ids or None
        Which trials and neurons: an expression of coordinates, such as ``"side ==
        'left'"``, a mask, or ids.

    Returns
    -------
    TrialSet
        Coordinates along trial are columns of its table, those along neuron of its
        units; the coordinates `trial` and `neuron` are their indexes.

    Raises
    ------
    TypeError
        If it is no DataArray.
    ValueError
        If dimensions have other names, times are not evenly spaced, or the bin width
        is not known.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from sklearn_jedi.io import trials_from_xarray
    >>> coords = {"time": [0.005, 0.015], "side": ("trial", ["l", "r", "l"])}
    >>> array = xr.DataArray(np.ones((3, 2, 5)), coords, ("trial", "time", "neuron"))
    >>> X, dt, table = trials_from_xarray(array.transpose("neuron", "time", "trial"))
    >>> X.shape, dt, table["side"].tolist()
    ((3, 2, 5), 0.01, ['l', 'r', 'l'])
    """
    xarray = import_io("xarray")
    if not isinstance(array, xarray.DataArray):
        raise TypeError(
            f"array must be an xarray.DataArray; got {type(array).__name__}"
            + (": choose a variable" if isinstance(array, xarray.Dataset) else "")
        )
    if set(array.dims) != set(DIMS):
        others = [dim for dim in array.dims if dim not in DIMS]
        missing = [dim for dim in DIMS if dim not in array.dims]
        raise ValueError(
            f"array must have the dimensions {DIMS}; it has {array.dims}. Rename them, "
            f"perhaps by array.rename({dict(zip(others, missing, strict=False))})"
        )
    array = array.transpose(*DIMS)
    X = as_activity(array.values, "array")
    if 0 in X.shape:
        raise ValueError(f"array is empty; its sizes are {dict(array.sizes)}")
    centres = array["time"].values if "time" in array.coords else None
    if dt is None and (centres is None or len(centres) == 1):
        dt = array.attrs.get("dt")
    what = "times of the array"
    if time_unit is None:
        time_unit = "s"
        if centres is not None and centres.dtype.kind in "biuf":
            centres = centres * (unit_of(array["time"].attrs.get("units")) or 1.0)
    start, dt = start_and_width(dt, centres, X.shape[1], what, time_unit)
    tables = _table(array, "trial"), _table(array, "neuron")
    return chosen_of(TrialSet(X, dt, *tables, start), trials, units, "array")


def _table(array: DataArray, dim: str) -> DataFrame:
    """Coordinates along a dimension as columns; the one of its name is the index."""
    pandas = import_io("pandas")
    columns = {
        name: labels.values
        for name, labels in array.coords.items()
        if labels.dims == (dim,) and name != dim
    }
    index = array.coords[dim].values if dim in array.coords else None
    size = range(array.sizes[dim])
    return pandas.DataFrame(columns, index=size if index is None else index)
