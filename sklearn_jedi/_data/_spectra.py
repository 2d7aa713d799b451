"""Fourier transforms of pieces of trials, all of one length."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi._data._trials import Trials

# Time points of a piece, and the fewest from which a spectrum can be told.
_LONGEST = 64
_SHORTEST = 6
# Pieces, but fewer where they have more values than this, down to the least.
_PIECES = 256
_VALUES = 2**22
_LEAST_PIECES = 24


class Pieces(NamedTuple):
    """Stretches of some trials, without their mean over all.

    Attributes
    ----------
    values : array of shape (n_pieces, length, n_neurons)
        Gaps are filled in linearly; zero where a neuron has fewer than half the bins.
    present : bool array of shape (n_pieces, n_neurons)
        Where it has at least half of them.
    """

    values: np.ndarray
    present: np.ndarray

    def scaled(self, scale: np.ndarray) -> Pieces:
        """The same pieces divided by `scale` (n_neurons,)."""
        return self._replace(values=self.values / scale)

    def variances(self) -> np.ndarray:
        """Variance (n_neurons,) about the mean over all trials."""
        n_bins = self.values.shape[1] * np.maximum(self.present.sum(0), 1)
        return np.asarray((self.values**2).sum((0, 1)) / n_bins)

    def transforms(self) -> np.ndarray:
        """Fourier transforms (n_pieces, n_frequencies, n_neurons).

        Frequencies go from 0 to half a cycle per bin in even steps. Linear trends are
        removed and ends tapered (Hann), so that slow activity does not leak into other
        frequencies. White noise has its variance as mean square in each.
        """
        values = self.values - self.values.mean(1, keepdims=True)
        time = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
        slope = np.tensordot(values, time, (1, 0)) / (time @ time)
        values -= time[:, None] * slope[:, None]
        values *= taper(len(time))[:, None]
        return np.asarray(np.fft.rfft(values, axis=1))


def fluctuations(pieces: Pieces | None) -> np.ndarray | None:
    """Root mean square (n_neurons,) of second differences; None without pieces."""
    if pieces is None:
        return None
    n_bins = (pieces.values.shape[1] - 2) * np.maximum(pieces.present.sum(0), 1)
    squares = np.diff(pieces.values, 2, axis=1) ** 2
    return np.asarray(np.sqrt(squares.sum((0, 1)) / n_bins))


def taper(length: int) -> np.ndarray:
    """Hann's taper (length,), of unit norm."""
    weights = np.hanning(length + 2)[1:-1]
    return np.asarray(weights / np.linalg.norm(weights))


def frequencies(length: int) -> np.ndarray:
    """Frequencies of a piece's transform, in radians per bin."""
    return 2 * np.pi * np.arange(length // 2 + 1) / length


def pieces_of(trials: Trials, mean: np.ndarray) -> Pieces | None:
    """Pieces that overlap by half, from trials spread over the recording.

    Parameters
    ----------
    trials : Trials
    mean : array of shape (n_neurons,)
        Of the recordings, in the units of the trials.

    Returns
    -------
    Pieces or None
        None where the typical trial is shorter than 6 bins.
    """
    length = min(_LONGEST, int(np.median(trials.lengths)))
    if length < _SHORTEST:
        return None
    n_pieces = max(min(_VALUES // (length * trials.n_neurons), _PIECES), _LEAST_PIECES)
    ordered = trials.in_order()
    long_enough = ordered.take(np.flatnonzero(ordered.lengths >= length))
    chosen = long_enough.sample(n_pieces)
    each = max(n_pieces // len(chosen), 1)
    values, present = [], []
    for block in chosen.blocks():
        for number, n_timepoints in enumerate(block.lengths):
            last = n_timepoints - length
            count = min(1 + -(-2 * last // length), each)
            for start in np.linspace(0, last, count).astype(int):
                part = slice(start, start + length)
                piece = block.values[number, part] - mean
                there = np.ones(piece.shape, dtype=bool)
                if block.recorded is not None:
                    there = block.recorded[number, part]
                    _fill_in(piece, there)
                values.append(piece)
                present.append(2 * there.sum(0) >= length)
    return Pieces(np.stack(values), np.stack(present))


def _fill_in(piece: np.ndarray, there: np.ndarray) -> None:
    """Lines through gaps, in place."""
    bins = np.arange(len(piece))
    for neuron in np.flatnonzero(~there.all(0)):
        known = there[:, neuron]
        if 2 * known.sum() < len(bins):
            piece[:, neuron] = 0.0
        else:
            piece[:, neuron] = np.interp(bins, bins[known], piece[known, neuron])
