"""Values as floats, whatever holds them, NaN where one is masked or missing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# What arrays may hold that is not activity, by the letter of their dtype.
_OTHERS = {"M": "dates", "m": "time differences", "S": "text", "U": "text", "T": "text"}
# What texts of fixed length are filled up with.
FILLING = " \0"
# Of these numpy makes numbers, and NaN of None.
_PLAIN = (int, float, np.bool_, np.integer, np.floating, type(None))


def is_missing(value: Any) -> bool:
    """Whether a single value is None, NaN, NaT, pandas' NA or masked."""
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, (str, bytes, tuple)):
        return False
    differs: Any = value != value
    # comparisons with pandas' NA are NA again
    return type(differs).__name__ == "NAType" or differs is True or differs is np.True_


def as_numbers(values: Any, what: str) -> np.ndarray:
    """Real numbers as an array: floats and integers as they are, others as floats.

    Parameters
    ----------
    values : array-like
        Also a masked array, a data frame (pandas, with any kind of missing values, or
        polars), a sequence of such of equal shapes, or objects that are numbers.
    what : str
        What messages call it, such as "trial 3".

    Raises
    ------
    ValueError, TypeError
        If these are no real numbers.
    """
    if hasattr(values, "toarray"):
        raise TypeError(f"{what} is a sparse array: pass it as .toarray()")
    if hasattr(values, "iloc") and _is_numeric(values):
        values = values.to_numpy(dtype=_float_of(values), na_value=np.nan)
    array = np.asanyarray(values)
    if isinstance(array, np.ma.MaskedArray) and array.dtype.kind in "biuf":
        array = np.ma.filled(array.astype(_as_float(array.dtype)), np.nan)
    elif isinstance(array, np.ma.MaskedArray):
        array = as_objects(array)
    array = np.asarray(array)
    kind = array.dtype.kind
    if kind == "c":
        raise ValueError(f"Complex data not supported: {what}")
    if kind in _OTHERS:
        raise ValueError(f"{what} holds {_OTHERS[kind]} and no numbers; pass activity")
    if kind == "O":
        return _from_objects(array, what)
    return array if kind in "iuf" else array.astype(np.float64)


def as_objects(values: ArrayLike) -> np.ndarray:
    """An array of objects, None where it is masked, text for bytes."""
    array: np.ndarray = np.asanyarray(values, dtype=object)
    if isinstance(array, np.ma.MaskedArray):
        objects = np.array(array.data)
        objects[np.ma.getmaskarray(array)] = None
        array = objects
    held = np.array([isinstance(value, bytes) for value in array.ravel().tolist()])
    if held.any():
        array = np.array(array)
        which = held.reshape(array.shape)
        array[which] = [text_of(value) for value in array[which]]
    return array


def text_of(value: bytes) -> str:
    """Text of bytes, in UTF-8, or else in Latin-1, without what fills it up."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return text.rstrip(FILLING)


def has_masks(values: object) -> bool:
    """Whether an array, or one in a list of them, is masked."""
    if isinstance(values, (list, tuple)):
        return any(isinstance(value, np.ma.MaskedArray) for value in values)
    return isinstance(values, np.ma.MaskedArray)


def _is_numeric(frame: Any) -> bool:
    """Whether all columns of a frame or series of pandas are real numbers."""
    kinds = frame.dtypes if hasattr(frame, "columns") else [frame.dtype]
    return all(getattr(dtype, "kind", "O") in "biuf" for dtype in kinds)


def _float_of(frame: Any) -> Any:
    """The type of a frame's values as floats."""
    kinds = frame.dtypes if hasattr(frame, "columns") else [frame.dtype]
    return np.float32 if all(str(d) == "float32" for d in kinds) else np.float64


def _as_float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype == np.float32 else np.dtype(np.float64)


def _from_objects(array: np.ndarray, what: str) -> np.ndarray:
    """Numbers of an array of objects, which may be arrays of one shape themselves."""
    values = array.ravel().tolist()
    if all(issubclass(kind, _PLAIN) for kind in set(map(type, values))):
        return array.astype(np.float64)
    if array.ndim and any(np.ndim(value) for value in values):
        shapes = {np.shape(value) for value in values}
        if len(shapes) > 1:
            raise ValueError(
                f"{what} holds arrays of different shapes: {sorted(shapes)[:3]}"
            )
        return np.stack([as_numbers(value, what) for value in values]).reshape(
            *array.shape, *shapes.pop()
        )
    text = [value for value in values if isinstance(value, (str, bytes))]
    if text:
        raise ValueError(f"{what} holds text ({text[0]!r}) where numbers are needed")
    numbers = [np.nan if is_missing(value) else value for value in values]
    if any(isinstance(number, complex) for number in numbers):
        raise ValueError(f"Complex data not supported: {what}")
    try:
        return np.array(numbers, dtype=np.float64).reshape(array.shape)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{what} holds what is no number: {error}") from None
