"""How well rates predict spike counts."""

from __future__ import annotations

from sklearn_jedi._data._forms import TrialsLike
from sklearn_jedi._utils._streaming import BitsSums, pooled_bits
from sklearn_jedi.metrics._trajectories import check_counts, paired, summed

__all__ = ["bits_per_spike"]


def bits_per_spike(X: TrialsLike, rates: TrialsLike) -> float:
    r"""How much better predicted rates explain spike counts than mean rates do.

    .. math:: \frac{1}{n_{spikes} \log 2} \sum \left[x \log \frac{\lambda}{\bar x} -
       (\lambda - \bar x)\right],

    the difference in Poisson log likelihood [1]_ between rates `lambda` and each
    neuron's mean count over these trials.

    Parameters
    ----------
    X, rates : array-like of shape (n_trials, n_timepoints, n_neurons), list or TrialSet
        Counts and their predicted expectations per bin, or lists of arrays
        (n_timepoints_i, n_neurons); bins where X is NaN do not count.

    Returns
    -------
    float
        In bits; 0 for each neuron's mean rate, and where there is no spike.

    Raises
    ------
    ValueError
        If X has other values than counts, or `rates` negative ones or 0 where there are
        spikes.

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
    counts, predicted = paired(X, rates, "rates")
    check_counts(counts, predicted, "rates")
    return pooled_bits(summed(BitsSums, counts, predicted))
