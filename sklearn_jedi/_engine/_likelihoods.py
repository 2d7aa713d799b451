"""All likelihoods: importing this module registers them."""

from sklearn_jedi._engine._counts import NegativeBinomial, Poisson
from sklearn_jedi._engine._gaussian import LEAST_VARIANCE, Gaussian
from sklearn_jedi._engine._likelihood import (
    LIKELIHOODS,
    Likelihood,
    ReadoutSums,
    Terms,
    gauge,
    with_one,
)

__all__ = [
    "LEAST_VARIANCE",
    "LIKELIHOODS",
    "Gaussian",
    "Likelihood",
    "NegativeBinomial",
    "Poisson",
    "ReadoutSums",
    "Terms",
    "gauge",
    "with_one",
]
