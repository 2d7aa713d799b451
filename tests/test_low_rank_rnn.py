"""LowRankRNN against hand-made networks, finite differences and plain loops."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_jedi import LatentDynamics, LowRankRNN, Nonlinearity
from sklearn_jedi._networks._nonlinearities import get_nonlinearity

NONLINEARITIES = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "linear": lambda x: x,
}
SLOPES = {
    "tanh": lambda x: 1 / np.cosh(x) ** 2,
    "relu": lambda x: (x > 0).astype(float),
    "softplus": lambda x: 1 / (1 + np.exp(-x)),
    "linear": np.ones_like,
}


def random_networks(nonlinearity="tanh", n_networks=3, n_neurons=5, rank=2, **params):
    rng = np.random.default_rng(1)
    return LowRankRNN(
        rng.standard_normal((n_networks, n_neurons, rank)),
        rng.standard_normal((n_networks, n_neurons, rank)),
        rng.standard_normal((n_networks, n_neurons)),
        tau=0.08,
        dt=0.02,
        nonlinearity=nonlinearity,
        **params,
    )


# --------------------------------------------------------------------- the mathematics


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_transfer_functions_and_slopes(name):
    networks = random_networks(name, gain=2.0, offset=0.5)
    r = np.linspace(-3, 3, 15).reshape(3, 5)
    x = 2.0 * (r - 0.5)
    np.testing.assert_allclose(networks.phi(r), NONLINEARITIES[name](x) / 2, atol=1e-14)
    np.testing.assert_allclose(networks.phi_slope(r), SLOPES[name](x), atol=1e-14)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_transfer_functions_do_not_overflow(name):
    networks = random_networks(name)
    extreme = np.array([-1e4, -800.0, 0.0, 800.0, 1e4])
    expected = {"tanh": [-1, -1, 0, 1, 1], "linear": extreme}
    relu = np.maximum(extreme, 0)
    expected |= {"relu": relu, "softplus": relu + np.log(2) * (extreme == 0)}
    np.testing.assert_allclose(networks.phi(extreme), expected[name], atol=1e-12)
    assert np.isfinite(networks.phi_slope(extreme)).all()


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_a_planted_fixed_point_is_one_of_flow_and_map(name):
    networks = random_networks(name)
    point = np.random.default_rng(2).standard_normal((3, 5))
    drive = np.einsum("nij,nj->ni", networks.J, networks.phi(point))
    planted = LowRankRNN(
        networks.U, networks.V, point - drive, 0.08, 0.02, nonlinearity=name
    )
    np.testing.assert_allclose(planted.vector_field(point), 0, atol=1e-12)
    np.testing.assert_allclose(planted.step(point), point, atol=1e-13)
    still = planted.simulate(point, 4)
    np.testing.assert_allclose(still, np.repeat(point[:, None], 4, 1), atol=1e-9)


def test_vector_field_is_the_equation():
    networks = random_networks()
    r = np.random.default_rng(3).standard_normal((3, 5))
    for k in range(3):
        expected = -r[k] + networks.U[k] @ networks.V[k].T @ np.tanh(r[k])
        expected = (expected + networks.bias[k]) / 0.08
        np.testing.assert_allclose(networks.vector_field(r)[k], expected, atol=1e-12)


@pytest.mark.parametrize("name", NONLINEARITIES)
@pytest.mark.parametrize("time", ["map", "flow"])
def test_jacobian_is_the_derivative(name, time):
    networks = random_networks(name, gain=[0.5, 1.0, 2.0, 1.0, 0.7], offset=0.1)
    function = networks.step if time == "map" else networks.vector_field
    r = np.random.default_rng(4).standard_normal((3, 2, 5))
    jacobian = networks.jacobian(r, time=time)
    assert jacobian.shape == (3, 2, 5, 5)
    eps = 1e-6
    for j in range(5):
        shift = eps * np.eye(5)[j]
        slope = (function(r + shift) - function(r - shift)) / (2 * eps)
        np.testing.assert_allclose(jacobian[..., j], slope, atol=1e-7)


def test_jacobian_of_one_state_a_network_has_no_axis_of_states():
    networks = random_networks()
    r = np.random.default_rng(4).standard_normal((3, 5))
    np.testing.assert_array_equal(
        networks.jacobian(r), networks.jacobian(r[:, None])[:, 0]
    )


def test_eigenvalues_are_those_of_j_largest_first():
    networks = random_networks()
    for found, J in zip(networks.eigenvalues, networks.J, strict=True):
        full = np.linalg.eigvals(J)
        full = full[np.argsort(-np.abs(full))][:2]
        np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(full))
        assert np.abs(found[0]) >= np.abs(found[1])
    assert networks.eigenvalues.dtype == complex


def test_simulate_is_a_loop_of_euler_steps():
    networks = random_networks()
    r = np.random.default_rng(5).standard_normal((3, 5))
    inputs = np.random.default_rng(6).standard_normal((3, 6, 5))
    run = networks.simulate(r, 7, inputs=inputs)
    assert run.shape == (3, 7, 5)
    for k in range(3):
        state = r[k]
        for t in range(7):
            np.testing.assert_allclose(run[k, t], state, atol=1e-12)
            if t < 6:
                drive = networks.J[k] @ np.tanh(state) + networks.bias[k] + inputs[k, t]
                state = state + 0.25 * (-state + drive)


def test_several_states_a_network_are_simulated_like_each_alone():
    networks = random_networks()
    r = np.random.default_rng(5).standard_normal((3, 4, 5))
    inputs = np.random.default_rng(6).standard_normal((3, 4, 5, 5))
    together = networks.simulate(r, 6, inputs=inputs)
    assert together.shape == (3, 4, 6, 5)
    for s in range(4):
        alone = networks.simulate(r[:, s], 6, inputs=inputs[:, s])
        np.testing.assert_allclose(together[:, s], alone, atol=1e-12)


def test_inputs_broadcast_over_networks_and_time():
    networks = random_networks()
    constant = np.arange(5.0)
    shifted = LowRankRNN(networks.U, networks.V, networks.bias + constant, 0.08, 0.02)
    np.testing.assert_allclose(
        networks.simulate(np.zeros(5), 6, inputs=constant),
        shifted.simulate(np.zeros(5), 6),
        atol=1e-12,
    )
    one_time_course = np.random.default_rng(0).standard_normal((1, 5, 5))
    np.testing.assert_allclose(
        networks.simulate(np.zeros((3, 2, 5)), 6, inputs=one_time_course[None])[:, 1],
        networks.simulate(np.zeros(5), 6, inputs=one_time_course),
        atol=1e-12,
    )


def test_one_state_is_shared_by_all_networks():
    networks = random_networks()
    state = np.arange(5.0)
    np.testing.assert_array_equal(
        networks.step(state), networks.step(np.tile(state, (3, 1)))
    )


def test_noise_has_the_stated_standard_deviation_and_seed():
    silent = LowRankRNN(np.zeros((400, 1)), np.zeros((400, 1)), tau=0.1, dt=0.1)
    run = silent.simulate(np.zeros(400), 60, noise=0.3, random_state=0)
    # dt = tau: nothing is carried over from bin to bin
    assert run[0, 0].std() == 0
    assert run[0, 1:].std() == pytest.approx(0.3, rel=0.02)
    again = silent.simulate(np.zeros(400), 60, noise=0.3, random_state=0)
    np.testing.assert_array_equal(run, again)
    other = silent.simulate(np.zeros(400), 60, noise=0.3, random_state=1)
    assert not np.array_equal(run, other)


def test_a_silent_network_decays_with_tau():
    silent = LowRankRNN(np.zeros((2, 1)), np.zeros((2, 1)), [1.0, -2.0], 0.1, 0.01)
    run = silent.simulate(np.array([3.0, 3.0]), 11)[0]
    decay = 0.9 ** np.arange(11)[:, None]
    np.testing.assert_allclose(run, decay * 3 + (1 - decay) * [1.0, -2.0])


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_a_network_in_other_units_is_the_same_network(name):
    networks = random_networks(name)
    scale = np.array([20.0, 5.0, 1.0, 0.1, 30.0])
    offset = np.array([10.0, 0.0, -3.0, 1.0, 7.0])
    bias = networks.bias * scale + offset
    hertz = LowRankRNN(
        networks.U * scale[:, None],
        networks.V / scale[:, None],
        bias,
        0.08,
        0.02,
        name,
        gain=1 / scale,
        offset=offset,
    )
    r = 0.5 * np.random.default_rng(7).standard_normal((3, 5))
    np.testing.assert_allclose(
        hertz.simulate(scale * r + offset, 8),
        scale * networks.simulate(r, 8) + offset,
        rtol=1e-10,
        atol=1e-10,
    )
    np.testing.assert_allclose(hertz.eigenvalues, networks.eigenvalues, rtol=1e-10)


# ------------------------------------------------------------------------ a container


def test_two_dimensional_weights_are_one_network():
    rng = np.random.default_rng(0)
    U, V, bias = (rng.standard_normal(s) for s in [(5, 2), (5, 2), 5])
    network = LowRankRNN(U, V, bias)
    assert len(network) == network.n_networks == 1
    assert (network.n_neurons, network.rank, network.shape) == (5, 2, (1, 5, 5))
    np.testing.assert_allclose(network.J[0], U @ V.T)
    batch = LowRankRNN(U[None], V[None], bias[None])
    np.testing.assert_array_equal(network.step(np.ones(5)), batch.step(np.ones(5)))


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (1, [1]),
        (-1, [2]),
        (np.int64(0), [0]),
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        (np.array([True, False, True]), [0, 2]),
        (np.array([2, 0, 0]), [2, 0, 0]),
        ([2, 1], [2, 1]),
        ((slice(0, 2), Ellipsis), [0, 1]),
    ],
    ids=str,
)
def test_selection(index, rows):
    networks = random_networks(gain=np.arange(1.0, 6.0), offset=0.3)
    selected = networks[index]
    assert len(selected) == len(rows)
    np.testing.assert_array_equal(selected.J, networks.J[rows])
    np.testing.assert_array_equal(selected.bias, networks.bias[rows])
    r = np.ones(5)
    np.testing.assert_array_equal(selected.step(r), networks.step(r)[rows])


@pytest.mark.parametrize("index", [3, -4])
def test_a_network_that_is_not_there(index):
    with pytest.raises(IndexError, match="there are 3"):
        random_networks()[index]


def test_iteration_visits_every_network():
    networks = random_networks()
    for k, network in enumerate(networks):
        np.testing.assert_array_equal(network.J, networks.J[[k]])
    assert k == 2


def test_train_test_split_and_kfold():
    networks = random_networks(n_networks=8)
    labels = np.arange(8)
    train, test, y_train, y_test = train_test_split(networks, labels, random_state=0)
    np.testing.assert_array_equal(train.J, networks.J[y_train])
    np.testing.assert_array_equal(test.J, networks.J[y_test])
    for _, rows in KFold(4).split(networks):
        assert len(networks[rows]) == 2


def _spectral_radius(networks):
    return np.abs(networks.eigenvalues[:, :1])


def test_networks_are_the_x_of_a_pipeline():
    networks = random_networks(n_networks=8)
    scale = np.where(np.arange(8) % 2, 4.0, 0.1)
    networks = LowRankRNN(networks.U * scale[:, None, None], networks.V)
    pipe = make_pipeline(FunctionTransformer(_spectral_radius), LogisticRegression())
    scores = cross_val_score(pipe, networks, np.arange(8) % 2, cv=4)
    np.testing.assert_array_equal(scores, np.ones(4))


def test_repr_tells_sizes_times_and_the_transfer_function():
    assert repr(random_networks("relu")[1:]) == (
        "LowRankRNN(n_networks=2, n_neurons=5, rank=2, tau=0.08, dt=0.02, "
        "nonlinearity='relu')"
    )
    latent = LatentDynamics(np.eye(4, 3), np.ones((6, 4, 3)), tau=0.2)
    assert repr(latent) == (
        "LatentDynamics(n_networks=6, n_units=4, n_latents=3, tau=0.2, dt=0.01, "
        "nonlinearity='tanh')"
    )


# ---------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("args", "params", "text"),
    [
        ((np.ones((4, 2)), np.ones((4, 3))), {}, r"same shape .*\(1, 4, 2\)"),
        ((np.ones(4), np.ones(4)), {}, "U must be a non-empty array of 2 or 3"),
        ((np.ones((4, 0)), np.ones((4, 0))), {}, "non-empty"),
        ((np.full((4, 1), np.nan), np.ones((4, 1))), {}, "U contains NaN"),
        ((np.ones((4, 1)), np.full((4, 1), np.inf)), {}, "V contains NaN or inf"),
        ((np.ones((4, 1)), np.ones((4, 1)), np.ones(3)), {}, r"shape \(1, 4\)"),
        ((np.ones((4, 1)),) * 2, {"dt": 0.2, "tau": 0.1}, "dt=0.2 s and tau=0.1"),
        ((np.ones((4, 1)),) * 2, {"dt": 0.0}, "0 < dt <= tau"),
        ((np.ones((4, 1)),) * 2, {"tau": np.nan}, "0 < dt <= tau"),
        ((np.ones((4, 1)),) * 2, {"nonlinearity": "sine"}, "one of .*'sine'"),
        ((np.ones((4, 1)),) * 2, {"gain": 0.0}, "gain must be positive"),
        ((np.ones((4, 1)),) * 2, {"gain": np.ones(3)}, r"gain must be .*\(4,\)"),
        ((np.ones((4, 1)),) * 2, {"offset": np.inf}, "offset must be a finite"),
    ],
)
def test_bad_networks_are_refused(args, params, text):
    with pytest.raises(ValueError, match=text):
        LowRankRNN(*args, **params)


@pytest.mark.parametrize("shape", [(4,), (2, 5), (3, 4), (2, 4, 5), (3, 1, 1, 5), ()])
def test_states_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"states must have shape \(3, 5\)"):
        random_networks().step(np.zeros(shape))


def test_other_refusals():
    networks = random_networks()
    with pytest.raises(ValueError, match='time must be "map" or "flow"'):
        networks.jacobian(np.zeros(5), time="step")
    with pytest.raises(ValueError, match="n_timepoints must be at least 1; got 0"):
        networks.simulate(np.zeros(5), 0)
    with pytest.raises(ValueError, match=r"inputs of shape \(7, 5\) do not broadcast"):
        networks.simulate(np.zeros(5), 4, inputs=np.zeros((7, 5)))


def test_dense_weights_are_kept(rng):
    J = rng.standard_normal((2, 5, 5))
    rnn = LowRankRNN.from_weights(J, rng.standard_normal((2, 5)), dt=0.02, gain=2.0)
    np.testing.assert_array_equal(rnn.J, J)
    assert (rnn.rank, rnn.dt, rnn.gain[0]) == (5, 0.02, 2.0)
    np.testing.assert_allclose(
        np.sort_complex(rnn.eigenvalues), np.sort_complex(np.linalg.eigvals(J))
    )
    assert LowRankRNN.from_weights(J[0]).shape == (1, 5, 5)
    with pytest.raises(ValueError, match=r"as many rows as columns.*\(4, 5\)"):
        LowRankRNN.from_weights(J[0, :4])


def test_a_transfer_function_of_ones_own(rng):
    """Two tanh of half the slope are one tanh: the same network, whoever wrote phi."""
    own = Nonlinearity(
        lambda xp, x: 2 * xp.tanh(x / 2), lambda xp, x, y: 1 - (y / 2) ** 2, bound=2.0
    )
    U, V, r = rng.standard_normal((3, 6, 2))
    r = r[:, 0]
    mine = LowRankRNN(U, V, nonlinearity=own)
    same = LowRankRNN(U, V, nonlinearity="tanh", gain=0.5)
    np.testing.assert_allclose(mine.vector_field(r), same.vector_field(r))
    np.testing.assert_allclose(mine.jacobian(r), same.jacobian(r))
    assert mine[[0]].transfer is own


@pytest.mark.parametrize("name", sorted(NONLINEARITIES))
def test_bounds_of_transfer_functions_hold_and_are_tight(name):
    phi = get_nonlinearity(name)
    x = np.linspace(-30, 30, 60001)
    y = phi.value(np, x)
    slope = phi.slope(np, x, y)
    if phi.bound is not None:
        assert 0.999 * phi.bound < np.abs(y).max() <= phi.bound
    if phi.curvature_bound is not None:
        curvature = np.abs(np.diff(slope) / np.diff(x)).max()
        assert 0.999 * phi.curvature_bound <= curvature <= phi.curvature_bound + 1e-6


def test_dense_weights_of_low_rank_are_factored(rng):
    U, V = rng.standard_normal((2, 3, 30, 2))
    J = U @ np.swapaxes(V, 1, 2)
    rnn = LowRankRNN.from_weights(J)
    assert rnn.rank == 2
    np.testing.assert_allclose(rnn.J, J, atol=1e-12)


def test_more_ranks_than_neurons_look_transposed(rng):
    U = rng.standard_normal((2, 50))
    with pytest.warns(UserWarning, match="are they transposed"):
        LowRankRNN(U, U)
