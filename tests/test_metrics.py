"""R^2 by hand, and the forecast scorer."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import cross_val_score, cross_validate

from sklearn_jedi import JEDIEstimator, LowRankRNN, MetaDynamicalSSM
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.datasets import make_oscillator_sessions
from sklearn_jedi.metrics import (
    ForecastScorer,
    bits_per_spike,
    power_spectrum_distance,
    state_space_divergence,
    trajectory_r2,
    vector_field_agreement,
)


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
    scorer = ForecastScorer(5, metric="bits_per_spike")
    assert repr(scorer) == "ForecastScorer(metric='bits_per_spike', n_given=5)"
    assert clone(scorer).get_params() == {"n_given": 5, "metric": "bits_per_spike"}


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


@pytest.mark.parametrize("n_timepoints", [40, 39, 3])
def test_without_a_number_half_of_each_trial_is_given(
    em_fitted, rotations, n_timepoints
):
    X = rotations[0][::5, :n_timepoints]
    n = max(2, n_timepoints // 2)
    expected = trajectory_r2(X[:, n:], em_fitted.forecast(X[:, :n], n_timepoints - n))
    assert ForecastScorer()(em_fitted, X) == pytest.approx(expected, abs=1e-12)


def test_a_baseline_is_scored_the_same_way(rotations):
    X = rotations[0]
    linear = LinearStateSpace(4, n_iter=5).fit(X[::2])
    expected = trajectory_r2(X[1::2, 20:], linear.forecast(X[1::2, :20], 20))
    assert ForecastScorer()(linear, X[1::2]) == pytest.approx(expected, abs=1e-12)


def test_what_was_not_recorded_is_no_part_of_a_trial(em_fitted, rotations):
    """Bins after a trial's end, and gaps in which its beginning ends."""
    ragged = [rotations[0][i][:length] for i, length in enumerate((40, 26, 33))]
    padded = np.full((3, 45, 20), np.nan)
    for row, trial in zip(padded, ragged, strict=True):
        row[: len(trial)] = trial
    scorer = ForecastScorer()
    expected = scorer(em_fitted, ragged)
    assert scorer(em_fitted, padded) == pytest.approx(expected, abs=1e-12)

    gap = rotations[0][:1].copy()
    gap[0, 17:23] = np.nan  # the beginning is 20 bins long
    ahead = em_fitted.forecast(gap[:, :17], 23)[:, 6:]
    expected = trajectory_r2(gap[:, 23:], ahead)
    assert scorer(em_fitted, gap) == pytest.approx(expected, abs=1e-12)


def test_labelled_arrays_are_scored_by_the_names_of_their_axes(em_fitted, rotations):
    xarray = pytest.importorskip("xarray")
    X = rotations[0][::5]
    turned = xarray.DataArray(X, dims=("trial", "time", "neuron")).transpose()
    expected = ForecastScorer()(em_fitted, X)
    assert ForecastScorer()(em_fitted, turned) == pytest.approx(expected, abs=1e-12)


def test_trial_sets_are_scored(em_fitted, rotations):
    pandas = pytest.importorskip("pandas")
    from sklearn_jedi.io import TrialSet

    X = rotations[0][::5]
    tables = pandas.DataFrame(index=range(len(X))), pandas.DataFrame(index=range(20))
    found = ForecastScorer()(em_fitted, TrialSet(X, 0.01, *tables))
    assert found == pytest.approx(ForecastScorer()(em_fitted, X), abs=1e-12)


def test_forecasts_of_counts_in_bits(rotations, rng):
    X = rng.poisson(np.exp(0.3 * rotations[0][:, :, :8] + 1))
    model = LinearStateSpace(3, n_iter=5).fit(X[::2])
    later, rates = X[1::2, 20:], model.forecast(X[1::2, :20], 20)
    scorer = ForecastScorer(metric="bits_per_spike")
    found = scorer(model, X[1::2])
    assert found == pytest.approx(bits_per_spike(later, rates), abs=1e-12)
    with pytest.raises(ValueError, match="not their square roots"):
        scorer(model, np.sqrt(X[1::2]))
    model.offset_ -= 10.0
    with pytest.raises(ValueError, match=r"the forecast must be .* not negative"):
        scorer(model, X[1::2])


