"""What both kinds of training share: a skorch net that says how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from skorch import NeuralNet
from skorch.history import History
from skorch.utils import open_file_like
from torch.utils.data import Dataset

from sklearn_jedi._training._callbacks import KeepBest
from sklearn_jedi._utils._plain import to_plain
from sklearn_jedi._utils._threads import few_threads


class NonFiniteLossError(ValueError):
    """The training loss became NaN or infinite."""


class PlainHistory(History):
    """A history that writes numbers of numpy and torch as JSON has them."""

    def to_file(self, f: Any) -> None:
        document = json.dumps(self.to_list(), default=to_plain)
        with open_file_like(f, "w") as file:
            file.write(document)


class InterruptibleNet(NeuralNet):
    """A skorch net that tells Ctrl-C from a callback that ends training.

    Attributes
    ----------
    interrupted_ : bool
        Whether Ctrl-C ended training.
    """

    history_: Any

    def fit_loop(self, *args: Any, **kwargs: Any) -> InterruptibleNet:
        """skorch takes every KeyboardInterrupt for the end; tell whose it was."""
        self.interrupted_ = self._stopped_by_callback = False
        try:
            super().fit_loop(*args, **kwargs)
        except KeyboardInterrupt:
            self.interrupted_ = not self._stopped_by_callback
        return self

    def notify(self, method_name: str, **kwargs: Any) -> None:
        try:
            super().notify(method_name, **kwargs)
        except KeyboardInterrupt:  # skorch's EarlyStopping raises it
            self._stopped_by_callback = True
            raise

    def save_params(self, *args: Any, **kwargs: Any) -> None:
        """As skorch does, whatever numbers callbacks have recorded."""
        self.history_ = PlainHistory(self.history_)
        super().save_params(*args, **kwargs)

    def fit_and_restore(
        self, data: Dataset[Any]
    ) -> tuple[KeepBest, NonFiniteLossError | None]:
        """Train, and go back to the best state, on the CPU.

        Returns
        -------
        keep_best : KeepBest
            The callback that knows the best epoch.
        error : NonFiniteLossError or None
        """
        error = None
        try:
            self.fit(data, y=None)
        except NonFiniteLossError as caught:
            error = caught
        keep_best: KeepBest = dict(self.callbacks_)["keep_best"]
        keep_best.restore(self)
        self.module_.to("cpu")
        self.device = "cpu"
        return keep_best, error


@contextmanager
def seeded(seed: int, device: str, n_neurons: int) -> Iterator[None]:
    """Random numbers of torch from a seed, and as they were before after that.

    Small networks get one thread.
    """
    on = torch.device(device)
    gpus = [on.index or 0] if on.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus), few_threads(n_neurons):
        torch.manual_seed(seed)
        yield
