"""Units that read latents with random weights: random features of the latents."""

from __future__ import annotations

import numpy as np

from sklearn_jedi._engine._alignment import Features
from sklearn_jedi._engine._reduction import Basis, Rows
from sklearn_jedi._networks._equation import Equation

_UNITS_PER_LATENT = 15
_FEWEST_UNITS = 30


def random_units(
    n_latents: int, n_units: int | None, gain: float
) -> tuple[Basis, float]:
    """Units that read the latents with random weights, always the same.

    Weights on latents of unit variance are about as large as `gain`, thresholds up to
    twice that; returned is also the factor that brings `P` to these weights. The
    features span smooth functions of the latents, as in random feature regression
    [1]_. `P` is orthonormal and the thresholds orthogonal to it.

    Parameters
    ----------
    n_units : int or None
        None: 15 for each latent, and at least 30.

    References
    ----------
    .. [1] Rahimi and Recht, "Random features for large-scale kernel machines", Advances
       in Neural Information Processing Systems 20 (2007).
    """
    if n_units is None:
        n_units = max(_FEWEST_UNITS, _UNITS_PER_LATENT * n_latents)
    rng = np.random.RandomState(0)
    weights = rng.standard_normal((n_units, n_latents))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    weights *= rng.uniform(0.5, 1.5, (n_units, 1))
    P = np.linalg.qr(weights)[0]
    factor = gain * np.sqrt(n_units / n_latents)
    threshold = rng.uniform(-2, 2, n_units) * gain / factor
    threshold -= P @ (P.T @ threshold)
    return Basis.of_units(np.column_stack([P, threshold])), float(factor)


def features_of_units(units: Basis, equation: Equation) -> Features:
    """Features of states (n, n_latents): the units' activity, and a constant."""

    def features(z: np.ndarray) -> np.ndarray:
        return Rows.design(equation.phi(z @ units.P.T + units.drive_mean))

    return features
