"""Fits of noisy recordings and of counts, against the noise-free truth."""

import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._engine._likelihoods._counts import Counts
from sklearn_jedi._engine._state_space_em import StateSpaceEM
from sklearn_jedi.datasets import make_rotation_family


def family(observation_noise=0.0, seed=0):
    """4 conditions x 3 trials x 60 bins x 40 neurons; the activity's SD is about 1."""
    return make_rotation_family(
        3,
        n_timepoints=60,
        n_neurons=40,
        noise=0.02,
        observation_noise=observation_noise,
        random_state=seed,
    )


def small(**params):
    return JEDIEstimator(**{"rank": 2, "embedding_dim": 2, "max_epochs": 0, **params})


def r2(found, true):
    return 1 - np.sum((found - true) ** 2) / np.sum((true - true.mean((0, 1))) ** 2)


def upper(eigenvalues):
    """The member of a complex pair with positive imaginary part."""
    return eigenvalues.real + 1j * np.abs(eigenvalues.imag)


def eigenvalue_error(jedi, y, networks):
    true = upper(networks[y].eigenvalues[:, 0])
    found = upper(jedi.dynamics(jedi.embeddings_).eigenvalues[:, 0])
    return np.median(np.abs(found - true) / np.abs(true))


@pytest.fixture(scope="module")
def noisy():
    """Recordings at a signal-to-noise ratio of 1, without their noise, and a fit."""
    X, truth = family(1.0)[0], family()[0]
    return X, truth, small(observation="gaussian").fit(X)


@pytest.fixture(scope="module")
def counts():
    """Spike counts, about 1.5 a bin, the log of their expectation, and a fit."""
    log_rate = 0.8 * family()[0]
    X = np.random.default_rng(0).poisson(np.exp(log_rate)).astype(float)
    return X, log_rate, small(observation="poisson").fit(X)


@pytest.fixture(scope="module", params=["gaussian", "poisson"])
def short(request, noisy, counts):
    """What is observed, a part of the recordings, and a fit."""
    X = (noisy if request.param == "gaussian" else counts)[0][::2, :30, :16]
    return request.param, X, small(observation=request.param).fit(X)


# ------------------------------------------------------------------------------ truth


@pytest.mark.parametrize("seed", range(2))
def test_noise_free_activity_is_recovered(noisy, seed):
    y, networks = family(1.0, seed)[1:]
    if seed:
        X, truth = family(1.0, seed)[0], family(0.0, seed)[0]
        jedi = small(observation="gaussian").fit(X)
    else:
        X, truth, jedi = noisy
    assert 0.8 < truth.std() / (X - truth).std() < 1.25
    as_state = small(observation="state").fit(X)
    run = r2(jedi.reconstruct(X), truth)
    assert run > 0.97
    assert run > r2(as_state.reconstruct(X), truth) + 0.1
    assert r2(jedi.smooth(X), truth) > 0.97
    first = jedi.initial_states(X)
    assert r2(first[:, None], truth[:, :1]) > 0.95
    assert jedi.noise_variance_.mean() == pytest.approx(1.0, rel=0.1)
    assert ((jedi.noise_variance_ > 0.7) & (jedi.noise_variance_ < 1.3)).all()
    assert eigenvalue_error(jedi, y, networks) < 0.1
    assert eigenvalue_error(as_state, y, networks) > 0.1  # and this is why


def test_each_neuron_has_its_own_noise():
    truth = family()[0]
    sd = np.linspace(0.3, 1.5, 40)
    X = truth + sd * np.random.default_rng(0).standard_normal(truth.shape)
    jedi = small(observation="gaussian").fit(X)
    np.testing.assert_allclose(jedi.noise_variance_, sd**2, rtol=0.3)
    assert np.mean(jedi.noise_variance_ / sd**2) == pytest.approx(1.0, rel=0.1)


def test_rates_are_recovered_from_raw_counts(counts):
    X, log_rate, jedi = counts
    rate = jedi.reconstruct(X)
    assert (rate > 0).all()
    assert np.corrcoef(rate.ravel(), np.exp(log_rate).ravel())[0, 1] > 0.97
    assert r2(np.log(rate), log_rate) > 0.95
    assert r2(np.log(jedi.smooth(X)), log_rate) > 0.95
    assert r2(jedi.initial_states(X)[:, None], log_rate[:, :1]) > 0.95
    assert rate.mean() == pytest.approx(X.mean(), rel=0.02)
    np.testing.assert_allclose(jedi.noise_variance_, X.mean((0, 1)), rtol=0.05)
    assert eigenvalue_error(jedi, *family()[1:]) < 0.15


