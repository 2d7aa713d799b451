"""Limit cycles against planted periods and against integration of the flow."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from sklearn.exceptions import ConvergenceWarning

from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis import FixedPointAnalyzer, LyapunovAnalyzer
from sklearn_jedi.analysis._limit_cycles import closed_curve, find_cycle
from sklearn_jedi.analysis._manifolds import distance_to_curve
from sklearn_jedi.analysis._reduced import ReducedDynamics
from sklearn_jedi.analysis._trajectories import find_cycles
from sklearn_jedi.datasets import make_attractor_family, make_rotation_family


def cycles_of(networks, states=None, **settings):
    settings = {"random_state": 0, **settings}
    return FixedPointAnalyzer(**settings).fit(networks, states=states).limit_cycles_


def planted(n_neurons=40):
    return make_attractor_family(
        1, kinds=["limit_cycle"], n_neurons=n_neurons, random_state=0
    )[2]


def relaxing(turn):
    """Two populations of two states each, turned from one state to the next.

    From a turn of about 0.52 on, the eight points other than the origin are gone; just
    beyond it, the activity lingers where they were.
    """
    U = np.repeat(np.eye(2), 16, axis=0)
    return LowRankRNN(U @ np.array([[2, -turn], [turn, 2]]), U / 16)


def switching(gain, turn):
    """Fifty neurons that switch between saturated states, in one or two steps each."""
    U = np.random.default_rng(3).standard_normal((50, 2))
    return LowRankRNN(U, U @ np.array([[gain, turn], [-turn, gain]]) / 50)


def rotating(rate, nonlinearity="tanh"):
    """Rest is a focus of 1 Hz whose swings grow by `rate` (1/s) under the map."""
    angles = 2 * np.pi * np.arange(64) / 64
    ring = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    value = 1 + 10 * (np.exp((rate + 2j * np.pi) * 0.01) - 1)
    mixing = np.array([[value.real, -value.imag], [value.imag, value.real]])
    return LowRankRNN(ring, ring @ mixing.T / 64, nonlinearity=nonlinearity)


def two_cycles():
    """A network of rank 3 with two stable cycles."""
    rng = np.random.default_rng(1)
    for k in range(142):
        rank, n_neurons = (2, 3, 4, 5)[k % 4], (50, 200)[k // 4 % 2]
        gain, bias = rng.choice([2, 3, 5]), rng.choice([0, 0.5])
        U = rng.standard_normal((n_neurons, rank))
        A = rng.standard_normal((rank, rank))
        mixing = np.eye(rank) * gain / 1.5 + (A - A.T) * rng.uniform(0.3, 2)
        noise = 0.3 * rng.standard_normal((n_neurons, rank)) / np.sqrt(n_neurons)
        V = U @ mixing.T / n_neurons + noise
        bias = bias * rng.standard_normal(n_neurons)
        rng.standard_normal(3 * rank)
    return LowRankRNN(U, V, bias)


def flow_cycle(network, start):
    """Period, and matrix of perturbations after it, of the flow in two dimensions."""
    U, V, tau = network.U[0], network.V[0], network.tau

    def field(t, kappa):
        return (V.T @ np.tanh(U @ kappa) - kappa) / tau

    def varied(t, y):
        kappa, M = y[:2], y[2:].reshape(2, 2)
        slopes = 1 - np.tanh(U @ kappa) ** 2
        jac = (V.T @ (slopes[:, None] * U) - np.eye(2)) / tau
        return np.concatenate([field(t, kappa), (jac @ M).ravel()])

    def crossing(t, kappa):
        return kappa[0]

    crossing.direction = 1
    accurate = {"rtol": 1e-12, "atol": 1e-13, "method": "DOP853"}
    run = solve_ivp(field, (0, 20), start, events=crossing, **accurate)
    times, states = run.t_events[0], run.y_events[0]
    period = times[-1] - times[-2]
    y = np.append(states[-1], np.eye(2))
    monodromy = solve_ivp(varied, (0, period), y, **accurate).y[2:, -1].reshape(2, 2)
    return period, monodromy


def test_the_planted_period():
    network = planted()
    ((cycle,),) = cycles_of(network)
    assert cycle.period == pytest.approx(0.5, rel=1e-9)
    assert cycle.is_stable
    assert cycle.residual < 1e-10
    # planted at a distance of 1, in units of the columns of U
    radii = np.linalg.norm(cycle.states, axis=1)
    np.testing.assert_allclose(radii, np.sqrt(40), rtol=1e-6)
    # 50 steps of 10 ms lead from each point to itself
    returned = network.simulate(cycle.states[None], 51)[0, :, -1]
    np.testing.assert_allclose(returned, cycle.states, atol=1e-9)


def test_multipliers_are_those_of_the_lyapunov_exponents():
    network = planted()
    ((cycle,),) = cycles_of(network)
    states = cycle.states[None, :4]
    analyzer = LyapunovAnalyzer(n_steps=8000, n_transient=0, n_states=1)
    exponents = analyzer.fit(network, states=states).exponents_[0]
    assert cycle.multipliers[0] == pytest.approx(1, abs=1e-8)
    assert abs(cycle.multipliers[1]) == pytest.approx(
        np.exp(exponents[1] * cycle.period), rel=1e-3
    )


def test_multiplier_from_the_decay_of_a_perturbation():
    network = planted()
    ((cycle,),) = cycles_of(network)
    start = (1 + 1e-5) * cycle.states[:1]
    run = network.simulate(start, 51)
    away = np.linalg.norm(run[0, [0, -1]], axis=1) / np.sqrt(40) - 1
    assert cycle.multipliers[1] == pytest.approx(away[1] / away[0], rel=1e-4)


# periods over a million steps, by the crossings of a plane
@pytest.mark.parametrize(
    ("network", "periods"),
    [
        (switching(5, 3), [1.0872979966]),
        (switching(5, 1.5), [2.2617783979]),
        (switching(8, 3), [1.7833343756]),
        (two_cycles(), [0.8369956763, 1.1449973380]),
    ],
)
def test_every_cycle_of_long_simulations(network, periods):
    analyzer = FixedPointAnalyzer(random_state=0).fit(network)
    cycles = sorted(analyzer.limit_cycles_[0], key=lambda cycle: cycle.period)
    assert [c.period for c in cycles] == pytest.approx(periods, rel=1e-7)
    for cycle in cycles:
        assert cycle.is_stable
        curve = closed_curve(cycle.states)
        size = np.linalg.norm(cycle.states.std(axis=0))
        run = network.simulate(cycle.states[:1], 500)[0, -20:]
        assert max(distance_to_curve(state, curve) for state in run) < 1e-3 * size
    assert analyzer.n_unsettled_.tolist() == [0]


@pytest.mark.parametrize("network", [planted(), relaxing(1.0), relaxing(0.6)])
def test_cycles_of_the_flow(network):
    ((cycle,),) = cycles_of(network, time="flow")
    U = network.U[0]
    start = np.linalg.lstsq(U, cycle.states[0])[0]
    period, monodromy = flow_cycle(network, start)
    assert cycle.period == pytest.approx(period, rel=1e-6)
    assert cycle.is_stable
    assert cycle.multipliers[0] == pytest.approx(1, abs=1e-5)
    expected = np.linalg.eigvals(monodromy)
    assert abs(cycle.multipliers[1]) == pytest.approx(
        np.abs(expected).min(), rel=1e-5, abs=1e-9
    )
    # evenly spaced in time: the trigonometric polynomial moves as the flow does
    n = len(cycle.states)
    waves = np.fft.fftfreq(n, 1 / n)[:, None] * 2j * np.pi / cycle.period
    speed = np.fft.ifft(waves * np.fft.fft(cycle.states, axis=0), axis=0).real
    flow = network.vector_field(cycle.states[None])[0]
    np.testing.assert_allclose(speed, flow, atol=1e-5 * np.abs(flow).max())


def test_a_strongly_relaxing_cycle_of_the_map():
    network = relaxing(0.6)
    ((cycle,),) = cycles_of(network)
    run = network.simulate(cycle.states[:1], 20_000)[0, :, 0]
    up = np.flatnonzero((run[:-1] < 0) & (run[1:] >= 0))
    crossings = up - run[up] / (run[up + 1] - run[up])
    period = (crossings[-1] - crossings[0]) / (len(crossings) - 1) * network.dt
    assert cycle.period == pytest.approx(period, rel=1e-3)
    speeds = np.linalg.norm(network.vector_field(cycle.states[None])[0], axis=1)
    assert speeds.max() > 15 * speeds.min()
    assert cycle.is_stable


def test_periods_of_the_rotation_family():
    networks = make_rotation_family(1, n_neurons=1000, random_state=0)[2]
    periods = [cycle.period for (cycle,) in cycles_of(networks)]
    # planted for infinitely many neurons
    np.testing.assert_allclose(periods, 1 / np.arange(1, 5), rtol=2e-3)


def in_all_dimensions(network):
    """The same network, its low rank hidden."""
    return LowRankRNN(np.eye(network.n_neurons), network.J[0].T)


# the curve of 72 neurons is fitted to the trajectory rather than solved for
@pytest.mark.parametrize(("n_neurons", "tol"), [(20, 1e-9), (72, 1e-4)])
def test_dense_networks_have_the_cycles_of_the_low_rank(n_neurons, tol):
    network = planted(n_neurons)
    (few,) = cycles_of(network)[0]
    system = ReducedDynamics(in_all_dimensions(network))[0]
    path = system.project(network.simulate(few.states[:1], 1000)[0])
    found = find_cycle(system, path, "map")
    assert found.period == pytest.approx(few.period, rel=tol)
    sizes = np.abs(few.multipliers)
    n_given = n_neurons if n_neurons <= 30 else 10
    expected = np.append(sizes, np.full(n_given - 2, 0.9**50))
    np.testing.assert_allclose(np.abs(found.multipliers), expected, rtol=1e-2)
    assert found.is_stable


def test_a_cycle_is_listed_once():
    assert len(cycles_of(in_all_dimensions(planted(20)))[0]) == 1


def test_no_cycle_where_points_attract():
    networks = make_attractor_family(1, kinds=["bistable"], random_state=0)[2]
    analyzer = FixedPointAnalyzer(random_state=0).fit(networks)
    assert analyzer.limit_cycles_ == [[]]
    assert analyzer.n_unsettled_.tolist() == [0]


def test_a_cycle_beside_a_point():
    # neurons that rotate unless two-state neurons, in their upper state, stop them
    m = 1.9150080481545643  # 2 tanh(m) = m
    angles = 2 * np.pi * np.arange(128) / 128
    plane = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    U, V = np.zeros((192, 3)), np.zeros((192, 3))
    U[:64, 0], U[64:, 0], V[:64, 0] = 1, 2, 2 / 64
    U[64:, 1:] = plane
    V[64:, 1:] = plane @ np.array([[1.8, 1.1], [-1.1, 1.8]]) / 128
    bias = np.repeat([0.0, 2 * m], [64, 128])
    network = LowRankRNN(U, V, bias)
    rotating = LowRankRNN(plane, V[64:, 1:])
    analyzer = FixedPointAnalyzer(random_state=0).fit(network)
    ((cycle,),) = analyzer.limit_cycles_
    ((alone,),) = cycles_of(rotating)
    assert cycle.period == pytest.approx(alone.period, rel=1e-9)
    np.testing.assert_allclose(cycle.states[:, :64], -m, atol=1e-9)
    stable = analyzer.fixed_points_[0][analyzer.is_stable_[0]]
    np.testing.assert_allclose(stable[:, :64], m, atol=1e-9)
    # switched on, it brings the eigenvalue of the two-state neurons with it
    decay = (1 + 0.1 * (2 * (1 - (m / 2) ** 2) - 1)) ** (cycle.period / 0.01)
    expected = [1, *sorted([abs(alone.multipliers[1]), decay], reverse=True)]
    np.testing.assert_allclose(np.abs(cycle.multipliers), expected, rtol=1e-4)
    assert analyzer.n_unsettled_.tolist() == [0]


def test_what_lies_beside_an_unstable_point_is_found_without_starts():
    system = ReducedDynamics(planted())[0]
    settled = find_cycles(
        system, np.empty((0, 2)), np.zeros((1, 2)), np.array([False]), [], 6.0, "map"
    )
    (cycle,) = settled.cycles
    assert cycle.period == pytest.approx(0.5, rel=1e-9)
    assert (settled.n_trajectories, settled.n_unsettled) == (2, 0)


def test_the_mirror_image_of_a_cycle_is_one():
    # two-state neurons, and neurons that rotate whatever the state of the others
    network = rotating(1.0)
    U, V = np.zeros((128, 3)), np.zeros((128, 3))
    U[:64, 0], V[:64, 0] = 1, 2 / 64
    U[64:, 1:], V[64:, 1:] = network.U[0], network.V[0]
    system = ReducedDynamics(LowRankRNN(U, V))[0]
    start = system.project(np.append(np.ones(64), network.U[0, :, 0])[None])
    settled = find_cycles(
        system, start, np.empty((0, 3)), np.zeros(0, bool), [], 10.0, "map"
    )
    levels = [cycle.states[:, 0].mean() for cycle in settled.cycles]
    # 2 tanh(m) = m
    assert levels == pytest.approx([1.9150080481545643, -1.9150080481545643])
    first, second = settled.cycles
    np.testing.assert_allclose(second.states, -first.states, atol=1e-12)


def test_states_lead_to_cycles_and_points():
    network = planted()
    ((cycle,),) = cycles_of(network, states=np.full((1, 3, 40), 0.3), n_starts=2)
    assert cycle.period == pytest.approx(0.5, rel=1e-9)


def test_a_cycle_that_attracts_slowly_is_listed_once():
    ((cycle,),) = cycles_of(rotating(0.03))
    assert cycle.is_stable
    # a swing grows as exp(0.03 t) near rest, and shrinks twice as fast near the cycle
    assert cycle.multipliers[1] == pytest.approx(np.exp(-0.06), rel=2e-3)


@pytest.mark.filterwarnings("ignore:.*reached no attractor")
@pytest.mark.filterwarnings("ignore:nonlinearity='linear'")
@pytest.mark.parametrize("network", [rotating(-0.01), rotating(0.0, "linear")])
def test_what_cannot_be_told_from_a_focus_is_no_cycle(network):
    assert cycles_of(network) == [[]]
    analyzer = LyapunovAnalyzer(n_states=1, n_steps=3000, random_state=0)
    assert analyzer.fit(network).verdict_.tolist() == ["not resolved"]


@pytest.mark.filterwarnings("ignore:the index sum", "ignore:fixed points of networks")
def test_chaos_is_not_a_cycle(rng):
    weights = 4 * rng.standard_normal((100, 100)) / 10
    network = LowRankRNN.from_weights(weights)
    analyzer = FixedPointAnalyzer(n_starts=1, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"\d+ of \d+ trajectories .* \[0\]"):
        analyzer.fit(network)
    assert analyzer.limit_cycles_ == [[]]
    assert 0 < analyzer.n_unsettled_[0] <= analyzer.n_trajectories_[0]


def test_cycles_only_where_asked_for():
    analyzer = FixedPointAnalyzer(limit_cycles=False, random_state=0).fit(planted())
    assert analyzer.limit_cycles_ == [[]]
    assert analyzer.n_unsettled_.tolist() == [0]
