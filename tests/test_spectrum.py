"""SpectrumAnalyzer against eigenvalues of the dense N x N matrices."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.exceptions import NotFittedError

from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis import FixedPointAnalyzer, SpectrumAnalyzer
from sklearn_jedi.datasets import (
    make_attractor_family,
    make_rotation_family,
)

TAU, DT = 0.08, 0.02
ALPHA = DT / TAU
SIZES = [(12, 3), (5, 3), (6, 3), (3, 5)]  # also fewer than 2 rank, or rank, neurons
N_STATES = 3  # states of each network in these tests


def random_networks(n_neurons=12, rank=3, n_networks=2, seed=0, **params):
    """Networks with gain, offset and bias of every neuron."""
    rng = np.random.default_rng(seed)
    shape = (n_networks, n_neurons, rank)
    return LowRankRNN(
        rng.standard_normal(shape),
        rng.standard_normal(shape),
        rng.standard_normal(shape[:2]),
        TAU,
        DT,
        gain=rng.uniform(0.5, 2, n_neurons),
        offset=rng.standard_normal(n_neurons),
        **params,
    )


def random_states(networks, n_states=N_STATES, seed=1):
    shape = (len(networks), n_states, networks.n_neurons)
    return np.random.default_rng(seed).standard_normal(shape)


def spectra_at(states, networks, kind, time="map"):
    """A fitted analyzer; the weights themselves have no states."""
    at = states if kind == "jacobian" else None
    return SpectrumAnalyzer(kind, time=time).fit(networks, states=at)


def linearised(weights, time, alpha=ALPHA, tau=TAU):
    """The N x N Jacobian of the map or the flow, from `J D`."""
    eye = np.eye(len(weights))
    return eye + alpha * (weights - eye) if time == "map" else (weights - eye) / tau


def dense(network, state, kind, time):
    """All that the analyzer gives, from the N x N matrix of one network."""
    slopes = np.ones(network.n_neurons)
    if kind == "jacobian":
        slopes = 1 / np.cosh(network.gain * (state - network.offset)) ** 2
    weights = network.U[0] @ network.V[0].T * slopes
    matrix = weights if kind == "connectivity" else linearised(weights, time)
    values = np.linalg.eigvals(matrix)
    of_dynamics = np.linalg.eigvals(linearised(weights, time))
    growth = np.log(np.abs(of_dynamics)) / DT if time == "map" else of_dynamics.real
    size = np.linalg.norm(weights)
    normal = (np.abs(np.linalg.eigvals(weights)) ** 2).sum()
    return values, {
        "spectral_abscissa": values.real.max(),
        "spectral_radius": np.abs(values).max(),
        "distance_to_edge": -growth.max(),
        "numerical_abscissa": np.linalg.eigvalsh((matrix + matrix.T) / 2).max(),
        "henrici": np.sqrt(max(size**2 - normal, 0)) / size,
    }


def null_value(kind, time):
    """The eigenvalue of all vectors that `J D` takes to zero."""
    if kind == "connectivity":
        return 0.0
    return 1 - ALPHA if time == "map" else -1 / TAU


def assert_same_values(found, expected, atol=1e-9):
    distance = np.abs(np.subtract.outer(found, expected))
    rows, columns = linear_sum_assignment(distance)
    np.testing.assert_allclose(distance[rows, columns], 0, atol=atol)


# ----------------------------------------------------------------------- known answers


@pytest.mark.parametrize("time", ["map", "flow"])
@pytest.mark.parametrize("kind", ["connectivity", "jacobian"])
@pytest.mark.parametrize(("n_neurons", "rank"), SIZES)
def test_spectra_are_those_of_the_dense_matrices(n_neurons, rank, kind, time):
    networks = random_networks(n_neurons, rank)
    states = random_states(networks)
    spectra = spectra_at(states, networks, kind, time)
    n_modes = min(n_neurons, rank)
    for k in range(2):
        for s in range(N_STATES):
            at = (k, s) if kind == "jacobian" else k
            values, expected = dense(networks[k], states[k, s], kind, time)
            others = np.full(n_neurons - n_modes, null_value(kind, time))
            found = spectra.eigenvalues_[at]
            assert found.shape == (n_modes,)
            assert_same_values(np.concatenate([found, others]), values)
            for name, value in expected.items():
                actual = getattr(spectra, f"{name}_")[at]
                assert actual == pytest.approx(value, abs=1e-8), name


@pytest.mark.parametrize("time", ["map", "flow"])
@pytest.mark.parametrize("kind", ["connectivity", "jacobian"])
def test_weights_of_full_rank(kind, time, rng):
    J = 2 * rng.standard_normal((4, 4))
    network = LowRankRNN.from_weights(J, tau=TAU, dt=DT)
    states = random_states(network)
    spectra = spectra_at(states, network, kind, time)
    values, expected = dense(network, states[0, 0], kind, time)
    at = (0, 0) if kind == "jacobian" else 0
    assert_same_values(spectra.eigenvalues_[at], values)
    for name, value in expected.items():
        assert getattr(spectra, f"{name}_")[at] == pytest.approx(value), name


@pytest.mark.parametrize("time", ["map", "flow"])
@pytest.mark.parametrize("kind", ["connectivity", "jacobian"])
@pytest.mark.parametrize(("n_neurons", "rank"), [(3, 3), (5, 3), (6, 3), (7, 3)])
def test_inhibition_alone(n_neurons, rank, kind, time, rng):
    """No growth at all: where the weights have a null space, it decays the slowest."""
    U = np.linalg.qr(rng.standard_normal((n_neurons, rank)))[0]
    network = LowRankRNN(U, -U @ np.diag([1.0, 1.5, 2.0]), tau=TAU, dt=DT)
    states = np.zeros((1, 1, n_neurons))  # where every slope is 1
    spectra = spectra_at(states, network, kind, time)
    _, expected = dense(network, states[0, 0], kind, time)
    slowest = 0.0 if n_neurons > rank else -1.0
    mu = 1 + ALPHA * (slowest - 1)
    rate = np.log(mu) / DT if time == "map" else (slowest - 1) / TAU
    assert expected["distance_to_edge"] == pytest.approx(-rate)
    for name, value in expected.items():
        # a matrix that is normal has a departure of rounding errors' square root
        found = float(np.ravel(getattr(spectra, f"{name}_"))[0])
        assert found == pytest.approx(value, abs=1e-7), name


@pytest.mark.parametrize(
    "J", [-np.eye(3), [[-1.0, 0.5], [0.0, -2.0]], [[-1.0]]], ids=["-I", "skewed", "1x1"]
)
def test_numerical_abscissa_of_negative_definite_weights(J):
    spectra = SpectrumAnalyzer().fit(LowRankRNN.from_weights(J))
    symmetric = (np.array(J) + np.transpose(J)) / 2
    expected = np.linalg.eigvalsh(symmetric).max()
    np.testing.assert_allclose(spectra.numerical_abscissa_, [expected], atol=1e-9)


def test_departure_from_normality_at_its_ends():
    normal = LowRankRNN.from_weights([[0.0, -2.0], [2.0, 0.0]])
    nilpotent = LowRankRNN([[1.0], [0.0], [0.0]], [[0.0], [3.0], [0.0]])
    assert SpectrumAnalyzer().fit(normal).henrici_[0] == pytest.approx(0, abs=1e-7)
    feedforward = SpectrumAnalyzer().fit(nilpotent)
    assert feedforward.henrici_[0] == pytest.approx(1)
    assert feedforward.numerical_abscissa_[0] == pytest.approx(1.5)


def test_no_weights_at_all():
    spectra = SpectrumAnalyzer().fit(LowRankRNN(np.zeros((3, 1)), np.zeros((3, 1))))
    np.testing.assert_array_equal(spectra.eigenvalues_, [[0]])
    np.testing.assert_array_equal(spectra.henrici_, [0])


@pytest.mark.parametrize("time", ["map", "flow"])
@pytest.mark.parametrize("kind", ["connectivity", "jacobian"])
def test_rates_frequencies_and_time_constants(kind, time):
    networks = random_networks()
    states = random_states(networks)
    spectra = spectra_at(states, networks, kind, time)
    values = spectra.eigenvalues_
    if kind == "jacobian":
        multipliers = exponents = values
    else:
        multipliers, exponents = 1 + ALPHA * (values - 1), (values - 1) / TAU
    if time == "map":
        exponents = np.log(multipliers) / DT
    np.testing.assert_allclose(spectra.rates_, exponents.real, atol=1e-9)
    cycles = exponents.imag / (2 * np.pi)
    np.testing.assert_allclose(spectra.frequencies_, cycles, atol=1e-9)
    np.testing.assert_allclose(spectra.time_constants_ * spectra.rates_, -1)
    assert (np.diff(spectra.rates_, axis=-1) <= 1e-9).all()  # the least stable first


# ----------------------------------------------------------------------------- rotation


@pytest.fixture(scope="module")
def rotating():
    """Networks of 1, 2, 3 and 4 Hz."""
    return make_rotation_family(1, n_neurons=4000, random_state=0)[2]


def test_a_cycle_neither_grows_nor_decays_at_its_mean_slope(rotating):
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    slope = weights @ (nodes * np.tanh(nodes)) / weights.sum()
    state = np.full((4, 1, 4000), np.arctanh(np.sqrt(1 - slope)))  # all slopes alike
    spectra = SpectrumAnalyzer("jacobian").fit(rotating, states=state)
    frequencies = np.array([1.0, 2.0, 3.0, 4.0])
    pairs = np.stack([frequencies, -frequencies], axis=1)  # the positive one first
    np.testing.assert_allclose(spectra.frequencies_[:, 0], pairs, atol=1e-9)
    np.testing.assert_allclose(spectra.rates_, 0, atol=1e-9)
    np.testing.assert_allclose(spectra.distance_to_edge_, 0, atol=1e-9)
    np.testing.assert_allclose(spectra.spectral_radius_, 1)


def test_the_jacobian_on_the_cycle(rotating):
    """Of normally distributed weights the slopes along and across are known."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    slopes = weights / weights.sum() / np.cosh(nodes) ** 2
    along, across = slopes @ nodes**2, slopes.sum()
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    plane = 4000 * rotating.V[0]
    states = np.broadcast_to(circle @ plane.T, (4, 20, 4000))
    spectra = SpectrumAnalyzer("jacobian").fit(rotating, states=states)
    for k, weight in enumerate(rotating.eigenvalues[:, 0]):
        re, im = weight.real, abs(weight.imag)
        turn = np.array([[re, -im], [im, re]]) * [along, across]
        exponents = (
            np.log(1 + 0.1 * (np.linalg.eigvals(turn).astype(complex) - 1)) / 0.01
        )
        expected = np.sort(exponents.imag)[::-1] / (2 * np.pi)
        # a mean over 4000 normal numbers, and over the cycle
        np.testing.assert_allclose(
            spectra.frequencies_[k].mean(axis=0), expected, atol=0.1
        )
        np.testing.assert_allclose(
            spectra.rates_[k].mean(axis=0), np.sort(exponents.real)[::-1], atol=0.5
        )


