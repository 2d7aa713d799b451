"""Latent dynamics against known answers, and against the network of their units."""

import pickle

import numpy as np
import pytest
from scipy.optimize import brentq

from sklearn_jedi import LatentDynamics, LowRankRNN
from sklearn_jedi.analysis import (
    FixedPointAnalyzer,
    LyapunovAnalyzer,
    SpectrumAnalyzer,
)
from sklearn_jedi.analysis._reduced import ReducedDynamics
from sklearn_jedi.metrics import (
    compare_dynamics,
    match_fixed_points,
    spectral_distance,
    vector_field_agreement,
)

ALPHA = 0.02 / 0.07  # dt / tau of random_latents


def random_latents(n_networks=2, n_units=15, n_latents=3, nonlinearity="tanh", seed=0):
    """The columns of the read-in are neither normalised nor orthogonal."""
    rng = np.random.default_rng(seed)
    shape = (n_units, n_latents)
    return LatentDynamics(
        rng.standard_normal(shape),
        rng.standard_normal((n_networks, *shape)) / n_units,
        rng.standard_normal((n_networks, n_latents)),
        rng.standard_normal(n_units),
        tau=0.07,
        dt=0.02,
        nonlinearity=nonlinearity,
        gain=rng.uniform(0.3, 3, n_units),
    )


def planted(*matrices, n_units=40, bias=None, **settings):
    """Latents whose linear part, where every slope is 1, are the given matrices."""
    n_latents = len(matrices[0])
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.standard_normal((n_units, n_latents + 1)))[0]
    readin, threshold = basis[:, :-1], 0.5 * basis[:, -1]
    weights = readin @ np.swapaxes(np.array(matrices, dtype=float), 1, 2)
    return LatentDynamics(readin, weights, bias, threshold, **settings)


def rotating(decay=None):
    """A limit cycle in two latents; with decay, a third that only decays."""
    A = np.diag([1.5, 1.5] + ([] if decay is None else [decay]))
    A[0, 1], A[1, 0] = -1.0, 1.0
    return planted(A)


def to_latents(latent, states):
    return (states - latent.threshold) @ np.linalg.pinv(latent.readin).T


# ------------------------------------------------------------------------ dynamics


def test_step_is_what_the_equation_says(rng):
    latent = random_latents()
    z = rng.standard_normal((2, 3))
    for k in range(2):
        u = latent.gain * (latent.readin @ z[k] + latent.threshold)
        target = latent.weights[k].T @ (np.tanh(u) / latent.gain) + latent.bias[k]
        after = (1 - ALPHA) * z[k] + ALPHA * target
        np.testing.assert_allclose(latent.step(z)[k], after, atol=1e-14)
        np.testing.assert_allclose(
            latent.vector_field(z)[k], (target - z[k]) / 0.07, atol=1e-12
        )


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "softplus", "linear"])
def test_units_follow_the_low_rank_network(nonlinearity, rng):
    latent = random_latents(nonlinearity=nonlinearity)
    networks = latent.networks
    assert isinstance(networks, LowRankRNN)
    assert (networks.n_neurons, networks.rank) == (15, 3)
    z = rng.standard_normal((2, 4, 3))
    run = latent.simulate(z, 100)
    expected = networks.simulate(latent.units(z), 100)
    np.testing.assert_allclose(
        latent.units(run), expected, atol=1e-12 * np.abs(expected).max()
    )
    np.testing.assert_allclose(latent.eigenvalues, networks.eigenvalues, atol=1e-12)


@pytest.mark.parametrize("time", ["map", "flow"])
def test_jacobian_against_finite_differences(time, rng):
    latent = random_latents()
    function = latent.step if time == "map" else latent.vector_field
    z, h = rng.standard_normal((2, 4, 3)), 1e-5
    jac = latent.jacobian(z, time=time)
    for j, move in enumerate(h * np.eye(3)):
        numerical = (function(z + move) - function(z - move)) / (2 * h)
        np.testing.assert_allclose(jac[..., j], numerical, atol=1e-7)


