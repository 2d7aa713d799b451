"""Errors of forecasts from recorded states, and how sure embeddings are."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import in_block, in_trials
from scipy.stats import chi2, norm

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._models import _files
from sklearn_jedi._models._embedding_inflation import (
    between_alike,
    between_halves,
    inflated,
    inflation_of,
)
from sklearn_jedi._models._error_sizes import find_error_sizes, fit_sizes
from sklearn_jedi._models._forecast_errors import (
    DRIFTS,
    N_WITHIN,
    ErrorSizes,
    Runs,
    error_variance,
    rest_growth,
    stray,
)
from sklearn_jedi._models._parts_of_trials import part
from sklearn_jedi.datasets import make_rotation_family

N_SEEN = 40


@pytest.fixture(scope="module")
def linear():
    """A fitted model whose map is linear, and forecasts of two trials."""
    X = make_rotation_family(4, n_timepoints=30, n_neurons=6, random_state=0)[0]
    jedi = JEDIEstimator(
        2, 1, dt=0.01, nonlinearity="linear", observation="state", max_epochs=0
    ).fit(X)
    model = jedi._model
    block = in_block(model.scaling.to_network(X[:2]))
    found = model.infer(block)
    return model, found, Runs.of(model, found, block.group)


def jacobian(model, embedding):
    """Of the coordinates, by differences of runs: exact where the map is linear."""
    P = model.basis.P
    moved = np.concatenate([np.zeros((1, len(P))), P.T])
    after = model.run(np.repeat(embedding[None], 1 + P.shape[1], 0), moved, 1)[:, 0]
    return (after[1:] - after[0]) @ P


# ----------------------------------------------------------------------- propagation


def test_errors_of_a_linear_map_grow_as_sums_of_its_powers(linear):
    model, found, runs = linear
    n_steps, Q, P = 7, model.step_cov, model.basis.P
    *_, last = stray(model, runs, n_steps, np.eye(N_WITHIN))
    for i, embedding in enumerate(found.mean):
        F = jacobian(model, embedding).T
        powers = [np.linalg.matrix_power(F, h) for h in range(n_steps + 1)]
        start = P.T @ np.diag(model.step_variance) @ P
        expected = [
            powers[-1] @ start @ powers[-1].T,
            sum(power @ Q @ power.T for power in powers[:-1]),
        ]
        for drift in DRIFTS:
            kept = np.exp(-1 / drift)
            expected.append(
                sum(
                    powers[n_steps - 1 - s]
                    @ Q
                    @ powers[n_steps - 1 - t].T
                    * kept ** abs(s - t)
                    for s in range(n_steps)
                    for t in range(n_steps)
                )
            )
        np.testing.assert_allclose(last.cov[i, :-1], expected, rtol=1e-6, atol=1e-12)
        far = [
            model.run(embedding[None] + move, found.last[i : i + 1], n_steps)[0, -1]
            for move in (1e-5, -1e-5)
        ]
        slope = (far[0] - far[1]) @ P / 2e-5
        of_embedding = found.cov[i, 0, 0] * np.outer(slope, slope)
        np.testing.assert_allclose(last.cov[i, -1], of_embedding, rtol=1e-5)


def test_variance_of_recordings_of_a_scalar_system_is_known(linear):
    """One neuron, `x[t+1] = a x[t] + q`, recorded with noise r."""
    model, _, runs = linear
    q, r = 0.3, 0.7
    basis = replace_basis(model, np.ones((1, 1)))
    scalar = replace(
        model,
        basis=basis,
        step_cov=np.ones((1, 1)),
        step_variance=np.ones(1),
        errors=ErrorSizes.of_steps()._replace(
            sizes=np.r_[r, q, np.zeros(N_WITHIN + len(DRIFTS) - 1)]
        ),
    )
    weights = np.array([[[2.0], [0.0]]])
    runs = Runs(weights, np.zeros((1, 1, 2, 1)), np.zeros((1, 1, 1)), np.ones((1, 1)))
    variance = error_variance(scalar, runs, np.zeros((1, 5, 1)))[0, :, 0]
    a = model.equation.step(1.0, 2.0)
    h = np.arange(1, 6)
    expected = r + r * a ** (2 * h) + q * (a ** (2 * h) - 1) / (a**2 - 1)
    np.testing.assert_allclose(variance, expected)
    # nothing is known any more: as far off as any recording
    bounded = replace(scalar, errors=scalar.errors._replace(variance=np.full(1, 4.0)))
    far = error_variance(bounded, runs, np.full((1, 2000, 1), 3.0))[0, -1, 0]
    assert far == pytest.approx(4 + 3**2 + r)


def replace_basis(model, P):
    one = np.zeros(len(P))
    return model.basis._replace(P=P, Q=P, drive_mean=one, feature_mean=one)


def test_outside_of_the_span_errors_grow_as_those_of_a_scalar_that_decays():
    kept, h = 0.9, np.array([1, 2, 5])
    growth = rest_growth(kept, h)
    np.testing.assert_allclose(growth[:, 0], kept ** (2 * h))
    np.testing.assert_allclose(growth[:, 1], (1 - kept ** (2 * h)) / (1 - kept**2))
    for k, drift in enumerate(DRIFTS):
        rho = np.exp(-1 / drift)
        expected = [
            sum(
                kept ** (n - 1 - s) * kept ** (n - 1 - t) * rho ** abs(s - t)
                for s in range(n)
                for t in range(n)
            )
            for n in h
        ]
        np.testing.assert_allclose(growth[:, 2 + k], expected)


def test_factors_are_constant_beyond_the_last_horizon():
    errors = ErrorSizes.of_steps()._replace(
        horizons=np.array([1, 4]), factors=np.array([1.0, 4.0])
    )
    np.testing.assert_allclose(errors.factor(np.array([1, 2, 4, 90])), [1, 2, 4, 4])


# ----------------------------------------------------------------------------- sizes


def test_sizes_of_sources_are_recovered():
    rng = np.random.default_rng(0)
    design = np.column_stack(
        [np.ones(4000), rng.integers(1, 40, 4000), rng.uniform(0, 3, 4000) ** 2]
    )
    true = np.array([2.0, 0.1, 0.0])
    squares = design @ true * rng.chisquare(3, 4000) / 3
    found = fit_sizes(squares, design, np.full(4000, 3.0))
    np.testing.assert_allclose(found[:2], true[:2], rtol=0.1)
    assert 0 <= found[2] < 0.05


@pytest.mark.parametrize("observation_noise", [0.0, 0.3])
def test_intervals_hold_their_share_near_and_far(observation_noise):
    X = make_rotation_family(
        12,
        n_timepoints=80,
        n_neurons=20,
        observation_noise=observation_noise,
        random_state=0,
    )[0]
    jedi = JEDIEstimator(
        2, 2, dt=0.01, observation="state", ridge=1e-2, window=1, gain=1.0, max_epochs=0
    ).fit(X[::2])
    test = X[1::2]
    mean, std = jedi.forecast(test[:, :N_SEEN], 40, return_std=True)
    z = np.abs(test[:, N_SEEN:] - mean) / std
    for step in (0, 9, 39):
        for share in (0.5, 0.9):
            held = (z[:, step] < norm.ppf(0.5 + share / 2)).mean()
            # 24 trials with two coordinates each, of which one sees 20 neurons
            assert abs(held - share) < 3 * np.sqrt(share * (1 - share) / 48)
    # noise of the recording is part of every error, and does not accumulate
    if observation_noise:
        size = jedi._model.errors.sizes[0] * jedi.noise_variance_
        np.testing.assert_allclose(size, 0.3**2, rtol=0.15)
        assert std[:, 39].mean() < 2 * std[:, 0].mean()


def test_what_is_known_of_errors_is_saved(linear):
    model, _, runs = linear
    forecast = np.zeros((2, 4, 6))
    np.testing.assert_array_equal(
        error_variance(_files.canonical(model), runs, forecast),
        error_variance(model, runs, forecast),
    )


def test_too_short_trials_have_the_noise_of_steps_alone(linear):
    model = linear[0]
    short = in_trials(np.random.default_rng(0).standard_normal((5, 2, 6)))
    sizes = find_error_sizes(model, short).sizes
    np.testing.assert_array_equal(sizes, ErrorSizes.of_steps().sizes)


# ------------------------------------------------------------------------ embeddings


def test_parts_of_trials():
    X = [np.arange(12.0).reshape(6, 2), 100 + np.arange(8.0).reshape(4, 2)]
    X[0][2, 1] = np.nan
    block = part(in_block(X), np.array([1, 2]), np.array([3, 2]))
    np.testing.assert_array_equal(block.lengths, [3, 2])
    np.testing.assert_array_equal(
        block.bins, [[True, False, True], [True, True, False]]
    )
    np.testing.assert_array_equal(block.values[1], [[104, 105], [106, 107], [0, 0]])
    some = in_block(np.zeros((4, 3, 2)), np.array([0, 0, 1, 2])).take(np.array([1, 3]))
    assert (some.group.tolist(), some.labels.tolist()) == ([0, 1], [0, 2])


@pytest.mark.parametrize("inflation", [1.0, 9.0])
def test_inflation_is_that_of_differences(inflation):
    rng = np.random.default_rng(1)
    n, d = 4000, 2
    root = 0.1 * rng.standard_normal((2, n, d, d))
    A, B = root @ np.swapaxes(root, -1, -2) + 1e-3 * np.eye(d)
    cov = A + B - A @ B - B @ A
    unit = rng.standard_normal((n, d, 1))
    difference = np.sqrt(inflation) * (np.linalg.cholesky(cov) @ unit)[..., 0]
    assert inflation_of(difference, A, B) == pytest.approx(inflation, rel=0.07)
    # an axis without support says nothing
    wide = [np.pad(cov, ((0, 0), (0, 1), (0, 1))) for cov in (A, B)]
    for cov in wide:
        cov[:, 2, 2] = 1.0
    same = inflation_of(np.pad(difference, ((0, 0), (0, 1))), *wide)
    assert same == pytest.approx(inflation_of(difference, A, B))
    assert inflation_of(difference[:2], A[:2], B[:2]) == 1.0


def test_halves_begin_where_all_was_recorded(linear):
    """Trials without two halves of whole bins are left out."""
    model = linear[0]
    X = np.random.default_rng(0).standard_normal((4, 12, 6))
    X[1, 6:8, 0], X[2, 6:, 0], X[3, 5:] = np.nan, np.nan, np.nan
    seen = []

    def infer(block):
        seen.append(block)
        return model.infer(block)

    difference, first, second = between_halves(infer, in_trials(X))
    assert len(difference) == len(first) == len(second) == 2
    np.testing.assert_array_equal(seen[1].lengths[:2], [6, 4])
    np.testing.assert_array_equal(seen[1].values[1, 0], X[1, 8])


def test_pairs_have_one_label():
    mean = np.arange(5.0)[:, None]
    difference, *_ = between_alike(mean, np.ones((5, 1, 1)), np.array([0, 1, 0, 0, 1]))
    assert sorted(difference.ravel()) == [-3.0, -3.0, -2.0, -1.0]


def test_inflation_widens_what_is_said_and_moves_nothing(trained, rotations):
    X, y, _ = rotations
    model, wide = trained._model, JEDIEstimator(2, 2)
    assert trained.embedding_inflation_ == model.embedding_inflation > 1
    wide.__dict__.update(trained.__dict__)
    wide._model = replace(model, embedding_inflation=9 * model.embedding_inflation)
    np.testing.assert_array_equal(wide.transform(X), trained.transform(X))
    plain = JEDIEstimator(2, 2)
    plain.__dict__.update(trained.__dict__)
    plain._model = replace(model, embedding_inflation=1.0)
    stated = plain.embedding_posterior(X)[1]
    for jedi in (trained, wide):
        expected = inflated(stated, jedi._model.embedding_inflation)
        np.testing.assert_allclose(jedi.embedding_posterior(X)[1], expected)
    # labels tell more than halves of trials: networks of one condition are the same
    labelled = JEDIEstimator(2, 2, dt=0.01, ridge=1.0, window=1, max_epochs=0)
    with pytest.warns(UserWarning, match="conditions= but for embedding_inflation_"):
        labelled.fit(X, conditions=y)
    mode, cov = labelled.embedding_posterior(X)
    difference, *covs = between_alike(mode, cov, y)
    squares = np.einsum(
        "ni,nij,nj->n", difference, np.linalg.inv(sum(covs)), difference
    )
    assert (squares < chi2.ppf(0.95, 2)).mean() > 0.85


def test_errors_of_a_mode_whose_noise_was_larger_than_stated():
    """Of a scalar embedding c, seen once as c + noise of variance 9, not 1."""
    rng = np.random.default_rng(0)
    c, noise = rng.standard_normal((2, 100_000))
    mode = 0.5 * (c + 3 * noise)  # the posterior's variance is 1/2
    expected = inflated(np.full((1, 1, 1), 0.5), 9.0)[0, 0, 0]
    assert np.mean((mode - c) ** 2) == pytest.approx(expected, rel=0.02)
    # an axis without support is known as well as its prior says
    np.testing.assert_array_equal(inflated(np.eye(2)[None], 9.0), np.eye(2)[None])
