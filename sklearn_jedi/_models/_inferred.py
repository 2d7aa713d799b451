"""The fitted models of recordings that scatter about the state, which is inferred."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._engine._likelihoods import Likelihood
from sklearn_jedi._engine._smoother import smooth_from
from sklearn_jedi._engine._state_space import StateSpace
from sklearn_jedi._models._draws import paths_ahead
from sklearn_jedi._models._model import Forecast, Model, Posterior
from sklearn_jedi._networks._latent_dynamics import LatentDynamics

# Centres of the training embeddings that inference starts from.
_N_CENTRES = 4

AnyInferred = TypeVar("AnyInferred", bound="InferredModel")


@dataclass(frozen=True, kw_only=True)
class InferredModel(Model):
    """Recordings scatter about the activity of the network; states are inferred.

    Attributes
    ----------
    first_mean, first_cov : arrays of shape (rank,), (rank, rank)
        Prior of the first states' coordinates.
    likelihood : Likelihood
    centres : array of shape (n_centres, embedding_dim)
        Embeddings that inference starts from.
    ceiling : array of shape (n_neurons,)
        What expected recordings do not exceed, in data units.
    """

    first_mean: np.ndarray
    first_cov: np.ndarray
    likelihood: Likelihood
    centres: np.ndarray
    ceiling: np.ndarray

    @property
    def state_space(self) -> StateSpace:
        red = self.reduction
        return StateSpace(
            red,
            self.map,
            self.step_cov,
            self.first_mean,
            self.first_cov,
            np.column_stack([red.P, red.mean_out]),
            self.likelihood,
        )

    def prepare(self, trials: Trials, first_whole: np.ndarray) -> Trials:
        return self.likelihood.recordings(trials, self.scaling)

    def infer(self, block: Block) -> Posterior:
        """Posterior of the states and embeddings of a block of trials."""
        model = self.state_space
        found = smooth_from(model, block, self.centres, marginal=True)
        last = block.lengths - 1
        return Posterior(
            found.c,
            found.cov,
            found.converged,
            model.activity(found.z[:, 0]),
            model.activity(found.z[np.arange(len(last)), last]),
            np.zeros_like(last),
            lambda: model.activity(found.z),
            lambda: self._variance(found.marginal_covs()),
            lambda: found.state_cov(last),
        )

    def ahead(
        self, block: Block, found: Posterior, n_steps: int, *, with_std: bool
    ) -> Forecast:
        """Means over draws from the posterior and the noise of the steps."""
        assert found.last_cov is not None
        paths = paths_ahead(self, found, found.last_cov(), block.group, n_steps)
        loading = self.state_space.loading
        mean, std = self.likelihood.predictive(
            paths, loading, self.scaling, self.ceiling
        )
        return Forecast(mean, std if with_std else None)

    def _variance(self, cov: np.ndarray) -> np.ndarray:
        """Of the activity of recorded neurons, from covariances of states."""
        out = self.output
        result: np.ndarray = np.einsum("ip,ntpq,iq->nti", out, cov, out, optimize=True)
        return result

    def expected(self, x: np.ndarray, variance: np.ndarray | float = 0.0) -> np.ndarray:
        return self.likelihood.expected(
            self.scaling.to_data(x), variance * self.scaling.scale**2, self.ceiling
        )

    def noise_variance(self) -> np.ndarray:
        return self.likelihood.noise_variance(self.scaling.scale)


@dataclass(frozen=True, kw_only=True)
class LatentModel(InferredModel):
    """A session's view of a family: shared dynamics, read out by its own neurons.

    The units of the network are not recorded; `P` and `drive_mean` of the basis are how
    they read the latents.

    Attributes
    ----------
    loading : array of shape (n_neurons, n_latents + 1)
        From `[z, 1]` to the activity of the session's neurons, in network units.
    """

    loading: np.ndarray

    @property
    def output(self) -> np.ndarray:
        return self.loading[:, :-1]

    @property
    def state_space(self) -> StateSpace:
        return super().state_space._replace(loading=self.loading)

    def latents(self, x: np.ndarray) -> np.ndarray:
        """Latents of the units' activity."""
        result: np.ndarray = x @ self.basis.P  # their thresholds are orthogonal to it
        return result

    def expected(self, x: np.ndarray, variance: np.ndarray | float = 0.0) -> np.ndarray:
        activity = self.latents(x) @ self.output.T + self.loading[:, -1]
        return super().expected(activity, variance)

    def latent_dynamics(self, embeddings: np.ndarray) -> LatentDynamics:
        """The dynamics of embeddings."""
        weights, bias = self.reduction.unreduced(self.weights(embeddings))
        return LatentDynamics(
            self.basis.P,
            weights,
            bias,
            self.basis.drive_mean,
            self.tau,
            self.dt,
            self.nonlinearity,
            gain=self.settings.gain,
        )


def with_centres(
    model: AnyInferred, embeddings: np.ndarray, n_centres: int = _N_CENTRES
) -> AnyInferred:
    """The model, with centres of the training embeddings to start inference from.

    The posterior of an embedding can have several modes where a trial says little about
    its states.

    Parameters
    ----------
    embeddings : array of shape (n_trials, embedding_dim)
        Inferred from the prior's mean.
    n_centres : int
        0 leaves the model as it is.
    """
    if not n_centres:
        return model
    from sklearn.cluster import KMeans

    distinct = np.unique(embeddings.round(6), axis=0)
    n_clusters = min(n_centres, len(distinct))
    found = KMeans(n_clusters, n_init=4, random_state=0).fit(distinct)
    centres = np.vstack([model.centres[:1], found.cluster_centers_])
    return replace(model, centres=centres)
