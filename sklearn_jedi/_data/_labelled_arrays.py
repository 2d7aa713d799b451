"""Labelled arrays (xarray): read by the names of their axes, and labelled on return.

xarray is never imported here: whoever passes a `DataArray` has it. Of what comes back
the declared type is that of plain arrays, which a `DataArray` stands in for.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard, TypeVar

import numpy as np

DIMS = ("trial", "time", "neuron")

AnyTrials = TypeVar("AnyTrials")


class Labelled(Protocol):
    """What is used of an `xarray.DataArray`."""

    dims: tuple[str, ...]
    coords: Any
    ndim: int

    def transpose(self, *dims: str) -> Any: ...

    def copy(self, *, data: np.ndarray) -> Any: ...


def is_labelled(X: object) -> TypeGuard[Labelled]:
    """Whether X is an `xarray.DataArray` of trials."""
    return (
        hasattr(X, "dims")
        and hasattr(X, "coords")
        and hasattr(X, "ndim")
        and X.ndim == 3
    )


def in_order(X: AnyTrials) -> AnyTrials:
    """Trials by time by neurons, where axes have these names; others stay in order."""
    array: object = X
    if not is_labelled(array):
        return X
    dims = array.dims
    if set(dims) == set(DIMS):
        ordered: AnyTrials = array.transpose(*DIMS)
        return ordered
    misplaced = [d for d in DIMS if d in dims and dims.index(d) != DIMS.index(d)]
    if misplaced:
        raise ValueError(
            f"X has the dimensions {dims}; {misplaced[0]!r} is not where it is read: "
            "rename them to trial, time and neuron (any order), or transpose"
        )
    return X


def neuron_names(X: object) -> list[object] | None:
    """Labels of the neurons, where the array has them."""
    if not is_labelled(X):
        return None
    name = in_order(X).dims[2]
    # of a dimension without coordinates xarray would make up 0, 1, ...
    return list(X.coords[name].values.tolist()) if name in X.coords else None


def like(X: object, values: np.ndarray) -> np.ndarray:
    """Values in the order trial, time, neuron, labelled as X is."""
    if not is_labelled(X):
        return values
    labelled: np.ndarray = in_order(X).copy(data=values).transpose(*X.dims)
    return labelled


def ahead_of(X: object, values: np.ndarray) -> np.ndarray:
    """The time points after those of X, (n_trials, n_steps, n_neurons), labelled.

    Their times go on from the last of X in its own steps. They have none where X has
    none, or where trials end at different times.
    """
    if not is_labelled(X):
        return values
    ordered: Any = in_order(X)
    time, n_steps = ordered.dims[1], values.shape[1]
    # what was recorded along time cannot be known ahead
    along = [name for name, labels in ordered.coords.items() if time in labels.dims]
    new = ordered.drop_vars(along).isel({time: 0}).expand_dims({time: n_steps}, axis=1)
    new = new.copy(data=values)
    last = np.asarray(ordered.isel({time: -1}), dtype=float)
    if time in along and not np.isnan(last).all(1).any():
        known = ordered.coords[time].values
        steps = np.arange(1, n_steps + 1) * (known[-1] - known[-2])
        new = new.assign_coords({time: known[-1] + steps})
    labelled: np.ndarray = new.transpose(*X.dims)
    return labelled
