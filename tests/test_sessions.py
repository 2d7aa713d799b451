"""The gate for trials of several sessions: what is refused, and with which words."""

import numpy as np
import pandas as pd
import pytest

from sklearn_jedi import MetaDynamicalSSM
from sklearn_jedi.datasets import make_oscillator_sessions


@pytest.fixture(scope="module")
def data():
    return make_oscillator_sessions(
        3, 3, n_timepoints=30, n_neurons=(6, 9), random_state=4
    )


@pytest.fixture(scope="module")
def meta(data):
    return MetaDynamicalSSM().fit(data.X, sessions=data.sessions)


def refused(method, X, match, error=ValueError, **params):
    with pytest.raises(error, match=match):
        method(X, **params)


METHODS = ["transform", "latents", "reconstruct", "smooth", "score"]


@pytest.mark.parametrize("method", METHODS)
def test_a_session_seen_for_the_first_time_names_adapt(data, meta, method):
    refused(getattr(meta, method), data.X[:1], r"adapt\(X_new", sessions=["new"])


@pytest.mark.parametrize("method", METHODS)
def test_sessions_are_needed_where_fit_had_them(data, meta, method):
    refused(getattr(meta, method), data.X[:3], "pass sessions=")


def test_neurons_that_disagree_with_the_session_are_refused(data, meta):
    n = data.X[0].shape[1]
    refused(
        meta.transform,
        [data.X[0][:, 1:]],
        rf"session 0 .* X has {n - 1} neurons, but MetaDynamicalSSM was fitted on {n}",
        sessions=[0],
    )
    mixed = [data.X[0], data.X[0][:, 1:]]
    refused(
        MetaDynamicalSSM().fit, mixed, "session 'a' .* disagree", sessions=["a"] * 2
    )


def test_different_neurons_without_labels_ask_for_sessions(data):
    refused(MetaDynamicalSSM().fit, data.X, "pass sessions=, one label per trial")


@pytest.mark.parametrize(
    ("sessions", "error", "match"),
    [
        ([0, 0, 0], ValueError, "one label per trial"),
        ([None] * 9, ValueError, "None or NaN"),
        ([*"abcabcab", 1], TypeError, "by text or by numbers"),
        ([(1, 2)] * 9, (TypeError, ValueError), "label"),
    ],
)
def test_labels_that_cannot_be_used(data, sessions, error, match):
    refused(MetaDynamicalSSM().fit, data.X, match, error, sessions=sessions)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda x: np.where(x == x.max(), np.inf, x), "session 1 .* infinity"),
        (lambda x: np.full(x.shape, np.nan), "session 1 .* trial 0 has NaN in every"),
        (lambda x: x[:1], "session 1 .* trial 0 has 1 time point"),
        (lambda x: x[:, :0], "session 1 .* disagree on the number of neurons"),
        (lambda x: x[:, 0], "session 1 .* trial 0 has shape"),
    ],
)
def test_bad_trials_name_their_session(data, spoil, match):
    X = list(data.X)
    X[3] = spoil(X[3])
    refused(MetaDynamicalSSM().fit, X, match, sessions=data.sessions)


def test_a_neuron_that_was_never_recorded_is_refused(data):
    X = [x.copy() for x in data.X]
    for x in X[3:6]:
        x[:, 2] = np.nan
    refused(
        MetaDynamicalSSM().fit,
        X,
        "session 1 .* neuron 2 has no",
        sessions=data.sessions,
    )


@pytest.mark.parametrize("X", [[], np.empty((0, 5, 3)), 3.0, "trials"])
def test_no_trials(X):
    with pytest.raises((ValueError, TypeError)):
        MetaDynamicalSSM().fit(X, sessions=[])


def test_counts_are_needed_for_poisson(data):
    for name in ("poisson", "negative_binomial"):
        meta = MetaDynamicalSSM(observation=name)
        text = f'observation="{name}" needs spike counts.* use observation="gaussian"'
        refused(meta.fit, data.X, text, sessions=data.sessions)


def test_adapt_refuses_sessions_that_are_known_and_too_few_neurons(data, meta):
    refused(meta.adapt, data.X[:1], "known already", sessions=[0])
    refused(meta.adapt, [data.X[0][:, :1]], "fewer than the 2", sessions=["x"])
    refused(meta.adapt, data.X[:2], "one label per trial", sessions=["x"])


def test_adapt_refuses_labels_of_another_kind(data, meta):
    new = [data.X[0] + 1.0] * 2
    text = r"not by \['int', 'str'\]"
    refused(meta.adapt, new, text, TypeError, sessions=["x", "x"])
    refused(meta.adapt, new, "text, numbers or tuples", TypeError, sessions=[{}, {}])


