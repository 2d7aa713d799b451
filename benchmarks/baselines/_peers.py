"""Other packages, imported where they are used: none of them is a dependency."""

from __future__ import annotations

import importlib
from types import ModuleType

INSTALL = "pip install -e '.[bench]'"


def peer(module: str) -> ModuleType:
    """A module of another package, or an error that names the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is not installed: {INSTALL}") from error
