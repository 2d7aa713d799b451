"""Bin times read as a beginning and a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_jedi._utils._checks import check_choice, check_real

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def even_steps(times: Any, what: str, time_unit: str = "s") -> tuple[float, float]:
    """Left edge of the first bin and bin width, in s, of bins with these centres.

    Raises
    ------
    ValueError
        If the times are not at least two, increasing in even steps.
    """
    check_choice("time_unit", time_unit, tuple(SECONDS))
    if np.asarray(times).dtype.kind == "m":
        time_unit = "s"
    times = seconds(times, what)
    if times.ndim != 1 or len(times) < 2:
        raise ValueError(f"{what} must be at least two in a row; shape {times.shape}")
    step = (times[-1] - times[0]) / (len(times) - 1)
    # float32 times of long sessions are off by more than rounding of the step
    off = np.abs(np.diff(times) - step).max()
    if not step > 0 or not off <= 1e-3 * step:
        raise ValueError(
            f"{what} must increase in even steps; steps go from "
            f"{np.diff(times).min():g} to {np.diff(times).max():g} {time_unit}"
        )
    scale = SECONDS[time_unit]
    # 0.1 ms steps times 1e-3 is not 1e-4 in floating point
    dt = float(f"{step * scale:.9g}")
    return float(times[0] * scale - dt / 2), dt


def seconds(times: Any, what: str) -> np.ndarray:
    """Times as floats; differences of times (timedelta64) in seconds.

    Raises
    ------
    ValueError
        If they are dates, or no times.
    """
    kind = np.asarray(times).dtype.kind
    if kind == "m":
        return np.asarray(times) / np.timedelta64(1, "s")
    if kind == "M":
        raise ValueError(
            f"{what} are dates: subtract when the recording began, or give seconds"
        )
    try:
        return np.array(times, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} are not numbers") from error


def steps(
    dt: float | None, times: Any, n_timepoints: int, what: str, time_unit: str
) -> tuple[float, float]:
    """The same from a given bin width, from bin times, or both.

    Raises
    ------
    ValueError
        If neither is given, they contradict each other, or there are more or fewer
        times than bins.
    """
    if dt is not None:
        check_real("dt", dt)
    if times is None:
        if dt is None:
            raise ValueError(
                f"{what}: the bin width is not known: pass dt (in s), or time, the "
                "name of the bin times"
            )
        return 0.0, float(dt)
    if np.size(times) != n_timepoints:
        raise ValueError(
            f"{what} are {np.size(times)}, but there are {n_timepoints} bins"
        )
    if np.size(times) == 1 and dt is not None:
        return float(np.ravel(times)[0]) * SECONDS[time_unit] - dt / 2, float(dt)
    start, step = even_steps(times, what, time_unit)
    if dt is not None and not np.isclose(dt, step):
        raise ValueError(
            f"{what} are {step:g} s apart, but dt={dt:g} s; is time_unit="
            f"{time_unit!r} right?"
        )
    return start, step
