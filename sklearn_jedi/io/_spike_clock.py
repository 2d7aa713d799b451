"""Whether spike times are in seconds, and on the clock of the trials."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi._utils._warnings import warn_user

# Fewer spikes say little.
_FEW = 20
# Spikes that last so many times as long as trials, or trials as spikes.
_OTHER_UNIT = 30.0
# In spikes/s: fewer from a unit of which spike times are in ms, hardly in s.
_SLOW, _VERY_SLOW = 0.5, 0.2
# In s: no trial lasts so long, where units are that slow.
_LONG_TRIAL = 200.0
# Windows where so many spikes are to be expected are not empty by chance.
_EXPECTED = 50.0


class Spikes(NamedTuple):
    """What the spike times of units tell of their clock.

    Attributes
    ----------
    n : int array of shape (n_units,)
        Spikes of each unit.
    last : array of shape (n_units,)
        Of which the last comes at this time, in s; 0 of units without spikes.
    middle : array of shape (n_units,)
        Half come before this time, in s; 0 of units without spikes.
    whole : bool array of shape (n_units,)
        Whether all are whole numbers.
    first : float
        The first spike of all units, in s.
    duration : float
        How long units were recorded, from the first spike to the last, in s.
    """

    n: np.ndarray
    last: np.ndarray
    middle: np.ndarray
    whole: np.ndarray
    first: float
    duration: float

    @classmethod
    def of(cls, trains: list[np.ndarray], duration: float | None = None) -> Spikes:
        """What sorted spike times tell, one array a unit.

        Where each trial has a clock of its own, `duration` is that of all together.
        """
        firing = [train for train in trains if len(train)]
        first = min((float(train[0]) for train in firing), default=0.0)
        last = np.array([train[-1] if len(train) else 0.0 for train in trains])
        if duration is None:
            duration = max((float(train[-1]) for train in firing), default=0.0) - first
        return cls(
            np.array([len(train) for train in trains]),
            last,
            np.array([train[len(train) // 2] if len(train) else 0 for train in trains]),
            np.array([bool((train % 1 == 0).all()) for train in trains]),
            first,
            duration,
        )


def warn_of_spike_clock(
    spikes: Spikes,
    names: list[object],
    windows: np.ndarray,
    trial_length: float,
    where: str,
    remedy: str = "divide them by {by}",
) -> None:
    """Say where spike times look like another unit than the seconds of the trials.

    Parameters
    ----------
    spikes : Spikes
    names : list of n_units ids
    windows : array of shape (n_trials, 2)
        Begin and end of the windows in which spikes are counted, in s.
    trial_length : float
        How long trials are in the middle, in s.
    where : str
        File or object, for messages.
    remedy : str
        How times are converted, with {by} for the number or the sampling rate.
    """
    many = spikes.n >= _FEW
    end, reach = float(windows[:, 1].max()), float(np.abs(windows).max())
    rates = spikes.n / max(spikes.duration, np.finfo(float).tiny)
    samples = many & spikes.whole
    late = many & (spikes.last > _OTHER_UNIT * reach) & (rates < _SLOW)
    if samples.any():
        warn_user(
            f"{where}: spike times of {_units(samples, names)} are whole numbers, up "
            f"to {spikes.last[samples].max():g}, and trials go up to {end:g} s: they "
            f"look like sample numbers; {remedy.format(by='the sampling rate')}"
        )
    elif late.any() and (spikes.middle[late] <= reach).all():
        first = int(late.argmax())
        warn_user(
            f"{where}: spike times of {_units(late, names)} go up to "
            f"{spikes.last[first]:g} s, though half of them come before "
            f"{spikes.middle[first]:g} s, and trials end at {end:g} s: the last are "
            "corrupt; leave them out, or the unit"
        )
    elif late.any():
        last = spikes.last[late].max()
        unit, by = ("ms", 1000) if last < 3e4 * reach else ("us", 1000000)
        warn_user(
            f"{where}: spike times of {_units(late, names)} go up to {last:g}, and "
            f"trials only up to {end:g} s; none of these units would fire more than "
            f"{rates[late].max():.2g} spikes/s: they look like {unit}; "
            f"{remedy.format(by=by)}"
        )
    elif many.any() and (rates < _VERY_SLOW).all() and trial_length > _LONG_TRIAL:
        warn_user(
            f"{where}: trials last {trial_length:g} s, and none of {len(rates)} units "
            f"fires more than {rates.max():.2g} spikes/s: all times look like ms; "
            f"{remedy.format(by=1000)}, and those of trials, too"
        )
    else:
        _warn_of_empty_windows(spikes, rates, windows, where)


def _warn_of_empty_windows(
    spikes: Spikes, rates: np.ndarray, windows: np.ndarray, where: str
) -> None:
    """Say where trials lie before or after all spikes."""
    last = float(spikes.last.max())
    outside = (windows[:, 0] > last) | (windows[:, 1] < spikes.first)
    expected = rates.sum() * np.diff(windows[outside]).sum()
    if spikes.n.sum() >= _FEW and expected > _EXPECTED:
        begin, end = windows[outside].min(), windows[outside].max()
        unit = ""
        if end > _OTHER_UNIT * last:
            unit = ". Times of trials look like ms: divide them by 1000"
        warn_user(
            f"{where}: {outside.sum()} of {len(outside)} trials lie where no unit "
            f"fires: spikes go from {spikes.first:g} to {last:g} s, these trials from "
            f"{begin:g} to {end:g} s; are they on one clock, in seconds?{unit}"
        )


def _units(which: np.ndarray, names: list[object]) -> str:
    if which.all():
        return f"all {len(which)} units" if len(which) > 1 else f"unit {names[0]}"
    return f"{which.sum()} of {len(which)} units (first: {names[int(which.argmax())]})"
