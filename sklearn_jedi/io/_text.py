"""Text that files hold as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_jedi._data._numbers import text_of

if TYPE_CHECKING:
    from pandas import DataFrame


def with_text(table: DataFrame) -> DataFrame:
    """A table with text for bytes: in its columns, their names and its index.

    Text of fixed length, as h5py, MatNWB and numpy write it, is bytes, filled up with
    spaces or zeros, which are dropped.
    """
    held = [k for k in range(table.shape[1]) if _has_bytes(table.iloc[:, k])]
    if held:
        table = table.copy()
    for k in held:
        texts = np.empty(len(table), dtype=object)
        texts[:] = [_as_text(value) for value in table.iloc[:, k]]
        table.isetitem(k, texts)
    for axis, labels in (("index", table.index), ("columns", table.columns)):
        if _has_bytes(labels):
            table = table.set_axis(labels.map(_as_text), axis=axis)
    return table


def _as_text(value: Any) -> Any:
    return text_of(value) if isinstance(value, bytes) else value


def _has_bytes(values: Any) -> bool:
    plain = getattr(values.dtype, "kind", "O") in "biufcmM"
    return not plain and any(isinstance(value, bytes) for value in values)
