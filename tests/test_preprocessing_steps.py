"""The preprocessing steps against known answers."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter1d
from scipy.stats import poisson

from sklearn_jedi.preprocessing import (
    NeuronSelector,
    SoftNormalizer,
    SpikeSmoother,
    SquareRoot,
)

NAN = np.nan


def one_neuron(*values):
    return np.array(values, dtype=float)[None, :, None]


def trials_of(values):
    """Strategy: 2 trials of one length and number of neurons."""
    shape = st.tuples(st.just(2), st.integers(2, 12), st.integers(1, 3))
    return arrays(np.float64, shape, elements=values)


# ------------------------------------------------------------------------ SpikeSmoother


def test_an_impulse_becomes_the_kernel():
    X = np.zeros((1, 401, 1))
    X[0, 200] = 1
    out = SpikeSmoother(0.05, dt=0.005).fit_transform(X)[0, :, 0]
    t = (np.arange(401) - 200) * 0.005
    density = 0.005 / (0.05 * np.sqrt(2 * np.pi)) * np.exp(-0.5 * (t / 0.05) ** 2)
    within = np.abs(t) <= 0.2 + 1e-9
    # the tails beyond 4 standard deviations hold 6e-5 of the Gaussian
    np.testing.assert_allclose(out[within], density[within], rtol=1e-4)
    np.testing.assert_array_equal(out[~within], 0)
    assert abs(out.sum() - 1) < 1e-12


def test_causal_spreads_an_impulse_over_what_follows_only():
    X = np.zeros((1, 100, 1))
    X[0, 40] = 1
    out = SpikeSmoother(0.03, dt=0.01, causal=True).fit_transform(X)[0, :, 0]
    np.testing.assert_array_equal(out[:40], 0)
    lags = np.arange(60)
    kernel = np.exp(-0.5 * (lags / 3) ** 2) * (lags <= 12)
    np.testing.assert_allclose(out[40:], kernel / kernel.sum(), atol=1e-15)
    # as documented
    assert abs((lags * out[40:]).sum() - (0.8 * 3 - 0.3)) < 0.05


@pytest.mark.parametrize("width", [0.025, 0.0275])  # an odd and an even kernel
def test_causal_knows_nothing_of_the_future(rng, width):
    X = rng.poisson(1.0, (3, 60, 4)).astype(float)
    smoother = SpikeSmoother(width, causal=True).fit(X)
    np.testing.assert_array_equal(
        smoother.transform(X[:, :30]), smoother.transform(X)[:, :30]
    )


@pytest.mark.parametrize("width", [0.004, 0.0137, 0.03])
def test_equals_scipy_away_from_edges(rng, width):
    X = rng.poisson(1.0, (5, 80, 7)).astype(float)
    out = SpikeSmoother(width, dt=0.01).fit_transform(X)
    inside = slice(13, -13)
    np.testing.assert_allclose(
        out[:, inside],
        gaussian_filter1d(X, width / 0.01, axis=1)[:, inside],
        rtol=1e-12,
    )


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("width", [0.01, 0.2, 3.0])
@pytest.mark.filterwarnings("ignore:width=.* exceeds the longest trial:UserWarning")
def test_constants_stay_at_edges_and_beside_gaps(rng, causal, width):
    X = np.broadcast_to([0.1, 7.0, -3.0], (4, 50, 3)).copy()
    X[rng.random(X.shape) < 0.3] = NAN
    X[1, 35:] = NAN
    out = SpikeSmoother(width, causal=causal).fit_transform(X)
    np.testing.assert_allclose(out, X, rtol=1e-14)


def test_gaps_by_hand():
    X = np.concatenate([one_neuron(4, NAN, 1, 2), one_neuron(NAN, 5, NAN, 3)], axis=2)
    one, two, three = np.exp(-0.5 * np.array([1.0, 4.0, 9.0]))
    out = SpikeSmoother(0.01, dt=0.01).fit_transform(X)
    np.testing.assert_allclose(
        out[0, :, 0],
        [
            (4 + two * 1 + three * 2) / (1 + two + three),
            NAN,
            (1 + two * 4 + one * 2) / (1 + two + one),
            (2 + three * 4 + one * 1) / (1 + three + one),
        ],
    )
    np.testing.assert_allclose(
        out[0, :, 1],
        [NAN, (5 + two * 3) / (1 + two), NAN, (3 + two * 5) / (1 + two)],
    )
    causal = SpikeSmoother(0.01, dt=0.01, causal=True).fit_transform(X)
    np.testing.assert_allclose(
        causal[0, :, 0],
        [4, NAN, (1 + two * 4) / (1 + two), (2 + three * 4 + one) / (1 + three + one)],
    )


@settings(max_examples=40, deadline=None)
@given(trials_of(st.integers(0, 20)), st.integers(-100, 100), st.booleans())
def test_smoothing_is_linear_and_keeps_offsets(X, offset, causal):
    smoother = SpikeSmoother(0.02, dt=0.01, causal=causal).fit(X)
    out = smoother.transform(X)
    np.testing.assert_allclose(smoother.transform(3 * X + offset), 3 * out + offset)
    assert (out <= X.max(1, keepdims=True) + 1e-12).all()
    assert (out >= X.min(1, keepdims=True) - 1e-12).all()


@settings(max_examples=20, deadline=None)
@given(arrays(np.float64, (1, 15, 2), elements=st.integers(0, 9)), st.integers(0, 20))
def test_later_input_gives_later_output(X, shift):
    reach = 8
    padded = np.pad(X, ((0, 0), (reach, reach + 20), (0, 0)))
    smoother = SpikeSmoother(0.02, dt=0.01).fit(padded)
    moved = smoother.transform(np.roll(padded, shift, axis=1))
    np.testing.assert_allclose(
        moved[:, reach + shift : -reach],
        smoother.transform(padded)[:, reach : -reach - shift],
        atol=1e-13,
    )


def test_large_recordings_take_little_more_than_their_result(tmp_path):
    shape = (400, 100, 50)
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, shape)
    X[:] = 1
    smoother = SpikeSmoother(0.02, dt=0.01).fit(X)
    tracemalloc.start()
    out = smoother.transform(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - out.nbytes < 16e6  # all of it in float64 would be as much


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"width": 0}, ValueError, "width must be positive"),
        ({"width": -0.1}, ValueError, "width must be positive"),
        ({"width": NAN}, ValueError, "width must be positive and finite"),
        ({"width": "25 ms"}, TypeError, "width must be a number"),
        ({"width": 0.002}, ValueError, "so small beside dt=0.01 s that nothing is"),
        ({"dt": 0}, ValueError, "dt must be positive"),
        ({"causal": "yes"}, TypeError, "causal must be True or False"),
    ],
)
def test_smoother_refuses_parameters(params, error, message):
    with pytest.raises(error, match=message):
        SpikeSmoother(**params).fit(np.zeros((2, 10, 1)))


def test_smoother_says_where_milliseconds_were_meant():
    with pytest.warns(
        UserWarning, match=r"width=25 s exceeds the longest trial \(0.5"
    ) as w:
        SpikeSmoother(25).fit(np.zeros((2, 50, 1)))
    assert w[0].filename == __file__


# ----------------------------------------------------------------------- SoftNormalizer


def test_soft_normalisation_by_hand():
    X = np.concatenate([one_neuron(0, 40, NAN, 20), one_neuron(1, 1, 1, 1)], axis=2)
    normalizer = SoftNormalizer(5.0, dt=1).fit(X)
    np.testing.assert_array_equal(normalizer.mean_, [20, 1])
    np.testing.assert_array_equal(normalizer.range_, [40, 0])
    np.testing.assert_array_equal(normalizer.scale_, [45, 5])
    out = normalizer.transform(X)[0]
    np.testing.assert_allclose(out[:, 0], [-20 / 45, 20 / 45, NAN, 0])
    np.testing.assert_array_equal(out[:, 1], 0)
    # new trials, by what was learned
    np.testing.assert_allclose(normalizer.transform([[[65, 6], [20, 1]]])[0, 0], [1, 1])


def test_counts_and_rates_are_normalised_alike(rng):
    counts = rng.poisson([0.01, 0.3, 2], (10, 40, 3))
    by_counts = SoftNormalizer(dt=0.02).fit_transform(counts)
    by_rates = SoftNormalizer(dt=1).fit_transform(counts / 0.02)
    np.testing.assert_allclose(by_counts, by_rates, rtol=1e-12, atol=1e-15)


def test_constant_neurons_without_a_constant():
    X = np.full((2, 5, 1), 3.0)
    normalizer = SoftNormalizer(constant=0).fit(X)
    np.testing.assert_array_equal(normalizer.scale_, [1])
    np.testing.assert_array_equal(normalizer.transform(X), 0)


@settings(max_examples=40, deadline=None)
@given(trials_of(st.floats(-50, 50)), st.floats(0.1, 20), st.floats(-100, 100))
def test_normalisation_is_undone_and_knows_no_offset(X, constant, offset):
    normalizer = SoftNormalizer(constant, dt=1).fit(X)
    out = normalizer.transform(X)
    np.testing.assert_allclose(normalizer.inverse_transform(out), X, atol=1e-10)
    assert np.ptp(out, axis=(0, 1)).max() < 1
    shifted = SoftNormalizer(constant, dt=1).fit_transform(X + offset)
    np.testing.assert_allclose(shifted, out, atol=1e-9)


@pytest.mark.parametrize("step", [SoftNormalizer(1.0), SquareRoot(), SquareRoot(True)])
@pytest.mark.parametrize("kind", ["list", "2-D", "float32"])
@pytest.mark.filterwarnings("ignore:.* reads a 2-D X:UserWarning")
def test_inverse_transform_gives_back_the_kind_of_trials(rng, step, kind):
    X = rng.poisson(2.0, (6, 20, 3)).astype(float)
    X[2, 5:9, 1] = NAN
    X = {"list": [x[: 9 + k] for k, x in enumerate(X)], "2-D": X[:, :, 1]}.get(
        kind, X.astype(np.float32)
    )
    back = step.inverse_transform(step.fit_transform(X))
    assert type(back) is type(X)
    for one, other in zip(back, X, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("params", [{"constant": -1}, {"dt": -1}])
def test_normalizer_refuses_parameters(params):
    with pytest.raises(ValueError, match=f"{next(iter(params))} must be"):
        SoftNormalizer(**params).fit(np.zeros((2, 10, 1)))


# --------------------------------------------------------------------------- SquareRoot


@pytest.mark.parametrize(
    ("anscombe", "variance", "rates"),
    [(False, 0.25, [10, 20, 50, 200]), (True, 1.0, [3, 5, 10, 50, 200])],
)
def test_variance_does_not_depend_on_the_rate(anscombe, variance, rates):
    counts = np.random.default_rng(0).poisson(rates, (10, 4000, len(rates)))
    out = SquareRoot(anscombe).fit_transform(counts)
    np.testing.assert_allclose(out.var((0, 1)), variance, rtol=0.07)


def test_documented_variances_at_low_counts():
    k = np.arange(60)
    out = SquareRoot().fit_transform(k[None, :, None])[0, :, 0]
    anscombe = SquareRoot(True).fit_transform(k[None, :, None])[0, :, 0]

    def variance(values, rate):
        p = poisson.pmf(k, rate)
        return p @ values**2 - (p @ values) ** 2

    stated = {10: 0.26, 4: 0.31, 0.1: 0.09}
    assert {rate: round(variance(out, rate), 2) for rate in stated} == stated
    assert round(variance(anscombe, 3), 2) == 0.98


def test_square_roots_by_hand():
    X = one_neuron(0, 1, 4, NAN, 9)
    np.testing.assert_array_equal(SquareRoot().fit_transform(X), np.sqrt(X))
    anscombe = SquareRoot(anscombe=True).fit_transform(X)
    np.testing.assert_allclose(anscombe, 2 * np.sqrt(X + 3 / 8))


@settings(max_examples=40, deadline=None)
@given(trials_of(st.floats(0, 1e6)), st.booleans())
def test_squares_undo_square_roots(X, anscombe):
    root = SquareRoot(anscombe).fit(X)
    np.testing.assert_allclose(
        root.inverse_transform(root.transform(X)), X, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("anscombe", [False, True])
def test_a_model_below_zero_is_taken_for_zero(anscombe):
    root = SquareRoot(anscombe).fit(one_neuron(0, 1))
    np.testing.assert_array_equal(root.inverse_transform(one_neuron(-3, -0.5)), 0)


def test_negative_values_are_refused_where_they_are():
    X = np.ones((4, 10, 3))
    root = SquareRoot().fit(X)
    X[2, 7, 1] = -0.25
    for method in (SquareRoot().fit, root.transform):
        with pytest.raises(
            ValueError,
            match=r"Negative values .* SquareRoot: -0.25 in trial 2, time point 7, neur"
            "on 1. Take square roots of counts or rates, before any centring",
        ):
            method(X)


def test_square_root_refuses_parameters():
    with pytest.raises(TypeError, match="anscombe must be True or False"):
        SquareRoot(anscombe=3).fit(np.zeros((2, 10, 1)))


# ----------------------------------------------------------------------- NeuronSelector


def counted(*rates, n_timepoints=100):
    """Two trials of a second with so many spikes each."""
    X = np.zeros((2, n_timepoints, len(rates)))
    for neuron, rate in enumerate(rates):
        X[:, :rate, neuron] = 1
    return X


def test_rates_and_selection():
    X = counted(10, 0, 2, 1)
    selector = NeuronSelector(2.0, dt=0.01).fit(X)
    np.testing.assert_allclose(selector.rates_, [10, 0, 2, 1])
    np.testing.assert_array_equal(selector.get_support(), [True, False, True, False])
    np.testing.assert_array_equal(selector.get_support(indices=True), [0, 2])
    np.testing.assert_array_equal(selector.transform(X), X[:, :, [0, 2]])
    # the neurons of fit, whatever they do in other trials
    np.testing.assert_array_equal(
        selector.transform(X[:, :, ::-1]), X[:, :, ::-1][:, :, [0, 2]]
    )


def test_rates_are_over_recorded_bins():
    X = counted(10, 10)
    X[1, :, 0] = NAN
    X[0, 50:, 0] = NAN
    np.testing.assert_allclose(NeuronSelector().fit(X).rates_, [20, 10])


def test_rates_of_data_in_spikes_per_second():
    X = np.full((2, 10, 2), [0.5, 3.0])
    selector = NeuronSelector(dt=1).fit(X)
    np.testing.assert_array_equal(selector.get_support(), [False, True])


def test_the_highest_rate_is_told_where_no_neuron_is_left():
    with pytest.raises(
        ValueError,
        match=r"no neuron reaches minimum_rate=50 spikes/s; the highest rate found is "
        r"10 spikes/s \(neuron 1\)",
    ):
        NeuronSelector(50).fit(counted(4, 10, 2))


def test_selector_refuses_negative_values_and_parameters():
    with pytest.raises(ValueError, match=r"Negative values .* before any centring"):
        NeuronSelector().fit(counted(4) - 0.5)
    with pytest.raises(ValueError, match="minimum_rate must be zero or positive"):
        NeuronSelector(-1).fit(counted(4))
    with pytest.raises(ValueError, match="dt must be positive"):
        NeuronSelector(dt=0).fit(counted(4))


@pytest.mark.parametrize("step", [NeuronSelector(), SoftNormalizer()])
def test_rates_passed_as_counts_are_noticed(step):
    X = np.full((2, 10, 2), [5.0, 30.0])
    with pytest.warns(UserWarning, match=r"neuron 1 would fire at 3000 .* dt=1") as w:
        step.fit(X)
    assert w[0].filename == __file__
