"""Trials out of continuous recordings: spike trains or sampled activity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sklearn_jedi.io._spike_clock import Spikes, warn_of_spike_clock
from sklearn_jedi.io._trial_set import TrialSet
from sklearn_jedi.io._trial_times import Clock
from sklearn_jedi.io._windows import TrialWindows, Window, cut_windows, warn_left_out

if TYPE_CHECKING:
    from pandas import DataFrame


def cut_spikes(
    trains: list[np.ndarray],
    recorded: list[np.ndarray],
    table: DataFrame,
    units: DataFrame,
    align: str | None,
    window: Window,
    bin_size: float,
    where: str,
    of_trial: tuple[str, str],
) -> TrialSet:
    """Trials of spike counts.

    Parameters
    ----------
    trains : list of n_units arrays
        Sorted spike times in s.
    recorded : list of n_units arrays of shape (n_intervals, 2)
        When each unit was recorded, in s; other bins become NaN.
    table, units : DataFrame
    align, window, bin_size, where
        As in `cut_windows`.
    of_trial : pair of str
        Columns, where there are such, with the begin and end of each trial.
    """
    spikes = Spikes.of(trains)
    clock = Clock(*of_trial, (spikes.first, spikes.first + spikes.duration))
    windows = cut_windows(table, align, window, bin_size, where, clock)
    warn_of_spike_clock(
        spikes, [*units.index], windows.edges, _trial_length(table, of_trial), where
    )
    # mostly, all units were recorded at the same times
    distinct = {intervals.tobytes(): intervals for intervals in recorded}
    masks = {key: windows.bins.recorded(distinct[key]) for key in distinct}
    anything = np.any(list(masks.values()), axis=0)
    kept = np.logical_or.reduceat(anything, windows.bins.first)
    warn_left_out(where, ~kept, "nothing was recorded in their window")
    if not kept.any():
        raise ValueError(f"{where}: nothing was recorded in the window of any trial")
    of_kept = np.repeat(kept, windows.bins.n_bins)
    windows = windows.keep(kept, bin_size)

    counts = windows.bins.count(trains)
    keys = np.array([intervals.tobytes() for intervals in recorded], dtype=object)
    for key, mask in masks.items():
        missing = ~mask[of_kept]
        counts[np.ix_(missing, keys == key)] = np.nan
    return _trial_set(counts, windows, table, units, bin_size)


def cut_samples(
    times: np.ndarray,
    values: np.ndarray,
    table: DataFrame,
    units: DataFrame,
    align: str | None,
    window: Window,
    bin_size: float,
    where: str,
    of_trial: tuple[str, str],
) -> TrialSet:
    """Trials of means of the samples (n_samples, n_neurons) in each bin.

    Raises
    ------
    ValueError
        If bins are narrower than samples are apart.
    """
    recording = (float(times[0]), float(times[-1])) if len(times) else (0.0, 0.0)
    clock = Clock(*of_trial, recording)
    windows = cut_windows(table, align, window, bin_size, where, clock)
    interval = np.median(np.diff(times)) if len(times) > 1 else 0.0
    if bin_size < interval - 1e-9:
        raise ValueError(
            f"{where}: bin_size={bin_size:g} s is shorter than the {interval:g} s "
            "between samples: use at least that, and look whether the times of samples "
            "are in seconds"
        )
    means = windows.bins.average(times, values)
    if np.isnan(means).all():
        raise ValueError(f"{where}: nothing was recorded in the window of any trial")
    return _trial_set(means, windows, table, units, bin_size)


def _trial_set(
    values: np.ndarray,
    windows: TrialWindows,
    table: DataFrame,
    units: DataFrame,
    bin_size: float,
) -> TrialSet:
    return TrialSet(
        windows.bins.in_trials(values),
        float(bin_size),
        table.iloc[windows.rows],
        units,
        windows.start,
    )


def _trial_length(table: DataFrame, of_trial: tuple[str, str]) -> float:
    """How long trials are in the middle, in s; 0 where that is not known."""
    if not all(name in table for name in of_trial):
        return 0.0
    begins, ends = (table[name].to_numpy(dtype=float) for name in of_trial)
    lengths = (ends - begins)[np.isfinite(ends - begins)]
    return float(np.median(lengths)) if len(lengths) else 0.0
