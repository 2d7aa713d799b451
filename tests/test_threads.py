"""Threads are limited for small networks, and put back."""

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_jedi._utils import _threads
from sklearn_jedi._utils._threads import few_threads


def blas_threads():
    return {
        pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"
    }


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with threadpool_limits(3, user_api="blas"):
        np.ones((2, 2)) @ np.ones((2, 2))
        yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_small_networks_run_on_one_thread(error):
    def body():
        with few_threads(100):
            assert torch.get_num_threads() == 1
            assert blas_threads() == {1}
            if error:
                raise error

    if error:
        with pytest.raises(error):
            body()
    else:
        body()
    assert torch.get_num_threads() == 3
    assert blas_threads() == {3}


@pytest.mark.usefixtures("three_threads")
def test_large_networks_keep_theirs():
    with few_threads(_threads._NEURONS_WORTH_THREADS):
        assert torch.get_num_threads() == 3
        assert blas_threads() == {3}
