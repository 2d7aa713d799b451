"""What a likelihood is: what the engine, models and training ask of it.

One subclass for each `observation` of the estimators registers itself by its name.
Nothing outside of this folder asks which one it deals with.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np

from sklearn_jedi._data._gate import Summary
from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._data._units import Scaling
from sklearn_jedi._utils._streaming import RunningMoments

# By name, each registered where it is defined.
LIKELIHOODS: dict[str, type[Likelihood]] = {}

_TINY = np.finfo(float).tiny


class Terms(Protocol):
    """Negative log likelihood of the states of a block, and its derivatives."""

    def cost(self, z: np.ndarray) -> np.ndarray:
        """(n_trials,) of states (n_trials, n_timepoints, rank), up to a constant."""

    def slopes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Descent (n_trials, T, rank), curvature that broadcasts with rank x rank."""


class ScoreSums(Protocol):
    """A score of predictions that come in pieces."""

    def add(
        self, true: np.ndarray, predicted: np.ndarray, where: np.ndarray | None
    ) -> None:
        """Take in arrays (n_trials, n_timepoints, n_neurons)."""


class ReadoutSums(NamedTuple):
    """The regression of recordings on `[z, 1]`: normal equations of one Newton step.

    Attributes
    ----------
    curvature : array of shape (n_neurons or 1, rank + 1, rank + 1)
    cross : array of shape (n_neurons, rank + 1)
        Recordings times `[z, 1]`; for counts, their excess over the expected ones.
    noise : array of shape (n_neurons, n_sums)
        What the parameters of the noise are learned from.
    n_recorded : array of shape (n_neurons,)
    largest : array of shape (rank + 1,)
        Largest absolute values of `[z, 1]`.
    """

    curvature: np.ndarray
    cross: np.ndarray
    noise: np.ndarray
    n_recorded: np.ndarray
    largest: np.ndarray

    def plus(self, other: ReadoutSums) -> ReadoutSums:
        return ReadoutSums(
            self.curvature + other.curvature,
            self.cross + other.cross,
            self.noise + other.noise,
            self.n_recorded + other.n_recorded,
            np.maximum(self.largest, other.largest),
        )


class Linearised(NamedTuple):
    """Recordings to first order in the state, about the state zero.

    Attributes
    ----------
    slopes : array of shape (n_neurons, rank)
    expected, variance : arrays of shape (n_neurons,)
    """

    slopes: np.ndarray
    expected: np.ndarray
    variance: np.ndarray


class Predictive(NamedTuple):
    """Means and standard deviations of recordings, in data units.

    Arrays of shape (n_trials, n_timepoints, n_neurons).
    """

    mean: np.ndarray
    std: np.ndarray