def test_gaps_and_unequal_lengths_cost_little(noisy):
    X, truth, _ = noisy
    rng = np.random.default_rng(0)
    holes = X.copy()
    holes[rng.random(X.shape) < 0.3] = np.nan
    holes[3, 20:30] = np.nan
    trials = [x[: 60 - i] for i, x in enumerate(holes)]
    jedi = small(observation="gaussian").fit(trials)
    for run, true in zip(jedi.reconstruct(trials), truth, strict=True):
        error = np.sum((run - true[: len(run)]) ** 2)
        assert 1 - error / np.sum((true - truth.mean((0, 1))) ** 2) > 0.9
    assert jedi.noise_variance_.mean() == pytest.approx(1.0, rel=0.1)


# ----------------------------------------------------------------------- what is chosen


CHOICES = {
    "clean": (lambda X, clean, n: clean, "state"),
    "smoothed": (lambda X, clean, n: gaussian_filter1d(X, 3, axis=1), "state"),
    "smoothed counts": (lambda X, clean, n: gaussian_filter1d(n, 3, axis=1), "state"),
    "noisy": (lambda X, clean, n: X, "gaussian"),
    "noisy, large": (lambda X, clean, n: 50 * X + 20, "gaussian"),
    "counts": (lambda X, clean, n: n, "gaussian"),
    "roots of counts": (lambda X, clean, n: np.sqrt(n), "gaussian"),
}


@pytest.mark.parametrize(("make", "chosen"), CHOICES.values(), ids=CHOICES)
def test_auto_tells_noisy_recordings_from_states(noisy, counts, make, chosen):
    X = make(noisy[0], noisy[1], counts[0])[::2]
    assert small().fit(X).observation_ == chosen


@pytest.mark.parametrize(
    ("index", "chosen"),
    [((0, 5, 3), "gaussian"), ((0, 5), "state")],
    ids=["one", "all"],
)
def test_auto_counts_neurons_missing_where_others_are_not(noisy, index, chosen):
    holes = noisy[1].copy()
    holes[index] = np.nan
    assert small().fit(holes).observation_ == chosen


# ------------------------------------------------------------------------- data units


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (50.0, 20.0)])
def test_networks_reproduce_the_free_runs_in_units_of_the_data(noisy, scale, shift):
    X, truth, jedi = noisy
    X, truth = scale * X + shift, scale * truth + shift
    if scale != 1.0:
        jedi = small(observation="gaussian").fit(X)
    runs = jedi.reconstruct(X)
    networks = jedi.dynamics(jedi.embeddings_)
    simulated = networks.simulate(jedi.initial_states(X), 60)
    np.testing.assert_allclose(simulated, runs, atol=1e-9 * scale)
    assert r2(runs, truth) > 0.97
    assert jedi.noise_variance_.mean() == pytest.approx(scale**2, rel=0.1)
    # where units are unknown, so is the gain
    limit = 0.1 if scale == 1.0 else 0.25
    assert eigenvalue_error(jedi, *family()[1:]) < limit


def test_networks_of_counts_are_logs_of_rates(counts):
    X, _, jedi = counts
    networks = jedi.dynamics(jedi.embeddings_)
    simulated = networks.simulate(jedi.initial_states(X), 60)
    np.testing.assert_allclose(np.exp(simulated), jedi.reconstruct(X), rtol=1e-9)


