"""Simulated reaches against what their documentation promises."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.analysis import FixedPointAnalyzer, SpectrumAnalyzer
from sklearn_jedi.datasets import make_reaching

SMALL = {"n_timepoints": 20, "n_neurons": 16, "n_directions": 3}
QUIET = {"noise": 0.0, "preparation_sd": 0.0}


@pytest.fixture(scope="module")
def reaches():
    return make_reaching(random_state=0)


def averages(reaches):
    """Expected counts, averaged within directions: (8, n_timepoints, n_neurons)."""
    return np.stack([reaches.rates[reaches.direction == k].mean(0) for k in range(8)])


# -------------------------------------------------------------------- what comes back


def test_shapes_and_labels():
    reaches = make_reaching(4, **SMALL, random_state=0)
    assert reaches.X.shape == reaches.rates.shape == (12, 20, 16)
    np.testing.assert_array_equal(reaches.direction, np.repeat([0, 1, 2], 4))
    assert reaches.go == 10
    assert reaches.dt == 0.01
    assert len(reaches.preparation) == 3
    assert len(reaches.movement) == 1
    assert reaches.preparation.rank == reaches.movement.rank == 5
    assert reaches.preparatory_states.shape == (3, 16)


def test_seed_decides():
    first, again, other = (make_reaching(2, **SMALL, random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.movement.J, again.movement.J)
    assert not np.array_equal(first.rates, other.rates)


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 (the legacy global state is what is tested)
    make_reaching(2, **SMALL, random_state=0)
    after = np.random.get_state()[1]  # noqa: NPY002 (the legacy global state is what is tested)
    np.testing.assert_array_equal(after, before)


def test_spikes_come_on_top_of_the_same_rates():
    counts = make_reaching(2, **SMALL, random_state=0)
    rates = make_reaching(2, **SMALL, spikes=False, random_state=0)
    np.testing.assert_array_equal(rates.X, rates.rates)
    np.testing.assert_array_equal(counts.rates, rates.rates)
    assert counts.X.dtype.kind == "i"


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_trials_per_direction": 0}, ValueError, "n_trials_per_direction must be"),
        ({"n_directions": 0}, ValueError, "n_directions must be at least 1"),
        ({"n_timepoints": 1}, ValueError, "n_timepoints must be at least 2"),
        ({"n_neurons": 9}, ValueError, "n_neurons must be at least 10"),
        ({"n_neurons": 20.0}, TypeError, "n_neurons must be an integer"),
        ({"mean_rate": 0.0}, ValueError, "mean_rate must be positive"),
        ({"decay": -1.0}, ValueError, "decay must be positive"),
        ({"noise": -0.1}, ValueError, "noise must be zero or positive"),
        ({"preparation_sd": np.nan}, ValueError, "preparation_sd must be"),
        ({"frequency": 50.0}, ValueError, r"below 1 / \(2 dt\) = 50 Hz; got 50"),
        ({"dt": 0.2}, ValueError, "0 < dt <= tau"),
    ],
)
def test_parameters_that_cannot_be(parameters, error, message):
    with pytest.raises(error, match=message):
        make_reaching(**{"n_trials_per_direction": 1, **parameters})


# ------------------------------------------------------------------------ the networks


def test_each_epoch_is_a_free_run_of_its_network():
    reaches = make_reaching(1, **QUIET, n_neurons=40, random_state=0)
    states, go = np.log(reaches.rates), reaches.go
    preparation = reaches.preparation.simulate(states[:, 0], go)
    np.testing.assert_allclose(preparation, states[:, :go], atol=1e-12)
    movement = reaches.movement.simulate(states[None, :, go], 60)[0]
    np.testing.assert_allclose(movement, states[:, go:], atol=1e-12)
    # the go cue changes the network, not the state
    last = reaches.preparation.step(states[:, go - 1])
    np.testing.assert_allclose(last, states[:, go], atol=1e-12)


def test_preparatory_states_are_the_only_fixed_points_and_stable(reaches):
    analyzer = FixedPointAnalyzer(n_starts=16, limit_cycles=False, random_state=0)
    analyzer.fit(reaches.preparation)
    assert all(len(points) == 1 for points in analyzer.fixed_points_)
    assert all(kinds == ["stable node"] for kinds in analyzer.stability_type_)
    np.testing.assert_array_equal(analyzer.index_sum_, 1)
    found = np.concatenate(analyzer.fixed_points_)
    np.testing.assert_allclose(found, reaches.preparatory_states, atol=1e-9)
    # a mode of the weights' eigenvalue 1/2 decays within 2 tau, and slopes are below 1
    slowest = np.array([values[0].real for values in analyzer.eigenvalues_])
    assert (slowest < 0.95).all()
    assert (slowest > 0.9).all()
    np.testing.assert_allclose(reaches.preparation.eigenvalues, 0.5)
    np.testing.assert_array_equal(
        reaches.preparation.J, np.tile(reaches.preparation.J[:1], (8, 1, 1))
    )


def test_preparatory_states_are_tuned_as_documented(reaches):
    c = reaches.movement.offset
    angle = 2 * np.pi * np.arange(8) / 8
    P = reaches.preparation.U[0]
    coordinates = (reaches.preparatory_states - c) @ P / 100
    documented = [
        np.full(8, 0.3),
        0.45 * np.cos(angle),
        0.45 * np.sin(angle),
        0.25 * np.cos(2 * angle),
        0.25 * np.sin(2 * angle),
    ]
    np.testing.assert_allclose(coordinates, np.transpose(documented), atol=1e-12)


@pytest.mark.parametrize(
    ("dt", "tau", "frequency", "decay"), [(0.01, 0.1, 2.0, 0.4), (0.005, 0.05, 3, 0.2)]
)
def test_movement_has_the_planted_spectrum(dt, tau, frequency, decay):
    movement = make_reaching(
        1,
        n_neurons=30,
        dt=dt,
        tau=tau,
        frequency=frequency,
        decay=decay,
        random_state=0,
    ).movement
    spectrum = SpectrumAnalyzer().fit(movement)
    assert spectrum.distance_to_edge_ == pytest.approx(1 / decay)
    np.testing.assert_allclose(spectrum.rates_, -1 / decay)
    frequencies = [-frequency, -frequency / 2, 0, frequency / 2, frequency]
    np.testing.assert_allclose(
        np.sort(spectrum.frequencies_[0]), frequencies, atol=1e-9
    )
    # one step multiplies a small state in a plane by exactly that
    small = movement.offset + 1e-5 * movement.U[0, :, 1]
    before, after = small - movement.offset, movement.step(small)[0] - movement.offset
    turned = before @ after / (before @ before)
    assert turned == pytest.approx(
        np.exp(-dt / decay) * np.cos(2 * np.pi * frequency * dt), abs=1e-6
    )


def test_rest_is_the_only_fixed_point_of_movement(reaches):
    analyzer = FixedPointAnalyzer(n_starts=32, random_state=0).fit(
        reaches.movement, states=np.log(reaches.rates[::24, 60:]).reshape(1, -1, 100)
    )
    (points,) = analyzer.fixed_points_
    np.testing.assert_allclose(points, reaches.movement.offset[None], atol=1e-9)
    assert analyzer.stability_type_[0].tolist() == ["stable focus"]
    assert analyzer.index_sum_[0] == 1
    assert analyzer.limit_cycles_[0] == []


def test_subspaces_are_orthogonal(reaches):
    P, M = reaches.preparation.U[0], reaches.movement.U[0]
    np.testing.assert_allclose(P.T @ M, 0, atol=1e-9)
    np.testing.assert_allclose(P.T @ P, 100 * np.eye(5), atol=1e-9)
    np.testing.assert_allclose(M.T @ M, 100 * np.eye(5), atol=1e-9)


# ------------------------------------------------------------------------ the activity


def test_preparation_settles_and_is_left():
    reaches = make_reaching(1, **QUIET, random_state=0)
    distance = np.linalg.norm(
        np.log(reaches.rates) - reaches.preparatory_states[:, None], axis=2
    )
    before = distance[:, : reaches.go]
    assert (np.diff(before) < 0).all()
    assert (before[:, -1] < 0.05 * before[:, 0]).all()
    assert (distance[:, -20:] > 0.5 * before[:, :1]).all()


def test_trials_prepare_their_own_states():
    reaches = make_reaching(
        60, n_timepoints=400, n_directions=2, noise=0.0, preparation_sd=0.15,
        random_state=0,
    )  # fmt: skip
    P = reaches.preparation.U[0]
    own = np.log(reaches.rates[:, reaches.go]) @ P / 100
    planted = reaches.preparatory_states[reaches.direction] @ P / 100
    deviations = own - planted
    assert deviations.std() == pytest.approx(0.15, rel=0.1)
    assert abs(deviations.mean()) < 0.02
    # and hold them
    earlier = np.log(reaches.rates[:, reaches.go - 20]) @ P / 100
    np.testing.assert_allclose(earlier, own, atol=1e-3)


def test_noise_is_that_of_every_step(reaches):
    states, go = np.log(reaches.rates), reaches.go
    error = states[:, go + 1 :] - reaches.movement.step(states[None, :, go:-1].reshape(
        1, -1, 100
    ))[0].reshape(192, -1, 100)  # fmt: skip
    assert error.std() == pytest.approx(0.02, rel=0.01)


def test_movement_rotates_near_its_frequency():
    reaches = make_reaching(1, **QUIET, random_state=0)
    coordinates = (
        np.log(reaches.rates) - reaches.movement.offset
    ) @ reaches.movement.U[0] / 100  # fmt: skip
    x = coordinates[:, reaches.go + 25 :]  # the preparatory state has gone
    before, after = x[:, :-1].reshape(-1, 5), x[:, 1:].reshape(-1, 5)
    steps = np.linalg.eigvals(np.linalg.lstsq(before, after, rcond=None)[0])
    frequencies = np.sort(np.angle(steps) / (2 * np.pi * 0.01))[-2:]
    np.testing.assert_allclose(frequencies, [0.82, 1.81], rtol=0.05)
    # all directions turn the same way
    angle = np.unwrap(np.arctan2(x[..., 2], x[..., 1]), axis=1)
    assert (np.diff(angle) > 0).all()
    # in the movement's subspace there was nothing before
    assert np.abs(coordinates[:, : reaches.go]).max() < 1e-9


def test_rates_are_realistic(reaches):
    rates = reaches.rates / reaches.dt
    assert rates.mean() == pytest.approx(10.0, rel=0.05)
    of_neurons = rates.mean((0, 1))
    assert np.log(of_neurons).std() == pytest.approx(0.5, abs=0.1)
    # few neurons are silent or faster than real ones
    assert np.quantile(of_neurons, 0.05) > 1
    assert np.quantile(rates, 0.999) < 120
    depth = np.log(averages(reaches)).std((0, 1))
    assert 0.3 < np.median(depth) < 0.8
    faster = make_reaching(4, mean_rate=20.0, random_state=0)
    assert faster.rates.mean() / 0.01 == pytest.approx(20.0, rel=0.05)


def test_counts_are_poisson(reaches):
    surprise = (reaches.X - reaches.rates) ** 2 / reaches.rates
    assert surprise.mean() == pytest.approx(1.0, abs=0.02)
    assert reaches.X.mean() == pytest.approx(reaches.rates.mean(), rel=0.01)


@pytest.mark.parametrize("epoch", ["preparation", "movement"])
def test_direction_can_be_read(reaches, epoch):
    window = slice(20, 60) if epoch == "preparation" else slice(60, 100)
    counts = reaches.X[:, window].sum(1)
    reader = LogisticRegression(C=0.1, max_iter=500)
    scores = cross_val_score(reader, np.sqrt(counts), reaches.direction, cv=4)
    assert scores.mean() > 0.85  # chance is 0.125


def test_epochs_are_nearly_orthogonal(reaches):
    """Alignment index of Elsayed et al. 2016: 1 same subspace, 0 orthogonal ones."""
    X = averages(reaches)
    X = X / (X.std((0, 1)) + 0.05)
    X = X - X.mean(0)

    def of(window):
        return np.cov(X[:, window].reshape(-1, 100), rowvar=False)

    preparation, movement = of(slice(20, 60)), of(slice(75, 115))
    for one, other in [(preparation, movement), (movement, preparation)]:
        leading = np.linalg.eigh(one)[1][:, -4:]
        explained = np.trace(leading.T @ other @ leading)
        possible = np.linalg.eigvalsh(other)[-4:].sum()
        assert explained / possible < 0.05


def test_jedi_reproduces_condition_averages(reaches):
    epochs = np.concatenate(np.split(averages(reaches), [reaches.go], axis=1))
    jedi = JEDIEstimator(rank=20, embedding_dim=8, max_epochs=0).fit(epochs / 0.01)
    assert jedi.score(epochs / 0.01) > 0.95
