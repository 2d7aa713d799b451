"""Where EM for noisy recordings starts: dynamics in closed form, from first states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sklearn_jedi._data._trials import Block
from sklearn_jedi._engine import _bilinear_em, _moments
from sklearn_jedi._engine._bilinear_em import BilinearModel
from sklearn_jedi._networks._equation import Equation

_EM_ROUNDS = 5
_LONGEST_WINDOW = 5
# Trials whose residuals tell how long they are correlated.
_INFLATION_TRIALS = 32


class Projected(NamedTuple):
    """A block, and the drives and features of its first states.

    Attributes
    ----------
    block : Block
    drives : array of shape (n_trials, n_timepoints - 1, rank)
    features : array of shape (n_trials, n_timepoints - 1, K)
    """

    block: Block
    drives: np.ndarray
    features: np.ndarray

    @property
    def keep(self) -> np.ndarray:
        """Steps (n_trials, n_timepoints - 1) that end within their trial."""
        return self.block.within[:, 1:]

    def moments(self, window: int) -> _moments.Moments:
        window = min(window, self.drives.shape[1])
        moments = _moments.trial_moments(self.drives, self.features, window, self.keep)
        return moments.grouped(self.block)


def first_dynamics(
    blocks: Sequence[Projected],
    equation: Equation,
    embedding_dim: int,
    *,
    ridge: float,
    change_rank: int | None,
) -> tuple[BilinearModel, np.ndarray]:
    """Weights affine in embeddings, and the covariance (rank, rank) of step errors.

    Axes that the states do not support are left out.
    """
    longest = max(int(part.block.lengths.max()) for part in blocks)
    window = max(1, min(longest // 3, _LONGEST_WINDOW))
    bilinear = _bilinear_em.fit_bilinear(
        _moments.concatenate([part.moments(window) for part in blocks]),
        embedding_dim,
        ridge=ridge,
        inflation=_inflation(blocks, window),
        max_iter=_EM_ROUNDS,
        change_rank=change_rank,
    )
    supported = bilinear.A[1:].any((1, 2))
    bilinear = bilinear._replace(A=bilinear.A[np.r_[True, supported]])
    rank = bilinear.A.shape[2]
    scatter, n_steps = np.zeros((rank, rank)), 0
    for part in blocks:
        c = _bilinear_em.posterior(part.moments(1), bilinear)[0]
        error = part.drives - part.features @ bilinear.weights(c)[part.block.group]
        error = equation.step(0.0, error[part.keep])
        scatter, n_steps = scatter + error.T @ error, n_steps + len(error)
    return bilinear, scatter / max(n_steps, 1)


def _inflation(blocks: Sequence[Projected], window: int) -> float:
    """Serial inflation of the residuals, from the first trials.

    As many trials whatever the blocks are, so that results do not depend on them.
    """
    n_steps = max(part.drives.shape[1] for part in blocks)

    def first(arrays: Sequence[np.ndarray]) -> np.ndarray:
        padded = []
        for array in arrays:
            width = [(0, 0)] * array.ndim
            width[1] = (0, n_steps - array.shape[1])
            padded.append(np.pad(array, width))
        return np.concatenate(padded)[:_INFLATION_TRIALS]

    return _bilinear_em.step_inflation(
        first([part.drives for part in blocks]),
        first([part.features for part in blocks]),
        window,
        first([part.keep for part in blocks]),
    )