def test_the_leading_pair_comes_first_with_its_positive_frequency():
    blocks = np.zeros((5, 5))
    for start, re, im in ((0, 0.2, 4.0), (3, 1.5, 2.0)):
        blocks[start : start + 2, start : start + 2] = [[re, -im], [im, re]]
    blocks[2, 2] = 0.9
    network = LowRankRNN.from_weights(blocks, tau=0.1, dt=0.001)
    spectra = SpectrumAnalyzer(time="flow").fit(network)
    expected = [[1.5 + 2j, 1.5 - 2j, 0.9, 0.2 + 4j, 0.2 - 4j]]
    np.testing.assert_allclose(spectra.eigenvalues_, expected, atol=1e-12)
    np.testing.assert_allclose(spectra.rates_, [[5, 5, -1, -8, -8]], atol=1e-9)
    np.testing.assert_allclose(
        spectra.frequencies_[0] * 2 * np.pi / 10, [2, -2, 0, 4, -4], atol=1e-12
    )
    np.testing.assert_allclose(
        spectra.time_constants_, [[-0.2, -0.2, 1, 0.125, 0.125]], atol=1e-9
    )


@pytest.mark.parametrize(("frequency", "rate"), [(6, -7), (10, -19)])
def test_what_the_map_sustains_decays_by_the_rule_of_the_flow(frequency, rate):
    weight = 1 + (np.exp(2j * np.pi * frequency * 0.01) - 1) / 0.1
    J = [[weight.real, -weight.imag], [weight.imag, weight.real]]
    network = LowRankRNN.from_weights(J, tau=0.1, dt=0.01)
    by_map = SpectrumAnalyzer().fit(network)
    np.testing.assert_allclose(by_map.rates_, 0, atol=1e-9)
    np.testing.assert_allclose(by_map.frequencies_, [[frequency, -frequency]])
    np.testing.assert_allclose(by_map.distance_to_edge_, 0, atol=1e-9)
    by_flow = SpectrumAnalyzer(time="flow").fit(network)
    np.testing.assert_allclose(by_flow.rates_, rate, atol=0.5)


