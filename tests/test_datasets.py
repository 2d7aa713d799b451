"""The generators against what their documentation promises."""

import numpy as np
import pytest
from scipy import integrate

from sklearn_jedi.datasets import (
    make_attractor_family,
    make_driven_teachers,
    make_rotation_family,
)

GENERATORS = [make_attractor_family, make_driven_teachers, make_rotation_family]
SMALL = {"n_timepoints": 12, "n_neurons": 16}


@pytest.fixture(params=GENERATORS, ids=lambda make: make.__name__)
def make(request):
    return request.param


# ------------------------------------------------------------------------ all of them


def test_trials_are_ordered_by_condition(make):
    X, y, networks = make(3, **SMALL, random_state=0)
    assert X.shape == (3 * len(networks), 12, 16)
    np.testing.assert_array_equal(y, np.repeat(np.arange(len(networks)), 3))
    assert networks.n_neurons == 16


def test_seed_decides(make):
    first, again, other = (make(2, **SMALL, random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[2].J, again[2].J)
    assert not np.array_equal(first[0], other[0])


def test_the_global_random_state_is_left_alone(make):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 (the legacy global state is what is tested)
    make(2, **SMALL, random_state=0)
    after = np.random.get_state()[1]  # noqa: NPY002 (the legacy global state is what is tested)
    np.testing.assert_array_equal(after, before)


def test_a_fraction_of_the_neurons_is_recorded(make):
    everyone, _, _ = make(2, **SMALL, random_state=0)
    some, _, networks = make(2, **SMALL, fraction_observed=0.3, random_state=0)
    assert some.shape[2] == 5
    assert networks.n_neurons == 16
    np.testing.assert_array_equal(some, everyone[:, :, :5])


@pytest.mark.parametrize("fraction", [0.0, 1.1, -0.5])
def test_a_fraction_is_a_fraction(make, fraction):
    with pytest.raises(ValueError, match=r"fraction_observed must be in \(0, 1\]"):
        make(1, **SMALL, fraction_observed=fraction)


def test_observation_noise_is_added_to_the_same_activity(make):
    sizes = {"n_timepoints": 60, "n_neurons": 40}
    clean, _, _ = make(6, **sizes, random_state=0)
    noisy, _, _ = make(6, **sizes, observation_noise=0.3, random_state=0)
    difference = noisy - clean
    assert difference.std() == pytest.approx(0.3, rel=0.02)
    assert abs(difference.mean()) < 0.01
    neighbours = np.mean(difference[:, 1:] * difference[:, :-1])
    assert abs(neighbours) < 0.02 * 0.09 * 2


AUTONOMOUS = [make_attractor_family, make_rotation_family]


@pytest.mark.parametrize("make", AUTONOMOUS, ids=lambda f: f.__name__)
def test_autonomous_families_run_by_themselves(make):
    X, y, networks = make(3, **SMALL, noise=0.0, random_state=0)
    np.testing.assert_allclose(networks[y].simulate(X[:, 0], 12), X, atol=1e-12)


@pytest.mark.parametrize("make", AUTONOMOUS, ids=lambda f: f.__name__)
def test_process_noise_is_that_of_every_step(make):
    X, y, networks = make(5, n_timepoints=50, n_neurons=40, noise=0.1, random_state=0)
    error = X[:, 1:] - networks[y].step(X[:, :-1])
    assert error.std() == pytest.approx(0.1, rel=0.02)


# --------------------------------------------------------------------------- rotations


@pytest.mark.parametrize("sd", [0.5, 1.0])
def test_rotation_eigenvalues_are_the_documented_ones(sd):
    frequencies = np.array([1.0, 2.0, 5.0])
    dt, tau = 0.005, 0.08
    _, _, networks = make_rotation_family(
        1,
        n_neurons=30,
        frequencies=frequencies,
        activity_sd=sd,
        dt=dt,
        tau=tau,
        random_state=0,
    )
    normal = integrate.quad(
        lambda z: z * np.tanh(sd * z) * np.exp(-(z**2) / 2), -12, 12
    )[0]
    slope = normal / np.sqrt(2 * np.pi) / sd
    documented = (1 + tau / dt * (np.exp(2j * np.pi * frequencies * dt) - 1)) / slope
    for J, value in zip(networks.J, documented, strict=True):
        found = np.linalg.eigvals(J)
        found = found[np.argsort(-np.abs(found))]
        assert np.abs(found[2:]).max() < 1e-10
        pair = [value.conjugate(), value]
        np.testing.assert_allclose(sorted(found[:2], key=np.imag), pair, rtol=1e-5)


def test_rotations_settle_on_cycles_of_their_frequency_and_size():
    frequencies = np.array([1.0, 3.0])
    X, y, networks = make_rotation_family(
        4,
        n_timepoints=600,
        n_neurons=400,
        frequencies=frequencies,
        activity_sd=1.0,
        noise=0.0,
        random_state=0,
    )
    settled = X[:, 300:]
    kappa = settled @ networks.V[0]
    angle = np.unwrap(np.arctan2(kappa[..., 1], kappa[..., 0]), axis=1)
    measured = np.abs(angle[:, -1] - angle[:, 0]) / (2 * np.pi * 299 * 0.01)
    np.testing.assert_allclose(measured, frequencies[y], rtol=0.02)
    np.testing.assert_allclose(settled.std((1, 2)), 1.0, rtol=0.05)


# -------------------------------------------------------------------------- attractors


@pytest.fixture(scope="module")
def attractors():
    radius = 1.5
    X, y, networks = make_attractor_family(
        3, n_timepoints=400, n_neurons=60, radius=radius, noise=0.0, random_state=0
    )
    # V = U / n in the documentation's terms
    return X, y, networks, 60 * networks.V[0], radius


def test_the_shared_plane_is_the_documented_one(attractors):
    U = attractors[3]
    np.testing.assert_allclose(np.linalg.norm(U, axis=1), np.sqrt(2), rtol=1e-12)
    angles = np.sort(np.arctan2(U[:, 1], U[:, 0]))
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / 60, rtol=1e-9)


