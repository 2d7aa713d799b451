"""Parts of trials as trials of their own."""

from __future__ import annotations

import numpy as np

from sklearn_jedi._data._trials import Block


def part(block: Block, begin: np.ndarray, length: np.ndarray) -> Block:
    """Of each trial of a block so many time points from `begin` on.

    Parameters
    ----------
    begin, length : int arrays of shape (n_trials,)
    """
    offset = np.arange(max(int(length.max()), 2))
    bins = np.minimum(begin[:, None] + offset, block.values.shape[1] - 1)
    rows = np.arange(len(length))[:, None]
    values, inside = block.values[rows, bins], offset < length[:, None]
    recorded = np.broadcast_to(inside[..., None], values.shape)
    if block.recorded is not None:
        recorded = recorded & block.recorded[rows, bins]
    of_part = block._replace(values=values, recorded=recorded, lengths=length)
    if recorded.all():
        return of_part._replace(recorded=None)
    return of_part._replace(values=values * recorded)
