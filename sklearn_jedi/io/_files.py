"""What the readers share: optional imports, and what is said of unusable files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sklearn_jedi._utils import _optional


def import_optional(name: str) -> Any:
    """Import a library of the `io` extra, or raise ImportError that names the extra."""
    return _optional.import_optional(name, "sklearn_jedi.io", "io")


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file that has something in it.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, ValueError
        If there is no such file, it is a directory or it is empty.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a directory; pass the file itself")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes)")
    return path


def unreadable(path: Path, kind: str, error: Exception) -> ValueError:
    """The error of a file that a library could not read as `kind`."""
    return ValueError(
        f"{path} cannot be read as {kind}: it is of another kind, truncated or "
        f"damaged ({type(error).__name__}: {error})"
    )


def listed(names: Iterable[Any]) -> str:
    """Names for a message."""
    plain = (name.item() if hasattr(name, "item") else name for name in names)
    return ", ".join(repr(name) for name in plain) or "none"
