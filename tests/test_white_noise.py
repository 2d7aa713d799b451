"""What the spectrum of noise tells: its share, smoothing, and copies of units."""

import warnings

import numpy as np
import pytest
from conftest import in_trials
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
from sklearn_jedi._data._smoothed_before import find_kernel
from sklearn_jedi._data._spectra import pieces_of
from sklearn_jedi._data._unit_copies import copies
from sklearn_jedi._data._white_noise import choose_observation, white_share
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.datasets import (
    make_attractor_family,
    make_driven_teachers,
    make_rotation_family,
)
from sklearn_jedi.preprocessing import SpikeSmoother


def recorded(share, *, frequencies=(1.0, 3.0), dt=0.01, noise=0.05, seed=0, n=20):
    """Rotations with this share of white noise in the variance of each neuron."""
    X = make_rotation_family(
        8,
        n_neurons=n,
        n_timepoints=60,
        frequencies=frequencies,
        dt=dt,
        noise=noise,
        random_state=seed,
    )[0]
    sd = np.sqrt(share / (1 - share)) * X.std((0, 1))
    return X + sd * np.random.default_rng(seed).standard_normal(X.shape)


def pieces(X):
    return pieces_of(in_trials(X), np.nanmean(np.concatenate(list(X)), 0))


def share_of(X):
    return white_share(pieces(X))


def kernel_of(X):
    return find_kernel(pieces(X))


def copies_in(X):
    return copies(pieces(X), X.mean((0, 1)))


@pytest.mark.parametrize("share", [0.01, 0.09, 0.28])
@pytest.mark.parametrize(
    ("frequencies", "dt"),
    [((1.0, 3.0), 0.01), ((5.0, 7.0), 0.02), ((6.0, 8.0), 0.05)],
)
def test_share_of_white_noise_at_slow_and_fast_rhythms(share, frequencies, dt):
    X = recorded(share, frequencies=frequencies, dt=dt)
    assert share_of(X) == pytest.approx(share, rel=0.1, abs=0.005)


@pytest.mark.parametrize(
    ("share", "partial_bins", "observation"),
    [(0.0, 0, "state"), (0.0, 1, "gaussian"), (0.03, 0, "gaussian")],
)
def test_observation_is_chosen_by_the_share(share, partial_bins, observation):
    X = recorded(share, frequencies=(5.0, 7.0), dt=0.02)
    assert choose_observation(pieces(X), partial_bins) == observation


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3])
def test_noise_of_the_steps_is_not_white(noise):
    assert share_of(recorded(0.0, frequencies=(5.0, 7.0), dt=0.02, noise=noise)) < 0.003


@pytest.mark.parametrize("make", [make_attractor_family, make_driven_teachers])
def test_dynamics_without_noise_are_states(make):
    X = make(6, n_neurons=20, n_timepoints=60, random_state=0)[0]
    assert share_of(X) < 1e-3
    assert kernel_of(X) is None


def test_share_is_that_of_trials_with_gaps_and_of_several_lengths():
    X = recorded(0.2)
    ragged = [trial[: 60 - 3 * (i % 5)].copy() for i, trial in enumerate(X)]
    ragged[0][20:24] = np.nan
    ragged[1][:, 3] = np.nan
    assert share_of(ragged) == pytest.approx(share_of(X), rel=0.1)


def causally_smoothed(X, sd):
    return SpikeSmoother(sd, causal=True, dt=1.0).fit_transform(X)


@pytest.mark.parametrize(
    ("smooth", "shape", "width"),
    [
        (lambda X: gaussian_filter1d(X, 1.5, axis=1), "Gaussian", 1.5),
        (lambda X: gaussian_filter1d(X, 3.0, axis=1), "Gaussian", 3.0),
        (lambda X: causally_smoothed(X, 3.0), "half-Gaussian", 3.0),
        (lambda X: uniform_filter1d(X, 5, axis=1), "boxcar", 5.0),
    ],
    ids=["narrow", "wide", "causal", "boxcar"],
)
def test_kernels_are_told_from_the_noise_that_they_left(smooth, shape, width):
    found = kernel_of(smooth(recorded(0.3)))
    assert found.shape == shape
    assert found.width == pytest.approx(width, rel=0.05)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_what_was_not_smoothed_has_no_kernel(share):
    assert kernel_of(recorded(share)) is None


@pytest.mark.parametrize(
    "copied",
    [lambda x: x, lambda x: 3 * x - 1, lambda x: np.roll(x, 1, axis=1)],
    ids=["same", "scaled", "a bin later"],
)
def test_copies_are_found(copied):
    X = recorded(0.3)
    X = np.concatenate([X, copied(X[..., 4:5])], axis=-1)
    ((first, other, correlation),) = copies_in(X)
    assert (first, other) == (4, 20)
    assert correlation == pytest.approx(1.0, abs=0.05)


def test_common_noise_and_equal_tuning_are_no_copies():
    X, rng = recorded(0.0), np.random.default_rng(0)
    X[..., 1] = X[..., 0]
    noise = rng.standard_normal(X.shape) * np.sqrt(0.7)
    noise += rng.standard_normal((*X.shape[:2], 1)) * np.sqrt(0.3)
    X += 0.6 * noise
    X[..., 2:4] = 0.1
    assert copies_in(X) == []


@pytest.mark.parametrize(
    "estimator",
    [
        JEDIEstimator(2, 1, max_epochs=0, dt=0.01, observation="gaussian"),
        MetaDynamicalSSM(2, 1, dt=0.01, gain=1.0),
        LinearStateSpace(2, n_iter=1),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_estimators_say_so(estimator, recwarn):
    pandas = pytest.importorskip("pandas")
    X = recorded(0.3, n=12)
    names = [f"unit {i}" for i in range(12)] + ["again"]
    twice = np.concatenate([X, X[..., :1]], axis=-1)
    estimator.fit([pandas.DataFrame(trial, columns=names) for trial in twice])
    said = [str(w.message) for w in recwarn]
    assert sum("'unit 0' and 'again'" in message for message in said) == 1
    assert not any("smoothed" in message for message in said)
    recwarn.clear()
    estimator.fit(gaussian_filter1d(X, 2.0, axis=1))
    said = [str(w.message) for w in recwarn if "smoothed before" in str(w.message)]
    assert len(said) == 1
    assert "about 0.02 s (SD)" in said[0] or "about 2 bins (SD)" in said[0]


def test_counts_are_looked_through_for_copies_and_states_are_not(recwarn):
    warnings.simplefilter("always")
    X = np.random.default_rng(0).poisson(np.exp(recorded(0.0, n=8)))
    X = np.concatenate([X, X[..., 2:3]], axis=-1).astype(float)
    for observation in ("poisson", "state"):
        recwarn.clear()
        JEDIEstimator(2, 1, max_epochs=0, dt=0.01, observation=observation).fit(X)
        said = any("units 2 and 8" in str(w.message) for w in recwarn)
        assert said == (observation == "poisson")
