"""Intervals of time: their union, and how long it is."""

from __future__ import annotations

import numpy as np

from sklearn_jedi.io._bin_times import LATEST

# Intervals closer than this touch, in s.
_TOUCH = 2e-9


def union(intervals: np.ndarray) -> np.ndarray:
    """Intervals (n_intervals, 2) in s, sorted, those that overlap or touch joined.

    Those without length are dropped. Ends may be infinite: an interval that is open.
    """
    intervals = np.clip(intervals, -LATEST, LATEST)
    intervals = intervals[intervals[:, 1] > intervals[:, 0]]
    if not len(intervals):
        return np.empty((0, 2))
    intervals = intervals[np.argsort(intervals[:, 0], kind="stable")]
    begins, ends = intervals[:, 0], np.maximum.accumulate(intervals[:, 1])
    apart = np.append(True, begins[1:] > ends[:-1] + _TOUCH)
    return np.column_stack([begins[apart], ends[np.append(apart[1:], True)]])


def duration(intervals: np.ndarray) -> float:
    """Length in s of a union of intervals."""
    return float(np.diff(intervals).sum())
