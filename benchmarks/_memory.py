"""Memory that a computation adds to its process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path


def anonymous_memory() -> float:
    """Memory of this process that no file backs, in MB (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


@contextlib.contextmanager
def memory_watch() -> Iterator[Callable[[], float]]:
    """Watch while the block runs; call what it gives for the memory added, in MB."""
    before = anonymous_memory()
    peak, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], anonymous_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: max(peak[0], anonymous_memory()) - before
    finally:
        done.set()
        watcher.join()
