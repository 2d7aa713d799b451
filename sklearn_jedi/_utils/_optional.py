"""Libraries of extras, imported when they are needed."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_optional(module: str, who: str, extra: str) -> ModuleType:
    """Import a library of an extra.

    Parameters
    ----------
    module : str
        Such as "matplotlib.pyplot".
    who, extra : str
        What needs it, and the extra that has it, for the message.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{who} needs {module.partition('.')[0]}: install it with the {extra} "
            f"extra, pip install 'sklearn-jedi[{extra}]'"
        ) from error
