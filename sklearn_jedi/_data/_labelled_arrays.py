"""Labelled arrays (xarray): read by the names of their axes, and labelled on return.

xarray is never imported here: whoever passes a `DataArray` has it. Of what comes back
the declared type is that of plain arrays, which a `DataArray` stands in for.
"""

from __future__ import annotations

import re
from typing import Any, Protocol, TypeGuard, TypeVar

import numpy as np

DIMS = ("trial", "time", "neuron")
# Other names of the axes: the first word of a dimension, in the singular.
_ALSO = {
    "trial": (
        *("condition", "epoch", "presentation", "repeat"),
        *("repetition", "segment", "stimulus", "sweep"),
    ),
    "time": ("bin", "frame", "sample", "t", "timebin", "timepoint", "timestep"),
    "neuron": (
        *("cell", "channel", "electrode", "feature"),
        *("neuroid", "node", "region", "roi", "unit"),
    ),
}

AnyTrials = TypeVar("AnyTrials")


class Labelled(Protocol):
    """What is used of an `xarray.DataArray`."""

    dims: tuple[str, ...]
    coords: Any
    indexes: Any
    attrs: Any
    ndim: int

    def transpose(self, *dims: str) -> Any: ...

    def copy(self, *, data: np.ndarray) -> Any: ...


def is_labelled(X: object) -> TypeGuard[Labelled]:
    """Whether X is an `xarray.DataArray`: of trials, or one trial."""
    return (
        hasattr(X, "dims")
        and hasattr(X, "coords")
        and hasattr(X, "ndim")
        and not hasattr(X, "data_vars")
    )


def axis_named(X: Labelled, role: str) -> str | None:
    """The dimension of trials, time or neurons; None where no name tells which."""
    if X.ndim == 2 and role != "trial":
        return _roles(X.dims, DIMS[1:]).get(role)
    return _roles(X.dims, DIMS if X.ndim == 3 else DIMS[:2]).get(role)


def in_order(X: AnyTrials, *, one_trial: bool = False) -> AnyTrials:
    """Trials by time by neurons; of two axes, trials by time, or those of one trial.

    Raises
    ------
    ValueError
        If the names of the axes do not tell which is which.
    """
    array: object = X
    if not is_labelled(array) or array.ndim not in (2, 3):
        return X
    dims = array.dims
    needed = DIMS if array.ndim == 3 else DIMS[1:] if one_trial else DIMS[:2]
    if array.ndim == 2 and not one_trial and "neuron" in map(role_of, dims):
        raise ValueError(
            f"X has the dimensions {dims}: pass a list with such an array for each "
            "trial, or one array with the dimensions trial, time and neuron"
        )
    roles = _roles(dims, needed)
    missing = [role for role in needed if role not in roles]
    if missing:
        left = [dim for dim in dims if dim not in roles.values()]
        example = dict(zip(left, missing, strict=False))
        raise ValueError(
            f"X has the dimensions {dims}, which do not tell {', '.join(needed)} "
            f"apart: rename them, such as X.rename({example}); their order is free"
        )
    ordered: AnyTrials = array.transpose(*(roles[role] for role in needed))
    return ordered


def _roles(dims: tuple[str, ...], needed: tuple[str, ...]) -> dict[str, str]:
    """Which dimension has what is needed; exact names go first."""
    if all(re.fullmatch(r"dim_\d", str(dim)) for dim in dims):
        # nobody gave names: xarray numbered the axes as they were
        return dict(zip(needed, sorted(dims), strict=False))
    roles = {dim: dim for dim in needed if dim in dims}
    for dim in dims:
        role = role_of(dim)
        if role in needed and role is not None:
            roles.setdefault(role, dim)
    missing = [role for role in needed if role not in roles]
    left = [dim for dim in dims if dim not in roles.values()]
    if len(missing) == len(left) == 1 and role_of(left[0]) is None:
        roles[missing[0]] = left[0]  # one axis is left, and one name
    return roles


def role_of(dim: object) -> str | None:
    """trial, time or neuron, if the first word of a name says so."""
    word = re.split("[^a-z]", str(dim).strip().lower().removeprefix("n_"))[0]
    for role, names in _ALSO.items():
        if {word, word.removesuffix("s")} & {role, *names}:
            return role
    return None


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
