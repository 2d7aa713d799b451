"""The reduced dynamics against the network in all its dimensions."""

import pickle

import numpy as np
import pytest

from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis import FixedPointAnalyzer, LyapunovAnalyzer, _reduced
from sklearn_jedi.analysis._reduced import ReducedDynamics
from sklearn_jedi.metrics import spectral_distance


def random_networks(n_networks=2, n_neurons=12, rank=3, nonlinearity="tanh", seed=0):
    """Networks with a bias, and with a gain and an offset for every neuron."""
    rng = np.random.default_rng(seed)
    return LowRankRNN(
        rng.standard_normal((n_networks, n_neurons, rank)),
        rng.standard_normal((n_networks, n_neurons, rank)) / n_neurons,
        rng.standard_normal((n_networks, n_neurons)),
        tau=0.07,
        dt=0.02,
        nonlinearity=nonlinearity,
        gain=rng.uniform(0.3, 3, n_neurons),
        offset=rng.standard_normal(n_neurons),
    )


def test_project_inverts_lift_and_distances_are_those_of_rates(rng):
    system = ReducedDynamics(random_networks())
    kappa = rng.standard_normal((2, 5, 3))
    rates = system.lift(kappa)
    np.testing.assert_allclose(system.project(rates), kappa, atol=1e-14)
    np.testing.assert_allclose(
        np.linalg.norm(rates[:, 1:] - rates[:, :1], axis=2),
        np.linalg.norm(kappa[:, 1:] - kappa[:, :1], axis=2),
    )


def test_projection_is_orthogonal(rng):
    networks = random_networks()
    system = ReducedDynamics(networks)
    states = rng.standard_normal((2, 5, 12))
    rest = states - system.lift(system.project(states))
    np.testing.assert_allclose(rest @ networks.U, 0, atol=1e-13)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "softplus", "linear"])
@pytest.mark.parametrize("rank", [1, 3, 12, 15])
def test_step_is_that_of_the_network(rank, nonlinearity, rng):
    networks = random_networks(rank=rank, nonlinearity=nonlinearity)
    system = ReducedDynamics(networks)
    assert system.n_dims == min(rank, 12)
    states = system.lift(rng.standard_normal((2, 4, system.n_dims)))
    after = system.lift(system.step(system.project(states)))
    np.testing.assert_allclose(after, networks.step(states), atol=1e-13)


def test_what_lies_outside_the_subspace_shrinks(rng):
    networks = random_networks()
    system = ReducedDynamics(networks)

    def rest(states):
        return states - system.lift(system.project(states))

    states = 5 * rng.standard_normal((2, 4, 12))
    shrunk = (1 - networks.dt / networks.tau) * rest(states)
    np.testing.assert_allclose(rest(networks.step(states)), shrunk, atol=1e-13)


@pytest.mark.parametrize(("time", "other"), [("map", 1 - 2 / 7), ("flow", -1 / 0.07)])
@pytest.mark.parametrize("rank", [3, 15])
def test_eigenvalues_are_those_of_all_dimensions(rank, time, other, rng):
    networks = random_networks(rank=rank)
    system = ReducedDynamics(networks)
    kappa = rng.standard_normal((2, 4, system.n_dims))
    _, slopes = system.activity(kappa)
    few = np.linalg.eigvals(system.equation.linearised(system.jacobian(slopes), time))
    all_ = np.linalg.eigvals(networks.jacobian(system.lift(kappa), time=time))
    for a, b in zip(few.reshape(8, -1), all_.reshape(8, -1), strict=True):
        full = np.append(a, np.full(12 - system.n_dims, other))
        # the other eigenvalues are one of many fold, which costs digits
        assert spectral_distance(full, b) < 1e-7


@pytest.mark.parametrize("one", [False, True])
def test_jacobians_one_by_one_are_the_same(one, monkeypatch, rng):
    system = ReducedDynamics(random_networks())
    slopes = rng.uniform(0, 1, (2, 5, 12))
    if one:
        system, slopes = system[1], slopes[1]
    at_once = system.jacobian(slopes)
    monkeypatch.setattr(_reduced, "_MAX_PRODUCTS", 0)
    np.testing.assert_allclose(system.jacobian(slopes), at_once, atol=1e-14)
    D = slopes[..., None] * system.A[..., None, :, :]
    expected = np.swapaxes(system.B, -1, -2)[..., None, :, :] @ D
    np.testing.assert_allclose(at_once, expected, atol=1e-14)


def test_jacobian_is_the_derivative_of_the_drive():
    system = ReducedDynamics(random_networks())[0]
    kappa, h = np.array([[0.3, -0.8, 0.5]]), 1e-5
    _, slopes = system.activity(kappa)
    moves = h * np.eye(3)
    numerical = (system.drive(kappa + moves) - system.drive(kappa - moves)).T / (2 * h)
    np.testing.assert_allclose(system.jacobian(slopes)[0], numerical, atol=1e-8)


