"""Task-trained networks: what they do, and that recordings follow the networks."""

import numpy as np
import pytest
import torch

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_task_network
from sklearn_jedi.datasets._task_training import loss, train
from sklearn_jedi.datasets._tasks import _conditions

TASKS = ("memory_pro", "memory_anti", "delayed_match", "perceptual_decision")
SMALL = {"n_neurons": 64, "n_iterations": 60, "n_trials_per_condition": 2}
LEARNED = ("delayed_match", "perceptual_decision")  # in so few iterations


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module", params=TASKS)
def recorded(request, home):
    """Hardly trained, which is enough for all but what the network says."""
    few = {**SMALL, "n_iterations": 3}
    return request.param, make_task_network(request.param, data_home=home, **few)


@pytest.fixture
def batch(rng):
    """Weights of 6 neurons, inputs and targets of 5 trials of 30 time points."""
    n, n_inputs, n_outputs = 6, 3, 2
    weights = [
        rng.standard_normal((n, n)) / n**0.5,
        rng.standard_normal((n, n_inputs)),
        rng.standard_normal(n),
        rng.standard_normal((n_outputs, n)),
    ]
    inputs, targets = rng.standard_normal((5, 30, 3)), rng.standard_normal((5, 30, 2))
    return weights, inputs, targets


def loss_of(weights, inputs, targets):
    """With the same noise in every call; the gradient in the weights, too."""
    parameters = [torch.tensor(w, requires_grad=True) for w in weights]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        value = loss(parameters, torch.tensor(inputs), torch.tensor(targets), 15)
    value.backward()
    return value.item(), [p.grad.numpy() for p in parameters]


def test_the_loss_is_that_of_a_plain_loop(batch):
    weights, inputs, targets = batch
    J, B, b, W = weights
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        noise = 0.05 * torch.randn(5, 30, 6, dtype=torch.float64).numpy()
    r, states, errors = np.zeros((5, 6)), [], []
    for t in range(30):
        drive = np.tanh(r) @ J.T + inputs[:, t] @ B.T + b
        r = r + 0.1 * (drive - r) + noise[:, t]
        states.append(r)
        reacting = 15 <= t < 25  # of the response, which begins at 15
        errors.append(0.0 * r[:, :2] if reacting else np.tanh(r) @ W.T - targets[:, t])
    expected = np.mean(np.square(errors)) + 1e-3 * np.mean(np.square(states))
    expected += 1e-4 * ((J**2).sum() + (B**2).sum()) / 6
    assert loss_of(*batch)[0] == pytest.approx(expected, rel=1e-12)


def test_the_gradient_is_that_of_differences(batch, rng):
    weights, *data = batch
    gradients = loss_of(weights, *data)[1]
    for k, gradient in enumerate(gradients):
        direction = rng.standard_normal(weights[k].shape)
        ends = []
        for eps in (1e-6, -1e-6):
            moved = list(weights)
            moved[k] = moved[k] + eps * direction
            ends.append(loss_of(moved, *data)[0])
        slope = (ends[0] - ends[1]) / 2e-6
        assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-6)


def test_a_batch_moves_every_weight_against_its_gradient(monkeypatch):
    """Adam's first step is as long as the learning rate, whatever the gradient."""
    weights, gradients = [], []

    def spy(parameters, *args):
        value = loss(parameters, *args)
        of_this = torch.autograd.grad(value, parameters, retain_graph=True)
        gradients.append([g.numpy() for g in of_this])
        weights.append([p.detach().double().numpy() for p in parameters])
        return value

    monkeypatch.setattr("sklearn_jedi.datasets._task_training.loss", spy)
    train(_conditions("memory_anti", 360), 10, 2, seed=0)
    for before, after, gradient in zip(*weights, gradients[0], strict=True):
        clear = np.abs(gradient) > 1e-5
        assert clear.mean() > 0.9
        moved = (before - after)[clear] * np.sign(gradient[clear])
        np.testing.assert_allclose(moved, moved.mean(), rtol=0.02)
        assert 1e-4 < moved.mean() < 3e-3


@pytest.mark.parametrize("task", LEARNED)
def test_the_task_is_learned(task, home):
    """What takes few batches; benchmarks/task_networks.py trains on all tasks."""
    data = make_task_network(task, data_home=home, **SMALL)
    assert data.correct.all()
    response = data.epochs["response"]
    late = slice(response.start + 20, response.stop)
    error = np.sqrt(((data.outputs - data.targets)[:, late] ** 2).mean())
    assert error < 0.5 * np.sqrt((data.targets[:, late] ** 2).mean()), task
    before = slice(10, response.start)
    assert np.sqrt((data.outputs[:, before] ** 2).mean()) < 0.5


@pytest.mark.parametrize("task", LEARNED)
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_epochs_are_recovered_from_activity(task, shared, home):
    more = {**SMALL, "n_trials_per_condition": 3}
    data = make_task_network(task, data_home=home, **more)
    rows = np.arange(len(data.X_epochs))
    train, test = rows[data.trial % 3 < 2], rows[data.trial % 3 == 2]

    def given(rows):
        groups = data.network[rows] if shared else None
        return {"X": [data.X_epochs[i] for i in rows], "conditions": groups}

    jedi = JEDIEstimator(
        20, 4, embedding="condition" if shared else "trial", dt=0.01, max_epochs=0
    ).fit(**given(train))
    assert jedi.score(**given(test)) > 0.995


