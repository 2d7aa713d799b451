"""Rate networks trained on delayed tasks by backpropagation through time."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zipfile import BadZipFile

import numpy as np
from sklearn.datasets import get_data_home

from sklearn_jedi._networks._equation import Equation
from sklearn_jedi._utils._threads import few_threads

if TYPE_CHECKING:
    import torch

# Part of a file's name: to be raised whenever networks come out differently.
_RECIPE = 1
DT, TAU = 0.01, 0.1
EQUATION = Equation.of(TAU, DT, "tanh")
# Durations in bins of fixation, stimulus, delay and response, from and below; delays
# and responses begin short and grow to these.
_FIXATION, _STIMULUS, _DELAY, _RESPONSE = (5, 15), (20, 40), (5, 100), (20, 100)
_SHORTEST_DELAY, _SHORTEST_RESPONSE = 10, 30
_REACTION = 10  # bins of the response that are not asked to be right
_BATCH = 64
_LEARNING_RATE = 3e-3  # the highest of a one-cycle schedule
_NOISE = 0.05  # SD of each neuron's noise in a step
_RATE_PENALTY, _WEIGHT_PENALTY = 1e-3, 1e-4
_INITIAL_GAIN, _INITIAL_INPUT = 0.8, 0.5


class Conditions(NamedTuple):
    """Conditions of a task, a row each.

    Attributes
    ----------
    stimulus, test : arrays of shape (n_conditions, n_channels)
        Input during the stimulus and during the response.
    target : array of shape (n_conditions, n_outputs)
        Output asked for in the response; before, it is zero.
    """

    stimulus: np.ndarray
    test: np.ndarray
    target: np.ndarray

    def take(self, rows: np.ndarray) -> Conditions:
        return Conditions(*(array[rows] for array in self))

    def trials(self, durations: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets over time, one trial a condition.

        The first input is 1 until the response, which asks the network to wait.

        Returns
        -------
        inputs : array of shape (n_conditions, n_timepoints, 1 + n_channels)
        targets : array of shape (n_conditions, n_timepoints, n_outputs)
        """
        fixation, stimulus, _, response = durations
        n, n_channels = self.stimulus.shape
        inputs = np.zeros((n, sum(durations), 1 + n_channels))
        targets = np.zeros((n, sum(durations), self.target.shape[1]))
        inputs[:, :-response, 0] = 1
        inputs[:, fixation : fixation + stimulus, 1:] = self.stimulus[:, None]
        inputs[:, -response:, 1:] = self.test[:, None]
        targets[:, -response:] = self.target[:, None]
        return inputs, targets


class Weights(NamedTuple):
    """A network ``tau dr/dt = -r + J tanh(r) + B u + b`` with output ``W tanh(r)``."""

    J: np.ndarray
    B: np.ndarray
    b: np.ndarray
    W: np.ndarray

    def fit_together(self) -> bool:
        n = len(self.b)
        shapes = [(n, n), (n, self.B.shape[-1]), (n,), (self.W.shape[0], n)]
        arrays = zip(self, shapes, strict=True)
        return all(a.shape == s and np.isfinite(a).all() for a, s in arrays)


def trained(
    name: str,
    conditions: Conditions,
    n_neurons: int,
    n_iterations: int,
    seed: int,
    data_home: str | os.PathLike[str] | None,
) -> Weights:
    """Weights of a trained network, from its file where there is one."""
    folder = _folder(data_home)
    path = folder / f"{name}-{n_neurons}-{n_iterations}-{seed}-v{_RECIPE}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as file:
                weights = Weights(*(file[key] for key in Weights._fields))
            if weights.fit_together() and len(weights.b) == n_neurons:
                return weights
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            pass
        warnings.warn(f"{path} is damaged and is made anew", UserWarning, stacklevel=3)
    weights = train(conditions, n_neurons, n_iterations, seed)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    try:
        np.savez(temporary, **weights._asdict())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return weights


