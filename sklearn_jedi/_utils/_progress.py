"""One line that shows how far long work has come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm import tqdm

Listener = Callable[[int, int, str], None]

_FORMAT = "{desc} {n_fmt}/{total_fmt} [{bar:20}] {elapsed}<{remaining}{postfix}"
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)
_BAR: ContextVar[tqdm | None] = ContextVar("bar", default=None)


def show_progress(what: str, done: int, total: int, text: str) -> None:
    """Show that `done` of `total` steps are done.

    In a terminal a bar is drawn over the last one. Elsewhere, as in log files, each
    step prints a line. With `progress_to` nothing is printed.

    Parameters
    ----------
    what : str
        What a step is, such as "epoch".
    done, total : int
    text : str
        What else is to be said of the step.
    """
    listener = _LISTENER.get()
    if listener is not None:
        listener(done, total, what)
    elif sys.stdout.isatty():
        bar = _bar(what, done, total)
        bar.n = done
        bar.set_postfix_str(text)
        if done == total:
            end_progress(done, total)
    else:
        print(f"{what} {done:>{len(str(total))}}/{total}  {text}", flush=True)


def _bar(what: str, done: int, total: int) -> tqdm:
    """The bar of these steps: the last one, or a new one below it."""
    bar = _BAR.get()
    if bar is None or (bar.desc, bar.total) != (what, total) or done < bar.n:
        end_progress(done, total)
        bar = tqdm(
            desc=what,
            total=total,
            initial=done,
            file=sys.stdout,
            bar_format=_FORMAT,
            dynamic_ncols=True,
        )
        _BAR.set(bar)
    return bar


def end_progress(done: int, total: int) -> None:
    """Leave the line of a bar, also where work ended before its time."""
    bar = _BAR.get()
    if bar is not None:
        bar.close()
        _BAR.set(None)


@contextmanager
def progress_to(listener: Listener) -> Iterator[None]:
    """Send what `show_progress` would print to ``listener(done, total, what)``."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
