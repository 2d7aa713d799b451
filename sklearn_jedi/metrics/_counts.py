"""How well rates predict spike counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from sklearn_jedi.metrics._trajectories import as_trials, check_shapes

__all__ = ["bits_per_spike"]

_LEAST_RATE = 1e-9


def bits_per_spike(X: ArrayLike, rates: ArrayLike) -> float:
    r"""What predicted rates tell about spike counts, beyond each neuron's mean.

    .. math:: \frac{1}{n_{spikes} \log 2} \sum \left[x \log \frac{\lambda}{\bar x} -
       (\lambda - \bar x)\right],

    the difference in Poisson log likelihood [1]_ between rates `lambda` and each
    neuron's mean count over these trials.

    Parameters
    ----------
    X, rates : array-like of shape (n_trials, n_timepoints, n_neurons) or list of arrays
        Counts and their predicted expectations per bin; bins where X is NaN do not
        count.

    Returns
    -------
    float
        In bits; 0 for each neuron's mean rate, and where there is no spike.

    References
    ----------
    .. [1] Pei, Ye et al., "Neural Latents Benchmark '21: evaluating latent variable
       models of neural population activity", NeurIPS datasets and benchmarks (2021).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.metrics import bits_per_spike
    >>> X = np.array([[[0.0], [0.0], [1.0], [1.0]]])
    >>> bits_per_spike(X, np.full(X.shape, 0.5)), round(bits_per_spike(X, X), 6)
    (0.0, 1.0)
    """
    counts, predicted = as_trials(X, "X"), as_trials(rates, "rates")
    check_shapes(X, rates, "rates")
    sums = BitsSums(counts[0].shape[1])
    for trial, rate in zip(counts, predicted, strict=True):
        sums.add(trial[None], rate[None], ~np.isnan(trial)[None])
    return pooled_bits([sums])


class BitsSums:
    """Poisson log likelihoods from sums over pieces of the data.

    Parameters
    ----------
    n_neurons : int
    """

    def __init__(self, n_neurons: int) -> None:
        self._log_likelihood = np.zeros(n_neurons)
        self._spikes = np.zeros(n_neurons)
        self._bins = np.zeros(n_neurons)

    def add(
        self, true: np.ndarray, predicted: np.ndarray, where: np.ndarray | None
    ) -> None:
        """Take in arrays (n_trials, n_timepoints, n_neurons); None: all of them."""
        if where is None:
            where = np.ones(true.shape, dtype=bool)
        counts = np.where(where, true, 0.0)
        rates = np.maximum(np.where(where, predicted, 1.0), _LEAST_RATE)
        terms = np.where(where, counts * np.log(rates) - rates, 0.0)
        self._log_likelihood += terms.sum((0, 1))
        self._spikes += counts.sum((0, 1))
        self._bins += where.sum((0, 1))

    @property
    def n_spikes(self) -> float:
        return float(self._spikes.sum())

    @property
    def gain(self) -> float:
        """Log likelihood, beyond that of each neuron's mean rate, in nats."""
        mean = self._spikes / np.maximum(self._bins, 1)
        null = xlogy(self._spikes, mean) - self._spikes
        return float((self._log_likelihood - null).sum())


def pooled_bits(parts: list[BitsSums]) -> float:
    """Bits per spike over recordings of different neurons."""
    n_spikes = sum(part.n_spikes for part in parts)
    if n_spikes == 0:
        return 0.0
    return sum(part.gain for part in parts) / (n_spikes * float(np.log(2)))
