"""The baseline: a linear-Gaussian state-space model, the same for all trials."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

_LEAST_NOISE = 1e-6


class LinearStateSpace:
    r"""Linear-Gaussian state-space model, fitted by EM [1]_.

    .. math:: z_{t+1} = A z_t + b + q_t, \quad y_t = C z_t + d + r_t,

    all trials with the same parameters, the noise of the recordings independent
    between neurons. EM starts from principal components of smoothed trials.

    Parameters
    ----------
    n_states : int
    n_iter : int, default=100
        Rounds of EM.
    start_sd : float, default=4.0
        Standard deviation, in time points, of the kernel that smooths the trials that
        EM starts from.

    References
    ----------
    .. [1] Shumway and Stoffer, "An approach to time series smoothing and forecasting
       using the EM algorithm", Journal of Time Series Analysis 3 (1982).
    """

    def __init__(self, n_states: int, n_iter: int = 100, start_sd: float = 4.0) -> None:
        self.n_states = n_states
        self.n_iter = n_iter
        self.start_sd = start_sd

    def fit(self, X: np.ndarray) -> LinearStateSpace:
        """Fit to trials (n_trials, n_timepoints, n_neurons), NaN where missing."""
        self._start(X)
        for _ in range(self.n_iter):
            self._maximise(X, *self._smooth(X))
        return self

    def smooth(self, X: np.ndarray) -> np.ndarray:
        """Activity, the shape of X, from whole trials; NaN in X is filled in."""
        return self._activity(self._smooth(X)[0])

    def free_run(self, X: np.ndarray) -> np.ndarray:
        """Run from the smoothed first state, without noise; the shape of X."""
        return self._run(self._smooth(X)[0][:, 0], X.shape[1])

    def forecast(self, X: np.ndarray, n_steps: int) -> np.ndarray:
        """Run on from the filtered last state (n_trials, n_steps, n_neurons)."""
        return self._run(self._filter(X)[0][:, -1], n_steps + 1)[:, 1:]

    def _activity(self, z: np.ndarray) -> np.ndarray:
        return z @ self.C.T + self.d

    def _run(self, z: np.ndarray, n_timepoints: int) -> np.ndarray:
        path = [z]
        for _ in range(n_timepoints - 1):
            path.append(path[-1] @ self.A.T + self.b)
        return self._activity(np.stack(path, 1))

    def _start(self, X: np.ndarray) -> None:
        k, n_neurons = self.n_states, X.shape[2]
        self.d = np.nanmean(X, (0, 1))
        X = np.where(np.isnan(X), self.d, X)
        smooth = gaussian_filter1d(X - self.d, self.start_sd, axis=1, mode="nearest")
        flat = smooth.reshape(-1, n_neurons)
        self.C = np.linalg.eigh(flat.T @ flat)[1][:, ::-1][:, :k]
        z = smooth @ self.C
        self.R = np.maximum(((X - self.d - smooth) ** 2).mean((0, 1)), 1e-4)
        before, after = _with_ones(z[:, :-1]), z[:, 1:].reshape(-1, k)
        map_ = np.linalg.lstsq(before, after, rcond=None)[0]
        self.A, self.b = map_[:k].T, map_[k]
        error = after - before @ map_
        self.Q = error.T @ error / len(error) + 1e-6 * np.eye(k)
        self.first_mean = z[:, 0].mean(0)
        self.first_cov = np.cov(z[:, 0].T).reshape(k, k) + 1e-3 * np.eye(k)

    def _filter(self, X: np.ndarray) -> tuple[np.ndarray, ...]:
        """Means and covariances of filtered and of predicted states.

        Where nothing is missing, trials share their covariances, whose first axis then
        is 1.
        """
        (n, T, _), k = X.shape, self.n_states
        recorded = ~np.isnan(X)
        weighted = self.C / self.R[:, None]
        toward = np.where(recorded, X - self.d, 0.0) @ weighted
        recorded = recorded[:1] if recorded.all() else recorded
        outer = (self.C[:, :, None] * weighted[:, None]).reshape(-1, k * k)
        information = (recorded @ outer).reshape(-1, T, k, k)
        means, covs = np.empty((n, T, k)), np.empty_like(information)
        predicted_means, predicted_covs = np.empty_like(means), np.empty_like(covs)
        mean, cov = np.tile(self.first_mean, (n, 1)), self.first_cov[None]
        for t in range(T):
            if t:
                mean, cov = mean @ self.A.T + self.b, self.A @ cov @ self.A.T + self.Q
            predicted_means[:, t], predicted_covs[:, t] = mean, cov
            precision = np.linalg.inv(cov)
            cov = np.linalg.inv(precision + information[:, t])
            cov = (cov + np.swapaxes(cov, 1, 2)) / 2
            mean = _times(_times(mean, precision) + toward[:, t], cov)
            means[:, t], covs[:, t] = mean, cov
        return means, covs, predicted_means, predicted_covs

    def _smooth(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means, covariances, and covariances of each state with the one before it."""
        means, covs, predicted_means, predicted_covs = self._filter(X)
        across = np.empty_like(covs[:, 1:])
        for t in range(X.shape[1] - 2, -1, -1):
            back_t = np.linalg.solve(predicted_covs[:, t + 1], self.A @ covs[:, t])
            means[:, t] += _times(means[:, t + 1] - predicted_means[:, t + 1], back_t)
            change = covs[:, t + 1] - predicted_covs[:, t + 1]
            covs[:, t] += np.swapaxes(back_t, 1, 2) @ change @ back_t
            across[:, t] = covs[:, t + 1] @ back_t
        return means, covs, across

    def _maximise(
        self, X: np.ndarray, means: np.ndarray, covs: np.ndarray, across: np.ndarray
    ) -> None:
        (n, T, _), k = X.shape, self.n_states
        self._read_out(X, means, covs)
        # trials without gaps share their covariances: the first stands for all
        times = n // len(covs)
        covs, across = times * covs.sum(0), times * across.sum(0)

        before, after = _with_ones(means[:, :-1]), means[:, 1:].reshape(-1, k)
        gram, cross = before.T @ before, before.T @ after
        gram[:k, :k] += covs[:-1].sum(0)
        cross[:k] += across.sum(0).T
        map_ = np.linalg.solve(gram, cross)
        self.A, self.b = map_[:k].T, map_[k]
        Q = after.T @ after + covs[1:].sum(0) - cross.T @ map_
        self.Q = (Q + Q.T) / (2 * n * (T - 1)) + 1e-9 * np.eye(k)
        self.first_mean = means[:, 0].mean(0)
        scatter = np.cov(means[:, 0].T, bias=True).reshape(k, k)
        self.first_cov = covs[0] / n + scatter

    def _read_out(self, X: np.ndarray, means: np.ndarray, covs: np.ndarray) -> None:
        """Readout and noise of each neuron, from the bins in which it was recorded."""
        (n, T, n_neurons), k = X.shape, self.n_states
        recorded = ~np.isnan(X)
        states = _with_ones(means)
        flat = np.where(recorded, X, 0.0).reshape(-1, n_neurons)
        cross = states.T @ flat
        if recorded.all():
            gram = (states.T @ states)[None]
            gram[:, :k, :k] += n * covs[0].sum(0)
        else:
            second = states[:, :, None] * states[:, None]
            second[:, :k, :k] += np.broadcast_to(covs, (n, T, k, k)).reshape(-1, k, k)
            second = second.reshape(len(flat), -1)
            weights = recorded.reshape(-1, n_neurons).astype(float)
            gram = (weights.T @ second).reshape(n_neurons, k + 1, k + 1)
        readout = np.linalg.solve(gram, cross.T[:, :, None])[:, :, 0]
        self.C, self.d = readout[:, :k], readout[:, k]
        # the expected squared error is x'x - x'E[z] C at the optimum
        error = (flat**2).sum(0) - (cross.T * readout).sum(1)
        self.R = np.maximum(error / recorded.sum((0, 1)), _LEAST_NOISE)


def _times(vectors: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Row vectors (n, k) times symmetric or transposed matrices (n or 1, k, k)."""
    return (vectors[:, None] @ matrices)[:, 0]


def _with_ones(z: np.ndarray) -> np.ndarray:
    """States of all trials, one below the other, and a column of ones."""
    flat = z.reshape(-1, z.shape[2])
    return np.hstack([flat, np.ones((len(flat), 1))])
