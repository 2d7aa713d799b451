"""How recordings scatter about the activity: one class for each `observation`."""

from sklearn_jedi._engine._likelihoods._base import (
    LIKELIHOODS,
    Likelihood,
    ReadoutSums,
    Terms,
)
from sklearn_jedi._engine._likelihoods._counts import NegativeBinomial, Poisson
from sklearn_jedi._engine._likelihoods._gaussian import LEAST_VARIANCE, Gaussian

__all__ = [
    "LEAST_VARIANCE",
    "LIKELIHOODS",
    "Gaussian",
    "Likelihood",
    "NegativeBinomial",
    "Poisson",
    "ReadoutSums",
    "Terms",
]
