"""Where trajectories settle: at known points and curves, on a cycle, or nowhere."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from sklearn_jedi.analysis._cycles._orbit import size_of
from sklearn_jedi.analysis._limit_cycles import LimitCycle, closed_curve, find_cycle
from sklearn_jedi.analysis._manifolds import is_near
from sklearn_jedi.analysis._reduced import ReducedDynamics
from sklearn_jedi.analysis._runs import run

__all__ = ["find_cycles"]

_BLOCK = 5.0  # time constants between looks at which trajectories have settled
_TRANSIENT = 50.0  # time constants before a trajectory is recorded
# time constants, until the cycle is found; trajectories recorded in vain, at most
_RECORDED = ((150.0, 8), (600.0, 4), (2000.0, 2))
_MAX_STEPS = 20_000
_AT_ONCE = 4  # trajectories recorded together
_REST = 1e-6  # drift within tau, as a share of the size of the states
_NEAR = 0.02  # share of the size of the states
_SAME_SET = 0.1  # distance to the path of another trajectory, as a share of its size
_MAX_LEFT = 16  # unstable fixed points beside which trajectories start
_ALONG = 0.02  # first distance from an unstable point, as a share of the size


class Settled(NamedTuple):
    """What trajectories ended on.

    Attributes
    ----------
    cycles : list of LimitCycle
    resting : array of shape (n_resting, n_dims)
        Where trajectories came to rest, other than at the known points and curves.
    n_trajectories, n_unsettled : int
        How many were followed, and how many of them reached neither a point, a curve
        nor a cycle.
    """

    cycles: list[LimitCycle]
    resting: np.ndarray
    n_trajectories: int
    n_unsettled: int


def find_cycles(
    system: ReducedDynamics,
    starts: np.ndarray,
    roots: np.ndarray,
    is_stable: np.ndarray,
    curves: list[np.ndarray],
    scale: float,
    time: str,
) -> Settled:
    """Limit cycles on which trajectories end.

    Parameters
    ----------
    system : ReducedDynamics of one network
    starts : array of shape (n_starts, n_dims)
        Where trajectories start; others start beside the unstable fixed points.
    roots : array of shape (n_points, n_dims)
        Fixed points.
    is_stable : bool array of shape (n_points,)
    curves : list of arrays of shape (n_points, n_dims)
        Continuous attractors.
    scale : float
        Size of the states.
    time : {"map", "flow"}
    """
    beside = _beside(system, roots[~is_stable], scale)
    kappa = np.concatenate([beside, starts])
    return _Follower(system, roots[is_stable], curves, scale, time).follow(kappa)


class _Follower:
    """Follows trajectories of one network until they settle."""

    def __init__(
        self,
        system: ReducedDynamics,
        stable: np.ndarray,
        curves: list[np.ndarray],
        scale: float,
        time: str,
    ) -> None:
        self._system = system
        self._stable = stable
        self._curves = curves
        self._scale = scale
        self._time = time
        self._cycles: list[LimitCycle] = []
        self._closed: list[tuple[np.ndarray, float]] = []  # curves; what is near them
        self._passed: list[np.ndarray] = []  # slow ways to a stable point, late
        self._resting = np.empty((0, system.n_dims))

    def follow(self, kappa: np.ndarray) -> Settled:
        n_trajectories = len(kappa)
        waiting, n_lost = self._after_transient(kappa)
        for duration, most in _RECORDED:
            waiting, n_diverging = self._record(waiting, duration, most)
            n_lost += n_diverging
            if not len(waiting):
                break
        if len(waiting) and self._somewhere:  # some were long on their way
            waiting = self._elsewhere(self._run(waiting, _RECORDED[1][0])[-1])
        n_unsettled = n_lost + len(waiting)
        return Settled(self._cycles, self._resting, n_trajectories, n_unsettled)

    @property
    def _somewhere(self) -> bool:
        """Whether an attractor is known that trajectories may end on."""
        return bool(len(self._stable) or self._closed)

    def _after_transient(self, kappa: np.ndarray) -> tuple[np.ndarray, int]:
        """The trajectories that settled nowhere known, and how many diverge."""
        near = _NEAR * self._scale
        n_diverging = 0
        before = np.full(len(kappa), np.inf)
        for _ in range(round(_TRANSIENT / _BLOCK)):
            kappa = self._run(kappa, _BLOCK)[-1]
            bounded = np.abs(kappa).max(axis=1) < 1e6 * self._scale
            n_diverging += int((~bounded).sum())
            distance = _distance(kappa, self._stable)
            arrived = (distance < near) & (before < near)
            arrived &= distance < 0.9 * before + _REST * self._scale
            drift = np.linalg.norm(self._system.drive(kappa) - kappa, axis=1)
            at_rest = ~arrived & (drift < _REST * self._scale)
            self._resting = np.concatenate([self._resting, kappa[at_rest]])
            left = bounded & ~arrived & ~at_rest
            for curve in self._curves:
                left &= ~is_near(kappa, curve, near)
            kappa, before = kappa[left], distance[left]
            if not len(kappa):
                break
        return kappa, n_diverging

    def _record(
        self, waiting: np.ndarray, duration: float, most: int
    ) -> tuple[np.ndarray, int]:
        """Those that a longer record does not explain, and how many diverge.

        No more are recorded after `most` in vain.
        """
        unresolved = np.empty((0, self._system.n_dims))
        n_diverging = n_vain = 0
        waiting = self._elsewhere(waiting)
        while len(waiting) and n_vain < most:
            paths = self._run(waiting[:_AT_ONCE], duration)
            waiting = waiting[_AT_ONCE:]
            n_known = len(self._cycles)
            for path in np.swapaxes(paths, 0, 1):
                if not np.abs(path[-1]).max() < 1e6 * self._scale:
                    n_diverging += 1
                elif not len(self._elsewhere(path[-1:])):
                    continue
                elif len(self._cycles) > n_known:  # it may be on its way there
                    waiting = np.concatenate([waiting, path[-1:]])
                elif self._add_cycle(path):
                    continue
                elif _approaches(path, self._stable):
                    late = path[len(path) // 2 :]
                    self._passed.append(late[:: max(1, len(late) // 1000)])
                else:
                    n_vain += 1
                    # others that wander through the same set are no less unresolved
                    among = _distance(waiting, path[::3]) < _SAME_SET * size_of(path)
                    unresolved = np.concatenate([unresolved, path[-1:], waiting[among]])
                    waiting = waiting[~among]
            waiting = self._elsewhere(waiting)
            if len(waiting) and self._somewhere:  # some may still be on their way
                waiting = self._elsewhere(self._run(waiting, duration)[-1])
        return np.concatenate([unresolved, waiting]), n_diverging

    def _add_cycle(self, path: np.ndarray) -> bool:
        """Whether a path follows a cycle, which is then listed, as is its mirror image.

        That is a cycle, too, of an odd network.
        """
        cycle = find_cycle(self._system, path, self._time)
        if cycle is None:
            return False
        self._list(cycle)
        points = self._system.project(cycle.states)
        if self._system.is_odd(points):
            self._list(cycle._replace(states=self._system.lift(-points)))
        return True

    def _list(self, cycle: LimitCycle) -> None:
        """Add a cycle, unless a trajectory on its way to a known one led there."""
        curve = closed_curve(self._system.project(cycle.states))
        if self._is_known(curve[:: max(1, len(curve) // 16)]).all():
            return
        near = min(_NEAR * self._scale, _SAME_SET * size_of(curve))
        self._cycles.append(cycle)
        self._closed.append((curve, near))

    def _elsewhere(self, kappa: np.ndarray) -> np.ndarray:
        """The states on no known cycle or way, nor at a stable point, now and later."""
        distance = _distance(kappa, self._stable)
        known = self._is_known(kappa)
        likely = np.flatnonzero(known | (distance < _NEAR * self._scale))
        if len(likely):
            later = self._run(kappa[likely], _BLOCK)[-1]
            arrived = _distance(later, self._stable) < 0.9 * distance[likely]
            arrived &= distance[likely] < _NEAR * self._scale
            known[likely] = (known[likely] & self._is_known(later)) | arrived
        others: np.ndarray = kappa[~known]
        return others

    def _is_known(self, kappa: np.ndarray) -> np.ndarray:
        known = np.zeros(len(kappa), dtype=bool)
        for path in self._passed:
            known |= _distance(kappa, path) < _NEAR * self._scale
        for curve, near in self._closed:
            known |= is_near(kappa, curve, near)
        return known

    def _run(self, kappa: np.ndarray, duration: float) -> np.ndarray:
        """States (n_steps, n_states, n_dims) in a time of some time constants."""
        most = _MAX_STEPS if duration > _BLOCK else _MAX_STEPS // 10
        n_steps = min(round(duration / self._system.equation.alpha), most)
        return run(self._system, kappa, max(n_steps, 1), self._time)


def _beside(system: ReducedDynamics, points: np.ndarray, scale: float) -> np.ndarray:
    """States beside unstable fixed points, in both directions that they are left in.

    What lies next to a fixed point is reached from there, however rarely from afar.
    """
    points = points[:_MAX_LEFT]
    if not len(points):
        return points
    _, slopes = system.activity(points)
    values, vectors = np.linalg.eig(system.jacobian(slopes))
    leading = values.real.argmax(axis=1)
    along = np.take_along_axis(vectors, leading[:, None, None], axis=2)[..., 0].real
    along *= _ALONG * scale / np.linalg.norm(along, axis=1, keepdims=True)
    return np.concatenate([points + along, points - along])


def _distance(kappa: np.ndarray, points: np.ndarray) -> np.ndarray:
    """From each state to the nearest of some points; infinite where there are none."""
    distance: np.ndarray = cdist(kappa, points).min(axis=1, initial=np.inf)
    return distance


def _approaches(path: np.ndarray, stable: np.ndarray) -> bool:
    """Whether a slow trajectory is on its way to a stable point."""
    if not len(stable):
        return False
    end = np.linalg.norm(stable - path[-1], axis=1)
    nearest = stable[end.argmin()]
    quarter = len(path) // 4
    early = np.linalg.norm(path[:quarter] - nearest, axis=1).max()
    late = np.linalg.norm(path[-quarter:] - nearest, axis=1).max()
    return bool(late < 0.9 * early)