@pytest.mark.parametrize("kind", ["connectivity", "jacobian"])
def test_a_mode_that_is_gone_after_one_step_stays_finite(kind):
    network = LowRankRNN([[1.0], [0.0]], [[0.0], [1.0]], tau=0.1, dt=0.1)
    states = np.zeros((1, 1, 2))
    spectra = spectra_at(states, network, kind)
    np.testing.assert_array_equal(spectra.eigenvalues_.ravel(), [0])
    at = states if kind == "jacobian" else None
    assert np.isfinite(spectra.transform(network, states=at)).all()
    assert spectra.rates_.item() < -200
    assert 0 < spectra.time_constants_.item() < 0.005


# --------------------------------------------------------------------------- the states


def test_fixed_points_are_states():
    """A bistable network has three, one with a cycle has one."""
    networks = make_attractor_family(1, kinds=("bistable", "limit_cycle"))[2]
    found = FixedPointAnalyzer(limit_cycles=False, random_state=0).fit(networks)
    spectra = SpectrumAnalyzer("jacobian").fit(networks, states=found.fixed_points_)
    for k, n_points in enumerate((3, 1)):
        assert spectra.eigenvalues_[k].shape == (n_points, 2)
        assert spectra.rates_[k].shape == spectra.time_constants_[k].shape
        assert spectra.henrici_[k].shape == (n_points,)
        for point in range(n_points):
            assert_same_values(
                spectra.eigenvalues_[k][point], found.eigenvalues_[k][point]
            )
        np.testing.assert_array_equal(
            spectra.distance_to_edge_[k] > 0, found.is_stable_[k]
        )