def test_what_is_shown_and_asked_for(recorded):
    task, data = recorded
    stimulus = data.inputs[:, data.epochs["stimulus"].start, 1:]
    test = data.inputs[:, -1, 1:]
    asked = {
        "memory_pro": stimulus,
        "memory_anti": -stimulus,
        "delayed_match": stimulus * test,
        "perceptual_decision": np.sign(stimulus),
    }[task]
    np.testing.assert_allclose(data.targets[:, -1], asked)
    waiting = np.ones(data.X.shape[1])
    waiting[data.epochs["response"]] = 0
    np.testing.assert_array_equal(data.inputs[..., 0], np.tile(waiting, (len(test), 1)))
    assert not data.targets[:, waiting == 1].any()
    assert not data.inputs[:, data.epochs["delay"], 1:].any()
    n_conditions = {"delayed_match": 4, "perceptual_decision": 6}.get(task, 8)
    np.testing.assert_array_equal(data.condition, np.repeat(range(n_conditions), 2))


def test_epochs_are_free_runs_of_their_networks(recorded):
    task, data = recorded
    assert len(data.X_epochs) == len(data.epoch) == 3 * len(data.X)
    for trial, name, number, k in zip(
        data.X_epochs, data.epoch, data.trial, data.network, strict=True
    ):
        when = data.epochs[name]
        np.testing.assert_array_equal(trial, data.X[number, when.start - 1 : when.stop])
        run = data.networks[[k]].step(trial[None, :-1])[0]
        residual = (trial[1:] - run).std()
        assert residual == pytest.approx(0.01, rel=0.1), (task, name)


def test_the_weights_are_those_of_the_networks(recorded):
    _, data = recorded
    np.testing.assert_allclose(data.networks.J[0], data.J, atol=1e-12)
    last = data.network[-1]
    expected = data.b + data.B @ data.inputs[-1, -1]
    np.testing.assert_allclose(data.networks.bias[last], expected)
    np.testing.assert_allclose(data.outputs, np.tanh(data.X) @ data.W.T)


def test_training_is_reproducible_and_leaves_torch_as_it_was(tmp_path):
    few = {**SMALL, "n_iterations": 3, "n_neurons": 12}
    torch.manual_seed(5)
    first = make_task_network(data_home=tmp_path / "a", random_state=1, **few)
    drawn = torch.rand(1)
    again = make_task_network(data_home=tmp_path / "b", random_state=1, **few)
    other = make_task_network(data_home=tmp_path / "b", random_state=2, **few)
    np.testing.assert_array_equal(first.J, again.J)
    np.testing.assert_array_equal(first.X, again.X)
    assert not np.array_equal(first.J, other.J)
    torch.manual_seed(5)
    assert drawn == torch.rand(1)


def test_networks_are_kept_on_disk(tmp_path, monkeypatch):
    few = {**SMALL, "n_iterations": 3, "n_neurons": 12, "data_home": tmp_path}
    first = make_task_network(**few)
    monkeypatch.setattr(
        "sklearn_jedi.datasets._task_training.train",
        lambda *args: pytest.fail("trained"),
    )
    more = {**few, "n_trials_per_condition": 3, "noise": 0.0}
    np.testing.assert_array_equal(make_task_network(**more).J, first.J)
    [file] = (tmp_path / "sklearn_jedi").iterdir()
    monkeypatch.undo()
    file.write_bytes(file.read_bytes()[:500])
    with pytest.warns(UserWarning, match=r"damaged and is made anew"):
        again = make_task_network(**few)
    np.testing.assert_array_equal(again.J, first.J)
    np.savez(file, J=np.array({}, dtype=object), B=1, b=2, W=3)
    with pytest.warns(UserWarning, match=r"damaged and is made anew"):
        make_task_network(**few)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"task": "go"}, r"task must be one of .*memory_pro.*; got 'go'"),
        ({"task": np.array(["memory_pro"])}, "task must be one of"),
        ({"durations": (1, 2)}, "durations must be four numbers of seconds"),
        ({"durations": (1, 2, 3, -1)}, "durations must be"),
        ({"durations": (200, 800, 1500, 800)}, "in seconds: 800 ms is 0.8"),
        ({"durations": (0.001, 1, 1, 1)}, "between 0.01 and 60 s; got 0.001"),
        ({"durations": (0.2, 0.8, [1], 0.8)}, "durations must be"),
        ({"durations": "long"}, "durations must be"),
        ({"n_neurons": 3}, "n_neurons must be"),
        ({"noise": -1}, "noise must be"),
        ({"n_trials_per_condition": 0}, "n_trials_per_condition must be"),
    ],
)
def test_bad_parameters_are_refused_before_training(wrong, message, tmp_path):
    with pytest.raises((ValueError, TypeError), match=message):
        make_task_network(**{"data_home": tmp_path, **wrong})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "sklearn_jedi.datasets._task_training.train", lambda *_: pytest.fail("trained")
    )
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ValueError, match=r"data_home=.* cannot hold a folder"):
        make_task_network(data_home=file)
    (tmp_path / "sklearn_jedi").write_text("")
    with pytest.raises(ValueError, match=r"data_home=.* cannot hold a folder"):
        make_task_network(data_home=tmp_path)
    with pytest.raises(TypeError, match="data_home must be a path or None; got 3"):
        make_task_network(data_home=3)
