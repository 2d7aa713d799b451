"""Odd input, hundreds of times: refused in words, or embedded with finite numbers."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearn_jedi import JEDIEstimator

OBSERVATIONS = ["auto", "state", "gaussian", "poisson", "negative_binomial"]
many = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


# ------------------------------------------------------------------------------ inputs

ODD_VALUES = [np.nan, np.inf, -np.inf, 1e300, -1e99, 1e-300, -1.0, 0.5, 0.0]
WRONG_ITEMS = [
    None,
    "trial",
    3.0,
    [],
    [[]],
    [1.0, 2.0],
    np.zeros((0, 3)),
    np.zeros((1, 3)),
    np.zeros((4, 0)),
    np.zeros((4, 2)),
    np.zeros((2, 2, 2)),
    np.full((4, 3), np.nan),
    np.full((4, 3), "a"),
    np.full((4, 3), None),
    np.ones((4, 3), complex),
    {"a": 1},
]
TYPES = [
    np.float32,
    np.float16,
    np.int8,
    np.uint64,
    bool,
    complex,
    object,
    str,
    "datetime64[s]",
]


@st.composite
def arrays(draw, n_neurons=3):
    """Counts or activity, 3 neurons more often than not, with odd entries."""
    likely = st.sampled_from([n_neurons] * 12 + [0, 1, 2])
    shape = (
        draw(st.integers(1, 5)),
        draw(st.sampled_from([*range(2, 10), 1])),
        draw(likely),
    )
    rng = np.random.default_rng(draw(st.integers(0, 10)))
    X = rng.poisson(1.5, shape) if draw(st.booleans()) else rng.standard_normal(shape)
    X = X.astype(float) * draw(st.sampled_from([1.0, 1.0, 1.0, 0.0, 1e-6, 1e6]))
    index = st.sampled_from([np.s_[-1, -1], np.s_[0], np.s_[:, 0], np.s_[:, :, 0],
                             np.s_[..., -1, 0], np.s_[:, ::2], np.s_[:, -2:],
                             np.s_[::2, :, 1:]])  # fmt: skip
    for _ in range(draw(st.sampled_from([0, 0, 1, 2])) if shape[2] else 0):
        X[draw(index)] = draw(st.sampled_from([np.nan] * 5 + ODD_VALUES))
    holes = draw(st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.5]))
    X[rng.random(shape) < holes] = np.nan
    return X


@st.composite
def containers(draw):
    """The same as lists, tuples, frames, arrays of other types or dimensions."""
    X = draw(arrays())
    kind = draw(
        st.sampled_from(["array"] * 6 + ["list"] * 4 + ["type", "shape", "odd"])
    )
    if kind == "list":
        trials = [x[: len(x) - draw(st.integers(0, 2))] for x in X]
        for _ in range(draw(st.sampled_from([0, 0, 1]))):
            at = draw(st.integers(0, len(trials)))
            trials.insert(at, draw(st.sampled_from(WRONG_ITEMS)))
        return draw(
            st.sampled_from(
                [
                    list,
                    tuple,
                    lambda t: [pd.DataFrame(x) for x in t if isinstance(x, np.ndarray)
                               and x.ndim == 2],
                    lambda t: np.array([*t, None], dtype=object)[:-1],
                    lambda t: [np.asarray(x).tolist() for x in t],
                    lambda t: {i: x for i, x in enumerate(t)},
                    iter,
                ]
            )
        )(trials)  # fmt: skip
    if kind == "type":
        with np.errstate(all="ignore"):
            kind = draw(st.sampled_from(TYPES))
            try:
                return X.astype(kind)
            except (ValueError, TypeError):
                return X.astype(object)
    if kind == "shape":
        return draw(
            st.sampled_from(
                [
                    X[0],
                    X[..., None],
                    X.ravel(),
                    X[:0],
                    X[:, :0],
                    X[..., :0],
                    X.swapaxes(1, 2),
                    X[..., :1].sum(2),
                    np.asfortranarray(X),
                    X[:, ::-1, ::-1],
                    np.ma.masked_invalid(X),
                ]
            )
        )
    if kind == "odd":
        return draw(
            st.sampled_from(
                [None, "X", 1.0, [], [[]], [None], (), {}, [[], []], pd.DataFrame(X[0])]
            )
        )
    return X


def conditions(n_trials):
    right = [None, list(range(n_trials)), [0] * n_trials, ["a", "b"] * n_trials]
    right[3] = right[3][:n_trials]
    wrong = [
        [0] * (n_trials + 1),
        [],
        0,
        "label",
        [[0]] * n_trials,
        [None] * n_trials,
        [np.nan] * n_trials,
        np.zeros((n_trials, 2)),
        [0, "a", 1.5, None] * n_trials,
        [{}] * n_trials,
        [[0], [1, 2]],
    ]
    return st.sampled_from(right * 12 + wrong)


def n_trials_of(X):
    try:
        return len(X)
    except TypeError:
        return 2


# ----------------------------------------------------------------------------- property


def refused(call):
    """Whether there was an error in words; failures of the mathematics do not count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except np.linalg.LinAlgError:
            raise AssertionError("a matrix could not be factored") from None
        except (ValueError, TypeError) as error:
            message = str(error)
        else:
            return False
    assert len(message) > 10, message
    return True


