"""Scores of long free runs against histograms and spectra known by hand."""

import numpy as np
import pytest

from sklearn_jedi.metrics import power_spectrum_distance, state_space_divergence


def as_trial(values):
    return np.asarray(values, dtype=float)[None, :, None]


def test_divergence_of_two_known_histograms():
    X, Y = as_trial([0, 0, 0, 1]), as_trial([0, 1, 0, 1])
    expected = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    assert state_space_divergence(X, Y, n_bins=2) == pytest.approx(expected, abs=1e-4)
    # two cubes and the bin outside, 1 added to each
    p, q = np.array([4, 2, 1]) / 7, np.array([3, 3, 1]) / 7
    expected = (p * np.log(p / q)).sum()
    smooth = state_space_divergence(X, Y, n_bins=2, alpha=1.0)
    assert smooth == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("far", [2.0, 1e300, np.inf, np.nan])
def test_divergence_counts_all_that_is_outside_together(far):
    X, Y = as_trial([0, 0, 1, 1]), as_trial([0, 1, -far, far])
    p, q = np.array([3, 3, 1]) / 7, np.array([2, 2, 3]) / 7
    expected = (p * np.log(p / q)).sum()
    divergence = state_space_divergence(X, Y, n_bins=2, alpha=1.0)
    assert divergence == pytest.approx(expected, abs=1e-12)


def test_divergence_is_zero_for_identical_sets(rng):
    X = rng.standard_normal((4, 50, 5))
    assert state_space_divergence(X, X) == 0
    assert state_space_divergence(X, X[::-1, ::-1]) == 0  # order plays no part
    assert state_space_divergence(X, np.concatenate([X, X])) < 1e-3


def test_divergence_in_the_leading_components(rng):
    """In 20 neurons as in the 2 latent dimensions, whatever unit and offset."""
    kappa, other = rng.standard_normal((2, 3, 200, 2)) * [3, 1]
    axes = np.linalg.qr(rng.standard_normal((20, 2)))[0].T
    expected = state_space_divergence(kappa, other, n_bins=10)
    assert expected > 0.1
    divergence = state_space_divergence(
        100 + kappa @ axes, 100 + other @ axes, n_bins=10
    )
    assert divergence == pytest.approx(expected, rel=1e-6)
    # components in which X does not move are neither split nor counted
    noise = 1e-9 * rng.standard_normal((2, 3, 200, 20))
    divergence = state_space_divergence(
        kappa @ axes + noise[0], kappa @ axes + noise[1], n_bins=10
    )
    assert divergence < 1e-3
    assert state_space_divergence(kappa @ axes, kappa @ axes + 10 * noise[0] / 1e-9) > 1


@pytest.mark.parametrize("at", [0.0, 5.0])
def test_divergence_of_runs_that_stay_at_one_point(at):
    X = np.full((2, 10, 3), at)
    assert state_space_divergence(X, X + 1e-9) == 0
    assert state_space_divergence(X, X + 1) > 10


def test_spectra_of_two_sinusoids():
    t = np.arange(200) / 200
    slow, shifted = as_trial(np.sin(10 * np.pi * t)), as_trial(np.cos(10 * np.pi * t))
    fast = as_trial(np.sin(80 * np.pi * t))
    assert power_spectrum_distance(slow, slow) == 0
    assert power_spectrum_distance(slow, 5 + 3 * shifted) < 1e-6
    assert power_spectrum_distance(slow, fast) == pytest.approx(1, abs=1e-6)
    # half the power at either frequency: sum sqrt(f g) = sqrt(1/2)
    both = power_spectrum_distance(slow, slow + fast, smoothing=0)
    assert both == pytest.approx(np.sqrt(1 - np.sqrt(0.5)))
    # power is averaged over trials
    trials = power_spectrum_distance(slow, np.concatenate([slow, fast]), smoothing=0)
    assert trials == pytest.approx(both)


def test_smoothing_forgives_a_small_difference_in_frequency():
    t = np.arange(200) / 200
    near = as_trial(np.sin(2 * np.pi * 20 * t)), as_trial(np.sin(2 * np.pi * 21 * t))
    # two Gaussians of width s at a distance d: sum sqrt(f g) = exp(-d^2 / (8 s^2))
    for smoothing in (1.0, 3.0):
        expected = np.sqrt(1 - np.exp(-1 / (8 * smoothing**2)))
        distance = power_spectrum_distance(*near, smoothing=smoothing)
        assert distance == pytest.approx(expected, rel=0.01)
    assert power_spectrum_distance(*near, smoothing=0) == pytest.approx(1)


def test_neurons_that_do_not_vary():
    wave = np.sin(np.arange(50.0))
    flat = np.full(50, 0.1)  # its mean is off by rounding
    X = np.stack([wave, wave, flat, flat], axis=1)[None]
    Y = np.stack([wave, flat, wave, 7 * flat], axis=1)[None]
    assert power_spectrum_distance(X, Y) == pytest.approx(0.5)


def test_spectra_of_runs_that_diverge(rng):
    X = rng.standard_normal((2, 30, 3))
    Y = X.copy()
    Y[:, 20:, 0] = np.inf
    Y[1, 20, 1] = np.nan
    assert power_spectrum_distance(X, Y) == pytest.approx(2 / 3)
    assert power_spectrum_distance(X, 1e300 * X) < 1e-6


@pytest.mark.parametrize("score", [state_space_divergence, power_spectrum_distance])
@pytest.mark.parametrize(
    ("X", "Y", "text"),
    [
        (np.ones((9, 2)), np.ones((9, 2)), r"got \(9, 2\) and \(9, 2\)"),
        (np.ones((1, 9, 2)), np.ones((0, 9, 2)), "non-empty"),
        (np.ones((1, 9, 2)), np.ones((1, 9, 3)), "neurons; got 2 and 3"),
        (np.full((1, 9, 2), np.nan), np.ones((1, 9, 2)), "X contains NaN"),
    ],
)
def test_runs_refused(score, X, Y, text):
    with pytest.raises(ValueError, match=text):
        score(X, Y)


def test_settings_refused():
    X = np.ones((1, 9, 2))
    with pytest.raises(ValueError, match="got 9 and 8"):
        power_spectrum_distance(X, X[:, :8])
    with pytest.raises(ValueError, match=r"smoothing .* got -1"):
        power_spectrum_distance(X, X, smoothing=-1)
    with pytest.raises(ValueError, match="n_bins=0"):
        state_space_divergence(X, X, n_bins=0)
    with pytest.raises(ValueError, match="n_components=8"):
        state_space_divergence(X, X, n_components=8)
    with pytest.raises(ValueError, match=r"alpha .* got 0"):
        state_space_divergence(X, X, alpha=0)
