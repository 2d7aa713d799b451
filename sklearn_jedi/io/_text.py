"""Text that files hold as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame

_FILLING = " \0"  # what texts of fixed length are filled up with


def as_text(value: Any) -> Any:
    """Bytes as text, without the spaces and zeros at the end; anything else as it is.

    Text of fixed length, as h5py, MatNWB and numpy write it, is bytes, and arrays may
    hold single bytes objects.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").rstrip(_FILLING)
    if isinstance(value, np.ndarray) and value.dtype.kind == "S":
        return np.char.rstrip(np.char.decode(value, "utf-8", "replace"), _FILLING)
    if isinstance(value, np.ndarray) and value.dtype == object:
        flat = [as_text(one) if isinstance(one, bytes) else one for one in value.flat]
        texts = np.empty(len(flat), dtype=object)
        texts[:] = flat
        return texts.reshape(value.shape)
    if isinstance(value, list):
        return [as_text(one) if isinstance(one, bytes) else one for one in value]
    return value


def with_text(table: DataFrame) -> DataFrame:
    """A table with text for bytes: in its columns, their names and its index."""
    held = {
        k: as_text(table.iloc[:, k].to_numpy(dtype=object))
        for k in range(table.shape[1])
        if _has_bytes(table.iloc[:, k])
    }
    if held:
        table = table.copy()
        for k, texts in held.items():
            table.isetitem(k, texts)
    for axis, labels in (("index", table.index), ("columns", table.columns)):
        if _has_bytes(labels):
            table = table.set_axis(labels.map(as_text), axis=axis)
    return table


def _has_bytes(values: Any) -> bool:
    plain = getattr(values.dtype, "kind", "O") in "biufcmM"
    return not plain and any(isinstance(value, bytes) for value in values)
