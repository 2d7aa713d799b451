"""What JEDIEstimator finds, returns and leaves alone."""

import copy
import functools

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._models import _observed as _state_model
from sklearn_jedi.datasets import make_driven_teachers, make_rotation_family
from sklearn_jedi.metrics import trajectory_r2


def small(**params):
    return JEDIEstimator(**{"rank": 2, "embedding_dim": 2, "max_epochs": 0, **params})


def upper(eigenvalues):
    """The member of a complex pair with positive imaginary part."""
    return eigenvalues.real + 1j * np.abs(eigenvalues.imag)


# ------------------------------------------------------------------ planted quantities


@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 0.03), (0.05, 0.06)])
def test_leading_eigenvalues_of_rotations(noise, tolerance):
    X, y, networks = make_rotation_family(
        12, n_neurons=50, n_timepoints=80, noise=noise, random_state=0
    )
    jedi = small().fit(X)
    true = upper(networks[y].eigenvalues[:, 0])
    found = upper(jedi.dynamics(jedi.embeddings_).eigenvalues[:, 0])
    assert np.median(np.abs(found - true) / np.abs(true)) < tolerance


def test_rotation_frequency_orders_the_leading_embedding_axis(em_fitted, rotations):
    first_axis = em_fitted.embeddings_[:, 0]
    means = np.array([first_axis[rotations[1] == k].mean() for k in range(4)])
    # the documented eigenvalues of 1 to 4 Hz are about equally spaced
    spacing = np.diff(means)
    np.testing.assert_allclose(spacing / spacing.mean(), 1, atol=0.1)


@pytest.mark.parametrize("max_epochs", [0, 2], ids=["em", "trained"])
def test_driven_teachers_are_reproduced_and_told_apart(max_epochs):
    X, y, _ = make_driven_teachers(8, n_timepoints=60, n_neurons=60, random_state=0)
    held_out = np.arange(len(y)) % 4 == 0
    jedi = JEDIEstimator(max_epochs=max_epochs, random_state=0).fit(X[~held_out])
    # 0.997 at worst over five seeds
    assert jedi.score(X[~held_out]) > 0.99
    assert jedi.score(X[held_out]) > 0.99
    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    classifier.fit(jedi.embeddings_, y[~held_out])
    assert classifier.score(jedi.transform(X[held_out]), y[held_out]) > 0.9


@pytest.mark.parametrize("ridge", ["auto", 1.0])
def test_training_is_not_worse_than_em(rotations, ridge):
    X = rotations[0]
    em = small(ridge=ridge).fit(X)
    trained = small(ridge=ridge, max_epochs=6, random_state=0).fit(X)
    assert trained.score(X) > em.score(X) - 1e-3
    assert (trained.best_epoch_ > 0) or ridge == "auto"
    if trained.best_epoch_:
        losses = [row["valid_loss"] for row in trained.history_]
        assert trained.best_epoch_ == 1 + int(np.argmin(losses))


def test_max_epochs_0_stops_after_em(em_fitted):
    assert em_fitted.net_ is None
    assert list(em_fitted.history_) == []
    assert em_fitted.best_epoch_ == 0
    assert em_fitted.n_iter_ >= 1


def test_trials_too_short_to_train_on_stop_after_em(rotations):
    jedi = small(max_epochs=5).fit(rotations[0][:, :4])
    assert jedi.net_ is None
    assert jedi.best_epoch_ == 0


def test_given_settings_are_used(rotations):
    jedi = small(gain=0.5, window=3, ridge=0.05).fit(rotations[0])
    assert (jedi.gain_, jedi.window_, jedi.ridge_) == (0.5, 3, 0.05)


def test_without_hidden_layers_the_hypernetwork_stays_affine(rotations):
    X = rotations[0]
    jedi = small(hidden_layer_sizes=(), ridge=1.0, max_epochs=6, random_state=0)
    jedi.fit(X)
    assert jedi.best_epoch_ > 0
    a, b = np.array([[0.3, -1.0]]), np.array([[-0.7, 0.4]])
    J = jedi.dynamics(np.concatenate([a, b, (a + b) / 2])).J
    np.testing.assert_allclose((J[0] + J[1]) / 2, J[2], atol=1e-10)


