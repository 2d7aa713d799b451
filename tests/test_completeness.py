"""Whether the default search finds all fixed points, and what it says if it may not."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from test_fixed_points import points_of, uniform

from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis._points._census import Census
from sklearn_jedi.analysis._points._fibres import follow_fibres
from sklearn_jedi.analysis._points._search import FixedPointSearch
from sklearn_jedi.analysis._points._starts import Starts
from sklearn_jedi.analysis._reduced import ReducedDynamics


def populations(n_populations, bias=0.0):
    """Eight neurons in each, which excite only each other: three points of each."""
    U = np.repeat(np.eye(n_populations), 8, axis=0)
    gains = np.linspace(1.5, 3.0, n_populations)
    return LowRankRNN(U * gains, U / 8, bias * np.ones(len(U)))


def drawn(seed, rank, n_neurons=50, gain=6.0, bias=0.5):
    """Random weights of many fixed points."""
    rng = np.random.default_rng(seed)
    U = rng.standard_normal((n_neurons, rank))
    V = rng.standard_normal((n_neurons, rank)) * gain / np.sqrt(n_neurons * rank)
    V += U * rng.uniform(0, gain, rank) / n_neurons
    return LowRankRNN(U, V, bias * rng.standard_normal(n_neurons))


def search_of(network, seed=0):
    system = ReducedDynamics(network)[0]
    return FixedPointSearch(Starts(system, None, np.random.RandomState(seed)), 1e-10)


@pytest.mark.parametrize(
    ("n_populations", "bias", "seed"),
    [(2, 0.01, 2), (3, 0.0, 0), (3, 0.01, 1), (4, 0.01, 0), (5, 0.0, 0)],
)
def test_all_points_of_independent_populations_are_found(n_populations, bias, seed):
    analyzer = points_of(populations(n_populations, bias), random_state=seed)
    assert len(analyzer.fixed_points_[0]) == 3**n_populations
    assert analyzer.is_stable_[0].sum() == 2**n_populations
    assert analyzer.index_sum_.tolist() == [1]
    assert analyzer.missing_mass_.tolist() == [0]


@pytest.mark.parametrize(("seed", "rank"), [(5, 5), (2, 8)])
def test_the_default_finds_what_a_thousand_starts_find(seed, rank):
    network = drawn(seed, rank)
    found, many = points_of(network), points_of(network, n_starts=1024)
    found, many = found.fixed_points_[0], many.fixed_points_[0]
    away = np.linalg.norm(found[:, None] - many, axis=2).min(axis=0)
    assert len(many) > 10
    assert (away < 1e-6).all()


def test_curves_lead_to_points_that_hardly_any_start_leads_to():
    # in one dimension every curve is the line through all points
    system = ReducedDynamics(uniform(2.0, 0.01))[0]
    search = search_of(uniform(2.0, 0.01))
    search.run("auto")
    roots = np.sort(search.roots, axis=0)
    crossings, origins = follow_fibres(
        system, roots[:1], np.ones((1, 1)), search.scale, 2 * search.scale
    )
    assert origins.tolist() == [0, 0]
    away = np.abs(np.sort(crossings, axis=0) - roots[1:])
    assert (away < 0.1 * search.scale).all()


def test_what_a_single_start_led_to_stands_for_what_is_missing():
    census = Census()
    census.take_in(6)
    census.count_random(np.array([0, 0, 1, 2, -1, 4, 5]))
    census.count_otherwise(np.array([1, 3, -1]))
    # 0 was found twice, 1 by a curve, too, 3 by a curve alone, 4 with its mirror image
    partners = np.array([0, 1, 2, 3, 5, 4])
    assert census.times_found(partners).tolist() == [2, 2, 1, 1, 2, 2]
    assert census.missing_mass(np.full(6, True), partners) == 1 / 6
    assert census.missing_mass(np.arange(6) != 2, partners) == 0
    assert np.isnan(Census().missing_mass(np.full(0, True), np.arange(0)))


def test_the_missing_mass_is_that_of_later_starts():
    estimates, shares = [], []
    for seed in range(24):
        search = search_of(populations(3, 0.01), seed)
        search._search_randomly(32)
        estimates.append(search.missing_mass)
        n_known = len(search.roots)
        later = search._search(search._starts.random(200))
        shares.append((later[later >= 0] >= n_known).mean())
    assert np.mean(shares) > 0.05
    assert np.mean(estimates) == pytest.approx(np.mean(shares), abs=0.05)


def test_what_is_probably_missing_is_said():
    with pytest.warns(ConvergenceWarning, match=r"networks \[0\] are probably missing"):
        analyzer = points_of(populations(3, 0.01), n_starts=24, random_state=5)
    assert len(analyzer.fixed_points_[0]) < 27
    assert 0.2 < analyzer.missing_mass_[0] < 0.6


def test_points_of_a_continuum_are_not_missing():
    angles = 2 * np.pi * np.arange(60) / 60
    ring = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    analyzer = points_of(LowRankRNN(ring, 3 * ring / 60))
    assert analyzer.manifolds_[0][0].kind == "ring"
    assert analyzer.missing_mass_.tolist() == [0]


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_visited_states_say_how_large_those_of_an_unbounded_network_are(size, rng):
    W = np.array([[0.0, -1.0], [-1.0, 0.0]])
    network = LowRankRNN.from_weights(W, size * np.ones(2), nonlinearity="relu")
    states = size * rng.uniform(0, 1, (1, 30, 2))
    system = ReducedDynamics(network)[0]
    visited = system.project(states[0])
    scale = Starts(system, visited, np.random.RandomState(0)).scale
    assert scale == pytest.approx(np.sqrt((visited**2).sum(axis=1).mean()))
