"""Trials by the neurons that they are of, and what is predicted of them in one form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._data._forms import Activity, TrialsLike, is_2d, is_list, unwrap
from sklearn_jedi._data._gate_of_sessions import UNNAMED, Label
from sklearn_jedi._data._labelled_arrays import ahead_of
from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._models import _predictions
from sklearn_jedi._models._model import Model
from sklearn_jedi._utils._threads import on_cores

Pieces = Iterator[tuple[Block, np.ndarray]]


class Part(NamedTuple):
    """Trials of the same neurons, and what they are understood with.

    Attributes
    ----------
    label : int, float, str or None
        The session; `UNNAMED` where all trials are of the same neurons.
    rows : int array of shape (n_trials,)
        Which trials of X these are.
    given : Trials
        As they were handed over.
    trials : Trials
        As the model takes them.
    model : Model
    """

    label: Label
    rows: np.ndarray
    given: Trials
    trials: Trials
    model: Model


def written(
    pieces: Callable[[Model, Trials], Pieces],
    parts: Sequence[Part],
    n_columns: int | None = None,
    n_jobs: int | None = None,
) -> Activity:
    """What is predicted of the trials of all parts, in the order of X; NaN elsewhere.

    Parameters
    ----------
    pieces : callable
        From a model and trials to blocks and their values.
    n_columns : int, default=None
        Of the values; None: one for each neuron.
    n_jobs : int, default=None
        Of the estimator.
    """
    out: dict[int, np.ndarray] = {}
    for part in parts:
        own = part.given.blank(n_columns)
        with on_cores(n_jobs, part.trials.n_neurons):
            _predictions.write(pieces(part.model, part.trials), part.trials, own)
        if len(parts) == 1:
            return own
        out.update(zip(part.rows.tolist(), own, strict=True))
    return [out[row] for row in range(len(out))]


def in_form_ahead(
    X: TrialsLike, parts: Sequence[Part], ahead: list[np.ndarray]
) -> Activity:
    """Forecasts of the trials of each part, in the order and form of X."""
    if parts[0].label is UNNAMED:
        whole = ahead[0]
    else:
        rows = np.concatenate([part.rows for part in parts])
        trials = [trial for of_part in ahead for trial in of_part]
        in_order = [trials[k] for k in np.argsort(rows)]
        if is_list(unwrap(X)) or len({trial.shape for trial in in_order}) > 1:
            return in_order
        whole = np.stack(in_order)
    return whole[..., 0] if is_2d(X) else ahead_of(X, whole)


def check_embeddings(Z: ArrayLike, n_axes: int) -> np.ndarray:
    """Embeddings as a finite array of shape (n_networks, n_axes)."""
    try:
        embeddings = np.asarray(Z, dtype=np.float64)
    except ValueError as error:
        raise ValueError(
            f"Z must have shape (n_networks, {n_axes}), as transform returns it: "
            f"{error}"
        ) from None
    if embeddings.ndim != 2 or embeddings.shape[1] != n_axes:
        raise ValueError(
            f"Z must have shape (n_networks, {n_axes}), as transform returns it; "
            f"got {embeddings.shape}"
        )
    if not np.isfinite(embeddings).all():
        raise ValueError("Z contains NaN or infinity")
    return embeddings