def test_the_split_into_U_and_V_does_not_matter(rng):
    networks = random_networks()
    A = rng.standard_normal((3, 3))
    other = LowRankRNN(
        networks.U @ A,
        networks.V @ np.linalg.inv(A).T,
        networks.bias,
        networks.tau,
        networks.dt,
        gain=networks.gain,
        offset=networks.offset,
    )
    states = ReducedDynamics(networks).lift(rng.standard_normal((2, 4, 3)))
    first, second = (
        system.lift(system.step(system.project(states)))
        for system in (ReducedDynamics(networks), ReducedDynamics(other))
    )
    np.testing.assert_allclose(first, second, atol=1e-12)


def test_one_network_of_a_batch(rng):
    system = ReducedDynamics(random_networks())
    kappa = rng.standard_normal((2, 4, 3))
    for k in range(2):
        np.testing.assert_allclose(
            system[k].step(kappa[k]), system.step(kappa)[k], atol=1e-15
        )
    np.testing.assert_array_equal(system[1:].step(kappa[1:]), system.step(kappa)[1:])


def test_the_box_is_what_the_drive_can_reach():
    ones = np.ones((64, 1))
    system = ReducedDynamics(LowRankRNN(ones, 3 * ones / 64))[0]
    # all neurons at the bound: r = 3 in each of 64, of length 3 * 8
    assert system.box() == pytest.approx([24.0])
    assert np.abs(system.drive(np.array([[1e6]]))) == pytest.approx(24.0)
    unbounded = ReducedDynamics(random_networks(nonlinearity="relu"))
    assert np.isinf(unbounded.box()).all()


@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_natural_size_is_where_the_argument_is_one(gain):
    ones = np.ones((64, 1))
    system = ReducedDynamics(LowRankRNN(ones, ones / 64, gain=gain))[0]
    assert system.natural_size * np.abs(system.A).max() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("nonlinearity", "inputs", "level"),
    [
        ("relu", 0.0, 1.0),
        ("relu", 0.01, 0.01),
        ("relu", 100.0, 100.0),
        ("softplus", 0.01, 1.0),
        ("softplus", 100.0, 100.0),
        ("tanh", 100.0, 1.0),
    ],
)
def test_natural_size_of_unbounded_networks_is_that_of_their_inputs(
    nonlinearity, inputs, level
):
    ones = np.ones((64, 1))
    network = LowRankRNN(
        ones, ones / 64, np.full(64, inputs), nonlinearity=nonlinearity
    )
    system = ReducedDynamics(network)[0]
    assert system.natural_size * np.abs(system.A).max() == pytest.approx(level)


@pytest.mark.parametrize(
    ("nonlinearity", "bias", "is_odd"),
    [("tanh", 0.0, True), ("relu", 0.0, False), ("tanh", 0.5, False)],
)
@pytest.mark.parametrize("size", [1.0, 1e3])
def test_odd_networks_are_told_from_others(nonlinearity, bias, is_odd, size, rng):
    # large states saturate every neuron, whatever its bias
    U, V = rng.uniform(1, 2, (2, 12, 1))
    network = LowRankRNN(U, V, np.full(12, bias), nonlinearity=nonlinearity)
    system = ReducedDynamics(network)[0]
    assert system.is_odd(size * np.ones((3, 1))) is is_odd


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "softplus", "linear"])
def test_networks_can_be_pickled(nonlinearity):
    networks = random_networks(nonlinearity=nonlinearity)
    copy = pickle.loads(pickle.dumps(networks))
    states = np.ones((2, 12))
    np.testing.assert_array_equal(copy.step(states), networks.step(states))


# ------------------------------------------------------------------- bad input


@pytest.mark.parametrize("analyzer", [FixedPointAnalyzer, LyapunovAnalyzer])
@pytest.mark.parametrize(
    ("networks", "states", "error", "text"),
    [
        (np.ones((2, 12, 3)), None, TypeError, r"jedi\.dynamics\(Z\).*ndarray"),
        (random_networks()[[]], None, ValueError, "no network"),
        (random_networks(), np.ones((2, 5, 11)), ValueError, r"\(2, n_states, 12\)"),
        (random_networks(), np.ones((3, 5, 12)), ValueError, r"\(2, n_states, 12\)"),
        (random_networks(), np.ones((2, 12)), ValueError, r"got \(2, 12\)"),
        (random_networks(), np.ones((2, 0, 12)), ValueError, r"got \(2, 0, 12\)"),
        (random_networks(), np.full((2, 5, 12), np.nan), ValueError, "NaN"),
    ],
)
def test_analyzers_refuse(analyzer, networks, states, error, text):
    with pytest.raises(error, match=text):
        analyzer().fit(networks, states=states)
