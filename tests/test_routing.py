"""Labels, gaps and ragged trials through scikit-learn's own tools."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._engine import _settings
from sklearn_jedi._models import _error_sizes
from sklearn_jedi.metrics import trajectory_r2

pipelines_are_scored_with_metadata = pytest.mark.xfail(
    parse_version(sklearn.__version__) < parse_version("1.8"),
    reason="before 1.8, scikit-learn's default scorer drops what a Pipeline's steps "
    "ask for (scikit-learn's issue 30937)",
    strict=True,
)


class Recording(JEDIEstimator):
    """Writes down what each method is given: first neuron of the first bin, labels."""

    calls: list = []  # noqa: RUF012 (clones share it)

    def _note(self, method, X, conditions, sessions):
        marks = [float(np.asarray(trial)[0, 0]) for trial in X]
        holes = [np.isnan(np.asarray(trial)) for trial in X]
        assert conditions is None or sessions is None
        labels = conditions if sessions is None else sessions
        labels = None if labels is None else list(labels)
        Recording.calls.append((method, marks, labels, holes))
        return {"conditions": conditions, "sessions": sessions}

    def fit(self, X, y=None, *, conditions=None, sessions=None):
        return super().fit(X, y, **self._note("fit", X, conditions, sessions))

    def transform(self, X, *, conditions=None, sessions=None):
        return super().transform(X, **self._note("transform", X, conditions, sessions))

    def score(self, X, y=None, *, conditions=None, sessions=None):
        return super().score(X, y, **self._note("score", X, conditions, sessions))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Fits of few rounds, and sizes of errors from two folds: labels pass as before."""
    monkeypatch.setattr(_settings, "_EM_ITERATIONS", 1)
    monkeypatch.setattr(_error_sizes, "_FOLDS", 2)


@pytest.fixture
def calls():
    Recording.calls = []
    yield Recording.calls
    Recording.calls = []


@pytest.fixture
def routed():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def data(rotations):
    """Trials that their first value tells apart, labels of pairs, a class; gaps."""
    X, y, _ = rotations
    X = X[:, :20].copy()
    X[:, 0, 0] = np.linspace(-1, 1, len(X))
    rng = np.random.default_rng(0)
    X[rng.random(X.shape[:2]) < 0.1] = np.nan
    X[:, 0] = np.nan_to_num(X[:, 0])
    X[:, 0, 0] = np.linspace(-1, 1, len(X))
    labels = np.array([f"pair {i // 2}" for i in range(len(X))])
    return X, y > 1, labels


def make(observation="state", **params):
    params = {"rank": 2, "embedding_dim": 2, "max_epochs": 0, **params}
    if observation == "state":
        params |= {"window": 5, "ridge": 0.01, "gain": 1.0}
    return Recording(observation=observation, **params)


def shared(**params):
    """The same, for trials of a condition that share an embedding."""
    return make(embedding="condition", **params)


def check(calls, X, labels, methods):
    """Every call of these methods got the labels and the gaps of its own trials."""
    number = {float(x[0, 0]): i for i, x in enumerate(X)}
    assert {method for method, *_ in calls} >= set(methods)
    for method, marks, given, holes in calls:
        rows = [number[mark] for mark in marks]
        for hole, row in zip(holes, rows, strict=True):
            np.testing.assert_array_equal(hole, np.isnan(X[row]))
        if method in methods:
            assert given == [labels[row] for row in rows]
        else:
            assert given is None


# --------------------------------------------------------------------- without routing


def test_labels_reach_fit_in_a_pipeline(data, calls):
    X, y, labels = data
    pipe = make_pipeline(shared(), LogisticRegression())
    pipe.fit(X, y, recording__conditions=labels)
    check(calls, X, labels, {"fit"})
    np.testing.assert_array_equal(
        pipe[0].embeddings_, shared().fit(X, conditions=labels).embeddings_
    )
    pipe.predict(X)
    assert calls[-1][0] == "transform"
    assert calls[-1][2] is None


