"""Networks trained on delayed tasks, and recordings of them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from sklearn.utils import Bunch, check_random_state

from sklearn_jedi._networks._low_rank_rnn import LowRankRNN
from sklearn_jedi._utils._checks import check_integer, check_real
from sklearn_jedi._utils._types import RandomState
from sklearn_jedi.datasets._task_training import (
    DT,
    EQUATION,
    TAU,
    Conditions,
    Weights,
    trained,
)

__all__ = ["make_task_network"]

_EPOCHS = ("fixation", "stimulus", "delay", "response")
_TASKS = ("memory_pro", "memory_anti", "delayed_match", "perceptual_decision")
_COHERENCES = (-0.8, -0.4, -0.2, 0.2, 0.4, 0.8)
_TRAINING_DIRECTIONS = 360
_LONGEST = 60.0  # s, of an epoch


def make_task_network(
    task: str = "memory_pro",
    n_trials_per_condition: int = 8,
    *,
    n_neurons: int = 100,
    n_directions: int = 8,
    durations: Sequence[float] = (0.2, 0.8, 1.5, 0.8),
    noise: float = 0.01,
    initial_sd: float = 0.3,
    n_iterations: int = 400,
    data_home: str | os.PathLike[str] | None = None,
    random_state: RandomState = 0,
) -> Bunch:
    r"""A rate network trained on a delayed task, and its activity while it does it.

    The network

    .. math:: \tau \dot r = -r + J \tanh(r) + B u + b, \qquad z = W \tanh(r)

    sees a fixation input and stimuli `u`, and is trained by backpropagation through
    time, with trials of random durations, until its output `z` does the task [1]_. With
    the input of an epoch held fixed it is an autonomous network with bias
    `b + B u`: these are the `networks`, whose dynamics the activity of that epoch
    follows.

    Parameters
    ----------
    task : str, default="memory_pro"
        What is asked for in the response:

        - ``"memory_pro"``: the direction shown as stimulus, as cosine and sine;
        - ``"memory_anti"``: the opposite direction;
        - ``"delayed_match"``: +1 where the stimulus (+1 or -1) equals the test shown
          during the response (+1 or -1), and -1 where it does not;
        - ``"perceptual_decision"``: the sign of a stimulus of coherence -0.8, -0.4,
          -0.2, 0.2, 0.4 or 0.8.

        In all of them the output is zero until the fixation input ends.
    n_trials_per_condition : int, default=8
        Recorded trials of each condition.
    n_neurons : int, default=100
        Neurons of the network; at least 10.
    n_directions : int, default=8
        Recorded directions of the memory tasks, spread evenly over the circle. The
        network is trained on the whole circle.
    durations : sequence of four floats, default=(0.2, 0.8, 1.5, 0.8)
        Durations of fixation, stimulus, delay and response in the recorded trials, in
        seconds. (In training 0.05 to 0.15, 0.2 to 0.4, 0.05 to 1 and 0.2 to 1 s.)
    noise : float, default=0.01
        Standard deviation of the noise added to each neuron at each step of the
        recorded trials.
    initial_sd : float, default=0.3
        Standard deviation of each neuron's state in which recorded trials begin.
    n_iterations : int, default=400
        Batches of 64 trials that the network is trained on; some 25 ms each with 100
        neurons.
    data_home : str or path-like, default=None
        Trained networks are kept in its folder ``sklearn_jedi``, about
        `8 n_neurons^2` bytes each. None is scikit-learn's data folder, see
        `sklearn.datasets.get_data_home`.
    random_state : int, RandomState instance or None, default=0
        Draws the training and the recorded trials.

    Returns
    -------
    Bunch
        With the attributes

        X : array of shape (n_trials, n_timepoints, n_neurons)
            Activity of whole trials, ordered by condition.
        condition : array of shape (n_trials,)
            Index of the trial's condition, in the order given above; of
            ``"delayed_match"``, (stimulus, test) = (-1, -1), (-1, 1), (1, -1), (1, 1).
        inputs, outputs, targets : arrays of shape (n_trials, n_timepoints, ...)
            Inputs (fixation first), what the network says, and what it should.
        correct : bool array of shape (n_trials,)
            Whether the output, averaged over the second half of the response, is
            nearest to the target of the trial's own condition.
        epochs : dict of str to slice
            Time points of ``"fixation"``, ``"stimulus"``, ``"delay"``,
            ``"response"``.
        networks : LowRankRNN of n_networks networks
            The network with each input that an epoch after the fixation holds fixed.
        X_epochs : list of n_trials * 3 arrays of shape (n_timepoints, n_neurons)
            Stimulus, delay and response as trials of their own, each from the state
            before its first time point on: what an estimator is fitted to.
        epoch : array of str of shape (n_trials * 3,)
            Name of the epoch of each.
        trial, network : arrays of shape (n_trials * 3,)
            Indices of the trial that it is from, and of its network.
        J, B, b, W : arrays
            Weights, (n_neurons, n_neurons), (n_neurons, n_inputs), (n_neurons,) and
            (n_outputs, n_neurons).

    Raises
    ------
    ValueError, TypeError
        If a parameter cannot be used.

    Notes
    -----
    To find the fixed points that the activity visits, `JEDIEstimator` needs a rank of
    20 to 30 with 100 neurons, and trials that share an input should share an
    embedding: ``embedding="condition"``, and ``conditions=data.network`` in `fit`.
    docs/reproducing.md has an example.

    References
    ----------
    .. [1] Driscoll, Shenoy and Sussillo, "Flexible multitask computation in recurrent
       networks utilizes shared dynamical motifs", Nature Neuroscience 27 (2024), for
       the memory and match tasks; Mante, Sussillo, Shenoy and Newsome,
       "Context-dependent computation by recurrent dynamics in prefrontal cortex",
       Nature 503 (2013), for decisions.
    """
    if not isinstance(task, str) or task not in _TASKS:
        raise ValueError(f"task must be one of {_TASKS}; got {task!r}")
    check_integer("n_trials_per_condition", n_trials_per_condition, 1)
    check_integer("n_neurons", n_neurons, 10)
    check_integer("n_directions", n_directions, 2)
    check_integer("n_iterations", n_iterations, 1)
    check_real("noise", noise, positive=False)
    check_real("initial_sd", initial_sd, positive=False)
    bins = _bins(durations)
    rng = check_random_state(random_state)
    seed = int(rng.randint(2**31 - 1))
    weights = trained(
        task,
        _conditions(task, _TRAINING_DIRECTIONS),
        n_neurons,
        n_iterations,
        seed,
        data_home,
    )
    conditions = _conditions(task, n_directions)
    condition = np.repeat(np.arange(len(conditions.target)), n_trials_per_condition)
    inputs, targets = conditions.take(condition).trials(bins)
    start = initial_sd * rng.standard_normal((len(condition), n_neurons))
    X = _record(weights, inputs, start, noise, rng)
    outputs = EQUATION.phi(X) @ weights.W.T
    ends = np.cumsum(bins).tolist()
    epochs = {
        name: slice(end - n, end)
        for name, n, end in zip(_EPOCHS, bins, ends, strict=True)
    }
    return Bunch(
        X=X,
        condition=condition,
        inputs=inputs,
        outputs=outputs,
        targets=targets,
        correct=_correct(outputs[:, -((bins[3] + 1) // 2) :], conditions, condition),
        epochs=epochs,
        **_by_epoch(weights, X, inputs, epochs),
        **weights._asdict(),
    )


def _bins(durations: Sequence[float]) -> tuple[int, ...]:
    if not isinstance(durations, Sequence | np.ndarray) or len(durations) != 4:
        raise ValueError(
            "durations must be four numbers of seconds, of fixation, stimulus, delay "
            f"and response; got {durations!r}"
        )
    for duration in durations:
        check_real("durations", duration)
        if not DT <= duration <= _LONGEST:
            raise ValueError(
                f"durations must lie between {DT:g} and {_LONGEST:g} s; got "
                f"{duration!r}. They are in seconds: 800 ms is 0.8"
            )
    return tuple(round(duration / DT) for duration in durations)


def _conditions(task: str, n_directions: int) -> Conditions:
    if task.startswith("memory"):
        angles = 2 * np.pi * np.arange(n_directions) / n_directions
        shown = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        sign = 1 if task == "memory_pro" else -1
        return Conditions(shown, np.zeros_like(shown), sign * shown)
    if task == "delayed_match":
        stimulus = np.array([[-1.0], [-1.0], [1.0], [1.0]])
        test = np.array([[-1.0], [1.0], [-1.0], [1.0]])
        return Conditions(stimulus, test, stimulus * test)
    coherence = np.array(_COHERENCES)[:, None]
    return Conditions(coherence, np.zeros_like(coherence), np.sign(coherence))


def _record(
    weights: Weights,
    inputs: np.ndarray,
    start: np.ndarray,
    noise: float,
    rng: np.random.RandomState,
) -> np.ndarray:
    """States after each time point's input, (n_trials, n_timepoints, n_neurons)."""
    inputs = inputs @ weights.B.T + weights.b
    X = np.empty(inputs.shape)
    r = start
    for t in range(inputs.shape[1]):
        r = EQUATION.step(r, EQUATION.phi(r) @ weights.J.T + inputs[:, t])
        r = r + noise * rng.standard_normal(r.shape)
        X[:, t] = r
    return X


