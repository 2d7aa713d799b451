"""Kalman filter, smoother and EM of linear-Gaussian systems, for trials with gaps.

The equations are those of Shumway and Stoffer [1]_; the smoother is that of Rauch, Tung
and Striebel [2]_. The filter is in information form: what a bin tells of the state is
of the size of the state, however many neurons there are and whichever were recorded.

References
----------
.. [1] Shumway and Stoffer, "An approach to time series smoothing and forecasting using
   the EM algorithm", Journal of Time Series Analysis 3 (1982).
.. [2] Rauch, Tung and Striebel, "Maximum likelihood estimates of linear dynamic
   systems", AIAA Journal 3 (1965).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

_LEAST_NOISE = 1e-6


class System(NamedTuple):
    """`z[t+1] = A z[t] + b + q[t]`, `x[t] = C z[t] + d + r[t]`.

    Attributes
    ----------
    A, b : arrays of shape (n_states, n_states) and (n_states,)
    C, d : arrays of shape (n_neurons, n_states) and (n_neurons,)
    Q : array of shape (n_states, n_states)
        Covariance of `q`.
    R : array of shape (n_neurons,)
        Variances of `r`, which is independent between neurons.
    first_mean, first_cov : arrays of shape (n_states,) and (n_states, n_states)
        Of the states in which trials begin.
    """

    A: np.ndarray
    b: np.ndarray
    C: np.ndarray
    d: np.ndarray
    Q: np.ndarray
    R: np.ndarray
    first_mean: np.ndarray
    first_cov: np.ndarray

    def next_cov(self, cov: np.ndarray) -> np.ndarray:
        """Covariances (n, n_states, n_states) one step later."""
        return np.asarray(self.A @ cov @ self.A.T + self.Q)

    def run(self, z: np.ndarray, n_timepoints: int) -> np.ndarray:
        """States (n_trials, n_timepoints, n_states) from the first, without noise."""
        path = [z]
        for _ in range(n_timepoints - 1):
            path.append(path[-1] @ self.A.T + self.b)
        return np.stack(path, 1)

    def activity(self, z: np.ndarray) -> np.ndarray:
        """Expected recordings (..., n_neurons) at states (..., n_states)."""
        return np.asarray(z @ self.C.T + self.d)


class States(NamedTuple):
    """Filtered or smoothed states.

    Trials with the same gaps have the same covariances, which are kept once for each
    pattern of gaps.

    Attributes
    ----------
    means : array of shape (n_trials, n_timepoints, n_states)
    covs : array of shape (n_patterns, n_timepoints, n_states, n_states)
    """

    means: np.ndarray
    covs: np.ndarray


class GappedTrials:
    """Trials of one length, and the patterns of what was recorded.

    Parameters
    ----------
    values : array of shape (n_trials, n_timepoints, n_neurons)
        Zero where nothing was recorded.
    recorded : bool array of the same shape, or None
        None where everything was recorded.

    Attributes
    ----------
    pattern : int array of shape (n_trials,)
        Which pattern of gaps each trial has.
    patterns : bool array of shape (n_patterns, n_timepoints, n_neurons)
    """

    def __init__(self, values: np.ndarray, recorded: np.ndarray | None) -> None:
        self.values = values
        self.recorded = recorded
        if recorded is None:
            self.pattern = np.zeros(len(values), dtype=int)
            self.patterns = np.ones((1, *values.shape[1:]), dtype=bool)
        else:
            numbers: dict[bytes, int] = {}
            self.pattern = np.array(
                [numbers.setdefault(one.tobytes(), len(numbers)) for one in recorded]
            )
            self.patterns = recorded[np.unique(self.pattern, return_index=True)[1]]
        self._counts = np.bincount(self.pattern).astype(float)

    @property
    def n_recorded(self) -> np.ndarray:
        """Recorded bins (n_neurons,) of each neuron."""
        return np.asarray(self._counts @ self.patterns.sum(1))

    def without(self, expected: np.ndarray) -> np.ndarray:
        """The values less what is expected, zero where nothing was recorded."""
        difference: np.ndarray = self.values - expected
        if self.recorded is not None:
            difference *= self.recorded
        return difference

    def times(self, vectors: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        """Rows (n_trials, k) times the matrices of their patterns."""
        if len(matrices) == 1:
            return np.asarray(vectors @ matrices[0])
        return np.asarray((vectors[:, None] @ matrices[self.pattern])[:, 0])

    def total(self, of_patterns: np.ndarray) -> np.ndarray:
        """Sum over trials of what is the same for all trials of a pattern."""
        return np.asarray(np.tensordot(self._counts, of_patterns, 1))

    def total_of_neurons(self, covs: np.ndarray) -> np.ndarray:
        """Sums (n_neurons, k, k) over the bins in which each neuron was recorded."""
        n_patterns, n_timepoints, k, _ = covs.shape
        weighted = self._counts[:, None] * covs.reshape(n_patterns, -1)
        bins = self.patterns.reshape(n_patterns * n_timepoints, -1).astype(float)
        sums = bins.T @ weighted.reshape(n_patterns * n_timepoints, -1)
        return np.asarray(sums).reshape(-1, k, k)


def start(recording: GappedTrials, n_states: int, sd: float) -> System:
    """Where EM starts: principal components of smoothed trials, and their regression.

    Parameters
    ----------
    sd : float
        Standard deviation of the smoothing kernel, in time points.
    """
    d = recording.values.sum((0, 1)) / recording.n_recorded
    centred = recording.without(d)
    smooth = gaussian_filter1d(centred, sd, axis=1, mode="nearest")
    flat = smooth.reshape(-1, len(d))
    C = np.linalg.eigh(flat.T @ flat)[1][:, ::-1][:, :n_states]
    R = np.maximum(((centred - smooth) ** 2).mean((0, 1)), 1e-4)
    z = smooth @ C
    before, after = _with_one(z[:, :-1]), z[:, 1:].reshape(-1, n_states)
    weights = np.linalg.lstsq(before, after, rcond=None)[0]
    error = after - before @ weights
    eye = np.eye(n_states)
    return System(
        A=weights[:n_states].T,
        b=weights[n_states],
        C=C,
        d=d,
        Q=error.T @ error / len(error) + 1e-6 * eye,
        R=R,
        first_mean=z[:, 0].mean(0),
        first_cov=_scatter(z[:, 0]) + 1e-3 * eye,
    )


def filtered(system: System, recording: GappedTrials) -> tuple[States, States]:
    """States given the bins up to each, and given the bins before each."""
    n_trials, n_timepoints, _ = recording.values.shape
    k = len(system.b)
    weighted = system.C / system.R[:, None]
    toward = recording.without(system.d) @ weighted
    outer = (system.C[:, :, None] * weighted[:, None]).reshape(-1, k * k)
    information = (recording.patterns @ outer).reshape(-1, n_timepoints, k, k)
    now = States(np.empty((n_trials, n_timepoints, k)), np.empty_like(information))
    before = States(np.empty_like(now.means), np.empty_like(information))
    mean, cov = np.tile(system.first_mean, (n_trials, 1)), system.first_cov[None]
    for t in range(n_timepoints):
        if t:
            mean, cov = mean @ system.A.T + system.b, system.next_cov(cov)
        before.means[:, t], before.covs[:, t] = mean, cov
        precision = np.linalg.inv(before.covs[:, t])
        cov = np.linalg.inv(precision + information[:, t])
        cov = (cov + np.swapaxes(cov, 1, 2)) / 2
        mean = recording.times(recording.times(mean, precision) + toward[:, t], cov)
        now.means[:, t], now.covs[:, t] = mean, cov
    return now, before


def smoothed(system: System, recording: GappedTrials) -> tuple[States, np.ndarray]:
    """States given whole trials, and covariances of each with the one before it."""
    (means, covs), before = filtered(system, recording)
    across = np.empty_like(covs[:, 1:])
    for t in range(means.shape[1] - 2, -1, -1):
        back = np.linalg.solve(before.covs[:, t + 1], system.A @ covs[:, t])
        means[:, t] += recording.times(means[:, t + 1] - before.means[:, t + 1], back)
        change = covs[:, t + 1] - before.covs[:, t + 1]
        covs[:, t] += np.swapaxes(back, 1, 2) @ change @ back
        across[:, t] = covs[:, t + 1] @ back
    return States(means, covs), across


def log_likelihood(system: System, recording: GappedTrials) -> float:
    """Log density of the recording, from the errors of predicting each bin [1]_.

    With `P` and `V` the covariances of the state before and after the bin is seen,
    `log |C P C' + R| = log |R| + log |P| - log |V|`, and the inverse of `C P C' + R` is
    `R^-1 - R^-1 C V C' R^-1`.
    """
    now, before = filtered(system, recording)
    error = recording.without(system.activity(before.means))
    toward = error @ (system.C / system.R[:, None])
    squares = (error**2).sum((0, 1)) @ (1 / system.R)
    if len(now.covs) == 1:
        explained = toward[:, :, None] @ now.covs[0] @ toward[..., None]
    else:
        explained = toward[:, :, None] @ now.covs[recording.pattern] @ toward[..., None]
    logdet = np.linalg.slogdet(before.covs)[1] - np.linalg.slogdet(now.covs)[1]
    terms = recording.n_recorded @ np.log(2 * np.pi * system.R)
    terms += recording.total(logdet).sum() + squares - explained.sum()
    return float(-terms / 2)


def maximised(recording: GappedTrials, states: States, across: np.ndarray) -> System:
    """The system of largest expected log likelihood, from smoothed states [1]_."""
    means = states.means
    n_trials, n_timepoints, k = means.shape
    C, d, R = _readout(recording, states)
    covs, across = recording.total(states.covs), recording.total(across)
    before, after = _with_one(means[:, :-1]), means[:, 1:].reshape(-1, k)
    gram, cross = before.T @ before, before.T @ after
    gram[:k, :k] += covs[:-1].sum(0)
    cross[:k] += across.sum(0).T
    weights = np.linalg.solve(gram, cross)
    Q = after.T @ after + covs[1:].sum(0) - cross.T @ weights
    return System(
        A=weights[:k].T,
        b=weights[k],
        C=C,
        d=d,
        Q=(Q + Q.T) / (2 * n_trials * (n_timepoints - 1)) + 1e-9 * np.eye(k),
        R=R,
        first_mean=means[:, 0].mean(0),
        first_cov=covs[0] / n_trials + _scatter(means[:, 0]),
    )


def _readout(
    recording: GappedTrials, states: States
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`C`, `d` and `R` of each neuron, from the bins in which it was recorded."""
    n_neurons, k = recording.values.shape[2], states.means.shape[2]
    z, flat = _with_one(states.means), recording.values.reshape(-1, n_neurons)
    cross = z.T @ flat
    if recording.recorded is None:
        gram = (z.T @ z)[None]
    else:
        second = (z[:, :, None] * z[:, None]).reshape(len(z), -1)
        gram = recording.recorded.reshape(-1, n_neurons).T.astype(float) @ second
        gram = gram.reshape(n_neurons, k + 1, k + 1)
    gram[:, :k, :k] += recording.total_of_neurons(states.covs)[: len(gram)]
    readout = np.linalg.solve(gram, cross.T[:, :, None])[:, :, 0]
    # the expected squared error is x'x - x'E[z] C at the optimum
    error = (flat**2).sum(0) - (cross.T * readout).sum(1)
    R = np.maximum(error / recording.n_recorded, _LEAST_NOISE)
    return readout[:, :k], readout[:, k], R


def _with_one(z: np.ndarray) -> np.ndarray:
    """States of all trials, one below the other, and a column of ones."""
    flat = z.reshape(-1, z.shape[2])
    return np.hstack([flat, np.ones((len(flat), 1))])


def _scatter(z: np.ndarray) -> np.ndarray:
    """Covariance (k, k) of states (n, k) about their mean."""
    centred = z - z.mean(0)
    return np.asarray(centred.T @ centred / len(z))
