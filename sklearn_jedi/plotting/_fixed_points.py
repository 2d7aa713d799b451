"""Trajectories, fixed points, cycles and continuous attractors of one network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import schur
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi.analysis import FixedPointAnalyzer
from sklearn_jedi.analysis._limit_cycles import closed_curve
from sklearn_jedi.analysis._reduced import ReducedDynamics
from sklearn_jedi.plotting._common import get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FixedPointDisplay"]

_MARK = 0.12  # length of lines at unstable points, as a share of the picture
_ARROWS = 15  # of the flow field, along each axis


class FixedPointDisplay:
    """What a network does, in the plane of the first principal components.

    Fixed points are filled where stable and open where unstable, with lines along the
    directions in which perturbations grow. The dynamics of a network of rank two takes
    place in a plane: that plane is drawn, with arrows (all of one length) that show
    where the state moves. Latent dynamics of two latents are drawn over these two. Of
    any other network the plane is the one in which the trajectories vary most, or,
    without trajectories, what the analyzer found.

    Parameters
    ----------
    analyzer : FixedPointAnalyzer
        Fitted.
    network : int, default=0
        Which of its networks.
    trajectories : array-like of shape (n_trajectories, n_timepoints, n_neurons), \
            default=None
        Activity to draw, in rates, or in latents of latent dynamics.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where `plot` drew.
    figure_ : matplotlib Figure
        The figure around it.
    """

    def __init__(
        self,
        analyzer: FixedPointAnalyzer,
        network: int = 0,
        trajectories: ArrayLike | None = None,
    ) -> None:
        self.analyzer = analyzer
        self.network = network
        self.trajectories = trajectories

    @classmethod
    def from_analyzer(
        cls,
        analyzer: FixedPointAnalyzer,
        *,
        network: int = 0,
        trajectories: ArrayLike | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """What a fitted analyzer found in one of its networks, plotted.

        Parameters
        ----------
        analyzer : FixedPointAnalyzer
            Fitted.
        network : int, default=0
            Which of its networks.
        trajectories : array-like of shape (n_trajectories, n_timepoints, n_neurons), \
                default=None
            Activity to draw, in rates, or in latents of latent dynamics.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        FixedPointDisplay
        """
        return cls(analyzer, network, trajectories).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the plane and what lies in it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        FixedPointDisplay
            Itself.
        """
        check_is_fitted(self.analyzer)
        ax = get_axes(ax)
        k, found = self.network, self.analyzer
        if not -len(found.networks_) <= k < len(found.networks_):
            raise ValueError(
                f"network={k} was asked for; there are {len(found.networks_)} networks"
            )
        system = ReducedDynamics(found.networks_)[k]
        runs = self._runs(system)
        manifolds, cycles = found.manifolds_[k], found.limit_cycles_[k]
        points = found.fixed_points_[k]
        shapes = [*runs, points, found.slow_points_[k]]
        shapes += [shape.states for shape in (*manifolds, *cycles)]
        everything = np.concatenate(shapes)
        centre, axes = _plane(system, np.concatenate(runs) if runs else everything)
        flat = (everything - centre) @ axes
        # long curves do not push the activity out of sight
        shown = flat[: sum(len(run) for run in runs) + len(points)] if runs else flat
        reach = 1.15 * max(np.abs(shown).max(initial=0.0), 1e-12)
        if system.n_dims == 2:
            self._draw_flow(ax, system, centre, axes, reach)
        for n, run in enumerate(runs):
            x, y = ((run - centre) @ axes).T
            label = None if n else "trajectories"
            ax.plot(x, y, color="0.55", lw=0.8, alpha=0.8, label=label)
        for n, manifold in enumerate(manifolds):
            x, y = ((manifold.states - centre) @ axes).T
            style = "." if manifold.kind == "surface" else "-"
            names = ("slow curve", "continuous attractor")
            label = None if n else names[manifold.is_attracting]
            ax.plot(x, y, style, color="#0072B2", lw=3, alpha=0.7, label=label)
        for n, cycle in enumerate(cycles):
            x, y = ((closed_curve(cycle.states) - centre) @ axes).T
            style = "-" if cycle.is_stable else "--"
            label = None if n else "limit cycle"
            ax.plot(x, y, style, color="#D55E00", lw=2, label=label)
        self._draw_points(ax, system, centre, axes, _MARK * reach)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        name = _axis_name(system)
        ax.set_xlabel(name.format(1))
        ax.set_ylabel(name.format(2))
        if ax.get_legend_handles_labels()[0]:
            ax.legend(
                frameon=False,
                fontsize="small",
                loc="lower center",
                bbox_to_anchor=(0.5, 1.0),
                ncols=2,
            )
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _runs(self, system: ReducedDynamics) -> list[np.ndarray]:
        """Trajectories, each (n_timepoints, state_dim)."""
        if self.trajectories is None:
            return []
        runs = np.asarray(self.trajectories, dtype=float)
        if runs.ndim != 3 or runs.shape[2] != len(system.bias):
            raise ValueError(
                "trajectories must have shape (n_trajectories, n_timepoints, "
                f"{len(system.bias)}); got {runs.shape}"
            )
        return list(runs)

    def _draw_flow(
        self,
        ax: Axes,
        system: ReducedDynamics,
        centre: np.ndarray,
        axes: np.ndarray,
        reach: float,
    ) -> None:
        along = np.linspace(-reach, reach, _ARROWS)
        grid = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
        kappa = system.project(centre + grid @ axes.T)
        moves = (system.drive(kappa) - kappa) @ system.Q.T @ axes
        size = np.linalg.norm(moves, axis=1, keepdims=True)
        moves /= np.maximum(size, 1e-12 * reach)
        ax.quiver(*grid.T, *moves.T, color="0.7", scale=30, width=0.003, pivot="mid")

    def _draw_points(
        self,
        ax: Axes,
        system: ReducedDynamics,
        centre: np.ndarray,
        axes: np.ndarray,
        length: float,
    ) -> None:
        found, k = self.analyzer, self.network
        points, stable = found.fixed_points_[k], found.is_stable_[k]
        time = found.time
        _, slopes = system.activity(system.project(points))
        jacobians = system.equation.linearised(system.jacobian(slopes), time)
        for point, jac, settled in zip(points, jacobians, stable, strict=True):
            if settled:
                continue
            x, y = (point - centre) @ axes
            for direction in (system.Q @ _growing_directions(jac, time)).T:
                dx, dy = length * direction @ axes
                ax.plot([x - dx, x + dx], [y - dy, y + dy], "k-", lw=1.2)
        marks = (
            (stable, "black", "stable fixed point"),
            (~stable, "white", "unstable, and how it leaves"),
        )
        for which, fill, label in marks:
            if which.any():
                x, y = ((points[which] - centre) @ axes).T
                ax.plot(x, y, "o", ms=7, mfc=fill, mec="black", zorder=5, label=label)
        slow = found.slow_points_[k]
        speeds = found.slow_speeds_[k] * found.networks_.tau
        slow = slow[speeds < 0.1 * length / _MARK]  # minima can be fast
        if len(slow):
            x, y = ((slow - centre) @ axes).T
            ax.plot(x, y, "x", ms=6, color="black", zorder=5, label="slow point")


