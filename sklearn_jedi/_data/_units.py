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
    """

    offset: np.ndarray
    scale: np.ndarray

    @classmethod
    def identity(cls, n_neurons: int) -> Scaling:
        """Data as they are."""
        return cls(np.zeros(n_neurons), np.ones(n_neurons))

    @property
    def is_of_unit_scale(self) -> bool:
        """Whether data are at most centred."""
        return bool(np.all(self.scale == 1))

    @property
    def is_identity(self) -> bool:
        """Whether data are left as they are."""
        return self.is_of_unit_scale and not np.any(self.offset)

    def describe(self) -> str:
        """What becomes of the data."""
        if self.is_identity:
            return "left as they are"
        return "centred" if self.is_of_unit_scale else "centred, soft-normalised"

    def to_network(self, X: np.ndarray) -> np.ndarray:
        return X if self.is_identity else (X - self.offset) / self.scale

    def to_data(self, X: np.ndarray) -> np.ndarray:
        return X if self.is_identity else X * self.scale + self.offset


def choose_scaling(mean: np.ndarray, sd: np.ndarray) -> Scaling:
    """Leave unit-scale data alone, or centre them; soft-normalise all others, too.

    Unit-scale data are left alone where their means are near zero.

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
    if pooled == 0:
        return Scaling.identity(len(mean))
    if _UNIT_SCALE[0] <= pooled <= _UNIT_SCALE[1]:
        if np.sqrt(np.mean(mean**2)) <= _NEAR_ZERO * pooled:
            return Scaling.identity(len(mean))
        return Scaling(mean, np.ones_like(mean))
    scale = sd + sd.mean()
    scale *= np.sqrt(np.mean((sd / scale) ** 2))
    return Scaling(mean, scale)
