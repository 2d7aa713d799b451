r"""Variational training of latent dynamics that sessions share, from EM's solution.

The model is that of `_smoother`, with weights from a hypernetwork; recognition networks
(`_variational_recognition`) stand in for the smoother, and dynamics and recognition
climb the evidence lower bound together [1]_, [2]_, after recognition alone. Only the
dynamics are kept, and only where they forecast held-out trials better than EM's: states
and embeddings are
always inferred by the smoother.

References
----------
.. [1] Vermani, Nassar, Jeon, Dowling and Park, "Meta-dynamical state space models for
   integrative neural data analysis", ICLR (2025), arXiv:2410.05454.
.. [2] Kingma and Welling, "Auto-encoding variational Bayes", ICLR (2014).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import GradientNormClipping
from torch import nn

from sklearn_jedi._data._trials import Trials
from sklearn_jedi._engine._state_space import StateSpace
from sklearn_jedi._training._callbacks import Horizons, KeepBest, ProgressBar
from sklearn_jedi._training._hypernetwork import Hypernetwork
from sklearn_jedi._training._nets import (
    InterruptibleNet,
    NonFiniteLossError,
    seeded,
)
from sklearn_jedi._training._variational_data import (
    Forecasts,
    ShuffledBatches,
    TrainingSessions,
    held_out_trials,
)
from sklearn_jedi._training._variational_model import LatentFamily, VariationalModel
from sklearn_jedi._training._variational_recognition import Recognition, float_tensor

# Held-out trials are forecast every so many epochs.
_SCORED_EVERY = 5
# Share of the epochs in which recognition is trained alone.
_RECOGNITION_ALONE = 0.2
_RECOGNITION_RATE = 1e-2
_MODEL_RATE = 2e-3
_PERCEPTRON_RATE = 1e-3


class Variational(NamedTuple):
    """What training leaves.

    Attributes
    ----------
    models : list of StateSpace
        EM's, where nothing was better.
    hypernetwork : Hypernetwork or None
        The map of the models, in float64 on the CPU; None where it is EM's.
    net : VariationalNet or None
        None where there was nothing to train, or no trial to judge it by.
    history : list of dict
        skorch's; `valid_loss` is the avoidable cost as a share of EM's.
    best_epoch : int
        Zero where nothing was better than EM.
    interrupted : bool
        Whether Ctrl-C, rather than a callback, ended it early.
    error : NonFiniteLossError or None
    """

    models: list[StateSpace]
    hypernetwork: Hypernetwork | None
    net: VariationalNet | None
    history: Any
    best_epoch: int
    interrupted: bool
    error: NonFiniteLossError | None


class Stages(Horizons):
    """Recognition alone, then everything, each with a cycle of the learning rate."""

    def plan(self, max_epochs: int, X: Any) -> list[str]:
        first = round(_RECOGNITION_ALONE * max_epochs)
        return ["recognition"] * first + ["all"] * (max_epochs - first)

    def begin(self, net: NeuralNet, data: Any) -> None:
        net.module_.family.requires_grad_(self.horizon_ == "all")
        net.history.record("stage", self.horizon_)


class KeepForecasts(KeepBest):
    """Keep the model with the best forecasts of the held-out trials."""

    def __init__(self, forecasts: Forecasts, max_epochs: int) -> None:
        self.forecasts = forecasts
        self.max_epochs = max_epochs

    def on_train_begin(self, net: NeuralNet, X: Any = None, **kwargs: Any) -> None:
        self.best_epoch_ = 0
        self.start_loss_ = self.best_loss_ = self._loss = 1.0
        self._keep(net)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        epoch = len(net.history)
        last = epoch == self.max_epochs
        changed = net.history[-1, "stage"] == "all"
        if changed and (last or epoch % _SCORED_EVERY == 0):
            models = net.module_.family.models(self.forecasts.models)
            self._loss = self.forecasts(models)
        net.history.record("valid_loss", self._loss)
        super().on_epoch_end(net)


class StageProgress(ProgressBar):
    """One line: epoch, what is trained, loss, avoidable cost relative to EM's."""

    def text(self, epoch: Any) -> str:
        return (
            f"{epoch['stage']}, loss {epoch['train_loss']:.4f}, "
            f"held out {epoch['valid_loss']:.3f} of EM's"
        )


