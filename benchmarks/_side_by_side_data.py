"""The data sets of `side_by_side`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from sklearn.model_selection import StratifiedKFold

from benchmarks._common import noisy_family, recordings, split
from sklearn_jedi import LowRankRNN
from sklearn_jedi.datasets import (
    make_attractor_family,
    make_driven_teachers,
    make_rotation_family,
)

N_TRAIN, N_TEST = 10, 5
NEURONS = 50


@dataclass
class DataSet:
    """Trials, what they are scored against, and the sizes that models try."""

    X: np.ndarray
    truth: np.ndarray
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray
    ranks: tuple[int, ...]
    states: tuple[int, ...]
    embedding_dim: int
    n_given: int  # time points that forecasts see
    networks: LowRankRNN | None = None  # autonomous ones, one for each condition
    # eigenvalues that a linear model of each condition would have to have
    linear_eigenvalues: np.ndarray | None = None

    def inner(self) -> tuple[np.ndarray, np.ndarray]:
        """Three quarters of the training trials to fit candidates on, and the rest."""
        labels = self.y[self.train]
        of_label = np.unique(labels, return_counts=True)[1].min()
        fit, held = split(labels, 3 * of_label // 4)
        return self.train[fit], self.train[held]


def driven(seed: int) -> DataSet:
    X, y, _ = make_driven_teachers(
        N_TRAIN + N_TEST, n_neurons=NEURONS, random_state=seed
    )
    return DataSet(X, X, y, *split(y, N_TRAIN), (3, 5, 8), (5, 10, 15), 4, 50)


def small(seed: int) -> DataSet:
    """Driven teachers for --quick."""
    X, y, _ = make_driven_teachers(
        8, n_timepoints=60, n_neurons=20, frequencies=(2.0, 6.0), random_state=seed
    )
    return DataSet(X, X, y, *split(y, 6), (3,), (5,), 4, 20)


def rotation(seed: int) -> DataSet:
    X, truth, y, networks = noisy_family(
        make_rotation_family,
        1.0,
        seed,
        n_trials_per_condition=N_TRAIN + N_TEST,
        n_neurons=NEURONS,
    )
    turns = np.exp(2j * np.pi * np.arange(1, 5) * networks.dt)
    linear = 1 + (turns - 1) * networks.tau / networks.dt
    parts = split(y, N_TRAIN)
    return DataSet(X, truth, y, *parts, (2, 3, 5), (2, 4, 8), 2, 50, networks, linear)


def attractor(seed: int) -> DataSet:
    X, truth, y, networks = noisy_family(
        make_attractor_family,
        100.0,
        seed,
        n_trials_per_condition=N_TRAIN + N_TEST,
        n_neurons=NEURONS,
    )
    parts = split(y, N_TRAIN)
    return DataSet(X, truth, y, *parts, (2, 3, 5), (2, 4, 8), 2, 50, networks)


def cortex(seed: int) -> DataSet | None:
    """Square roots of counts of chewie_single_trial, scored against smoothed ones."""
    folder = recordings()
    if folder is None:
        return None
    with np.load(folder / "chewie_single_trial.npz") as data:
        X, y = np.sqrt(data["spikes_10ms"].astype(float)), data["target"]
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    train, test = next(folds.split(X, y))
    smooth = gaussian_filter1d(X, 4, axis=1, mode="nearest")
    return DataSet(X, smooth, y, train, test, (4, 8, 12), (6, 8, 12), 4, 16)


DATA: dict[str, Callable[[int], DataSet | None]] = {
    "driven": driven,
    "rotation": rotation,
    "attractor": attractor,
    "cortex": cortex,
}
