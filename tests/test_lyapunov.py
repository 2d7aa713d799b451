"""Lyapunov exponents against published ones, and against simple loops."""

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis import (
    FixedPointAnalyzer,
    LyapunovAnalyzer,
    lyapunov_exponents,
)
from sklearn_jedi.analysis._lyapunov import _kaplan_yorke, _verdict
from sklearn_jedi.datasets import make_attractor_family


def rotation(n_neurons, strength, turn):
    """The plane and the weights of neurons that rotate."""
    angles = 2 * np.pi * np.arange(n_neurons) / n_neurons
    U = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return U, U @ np.array([[strength, turn], [-turn, strength]]) / n_neurons


def side_by_side(*parts, **settings):
    """One network of groups of neurons that do not know of each other."""
    n_neurons, rank = np.sum([U.shape for U, _ in parts], axis=0)
    both = np.zeros((2, n_neurons, rank))
    row = column = 0
    for part in parts:
        rows = slice(row, row + len(part[0]))
        columns = slice(column, column + part[0].shape[1])
        for k in range(2):
            both[k, rows, columns] = part[k]
        row, column = rows.stop, columns.stop
    return LowRankRNN(*both, **settings)


def uniform(g, n_neurons=40, **settings):
    """Weights g / n between all neurons: every rate follows g tanh(m) - m."""
    ones = np.ones((n_neurons, 1))
    return LowRankRNN(ones, g * ones / n_neurons, **settings)


# ------------------------------------------------------------------ published maps


def henon(states):
    x, y = states[..., 0], states[..., 1]
    jacobian = np.zeros((*x.shape, 2, 2))
    jacobian[..., 0, 0], jacobian[..., 0, 1], jacobian[..., 1, 0] = -2.8 * x, 1, 0.3
    return np.stack([1 - 1.4 * x**2 + y, 0.3 * x], axis=-1), jacobian


def logistic(states):
    return 4 * states * (1 - states), (4 - 8 * states)[..., None]


def lorenz(states, h=0.01):
    """One Runge-Kutta step of Lorenz's equations and of their variation."""

    def field(y):
        x, y, z, M = y[..., 0, 0], y[..., 1, 0], y[..., 2, 0], y[..., 1:]
        zero, one = np.zeros_like(x), np.ones_like(x)
        velocity = [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]
        rows = [
            [-10 * one, 10 * one, zero],
            [28 - z, -one, -x],
            [y, x, -8 / 3 * one],
        ]
        J = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
        return np.concatenate([np.stack(velocity, axis=-1)[..., None], J @ M], axis=-1)

    eye = np.broadcast_to(np.eye(3), (*states.shape, 3))
    y = np.concatenate([states[..., None], eye], axis=-1)
    k1 = field(y)
    k2 = field(y + h / 2 * k1)
    k3 = field(y + h / 2 * k2)
    k4 = field(y + h * k3)
    y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y[..., 0], y[..., 1:]


@pytest.mark.parametrize(
    ("step", "start", "dt", "n_steps", "n_between", "published"),
    [
        (henon, np.array([0.1, 0.1]), 1.0, 1000, 1, [0.4192, -1.6232]),
        (logistic, np.array([0.3]), 1.0, 1000, 1, [np.log(2)]),
        (lorenz, np.array([1.0, 1.0, 20.0]), 0.01, 1600, 10, [0.9056, 0, -14.5723]),
    ],
)
def test_published_exponents(step, start, dt, n_steps, n_between, published, rng):
    # apart by a share of the attractor, so that the runs are independent
    states = start * rng.uniform(0.5, 1, (100, len(start)))
    for _ in range(1000):
        states, _ = step(states)
    blocks, end = lyapunov_exponents(step, states, n_steps, dt, n_between=n_between)
    assert blocks.shape == (20, 100, len(published))
    assert end.shape == states.shape
    runs = blocks.mean(axis=0)
    error = runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
    assert (error < 0.02).all()
    assert (np.abs(runs.mean(axis=0) - published) < 3 * error + 0.02).all()


def test_the_unit_of_time_is_that_of_dt():
    per_step, _ = lyapunov_exponents(henon, np.zeros(2), 100, 1.0)
    per_second, _ = lyapunov_exponents(henon, np.zeros(2), 100, 0.01)
    np.testing.assert_allclose(per_second, 100 * per_step)


