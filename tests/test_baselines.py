"""The baselines of the benchmarks, against planted networks and known identities."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from benchmarks.baselines import (
    ForceRNN,
    OneNetwork,
    PerCondition,
    RecurrentVAE,
    TrialVAE,
)
from benchmarks.baselines._force import recursive_least_squares
from sklearn_jedi import JEDIEstimator, LowRankRNN
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.datasets import make_rotation_family
from sklearn_jedi.metrics import trajectory_r2

VAES = {
    "trial": TrialVAE(4, 32, 1e-4, 60, 1e-2, 0),
    "recurrent": RecurrentVAE(3, 24, 1e-4, 50, 2e-2, 0, batch_size=20),
}


@pytest.fixture(scope="module")
def planted():
    """A full network of 15 neurons at its edge of chaos, and 12 of its runs."""
    rng = np.random.default_rng(0)
    network = LowRankRNN.from_weights(
        1.5 * rng.standard_normal((15, 15)) / np.sqrt(15),
        0.3 * rng.standard_normal(15),
    )
    return network, network.simulate(1.5 * rng.standard_normal((1, 12, 15)), 80)[0]


@pytest.fixture(scope="module")
def two_classes():
    """Decays along two patterns, slow or fast with the class, sizes that vary."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 40)
    time = np.arange(20) / 20
    courses = np.exp(-np.array([[1.0, 2.0], [6.0, 1.0]])[y][:, None] * time[:, None])
    sizes = np.array([[1.0, -1.0], [-1.0, 1.0]])[y] + 0.4 * rng.standard_normal((80, 2))
    X = (courses * sizes[:, None]) @ rng.standard_normal((2, 10))
    return X + 0.05 * rng.standard_normal(X.shape), y


@pytest.fixture(scope="module", params=list(VAES))
def vae(request, two_classes):
    return clone(VAES[request.param]).fit(two_classes[0][::2])


# -------------------------------------------------------------------------------- FORCE


