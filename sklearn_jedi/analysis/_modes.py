"""Eigenvalues of one network at given slopes, and what follows from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["Spectrum", "spectrum_at"]


class Spectrum(NamedTuple):
    """Of one network at some states; the rank is the last axis of the first three.

    `eigenvalues`, `rates`, `frequencies` (n_states, rank); the others (n_states,).
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
    """The spectrum of one network for slopes (n_states, n_neurons)."""
    n_neurons, n_dims = system.A.shape
    M = system.jacobian(slopes)
    values = np.linalg.eigvals(M).astype(complex)
    rates, frequencies = _modes(values, system, time)
    # the two of a pair have one rate, up to rounding: the positive frequency first
    order = np.lexsort((-frequencies, -np.round(rates, 9)), axis=1)
    values, rates, frequencies = (
        np.take_along_axis(part, order, axis=1) for part in (values, rates, frequencies)
    )
    # the n_neurons - n_dims other modes, and the symmetric part of J D, whose nonzero
    # eigenvalues are those of a matrix of twice the rank
    rest = np.zeros((len(values), int(n_neurons > n_dims)))
    numerical, size = _symmetric_part(system, slopes, M)
    departure = size**2 - (np.abs(values) ** 2).sum(axis=1)
    everything = np.concatenate([values, rest], axis=1)
    slowest = np.concatenate([rates, _modes(rest, system, time)[0]], axis=1).max(axis=1)
    if kind == "jacobian":
        shift, factor = (
            (1 - system.alpha, system.alpha)
            if time == "map"
            else (-1 / system.tau, 1 / system.tau)
        )
        values, everything = shift + factor * values, shift + factor * everything
        numerical = shift + factor * numerical
    return Spectrum(
        values,
        rates,
        frequencies,
        everything.real.max(axis=1),
        np.abs(everything).max(axis=1),
        -slowest,
        numerical,
        np.sqrt(np.maximum(departure, 0)) / np.maximum(size, 1e-300),
    )


def _modes(
    values: np.ndarray, system: ReducedDynamics, time: str
) -> tuple[np.ndarray, np.ndarray]:
    """Growth rates (1/s) and frequencies (Hz) of eigenvalues of `J D`."""
    if time == "flow":
        exponents = (values - 1) / system.tau
        return exponents.real, exponents.imag / (2 * np.pi)
    mu = 1 + system.alpha * (values - 1)
    size = np.maximum(np.abs(mu), 1e-12)  # a mode that is gone after one step
    return np.log(size) / system.dt, np.angle(mu) / (2 * np.pi * system.dt)


def _symmetric_part(
    system: ReducedDynamics, slopes: np.ndarray, M: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalue of the symmetric part of `J D`, and its Frobenius norm.

    With `J D = Q Y^T`, `Y = D W`, the symmetric part is `(Q Y^T + Y Q^T) / 2`; its
    nonzero eigenvalues are those of the swapped Gram matrix of `[Q Y]`.
    """
    n_neurons, n_dims = system.A.shape
    Y_gram = np.empty_like(M)
    for k, slope in enumerate(slopes):
        Y = slope[:, None] * system.W
        Y_gram[k] = Y.T @ Y
    eye = np.broadcast_to(np.eye(n_dims), M.shape)
    gram = np.block([[eye, np.swapaxes(M, 1, 2)], [M, Y_gram]])
    values, vectors = np.linalg.eigh(gram)
    root = vectors * np.sqrt(np.maximum(values, 0))[:, None]
    root = root @ np.swapaxes(vectors, 1, 2)
    swapped = np.roll(root, n_dims, axis=1)
    largest = np.linalg.eigvalsh(0.5 * root @ swapped)[:, -1]
    if n_neurons > 2 * n_dims:
        largest = np.maximum(largest, 0.0)
    return largest, np.sqrt(np.trace(Y_gram, axis1=1, axis2=2))