@pytest.mark.parametrize("n_exponents", [1, 2])
def test_the_largest_exponents_come_first(n_exponents):
    # no perturbation along an axis ever leaves it
    jacobian = np.diag([0.5, 2.0])
    blocks, _ = lyapunov_exponents(
        lambda x: (x, jacobian), np.zeros(2), 1000, 1.0, n_exponents=n_exponents
    )
    expected = np.log([2, 0.5])[:n_exponents]
    np.testing.assert_allclose(blocks.mean(axis=0), expected, atol=1e-6)


# ------------------------------------------------------------------------ networks


@pytest.mark.parametrize(
    ("kind", "rtol"),
    # in two dimensions the frame takes time to turn into place
    [(0.5, 1e-6), (2.0, 1e-6), ("bistable", 2e-3)],
)
def test_a_stable_point_has_the_rates_of_its_eigenvalues(kind, rtol):
    if kind == "bistable":
        networks = make_attractor_family(1, kinds=[kind], random_state=0)[2]
    else:
        networks = uniform(kind)
    analyzer = LyapunovAnalyzer(n_steps=4000, random_state=0).fit(networks)
    points = FixedPointAnalyzer(random_state=0).fit(networks)
    rates = np.log(np.abs(points.eigenvalues_[0][0])) / networks.dt
    np.testing.assert_allclose(analyzer.exponents_[0], rates, rtol=rtol)
    assert analyzer.verdict_.tolist() == ["stable"]
    assert analyzer.kaplan_yorke_dimension_[0] == 0


def test_a_cycle_has_one_exponent_of_zero():
    networks = make_attractor_family(1, kinds=["limit_cycle"], random_state=0)[2]
    analyzer = LyapunovAnalyzer(n_steps=2000, random_state=0).fit(networks)
    (cycle,) = FixedPointAnalyzer(random_state=0).fit(networks).limit_cycles_[0]
    across = np.log(np.abs(cycle.multipliers[1])) / cycle.period
    np.testing.assert_allclose(analyzer.exponents_[0], [0, across], atol=0.01)
    assert analyzer.verdict_.tolist() == ["limit cycle"]
    assert analyzer.kaplan_yorke_dimension_[0] == pytest.approx(1, abs=1e-6)


def dense_exponents(network, r, n_steps, n_exponents):
    """Benettin's method on all neurons, one step at a time."""
    frame = np.linalg.qr(np.random.default_rng(1).standard_normal((len(r), len(r))))[0]
    frame = frame[:, :n_exponents]
    J, a = network.J[0], network.dt / network.tau
    total = np.zeros(n_exponents)
    for t in range(n_steps + 500):
        slopes = 1 - np.tanh(r) ** 2
        r = (1 - a) * r + a * J @ np.tanh(r)
        frame = (1 - a) * frame + a * J @ (slopes[:, None] * frame)
        frame, stretch = np.linalg.qr(frame)
        if t >= 500:
            total += np.log(np.abs(np.diagonal(stretch)))
    return total / (n_steps * network.dt)


def test_chaos_as_in_all_dimensions():
    rng = np.random.default_rng(0)
    network = LowRankRNN.from_weights(4 * rng.standard_normal((100, 100)) / 10)
    analyzer = LyapunovAnalyzer(
        2, n_steps=1000, n_transient=500, n_exponents=3, random_state=0
    ).fit(network)
    expected = dense_exponents(network, rng.standard_normal(100), 10_000, 3)
    tolerance = 4 * analyzer.standard_errors_[0] + 0.1
    assert (np.abs(analyzer.exponents_[0] - expected) < tolerance).all()
    assert (analyzer.standard_errors_[0] < 0.5).all()
    assert analyzer.verdict_.tolist() == ["chaotic"]


def test_the_same_run_in_few_and_in_all_dimensions(rng):
    s = np.sqrt(2.5 / np.sqrt(30 * 3))
    low = LowRankRNN(s * rng.standard_normal((30, 3)), s * rng.standard_normal((30, 3)))
    states = low.bias[:, None] + rng.standard_normal((1, 4, 3)) @ low.U[0].T
    settings = {"n_steps": 1000, "n_transient": 300}
    few = LyapunovAnalyzer(**settings).fit(low, states=states)
    dense = LowRankRNN(np.eye(30), low.J[0].T)
    all_ = LyapunovAnalyzer(**settings).fit(dense, states=states)
    assert few.rest_exponent_ == pytest.approx(np.log(0.9) / 0.01)
    others = np.full(27, few.rest_exponent_)
    together = np.sort(np.append(few.exponents_[0], others))[::-1]
    np.testing.assert_allclose(all_.exponents_[0], together, atol=0.1)


