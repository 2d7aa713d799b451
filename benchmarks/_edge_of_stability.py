"""Preparation and movement: recordings, resampling, and what a fit says of each."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from benchmarks._common import DT
from benchmarks.motor_cortex import preparation_and_movement
from sklearn_jedi import JEDIEstimator, LowRankRNN
from sklearn_jedi.analysis import LyapunovAnalyzer, SpectrumAnalyzer

EPOCHS = ("preparation", "movement")
READINGS = ("weights", "visited", "lyapunov", "weights_flow", "visited_flow")
N_BINS = 40  # of an epoch, as in hatsopoulos2007
N_GAP = 10  # bins before the go cue that belong to neither
SMOOTHING = 2.5  # bins, the kernel's SD in hatsopoulos2007


class Recording(NamedTuple):
    """Trials or averages, one row for each epoch of each, epochs in the same order.

    Attributes
    ----------
    X : array of shape (n, n_timepoints, n_neurons)
    epoch, direction : int arrays of shape (n,)
        0 preparation, 1 movement; reach direction or target.
    """

    X: np.ndarray
    epoch: np.ndarray
    direction: np.ndarray

    def conditions(self) -> tuple[np.ndarray, np.ndarray]:
        """Epoch and direction of each condition, and the condition of each row."""
        both = np.column_stack([self.epoch, self.direction])
        pairs, condition = np.unique(both, axis=0, return_inverse=True)
        return pairs, condition.ravel()

    def averages(self, smoothing: float = SMOOTHING) -> Recording:
        """Averages of each condition, smoothed in time."""
        pairs, condition = self.conditions()
        X = np.stack([self.X[condition == k].mean(0) for k in range(len(pairs))])
        if smoothing:
            X = gaussian_filter1d(X, smoothing, axis=1)
        return Recording(X, pairs[:, 0], pairs[:, 1])

    def redrawn(self, rng: np.random.Generator) -> Recording:
        """A bootstrap sample, both epochs of a draw together.

        Trials are drawn within directions. Where a direction is one row an epoch,
        directions are drawn, and one that is drawn twice counts as two.
        """
        rows = np.arange(len(self.X)).reshape(len(np.unique(self.epoch)), -1)
        of = self.direction[rows[0]]
        labels = np.unique(of)
        if len(labels) == len(of):
            drawn = rng.integers(len(of), size=len(of))
            direction = np.tile(of, len(rows))
        else:
            groups = [np.flatnonzero(of == k) for k in labels]
            drawn = np.concatenate([rng.choice(g, len(g)) for g in groups])
            direction = self.direction[rows[:, drawn].ravel()]
        chosen = rows[:, drawn].ravel()
        return Recording(self.X[chosen], self.epoch[chosen], direction)


class Fit(NamedTuple):
    """Networks of the conditions, and the mean states of each, in their units."""

    networks: LowRankRNN
    states: np.ndarray
    epoch: np.ndarray
    R2: float
    chosen: dict[str, Any]


def hatsopoulos(folder: Path) -> Recording:
    """Averages in spikes/s."""
    return Recording(*preparation_and_movement(folder))


def chewie(folder: Path) -> Recording:
    """Counts of single trials, movement alone."""
    with np.load(folder / "chewie_single_trial.npz") as data:
        X, target = data["spikes_10ms"].astype(float), data["target"]
    return Recording(X, np.ones(len(X), int), target)


def simulated(reaches: Any, X: np.ndarray) -> Recording:
    """Both epochs of `X`, such as the counts of `make_reaching`."""
    before = slice(reaches.go - N_GAP - N_BINS, reaches.go - N_GAP)
    after = slice(reaches.go, reaches.go + N_BINS)
    both = np.concatenate([X[:, before], X[:, after]])
    return Recording(both, np.repeat([0, 1], len(X)), np.tile(reaches.direction, 2))


def planted(reaches: Any) -> Fit:
    """The true networks, where the activity was."""
    states = simulated(reaches, np.log(reaches.rates)).averages(0)
    before, after = reaches.preparation, reaches.movement
    after = after[[0] * len(before)]
    networks = LowRankRNN(
        np.concatenate([before.U, after.U]),
        np.concatenate([before.V, after.V]),
        np.concatenate([before.bias, after.bias]),
        before.tau,
        before.dt,
        before.nonlinearity,
        gain=before.gain,
        offset=before.offset,
    )
    return Fit(networks, states.X, states.epoch, 1.0, {})


def fit(counts: Recording, single: bool, rank: int, **params: Any) -> Fit:
    """JEDI with one embedding for each epoch of each direction.

    Of single trials (`single`) the square roots of counts are fitted, with noise
    ("gaussian"); of averages, rates without ("state"). Nothing is trained by gradients.
    `params` are the estimator's; `chosen` of a fit holds those that it chose.
    """
    X, condition = counts.X, None
    if single:
        X, condition = np.sqrt(X), counts.conditions()[1]
    pairs, of = counts.conditions()
    dim = min(4 if rank < 10 else 8, len(pairs) - 1)
    observation = "gaussian" if single else "state"
    jedi = JEDIEstimator(
        rank,
        dim,
        embedding="condition" if single else "trial",
        dt=DT,
        max_epochs=0,
        observation=observation,
        **params,
    )
    with warnings.catch_warnings():
        # directions that were drawn twice determine fewer axes
        warnings.filterwarnings("ignore", message=".*embedding axes")
        # short time constants are among those that are tried
        warnings.filterwarnings("ignore", message="tau=")
        jedi.fit(X, conditions=condition)
    smooth = jedi.smooth(X, conditions=condition)
    states = np.stack([smooth[of == k].mean(0) for k in range(len(pairs))])
    first = np.unique(of, return_index=True)[1]
    names = ("gain", "start_smoothing") if single else ("gain", "window", "ridge")
    chosen = {name: getattr(jedi, f"{name}_") for name in names}
    return Fit(
        jedi.dynamics(jedi.embeddings_[first]),
        states,
        pairs[:, 0],
        jedi.score(X, conditions=condition),
        chosen,
    )


def readings(found: Fit) -> dict[str, float]:
    """Leading rates of each epoch in 1/s, means over directions.

    Zero is the edge of stability, a positive rate is beyond it; "difference" is that of
    preparation minus movement, where a recording has both. "weights": the leading
    eigenvalue where every slope is 1; "visited": the mean of that of the Jacobian along
    the activity; "lyapunov": the leading exponent of runs from the activity;
    "..._flow": by the differential equation instead of the map.
    """
    networks, states = found.networks, found.states
    rates = {}
    for time, suffix in (("map", ""), ("flow", "_flow")):
        weights = SpectrumAnalyzer(time=time).fit(networks)
        visited = SpectrumAnalyzer("jacobian", time=time).fit(networks, states=states)
        rates[f"weights{suffix}"] = -weights.distance_to_edge_
        rates[f"visited{suffix}"] = -visited.distance_to_edge_.mean(axis=1)
    runs = LyapunovAnalyzer(
        2, n_steps=500, n_transient=500, n_exponents=1, random_state=0
    )
    rates["lyapunov"] = runs.fit(networks, states=states).exponents_[:, 0]
    row, present = {}, np.unique(found.epoch)
    for name in READINGS:
        means = [float(rates[name][found.epoch == k].mean()) for k in present]
        for k, mean in zip(present, means, strict=True):
            row[f"{EPOCHS[k]}_{name}"] = mean
        if len(means) == 2:
            row[f"difference_{name}"] = means[0] - means[1]
    return row


def map_eigenvalues(found: Fit) -> list[np.ndarray]:
    """Eigenvalues of the map's Jacobian at every tenth state, of each epoch."""
    states = found.states[:, ::10]
    values = SpectrumAnalyzer("jacobian").fit(found.networks, states=states)
    return [values.eigenvalues_[found.epoch == k].ravel() for k in range(len(EPOCHS))]
