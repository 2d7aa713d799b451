"""The first edge of bins and their width, from the times of their centres."""

from __future__ import annotations

import numpy as np

from sklearn_jedi._data._numbers import as_numbers
from sklearn_jedi._utils._checks import check_choice, check_real

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
# In s. Sums of two later times are no whole nanoseconds in 64 bits.
LATEST = 4e9


def from_centres(
    centres: object, what: str, time_unit: str = "s"
) -> tuple[float, float]:
    """Left edge of the first bin and bin width, in s, of bins with these centres.

    Parameters
    ----------
    centres : array-like of shape (n_bins,)
        Numbers in `time_unit`, or differences of times (timedelta64).
    what : str
        What these are, for messages.
    time_unit : {"s", "ms", "us"}

    Raises
    ------
    ValueError
        If the times are not at least two, increasing in even steps.
    """
    check_choice("time_unit", time_unit, tuple(SECONDS))
    if np.asarray(centres).dtype.kind == "m":
        time_unit = "s"
    times = as_seconds(centres, what)
    if times.ndim != 1 or len(times) < 2:
        raise ValueError(f"{what} must be at least two in a row; shape {times.shape}")
    unknown = np.flatnonzero(~np.isfinite(times))
    if len(unknown):
        raise ValueError(
            f"{what} must be finite; number {unknown[0]} is {times[unknown[0]]}"
        )
    step = (times[-1] - times[0]) / (len(times) - 1)
    # float32 times of long sessions are off by more than rounding of the step
    off = np.abs(np.diff(times) - step).max()
    if not step > 0 or not off <= 1e-3 * step:
        raise ValueError(
            f"{what} must increase in even steps; steps go from "
            f"{np.diff(times).min():g} to {np.diff(times).max():g} {time_unit}, the "
            f"most uneven after number {_most_uneven(times)}"
        )
    scale = SECONDS[time_unit]
    # 0.1 ms steps times 1e-3 is not 1e-4 in floating point
    dt = float(f"{step * scale:.9g}")
    return float(times[0] * scale - dt / 2), dt


def _most_uneven(times: np.ndarray) -> int:
    """The number of the time after which the step differs most from the usual one."""
    steps = np.diff(times)
    return int(np.abs(steps - np.median(steps)).argmax())


def as_seconds(times: object, what: str) -> np.ndarray:
    """Numbers as floats, and differences of times (timedelta64) in seconds.

    Raises
    ------
    ValueError
        If they are dates, or no times.
    """
    array = np.asarray(times)
    kind = array.dtype.kind
    if kind == "m":
        return np.asarray(array / np.timedelta64(1, "s"))
    if kind == "M":
        raise ValueError(
            f"{what} are dates: subtract when the recording began, or give seconds"
        )
    try:
        return np.array(times, dtype=float)
    except (TypeError, ValueError):  # such as pandas' NA among objects
        pass
    try:
        return as_numbers(array, what).astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} are not numbers: {error}") from error


def start_and_width(
    dt: float | None, centres: object, n_bins: int, what: str, time_unit: str
) -> tuple[float, float]:
    """Left edge of the first bin and bin width, in s, from what is known of them.

    Parameters
    ----------
    dt : float or None
        Bin width in s; None: as the centres say.
    centres : array-like of shape (n_bins,) or None
        Times of the bins' centres; None: the first bin begins at 0.
    n_bins : int
    what : str
        What the centres are, for messages.
    time_unit : {"s", "ms", "us"}
        Of the centres.

    Raises
    ------
    ValueError
        If neither is given, they contradict each other, or there are more or fewer
        times than bins.
    """
    if dt is not None:
        check_real("dt", dt)
    if centres is None:
        if dt is None:
            raise ValueError(
                f"{what}: the bin width is not known: pass dt=, in s, or time=, the "
                "name of the bin times"
            )
        return 0.0, float(dt)
    times = np.asarray(centres)
    if times.size != n_bins:
        raise ValueError(f"{what} are {times.size}, but there are {n_bins} bins")
    if times.size == 1 and dt is not None:
        return float(times.ravel()[0]) * SECONDS[time_unit] - dt / 2, float(dt)
    start, step = from_centres(times, what, time_unit)
    if dt is not None and not np.isclose(dt, step):
        raise ValueError(
            f"{what} are {step:g} s apart, but dt={dt:g} s; is time_unit="
            f"{time_unit!r} right?"
        )
    return start, step