def test_noise_is_that_of_latents_and_drawn_by_the_seed():
    latent = planted(np.zeros((2, 2)), dt=0.1, tau=0.1)  # forgets in one step
    run = latent.simulate(np.zeros(2), 20_000, noise=0.3, random_state=0)[0, 1:]
    np.testing.assert_allclose(np.cov(run.T), 0.09 * np.eye(2), atol=0.003)
    again = latent.simulate(np.zeros(2), 20_000, noise=0.3, random_state=0)[0, 1:]
    np.testing.assert_array_equal(run, again)


def test_speed_is_the_length_of_the_vector_field(rng):
    latent = random_latents()
    z = rng.standard_normal((2, 4, 3))
    lengths = np.linalg.norm(latent.vector_field(z), axis=2)
    np.testing.assert_allclose(latent.speed(z), lengths)
    np.testing.assert_allclose(latent.speed(z[:, 0]), lengths[:, 0])


def test_networks_are_selected_and_pickled(rng):
    latent = random_latents(n_networks=4)
    z = rng.standard_normal(3)
    assert (len(latent), latent.n_networks, latent.n_units) == (4, 4, 15)
    assert latent.n_latents == 3
    for index, rows in ((1, [1]), (slice(1, 3), [1, 2]), ([3, 0], [3, 0])):
        np.testing.assert_array_equal(latent[index].step(z), latent.step(z)[rows])
    np.testing.assert_array_equal(
        latent[latent.bias[:, 0] > 0].bias, latent.bias[latent.bias[:, 0] > 0]
    )
    copy = pickle.loads(pickle.dumps(latent))
    np.testing.assert_array_equal(copy.step(z), latent.step(z))
    with pytest.raises(IndexError, match="there are 4"):
        latent[4]


# --------------------------------------------------------------- reduced coordinates


@pytest.mark.parametrize("one", [False, True])
def test_reduced_coordinates_are_latents_less_the_bias(one, rng):
    latent = random_latents()
    system, z = ReducedDynamics(latent), rng.standard_normal((2, 4, 3))
    after, bias = latent.step(z), latent.bias[:, None]
    if one:
        system, z, after, bias = system[1], z[1], after[1], bias[1]
    assert (system.n_dims, system.n_rest) == (3, 0)
    np.testing.assert_allclose(system.project(z), z - bias)
    np.testing.assert_allclose(system.lift(system.project(z)), z, atol=1e-15)
    moved = system.lift(system.step(system.project(z)))
    np.testing.assert_allclose(moved, after, atol=1e-14)


# ------------------------------------------------------------------------ fixed points


def test_fixed_points_of_one_latent():
    # z = 2 tanh(3 z + 0.2) + 0.1, a read-in that is not of unit length
    latent = LatentDynamics([[3.0]], [[2.0]], [0.1], [0.2])
    found = FixedPointAnalyzer(exhaustive=True, random_state=0).fit(latent)

    def field(z):
        return 2 * np.tanh(3 * z + 0.2) + 0.1 - z

    expected = [brentq(field, -3, -1), brentq(field, 1, 3), brentq(field, -0.5, 0.5)]
    order = [*np.argsort(np.abs(expected[:2])), 2]
    points, radii = found.fixed_points_[0], found.certified_radius_[0]
    away = np.abs(points[:, 0] - np.array(expected)[order])
    assert (away < 1e-11).all()  # that of brentq
    assert (radii < 1e-13).all()
    assert (found.uniqueness_radius_[0] < 3).all()
    assert found.stability_type_[0].tolist() == ["stable node"] * 2 + ["unstable node"]
    slopes = 6 / np.cosh(3 * points[:, 0] + 0.2) ** 2
    np.testing.assert_allclose(found.eigenvalues_[0][:, 0], 0.9 + 0.1 * slopes)
    assert found.index_sum_[0] == 1
    assert found.is_complete_[0]