def make(observation, **params):
    return JEDIEstimator(2, 2, observation=observation, max_epochs=0, **params)


@settings(max_examples=100, **many)
@given(X=containers(), observation=st.sampled_from(OBSERVATIONS), data=st.data())
def test_fit_refuses_or_embeds(X, observation, data):
    labels = data.draw(conditions(n_trials_of(X)))
    jedi = make(observation, embedding="trial" if labels is None else "condition")
    if refused(lambda: jedi.fit(X, conditions=labels)):
        assert not hasattr(jedi, "_model")
        return
    assert jedi.embeddings_.shape == (len(X), 2)
    assert np.isfinite(jedi.embeddings_).all()
    assert (jedi.noise_variance_ >= 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = jedi.transform(X, conditions=labels)
    np.testing.assert_allclose(again, jedi.embeddings_, atol=1e-4)


@pytest.fixture(scope="module")
def models():
    """Fitted to 3 neurons."""
    counts = np.random.default_rng(0).poisson(2.0, (8, 12, 3)).astype(float)
    return {
        name: make(name, embedding="condition").fit(counts, conditions=np.arange(8))
        for name in OBSERVATIONS[1:]
    }


METHODS = ["transform", "reconstruct", "smooth", "score", "forecast", "initial_states"]


@settings(max_examples=600, **many)
@given(
    X=containers(),
    observation=st.sampled_from(OBSERVATIONS[1:]),
    method=st.sampled_from(METHODS),
    data=st.data(),
)
def test_a_fitted_model_refuses_or_embeds(models, X, observation, method, data):
    jedi, found = models[observation], []
    labels = data.draw(conditions(n_trials_of(X)))
    args = (2,) if method == "forecast" else ()

    def call():
        found.append(getattr(jedi, method)(X, *args, conditions=labels))

    if refused(call):
        assert not found
        return
    if method == "transform":
        assert found[0].shape == (len(X), 2)
    if method in ("transform", "initial_states", "forecast"):
        assert np.isfinite(found[0]).all()
    elif method != "score":
        assert len(found[0]) == len(X)


@pytest.mark.parametrize("change", [lambda n: n - 5, lambda n: n + 0.5])
@pytest.mark.parametrize("form", [np.asarray, list, np.float32])
def test_what_is_no_count_is_refused(models, change, form):
    X = form(change(np.random.default_rng(1).poisson(2.0, (4, 12, 3)).astype(float)))
    for name in ("poisson", "negative_binomial"):
        for call in (make(name).fit, models[name].transform):
            with pytest.raises(ValueError, match="needs spike counts"):
                call(X)


@pytest.mark.parametrize("item", WRONG_ITEMS[:11] + WRONG_ITEMS[12:], ids=repr)
def test_one_wrong_trial_in_a_list_is_refused(models, item):
    trials = [np.ones((4, 3)), np.zeros((4, 3)), item]
    for name in models:
        assert refused(lambda name=name: make(name).fit(trials))
        assert refused(lambda name=name: models[name].transform(trials))


LARGE = 1e4 + np.random.default_rng(0).standard_normal((1, 8, 3))
MANY_SPIKES = 1e4 * np.array([[[0.0, 1.0, 3.0], [0, 0, 3], [0, 2, 1]]])


def fitted_quietly(observation, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(observation).fit(X)


@pytest.mark.parametrize("n_trials", [1, 3])
def test_equal_trials_of_large_values_have_no_embedding(n_trials):
    X = np.repeat(LARGE, n_trials, axis=0)
    jedi = fitted_quietly("gaussian", X)
    np.testing.assert_array_equal(jedi.embeddings_, np.zeros((n_trials, 2)))
    # as of the same trials about zero
    mean = X.mean((0, 1))
    about_zero = fitted_quietly("gaussian", X - mean)
    found = jedi.smooth(X) - mean
    np.testing.assert_allclose(found, about_zero.smooth(X - mean), atol=1e-4)
    np.testing.assert_allclose(
        jedi.noise_variance_, about_zero.noise_variance_, rtol=1e-4
    )


@pytest.mark.parametrize("observation", ["poisson", "negative_binomial"])
@pytest.mark.parametrize(
    "X", [MANY_SPIKES, 1e5 * np.array([[[1.0, 0.0, 0.0], [4.0, 2.0, 1.0]]])]
)
def test_one_trial_of_many_spikes_is_about_its_mean_rates(observation, X):
    jedi = fitted_quietly(observation, X)
    np.testing.assert_array_equal(jedi.embeddings_, np.zeros((1, 2)))
    # a neuron without a spike counts as having had half a one
    mean = np.maximum(X.mean((0, 1)), 0.5 / X.shape[1])
    np.testing.assert_allclose(jedi.offset_, np.log(mean))
    if observation == "poisson":
        np.testing.assert_allclose(jedi.noise_variance_, mean)
    else:
        assert (jedi.noise_variance_ > mean).all()
