"""What spike times have to be."""

from __future__ import annotations

import numpy as np


def check_spike_times(times: np.ndarray, what: str, at_least: float) -> None:
    """Refuse spike times that cannot be.

    Raises
    ------
    ValueError
        If they are not finite, not in order or too early.
    """
    finite = np.isfinite(times)
    if not finite.all():
        k = int(finite.argmin())
        raise ValueError(f"{what} are not finite: number {k} is {times[k]}")
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        k = int(back[0])
        raise ValueError(
            f"{what} are not in order: number {k} is {times[k]:g} s, the next "
            f"{times[k + 1]:g} s; sort them, and look whether they are in seconds"
        )
    if len(times) and times[0] < at_least:
        raise ValueError(
            f"{what} begin at {times[0]:g} s, but times of a session start at 0"
        )
