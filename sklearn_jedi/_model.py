"""The fitted model: from trials to embeddings to networks, in the data's units."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_jedi import _em, _moments
from sklearn_jedi._inference import PathNoise, infer_embeddings, path_noise
from sklearn_jedi._low_rank_rnn import LowRankRNN
from sklearn_jedi._rollout import Reduction, reduction
from sklearn_jedi._scaling import Scaling
from sklearn_jedi._selection import Settings
from sklearn_jedi._threads import few_threads

if TYPE_CHECKING:
    from sklearn_jedi._hypernetwork import Hypernetwork
    from sklearn_jedi._net import EmbeddedNetwork


# Free runs that embeddings are inferred from, in time constants: longer ones predict
# whole trials slightly better, shorter ones tell embeddings apart more sharply.
_HORIZON_IN_TAU = 5


@dataclass(frozen=True)
class FittedModel:
    """Everything that inference needs; immutable.

    Attributes
    ----------
    scaling : Scaling
        Between data and network units.
    settings : Settings
        What was chosen or given.
    basis : Basis
        Subspaces of the weights, shared by all trials.
    bilinear : BilinearModel
        EM's affine map.
    nonlinearity : str
    tau, dt : float
        In seconds.
    hypernetwork : Hypernetwork or None
        Where training changed the network; in float64, on the CPU.
    path_noise : PathNoise or None
        Of the trained network's free runs.
    """

    scaling: Scaling
    settings: Settings
    basis: _moments.Basis
    bilinear: _em.BilinearModel
    nonlinearity: str
    tau: float
    dt: float
    hypernetwork: Hypernetwork | None = None
    path_noise: PathNoise | None = None

    @property
    def alpha(self) -> float:
        return self.dt / self.tau

    @property
    def reduction(self) -> Reduction:
        return reduction(self.basis, self.alpha, self.nonlinearity, self.settings.gain)

    def infer(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean (n, d) and covariance (n, d, d) of each trial's embedding.

        In closed form under EM's affine map; from there by Levenberg-Marquardt where
        training changed the network.
        """
        with few_threads(X.shape[2]):
            return self._infer(self.scaling.to_network(X))

    def _infer(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        args = (self.nonlinearity, self.settings.gain, self.alpha)
        drives, features = _moments.project(X, self.basis, *args)
        window = min(self.settings.window, drives.shape[1])
        moments = _moments.trial_moments(drives, features, window)
        mean, cov = _em.posterior(moments, self.bilinear)
        if self.hypernetwork is None or self.path_noise is None:
            return mean, cov
        mean, cov, converged = infer_embeddings(
            self.reduction, self.hypernetwork, self.path_noise, X, mean
        )
        if not converged.all():
            warnings.warn(
                f"the embeddings of {(~converged).sum()} of {len(X)} trials did not "
                "converge; the best found are returned. Activity that the model "
                "explains poorly, or chaotic dynamics, can cause this",
                ConvergenceWarning,
                stacklevel=4,
            )
        return mean, cov

    def weights(self, embeddings: np.ndarray) -> np.ndarray:
        """Reduced weights (n, K, rank) of embeddings (n, d)."""
        if self.hypernetwork is None:
            return self.bilinear.weights(embeddings)
        return self.hypernetwork.weights(embeddings)[0]

    def one_step_variance(self, X: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
        """Variance of each neuron's one-step prediction errors, in squared data units.

        Parameters
        ----------
        X : array of shape (n_trials, n_timepoints, n_neurons)
            Trials in network units.
        embeddings : array of shape (n_trials, embedding_dim)
        """
        basis, alpha = self.basis, self.alpha
        weights = self.weights(embeddings)
        total = np.zeros(X.shape[2])
        start = 0
        for block in _moments.blocks(X):
            _, features = _moments.project(
                block, basis, self.nonlinearity, self.settings.gain, alpha
            )
            drive = features @ weights[start : start + len(block)] @ basis.P.T
            drive += basis.drive_mean
            error = block[:, 1:] - (1 - alpha) * block[:, :-1] - alpha * drive
            total += np.einsum("ntk,ntk->k", error, error)
            start += len(block)
        return total / (len(X) * (X.shape[1] - 1)) * self.scaling.scale**2

    def networks(self, embeddings: np.ndarray) -> LowRankRNN:
        """The networks of embeddings, in the units of the recorded neurons.

        With `r = offset + scale x` the equation keeps its form: `U` is multiplied and
        `V` divided by `scale`, so that the eigenvalues of `J` stay.
        """
        basis, scaling = self.basis, self.scaling
        weights = self.weights(np.asarray(embeddings, dtype=np.float64))
        slopes, bias = weights[:, :-1], weights[:, -1]
        bias = bias - np.einsum("k,nkr->nr", basis.feature_mean @ basis.Q, slopes)
        bias = basis.drive_mean + bias @ basis.P.T
        U = basis.P * scaling.scale[:, None]
        return LowRankRNN(
            np.broadcast_to(U, (len(weights), *U.shape)),
            (basis.Q / scaling.scale[:, None]) @ slopes,
            scaling.to_data(bias),
            self.tau,
            self.dt,
            self.nonlinearity,
            gain=self.settings.gain / scaling.scale,
            offset=scaling.offset,
        )


def fit_closed_form(
    X: np.ndarray,
    scaling: Scaling,
    settings: Settings,
    basis: _moments.Basis,
    embedding_dim: int,
    nonlinearity: str,
    tau: float,
    dt: float,
) -> tuple[FittedModel, np.ndarray]:
    """Closed-form start and EM.

    Parameters
    ----------
    X : array of shape (n_trials, n_timepoints, n_neurons)
        In network units.

    Returns
    -------
    model : FittedModel
    embeddings : array of shape (n_trials, embedding_dim)
        Posterior means on the training trials.
    """
    drives, features = _moments.project(X, basis, nonlinearity, settings.gain, dt / tau)
    moments = _moments.trial_moments(drives, features, settings.window)
    inflation = _em.serial_inflation(
        _em.trial_residuals(drives, features, settings.window)
    )
    bilinear = _em.fit_bilinear(
        moments, embedding_dim, ridge=settings.ridge, inflation=inflation
    )
    model = FittedModel(scaling, settings, basis, bilinear, nonlinearity, tau, dt)
    return model, _em.posterior(moments, bilinear)[0]


def with_training(
    model: FittedModel, module: EmbeddedNetwork, X: np.ndarray
) -> FittedModel:
    """The model with a trained hypernetwork, and the noise of its free runs.

    Parameters
    ----------
    module : EmbeddedNetwork
        Trained, on the CPU.
    X : array of shape (n_trials, n_timepoints, n_neurons)
        Training trials in network units.
    """
    double = copy.deepcopy(module).double()
    double.requires_grad_(False)
    hypernetwork, embeddings = double.hypernetwork, double.embeddings.numpy()
    horizon = min(X.shape[1] - 1, round(_HORIZON_IN_TAU / model.alpha))
    noise = path_noise(model.reduction, hypernetwork, X, embeddings, horizon)
    return replace(model, hypernetwork=hypernetwork, path_noise=noise)
