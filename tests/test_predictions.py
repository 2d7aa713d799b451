"""Forecasts, their standard deviations, and what was not recorded."""

from dataclasses import replace

import numpy as np
import pytest

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._engine._likelihoods import Gaussian
from sklearn_jedi._engine._reduction import free_run
from sklearn_jedi._models._draws import balanced_normals
from sklearn_jedi.datasets import make_rotation_family

OBSERVATIONS = ["state", "gaussian", "poisson"]
N_SEEN, N_STEPS = 45, 25


def family(observation_noise):
    """4 conditions x 12 trials x 70 bins x 30 neurons."""
    return make_rotation_family(
        12,
        n_timepoints=N_SEEN + N_STEPS,
        n_neurons=30,
        noise=0.05,
        observation_noise=observation_noise,
        random_state=0,
    )[0]


@pytest.fixture(scope="module")
def cases():
    """For each observation: new trials, their expectation, and a fit to others."""
    truth = family(0.0)
    log_rate = 0.7 * truth
    rng = np.random.default_rng(0)
    data = {
        "state": (truth, truth),
        "gaussian": (family(1.0), truth),
        "poisson": (rng.poisson(np.exp(log_rate)).astype(float), np.exp(log_rate)),
    }
    return {
        name: (X[1::2], expected[1::2], fit(name, X[::2]))
        for name, (X, expected) in data.items()
    }


def fit(observation, X):
    return JEDIEstimator(2, 2, observation=observation, max_epochs=0).fit(X)


@pytest.fixture(params=OBSERVATIONS)
def case(request, cases):
    return cases[request.param]


def r2(found, true):
    return 1 - np.sum((found - true) ** 2) / np.sum((true - true.mean((0, 1))) ** 2)


# --------------------------------------------------------------------------- forecasts


def test_a_forecast_goes_on_from_the_end_of_each_trial(case):
    """Whether the end is that of an array, of trials of a list, or of NaN padding."""
    X, _, jedi = case
    lengths = np.array([N_SEEN, 30, 38])
    padded = X[:3, :N_SEEN].copy()
    for x, length in zip(padded, lengths, strict=True):
        x[length:] = np.nan
    trials = [x[:length] for x, length in zip(X, lengths, strict=False)]
    far = np.concatenate([padded, np.full((3, 9, 30), np.nan)], 1)
    one_by_one = [jedi.forecast(x[None], 5, return_std=True) for x in trials]
    for form in (padded, trials, far):
        mean, std = jedi.forecast(form, 5, return_std=True)
        assert mean.shape == std.shape == (3, 5, 30)
        for i in range(3):
            np.testing.assert_allclose(mean[i], one_by_one[i][0][0], rtol=1e-6)
            np.testing.assert_allclose(std[i], one_by_one[i][1][0], rtol=1e-6)


def test_forecasts_beat_the_mean_and_the_last_bin(case):
    X, expected, jedi = case
    ahead, later = jedi.forecast(X[:, :N_SEEN], N_STEPS), expected[:, N_SEEN:]
    assert r2(ahead, later) > 0.8
    last = np.broadcast_to(X[:, N_SEEN - 1 : N_SEEN], later.shape)
    assert r2(ahead, later) > r2(last, later) + 0.2


def test_more_steps_begin_like_fewer(case):
    X, _, jedi = case
    few = jedi.forecast(X[:4, :N_SEEN], 3, return_std=True)
    many = jedi.forecast(X[:4, :N_SEEN], 8, return_std=True)
    np.testing.assert_allclose(many[0][:, :3], few[0], rtol=1e-10)
    np.testing.assert_allclose(many[1][:, :3], few[1], rtol=1e-6)
    np.testing.assert_array_equal(jedi.forecast(X[:4, :N_SEEN], 8), many[0])


def test_standardised_errors_have_unit_spread(case):
    X, _, jedi = case
    mean, std = jedi.forecast(X[:, :N_SEEN], N_STEPS, return_std=True)
    errors = (X[:, N_SEEN:] - mean) / std
    assert 0.8 < errors.std() < 1.25
    for steps in (np.s_[:5], np.s_[5:15], np.s_[15:]):
        assert 0.8 < errors[:, steps].std() < 1.25
    assert abs(errors.mean()) < 0.1


