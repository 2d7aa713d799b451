"""A trial's activity beside the free run of its network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._data._forms import (
    Activity,
    TrialsLike,
    labels_given,
    recorded_trials,
    unwrap,
)
from sklearn_jedi._data._labelled_arrays import in_order
from sklearn_jedi.plotting._common import get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ReconstructionDisplay"]


class Reconstructs(Protocol):
    """What runs the networks of trials from their first states."""

    dt_: float

    def reconstruct(
        self,
        X: TrialsLike,
        *,
        conditions: ArrayLike | None = ...,
        sessions: ArrayLike | None = ...,
    ) -> Activity: ...


class ReconstructionDisplay:
    """Recorded and reconstructed activity of the most variable neurons of one trial.

    Parameters
    ----------
    activity, reconstruction : array-like of shape (n_timepoints, n_neurons)
        One trial, in the units of the data.
    dt : float, default=0.01
        Time step in seconds.
    start : float, default=0.0
        Time of the first bin in seconds.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where `plot` drew.
    figure_ : matplotlib Figure
        The figure around it.
    """

    def __init__(
        self,
        activity: ArrayLike,
        reconstruction: ArrayLike,
        dt: float = 0.01,
        start: float = 0.0,
    ) -> None:
        self.activity = np.asarray(activity)
        self.reconstruction = np.asarray(reconstruction)
        self.dt = dt
        self.start = start

    @classmethod
    def from_estimator(
        cls,
        estimator: Reconstructs,
        X: TrialsLike,
        *,
        trial: int = 0,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Reconstruct one of the trials with a fitted estimator, and plot it.

        Parameters
        ----------
        estimator : JEDIEstimator or MetaDynamicalSSM
            Fitted.
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or list of arrays
            Trials.
        trial : int, default=0
            Which of them.
        conditions, sessions : array-like of shape (n_trials,), default=None
            Labels of all trials for the estimator, as `reconstruct` takes them. With
            them, the embedding is inferred from all trials that share it; without, from
            the one trial.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ReconstructionDisplay
        """
        labels = labels_given(conditions=conditions, sessions=sessions)
        if labels:
            trials = recorded_trials(X)
            one, run = trials[trial], estimator.reconstruct(trials, **labels)[trial]
        else:
            (one,) = recorded_trials([in_order(unwrap(X))[trial]])
            run = estimator.reconstruct([one])[0]
        return cls(one, run, estimator.dt_).plot(ax)

    def plot(self, ax: Axes | None = None, *, n_neurons: int = 6) -> Self:
        """Draw the traces one above the other.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        n_neurons : int, default=6
            How many, the most variable ones.

        Returns
        -------
        ReconstructionDisplay
            Itself.
        """
        ax = get_axes(ax)
        most = np.argsort(-np.nanstd(self.reconstruction, axis=0))[:n_neurons]
        time = self.start + self.dt * np.arange(len(self.activity))
        recorded = self.activity[:, most]
        spread = 1.1 * (np.nanmax(recorded, 0) - np.nanmin(recorded, 0)).max()
        for row, neuron in enumerate(most):
            level = -row * (spread or 1.0)
            centre = np.nanmean(self.activity[:, neuron])
            ax.plot(
                time,
                self.activity[:, neuron] - centre + level,
                color="0.6",
                lw=3,
                label=None if row else "recorded",
            )
            ax.plot(
                time,
                self.reconstruction[:, neuron] - centre + level,
                color="tab:red",
                lw=1.2,
                label=None if row else "free run",
            )
        ax.set_yticks(
            [-row * (spread or 1.0) for row in range(len(most))],
            [f"neuron {neuron}" for neuron in most],
        )
        ax.set_xlabel("time (s)")
        ax.legend(frameon=False, fontsize="small", loc="upper right", ncols=2)
        ax.margins(y=0.12)
        self.ax_, self.figure_ = ax, ax.figure
        return self
