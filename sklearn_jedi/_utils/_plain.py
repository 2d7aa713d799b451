"""Values of Python and numpy as JSON has them, and back."""

from __future__ import annotations

import datetime
import numbers
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

# What JSON has no form for goes under one of these keys, alone in its object.
_FROM_TAGGED: dict[str, Callable[[Any], Any]] = {
    "__tuple__": lambda items: tuple(from_plain(item) for item in items),
    "__dict__": lambda items: {from_plain(k): from_plain(v) for k, v in items},
    "__bytes__": lambda text: text.encode("latin-1"),
}
_DATES = (datetime.date, datetime.timedelta, np.datetime64, np.timedelta64)


def to_plain(value: Any) -> Any:
    """A value as JSON has it: numbers, text, and lists and objects of them.

    Python's numbers, text, lists, tuples, bytes and mappings come back as they were.
    Numbers of numpy and torch become Python's, arrays, tensors and sets lists, paths
    and dates text.

    Raises
    ------
    TypeError
        If it is something else; the message names its type.
    """
    if value is None:
        return value
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, _DATES):
        return str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, (list, set, frozenset)):
        return [to_plain(item) for item in value]
    if isinstance(value, tuple):
        return {"__tuple__": [to_plain(item) for item in value]}
    if isinstance(value, Mapping):
        return {"__dict__": [[to_plain(k), to_plain(v)] for k, v in value.items()]}
    if isinstance(value, bytes):
        return {"__bytes__": value.decode("latin-1")}
    if hasattr(value, "tolist"):  # arrays and tensors
        return to_plain(value.tolist())
    raise TypeError(f"{type(value).__name__} is neither numbers nor text")


def from_plain(tree: Any) -> Any:
    """The value that `to_plain` was given, in Python's own types."""
    if isinstance(tree, list):
        return [from_plain(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((tag, content),) = tree.items()
    return _FROM_TAGGED[tag](content)


def is_tagged(tree: Any) -> bool:
    """Whether `to_plain` made it of what JSON has no form for."""
    return (
        isinstance(tree, dict) and len(tree) == 1 and next(iter(tree)) in _FROM_TAGGED
    )


def as_objects(values: Iterable[Any]) -> np.ndarray:
    """Values as a 1-D array of objects, of which tuples are no rows."""
    values = list(values)
    array = np.empty(len(values), dtype=object)
    for number, value in enumerate(values):
        array[number] = value
    return array
