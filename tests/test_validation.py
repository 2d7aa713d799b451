"""The gate: bad input is refused in words, before anything is trained."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
from sklearn_jedi._data._gate import check_trials
from sklearn_jedi._utils._checks import check_integer, check_real
from sklearn_jedi.preprocessing import split_epochs


class NoTraining(Callback):
    def on_train_begin(self, net, **kwargs):
        raise AssertionError("training began")


def jedi(**params):
    return JEDIEstimator(
        **{"rank": 2, "embedding_dim": 2, "callbacks": [NoTraining()], **params}
    )


def trials(*shape):
    return np.random.default_rng(0).standard_normal(shape or (4, 12, 3))


def with_value(value):
    X = trials()
    X[1, 2, 1] = value
    return X


def without(index):
    X = trials()
    X[index] = np.nan
    return X


# --------------------------------------------------------------------------- trials


BAD_TRIALS = {
    "no trials": (trials(0, 12, 3), ValueError, "0 sample"),
    "no time points": (trials(4, 0, 3), ValueError, "0 feature|time point"),
    "one time point": (trials(4, 1, 3), ValueError, "1 feature|time point"),
    "one time point of one neuron": (trials(4, 1), ValueError, "1 feature"),
    "no neurons": (trials(4, 12, 0), ValueError, "no neurons"),
    "infinite": (
        with_value(np.inf),
        ValueError,
        r"infinity .*\(inf in trial 1, time point 2, neuron 1\)",
    ),
    "minus infinite": (with_value(-np.inf), ValueError, "infinity"),
    "overflow": (1e160 * trials(), ValueError, "squares overflow .*smaller unit"),
    "all-NaN trial": (
        without(np.s_[1]),
        ValueError,
        "trial 1 has NaN in every bin; .* at least 2 .* leave that trial out",
    ),
    "one time point left": (
        without(np.s_[2, 1:]),
        ValueError,
        "trial 2 has 1 time point; .* at least 2",
    ),
    "one dimension": (trials(12), ValueError, "Expected 2D array, got 1D"),
    "four dimensions": (trials(2, 4, 12, 3), ValueError, "4 dimensions"),
    "a number": (3.0, ValueError, "scalar array"),
    "None": (None, ValueError, "scalar array"),
    "text": (np.full((4, 12, 3), "1.0"), ValueError, "X holds text and no numbers"),
    "text among objects": (
        [trials(12, 3).tolist(), [["1.0", 2, 3]] * 12],
        ValueError,
        "holds text",
    ),
    "dates": (np.zeros((4, 12, 3), "M8[s]"), ValueError, "X holds dates"),
    "time differences in a list": (
        [trials(12, 3), np.zeros((9, 3), "m8[s]")],
        ValueError,
        "trial 1 holds time differences",
    ),
    "a dict": (dict(enumerate(trials())), TypeError, r"list\(X.values\(\)\)"),
    "sparse trials": ([csr_array(trials(12, 3))] * 2, TypeError, "sparse array"),
    "one long frame": (
        pd.concat(
            dict(enumerate(map(pd.DataFrame, trials()))), names=["trial", "time"]
        ),
        ValueError,
        r"row for each time point: .*X\.groupby",
    ),
    "objects": (
        np.full((4, 12, 3), object()),
        TypeError,
        "must be a string or a real number|float\\(\\) argument",
    ),
    "complex": (trials() + 1j, ValueError, "[Cc]omplex"),
    "ragged neurons": (
        (trials(12, 3), trials(12, 2)),
        ValueError,
        r"number of neurons: \[2, 3\]; select the same units",
    ),
    "short trial": (
        [trials(12, 3), trials(1, 3)],
        ValueError,
        "trial 1 has 1 time point; .* at least 2",
    ),
    "short trials": ([trials(1, 3)] * 2, ValueError, r"1 time point\(s\) a trial"),
    "list of trials and more": (
        [trials(12, 3), trials(12)],
        ValueError,
        r"trial 1 has shape \(12,\)",
    ),
    "infinite in a list": (list(with_value(np.inf)), ValueError, "infinity"),
    "trials of one neuron of different lengths": (
        [trials(12), trials(9)],
        ValueError,
        r"one neuron of different lengths, \[9, 12\]: pass each as time points x 1",
    ),
    "array of trials and None": (
        np.array([trials(12, 3), trials(9, 3), None], dtype=object),
        ValueError,
        r"trial 2 has shape \(\)",
    ),
}


@pytest.mark.parametrize(
    ("X", "error", "text"), BAD_TRIALS.values(), ids=BAD_TRIALS.keys()
)
def test_fit_refuses(X, error, text):
    with pytest.raises(error, match=text):
        jedi().fit(X)


@pytest.mark.parametrize(
    ("neurons", "text"),
    [([1], "neuron 1 has no finite value"), ([0, 2], "neurons 0, 2 have no finite")],
)
def test_fit_refuses_neurons_that_were_never_recorded(neurons, text):
    X = without(np.s_[:, :, neurons])
    with pytest.raises(ValueError, match=text):
        jedi().fit(X)


@pytest.mark.parametrize(
    "as_given",
    [tuple, list, lambda X: np.array([*X, None], dtype=object)[:-1]],
    ids=["tuple", "list", "array of trials"],
)
def test_trials_may_be_of_different_lengths_with_gaps(as_given):
    """They pass whole: like an array padded with NaN."""
    padded = with_value(np.nan)
    padded[0, 9:], padded[3, 4:] = np.nan, np.nan
    estimator = JEDIEstimator()
    checked, summary = check_trials(
        estimator,
        as_given([padded[0, :9], padded[1], padded[2], padded[3, :4]]),
        reset=True,
    )
    from_array, same = check_trials(JEDIEstimator(), padded, reset=True)
    for gate in (checked, from_array):
        np.testing.assert_array_equal(gate.lengths, [9, 12, 12, 4])
        block = gate.read(np.arange(4))
        np.testing.assert_array_equal(block.values, np.nan_to_num(padded))
        np.testing.assert_array_equal(block.recorded, ~np.isnan(padded))
    for part in (summary, same):
        np.testing.assert_allclose(part.mean, np.nanmean(padded, (0, 1)))
        np.testing.assert_allclose(part.sd, np.nanstd(padded, (0, 1)))
        np.testing.assert_array_equal(part.first_whole, [0, 0, 0, 0])
        assert part.partial_bins == 1
        assert not part.counts
    assert estimator.n_features_in_ == 12
    np.testing.assert_array_equal(estimator.n_timepoints_in_, [9, 12, 12, 4])


def test_first_whole_bins_and_counts_are_found():
    X = np.round(3 * np.abs(trials()))
    X[0, :2], X[1, :3, 1], X[2, :, 0], X[2, :, 1] = np.nan, np.nan, np.nan, 2.0
    X[2, ::2, 1:] = np.nan
    summary = check_trials(JEDIEstimator(), X, reset=True)[1]
    np.testing.assert_array_equal(summary.first_whole, [2, 3, -1, 0])
    assert summary.partial_bins == 3 + 6
    assert summary.counts


def test_a_trial_without_a_whole_bin_needs_another_observation():
    X = without(np.s_[2, :, 0])
    with pytest.raises(
        ValueError, match=r'trial 2 has no .*; use observation="gaussian"'
    ):
        jedi(observation="state").fit(X)


@pytest.mark.parametrize(
    "change", [lambda n: n / 2, lambda n: n - 10], ids=["halves", "negative"]
)
def test_new_trials_have_to_be_counts_too(change):
    counts = np.random.default_rng(0).poisson(3.0, (4, 12, 3))
    poisson = JEDIEstimator(2, 2, observation="poisson").fit(counts)
    with pytest.raises(ValueError, match="needs spike counts, whole numbers"):
        poisson.transform(change(counts))


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([0, 1], r"one label per trial, shape \(4,\); got \(2,\)"),
        ([0, 1, np.nan, 1], "None or NaN"),
        (["a", None, "a", "b"], r"None or NaN \(trial 1\)"),
        (pd.Series(["a", pd.NA, "a", "b"], dtype="string"), r"NaN \(trial 1\)"),
        (pd.Series([1, 1, pd.NA, 2], dtype="Int64"), r"None or NaN \(trial 2\)"),
        (pd.Series(["a", "b", None, "b"], dtype="category"), r"NaN \(trial 2\)"),
        (pd.to_datetime(["2026", "2027", None, "2026"]), r"None or NaN \(trial 2\)"),
        (pl.Series(["a", "b", None, "b"]), r"None or NaN \(trial 2\)"),
        (np.ma.masked_array([1, 2, 1, 2], [0, 0, 0, 1]), r"None or NaN \(trial 3\)"),
    ],
)
def test_conditions_are_one_label_per_trial(labels, text):
    with pytest.raises(ValueError, match=text):
        jedi().fit(trials(), conditions=labels)
    with pytest.raises(ValueError, match=text):
        MetaDynamicalSSM(gain=1.0).fit(trials(), sessions=labels)
    with pytest.raises(ValueError, match=text.replace("label", "entry")):
        split_epochs(trials(), {"all": (0.0, 0.1)}, groups=labels, dt=0.01)


def test_labels_that_are_missing_are_no_text():
    cut = split_epochs(trials(), {"a": (0.0, 0.1)}, y=["b", np.nan, "b", "c"], dt=0.01)
    assert cut.y.tolist()[::2] == ["b", "b"]
    assert np.isnan(cut.y[1])


@pytest.mark.parametrize("labels", [[["a"], "b", "c", "d"], [{}, {}, {}, {}]])
def test_labels_that_cannot_be_compared_are_refused(labels):
    with pytest.raises(TypeError, match="must be text, numbers or tuples"):
        jedi().fit(trials(), conditions=labels)


@pytest.fixture(scope="module")
def on_three_neurons():
    return JEDIEstimator(2, 2, max_epochs=0).fit(trials())


@pytest.mark.parametrize(
    "name", [name for name in BAD_TRIALS if name != "one time point of one neuron"]
)
@pytest.mark.parametrize("method", ["transform", "score", "reconstruct", "forecast"])
def test_a_fitted_model_refuses_the_same(on_three_neurons, name, method):
    X, error, text = BAD_TRIALS[name]
    args = (3,) if method == "forecast" else ()
    with pytest.raises(error, match=text):
        getattr(on_three_neurons, method)(X, *args)


@pytest.mark.parametrize(
    "method",
    ["transform", "score", "reconstruct", "initial_states", "embedding_posterior"],
)
def test_another_number_of_neurons_is_refused(em_fitted, method):
    with pytest.raises(
        ValueError, match=r"X has 12 neurons.*fitted on 20.*select the same units"
    ):
        getattr(em_fitted, method)(trials(4, 40, 12))


def test_a_2d_array_for_several_neurons_is_refused(em_fitted):
    with pytest.raises(ValueError, match=r"X has 1 neuron.*fitted on 20"):
        em_fitted.transform(trials(40, 20))


def test_another_number_of_time_points_is_refused_for_2d():
    one = JEDIEstimator(max_epochs=0).fit(trials(6, 12))
    with pytest.raises(ValueError, match=r"X has 9 features, but .* expecting 12"):
        one.transform(trials(6, 9))


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("transform", ()),
        ("score", ()),
        ("reconstruct", ()),
        ("forecast", (2,)),
        ("initial_states", ()),
        ("embedding_posterior", ()),
        ("dynamics", ()),
    ],
)
def test_an_unfitted_model_says_so(method, args):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(JEDIEstimator(), method)(trials(), *args)


def test_a_failed_fit_leaves_an_unfitted_model():
    estimator = jedi(rank=0)
    with pytest.raises(ValueError, match="rank"):
        estimator.fit(trials())
    with pytest.raises(NotFittedError):
        estimator.transform(trials())


# -------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        ({"rank": 0}, ValueError, "rank must be at least 1 or None; got 0"),
        ({"rank": 2.0}, TypeError, "rank must be an integer or None; got 2.0"),
        ({"rank": "full"}, TypeError, "rank must be an integer or None; got 'full'"),
        ({"rank": True}, TypeError, "rank must be an integer"),
        ({"embedding_dim": 0}, ValueError, "embedding_dim must be at least 1; got 0"),
        ({"embedding_dim": None}, TypeError, "embedding_dim must be an integer"),
        ({"max_epochs": -1}, ValueError, "max_epochs must be at least 0; got -1"),
        ({"max_epochs": 1.5}, TypeError, "max_epochs must be an integer; got 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1; got 0"),
        ({"batch_size": "all"}, TypeError, "batch_size must be an integer"),
        ({"verbose": -1}, ValueError, "verbose must be at least 0; got -1"),
        ({"dt": 0}, ValueError, 'dt must be positive and finite or "auto"; got 0'),
        ({"dt": -0.01}, ValueError, "dt must be positive"),
        ({"dt": "10 ms"}, TypeError, "dt must be a number or \"auto\"; got '10 ms'"),
        ({"tau": np.inf}, ValueError, "tau must be positive and finite .*; got inf"),
        ({"tau": np.nan}, ValueError, "tau must be positive and finite .*; got nan"),
        (
            {"dt": 0.2, "tau": 0.1},
            ValueError,
            r"dt must not exceed tau; got dt=0.2 s and tau=0.1 s.*seconds",
        ),
        ({"gain": 0.0}, ValueError, 'gain must be positive and finite or "auto"'),
        ({"gain": "big"}, TypeError, "gain must be a number or \"auto\"; got 'big'"),
        ({"gain": None}, TypeError, "gain must be a number"),
        ({"ridge": -1e-3}, ValueError, "ridge must be zero or positive"),
        ({"ridge": [1.0]}, TypeError, "ridge must be a number"),
        ({"window": 0}, ValueError, 'window must be at least 1 or "auto"; got 0'),
        ({"window": 2.5}, TypeError, "window must be an integer"),
        ({"window": "long"}, TypeError, "window must be an integer"),
        ({"window": 12}, ValueError, "window=12 exceeds the 11 steps .* 12 time"),
        ({"start_smoothing": 0}, ValueError, "start_smoothing must be at least 1"),
        ({"start_smoothing": 2.5}, TypeError, "start_smoothing must be an integer"),
        ({"embedding": "animal"}, ValueError, "embedding must be one of .*'animal'"),
        ({"embedding": "session"}, ValueError, "fit needs sessions=, the session of"),
        ({"embedding": "condition"}, ValueError, 'fit needs conditions=, .*"trial"'),
        ({"nonlinearity": "sine"}, ValueError, "nonlinearity must be one of .*'sine'"),
        ({"nonlinearity": np.tanh}, ValueError, "nonlinearity must be one of"),
        (
            {"observation": "counts"},
            ValueError,
            "observation must be one of .*'counts'",
        ),
        ({"observation": "poisson"}, ValueError, "needs spike counts, whole numbers"),
        ({"hidden_layer_sizes": (8, 0)}, ValueError, "hidden_layer_sizes must be"),
        ({"hidden_layer_sizes": (8.0,)}, TypeError, "hidden_layer_sizes must be"),
        ({"hidden_layer_sizes": 64}, TypeError, "hidden_layer_sizes"),
        ({"random_state": "zero"}, ValueError, "cannot be used to seed"),
        ({"device": "gpu"}, ValueError, 'device must be "cpu", "cuda", .* or "mps"'),
        ({"callbacks": 3}, TypeError, "callbacks"),
    ],
    ids=lambda value: (
        "-".join(f"{k}={v}" for k, v in value.items())
        if isinstance(value, dict)
        else ""
    ),
)
def test_parameters_out_of_range_are_named(params, error, text):
    with pytest.raises(error, match=text):
        jedi(**params).fit(trials())


@pytest.mark.skipif(
    torch.cuda.is_available() or torch.backends.mps.is_available(),
    reason="there is a GPU to train on",
)
def test_a_gpu_that_is_not_there_is_named():
    for device in ("cuda", "cuda:1", "mps"):
        text = f"device='{device}' .* finds no such GPU; use .*cpu"
        with pytest.raises(ValueError, match=text):
            jedi(device=device).fit(trials())


@pytest.mark.parametrize("n_steps", [0, -1, 2.0, "two", None])
def test_forecast_needs_a_whole_number_of_steps(em_fitted, rotations, n_steps):
    with pytest.raises((TypeError, ValueError), match="n_steps must be"):
        em_fitted.forecast(rotations[0], n_steps)


@pytest.mark.parametrize(
    ("Z", "text"),
    [
        (np.zeros((3, 4)), r"shape \(n_networks, 2\).*got \(3, 4\)"),
        (np.zeros(2), r"shape \(n_networks, 2\).*got \(2,\)"),
        (np.full((1, 2), np.nan), "NaN or infinity"),
    ],
)
def test_dynamics_needs_embeddings(em_fitted, Z, text):
    with pytest.raises(ValueError, match=text):
        em_fitted.dynamics(Z)


@pytest.mark.parametrize("value", [1, np.int64(1), np.int8(1)])
def test_integers_of_numpy_are_integers(value):
    check_integer("n", value, 1)
    check_real("x", value)
    check_real("x", np.float32(value))


# ------------------------------------------------------------------ names and counts


def frames(X, names):
    return [pd.DataFrame(x, columns=names) for x in X]


def test_units_of_data_frames_are_told_by_name(tmp_path):
    X = trials(4, 12, 3)
    model = JEDIEstimator(2, 2, max_epochs=0).fit(frames(X, ["a", "b", "c"]))
    assert list(model.neuron_names_in_) == ["a", "b", "c"]
    expected = model.transform(X)
    np.testing.assert_array_equal(model.transform(frames(X, ["a", "b", "c"])), expected)
    with pytest.raises(ValueError, match=r"trial 0 are not those of fit.*'c'"):
        model.transform(frames(X, ["c", "b", "a"]))
    mixed = frames(X[:2], ["a", "b", "c"]) + frames(X[2:], ["a", "c", "b"])
    with pytest.raises(ValueError, match="trial 2 are not those of the first trial"):
        JEDIEstimator(2, 2, max_epochs=0).fit(mixed)
    model.save(tmp_path / "model.safetensors")
    again = JEDIEstimator.load(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="not those of fit"):
        again.transform(frames(X, ["c", "b", "a"]))
    assert not hasattr(model.fit(X), "neuron_names_in_")


def test_columns_that_are_no_neurons_are_pointed_out():
    with pytest.warns(UserWarning, match="column 'time' .* is read as a neuron"):
        check_trials(jedi(), frames(trials(), ["a", "time", "b"]), reset=True)


def test_what_looks_like_counts_is_pointed_out():
    counts = np.random.default_rng(0).poisson(2.0, (4, 12, 3))
    with pytest.warns(UserWarning, match=r"looks like spike counts.*np\.sqrt"):
        JEDIEstimator(2, 2, max_epochs=0).fit(counts)


def test_no_trials_and_swapped_axes_are_named():
    with pytest.raises(ValueError, match="no trials"):
        jedi().fit([])
    with pytest.raises(ValueError, match="are the axes swapped"):
        jedi().fit([trials(3, 12), trials(3, 9)])
