"""EM and the embedding posterior against planted weights and brute force."""

import numpy as np
import pytest

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._engine._bilinear_em import (
    BilinearModel,
    fit_bilinear,
    posterior,
    serial_inflation,
)
from sklearn_jedi._engine._moments import moving_average, trial_moments
from sklearn_jedi._models._embedding_inflation import inflated


def planted(rng, n_trials=60, n_steps=50, noise=0.0):
    """Features, drives, weights and embeddings (of unit variance, centred)."""
    K, rank, n_axes = 4, 2, 2
    A = rng.standard_normal((n_axes + 1, K, rank))
    c = rng.standard_normal((n_trials, n_axes))
    c -= c.mean(0)
    c = c @ np.linalg.inv(np.linalg.cholesky(c.T @ c / n_trials)).T
    f = rng.standard_normal((n_trials, n_steps, K))
    f[..., -1] = 1
    weights = A[0] + np.tensordot(c, A[1:], 1)
    y = f @ weights
    return f, y + noise * rng.standard_normal(y.shape), A, c, weights


def every_step(series):
    return np.ones(series.shape[:2], dtype=bool)


def fit(f, y, embedding_dim=2, **params):
    moments = trial_moments(y, f, 1, every_step(y))
    params = {"ridge": 1e-8, "inflation": 1.0, **params}
    model = fit_bilinear(moments, embedding_dim, **params)
    return model, *posterior(moments, model)


@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 1e-5), (0.1, 0.1)])
def test_planted_weights_and_embeddings_come_back(rng, noise, tolerance):
    f, y, A, c, weights = planted(rng, noise=noise)
    model, mean, _ = fit(f, y, tol=1e-9, max_iter=200)
    np.testing.assert_allclose(model.weights(mean), weights, atol=tolerance)
    np.testing.assert_allclose(model.A[0], A[0], atol=tolerance)
    # the other maps and the embeddings: up to one rotation or reflection
    rotation = np.linalg.lstsq(c, mean, rcond=None)[0]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(2), atol=2 * tolerance)
    np.testing.assert_allclose(mean, c @ rotation, atol=tolerance)
    turned_back = np.tensordot(rotation, model.A[1:], 1)
    np.testing.assert_allclose(turned_back, A[1:], atol=2 * tolerance)


def test_the_noise_comes_back(rng):
    f, y, *_ = planted(rng, n_steps=200)
    root = np.array([[0.3, 0.0], [0.1, 0.2]])
    y = y + rng.standard_normal(y.shape) @ root.T
    model, _, _ = fit(f, y)
    np.testing.assert_allclose(model.noise_cov, root @ root.T, atol=0.004)


def test_axes_are_ordered_by_the_drive_they_explain_and_do_not_overlap(rng):
    f, y, *_ = planted(rng, noise=0.1)
    model, _, _ = fit(f, y)
    filtered = np.einsum("ntk,jkr->jntr", f, model.A[1:])
    precision = np.linalg.inv(model.noise_cov)
    explained = np.einsum("intr,rs,jnts->ij", filtered, precision, filtered)
    assert explained[0, 0] > explained[1, 1] > 0
    assert abs(explained[0, 1]) < 1e-8 * explained[0, 0]
    largest = np.abs(model.A[1:].reshape(2, -1)).argmax(1)
    assert (model.A[1:].reshape(2, -1)[[0, 1], largest] > 0).all()


def test_the_order_of_trials_does_not_matter(rotations):
    X = rotations[0]
    order = np.random.default_rng(0).permutation(len(X))
    # the automatic settings are chosen on some of the trials
    given = {"window": 1, "ridge": 1e-2, "max_epochs": 0}
    Z = JEDIEstimator(2, 2, **given).fit_transform(X)
    shuffled = JEDIEstimator(2, 2, **given).fit_transform(X[order])
    np.testing.assert_allclose(shuffled, Z[order], atol=1e-6)


def test_embeddings_are_standardised_over_training_trials(rng):
    f, y, *_ = planted(rng, noise=0.1)
    _, mean, cov = fit(f, y, tol=1e-8, max_iter=200)
    np.testing.assert_allclose(mean.mean(0), 0, atol=1e-3)
    second = mean.T @ mean / len(mean) + cov.mean(0)
    np.testing.assert_allclose(second, np.eye(2), atol=1e-3)


@pytest.mark.parametrize("inflation", [1.0, 3.0])
@pytest.mark.parametrize("known", [None, 0.3], ids=["known", "uncertain"])
def test_posterior_is_the_gaussian_formula(rng, inflation, known):
    f, y, A, _, _ = planted(rng, n_trials=3, n_steps=7, noise=0.5)
    noise_cov = np.array([[0.5, 0.2], [0.2, 0.3]])
    if known is not None:
        known = known * f[0].T @ f[0]
    model = BilinearModel(A, noise_cov, inflation, 0, known)
    mean, cov = posterior(trial_moments(y, f, 1, every_step(y)), model)
    for i in range(3):
        # one long vector of observations: y - f A_0 = G c + f dA + noise
        G = np.stack([(f[i] @ A_j).ravel() for A_j in A[1:]], axis=1)
        rest = (y[i] - f[i] @ A[0]).ravel()
        big = inflation * np.kron(np.eye(7), noise_cov)
        if known is not None:
            # errors of the weights, which are the same at all steps of a trial
            errors = f[i] @ np.linalg.inv(known) @ f[i].T
            big += inflation * np.kron(errors, noise_cov)
        # prior I: condition the joint Gaussian of c and the observations
        gain = G.T @ np.linalg.inv(G @ G.T + big)
        np.testing.assert_allclose(mean[i], gain @ rest, atol=1e-10)
        np.testing.assert_allclose(cov[i], np.eye(2) - gain @ G, atol=1e-10)