class VariationalNet(InterruptibleNet):
    """The skorch net of variational training; its loss is the negative bound."""

    def infer(self, x: dict[str, torch.Tensor], **fit_params: Any) -> Any:
        return self.module_({name: part.to(self.device) for name, part in x.items()})

    def get_loss(
        self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False
    ) -> torch.Tensor:
        if not torch.isfinite(y_pred):
            raise NonFiniteLossError(
                "the training loss became NaN or infinite, most likely because a "
                "callback changed the weights; the best finite model is kept. Set "
                "max_epochs=0 for EM's"
            )
        result: torch.Tensor = -y_pred
        return result


def train_variational(
    sessions: list[Trials],
    models: list[StateSpace],
    *,
    change_rank: int | None,
    hidden_layer_sizes: Sequence[int],
    max_epochs: int,
    batch_size: int,
    device: str,
    callbacks: list[Any] | None,
    random_state: np.random.RandomState,
    progress: bool,
) -> Variational:
    """Train from EM's solution; keep what forecasts held-out trials best.

    Parameters
    ----------
    sessions : list of Trials
        As the likelihood of the models takes them.
    models : list of StateSpace
        EM's, one per session, which differ in `loading` and `likelihood`.
    change_rank : int or None
        Largest rank of what embeddings change in the weights.
    """
    rows = [held_out_trials(trials) for trials in sessions]
    rest = [
        trials.take(np.setdiff1d(np.arange(len(trials)), own))
        for trials, own in zip(sessions, rows, strict=True)
    ]
    if not max_epochs or not any(len(own) for own in rows):
        return Variational(models, None, None, [], 0, False, None)
    seed = random_state.randint(2**31 - 1)
    with seeded(seed, device, max(trials.n_neurons for trials in sessions)):
        forecasts = Forecasts(sessions, rows, models)
        family = LatentFamily(models, change_rank, hidden_layer_sizes)
        whiten = family.inverse.double().numpy()
        data = TrainingSessions(rest, models, whiten)
        recognition = first_recognition(models, whiten, data)
        net = VariationalNet(
            VariationalModel(family, recognition),
            criterion=nn.MSELoss,
            optimizer=torch.optim.Adam,
            optimizer__param_groups=[
                ("family.hypernetwork.perceptron*", {"lr": _PERCEPTRON_RATE}),
                ("family*", {"lr": _MODEL_RATE}),
            ],
            lr=_RECOGNITION_RATE,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=ShuffledBatches,
            train_split=None,
            callbacks=[
                ("stages", Stages()),
                ("keep_best", KeepForecasts(forecasts, max_epochs)),
                ("clipping", GradientNormClipping(1.0)),
                *([("progress", StageProgress(max_epochs))] if progress else []),
                *copy.deepcopy(list(callbacks or [])),
            ],
            callbacks__print_log=None,
            device=device,
            verbose=0,
        )
        keep_best, error = net.fit_and_restore(data)
    keep_best.forecasts = None  # holds data
    best_epoch = keep_best.best_epoch_
    if best_epoch:
        models = net.module_.family.models(models)
    trained = models[0].map
    return Variational(
        models,
        trained if isinstance(trained, Hypernetwork) else None,
        net,
        net.history,
        best_epoch,
        net.interrupted_,
        error,
    )


def first_recognition(
    models: Sequence[StateSpace], whiten: np.ndarray, data: TrainingSessions
) -> Recognition:
    """Read-ins that invert EM's readouts, as of the noise of each neuron."""
    rank = len(whiten)
    read_in = np.zeros((len(models), data.n_neurons, rank))
    centre = np.zeros((len(models), data.n_neurons))
    noise = np.zeros(rank)
    for session, model in enumerate(models):
        n_neurons = len(model.loading)
        linear = model.likelihood.linearised(model.loading)
        C = linear.slopes @ np.linalg.inv(whiten).T
        weighted = C / linear.variance[:, None]
        precision = C.T @ weighted
        precision += 1e-6 * np.trace(precision) * np.eye(rank)
        cov = np.linalg.inv(precision)
        read_in[session, :n_neurons] = weighted @ cov
        centre[session, :n_neurons] = linear.expected
        noise += np.diag(cov) / len(models)
    return Recognition(
        float_tensor(read_in),
        float_tensor(centre),
        float_tensor(np.sqrt((data.smoothed**2).mean((0, 1)) + noise)),
        float_tensor(np.sqrt(noise)),
        float_tensor(data.first_sd),
        models[0].map.n_axes,
    )
