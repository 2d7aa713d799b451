"""Where searches for fixed points start, and how large the states are."""

from __future__ import annotations

import numpy as np

from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["Starts", "random_starts"]

_DECADES = (-1.5, 1.5)  # of random sizes, in powers of ten of the natural one
_N_SAMPLES = 64  # starts from which the size of the states is read


class Starts:
    """Visited states, and random ones of the size of the states.

    How large states can become is known of bounded networks. Of the others it is read
    from the visited states, or else from the inputs and the roots found.

    Parameters
    ----------
    system : ReducedDynamics of one network, which is also an attribute
    visited : array of shape (n_states, n_dims) or None
        Where the activity was.
    rng : RandomState

    Attributes
    ----------
    scale : float
        Size of the states.
    reach : float
        No value of `F` that was met is larger.
    is_odd : bool
        Whether `F(-kappa) = -F(kappa)`, so that roots come in pairs.
    """

    def __init__(
        self,
        system: ReducedDynamics,
        visited: np.ndarray | None,
        rng: np.random.RandomState,
    ) -> None:
        self.system = system
        self._visited = visited
        self._rng = rng
        size = None if visited is None else _root_mean_square(visited)
        is_bounded = system.equation.transfer.bound is not None
        self._unit, self._decades = system.natural_size, _DECADES
        if size and not is_bounded:
            self._unit, self._decades = size, (_DECADES[0], 0.5)
        self._drawn = sample = self._draw(_N_SAMPLES)  # the first to be handed out
        self.reach = float(np.linalg.norm(sample, axis=1).max())
        self._is_known = is_bounded or bool(size)
        sizes = [_root_mean_square(sample), size or 0.0]
        self.scale = max(sizes) if is_bounded else size or sizes[0]
        self.scale = self.scale or system.natural_size
        self.is_odd = system.is_odd(sample)

    def scale_given(self, roots: np.ndarray) -> float:
        """Size of the states, that of the roots where nothing else tells."""
        if self._is_known or not roots.any():
            return self.scale
        return _root_mean_square(roots)

    def visited(self, n_starts: int) -> np.ndarray:
        """Visited states (at most n_starts, n_dims), spread over all of them."""
        if self._visited is None:
            return np.empty((0, self.system.n_dims))
        n_visited = min(n_starts, len(self._visited))
        spread = np.linspace(0, len(self._visited) - 1, n_visited).round().astype(int)
        visited: np.ndarray = self._visited[spread]
        return visited

    def random(self, n_starts: int) -> np.ndarray:
        """Random states (n_starts, n_dims)."""
        missing = n_starts - len(self._drawn)
        if missing > 0:
            self._drawn = np.concatenate([self._drawn, self._draw(missing)])
        starts, self._drawn = self._drawn[:n_starts], self._drawn[n_starts:]
        return starts

    def _draw(self, n_starts: int) -> np.ndarray:
        return random_starts(
            self.system, n_starts, self._rng, self._unit, self._decades
        )

    def some_of(self, points: np.ndarray, n_points: int) -> np.ndarray:
        """Some of the points (at most n_points, n_dims), at random."""
        chosen: np.ndarray = points[self._rng.permutation(len(points))[:n_points]]
        return chosen

    def directions(self, n_directions: int) -> np.ndarray:
        """Random unit vectors (n_directions, n_dims)."""
        return _unit_vectors(n_directions, self.system.n_dims, self._rng)


def random_starts(
    system: ReducedDynamics,
    n_starts: int,
    rng: np.random.RandomState,
    unit: float | None = None,
    decades: tuple[float, float] = _DECADES,
) -> np.ndarray:
    """Starting points (n_starts, n_dims), in the range of `F` where the roots are.

    Every root is a value of `F`. Half of the points are `F` at random points of
    all sizes around `unit` (default: the natural one), which reach the edge of its
    range; half shrink those towards its centre.
    """
    directions = _unit_vectors(n_starts, system.n_dims, rng)
    sizes = 10 ** rng.uniform(*decades, (n_starts, 1))
    starts = system.drive((unit or system.natural_size) * sizes * directions)
    starts[1::2] *= rng.uniform(0, 1, (len(starts[1::2]), 1))
    return starts


def _unit_vectors(n: int, n_dims: int, rng: np.random.RandomState) -> np.ndarray:
    vectors = rng.standard_normal((n, n_dims))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _root_mean_square(points: np.ndarray) -> float:
    return float(np.sqrt((points**2).sum(axis=1).mean()))
