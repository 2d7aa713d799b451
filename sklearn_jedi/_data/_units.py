"""Between the units of the data and those of the network."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

# Pooled standard deviations that a saturating transfer function takes as they are; the
# root mean square of the neurons' means is then at most this share of them.
_UNIT_SCALE = (0.3, 3.0)
_NEAR_ZERO = 0.3


class Units(Protocol):
    """What brings recordings to the units that a network works in."""

    def to_network(self, X: np.ndarray) -> np.ndarray:
        """Network units of recordings X (..., n_neurons)."""

    def to_data(self, X: np.ndarray) -> np.ndarray:
        """The way back."""


class Scaling(NamedTuple):
    """Network units are `(x - offset) / scale`, per neuron.

    Attributes
    ----------
    offset, scale : arrays of shape (n_neurons,)
        In the units of the data.
    is_identity : bool
        True where the data were left as they are.
    """

    offset: np.ndarray
    scale: np.ndarray
    is_identity: bool

    @classmethod
    def identity(cls, n_neurons: int) -> Scaling:
        """Data as they are."""
        return cls(np.zeros(n_neurons), np.ones(n_neurons), True)

    def to_network(self, X: np.ndarray) -> np.ndarray:
        return X if self.is_identity else (X - self.offset) / self.scale

    def to_data(self, X: np.ndarray) -> np.ndarray:
        return X if self.is_identity else X * self.scale + self.offset


def choose_scaling(mean: np.ndarray, sd: np.ndarray) -> Scaling:
    """Leave unit-scale data about zero alone; centre and soft-normalise all others.

    Soft normalisation divides by a neuron's standard deviation plus the mean standard
    deviation over neurons, so that weak neurons are not blown up to the size of strong
    ones [1]_, and then by one number that makes the pooled standard deviation 1.

    Parameters
    ----------
    mean, sd : arrays of shape (n_neurons,)
        Over trials and time, in data units.

    References
    ----------
    .. [1] Churchland et al., "Neural population dynamics during reaching", Nature 487
       (2012).
    """
    pooled = np.sqrt(np.mean(sd**2))
    about_zero = np.sqrt(np.mean(mean**2)) <= _NEAR_ZERO * pooled
    if _UNIT_SCALE[0] <= pooled <= _UNIT_SCALE[1] or pooled == 0:
        if about_zero or pooled == 0:
            return Scaling.identity(len(mean))
        return Scaling(mean, np.ones_like(mean), False)
    scale = sd + sd.mean()
    scale *= np.sqrt(np.mean((sd / scale) ** 2))
    return Scaling(mean, scale, False)
