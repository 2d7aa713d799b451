"""Between the units of the data and those of the network."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

# Pooled standard deviations that a saturating transfer function takes as they are.
_UNIT_SCALE = (0.3, 3.0)
# Means are near zero where they are this share of it (root mean squares).
_NEAR_ZERO = 0.1
# How much more or less than typical a neuron may fluctuate for its standard deviation.
_MOST_UNLIKE = 10.0
# Standard deviation of the thresholds over neurons, in network units.
_THRESHOLDS = 0.3


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

    @classmethod
    def centred(cls, mean: np.ndarray) -> Scaling:
        """Data without their means (n_neurons,), in their own unit."""
        return cls(mean, np.ones_like(mean))

    def with_thresholds(self) -> Scaling:
        """Units that saturate at different distances from their means.

        Where all saturate symmetrically about their means, the network's drive is an
        odd function of the activity: it could not tell what lies on one side of the
        mean from what lies on the other.
        """
        thresholds = np.random.RandomState(0).standard_normal(len(self.offset))
        offset = self.offset - _THRESHOLDS * thresholds * self.scale
        return self._replace(offset=offset)

    @classmethod
    def standard(cls, mean: np.ndarray, sd: np.ndarray) -> Scaling:
        """z-scores, from means and SD (n_neurons,); zero for constant neurons."""
        return cls(mean, np.where(sd > 0, sd, np.inf))

    @property
    def is_identity(self) -> bool:
        """Whether data are left as they are."""
        return not np.any(self.offset) and bool(np.all(self.scale == 1))

    def describe(self) -> str:
        """What becomes of the data."""
        if self.is_identity:
            return "left as they are"
        return "centred" if np.all(self.scale == 1) else "centred and scaled"

    def to_network(self, X: np.ndarray) -> np.ndarray:
        return X if self.is_identity else (X - self.offset) / self.scale

    def to_data(self, X: np.ndarray) -> np.ndarray:
        return X if self.is_identity else X * self.scale + self.offset


def is_of_unit_scale(sd: np.ndarray) -> bool:
    """Whether a network may work in the unit of data with these SD (n_neurons,)."""
    return bool(_UNIT_SCALE[0] <= _root_mean_square(sd) <= _UNIT_SCALE[1])


def is_about_zero(mean: np.ndarray, sd: np.ndarray) -> bool:
    """Whether data with these means and SD (n_neurons,) are as good as centred."""
    return _root_mean_square(mean) <= _NEAR_ZERO * _root_mean_square(sd)


def choose_scaling(
    mean: np.ndarray, sd: np.ndarray, fluctuations: np.ndarray | None
) -> Scaling:
    """Centre each neuron, and scale it so that results do not depend on its unit.

    A neuron's scale is the geometric mean of its standard deviation and of the size of
    its fluctuations from bin to bin: neurons that are mostly noise are then not blown
    up to the size of the others, and multiplying a neuron by a number changes nothing.
    One common factor makes the pooled standard deviation 1.

    Parameters
    ----------
    mean, sd : arrays of shape (n_neurons,)
        Over trials and time, in data units.
    fluctuations : array of shape (n_neurons,) or None
        Root mean square of second differences, in data units; None where trials are too
        short to tell: the standard deviation alone counts.
    """
    varies = sd > 0
    if not varies.any():
        return Scaling.centred(mean)
    scale = np.ones_like(sd)
    scale[varies] = sd[varies]
    if fluctuations is not None:
        share = fluctuations[varies] / sd[varies]
        typical = np.median(share)
        if typical > 0:
            unlike = np.clip(share / typical, 1 / _MOST_UNLIKE, _MOST_UNLIKE)
            scale[varies] *= np.sqrt(unlike)
    scale[varies] *= _root_mean_square(sd[varies] / scale[varies])
    scale[~varies] = np.median(scale[varies])
    return Scaling(mean, scale)


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
