"""Preprocessing, the model and a classifier in one pipeline."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_rotation_family
from sklearn_jedi.preprocessing import (
    NeuronSelector,
    SoftNormalizer,
    SpikeSmoother,
    SquareRoot,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:.* reads X as counts per bin:UserWarning"
)


@pytest.fixture(scope="module")
def spikes():
    """Counts of 48 trials x 60 bins x 20 neurons that rotate at 4 frequencies."""
    X, y, _ = make_rotation_family(12, n_timepoints=60, n_neurons=20, random_state=0)
    return np.random.default_rng(0).poisson(np.exp(0.5 * X + 1.5)).astype(float), y


def whole_pipeline(**jedi):
    return make_pipeline(
        NeuronSelector(),
        SquareRoot(),
        SpikeSmoother(),
        SoftNormalizer(dt=1),
        JEDIEstimator(rank=2, embedding_dim=2, max_epochs=0, **jedi),
        LogisticRegression(C=100),
    )


@pytest.mark.parametrize("library", ["default", "pandas", "polars"])
@pytest.mark.parametrize("kind", ["array", "list"])
def test_pipeline_to_a_classifier(spikes, library, kind):
    X, y = spikes
    trials = list(X) if kind == "list" else X
    pipe = whole_pipeline().set_output(transform=library)
    pipe.fit(trials[::2], y[::2])
    assert pipe.score(trials[1::2], y[1::2]) == 1.0
    names = ["jediestimator0", "jediestimator1"]
    assert list(pipe[:-1].get_feature_names_out()) == names
    Z = pipe[:-1].transform(trials[:3])
    assert Z.shape == (3, 2)
    if library != "default":
        assert list(Z.columns) == names


def test_conditions_reach_the_estimator_by_metadata_routing(spikes):
    X, y = spikes
    with config_context(enable_metadata_routing=True):
        pipe = whole_pipeline(embedding="condition")
        pipe[-2].set_fit_request(conditions=True).set_transform_request(conditions=True)
        Z = pipe.fit(X, y, conditions=y)[-2].embeddings_
    assert len(np.unique(Z.round(9), axis=0)) == 4


def test_grid_search_over_the_width(spikes):
    X, y = spikes
    search = GridSearchCV(
        whole_pipeline(observation="state", gain=1.0, ridge=0.01, window=1),
        {"spikesmoother__width": [0.02, 0.5], "softnormalizer__constant": [1.0]},
        cv=2,
        error_score="raise",
    )
    search.fit(X, y)
    # half a second blurs all four frequencies away
    assert search.best_params_["spikesmoother__width"] == 0.02
    assert search.best_score_ > 0.9
