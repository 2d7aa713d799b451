"""Training: batches, loss, horizons, and that the best state is kept."""

import numpy as np
import pytest
import torch
from conftest import in_block, in_trials
from skorch.callbacks import Callback

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._engine._reduction import free_run
from sklearn_jedi._engine._settings import held_out_windows
from sklearn_jedi._training._free_runs import (
    HeldOutBatches,
    KeepBest,
    TrainingTrials,
    WindowBatches,
    train_free_runs,
)


@pytest.fixture(scope="module")
def problem(rotations):
    """What `train` is given: EM's solution under a ridge that is too strong."""
    X = np.array(rotations[0])
    jedi = JEDIEstimator(2, 2, ridge=1.0, max_epochs=0).fit(X)
    model = jedi._model
    return X, model.reduction, model.bilinear.A, jedi.embeddings_


@pytest.fixture(scope="module")
def held(problem):
    """Steps held out, in every fourth trial."""
    return held_out_windows(in_block(problem[0]), 4)


@pytest.fixture
def data(problem):
    return TrainingTrials(in_trials(problem[0]), problem[1])


def run(problem, **params):
    given = {
        "hidden_layer_sizes": (8,),
        "max_epochs": 6,
        "batch_size": 8,
        "device": "cpu",
        "callbacks": None,
        "seed": 0,
        "verbose": 0,
    }
    X, *em = problem
    return train_free_runs(in_trials(X), *em, **given | params)


# ----------------------------------------------------------------------------- batches


def test_every_trial_comes_before_any_comes_again(data):
    batches = WindowBatches(data, batch_size=8)
    order = torch.cat([inputs["trial"] for inputs, _ in batches]).tolist()
    assert len(order) == 8 * len(batches)
    assert sorted(order[:24]) == list(range(24))
    assert order[:24] != list(range(24))


@pytest.mark.parametrize(
    ("batch_size", "n_batches"), [(2, 12), (7, 4), (24, 4), (1000, 4)]
)
def test_an_epoch_is_a_pass_and_at_least_four_batches(data, batch_size, n_batches):
    batches = WindowBatches(data, batch_size)
    assert len(batches) == len(list(batches)) == n_batches


