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
        missing = np.isnan(X).all((0, 1))
        if missing.any():
            raise ValueError(
                f"neuron {int(missing.argmax())} has no value in any trial"
            )
        gaps = _Gaps(X)
        self._start(X)
        for _ in range(self.n_iter):
            self._maximise(X, gaps, *self._smooth(X, gaps))
        return self

    def smooth(self, X: np.ndarray) -> np.ndarray:
        """Activity, the shape of X, from whole trials; NaN in X is filled in."""
        return self._activity(self._smooth(X, _Gaps(X))[0])

    def free_run(self, X: np.ndarray) -> np.ndarray:
        """Run from the smoothed first state, without noise; the shape of X."""
        return self._run(self._smooth(X, _Gaps(X))[0][:, 0], X.shape[1])

    def forecast(self, X: np.ndarray, n_steps: int) -> np.ndarray:
        """Run on from the filtered last state (n_trials, n_steps, n_neurons)."""
        return self._run(self._filter(X, _Gaps(X))[0][:, -1], n_steps + 1)[:, 1:]

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
        self.first_cov = np.cov(z[:, 0].T, bias=True).reshape(k, k) + 1e-3 * np.eye(k)

    def _filter(self, X: np.ndarray, gaps: _Gaps) -> tuple[np.ndarray, ...]:
        """Means (n, T, k) of filtered and predicted states, covariances of patterns."""
        (n, T, _), k = X.shape, self.n_states
        weighted = self.C / self.R[:, None]
        toward = np.where(np.isnan(X), 0.0, X - self.d) @ weighted
        outer = (self.C[:, :, None] * weighted[:, None]).reshape(-1, k * k)
        information = (gaps.recorded @ outer).reshape(-1, T, k, k)
        means, covs = np.empty((n, T, k)), np.empty_like(information)
        predicted_means, predicted_covs = np.empty_like(means), np.empty_like(covs)
        mean, cov = np.tile(self.first_mean, (n, 1)), self.first_cov[None]
        for t in range(T):
            if t:
                mean, cov = mean @ self.A.T + self.b, self.A @ cov @ self.A.T + self.Q
            predicted_means[:, t], predicted_covs[:, t] = mean, cov
            precision = np.linalg.inv(predicted_covs[:, t])
            cov = np.linalg.inv(precision + information[:, t])
            cov = (cov + np.swapaxes(cov, 1, 2)) / 2
            toward_t = gaps.times(mean, precision) + toward[:, t]
            mean = gaps.times(toward_t, cov)
            means[:, t], covs[:, t] = mean, cov
        return means, covs, predicted_means, predicted_covs

    def _smooth(
        self, X: np.ndarray, gaps: _Gaps
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means, covariances, and covariances of each state with the one before it."""
        means, covs, predicted_means, predicted_covs = self._filter(X, gaps)
        across = np.empty_like(covs[:, 1:])
        for t in range(X.shape[1] - 2, -1, -1):
            back_t = np.linalg.solve(predicted_covs[:, t + 1], self.A @ covs[:, t])
            means[:, t] += gaps.times(
                means[:, t + 1] - predicted_means[:, t + 1], back_t
            )
            change = covs[:, t + 1] - predicted_covs[:, t + 1]
            covs[:, t] += np.swapaxes(back_t, 1, 2) @ change @ back_t
            across[:, t] = covs[:, t + 1] @ back_t
        return means, covs, across

    def _maximise(
        self,
        X: np.ndarray,
        gaps: _Gaps,
        means: np.ndarray,
        covs: np.ndarray,
        across: np.ndarray,
    ) -> None:
        (n, T, _), k = X.shape, self.n_states
        self._read_out(X, gaps, means, covs)
        covs, across = gaps.total(covs), gaps.total(across)

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

    def _read_out(
        self, X: np.ndarray, gaps: _Gaps, means: np.ndarray, covs: np.ndarray
    ) -> None:
        """Readout and noise of each neuron, from the bins in which it was recorded."""
        n_neurons, k = X.shape[2], self.n_states
        recorded = ~np.isnan(X)
        states = _with_ones(means)
        flat = np.where(recorded, X, 0.0).reshape(-1, n_neurons)
        cross = states.T @ flat
        if recorded.all():
            gram = (states.T @ states)[None]
        else:
            second = (states[:, :, None] * states[:, None]).reshape(len(flat), -1)
            gram = recorded.reshape(-1, n_neurons).T.astype(float) @ second
            gram = gram.reshape(n_neurons, k + 1, k + 1)
        gram[:, :k, :k] += gaps.total_of_neurons(covs)[: len(gram)]
        readout = np.linalg.solve(gram, cross.T[:, :, None])[:, :, 0]
        self.C, self.d = readout[:, :k], readout[:, k]
        # the expected squared error is x'x - x'E[z] C at the optimum
        error = (flat**2).sum(0) - (cross.T * readout).sum(1)
        self.R = np.maximum(error / recorded.sum((0, 1)), _LEAST_NOISE)


class _Gaps:
    """Patterns of what was recorded; trials of one share their covariances.

    Parameters
    ----------
    X : array of shape (n_trials, n_timepoints, n_neurons)

    Attributes
    ----------
    recorded : bool array of shape (n_patterns, n_timepoints, n_neurons)
    """

    def __init__(self, X: np.ndarray) -> None:
        recorded = ~np.isnan(X)
        numbers: dict[bytes, int] = {}
        self._pattern = np.array(
            [numbers.setdefault(one.tobytes(), len(numbers)) for one in recorded]
        )
        firsts = np.unique(self._pattern, return_index=True)[1]
        self.recorded = recorded[firsts]
        self._counts = np.bincount(self._pattern).astype(float)

    def times(self, vectors: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        """Rows (n, k) times the matrices of their patterns."""
        if len(matrices) == 1:
            return vectors @ matrices[0]
        return (vectors[:, None] @ matrices[self._pattern])[:, 0]

    def total(self, covs: np.ndarray) -> np.ndarray:
        """Sum (T, k, k) over trials of covariances of patterns."""
        return np.einsum("p,ptkl->tkl", self._counts, covs)

    def total_of_neurons(self, covs: np.ndarray) -> np.ndarray:
        """Sums (n_neurons, k, k) over the bins in which each neuron was recorded."""
        n_patterns, T, k, _ = covs.shape
        weighted = self._counts[:, None] * covs.reshape(n_patterns, -1)
        bins = self.recorded.reshape(n_patterns * T, -1).astype(float)
        return (bins.T @ weighted.reshape(n_patterns * T, -1)).reshape(-1, k, k)


def _with_ones(z: np.ndarray) -> np.ndarray:
    """States of all trials, one below the other, and a column of ones."""
    flat = z.reshape(-1, z.shape[2])
    return np.hstack([flat, np.ones((len(flat), 1))])
