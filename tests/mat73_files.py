"""MATLAB files of version 7.3, in MATLAB's layout of HDF5.

A 512-byte header before the HDF5 file; arrays transposed; `MATLAB_class` on everything;
cells and fields of struct arrays as references into `#refs#`; text as uint16; an empty
array as its shape, marked `MATLAB_empty`.
"""

import itertools
from typing import NamedTuple

import h5py
import numpy as np
from scipy.sparse import issparse

_HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 2026"
_NUMBERS = itertools.count()
_REFERENCE = h5py.special_dtype(ref=h5py.Reference)


class MatlabObject(NamedTuple):
    """What MATLAB writes of an object, such as a string: a number of where it is."""

    kind: str


def write_mat73(path, variables):
    """Write variables as `scipy.io.savemat` does for version 5.

    A list of dicts becomes a struct array, another list a cell, an array of objects a
    cell in rows and columns, a dict a struct, an array of texts a matrix of characters.
    """
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            _write(file, name, value)
    with open(path, "r+b") as file:
        file.write(_HEADER.ljust(116) + bytes(8) + b"\x00\x02IM")
    return path


def _write(group, name, value):
    if isinstance(value, dict):
        struct = group.create_group(name)
        _mark(struct, "struct")
        for field, content in value.items():
            _write(struct, field, content)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        struct = group.create_group(name)
        _mark(struct, "struct")
        for field in value[0]:
            _references(struct, field, [element[field] for element in value])
    elif isinstance(value, list):
        _mark(_references(group, name, value), "cell")
    elif isinstance(value, np.ndarray) and value.dtype == object:
        cells = _references(group, name, value.T.ravel().tolist(), value.T.shape)
        _mark(cells, "cell")
    elif isinstance(value, MatlabObject):
        data = group.create_dataset(name, data=np.array([[0xDD000000, 2, 1, 1, 1, 1]]))
        data.attrs["MATLAB_object_decode"] = np.int32(3)
        _mark(data, value.kind)
    elif issparse(value):
        _sparse(group, name, value.tocsc())
    else:
        _array(group, name, value)


def _references(group, name, values, shape=(-1, 1)):
    refs = group.file.require_group("#refs#")
    references = np.empty((len(values), 1), dtype=_REFERENCE)
    for k, value in enumerate(values):
        key = f"r{next(_NUMBERS)}"
        _write(refs, key, value)
        references[k, 0] = refs[key].ref
    references = references.reshape(shape)
    return group.create_dataset(name, data=references, dtype=_REFERENCE)


def _array(group, name, value):
    kind = "double"
    if np.asarray(value).dtype.kind == "U":
        rows = np.atleast_1d(value)
        width = max(map(len, rows))
        codes = [
            np.frombuffer(row.ljust(width).encode("utf-16-le"), "<u2") for row in rows
        ]
        kind, array = "char", np.array(codes)
    else:
        array = np.atleast_1d(value)
        if array.ndim == 1:
            array = array[None, :]
        if array.dtype == bool:
            kind, array = "logical", array.astype(np.uint8)
        elif array.dtype.kind in "iu":
            kind = array.dtype.name
        else:
            array = array.astype(float)
    if array.size == 0:
        data = group.create_dataset(name, data=np.array(array.shape, dtype=np.uint64))
        data.attrs["MATLAB_empty"] = np.uint8(1)
    else:
        data = group.create_dataset(name, data=array.T)
    if kind in ("char", "logical"):
        data.attrs["MATLAB_int_decode"] = np.int32(2 if kind == "char" else 1)
    _mark(data, kind)


def _sparse(group, name, matrix):
    sparse = group.create_group(name)
    sparse.attrs["MATLAB_sparse"] = np.uint64(matrix.shape[0])
    _mark(sparse, "double")
    sparse["data"], sparse["ir"], sparse["jc"] = (
        matrix.data.astype(float),
        matrix.indices.astype(np.uint64),
        matrix.indptr.astype(np.uint64),
    )


def _mark(item, kind):
    item.attrs["MATLAB_class"] = np.bytes_(kind)
