"""What spike times have to be."""

from __future__ import annotations

import numpy as np

from sklearn_jedi.io._bin_times import LATEST


def check_spike_times(times: np.ndarray, what: str, at_least: float) -> None:
    """Refuse spike times that cannot be.

    Raises
    ------
    ValueError
        If they have a problem.
    """
    problem = problem_of(times, what, at_least)
    if problem:
        raise ValueError(problem)


def problem_of(times: np.ndarray, what: str, at_least: float) -> str | None:
    """What is wrong with spike times, if anything is: a sentence.

    They have to be one number each, finite, in order, and between `at_least` and the
    latest time that there can be.
    """
    if np.ndim(times) != 1:
        return f"{what} must be a vector; their shape is {np.shape(times)}"
    finite = np.isfinite(times)
    if not finite.all():
        k = int(finite.argmin())
        return f"{what} are not finite: number {k} is {times[k]}"
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        k = int(back[0])
        return (
            f"{what} are not in order: number {k} is {times[k]:g} s, the next "
            f"{times[k + 1]:g} s; sort them, and look whether they are in seconds"
        )
    if len(times) and times[0] < max(at_least, -LATEST):
        return f"{what} begin at {times[0]:g} s, but times of a session start at 0"
    if len(times) and times[-1] > LATEST:
        late = int(np.searchsorted(times, LATEST, side="right"))
        return (
            f"{what} go up to {times[-1]:g} s, which cannot be: number {late} is "
            f"{times[late]:g} s; if they are in ms, microseconds or samples, divide "
            "them by 1000, by 1000000 or by the sampling rate"
        )
    return None
