"""Fixed points of low-rank networks, with proofs; continuous attractors and cycles."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from sklearn_jedi._utils._checks import check_choice, check_integer, check_real
from sklearn_jedi._utils._progress import show_progress
from sklearn_jedi._utils._types import RandomState
from sklearn_jedi._utils._warnings import warn_user
from sklearn_jedi.analysis._limit_cycles import LimitCycle
from sklearn_jedi.analysis._points._search import FixedPointSearch
from sklearn_jedi.analysis._points._stability import stability
from sklearn_jedi.analysis._points._starts import Starts
from sklearn_jedi.analysis._reduced import (
    Networks,
    ReducedDynamics,
    check_networks,
    check_states,
)
from sklearn_jedi.analysis._trajectories import find_cycles

__all__ = ["FixedPointAnalyzer"]

_MAX_RANK = 6  # of an exhaustive search
_N_TRAJECTORIES = 64


class FixedPointAnalyzer(BaseEstimator):
    r"""Fixed points of rate networks, each with a proof that it exists.

    The fixed points of a network with `J = U V^T` are the roots of
    `G(kappa) = V^T phi(U kappa + b) - kappa` in `rank` dimensions, for the map and the
    flow alike [1]_. They are searched for by damped Newton steps from many starts,
    certified by the Newton-Kantorovich theorem, and counted by their indices: for
    bounded `phi` the signs of `det(I - V^T D U)`, `D = diag(phi')`, over all
    fixed points sum to +1, because `kappa - V^T phi(U kappa + b)` has degree +1 [2]_.

    For `LatentDynamics`, states, distances and speeds are in latents, and `rank` is the
    number of latents.

    Parameters
    ----------
    n_starts : int or "auto", default="auto"
        Points from which to search, in each network: some of `states`, where given, and
        random ones. "auto" searches until new starts stop finding new points: from the
        visited states and 16 random ones per dimension (up to 8), and, if a point was
        found less than three times or the index sum (see `index_sum_`) is not +1, from
        more random ones and along curves through the points found [3]_, until enough
        starts in a row and all curves lead to nothing new; at most about 4096 starts,
        fewer in large networks of many dimensions. A number is kept to, half of them
        from `states`, unless the index sum shows that a point is missing.
    tol : float, default=1e-10
        Largest residual of a fixed point, as a share of the size of the states. Points
        are refined down to rounding afterwards.
    time : {"map", "flow"}, default="map"
        "map": eigenvalues are those of one step of `dt`, stable inside the unit
        circle. "flow": of the vector field, in 1/s, stable where the real part is
        negative.
    exhaustive : bool, default=False
        Prove that no fixed point is missing, by branch and bound over the box that
        holds them all. Needs a bounded `phi`. The cost grows exponentially in the rank:
        milliseconds at rank 2, seconds at rank 3; refused beyond rank 6.
    max_cells : int, default=1000000
        Cells of the box that the exhaustive search may look at, in each network.
    slow : float, default=0.05
        How slow a continuous attractor has to be (see `manifolds_`): within a time of
        `tau`, the state drifts by at most this share of its typical size.
    limit_cycles : bool, default=True
        Whether to follow trajectories until they settle, and look for limit cycles
        there.
    random_state : int, RandomState instance or None, default=None
        Draws the starts.
    verbose : int, default=0
        1 shows progress over the networks.

    Attributes
    ----------
    fixed_points_ : list of arrays of shape (n_points, n_neurons)
        Fixed points of each network, in rates, the most stable first. Every attribute
        here has one entry per network.
    eigenvalues_ : list of complex arrays of shape (n_points, rank)
        Of the Jacobian of the map (no unit) or of the flow (1/s), the largest first
        (magnitude, or real part). The other `n_neurons - rank` are `1 - dt/tau`, or
        `-1/tau`; latent dynamics have no others.
    is_stable_ : list of bool arrays of shape (n_points,)
    stability_type_ : list of str arrays of shape (n_points,)
        "stable node", "stable focus", "unstable node", "unstable focus", "saddle (k)"
        with k unstable directions, or "marginal", within the `rank` dimensions that
        matter; a focus is one whose leading eigenvalue is complex. "marginal" are also
        points at which a unit is right at a kink of `phi`, as that of relu: no
        eigenvalue says what the network does there (listed are those of one side).
    residuals_ : list of arrays of shape (n_points,)
        `|-r + J phi(r) + b|`, in rate units.
    certified_radius_ : list of arrays of shape (n_points,)
        A fixed point exists within this distance of the point, in rate units; NaN where
        that is not proven.
    uniqueness_radius_ : list of arrays of shape (n_points,)
        There is no other within this distance, in the invariant subspace `b + U kappa`
        that holds them all; NaN where that is not proven.
    index_sum_ : array of shape (n_networks,)
        Sum of the indices of the fixed points found. It is +1 for a complete set, so
        any other value shows that points are missing (missing points whose indices
        cancel do not show). NaN where the test does not apply: `phi` is unbounded, or a
        point is not certified, such as one of a ring of fixed points.
    missing_mass_ : array of shape (n_networks,)
        Estimated share of random starts (of those that converge) that would lead to a
        fixed point not listed here: that of the starts that led to where nothing else
        did [4]_. It is 0 where every point was found more than once. That is evidence,
        not proof: points that attract hardly any start may be missing all the same (see
        `is_complete_`). NaN where no start converged.
    is_complete_ : bool array of shape (n_networks,)
        Whether it is proven that no fixed point is missing.
    slow_points_ : list of arrays of shape (n_points, n_neurons)
        States where the speed has a local minimum that is not zero. The minimum need
        not be small: see `slow_speeds_`.
    slow_speeds_ : list of arrays of shape (n_points,)
        `|dr/dt|` there, in rate units per second.
    manifolds_ : list of lists of Manifold
        Lines, rings and surfaces of fixed or nearly fixed points, with their `kind`,
        `states`, `drift_speed` and `length`. Where `is_attracting`, such a continuum is
        a continuous attractor. If the drift along a ring is faster than `slow` in
        places, its slow arcs are listed, each of the kind "line". Points of a manifold
        that are certified fixed points are also listed among `fixed_points_`.
    limit_cycles_ : list of lists of LimitCycle
        Cycles that trajectories reached: `period`, `states`, `multipliers`,
        `is_stable`, `residual`.
    networks_ : LowRankRNN or LatentDynamics
        The networks analysed.
    n_unconverged_ : array of shape (n_networks,)
        First starts that ended neither at a fixed point nor at a slow point.
    n_trajectories_ : array of shape (n_networks,)
        Trajectories followed to find cycles: 64, half of them from `states`, where
        given, and two from beside each unstable fixed point (of at most 16).
    n_unsettled_ : array of shape (n_networks,)
        How many of them reached no fixed point, manifold or cycle: they are chaotic or
        quasi-periodic, grow without bound, have a period of more than about 600 `tau`,
        or change so slowly that a cycle cannot be told from a focus.

    Raises
    ------
    TypeError, ValueError
        If `dynamics` is neither a `LowRankRNN` nor `LatentDynamics`, `states` do not
        fit it, or a parameter cannot be used.

    Warns
    -----
    ConvergenceWarning
        If the index sum shows, or `missing_mass_` suggests, that a fixed point is
        missing, the exhaustive search could not finish, or trajectories reached no
        attractor (see `n_unsettled_`).
    UserWarning
        If `phi` lacks the bounds that certificates or index test need.

    References
    ----------
    .. [1] Sussillo and Barak, "Opening the black box: low-dimensional dynamics in
       high-dimensional recurrent neural networks", Neural Computation 25 (2013).
    .. [2] Deimling, "Nonlinear functional analysis" (1985), chapter 1.
    .. [3] Katz and Reggia, "Using directional fibers to locate fixed points of
       recurrent neural networks", IEEE Transactions on Neural Networks and Learning
       Systems 29 (2018).
    .. [4] Good, "The population frequencies of species and the estimation of
       population parameters", Biometrika 40 (1953).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi import LowRankRNN
    >>> from sklearn_jedi.analysis import FixedPointAnalyzer
    >>> ones = np.ones((50, 1))
    >>> analyzer = FixedPointAnalyzer(exhaustive=True, random_state=0)
    >>> analyzer.fit(LowRankRNN(ones, 2 * ones / 50))
    FixedPointAnalyzer(exhaustive=True, random_state=0)
    >>> np.abs(analyzer.fixed_points_[0][:, 0]).round(4).tolist()
    [1.915, 1.915, 0.0]
    >>> analyzer.stability_type_[0].tolist(), bool(analyzer.is_complete_[0])
    (['stable node', 'stable node', 'unstable node'], True)
    """

    def __init__(
        self,
        n_starts: int | str = "auto",
        tol: float = 1e-10,
        *,
        time: str = "map",
        exhaustive: bool = False,
        max_cells: int = 1_000_000,
        slow: float = 0.05,
        limit_cycles: bool = True,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.n_starts = n_starts
        self.tol = tol
        self.time = time
        self.exhaustive = exhaustive
        self.max_cells = max_cells
        self.slow = slow
        self.limit_cycles = limit_cycles
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, dynamics: Networks, y: object = None, *, states: ArrayLike | None = None
    ) -> FixedPointAnalyzer:
        """Find the fixed points of every network.

        Parameters
        ----------
        dynamics : LowRankRNN or LatentDynamics
            Networks, from an estimator's `dynamics` or built by hand.
        y : None
            Ignored.
        states : array-like of shape (n_networks, n_states, n_neurons), default=None
            Where the activity was, in rates, or in latents of latent dynamics: starts
            of the search and of trajectories.

        Returns
        -------
        FixedPointAnalyzer
            Itself.
        """
        self._check_parameters()
        dynamics = check_networks(dynamics)
        visited = None if states is None else check_states(dynamics, states)
        self._check_exhaustive(dynamics)
        self._warn_of_missing_bounds(dynamics)
        rng = check_random_state(self.random_state)
        self.networks_ = dynamics
        reduced = ReducedDynamics(dynamics)
        self._start()
        for k in range(len(dynamics)):
            system = reduced[k]
            known = None if visited is None else system.project(visited[k])
            search = FixedPointSearch(Starts(system, known, rng), self.tol)
            search.run(self.n_starts)
            self._add(dynamics[k] if len(dynamics) > 1 else dynamics, search)
            if self.verbose:
                text = f"{len(search.roots)} fixed points"
                show_progress("network", k + 1, len(dynamics), text)
        self._finish()
        return self

    def _check_parameters(self) -> None:
        if self.n_starts != "auto":
            if isinstance(self.n_starts, str):
                raise ValueError(
                    'n_starts must be "auto" or a number of starts; got '
                    f"{self.n_starts!r}"
                )
            check_integer("n_starts", self.n_starts, 1)
        check_integer("max_cells", self.max_cells, 1)
        check_integer("verbose", self.verbose, 0)
        check_real("tol", self.tol)
        check_real("slow", self.slow)
        check_choice("time", self.time, ("map", "flow"))

    def _check_exhaustive(self, dynamics: Networks) -> None:
        if self.exhaustive and dynamics.n_dims > _MAX_RANK:
            raise ValueError(
                "exhaustive=True divides a box of as many dimensions as the rank (the "
                f"number of latents), at most {_MAX_RANK}; the networks have rank "
                f"{dynamics.n_dims}: leave it out"
            )

    def _warn_of_missing_bounds(self, dynamics: Networks) -> None:
        transfer = dynamics.transfer
        missing = []
        if transfer.curvature_bound is None:
            missing.append(
                "no bound on phi'', so certified_radius_, uniqueness_radius_ and "
                "index_sum_ are NaN"
            )
        if transfer.bound is None:
            missing.append(
                "no bound on |phi|, so index_sum_ is NaN and exhaustive=True proves "
                "nothing"
            )
        if missing:
            warn_user(
                f"nonlinearity={dynamics.nonlinearity!r} has {'; and '.join(missing)}",
            )

    def _start(self) -> None:
        """Empty lists, one entry per network to come."""
        for name in (
            "fixed_points_",
            "eigenvalues_",
            "is_stable_",
            "stability_type_",
            "residuals_",
            "certified_radius_",
            "uniqueness_radius_",
            "index_sum_",
            "missing_mass_",
            "is_complete_",
            "slow_points_",
            "slow_speeds_",
            "manifolds_",
            "limit_cycles_",
            "n_unconverged_",
            "n_trajectories_",
            "n_unsettled_",
        ):
            setattr(self, name, [])

    def _add(self, network: Networks, search: FixedPointSearch) -> None:
        """Take in what was found about one network."""
        system = search.system
        self.is_complete_.append(self.exhaustive and search.exhaust(self.max_cells))
        search.find_manifolds(self.slow)
        cycles: list[LimitCycle] = []
        n_trajectories = n_unsettled = 0
        if self.limit_cycles:
            is_stable = stability(system, search.roots, self.time)[2] == 0
            settled = find_cycles(
                system,
                search.starts(_N_TRAJECTORIES),
                search.roots,
                is_stable,
                search.curves,
                search.scale,
                self.time,
            )
            cycles, n_unsettled = settled.cycles, settled.n_unsettled
            n_trajectories = settled.n_trajectories
            search.add_resting(settled.resting)
        self.limit_cycles_.append(cycles)
        self.n_trajectories_.append(n_trajectories)
        self.n_unsettled_.append(n_unsettled)
        eigenvalues, types, n_unstable = stability(system, search.roots, self.time)
        order = _order(system.lift(search.roots), n_unstable)
        search.sort(order)
        types = types[order]
        is_stable = np.char.startswith(types, "stable")
        points, slow = system.lift(search.roots), system.lift(search.slow)
        self.fixed_points_.append(points)
        self.eigenvalues_.append(eigenvalues[order])
        self.stability_type_.append(types)
        self.is_stable_.append(is_stable)
        self.residuals_.append(network.speed(points[None])[0] * network.tau)
        self.certified_radius_.append(search.certificates.existence)
        self.uniqueness_radius_.append(search.certificates.uniqueness)
        index_sum = search.index_sum
        self.index_sum_.append(np.nan if index_sum is None else index_sum)
        self.missing_mass_.append(search.missing_mass)
        self.slow_points_.append(slow)
        self.slow_speeds_.append(
            network.speed(slow[None])[0] if len(slow) else np.empty(0)
        )
        self.manifolds_.append(search.manifolds)
        self.n_unconverged_.append(search.n_unconverged)

    def _finish(self) -> None:
        """Numbers per network as arrays, and what to warn of."""
        for name in (
            "index_sum_",
            "missing_mass_",
            "is_complete_",
            "n_unconverged_",
            "n_trajectories_",
            "n_unsettled_",
        ):
            setattr(self, name, np.array(getattr(self, name)))
        self._warn_of_unsettled()
        missing = np.flatnonzero((self.index_sum_ != 1) & ~np.isnan(self.index_sum_))
        if len(missing):
            warn_user(
                "the index sum of networks "
                f"{missing[:10].tolist()} is {self.index_sum_[missing[:10]].tolist()} "
                "where it must be 1: fixed points are missing. Raise n_starts, pass "
                "states, or use exhaustive=True",
                ConvergenceWarning,
            )
        unseen = np.flatnonzero((self.missing_mass_ > 0) & ~self.is_complete_)
        unseen = np.setdiff1d(unseen, missing)[:10]
        if len(unseen):
            warn_user(
                f"fixed points of networks {unseen.tolist()} are probably missing: "
                f"missing_mass_ is {self.missing_mass_[unseen].round(4).tolist()}, the "
                "estimated share of random starts that lead to points not found. "
                "Raise n_starts, pass states, or use exhaustive=True",
                ConvergenceWarning,
            )
        if self.exhaustive and not self.is_complete_.all():
            open_ = np.flatnonzero(~self.is_complete_)
            simple = ~np.isnan(self.index_sum_[open_]).all()
            warn_user(
                f"no proof of completeness for networks {open_[:10].tolist()}: "
                + (
                    f"max_cells={self.max_cells} were not enough"
                    if simple
                    else "index_sum_ is NaN, because a point is not simple (a "
                    "continuous attractor?), or phi lacks its bounds"
                ),
                ConvergenceWarning,
            )

    def _warn_of_unsettled(self) -> None:
        open_ = np.flatnonzero(self.n_unsettled_)
        if len(open_):
            warn_user(
                f"{self.n_unsettled_[open_].sum()} of "
                f"{self.n_trajectories_[open_].sum()} trajectories of networks "
                f"{open_[:10].tolist()} reached no attractor that could be resolved: "
                "they are chaotic or quasi-periodic, diverge, or change so slowly that "
                "a limit cycle cannot be told from a focus; limit_cycles_ may lack "
                "cycles",
                ConvergenceWarning,
            )


def _order(points: np.ndarray, n_unstable: np.ndarray) -> np.ndarray:
    """The most stable first, then the smallest; ties, as in a pair, by the rates."""
    sizes = np.linalg.norm(points, axis=1)
    digits = 1e-6 * max(sizes.max(initial=0.0), 1e-300)
    keys = (np.round(sizes / digits), n_unstable)
    if len(set(zip(*keys, strict=True))) == len(points):
        return np.lexsort(keys)
    return np.lexsort((*np.round(points / digits).T[::-1], *keys))