def test_largest_exponents_alone():
    network = side_by_side(rotation(40, 2.0, 1.0))
    settings = {"n_steps": 2000, "random_state": 0}
    both = LyapunovAnalyzer(**settings).fit(network)
    one = LyapunovAnalyzer(n_exponents=1, **settings).fit(network)
    assert one.exponents_.shape == (1, 1)
    np.testing.assert_allclose(one.exponents_, both.exponents_[:, :1], atol=0.02)


def test_exponents_of_groups_that_do_not_interact():
    # the axes of the reduced dynamics are invariant: a frame along them never turns
    quiet = (np.ones((20, 1)), 0.5 * np.ones((20, 1)) / 20)
    network = side_by_side(quiet, rotation(40, 2.0, 1.0))
    analyzer = LyapunovAnalyzer(n_steps=2000, random_state=0).fit(network)
    cycle = LyapunovAnalyzer(n_steps=2000, random_state=0)
    cycle.fit(side_by_side(rotation(40, 2.0, 1.0)))
    expected = [*cycle.exponents_[0], np.log(0.95) / 0.01]
    np.testing.assert_allclose(
        analyzer.exponents_[0], np.sort(expected)[::-1], atol=0.05
    )
    assert analyzer.verdict_.tolist() == ["limit cycle"]
    alone = LyapunovAnalyzer(n_steps=2000, n_exponents=1, random_state=0).fit(network)
    assert alone.exponents_[0, 0] == pytest.approx(0, abs=0.05)


# ------------------------------------------------------------------------ verdicts


def test_two_frequencies_make_a_torus():
    network = side_by_side(rotation(40, 2.0, 1.0), rotation(40, 2.0, np.sqrt(7)))
    analyzer = LyapunovAnalyzer(n_steps=4000, random_state=0).fit(network)
    np.testing.assert_allclose(analyzer.exponents_[0, :2], 0, atol=0.02)
    assert analyzer.verdict_.tolist() == ["torus"]
    assert analyzer.kaplan_yorke_dimension_[0] == pytest.approx(2, abs=1e-6)


def test_a_ring_is_marginal():
    networks = make_attractor_family(1, kinds=["ring"], random_state=0)[2]
    analyzer = LyapunovAnalyzer(n_steps=1000, random_state=0).fit(networks)
    assert analyzer.exponents_[0, 0] == pytest.approx(0, abs=0.01)
    assert analyzer.verdict_.tolist() == ["marginal"]


def test_a_diverging_network():
    network = uniform(3.0, nonlinearity="linear")
    analyzer = LyapunovAnalyzer(n_steps=5000, random_state=0).fit(network)
    assert analyzer.verdict_.tolist() == ["diverging"]
    assert np.isnan(analyzer.exponents_).all()
    assert np.isnan(analyzer.kaplan_yorke_dimension_).all()


def test_a_point_beside_a_cycle_is_mixed(point_and_cycle):
    network, quiet, moving = point_and_cycle
    states = np.array([[quiet, moving]])
    analyzer = LyapunovAnalyzer(n_steps=2000).fit(network, states=states)
    assert analyzer.verdict_per_state_.tolist() == [["stable", "limit cycle"]]
    assert analyzer.verdict_.tolist() == ["mixed"]


@pytest.fixture(scope="module")
def point_and_cycle():
    """Neurons that rotate unless two-state neurons, in their upper state, stop them."""
    one = 1.9150080481545643  # of 2 tanh(m) = m
    plane, weights = rotation(128, 1.8, 1.1)
    U, V = np.zeros((192, 3)), np.zeros((192, 3))
    U[:64, 0], U[64:, 0], V[:64, 0] = 1, 2, 2 / 64
    U[64:, 1:], V[64:, 1:] = plane, weights
    bias = np.repeat([0.0, 2 * one], [64, 128])
    start = bias + U @ np.array([one, 0.5, 0.5])
    return LowRankRNN(U, V, bias), start, bias + U @ np.array([-one, 0.5, 0.5])


def test_a_run_that_rests_at_an_unstable_point_is_not_chaotic():
    networks = make_attractor_family(1, n_neurons=40, random_state=0)[2]
    states = np.zeros((3, 1, 40))
    analyzer = LyapunovAnalyzer(n_steps=500).fit(networks, states=states)
    assert "chaotic" not in analyzer.verdict_


