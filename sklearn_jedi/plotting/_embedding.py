"""Embeddings of trials, coloured by condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._data._forms import TrialsLike, labels_given
from sklearn_jedi.plotting._common import colour_groups, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EmbeddingDisplay"]


class Embeds(Protocol):
    """What embeds trials."""

    def transform(
        self,
        X: TrialsLike,
        *,
        conditions: ArrayLike | None = ...,
        sessions: ArrayLike | None = ...,
    ) -> np.ndarray: ...


class EmbeddingDisplay:
    """Scatter plot of two embedding axes.

    Parameters
    ----------
    embeddings : array of shape (n_trials, embedding_dim)
        As `transform` returns them.
    labels : array-like of shape (n_trials,), default=None
        What trials are coloured by, such as their condition.
    title : str, default=None
        Title of the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where `plot` drew.
    figure_ : matplotlib Figure
        The figure around it.
    """

    def __init__(
        self,
        embeddings: ArrayLike,
        labels: ArrayLike | None = None,
        title: str | None = None,
    ) -> None:
        self.embeddings = np.asarray(embeddings)
        self.labels = labels
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Embeds,
        X: TrialsLike,
        labels: ArrayLike | None = None,
        *,
        title: str | None = None,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Infer the embeddings of trials with a fitted estimator, and plot them.

        Parameters
        ----------
        estimator : JEDIEstimator or MetaDynamicalSSM
            Fitted.
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or list of arrays
            Trials.
        labels : array-like of shape (n_trials,), default=None
            What trials are coloured by, such as their condition.
        title : str, default=None
            Title of the legend.
        conditions, sessions : array-like of shape (n_trials,), default=None
            Labels for the estimator, as `transform` takes them.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        EmbeddingDisplay
        """
        given = labels_given(conditions=conditions, sessions=sessions)
        return cls(estimator.transform(X, **given), labels, title).plot(ax)

    def plot(self, ax: Axes | None = None, *, axes: tuple[int, int] = (0, 1)) -> Self:
        """Draw two embedding axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        axes : (int, int), default=(0, 1)
            Which of them.

        Returns
        -------
        EmbeddingDisplay
            Itself.
        """
        ax = get_axes(ax)
        first, second = axes
        n_axes = self.embeddings.shape[1]
        for label, mask, colour in colour_groups(self.labels, len(self.embeddings)):
            z = self.embeddings[mask]
            y = z[:, second] if n_axes > second else np.zeros(len(z))
            ax.plot(z[:, first], y, "o", ms=5, alpha=0.8, color=colour, label=label)
        ax.set_xlabel(f"embedding axis {first + 1} (prior SD)")
        ax.set_ylabel(f"embedding axis {second + 1} (prior SD)")
        if self.labels is not None:
            ax.legend(title=self.title, frameon=False, fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self
