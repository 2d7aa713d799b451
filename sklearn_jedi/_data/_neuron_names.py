"""Names of neurons: where trials carry them, and whether they are the same."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from sklearn_jedi._data._labelled_arrays import axis_named, is_labelled
from sklearn_jedi._data._numbers import is_missing, text_of
from sklearn_jedi._utils._plain import as_objects

Name = str | int | float | tuple[Any, ...] | None


def plain_name(name: Any) -> Name:
    """A name as Python's own: integers stay integers, text text, tuples tuples.

    Tuples are what pandas and xarray make of several columns or coordinates, such as
    probe and unit. Missing names are None, any other objects their text.
    """
    if isinstance(name, (tuple, list)):
        return tuple(plain_name(part) for part in name)
    if isinstance(name, np.generic):
        name = name.item()
    if isinstance(name, bytes):
        return text_of(name)
    if is_missing(name):
        return None
    if isinstance(name, int) or (isinstance(name, float) and math.isfinite(name)):
        return name
    return str(name)


def as_names(names: Iterable[Any]) -> np.ndarray:
    """Names as a 1-D array of objects, also where they are tuples, or JSON's lists."""
    return as_objects(plain_name(name) for name in names)


def neuron_names(X: Any) -> list[Name] | None:
    """Names of the neurons of one trial, or of a labelled array of trials, if any."""
    if is_labelled(X):
        name = axis_named(X, "neuron")
        # of a dimension without coordinates xarray would make up 0, 1, ...
        if name is None or name not in X.coords:
            return None
        return [plain_name(label) for label in X.coords[name].values.tolist()]
    columns = getattr(X, "columns", None)
    if columns is None or callable(columns):
        return None
    return [plain_name(column) for column in columns] or None


def check_names(
    known: Iterable[Any] | None, named: dict[str, list[Name]], n_neurons: int | None
) -> list[Name] | None:
    """Hold the names of neurons in trials against each other and those of `fit`.

    Parameters
    ----------
    known : names or None
        Those of `fit`; None: there were none, or this is `fit`.
    named : dict of lists
        What messages call the trials, and the names of their neurons.
    n_neurons : int or None
        Neurons of a fit without names; None: this is `fit`.

    Returns
    -------
    list or None
        The names that hold.

    Raises
    ------
    ValueError
        If neurons are not the same, or in another order.
    """
    if not named:
        return None
    if known is not None:
        expected, since = list(known), "fit"
    elif n_neurons is None:
        named_so = [names for names in named.values() if not _is_numbering(names)]
        expected, since = [*named_so, *named.values()][0], "the first trial"
    else:  # numbers say where a neuron stood in fit; other names say nothing
        expected, since = list(range(n_neurons)), "fit"
        named = {w: names for w, names in named.items() if set(names) == set(expected)}
    for what, names in named.items():
        check_same(names, expected, f"the units of {what}", since)
    return expected


def check_same(names: list[Name], expected: list[Name], what: str, since: str) -> None:
    """Raise where names differ; 0, 1, 2, ... beside text are no names.

    Parameters
    ----------
    names, expected : lists
        Where they differ in number, that is for others to say.
    what, since : str
        What messages call those of `names`, and where the expected ones are from.
    """
    if names == expected or len(names) != len(expected):
        return
    for one, other in ((names, expected), (expected, names)):
        if _is_numbering(one) and not any(isinstance(x, (int, float)) for x in other):
            return
    pairs = zip(names, expected, strict=True)
    found, instead = next((a, b) for a, b in pairs if a != b)
    raise ValueError(
        f"{what} are not those of {since}, or in another order (the first that "
        f"differs: {found!r}, for {instead!r}); select the same ones in the same "
        "order, or pass plain arrays if only the names differ"
    )


def _is_numbering(names: list[Name]) -> bool:
    return names == list(range(len(names)))