def test_as_many_states_of_every_network_give_arrays():
    networks = random_networks()
    states = random_states(networks)
    array = SpectrumAnalyzer("jacobian").fit(networks, states=states)
    listed = SpectrumAnalyzer("jacobian").fit(networks, states=list(states))
    assert array.eigenvalues_.shape == (2, N_STATES, 3)
    np.testing.assert_array_equal(array.eigenvalues_, listed.eigenvalues_)
    assert array.spectral_radius_.shape == (2, N_STATES)


def test_a_network_without_states_has_a_spectrum_but_no_features():
    networks = random_networks()
    states = [np.empty((0, 12)), random_states(networks)[1]]
    spectra = SpectrumAnalyzer("jacobian").fit(networks, states=states)
    assert [len(values) for values in spectra.eigenvalues_] == [0, N_STATES]
    with pytest.raises(ValueError, match="a network without states has no features"):
        spectra.transform(networks, states=states)


# ----------------------------------------------------------------------------- features


@pytest.mark.parametrize("kind", ["connectivity", "jacobian"])
def test_features_have_the_names_of_their_columns(kind):
    networks = random_networks()
    states = random_states(networks)
    spectra = spectra_at(states, networks, kind)
    names = spectra.get_feature_names_out()
    at = states if kind == "jacobian" else None
    features = dict(zip(names, spectra.transform(networks, states=at).T, strict=True))

    def mean(values):
        return values.mean(axis=1) if kind == "jacobian" else values

    for mode in range(3):
        rates, frequencies = spectra.rates_[..., mode], spectra.frequencies_[..., mode]
        np.testing.assert_allclose(features.pop(f"rate_{mode}"), mean(rates))
        np.testing.assert_allclose(
            features.pop(f"frequency_{mode}"), mean(np.abs(frequencies))
        )
    assert len(features) == 5
    for name, column in features.items():
        np.testing.assert_allclose(column, mean(getattr(spectra, f"{name}_")))


def test_features_do_not_depend_on_how_weights_are_split(rng):
    networks = random_networks()
    mix = rng.standard_normal((3, 3)) + 2 * np.eye(3)
    other = LowRankRNN(
        networks.U @ mix,
        networks.V @ np.linalg.inv(mix).T,
        networks.bias,
        TAU,
        DT,
        gain=networks.gain,
        offset=networks.offset,
    )
    states = random_states(networks)
    spectra = SpectrumAnalyzer("jacobian").fit(networks, states=states)
    np.testing.assert_allclose(
        spectra.transform(networks, states=states),
        spectra.transform(other, states=states),
        atol=1e-8,
    )