def test_units_of_the_data_do_not_matter(noisy):
    """For data that are brought to unit scale anyway."""
    X = noisy[0][::2, :30, :16]
    one = small(observation="gaussian").fit(50 * X)
    other = small(observation="gaussian").fit(2500 * X + 20)
    np.testing.assert_allclose(other.embeddings_, one.embeddings_, atol=1e-6)
    np.testing.assert_allclose(
        other.reconstruct(2500 * X + 20), 50 * one.reconstruct(50 * X) + 20, atol=1e-2
    )
    np.testing.assert_allclose(
        other.noise_variance_, 2500 * one.noise_variance_, rtol=1e-6
    )
    for a, b in zip(
        other.forecast(2500 * X + 20, 3, return_std=True),
        one.forecast(50 * X, 3, return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(np.diff(a), 50 * np.diff(b), atol=1e-2)


# ------------------------------------------------------------------------- same results


def test_fits_repeat_exactly_whatever_the_seed(short):
    observation, X, jedi = short
    again = small(observation=observation, random_state=7).fit(X)
    np.testing.assert_array_equal(again.embeddings_, jedi.embeddings_)
    np.testing.assert_array_equal(again.reconstruct(X), jedi.reconstruct(X))


def test_batch_size_does_not_change_the_result(short):
    """But for rounding, which EM enlarges."""
    observation, X, jedi = short
    other = small(observation=observation, batch_size=4).fit(X)
    np.testing.assert_allclose(other.embeddings_, jedi.embeddings_, atol=2e-4)
    np.testing.assert_allclose(other.reconstruct(X), jedi.reconstruct(X), atol=1e-3)
    jedi_in_parts = small(observation=observation, batch_size=4)
    jedi_in_parts.__dict__ |= {
        k: v for k, v in jedi.__dict__.items() if k != "batch_size"
    }
    np.testing.assert_allclose(jedi_in_parts.transform(X), jedi.transform(X), atol=1e-9)


@pytest.mark.parametrize("observation", ["gaussian", "poisson"])
def test_transform_of_the_training_trials_is_their_embedding(
    noisy, counts, observation
):
    X, _, jedi = noisy if observation == "gaussian" else counts
    np.testing.assert_allclose(jedi.transform(X), jedi.embeddings_, atol=1e-9)
    one = np.concatenate([jedi.transform(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(one, jedi.embeddings_, atol=1e-6)


def test_more_trials_than_the_first_rounds_use(monkeypatch, noisy):
    X, truth, jedi = noisy
    monkeypatch.setattr("sklearn_jedi._engine._first_states._START_TRIALS", 8)
    passes = small(observation="gaussian").fit(X)
    assert r2(passes.reconstruct(X), truth) > 0.97
    assert not np.array_equal(passes.embeddings_, jedi.embeddings_)


# -------------------------------------------------------------------------- interrupts


def interrupt_in_round(monkeypatch, number, *, of_counts=False):
    """Ctrl-C at the start of a round of the (Gaussian or Poisson) EM."""
    whole = StateSpaceEM._round

    def round_(self, *args):
        if (
            isinstance(self.models[0].likelihood, Counts) == of_counts
            and self.n_iter == number - 1
        ):
            raise KeyboardInterrupt
        return whole(self, *args)

    monkeypatch.setattr(StateSpaceEM, "_round", round_)


@pytest.mark.parametrize("number", [1, 3])
def test_an_interrupt_leaves_a_usable_model(noisy, monkeypatch, number):
    X, truth, _ = noisy
    interrupt_in_round(monkeypatch, number)
    jedi = small(observation="gaussian")
    with pytest.warns(UserWarning, match="the fit was interrupted"):
        jedi.fit(X)
    assert jedi.interrupted_
    assert jedi.n_iter_ == number - 1
    np.testing.assert_allclose(jedi.transform(X), jedi.embeddings_, atol=1e-9)
    assert r2(jedi.smooth(X), truth) > (0.9 if number == 3 else 0.5)
    assert np.isfinite(jedi.score(X))


@pytest.mark.parametrize(
    "of_counts",
    [False, True],
    ids=["square roots", "counts"],
)
def test_an_interrupt_leaves_a_usable_model_of_counts(counts, monkeypatch, of_counts):
    """Whether the square roots or the counts themselves are being fitted."""
    X, log_rate, _ = counts
    interrupt_in_round(monkeypatch, 3, of_counts=of_counts)
    jedi = small(observation="poisson")
    with pytest.warns(UserWarning, match="the fit was interrupted"):
        jedi.fit(X)
    assert jedi.interrupted_
    rate = jedi.reconstruct(X)
    assert (rate > 0).all()
    assert np.corrcoef(rate.ravel(), np.exp(log_rate).ravel())[0, 1] > 0.8
    assert rate.mean() == pytest.approx(X.mean(), rel=0.2)
    simulated = jedi.dynamics(jedi.embeddings_).simulate(jedi.initial_states(X), 60)
    np.testing.assert_allclose(np.exp(simulated), rate, rtol=1e-9)


def test_a_whole_fit_was_not_interrupted(noisy, counts):
    for _, _, jedi in (noisy, counts):
        assert not jedi.interrupted_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(observation="gaussian", dt=0.01).fit(noisy[0])
