"""Eigenvalues of the recurrent weights in the complex plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._low_rank_rnn import LowRankRNN
from sklearn_jedi.plotting._common import colour_groups, get_axes

__all__ = ["SpectrumDisplay"]


class SpectrumDisplay:
    r"""Nonzero eigenvalues of `J`, with the edge of stability of the fitted map.

    An eigenvalue `lambda` of `J` makes the map's `1 + (dt/tau) (lambda - 1)`; the edge
    of stability, where that has magnitude 1, is a circle of radius `tau/dt` that
    touches 1. States where the slope of `phi` is below 1 are more stable than this.

    Parameters
    ----------
    networks : LowRankRNN
        From `JEDIEstimator.dynamics`.
    labels : array-like of shape (n_networks,), default=None
        Condition of each network.
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
        networks: LowRankRNN,
        labels: ArrayLike | None = None,
        title: str | None = None,
    ) -> None:
        self.networks = networks
        self.labels = labels
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        title: str | None = None,
        ax: Any = None,
    ) -> SpectrumDisplay:
        """The networks of trials under a fitted estimator, plotted."""
        networks = estimator.dynamics(estimator.transform(X))
        return cls(networks, labels, title).plot(ax)

    def plot(self, ax: Any = None) -> Any:
        """Draw the eigenvalues; returns self."""
        ax = get_axes(ax)
        values = self.networks.eigenvalues
        for label, mask, colour in colour_groups(self.labels, len(values)):
            z = values[mask].ravel()
            ax.plot(z.real, z.imag, ".", ms=6, alpha=0.6, color=colour, label=label)
        # the edge, over the height of the eigenvalues only: the circle is large
        radius = self.networks.tau / self.networks.dt
        height = min(1.1 * max(np.abs(values.imag).max(), 0.5), radius)
        imag = np.linspace(-height, height, 201)
        edge = 1 - radius + np.sqrt(np.maximum(radius**2 - imag**2, 0))
        ax.plot(edge, imag, "k--", lw=1, label=r"edge of stability ($\phi' = 1$)")
        ax.set_xlabel(r"Re $\lambda(J)$ (no unit)")
        ax.set_ylabel(r"Im $\lambda(J)$ (no unit)")
        ax.legend(title=self.title, frameon=False, fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self
