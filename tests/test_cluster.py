"""Searches over a cluster by joblib's dask backend; one of its workers is killed."""

import itertools
import os
import signal

import numpy as np
import pytest
from joblib import parallel_config
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_rotation_family

distributed = pytest.importorskip(
    "distributed", reason="needs the extra tune: pip install 'sklearn-jedi[tune]'"
)
N_SPLITS = 3
# Nothing is left to be chosen within a fit.
QUICK = {
    "observation": "state",
    "window": 5,
    "ridge": 0.01,
    "gain": 1.0,
    "dt": 0.01,
    "max_epochs": 0,
}
GRID = {"jediestimator__rank": [2, 3], "jediestimator__embedding_dim": [1, 2]}


@pytest.fixture(scope="module")
def recording():
    """So many trials that joblib sends the indices of a fold apart from its task."""
    X, y, _ = make_rotation_family(
        50, n_timepoints=25, n_neurons=10, noise=0.5, random_state=0
    )
    return X, y, np.arange(len(y)) % 10


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Two workers, of which none outlives the tests."""
    import psutil  # distributed needs it, too

    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        local_directory=tmp_path_factory.mktemp("workers"),
    )
    with cluster, distributed.Client(cluster) as client:
        client.amm.stop()  # it thins out what was sent to both workers
        yield client
        workers = client.run(os.getpid).values()
    assert not any(psutil.pid_exists(pid) for pid in workers)


def dies_once(calls):
    """A scorer that kills the worker it runs on, at the third call of all workers."""
    main = os.getpid()

    def log_likelihood(estimator, X, y):
        if os.getpid() != main:
            with calls.open("a") as file:
                file.write(f"{os.getpid()}\n")
            if calls.read_text().split()[2:3] == [str(os.getpid())]:
                os.kill(os.getpid(), signal.SIGKILL)
        return estimator.predict_log_proba(X)[np.arange(len(y)), y].mean()

    return log_likelihood


def test_a_killed_worker_changes_nothing(recording, client, tmp_path):
    X, y, groups = recording
    folds = list(GroupKFold(N_SPLITS).split(X, y, groups))
    search = GridSearchCV(
        make_pipeline(JEDIEstimator(**QUICK), LogisticRegression()),
        GRID,
        cv=folds,
        scoring=dies_once(tmp_path / "calls"),
        error_score="raise",
    )
    expected = search.fit(X, y).cv_results_
    best, Z = search.best_params_, search.best_estimator_[0].embeddings_

    before = client.run(os.getpid).values()
    with parallel_config(backend="dask", scatter=[X, y, *itertools.chain(*folds)]):
        search.fit(X, y)
    client.wait_for_workers(2, timeout=20)
    after = client.run(os.getpid).values()

    calls = [int(pid) for pid in (tmp_path / "calls").read_text().split()]
    assert calls[2] in before
    assert calls[2] not in after
    assert len(after) == 2
    assert len(calls) > N_SPLITS * len(expected["params"])  # what was lost, again
    for key in expected:
        if "test_score" in key:
            np.testing.assert_allclose(search.cv_results_[key], expected[key])
    assert search.best_params_ == best
    np.testing.assert_allclose(search.best_estimator_[0].embeddings_, Z)
    assert np.ptp(expected["mean_test_score"]) > 0.01


def test_conditions_reach_the_workers(recording, client):
    X, y, groups = recording
    with config_context(enable_metadata_routing=True):
        jedi = JEDIEstimator(2, 2, embedding="condition", **QUICK)
        jedi.set_fit_request(conditions=True).set_score_request(conditions=True)
        cv = GroupKFold(N_SPLITS)
        params = {"conditions": y, "groups": groups}
        with parallel_config(backend="dask", scatter=[X]):
            spread = cross_val_score(jedi, X, cv=cv, params=params)
        alone = cross_val_score(jedi, X, cv=cv, params=params)
        jedi.set_params(embedding="trial")
        jedi.set_fit_request(conditions=None).set_score_request(conditions=None)
        params = {"groups": groups}
        without = cross_val_score(jedi, X, cv=cv, params=params)
    np.testing.assert_allclose(spread, alone)
    assert (abs(alone - without) > 1e-3).all()
