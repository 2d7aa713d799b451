"""How well inferred networks recover the dynamics of known ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.base import clone

from sklearn_jedi._data._forms import is_trial_set, trials_of
from sklearn_jedi._data._labelled_arrays import is_labelled
from sklearn_jedi._data._numbers import as_numbers, has_masks
from sklearn_jedi.analysis import FixedPointAnalyzer, LimitCycle, Manifold
from sklearn_jedi.analysis._reduced import Networks, as_one_array
from sklearn_jedi.metrics._long_runs import (
    power_spectrum_distance,
    size_of,
    state_space_divergence,
)

__all__ = [
    "FixedPointMatch",
    "compare_dynamics",
    "match_fixed_points",
    "spectral_distance",
    "vector_field_agreement",
]


def spectral_distance(a: ArrayLike, b: ArrayLike) -> float | np.ndarray:
    """Mean distance between two sets of eigenvalues, optimally matched.

    The shorter spectrum is filled up with zeros: a low-rank `J` has zero as all its
    other eigenvalues.

    Parameters
    ----------
    a : array-like of shape (n,) or (n_networks, n)
        Eigenvalues, complex, such as ``LowRankRNN.eigenvalues``.
    b : array-like of shape (m,) or (n_networks, m)
        The eigenvalues to compare them with.

    Returns
    -------
    float or array of shape (n_networks,)
        Mean of `|a_i - b_j|` over the max(n, m) pairs of the one-to-one matching with
        the smallest sum, in the unit of the eigenvalues.

    Examples
    --------
    >>> from sklearn_jedi.metrics import spectral_distance
    >>> spectral_distance([1.5 + 1j, 1.5 - 1j], [1.5 - 1j, 1.5 + 1j])
    0.0
    >>> spectral_distance([1.0, 0.5], [1.0])
    0.25
    """
    one, two = (_filled(values, complex) for values in (a, b))
    if one.ndim not in (1, 2) or two.ndim != one.ndim or 0 in one.shape + two.shape:
        raise ValueError(
            "a and b must be two non-empty spectra of shapes (n,) and (m,), or of "
            f"shapes (n_networks, n) and (n_networks, m); got {one.shape} and "
            f"{two.shape}"
        )
    if not (np.isfinite(one).all() and np.isfinite(two).all()):
        raise ValueError("a and b must be finite; got NaN or infinity")
    if one.ndim == 2:
        if len(one) != len(two):
            raise ValueError(
                "a and b must hold one spectrum for each network; got "
                f"{len(one)} and {len(two)} spectra"
            )
        return np.array(
            [spectral_distance(x, y) for x, y in zip(one, two, strict=True)]
        )
    size = max(len(one), len(two))
    one, two = (np.pad(values, (0, size - len(values))) for values in (one, two))
    distances = np.abs(one[:, None] - two)
    return float(distances[linear_sum_assignment(distances)].mean())


class FixedPointFinder(Protocol):
    """What finds fixed points, manifolds and cycles: one entry for each network."""

    fixed_points_: Sequence[np.ndarray]
    is_stable_: Sequence[np.ndarray]
    manifolds_: Sequence[Sequence[Manifold]]
    limit_cycles_: Sequence[Sequence[LimitCycle]]

    def fit(self, dynamics: Networks, /, *, states: ArrayLike | None = ...) -> Self: ...


class FixedPointMatch(NamedTuple):
    """Fixed points of one network matched with those of another.

    Attributes
    ----------
    recall : float
        Share of the true points that were found; NaN where there are none.
    precision : float
        Share of the found points that are true; NaN where there are none.
    distance : float
        Largest distance within a pair, in units of `scale`; NaN without pairs.
    stability_agreement : float
        Share of the pairs that are both stable or both unstable; NaN without pairs
        or flags.
    pairs : array of shape (n_pairs, 2)
        Indices of the matched points: true, found.
    """

    recall: float
    precision: float
    distance: float
    stability_agreement: float
    pairs: np.ndarray


def match_fixed_points(
    true: ArrayLike,
    found: ArrayLike,
    *,
    tol: float = 0.05,
    scale: float | None = None,
    true_stable: ArrayLike | None = None,
    found_stable: ArrayLike | None = None,
) -> FixedPointMatch:
    """Match two sets of fixed points one to one.

    Two points can be a pair if they are at most ``tol * scale`` apart. Of all such
    matchings, this is the one of most pairs, and among those of least total distance.

    Parameters
    ----------
    true : array-like of shape (n_true, n_neurons)
        Fixed points of the true network; ``n_true`` may be 0.
    found : array-like of shape (n_found, n_neurons)
        Fixed points of the inferred network.
    tol : float, default=0.05
        Largest distance of a pair, in units of `scale`.
    scale : float, default=None
        Size of the attractor, in the unit of the points. None is the root mean square
        distance of the true points from their mean; if that is zero, the norm of that
        mean; if that is zero, 1.
    true_stable, found_stable : array-like of bool of shapes (n_true,) and \
            (n_found,), default=None
        Which of the points are stable; both or neither.

    Returns
    -------
    FixedPointMatch
        Recall, precision, largest distance, agreement of stability, and the pairs.

    Examples
    --------
    >>> from sklearn_jedi.metrics import match_fixed_points
    >>> true = [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    >>> match = match_fixed_points(true, [[1.0, 0.01], [-1.0, 0.0]])
    >>> round(match.recall, 3), match.precision
    (0.667, 1.0)
    >>> match.pairs.tolist()
    [[0, 1], [2, 0]]
    """
    one, two = _as_points(true, "true"), _as_points(found, "found")
    if one.shape[1] != two.shape[1]:
        raise ValueError(
            "true and found must have the same number of neurons; got "
            f"{one.shape[1]} and {two.shape[1]}"
        )
    scale = size_of(one) if scale is None else scale
    if not (0 < tol < np.inf and 0 < scale < np.inf):
        raise ValueError(
            f"tol and scale must be positive and finite; got {tol} and {scale}"
        )
    distances = cdist(one, two) / scale
    # a pair too many costs less than a pair too few, whatever the distances
    cost = np.where(distances <= tol, distances / tol, min(distances.shape) + 1)
    rows, columns = linear_sum_assignment(cost)
    near = distances[rows, columns] <= tol
    pairs = np.column_stack([rows, columns])[near]
    agreement = np.nan
    flags = _stability_flags(true_stable, found_stable, one, two)
    if flags is not None and len(pairs):
        agreement = float((flags[0][pairs[:, 0]] == flags[1][pairs[:, 1]]).mean())
    return FixedPointMatch(
        recall=len(pairs) / len(one) if len(one) else np.nan,
        precision=len(pairs) / len(two) if len(two) else np.nan,
        distance=float(distances[tuple(pairs.T)].max()) if len(pairs) else np.nan,
        stability_agreement=agreement,
        pairs=pairs,
    )


def vector_field_agreement(
    true: Networks, found: Networks, states: ArrayLike
) -> np.ndarray:
    """R^2 of vector fields, about zero.

    `1 - sum |f_found - f_true|^2 / sum |f_true|^2`, summed over states and neurons. It
    is about a field of zero, not about the mean field, so that a network that stays
    where it is scores 0. The field is that of ``LowRankRNN.vector_field``, which is the
    displacement in one step of the map divided by `dt`.

    Parameters
    ----------
    true, found : LowRankRNN or LatentDynamics
        The same number of networks and neurons, or of latents in the same coordinates;
        `tau` and `dt` may differ.
    states : array-like of shape (n_networks, n_states, n_neurons)
        Where to compare: states that the trajectories visited, in rate units (or
        latents).

    Returns
    -------
    array of shape (n_networks,)
        1 for equal fields. Where the true field vanishes at all states: 1 if the
        other one does, otherwise 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi import LowRankRNN
    >>> from sklearn_jedi.metrics import vector_field_agreement
    >>> u = np.ones((3, 1))
    >>> slow, fast = LowRankRNN(u, u, tau=0.2), LowRankRNN(u, u, tau=0.1)
    >>> vector_field_agreement(slow, fast, np.ones((1, 5, 3)))
    array([0.])
    """
    at = _as_states(true, found, states)
    field = true.vector_field(at)
    error = ((found.vector_field(at) - field) ** 2).sum((1, 2))
    total = (field**2).sum((1, 2))
    still = np.where(error == 0, 1.0, 0.0)
    return np.where(total > 0, 1 - error / np.where(total > 0, total, 1), still)


def compare_dynamics(
    true: Networks,
    found: Networks,
    states: ArrayLike,
    *,
    n_timepoints: int = 200,
    tol: float = 0.05,
    region: float = 0.25,
    scale: float | None = None,
    analyzer: FixedPointFinder | None = None,
) -> dict[str, np.ndarray]:
    """Compare inferred networks with the true ones: all scores in one call.

    Free runs of both networks start from `states`. Fixed points are compared where the
    trajectories were: the visited region is all that lies within ``region * scale`` of
    one of the `states` or of a point of the true free runs, and `scale`, unless given,
    is the root mean square distance of those from their mean. Recall is the share of
    the true points in that region that match any found point, precision the share of
    the found points in that region that match any true point. Either is NaN where there
    is no point in the region. Where both networks have continuous attractors, points on
    them are not counted: how far the attractors are apart is.

    Parameters
    ----------
    true, found : LowRankRNN or LatentDynamics
        The same number of networks and neurons, in the same order; or of latents, in
        the same coordinates.
    states : array-like of shape (n_networks, n_states, n_neurons)
        States where the trajectories were, in rate units (or latents), free of noise:
        with recordings, true or smoothed states.
    n_timepoints : int, default=200
        Length of the free runs, the initial state included.
    tol : float, default=0.05
        Largest distance of two matched fixed points, in units of `scale`.
    region : float, default=0.25
        Reach of the visited region, in units of `scale`.
    scale : float, default=None
        Size of the activity in rate units, the same for all networks, such as that of
        all epochs of a recording together. None: that of each network's own.
    analyzer : object, default=None
        Finds the fixed points: ``fit(networks, states=states)`` sets ``fixed_points_``,
        ``is_stable_``, ``manifolds_`` and ``limit_cycles_``, one entry for each
        network. Copies of it are fitted. None is
        ``FixedPointAnalyzer(random_state=0)``.

    Returns
    -------
    dict of arrays of shape (n_networks,)
        ``"spectral_distance"`` of the eigenvalues of `J`; ``"vector_field_r2"`` at
        `states`; ``"fixed_point_recall"``, ``"fixed_point_precision"``;
        ``"fixed_point_distance"`` and ``"stability_agreement"`` of the true points in
        the region that were found, NaN where there are none; ``"manifold_distance"``,
        the largest distance of a point of one network's continuous attractors from
        those of the other over `scale`, infinite where only one has any, NaN where
        none has; ``"cycle_period_error"``, the largest relative error of the period of
        a true limit cycle in the found one nearest to it, infinite and NaN likewise;
        ``"state_space_divergence"`` (nats) and ``"power_spectrum_distance"`` of the
        free runs.

    See Also
    --------
    match_fixed_points : One network's fixed points.
    trajectory_r2 : Whether the runs agree point by point.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi import LowRankRNN
    >>> from sklearn_jedi.metrics import compare_dynamics
    >>> u = np.ones((4, 1)) / 2
    >>> rnn = LowRankRNN(u, 2 * u)
    >>> scores = compare_dynamics(rnn, rnn, np.linspace(-1, 1, 20)[None, :, None] * u.T)
    >>> float(scores["spectral_distance"][0]), float(scores["fixed_point_recall"][0])
    (0.0, 1.0)
    """
    at = _as_states(true, found, states)
    if n_timepoints < 2:
        raise ValueError(f"n_timepoints must be at least 2; got {n_timepoints}")
    if not 0 <= region < np.inf:
        raise ValueError(f"region must be finite and at least 0; got {region}")
    if scale is not None and not 0 < scale < np.inf:
        raise ValueError(f"scale must be positive and finite; got {scale}")
    finder = FixedPointAnalyzer(random_state=0) if analyzer is None else analyzer
    in_true: FixedPointFinder = clone(finder, safe=False).fit(true, states=at)
    in_found: FixedPointFinder = clone(finder, safe=False).fit(found, states=at)
    rows = []
    for k in range(true.n_networks):  # one at a time: the runs may be large
        with np.errstate(invalid="ignore", over="ignore"):  # where runs diverge
            X = true[k].simulate(at[k : k + 1], n_timepoints)[0]
            Y = found[k].simulate(at[k : k + 1], n_timepoints)[0]
        if not np.isfinite(X).all():
            raise ValueError(
                f"the free runs of true network {k} diverge within {n_timepoints} time "
                "points: ask for fewer n_timepoints"
            )
        visited = np.concatenate([at[k], X.reshape(-1, X.shape[2])])
        size = size_of(visited) if scale is None else scale
        points = in_true.fixed_points_[k], in_found.fixed_points_[k]
        stable = [np.asarray(a.is_stable_[k]) for a in (in_true, in_found)]
        here = [_near(p, visited, region * size) for p in points]
        curves = [
            np.concatenate([np.empty((0, X.shape[2])), *(m.states for m in found_here)])
            for found_here in (in_true.manifolds_[k], in_found.manifolds_[k])
        ]
        if all(len(curve) for curve in curves):  # a continuum has no points to count
            here = [
                inside & ~_near(p, curve, tol * size)
                for inside, p, curve in zip(here, points, curves, strict=True)
            ]
        recalled = match_fixed_points(
            points[0][here[0]],
            points[1],
            tol=tol,
            scale=size,
            true_stable=stable[0][here[0]],
            found_stable=stable[1],
        )
        precise = match_fixed_points(points[0], points[1][here[1]], tol=tol, scale=size)
        rows.append(
            {
                "fixed_point_recall": recalled.recall,
                "fixed_point_precision": precise.precision,
                "fixed_point_distance": recalled.distance,
                "stability_agreement": recalled.stability_agreement,
                "manifold_distance": _farthest(*curves) / size,
                "cycle_period_error": _period_error(
                    in_true.limit_cycles_[k], in_found.limit_cycles_[k]
                ),
                "state_space_divergence": state_space_divergence(X, Y),
                "power_spectrum_distance": power_spectrum_distance(X, Y),
            }
        )
    return {
        "spectral_distance": np.asarray(
            spectral_distance(true.eigenvalues, found.eigenvalues)
        ),
        "vector_field_r2": vector_field_agreement(true, found, at),
        **{name: np.array([row[name] for row in rows]) for name in rows[0]},
    }


def _near(points: np.ndarray, visited: np.ndarray, reach: float) -> np.ndarray:
    near: np.ndarray = (cdist(points, visited) <= reach).any(1)
    return near


def _farthest(one: np.ndarray, two: np.ndarray) -> float:
    """Hausdorff distance of two sets of points; NaN if both are empty."""
    if not len(one) and not len(two):
        return np.nan
    if not len(one) or not len(two):
        return np.inf
    distances = cdist(one, two)
    return float(max(distances.min(0).max(), distances.min(1).max()))


def _period_error(true: Sequence[LimitCycle], found: Sequence[LimitCycle]) -> float:
    """Largest relative error of the periods of cycles, each in the nearest one."""
    if not true and not found:
        return np.nan
    if not true or not found:
        return np.inf
    errors = []
    for cycle in true:
        away = [_farthest(cycle.states, other.states) for other in found]
        errors.append(abs(found[int(np.argmin(away))].period / cycle.period - 1))
    return max(errors)


def _filled(values: ArrayLike, dtype: type) -> np.ndarray:
    """An array, NaN where it is masked."""
    return np.asarray(np.ma.filled(np.ma.asarray(values, dtype=dtype), np.nan))


def _as_points(points: ArrayLike, name: str) -> np.ndarray:
    array = _filled(points, float)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"{name} must have the shape (n_points, n_neurons); got {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity")
    return array


def _stability_flags(
    true_stable: ArrayLike | None,
    found_stable: ArrayLike | None,
    true: np.ndarray,
    found: np.ndarray,
) -> tuple[np.ndarray, np.ndarray] | None:
    if true_stable is None and found_stable is None:
        return None
    if true_stable is None or found_stable is None:
        raise ValueError("true_stable and found_stable go together; got one of them")
    given = (
        as_numbers(true_stable, "true_stable"),
        as_numbers(found_stable, "found_stable"),
    )
    if any(np.isnan(of_points).any() for of_points in given):
        raise ValueError("true_stable and found_stable have missing flags")
    flags = given[0].astype(bool), given[1].astype(bool)
    if (flags[0].shape, flags[1].shape) != ((len(true),), (len(found),)):
        raise ValueError(
            "true_stable and found_stable must hold one flag for each point, shapes "
            f"({len(true)},) and ({len(found)},); got {flags[0].shape} and "
            f"{flags[1].shape}"
        )
    return flags


def _as_states(true: Networks, found: Networks, states: ArrayLike) -> np.ndarray:
    if true.state_axis != found.state_axis:
        raise ValueError(
            "true and found must have states of one kind: rates, of two LowRankRNN, or "
            f"latents, of two LatentDynamics; got those of {true.state_axis} and of "
            f"{found.state_axis}"
        )
    sizes = [(len(rnn), rnn.state_dim) for rnn in (true, found)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"true and found must have the same number of networks and "
            f"{true.state_axis}; got {sizes[0]} and {sizes[1]}"
        )
    if is_labelled(states) or is_trial_set(states) or has_masks(states):
        states = [np.asarray(trial) for trial in trials_of(states, "states")]
    at = as_one_array(states)
    n_networks, state_dim = sizes[0]
    if at.ndim != 3 or at.shape[::2] != sizes[0] or at.size == 0:
        raise ValueError(
            f"states must have the shape ({n_networks}, n_states, {state_dim}), at "
            f"least one network and one state of each; got {at.shape}"
        )
    if not np.isfinite(at).all():
        raise ValueError("states contains NaN or infinity")
    return at
