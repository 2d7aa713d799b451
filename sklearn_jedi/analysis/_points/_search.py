"""The fixed points of one network: searched for, certified, and counted."""

from __future__ import annotations

import numpy as np

from sklearn_jedi.analysis._manifolds import (
    SPACING,
    Manifold,
    gather_surface,
    is_near,
    trace_manifolds,
)
from sklearn_jedi.analysis._points._census import Census
from sklearn_jedi.analysis._points._certificates import (
    Certificates,
    certify,
    curvature,
    no_certificates,
    open_cells,
)
from sklearn_jedi.analysis._points._fibres import follow_fibres
from sklearn_jedi.analysis._points._roots import (
    descend,
    merge,
    nearest,
    polish,
    slow_points,
)
from sklearn_jedi.analysis._points._starts import Starts

__all__ = ["FixedPointSearch"]

_CONTINUUM = 3  # uncertified roots on a curve that make it one of fixed points
_MAX_ROUNDS = 5  # of a further search where a point is known to be missing
_FIRST = 16  # random starts per dimension (from two to eight), at first
_OFTEN = 3  # times that each root has to be found, if these are to be enough
_BATCH = 256  # starts at a time, later on
_MAX_STARTS = 4096  # random starts, and
_MAX_COST = 1.5e8  # numbers that go into their Jacobians and steps, in each iteration
_STEPS, _FURTHER = 40, 80  # along curves: from new roots, and from all at the end
_PER_FIBRE = 4  # starts that take as long as so many steps to both sides
_FEW = 64  # starts, however long they take
_QUIET = 256  # starts in a row that lead to known roots, at the end, and
_QUIET_PER_SQUARE = 3  # no more than so many times the square of the dimension