def test_features_do_not_depend_on_the_order_of_modes_states_and_neurons(rng):
    networks = random_networks()
    neurons, modes = rng.permutation(12), rng.permutation(3)
    other = LowRankRNN(
        networks.U[:, neurons][..., modes],
        networks.V[:, neurons][..., modes],
        networks.bias[:, neurons],
        TAU,
        DT,
        gain=networks.gain[neurons],
        offset=networks.offset[neurons],
    )
    states = random_states(networks)
    spectra = SpectrumAnalyzer("jacobian").fit(networks, states=states)
    np.testing.assert_allclose(
        spectra.transform(networks, states=states),
        spectra.transform(other, states=states[:, ::-1, neurons]),
        atol=1e-8,
    )


def test_fit_transform_is_fit_and_transform():
    networks = random_networks()
    states = random_states(networks)
    spectra = SpectrumAnalyzer()
    np.testing.assert_array_equal(
        spectra.fit_transform(networks), spectra.transform(networks)
    )
    spectra = SpectrumAnalyzer("jacobian")
    np.testing.assert_array_equal(
        spectra.fit_transform(networks, states=states),
        spectra.transform(networks, states=states),
    )


def test_transform_leaves_what_fit_found():
    networks = random_networks()
    spectra = SpectrumAnalyzer().fit(networks[:1])
    before = spectra.eigenvalues_.copy()
    both = spectra.transform(networks)
    assert both.shape == (2, 11)
    np.testing.assert_array_equal(spectra.eigenvalues_, before)
    np.testing.assert_array_equal(spectra.transform(networks[1]), both[1:])


# ------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("params", "text"),
    [({"kind": "weights"}, "kind must be"), ({"time": "euler"}, "time must be")],
)
def test_parameters_are_checked_in_fit(params, text):
    with pytest.raises(ValueError, match=text):
        SpectrumAnalyzer(**params).fit(random_networks())


@pytest.mark.parametrize(
    ("states", "text"),
    [
        (None, "needs states"),
        (np.zeros(12), r"\(2, n_states, 12\).*got \(12,\)"),
        (np.zeros((2, 12)), r"got \(2, 12\)"),
        (np.zeros((3, 1, 12)), r"got \(3, 1, 12\)"),
        (np.zeros((2, 1, 11)), r"got \(2, 1, 11\)"),
        (np.full((2, 1, 12), np.nan), "NaN or infinity"),
        ([np.zeros((1, 12))], r"2 arrays of shape .*got \[\(1, 12\)\]"),
        ([np.zeros((1, 12)), np.zeros((1, 11))], r"got \[\(1, 12\), \(1, 11\)\]"),
        ([np.zeros((1, 12)), np.zeros(12)], r"got \[\(1, 12\), \(12,\)\]"),
        ([0.0, 0.0], "states must"),
    ],
)
def test_states_have_to_fit_the_networks(states, text):
    with pytest.raises(ValueError, match=text):
        SpectrumAnalyzer("jacobian").fit(random_networks(), states=states)


def test_arrays_are_no_networks():
    with pytest.raises(TypeError, match=r"analyzers take networks.*got ndarray"):
        SpectrumAnalyzer().fit(np.zeros((3, 40, 20)))
    with pytest.raises(ValueError, match="no network"):
        SpectrumAnalyzer().fit(random_networks()[:0])


def test_features_of_another_rank_would_not_match():
    spectra = SpectrumAnalyzer().fit(random_networks())
    with pytest.raises(ValueError, match="have rank 2, those of fit had rank 3"):
        spectra.transform(random_networks(rank=2))


def test_unfitted():
    for method in ("transform", "credible_intervals"):
        with pytest.raises(NotFittedError):
            getattr(SpectrumAnalyzer(), method)(random_networks())
    with pytest.raises(NotFittedError):
        SpectrumAnalyzer().get_feature_names_out()


def test_intervals_need_an_estimator():
    spectra = SpectrumAnalyzer().fit(random_networks())
    with pytest.raises(ValueError, match="need the posterior of embeddings"):
        spectra.credible_intervals(random_networks())