def test_the_name_of_the_step_is_that_of_the_class(data):
    X, y, labels = data
    jedi = JEDIEstimator(2, 2, embedding="condition", max_epochs=0)
    pipe = make_pipeline(jedi, LogisticRegression())
    pipe.fit(X, y, jediestimator__conditions=labels)
    Z = pipe[0].embeddings_
    np.testing.assert_array_equal(Z[::2], Z[1::2])


def test_grid_search_cuts_labels_like_trials(data, calls):
    X, _, labels = data
    cv = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(shared(), {"rank": [1, 2]}, cv=cv, error_score="raise")
    search.fit(X, conditions=labels)
    check(calls, X, labels, {"fit"})
    assert [len(c[1]) for c in calls if c[0] == "fit"] == [16] * 6 + [24]
    expected = [
        shared(rank=2).fit(X[train], conditions=labels[train]).score(X[test])
        for train, test in cv.split(X)
    ]
    found = search.cv_results_["mean_test_score"][1]
    assert found == pytest.approx(np.mean(expected), abs=1e-12)


def test_grid_search_over_a_pipeline(data, calls):
    X, y, labels = data
    pipe = make_pipeline(shared(), LogisticRegression())
    search = GridSearchCV(pipe, {"recording__rank": [1, 2]}, cv=3, error_score="raise")
    search.fit(X, y, recording__conditions=labels)
    check(calls, X, labels, {"fit"})
    assert sum(c[0] == "fit" for c in calls) == 7


# ------------------------------------------------------------------------ with routing


@pytest.mark.usefixtures("routed")
def test_labels_reach_every_method_that_asks(data, calls):
    X, y, labels = data
    jedi = shared().set_fit_request(conditions=True)
    jedi.set_transform_request(conditions=True)
    pipe = make_pipeline(jedi, LogisticRegression())
    pipe.fit(X, y, conditions=labels)
    order = np.random.default_rng(1).permutation(len(X))
    pipe.predict(X[order], conditions=labels[order])
    pipe.score(X[::3], y[::3], conditions=labels[::3])
    check(calls, X, labels, {"fit", "transform"})
    assert [c[0] for c in calls].count("transform") >= 2


@pytest.mark.usefixtures("routed")
def test_grid_search_routes_to_fit_and_score(data, calls):
    X, _, labels = data
    jedi = shared().set_fit_request(conditions=True).set_score_request(conditions=True)
    search = GridSearchCV(jedi, {"rank": [1, 2]}, cv=KFold(3, shuffle=True,
                          random_state=0), error_score="raise")  # fmt: skip
    search.fit(X, conditions=labels)
    check(calls, X, labels, {"fit", "score"})
    assert [len(c[1]) for c in calls if c[0] == "score"] == [8] * 6
    search.score(X, conditions=labels)
    check(calls, X, labels, {"fit", "score"})


@pipelines_are_scored_with_metadata
@pytest.mark.usefixtures("routed")
def test_grid_search_over_a_pipeline_routes_through(data, calls):
    X, y, labels = data
    jedi = shared().set_fit_request(conditions=True)
    jedi.set_transform_request(conditions=True)
    pipe = make_pipeline(jedi, LogisticRegression())
    search = GridSearchCV(pipe, {"recording__rank": [1, 2]}, cv=3, error_score="raise")
    search.fit(X, y, conditions=labels)
    check(calls, X, labels, {"fit", "transform"})
    held_out = [c for c in calls if c[0] == "transform" and len(c[1]) == 8]
    assert len(held_out) >= 6