# ------------------------------------------------------- activity, forecasts, networks


def test_score_is_the_r2_of_reconstruct_without_the_copied_bin(fitted, rotations):
    X = rotations[0][::3]
    runs = fitted.reconstruct(X)
    np.testing.assert_allclose(runs[:, 0], X[:, 0], rtol=1e-12)
    expected = trajectory_r2(X[:, 1:], runs[:, 1:])
    assert fitted.score(X) == pytest.approx(expected, abs=1e-12)


def test_reconstruct_runs_the_networks_of_the_embeddings(fitted, rotations):
    X = rotations[0][:5]
    networks = fitted.dynamics(fitted.transform(X))
    np.testing.assert_allclose(
        fitted.reconstruct(X), networks.simulate(X[:, 0], X.shape[1]), atol=1e-10
    )


def test_forecast_runs_on_from_the_last_bin(fitted, rotations):
    X = rotations[0][:5, :25]
    networks = fitted.dynamics(fitted.transform(X))
    forecast = fitted.forecast(X, 7)
    assert forecast.shape == (5, 7, 20)
    np.testing.assert_allclose(
        forecast, networks.simulate(X[:, -1], 8)[:, 1:], atol=1e-10
    )


def test_initial_states_are_the_first_bins(fitted, rotations):
    X = rotations[0]
    states = fitted.initial_states(X)
    np.testing.assert_allclose(states, X[:, 0], rtol=1e-12)
    assert not np.shares_memory(states, X)


def test_trials_may_be_of_another_length(fitted, rotations):
    X = rotations[0]
    assert fitted.transform(X[:, :2]).shape == (24, 2)
    longer = np.concatenate([X, X[:, ::-1]], axis=1)
    assert fitted.reconstruct(longer).shape == longer.shape


def test_trials_of_a_list_end_where_an_array_is_padded_with_nan(fitted, rotations):
    padded = rotations[0][:3].copy()
    padded[1, 30:] = np.nan
    ragged = [padded[0], padded[1, :30], padded[2]]
    Z = fitted.transform(ragged)
    np.testing.assert_allclose(Z, fitted.transform(padded), atol=1e-10)
    np.testing.assert_allclose(Z[[1]], fitted.transform(padded[[1], :30]), atol=1e-8)
    runs, of_array = fitted.reconstruct(ragged), fitted.reconstruct(padded)
    assert [run.shape for run in runs] == [(40, 20), (30, 20), (40, 20)]
    assert np.isnan(of_array[1, 30:]).all()
    for run, other in zip(runs, of_array, strict=True):
        np.testing.assert_allclose(run, other[: len(run)], atol=1e-10)
    assert fitted.score(ragged) == pytest.approx(fitted.score(padded), abs=1e-10)
    ahead = fitted.forecast(ragged, 5)
    np.testing.assert_allclose(ahead[1], fitted.forecast(padded[[1], :30], 5)[0])


def test_gaps_are_filled_by_the_free_run(fitted, rotations):
    X = rotations[0][:4].copy()
    X[1, 10:14], X[2, :3] = np.nan, np.nan
    runs = fitted.reconstruct(X)
    assert np.isnan(runs[2, :3]).all()
    assert np.isfinite(np.delete(runs, 2, axis=0)).all()
    np.testing.assert_allclose(fitted.initial_states(X)[2], X[2, 3], rtol=1e-12)
    missed = runs[1, 10:14] - rotations[0][1, 10:14]
    assert np.mean(missed**2) < 0.05 * rotations[0].var()
    # the first whole bin of each trial is copied
    scored = X.copy()
    scored[:, 0], scored[2, 3] = np.nan, np.nan
    assert fitted.score(X) == pytest.approx(trajectory_r2(scored, runs), abs=1e-10)


