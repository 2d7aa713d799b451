"""What fitted models share: from embeddings to networks, in the data's units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._data._units import Scaling
from sklearn_jedi._engine._bilinear_em import BilinearModel
from sklearn_jedi._engine._reduction import Basis, Reduction, free_run, rest_path
from sklearn_jedi._engine._settings import Settings
from sklearn_jedi._engine._state_space import WeightMap
from sklearn_jedi._networks._equation import Equation
from sklearn_jedi._networks._low_rank_rnn import LowRankRNN
from sklearn_jedi._utils._warnings import warn_user

if TYPE_CHECKING:
    from sklearn_jedi._training._hypernetwork import Hypernetwork


class Posterior(NamedTuple):
    """What is inferred from a block of trials, in network units.

    Attributes
    ----------
    mean : array of shape (n_groups, embedding_dim)
    cov : array of shape (n_groups, embedding_dim, embedding_dim)
    converged : bool array of shape (n_groups,)
    first, last : arrays of shape (n_trials, n_neurons)
        States where the trial begins, and at the last time point that is known.
    since : int array of shape (n_trials,)
        Steps from there to the end of the trial.
    activity : callable
        Returns the inferred activity (n_trials, n_timepoints, n_neurons).
    variance : callable
        Returns its variance, of recorded neurons, of the same shape or that broadcasts.
    last_cov : callable
        Returns the joint covariance of the last state's coordinates and the embedding,
        (n_trials, rank + embedding_dim, rank + embedding_dim); None where states are
        known.
    """

    mean: np.ndarray
    cov: np.ndarray
    converged: np.ndarray
    first: np.ndarray
    last: np.ndarray
    since: np.ndarray
    activity: Callable[[], np.ndarray]
    variance: Callable[[], np.ndarray]
    last_cov: Callable[[], np.ndarray] | None = None


class Forecast(NamedTuple):
    """New time points, and the standard deviations of recordings there; data units."""

    mean: np.ndarray
    std: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class Model(ABC):
    """The part of a fitted model that does not depend on how it is observed; immutable.

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
    step_cov : array of shape (rank, rank)
        Covariance of the noise of one step, of the coordinates within the span of `P`.
    hypernetwork : Hypernetwork or None
        Where training changed the network; in float64, on the CPU.
    embedding_inflation : float
        Variance of the noise that embeddings are inferred from, in units of what it
        was fitted to be: changes the posterior's covariance, not its mode.
    """

    scaling: Scaling
    settings: Settings
    basis: Basis
    bilinear: BilinearModel
    nonlinearity: str
    tau: float
    dt: float
    step_cov: np.ndarray
    hypernetwork: Hypernetwork | None = None
    embedding_inflation: float = 1.0

    @property
    def equation(self) -> Equation:
        return Equation.of(self.tau, self.dt, self.nonlinearity, self.settings.gain)

    @property
    def reduction(self) -> Reduction[np.ndarray]:
        return Reduction.of(self.basis, self.equation)

    @property
    def map(self) -> WeightMap:
        """From embeddings to reduced weights."""
        return self.hypernetwork or self.bilinear

    def weights(self, embeddings: np.ndarray) -> np.ndarray:
        """Reduced weights (n, K, rank) of embeddings (n, d)."""
        return self.map.weights(np.asarray(embeddings, dtype=np.float64))

    @abstractmethod
    def infer(self, block: Block) -> Posterior:
        """Posterior of the embeddings, and states, of a block of trials."""

    @abstractmethod
    def prepare(self, trials: Trials, first_whole: np.ndarray) -> Trials:
        """Trials as `infer` takes them."""

    @abstractmethod
    def ahead(
        self, block: Block, found: Posterior, n_steps: int, *, with_std: bool
    ) -> Forecast:
        """What follows the last known state of each trial of a block.

        Arrays of shape (n_trials, n_steps, n_neurons).
        """

    def expected(self, x: np.ndarray, variance: np.ndarray | float = 0.0) -> np.ndarray:
        """Expected recording, in data units, of activity in network units.

        Parameters
        ----------
        x : array of shape (..., n_units)
        variance : array that broadcasts with (..., n_neurons)
            How uncertain the activity is.
        """
        return self.scaling.to_data(x)

    @abstractmethod
    def noise_variance(self) -> np.ndarray:
        """As `JEDIEstimator.noise_variance_`: (n_neurons,), in squared data units."""

    @property
    def output(self) -> np.ndarray:
        """From coordinates of the state to recorded neurons (n_neurons, rank)."""
        return self.basis.P

    def run(
        self,
        embeddings: np.ndarray,
        states: np.ndarray,
        n_steps: int,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        """Activity (n, n_steps, n_neurons) after states (n, n_neurons), network units.

        Parameters
        ----------
        noise : array of shape (n, n_steps, rank), default=None
            Added to the coordinates at each step.
        """
        red = self.reduction
        path = free_run(red, self.weights(embeddings), states, n_steps, noise)
        activity: np.ndarray = path @ red.P.T + rest_path(red, states, n_steps)
        return activity

    def networks(self, embeddings: np.ndarray) -> LowRankRNN:
        """The networks of embeddings, in the units of the recorded neurons.

        With `r = offset + scale x` the equation keeps its form: `U` is multiplied and
        `V` divided by `scale`, so that the eigenvalues of `J` stay.
        """
        basis, scaling = self.basis, self.scaling
        V, constant = self.reduction.unreduced(self.weights(embeddings))
        U = basis.P * scaling.scale[:, None]
        return LowRankRNN(
            np.broadcast_to(U, (len(V), *U.shape)),
            V / scaling.scale[:, None],
            scaling.to_data(basis.drive_mean + constant @ basis.P.T),
            self.tau,
            self.dt,
            self.nonlinearity,
            gain=self.settings.gain / scaling.scale,
            offset=scaling.offset,
        )


def warn_of_failures(failed: int, n_groups: int) -> None:
    """Say how many embeddings did not converge."""
    if failed:
        warn_user(
            f"{failed} of {n_groups} embeddings (of a trial, or trials that share it) "
            "did not converge; the best found are returned. Activity that the model "
            "explains poorly, or chaotic dynamics, can cause this",
            ConvergenceWarning,
        )