def test_fixed_points_are_those_of_the_network(rng):
    A = np.array([np.diag([2.0, 1.6]), [[1.8, 0.3], [0.1, 1.5]]])
    latent = planted(*A, bias=0.2 * rng.standard_normal((2, 2)))
    z = latent.simulate(rng.standard_normal((2, 8, 2)), 100)[:, :, -1]
    analyzer = FixedPointAnalyzer(exhaustive=True, random_state=0)
    found = analyzer.fit(latent, states=z)
    expected = FixedPointAnalyzer(exhaustive=True, random_state=0).fit(
        latent.networks, states=latent.units(z)
    )
    assert found.index_sum_.tolist() == [1, 1]
    assert found.is_complete_.all()
    for k in range(2):
        points = to_latents(latent, expected.fixed_points_[k])
        assert found.fixed_points_[k].shape == points.shape
        assert len(points) > 1
        match = match_fixed_points(
            points,
            found.fixed_points_[k],
            tol=1e-10,
            true_stable=expected.is_stable_[k],
            found_stable=found.is_stable_[k],
        )
        assert (match.recall, match.precision, match.stability_agreement) == (1, 1, 1)
        true, own = match.pairs.T
        for name in ("eigenvalues_", "uniqueness_radius_"):
            # the read-in is orthonormal: distances are those of the units
            np.testing.assert_allclose(
                getattr(found, name)[k][own],
                getattr(expected, name)[k][true],
                rtol=1e-7,
            )
        assert (found.residuals_[k] < 1e-13).all()


def test_a_ring_of_fixed_points_is_in_latents():
    # isotropic read-in: units all around, with cosine weights
    angles = 2 * np.pi * np.arange(60) / 60
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    latent = LatentDynamics(circle, 2 * circle / 30)
    found = FixedPointAnalyzer(random_state=0).fit(latent)
    (ring,) = found.manifolds_[0]
    assert ring.kind == "ring"
    assert ring.is_attracting
    radii = np.linalg.norm(ring.states, axis=1)
    # r = 2 mean over angles of 2 cos tanh(r cos)
    want = brentq(
        lambda r: 4 * np.mean(np.cos(angles) * np.tanh(r * np.cos(angles))) - r, 1, 4
    )
    np.testing.assert_allclose(radii, want, rtol=1e-4)
    assert ring.length == pytest.approx(2 * np.pi * want, rel=1e-2)


@pytest.mark.parametrize("time", ["map", "flow"])
def test_limit_cycle_is_that_of_the_network(time):
    latent = rotating()
    analyzer = FixedPointAnalyzer(random_state=0, time=time)
    (cycle,) = analyzer.fit(latent).limit_cycles_[0]
    (expected,) = (
        FixedPointAnalyzer(random_state=0, time=time)
        .fit(latent.networks)
        .limit_cycles_[0]
    )
    assert cycle.states.shape[1] == 2
    assert cycle.period == pytest.approx(expected.period, rel=1e-9)
    np.testing.assert_allclose(cycle.multipliers, expected.multipliers, atol=1e-7)
    sizes = [
        np.linalg.norm(states - states.mean(axis=0), axis=1).mean()
        for states in (cycle.states, to_latents(latent, expected.states))
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-6)


# ----------------------------------------------------------------------------- spectra


@pytest.mark.parametrize("time", ["map", "flow"])
def test_spectra_are_those_of_the_jacobian_in_latents(time, rng):
    latent = random_latents()
    z = rng.standard_normal((2, 4, 3))
    spectra = SpectrumAnalyzer("jacobian", time=time).fit(latent, states=z)
    jac = latent.jacobian(z, time=time)
    values = np.linalg.eigvals(jac)
    assert spectra.eigenvalues_.shape == (2, 4, 3)
    for own, true in zip(
        spectra.eigenvalues_.reshape(8, 3), values.reshape(8, 3), strict=True
    ):
        assert spectral_distance(own, true) < 1e-13 / 0.02
    np.testing.assert_allclose(spectra.spectral_abscissa_, values.real.max(axis=2))
    np.testing.assert_allclose(spectra.spectral_radius_, np.abs(values).max(axis=2))
    symmetric = (jac + np.swapaxes(jac, 2, 3)) / 2
    np.testing.assert_allclose(
        spectra.numerical_abscissa_, np.linalg.eigvalsh(symmetric)[..., -1]
    )
    rates = values.real if time == "flow" else np.log(np.abs(values)) / latent.dt
    np.testing.assert_allclose(spectra.distance_to_edge_, -rates.max(axis=2))


def test_no_modes_but_those_of_the_latents():
    # all latents decay faster than units without input would
    latent = planted(np.diag([-1.0, -2.0]), nonlinearity="linear")
    spectra = SpectrumAnalyzer(time="flow").fit(latent)
    assert spectra.spectral_abscissa_[0] == pytest.approx(-1)
    assert spectra.distance_to_edge_[0] == pytest.approx(2 / latent.tau)
    of_units = SpectrumAnalyzer(time="flow").fit(latent.networks)
    assert of_units.spectral_abscissa_[0] == 0
    assert of_units.distance_to_edge_[0] == pytest.approx(1 / latent.tau)


