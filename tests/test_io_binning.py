"""Bins of trials: every spike in its bin, exactly, and bins not recorded missing."""

from itertools import pairwise

import numpy as np
import pynapple as nap
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sklearn_jedi.io._binning import Bins, nanoseconds


def bins_of(starts, n_bins, bin_size):
    n_bins = np.broadcast_to(n_bins, len(starts))
    return Bins(nanoseconds(starts), np.array(n_bins), bin_size)


@given(
    # times, beginnings and widths in steps of 1/30 ms, as at 30 kHz, or of 1 ms
    ticks=st.lists(st.integers(0, 3000), max_size=60).map(sorted),
    starts=st.lists(st.integers(-50, 3000), min_size=1, max_size=6),
    width=st.integers(1, 200),
    n_bins=st.lists(st.integers(1, 12), min_size=6, max_size=6),
    rate=st.sampled_from([1000, 30000]),
)
@example(ticks=[355], starts=[158], width=197, n_bins=[1] * 6, rate=30000)
@settings(max_examples=150, deadline=None)
def test_spikes_on_a_clock_are_counted_exactly(ticks, starts, width, n_bins, rate):
    n_bins = np.array(n_bins[: len(starts)])
    bins = bins_of(np.array(starts) / rate, n_bins, width / rate)
    counts = bins.in_trials(bins.count([np.array(ticks) / rate, np.array([])]))
    for trial, start, n in zip(counts, starts, n_bins, strict=True):
        edges = [start + width * k for k in range(n + 1)]
        expected = [sum(a <= t < b for t in ticks) for a, b in pairwise(edges)]
        assert trial[:, 0].tolist() == expected
        assert not trial[:, 1].any()


@pytest.mark.parametrize("start", [0.7, 1234.3, 86399.9])
def test_edges_that_floating_point_misses(start):
    """0.7 + 3 * 0.1 is less than 1.0; each spike still opens its bin."""
    bins = bins_of([start], 40, 0.1)
    spikes = np.round(start + np.arange(41) * 0.1, 1)
    assert bins.count([spikes])[:, 0].tolist() == [1] * 40
    late = spikes[:40] + 0.0999
    assert bins.count([late])[:, 0].tolist() == [1] * 40


def test_same_counts_as_pynapple():
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.uniform(0, 100, n).round(4)) for n in (3000, 500, 0)]
    starts = np.arange(0, 99, 1.5)
    session = nap.IntervalSet(0, 100)
    group = nap.TsGroup(
        {k: nap.Ts(t, time_support=session) for k, t in enumerate(trains)},
        time_support=session,
    )
    counted = group.count(0.02, nap.IntervalSet(starts, starts + 0.8))
    ours = bins_of(starts, 40, 0.02).count(trains)
    np.testing.assert_array_equal(ours, counted.values)


def test_clocks_of_trials():
    bins = bins_of([0.0, 0.0, -0.1], [2, 3, 2], 0.1)
    own = [[np.array([0.0, 0.1, 0.25]), np.array([0.2]), np.array([-0.1, 0.1])]]
    assert bins.count_own(own)[:, 0].tolist() == [1, 1, 0, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([[0.0, 0.5]], [1, 1, 1, 1, 1]),
        ([[0.05, 0.39]], [0, 1, 1, 0, 0]),
        ([[0.3, 0.5], [0.0, 0.3]], [1, 1, 1, 1, 1]),
        ([[0.0, 0.3], [0.1, 0.2], [0.35, 0.5]], [1, 1, 1, 0, 1]),
        ([[0.2, 0.2]], [0, 0, 0, 0, 0]),
        (np.empty((0, 2)), [0, 0, 0, 0, 0]),
    ],
)
def test_recorded_bins_lie_within_an_interval(intervals, expected):
    bins = bins_of([0.0], 5, 0.1)
    assert bins.recorded(np.array(intervals)).tolist() == expected


def test_averages_of_samples():
    times = np.array([0.0, 0.05, 0.1, 0.15, 0.35, 0.4])
    values = np.array(
        [[1, 10], [3, np.nan], [5, np.nan], [7, np.nan], [2, 4], [9, 9.0]]
    )
    bins = bins_of([0.0, 0.1], [4, 1], 0.1)
    nan = np.nan
    np.testing.assert_array_equal(
        bins.average(times, values), [[2, 10], [6, nan], [nan, nan], [2, 4], [6, nan]]
    )
    assert np.isnan(bins.average(times[:0], values[:0])).all()
