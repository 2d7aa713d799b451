"""The linear baseline, against dense Gaussian conditioning and planted systems."""

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.io import TrialSet
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


@pytest.fixture(scope="module")
def fitted(spirals):
    return LinearStateSpace(2, n_iter=10).fit(spirals[0])


def eigenvalues(model):
    values = np.linalg.eigvals(model.transition_)
    return values[np.argsort(values.imag)]


# ----------------------------------------------------------------- exact, on one trial


class Dense:
    """All states and recordings of a trial as one Gaussian vector."""

    def __init__(self, model, n_timepoints):
        A, C, k = model.transition_, model.loading_, len(model.drift_)
        mean, means, powers = model.first_mean_, [], [np.eye(k)]
        for _ in range(n_timepoints):
            means.append(mean)
            mean = A @ mean + model.drift_
            powers.append(A @ powers[-1])
        self.mean = np.stack(means)
        zero = np.zeros((k, k))
        # z = L (first state, noise of each step)
        L = np.block(
            [
                [powers[t - s] if s <= t else zero for s in range(n_timepoints)]
                for t in range(n_timepoints)
            ]
        )
        source = block_diag(model.first_cov_, *[model.step_cov_] * (n_timepoints - 1))
        self.cov = L @ source @ L.T
        self.C = np.kron(np.eye(n_timepoints), C)
        self.noise = np.tile(model.noise_variance_, n_timepoints)
        self.expected = self.mean @ C.T + model.offset_

    def given(self, x):
        """Mean and covariance of all recordings' means, and the log density of x."""
        seen = np.isfinite(x.ravel())
        C = self.C[seen]
        cov = C @ self.cov @ C.T + np.diag(self.noise[seen])
        gain = self.cov @ C.T @ np.linalg.inv(cov)
        error = (x - self.expected).ravel()[seen]
        mean = self.expected.ravel() + self.C @ gain @ error
        left = self.C @ (self.cov - gain @ C @ self.cov) @ self.C.T
        density = multivariate_normal(np.zeros(len(error)), cov).logpdf(error)
        return mean.reshape(x.shape), left, density


@pytest.fixture
def short():
    """A model, and trials of 7, 5 and 7 time points with gaps, padded."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((8, 7, 4)).cumsum(1) + 2
    X[1, 5:] = np.nan
    X[2, 2:4] = np.nan
    X[2, 5, 1] = np.nan
    X[3, :, 0] = np.nan
    return LinearStateSpace(3, n_iter=4).fit(X), X


def test_smoother_and_log_likelihood_are_exact(short):
    model, X = short
    dense = Dense(model, 7)
    smooth, runs, total = model.smooth(X), model.reconstruct(X), 0.0
    for x, found, run in zip(X, smooth, runs, strict=True):
        mean, _, density = dense.given(x)
        length = 5 if np.isnan(x[5:]).all() else 7
        np.testing.assert_allclose(found[:length], mean[:length], atol=1e-9)
        assert np.isnan(found[length:]).all()
        np.testing.assert_allclose(run[0], found[0])
        total += density
    assert model.log_likelihood(X) == pytest.approx(total, rel=1e-10)
    assert model.log_likelihood(X) == pytest.approx(model.log_likelihood_, rel=1e-12)


def test_forecasts_are_exact_and_start_where_each_trial_ends(short):
    model, X = short
    mean, std = model.forecast(X, 4, return_std=True)
    assert mean.shape == std.shape == (8, 4, 4)
    np.testing.assert_array_equal(mean, model.forecast(X, 4))
    for trial, length in ((0, 7), (1, 5), (2, 7)):
        dense = Dense(model, length + 4)
        ahead = np.full((length + 4, 4), np.nan)
        ahead[:length] = X[trial, :length]
        expected, cov, _ = dense.given(ahead)
        variance = (np.diag(cov) + dense.noise).reshape(-1, 4)[length:]
        np.testing.assert_allclose(mean[trial], expected[length:], atol=1e-9)
        np.testing.assert_allclose(std[trial], np.sqrt(variance), rtol=1e-9)


def test_a_round_of_em_never_lowers_the_likelihood(short):
    X = short[1]
    rounds = [
        LinearStateSpace(2, n_iter=n).fit(X).log_likelihood_ for n in (1, 2, 3, 9)
    ]
    assert np.all(np.diff(rounds) > 0)


def test_em_ends_where_the_likelihood_has_no_slope():
    """After many rounds, no small change of any parameter is an improvement."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((40, 1, 1)) * 0.8 ** np.arange(12)[:, None]
    X = z * [1.0, -0.5, 2.0] + [1.0, 2.0, 3.0] + 0.3 * rng.standard_normal((40, 12, 3))
    model = LinearStateSpace(1, n_iter=1000).fit(X)
    best = model.log_likelihood(X)
    for name in ("transition_", "loading_", "offset_", "noise_variance_"):
        value = getattr(model, name)
        for factor in (0.99, 1.01):
            setattr(model, name, factor * value)
            assert model.log_likelihood(X) < best + 1e-3
        setattr(model, name, value)


