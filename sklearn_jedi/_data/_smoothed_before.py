"""Whether recordings were smoothed before, told by the spectrum of their noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi._data._kernel_smoothing import gaussian_kernel
from sklearn_jedi._data._spectra import Pieces, frequencies, taper
from sklearn_jedi._utils._warnings import warn_user

# Bins for each neuron that is looked at, and the most neurons.
_BINS_PER_NEURON = 20
_MOST_NEURONS = 256
_FEWEST_NEURONS = 4
# A smaller share of the variance is not worth a warning.
_LEAST_SHARE = 0.005
# Frequencies left out at the lower end, the fewest that are compared, and the range of
# powers within which they are.
_FIRST = 2
_FEWEST = 4
_RANGE = 1e-5
# How much better (ratio of errors), and how well (SD of the logarithm), a kernel must
# explain the spectrum than anything else does.
_BETTER = 0.5
_WELL = 0.35
# Gaussians beyond this share of a piece leave too few frequencies to tell them by.
_WIDEST = 1 / 9
_WIDTHS = np.geomspace(0.7, 8, 50)
_LENGTHS = range(2, 21)
_DECAYS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99)
_SLOPES = np.geomspace(0.5, 30, 20)


class Kernel(NamedTuple):
    """A kernel with which recordings were smoothed.

    Attributes
    ----------
    shape : str
        "Gaussian", "half-Gaussian" or "boxcar".
    width : float
        In bins: standard deviation of the Gaussian, length of the boxcar.
    share : float
        Of the variance, what is left of the noise.
    """

    shape: str
    width: float
    share: float


def warn_of_smoothing(pieces: Pieces | None, dt: float | None = None) -> bool:
    """Say so, and return True, where recordings seem to have been smoothed.

    Parameters
    ----------
    pieces : Pieces or None
        In any units.
    dt : float, default=None
        Time step in seconds; None: widths are told in bins.
    """
    kernel = find_kernel(pieces)
    if kernel is None:
        return False
    width = f"{kernel.width:.2g} bins" if dt is None else f"{kernel.width * dt:.2g} s"
    measure = "length" if kernel.shape == "boxcar" else "SD"
    warn_user(
        f"X seems to have been smoothed before, with a {kernel.shape} kernel of about "
        f"{width} ({measure}): its noise, {kernel.share:.1%} of the variance, then "
        "passes for activity. Pass trials that were not smoothed: counts with "
        'observation="poisson", or their square roots with "gaussian"'
    )
    return True


def find_kernel(pieces: Pieces | None) -> Kernel | None:
    """The kernel with which recordings were smoothed; None where they were not.

    Noise of each neuron's own fills all directions of the recordings, activity few. In
    those of least variance the spectrum is therefore that of the noise, and where it
    was smoothed that of the kernel. What noisy dynamics leave there falls as an
    autoregression's; high-dimensional chaos falls exponentially with frequency. A
    causal exponential kernel cannot be told from leaky neurons with noise.
    """
    if pieces is None:
        return None
    rest = _least_directions(pieces)
    if rest is None or rest.share < _LEAST_SHARE:
        return None
    length = pieces.values.shape[1]
    kept = np.arange(_FIRST, len(rest.power))
    low = np.flatnonzero(rest.power[kept] < _RANGE * rest.power[kept].max())
    kept = kept[: low[0]] if len(low) else kept
    if len(kept) < _FEWEST:
        return None
    log_power = np.log(rest.power[kept])

    def error(spectrum: np.ndarray) -> float:
        tiny = 1e-12 * spectrum.max()
        return float(np.std(log_power - np.log(np.maximum(spectrum[kept], tiny))))

    to_power = _power_of_covariance(length)
    kernels = {
        key: error(to_power @ _covariance(weights, length))
        for key, weights in _kernels(length).items()
    }
    best = min(kernels, key=kernels.__getitem__)
    radians = frequencies(length)
    others = [error(to_power @ decay ** np.arange(length)) for decay in _DECAYS]
    others += [error(np.exp(-slope * radians)) for slope in _SLOPES]
    if kernels[best] > min(_WELL, _BETTER * min(others)):
        return None
    return Kernel(*best, rest.share)


class _Rest(NamedTuple):
    power: np.ndarray
    share: float


def _least_directions(pieces: Pieces) -> _Rest | None:
    """Spectrum and share of the half of the directions that vary least."""
    n_pieces, length = pieces.values.shape[:2]
    sd = np.sqrt(pieces.variances())
    usable = np.flatnonzero(pieces.present.all(0) & (sd > 0))
    most = min(_MOST_NEURONS, n_pieces * length // _BINS_PER_NEURON)
    if len(usable) > most:
        usable = usable[np.linspace(0, len(usable) - 1, most).astype(int)]
    if len(usable) < _FEWEST_NEURONS:
        return None
    part = pieces.values[..., usable] / sd[usable]
    rows = part.reshape(-1, len(usable))
    variances, directions = np.linalg.eigh(rows.T @ rows)
    half = len(usable) // 2
    rest = Pieces(part @ directions[:, :half], pieces.present[:, :half])
    power = (np.abs(rest.transforms()) ** 2).sum((0, 2))
    share = variances[:half].mean() / variances.mean()
    return _Rest(power, float(share))


def _kernels(length: int) -> dict[tuple[str, float], np.ndarray]:
    """Kernels that may have been used, by shape and width."""
    found: dict[tuple[str, float], np.ndarray] = {}
    for width in _WIDTHS[_WIDEST * length > _WIDTHS]:
        reach = int(4 * width + 0.5)
        weights = gaussian_kernel(width, reach)
        found["Gaussian", float(width)] = weights
        found["half-Gaussian", float(width)] = weights[reach:]
    found |= {("boxcar", float(n)): np.ones(n) for n in _LENGTHS}
    return found


def _covariance(kernel: np.ndarray, length: int) -> np.ndarray:
    """Covariance (length,) of smoothed white noise at lags 0, 1, ..."""
    covariance = np.zeros(length)
    found = np.correlate(kernel, kernel, "full")[len(kernel) - 1 :][:length]
    covariance[: len(found)] = found
    return covariance


def _power_of_covariance(length: int) -> np.ndarray:
    """Matrix (n_frequencies, length) from the covariance of a process to its power.

    Of a stationary process at lags 0, 1, ..., and in pieces of this length.
    """
    weights = taper(length)
    cosines = np.cos(np.outer(frequencies(length), np.arange(length)))
    cosines[:, 1:] *= 2
    both = np.correlate(weights, weights, "full")[length - 1 :]
    return np.asarray(cosines * both)
