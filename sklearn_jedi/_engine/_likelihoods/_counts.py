"""Spike counts: Poisson, and with a dispersion of each neuron."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import expit, gammaln, polygamma, psi

from sklearn_jedi._data._gate import Summary
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
from sklearn_jedi._engine._likelihoods._gaussian import GaussianRoots
from sklearn_jedi._networks._equation import library_of
from sklearn_jedi._utils._streaming import BitsSums, pooled_bits

# Counts that exceed this, and this many times what is typical, are none: no bin has so
# many spikes of a neuron.
_IMPOSSIBLE = 1000.0
# A neuron without a spike counts as having had this many.
_FEWEST_SPIKES = 0.5
# Rates whose logarithm is taken, per bin.
_LEAST_RATE = 1e-12
# Least SD of log rates that activity has to explain.
_LEAST_LOG_RATE = 0.05
# Expected counts do not exceed the largest count of the neuron by more than this
# factor: exponentials of states far from where recordings were would.
_ABOVE_LARGEST = 2.0
# Where the logarithm of a rate is less certain than this, its posterior is not
# Gaussian, and its variance says nothing of how far up it may be.
_LARGEST_LOG_VARIANCE = 1.0
# Rates of draws that are held in memory at once.
_AT_ONCE = 2**20
# How far one round moves the logarithm of a rate.
_FARTHEST_LOG_RATE = 2.0
# Dispersions: where learning starts and what it is shrunk to, by this SD of the log;
# their range; and how far one round moves the log.
_FIRST_DISPERSION = 0.1
_PRIOR_SD = 2.0
_DISPERSIONS = (1e-5, 1e2)
_FARTHEST = 1.0


@dataclass(frozen=True)
class Counts(Likelihood):
    """Spike counts, whose expectation is the exponential of the activity.

    Attributes
    ----------
    offset : array of shape (n_neurons,)
        Log of the expected count at activity zero.
    """

    # counts say so little about each state that the evidence of draws trusts rough
    # fields, and an embedding can be explained in several ways
    least_ridge = 1e-2
    n_centres = 4

    offset: np.ndarray

    @classmethod
    def stages(cls) -> tuple[type[Likelihood], ...]:
        return (GaussianRoots, cls)

    @classmethod
    def check(
        cls,
        summary: Summary,
        trials: Trials,
        rows: np.ndarray,
        units: Scaling | None = None,
    ) -> None:
        if not summary.counts:
            raise ValueError(
                f'observation="{cls.name}" needs spike counts, whole numbers that are '
                "not negative; X has others. For smoothed or square-rooted counts use "
                'observation="gaussian"'
            )
        found = _largest_counts(trials)
        typical = found.typical if units is None else np.exp(units.offset)
        ratio = found.largest / np.maximum(typical, 1.0)
        neuron = int(ratio.argmax())
        if ratio[neuron] > _IMPOSSIBLE:
            trial, time = found.place[neuron]
            raise ValueError(
                f"trial {rows[trial]}, time point {time}, neuron {neuron} has a count "
                f"of {found.largest[neuron]:.0f}, where {typical[neuron]:.2g} is "
                f'typical of the neuron: observation="{cls.name}" takes no count above '
                f"{_IMPOSSIBLE:.0f} that is also as many times the typical one. If it "
                "stands for what was not recorded, give NaN; otherwise leave out the "
                "trial or the neuron"
            )

    @classmethod
    def recordings(cls, trials: Trials, scaling: Scaling) -> Trials:
        return trials

    @classmethod
    def units(cls, trials: Trials, scaling: Scaling, mean: np.ndarray) -> Scaling:
        """Logarithms of rates, from that of the mean on."""
        n_bins = max(int(trials.lengths.sum()), 1)
        log_mean = np.log(np.maximum(mean, _FEWEST_SPIKES / n_bins))
        return Scaling(log_mean, np.ones_like(log_mean))

    # of counts and log rates of shape (n_trials, n_timepoints, n_neurons) each

    @abstractmethod
    def _constant(self, counts: np.ndarray) -> np.ndarray | float:
        """The part of `_cost` that does not depend on rates."""

    @abstractmethod
    def _cost(self, counts: np.ndarray, log_rate: np.ndarray) -> np.ndarray:
        """Negative log likelihood of each count, without `_constant`."""

    @abstractmethod
    def _slopes(
        self, counts: np.ndarray, log_rate: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Derivative of the log likelihood by the log rate, and minus the second."""

    @abstractmethod
    def _scatter(self, mean: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Variance of counts about rates of this mean and mean square."""

    def _noise_sums(self, block: Block, log_rates: list[np.ndarray]) -> np.ndarray:
        """What other parameters than the offset are learned from (n_neurons, n).

        Parameters
        ----------
        log_rates : list of arrays (n_trials, n_timepoints, n_neurons)
            One for each draw.
        """
        return np.zeros((block.values.shape[-1], 0))

    def _learned(self, sums: ReadoutSums) -> Likelihood:
        """With new parameters other than the offset."""
        return self

    def terms(self, loading: np.ndarray, block: Block) -> CountTerms:
        return CountTerms(self, loading, block)

    def sums(self, loading: np.ndarray, block: Block, one: np.ndarray) -> ReadoutSums:
        n_draws, size, n_neurons = len(one), one.shape[3], len(loading)
        cross = np.zeros((n_neurons, size))
        curvature = np.zeros((n_neurons, size * size))
        log_rates = [draw @ loading.T + self.offset for draw in one]
        for draw, log_rate in zip(one, log_rates, strict=True):
            excess, weight = (
                block.masked(part).reshape(-1, n_neurons)
                for part in self._slopes(block.values, log_rate)
            )
            rows = draw.reshape(-1, size)
            outer = (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
            cross += excess.T @ rows / n_draws
            curvature += weight.T @ outer / n_draws
        curvature = curvature.reshape(-1, size, size)
        noise = self._noise_sums(block, log_rates)
        return ReadoutSums(curvature, cross, noise, block.n_recorded, largest_of(one))

    def solved(
        self, loading: np.ndarray, sums: ReadoutSums
    ) -> tuple[np.ndarray, Likelihood]:
        # a Newton step of an exponential that goes too far up goes too far by more
        step = regression(sums)
        moved = np.abs(step) @ sums.largest
        step *= (_FARTHEST_LOG_RATE / np.maximum(moved, _FARTHEST_LOG_RATE))[:, None]
        return loading + step, self._learned(sums)

    @classmethod
    def ceiling(cls, trials: Trials) -> np.ndarray:
        result: np.ndarray = np.maximum(_largest_counts(trials).largest, 1.0)
        return _ABOVE_LARGEST * result

    def expected(
        self,
        activity: np.ndarray,
        variance: np.ndarray | float = 0.0,
        ceiling: np.ndarray | float = np.inf,
    ) -> np.ndarray:
        log_rate = activity + 0.5 * np.minimum(variance, _LARGEST_LOG_VARIANCE)
        with np.errstate(over="ignore"):
            result: np.ndarray = np.minimum(np.exp(log_rate), ceiling)
        return result

    @staticmethod
    def activity(expected: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(np.maximum(expected, _LEAST_RATE)))

    def predictive(
        self,
        paths: np.ndarray,
        loading: np.ndarray,
        units: Scaling,
        ceiling: np.ndarray | float = np.inf,
    ) -> Predictive:
        n, n_draws, T, rank = paths.shape
        rows = np.swapaxes(paths, 1, 2).reshape(n * T, n_draws, rank)
        mean, square = np.empty((2, n * T, len(loading)))
        at_once = max(1, _AT_ONCE // (n_draws * len(loading)))
        for begin in range(0, len(rows), at_once):
            some = slice(begin, begin + at_once)
            activity = rows[some] @ loading[:, :-1].T + loading[:, -1]
            rate = self.expected(units.to_data(activity), 0.0, ceiling)
            mean[some] = rate.mean(1)
            square[some] = (rate**2).mean(1)
        variance = square - mean**2 + self._scatter(mean, square)
        shape = (n, T, len(loading))
        return Predictive(mean.reshape(shape), np.sqrt(variance).reshape(shape))

    def noise_variance(self, scale: np.ndarray) -> np.ndarray:
        rate = np.exp(self.offset)
        return self._scatter(rate, rate**2)

    def explains_nothing(self, variance: np.ndarray) -> bool:
        return bool(np.sqrt(variance.mean()) < _LEAST_LOG_RATE)

    @staticmethod
    def score_sums(n_neurons: int) -> BitsSums:
        return BitsSums(n_neurons)

    @staticmethod
    def pooled(parts: list[BitsSums]) -> float:
        return pooled_bits(parts)

    def linearised(self, loading: np.ndarray) -> Linearised:
        # counts are about rate (1 + C z)
        rate = np.exp(loading[:, -1] + self.offset)
        variance = self._scatter(rate, rate**2)
        return Linearised(rate[:, None] * loading[:, :-1], rate, variance)


class _LargestCounts(NamedTuple):
    """The largest count of each neuron.

    Attributes
    ----------
    largest : array of shape (n_neurons,)
    place : int array of shape (n_neurons, 2)
        The trial and the time point of it.
    typical : array of shape (n_neurons,)
        The geometric mean, to which one is added for it: also where a share of the bins
        has counts that are none.
    """

    largest: np.ndarray
    place: np.ndarray
    typical: np.ndarray


def _largest_counts(trials: Trials) -> _LargestCounts:
    """One pass over the trials."""
    n = trials.n_neurons
    largest, place = np.full(n, -1.0), np.zeros((n, 2), dtype=int)
    logs, count = np.zeros(n), np.zeros(n)
    for block in trials.blocks():
        values = block.masked(block.values)
        logs += np.log1p(values).sum((0, 1))
        count += block.n_recorded
        flat = values.reshape(-1, n)
        at = flat.argmax(0)
        here = flat[at, np.arange(n)]
        trial, time = np.divmod(at, values.shape[1])
        found = np.column_stack([block.numbers[trial], time])
        place = np.where((here > largest)[:, None], found, place)
        largest = np.maximum(largest, here)
    return _LargestCounts(largest, place, np.expm1(logs / np.maximum(count, 1)))


class CountTerms:
    """`Terms` of states that counts were drawn from."""

    def __init__(self, likelihood: Counts, loading: np.ndarray, block: Block) -> None:
        P = loading[:, :-1]
        self._likelihood, self._P, self._block = likelihood, P, block
        self._offset = loading[:, -1] + likelihood.offset
        self._outer = (P[:, :, None] * P[:, None, :]).reshape(len(P), -1)
        constant = np.broadcast_to(
            likelihood._constant(block.values), block.values.shape
        )
        self._constant = block.masked(constant).sum((1, 2))

    def cost(self, z: np.ndarray) -> np.ndarray:
        log_rate = z @ self._P.T + self._offset
        cost = self._likelihood._cost(self._block.values, log_rate)
        total: np.ndarray = self._block.masked(cost).sum((1, 2))
        result: np.ndarray = total + self._constant
        return result

    def slopes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_rate = z @ self._P.T + self._offset
        excess, weight = (
            self._block.masked(part)
            for part in self._likelihood._slopes(self._block.values, log_rate)
        )
        curvature = (weight @ self._outer).reshape(*z.shape, z.shape[2])
        return excess @ self._P, curvature


@dataclass(frozen=True)
class Poisson(Counts):
    """Spike counts whose variance is their mean."""

    name = "poisson"
    in_words = "spike counts about rates that the network sets (Poisson)"
    padding = (0.0,)

    @classmethod
    def first(cls, units: Scaling) -> Self:
        return cls(units.offset)

    def _constant(self, counts: np.ndarray) -> float:
        return 0.0

    def _cost(self, counts: np.ndarray, log_rate: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.exp(log_rate) - counts * log_rate
        return result

    def _slopes(
        self, counts: np.ndarray, log_rate: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        rate = np.exp(log_rate)
        return counts - rate, rate

    def _scatter(self, mean: np.ndarray, square: np.ndarray) -> np.ndarray:
        return mean

    @classmethod
    def log_density(cls, values: Any, activity: Any, parameters: Any) -> Any:
        (offset,) = parameters
        log_rate = activity + offset
        return values * log_rate - library_of(log_rate).exp(log_rate)


@dataclass(frozen=True)
class NegativeBinomial(Counts):
    r"""Spike counts that vary more than Poisson's, each neuron's by its dispersion.

    .. math:: E[y] = \mu = \exp(x), \qquad Var[y] = \mu + dispersion \, \mu^2,

    a Poisson count whose rate varies from bin to bin by a gamma distribution [1]_.

    Attributes
    ----------
    dispersion : array of shape (n_neurons,)
        Squared coefficient of variation of that rate; 0 would be Poisson.

    References
    ----------
    .. [1] Lawless, "Negative binomial and mixed Poisson regression", Canadian Journal
       of Statistics 15 (1987).
    """

    name = "negative_binomial"
    in_words = (
        "spike counts about rates that the network sets, with more variance than "
        "Poisson counts (negative binomial)"
    )
    padding = (0.0, 1.0)

    dispersion: np.ndarray

    @classmethod
    def first(cls, units: Scaling) -> Self:
        return cls(units.offset, np.full_like(units.offset, _FIRST_DISPERSION))

    # With size r = 1 / dispersion and the share s = mu / (r + mu):
    # log p = log G(y + r) - log G(r) - log y! + y log s + r log(1 - s).

    def _constant(self, counts: np.ndarray) -> np.ndarray:
        size = 1 / self.dispersion
        constant: np.ndarray = gammaln(size) - _of_sums(gammaln, counts, size)
        return constant

    def _cost(self, counts: np.ndarray, log_rate: np.ndarray) -> np.ndarray:
        odds = log_rate + np.log(self.dispersion)
        result: np.ndarray = (counts + 1 / self.dispersion) * np.logaddexp(
            0, odds
        ) - counts * odds
        return result

    def _slopes(
        self, counts: np.ndarray, log_rate: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        share = expit(log_rate + np.log(self.dispersion))
        drawn = (counts + 1 / self.dispersion) * share
        return counts - drawn, drawn * (1 - share)

    def _scatter(self, mean: np.ndarray, square: np.ndarray) -> np.ndarray:
        scatter: np.ndarray = mean + self.dispersion * square
        return scatter

    def _noise_sums(self, block: Block, log_rates: list[np.ndarray]) -> np.ndarray:
        """First and second derivative of the log likelihood by the size."""
        counts, size = block.values, 1 / self.dispersion
        of_counts = _of_sums(psi, counts, size) - psi(size)
        slope_of_counts = _of_sums(_trigamma, counts, size) - _trigamma(size)
        first, second = np.zeros_like(counts), np.zeros_like(counts)
        for log_rate in log_rates:
            odds = log_rate + np.log(self.dispersion)
            share = expit(odds)
            # (counts + size) / (size + rate)
            ratio = (counts + size) * (1 - share) / size
            first += 1 - ratio - np.logaddexp(0, odds)
            second += (share - (1 - share) * (1 - ratio)) / size
        both = [
            of_counts + first / len(log_rates),
            slope_of_counts + second / len(log_rates),
        ]
        return np.stack([block.masked(part).sum((0, 1)) for part in both], 1)

    def _learned(self, sums: ReadoutSums) -> NegativeBinomial:
        """One Newton step for the log of each dispersion, lightly shrunk."""
        size, log = 1 / self.dispersion, np.log(self.dispersion)
        first, second = sums.noise.T
        # by the log of the dispersion, which is minus that of the size
        slope = -size * first - (log - np.log(_FIRST_DISPERSION)) / _PRIOR_SD**2
        curvature = -(size * first + size**2 * second) + 1 / _PRIOR_SD**2
        concave = curvature > 0
        move = np.where(
            concave, slope / np.where(concave, curvature, 1.0), np.sign(slope)
        )
        log = log + np.clip(move, -_FARTHEST, _FARTHEST)
        return replace(self, dispersion=np.clip(np.exp(log), *_DISPERSIONS))

    @classmethod
    def log_density(cls, values: Any, activity: Any, parameters: Any) -> Any:
        offset, dispersion = parameters
        xp = library_of(activity)
        odds = activity + offset + xp.log(dispersion)
        log_sum = xp.logaddexp(xp.zeros_like(odds), odds)
        return values * odds - (values + 1 / dispersion) * log_sum


def _of_sums(
    function: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """`function(counts + size)`, once for each count that occurs and each neuron."""
    distinct, place = np.unique(counts, return_inverse=True)
    table = function(distinct[:, None] + size)
    return table[place.reshape(counts.shape), np.arange(len(size))]


def _trigamma(x: np.ndarray) -> np.ndarray:
    return np.asarray(polygamma(1, x))
