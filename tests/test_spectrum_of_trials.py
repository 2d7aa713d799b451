"""SpectrumAnalyzer on trials: features for classifiers, and credible intervals."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
from sklearn_jedi.analysis import SpectrumAnalyzer
from sklearn_jedi.datasets import (
    make_driven_teachers,
    make_oscillator_sessions,
    make_rotation_family,
)


@pytest.fixture(scope="module")
def driven():
    """Trials driven at 1, 4 and 10 Hz."""
    return make_driven_teachers(
        8, n_neurons=30, n_timepoints=60, frequencies=(1, 4, 10), random_state=0
    )[:2]


def spectra_of_trials(kind="connectivity", **params):
    jedi = JEDIEstimator(rank=3, embedding_dim=2, max_epochs=0)
    return SpectrumAnalyzer(kind, estimator=jedi, **params)


@pytest.fixture(scope="module")
def of_trials(driven):
    """Fitted on every second trial; tests must not change it."""
    return spectra_of_trials().fit(driven[0][::2])


def test_classes_are_read_from_spectra(driven):
    X, y = driven
    pipe = make_pipeline(
        SpectrumAnalyzer(estimator=JEDIEstimator(max_epochs=0)),
        StandardScaler(),
        LogisticRegression(),
    )
    assert cross_val_score(pipe, X, y, cv=2).mean() > 0.9


def test_grid_search_over_the_rank(driven):
    X, y = driven
    pipe = make_pipeline(spectra_of_trials(), StandardScaler(), LogisticRegression())
    name = "spectrumanalyzer__estimator__rank"
    assert pipe.get_params()[name] == 3
    search = GridSearchCV(pipe, {name: [2, 3]}, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_estimator_[0]
    n_modes = search.best_params_[name]
    assert best.estimator_.rank == best.eigenvalues_.shape[1] == n_modes
    assert len(best.get_feature_names_out()) == 2 * n_modes + 5


def test_the_estimator_given_is_left_alone(driven):
    jedi = JEDIEstimator(rank=3, embedding_dim=2, max_epochs=0)
    spectra = clone(SpectrumAnalyzer(estimator=jedi)).fit(driven[0])
    assert spectra.estimator is not jedi
    SpectrumAnalyzer(estimator=jedi).fit(driven[0])
    assert not hasattr(jedi, "embeddings_")
    assert not hasattr(spectra.estimator, "embeddings_")
    assert hasattr(spectra.estimator_, "embeddings_")


def test_spectra_of_other_trials_are_those_of_the_fitted_model(driven, of_trials):
    others = driven[0][1::2]
    jedi = of_trials.estimator_
    embeddings = jedi.embeddings_.copy()
    networks = jedi.dynamics(jedi.transform(others))
    expected = SpectrumAnalyzer().fit_transform(networks)
    np.testing.assert_allclose(of_trials.transform(others), expected)
    assert of_trials.estimator_ is jedi
    np.testing.assert_array_equal(jedi.embeddings_, embeddings)
    assert len(of_trials.networks_) == len(driven[0][::2])


def test_jacobians_along_the_free_runs_of_ragged_trials(driven):
    ragged = [trial[: 40 + 2 * k] for k, trial in enumerate(driven[0][:6])]
    spectra = spectra_of_trials("jacobian", time="flow").fit(ragged)
    assert [len(v) for v in spectra.eigenvalues_] == [40, 42, 44, 46, 48, 50]
    jedi = spectra.estimator_
    networks = jedi.dynamics(jedi.transform(ragged))
    runs = jedi.reconstruct(ragged)
    expected = SpectrumAnalyzer("jacobian", time="flow").fit(networks, states=runs)
    for found, values in zip(spectra.rates_, expected.rates_, strict=True):
        np.testing.assert_allclose(found, values, atol=1e-5)
    assert spectra.transform(ragged).shape == (6, 11)


def test_free_runs_of_counts_are_in_the_units_of_their_networks(driven, rng):
    """Log expected counts, which is not what `reconstruct` returns."""
    X = rng.poisson(np.exp(0.3 * driven[0][::4, :30, :10]))
    jedi = JEDIEstimator(2, 1, observation="poisson", gain=1.0, dt=0.01, max_epochs=0)
    spectra = SpectrumAnalyzer("jacobian", estimator=jedi).fit(X)
    fitted = spectra.estimator_
    networks, runs = fitted.dynamics(fitted.transform(X)), fitted.reconstruct(X)
    expected = SpectrumAnalyzer("jacobian").fit(networks, states=np.log(runs))
    np.testing.assert_allclose(spectra.rates_, expected.rates_, atol=1e-6)


def test_sessions_are_passed_on():
    data = make_oscillator_sessions(
        2, 4, n_timepoints=30, n_neurons=(6, 9), random_state=0
    )
    X, labels = data.X, {"sessions": data.sessions}
    meta = MetaDynamicalSSM(2, 1, gain=1.0, dt=0.01, max_epochs=0)
    spectra = SpectrumAnalyzer(estimator=meta).fit(X, **labels)
    fitted = spectra.estimator_
    assert fitted.sessions_.tolist() == [0, 1]
    some = slice(2, 6)
    some_labels = {"sessions": data.sessions[some]}
    networks = fitted.dynamics(fitted.transform(X[some], **some_labels))
    np.testing.assert_allclose(
        spectra.transform(X[some], **some_labels),
        SpectrumAnalyzer().fit_transform(networks),
    )
    found = spectra.credible_intervals(
        X[some], n_draws=3, random_state=0, **some_labels
    )
    assert found.eigenvalues.shape == (4, 3, 2)
    with pytest.raises(ValueError, match="sessions are labels of trials, for an estim"):
        SpectrumAnalyzer().fit(networks, **some_labels)


def test_conditions_are_passed_on(driven):
    X, y = driven
    jedi = JEDIEstimator(3, 2, embedding="condition", dt=0.01, max_epochs=0)
    features = SpectrumAnalyzer(estimator=jedi).fit_transform(X, conditions=y)
    for k in range(3):
        np.testing.assert_array_equal(features[y == k], features[y == k][[0] * 8])
    assert len(np.unique(features, axis=0)) == 3


def test_padding_with_nan_is_no_part_of_a_trial(driven):
    ragged = [trial[: 40 + 2 * k] for k, trial in enumerate(driven[0][:6])]
    padded = np.full((6, 60, 30), np.nan)
    for row, trial in zip(padded, ragged, strict=True):
        row[: len(trial)] = trial
    spectra = spectra_of_trials("jacobian").fit(ragged)
    np.testing.assert_allclose(
        spectra.transform(padded), spectra.transform(ragged), rtol=1e-6
    )


def test_columns_of_a_data_frame_have_names(driven, of_trials):
    pandas = pytest.importorskip("pandas")
    spectra = clone(of_trials).set_output(transform="pandas").fit(driven[0][::2])
    frame = spectra.transform(driven[0])
    assert isinstance(frame, pandas.DataFrame)
    assert frame.columns.tolist() == of_trials.get_feature_names_out().tolist()
    np.testing.assert_allclose(frame.to_numpy(), of_trials.transform(driven[0]))


# ---------------------------------------------------------------------------- intervals


def widths(intervals):
    """Median over the trials, of rates and frequencies."""
    return np.median(np.diff(intervals.features, axis=2)[..., 0], axis=0)[:4]


def few(X):
    """Two trials of each condition."""
    return X[::3]


@pytest.fixture(scope="module")
def noisy_rotations():
    """Some of the trials, their true spectra, and an analyzer fitted on all."""
    X, y, networks = make_rotation_family(
        6, n_neurons=30, n_timepoints=60, observation_noise=0.3, random_state=0
    )
    jedi = JEDIEstimator(
        rank=2, embedding_dim=2, max_epochs=0, observation="gaussian", random_state=0
    )
    spectra = SpectrumAnalyzer(estimator=jedi).fit(X)
    return few(X), SpectrumAnalyzer().fit(networks[few(y)]), spectra


@pytest.fixture(scope="module")
def intervals(noisy_rotations):
    X, _, spectra = noisy_rotations
    return spectra.credible_intervals(X, n_draws=60, random_state=0)


def test_intervals_of_every_trial(noisy_rotations, intervals):
    X, _, spectra = noisy_rotations
    assert intervals.eigenvalues.shape == (8, 60, 2)
    assert intervals.features.shape == (8, 9, 2)
    assert (intervals.features[..., 0] <= intervals.features[..., 1]).all()
    few_draws = [
        spectra.credible_intervals(X[:1], n_draws=5, random_state=seed)
        for seed in (0, 0, 1)
    ]
    for same, again, other in zip(*few_draws, strict=True):
        np.testing.assert_array_equal(same, again)
        assert (same != other).all()


def test_draws_are_in_the_order_of_the_estimate(noisy_rotations, intervals):
    X, _, spectra = noisy_rotations
    jedi = spectra.estimator_
    own = SpectrumAnalyzer().fit(jedi.dynamics(jedi.transform(X)))
    centre = intervals.eigenvalues.mean(axis=1)
    np.testing.assert_allclose(centre, own.eigenvalues_, atol=0.1)
    assert (intervals.eigenvalues[..., 0].imag > 0).all()


def test_intervals_are_quantiles_of_the_draws(intervals):
    values = intervals.eigenvalues[..., 0]
    multipliers = 1 + 0.1 * (values - 1)
    for column, draws in (
        (0, np.log(np.abs(multipliers)) / 0.01),
        (2, np.angle(multipliers) / (2 * np.pi * 0.01)),
    ):
        expected = np.quantile(draws, [0.05, 0.95], axis=1).T
        np.testing.assert_allclose(intervals.features[:, column], expected, atol=1e-9)


def test_intervals_are_around_the_estimate(noisy_rotations, intervals):
    X, _, spectra = noisy_rotations
    lower, upper = np.moveaxis(intervals.features, 2, 0)
    estimate = spectra.transform(X)
    assert ((lower <= estimate) & (estimate <= upper)).mean() > 0.9


def test_intervals_widen_with_their_level(noisy_rotations, intervals):
    X, _, spectra = noisy_rotations
    half = spectra.credible_intervals(X, n_draws=60, level=0.5, random_state=0)
    assert (half.features[..., 0] >= intervals.features[..., 0]).all()
    assert (half.features[..., 1] <= intervals.features[..., 1]).all()
    # normal draws: 0.674 against 1.645 standard deviations
    np.testing.assert_allclose(widths(half) / widths(intervals), 0.41, atol=0.15)


def test_intervals_widen_where_there_is_less_to_go_by(noisy_rotations, intervals):
    X, _, spectra = noisy_rotations
    short = [trial[:20] for trial in X]
    found = spectra.credible_intervals(short, n_draws=60, random_state=0)
    assert (widths(found) > 1.3 * widths(intervals)).all()


def test_intervals_widen_with_noise(noisy_rotations, intervals):
    noisier = make_rotation_family(
        6, n_neurons=30, n_timepoints=60, observation_noise=1.0, random_state=0
    )[0]
    spectra = clone(noisy_rotations[2]).fit(noisier)
    wide = spectra.credible_intervals(few(noisier), n_draws=60, random_state=0)
    assert (widths(wide) > 1.3 * widths(intervals)).all()


def test_intervals_hold_the_true_spectra_of_trials_that_the_model_made(
    noisy_rotations, rng
):
    """The model's own errors, which all trials share, are not part of intervals."""
    X, _, spectra = noisy_rotations
    jedi = spectra.estimator_
    networks = jedi.dynamics(jedi.transform(np.repeat(X, 6, axis=0)))
    starts = np.repeat(jedi.initial_states(X), 6, axis=0)
    trials = networks.simulate(starts, 60, noise=0.05, random_state=0)
    trials += 0.3 * rng.standard_normal(trials.shape)
    found = spectra.credible_intervals(trials, n_draws=50, random_state=0)
    true = SpectrumAnalyzer().fit_transform(networks)
    inside = (found.features[..., 0] <= true) & (true <= found.features[..., 1])
    assert 0.8 < inside[:, [0, 2]].mean() < 0.98  # 0.9, but for 48 trials' chance


def test_intervals_along_free_runs(driven):
    spectra = spectra_of_trials("jacobian").fit(driven[0][::2])
    ragged = [driven[0][1], driven[0][9][:50]]
    found = spectra.credible_intervals(ragged, n_draws=40, random_state=0)
    assert found.eigenvalues.shape == (2, 40, 3)
    assert found.features.shape == (2, 11, 2)
    estimate = spectra.transform(ragged)
    inside = (found.features[..., 0] <= estimate) & (estimate <= found.features[..., 1])
    assert inside.mean() > 0.8


def test_states_of_trials_cannot_be_chosen(driven):
    with pytest.raises(ValueError, match="states are the trials' free runs"):
        spectra_of_trials("jacobian").fit(driven[0], states=np.zeros((24, 1, 30)))


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"n_draws": 1}, "n_draws"),
        ({"n_draws": 10.5}, "n_draws"),
        ({"level": 0.0}, "level must be between 0 and 1; got 0"),
        ({"level": 90}, "level must be between 0 and 1; got 90"),
    ],
)
def test_parameters_of_intervals(of_trials, driven, params, text):
    with pytest.raises((ValueError, TypeError), match=text):
        of_trials.credible_intervals(driven[0], **params)
