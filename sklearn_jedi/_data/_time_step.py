"""The time step that a recording carries with it, and the one that a fit uses."""

from __future__ import annotations

import numbers
import re
from typing import Any

import numpy as np

from sklearn_jedi._data._forms import entries_of
from sklearn_jedi._data._labelled_arrays import axis_named, is_labelled
from sklearn_jedi._utils._warnings import warn_user

# What is taken where neither the user nor the data say, in seconds.
_USUAL_DT = 0.01
_USUAL_TAU = 0.1
# In time steps: the shortest time constant of "auto", and that which draws no warning.
_AUTO_STEPS = 5
_FEWEST_STEPS = 3
# Time steps that differ by a larger share are not the same.
_SAME = 0.01
# Seconds: time steps from here on are rather numbers of bins, or milliseconds.
_LONG = 1.0
# What the attribute `units` of xarray's coordinates says, or the name of times, such as
# "time_ms"; in seconds.
_UNITS = {
    1e-3: ("ms", "msec", "msecs", "millisecond", "milliseconds"),
    1e-6: ("us", "usec", "usecs", "microsecond", "microseconds"),
    1e-9: ("ns", "nsec", "nsecs", "nanosecond", "nanoseconds"),
    60.0: ("minute", "minutes"),
}


def time_step_of(X: Any) -> float | None:
    """Seconds between time points, where the data carry them; otherwise None.

    A `TrialSet` has `dt`. A labelled array (xarray) has the coordinate of its time
    axis: seconds, unless its attribute `units` or its name says "ms" or another unit,
    or dates, or differences of times. Where there is no such coordinate, the array's
    attribute `dt` is taken, in seconds. The objects of pynapple have times. So do data
    frames whose rows are labelled by times: dates, differences, a named unit, or
    numbers that are not whole. Of a list or column with one object for each trial, the
    first is asked.
    """
    if hasattr(X, "table") and isinstance(dt := getattr(X, "dt", None), numbers.Real):
        return float(dt)
    if not isinstance(X, (list, tuple)) and not hasattr(X, "time_support"):
        if is_labelled(X):
            return _of_labelled(X)
        X = entries_of(X)
        return None if X is None else time_step_of(X)
    one: Any = X if hasattr(X, "time_support") else X[0] if X else None
    if hasattr(one, "time_support"):
        # the times of spikes (Ts) are no time steps: they come without values
        has_values = hasattr(one, "values") and hasattr(one, "t")
        return _median_step(one.t) if has_values else None
    if is_labelled(one):
        return _of_labelled(one)
    step, is_time = _of_rows(one)
    return step if is_time else None


def _of_labelled(X: Any) -> float | None:
    """The time step of a labelled array."""
    name, step = axis_named(X, "time"), None
    if name in X.coords and X.coords[name].dims == (name,):
        times = X.coords[name]
        step = _median_step(times.values)
        if step is not None and times.dtype.kind not in "mM":
            unit = unit_of(times.attrs.get("units")) or unit_of(name) or 1.0
            step = float(f"{step * unit:.9g}")
    if step is None and isinstance(X.attrs.get("dt"), numbers.Real):
        step = float(X.attrs["dt"])
    return step


def _of_rows(frame: Any) -> tuple[float | None, bool]:
    """The step of the labels of a data frame's rows, and whether these are times."""
    if not hasattr(frame, "iloc") or frame.index.nlevels > 1:
        return None, False
    labels = frame.index.to_numpy()
    step, unit = _median_step(labels), unit_of(frame.index.name)
    if step is None:
        return None, False
    if unit is not None and labels.dtype.kind not in "mM":
        return float(f"{step * unit:.9g}"), True
    return step, labels.dtype.kind in "mM" or step % 1 > 0


def unit_of(text: object) -> float | None:
    """The unit of time that a text has among its words, in seconds, if any."""
    words = re.split("[^a-z]+", str(text).lower().replace("µ", "u").replace("μ", "u"))
    for seconds, names in _UNITS.items():
        if set(words) & set(names):
            return seconds
    return None