def test_totals_of_counts(cases):
    X, _, jedi = cases["poisson"]
    ahead = jedi.forecast(X[:, :N_SEEN], N_STEPS)
    assert ahead.sum() / X[:, N_SEEN:].sum() == pytest.approx(1, abs=0.03)
    assert jedi.smooth(X).sum() / X.sum() == pytest.approx(1, abs=0.01)


def test_random_numbers_are_balanced():
    n_draws, n_first, n_later = 64, 5, 100
    columns = balanced_normals(n_draws, n_first, n_later)
    gram = columns.T @ columns / n_draws
    np.testing.assert_allclose(np.diag(gram), 1)
    apart = np.abs(np.subtract.outer(range(105), range(105)))
    near = (apart > 0) & (apart <= n_draws // 2 - n_first)
    np.testing.assert_allclose(gram[near], 0, atol=1e-12)
    np.testing.assert_allclose(gram[:n_first, n_first:], 0, atol=1e-12)
    fewer = balanced_normals(n_draws, n_first, 10)
    np.testing.assert_array_equal(columns[:, : n_first + 10], fewer)
    # more of them than draws
    crowded = balanced_normals(8, 12, 3)
    np.testing.assert_allclose((crowded**2).mean(0), 1)


def test_standard_deviations_grow_at_first(cases):
    for observation, share, least in (("state", 0.2, 0.75), ("gaussian", 1e-4, 1)):
        X, _, jedi = cases[observation]
        std = jedi.forecast(X[:, :N_SEEN], N_STEPS, return_std=True)[1]
        size = std.mean((0, 2))
        assert (np.diff(size[:6]) > 0).all()
        assert size[5] > (1 + share) * size[0]
        # the noise of a recording remains; that of one step is of all neurons together
        assert (std**2 > least * jedi.noise_variance_).all()


def predicted_std(model, X, n_steps):
    """Exact standard deviations ahead of a linear network, by a Kalman filter.

    In network units: of recordings, at steps after trials X (n_timepoints, n_neurons).
    """
    space = model.state_space
    C, R = space.loading[:, :-1], np.diag(space.likelihood.variance)
    rank = C.shape[1]
    # one step is linear: its matrix from unit vectors
    weights = space.map.weights(np.zeros((1, space.map.n_axes)))
    origin, *moved = (
        free_run(space.red, weights, space.activity(z)[None], 1)[0, 0]
        for z in (np.zeros(rank), *np.eye(rank))
    )
    F = np.stack([row - origin for row in moved], 1)
    cov = space.first_cov
    for t in range(len(X) + n_steps):
        if t:
            cov = F @ cov @ F.T + space.step_cov
        if t < len(X):
            gain = cov @ C.T @ np.linalg.inv(C @ cov @ C.T + R)
            cov = cov - gain @ C @ cov
        else:
            yield np.sqrt(np.diag(C @ cov @ C.T + R))


def test_standard_deviations_are_those_of_a_kalman_filter():
    """Of a linear network whose embedding changes nothing: fewer bins say less."""
    X = family(1.0)
    jedi = JEDIEstimator(
        2, 1, observation="gaussian", nonlinearity="linear", dt=0.01
    ).fit(X[::4])
    model = jedi._model
    A = model.bilinear.A * np.array([1.0, 0.0])[:, None, None]
    # so noisy recordings of so steady states that the 45th bin still adds something
    jedi._model = model = replace(
        model,
        bilinear=model.bilinear._replace(A=A),
        step_cov=0.02 * model.first_cov,
        first_cov=5 * model.first_cov,
        likelihood=Gaussian(30 * model.likelihood.variance),
    )
    jedi.noise_variance_ = model.noise_variance()
    first_bin = []
    for n_seen in (2, 4, N_SEEN):
        std = jedi.forecast(X[:3, :n_seen], 6, return_std=True)[1]
        exact = np.stack(list(predicted_std(model, X[0, :n_seen], 6)))
        exact = exact * jedi.scale_
        # draws are balanced: no sampling error where all is linear
        noise = jedi.noise_variance_
        np.testing.assert_allclose(std[0] ** 2 - noise, exact**2 - noise, rtol=1e-5)
        np.testing.assert_allclose(std[1], std[0], rtol=1e-6)
        first_bin.append((std[0, 0] ** 2 - noise).sum())
    assert first_bin[0] > 1.1 * first_bin[1] > 1.21 * first_bin[2]


def test_standard_deviations_are_in_units_of_the_data():
    X = family(1.0)
    for data in (X, family(0.0)):
        jedi = fit("auto", 300 * data[::2] + 7)
        mean, std = jedi.forecast(300 * data[1::2, :N_SEEN] + 7, 5, return_std=True)
        errors = (300 * data[1::2, N_SEEN : N_SEEN + 5] + 7 - mean) / std
        assert 0.8 < errors.std() < 1.25


def test_partial_bins_at_the_end_are_stepped_over(cases):
    """With "state" a forecast starts at the last whole bin."""
    X, _, jedi = cases["state"]
    X = X[:4, :N_SEEN].copy()
    X[:2, -2:, 3] = np.nan
    mean, std = jedi.forecast(X, 3, return_std=True)
    before, std_before = jedi.forecast(X[:2, :-2], 5, return_std=True)
    np.testing.assert_allclose(mean[:2], before[:, 2:], rtol=1e-9)
    np.testing.assert_allclose(std[:2], std_before[:, 2:], rtol=0.3)
    np.testing.assert_allclose(mean[2:], jedi.forecast(X[2:], 3), rtol=1e-9)


# -------------------------------------------------------------------- what is filled in


@pytest.mark.parametrize(
    ("observation", "least"), [("gaussian", 0.95), ("poisson", 0.9)]
)
def test_neurons_that_were_not_recorded_are_filled_in(cases, observation, least):
    X, expected, jedi = cases[observation]
    holes = X.copy()
    holes[:, :, :8] = np.nan
    filled = jedi.smooth(holes)
    assert np.isfinite(filled).all()
    assert r2(filled[..., :8], expected[..., :8]) > least
    assert r2(filled, expected) > least
    assert r2(jedi.reconstruct(holes)[..., :8], expected[..., :8]) > 0.7
    ahead, std = jedi.forecast(holes[:, :N_SEEN], 5, return_std=True)
    assert r2(ahead[..., :8], expected[:, N_SEEN : N_SEEN + 5, :8]) > 0.7
    assert np.isfinite(std).all()


def test_state_needs_all_neurons(cases):
    X, _, jedi = cases["state"]
    holes = X.copy()
    holes[:, :, 0] = np.nan
    with pytest.raises(ValueError, match="no time point at which every neuron"):
        jedi.smooth(holes)


def test_gaps_are_filled_in(case):
    X, expected, jedi = case
    holes = X.copy()
    gap = np.s_[:, 20:26]
    holes[gap] = np.nan
    holes[1, 40:44, :5] = np.nan
    filled = jedi.smooth(holes)
    assert np.isfinite(filled).all()
    assert r2(filled[gap], expected[gap]) > 0.8
    assert r2(filled, expected) > 0.9
    if jedi.observation_ == "state":
        seen = ~np.isnan(holes)
        np.testing.assert_allclose(filled[seen], holes[seen], atol=1e-12)


def test_smoothing_follows_trials_closer_than_free_runs(cases):
    X, expected, jedi = cases["gaussian"]
    assert r2(jedi.smooth(X), expected) > r2(jedi.reconstruct(X), expected)
    assert r2(jedi.smooth(X), expected) > r2(X, expected) + 0.5


def test_lists_come_back_as_lists_and_end_with_nan(case):
    X, _, jedi = case
    padded = X[:3].copy()
    padded[1, 50:] = np.nan
    trials = [X[0], X[1, :50], X[2]]
    for method in ("smooth", "reconstruct"):
        of_array, of_list = (getattr(jedi, method)(form) for form in (padded, trials))
        assert np.isnan(of_array[1, 50:]).all()
        for array, own, trial in zip(of_array, of_list, trials, strict=True):
            assert own.shape == trial.shape
            np.testing.assert_allclose(array[: len(own)], own, rtol=1e-6)