@pytest.mark.usefixtures("routed")
def test_cross_val_score_routes_with_params(data, calls):
    X, _, labels = data
    jedi = shared().set_fit_request(conditions=True).set_score_request(conditions=True)
    scores = cross_val_score(jedi, X, params={"conditions": labels}, cv=4,
                             error_score="raise")  # fmt: skip
    check(calls, X, labels, {"fit", "score"})
    assert len(calls) == 8
    for score, (train, test) in zip(scores, KFold(4).split(X), strict=True):
        model = shared().fit(X[train], conditions=labels[train])
        assert score == pytest.approx(
            model.score(X[test], conditions=labels[test]), abs=1e-12
        )


@pytest.mark.usefixtures("routed")
def test_sessions_are_routed_like_conditions(data, calls):
    X, _, labels = data
    jedi = make(embedding="session")
    jedi.set_fit_request(sessions=True).set_score_request(sessions=True)
    cross_val_score(jedi, X, params={"sessions": labels}, cv=4, error_score="raise")
    check(calls, X, labels, {"fit", "score"})
    jedi.set_transform_request(sessions=True)
    Z = make_pipeline(jedi, StandardScaler()).fit_transform(X, sessions=labels)
    np.testing.assert_array_equal(Z[::2], Z[1::2])


@pytest.mark.usefixtures("routed")
def test_whole_conditions_are_held_out(data, calls):
    X, _, labels = data
    jedi = shared().set_fit_request(conditions=True).set_score_request(conditions=True)
    cv = GroupKFold(3).set_split_request(groups=True)
    search = GridSearchCV(jedi, {"rank": [2]}, cv=cv, refit=False, error_score="raise")
    search.fit(X, conditions=labels, groups=labels)
    check(calls, X, labels, {"fit", "score"})
    for fit, score in zip(calls[::2], calls[1::2], strict=True):
        assert not set(fit[2]) & set(score[2])


@pytest.mark.usefixtures("routed")
def test_labels_that_nobody_asked_for_are_an_error(data):
    X, y, labels = data
    pipe = make_pipeline(make(), LogisticRegression())
    with pytest.raises(UnsetMetadataPassedError, match="conditions"):
        pipe.fit(X, y, conditions=labels)
    silent = make().set_fit_request(conditions=False)
    silent.set_transform_request(conditions=False)
    with pytest.raises(TypeError, match="conditions"):
        make_pipeline(silent, LogisticRegression()).fit(X, y, conditions=labels)


# ----------------------------------------------------------------- what conditions mean


@pytest.mark.parametrize("observation", ["state", "gaussian"])
@pytest.mark.parametrize("routing", [False, True])
def test_fit_transform_with_conditions(data, observation, routing):
    X, _, labels = data
    with sklearn.config_context(enable_metadata_routing=routing):
        Z = shared(observation=observation).fit_transform(X, conditions=labels)
        jedi = shared(observation=observation).fit(X, conditions=labels)
    np.testing.assert_allclose(Z, jedi.transform(X, conditions=labels), atol=1e-9)
    np.testing.assert_array_equal(Z[::2], Z[1::2])
    assert len(np.unique(Z, axis=0)) == 12
    assert not np.allclose(Z, jedi.transform(X), atol=1e-3)


@pytest.mark.parametrize("observation", ["state", "gaussian", "poisson"])
def test_only_which_trials_share_a_label_counts(data, observation):
    """Not its type, its order, or the order of the trials."""
    X, _, labels = data
    if observation == "poisson":
        X = np.random.default_rng(0).poisson(np.exp(np.nan_to_num(X)))
    jedi = shared(observation=observation).fit(X, conditions=labels)
    Z, cov = jedi.embedding_posterior(X, conditions=labels)
    numbers = [7 - 3 * int(label.split()[1]) for label in labels]
    mixed = [k if k % 2 else f"{k}" for k in numbers]
    for other in (numbers, np.array(numbers), mixed, list(map(str, numbers))):
        same = jedi.embedding_posterior(X, conditions=other)
        np.testing.assert_array_equal(same[0], Z)
    order = np.random.default_rng(2).permutation(len(X))
    moved = jedi.embedding_posterior(X[order], conditions=labels[order])
    np.testing.assert_allclose(moved[0], Z[order], atol=1e-6)
    np.testing.assert_allclose(moved[1], cov[order], atol=1e-6)
    for batch_size in (1, 5):
        parts = jedi.set_params(batch_size=batch_size)
        np.testing.assert_allclose(parts.transform(X, conditions=labels), Z, atol=1e-6)
    # more trials say more
    alone = jedi.embedding_posterior(X)[1]
    assert (
        np.trace(cov, axis1=1, axis2=2).mean()
        < np.trace(alone, axis1=1, axis2=2).mean()
    )


