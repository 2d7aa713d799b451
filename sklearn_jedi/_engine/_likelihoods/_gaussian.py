"""Recordings with Gaussian noise, and square roots of counts taken as such."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._data._units import Scaling
from sklearn_jedi._engine._likelihoods._base import (
    Likelihood,
    Linearised,
    Predictive,
    ReadoutSums,
    largest_of,
    regression,
)
from sklearn_jedi._networks._equation import library_of
from sklearn_jedi._utils._streaming import R2Sums, pooled_r2

# Smallest variance of the noise, in squared network units.
LEAST_VARIANCE = 1e-6
# Share of the variance that activity has to explain.
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Gaussian noise, of each neuron its own size.

    Attributes
    ----------
    variance : array of shape (n_neurons,)
        Of the noise, in squared network units.
    """

    name = "gaussian"
    in_words = "the state of the network with gaussian noise"
    padding = (1.0,)

    variance: np.ndarray

    @classmethod
    def recordings(cls, trials: Trials, scaling: Scaling) -> Trials:
        return trials.in_units(scaling)

    @classmethod
    def units(cls, trials: Trials, scaling: Scaling, mean: np.ndarray) -> Scaling:
        return scaling

    @classmethod
    def centre(cls, trials: Trials, scaling: Scaling, mean: np.ndarray) -> np.ndarray:
        return scaling.to_network(mean)

    @classmethod
    def first(cls, units: Scaling) -> Self:
        return cls(np.ones_like(units.scale))

    def terms(self, loading: np.ndarray, block: Block) -> GaussianTerms:
        return GaussianTerms(loading, block, self.variance)

    def sums(self, loading: np.ndarray, block: Block, one: np.ndarray) -> ReadoutSums:
        n_draws, size, n_neurons = len(one), one.shape[3], len(loading)
        values = block.values.reshape(-1, n_neurons)
        squares = np.einsum("sk,sk->k", values, values)
        cross = values.T @ one.mean(0).reshape(-1, size)
        if block.recorded is None:
            rows = one.reshape(-1, size)
            gram = rows.T @ rows / n_draws
            curvature = np.broadcast_to(gram, (n_neurons, size, size))
        else:
            outer = np.einsum("sntp,sntq->ntpq", one, one, optimize=True) / n_draws
            recorded = block.recorded.reshape(-1, n_neurons).astype(float)
            curvature = recorded.T @ outer.reshape(len(recorded), -1)
            curvature = curvature.reshape(-1, size, size)
        return ReadoutSums(
            curvature, cross, squares[:, None], block.n_recorded, largest_of(one)
        )

    def solved(
        self, loading: np.ndarray, sums: ReadoutSums
    ) -> tuple[np.ndarray, Gaussian]:
        solution = regression(sums)
        seen = sums.n_recorded > 0
        explained = 2 * np.einsum("nk,nk->n", solution, sums.cross)
        explained -= np.einsum("ni,nij,nj->n", solution, sums.curvature, solution)
        variance = (sums.noise[:, 0] - explained) / np.maximum(sums.n_recorded, 1)
        least = LEAST_VARIANCE * max(1.0, float(variance[seen].mean()))
        variance = np.where(seen, np.maximum(variance, least), self.variance)
        return np.where(seen[:, None], solution, loading), replace(
            self, variance=variance
        )

    def expected(
        self,
        activity: np.ndarray,
        variance: np.ndarray | float = 0.0,
        ceiling: np.ndarray | float = np.inf,
    ) -> np.ndarray:
        return activity

    @staticmethod
    def activity(expected: np.ndarray) -> np.ndarray:
        return expected

    def predictive(
        self,
        paths: np.ndarray,
        loading: np.ndarray,
        units: Scaling,
        ceiling: np.ndarray | float = np.inf,
    ) -> Predictive:
        C, offset = loading[:, :-1], loading[:, -1]
        mean = paths.mean(1)
        strayed = paths - mean[:, None]
        cov = np.einsum("nstq,nstr->ntqr", strayed, strayed) / paths.shape[1]
        variance = np.einsum("iq,ntqr,ir->nti", C, cov, C, optimize=True)
        std = np.sqrt(variance + self.variance) * units.scale
        return Predictive(units.to_data(mean @ C.T + offset), std)

    def noise_variance(self, scale: np.ndarray) -> np.ndarray:
        result: np.ndarray = self.variance * scale**2
        return result

    def explains_nothing(self, variance: np.ndarray) -> bool:
        total = variance + self.variance
        return bool(variance.mean() < _LEAST_SHARE * total.mean())

    @staticmethod
    def score_sums(n_neurons: int) -> R2Sums:
        return R2Sums(n_neurons)

    @staticmethod
    def pooled(parts: list[R2Sums]) -> float:
        return pooled_r2(parts)

    @classmethod
    def log_density(cls, values: Any, activity: Any, parameters: Any) -> Any:
        (variance,) = parameters
        log = library_of(variance).log
        return -0.5 * ((values - activity) ** 2 / variance + log(variance))

    def linearised(self, loading: np.ndarray) -> Linearised:
        return Linearised(loading[:, :-1], loading[:, -1], self.variance)


class GaussianTerms:
    """Quadratic `Terms`, whose parts are computed once."""

    def __init__(self, loading: np.ndarray, block: Block, variance: np.ndarray) -> None:
        P, offset = loading[:, :-1], loading[:, -1]
        rank = P.shape[1]
        weighted = P / variance[:, None]
        residual = block.masked(block.values - offset)
        self._linear = residual @ weighted
        n_bins: np.ndarray | int = block.values.shape[1]
        n_bins = n_bins if block.recorded is None else block.recorded.sum(1)
        fixed = (residual**2).sum(1) / variance + n_bins * np.log(variance)
        self._constant = 0.5 * fixed.sum(1)
        if block.recorded is None:
            self._curvature = (P.T @ weighted)[None, None]
        else:
            outer = (weighted[:, :, None] * P[:, None, :]).reshape(len(P), -1)
            curvature = block.recorded.astype(float) @ outer
            self._curvature = curvature.reshape(*curvature.shape[:2], rank, rank)

    def cost(self, z: np.ndarray) -> np.ndarray:
        curved = (self._curvature @ z[..., None])[..., 0]
        cost: np.ndarray = (z * (0.5 * curved - self._linear)).sum((1, 2))
        result: np.ndarray = cost + self._constant
        return result

    def slopes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        curved = (self._curvature @ z[..., None])[..., 0]
        return self._linear - curved, self._curvature


class _SquareRoot:
    """Square roots of counts as units: their noise varies little with the rate."""

    def to_network(self, X: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.sqrt(X)
        return result

    def to_data(self, X: np.ndarray) -> np.ndarray:
        return X**2


@dataclass(frozen=True)
class GaussianRoots(Gaussian):
    """Gaussian noise of the square roots of counts: the first stage of `Counts`."""

    @classmethod
    def recordings(cls, trials: Trials, scaling: Scaling) -> Trials:
        return trials.in_units(_SquareRoot())

    @classmethod
    def centre(cls, trials: Trials, scaling: Scaling, mean: np.ndarray) -> np.ndarray:
        # the root of a mean is not the mean of roots
        return super(Gaussian, cls).centre(trials, scaling, mean)
