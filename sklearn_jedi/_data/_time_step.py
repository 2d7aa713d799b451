"""The time step that a recording carries with it, and the one that a fit uses."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

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
# What the attribute `units` of xarray's coordinates says, in seconds.
_UNITS = {"ms": 1e-3, "us": 1e-6}


def time_step_of(X: object) -> float | None:
    """Seconds between time points, where the data carry them; otherwise None.

    A `TrialSet` has `dt`. A labelled array (xarray) has the coordinate of its time
    axis, which is the dimension `time` or else the second of three: seconds, unless its
    attribute `units` is "ms" or "us", or dates, or differences of times. Where there is
    no such coordinate, the array's attribute `dt` is taken, in seconds. The objects of
    pynapple have times. Of a list with one object for each trial, the first is asked.
    """
    if hasattr(X, "table") and isinstance(dt := getattr(X, "dt", None), numbers.Real):
        return float(dt)
    if isinstance(X, (list, tuple)):
        return _of_array(X[0], 0) if X else None
    return _of_array(X, 1)


def _of_array(X: Any, axis: int) -> float | None:
    """The time step of an object whose time axis is this, unless one is named time."""
    if hasattr(X, "time_support"):
        # the times of spikes (Ts) are no time steps: they come without values
        return _median_step(X.t) if hasattr(X, "values") and hasattr(X, "t") else None
    if not (hasattr(X, "dims") and hasattr(X, "coords")):
        return None
    step = None
    name = "time" if "time" in X.dims or X.ndim <= axis else X.dims[axis]
    if name in X.coords and X.coords[name].dims == (name,):
        times = X.coords[name]
        step = _median_step(times.values)
        if step is not None:
            step *= _UNITS.get(times.attrs.get("units"), 1.0)
    if step is None and isinstance(X.attrs.get("dt"), numbers.Real):
        step = float(X.attrs["dt"])
    return step


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
                "scale with it: pass dt in seconds"
            )
            return _USUAL_DT
        if own >= _LONG:
            warn_user(
                f"the times of X are {own:g} apart, which is taken for seconds. If "
                "they are in another unit, or number the bins, pass dt in seconds; "
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
        warn_user(
            f"the times of X are {own:g} s apart, but {name} was fitted with "
            f"dt={dt:g} s: bin X as in fit"
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
