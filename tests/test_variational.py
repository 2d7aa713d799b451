"""Variational training of sessions: the bound, batches, and what is kept."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_jedi._data._trials import Trials
from sklearn_jedi._engine._bilinear_em import BilinearModel
from sklearn_jedi._engine._likelihoods import Gaussian, Poisson
from sklearn_jedi._engine._reduction import Reduction, free_run
from sklearn_jedi._engine._smoother import smooth
from sklearn_jedi._engine._state_space import StateSpace
from sklearn_jedi._models._random_units import random_units
from sklearn_jedi._networks._equation import Equation
from sklearn_jedi._training._nets import NonFiniteLossError
from sklearn_jedi._training._variational import first_recognition, train_variational
from sklearn_jedi._training._variational_data import (
    Forecasts,
    ShuffledBatches,
    TrainingSessions,
    _ahead,
    held_out_trials,
)
from sklearn_jedi._training._variational_model import LatentFamily, VariationalModel
from sklearn_jedi._training._variational_recognition import Recognition

ALPHA, NOISE, STEP = 0.2, 0.3, 0.08
N_UNITS = 16


def _rotation(speed, squared_radius):
    """Reduced weights under which states turn by `speed` radians a step, on a ring."""
    basis, gain = random_units(2, N_UNITS, 1.2)
    basis = basis._replace(Q=np.eye(N_UNITS))
    side = np.linspace(-2, 2, 21)
    z = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    turn = np.array([[np.cos(speed), np.sin(speed)], [-np.sin(speed), np.cos(speed)]])
    after = z @ turn * (1 + 0.1 * (squared_radius - (z**2).sum(1, keepdims=True)))
    x = np.tanh(gain * (z @ basis.P.T + basis.drive_mean)) / gain
    features = np.column_stack([x, np.ones(len(z))])
    drive = (after - (1 - ALPHA) * z) / ALPHA
    gram = features.T @ features + 1e-4 * np.eye(N_UNITS + 1)
    return np.linalg.solve(gram, features.T @ drive), Reduction.of(
        basis, Equation.of(1.0, ALPHA, "tanh", gain)
    )


def _family(true, n_sessions=10, n_trials=6, poisson=False, seed=0):
    """Sessions on rings, as `true` of their embeddings, and models affine in them."""
    neurons, rng = np.random.default_rng(0), np.random.default_rng([1, seed])
    T = 24
    _, red = _rotation(*true(0.0))
    slow, fast = (_rotation(*_straight(e))[0] for e in (-1.0, 1.0))
    A = np.stack([(fast + slow) / 2, (fast - slow) / 2])
    sessions, models = [], []
    for e in np.linspace(-1.7, 1.7, n_sessions):
        n = neurons.integers(6, 12)
        C = neurons.standard_normal((n, 3)) * (0.5 if poisson else 1.0)
        angle = rng.uniform(0, 2 * np.pi, n_trials)
        first = np.column_stack([np.cos(angle), np.sin(angle)])
        weights = np.tile(_rotation(*true(e))[0], (n_trials, 1, 1))
        noise = STEP * rng.standard_normal((n_trials, T - 1, 2))
        path = free_run(red, weights, first @ red.P.T + red.mean_out, T - 1, noise)
        x = np.concatenate([first[:, None], path], 1) @ C[:, :2].T + C[:, 2]
        y = (
            rng.poisson(np.exp(x))
            if poisson
            else x + NOISE * rng.standard_normal(x.shape)
        )
        sessions.append(_trials(list(y.astype(float))))
        models.append(
            StateSpace(
                red,
                BilinearModel(A, np.eye(2), 1.0, 0),
                STEP**2 * np.eye(2),
                np.zeros(2),
                0.5 * np.eye(2),
                C,
                Poisson(np.zeros(n)) if poisson else Gaussian(np.full(n, NOISE**2)),
            )
        )
    return sessions, models


def _trials(X, groups=None):
    groups = np.zeros(len(X), int) if groups is None else groups
    lengths = np.array([len(x) for x in X])
    return Trials(X, lengths, X[0].shape[1], np.float64, 32, groups)


def _straight(e):
    return 0.25 + 0.08 * e, 1.0


def _wider(e):
    return 0.25 + 0.08 * e, 1.8


@pytest.fixture(scope="module")
def few_wider(wider):
    """Three of its sessions, where only the course of training is looked at."""
    return tuple(part[:3] for part in wider)


@pytest.fixture(scope="module")
def wider():
    """The rings are wider than those of the model given, whatever the embedding."""
    return _family(_wider)


@pytest.fixture(scope="module")
def straight():
    """The model given is the true one."""
    return _family(_straight)


def run(problem, **params):
    given = {
        "change_rank": None,
        "hidden_layer_sizes": (16,),
        "max_epochs": 15,
        "batch_size": 10,
        "device": "cpu",
        "callbacks": None,
        "random_state": np.random.RandomState(0),
        "progress": False,
    }
    return train_variational(*problem, **given | params)


def start(problem, hidden=(8,)):
    """The module before training, and its data."""
    sessions, models = problem
    torch.manual_seed(0)
    family = LatentFamily(models, None, hidden)
    whiten = family.inverse.double().numpy()
    data = TrainingSessions(sessions, models, whiten)
    recognition = first_recognition(models, whiten, data)
    return VariationalModel(family, recognition), data


# --------------------------------------------------------------------------- the bound


@pytest.mark.parametrize("poisson", [False, True])
def test_the_bound_starts_just_below_the_evidence(poisson):
    problem = _family(_straight, 3, 6, poisson)
    module, data = start(problem)
    batch = data.read(np.arange(len(data)))
    evidence = sum(
        smooth(model, trials.read(np.arange(6))).log_evidence.sum()
        for trials, model in zip(*problem, strict=True)
    )
    with torch.no_grad():
        bound = np.mean([module(batch).item() for _ in range(10)])
    evidence /= float(batch["recorded"].sum())
    # recognition is not trained yet; the bound is of one draw, averaged over ten
    assert evidence - 0.04 < bound < evidence + 0.003


def test_a_step_is_that_of_the_free_run(wider):
    family = LatentFamily(wider[1], None, ())
    model = wider[1][0]
    rng = np.random.default_rng(1)
    z, c = rng.standard_normal((4, 2)), rng.standard_normal((4, 1))
    weights = model.map.weights(c)
    expected = free_run(model.red, weights, model.activity(z), 1)
    unit = torch.as_tensor(z @ np.linalg.inv(STEP * np.eye(2)), dtype=torch.float32)
    dynamics = family.dynamics(torch.as_tensor(c, dtype=torch.float32))
    found = family.step(unit[:, None], *dynamics).detach().numpy() * STEP
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_was_not_recorded_has_no_effect(wider):
    module, data = start(wider)
    batch = data.read(np.arange(20))
    batch["recorded"][::2, 5:9] = 0.0
    batch["recorded"][1, :, 0] = 0.0
    spoiled = batch | {"values": batch["values"] + 50 * (1 - batch["recorded"])}
    values = []
    for given in (batch, spoiled):
        torch.manual_seed(3)
        values.append(module(given).item())
    assert values[0] == values[1]


def test_recognition_reads_states_out_of_noiseless_recordings(wider):
    _, models = wider
    module, _ = start(wider)
    recognition = module.recognition
    assert isinstance(recognition, Recognition)
    z = np.random.default_rng(2).standard_normal((30, 2))
    for s, model in enumerate(models):
        n = len(model.loading)
        y = z @ model.loading[:, :2].T + model.loading[:, 2]
        excess = y - recognition.centre[s, :n].numpy()
        read = excess @ recognition.read_in[s, :n].detach().numpy()
        np.testing.assert_allclose(read * STEP, z, atol=1e-4)


# ------------------------------------------------------------------------------ batches


def test_batches_hold_each_trial_once_beside_its_own_session():
    rng = np.random.default_rng(0)
    sessions, models = _family(_straight, 3, 6)
    ragged = [rng.standard_normal((t, 7)) for t in (9, 12, 5)]
    ragged[0][3, 2] = np.nan
    C = rng.standard_normal((7, 3))
    own = models[0]._replace(loading=C, likelihood=Gaussian(np.ones(7)))
    sessions = [sessions[0], _trials(ragged, np.array([0, 1, 0]))]
    _, data = start((sessions, [models[0], own]))
    seen = []
    for batch, _ in ShuffledBatches(data, 4):
        for k, session in enumerate(batch["session"].tolist()):
            length = int(batch["within"][k].sum())
            width = sessions[session].n_neurons
            recorded = batch["recorded"][k].bool()
            assert not recorded[length:].any()
            assert not recorded[:, width:].any()
            source = [
                row
                for row, x in enumerate(sessions[session].source)
                if len(x) == length
                and np.allclose(
                    np.nan_to_num(x), batch["values"][k, :length, :width], atol=1e-5
                )
            ]
            assert len(source) == 1
            there = ~np.isnan(sessions[session].source[source[0]])
            np.testing.assert_array_equal(recorded[:length, :width], there)
            seen.append((session, source[0], float(batch["share"][k])))
    expected = [(0, k, 1 / 6) for k in range(6)]
    expected += [(1, 0, 0.5), (1, 1, 1.0), (1, 2, 0.5)]
    assert [one[:2] for one in sorted(seen)] == [one[:2] for one in expected]
    np.testing.assert_allclose(
        [one[2] for one in sorted(seen)], [one[2] for one in expected], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("n", "expected"), [(2, []), (3, [2]), (5, [2]), (12, [2, 7]), (13, [2, 7, 12])]
)
def test_one_trial_in_five_is_held_out(n, expected):
    assert held_out_trials(_trials([np.zeros((6, 2))] * n)).tolist() == expected
    assert held_out_trials(_trials([np.zeros((3, 2))] * n)).tolist() == []


def test_forecasts_do_not_see_what_they_are_scored_on(straight):
    """Costs of states ahead, whatever stands in the second halves."""
    sessions, models = straight
    rows = [np.arange(2) for _ in sessions]
    trials = sessions[0].take(rows[0])
    whole = trials.as_list()
    first = [x[: len(x) // 2] for x in whole]
    ahead = _ahead(models[0], trials, first, 5)
    spoilt = [x.copy() for x in whole]
    for x in spoilt:
        x[len(x) // 2 :] = 1e3
    forecasts = Forecasts([_trials(spoilt)], [rows[0]], models[:1])
    (_, held), *_ = forecasts.held_out
    again = _ahead(models[0], held, [x[: len(x) // 2] for x in held.as_list()], 5)
    np.testing.assert_array_equal(ahead, again)


def test_forecast_cost_is_that_of_squared_errors(straight):
    sessions, models = straight
    rows = [held_out_trials(trials) for trials in sessions]
    forecasts = Forecasts(sessions, rows, models)
    assert forecasts(models) == pytest.approx(1.0)
    s, trials = forecasts.held_out[0]
    later = [x[12:] for x in trials.as_list()]
    zero = [np.zeros((len(x), 2)) for x in later]
    error = np.concatenate(later) - models[s].loading[:, 2]
    expected = 0.5 * ((error / NOISE) ** 2).sum() + error.size * np.log(NOISE)
    cost = forecasts._cost(s, models, trials, later, zero)
    assert cost == pytest.approx([expected])


# ------------------------------------------------------------------------- what is kept


@pytest.mark.parametrize(("share", "best_epoch"), [(0.9, 5), (0.97, 0), (np.nan, 0)])
def test_training_is_kept_where_it_is_worthwhile(
    few_wider, monkeypatch, share, best_epoch
):
    monkeypatch.setattr(Forecasts, "__call__", lambda self, models: share)
    result = run(few_wider, max_epochs=6)
    assert result.best_epoch == best_epoch
    if not best_epoch:
        assert result.hypernetwork is None
        assert result.models is few_wider[1]
        return
    assert all(model.map is result.hypernetwork for model in result.models)
    weights = result.hypernetwork.weights(np.zeros((1, 1)))
    assert weights.dtype == np.float64
    assert np.abs(weights - few_wider[1][0].map.weights(np.zeros((1, 1)))).max() > 1e-3
    for new, old in zip(result.models, few_wider[1], strict=True):
        assert new.loading is old.loading


def evidence(sessions, models):
    """Log likelihood of all trials, states and embeddings integrated out (Laplace)."""
    return sum(
        smooth(model, block).log_evidence.sum()
        for trials, model in zip(sessions, models, strict=True)
        for block in trials.blocks()
    )


def test_training_raises_the_evidence_of_a_wrong_model(wider, monkeypatch):
    """As the smoother measures it, which training does not use; and the bound with it.

    Of what the true rings have more evidence than the model given, at least a third.
    """
    shares = iter([0.9, 0.8, 0.7, 0.6])  # each better than the last: the last is kept
    monkeypatch.setattr(Forecasts, "__call__", lambda self, models: next(shares))
    sessions, models = wider
    result = run(wider, max_epochs=20)
    assert result.best_epoch == 20
    loss = result.history[:, "train_loss"]
    assert loss[-1] < min(loss[:4]) - 0.01
    slow, fast = (_rotation(*_wider(e))[0] for e in (-1.0, 1.0))
    A = np.stack([(fast + slow) / 2, (fast - slow) / 2])
    true = [model._replace(map=model.map._replace(A=A)) for model in models]
    before, after, most = (evidence(sessions, m) for m in (models, result.models, true))
    assert most > before + 10
    assert after - before > (most - before) / 3


def test_a_true_model_is_kept(straight):
    result = run(straight, max_epochs=10)
    assert result.best_epoch == 0
    assert result.hypernetwork is None
    assert result.models is straight[1]


def test_without_held_out_trials_nothing_is_trained(straight):
    sessions = [trials.take(np.arange(2)) for trials in straight[0]]
    result = run((sessions, straight[1]))
    assert result.net is None
    assert result.models is straight[1]


def test_the_seed_decides_and_global_randomness_stays(few_wider, monkeypatch):
    monkeypatch.setattr(Forecasts, "__call__", lambda self, models: 0.5)
    before = torch.random.get_rng_state()
    fit, again, other = (
        run(few_wider, max_epochs=5, random_state=np.random.RandomState(seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    c = np.linspace(-1, 1, 5)[:, None]
    first = fit.models[0].map.weights(c)
    np.testing.assert_array_equal(first, again.models[0].map.weights(c))
    assert np.abs(first - other.models[0].map.weights(c)).max() > 0


def test_recognition_is_trained_alone_first(few_wider):
    weights = []

    class Watch(Callback):
        def __deepcopy__(self, memo):
            return self

        def on_epoch_end(self, net, **kwargs):
            family = net.module_.family
            weights.append((net.history[-1, "stage"], family.log_step.clone()))

    run(few_wider, max_epochs=5, callbacks=[Watch()])
    stages = [stage for stage, _ in weights]
    assert stages == ["recognition"] + ["all"] * 4
    assert not weights[0][1].any()
    assert weights[-1][1].any()


def test_ctrl_c_keeps_the_best_state(few_wider, monkeypatch):
    forward, calls = VariationalModel.forward, []

    def interrupt(self, batch):
        calls.append(1)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return forward(self, batch)

    monkeypatch.setattr(VariationalModel, "forward", interrupt)
    result = run(few_wider, max_epochs=10)
    assert result.interrupted
    assert result.best_epoch == 0
    assert result.models is few_wider[1]


def test_a_loss_that_is_not_finite_ends_training(few_wider):
    class Spoil(Callback):
        def on_epoch_end(self, net, **kwargs):
            with torch.no_grad():
                net.module_.family.log_step.fill_(np.nan)

    result = run(few_wider, max_epochs=10, callbacks=[Spoil()])
    assert isinstance(result.error, NonFiniteLossError)
    assert result.models is few_wider[1]


def test_progress_is_one_line_an_epoch(few_wider, capsys):
    run(few_wider, max_epochs=5, progress=True)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 5
    assert "recognition, loss" in lines[0]
    assert "of EM's" in lines[-1]