# -------------------------------------------------------------------- planted systems


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
    np.testing.assert_allclose(model.noise_variance_, 0.25, rtol=0.15)
    inside = np.isfinite(X).any(2)
    assert trajectory_r2(clean[inside][None], model.smooth(X)[inside][None]) > 0.98


def test_trials_of_equal_length_are_the_limit_of_a_gap_that_closes(spirals):
    """One missing value makes one trial its own covariance, and nothing else."""
    X = spirals[0]
    one = X.copy()
    one[0, -1, 0] = np.nan
    whole, with_gap = (LinearStateSpace(2, n_iter=5).fit(x) for x in (X, one))
    np.testing.assert_allclose(with_gap.transition_, whole.transition_, atol=1e-3)
    np.testing.assert_allclose(
        with_gap.noise_variance_, whole.noise_variance_, rtol=5e-3
    )


def test_standard_deviations_cover(spirals, fitted):
    X = spirals[0]
    mean, std = fitted.forecast(X[:, :30], 20, return_std=True)
    errors = (X[:, 30:] - mean) / std
    assert 0.93 < np.mean(np.abs(errors) < 1.96) < 0.97


def test_score_is_r2_of_free_runs(spirals, fitted):
    X = spirals[0].copy()
    X[0, 10:20, 3] = np.nan
    assert fitted.score(X) == pytest.approx(trajectory_r2(X, fitted.reconstruct(X)))


# ------------------------------------------------------------------------ an estimator


def test_scikit_learns_checks_pass():
    results = check_estimator(LinearStateSpace(n_iter=5), on_fail=None, on_skip=None)
    others = {
        result["check_name"]: (result["status"], repr(result["exception"]))
        for result in results
        if result["status"] != "passed"
    }
    assert others == {}


def test_list_array_and_padded_array_are_the_same_trials(spirals, fitted):
    X = spirals[0]
    trials = [*X[:3], X[3, :25]]
    padded = X[:4].copy()
    padded[3, 25:] = np.nan
    for name in ("smooth", "reconstruct"):
        listed, whole = (getattr(fitted, name)(form) for form in (trials, padded))
        assert [len(trial) for trial in listed] == [50, 50, 50, 25]
        for one, other in zip(listed, whole, strict=True):
            np.testing.assert_allclose(one, other[: len(one)])
        assert np.isnan(whole[3, 25:]).all()
    np.testing.assert_allclose(fitted.forecast(trials, 6), fitted.forecast(padded, 6))
    assert fitted.score(trials) == pytest.approx(fitted.score(padded))
    again = LinearStateSpace(2, n_iter=2)
    np.testing.assert_array_equal(
        again.fit(trials).transition_, clone(again).fit(padded).transition_
    )


