"""How well inferred networks recover the dynamics of known ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.base import clone

from sklearn_jedi._low_rank_rnn import LowRankRNN

__all__ = [
    "FixedPointMatch",
    "compare_dynamics",
    "match_fixed_points",
    "power_spectrum_distance",
    "spectral_distance",
    "state_space_divergence",
    "vector_field_agreement",
]

MOST_CUBES = 10_000_000


def spectral_distance(a: ArrayLike, b: ArrayLike) -> float | np.ndarray:
    """Mean distance between two sets of eigenvalues, optimally matched.

    The shorter spectrum is padded with zeros, which a low-rank `J` has besides.

    Parameters
    ----------
    a : array-like of shape (n,) or (n_networks, n)
        Eigenvalues, complex, such as ``LowRankRNN.eigenvalues``.
    b : array-like of shape (m,) or (n_networks, m)
        The eigenvalues to compare them with.

    Returns
    -------
    float or array of shape (n_networks,)
        Mean of `|a_i - b_j|` over the max(n, m) pairs of the one-to-one matching that
        makes it least, in the unit of the eigenvalues.

    Examples
    --------
    >>> from sklearn_jedi.metrics import spectral_distance
    >>> spectral_distance([1.5 + 1j, 1.5 - 1j], [1.5 - 1j, 1.5 + 1j])
    0.0
    >>> spectral_distance([1.0, 0.5], [1.0])
    0.25
    """
    one, two = np.asarray(a, dtype=complex), np.asarray(b, dtype=complex)
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


class FixedPointMatch(NamedTuple):
    """Fixed points of one network matched with those of another.

    Attributes
    ----------
    recall : float
        Share of the true points that were found; 1 where there are none.
    precision : float
        Share of the found points that are true; 1 where there are none.
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
    scale = _size(one) if scale is None else scale
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
        recall=len(pairs) / len(one) if len(one) else 1.0,
        precision=len(pairs) / len(two) if len(two) else 1.0,
        distance=float(distances[tuple(pairs.T)].max()) if len(pairs) else np.nan,
        stability_agreement=agreement,
        pairs=pairs,
    )


