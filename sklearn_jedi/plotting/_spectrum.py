"""Eigenvalues in the complex plane, with the edge of stability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._forms import TrialsLike, labels_given
from sklearn_jedi.analysis import SpectrumAnalyzer
from sklearn_jedi.analysis._reduced import Networks
from sklearn_jedi.plotting._common import colour_groups, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SpectrumDisplay"]


class KnowsNetworks(Protocol):
    """What embeds trials, and knows the networks of embeddings."""

    def transform(
        self,
        X: TrialsLike,
        *,
        conditions: ArrayLike | None = ...,
        sessions: ArrayLike | None = ...,
    ) -> np.ndarray: ...

    def dynamics(self, Z: ArrayLike) -> Networks: ...


class SpectrumDisplay:
    r"""Spectra of networks, with the edge of stability, coloured by condition.

    The edge is the unit circle for eigenvalues of the map, the imaginary axis for those
    of the flow. An eigenvalue `lambda` of `J` makes the map's
    `1 + (dt/tau) (lambda - 1)`, so that its edge is a circle of radius `tau/dt` that
    touches 1; states where the slope of `phi` is below 1 are more stable than this. For
    the flow it is the line where the real part of `lambda` is 1.

    Parameters
    ----------
    analyzer : SpectrumAnalyzer
        Fitted.
    labels : array-like of shape (n_networks,) or (n_states_in_all,), default=None
        Condition of each network; of the spectra of several states, also of each state.
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
        analyzer: SpectrumAnalyzer,
        labels: ArrayLike | None = None,
        title: str | None = None,
    ) -> None:
        self.analyzer = analyzer
        self.labels = labels
        self.title = title

    @classmethod
    def from_analyzer(
        cls,
        analyzer: SpectrumAnalyzer,
        labels: ArrayLike | None = None,
        *,
        title: str | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """The spectra that a fitted analyzer holds, plotted.

        Parameters
        ----------
        analyzer : SpectrumAnalyzer
            Fitted.
        labels : array-like of shape (n_networks,) or (n_states_in_all,), default=None
            Condition of each network, or of each state.
        title : str, default=None
            Title of the legend.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        SpectrumDisplay
        """
        return cls(analyzer, labels, title).plot(ax)

    @classmethod
    def from_networks(
        cls,
        networks: Networks,
        labels: ArrayLike | None = None,
        *,
        time: str = "map",
        title: str | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """The nonzero eigenvalues of the weights of networks, plotted.

        Parameters
        ----------
        networks : LowRankRNN or LatentDynamics
            Networks, from an estimator's `dynamics` or built by hand.
        labels : array-like of shape (n_networks,), default=None
            Condition of each network.
        time : {"map", "flow"}, default="map"
            Whose edge of stability is drawn.
        title : str, default=None
            Title of the legend.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        SpectrumDisplay
        """
        return cls(SpectrumAnalyzer(time=time).fit(networks), labels, title).plot(ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: KnowsNetworks,
        X: TrialsLike,
        labels: ArrayLike | None = None,
        *,
        title: str | None = None,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """The weights of the networks of trials under a fitted estimator, plotted.

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
        SpectrumDisplay
        """
        given = labels_given(conditions=conditions, sessions=sessions)
        networks = estimator.dynamics(estimator.transform(X, **given))
        return cls.from_networks(networks, labels, title=title, ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the eigenvalues.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        SpectrumDisplay
            Itself.
        """
        check_is_fitted(self.analyzer)
        ax = get_axes(ax)
        spectra = [np.ravel(values) for values in self.analyzer.eigenvalues_]
        if self.analyzer.kind == "jacobian" and self.labels is not None:
            states = list(np.concatenate(list(self.analyzer.eigenvalues_)))
            if np.size(self.labels) == len(states):
                spectra = states
        for label, mask, colour in colour_groups(self.labels, len(spectra), "network"):
            chosen = [values for values, one in zip(spectra, mask, strict=True) if one]
            z = np.concatenate(chosen)
            ax.plot(z.real, z.imag, ".", ms=6, alpha=0.6, color=colour, label=label)
        edge, what, unit = self._edge(np.concatenate(spectra))
        ax.plot(edge.real, edge.imag, "k--", lw=1, label="edge of stability")
        ax.set_xlabel(f"Re {what} ({unit})")
        ax.set_ylabel(f"Im {what} ({unit})")
        ax.legend(
            title=self.title,
            frameon=False,
            fontsize="small",
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
        )
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _edge(self, values: np.ndarray) -> tuple[np.ndarray, str, str]:
        """The edge, over the height of the eigenvalues only, and the axes' names."""
        kind, time = self.analyzer.kind, self.analyzer.time
        equation = self.analyzer.networks_.equation
        radius = 1.0 if kind == "jacobian" else 1 / equation.alpha
        # of the height, for real eigenvalues
        least = max(
            np.ptp(values.real) if len(values) else 0.0, radius * equation.alpha
        )
        height = 1.1 * max(np.abs(values.imag).max(initial=0.0), 0.5 * least)
        if time == "flow":
            height /= 1.0 if kind == "jacobian" else equation.tau
            edge = 1j * np.linspace(-height, height, 2)
        else:
            # all of the circle only where eigenvalues are on its far side
            whole = values.real.min(initial=1.0) < 1 - radius
            angle = np.pi if whole else np.arcsin(min(height / radius, 1.0))
            edge = np.exp(1j * np.linspace(-angle, angle, 401))
        if kind == "connectivity":
            edge = equation.drive_eigenvalues(edge, time)
            return edge, r"$\lambda(J)$", "no unit"
        what = "eigenvalue of the " + time
        return edge, what, "no unit" if time == "map" else "1/s"
