"""Distances between what networks do in the long run."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from sklearn_jedi._data._forms import TrialsLike, refuse_other_units, trials_of

__all__ = ["power_spectrum_distance", "size_of", "state_space_divergence"]

_MOST_CUBES = 10_000_000


def state_space_divergence(
    X: TrialsLike,
    Y: TrialsLike,
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
    X : array-like of shape (n_trials, n_timepoints, n_neurons) or TrialSet
        True trajectories. Labelled arrays are read by the names of their axes.
    Y : array-like of shape (n_trials_y, n_timepoints_y, n_neurons) or TrialSet
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
    if n_bins < 1 or n_components < 1 or n_bins**n_components > _MOST_CUBES:
        raise ValueError(
            "n_bins and n_components must be at least 1 and n_bins ** n_components at "
            f"most {_MOST_CUBES}; got n_bins={n_bins} and n_components={n_components}"
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
    side = max(ranges.max(), 0.01 * size_of(visited)) / (n_bins - 0.5)
    shape = np.floor(ranges / side).astype(int) + 1
    corner = (lowest + highest - shape * side) / 2
    with np.errstate(invalid="ignore", over="ignore"):  # runs that diverged
        scores_y = (generated.reshape(-1, true.shape[2]) - mean) @ axes
        counts = [_count(s, corner, side, shape) for s in (scores, scores_y)]
    p, q = ((n + alpha) / (n.sum() + alpha * len(n)) for n in counts)
    return max(float((p * np.log(p / q)).sum()), 0.0)


def power_spectrum_distance(
    X: TrialsLike, Y: TrialsLike, *, smoothing: float = 1.0
) -> float:
    """Hellinger distance between power spectra, averaged over neurons.

    `D_H` of [1]_: `sqrt(1 - sum sqrt(f g))` of the power spectra `f` and `g` of a
    neuron in X and in Y. The mean of each trial is removed; the power is averaged over
    trials, smoothed by a Gaussian, and normalised to a sum of 1, so that amplitudes
    and phases play no part.

    Parameters
    ----------
    X : array-like of shape (n_trials, n_timepoints, n_neurons) or TrialSet
        True activity. Labelled arrays are read by the names of their axes.
    Y : array-like of shape (n_trials_y, n_timepoints, n_neurons) or TrialSet
        Generated activity.
    smoothing : float, default=1.0
        Standard deviation of the Gaussian in frequency bins, each of width
        `1 / (n_timepoints dt)`; 0 for none.

    Returns
    -------
    float
        From 0 to 1. The distance of a neuron that is constant in X and in Y is 0; that
        of a neuron that is constant in one of them alone is 1, and so is that of a
        neuron with values in Y that are not finite, because the run diverged.

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


def size_of(points: np.ndarray) -> float:
    """Root mean square distance from the mean; the norm of that if zero; or 1."""
    if not len(points):
        return 1.0
    mean = points.mean(0)
    spread = float(np.sqrt(((points - mean) ** 2).sum(1).mean()))
    norm = float(np.linalg.norm(mean))
    return spread if spread > 1e-9 * norm else norm or 1.0


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
    shares: np.ndarray = power / np.where(silent, 1.0, power.sum(0))
    return shares


def _as_runs(X: TrialsLike, Y: TrialsLike) -> tuple[np.ndarray, np.ndarray]:
    trials, runs = trials_of(X, "X"), trials_of(Y, "Y")
    true, generated = _as_array(trials, "X"), _as_array(runs, "Y")
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
    refuse_other_units(X=trials, Y=runs)
    if not np.isfinite(true).all():
        raise ValueError(
            "X contains NaN or infinity: leave out trials with gaps, or fill them in "
            "with JEDIEstimator.smooth"
        )
    return true, generated


def _as_array(trials: list[np.ndarray], name: str) -> np.ndarray:
    shapes = {trial.shape for trial in trials}
    if len(shapes) > 1:
        raise ValueError(
            f"the trials of {name} must have as many time points and neurons each; got "
            f"the shapes {sorted(shapes)[:3]}"
        )
    return np.stack([np.asarray(x) for x in trials]) if trials else np.empty(0)