def _median_step(times: np.ndarray) -> float | None:
    """In seconds; None where there are no two times, or they do not increase."""
    if len(times) < 2 or times.dtype.kind not in "fiumM":
        return None
    step = np.median(np.diff(times))
    if times.dtype.kind in "mM":
        step = step / np.timedelta64(1, "s")
    # differences of late times are rounded: 0.020000000000000018
    return float(f"{step:.9g}") if step > 0 else None


def choose_dt(dt: float | str, X: object) -> float:
    """The time step in seconds: the one given, that of the data, or the usual.

    Parameters
    ----------
    dt : float or "auto"
        As the user gave it.
    X : object
        The trials as the user handed them over.

    Warns
    -----
    UserWarning
        If the data carry another than the one given; if neither says; or if what the
        data carry is 1 s or more.
    """
    own = time_step_of(X)
    if dt == "auto":
        if own is None:
            warn_user(
                "dt was not given and X does not say its time step: "
                f"{_USUAL_DT} s is assumed. All rates, frequencies and time constants "
                f"scale with it: pass dt in seconds{_of_whole_rows(X)}"
            )
            return _USUAL_DT
        if own >= _LONG:
            warn_user(
                f"the times of X are {own:g} apart, which is taken for seconds. If "
                f"they are in ms, pass dt={own / 1000:g}; if they are in another unit, "
                "or number bins or samples, pass dt in seconds; "
                f"pass dt={own:g} if it is right"
            )
        return own
    given = float(dt)
    if own is not None and abs(own - given) > _SAME * given:
        remedy = 'Leave dt="auto" to take it from X'
        if abs(own - 1000 * given) <= _SAME * 1000 * given:
            remedy = "If the times of X are in ms, that is right"
        warn_user(
            f"dt={given:g} s was given, but the times of X are {own:g} s apart; "
            f"{given:g} s is used, and all rates and frequencies scale with it. "
            f"{remedy}"
        )
    return given


def _of_whole_rows(X: Any) -> str:
    """What rows that are labelled by whole numbers other than 0, 1, 2, ... may mean."""
    trials = X if isinstance(X, (list, tuple)) else entries_of(X)
    step, _ = _of_rows(trials[0]) if trials else (None, False)
    if step is None or step == 1:
        return ""
    return (
        f". The rows of its data frames are labelled in steps of {step:g}: if these "
        f"are ms, dt={step / 1000:g}"
    )


def warn_of_other_dt(dt: float, X: object, name: str) -> None:
    """Say where trials have another time step than those that `name` was fitted on.

    Parameters
    ----------
    dt : float
        The time step of `fit`, in seconds.
    X : object
        Trials as the user handed them over to a fitted estimator.
    name : str
        The estimator, for the message.

    Warns
    -----
    UserWarning
        If they differ by more than 1 %.
    """
    own = time_step_of(X)
    if own is not None and abs(own - dt) > _SAME * dt:
        in_ms = abs(own - 1000 * dt) <= _SAME * 1000 * dt
        warn_user(
            f"the times of X are {own:g} s apart, but {name} was fitted with "
            f"dt={dt:g} s: "
            + (
                "they may be in ms: give them in seconds"
                if in_ms
                else "bin X as in fit"
            )
        )


def choose_tau(tau: float | str, dt: float) -> float:
    """The time constant in seconds: the one given, or 0.1 s but at least 5 `dt`.

    Warns
    -----
    UserWarning
        If the one given is shorter than 3 `dt`.
    """
    automatic = max(_USUAL_TAU, _AUTO_STEPS * dt)
    if tau == "auto":
        return automatic
    given = float(tau)
    if given < _FEWEST_STEPS * dt:
        warn_user(
            f"tau={given:g} s is less than {_FEWEST_STEPS} time steps of {dt:g} s: "
            "networks then hardly remember their last state, and forecasts suffer. "
            f'tau="auto" would take {automatic:g} s'
        )
    return given