def test_bistable_fixed_points(attractors):
    X, y, networks, U, radius = attractors
    bistable = networks[0]
    attractor, origin = radius * U[:, 0], np.zeros(60)
    for point in (attractor, -attractor, origin):
        np.testing.assert_allclose(bistable.vector_field(point), 0, atol=1e-10)
    for point in (attractor, -attractor):
        multipliers = np.linalg.eigvals(bistable.jacobian(point)[0])
        assert np.abs(multipliers).max() < 1
    multipliers = np.linalg.eigvals(bistable.jacobian(origin)[0])
    assert (np.abs(multipliers) > 1).sum() == 1
    ends = X[y == 0, -1]
    nearest = np.sign(ends @ attractor)[:, None] * attractor
    np.testing.assert_allclose(ends, nearest, atol=1e-2)


def test_limit_cycle_turns_at_two_hertz_about_an_unstable_origin(attractors):
    X, y, networks, U, radius = attractors
    cycle, origin = networks[1], np.zeros(60)
    np.testing.assert_allclose(cycle.vector_field(origin), 0, atol=1e-12)
    assert (np.abs(np.linalg.eigvals(cycle.jacobian(origin)[0])) > 1).sum() == 2
    kappa = X[y == 1, 200:] @ U / 60
    np.testing.assert_allclose(np.linalg.norm(kappa, axis=2), radius, rtol=1e-3)
    angle = np.unwrap(np.arctan2(kappa[..., 1], kappa[..., 0]), axis=1)
    frequency = np.abs(angle[:, -1] - angle[:, 0]) / (2 * np.pi * 199 * 0.01)
    np.testing.assert_allclose(frequency, 2.0, rtol=1e-3)


def test_ring_hardly_drifts(attractors):
    _, _, networks, U, radius = attractors
    a = np.linspace(0, 2 * np.pi, 17)
    ring = radius * np.stack([np.cos(a), np.sin(a)], axis=1) @ U.T
    drift = networks[2].vector_field(ring[None])
    assert np.abs(drift).max() < 1e-6
    # with few neurons there is one, as documented
    _, _, few = make_attractor_family(1, n_neurons=8, radius=radius, random_state=0)
    ring = radius * np.stack([np.cos(a), np.sin(a)], axis=1) @ (8 * few.V[2]).T
    assert np.abs(few[2].vector_field(ring[None])).max() > 1e-4


def test_kinds_can_be_chosen():
    X, y, networks = make_attractor_family(
        2, kinds=["ring", "bistable"], n_neurons=20, random_state=0
    )
    assert len(networks) == 2
    assert y.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(
        np.abs(networks.eigenvalues[0, 0]), np.abs(networks.eigenvalues[0, 1])
    )
    assert networks.eigenvalues[1, 1] == pytest.approx(0.5)
    assert len(X) == 4


def test_unknown_kinds_are_named():
    with pytest.raises(ValueError, match=r"kinds must be among .*'torus'"):
        make_attractor_family(1, kinds=["ring", "torus"])


# -------------------------------------------------------------------- driven teachers


def test_driven_teachers_follow_their_frequency():
    frequencies = np.array([1.0, 3.0, 8.0])
    X, y, _ = make_driven_teachers(
        3, n_timepoints=200, n_neurons=40, frequencies=frequencies, random_state=0
    )
    power = np.abs(np.fft.rfft(X - X.mean(1, keepdims=True), axis=1)) ** 2
    peaks = np.fft.rfftfreq(200, 0.01)[power.mean(2).argmax(1)]
    np.testing.assert_allclose(peaks, frequencies[y])


def test_driven_teachers_share_one_random_network():
    _, _, networks = make_driven_teachers(
        1, n_timepoints=5, n_neurons=300, rank=20, gain=1.5, random_state=0
    )
    assert networks.rank == 20
    np.testing.assert_array_equal(networks.J, np.tile(networks.J[:1], (6, 1, 1)))
    # entries have variance gain^2 / n_neurons
    assert networks.J[0].std() == pytest.approx(1.5 / np.sqrt(300), rel=0.05)


def test_trials_of_a_driven_condition_differ_in_phase():
    X, _, _ = make_driven_teachers(
        2, n_timepoints=50, n_neurons=20, frequencies=[2.0], noise=0.0, random_state=0
    )
    assert np.abs(X[0] - X[1]).max() > 0.5