@pytest.mark.parametrize(
    ("count", "rate", "text"),
    [
        (
            1.0,
            -0.5,
            "rates must be expected .*; got -0.5 in trial 1, time point 2, neu",
        ),
        (0.0, np.nan, "rates must be expected .*; got nan in trial 1"),
        (0.0, np.inf, "rates must be expected .*; got inf in trial 1"),
        (2.0, 0.0, "rates must be positive where .*; got 0 in trial 1"),
        (-1.0, 0.5, "X must be spike counts.*; got -1 in trial 1"),
        (1.5, 0.5, "X must be spike counts.*; got 1.5 in trial 1"),
        (np.inf, 0.5, "X must be spike counts.*; got inf in trial 1"),
    ],
)
def test_what_is_no_count_or_no_rate_is_refused(count, rate, text):
    X, rates = np.ones((2, 3, 2)), np.full((2, 3, 2), 0.5)
    X[1, 2, 0], rates[1, 2, 0] = count, rate
    with pytest.raises(ValueError, match=text):
        bits_per_spike(X, rates)
    X[1, 2, 0] = np.nan  # not recorded: it does not count
    assert np.isfinite(bits_per_spike(X, rates))


def test_a_rate_of_zero_where_there_is_no_spike():
    X = np.array([[[0.0], [3.0]]])
    # of the model 3 log 3 - 3, of the mean 3 log 1.5 - 3
    assert bits_per_spike(X, X) == pytest.approx(1.0)


# --------------------------------------------------------- what else trials may be in


def masked(X):
    hidden = np.random.default_rng(1).random(X.shape) < 0.1
    return np.ma.masked_array(np.where(hidden, 1e3, X), hidden)


def frames(X):
    pandas = pytest.importorskip("pandas")
    return [pandas.DataFrame(x).convert_dtypes() for x in np.ma.filled(X, np.nan)]


def column(X):
    pandas = pytest.importorskip("pandas")
    return pandas.Series(list(X), index=[f"t{k}" for k in range(len(X))])


def turned(X):
    xarray = pytest.importorskip("xarray")
    values = np.ma.filled(X, np.nan)
    return xarray.DataArray(values, dims=("epoch", "time", "unit")).transpose()


def trial_set(X):
    pandas = pytest.importorskip("pandas")
    from sklearn_jedi.io import TrialSet

    rows, columns = (pandas.DataFrame(index=range(n)) for n in X.shape[::2])
    return TrialSet(np.ma.filled(X, np.nan), 0.01, rows, columns)


FORMS = [np.ma.asarray, list, frames, column, turned, trial_set]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("score", [trajectory_r2, bits_per_spike])
def test_scores_of_trials_with_gaps_are_the_same_in_any_form(rng, form, score):
    X = rng.poisson(2.0, (3, 5, 4)).astype(float)
    rates = 2 + 0.1 * rng.standard_normal(X.shape)
    gaps = masked(X)
    expected = score(gaps.filled(np.nan), rates)
    X = form(gaps)
    assert score(X, rates) == pytest.approx(expected, abs=1e-12)
    assert score(X, turned(rates)) == pytest.approx(expected, abs=1e-12)


def test_predictions_of_other_times_are_refused(rng):
    X = turned(rng.standard_normal((3, 5, 4))).assign_coords(time=0.01 * np.arange(5))
    assert trajectory_r2(X, X.assign_coords(time=X.time + 1e-9)) == 1.0
    backwards = X.isel(time=slice(None, None, -1))
    with pytest.raises(ValueError, match=r"times of X_pred are not those of X .*0\.04"):
        trajectory_r2(X, backwards)
    with pytest.raises(ValueError, match="the times of rates are not those of X"):
        bits_per_spike(abs(X).round(), abs(backwards) + 1)


def test_a_prediction_that_is_missing_is_named(rng):
    X = rng.standard_normal((3, 5, 4))
    predicted = X.copy()
    predicted[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="NaN in trial 1, time point 2, neuron 3"):
        trajectory_r2(X, predicted)
    assert trajectory_r2(predicted, predicted) == 1.0


@pytest.mark.parametrize("form", [list, frames, column, turned, trial_set])
@pytest.mark.parametrize("score", [state_space_divergence, power_spectrum_distance])
def test_long_runs_are_compared_in_any_form(rng, form, score):
    X, Y = rng.standard_normal((2, 3, 30, 4))
    assert score(form(X), form(Y)) == pytest.approx(score(X, Y), abs=1e-12)
    assert score(form(X), Y) == pytest.approx(score(X, Y), abs=1e-12)
    with pytest.raises(ValueError, match="X contains NaN"):
        score(masked(X), Y)
    with pytest.raises(ValueError, match="trials of Y must have as many time points"):
        score(X, [Y[0], Y[1][:20]])


def test_states_are_read_by_the_names_of_their_axes(rng):
    rnn = LowRankRNN(*rng.standard_normal((2, 3, 4, 2)))
    states = rng.standard_normal((3, 5, 4))
    expected = vector_field_agreement(rnn, rnn, states)
    found = vector_field_agreement(rnn, rnn, turned(states))
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="states contains NaN"):
        vector_field_agreement(rnn, rnn, masked(states))


