"""Fixed points against roots that are known."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_jedi import LowRankRNN, Nonlinearity
from sklearn_jedi.analysis import FixedPointAnalyzer
from sklearn_jedi.datasets import make_attractor_family

N = 128
NAMES = (
    "fixed_points_",
    "eigenvalues_",
    "is_stable_",
    "stability_type_",
    "residuals_",
    "certified_radius_",
    "uniqueness_radius_",
)


def points_of(networks, states=None, **settings):
    """An analyzer that looks for points only."""
    settings = {"limit_cycles": False, "random_state": 0, **settings}
    return FixedPointAnalyzer(**settings).fit(networks, states=states)


def uniform(g, bias=0.0, **settings):
    """All rates equal: fixed where m = g phi(m) + bias."""
    ones = np.ones((N, 1))
    return LowRankRNN(ones, g * ones / N, bias * ones[:, 0], **settings)


def blocks(turn=0.0, bias=None, **settings):
    """Two populations, each with m = 2 tanh(m); `turn` couples them."""
    U = np.repeat(np.eye(2), N // 2, axis=0)
    K = np.array([[2, -turn], [turn, 2]])
    return LowRankRNN(U @ K, U / (N // 2), bias, **settings)


def random_networks(n_networks, rank, seed=0, n_neurons=N, bias=0.0):
    rng = np.random.default_rng(seed)
    scale = np.sqrt(2.5 / np.sqrt(n_neurons * rank))
    U, V = scale * rng.standard_normal((2, n_networks, n_neurons, rank))
    return LowRankRNN(U, V, bias * rng.standard_normal((n_networks, n_neurons)))


def sorted_rows(points):
    """Rows in an order that rounding does not change."""
    return points[np.lexsort(points[:, :3].round(6).T)]


def assert_same(a, b, k=0, atol=1e-10):
    """Network k has the same points, in the same order, with the same properties."""
    np.testing.assert_allclose(a.fixed_points_[k], b.fixed_points_[k], atol=atol)
    np.testing.assert_allclose(a.eigenvalues_[k], b.eigenvalues_[k], atol=atol)
    np.testing.assert_array_equal(a.stability_type_[k], b.stability_type_[k])
    np.testing.assert_allclose(
        a.uniqueness_radius_[k], b.uniqueness_radius_[k], rtol=1e-6
    )
    assert a.index_sum_[k] == b.index_sum_[k]


# -------------------------------------------------------------------- known roots


@pytest.mark.parametrize("g", [1.1, 1.5, 2.0, 4.0])
def test_a_uniform_network_has_the_roots_of_one_equation(g):
    analyzer = points_of(uniform(g))
    m = brentq(lambda x: g * np.tanh(x) - x, 1e-2, g + 1, xtol=1e-15)
    points = analyzer.fixed_points_[0]
    assert points.shape == (3, N)
    expected = np.array([[-m], [m], [0]]) * np.ones(N)
    np.testing.assert_allclose(sorted_rows(points), sorted_rows(expected), atol=1e-12)
    # the slope of g tanh at the roots
    slopes = np.array([g * (1 - (m / g) ** 2)] * 2 + [g])
    np.testing.assert_allclose(
        analyzer.eigenvalues_[0][:, 0], 1 + 0.1 * (slopes - 1), atol=1e-12
    )
    assert analyzer.is_stable_[0].tolist() == [True, True, False]


@pytest.mark.parametrize("g", [0.2, 0.9, -3.0])
def test_below_the_threshold_the_origin_is_alone(g):
    analyzer = points_of(uniform(g), exhaustive=True)
    np.testing.assert_allclose(analyzer.fixed_points_[0], np.zeros((1, N)), atol=1e-12)
    assert analyzer.stability_type_[0].tolist() == ["stable node"]
    assert analyzer.is_complete_.tolist() == [True]


def test_nine_points_of_two_populations():
    analyzer = points_of(blocks(), exhaustive=True)
    m = brentq(lambda x: 2 * np.tanh(x) - x, 1, 3, xtol=1e-15)
    grid = m * np.array([[a, b] for a in (-1, 0, 1) for b in (-1, 0, 1)])
    np.testing.assert_allclose(
        sorted_rows(analyzer.fixed_points_[0][:, [0, -1]]),
        sorted_rows(grid),
        atol=1e-12,
    )
    types = ["stable node"] * 4 + ["saddle (1)"] * 4 + ["unstable node"]
    assert analyzer.stability_type_[0].tolist() == types
    assert analyzer.index_sum_.tolist() == [1]
    assert analyzer.is_complete_.tolist() == [True]


def test_without_weights_the_bias_is_the_point():
    bias = np.linspace(-1, 1, N)
    network = LowRankRNN(np.zeros((N, 2)), np.zeros((N, 2)), bias)
    analyzer = points_of(network, exhaustive=True)
    np.testing.assert_allclose(analyzer.fixed_points_[0], bias[None], atol=1e-14)
    assert analyzer.is_complete_.tolist() == [True]


def test_repeated_columns_change_nothing():
    g = 1.5
    ones = np.ones((N, 2))
    analyzer = points_of(LowRankRNN(ones, g / 2 * ones / N))
    np.testing.assert_allclose(
        sorted_rows(analyzer.fixed_points_[0]),
        sorted_rows(points_of(uniform(g)).fixed_points_[0]),
        atol=1e-12,
    )


def test_dense_weights_have_the_points_of_the_low_rank():
    network = random_networks(1, 2, seed=1, n_neurons=24, bias=0.2)
    few = points_of(network)
    all_ = points_of(
        LowRankRNN(np.eye(network.n_neurons), network.J[0].T, network.bias)
    )
    np.testing.assert_allclose(
        sorted_rows(all_.fixed_points_[0]),
        sorted_rows(few.fixed_points_[0]),
        atol=1e-11,
    )
    assert all_.eigenvalues_[0].shape[1] == 24
    assert all_.is_stable_[0].tolist() == few.is_stable_[0].tolist()


def test_a_focus_can_be_stable_in_the_flow_only():
    # eigenvalues 0.5 +- 1.5i of J: real part below 1, but outside the unit circle
    U = np.linalg.qr(np.random.default_rng(0).standard_normal((N, 2)))[0]
    network = LowRankRNN(U @ [[0.5, -1.5], [1.5, 0.5]], U, dt=0.1, tau=0.1)
    flow, map_ = (points_of(network, time=time) for time in ("flow", "map"))
    pair = np.array([0.5 + 1.5j, 0.5 - 1.5j])
    np.testing.assert_allclose(
        np.sort(flow.eigenvalues_[0][0]), np.sort(pair - 1) / 0.1
    )
    np.testing.assert_allclose(np.sort(map_.eigenvalues_[0][0]), np.sort(pair))
    assert flow.stability_type_[0].tolist() == ["stable focus"]
    assert map_.stability_type_[0].tolist() == ["unstable focus"]


def test_a_ghost_of_a_saddle_node_is_slow():
    g = 2.0

    def speed(m, bias=0.0):
        return g * np.tanh(m) - m + bias

    fold = -minimize_scalar(speed, bounds=(-3, 0), method="bounded").fun
    analyzer = points_of(uniform(g, 1.05 * fold), exhaustive=True)
    assert analyzer.is_complete_.tolist() == [True]
    (point,) = analyzer.fixed_points_[0]
    root = brentq(speed, 0, 5, args=(1.05 * fold,), xtol=1e-15)
    np.testing.assert_allclose(point, root, atol=1e-12)
    (ghost,) = analyzer.slow_points_[0]
    np.testing.assert_allclose(ghost, -np.arctanh(np.sqrt(1 - 1 / g)), atol=1e-6)
    expected = 0.05 * fold * np.sqrt(N) / 0.1
    assert analyzer.slow_speeds_[0] == pytest.approx([expected], rel=1e-6)
    before = points_of(uniform(g, 0.95 * fold))
    assert len(before.fixed_points_[0]) == 3
    assert len(before.slow_points_[0]) == 0


@pytest.mark.parametrize("slow", [0.05, 1e-4])
def test_at_a_bifurcation_the_point_is_marginal(slow):
    analyzer = points_of(uniform(1.0), slow=slow)
    np.testing.assert_allclose(analyzer.fixed_points_[0], np.zeros((1, N)), atol=1e-3)
    assert analyzer.stability_type_[0].tolist() == ["marginal"]
    assert analyzer.is_stable_[0].tolist() == [False]
    assert np.isnan(analyzer.certified_radius_[0]).all()
    assert np.isnan(analyzer.index_sum_).all()


def test_just_past_a_bifurcation_the_points_are_counted():
    analyzer = points_of(uniform(1.01))
    assert len(analyzer.fixed_points_[0]) == 3
    assert np.isfinite(analyzer.certified_radius_[0]).all()
    assert analyzer.index_sum_.tolist() == [1]


# ------------------------------------------------------------------ transfer functions

LOGISTIC = Nonlinearity(
    lambda xp, x: expit(x),
    lambda xp, x, y: y * (1 - y),
    bound=1.0,
    curvature_bound=1 / (6 * np.sqrt(3)),
)


@pytest.mark.parametrize(
    ("nonlinearity", "phi", "missing"),
    [
        ("tanh", np.tanh, ()),
        ("relu", lambda x: max(x, 0), ("phi''", "|phi|")),
        ("softplus", lambda x: np.log1p(np.exp(x)), ("|phi|",)),
        ("linear", lambda x: x, ("|phi|",)),
        (LOGISTIC, expit, ()),
        (LOGISTIC._replace(bound=None), expit, ("|phi|",)),
        (LOGISTIC._replace(curvature_bound=None), expit, ("phi''",)),
    ],
)
def test_what_can_be_proven_of_a_transfer_function(nonlinearity, phi, missing):
    network = uniform(0.5, 0.3, nonlinearity=nonlinearity)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        analyzer = points_of(network)
    assert len(caught) == bool(missing)
    for text in missing:
        assert f"no bound on {text}" in str(caught[0].message)
    root = brentq(lambda x: 0.5 * phi(x) + 0.3 - x, -5, 5, xtol=1e-15)
    np.testing.assert_allclose(
        analyzer.fixed_points_[0], np.full((1, N), root), atol=1e-12
    )
    proven = "phi''" not in missing
    assert np.isfinite(analyzer.certified_radius_[0]).tolist() == [proven]
    assert np.isnan(analyzer.index_sum_).tolist() == [bool(missing)]


@pytest.mark.filterwarnings("ignore:nonlinearity='linear':UserWarning")
def test_an_unstable_linear_network(rng):
    bias = rng.standard_normal(N)
    ones = np.ones((N, 1))
    network = LowRankRNN(ones, 2 * ones / N, bias, nonlinearity="linear")
    analyzer = FixedPointAnalyzer(random_state=0).fit(network)
    expected = -np.linalg.solve(network.J[0] - np.eye(N), bias)
    np.testing.assert_allclose(analyzer.fixed_points_[0], expected[None], atol=1e-11)
    assert analyzer.stability_type_[0].tolist() == ["unstable node"]
    assert analyzer.uniqueness_radius_[0].tolist() == [np.inf]
    assert analyzer.n_unsettled_[0] > 0


@pytest.mark.filterwarnings("ignore:nonlinearity='linear':UserWarning")
def test_a_network_without_any_fixed_point():
    # dm/dt = 1 everywhere
    network = uniform(1.0, 1.0, nonlinearity="linear")
    analyzer = FixedPointAnalyzer(random_state=0).fit(network)
    assert analyzer.fixed_points_[0].shape == (0, N)
    assert analyzer.eigenvalues_[0].shape == (0, 1)
    for name in NAMES[2:]:
        assert getattr(analyzer, name)[0].shape == (0,)
    assert analyzer.manifolds_ == [[]]


@pytest.mark.filterwarnings("ignore:nonlinearity='relu':UserWarning")
@pytest.mark.parametrize("weight", [2.0, 0.5, -1.0])
@pytest.mark.parametrize("rounded", [False, True])
def test_at_a_kink_no_eigenvalue_says_what_is_stable(weight, rounded):
    # the second neuron drives the first right to its threshold
    level = 0.1 + 0.2 if rounded else 1.0
    network = LowRankRNN.from_weights(
        np.array([[weight, -1.0], [0.0, 0.0]]),
        [0.3 if rounded else 1.0, level],
        nonlinearity="relu",
    )
    analyzer = points_of(network)
    np.testing.assert_allclose(analyzer.fixed_points_[0], [[0, level]], atol=1e-12)
    assert analyzer.stability_type_[0].tolist() == ["marginal"]
    assert analyzer.is_stable_[0].tolist() == [False]


@pytest.mark.filterwarnings("ignore:nonlinearity='relu':UserWarning")
@pytest.mark.parametrize("bias", [0.1, -0.1])
def test_beside_a_kink_there_is_stability(bias):
    network = uniform(0.5, bias, nonlinearity="relu")
    assert points_of(network).stability_type_[0].tolist() == ["stable node"]


# ------------------------------------------------------------------------- identities


@pytest.mark.parametrize("unit", [1000.0, 1e-3])
def test_units_do_not_matter(unit):
    network = random_networks(1, 2, seed=2, bias=0.2)
    offset = np.linspace(-1, 1, N)
    shifted = LowRankRNN(
        network.U,
        network.V,
        unit * (network.bias + offset),
        gain=1 / unit,
        offset=unit * offset,
    )
    plain, other = points_of(network), points_of(shifted)
    np.testing.assert_allclose(
        other.fixed_points_[0] / unit - offset, plain.fixed_points_[0], atol=1e-11
    )
    np.testing.assert_allclose(
        other.uniqueness_radius_[0] / unit, plain.uniqueness_radius_[0], rtol=1e-6
    )
    np.testing.assert_allclose(
        other.certified_radius_[0] / unit, plain.certified_radius_[0], rtol=1
    )
    np.testing.assert_allclose(other.eigenvalues_[0], plain.eigenvalues_[0], atol=1e-10)
    assert (other.residuals_[0] < 1e-12 * unit).all()
    assert other.index_sum_ == plain.index_sum_ == 1


@pytest.mark.parametrize(("rank", "bias"), [(2, 0.0), (3, 0.0), (3, 0.3)])
def test_the_split_into_U_and_V_does_not_matter(rank, bias, rng):
    networks = random_networks(4, rank, seed=3, bias=bias)
    A = rng.standard_normal((rank, rank))
    other = LowRankRNN(networks.U @ A, networks.V @ np.linalg.inv(A).T, networks.bias)
    a, b = points_of(networks), points_of(other)
    for k in range(4):
        assert_same(a, b, k)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_other_starts_lead_to_the_same_points(seed):
    networks = random_networks(4, 3, seed=2)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state is the point
    first, second = (points_of(networks, random_state=s) for s in (0, seed))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    for k in range(4):
        if seed == 0:
            for name in NAMES:
                a, b = getattr(first, name)[k], getattr(second, name)[k]
                np.testing.assert_array_equal(a, b)
        else:
            assert_same(first, second, k)


def test_a_batch_is_one_network_at_a_time():
    networks = random_networks(4, 3, seed=5, bias=0.1)
    together = points_of(networks)
    for k in range(4):
        alone = points_of(networks[k])
        np.testing.assert_allclose(
            alone.fixed_points_[0], together.fixed_points_[k], atol=1e-11
        )
        assert alone.stability_type_[0].tolist() == together.stability_type_[k].tolist()


def test_states_are_starts():
    network = blocks(bias=0.01 * np.ones(N))
    known = points_of(network).fixed_points_[0]
    for point in known[:4]:
        states = 1.05 * point[None, None]
        found = points_of(network, states=states, n_starts=1).fixed_points_[0]
        assert np.linalg.norm(found - point, axis=1).min() < 1e-10
    # of one network, they may lack its axis
    same = points_of(network, states=known)
    assert_same(same, points_of(network, states=known[None]))


def test_trajectories_that_end_at_a_point_are_settled():
    # one start misses most points; the trajectories still end at some of them
    analyzer = FixedPointAnalyzer(n_starts=1, random_state=0).fit(blocks())
    assert analyzer.n_unsettled_.tolist() == [0]
    assert analyzer.index_sum_.tolist() == [1]
    assert analyzer.is_stable_[0].any()


# --------------------------------------------------------------------------- contract


@pytest.mark.parametrize(
    ("parameters", "error", "text"),
    [
        ({"n_starts": 0}, ValueError, "n_starts must be at least 1"),
        ({"n_starts": 3.5}, TypeError, "n_starts must be an integer"),
        ({"n_starts": "many"}, ValueError, 'n_starts must be "auto" or a number'),
        ({"max_cells": 0}, ValueError, "max_cells must be at least 1"),
        ({"tol": 0.0}, ValueError, "tol must be positive"),
        ({"tol": -1e-9}, ValueError, "tol must be positive"),
        ({"slow": np.inf}, ValueError, "slow must be positive and finite"),
        ({"time": "x"}, ValueError, r"time must be one of \['map', 'flow'\]"),
        ({"random_state": "x"}, ValueError, "seed"),
    ],
)
def test_bad_parameters(parameters, error, text):
    with pytest.raises(error, match=text):
        FixedPointAnalyzer(**parameters).fit(uniform(0.5))


def test_it_is_an_estimator():
    analyzer = FixedPointAnalyzer(16, time="flow", slow=0.1)
    copy = clone(analyzer)
    assert copy.get_params() == analyzer.get_params()
    assert copy.set_params(n_starts=8).n_starts == 8
    step = FunctionTransformer(lambda networks: networks[:1], validate=False)
    pipe = make_pipeline(step, copy).fit(random_networks(2, 2))
    assert len(pipe[-1].fixed_points_) == 1


def test_a_fitted_analyzer_can_be_pickled():
    networks = make_attractor_family(1, n_neurons=40, random_state=0)[2]
    analyzer = FixedPointAnalyzer(random_state=0).fit(networks)
    copy = pickle.loads(pickle.dumps(analyzer))
    for k in range(3):
        for name in NAMES:
            a, b = getattr(analyzer, name)[k], getattr(copy, name)[k]
            np.testing.assert_array_equal(a, b)
    assert copy.manifolds_[2][0].kind == "ring"
    assert copy.limit_cycles_[1][0].period == analyzer.limit_cycles_[1][0].period


def test_a_double_root_is_no_focus():
    """Equal real eigenvalues, which rounding may turn into a pair, make a node."""
    angles = 2 * np.pi * np.arange(200) / 200
    ring = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    types = points_of(LowRankRNN(ring, 1.8 * ring / 200)).stability_type_[0]
    assert types.tolist() == ["unstable node"]


def test_exhaustive_searches_of_many_dimensions_are_refused(rng):
    with pytest.raises(ValueError, match="at most 6; the networks have rank 20"):
        points_of(
            LowRankRNN.from_weights(rng.standard_normal((20, 20))), exhaustive=True
        )
