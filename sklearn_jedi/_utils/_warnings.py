"""Warnings that point at the user's own line."""

from __future__ import annotations

import sys
import warnings

# Frames of these packages are passed over.
_INSIDE = ("sklearn_jedi", "sklearn")


def user_level() -> int:
    """The `stacklevel`, in the function that asks, of the user's line."""
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and _package(frame.f_globals) in _INSIDE:
        frame, level = frame.f_back, level + 1
    return level


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of what the user did, where it was done."""
    warnings.warn(message, category, stacklevel=user_level())


def _package(names: dict[str, object]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]
