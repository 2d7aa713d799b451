"""Continuous attractors: rings, lines and surfaces that are known."""

import numpy as np
import pytest
from test_fixed_points import N, points_of, sorted_rows

from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis import FixedPointAnalyzer
from sklearn_jedi.datasets import make_attractor_family


@pytest.mark.parametrize(("n_neurons", "radius"), [(60, 1.0), (100, 1.5)])
def test_a_ring_has_the_planted_radius(n_neurons, radius):
    networks = make_attractor_family(
        1, kinds=["ring"], n_neurons=n_neurons, radius=radius, random_state=0
    )[2]
    analyzer = FixedPointAnalyzer(random_state=0).fit(networks)
    (ring,) = analyzer.manifolds_[0]
    assert ring.kind == "ring"
    assert ring.is_attracting
    distances = np.linalg.norm(ring.states, axis=1)
    np.testing.assert_allclose(distances, radius * np.sqrt(n_neurons), rtol=1e-6)
    assert ring.length == pytest.approx(2 * np.pi * distances[0], rel=1e-3)
    assert (ring.drift_speed < 1e-6).all()
    assert np.isnan(analyzer.index_sum_).all()
    np.testing.assert_allclose(
        analyzer.fixed_points_[0], np.zeros((1, n_neurons)), atol=1e-12
    )
    assert analyzer.stability_type_[0].tolist() == ["unstable node"]
    assert analyzer.n_unsettled_.tolist() == [0]


@pytest.mark.filterwarnings("ignore:nonlinearity='linear':UserWarning")
@pytest.mark.parametrize(
    ("gains", "kind"), [([1.0], "line"), ([1.0, 0.5], "line"), ([1.0, 1.0], "surface")]
)
def test_linear_networks_with_eigenvalues_of_one(gains, kind, rng):
    U = np.linalg.qr(rng.standard_normal((N, len(gains))))[0]
    network = LowRankRNN(U * gains, U, nonlinearity="linear")
    analyzer = FixedPointAnalyzer(random_state=0).fit(network)
    (manifold,) = analyzer.manifolds_[0]
    assert manifold.kind == kind
    assert manifold.is_attracting
    held = U[:, np.array(gains) == 1]
    sizes = np.linalg.norm(manifold.states, axis=1)
    off = manifold.states - manifold.states @ held @ held.T
    assert (np.linalg.norm(off, axis=1) < 1e-8 * sizes.max()).all()
    assert (manifold.drift_speed < 1e-8 * sizes.max()).all()
    assert len(analyzer.fixed_points_[0]) == 0
    assert analyzer.n_unsettled_.tolist() == [0]


@pytest.mark.filterwarnings("ignore:nonlinearity='relu':UserWarning")
@pytest.mark.parametrize("visits", [False, True])
@pytest.mark.parametrize(
    ("weights", "inputs", "ends"),
    [
        ([[0, -1], [-1, 0]], [1, 1], [[0, 1], [1, 0]]),
        ([[0, -1], [-1, 0]], [100, 100], [[0, 100], [100, 0]]),
        ([[0, -2], [-0.5, 0]], [2, 1], [[0, 1], [2, 0]]),
    ],
)
def test_two_rectified_neurons_that_inhibit_each_other_hold_a_line(
    weights, inputs, ends, visits, rng
):
    network = LowRankRNN.from_weights(np.array(weights), inputs, nonlinearity="relu")
    ends = np.array(ends)
    shares = rng.uniform(0, 1, (20, 1))
    states = (shares * ends[0] + (1 - shares) * ends[1])[None] if visits else None
    analyzer = FixedPointAnalyzer(random_state=0).fit(network, states=states)
    (line,) = analyzer.manifolds_[0]
    assert (line.kind, line.is_attracting) == ("line", True)
    length = np.linalg.norm(ends[1] - ends[0])
    assert line.length == pytest.approx(length, rel=2e-3)
    np.testing.assert_allclose(
        sorted_rows(line.states[[0, -1]]), sorted_rows(ends), atol=2e-3 * length
    )
    assert (line.drift_speed < 1e-12 * length / network.tau).all()
    assert len(analyzer.fixed_points_[0]) == 0


@pytest.mark.filterwarnings("ignore:nonlinearity='relu':UserWarning")
@pytest.mark.parametrize("product", [1.0, 4.0])
def test_two_rectified_neurons_that_excite_each_other_hold_a_ray(product):
    weights = np.array([[0.0, product], [1 / product, 0.0]])
    network = LowRankRNN.from_weights(weights, np.zeros(2), nonlinearity="relu")
    (ray,) = points_of(network).manifolds_[0]
    assert ray.kind == "line"
    np.testing.assert_allclose(
        ray.states[:, 0], product * ray.states[:, 1], atol=1e-9 * ray.length
    )
    assert np.linalg.norm(ray.states, axis=1).min() < 1e-3 * ray.length


@pytest.mark.filterwarnings("ignore:nonlinearity='relu':UserWarning")
def test_a_line_of_fixed_points_may_be_short():
    # a third neuron sets most of the input of two that inhibit each other
    weights = np.array([[0.0, -1.0, -1.0], [-1.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    network = LowRankRNN.from_weights(weights, [11, 11, 10], nonlinearity="relu")
    (line,) = points_of(network).manifolds_[0]
    assert line.kind == "line"
    assert line.length == pytest.approx(np.sqrt(2), rel=2e-2)
    np.testing.assert_allclose(line.states[:, :2].sum(axis=1), 1, atol=1e-9)
