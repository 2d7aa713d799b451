"""How many bins are asked for, before memory for them is taken."""

from __future__ import annotations

import os

import numpy as np

from sklearn_jedi._utils._warnings import warn_user

# 93 hours in bins of 10 ms: what asks for more has a corrupt time, or another unit.
_MOST_BINS = 2**25
# A trial so many times as long as the one in the middle, and of so many bins, is named.
_OUTLYING, _MANY_BINS = 100, 10_000


def check_n_bins(
    n_bins: np.ndarray, trials: np.ndarray, bin_size: float, where: str
) -> None:
    """Refuse more bins than a recording can have, and name a trial of far too many.

    Parameters
    ----------
    n_bins : float array of shape (n_trials,)
        Bins of each trial: floats, as they may exceed what integers hold.
    trials : array of shape (n_trials,)
        Ids of the trials.
    bin_size : float
        In s.
    where : str
        File or object, for messages.

    Raises
    ------
    ValueError
        If there are too many in total.
    """
    longest = int(n_bins.argmax())
    what = (
        f"the window of trial {trials[longest]} lasts "
        f"{n_bins[longest] * bin_size:g} s, which is {n_bins[longest]:,.0f} bins of "
        f"{bin_size:g} s"
    )
    remedy = (
        "look whether a time is corrupt or in another unit (window and bin_size are in "
        "seconds)"
    )
    if n_bins.sum() > _MOST_BINS:
        raise ValueError(
            f"{where}: {n_bins.sum():,.0f} bins would be needed, and at most "
            f"{_MOST_BINS:,} are counted: {what}; {remedy}, leave that trial out, or "
            "use wider bins"
        )
    usual = float(np.median(n_bins))
    if n_bins[longest] > max(_OUTLYING * usual, _MANY_BINS):
        warn_user(
            f"{where}: {what}; half of the {len(trials)} trials have at most "
            f"{usual:,.0f}: {remedy}"
        )


def new_array(n_bins: int, n_neurons: int) -> np.ndarray:
    """An array (n_bins, n_neurons) of floats, not filled.

    Raises
    ------
    ValueError
        If it does not fit into memory.
    """
    needed = n_bins * n_neurons * 8
    if needed <= _memory():
        try:
            return np.empty((n_bins, n_neurons))
        except MemoryError:
            pass
    raise ValueError(
        f"{n_bins:,} bins of {n_neurons} neurons need {needed / 2**30:.1f} GiB of "
        "memory, which this machine does not have: choose fewer trials or neurons, or "
        "wider bins"
    )


def _memory() -> float:
    """Bytes of memory of this machine; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return np.inf
