"""Drives, features, windows and subspaces against their definitions."""

import numpy as np
import pytest
from conftest import in_trials

from sklearn_jedi import LowRankRNN
from sklearn_jedi._engine import _basis
from sklearn_jedi._engine._basis import find_basis
from sklearn_jedi._engine._moments import moving_average, trial_moments
from sklearn_jedi._engine._reduction import Reduction
from sklearn_jedi._networks._equation import Equation


@pytest.mark.parametrize("window", [1, 2, 5, 11])
def test_moving_average(rng, window):
    series = rng.standard_normal((3, 11, 2))
    naive = np.stack(
        [series[:, t : t + window].mean(1) for t in range(12 - window)], axis=1
    )
    np.testing.assert_allclose(moving_average(series.copy(), window), naive)


def test_moving_average_leaves_its_input_alone(rng):
    series = rng.standard_normal((3, 11, 2))
    before = series.copy()
    moving_average(series, 4)
    np.testing.assert_array_equal(series, before)


@pytest.mark.parametrize("every", [False, True], ids=["some", "every"])
@pytest.mark.parametrize("window", [1, 3])
def test_moments_of_kept_steps_are_sums_over_whole_windows(rng, window, every):
    y, f = rng.standard_normal((4, 9, 2)), rng.standard_normal((4, 9, 3))
    keep = every | (rng.random((4, 9)) > 0.2)
    keep[1] = every
    moments = trial_moments(y, f, window, keep)
    for i in range(4):
        ff, fy, yy, count = np.zeros((3, 3)), np.zeros((3, 2)), np.zeros((2, 2)), 0
        for t in range(10 - window):
            if keep[i, t : t + window].all():
                fm, ym = f[i, t : t + window].mean(0), y[i, t : t + window].mean(0)
                ff += np.outer(fm, fm)
                fy += np.outer(fm, ym)
                yy += np.outer(ym, ym)
                count += 1
        np.testing.assert_allclose(moments.ff[i], ff, atol=1e-12)
        np.testing.assert_allclose(moments.fy[i], fy, atol=1e-12)
        np.testing.assert_allclose(moments.yy[i], yy, atol=1e-12)
        assert moments.n_windows[i] == count


def test_fewer_directions_are_those_of_a_smaller_regression(rng):
    y, f = rng.standard_normal((4, 9, 2)), rng.standard_normal((4, 9, 5))
    keep = np.ones((4, 9), dtype=bool)
    fewer = trial_moments(y, f, 1, keep).directions(2)
    again = trial_moments(y, f[..., [0, 1, 4]], 1, keep)
    for a, b in zip(fewer, again, strict=True):
        np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("nonlinearity", ["tanh", "linear"])
def test_projected_drives_and_features(rng, nonlinearity):
    X = rng.standard_normal((5, 8, 6))
    gain, alpha = 0.5, 0.2
    equation = Equation.of(1.0, alpha, nonlinearity, gain)
    basis = find_basis(in_trials(X, batch_size=2), equation, 2, 3)
    phi = {"tanh": np.tanh, "linear": lambda x: x}[nonlinearity]
    drive = (X[:, 1:] - (1 - alpha) * X[:, :-1]) / alpha
    feature = phi(gain * X[:, :-1]) / gain
    np.testing.assert_allclose(basis.drive_mean, drive.mean((0, 1)), atol=1e-12)
    np.testing.assert_allclose(basis.feature_mean, feature.mean((0, 1)), atol=1e-12)
    drives, features = Reduction.of(basis, equation).project(X)
    np.testing.assert_allclose(drives, (drive - basis.drive_mean) @ basis.P, atol=1e-12)
    np.testing.assert_allclose(
        features[..., :-1], (feature - basis.feature_mean) @ basis.Q, atol=1e-12
    )
    np.testing.assert_array_equal(features[..., -1], 1)
    for vectors in (basis.P, basis.Q):
        np.testing.assert_allclose(
            vectors.T @ vectors, np.eye(vectors.shape[1]), atol=1e-12
        )


def test_feature_directions_are_principal_components(rng):
    X = rng.standard_normal((6, 10, 5)) * [5, 1, 3, 0.1, 0.2]
    basis = find_basis(in_trials(X), Equation.of(1.0, 0.1, "linear"), 1, 2)
    rows = X[:, :-1].reshape(-1, 5)
    _, _, components = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    overlap = np.abs(np.sum(basis.Q * components[:2].T, axis=0))
    np.testing.assert_allclose(overlap, 1, atol=1e-10)


def test_drive_directions_span_the_outputs_of_a_low_rank_network(rng):
    U, V = rng.standard_normal((2, 12, 2))
    network = LowRankRNN(U / 2, V / 2, 0.3 * rng.standard_normal(12))
    X = network.simulate(rng.standard_normal((1, 8, 12)), 40)[0]
    basis = find_basis(in_trials(X), Equation.of(1.0, 0.1, "tanh"), 2, 4)
    outside = U - basis.P @ (basis.P.T @ U)
    np.testing.assert_allclose(outside, 0, atol=1e-6)


def test_many_neurons_get_the_same_directions_from_a_random_start(rng, monkeypatch):
    latent = rng.standard_normal((6, 30, 4)) * [4, 3, 2, 1]
    X = latent @ rng.standard_normal((4, 60)) / 10
    X += 0.01 * rng.standard_normal(X.shape)
    args = (in_trials(X), Equation.of(1.0, 0.2, "tanh"), 3, 4)
    exact = find_basis(*args)
    monkeypatch.setattr(_basis, "_EXACT_NEURONS", 50)
    randomised = find_basis(*args)
    for name in ("P", "Q"):
        overlap = getattr(exact, name).T @ getattr(randomised, name)
        np.testing.assert_allclose(np.linalg.svd(overlap)[1], 1, atol=1e-4)
    np.testing.assert_allclose(randomised.feature_mean, exact.feature_mean, atol=1e-12)
    assert not np.array_equal(randomised.P, exact.P)
    np.testing.assert_array_equal(find_basis(*args).P, randomised.P)
