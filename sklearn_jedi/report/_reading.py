"""How the command reads the trials of a file, in Python's words."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sklearn_jedi._utils._warnings import warn_user
from sklearn_jedi.io import (
    TrialSet,
    trials_from_mat,
    trials_from_npz,
    trials_from_nwb,
)

BIN_SIZE = 0.01
WINDOW = (-0.3, 0.6)
_DIMS = ("trial", "time", "neuron")
_ARRAYS = ("dt", "time", "time_unit", "dims")
# what each kind of file takes beyond --window, --trials and --units
_OPTIONS = {
    ".nwb": ("align", "bin_size"),
    ".npz": ("key", *_ARRAYS),
    ".mat": (
        *("variable", "activity", "spike_times", "align", "bin_size"),
        *_ARRAYS,
    ),
}
_NAMES = sorted({"window", "trials", "units"}.union(*_OPTIONS.values()))
# A parameter in a message, and its value if there is one.
_PARAMETER = re.compile(
    rf"\b({'|'.join(_NAMES)})="
    r"(\([^()]*\)|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s,;:()]*)"
)
# In s: so long windows are looked at before spikes are counted.
_LONG = 20.0
# No window is so many times as long as the longest trial, unless it is not in seconds.
_TOO_LONG = 10.0

Call = tuple[str, tuple[Any, ...], dict[str, Any]]


class Reading(NamedTuple):
    """Calls that read the trials of a file.

    Attributes
    ----------
    reader : callable
        A function of `sklearn_jedi.io`.
    path : Path
    settings : dict
        Its further arguments.
    then : list
        Methods that the `TrialSet` goes through after that, and their arguments.
    """

    reader: Callable[..., TrialSet]
    path: Path
    settings: dict[str, Any]
    then: list[Call]

    def trials(self) -> TrialSet:
        """Read them.

        Raises
        ------
        ValueError, OSError
            If they cannot be read; messages name options of the command.
        """
        try:
            self._check_long_window()
            trials = self.reader(self.path, **self.settings)
            for method, args, settings in self.then:
                if method == "crop":
                    _check_crop(trials, *args)
                trials = getattr(trials, method)(*args, **settings)
        except ValueError as error:
            raise ValueError(with_options(str(error))) from error
        return trials

    def lines(self) -> str:
        """The same in Python."""
        name = self.reader.__name__
        calls = [(name, (str(self.path),), self.settings), *self.then]
        lines = [f"from sklearn_jedi.io import {name}", ""]
        for number, (function, args, settings) in enumerate(calls):
            given = [repr(arg) for arg in args]
            given += [f"{k}={v!r}" for k, v in settings.items()]
            start = "trials." if number else ""
            text = f"trials = {start}{function}({', '.join(given)})"
            if len(text) > 88:
                inside = "".join(f"    {one},\n" for one in given)
                text = f"trials = {start}{function}(\n{inside})"
            lines.append(text)
        return "\n".join(lines)

    def _check_long_window(self) -> None:
        """Refuse windows that are far longer than trials, which fill memory first."""
        window = self.settings.get("window", ())
        numbers = [end for end in window if isinstance(end, float)]
        if len(numbers) < 2 or not _LONG < (length := numbers[1] - numbers[0]) < np.inf:
            return
        coarse = {**self.settings, "bin_size": length / 1000}
        trials = self.reader(self.path, **coarse)
        table = trials.table
        if {"start_time", "stop_time"} <= {*table}:
            lasting = (table["stop_time"] - table["start_time"]).max()
        else:  # each trial has spikes of its own: how long they last
            fires = np.any([np.nan_to_num(x).any(1) for x in trials.X], axis=0)
            lasting = np.ptp(np.flatnonzero(fires)) + 1 if fires.any() else 1000
            lasting = lasting * length / 1000
        _refuse_other_unit(numbers[0], numbers[1], float(lasting))


def reading_of(args: argparse.Namespace) -> Reading:
    """How the file of the command is read, by its kind.

    Raises
    ------
    ValueError
        If it is of none that the command reads, or an option is of another kind.
    """
    kind = args.file.suffix.lower()
    if kind not in _OPTIONS:
        raise ValueError(
            f"{str(args.file)!r} is not an .nwb, .npz or .mat file: other files are "
            "read in Python, and go to sklearn_jedi.report.make_report"
        )
    _refuse_options(args, kind)
    window = None if args.window is None else tuple(map(_end, args.window))
    spikes = {"window": window or WINDOW, "bin_size": args.bin_size or BIN_SIZE}
    chosen = {"trials": args.trials, "units": args.units}
    if kind == ".nwb":
        settings = {"align": args.align or "start_time", **spikes, **chosen}
        return Reading(trials_from_nwb, args.file, _given(settings), [])
    names = (name for name in _OPTIONS[kind] if name not in ("align", "bin_size"))
    settings = {name: getattr(args, name) for name in names}
    settings["dims"] = None if args.dims is None else tuple(args.dims)
    settings |= chosen
    then: list[Call] = []
    if kind == ".mat" and args.spike_times:
        settings |= {"align": args.align, **spikes}
    elif window is not None:
        if not all(isinstance(end, float) for end in window):
            raise ValueError(
                f"--window of {str(args.file)!r} needs two times in seconds within its "
                f"trials, which are cut already; got {' '.join(args.window)}"
            )
        then.append(("crop", window, {}))
    reader = trials_from_npz if kind == ".npz" else trials_from_mat
    return Reading(reader, args.file, _given(settings), then)


def with_options(message: str) -> str:
    """A message with the options of the command for parameters of Python."""

    def option(found: re.Match[str]) -> str:
        name, value = found[1].replace("_", "-"), found[2]
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            value = tuple(value.strip("()").replace(",", " ").split())
        values = value if isinstance(value, tuple) else (value,)
        return " ".join([f"--{name}", *(shlex.quote(str(one)) for one in values)])

    return _PARAMETER.sub(option, message)


def _check_crop(trials: TrialSet, begin: float, end: float) -> None:
    """Say how far a window exceeds trials that are cut already."""
    half = trials.dt / 2
    first, last = trials.time[0] - half, trials.time[-1] + half
    if begin >= end or begin > last or end < first:
        return  # crop says so
    _refuse_other_unit(begin, end, last - first)
    if begin < first - half or end > last + half:
        warn_user(
            f"--window {begin:g} {end:g} exceeds the trials, which last from "
            f"{first:g} to {last:g} s: what there is of it is taken"
        )


def _refuse_other_unit(begin: float, end: float, lasting: float) -> None:
    if end - begin > _TOO_LONG * lasting:
        raise ValueError(
            f"--window {begin:g} {end:g} exceeds the trials: it is {end - begin:g} s "
            f"long, and they last {lasting:.3g} s at most. Windows are in seconds: "
            f"{end:g} ms is {end / 1000:g}"
        )


def _refuse_options(args: argparse.Namespace, kind: str) -> None:
    """Options that a kind of file does not take."""
    takes = set(_OPTIONS[kind])
    why = f"{kind} files do not take it"
    if kind == ".mat" and not args.spike_times:
        takes -= {"align", "bin_size"}
        why = "without --spike-times trials are cut already"
    for name in sorted(set().union(*_OPTIONS.values()) - takes):
        if getattr(args, name) is not None:
            raise ValueError(
                f"--{name.replace('_', '-')} was given, but {str(args.file)!r} is "
                f"read without: {why}"
            )


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _end(text: str) -> float | str:
    """An end of the window: seconds, or a column."""
    try:
        return float(text)
    except ValueError:
        return text
