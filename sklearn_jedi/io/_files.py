"""What the readers share: libraries of the extra, and errors of unusable files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from sklearn_jedi._utils._optional import import_optional


def import_io(library: str) -> ModuleType:
    """Import a library of the `io` extra, or raise ImportError that names the extra."""
    return import_optional(library, "sklearn_jedi.io", "io")


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


def quoted(names: Iterable[object]) -> str:
    """Names for a message, each as Python writes it."""
    plain = (name.item() if hasattr(name, "item") else name for name in names)
    return ", ".join(repr(name) for name in plain) or "none"
