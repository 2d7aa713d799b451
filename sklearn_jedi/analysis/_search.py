"""The fixed points of one network: searched for, certified, and counted."""

from __future__ import annotations

import numpy as np

from sklearn_jedi.analysis._certificates import (
    Certificates,
    certify,
    curvature,
    no_certificates,
    open_cells,
)
from sklearn_jedi.analysis._manifolds import (
    SPACING,
    Manifold,
    distance_to_curve,
    gather_surface,
    trace_manifolds,
)
from sklearn_jedi.analysis._reduced import ReducedDynamics
from sklearn_jedi.analysis._roots import descend_all, merge, random_starts

__all__ = ["FixedPointSearch"]

_CONTINUUM = 3  # uncertified roots on a curve that make it one of fixed points
_MAX_ROUNDS = 5  # of a further search where a point is known to be missing


class FixedPointSearch:
    """Fixed points of one network, and what is known about them.

    Parameters
    ----------
    system : ReducedDynamics of one network
    tol : float
        Largest residual of a fixed point, as a share of the size of the states.
    visited : array of shape (n_states, n_dims) or None
        Where the activity was.
    rng : RandomState

    Attributes
    ----------
    scale : float
        Size of the states.
    roots, slow : arrays of shape (n_points, n_dims)
        Fixed points; local minima of the speed that are none.
    certificates : Certificates of the roots
    manifolds : list of Manifold
    curves : list of arrays of shape (n_points, n_dims)
        Lines and rings among them, in reduced coordinates.
    n_unconverged : int
    """

    def __init__(
        self,
        system: ReducedDynamics,
        tol: float,
        visited: np.ndarray | None,
        rng: np.random.RandomState,
    ) -> None:
        self.system = system
        self.tol = tol
        self.visited = visited
        self.rng = rng
        self.scale = _size(system, visited, rng)
        self._lipschitz = curvature(system)
        self.roots = np.empty((0, system.n_dims))
        self.slow = np.empty((0, system.n_dims))
        self.certificates = no_certificates(0)
        self.manifolds: list[Manifold] = []
        self.curves: list[np.ndarray] = []
        self.n_unconverged = 0
        self._dropped = False  # whether roots without a certificate were

    @property
    def index_sum(self) -> int | None:
        """Sum of the indices; None where the test does not apply."""
        proven = ~np.isnan(self.certificates.existence)
        if (
            self.system.equation.transfer.bound is None
            or not proven.all()
            or self._dropped
        ):
            return None
        return int(self.certificates.sign.sum())

    def run(self, n_starts: int) -> None:
        """Search from visited and random states, and further if a point is missing."""
        starts = self.starts(n_starts)
        self._search(starts)
        if len(self.roots) and not self.system.c.any():
            self._search(-self.roots)  # the points of an odd network come in pairs
        self._search_further(n_starts)

    def starts(self, n_starts: int) -> np.ndarray:
        """Points (n_starts, n_dims): half of them visited, as far as known."""
        if self.visited is None:
            return self._random(n_starts)
        n_visited = min(n_starts - n_starts // 2, len(self.visited))
        spread = np.linspace(0, len(self.visited) - 1, n_visited).round().astype(int)
        others = self._random(n_starts - n_visited)
        return np.concatenate([self.visited[spread], others])

    def exhaust(self, max_cells: int) -> bool:
        """Whether branch and bound proves that no root is missing.

        Roots are searched for in the cells that stay open.
        """
        transfer = self.system.equation.transfer
        if transfer.bound is None or transfer.curvature_bound is None:
            return False
        if np.isnan(self.certificates.existence).any():
            return False
        for _ in range(_MAX_ROUNDS):
            left = open_cells(self.system, self.roots, self.certificates, max_cells)
            if not len(left):
                return True
            n_before = len(self.roots)
            chosen = self.rng.permutation(len(left))[:256]
            self._search(left[chosen])
            if len(self.roots) == n_before:
                break
        return False

    def find_manifolds(self, slow: float) -> None:
        """Trace continuous attractors; points on them are no longer listed apart."""
        seeds = np.concatenate([self.roots, self.slow])
        self.manifolds, self.curves = trace_manifolds(
            self.system, seeds, self.scale, slow
        )
        self._merge_uncertified()
        loose = np.isnan(self.certificates.existence)
        for curve in self.curves:
            on_curve = loose & self._near(self.roots, curve)
            if on_curve.sum() >= _CONTINUUM:  # a few are degenerate points of their own
                self._drop(on_curve)
                loose = np.isnan(self.certificates.existence)
        for curve in self.curves:
            self.slow = self.slow[~self._near(self.slow, curve)]
        loose = np.flatnonzero(np.isnan(self.certificates.existence))
        surface, on_surface = gather_surface(self.system, self.roots[loose], slow)
        if surface is not None:
            self.manifolds.append(surface)
            drop = np.zeros(len(self.roots), dtype=bool)
            drop[loose[on_surface]] = True
            self._drop(drop)

    def add_resting(self, ends: np.ndarray, n_starts: int) -> None:
        """Search from where trajectories came to rest, if not on a continuum."""
        if len(ends) and not self._dropped:
            self._search(ends)
            self._search_further(n_starts)

    def sort(self, order: np.ndarray) -> None:
        """Put the roots into another order."""
        self._keep(order)

    def _search_further(self, n_starts: int) -> None:
        """Search from more and more starts while the index sum speaks for it."""
        # the points of a chaotic network in many dimensions are too many to find
        n_rounds = _MAX_ROUNDS if self.system.n_dims <= 10 else 1
        for k in range(n_rounds):
            if self.index_sum in (1, None):
                break
            self._search(self._random(max(n_starts, 32) << k))

    def _search(self, starts: np.ndarray) -> None:
        found = descend_all(self.system, starts, self.tol, self.scale)
        roots = merge(np.concatenate([self.roots, found.roots]), self.scale)
        if len(roots) > len(self.roots):
            self.roots = roots
            self.certificates = certify(self.system, roots, self._lipschitz)
        self.slow = merge(np.concatenate([self.slow, found.slow]), self.scale, 1e-3)
        self.n_unconverged += found.n_unconverged

    def _random(self, n_starts: int) -> np.ndarray:
        return random_starts(self.system, n_starts, self.rng)

    def _drop(self, which: np.ndarray) -> None:
        self._dropped |= bool(which.any())
        self._keep(~which)

    def _keep(self, which: np.ndarray) -> None:
        self.roots = self.roots[which]
        self.certificates = Certificates(*(part[which] for part in self.certificates))

    def _merge_uncertified(self) -> None:
        """Keep one of the points around a degenerate root, the slowest."""
        loose = np.flatnonzero(np.isnan(self.certificates.existence))
        G = self.system.drive(self.roots[loose]) - self.roots[loose]
        loose = loose[np.linalg.norm(G, axis=1).argsort()]
        drop = np.zeros(len(self.roots), dtype=bool)
        for n, k in enumerate(loose):
            if not drop[k]:
                away = np.linalg.norm(
                    self.roots[loose[n + 1 :]] - self.roots[k], axis=1
                )
                drop[loose[n + 1 :][away < SPACING * self.scale]] = True
        self._keep(~drop)

    def _near(self, points: np.ndarray, curve: np.ndarray) -> np.ndarray:
        near = 2 * SPACING * self.scale
        return np.array(
            [distance_to_curve(p, curve) < near for p in points], dtype=bool
        )


def _size(
    system: ReducedDynamics, visited: np.ndarray | None, rng: np.random.RandomState
) -> float:
    """The size of the states: those visited, and those that the network can drive."""
    sizes = [np.sqrt((random_starts(system, 64, rng) ** 2).sum(axis=1).mean())]
    if visited is not None:
        sizes.append(np.sqrt((visited**2).sum(axis=1).mean()))
    return float(max(sizes)) or system.natural_size