@pytest.mark.parametrize("horizon", [5, 13, 39])
def test_windows_hold_what_follows_their_first_state(data, problem, held, horizon):
    X, red, _, _ = problem
    data.horizon = horizon
    for inputs, (targets, masked) in WindowBatches(data, batch_size=8):
        assert len(inputs["trial"]) == 8 * (39 // horizon)
        assert targets.shape == (len(inputs["trial"]), horizon, 2)
        for k, trial in enumerate(inputs["trial"].tolist()):
            starts = np.abs(X[trial] - inputs["states"][k].numpy()).max(1)
            start = int(starts.argmin())
            assert starts[start] < 1e-6
            follow = X[trial, start + 1 : start + 1 + horizon]
            np.testing.assert_allclose(targets[k], follow @ red.P, atol=1e-5)
            np.testing.assert_array_equal(
                masked[k], held[trial, start : start + horizon]
            )


def test_validation_scores_held_out_steps_alone(data, held):
    batches = list(HeldOutBatches(data, batch_size=4))
    trials = torch.cat([inputs["trial"] for inputs, _ in batches]).tolist()
    assert trials == np.flatnonzero(held.any(1)).tolist() == [0, 4, 8, 12, 16, 20]
    masked = torch.cat([masked for _, (_, masked) in batches]).numpy()
    np.testing.assert_array_equal(masked, ~held[trials])


def test_windows_start_at_whole_bins_and_score_within_their_trial(problem):
    X = [problem[0][0], problem[0][1][:12], problem[0][2].copy()]
    X[2][15:18, 3] = np.nan
    groups = np.array([0, 1, 1])
    data = TrainingTrials(in_trials(X, groups), problem[1])
    row, start = np.array([1, 1, 2, 2]), np.array([0, 8, 10, 16])
    inputs, (targets, masked) = data.window(
        in_block(X, groups), row, start, 10, held_out=False
    )
    assert inputs["trial"].tolist() == [1] * 4
    first = [0, 8, 10, 14]
    bins = [range(1, 11), [9, 10, 11], [*range(11, 15), 18, 19, 20], range(18, 25)]
    for k, scored in enumerate(bins):
        np.testing.assert_allclose(inputs["states"][k], X[row[k]][first[k]], atol=1e-6)
        assert (first[k] + 1 + np.flatnonzero(~masked[k])).tolist() == list(scored)
        expected = X[row[k]][list(scored)] @ problem[1].P
        np.testing.assert_allclose(targets[k][~masked[k]], expected, atol=1e-5)


# -------------------------------------------------------------------------------- loss


def test_held_out_loss_before_training_is_that_of_em(problem, held):
    X, red, A, Z = problem
    trials = held.any(1)
    path = free_run(red, A[0] + np.tensordot(Z, A[1:], 1), X[:, 0], 39)
    targets = red.split(X)[0]
    error = ((path - targets[:, 1:]) ** 2).sum(-1)
    spread = ((targets - targets.mean((0, 1))) ** 2).sum(-1).mean()
    expected = error[held].mean() / spread
    keep_best = dict(run(problem).net.callbacks_)["keep_best"]
    assert keep_best.start_loss_ == pytest.approx(expected, rel=1e-3)
    assert trials.sum() == 6


def test_what_is_held_out_does_not_train(problem, held):
    """Targets are read through a mask: spoiling the held-out ones changes nothing."""
    spoiled = []

    class SpoilTargets(Callback):
        def __deepcopy__(self, memo):
            return self

        def on_train_begin(self, net, X=None, **kwargs):
            window = X.window

            def spoil(*args, held_out):
                inputs, (targets, masked) = window(*args, held_out=held_out)
                if not held_out:
                    targets[masked] = 1e3
                    spoiled.append(int(masked.sum()))
                return inputs, (targets, masked)

            X.window = spoil

    plain = run(problem, max_epochs=2)
    other = run(problem, max_epochs=2, callbacks=[SpoilTargets()])
    # the second epoch is of whole trials: three batches are one pass over all
    assert sum(spoiled[4:7]) == held.sum()
    assert plain.net.history[:, "train_loss"] == other.net.history[:, "train_loss"]


# ----------------------------------------------------------------- schedule, best state


def test_windows_come_before_whole_trials(problem):
    horizons = run(problem, max_epochs=5).net.history[:, "horizon"]
    assert horizons == [19, 19, 39, 39, 39]


class LearningRates(Callback):
    rates = []  # noqa: RUF012

    def on_batch_begin(self, net, training=False, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[-1]["lr"])


def test_each_horizon_has_one_cycle_of_the_learning_rate(problem):
    LearningRates.rates.clear()
    run(problem, max_epochs=8, callbacks=[LearningRates()])
    rates = np.array(LearningRates.rates)
    for cycle in np.split(rates / rates.max(), 2):
        peak = cycle.argmax()
        assert cycle[0] < 0.1
        assert cycle[-1] < 0.1
        assert (np.diff(cycle[: peak + 1]) > 0).all()
        assert (np.diff(cycle[peak:]) < 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_training_only_lowers_the_held_out_loss(problem, seed):
    training = run(problem, seed=seed)
    keep_best = dict(training.net.callbacks_)["keep_best"]
    losses = training.net.history[:, "valid_loss"]
    assert keep_best.best_loss_ == min([keep_best.start_loss_, *losses])
    assert keep_best.best_loss_ < keep_best.start_loss_
    assert training.best_epoch == 1 + int(np.argmin(losses))


class SpoilLater(Callback):
    """Moves the weights far away in every epoch after the third."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3:
            net.best = [p.detach().clone() for p in net.module_.parameters()]
            net.module_.hypernetwork.change.data += 5.0


def test_the_best_state_is_restored(problem, data):
    training = run(problem, max_epochs=6, callbacks=[SpoilLater()])
    losses = training.net.history[:, "valid_loss"]
    assert training.best_epoch == 3
    assert min(losses[3:]) > losses[2]
    for kept, best in zip(
        training.net.module_.parameters(), training.net.best, strict=True
    ):
        assert torch.equal(kept, best)
    (batch,) = HeldOutBatches(data, 100)
    loss = training.net.validation_step(batch)["loss"].item()
    assert loss == pytest.approx(losses[2], rel=1e-5)


def test_the_start_is_kept_where_nothing_is_better(problem):
    class Spoil(Callback):
        def on_epoch_begin(self, net, **kwargs):
            net.module_.hypernetwork.change.data += 5.0

    training = run(problem, max_epochs=2, callbacks=[Spoil()])
    assert training.best_epoch == 0
    hypernetwork = training.net.module_.hypernetwork
    assert not hypernetwork.change.any()
    assert not hypernetwork.perceptron[-1].weight.any()


def test_a_nan_loss_is_never_the_best(problem):
    net = run(problem, max_epochs=1).net
    keep_best = KeepBest()
    keep_best.start_loss_ = keep_best.best_loss_ = 1.0
    keep_best.best_epoch_ = 0
    net.history.record("valid_loss", np.nan)
    keep_best.on_epoch_end(net)
    assert keep_best.best_epoch_ == 0


# ---------------------------------------------------------------------- leaves no trace


@pytest.mark.parametrize("fails", [False, True])
def test_threads_and_random_state_are_put_back(problem, fails):
    class Fail(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("stop here")

    before = torch.get_num_threads(), torch.get_rng_state()
    if fails:
        with pytest.raises(RuntimeError, match="stop here"):
            run(problem, max_epochs=1, callbacks=[Fail()])
    else:
        run(problem, max_epochs=1)
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_the_net_does_not_hold_the_training_data(problem):
    net = run(problem, max_epochs=1).net
    assert net.train_split is None
    assert net.device == "cpu"