def _folder(data_home: str | os.PathLike[str] | None) -> Path:
    """Where networks are kept; whether it can be is found out before training."""
    if data_home is not None and not isinstance(data_home, str | os.PathLike):
        raise TypeError(f"data_home must be a path or None; got {data_home!r}")
    try:
        folder = Path(get_data_home(data_home)) / "sklearn_jedi"
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"data_home={data_home!r} cannot hold a folder for trained networks; name "
            f"one that can be written to ({error})"
        ) from error
    if not os.access(folder, os.W_OK):
        raise ValueError(f"data_home={data_home!r} cannot be written to")
    return folder


def train(
    conditions: Conditions, n_neurons: int, n_iterations: int, seed: int
) -> Weights:
    """Train a network on trials of all conditions.

    Adam under a one-cycle schedule, gradients clipped at norm 1. A batch has its own
    durations, the same for its trials: training begins with short delays and responses,
    because a gradient through a long delay vanishes before the network has learned to
    hold anything.
    """
    import torch

    rng = np.random.default_rng(seed)
    n_inputs, n_outputs = 1 + conditions.stimulus.shape[1], conditions.target.shape[1]
    with torch.random.fork_rng(devices=[]), few_threads(n_neurons):
        torch.manual_seed(seed)
        J = torch.randn(n_neurons, n_neurons) * (_INITIAL_GAIN / n_neurons**0.5)
        B = torch.randn(n_neurons, n_inputs) * _INITIAL_INPUT
        b = torch.zeros(n_neurons)
        W = torch.randn(n_outputs, n_neurons) / n_neurons
        parameters = [weight.requires_grad_() for weight in (J, B, b, W)]
        optimizer = torch.optim.Adam(parameters)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, _LEARNING_RATE, total_steps=n_iterations
        )
        for i in range(n_iterations):
            rows = rng.integers(len(conditions.target), size=_BATCH)
            durations = _durations(rng, progress=min(1.0, 1.5 * i / n_iterations))
            batch = conditions.take(rows).trials(durations)
            inputs, targets = (torch.from_numpy(a).float() for a in batch)
            optimizer.zero_grad()
            torch.autograd.backward(loss(parameters, inputs, targets, durations[-1]))
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
    return Weights(*(weight.detach().double().numpy() for weight in parameters))


def loss(
    parameters: Sequence[torch.Tensor],
    inputs: torch.Tensor,
    targets: torch.Tensor,
    n_response: int,
) -> torch.Tensor:
    """Mean squared error of the output, plus small penalties on states and weights.

    The penalties keep the network where `tanh` is not saturated. The beginning of the
    response, `_REACTION` time points of `n_response`, may be wrong.
    """
    import torch

    J, B, b, W = parameters
    R = _run(J, inputs @ B.T + b)
    error = (EQUATION.transfer.value(torch, R) @ W.T - targets) ** 2
    go = R.shape[1] - n_response
    wrong = error[:, :go].sum() + error[:, go + _REACTION :].sum()
    size = ((J**2).sum() + (B**2).sum()) / len(J)
    of_states = wrong / error.numel() + _RATE_PENALTY * (R**2).mean()
    return of_states + _WEIGHT_PENALTY * size


def _run(J: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """States (n_trials, n_timepoints, n_neurons) of a noisy network that starts at 0.

    A step is linear in state and drive: what it makes of the input and of the recurrent
    weights is known before the loop, which then takes two operations a step.
    """
    import torch

    driven = EQUATION.step(0.0, inputs)
    driven = driven + _NOISE * torch.randn(driven.shape, dtype=driven.dtype)
    recurrent = EQUATION.step(0.0, J.T)
    r, states = torch.zeros_like(driven[:, 0]), []
    for now in driven.unbind(1):
        left = torch.add(now, r, alpha=EQUATION.kept)
        r = torch.addmm(left, EQUATION.transfer.value(torch, r), recurrent)
        states.append(r)
    return torch.stack(states, 1)


def _durations(rng: np.random.Generator, progress: float) -> tuple[int, ...]:
    longest_delay = _SHORTEST_DELAY + progress * (_DELAY[1] - _SHORTEST_DELAY)
    longest_response = _SHORTEST_RESPONSE + progress * (
        _RESPONSE[1] - _SHORTEST_RESPONSE
    )
    ranges = (
        _FIXATION,
        _STIMULUS,
        (_DELAY[0], longest_delay),
        (_RESPONSE[0], longest_response),
    )
    return tuple(int(rng.integers(low, int(high))) for low, high in ranges)
