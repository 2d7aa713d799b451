"""Trial sets in scikit-learn's splits, scores and searches."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_rotation_family
from sklearn_jedi.io import TrialSet, TrialsOnDisk
from sklearn_jedi.preprocessing import SpikeSmoother

X = make_rotation_family(5, n_neurons=6, n_timepoints=30, random_state=0)[0]
IDS = np.arange(len(X)) + 100
SIDE = np.array(["left", "right"] * (len(X) // 2))
UNITS = pd.DataFrame({"area": list("ppqqrr")}, index=list("abcdef"))


def trial_set(activity=X, start=-0.2):
    return TrialSet(
        activity, 0.01, pd.DataFrame({"side": SIDE}, index=IDS), UNITS, start
    )


def make(**params):
    """Nothing is left to be chosen within a fit."""
    given = {"observation": "state", "window": 5, "ridge": 0.01, "gain": 1.0}
    return JEDIEstimator(2, 2, max_epochs=0, **given, **params)


@pytest.fixture
def jedi():
    return make(dt=0.01)


@pytest.fixture(scope="module")
def of_array():
    return cross_val_score(make(dt=0.01), X, cv=2)


ROWS = [
    3,
    -1,
    slice(2, 8, 3),
    [7, 2, 2],
    np.array([4, 0]),
    SIDE == "left",
    pd.Series(SIDE == "left"),
    (np.array([4, 0]), ...),
]


@pytest.mark.parametrize("rows", ROWS, ids=repr)
@pytest.mark.parametrize("activity", [X, [x[: 20 + k] for k, x in enumerate(X[:10])]])
def test_rows_keep_all_that_is_known_of_them(rows, activity):
    n = len(activity)
    if isinstance(rows, np.ndarray | pd.Series) and len(rows) > n:
        rows = rows[:n]
    begins = np.arange(n) * 0.1
    trials = TrialSet(activity, 0.02, trial_set().table[:n], UNITS, begins)
    some = trials[rows]
    numbers = np.atleast_1d(np.arange(n)[rows[0] if isinstance(rows, tuple) else rows])
    assert isinstance(some, TrialSet)
    assert len(some) == len(some.X) == len(numbers)
    assert some.shape == (len(numbers), some.lengths.max(), 6)
    for x, number in zip(some.X, numbers, strict=True):
        np.testing.assert_array_equal(x, activity[number])
    pd.testing.assert_frame_equal(some.table, trials.table.iloc[numbers])
    pd.testing.assert_frame_equal(some.units, UNITS)
    np.testing.assert_array_equal(some.start, begins[numbers])
    assert some.dt == 0.02


@pytest.mark.parametrize("rows", [20, "left", 1.5, None, np.ones(3, bool), (0, 1)])
def test_rows_that_are_not_there(rows):
    with pytest.raises(IndexError):
        trial_set()[rows]
    with pytest.raises(IndexError):
        TrialsOnDisk(X)[rows]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"X": X[:3]}, "X has 3 trials, but table has 20 rows"),
        ({"X": X[..., :4]}, r"X has \[4\] neurons, but units has 6 rows"),
        ({"X": [*X[:19], X[19, :, :4]]}, r"X has \[4, 6\] neurons, but units has 6"),
        ({"start": np.zeros(7)}, "X has 20 trials, but start has 7 rows"),
    ],
)
def test_tables_of_others_are_refused(parts, message):
    given = {"activity": parts.get("X", X), "start": parts.get("start", 0.0)}
    with pytest.raises(ValueError, match=message):
        trial_set(**given)


@pytest.mark.parametrize(
    "given", [trial_set(), TrialsOnDisk(X), trial_set(TrialsOnDisk(X))]
)
def test_cross_validation_is_that_of_the_array(jedi, given, of_array):
    np.testing.assert_array_equal(cross_val_score(jedi, given, cv=2), of_array)
    whole = jedi.fit(X)
    np.testing.assert_array_equal(whole.transform(given), whole.embeddings_)
    assert whole.score(given) == whole.score(X)


def test_trials_of_several_lengths_are_split(jedi):
    ragged = [x[: 20 + k % 5] for k, x in enumerate(X)]
    folds = [(np.arange(10), np.arange(10, 20))]
    expected = jedi.fit(ragged[:10]).score(ragged[10:])
    assert cross_val_score(jedi, trial_set(ragged), cv=folds) == [expected]


def test_labels_are_those_of_the_table(jedi):
    trials = trial_set()
    decoder = make_pipeline(jedi, LogisticRegression())
    np.testing.assert_array_equal(
        cross_val_predict(decoder, trials, trials.table["side"], cv=2),
        cross_val_predict(decoder, X, SIDE, cv=2),
    )
    train, test, _, side = train_test_split(
        trials, trials.table["side"], stratify=trials.table["side"], random_state=0
    )
    assert side.index.tolist() == test.table.index.tolist()
    assert side.tolist() == test.table["side"].tolist()
    assert sorted([*train.table.index, *test.table.index]) == IDS.tolist()


def test_ids_of_a_fold_stay_in_tables(jedi):
    steps = make_pipeline(SpikeSmoother(0.02), jedi).set_output(transform="pandas")
    train, test = train_test_split(trial_set(), random_state=0)
    found = steps.fit(train).transform(test)
    assert found.index.tolist() == test.table.index.tolist()
    expected = steps.fit(trial_set()[:15]).transform(trial_set()[15:])
    assert expected.index.tolist() == IDS[15:].tolist()


def test_a_search_takes_the_time_step_of_the_trials():
    steps = make_pipeline(SpikeSmoother(0.02), make())
    search = GridSearchCV(steps, {"spikesmoother__width": [0.02, 0.04]}, cv=2)
    search.fit(trial_set())
    assert search.best_estimator_["spikesmoother"].dt_ == 0.01
    plain = GridSearchCV(steps, {"spikesmoother__width": [0.02, 0.04]}, cv=2)
    plain.set_params(
        estimator__spikesmoother__dt=0.01, estimator__jediestimator__dt=0.01
    )
    assert plain.fit(X).best_score_ == search.best_score_
