"""The time step that a recording carries with it, and the one that a fit uses."""

from __future__ import annotations

import warnings

import numpy as np

# What is taken where neither the user nor the data say, in seconds.
_USUAL_DT = 0.01
_USUAL_TAU = 0.1
# In time steps: the shortest time constant of "auto", and that which draws no warning.
_AUTO_STEPS = 5
_FEWEST_STEPS = 3
# Time steps that differ by a larger share are not the same.
_SAME = 0.01


def time_step_of(X: object) -> float | None:
    """Seconds between time points, where the data carry them; otherwise None.

    A `TrialSet` has `dt`; a labelled array (xarray) the coordinate `time` of its
    second dimension, in seconds, or the attribute `dt`; pynapple's objects, or a list
    of them with one for each trial, their times.
    """
    dt = getattr(X, "dt", None)
    if isinstance(dt, (int, float)) and not isinstance(dt, bool):
        return float(dt)
    if hasattr(X, "dims") and hasattr(X, "coords"):
        if "time" in X.coords and X.coords["time"].ndim == 1:
            step = _median_step(X.coords["time"].values)
            if step is not None:
                return step
        dt = X.attrs.get("dt") if hasattr(X, "attrs") else None
        return None if dt is None else float(dt)
    if isinstance(X, (list, tuple)) and X:
        X = X[0]
    if hasattr(X, "time_support") and hasattr(X, "t"):
        return _median_step(np.asarray(X.t))
    return None


def _median_step(times: np.ndarray) -> float | None:
    if len(times) < 2 or np.asarray(times).dtype.kind not in "fiu":
        return None
    step = float(np.median(np.diff(np.asarray(times, dtype=float))))
    return step if step > 0 else None


def choose_dt(dt: float | str, X: object, *, stacklevel: int = 4) -> float:
    """The time step in seconds: the one given, that of the data, or the usual.

    Warns
    -----
    UserWarning
        If the data carry another than the one given; or if neither says.
    """
    own = time_step_of(X)
    if dt == "auto":
        if own is not None:
            return own
        warnings.warn(
            f"dt was not given and X does not say its time step: {_USUAL_DT} s is "
            "assumed. All rates, frequencies and time constants scale with it: pass dt "
            "in seconds",
            UserWarning,
            stacklevel=stacklevel,
        )
        return _USUAL_DT
    given = float(dt)
    if own is not None and abs(own - given) > _SAME * given:
        warnings.warn(
            f"dt={given:g} s was given, but the times of X are {own:g} s apart; "
            f"{given:g} s is used, and all rates and frequencies scale with it. Leave "
            'dt="auto" to take it from X',
            UserWarning,
            stacklevel=stacklevel,
        )
    return given


def choose_tau(tau: float | str, dt: float, *, stacklevel: int = 4) -> float:
    """The time constant in seconds: the one given, or 0.1 s but at least 5 `dt`.

    Warns
    -----
    UserWarning
        If the one given is shorter than 3 `dt`.
    """
    if tau == "auto":
        return max(_USUAL_TAU, _AUTO_STEPS * dt)
    given = float(tau)
    if given < _FEWEST_STEPS * dt:
        warnings.warn(
            f"tau={given:g} s is less than {_FEWEST_STEPS} time steps of {dt:g} s: "
            "networks then hardly remember their last state, and forecasts suffer. "
            f'tau="auto" would take {choose_tau("auto", dt):g} s',
            UserWarning,
            stacklevel=stacklevel,
        )
    return given