@pytest.mark.parametrize(
    ("exponents", "speed", "verdict"),
    [
        ([-1.0, -2.0], 0.0, "stable"),
        ([-0.05, -2.0], 0.0, "marginal"),
        ([0.05, -2.0], 1.0, "limit cycle"),
        ([0.05], 1.0, "limit cycle"),
        ([0.05, -0.03], 1.0, "torus"),
        ([0.05, -0.05], 1.0, "undecided"),
        ([0.5, 0.0], 1.0, "chaotic"),
        ([0.5, 0.0], 0.0, "unstable"),
        ([np.nan, np.nan], np.nan, "diverging"),
    ],
)
def test_verdicts_within_a_tolerance(exponents, speed, verdict):
    assert (
        _verdict(np.array(exponents), np.full(2, 0.03), 0.01, speed, growth=0.0)
        == verdict
    )


@pytest.mark.parametrize(
    ("exponents", "rest", "dimension"),
    [
        ([0.9056, 0.0, -14.5723], [], 2 + 0.9056 / 14.5723),  # Lorenz
        ([0.4192, -1.6232], [], 1 + 0.4192 / 1.6232),  # Henon
        ([-1.0, -2.0], [-10.0], 0.0),
        ([0.0, -2.0], [-10.0], 1.0),
        ([3.0, -1.0], [-10.0, -10.0], 2.2),
        ([0.5, -20.0], [-1.0], 1.5),
        ([1.0, -0.5], [], 2.0),
        ([np.nan, -1.0], [], np.nan),
    ],
)
def test_kaplan_yorke_dimension(exponents, rest, dimension):
    found = _kaplan_yorke(np.array(exponents), np.array(rest))
    assert found == pytest.approx(dimension, nan_ok=True)


# ------------------------------------------------------------------------ contract


def test_a_batch_is_one_network_at_a_time(monkeypatch, rng):
    networks = make_attractor_family(1, n_neurons=40, random_state=0)[2]
    states = rng.standard_normal((3, 5, 40))
    analyzer = LyapunovAnalyzer(n_steps=200, n_transient=100)
    together = analyzer.fit(networks, states=states).exponents_
    monkeypatch.setattr("sklearn_jedi.analysis._lyapunov._MAX_BATCH", 1)
    apart = clone(analyzer).fit(networks, states=states).exponents_
    np.testing.assert_allclose(apart, together, rtol=1e-9, atol=1e-9)
    one = clone(analyzer).fit(networks[1], states=states[1]).exponents_
    np.testing.assert_allclose(one, together[[1]], rtol=1e-9, atol=1e-9)


def test_seeds_decide():
    networks = make_attractor_family(1, n_neurons=40, random_state=0)[2]
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state is the point
    first, second, third = (
        LyapunovAnalyzer(n_steps=50, n_transient=0, random_state=seed)
        .fit(networks)
        .exponents_
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != third).any()
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("parameters", "error", "text"),
    [
        ({"n_states": 0}, ValueError, "n_states must be at least 1"),
        ({"n_steps": 1.5}, TypeError, "n_steps must be an integer"),
        ({"n_transient": -1}, ValueError, "n_transient"),
        ({"n_blocks": 1}, ValueError, "n_blocks must be at least 2"),
        ({"n_exponents": 0}, ValueError, "n_exponents must be at least 1 or None"),
        ({"n_steps": 10}, ValueError, "do not make n_blocks=20"),
    ],
)
def test_bad_parameters(parameters, error, text):
    with pytest.raises(error, match=text):
        LyapunovAnalyzer(**parameters).fit(uniform(0.5))


@pytest.mark.parametrize("n_steps", [500, 5000])
def test_growth_without_bound_is_divergence(n_steps):
    ones = np.ones((20, 1))
    network = LowRankRNN(ones, 1.05 * ones / 20, nonlinearity="linear")
    analyzer = LyapunovAnalyzer(n_steps=n_steps, n_transient=0, random_state=0)
    assert analyzer.fit(network).verdict_.tolist() == ["diverging"]
    assert analyzer.exponents_[0, 0] == pytest.approx(np.log(1.005) / 0.01)


def test_too_few_exponents_give_no_dimension(rng):
    network = LowRankRNN.from_weights(4 * rng.standard_normal((60, 60)) / np.sqrt(60))
    settings = {"n_steps": 500, "n_transient": 300, "random_state": 0}
    all_ = LyapunovAnalyzer(**settings).fit(network)
    assert all_.kaplan_yorke_dimension_[0] > 1
    one = LyapunovAnalyzer(n_exponents=1, **settings).fit(network)
    assert np.isnan(one.kaplan_yorke_dimension_[0])
