"""What happens around the epochs of training: horizons, the best state, progress."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch.optim.lr_scheduler import OneCycleLR

from sklearn_jedi._utils._progress import end_progress, show_progress

_SHORT_HORIZON = 20
# Training has to lower the error on held-out windows by this share. (EM saw those
# windows, which speaks for EM.)
_WORTH_TRAINING = 0.05


class Horizons(Callback):
    """Windows first, then whole trials, each with one cycle of the learning rate [1]_.

    References
    ----------
    .. [1] Smith and Topin, "Super-convergence: very fast training of neural networks
       using large learning rates" (2019).
    """

    def on_train_begin(self, net: NeuralNet, X: Any = None, **kwargs: Any) -> None:
        self.horizons_ = self.plan(net.max_epochs, X)
        self.rates_ = [group["lr"] for group in net.optimizer_.param_groups]
        self.n_batches_ = len(net.get_iterator(X, training=True))
        self.epoch_ = 0
        self.horizon_: Any = None

    def plan(self, max_epochs: int, X: Any) -> list[Any]:
        """The horizon of each epoch."""
        short = max(1, min(_SHORT_HORIZON, X.n_steps // 2))
        first = max_epochs // 2
        return [short] * first + [X.n_steps] * (max_epochs - first)

    def on_epoch_begin(
        self, net: NeuralNet, dataset_train: Any = None, **kwargs: Any
    ) -> None:
        horizon = self.horizons_[min(self.epoch_, len(self.horizons_) - 1)]
        if horizon != self.horizon_:
            self.horizon_ = horizon
            self.cycle_ = OneCycleLR(
                net.optimizer_,
                max_lr=self.rates_,
                epochs=self.horizons_.count(horizon),
                steps_per_epoch=self.n_batches_,
                final_div_factor=40,
                cycle_momentum=False,
            )
        self.begin(net, dataset_train)

    def begin(self, net: NeuralNet, data: Any) -> None:
        """What an epoch of the present horizon needs."""
        data.horizon = self.horizon_
        net.history.record("horizon", self.horizon_)

    def on_batch_end(
        self, net: NeuralNet, training: bool = False, **kwargs: Any
    ) -> None:
        if training and self.cycle_.last_epoch < self.cycle_.total_steps - 1:
            self.cycle_.step()

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.epoch_ += 1


class KeepBest(Callback):
    """Remember the state with the lowest error on the held-out windows.

    The state before training, EM's, stays unless the error falls by a worthwhile share:
    its embeddings have a closed form.

    Attributes
    ----------
    best_epoch_ : int
        Zero where training improved nothing.
    best_loss_, start_loss_ : float
    """

    _state: dict[str, torch.Tensor]

    def on_train_begin(self, net: NeuralNet, X: Any = None, **kwargs: Any) -> None:
        self.best_epoch_ = 0
        losses, sizes = [], []
        for batch in net.get_iterator(X, training=False):
            losses.append(net.validation_step(batch)["loss"].item())
            sizes.append(len(batch[0]["trial"]))
        self.start_loss_ = self.best_loss_ = float(np.average(losses, weights=sizes))
        self._keep(net)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        loss = net.history[-1, "valid_loss"]
        enough = min(self.best_loss_, (1 - _WORTH_TRAINING) * self.start_loss_)
        if np.isfinite(loss) and loss < enough:
            self.best_loss_ = loss
            self.best_epoch_ = len(net.history)
            self._keep(net)

    def restore(self, net: NeuralNet) -> None:
        net.module_.load_state_dict(self._state)
        self._state = {}

    def _keep(self, net: NeuralNet) -> None:
        self._state = copy.deepcopy(net.module_.state_dict())


class ProgressBar(Callback):
    """One line: epoch, horizon, training loss and R^2 on the held-out windows.

    The R^2 is that of the activity within the span of `P`.
    """

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        epoch = net.history[-1]
        show_progress("epoch", epoch["epoch"], self.max_epochs, self.text(epoch))

    def text(self, epoch: Any) -> str:
        return (
            f"horizon {epoch['horizon']}, loss {epoch['train_loss']:.4f}, "
            f"R^2 {1 - epoch['valid_loss']:.4f}"
        )

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        end_progress(len(net.history), self.max_epochs)
