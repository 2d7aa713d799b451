"""
A grid search on a cluster
==========================

*How do I spread a search over many machines, and what happens when one of them dies?*

scikit-learn's searches run on joblib, and joblib runs on a Dask cluster: only
``parallel_config`` changes. What differs from one machine is where the data are. Each
array of more than 1 kB that a task needs, the indices of the folds included, is put on
*one* worker by default, and is lost if that worker dies: the search then ends in a
``FutureCancelledError``. Here the arrays are sent to all workers beforehand
(``scatter=``), and Dask's memory manager, which would remove the copies again, is
stopped. The search then goes on when a worker dies: others do its tasks.

Needs the extra ``tune``. Run it with ``python grid_search_on_a_cluster.py``; it is not
run when these pages are built.
"""

import itertools
import time

from dask.distributed import Client, LocalCluster
from joblib import parallel_config
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_rotation_family

# %%
# Two processes of this machine stand for the cluster. On several machines the line is
#
# .. code-block:: python
#
#     cluster = SSHCluster(["head", "node1", "node2"])  # from dask.distributed
#
# or, on a cluster with a queue (package ``dask-jobqueue``),
#
# .. code-block:: python
#
#     cluster = SLURMCluster(cores=4, processes=4, memory="16GB", walltime="01:00:00")
#     cluster.scale(jobs=10)
#
# One thread for each worker: fits of fewer than 2,000 neurons use one.


def make_cluster():
    """A cluster of two workers."""
    return LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)


# %%
# The search, as on one machine, except that the folds are made first, so that they can
# be sent. Below the guard, because each worker imports this file.


def main():
    """Search alone and on the cluster, and compare."""
    X, y, _ = make_rotation_family(
        40, n_timepoints=50, n_neurons=30, noise=0.5, random_state=0
    )
    session = [trial % 8 for trial in range(len(y))]
    folds = list(GroupKFold(4).split(X, y, groups=session))
    search = GridSearchCV(
        make_pipeline(JEDIEstimator(dt=0.01, max_epochs=0), LogisticRegression()),
        {"jediestimator__rank": [2, 3, 4], "jediestimator__embedding_dim": [1, 2]},
        cv=folds,
        scoring="neg_log_loss",
    )
    start = time.perf_counter()
    alone = search.fit(X, y).cv_results_["mean_test_score"]
    print(f"one process: {time.perf_counter() - start:.1f} s")

    with make_cluster() as cluster, Client(cluster) as client:
        client.amm.stop()
        start = time.perf_counter()
        with parallel_config(backend="dask", scatter=[X, y, *itertools.chain(*folds)]):
            search.fit(X, y)
        print(f"{len(client.ncores())} workers: {time.perf_counter() - start:.1f} s")

    print(
        "largest difference:", abs(search.cv_results_["mean_test_score"] - alone).max()
    )
    print(search.best_params_)


if __name__ == "__main__":
    main()
