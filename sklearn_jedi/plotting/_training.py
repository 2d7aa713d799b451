"""The course of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, Self

from sklearn_jedi.plotting._common import get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TrainingDisplay"]


class Trained(Protocol):
    """What tells the course of its training."""

    best_epoch_: int

    @property
    def history_(self) -> Sequence[Mapping[str, float]]: ...


class TrainingDisplay:
    """Training and validation loss of every epoch, and the epoch that was kept.

    Vertical lines mark the epochs from which on free runs were compared with the
    recordings over more time points.

    Parameters
    ----------
    history : sequence of dict
        `history_` of a `JEDIEstimator`: one entry per epoch, with its `train_loss`,
        `valid_loss` and `horizon` (time points that free runs are compared over).
    best_epoch : int, default=None
        The epoch whose weights were kept; 0 means those from before training.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where `plot` drew.
    figure_ : matplotlib Figure
        The figure around it.
    """

    def __init__(
        self, history: Sequence[Mapping[str, float]], best_epoch: int | None = None
    ) -> None:
        self.history = history
        self.best_epoch = best_epoch

    @classmethod
    def from_estimator(cls, estimator: Trained, *, ax: Axes | None = None) -> Self:
        """The training of a fitted estimator, plotted.

        Parameters
        ----------
        estimator : JEDIEstimator or MetaDynamicalSSM
            Fitted, with ``max_epochs > 0``.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        TrainingDisplay
        """
        return cls(estimator.history_, estimator.best_epoch_).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the losses.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        TrainingDisplay
            Itself.
        """
        if not len(self.history):
            raise ValueError(
                "nothing was trained (max_epochs=0, or recordings that EM fits alone): "
                "there is no course of training to draw"
            )
        ax = get_axes(ax)
        epochs = [epoch["epoch"] for epoch in self.history]
        for key, label, colour in (
            ("train_loss", "training windows", "#0072B2"),
            ("valid_loss", "held-out bins", "#D55E00"),
        ):
            losses = [epoch[key] for epoch in self.history]
            ax.plot(epochs, losses, "-", color=colour, label=label)
        ax.set_yscale("log")
        horizons = [epoch["horizon"] for epoch in self.history]
        for k, horizon in enumerate(horizons):
            if k == 0 or horizon != horizons[k - 1]:
                ax.axvline(epochs[k] - 0.5, color="0.85", lw=1, zorder=0)
                ax.annotate(
                    f" {horizon} steps",
                    (epochs[k] - 0.5, 0.02),
                    xycoords=("data", "axes fraction"),
                    rotation=90,
                    va="bottom",
                    fontsize="x-small",
                    color="0.4",
                )
        if self.best_epoch:
            ax.axvline(self.best_epoch, color="k", ls="--", lw=1, label="kept")
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss (share of the variance)")
        ax.legend(frameon=False, fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self