def test_non_normality_of_latents():
    spectra = SpectrumAnalyzer().fit(planted([[0, 4], [0, 0]], [[1, 0], [0, 2]]))
    np.testing.assert_allclose(spectra.numerical_abscissa_, [2, 2])
    np.testing.assert_allclose(spectra.henrici_, [1, 0], atol=1e-7)


def test_features_of_latents():
    latent = planted([[1.5, -1], [1, 1.5]], np.diag([2, 0.5]))
    spectra = SpectrumAnalyzer(time="flow")
    features = spectra.fit_transform(latent)
    names = spectra.get_feature_names_out().tolist()
    assert features.shape == (2, 2 * 2 + 5)
    assert names[:4] == ["rate_0", "rate_1", "frequency_0", "frequency_1"]
    turn = 1 / (2 * np.pi * 0.1)
    np.testing.assert_allclose(
        features[:, :4], [[5, 5, turn, turn], [10, -5, 0, 0]], atol=1e-12
    )
    with pytest.raises(ValueError, match="have rank 3, those of fit had rank 2"):
        spectra.transform(random_latents())


# ---------------------------------------------------------------------------- exponents


def test_exponents_of_linear_latents():
    mu = 1 + 0.1 * (np.array([0.5, -1.0, -3.0]) - 1)
    latent = planted(np.diag([0.5, -1.0, -3.0]), nonlinearity="linear")
    found = LyapunovAnalyzer(2, n_steps=2000, random_state=0).fit(latent)
    np.testing.assert_allclose(found.exponents_[0], np.log(mu) / 0.01, atol=1e-2)
    assert np.isnan(found.rest_exponent_)
    assert found.verdict_[0] == "stable"
    assert found.kaplan_yorke_dimension_[0] == 0


def test_exponents_of_a_limit_cycle():
    latent = rotating(decay=-1.0)
    found = LyapunovAnalyzer(2, n_steps=2000, random_state=0).fit(latent)
    (cycle,) = FixedPointAnalyzer(random_state=0).fit(latent).limit_cycles_[0]
    assert found.exponents_.shape == (1, 3)
    assert found.exponents_[0, 0] == pytest.approx(0, abs=0.05)
    growth = np.log(np.abs(cycle.multipliers)) / cycle.period
    np.testing.assert_allclose(found.exponents_[0], growth, atol=0.05)
    assert found.verdict_[0] == "limit cycle"
    assert found.kaplan_yorke_dimension_[0] == 1


def test_two_latents_that_both_grow_have_dimension_two():
    # the network of the units would have 38 decaying directions to spread into
    latent = planted([[1.5, -1], [1, 1.5]], nonlinearity="linear")
    found = LyapunovAnalyzer(1, n_steps=500, n_transient=0, random_state=0)
    assert found.fit(latent).kaplan_yorke_dimension_[0] == 2
    assert found.fit(latent.networks).kaplan_yorke_dimension_[0] > 2


# ------------------------------------------------------------- metrics and displays


def test_recovery_scores_of_equal_and_other_latents(rng):
    latent = planted(np.diag([2.0, 0.5]))
    other = planted(np.diag([0.5, 2.0]))
    z = latent.simulate(rng.standard_normal((1, 10, 2)), 50).reshape(1, -1, 2)
    same = compare_dynamics(latent, latent, z)
    assert same["vector_field_r2"][0] == 1
    assert same["fixed_point_recall"][0] == same["fixed_point_precision"][0] == 1
    assert same["spectral_distance"][0] == 0
    scores = compare_dynamics(latent, other, z)
    # the stable points lie along the other latent
    assert scores["fixed_point_recall"][0] < 0.5
    assert scores["spectral_distance"][0] == pytest.approx(0, abs=1e-12)
    assert vector_field_agreement(latent, other, z)[0] < 0.5
    with pytest.raises(ValueError, match="of neurons and of latents"):
        compare_dynamics(latent.networks, latent, z)