def test_other_units_and_trials_are_not_scored(rng):
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    X = rng.standard_normal((2, 5, 3))
    coords = {"trial": [7, 8], "neuron": [4, 5, 6]}
    array = xarray.DataArray(X, coords, ("trial", "time", "neuron"))
    assert trajectory_r2(array, array) == trajectory_r2(array, X) == 1.0
    for score in (trajectory_r2, state_space_divergence):
        with pytest.raises(
            ValueError, match=r"units of .* first that differs: 6, for 4"
        ):
            score(array, array[:, :, ::-1])
    with pytest.raises(
        ValueError, match=r"trials of X_pred .*first that differs: 8, fo"
    ):
        trajectory_r2(array, array[::-1])
    one, other = pandas.DataFrame(X[0], columns=[4, 5, 6]), pandas.DataFrame(X[1])
    with pytest.raises(
        ValueError, match="units of X, trial 1, are not those of X, trial"
    ):
        trajectory_r2([one, other.set_axis([6, 5, 4], axis=1)], X)


def test_the_scorer_tells_units_and_time_steps(rotations):
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    X, ids = rotations[0][:8], np.arange(20) + 3
    linear = LinearStateSpace(4, n_iter=1).fit(
        [pandas.DataFrame(x, columns=ids) for x in X]
    )
    mixed = [pandas.DataFrame(x, columns=ids)[ids[::-1]] for x in X]
    with pytest.raises(ValueError, match="the units of trial 0 are not those of fit"):
        ForecastScorer()(linear, mixed)
    jedi = JEDIEstimator(2, 2, dt=0.01, observation="state", max_epochs=0).fit(X)
    times = {"time": 0.02 * np.arange(40)}
    array = xarray.DataArray(X, times, ("trial", "time", "neuron"))
    with pytest.warns(
        UserWarning, match=r"0\.02 s apart, but JEDIEstimator was fitted"
    ):
        ForecastScorer()(jedi, array)


@pytest.fixture(scope="module")
def sessions():
    """Trials and labels of two sessions of different neurons; a division of both."""
    data = make_oscillator_sessions(
        2, 6, n_timepoints=20, n_neurons=(5, 8), random_state=2
    )
    assert len({trial.shape[1] for trial in data.X}) == 2
    return data.X, data.sessions, (np.arange(0, 12, 2), np.arange(1, 12, 2))


def meta():
    return MetaDynamicalSSM(2, 1, dt=0.01, gain=1.0, max_epochs=0)


def test_sessions_of_different_neurons_are_pooled(sessions):
    X, labels, _ = sessions
    fitted = meta().fit(X, sessions=labels)
    ahead = fitted.forecast([trial[:10] for trial in X], 10, sessions=labels)
    error = total = 0.0
    for session in (0, 1):
        true = np.stack(
            [x[10:] for x, s in zip(X, labels, strict=True) if s == session]
        )
        runs = np.stack([a for a, s in zip(ahead, labels, strict=True) if s == session])
        error += ((true - runs) ** 2).sum()
        total += ((true - true.mean((0, 1))) ** 2).sum()
    found = ForecastScorer()(fitted, X, sessions=labels)
    assert found == pytest.approx(1 - error / total, abs=1e-12)
    with pytest.raises(ValueError, match="pass sessions="):
        ForecastScorer()(fitted, X)


def test_sessions_are_routed_to_the_scorer(sessions):
    X, labels, (train, test) = sessions
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = meta().set_fit_request(sessions=True)
        common = {"cv": [(train, test)], "params": {"sessions": labels}}
        common |= {"return_estimator": True, "error_score": "raise"}
        scorer = ForecastScorer(8).set_score_request(sessions=True)
        found = cross_validate(estimator, X, scoring={"ahead": scorer}, **common)
        with pytest.raises(UnsetMetadataPassedError, match="sessions"):
            cross_validate(estimator, X, scoring=ForecastScorer(8), **common)
    (fitted,), (score,) = found["estimator"], found["test_ahead"]
    by_hand = ForecastScorer(8)(fitted, [X[i] for i in test], sessions=labels[test])
    assert score == pytest.approx(by_hand, abs=1e-12)
    np.testing.assert_array_equal(fitted.n_timepoints_in_, 20)
    assert len(fitted.embeddings_) == len(train)


@pytest.mark.parametrize(
    ("params", "length", "text"),
    [
        ({"metric": "bits"}, 40, "metric must be one of"),
        ({}, 2, "at least 3 time points"),
        ({"n_given": "half"}, 40, "n_given must be an integer"),
    ],
)
def test_scores_that_cannot_be_computed(em_fitted, rotations, params, length, text):
    with pytest.raises((ValueError, TypeError), match=text):
        ForecastScorer(**params)(em_fitted, rotations[0][:2, :length])


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
