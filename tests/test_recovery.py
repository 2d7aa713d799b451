"""Scores of recovered dynamics against answers known by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import brentq

from sklearn_jedi import LowRankRNN
from sklearn_jedi.datasets import make_attractor_family
from sklearn_jedi.metrics import (
    compare_dynamics,
    match_fixed_points,
    power_spectrum_distance,
    spectral_distance,
    state_space_divergence,
    vector_field_agreement,
)

# --------------------------------------------------------------------- eigenvalues


def test_spectral_distance_ignores_the_order(rng):
    a = rng.standard_normal((3, 6)) + 1j * rng.standard_normal((3, 6))
    np.testing.assert_array_equal(spectral_distance(a, a[:, ::-1]), np.zeros(3))


def test_spectral_distance_of_a_shift(rng):
    # shorter than half the least distance of two eigenvalues, so that the pairs stay
    a = np.arange(5) + 1j * rng.standard_normal(5)
    assert spectral_distance(a, rng.permutation(a) + 0.3j) == pytest.approx(0.3)


def test_spectral_distance_matches_all_pairs_at_once():
    # the nearest pair, (1, 0.9), would leave 2 for 0: 0.1 + 2 instead of 0.9 + 1
    assert spectral_distance([0, 1], [0.9, 2]) == pytest.approx((0.9 + 1) / 2)
    assert spectral_distance([0, 1j], [1j, 0.5]) == pytest.approx(0.25)


def test_spectral_distance_pads_with_zeros():
    assert spectral_distance([2.0, 1.0], [2.0]) == pytest.approx(0.5)
    assert spectral_distance([[2.0]], [[0.0, 3.0, 0.0]]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ([1.0], [[1.0]], r"got \(1,\) and \(1, 1\)"),
        ([], [1.0], "non-empty"),
        ([[1.0], [2.0]], [[1.0]], "2 and 1 spectra"),
        ([1.0], [np.nan], "finite"),
        ([1.0, np.inf], [0.0], "finite"),
    ],
)
def test_spectral_distance_refuses(a, b, text):
    with pytest.raises(ValueError, match=text):
        spectral_distance(a, b)


# --------------------------------------------------------------------- fixed points

CORNERS = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # of size 1


def test_planted_points_at_known_distances():
    found = np.array([[0.0, 1.04], [5.0, 5.0], [1.0, 0.02], [-1.0, 0.06]])
    match = match_fixed_points(
        CORNERS,
        found,
        true_stable=[True, True, False, False],
        found_stable=[False, True, False, True],
    )
    assert match.recall == match.precision == 0.5
    assert match.distance == pytest.approx(0.04)
    assert match.pairs.tolist() == [[0, 2], [2, 0]]
    assert match.stability_agreement == 0.5


def test_scale_is_the_size_of_the_attractor():
    for factor in (1e-6, 1e6):
        match = match_fixed_points(factor * CORNERS + 3, 1.04 * factor * CORNERS + 3)
        assert match.recall == 1
        assert match.distance == pytest.approx(0.04)
    assert match_fixed_points(CORNERS, 1.04 * CORNERS, scale=0.5).recall == 0
    # one point: its norm; the origin: 1
    assert match_fixed_points([[30.0, 40.0]], [[32.0, 40.0]]).distance == 0.04
    assert match_fixed_points([[0.0, 0.0]], [[0.04, 0.0]]).distance == 0.04


def test_the_most_pairs_are_matched():
    # the nearest pair, (1, 0.9), would leave 0 alone: 1.9 is too far from it
    match = match_fixed_points([[0.0], [1.0]], [[0.9], [1.9]], tol=1.0, scale=1.0)
    assert match.pairs.tolist() == [[0, 0], [1, 1]]
    # and a point far away does not pull any pair apart
    match = match_fixed_points([[0.0], [1e9]], [[0.01], [0.02]], tol=0.1, scale=1.0)
    assert match.pairs.tolist() == [[0, 0]]


def test_each_point_is_matched_once():
    match = match_fixed_points(CORNERS[:1], np.repeat(CORNERS[:1], 4, axis=0))
    assert (match.recall, match.precision) == (1, 0.25)


@pytest.mark.parametrize(
    ("n_true", "n_found", "recall", "precision"),
    [(0, 0, np.nan, np.nan), (0, 2, np.nan, 0), (2, 0, 0, np.nan)],
)
def test_no_fixed_points(n_true, n_found, recall, precision):
    match = match_fixed_points(
        CORNERS[:n_true],
        CORNERS[:n_found],
        true_stable=np.ones(n_true),
        found_stable=np.ones(n_found),
    )
    np.testing.assert_equal((match.recall, match.precision), (recall, precision))
    assert np.isnan([match.distance, match.stability_agreement]).all()
    assert match.pairs.shape == (0, 2)


def test_no_stability_agreement_without_flags():
    assert np.isnan(match_fixed_points(CORNERS, CORNERS).stability_agreement)


@pytest.mark.parametrize(
    ("found", "options", "text"),
    [
        (CORNERS[0], {}, r"found must have the shape .* got \(2,\)"),
        (CORNERS[:, :1], {}, "number of neurons; got 2 and 1"),
        (np.nan * CORNERS, {}, "found contains NaN"),
        (CORNERS, {"tol": 0.0}, "positive and finite; got 0.0"),
        (CORNERS, {"scale": -1.0}, "positive and finite; got 0.05 and -1.0"),
        (CORNERS, {"true_stable": [True] * 4}, "go together"),
        (
            CORNERS,
            {"true_stable": [True] * 4, "found_stable": [True]},
            r"got \(4,\) and \(1,\)",
        ),
    ],
)
def test_match_refuses(found, options, text):
    with pytest.raises(ValueError, match=text):
        match_fixed_points(CORNERS, found, **options)


# --------------------------------------------------------------------- vector fields


@pytest.fixture
def networks(rng):
    U, V = rng.standard_normal((2, 2, 6, 2)) / 2
    return {"U": U, "V": V, "bias": rng.standard_normal((2, 6)), "tau": 0.2}


def test_vector_field_agreement(networks, rng):
    true, states = LowRankRNN(**networks), rng.standard_normal((2, 7, 6))
    agreement = vector_field_agreement(true, true, states)
    np.testing.assert_array_equal(agreement, [1, 1])
    doubled = LowRankRNN(**{**networks, "tau": 0.1})
    agreement = vector_field_agreement(true, doubled, states)
    np.testing.assert_allclose(agreement, [0, 0], atol=1e-12)
    # about zero, as the displacement of one step
    other = LowRankRNN(**{**networks, "bias": None})
    steps = [(rnn.step(states) - states) / rnn.dt for rnn in (true, other)]
    expected = 1 - ((steps[1] - steps[0]) ** 2).sum((1, 2)) / (steps[0] ** 2).sum(
        (1, 2)
    )
    agreement = vector_field_agreement(true, other, states)
    np.testing.assert_allclose(agreement, expected)


def test_vector_field_agreement_where_the_true_field_vanishes(networks):
    true = LowRankRNN(**{**networks, "bias": None})
    found = LowRankRNN(**{**networks, "bias": [[0.0] * 6, [1.0] * 6]})
    agreement = vector_field_agreement(true, found, np.zeros((2, 3, 6)))
    np.testing.assert_array_equal(agreement, [1, 0])


@pytest.mark.parametrize(
    ("found", "shape", "text"),
    [
        (1, (2, 3, 6), r"got \(2, 6\) and \(1, 6\)"),
        (2, (2, 6), r"\(2, n_states, 6\).* got \(2, 6\)"),
        (2, (2, 0, 6), "at least one"),
        (2, (3, 2, 6), r"got \(3, 2, 6\)"),
    ],
)
def test_vector_field_agreement_refuses(networks, found, shape, text):
    true = LowRankRNN(**networks)
    with pytest.raises(ValueError, match=text):
        vector_field_agreement(true, true[:found], np.zeros(shape))


def test_states_must_be_finite(networks):
    true = LowRankRNN(**networks)
    with pytest.raises(ValueError, match="states contains NaN"):
        vector_field_agreement(true, true, np.full((2, 1, 6), np.nan))


# --------------------------------------------------------------------- all at once


class Planted:
    """Stands in for the analyzer: the biases +-b of linear networks with J = 0.

    And one point far from everything, which the trajectories never saw.
    """

    def __init__(self, far):
        self.far = far

    def fit(self, networks, states):
        assert states.shape[::2] == networks.bias.shape
        points = [np.stack([b, -b, self.far * b]) for b in networks.bias]
        stable = [b > 0 for b in networks.bias[:, :1] * [1, -1, 1]]
        none = [[] for _ in points]
        return SimpleNamespace(
            fixed_points_=points,
            is_stable_=stable,
            manifolds_=none,
            limit_cycles_=none,
        )


def decaying(bias, **options):
    """Networks that decay to their bias."""
    zero = np.zeros((*np.shape(bias), 1))
    return LowRankRNN(zero, zero, bias, nonlinearity="linear", **options)


B = np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]])


def test_comparing_a_network_with_itself(rng):
    true, states = decaying(B), rng.standard_normal((2, 20, 3))
    scores = compare_dynamics(true, true, states, region=9.0, analyzer=Planted(99.0))
    expected = {
        "spectral_distance": 0,
        "vector_field_r2": 1,
        "fixed_point_recall": 1,
        "fixed_point_precision": 1,
        "fixed_point_distance": 0,
        "stability_agreement": 1,
        "manifold_distance": np.nan,
        "cycle_period_error": np.nan,
        "state_space_divergence": 0,
        "power_spectrum_distance": 0,
    }
    assert set(scores) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(scores[name], [value, value], err_msg=name)


def test_comparing_with_a_shifted_fixed_point(rng):
    """Only points near the true free runs count: b does, -b and 99 b do not."""
    true, states = decaying(B), B[:, None] + 0.5 * rng.standard_normal((2, 20, 3))
    found = decaying(B + np.array([[0.01, 0, 0], [9, 9, 9]]))
    scores = compare_dynamics(
        true, found, states, n_timepoints=30, analyzer=Planted(99.0)
    )
    runs = true.simulate(states, 30)
    visited = np.concatenate([states[0], runs[0].reshape(-1, 3)])
    scale = np.sqrt(((visited - visited.mean(0)) ** 2).sum(1).mean())
    np.testing.assert_array_equal(scores["fixed_point_recall"], [1, 0])
    # the second network's point is far from where the true one was: none in the region
    np.testing.assert_array_equal(scores["fixed_point_precision"], [1, np.nan])
    np.testing.assert_allclose(scores["fixed_point_distance"], [0.01 / scale, np.nan])
    np.testing.assert_array_equal(scores["stability_agreement"], [1, np.nan])
    agreement = vector_field_agreement(true, found, states)
    np.testing.assert_array_equal(scores["vector_field_r2"], agreement)
    both = list(zip(runs, found.simulate(states, 30), strict=True))
    for score in (state_space_divergence, power_spectrum_distance):
        by_hand = [score(*of_one) for of_one in both]
        np.testing.assert_array_equal(scores[score.__name__], by_hand)


def test_a_spurious_point_in_the_region_costs_precision(rng):
    true, states = decaying(B), B[:, None] + 0.5 * rng.standard_normal((2, 20, 3))

    class Spurious(Planted):
        def fit(self, networks, states):
            result = super().fit(networks, states)
            if networks.tau == 0.2:
                result.fixed_points_[0][1] = states[0, 0]
            return result

    scores = compare_dynamics(
        true, decaying(B, tau=0.2), states, tol=1e-6, analyzer=Spurious(99.0)
    )
    np.testing.assert_array_equal(scores["fixed_point_recall"], [1, 1])
    np.testing.assert_array_equal(scores["fixed_point_precision"], [0.5, 1])


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_tolerance_and_region_are_in_units_of_the_visited_states(unit, rng):
    """Shifts by 0.02, 0.15 and 1 times that size: matched, near, out of the region."""
    b = np.array([2.0, 0.0, 0.0])
    states = b + 0.5 * rng.standard_normal((20, 3))
    visited = decaying(b).simulate(states[None], 30)[0].reshape(-1, 3)
    visited = np.concatenate([states, visited])
    size = np.sqrt(((visited - visited.mean(0)) ** 2).sum(1).mean())
    shifts = size * np.array([0.02, 0.15, 1.0])[:, None] * b / 2
    scores = compare_dynamics(
        decaying(unit * np.tile(b, (3, 1))),
        decaying(unit * (b + shifts)),
        unit * np.tile(states, (3, 1, 1)),
        n_timepoints=30,
        region=0.2,
        analyzer=Planted(99.0),
    )
    np.testing.assert_array_equal(scores["fixed_point_recall"], [1, 0, 0])
    np.testing.assert_array_equal(scores["fixed_point_precision"], [1, 0, np.nan])


def test_a_scale_that_is_given_is_that_of_all_networks(rng):
    b = np.array([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    spread = np.array([0.5, 5.0])[:, None, None]
    states = b[:, None] + spread * rng.standard_normal((2, 20, 3))
    found = decaying(b + np.array([[0.15, 0.0, 0.0]]))
    options = {"n_timepoints": 2, "region": 0.5, "analyzer": Planted(99.0)}
    own = compare_dynamics(decaying(b), found, states, **options)
    np.testing.assert_array_equal(own["fixed_point_recall"], [0, 1])
    given = compare_dynamics(decaying(b), found, states, scale=5.0, **options)
    np.testing.assert_array_equal(given["fixed_point_recall"], [1, 1])
    np.testing.assert_allclose(given["fixed_point_distance"], 0.03, rtol=1e-6)


def test_states_that_differ_in_number_are_refused():
    true, states = decaying(B[:2]), [np.zeros((4, 3)), np.zeros((5, 3))]
    text = r"as many states for each network .*\[\(4, 3\), \(5, 3\)\]"
    with pytest.raises(ValueError, match=text):
        compare_dynamics(true, true, states)


def test_comparing_with_runs_that_diverge(rng):
    u = np.ones((1, 3, 1))
    wild = LowRankRNN(40 * u, u, nonlinearity="linear", tau=0.01)
    tame, states = decaying(B[:1]), rng.standard_normal((1, 5, 3))
    scores = compare_dynamics(tame, wild, states, analyzer=Planted(99.0))
    assert scores["state_space_divergence"][0] > 1
    assert scores["power_spectrum_distance"][0] == 1
    assert scores["spectral_distance"][0] == pytest.approx(120)
    with pytest.raises(ValueError, match="true network 0 diverge within 400"):
        compare_dynamics(wild, tame, states, n_timepoints=400, analyzer=Planted(99.0))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_timepoints": 1}, "at least 2; got 1"),
        ({"region": -1.0}, "region .* got -1"),
        ({"scale": 0.0}, "scale must be positive and finite; got 0"),
    ],
)
def test_compare_dynamics_refuses(options, text):
    true = decaying(B)
    with pytest.raises(ValueError, match=text):
        compare_dynamics(true, true, np.zeros((2, 4, 3)), **options)
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(1, 3\)"):
        compare_dynamics(true, true[:1], np.zeros((2, 4, 3)))


def test_comparing_with_the_fixed_point_analyzer():
    """A bistable network against a monostable one and against a stronger one.

    Along `u`, fixed points obey `x = 2 a tanh(x / 2)`: 0 and, where `a > 1`, a pair.
    """
    u, x = np.full((4, 1), 0.5), np.linspace(-4, 4, 41)
    states = np.tile(x[:, None] * u.T, (3, 1, 1))
    true = LowRankRNN(np.tile(u, (3, 1, 1)), np.tile(2 * u, (3, 1, 1)))
    found = LowRankRNN(true.U, true.V * np.array([1.0, 0.45, 1.01])[:, None, None])
    scores = compare_dynamics(true, found, states, region=0.1)
    np.testing.assert_allclose(scores["spectral_distance"], [0, 1.1, 0.02])
    np.testing.assert_allclose(scores["fixed_point_recall"], [1, 1 / 3, 1])
    np.testing.assert_array_equal(scores["fixed_point_precision"], [1, 1, 1])
    # the origin is a saddle of the true network and stable in the second
    np.testing.assert_array_equal(scores["stability_agreement"], [1, 0, 1])
    roots = [brentq(lambda x, a=a: 2 * a * np.tanh(x / 2) - x, 1, 9) for a in (2, 2.02)]
    visited = np.concatenate([states[0], true.simulate(states, 200)[0].reshape(-1, 4)])
    size = np.sqrt((visited**2).sum(1).mean())
    expected = [0, 0, (roots[1] - roots[0]) / size]
    np.testing.assert_allclose(scores["fixed_point_distance"], expected, atol=1e-6)


def test_rings_are_compared_by_their_distance():
    """Rings of radii 1 and 1.1 in units of sqrt(n_neurons), and one against none."""
    families = [
        make_attractor_family(4, kinds=("ring",), radius=radius, random_state=0)
        for radius in (1.0, 1.1)
    ]
    (X, _, true), (_, _, found) = families
    states = X[None, :, -1]
    scores = compare_dynamics(true, found, states, n_timepoints=20)
    spread = states[0] - states[0].mean(0)
    scale = np.sqrt((spread**2).sum(1).mean())
    np.testing.assert_allclose(
        scores["manifold_distance"] * scale, 0.1 * np.sqrt(100), rtol=0.1
    )
    other = make_attractor_family(1, kinds=("bistable",), random_state=0)[2]
    scores = compare_dynamics(true, other, states, n_timepoints=20)
    assert scores["manifold_distance"] == np.inf