def _correct(
    outputs: np.ndarray, conditions: Conditions, condition: np.ndarray
) -> np.ndarray:
    said = outputs.mean(axis=1)[:, None]
    away = np.linalg.norm(said - conditions.target, axis=2)
    correct: np.ndarray = away[np.arange(len(away)), condition] <= away.min(axis=1)
    return correct


def _by_epoch(
    weights: Weights, X: np.ndarray, inputs: np.ndarray, epochs: dict[str, slice]
) -> dict[str, object]:
    """Epochs as trials of their own, and the network that each follows."""
    trials: list[np.ndarray] = []
    names: list[str] = []
    numbers: list[np.ndarray] = []
    biases: list[np.ndarray] = []
    for name, when in epochs.items():
        if name == "fixation":
            continue
        held = inputs[:, when.start]
        distinct, which = np.unique(held, axis=0, return_inverse=True)
        numbers.append(sum(len(bias) for bias in biases) + which.ravel())
        biases.append(weights.b + distinct @ weights.B.T)
        trials.extend(X[:, when.start - 1 : when.stop])
        names.extend([name] * len(X))
    bias = np.concatenate(biases)
    J = np.broadcast_to(weights.J, (len(bias), *weights.J.shape))
    return {
        "networks": LowRankRNN.from_weights(J, bias, TAU, DT),
        "X_epochs": trials,
        "epoch": np.array(names),
        "trial": np.tile(np.arange(len(X)), len(epochs) - 1),
        "network": np.concatenate(numbers),
    }
