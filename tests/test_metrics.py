"""R^2 by hand, and the forecast scorer."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.metrics import ForecastScorer, bits_per_spike, trajectory_r2


def test_r2_by_hand():
    X = np.array([[[1.0, 10.0], [3.0, 10.0]]])
    predicted = np.array([[[1.0, 11.0], [2.0, 10.0]]])
    # SSE = 1 + 1; SST = 1 + 1 about the means 2 and 10
    assert trajectory_r2(X, predicted) == pytest.approx(0.0)
    # pooled over neurons: a neuron without variance still adds its error
    assert trajectory_r2(X, X + np.array([0.0, 0.5])) == pytest.approx(1 - 0.5 / 2)


def test_r2_is_about_each_neurons_own_mean(rng):
    X = rng.standard_normal((3, 4, 2)) + np.array([0, 100])
    means = np.broadcast_to(X.mean((0, 1)), X.shape)
    assert trajectory_r2(X, means) == pytest.approx(0, abs=1e-12)
    assert trajectory_r2(X, np.full_like(X, X.mean())) < -1000


@pytest.mark.parametrize(("error", "r2"), [(0.0, 1.0), (0.1, 0.0)])
def test_r2_of_activity_that_does_not_vary(error, r2):
    X = np.ones((2, 3, 4))
    assert trajectory_r2(X, X + error) == r2


def test_r2_of_float32_is_summed_in_float64():
    X = np.full((1, 1000, 1), 1e4, dtype=np.float32)
    X[0, ::2] += 1
    assert trajectory_r2(X, np.full_like(X, 10000.5)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((2, 3), "X_pred must have the shape"),
        ((2, 3, 5), r"same shape .*\(2, 3, 4\) and \(2, 3, 5\)"),
        ((1, 3, 4), r"same shape .*\(2, 3, 4\) and \(1, 3, 4\)"),
    ],
)
def test_r2_needs_two_arrays_of_trials(shape, text):
    with pytest.raises(ValueError, match=text):
        trajectory_r2(np.zeros((2, 3, 4)), np.zeros(shape))


def test_r2_of_trials_of_different_lengths_with_gaps(rng):
    X = rng.standard_normal((2, 5, 3))
    predicted = X + rng.standard_normal(X.shape)
    X[1, 3:], X[0, 2, 1] = np.nan, np.nan
    recorded = ~np.isnan(X)
    error = ((X - predicted)[recorded] ** 2).sum()
    total = ((X - np.nanmean(X, axis=(0, 1)))[recorded] ** 2).sum()
    assert trajectory_r2(X, predicted) == pytest.approx(1 - error / total)
    ragged = [X[0], X[1, :3]], [predicted[0], predicted[1, :3]]
    assert trajectory_r2(*ragged) == pytest.approx(1 - error / total)
    with pytest.raises(ValueError, match="trials of the same shapes"):
        trajectory_r2(ragged[0], list(predicted))


def test_forecast_scorer_is_the_r2_of_forecast(fitted, rotations):
    X = rotations[0][::5]
    expected = trajectory_r2(X[:, 15:], fitted.forecast(X[:, :15], 25))
    assert ForecastScorer(15)(fitted, X) == pytest.approx(expected, abs=1e-12)
    assert expected > 0.9


def test_forecast_scorer_in_cross_validation(rotations):
    X = rotations[0]
    jedi = JEDIEstimator(2, 2, max_epochs=0)
    scorer = ForecastScorer(15)
    scores = cross_val_score(jedi, X, scoring=scorer, cv=3, error_score="raise")
    held_out = np.arange(8)
    expected = scorer(clone(jedi).fit(np.delete(X, held_out, axis=0)), X[held_out])
    assert scores.shape == (3,)
    assert scores[0] == pytest.approx(expected, abs=1e-10)


def test_forecast_scorer_of_one_neuron(rotations):
    X = rotations[0][:, :, 0]
    jedi = JEDIEstimator(1, 1, max_epochs=0).fit(X)
    expected = trajectory_r2(X[:, 30:, None], jedi.forecast(X[:, :30, np.newaxis], 10))
    assert ForecastScorer(30)(jedi, X) == pytest.approx(expected)


@pytest.mark.parametrize("n_given", [1, 40, 50])
def test_forecast_scorer_needs_a_beginning_and_a_rest(em_fitted, rotations, n_given):
    with pytest.raises(ValueError, match="less than the 40 time points"):
        ForecastScorer(n_given)(em_fitted, rotations[0])


def test_forecast_scorer_names_itself():
    assert repr(ForecastScorer(5)) == "ForecastScorer(n_given=5)"


def test_forecast_scorer_of_trials_of_different_lengths(em_fitted, rotations):
    X = [rotations[0][i][:length] for i, length in enumerate((40, 25, 33))]
    forecast = em_fitted.forecast(np.stack([trial[:15] for trial in X]), 25)
    later = [trial[15:] for trial in X]
    expected = trajectory_r2(
        later, [run[: len(part)] for run, part in zip(forecast, later, strict=True)]
    )
    assert ForecastScorer(15)(em_fitted, X) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(ValueError, match="less than the 25 time points of the short"):
        ForecastScorer(25)(em_fitted, X)


def test_bits_per_spike_by_hand():
    X = np.array([[[0.0, 2.0], [4.0, 2.0]]])
    rates = np.array([[[1.0, 2.0], [3.0, 2.0]]])
    # neuron 0: 4 log 3 - 4 against 4 log 2 - 4; neuron 1: its mean
    expected = 4 * np.log(1.5) / (8 * np.log(2))
    assert bits_per_spike(X, rates) == pytest.approx(expected)
    X[0, 0] = np.nan
    assert bits_per_spike(X, X) == pytest.approx(0)  # one bin is its own mean


def test_bits_per_spike_where_there_is_nothing_to_predict():
    silent = np.zeros((1, 3, 2))
    assert bits_per_spike(silent, silent) == 0.0
    with pytest.raises(ValueError, match="X and rates must have the same shape"):
        bits_per_spike(silent, silent[:, 1:])
