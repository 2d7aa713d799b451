"""Training of the hypernetwork through skorch: objective, horizons, best state."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch.callbacks import GradientNormClipping
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import Dataset

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._engine._reduction import Reduction, free_run
from sklearn_jedi._engine._settings import held_out_windows
from sklearn_jedi._training._callbacks import Horizons, KeepBest, ProgressBar
from sklearn_jedi._training._hypernetwork import Hypernetwork
from sklearn_jedi._training._nets import (
    InterruptibleNet,
    NonFiniteLossError,
    seeded,
)

# Weight of the standard normal prior on embeddings beside the relative squared error.
_PRIOR_WEIGHT = 1e-3
_BATCHES_PER_EPOCH = (4, 128)
# One trial in so many has a held-out window, and no more than that many trials.
_HELD_OUT_EVERY = 4
_MOST_HELD_OUT = 256
_LEARNING_RATE = 2e-3
_PERCEPTRON_LEARNING_RATE = 6e-4


class EmbeddedNetwork(nn.Module):
    """An embedding per training trial or condition, the hypernetwork, the free run.

    Parameters
    ----------
    hypernetwork : Hypernetwork
    embeddings : array of shape (n_groups, embedding_dim)
        First embeddings.
    red : Reduction[np.ndarray]
        The basis, in numpy.
    """

    def __init__(
        self,
        hypernetwork: Hypernetwork,
        embeddings: np.ndarray,
        red: Reduction[np.ndarray],
    ) -> None:
        super().__init__()
        self.hypernetwork = hypernetwork
        self.embeddings = nn.Parameter(
            torch.tensor(embeddings, dtype=torch.get_default_dtype())
        )
        self._red = red
        self._reductions: dict[
            tuple[torch.device, torch.dtype], Reduction[torch.Tensor]
        ] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reductions": {}}

    def forward(self, trial: torch.Tensor, states: torch.Tensor, n_steps: int) -> Any:
        """Coordinates of free runs (n, n_steps, rank) and the embeddings (n, d)."""
        key = (states.device, states.dtype)
        if key not in self._reductions:
            self._reductions[key] = self._red.to_torch(states.dtype, states.device)
        embeddings = self.embeddings[trial]
        path = free_run(
            self._reductions[key], self.hypernetwork(embeddings), states, n_steps
        )
        return path, embeddings


class TrainingTrials(Dataset[Any]):
    """Training trials, read when they are needed, and the steps held out of the loss.

    Parameters
    ----------
    trials : Trials
        In network units, the first bin of each recorded as a whole.
    red : Reduction[np.ndarray]
        In numpy.

    Attributes
    ----------
    horizon : int
        Steps of a training window; set by `Horizons`.
    """

    def __init__(self, trials: Trials, red: Reduction[np.ndarray]) -> None:
        self.trials = trials
        self.red = red
        self.n_steps = self.horizon = trials.n_timepoints - 1
        self.held_out_every = max(_HELD_OUT_EVERY, len(trials) // _MOST_HELD_OUT)

    def __len__(self) -> int:
        return len(self.trials)

    def window(
        self,
        block: Block,
        row: np.ndarray,
        start: np.ndarray,
        n_steps: int,
        *,
        held_out: bool,
    ) -> Any:
        """A batch for the module, and its targets with the mask of unscored steps.

        Windows start at the last whole bin up to `start`. Scored are the steps that are
        held out, or those that are not.
        """
        bins = block.bins
        numbers = np.where(bins, np.arange(bins.shape[1]), 0)
        start = np.maximum.accumulate(numbers, axis=1)[row, start]
        step = start[:, None] + np.arange(n_steps)
        outside = step >= bins.shape[1] - 1
        step = np.minimum(step, bins.shape[1] - 2)
        held = held_out_windows(block, self.held_out_every)[row[:, None], step]
        scored = (held == held_out) & bins[row[:, None], step + 1] & ~outside
        targets = self.red.split(block.values)[0][row[:, None], step + 1]
        dtype = torch.get_default_dtype()
        inputs = {
            "trial": torch.as_tensor(block.labels[block.group[row]]),
            "states": torch.as_tensor(block.values[row, start], dtype=dtype),
            "n_steps": torch.full((len(row),), n_steps),
        }
        return inputs, (torch.as_tensor(targets, dtype=dtype), torch.as_tensor(~scored))

    def total_variance(self) -> float:
        """Variance of the targets, summed over coordinates, on a sample of trials."""
        parts = [
            self.red.split(block.values)[0][block.bins]
            for block in self.trials.sample(_MOST_HELD_OUT).blocks()
        ]
        kappa = np.concatenate(parts)
        return max(float(((kappa - kappa.mean(0)) ** 2).sum(1).mean()), 1e-12)


class WindowBatches:
    """Random windows of the trials, all trials in random order before any comes again.

    A batch holds the bins of `batch_size` trials whatever the horizon; an epoch is one
    pass, but at least 4 batches and at most 128.
    """

    def __init__(self, dataset: TrainingTrials, batch_size: int) -> None:
        self.dataset = dataset
        self.batch_size = min(batch_size, len(dataset))

    def __len__(self) -> int:
        low, high = _BATCHES_PER_EPOCH
        return min(max(low, -(-len(self.dataset) // self.batch_size)), high)

    def __iter__(self) -> Iterator[Any]:
        data, horizon, size = self.dataset, self.dataset.horizon, self.batch_size
        n_trials = len(data)
        n_passes = -(-len(self) * size // n_trials)
        order = torch.cat([torch.randperm(n_trials) for _ in range(n_passes)])
        numbers = order[: len(self) * size].numpy()
        for first in range(0, len(numbers), size):
            batch = numbers[first : first + size]
            block = data.trials.read(batch)
            row = np.tile(np.arange(len(batch)), data.n_steps // horizon)
            latest = np.maximum(block.lengths - 1 - horizon, 0)[row]
            start = (torch.rand(len(row)).numpy() * (latest + 1)).astype(int)
            yield data.window(
                block, row, np.minimum(start, latest), horizon, held_out=False
            )


class HeldOutBatches:
    """Free runs from first bins of the trials that have held-out steps."""

    def __init__(self, dataset: TrainingTrials, batch_size: int) -> None:
        self.dataset = dataset
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[Any]:
        data = self.dataset
        numbers = np.arange(0, len(data), data.held_out_every)
        for first in range(0, len(numbers), self.batch_size):
            block = data.trials.read(numbers[first : first + self.batch_size])
            row = np.arange(len(block.numbers))
            yield data.window(
                block, row, np.zeros_like(row), data.n_steps, held_out=True
            )


class JEDINet(InterruptibleNet):
    """The skorch net behind `JEDIEstimator.net_`.

    The loss is the squared error of the windows' free runs, relative to the variance
    of the activity, plus the Gaussian prior on embeddings; held-out steps are masked.
    """

    def __init__(self, *args: Any, total_variance: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.total_variance = total_variance

    def infer(self, x: dict[str, torch.Tensor], **fit_params: Any) -> Any:
        n_steps = int(x["n_steps"][0])
        return self.module_(
            x["trial"].to(self.device), x["states"].to(self.device), n_steps
        )

    def get_loss(
        self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False
    ) -> torch.Tensor:
        path, embeddings = y_pred
        targets, masked = (part.to(self.device) for part in y_true)
        error = (((path - targets) ** 2).sum(-1) * ~masked).sum()
        n_scored = (~masked).sum().clamp_min(1)
        loss: torch.Tensor = error / (n_scored * self.total_variance)
        if training:
            loss = loss + _PRIOR_WEIGHT * (embeddings**2).mean()
            if not torch.isfinite(loss):
                raise NonFiniteLossError(
                    "the training loss became NaN or infinite, most likely because "
                    "activity is unbounded (nonlinearity other than 'tanh') or a "
                    "callback changed the weights; the last finite model is kept. "
                    "Set max_epochs=0 for the closed-form model, or a larger ridge"
                )
        return loss


class Training(NamedTuple):
    """What training leaves: the net in its best state.

    Attributes
    ----------
    net : JEDINet
        On the CPU.
    best_epoch : int
        Zero where nothing was better than EM.
    error : NonFiniteLossError or None
    interrupted : bool
        Whether Ctrl-C, rather than a callback, ended it early.
    """

    net: JEDINet
    best_epoch: int
    error: NonFiniteLossError | None
    interrupted: bool


def train_free_runs(
    trials: Trials,
    red: Reduction[np.ndarray],
    A: np.ndarray,
    embeddings: np.ndarray,
    *,
    hidden_layer_sizes: tuple[int, ...],
    max_epochs: int,
    batch_size: int,
    device: str,
    callbacks: list[Any] | None,
    seed: int,
    verbose: int,
) -> Training:
    """Train from EM's solution and keep the best state on the held-out windows.

    Parameters
    ----------
    trials : Trials
        Training trials in network units, the first bin of each recorded as a whole.
    red : Reduction[np.ndarray]
        In numpy.
    A, embeddings : arrays
        EM's affine map, and posterior means of shape (n_groups, embedding_dim).
    """
    with seeded(seed, device, trials.n_neurons):
        module = EmbeddedNetwork(Hypernetwork(A, hidden_layer_sizes), embeddings, red)
        data = TrainingTrials(trials, red)
        net = JEDINet(
            module,
            criterion=nn.MSELoss,
            optimizer=torch.optim.Adam,
            optimizer__param_groups=[
                ("hypernetwork.perceptron*", {"lr": _PERCEPTRON_LEARNING_RATE})
            ],
            lr=_LEARNING_RATE,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=WindowBatches,
            iterator_valid=HeldOutBatches,
            train_split=predefined_split(data),
            callbacks=[
                ("horizons", Horizons()),
                ("keep_best", KeepBest()),
                ("clipping", GradientNormClipping(1.0)),
                *([("progress", ProgressBar(max_epochs))] if verbose else []),
                *copy.deepcopy(list(callbacks or [])),
            ],
            callbacks__print_log=None,
            device=device,
            verbose=0,
            total_variance=data.total_variance(),
        )
        keep_best, error = net.fit_and_restore(data)
    net.train_split = None  # holds the training data
    return Training(net, keep_best.best_epoch_, error, net.interrupted_)
