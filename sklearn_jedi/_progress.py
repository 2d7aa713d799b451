"""One line that shows how far long work has come."""

from __future__ import annotations

import sys

_WIDTH = 20


def show_progress(what: str, done: int, total: int, text: str) -> None:
    """Print a bar; over the last one in a terminal, below it elsewhere."""
    filled = round(_WIDTH * done / max(total, 1))
    bar = "#" * filled + "." * (_WIDTH - filled)
    line = f"{what} {done:>{len(str(total))}}/{total} [{bar}] {text}"
    overwrite = sys.stdout.isatty() and done < total
    print(
        f"\r{line:<79}" if sys.stdout.isatty() else line, end="" if overwrite else "\n"
    )
    sys.stdout.flush()
