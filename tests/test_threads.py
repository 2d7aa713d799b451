"""Threads: one of BLAS for small networks, several for blocks of trials."""

import threading

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
from sklearn_jedi._utils import _threads
from sklearn_jedi._utils._threads import few_threads, in_order, on_cores
from sklearn_jedi.datasets import make_rotation_family


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


def test_calls_are_shared_out_and_come_in_order():
    both = threading.Barrier(2, timeout=20)

    def square(number):
        both.wait()  # passes only where two calls run at a time
        return number**2, threading.get_ident(), blas_threads()

    with on_cores(2, 5000):
        squares, threads, blas = zip(*in_order(square, zip(range(6))), strict=True)
    assert squares == (0, 1, 4, 9, 16, 25)
    assert len(set(threads)) == 2
    assert set.union(*blas) == {1}


@pytest.mark.parametrize("n_jobs", [None, 1])
def test_calls_run_here_unless_told_otherwise(n_jobs):
    with on_cores(n_jobs, 100):
        found = set(in_order(threading.get_ident, [(), (), ()]))
    assert found == {threading.get_ident()}


def test_none_is_what_joblib_was_told():
    with parallel_config(n_jobs=2), on_cores(None, 100):
        both = threading.Barrier(2, timeout=20)
        assert len(list(in_order(both.wait, [(), ()]))) == 2


@pytest.mark.parametrize(
    "estimator",
    [
        JEDIEstimator(2, 2, dt=0.01, observation="gaussian", batch_size=4),
        MetaDynamicalSSM(2, 1, dt=0.01, gain=1.0, batch_size=4),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_results_do_not_depend_on_the_number_of_threads(estimator, rng):
    X = make_rotation_family(4, n_neurons=12, n_timepoints=40, random_state=0)[0]
    X = X + 0.5 * rng.standard_normal(X.shape)
    one = clone(estimator).fit(X[::2])
    two = clone(estimator).set_params(n_jobs=2).fit(X[::2])
    np.testing.assert_array_equal(one.embeddings_, two.embeddings_)
    for method in ("transform", "score", "reconstruct", "smooth"):
        results = (getattr(fitted, method)(X[1::2]) for fitted in (one, two))
        np.testing.assert_array_equal(*results)
    ahead = (fitted.forecast(X[1::2], 5) for fitted in (one, two))
    np.testing.assert_array_equal(*ahead)


def test_no_threads_at_all_are_refused(rng):
    with pytest.raises(ValueError, match="n_jobs must not be 0: -1 means all cores"):
        JEDIEstimator(2, 1, dt=0.01, n_jobs=0).fit(rng.standard_normal((4, 20, 5)))
    with pytest.raises(TypeError, match="n_jobs must be an integer or None; got 'all'"):
        JEDIEstimator(2, 1, dt=0.01, n_jobs="all").fit(rng.standard_normal((4, 20, 5)))