def test_rule_is_ridge_regression(rng):
    inputs, targets = rng.standard_normal((30, 6)), rng.standard_normal((30, 4))
    first, alpha = rng.standard_normal((4, 6)), 0.7
    J, P = first.copy(), np.eye(6) / alpha
    for r, target in zip(inputs, targets, strict=True):
        recursive_least_squares(J, P, r, J @ r - target)
    gram = inputs.T @ inputs + alpha * np.eye(6)
    cross = targets.T @ inputs + alpha * first
    assert_allclose(J, np.linalg.solve(gram, cross.T).T, rtol=1e-9)
    assert_allclose(P, np.linalg.inv(gram), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_passes", [1, 3])
def test_passes_over_recorded_states_are_ridge_regression(planted, n_passes):
    X = planted[1]
    force = ForceRNN(alpha=0.5, n_passes=n_passes, g=0.0, feedback="recorded").fit(X)
    assert_array_equal(force.scale_, 1.0)
    before = X[:, :-1].reshape(-1, 15)
    drive = before + 10 * (X[:, 1:].reshape(-1, 15) - before)
    r = np.hstack([np.tanh(before), np.ones((len(before), 1))])
    gram = r.T @ r + 0.5 / n_passes * np.eye(16)
    ridge = np.linalg.solve(gram, r.T @ drive).T
    assert_allclose(force.weights_, ridge[:, :15], rtol=1e-6, atol=1e-8)
    assert_allclose(force.bias_, ridge[:, 15], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("feedback", ["network", "recorded"])
def test_force_recovers_a_planted_network(planted, feedback):
    network, X = planted
    force = ForceRNN(n_passes=12, feedback=feedback, random_state=0).fit(X[:9])
    assert force.errors_[-1] < 0.5 * force.errors_[0] or feedback == "recorded"
    assert force.score(X[9:]) > 0.95
    assert_allclose(force.forecast(X[9:, :1], 79), force.reconstruct(X[9:])[:, 1:])
    if feedback == "recorded":
        assert_allclose(force.dynamics().J, network.J, atol=0.1)


def test_force_keeps_the_units_of_the_data(planted):
    force = ForceRNN(n_passes=2, random_state=0)
    large = 100 * planted[1] + 500
    run = force.fit(large).reconstruct(large)
    assert_allclose(run[:, 0], large[:, 0])
    scaled = (large - force.offset_) / force.scale_
    again = ForceRNN(n_passes=2, random_state=0).fit(scaled)
    # of unit scale, so left as they are
    assert_allclose(
        run, again.reconstruct(scaled) * force.scale_ + force.offset_, rtol=1e-4
    )


# --------------------------------------------------------------------------------- VAEs


def test_vae_reconstructs_and_separates(vae, two_classes):
    X, y = two_classes
    assert vae.score(X[::2]) > 0.9
    assert vae.score(X[1::2]) > 0.9
    latents = vae.transform(X)
    assert latents.shape == (80, vae.n_latents)
    reader = LogisticRegression().fit(latents[::2], y[::2])
    assert reader.score(latents[1::2], y[1::2]) == 1.0


def test_vae_is_repeatable_and_leaves_torch_alone(vae, two_classes):
    X = two_classes[0][::2]
    state, before = torch.get_rng_state(), vae.transform(X)
    short = clone(vae).set_params(n_epochs=2)
    first = short.fit(X).transform(X)
    assert_array_equal(short.fit(X).transform(X), first)
    assert not np.allclose(short.set_params(random_state=1).fit(X).transform(X), first)
    assert_array_equal(vae.transform(X), before)
    assert_array_equal(torch.get_rng_state(), state)


def test_vae_keeps_its_best_epoch(vae, two_classes):
    assert vae.losses_[vae.best_epoch_] == min(vae.losses_)
    with pytest.raises(ValueError, match="10"):
        vae.transform(two_classes[0][:, :, :4])


@pytest.mark.parametrize("vae", ["recurrent"], indirect=True)
def test_forecast_of_recurrent_vae(vae, two_classes):
    X = two_classes[0]
    ahead = vae.forecast(X[1::2, :12], 8)
    assert_array_equal(ahead, vae.decode(vae.transform(X[1::2, :12]), 20)[:, 12:])
    assert trajectory_r2(X[1::2, 12:], ahead) > 0.8


def test_trial_vae_takes_whole_trials_only(two_classes):
    vae = TrialVAE(n_epochs=1).fit(two_classes[0])
    with pytest.raises(ValueError, match="20"):
        vae.transform(two_classes[0][:, :12])


# ----------------------------------------------------- one network, one per condition


def test_one_network_has_no_embedding(rotations):
    X, y, _ = rotations
    one = OneNetwork(JEDIEstimator(2, 3, dt=0.01, max_epochs=0, observation="state"))
    assert one.fit(X).dynamics().n_networks == 1
    far = one.jedi_.dynamics([[-3.0], [3.0]])
    assert_allclose(far.J[0], far.J[1], atol=1e-8)
    assert_allclose(one.forecast(X[:2, :5], 3), one.forecast(X[:9, :5], 3)[:2])
    # four frequencies want four networks
    slow = clone(one).fit(X[y == 0])
    assert slow.score(X[y == 0]) > one.score(X) + 0.2


@pytest.mark.parametrize(
    "model",
    [
        OneNetwork(JEDIEstimator(2, dt=0.01, max_epochs=0)),
        ForceRNN(feedback="recorded", n_passes=1, alpha=10.0, g=0.0),
        LinearStateSpace(2, n_iter=10, start_sd=1.0),
    ],
    ids=["jedi", "force", "linear"],
)
def test_per_condition_picks_the_right_model(model):
    X, y, _ = make_rotation_family(10, n_timepoints=60, n_neurons=20, random_state=1)
    names = np.array(["1 Hz", "2 Hz", "3 Hz", "4 Hz"])[y]
    each = PerCondition(model, n_given=40).fit(X[::2], names[::2])
    X, names = X[1::2], names[1::2]
    assert each.accuracy(X, names) >= 0.9
    assert each.errors(X).shape == (20, 4)
    assert each.score(X, names) >= each.score(X) - 0.02
    assert each.score(X, names) > 0.7
    wrong = np.roll(names, 5)
    assert each.score(X, wrong) < each.score(X, names) - 0.3
    ahead = each.forecast(X[:, :40], 20, names)
    alone = each.models_[2].forecast(X[names == "3 Hz", :40], 20)
    assert_allclose(ahead[names == "3 Hz"], alone)
    assert each.forecast(X[:, :40], 20).shape == ahead.shape


def test_per_condition_rejects_other_labels(rotations):
    X, y, _ = rotations
    each = PerCondition(LinearStateSpace(2, n_iter=1))
    with pytest.raises(ValueError, match="a label for each"):
        each.fit(X, y[:-1])
    with pytest.raises(ValueError, match="no model was fitted"):
        each.fit(X, y).reconstruct(X, y + 1)


@pytest.mark.parametrize(
    "baseline",
    [ForceRNN(), OneNetwork(), PerCondition(ForceRNN()), *VAES.values()],
    ids=lambda baseline: type(baseline).__name__,
)
def test_baselines_are_estimators(baseline, two_classes):
    copy = clone(baseline)
    assert copy is not baseline
    assert repr(copy.get_params()) == repr(baseline.get_params())
    X, y = two_classes
    X = X.copy()
    X[0, 3, 1] = np.nan
    if not isinstance(copy, OneNetwork):
        with pytest.raises(ValueError, match="NaN"):
            copy.fit(X, y)