def vector_field_agreement(
    true: LowRankRNN, found: LowRankRNN, states: ArrayLike
) -> np.ndarray:
    """R^2 of vector fields, about zero.

    `1 - sum |f_found - f_true|^2 / sum |f_true|^2`, summed over states and neurons. It
    is about a field of zero, not about the mean field, so that a network that stays
    where it is scores 0. The field is that of ``LowRankRNN.vector_field``, which is the
    displacement in one step of the map divided by `dt`.

    Parameters
    ----------
    true, found : LowRankRNN
        The same number of networks and neurons; `tau` and `dt` may differ.
    states : array-like of shape (n_networks, n_states, n_neurons)
        Where to compare: states that the trajectories visited, in rate units.

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


def state_space_divergence(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    n_bins: int = 30,
    n_components: int = 3,
    alpha: float = 1e-5,
) -> float:
    """Divergence between where true and generated trajectories are in state space.

    `D_stsp` of [1]_: the Kullback-Leibler divergence `sum p log(p / q)` of the
    occupation densities `p` of X and `q` of Y. Here they are counted in cubes in the
    space of the leading principal components of X, of the side that puts `n_bins` of
    them along the first one. The cubes cover the range of X; what of Y lies outside
    goes to one bin of its own. `alpha` is added to each count, which keeps the
    divergence finite; it grows as `-log(alpha)` where Y leaves regions of X empty, so
    compare only values of the same `alpha` and similar numbers of time points.

    Parameters
    ----------
    X : array-like of shape (n_trials, n_timepoints, n_neurons)
        True trajectories.
    Y : array-like of shape (n_trials_y, n_timepoints_y, n_neurons)
        Generated trajectories. Values that are not finite, of runs that diverged, are
        outside.
    n_bins : int, default=30
        Cubes along the first principal component.
    n_components : int, default=3
        Number of principal components; at most as many as neurons are used.
    alpha : float, default=1e-5
        Added to the count of every cube and of the bin outside. Positive.

    Returns
    -------
    float
        Divergence in nats; 0 for identical trajectories.

    References
    ----------
    .. [1] Brenner et al., "Tractable dendritic RNNs for reconstructing nonlinear
       dynamical systems", ICML (2022).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.metrics import state_space_divergence
    >>> angle = np.linspace(0, 2 * np.pi, 200)
    >>> circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)[None]
    >>> state_space_divergence(circle, circle)
    0.0
    >>> state_space_divergence(circle, 0.5 * circle) > 10
    True
    """
    true, generated = _as_runs(X, Y)
    if n_bins < 1 or n_components < 1 or n_bins**n_components > MOST_CUBES:
        raise ValueError(
            "n_bins and n_components must be at least 1 and n_bins ** n_components at "
            f"most {MOST_CUBES}; got n_bins={n_bins} and n_components={n_components}"
        )
    if not 0 < alpha < np.inf:
        raise ValueError(f"alpha must be positive and finite; got {alpha}")
    visited = true.reshape(-1, true.shape[2])
    mean = visited.mean(0)
    axes = np.linalg.eigh((visited - mean).T @ (visited - mean))[1]
    axes = axes[:, ::-1][:, :n_components]
    scores = (visited - mean) @ axes
    lowest, highest = scores.min(0), scores.max(0)
    # a quarter of a cube is left over at both ends of the first component; X that
    # stays at one point is given a range
    ranges = highest - lowest
    side = max(ranges.max(), 0.01 * _size(visited)) / (n_bins - 0.5)
    shape = np.floor(ranges / side).astype(int) + 1
    corner = (lowest + highest - shape * side) / 2
    with np.errstate(invalid="ignore", over="ignore"):  # runs that diverged
        scores_y = (generated.reshape(-1, true.shape[2]) - mean) @ axes
        counts = [_count(s, corner, side, shape) for s in (scores, scores_y)]
    p, q = ((n + alpha) / (n.sum() + alpha * len(n)) for n in counts)
    return max(float((p * np.log(p / q)).sum()), 0.0)


def power_spectrum_distance(
    X: ArrayLike, Y: ArrayLike, *, smoothing: float = 1.0
) -> float:
    """Hellinger distance between power spectra, averaged over neurons.

    `D_H` of [1]_: `sqrt(1 - sum sqrt(f g))` of the power spectra `f` and `g` of a
    neuron in X and in Y. The mean of each trial is removed; the power is averaged over
    trials, smoothed by a Gaussian, and normalised to a sum of 1, so that amplitudes
    and phases play no part.

    Parameters
    ----------
    X : array-like of shape (n_trials, n_timepoints, n_neurons)
        True activity.
    Y : array-like of shape (n_trials_y, n_timepoints, n_neurons)
        Generated activity.
    smoothing : float, default=1.0
        Standard deviation of the Gaussian in frequency bins, each of width
        `1 / (n_timepoints dt)`; 0 for none.

    Returns
    -------
    float
        From 0 to 1. Neurons that do not vary in both X and Y count as 0, those in one
        of them only as 1, and so do neurons of Y that are not finite, of runs that
        diverged.

    References
    ----------
    .. [1] Hess et al., "Generalized teacher forcing for learning chaotic dynamics",
       ICML (2023).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.metrics import power_spectrum_distance
    >>> t = np.arange(200)[None, :, None] / 200
    >>> slow, fast = np.sin(2 * np.pi * 5 * t), np.sin(2 * np.pi * 40 * t)
    >>> round(power_spectrum_distance(slow, 3 * slow), 6)
    0.0
    >>> round(power_spectrum_distance(slow, fast), 6)
    1.0
    """
    true, generated = _as_runs(X, Y)
    if true.shape[1] != generated.shape[1] or true.shape[1] < 2:
        raise ValueError(
            "X and Y must have the same number of time points, at least 2; got "
            f"{true.shape[1]} and {generated.shape[1]}"
        )
    if not 0 <= smoothing < np.inf:
        raise ValueError(f"smoothing must be finite and at least 0; got {smoothing}")
    f = _spectra(true, smoothing)
    with np.errstate(invalid="ignore", over="ignore"):
        g = _spectra(generated, smoothing)
    # equals sqrt(1 - sum sqrt(f g)), and is exactly 0 where f = g
    distances = np.sqrt(((np.sqrt(f) - np.sqrt(g)) ** 2).sum(0) / 2)
    silent = (f == 0).all(0), (g == 0).all(0)
    distances[silent[0] ^ silent[1]] = 1.0
    distances[~np.isfinite(distances)] = 1.0
    return float(np.minimum(distances, 1).mean())


def compare_dynamics(
    true: LowRankRNN,
    found: LowRankRNN,
    states: ArrayLike,
    *,
    n_timepoints: int = 200,
    tol: float = 0.05,
    region: float = 0.25,
    analyzer: Any = None,
) -> dict[str, np.ndarray]:
    """Inferred networks held against the true ones: every score in one call.

    Free runs of both networks start from `states`. Fixed points are compared where the
    trajectories were: the visited region is all that lies within ``region * scale`` of
    one of the `states` or of a point of the true free runs, and `scale` is the root
    mean square distance of those from their mean. Recall is the share of the true
    points in that region that match any found point, precision the share of the found
    points in that region that match any true point. Either is 1 where there is no
    point in the region.

    Parameters
    ----------
    true, found : LowRankRNN
        The same number of networks and neurons, in the same order.
    states : array-like of shape (n_networks, n_states, n_neurons)
        States where the trajectories were, in rate units, free of noise: with
        recordings, true or smoothed states.
    n_timepoints : int, default=200
        Length of the free runs, the initial state included.
    tol : float, default=0.05
        Largest distance of two matched fixed points, in units of `scale`.
    region : float, default=0.25
        Reach of the visited region, in units of `scale`.
    analyzer : object, default=None
        Finds the fixed points: ``fit(networks, states=states)`` sets ``fixed_points_``
        and ``is_stable_``, one array for each network. Copies of it are fitted. None is
        ``FixedPointAnalyzer(limit_cycles=False, random_state=0)``.

    Returns
    -------
    dict of arrays of shape (n_networks,)
        ``"spectral_distance"`` of the eigenvalues of `J`; ``"vector_field_r2"`` at
        `states`; ``"fixed_point_recall"``, ``"fixed_point_precision"``;
        ``"fixed_point_distance"`` and ``"stability_agreement"`` of the true points in
        the region that were found, NaN where there are none;
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
    if analyzer is None:
        from sklearn_jedi.analysis import FixedPointAnalyzer

        analyzer = FixedPointAnalyzer(limit_cycles=False, random_state=0)
    in_true = clone(analyzer, safe=False).fit(true, states=at)
    in_found = clone(analyzer, safe=False).fit(found, states=at)
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
        scale = _size(visited)
        points = in_true.fixed_points_[k], in_found.fixed_points_[k]
        stable = [np.asarray(a.is_stable_[k]) for a in (in_true, in_found)]
        here = [_near(p, visited, region * scale) for p in points]
        recalled = match_fixed_points(
            points[0][here[0]],
            points[1],
            tol=tol,
            scale=scale,
            true_stable=stable[0][here[0]],
            found_stable=stable[1],
        )
        precise = match_fixed_points(
            points[0], points[1][here[1]], tol=tol, scale=scale
        )
        rows.append(
            {
                "fixed_point_recall": recalled.recall,
                "fixed_point_precision": precise.precision,
                "fixed_point_distance": recalled.distance,
                "stability_agreement": recalled.stability_agreement,
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


def _size(points: np.ndarray) -> float:
    """Root mean square distance from the mean; the norm of that if zero; or 1."""
    if not len(points):
        return 1.0
    mean = points.mean(0)
    spread = float(np.sqrt(((points - mean) ** 2).sum(1).mean()))
    norm = float(np.linalg.norm(mean))
    return spread if spread > 1e-9 * norm else norm or 1.0


def _near(points: np.ndarray, visited: np.ndarray, reach: float) -> np.ndarray:
    return (cdist(points, visited) <= reach).any(1)


def _count(
    scores: np.ndarray, corner: np.ndarray, side: float, shape: np.ndarray
) -> np.ndarray:
    """Number of points in each cube, and, last, outside."""
    place = (scores - corner) / side
    # X itself may touch the faces: they belong to the cubes, up to rounding
    inside = ((place >= -1e-9) & (place <= shape + 1e-9)).all(1)
    cube = np.clip(place[inside].astype(int), 0, shape - 1)
    n_cubes = int(shape.prod())
    counts = np.bincount(np.ravel_multi_index(tuple(cube.T), shape), minlength=n_cubes)
    return np.append(counts, len(scores) - inside.sum())


def _spectra(X: np.ndarray, smoothing: float) -> np.ndarray:
    """Normalised power, (n_frequencies, n_neurons); zero for neurons that are silent.

    Silent is what varies by rounding alone.
    """
    largest = np.abs(X).max((0, 1))
    X = X / np.where(largest > 0, largest, 1.0)
    centred = X - X.mean(1, keepdims=True)
    silent = np.abs(centred).max((0, 1)) <= 1e-12
    power = (np.abs(np.fft.rfft(centred, axis=1)) ** 2).mean(0)
    if smoothing > 0:
        power = gaussian_filter1d(power, smoothing, axis=0)
    power[:, silent] = 0.0
    return power / np.where(silent, 1.0, power.sum(0))


def _as_points(points: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(points, dtype=float)
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
    flags = np.asarray(true_stable, dtype=bool), np.asarray(found_stable, dtype=bool)
    if (flags[0].shape, flags[1].shape) != ((len(true),), (len(found),)):
        raise ValueError(
            "true_stable and found_stable must hold one flag for each point, shapes "
            f"({len(true)},) and ({len(found)},); got {flags[0].shape} and "
            f"{flags[1].shape}"
        )
    return flags


def _as_runs(X: ArrayLike, Y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    true, generated = np.asarray(X, dtype=float), np.asarray(Y, dtype=float)
    if true.ndim != 3 or generated.ndim != 3 or 0 in true.shape + generated.shape:
        raise ValueError(
            "X and Y must be non-empty and have the shape (n_trials, n_timepoints, "
            f"n_neurons); got {true.shape} and {generated.shape}"
        )
    if true.shape[2] != generated.shape[2]:
        raise ValueError(
            "X and Y must have the same number of neurons; got "
            f"{true.shape[2]} and {generated.shape[2]}"
        )
    if not np.isfinite(true).all():
        raise ValueError(
            "X contains NaN or infinity: leave out trials with gaps, or fill them in "
            "with JEDIEstimator.smooth"
        )
    return true, generated


def _as_states(true: LowRankRNN, found: LowRankRNN, states: ArrayLike) -> np.ndarray:
    sizes = [(rnn.n_networks, rnn.n_neurons) for rnn in (true, found)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            "true and found must have the same number of networks and neurons; got "
            f"{sizes[0]} and {sizes[1]}"
        )
    at = np.asarray(states, dtype=float)
    n_networks, n_neurons = sizes[0]
    if at.ndim != 3 or at.shape[::2] != sizes[0] or at.size == 0:
        raise ValueError(
            f"states must have the shape ({n_networks}, n_states, {n_neurons}), at "
            f"least one network and one state of each; got {at.shape}"
        )
    if not np.isfinite(at).all():
        raise ValueError("states contains NaN or infinity")
    return at
