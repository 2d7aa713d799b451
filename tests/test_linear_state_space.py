"""The linear baseline, against a planted system."""

import numpy as np
import pytest

from sklearn_jedi.baselines._linear_state_space import LinearStateSpace
from sklearn_jedi.metrics import trajectory_r2

PLANTED = 0.96 * np.exp(1j * np.array([-0.3, 0.3]))


@pytest.fixture(scope="module")
def spirals():
    """Noisy recordings of a damped rotation, and the same without the noise."""
    rng = np.random.default_rng(0)
    turn = 0.96 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    z = [2 * rng.standard_normal((60, 2))]
    for _ in range(49):
        z.append(z[-1] @ turn.T + 0.1 * rng.standard_normal((60, 2)))
    clean = np.stack(z, 1) @ rng.standard_normal((2, 12)) + 3.0
    return clean + 0.5 * rng.standard_normal(clean.shape), clean


def eigenvalues(model):
    values = np.linalg.eigvals(model.A)
    return values[np.argsort(values.imag)]


@pytest.mark.parametrize("kind", ["complete", "gaps", "lengths"])
def test_recovers_a_planted_system(spirals, kind):
    X, clean = spirals[0].copy(), spirals[1]
    rng = np.random.default_rng(1)
    if kind == "gaps":
        X[rng.random(X.shape) < 0.3] = np.nan
    if kind == "lengths":
        X[:30, 25:] = np.nan
    model = LinearStateSpace(2, n_iter=60).fit(X)
    np.testing.assert_allclose(eigenvalues(model), PLANTED, atol=0.01)
    np.testing.assert_allclose(model.R, 0.25, rtol=0.15)
    inside = np.isfinite(X).any(2)
    assert trajectory_r2(clean[inside][None], model.smooth(X)[inside][None]) > 0.98


def test_trials_of_equal_length_are_the_limit_of_a_gap_that_closes(spirals):
    """One missing value makes every trial its own covariance, and nothing else."""
    X = spirals[0]
    one = X.copy()
    one[0, -1, 0] = np.nan
    whole, with_gap = (LinearStateSpace(2, n_iter=5).fit(x) for x in (X, one))
    np.testing.assert_allclose(with_gap.A, whole.A, atol=1e-3)
    np.testing.assert_allclose(with_gap.R, whole.R, rtol=5e-3)
