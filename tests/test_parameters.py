"""Parameters and labels: what is used, what is not, and what is said of it."""

import copy
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
from sklearn_jedi.io import TrialSet


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).standard_normal((6, 8, 3))


def fit_warnings(estimator, X, **labels):
    """What is said while fitting, but for time steps and what noise determines."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X, **labels)
    passed_over = ("dt was not given", "these ", "the latents explain")
    caught = [w for w in caught if w.category is UserWarning]
    said = [w for w in caught if not str(w.message).startswith(passed_over)]
    for one in said:
        assert one.filename == __file__  # the user's own line
    return [str(one.message) for one in said]


def jedi(**params):
    return JEDIEstimator(2, 1, **params)


# ------------------------------------------------------------- what is set and not used


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"observation": "state", "max_epochs": 0}, None),
        ({"observation": "state", "max_epochs": 0, "window": 2}, None),
        (
            {"observation": "state", "max_epochs": 0, "start_smoothing": 2},
            'start_smoothing was set, but is not used with observation="state"',
        ),
        ({"observation": "gaussian"}, None),
        ({"observation": "gaussian", "start_smoothing": 2, "ridge": 0.1}, None),
        ({"observation": "gaussian", "random_state": 0, "batch_size": 4}, None),
        ({"observation": "gaussian", "hidden_layer_sizes": [64, 64]}, None),
        (
            {"observation": "gaussian", "window": 2},
            'window was set, but is not used with observation="gaussian": .*see start',
        ),
        (
            {
                "observation": "gaussian",
                "window": 2,
                "max_epochs": 5,
                "hidden_layer_sizes": (8,),
                "callbacks": [],
            },
            "window, max_epochs, hidden_layer_sizes, callbacks were set, but are not",
        ),
        # no training was asked for: nothing that concerns it is missed
        (
            {"observation": "gaussian", "max_epochs": 0, "hidden_layer_sizes": (8,)},
            None,
        ),
        (
            {"observation": "auto", "max_epochs": 3},
            r'max_epochs was set.*="gaussian" \(chosen by "auto"\): networks are',
        ),
    ],
)
def test_one_warning_names_what_is_not_used_with_the_observation(X, params, named):
    said = fit_warnings(jedi(**params), X)
    assert len(said) == (named is not None)
    if named is not None:
        assert re.search(named, said[0]), said[0]


def test_training_that_a_family_does_not_do_is_named(X):
    meta = MetaDynamicalSSM(gain=1.2, hidden_layer_sizes=(8,), callbacks=[])
    (said,) = fit_warnings(meta, X)
    assert said == (
        "hidden_layer_sizes, callbacks were set, but are not used with max_epochs=0: "
        "nothing is trained"
    )
    assert fit_warnings(MetaDynamicalSSM(gain=1.2), X) == []


# --------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("embedding", "given", "said"),
    [
        ("trial", ["conditions"], 'conditions= is not .*embedding="condition"'),
        ("trial", ["sessions"], 'sessions= is not .*set embedding="session"'),
        ("trial", ["conditions", "sessions"], "conditions= and sessions= are not used"),
        ("condition", ["conditions", "sessions"], "sessions= is not used"),
        ("session", ["conditions", "sessions"], "conditions= is not used"),
        ("condition", ["conditions"], None),
        ("session", ["sessions"], None),
    ],
)
def test_labels_that_nothing_is_made_of_are_named(X, embedding, given, said):
    labels = {name: np.arange(6) % 2 for name in given}
    model = jedi(embedding=embedding, max_epochs=0)
    found = fit_warnings(model, X, **labels)
    assert len(found) == (said is not None)
    n_distinct = len(np.unique(model.embeddings_.round(12), axis=0))
    assert n_distinct <= (6 if embedding == "trial" else 2)
    if said is not None:
        with pytest.warns(UserWarning, match=said):
            model.transform(X, **labels)


@pytest.mark.parametrize("embedding", ["condition", "session"])
def test_without_labels_fit_refuses_and_others_embed_each_trial(X, embedding):
    labels = {f"{embedding}s": np.arange(6) % 2}
    model = jedi(embedding=embedding, observation="state", max_epochs=0)
    with pytest.raises(ValueError, match=f"fit needs {embedding}s="):
        model.fit(X)
    model.fit(X, **labels)
    own = copy.copy(model).set_params(embedding="trial")
    np.testing.assert_array_equal(model.transform(X), own.transform(X))
    # the labels of these trials, and no others, say who shares
    Z = model.transform(X[:3], **{f"{embedding}s": ["a", "b", "a"]})
    pair = model.transform(X[[0, 2]], **{f"{embedding}s": [7, 7]})
    np.testing.assert_allclose(Z[[0, 2]], pair, atol=1e-12)
    np.testing.assert_allclose(Z[[1]], own.transform(X[[1]]), atol=1e-12)


# ----------------------------------------------------------------------- time steps


CLOSED_FORM = jedi(observation="state", window=2, ridge=0.01, gain=1.0, max_epochs=0)


@pytest.fixture(
    params=[CLOSED_FORM, MetaDynamicalSSM(gain=1.2)], ids=["JEDI", "MetaDynamicalSSM"]
)
def either(request):
    return copy.copy(request.param)


def trial_set(X, dt):
    neurons = pd.DataFrame(index=[f"unit {k}" for k in range(X.shape[2])])
    return TrialSet(X, dt, pd.DataFrame(index=np.arange(len(X)) + 100), neurons)


def test_times_are_those_of_the_data_or_the_usual(X, either):
    with pytest.warns(UserWarning, match=r"dt was not given .* 0\.01 s is assumed"):
        either.fit(X)
    assert (either.dt_, either.tau_) == (0.01, 0.1)
    assert either.dynamics([[0.0]]).dt == 0.01
    assert fit_warnings(either, trial_set(X, 0.05)) == []
    assert (either.dt_, either.tau_) == (0.05, 0.25)
    networks = either.dynamics([[0.0]])
    assert (networks.dt, networks.tau) == (0.05, 0.25)
    assert (either.dt, either.tau) == ("auto", "auto")


def test_times_that_disagree_draw_one_warning_with_both(X, either):
    either.set_params(dt=0.01, tau=0.02)
    said = fit_warnings(either, trial_set(X, 0.02))
    assert len(said) == 2
    assert "dt=0.01 s was given, but the times of X are 0.02 s apart" in said[0]
    assert "tau=0.02 s is less than 3 time steps of 0.01 s" in said[1]
    assert fit_warnings(either.set_params(tau=0.1), trial_set(X, 0.01)) == []
    calls = [
        lambda X: either.transform(X),
        lambda X: either.forecast(X, 2),
        lambda X: either.reconstruct(X),
        lambda X: either.score(X),
    ]
    for call in calls:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("ignore", ConvergenceWarning)
            call(trial_set(X, 0.01005))  # within 1 %
        with pytest.warns(UserWarning, match=r"X are 0\.02 s .* dt=0\.01 s") as caught:
            call(trial_set(X, 0.02))
        (of_times,) = [w for w in caught if w.category is UserWarning]
        assert of_times.filename == __file__


def test_times_come_back_from_a_file(X, either, tmp_path):
    either.set_params(observation="auto").fit(trial_set(X, 0.05)).save(
        tmp_path / "model.safetensors"
    )
    again = type(either).load(tmp_path / "model.safetensors")
    assert (again.dt_, again.tau_, again.dt) == (0.05, 0.25, "auto")
    assert again.observation_ == either.observation_
    assert again.dynamics([[0.0]]).dt == 0.05


# ------------------------------------------------------------- what else X may be


def test_a_trial_set_is_its_activity_with_names_and_ids(X, either):
    trials = trial_set(X, 0.01)
    plain = copy.copy(either).set_params(dt=0.01).fit(X)
    Z = either.set_output(transform="pandas").fit_transform(trials)
    np.testing.assert_array_equal(Z, plain.embeddings_)
    assert Z.index.tolist() == [100, 101, 102, 103, 104, 105]
    assert either.transform(trials).index.tolist() == Z.index.tolist()
    assert list(either.neuron_names_in_) == ["unit 0", "unit 1", "unit 2"]
    assert either.score(trials) == plain.score(X)
    np.testing.assert_array_equal(either.smooth(trials), plain.smooth(X))
    np.testing.assert_array_equal(either.forecast(trials, 2), plain.forecast(X, 2))
    swapped = trials.select(units=["unit 2", "unit 1", "unit 0"])
    with pytest.raises(ValueError, match=r"units of X are not those of fit.*'unit 2'"):
        either.transform(swapped)
    uneven = TrialSet([X[0], X[1][:5]], 0.01, trials.table[:2], trials.units)
    assert [x.shape for x in either.smooth(uneven)] == [(8, 3), (5, 3)]


def test_a_list_of_pynapple_frames_has_times_and_names(X, either):
    nap = pytest.importorskip("pynapple", reason="needs pynapple (extra io)")
    times = 0.02 * np.arange(8)
    frames = [
        nap.TsdFrame(t=k + times, d=x, columns=["a", "b", "c"]) for k, x in enumerate(X)
    ]
    assert fit_warnings(either, frames) == []
    assert either.dt_ == pytest.approx(0.02)
    assert list(either.neuron_names_in_) == ["a", "b", "c"]
    np.testing.assert_array_equal(either.transform(frames), either.embeddings_)
    np.testing.assert_array_equal(either.smooth(frames)[2], either.smooth(X)[2])
    for whole in (frames[0], nap.Tsd(t=times, d=X[0, :, 0])):
        with pytest.raises(TypeError, match=r"not cut into trials.*trials_from_pynapp"):
            either.fit(whole)


def test_sessions_of_a_trial_set_know_its_neurons(X):
    trials, sessions = trial_set(X, 0.01), [0, 0, 0, 1, 1, 1]
    meta = MetaDynamicalSSM(gain=1.2).fit(trials, sessions=sessions)
    swapped = trials.select(units=["unit 1", "unit 0", "unit 2"])
    with pytest.raises(ValueError, match=r"session 0 .*not those of fit.*'unit 1'"):
        meta.transform(swapped, sessions=sessions)
    assert meta.smooth(trials, sessions=sessions).shape == X.shape
    assert meta.forecast(trials, 2, sessions=sessions).shape == (6, 2, 3)
    assert meta.latents(trials, sessions=sessions).shape == (6, 8, 2)


def test_ids_of_a_labelled_array_become_the_index(X, either):
    xr = pytest.importorskip("xarray", reason="needs xarray (extra io)")
    coords = {"trial": list("pqrstu"), "time": 0.005 + 0.01 * np.arange(8)}
    array = xr.DataArray(X, coords, ("trial", "time", "neuron"))
    Z = either.set_output(transform="pandas").fit_transform(array)
    assert Z.index.tolist() == list("pqrstu")
    np.testing.assert_array_equal(either.transform(array[1:3]).index, ["q", "r"])
    assert either.dt_ == pytest.approx(0.01)
    assert either.transform(X).index.tolist() == list(range(6))