def _growing_directions(jacobian: np.ndarray, time: str) -> np.ndarray:
    """Orthonormal basis (n_dims, n_growing) of what grows at a fixed point."""

    def grows(value: complex) -> bool:
        return abs(value) > 1 if time == "map" else value.real > 0

    _, basis, n_growing = schur(jacobian, output="complex", sort=grows)
    # real and imaginary parts span the same as the complex vectors and their conjugates
    parts = basis[:, :n_growing]
    both = np.concatenate([parts.real, parts.imag], axis=1)
    return np.linalg.svd(both, full_matrices=False)[0][:, :n_growing]


def _axis_name(system: ReducedDynamics) -> str:
    """Name of an axis of the picture, with a place for its number."""
    if not system.of_latents:
        return "component {} (rate units)"
    return "latent {}" if system.n_dims == 2 else "component {} of the latents"


def _plane(
    system: ReducedDynamics, states: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Centre, and two orthonormal axes (state_dim, 2), of the plane to draw in."""
    state_dim = len(system.bias)
    inside = system.n_dims == 2
    if inside and system.of_latents:
        return np.zeros(2), np.eye(2)
    centre = system.bias if inside else states.mean(axis=0) if len(states) else 0
    centre = np.broadcast_to(centre, (state_dim,))
    spread = states - (states.mean(axis=0) if len(states) else 0)
    if inside:  # the principal components within the invariant plane
        coordinates = spread @ system.Q
        turn = np.linalg.eigh(coordinates.T @ coordinates)[1][:, ::-1]
        axes = system.Q @ turn
    else:
        axes = np.linalg.svd(spread, full_matrices=False)[2][:2].T
    if axes.shape[1] < 2:  # one direction, or one neuron: nothing varies across it
        axes = np.column_stack([axes, np.zeros((state_dim, 2 - axes.shape[1]))])
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    return centre, axes * np.where(signs == 0, 1, signs)