@pytest.mark.parametrize("kind", ["condition", "session"])
def test_trials_of_a_condition_or_session_share_an_embedding(fitted, rotations, kind):
    X, y, _ = rotations
    jedi = copy.copy(fitted).set_params(embedding=kind)
    name = f"{kind}s"
    shared, cov = jedi.embedding_posterior(X, **{name: y})
    for label in range(4):
        assert len(np.unique(shared[y == label], axis=0)) == 1
    alone, alone_cov = jedi.embedding_posterior(X, **{name: np.arange(24)})
    np.testing.assert_allclose(alone, jedi.transform(X), atol=1e-6)
    assert (np.linalg.det(cov) < np.linalg.det(alone_cov)).all()
    runs = jedi.reconstruct(X, **{name: y})
    networks = jedi.dynamics(shared)
    np.testing.assert_allclose(runs, networks.simulate(X[:, 0], 40), atol=1e-10)
    ahead = jedi.forecast(X[:, :25], 5, **{name: y})
    shared = jedi.transform(X[:, :25], **{name: y})
    expected = jedi.dynamics(shared).simulate(X[:, 24], 6)[:, 1:]
    np.testing.assert_allclose(ahead, expected, atol=1e-10)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_each_trial_runs_in_its_own_network_whatever_the_batch(rotations, batch_size):
    """Against the equation, step by step, one network at a time."""
    X = rotations[0]
    jedi = small(batch_size=batch_size, gain=0.5).fit(X)
    runs = jedi.reconstruct(np.tile(X, (3, 1, 1)))
    networks = jedi.dynamics(jedi.transform(X))
    for trial in range(0, 24, 5):
        J, b, r = networks.J[trial], networks.bias[trial], X[trial, 0]
        for run in runs[trial::24]:
            np.testing.assert_allclose(run[0], X[trial, 0], rtol=1e-12)
        for step in range(1, 40):
            r = 0.9 * r + 0.1 * (J @ np.tanh(0.5 * r) / 0.5 + b)
            for run in runs[trial::24]:
                np.testing.assert_allclose(run[step], r, atol=1e-8)


# ---------------------------------------------------------------- embedding posterior


def test_posterior_mean_is_transform(fitted, rotations):
    X = rotations[0][::2]
    mean, cov = fitted.embedding_posterior(X)
    np.testing.assert_array_equal(mean, fitted.transform(X))
    assert cov.shape == (12, 2, 2)
    np.testing.assert_allclose(cov, np.swapaxes(cov, 1, 2), atol=1e-12)
    eigenvalues = np.linalg.eigvalsh(cov)
    assert eigenvalues.min() > 0
    # data never make one less certain than the prior, of unit variance
    assert eigenvalues.max() <= 1 + 1e-9


def test_two_bins_say_less_about_an_embedding_than_forty(fitted, rotations):
    X = rotations[0]
    spread = [
        np.trace(fitted.embedding_posterior(part)[1], axis1=1, axis2=2).mean()
        for part in (X[:, :2], X)
    ]
    assert spread[1] < 0.5 * spread[0]


def test_trials_that_do_not_converge_are_reported(trained, rotations, monkeypatch):
    impatient = functools.partial(_state_model.infer_embeddings, max_iter=0)
    monkeypatch.setattr(_state_model, "infer_embeddings", impatient)
    with pytest.warns(ConvergenceWarning, match="5 of 5 embeddings"):
        Z = trained.transform(rotations[0][:5])
    assert np.isfinite(Z).all()


# ------------------------------------------------------------------------------- units


def test_unit_scale_data_are_left_as_they_are(em_fitted):
    np.testing.assert_array_equal(em_fitted.offset_, np.zeros(20))
    np.testing.assert_array_equal(em_fitted.scale_, np.ones(20))
    assert em_fitted.gain_ == 1