def test_trials_in_unknown_directions_do_not_tell_of_their_embeddings(rng):
    f, y, *_ = planted(rng, noise=0.1)
    f[..., 0] = 0.0  # a feature that training trials leave alone
    model, mean, cov = fit(f, y)
    there = np.zeros_like(f[:1])
    there[..., 0] = 100.0
    moments = trial_moments(100 * y[:1], there, 1, every_step(y[:1]))
    mean, cov = posterior(moments, model)
    np.testing.assert_allclose(mean, 0, atol=1e-6)
    np.testing.assert_allclose(cov, np.eye(2)[None], atol=1e-6)


def test_posterior_is_the_inverse_hessian_of_the_objective(em_fitted, rotations):
    x = rotations[0][[5]]
    mean, cov = em_fitted.embedding_posterior(x)
    model = em_fitted._model
    window, bilinear = em_fitted.window_, model.bilinear
    precision = np.linalg.inv(bilinear.noise_cov) / bilinear.inflation
    # steps count as far as the weights that they read are known
    features = moving_average(model.reduction.project(x)[1], window)[0]
    errors = features @ np.linalg.inv(bilinear.known) @ features.T
    counts = np.linalg.inv(np.eye(len(features)) + errors)

    def objective(c):
        """Minus the log posterior, from the fitted networks' own one-step errors."""
        r = x[0]
        predicted = em_fitted.dynamics(c[None])[0].step(r[:-1][None])[0]
        error = (r[1:] - predicted) @ model.basis.P / model.equation.alpha
        error = np.stack(
            [error[t : t + window].mean(0) for t in range(len(error) - window + 1)]
        )
        return 0.5 * c @ c + 0.5 * np.sum((counts @ error @ precision) * error)

    c, eps, axes = mean[0], 1e-3, np.eye(2)
    gradient = [
        (objective(c + eps * e) - objective(c - eps * e)) / (2 * eps) for e in axes
    ]
    hessian = [
        [
            objective(c + eps * (a + b))
            - objective(c + eps * (a - b))
            - objective(c - eps * (a - b))
            + objective(c - eps * (a + b))
            for b in axes
        ]
        for a in axes
    ]
    hessian = np.array(hessian) / (4 * eps**2)
    stated = inflated(np.linalg.inv(hessian)[None], em_fitted.embedding_inflation_)
    np.testing.assert_allclose(stated, cov, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(cov[0] @ gradient, 0, atol=1e-6)


def test_axes_without_support_are_zero_maps(rng):
    f, y, *_ = planted(rng, n_trials=3)
    model, mean, cov = fit(f, y, embedding_dim=5)
    assert model.A.shape == (6, 4, 2)
    assert (model.A[3:] == 0).all()
    assert (model.A[1:3] != 0).any((1, 2)).all()
    np.testing.assert_allclose(mean[:, 2:], 0, atol=1e-12)
    np.testing.assert_allclose(cov[:, 2:, 2:], np.tile(np.eye(3), (3, 1, 1)))


def test_rounds_are_counted_and_limited(rng):
    f, y, *_ = planted(rng, noise=0.5)
    assert fit(f, y, max_iter=3, tol=0.0)[0].n_iter == 3
    assert fit(f, y, tol=1e3)[0].n_iter == 1


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_inflation_is_the_autocorrelation_time_of_an_ar1_process(rng, rho):
    series = rng.standard_normal((20, 3000, 2))
    for t in range(1, series.shape[1]):
        series[:, t] += rho * series[:, t - 1]
    # summed while correlations exceed 0.05: the rest is at most a tenth of the sum
    expected = (1 + rho) / (1 - rho)
    found = serial_inflation(series, every_step(series))
    assert 0.88 * expected < found < 1.02 * expected


def test_inflation_of_residuals_with_gaps(rng):
    """Gaps leave fewer pairs, not weaker correlations."""
    series = rng.standard_normal((20, 3000, 2))
    for t in range(1, series.shape[1]):
        series[:, t] += 0.5 * series[:, t - 1]
    keep = rng.random(series.shape[:2]) > 0.3
    found = serial_inflation(series * keep[..., None], keep)
    assert 0.88 * 3 < found < 1.02 * 3


def test_inflation_has_no_scale_and_is_at_least_one(rng):
    series = np.cumsum(rng.standard_normal((5, 50, 2)), axis=1)
    keep = every_step(series)
    expected = serial_inflation(series, keep)
    assert expected > 5
    assert serial_inflation(series * [1e-6, 1e5], keep) == pytest.approx(expected)
    assert serial_inflation(np.zeros((5, 50, 2)), keep) == 1
    alternating = np.tile([1.0, -1.0], 10).reshape(1, 20, 1)
    assert serial_inflation(alternating, every_step(alternating)) == 1
