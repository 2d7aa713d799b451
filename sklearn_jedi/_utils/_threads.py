"""One thread for work that is too small to share, and several for what is not.

The matrices of most recordings are so small that two threads are no quicker than one,
and on a busy machine many times slower, because each waits for the other at every step.
Blocks of trials are another matter: they do not wait for each other.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from joblib import Parallel, delayed, effective_n_jobs
from threadpoolctl import threadpool_limits

# Up to here one thread is about as quick as two on an idle machine.
_NEURONS_WORTH_THREADS = 2000


Result = TypeVar("Result")

# What `on_cores` has allowed; blocks that are shared out are not shared out again.
_N_JOBS = contextvars.ContextVar("n_jobs", default=1)


def in_order(
    function: Callable[..., Result], arguments: Iterable[tuple[Any, ...]]
) -> Iterator[Result]:
    """Results of calls, in their order, on as many threads as `on_cores` has allowed.

    What is summed over them does not depend on the number of threads.
    """
    calls = (delayed(function)(*of_one) for of_one in arguments)
    results: Iterator[Result] = Parallel(
        _N_JOBS.get(), require="sharedmem", return_as="generator", batch_size=1
    )(calls)
    return results


@contextlib.contextmanager
def on_cores(n_jobs: int | None, n_neurons: int) -> Iterator[None]:
    """Let `in_order` use so many threads, each with one of BLAS.

    Parameters
    ----------
    n_jobs : int or None
        As in scikit-learn: None is what `joblib.parallel_config` says, or 1, and -1 are
        all cores.
    n_neurons : int
        As in `few_threads`.
    """
    n_threads = effective_n_jobs(n_jobs)
    token = _N_JOBS.set(n_threads)
    try:
        with few_threads(n_neurons if n_threads == 1 else 0):
            yield
    finally:
        _N_JOBS.reset(token)


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