@pytest.mark.parametrize("method", ["reconstruct", "smooth", "initial_states"])
@pytest.mark.parametrize("observation", ["state", "gaussian"])
def test_results_keep_the_order_of_the_trials(data, observation, method):
    X, _, labels = data
    jedi = shared(observation=observation).fit(X, conditions=labels)
    order = np.random.default_rng(2).permutation(len(X))
    of_all = getattr(jedi, method)(X, conditions=labels)
    moved = getattr(jedi, method)(X[order], conditions=labels[order])
    np.testing.assert_allclose(moved, of_all[order], atol=1e-6)


# ----------------------------------------------------------------------- ragged trials


@pytest.fixture
def ragged(data):
    X, y, labels = data
    return [x[: 20 - i % 5] for i, x in enumerate(X)], y, labels


def test_ragged_lists_in_grid_search(ragged, calls):
    trials, _, labels = ragged
    search = GridSearchCV(shared(), {"rank": [1, 2]}, cv=3, error_score="raise")
    search.fit(trials, conditions=labels)
    check(calls, trials, labels, {"fit"})
    assert search.best_params_ == {"rank": 2}  # one direction cannot rotate
    for trial, alone in zip(trials, search.transform(trials), strict=True):
        np.testing.assert_allclose(search.transform([trial])[0], alone, atol=1e-8)


def test_ragged_lists_in_cross_val_score(ragged, calls):
    trials, y, labels = ragged
    pipe = make_pipeline(make(), LogisticRegression())
    scores = cross_val_score(pipe, trials, y, cv=3, error_score="raise")
    assert np.mean(scores) > 0.8  # of two classes
    groups = np.arange(len(trials)) // 2 % 4
    scores = cross_val_score(
        make(), trials, groups=groups, cv=LeaveOneGroupOut(), error_score="raise"
    )
    check(calls, trials, labels, set())
    # each group of trials is scored by a model of the others, which ran them freely
    assert scores.shape == (4,)
    for fold in (0, 3):
        out = groups == fold
        test = [trials[k] for k in np.flatnonzero(out)]
        runs = make().fit([trials[k] for k in np.flatnonzero(~out)]).reconstruct(test)
        expected = trajectory_r2([x[1:] for x in test], [r[1:] for r in runs])
        assert scores[fold] == pytest.approx(expected, abs=1e-10)


@pipelines_are_scored_with_metadata
@pytest.mark.usefixtures("routed")
def test_ragged_lists_with_routing(ragged, calls):
    trials, y, labels = ragged
    jedi = shared().set_fit_request(conditions=True)
    jedi.set_transform_request(conditions=True)
    pipe = make_pipeline(jedi, LogisticRegression())
    cv = StratifiedKFold(3)
    scores = cross_val_score(
        pipe, trials, y, params={"conditions": labels}, cv=cv, error_score="raise"
    )
    check(calls, trials, labels, {"fit", "transform"})
    train, test = next(cv.split(trials, y))
    model, classifier = clone(jedi), LogisticRegression()
    of_train = [trials[k] for k in train]
    Z = model.fit_transform(of_train, conditions=labels[train])
    of_test = model.transform([trials[k] for k in test], conditions=labels[test])
    assert scores[0] == classifier.fit(Z, y[train]).score(of_test, y[test])