def test_labels_of_bytes_are_text(data):
    X, names = data.X[:3], np.array([b"day 1 ", b"day 1", b"day 1"])
    meta = MetaDynamicalSSM(embedding="trial").fit(X, sessions=names)
    assert meta.sessions_.tolist() == ["day 1"]
    expected = meta.transform(X, sessions=["day 1"] * 3)
    np.testing.assert_array_equal(meta.transform(X, sessions=names), expected)


def test_one_session_labelled_zero_is_not_one_without_a_label(data):
    X = data.X[:3]
    meta = MetaDynamicalSSM(embedding="trial").fit(X, sessions=[0, 0, 0])
    refused(meta.transform, X, "pass sessions=")
    refused(meta.transform, X[:1], r"adapt\(X_new", sessions=[1])


def test_adapt_needs_sessions_here_and_in_fit(data, meta):
    refused(meta.adapt, data.X[:1], "adapt needs sessions=", sessions=None)
    alone = MetaDynamicalSSM().fit(data.X[:3])
    refused(alone.adapt, data.X[3:4], "adapt needs sessions=", sessions=["new"])


def test_score_is_the_r2_of_free_runs_over_sessions_of_different_neurons(data, meta):
    """Of trials as short as two time points; each neuron about its own mean."""
    order = [4, 0, 8, 1, 3, 7]
    lengths = [30, 30, 2, 12, 30, 30]
    X = [data.X[k][:n] for k, n in zip(order, lengths, strict=True)]
    sessions = np.array(data.sessions)[order]
    X[0] = np.where(np.arange(30)[:, None] % 7 == 3, np.nan, X[0])
    runs = meta.reconstruct(X, sessions=sessions)
    error = total = 0.0
    for session in np.unique(sessions):
        mine = np.flatnonzero(sessions == session)
        true = np.concatenate([X[k] for k in mine])
        run = np.concatenate([runs[k] for k in mine])
        error += np.nansum((true - run) ** 2)
        total += np.nansum((true - np.nanmean(true, axis=0)) ** 2)
    score = meta.score(X, sessions=sessions)
    assert score == pytest.approx(1 - error / total, abs=1e-12)


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"n_latents": 0}, ValueError, "n_latents must be at least 1"),
        ({"change_rank": 1.5}, TypeError, "change_rank must be an integer"),
        ({"embedding": "day"}, ValueError, "embedding must be one of"),
        ({"observation": "binomial"}, ValueError, "observation must be one of"),
        ({"observation": "state"}, ValueError, "latents .* never are: use one of"),
        ({"embedding": "condition"}, ValueError, "needs conditions=, what was done"),
        ({"n_units": 1}, ValueError, "n_units must be at least 2"),
        ({"dt": 0.2, "tau": 0.1}, ValueError, "dt must not exceed tau"),
        ({"ridge": -1.0}, ValueError, "ridge must be zero or positive"),
    ],
)
def test_parameters_that_cannot_be_used(data, params, error, match):
    refused(
        MetaDynamicalSSM(**params).fit, data.X, match, error, sessions=data.sessions
    )


def test_data_frames_tell_units_by_name(data):
    frames = [
        pd.DataFrame(x, columns=[f"s{s} n{k}" for k in range(x.shape[1])])
        for x, s in zip(data.X, data.sessions, strict=True)
    ]
    meta = MetaDynamicalSSM().fit(frames, sessions=data.sessions)
    swapped = frames[3][frames[3].columns[::-1]]
    refused(meta.transform, [swapped], "session 1 .* not those of fit", sessions=[1])
    plain = MetaDynamicalSSM().fit(data.X, sessions=data.sessions)
    np.testing.assert_array_equal(meta.embeddings_, plain.embeddings_)


def test_a_refit_that_fails_leaves_no_old_model(data):
    meta = MetaDynamicalSSM().fit(data.X, sessions=data.sessions)
    refused(meta.fit, data.X, "one label per trial", sessions=[0])
    with pytest.raises(Exception, match="not fitted"):
        meta.transform(data.X, sessions=data.sessions)


def test_conditions_that_no_session_shares_are_refused(data):
    refused(
        MetaDynamicalSSM().fit,
        data.X,
        "labels must mean the same in all",
        sessions=data.sessions,
        conditions=[f"{s} {k % 3}" for k, s in enumerate(data.sessions)],
    )


def test_counts_with_gaussian_noise_are_told(rng):
    counts = [rng.poisson(2.0, (30, 6)).astype(float) for _ in range(4)]
    with pytest.warns(UserWarning, match="X looks like spike counts"):
        MetaDynamicalSSM().fit(counts, sessions=[0, 0, 1, 1])
