"""One line that shows how far long work has come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int, str], None]

_WIDTH = 20
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


def show_progress(what: str, done: int, total: int, text: str) -> None:
    """Print a bar; over the last one in a terminal, below it elsewhere."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(done, total, what)
        return
    filled = round(_WIDTH * done / max(total, 1))
    bar = "#" * filled + "." * (_WIDTH - filled)
    line = f"{what} {done:>{len(str(total))}}/{total} [{bar}] {text}"
    if sys.stdout.isatty():
        print(f"\r{line:<79}", end="\n" if done == total else "", flush=True)
    else:
        print(line, flush=True)


def end_progress(done: int, total: int) -> None:
    """Leave the line in a terminal where work ended before its time."""
    if sys.stdout.isatty() and 0 < done < total:
        print()


@contextmanager
def progress_to(listener: Listener) -> Iterator[None]:
    """Send what `show_progress` would print to ``listener(done, total, what)``."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