@pytest.mark.parametrize("max_epochs", [0, 2], ids=["em", "trained"])
def test_units_of_the_data_do_not_matter(rotations, max_epochs):
    hertz = 30 * rotations[0] + 10
    kilohertz = hertz / 1000
    one, two = (
        small(max_epochs=max_epochs, random_state=0).fit(X) for X in (hertz, kilohertz)
    )
    assert one.scale_.min() > 10
    np.testing.assert_allclose(one.scale_, 1000 * two.scale_, rtol=1e-9)
    np.testing.assert_allclose(one.offset_, 1000 * two.offset_, rtol=1e-9)
    tolerance = 1e-6 if max_epochs == 0 else 1e-2
    np.testing.assert_allclose(one.embeddings_, two.embeddings_, atol=tolerance)
    assert one.score(hertz) == pytest.approx(two.score(kilohertz), abs=1e-3)
    assert one.score(hertz) > 0.95
    np.testing.assert_allclose(
        one.noise_variance_, 1e6 * two.noise_variance_, rtol=1e-2
    )


def test_networks_are_in_the_units_of_the_data(rotations):
    X = 30 * rotations[0] + 10
    jedi = small().fit(X)
    networks = jedi.dynamics(jedi.transform(X))
    runs = jedi.reconstruct(X)
    np.testing.assert_allclose(networks.step(X[:, 0]), runs[:, 1], atol=1e-8)
    np.testing.assert_allclose(networks.step(runs[:, 4]), runs[:, 5], atol=1e-8)


def test_noise_variance_is_that_of_one_step_errors(fitted, rotations):
    X = rotations[0]
    networks = fitted.dynamics(fitted.embeddings_)
    predicted = networks.step(X[:, :-1])
    errors = ((X[:, 1:] - predicted) ** 2).mean((0, 1))
    np.testing.assert_allclose(fitted.noise_variance_, errors, rtol=1e-6)
    # the generator's process noise has a standard deviation of 0.05
    assert np.sqrt(fitted.noise_variance_.mean()) == pytest.approx(0.05, rel=0.1)


# --------------------------------------------------------------------------- callbacks


class CountEpochs(Callback):
    seen = ()

    def __init__(self, log):
        self.log = log

    def __deepcopy__(self, memo):
        return CountEpochs(self.log)

    def on_epoch_end(self, net, **kwargs):
        self.seen = (*self.seen, len(net.history))
        self.log.append(len(net.history))


def test_callbacks_run_on_a_copy(rotations):
    log = []
    callback = CountEpochs(log)
    jedi = small(max_epochs=3, callbacks=[callback]).fit(rotations[0])
    assert log == [1, 2, 3]
    assert callback.seen == ()
    assert jedi.callbacks[0] is callback


class Interrupt(Callback):
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


def test_an_interrupt_leaves_a_fitted_model(rotations):
    X = rotations[0]
    jedi = small(max_epochs=50, callbacks=[Interrupt()], random_state=0).fit(X)
    assert len(jedi.history_) == 2
    assert jedi.best_epoch_ <= 2
    assert jedi.score(X) > 0.95


class Spoil(Callback):
    """Sets the weights to NaN once `after` epochs are over."""

    def __init__(self, after):
        self.after = after

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.after + 1:
            net.module_.hypernetwork.change.data.fill_(np.nan)


@pytest.mark.parametrize("after", [0, 4])
def test_a_loss_that_turns_nan_is_named_and_leaves_the_last_finite_model(
    rotations, after
):
    X = rotations[0]
    jedi = small(max_epochs=8, callbacks=[Spoil(after)], random_state=0)
    with pytest.raises(ValueError, match="NaN or infinite, most likely because"):
        jedi.fit(X)
    assert jedi.best_epoch_ <= after
    assert np.isfinite(jedi.transform(X)).all()
    np.testing.assert_allclose(jedi.transform(X), jedi.embeddings_, atol=1e-6)
    assert jedi.score(X) > 0.95


def test_verbose_says_what_was_chosen(rotations, capsys):
    jedi = small(verbose=1, max_epochs=2).fit(rotations[0])
    printed = capsys.readouterr().out
    assert "neurons, left as they are" in printed
    assert f"window={jedi.window_}" in printed
    assert "epoch 2/2" in printed
    small(max_epochs=2).fit(rotations[0])
    assert capsys.readouterr().out == ""


# -------------------------------------------------------------------- unfavourable data


