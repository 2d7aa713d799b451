"""Words that depend on numbers."""

from __future__ import annotations

from collections.abc import Iterable


def counted(n: int, what: str) -> str:
    """ "1 trial", "2 trials"."""
    return f"{n} {what}{'s' * (n != 1)}"


def first_few(names: Iterable[str]) -> str:
    """The first few of some names."""
    names = list(names)
    text = ", ".join(names[:4])
    return text + (f" and {len(names) - 4} more" if len(names) > 4 else "")
