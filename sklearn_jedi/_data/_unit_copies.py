"""Units whose noise is the same: one unit under two numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sklearn_jedi._data._spectra import Pieces, frequencies
from sklearn_jedi._data._white_noise import mean_power, white_weights
from sklearn_jedi._utils._warnings import warn_user

# Two units whose noise correlates more than this are one. From about there on a fit
# spends a direction on the noise that they share; noise correlations of recorded
# neurons are far below.
_ALIKE = 0.6
# Neurons have too little noise to compare where it is a smaller share of the variance,
# or of the power at the frequencies that are looked at.
_LEAST_WHITE = 0.01
_LEAST_THERE = 0.5
# How many standard errors correlations must exceed, how much is asked for at most, and
# the independent values that the variance of a unit's noise must at least be worth.
_ERRORS = 5.0
_MOST = 0.95
_FEWEST = 25
# Frequencies that must be quiet: trials of about 20 bins have so many.
_FEWEST_QUIET = 5
# Squared, relative to the mean: smaller changes are errors of rounding.
_ROUNDING = 1e-20
_ROWS = 1024
_NAMED = 3


def warn_of_copies(
    pieces: Pieces | None,
    mean: np.ndarray,
    names: Sequence[object] | None = None,
    session: object = None,
) -> None:
    """Say so where units are one and the same, such as one that was split in two.

    A model in which the noise of neurons is independent takes what two copies share for
    activity.

    Parameters
    ----------
    pieces : Pieces or None
        In the units of the data.
    mean : array of shape (n_neurons,)
        Of the recordings, in the same units.
    names : sequence of length n_neurons, default=None
        Of the neurons; None: they are numbered.
    session : object, default=None
        Whose trials these are, where there are several.
    """
    pairs = copies(pieces, mean)
    if not pairs:
        return
    shown = range(len(mean)) if names is None else names
    named = [
        f"{shown[i]!r} and {shown[j]!r} (correlation {correlation:.2f})"
        for i, j, correlation in pairs[:_NAMED]
    ]
    more = len(pairs) - len(named)
    warn_user(
        ("" if session is None else f"session {session!r}: ")
        + f"the noise of units {', '.join(named)}"
        + (f" and {more} more pairs" if more else "")
        + " is nearly the same: they seem to be one unit twice, whose noise is then "
        "fitted as activity. Leave one of each pair out"
    )


def copies(pieces: Pieces | None, mean: np.ndarray) -> list[tuple[int, int, float]]:
    """Pairs of units whose white noise correlates, and how much, best first.

    White noise is found as in `white_share`, from the frequencies at which there is
    little activity: with the same weights, cross spectra of units give the covariance
    of their noise, also where one unit is a bin later than the other. The cost is that
    of one product of the sampled values with themselves, whatever the number of trials.
    """
    if pieces is None or len(mean) < 2:
        return []
    transforms = pieces.transforms()
    variance = pieces.variances()
    changes = variance > _ROUNDING * mean**2
    transforms /= np.sqrt(np.where(changes, variance, np.inf))
    power = mean_power(transforms, pieces)
    weights = white_weights(power.sum(1), pieces)
    white = np.maximum(weights @ power, 0.0)
    error = np.sqrt(weights**2 @ power**2 / len(transforms))
    used = np.flatnonzero(weights)
    if len(used) < _FEWEST_QUIET:
        return []
    least_white = np.maximum(_LEAST_WHITE, _LEAST_THERE * power[used].mean(0))
    usable = np.flatnonzero((white > least_white) & (white**2 > _FEWEST * error**2))
    if len(usable) < 2:
        return []
    errors = np.sqrt(error / np.where(white > 0, white, 1.0))[usable]
    values = transforms[:, used][..., usable] / np.sqrt(white[usable])
    together = pieces.present[:, usable].astype(float)
    turns = np.exp(1j * frequencies(pieces.values.shape[1])[used])
    rows = values.reshape(-1, len(usable))
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(usable), _ROWS):
        part = slice(start, start + _ROWS)
        count = np.maximum(together[:, part].T @ together, 1)
        for turn in (np.ones(len(used)), turns):
            weighted = (weights[used] * turn)[:, None] * values[..., part].conj()
            weighted = weighted.reshape(-1, weighted.shape[-1])
            shared = (weighted.real.T @ rows.real - weighted.imag.T @ rows.imag) / count
            least = np.clip(_ERRORS * np.outer(errors[part], errors), _ALIKE, _MOST)
            for i, j in np.argwhere(shared > least):
                first, other = sorted((usable[start + i], usable[j]))
                size = float(shared[i, j])
                if first != other and size > found.get((first, other), 0.0):
                    found[int(first), int(other)] = size
    pairs = [
        (i, j, min(size, 1.0))
        for (i, j), size in sorted(found.items(), key=lambda item: -item[1])
        if _alike(pieces.values[..., i], pieces.values[..., j])
        and _alike(transforms[:, used, i], transforms[:, used, j])
    ]
    return pairs


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether arrays (n_pieces, n_bins or n_frequencies) correlate, too.

    Copies share their activity as well as their noise.
    """
    whole = np.sqrt((np.abs(one) ** 2).sum() * (np.abs(other) ** 2).sum())
    if np.isrealobj(one):
        shared = max(
            np.vdot(one, other),
            np.vdot(one[:, 1:], other[:, :-1]),
            np.vdot(one[:, :-1], other[:, 1:]),
        )
    else:
        shared = np.abs(np.vdot(one, other))
    return bool(shared > _ALIKE * whole)
