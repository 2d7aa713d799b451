"""One thread for work that is too small to share.

The matrices of most recordings are so small that two threads are no quicker than one,
and on a busy machine many times slower, because each waits for the other at every step.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from threadpoolctl import threadpool_limits

# Up to here one thread is about as quick as two on an idle machine.
_NEURONS_WORTH_THREADS = 2000


@contextlib.contextmanager
def few_threads(n_neurons: int) -> Iterator[None]:
    """Limit BLAS, and torch where it is loaded, to one thread for small networks."""
    if n_neurons >= _NEURONS_WORTH_THREADS:
        yield
        return
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with threadpool_limits(1, user_api="blas"):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)