def test_two_latents_are_drawn_as_they_are():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot
    from matplotlib.quiver import Quiver

    from sklearn_jedi.plotting import FixedPointDisplay, SpectrumDisplay

    latent = planted(np.diag([2.0, 0.5]), bias=[[0.5, 1.0]])
    found = FixedPointAnalyzer(random_state=0).fit(latent)
    run = latent.simulate([[[1.0, -0.5]]], 50)[0]
    ax = FixedPointDisplay.from_analyzer(found, trajectories=run).ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("latent 1", "latent 2")
    lines = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(lines["trajectories"], run[0])
    stable = found.fixed_points_[0][found.is_stable_[0]]
    np.testing.assert_allclose(lines["stable fixed point"], stable)
    (arrows,) = (child for child in ax.collections if isinstance(child, Quiver))
    field = latent.vector_field(arrows.XY[None])[0]
    field /= np.linalg.norm(field, axis=1, keepdims=True)
    np.testing.assert_allclose(np.column_stack([arrows.U, arrows.V]), field, atol=1e-9)

    three = FixedPointAnalyzer(random_state=0).fit(rotating(decay=-1.0))
    ax = FixedPointDisplay.from_analyzer(three).ax_
    assert ax.get_xlabel() == "component 1 of the latents"
    ax = SpectrumDisplay.from_networks(latent, time="flow").ax_
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [2.0, 0.5])
    pyplot.close("all")


# -------------------------------------------------------------------------- bad input

P, W = np.eye(5)[:, :2], np.ones((3, 5, 2))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((np.ones(5), W), r"readin must have the shape \(n_units, n_latents\)"),
        ((W, W), r"one matrix for all networks; got \(3, 5, 2\)"),
        ((P.T, np.swapaxes(W, 1, 2)), "2 units for 5 latents.*transposed"),
        ((np.where(P, np.nan, P), W), "readin contains NaN"),
        ((P[:, [0, 0]], W), "full column rank, 2"),
        ((P, np.ones((3, 5, 3))), r"\(n_networks, 5, 2\).*got \(3, 5, 3\)"),
        ((P, W * np.inf), "weights contains NaN or infinity"),
        ((P, W, np.ones((2, 2))), r"bias must have shape \(3, 2\)"),
        ((P, W, None, np.ones(2)), r"threshold must be .* shape \(5,\)"),
        ((P, W, None, None, 0.1, 0.2), "dt <= tau"),
        ((P, W, None, None, 0.1, 0.01, "sine"), "nonlinearity must be one of"),
    ],
)
def test_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        LatentDynamics(*arguments)


def test_refuses_a_gain_that_is_not_positive():
    with pytest.raises(ValueError, match="gain must be positive"):
        LatentDynamics(P, W, gain=-1.0)


@pytest.mark.parametrize("shape", [(3, 5), (2, 2), (3, 4, 5)])
def test_refuses_states_of_other_shapes(shape):
    with pytest.raises(ValueError, match=r"\(3, n_states, 2\).*latents last"):
        LatentDynamics(P, W).step(np.ones(shape))


@pytest.mark.parametrize("analyzer", [FixedPointAnalyzer, LyapunovAnalyzer])
def test_analyzers_refuse(analyzer):
    with pytest.raises(ValueError, match=r"\(3, n_states, 2\).*latents; got"):
        analyzer().fit(LatentDynamics(P, W), states=np.ones((3, 4, 5)))
    with pytest.raises(TypeError, match=r"LowRankRNN.*or LatentDynamics; got tuple"):
        analyzer().fit((P, W))


def test_exhaustive_search_is_refused_beyond_six_latents():
    latent = random_latents(n_latents=7)
    with pytest.raises(ValueError, match=r"number of latents.*at most 6"):
        FixedPointAnalyzer(exhaustive=True).fit(latent)


def test_spectra_of_trials_along_latents_are_refused():
    class Estimator:
        def get_params(self, deep=True):
            return {}

        def fit(self, X, y):
            return self

        def transform(self, X):
            return X

        def dynamics(self, Z):
            return random_latents()

    spectra = SpectrumAnalyzer("jacobian", estimator=Estimator())
    with pytest.raises(ValueError, match="leave the estimator out"):
        spectra.fit(np.ones((2, 1)))
    assert SpectrumAnalyzer(estimator=Estimator()).fit_transform(
        np.ones((2, 1))
    ).shape == (2, 11)
