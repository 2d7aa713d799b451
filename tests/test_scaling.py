"""Which data are left alone, and what becomes of the others."""

import numpy as np
import pytest

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._data._units import choose_scaling
from sklearn_jedi.datasets import make_rotation_family


@pytest.fixture
def X(rng):
    """Pooled standard deviation 1, neurons from weak to strong."""
    X = rng.standard_normal((8, 20, 4))
    X = (X - X.mean((0, 1))) / X.std((0, 1))
    return X * np.sqrt([0.1, 0.4, 1.0, 2.5])


def scaling_of(X):
    return choose_scaling(X.mean((0, 1)), X.std((0, 1)))


@pytest.mark.parametrize("factor", [0.31, 1.0, 2.9])
def test_unit_scale_data_about_zero_are_left_alone(X, factor):
    X = factor * (X + 0.29)
    scaling = scaling_of(X)
    assert scaling.is_identity
    np.testing.assert_array_equal(scaling.offset, np.zeros(4))
    np.testing.assert_array_equal(scaling.scale, np.ones(4))
    np.testing.assert_array_equal(scaling.to_network(X), X)


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 0.31), (2.9, 2), (1.0, -5)])
def test_unit_scale_data_elsewhere_are_centred(X, factor, offset):
    X = factor * X + offset
    scaling = scaling_of(X)
    np.testing.assert_array_equal(scaling.scale, np.ones(4))
    np.testing.assert_allclose(scaling.to_network(X).mean((0, 1)), 0, atol=1e-9)


@pytest.mark.parametrize("factor", [1e-3, 0.29, 3.1, 30.0])
def test_other_data_are_centred_and_softly_normalised(X, factor):
    data = factor * X + 10
    scaling = scaling_of(data)
    assert not scaling.is_identity
    scaled = scaling.to_network(data)
    np.testing.assert_allclose(scaled.mean((0, 1)), 0, atol=1e-9)
    sd = scaled.std((0, 1))
    assert np.sqrt(np.mean(sd**2)) == pytest.approx(1)
    # a neuron of standard deviation s ends in proportion to s / (s + mean s)
    before = X.std((0, 1))
    soft = before / (before + before.mean())
    np.testing.assert_allclose(sd / sd[0], soft / soft[0], rtol=1e-9)
    np.testing.assert_allclose(scaling.to_data(scaled), data, rtol=1e-10)


def test_constant_neurons_do_not_divide_by_zero(X):
    X = 30 * X
    X[:, :, 0] = 5.0
    scaling = scaling_of(X)
    assert (scaling.scale > 0).all()
    np.testing.assert_allclose(scaling.to_network(X)[:, :, 0], 0, atol=1e-12)


@pytest.mark.parametrize("observation", ["state", "gaussian"])
def test_activity_is_forecast_from_any_baseline(observation):
    X = make_rotation_family(4, n_neurons=12, random_state=0)[0]
    jedi = JEDIEstimator(2, 2, dt=0.01, observation=observation, max_epochs=0)
    about_zero = r2_of_forecasts(jedi, X, X)
    elsewhere = r2_of_forecasts(jedi, X - 5, X - 5)
    assert about_zero > 0.9
    assert elsewhere == pytest.approx(about_zero, abs=0.01)


def r2_of_forecasts(jedi, X, truth):
    found = jedi.fit(X[::2]).forecast(X[1::2, :50], 50)
    later = truth[1::2, 50:]
    return 1 - ((found - later) ** 2).sum() / ((later - later.mean((0, 1))) ** 2).sum()


@pytest.mark.parametrize(
    ("factor", "offset", "words"),
    [
        (1.0, 0, "left as they are"),
        (1.0, 5, "centred"),
        (30.0, 0, "centred, soft-normalised"),
    ],
)
def test_what_becomes_of_the_data_is_said(X, factor, offset, words):
    assert scaling_of(factor * X + offset).describe() == words
