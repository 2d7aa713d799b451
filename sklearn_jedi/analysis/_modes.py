"""Eigenvalues of one network at given slopes, and what follows from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi.analysis._reduced import ReducedDynamics, weighted_gram

__all__ = ["Spectrum", "spectrum_at"]

_GONE = 1e-12  # the least that a step is taken to multiply a mode by


class Spectrum(NamedTuple):
    """Of networks at some states; the rank is the last axis of the first three.

    `eigenvalues`, `rates`, `frequencies` (..., n_states, rank); the others
    (..., n_states), without leading axes for one network.
    """

    eigenvalues: np.ndarray
    rates: np.ndarray
    frequencies: np.ndarray
    spectral_abscissa: np.ndarray
    spectral_radius: np.ndarray
    distance_to_edge: np.ndarray
    numerical_abscissa: np.ndarray
    henrici: np.ndarray


def spectrum_at(
    system: ReducedDynamics, slopes: np.ndarray, kind: str, time: str
) -> Spectrum:
    """Spectra for slopes (..., n_states, n_units), with the modes of the rest."""
    M = system.jacobian(slopes)
    values = np.linalg.eigvals(M).astype(complex)
    n_dims = values.shape[-1]
    rest = np.zeros((*values.shape[:-1], int(system.n_rest > 0)))
    everything = np.concatenate([values, rest], axis=-1)
    all_rates, all_frequencies = system.equation.modes(everything, time)
    if time == "map":
        all_rates = np.maximum(all_rates, np.log(_GONE) / system.equation.dt)
    rates, frequencies = all_rates[..., :n_dims], all_frequencies[..., :n_dims]
    # the two of a pair have one rate, up to rounding: the positive frequency first
    order = np.lexsort((-frequencies, -np.round(rates, 9)), axis=-1)
    values, rates, frequencies = (
        np.take_along_axis(part, order, axis=-1)
        for part in (values, rates, frequencies)
    )
    numerical, size = _symmetric_part(system, slopes, M)
    departure = size**2 - (np.abs(values) ** 2).sum(axis=-1)
    if kind == "jacobian":
        values, everything, numerical = (
            system.equation.eigenvalues(part, time)
            for part in (values, everything, numerical)
        )
    return Spectrum(
        values,
        rates,
        frequencies,
        everything.real.max(axis=-1),
        np.abs(everything).max(axis=-1),
        -all_rates.max(axis=-1),
        numerical,
        np.sqrt(np.maximum(departure, 0)) / np.maximum(size, 1e-300),
    )


def _symmetric_part(
    system: ReducedDynamics, slopes: np.ndarray, M: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalue of the symmetric part of `J D`, and its Frobenius norm.

    Of latents, of `M` itself, which is what acts on them. Of rates, with
    `J D = Q Y^T`, `Y = D W`, the symmetric part is `(Q Y^T + Y Q^T) / 2`. Of more
    neurons than twice the dimensions, its eigenvalues are zeros and those of the Gram
    matrix of `[Q Y]` with its halves swapped.
    """
    if system.of_latents:
        symmetric = (M + np.swapaxes(M, -1, -2)) / 2
        return np.linalg.eigvalsh(symmetric)[..., -1], np.linalg.norm(M, axis=(-2, -1))
    n_neurons, n_dims = system.A.shape[-2:]
    Y_gram = weighted_gram(system.W, system.W, slopes**2)
    size = np.sqrt(np.trace(Y_gram, axis1=-2, axis2=-1))
    if n_neurons <= 2 * n_dims:
        J = system.Q @ np.swapaxes(system.W, -1, -2)
        JD = J[..., None, :, :] * slopes[..., None, :]
        return np.linalg.eigvalsh((JD + np.swapaxes(JD, -1, -2)) / 2)[..., -1], size
    eye = np.broadcast_to(np.eye(n_dims), M.shape)
    gram = np.block([[eye, np.swapaxes(M, -1, -2)], [M, Y_gram]])
    values, vectors = np.linalg.eigh(gram)
    root = vectors * np.sqrt(np.maximum(values, 0))[..., None, :]
    root = root @ np.swapaxes(vectors, -1, -2)
    swapped = np.roll(root, n_dims, axis=-2)
    return np.maximum(np.linalg.eigvalsh(0.5 * root @ swapped)[..., -1], 0.0), size
