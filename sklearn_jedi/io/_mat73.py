"""MATLAB files of version 7.3, which are HDF5 files.

What is returned is what pymatreader makes of the same variables in version 5. Its own
reader of version 7.3 makes numbers of an empty cell, one text of a column of characters
and one row of cells in several rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csc_array

from sklearn_jedi._utils._warnings import warn_user
from sklearn_jedi.io._files import import_io, quoted

_INTEGERS = [f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64)]
_NUMBERS = ("double", "single", "logical", *_INTEGERS)


def read_mat73(path: Path) -> dict[str, Any]:
    """All variables; None for those of classes that cannot be read.

    Axes of length 1 are dropped: a cell of one element is that element, and a matrix of
    one number is a number. Cells in rows and columns are lists of their rows, texts in
    rows an array of them.

    Raises
    ------
    OSError, ValueError, KeyError
        If the file is damaged.

    Warns
    -----
    UserWarning
        If values are objects, such as MATLAB's strings.
    """
    with import_io("h5py").File(path, "r") as file:
        reader = _Reader()
        variables = {
            name: reader.value(file[name], name) for name in file if name[0] != "#"
        }
    if reader.objects:
        kinds = quoted(sorted(set(reader.objects.values())))
        warn_user(
            f"{path}: {quoted([*reader.objects][:5])} are of MATLAB's classes {kinds}, "
            "which cannot be read, and are left out or taken as missing: save text as "
            "char, and times as numbers"
        )
    return variables


class _Reader:
    """Values of HDF5 items, and the names of those that are objects."""

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}
        self._h5py = import_io("h5py")

    def value(self, item: Any, name: str) -> Any:
        kind = np.bytes_(item.attrs.get("MATLAB_class", b"")).decode()
        if isinstance(item, self._h5py.Group):
            if "MATLAB_sparse" in item.attrs:
                return _sparse(item)
            return {field: self.value(item[field], f"{name}.{field}") for field in item}
        if "MATLAB_empty" in item.attrs:
            return (
                [] if kind == "cell" else np.array([], str if kind == "char" else float)
            )
        if self._h5py.check_ref_dtype(item.dtype):
            cells = np.squeeze(item[()]).T
            if kind == "cell" and cells.size == 1:
                return self.value(item.file[cells.item()], name)
            return self._listed(np.atleast_1d(cells), item.file, name)
        if self._h5py.check_string_dtype(item.dtype):
            return item.asstr()[()]  # not by MATLAB
        if kind == "char":
            return _text(item[()].T)
        if kind and kind not in _NUMBERS:
            self.objects.setdefault(name, kind)
            return None
        return _number(item[()])

    def _listed(self, cells: np.ndarray, file: Any, name: str) -> list[Any]:
        if cells.ndim == 1:
            return [self.value(file[one], name) for one in cells]
        return [self._listed(row, file, name) for row in cells]


def _sparse(item: Any) -> csc_array:
    columns = item["jc"][()]
    n_rows = int(item.attrs["MATLAB_sparse"])
    # an empty matrix has neither data nor rows
    data, rows = (item[part][()] if part in item else [] for part in ("data", "ir"))
    return csc_array((data, rows, columns), shape=(n_rows, len(columns) - 1))


def _text(codes: np.ndarray) -> str | np.ndarray:
    """Text of one row of characters, or an array of those of several."""
    rows = [_of_codes(row) for row in codes.reshape(len(codes), -1)]
    return rows[0] if len(rows) == 1 else np.array(rows)


def _of_codes(row: np.ndarray) -> str:
    if row.dtype.itemsize == 2:  # as MATLAB writes it
        return row.astype("<u2").tobytes().decode("utf-16-le", "replace")
    return "".join(map(chr, row))


def _number(values: np.ndarray) -> Any:
    if values.dtype.names == ("real", "imag"):
        values = values["real"] + 1j * values["imag"]
    values = np.squeeze(values).T
    return values.item() if values.size == 1 else values