def test_labelled_arrays_come_back_labelled(spirals, fitted):
    xr = pytest.importorskip("xarray", reason="needs xarray (extra io)")
    X = xr.DataArray(
        spirals[0][:4].transpose(2, 0, 1),
        dims=("neuron", "trial", "time"),
        coords={"time": 0.01 * np.arange(50), "trial": list("abcd")},
    )
    smooth, ahead = fitted.smooth(X), fitted.forecast(X, 3)
    assert smooth.dims == ahead.dims == X.dims
    np.testing.assert_allclose(
        smooth.transpose("trial", "time", "neuron"), fitted.smooth(spirals[0][:4])
    )
    np.testing.assert_allclose(ahead["time"], [0.5, 0.51, 0.52])
    assert list(ahead["trial"].values) == list("abcd")


def test_a_trial_set_is_its_trials(spirals, fitted):
    pd = pytest.importorskip("pandas", reason="needs pandas (extra io)")
    X, index = spirals[0][:4], pd.RangeIndex
    trials = TrialSet(
        X, 0.01, pd.DataFrame(index=index(4)), pd.DataFrame(index=index(12))
    )
    np.testing.assert_array_equal(fitted.smooth(trials), fitted.smooth(X))
    np.testing.assert_array_equal(fitted.forecast(trials, 2), fitted.forecast(X, 2))


def test_one_neuron_one_trial_float32(spirals):
    X = spirals[0][:1, :, 0].astype(np.float32)
    with pytest.warns(UserWarning, match="of one neuron"):
        model = LinearStateSpace(3, n_iter=5).fit(X)
    # no more states than neurons
    assert model.transition_.shape == (1, 1)
    assert (model.n_features_in_, model.n_neurons_in_) == (50, 1)
    with pytest.warns(UserWarning, match="of one neuron"):
        smooth, (mean, std) = model.smooth(X), model.forecast(X, 3, return_std=True)
    assert smooth.shape == (1, 50)
    assert mean.shape == std.shape == (1, 3)
    assert smooth.dtype == mean.dtype == std.dtype == np.float32


def test_grid_search_over_states(spirals):
    search = GridSearchCV(LinearStateSpace(n_iter=10), {"n_states": [1, 2]}, cv=2)
    assert search.fit(spirals[0]).best_params_ == {"n_states": 2}


def test_start_sd_auto_is_an_eighth_of_the_shortest_trial(spirals):
    trials = [*spirals[0][:10], spirals[0][10, :16]]
    auto, two, four = (
        LinearStateSpace(2, n_iter=1, start_sd=sd).fit(trials).log_likelihood_
        for sd in ("auto", 2.0, 4.0)
    )
    assert auto == two != four


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"n_states": 0}, ValueError),
        ({"n_states": 1.5}, TypeError),
        ({"n_iter": 0}, ValueError),
        ({"start_sd": -1.0}, ValueError),
        ({"start_sd": "none"}, TypeError),
    ],
)
def test_parameters_are_checked(spirals, params, error):
    with pytest.raises(error, match=next(iter(params))):
        LinearStateSpace(**params).fit(spirals[0])


def test_other_neurons_and_unfitted_models_are_refused(spirals, fitted):
    X = spirals[0]
    with pytest.raises(ValueError, match="11 neurons"):
        fitted.smooth(X[:, :, :11])
    with pytest.raises(NotFittedError):
        LinearStateSpace().forecast(X, 2)
    model = clone(fitted).fit(X)
    with pytest.raises(ValueError, match="infinity"):
        model.fit(np.full_like(X, np.inf))
    with pytest.raises(NotFittedError):
        model.score(X)


def test_progress(spirals, capsys):
    LinearStateSpace(1, n_iter=2, verbose=1).fit(spirals[0])
    assert "EM round 2/2" in capsys.readouterr().out
