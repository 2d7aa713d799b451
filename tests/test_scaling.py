"""What becomes of data before they are fitted, and that their units do not matter."""

import numpy as np
import pytest

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._data._units import Scaling, choose_scaling, is_of_unit_scale
from sklearn_jedi.datasets import make_attractor_family, make_rotation_family


@pytest.fixture
def X(rng):
    """Pooled standard deviation 1, neurons from weak to strong."""
    X = rng.standard_normal((8, 20, 4))
    X = (X - X.mean((0, 1))) / X.std((0, 1))
    return X * np.sqrt([0.1, 0.4, 1.0, 2.5])


def scaling_of(X):
    fluctuations = np.sqrt((np.diff(X, 2, axis=1) ** 2).mean((0, 1)))
    return choose_scaling(X.mean((0, 1)), X.std((0, 1)), fluctuations)


def test_scaled_data_do_not_depend_on_the_units_of_neurons(X, rng):
    scaled = scaling_of(X).to_network(X)
    factor, offset = np.exp(rng.uniform(-5, 5, 4)), rng.normal(0, 10, 4)
    data = factor * X + offset
    other = scaling_of(data)
    np.testing.assert_allclose(other.to_network(data), scaled, atol=1e-9)
    np.testing.assert_allclose(other.to_data(scaled), data, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(scaled.mean((0, 1)), 0, atol=1e-9)
    assert np.sqrt(np.mean(scaled.std((0, 1)) ** 2)) == pytest.approx(1)


def test_neurons_that_fluctuate_more_become_smaller():
    bins = np.arange(400)
    slow, fast = np.sin(0.1 * bins), np.sin(0.2 * bins)
    X = np.stack([slow, fast, 7 * fast], axis=1)[None]
    sd = scaling_of(X).to_network(X).std((0, 1))
    # second differences of twice the frequency are four times as large
    assert sd[0] / sd[1] == pytest.approx(2, rel=0.01)
    assert sd[2] == pytest.approx(sd[1])


def test_trials_too_short_for_fluctuations_have_standard_scores(X):
    scaling = choose_scaling(X.mean((0, 1)), X.std((0, 1)), None)
    np.testing.assert_allclose(scaling.to_network(X).std((0, 1)), 1)


def test_constant_neurons_do_not_divide_by_zero(X):
    X = 30 * X
    X[:, :, 0] = 5.0
    scaling = scaling_of(X)
    assert scaling.scale[0] == np.median(scaling.scale[1:])
    np.testing.assert_allclose(scaling.to_network(X)[:, :, 0], 0, atol=1e-12)
    scaling = scaling_of(np.full((2, 9, 3), 5.0))
    assert scaling.offset.tolist() == [5.0, 5.0, 5.0]
    assert scaling.scale.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("factor", [0.31, 1.0, 2.9])
def test_data_of_unit_scale(X, factor):
    assert is_of_unit_scale(factor * X.std((0, 1)))
    assert not is_of_unit_scale(10 * factor * X.std((0, 1)))


def test_thresholds_lie_about_the_means(X):
    scaling = scaling_of(X)
    other = scaling.with_thresholds()
    assert (other.offset != scaling.offset).all()
    assert (np.abs(other.offset - scaling.offset) < scaling.scale).all()
    np.testing.assert_array_equal(other.scale, scaling.scale)


UNITS = {
    "centred": lambda X: (1.0, 5.0),
    "small": lambda X: (0.01, 1.0),
    "z-scored": lambda X: (1 / X.std((0, 1)), -X.mean((0, 1)) / X.std((0, 1))),
    "different": lambda X: (np.geomspace(0.05, 20, X.shape[2]), -3.0),
}


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("observation", ["state", "gaussian"])
@pytest.mark.parametrize(
    # a run of an attractor family that ends in the wrong one costs more than 0.01
    ("make", "within"),
    [(make_rotation_family, 0.01), (make_attractor_family, 0.02)],
)
def test_forecasts_do_not_depend_on_units(make, within, observation, units):
    X = make(12, n_neurons=20, random_state=0)[0]
    jedi = JEDIEstimator(2, 2, dt=0.01, observation=observation, max_epochs=0)
    factor, offset = UNITS[units](X)
    before = r2_of_forecasts(jedi, X)
    after = r2_of_forecasts(jedi, factor * X + offset, factor, offset)
    assert before > 0.9
    assert after == pytest.approx(before, abs=within)


@pytest.mark.parametrize("make", [make_rotation_family, make_attractor_family])
def test_fits_do_not_depend_on_the_order_of_trials(make, rng):
    X = make(8, n_neurons=12, random_state=0)[0]
    train, test = X[::2], X[1::2]
    jedi = JEDIEstimator(2, 2, dt=0.01, observation="state", max_epochs=0)
    found = jedi.fit(train).forecast(test[:, :50], 50)
    settings = (jedi.gain_, jedi.window_, jedi.ridge_, jedi.n_directions_)
    embeddings = jedi.embeddings_
    order = rng.permutation(len(train))
    again = jedi.fit(train[order]).forecast(test[:, :50], 50)
    assert (jedi.gain_, jedi.window_, jedi.ridge_, jedi.n_directions_) == settings
    np.testing.assert_allclose(jedi.embeddings_, embeddings[order], atol=1e-7)
    np.testing.assert_allclose(again, found, atol=1e-7)


def r2_of_forecasts(jedi, X, factor=1.0, offset=0.0):
    """Of the second half of every other trial, in units that were there before."""
    found = jedi.fit(X[::2]).forecast(X[1::2, :50], 50)
    found, later = (found - offset) / factor, (X[1::2, 50:] - offset) / factor
    return 1 - ((found - later) ** 2).sum() / ((later - later.mean((0, 1))) ** 2).sum()


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        (Scaling.identity(2), "left as they are"),
        (Scaling.centred(np.array([1.0, 0.0])), "centred"),
        (Scaling(np.zeros(2), np.array([1.0, 2.0])), "centred and scaled"),
    ],
)
def test_what_becomes_of_the_data_is_said(scaling, words):
    assert scaling.describe() == words