@pytest.mark.parametrize(
    ("observation", "max_epochs"),
    [("state", 0), ("state", 4), ("auto", 0)],
    ids=["em", "trained", "auto"],
)
def test_noise_is_not_explained_much_worse_than_by_its_mean(observation, max_epochs):
    # A free run starts from a recorded bin, whose share decays as (1 - dt / tau)^t
    # whatever the weights: independent of the rest, it costs its own variance, and a
    # good model of noise adds nothing to that.
    X = np.random.default_rng(0).standard_normal((40, 30, 8))
    cost = np.mean(0.9 ** (2 * np.arange(1, 30)))
    jedi = small(
        rank=3, observation=observation, max_epochs=max_epochs, random_state=0
    ).fit(X[:20])
    assert jedi.observation_ == ("gaussian" if observation == "auto" else "state")
    assert jedi.score(X[:20]) > -1.1 * cost
    assert jedi.score(X[20:]) > -1.1 * cost


def test_constant_neurons_stay_constant(rotations):
    X = rotations[0].copy()
    X[:, :, 3] = 0.7
    X[:, :, 5] = 0.0
    jedi = small().fit(X)
    assert jedi.score(X) > 0.95
    runs = jedi.reconstruct(X)
    np.testing.assert_allclose(runs[:, :, 3], 0.7, atol=1e-2)
    np.testing.assert_allclose(runs[:, :, 5], 0.0, atol=1e-2)


@pytest.mark.parametrize("max_epochs", [0, 2], ids=["em", "trained"])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_activity_that_never_changes_is_reproduced(value, max_epochs):
    X = np.full((6, 20, 4), value)
    jedi = small(max_epochs=max_epochs).fit(X)
    np.testing.assert_allclose(jedi.reconstruct(X), X, atol=1e-6)
    np.testing.assert_allclose(jedi.transform(X), 0, atol=1e-6)


def test_duplicated_trials_have_the_same_embedding(rotations):
    X = np.repeat(rotations[0][::4], 3, axis=0)
    Z = small().fit(X).embeddings_
    np.testing.assert_allclose(Z[1::3], Z[::3], atol=1e-10)
    np.testing.assert_allclose(Z[2::3], Z[::3], atol=1e-10)


@pytest.mark.parametrize("max_epochs", [0, 2], ids=["em", "trained"])
def test_one_trial_has_no_embedding_but_dynamics(rotations, max_epochs):
    X = rotations[0][-1:]
    jedi = small(max_epochs=max_epochs, random_state=0)
    with pytest.warns(UserWarning, match="trials determine only 0 of your 2"):
        jedi.fit(X)
    np.testing.assert_array_equal(jedi.embeddings_, np.zeros((1, 2)))
    assert jedi.score(X) > 0.9


@pytest.mark.parametrize("observation", ["state", "gaussian", "poisson"])
def test_trials_that_are_all_the_same_have_no_embedding(observation):
    counts = np.random.default_rng(0).poisson(3.0, (20, 5))
    X = np.repeat(counts[None], 4, axis=0)
    jedi = small(observation=observation)
    with pytest.warns(UserWarning, match="trials determine only 0 of your 2"):
        jedi.fit(X)
    np.testing.assert_array_equal(jedi.embeddings_, np.zeros((4, 2)))
    assert np.isfinite(jedi.reconstruct(X)).all()


def test_axes_beyond_the_data_stay_at_the_prior(rotations):
    X = rotations[0][::8]
    assert len(X) == 3
    jedi = small(embedding_dim=4)
    text = "these trials determine only 2 of your 4 embedding axes.* embedding_dim"
    with pytest.warns(UserWarning, match=text):
        jedi.fit(X)
    mean, cov = jedi.embedding_posterior(X)
    assert mean.shape == (3, 4)
    np.testing.assert_allclose(mean[:, 2:], 0, atol=1e-12)
    np.testing.assert_allclose(
        cov[:, 2:, 2:], np.broadcast_to(np.eye(2), (3, 2, 2)), atol=1e-12
    )
    assert mean[:, :2].std(0).min() > 0.5