@dataclass(frozen=True)
class Likelihood(ABC):
    """How the recording of each neuron scatters about its activity `x`.

    The activity is `loading [z, 1]`, in network units. Fields are the parameters, each
    an array of shape (n_neurons,).

    Attributes
    ----------
    name : str
        The `observation` of the estimators.
    in_words : str
        What recordings are, after "are taken as".
    padding : tuple of float
        Values of the parameters for neurons that a session does not have.
    least_ridge : float
        What the ridge of latent dynamics does not go below.
    n_centres : int
        Centres of the training embeddings from which those of JEDIEstimator are
        inferred: 0 where their posterior has one mode.
    """

    name: ClassVar[str]
    in_words: ClassVar[str]
    padding: ClassVar[tuple[float, ...]]
    least_ridge: ClassVar[float] = 0.0
    n_centres: ClassVar[int] = 0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" in vars(cls):
            LIKELIHOODS[cls.name] = cls

    # ------------------------------------------------------------ recordings and units

    @classmethod
    def stages(cls) -> tuple[type[Likelihood], ...]:
        """What is fitted in turn, each from the states that the last one found."""
        return (cls,)

    @classmethod
    def check(
        cls,
        summary: Summary,
        trials: Trials,
        rows: np.ndarray,
        units: Scaling | None = None,
    ) -> None:
        """Raise a ValueError for recordings that cannot have this likelihood.

        Parameters
        ----------
        summary, trials
            In data units, as the gate returns them.
        rows : int array of shape (n_trials,)
            What messages call the trials.
        units : Scaling, default=None
            Of the activity, as in `units`; None: this is `fit`.
        """
        return

    @classmethod
    @abstractmethod
    def recordings(cls, trials: Trials, scaling: Scaling) -> Trials:
        """Trials in the units that the likelihood takes."""

    @classmethod
    def centre(cls, trials: Trials, scaling: Scaling, mean: np.ndarray) -> np.ndarray:
        """Mean recordings (n_neurons,) in the units of `recordings`.

        Parameters
        ----------
        trials, scaling, mean
            As in `units`.
        """
        prepared = cls.recordings(trials, scaling)
        moments = RunningMoments(prepared.n_neurons)
        for block in prepared.blocks():
            moments.add(block.values, block.recorded)
        return moments.mean

    @classmethod
    @abstractmethod
    def units(cls, trials: Trials, scaling: Scaling, mean: np.ndarray) -> Scaling:
        """Units of the activity; `to_data` of it is what `expected` takes.

        Parameters
        ----------
        trials : Trials
            In data units.
        scaling : Scaling
            From data to network units, of recordings that are not counts.
        mean : array of shape (n_neurons,)
            Of the recordings, in data units.
        """

    @classmethod
    @abstractmethod
    def first(cls, units: Scaling) -> Self:
        """Parameters to start from, given the units of the activity."""

    # ------------------------------------------------------------------------ learning

    @abstractmethod
    def terms(self, loading: np.ndarray, block: Block) -> Terms:
        """The log likelihood of a block as a function of its states.

        Parameters
        ----------
        loading : array of shape (n_neurons, rank + 1)
        """

    @abstractmethod
    def sums(self, loading: np.ndarray, block: Block, one: np.ndarray) -> ReadoutSums:
        """What `solved` needs of a block.

        Parameters
        ----------
        loading : array of shape (n_neurons, rank + 1)
            The present one.
        one : array of shape (n_draws, n_trials, n_timepoints, rank + 1)
            Draws of `[z, 1]`.
        """

    @abstractmethod
    def solved(
        self, loading: np.ndarray, sums: ReadoutSums
    ) -> tuple[np.ndarray, Likelihood]:
        """The new loading, lightly shrunk, and the new parameters."""

    # --------------------------------------------------------------------- predictions

    @classmethod
    def ceiling(cls, trials: Trials) -> np.ndarray:
        """What expected recordings (n_neurons,) are not to exceed, in data units.

        Parameters
        ----------
        trials : Trials
            That are fitted, in data units.
        """
        return np.full(trials.n_neurons, np.inf)

    @abstractmethod
    def expected(
        self,
        activity: np.ndarray,
        variance: np.ndarray | float = 0.0,
        ceiling: np.ndarray | float = np.inf,
    ) -> np.ndarray:
        """Expected recordings, in data units, of activity in `units`' data units.

        Parameters
        ----------
        activity : array of shape (..., n_neurons)
        variance : array that broadcasts with it
            Of activity that is uncertain, and Gaussian.
        ceiling : array that broadcasts with it
        """

    @staticmethod
    @abstractmethod
    def activity(expected: np.ndarray) -> np.ndarray:
        """The way back from `expected`."""

    @abstractmethod
    def predictive(
        self,
        paths: np.ndarray,
        loading: np.ndarray,
        units: Scaling,
        ceiling: np.ndarray | float = np.inf,
    ) -> Predictive:
        """Recordings of states of which there are draws.

        Parameters
        ----------
        paths : array of shape (n_trials, n_draws, n_timepoints, rank)
        loading : array of shape (n_neurons, rank + 1)
        units : Scaling
            Of the activity.
        ceiling : array of shape (n_neurons,)
        """

    @abstractmethod
    def noise_variance(self, scale: np.ndarray) -> np.ndarray:
        """Of recordings about mean activity (n_neurons,), in squared data units."""

    @abstractmethod
    def explains_nothing(self, variance: np.ndarray) -> bool:
        """Whether activity of this variance (n_neurons,) hardly shows in recordings."""

    @staticmethod
    @abstractmethod
    def score_sums(n_neurons: int) -> ScoreSums:
        """Where predictions of these recordings are summed up."""

    @staticmethod
    @abstractmethod
    def pooled(parts: list[Any]) -> float:
        """The score of several recordings, from their `score_sums`."""

    # ------------------------------------------------------------------------ training

    @property
    def parameters(self) -> tuple[np.ndarray, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))

    @classmethod
    @abstractmethod
    def log_density(cls, values: Any, activity: Any, parameters: Any) -> Any:
        """Log likelihood of each recording, up to a constant of the recording.

        Parameters
        ----------
        values, activity : arrays or tensors (n_trials, n_timepoints, n_neurons)
        parameters : sequence of arrays or tensors
            Those of `parameters`, that broadcast with the values.
        """

    @abstractmethod
    def linearised(self, loading: np.ndarray) -> Linearised:
        """Recordings to first order in the state."""


def largest_of(one: np.ndarray) -> np.ndarray:
    """Largest absolute values (rank + 1,) of draws of `[z, 1]`, for `ReadoutSums`."""
    flat = one.reshape(-1, one.shape[-1])
    result: np.ndarray = np.maximum(flat.max(0), -flat.min(0))
    return result


def regression(sums: ReadoutSums) -> np.ndarray:
    """Solution (n_neurons, rank + 1) of the normal equations, lightly shrunk."""
    size = sums.cross.shape[1]
    level = np.trace(sums.curvature, axis1=1, axis2=2) / size
    jitter = 1e-6 * level + _TINY
    curvature = sums.curvature + jitter[:, None, None] * np.eye(size)
    solution: np.ndarray = np.linalg.solve(curvature, sums.cross[..., None])[..., 0]
    return solution
