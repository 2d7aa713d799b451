"""What the rooms expect of each other's objects, said as types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

# What `sklearn.utils.check_random_state` takes.
RandomState = int | np.random.RandomState | None


class Forecaster(Protocol):
    """A model of trials that continues them: the estimators, and the baselines."""

    def fit(self, X: ArrayLike | Sequence[np.ndarray]) -> Self: ...

    def forecast(
        self, X: ArrayLike | Sequence[np.ndarray], n_steps: int
    ) -> np.ndarray | list[np.ndarray]: ...
