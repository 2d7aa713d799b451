"""Checks of parameters, with messages that name them."""

from __future__ import annotations

import math
import numbers


def check_integer(
    name: str, value: object, low: int, *, none: bool = False, auto: bool = False
) -> None:
    """Raise unless value is an integer of at least `low` (or None, or "auto")."""
    if (none and value is None) or (auto and _is_auto(value)):
        return
    also = (" or None" if none else "") + (' or "auto"' if auto else "")
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer{also}; got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}{also}; got {value!r}")


def check_sequence(name: str, value: object, example: str) -> None:
    """Raise unless value is a list or tuple."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(
            f"{name} must be a list or tuple, such as {example}; got {value!r}"
        )


def check_real(
    name: str, value: object, *, positive: bool = True, auto: bool = False
) -> None:
    """Raise unless value is a finite number, positive or at least zero (or "auto")."""
    if auto and _is_auto(value):
        return
    allowed = ' or "auto"' if auto else ""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number{allowed}; got {value!r}")
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        bound = "positive" if positive else "zero or positive"
        raise ValueError(f"{name} must be {bound} and finite{allowed}; got {value!r}")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise unless value is one of the strings."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {list(choices)}; got {value!r}")


def _is_auto(value: object) -> bool:
    return isinstance(value, str) and value == "auto"
