"""Proofs that fixed points exist and that none is missing, against what is known."""

import mpmath
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from test_fixed_points import N, blocks, points_of, random_networks, uniform


def exact_distance(network, point):
    """From a point to the nearest fixed point, by Newton's method with 50 digits."""
    with mpmath.workdps(50):
        U, V = (mpmath.matrix(M[0].tolist()) for M in (network.U, network.V))
        bias = mpmath.matrix(network.bias[0].tolist())
        offset = mpmath.matrix(network.offset.tolist())
        n_neurons, rank = U.rows, U.cols
        start = np.linalg.lstsq(network.U[0], point - network.bias[0])[0]
        kappa = mpmath.matrix(start.tolist())
        for _ in range(6):
            r = U * kappa + bias
            phi = (r - offset).apply(mpmath.tanh)
            jac = mpmath.matrix(rank, rank)
            for i in range(n_neurons):
                slope = 1 - phi[i] ** 2
                for a in range(rank):
                    for b in range(rank):
                        jac[a, b] += V[i, a] * slope * U[i, b]
            kappa -= mpmath.lu_solve(jac - mpmath.eye(rank), V.T * phi - kappa)
        root = U * kappa + bias
        phi = (root - offset).apply(mpmath.tanh)
        assert mpmath.norm(V.T * phi - kappa) < 1e-40
        return mpmath.norm(root - mpmath.matrix(point.tolist()))


@pytest.mark.parametrize(
    "network",
    [
        uniform(1.5),
        uniform(1.0009765625),  # points near each other
        uniform(1.5, 1e5, offset=1e5),  # rates far from 0
        blocks(turn=0.3, bias=0.01 * np.ones(N)),
        random_networks(1, 3, seed=3, n_neurons=32, bias=0.3),
    ],
)
def test_the_true_root_lies_within_the_certified_radius(network):
    analyzer = points_of(network)
    points, radii = analyzer.fixed_points_[0], analyzer.certified_radius_[0]
    assert len(points) == len(radii) > 0
    assert (radii < 1e-7).all()
    for point, radius in zip(points, radii, strict=True):
        assert exact_distance(network, point) <= radius


@pytest.mark.parametrize(("rank", "proven_too"), [(2, slice(10)), (3, [5])])
def test_random_networks_lack_no_point(rank, proven_too):
    networks = random_networks(10, rank, seed=3)
    plain = points_of(networks)
    proven = points_of(networks[proven_too], exhaustive=True)
    assert proven.is_complete_.all()
    assert not plain.is_complete_.any()
    n_points = np.array([len(points) for points in plain.fixed_points_])
    of_proven = [len(points) for points in proven.fixed_points_]
    assert n_points[proven_too].tolist() == of_proven
    assert n_points.max() == 5
    np.testing.assert_array_equal(plain.index_sum_, 1)
    for k in range(10):
        assert (plain.residuals_[k] < 1e-12).all()
        assert (plain.certified_radius_[k] < 1e-8).all()
        points, alone = plain.fixed_points_[k], plain.uniqueness_radius_[k]
        away = np.linalg.norm(points[:, None] - points, axis=2)
        np.fill_diagonal(away, np.inf)
        assert (away > alone[:, None]).all()
        assert (alone > plain.certified_radius_[k]).all()


def test_a_missing_point_is_searched_for():
    network = blocks(bias=0.01 * np.ones(N))
    points = points_of(network)
    saddle = points.fixed_points_[0][points.stability_type_[0] == "saddle (1)"][:1]
    # the only start leads to a saddle, of index -1
    analyzer = points_of(network, states=saddle[None], n_starts=1)
    assert len(analyzer.fixed_points_[0]) > 1
    assert analyzer.index_sum_.tolist() == [1]


def test_the_exhaustive_search_finds_what_one_start_missed():
    network = blocks(bias=0.01 * np.ones(N))
    assert len(points_of(network, n_starts=1).fixed_points_[0]) < 9
    analyzer = points_of(network, n_starts=1, exhaustive=True)
    assert len(analyzer.fixed_points_[0]) == 9
    assert analyzer.is_complete_.tolist() == [True]


def test_too_few_cells_are_no_proof():
    with pytest.warns(ConvergenceWarning, match="max_cells=10 were not enough"):
        analyzer = points_of(blocks(), exhaustive=True, max_cells=10)
    assert analyzer.is_complete_.tolist() == [False]