class FixedPointSearch:
    """Fixed points of one network, and what is known about them.

    Parameters
    ----------
    starts : Starts
    tol : float
        Largest residual of a fixed point, as a share of the size of the states.

    Attributes
    ----------
    system : ReducedDynamics of the network
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

    def __init__(self, starts: Starts, tol: float) -> None:
        self.system = system = starts.system
        self.tol = tol
        self._starts = starts
        self.scale = starts.scale
        self._lipschitz = curvature(system)
        self.roots = np.empty((0, system.n_dims))
        self.slow = np.empty((0, system.n_dims))
        self.certificates = no_certificates(0)
        self.manifolds: list[Manifold] = []
        self.curves: list[np.ndarray] = []
        self.n_unconverged = 0
        self._dropped = False  # whether roots without a certificate were
        self.census = Census()
        self._n_followed = 0  # roots from which curves were followed

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

    @property
    def missing_mass(self) -> float:
        """Estimated share of the converging random starts that lead to no known root.

        NaN where none converged.
        """
        return self.census.missing_mass(self._is_isolated, self._partners)

    @property
    def _partners(self) -> np.ndarray:
        """Number of the root on the other side of the origin, if that is one, too."""
        own = np.arange(len(self.roots))
        if not self._starts.is_odd:
            return own
        partners = nearest(-self.roots, self.roots, self.scale)
        return np.where(partners < 0, own, partners)

    @property
    def _is_isolated(self) -> np.ndarray:
        """Which roots are no points of a continuum."""
        if self.system.equation.transfer.curvature_bound is not None:
            proven: np.ndarray = ~np.isnan(self.certificates.existence)
            return proven
        _, slopes = self.system.activity(self.roots)
        jac = self.system.jacobian(slopes) - np.eye(self.system.n_dims)
        singular = np.linalg.svd(jac, compute_uv=False)
        isolated: np.ndarray = singular[:, -1] > 1e-6 * np.maximum(singular[:, 0], 1.0)
        return isolated

    def run(self, n_starts: int | str) -> None:
        """Search from visited and random states, until nothing new is found.

        With a number of starts, the search goes on only where a root is known to be
        missing.
        """
        n_dims = self.system.n_dims
        if n_starts == "auto":
            cost = self.system.A.size * n_dims + n_dims**3
            most = max(_FEW, min(_MAX_STARTS, int(_MAX_COST / cost)))
            n_random = min(_FIRST * min(max(n_dims, 2), 8), most)
            visited = self._starts.visited(n_random // 2)
        else:
            visited = self._starts.visited(int(n_starts) - int(n_starts) // 2)
            n_random = most = int(n_starts) - len(visited)
        which = self._search(
            np.concatenate([visited, self._starts.random(n_random)]), keep_slow=True
        )
        known, reached = np.split(which, [len(visited)])
        self.census.count_otherwise(known)
        self.census.count_random(reached)
        if not self._is_enough(min(self._n_quiet, most)):
            self._search_on(n_random, most)

    def _is_enough(self, n_quiet: int) -> bool:
        """Whether the first starts found every root often enough."""
        times = self.census.times_found(self._partners)[self._is_isolated]
        return (
            self.census.n_converged >= n_quiet
            and times.min(initial=_OFTEN) >= _OFTEN
            and self._is_settled()
        )

    @property
    def _n_quiet(self) -> int:
        """Starts in a row that have to lead to known roots before a search ends."""
        return min(_QUIET, _QUIET_PER_SQUARE * max(self.system.n_dims, 2) ** 2)

    def starts(self, n_starts: int) -> np.ndarray:
        """Points (n_starts, n_dims): half of them visited, as far as known."""
        visited = self._starts.visited(n_starts - n_starts // 2)
        random = self._starts.random(n_starts - len(visited))
        return np.concatenate([visited, random])

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
            self._search(self._starts.some_of(left, _BATCH))
            if len(self.roots) == n_before:
                break
        return False

    def find_manifolds(self, slow: float) -> None:
        """Trace continuous attractors; points on them are no longer listed apart."""
        self.scale = self._starts.scale_given(self.roots)
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

    def add_resting(self, ends: np.ndarray) -> None:
        """Search from where trajectories came to rest, if not on a continuum."""
        if len(ends) and not self._dropped:
            self._search(ends)
            if self.index_sum not in (1, None):
                self._search_on(0, 0)

    def sort(self, order: np.ndarray) -> None:
        """Put the roots into another order."""
        self._keep(order)

    def _is_settled(self) -> bool:
        """Whether neither the indices nor roots found only once speak for others."""
        return self.index_sum in (1, None) and not self.missing_mass > 0

    def _search_on(self, n_spent: int, most: int) -> None:
        """Follow curves and start at random in turn, for at most so many starts.

        Where the index sum says that a root is missing there are a few rounds in any
        case.
        """
        n_rounds = n_quiet = 0
        n_first = max(2 * n_spent, _FEW)
        # the points of a chaotic network in many dimensions are too many to find
        n_least = _MAX_ROUNDS if self.system.n_dims <= 10 else 1
        while n_spent < most or (
            n_rounds < n_least and self.index_sum not in (1, None)
        ):
            if n_rounds:  # a few more starts are often enough
                n_spent += self._follow_fibres(max(most - n_spent, _FEW))
            n_batch = min(n_first << n_rounds, _BATCH)
            n_before, n_isolated = self.census.n_converged, self._is_isolated.sum()
            self._search_randomly(n_batch)
            n_spent += n_batch
            n_rounds += 1
            if self._is_isolated.sum() > n_isolated:
                n_quiet = 0
                continue
            n_quiet += self.census.n_converged - n_before
            if n_quiet >= self._n_quiet or not self.census.n_converged:
                n_quiet = self._n_followed = 0  # once more, further and elsewhere
                n_spent += self._follow_fibres(max(most - n_spent, _FEW), _FURTHER)
                if self._is_isolated.sum() == n_isolated and self._is_settled():
                    break

    def _follow_fibres(self, most: int, n_steps: int = _STEPS) -> int:
        """Follow curves from new roots on; for how many starts that stands."""
        n_spent = 0
        while self._n_followed < len(self.roots) and n_spent < most:
            new = np.arange(self._n_followed, len(self.roots))
            self._n_followed = len(self.roots)
            new = new[self._is_isolated[new]][: 1 + (most - n_spent) // _PER_FIBRE]
            crossings, origins = follow_fibres(
                self.system,
                self.roots[new],
                self._starts.directions(len(new)),
                self.scale,
                2 * self._starts.reach,
                n_steps,
            )
            which = self._search(crossings)
            # what is found again does not owe it to itself
            known = (which >= 0) & (new[origins] < which)
            self.census.count_otherwise(which[known])
            n_spent += round(_PER_FIBRE * len(new) * n_steps / _STEPS)
        return n_spent

    def _search_randomly(self, n_starts: int) -> None:
        self.census.count_random(self._search(self._starts.random(n_starts)))

    def _search(self, starts: np.ndarray, keep_slow: bool = False) -> np.ndarray:
        """Descend from each start; number of the root it led to, or -1."""
        if not len(starts):
            return np.zeros(0, dtype=int)
        ends, is_root = descend(self.system, starts, self.tol, self.scale)
        which = np.full(len(starts), -1)
        which[is_root] = self._number(ends[is_root])
        if keep_slow:
            stalled = ends[~is_root]
            slow, n_slow = slow_points(self.system, stalled, self.tol, self.scale)
            self.slow = merge(np.concatenate([self.slow, slow]), self.scale, 1e-3)
            self.n_unconverged += len(stalled) - n_slow
        return which

    def _number(self, ends: np.ndarray) -> np.ndarray:
        """Numbers of the roots at the ends of descents; new ones are taken in."""
        which = nearest(ends, self.roots, self.scale)
        fresh = which < 0
        if fresh.any():
            new = merge(ends[fresh], self.scale)
            if self._starts.is_odd:
                new = merge(np.concatenate([new, -new]), self.scale)
            self._take_in(polish(self.system, new))
            which[fresh] = nearest(ends[fresh], self.roots, self.scale)
        return which

    def _take_in(self, points: np.ndarray) -> None:
        """Add the roots that are not known yet."""
        known = nearest(points, self.roots, self.scale) >= 0
        new = merge(points[~known], self.scale)
        if not len(new):
            return
        found = certify(self.system, new, self._lipschitz)
        self.roots = np.concatenate([self.roots, new])
        self.certificates = Certificates(
            *(
                np.concatenate(pair)
                for pair in zip(self.certificates, found, strict=True)
            )
        )
        self.census.take_in(len(new))

    def _drop(self, which: np.ndarray) -> None:
        self._dropped |= bool(which.any())
        self._keep(~which)

    def _keep(self, which: np.ndarray) -> None:
        self._n_followed = int(
            (np.arange(len(self.roots))[which] < self._n_followed).sum()
        )
        self.roots = self.roots[which]
        self.certificates = Certificates(*(part[which] for part in self.certificates))
        self.census.keep(which)

    def _merge_uncertified(self) -> None:
        """Keep one of the points around a degenerate root, the slowest."""
        loose = np.flatnonzero(np.isnan(self.certificates.existence))
        if len(loose) < 2:
            return
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
        return is_near(points, curve, 2 * SPACING * self.scale)
