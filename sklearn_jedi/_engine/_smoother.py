r"""States and embeddings inferred together from noisy recordings.

The state of the network stays in the span of `P`: `x = P z + d`, and

    z[t+1] = step(z[t], A(c)^T [Q^T phi(x[t]); 1]) + noise,
    y[t] ~ likelihood(C [z[t]; 1]),

with the `step` of `Equation`, where `C` is `[P, d]` if the recorded neurons are the
units of the network, with Gaussian priors on `z[0]` and `c`. The posterior mode of all
states of a trial and of its embedding is found by Gauss and Newton's method, an
iterated Kalman smoother [1]_, [2]_: the Hessian is block tridiagonal in the states,
with a border for the embedding. Its inverse at the mode is the posterior covariance
(Laplace's approximation). It is Gauss and Newton's Hessian, from first derivatives of
the steps alone: exact where these are linear in states and embedding. Each group of
trials converges by itself.

References
----------
.. [1] Bell, "The iterated Kalman smoother as a Gauss-Newton method", SIAM Journal on
   Optimization 4 (1994).
.. [2] Paninski et al., "A new look at state-space models for neural data", Journal of
   Computational Neuroscience 29 (2010).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sklearn_jedi._data._trials import Block
from sklearn_jedi._engine._banded import BlockTridiagonal, NotPositiveDefiniteError
from sklearn_jedi._engine._likelihoods import Terms
from sklearn_jedi._engine._reduction import Rows
from sklearn_jedi._engine._smoothed import Smoothed
from sklearn_jedi._engine._state_space import StateSpace

_MAX_HALVINGS = 12
# Steps for which embeddings are held at a start, before starts are compared.
_HELD = 3
# Groups that still move go on by themselves when they are less than this share.
_FEW = 0.5
# In nats: what another start has to gain, for results not to hang on rounding.
_WORTH = 1e-3
# Of finite differences, in standard deviations of the embedding.
_DIFFERENCE = 0.1


def smooth(
    model: StateSpace,
    block: Block,
    z: np.ndarray | None = None,
    c: np.ndarray | None = None,
    *,
    max_iter: int = 50,
    n_held: int = 0,
    tol: float = 1e-7,
    marginal: bool = False,
    terms: Terms | None = None,
) -> Smoothed:
    """Posterior mode and covariance of the states and embeddings of a block.

    Parameters
    ----------
    model : StateSpace
    block : Block
        Trials as the model's likelihood takes them.
    z : array of shape (n_trials, n_timepoints, rank), default=None
        Where to start; None: where a random walk of the states would be.
    c : array of shape (n_groups, embedding_dim), default=None
        Where to start; None: the prior's mean, zero.
    max_iter : int
        Gauss-Newton steps; a group that still moves then has not converged.
    n_held : int
        First steps in which the embeddings are held where they start.
    tol : float
        A group is done when a full step raises its log posterior by less.
    marginal : bool
        Move from the joint mode of states and embeddings towards the mode of the
        embeddings' own posterior, the states integrated out, by one Newton step.
    terms : Terms, default=None
        The log likelihood; None: the model's.
    """
    apart = terms is None
    if terms is None:
        terms = model.likelihood.terms(model.loading, block)
    problem = _Problem(model, block, terms)
    if z is None:
        z = problem.random_walk()
    if c is None:
        c = np.zeros((block.n_groups, model.map.n_axes))
    here = problem.at(z, c)
    active = np.ones(block.n_groups, dtype=bool)
    for n_iter in range(max_iter + 1):
        held = n_iter < n_held
        step = problem.newton_step(here, held=held)
        active &= ~(step.gain < tol) | held
        if n_iter == max_iter or not active.any():
            break
        few = apart and 0 < active.mean() < _FEW
        if few and n_held <= n_iter:
            rows = np.flatnonzero(active[block.group])
            rest = smooth(
                model,
                block.take(rows),
                here.z[rows],
                here.c[active],
                max_iter=max_iter - n_iter,
                tol=tol,
            )
            z, c = here.z.copy(), here.c.copy()
            z[rows], c[active] = rest.z, rest.c
            active[active] = ~rest.converged
            here = problem.at(z, c)
            step = problem.newton_step(here)
            break
        size = active.astype(float)
        short = active.copy()
        for _ in range(_MAX_HALVINGS):
            with np.errstate(over="ignore", invalid="ignore"):
                tried = problem.at(
                    here.z + size[block.group, None, None] * step.z,
                    here.c + size[:, None] * step.c,
                )
            # a step that only rounding could tell from none counts as one
            slack = 1e-12 * np.abs(here.cost)
            short &= ~(tried.cost <= here.cost - 1e-4 * size * step.gain + slack)
            if not short.any():
                break
            size[short] *= 0.5
        else:
            size[short] = 0.0
            active &= ~short
            tried = problem.at(
                here.z + size[block.group, None, None] * step.z,
                here.c + size[:, None] * step.c,
            )
        here = tried
    if marginal and model.map.n_axes:
        c = here.c + problem.marginal_shift(here, step)
        moved = problem.along(here, step, c - here.c)
        step = problem.newton_step(moved)
        here = problem.at(moved.z + step.alone, c)
    return Smoothed(
        here.z,
        here.c,
        step.cov,
        ~active,
        problem.log_evidence(here, step),
        step.hessian,
        step.response,
        block.group,
    )


def smooth_from(
    model: StateSpace, block: Block, starts: np.ndarray, *, marginal: bool = False
) -> Smoothed:
    """`smooth` from the one of several embeddings that has the most evidence.

    Each group has its own; states find their way with the embeddings held.

    Parameters
    ----------
    starts : array of shape (n_starts, embedding_dim)
    """
    if len(starts) == 1:
        c = np.tile(starts[0], (block.n_groups, 1))
        return smooth(model, block, c=c, marginal=marginal)
    best: Smoothed | None = None
    for start in starts:
        c = np.tile(start, (block.n_groups, 1))
        found = smooth(model, block, c=c, n_held=_HELD, max_iter=_HELD)
        if best is None:
            best = found
            continue
        better = found.log_evidence > best.log_evidence + _WORTH
        best = best._replace(
            z=np.where(better[block.group, None, None], found.z, best.z),
            c=np.where(better[:, None], found.c, best.c),
            log_evidence=np.where(better, found.log_evidence, best.log_evidence),
        )
    assert best is not None
    return smooth(model, block, best.z, best.c, marginal=marginal)


class _Point(NamedTuple):
    """States and embeddings, and what the network makes of them."""

    z: np.ndarray
    c: np.ndarray
    cost: np.ndarray
    error: np.ndarray
    first: np.ndarray
    features: np.ndarray
    slope: Callable[[], np.ndarray]
    weights: np.ndarray
    slopes: np.ndarray


class _Step(NamedTuple):
    """A Gauss-Newton step, that of the states alone, the Hessian; see `Smoothed`."""

    gain: np.ndarray
    z: np.ndarray
    c: np.ndarray
    alone: np.ndarray
    cov: np.ndarray
    hessian: BlockTridiagonal
    response: np.ndarray


class _Blocks(NamedTuple):
    """Blocks of the Hessian, and the derivatives of the step errors they come from."""

    diagonal: np.ndarray
    below: np.ndarray
    state_t: np.ndarray
    toward: np.ndarray


class _Problem:
    """Negative log posterior of a block, per group, and its Gauss-Newton steps."""

    def __init__(self, model: StateSpace, block: Block, terms: Terms) -> None:
        self.model = model
        self.block = block
        # steps that end within the trial; states beyond it have no effect
        self.live = block.within[:, 1:]
        self.whiten = np.linalg.cholesky(np.linalg.inv(model.step_cov))
        self.whiten_first = np.linalg.cholesky(np.linalg.inv(model.first_cov))
        self.terms = terms

    def random_walk(self) -> np.ndarray:
        """One Newton step towards the mode of states (n_trials, T, rank) that wander.

        Their steps are as large as the network's noise and the decay of a state are
        together. It is a start that knows the recording, but not the dynamics.
        """
        model = self.model
        n, T = self.block.values.shape[:2]
        rank = len(model.first_mean)
        z = np.tile(model.first_mean, (n, T, 1))
        decay = model.red.equation.alpha**2 * model.first_cov
        steps = np.linalg.inv(model.step_cov + decay) * self.live[..., None, None]
        toward, curvature = self.terms.slopes(z)
        diagonal = np.empty((n, T, rank, rank))
        diagonal[:] = curvature
        diagonal[:, 0] += self.whiten_first @ self.whiten_first.T
        diagonal[:, 1:] += steps + np.eye(rank) * ~self.live[..., None, None]
        diagonal[:, :-1] += steps
        walk = self._factored(diagonal, -steps)
        moved = walk.solve(toward.reshape(n, T * rank, 1)).reshape(z.shape)
        # where likelihoods bend, a whole step can lead far beyond the mode
        before, share = self.terms.cost(z), np.ones(n)
        for _ in range(3):
            with np.errstate(over="ignore", invalid="ignore"):
                after = self.terms.cost(z + share[:, None, None] * moved)
            share[~(after < before)] *= 0.5
        share[~(after < before)] = 0.0
        z += share[:, None, None] * moved
        return z

    def at(self, z: np.ndarray, c: np.ndarray) -> _Point:
        """The negative log posterior (n_groups,), up to a constant, and its parts."""
        red, group = self.model.red, self.block.group
        weights, slopes = self.model.map.weights_and_slopes(c)
        features, slope = red.features(self.model.activity(z[:, :-1]))
        features = Rows.design(features)
        drive = features @ weights[group] + red.mean_in
        error = z[:, 1:] - red.equation.step(z[:, :-1], drive)
        error = (error @ self.whiten) * self.live[..., None]
        first = (z[:, 0] - self.model.first_mean) @ self.whiten_first
        trial = self.terms.cost(z)
        trial = trial + 0.5 * ((error**2).sum((1, 2)) + (first**2).sum(1))
        cost = self.block.sum_groups(trial) + 0.5 * (c**2).sum(1)
        return _Point(z, c, cost, error, first, features, slope, weights, slopes)

    def along(self, at: _Point, step: _Step, move: np.ndarray) -> _Point:
        """The point with embeddings moved, and states along with them."""
        states = (step.response @ move[self.block.group][..., None])[..., 0]
        return self.at(at.z - states.reshape(at.z.shape), at.c + move)

    def marginal_shift(self, at: _Point, step: _Step) -> np.ndarray:
        """From the joint mode towards the mode of the embeddings alone (n_groups, d).

        Integrating the states out adds half the log determinant of their Hessian to the
        negative log posterior. The shift is no longer than a standard deviation.
        """
        sd = np.sqrt(np.einsum("gjj->gj", step.cov))
        slope = np.empty_like(at.c)
        for j in range(slope.shape[1]):
            move = np.zeros_like(at.c)
            move[:, j] = _DIFFERENCE * sd[:, j]
            up, down = (
                self._log_det(self.along(at, step, sign * move)) for sign in (1, -1)
            )
            slope[:, j] = 0.5 * (up - down) / (2 * move[:, j])
        shift = -(step.cov @ slope[..., None])[..., 0]
        length = np.sqrt(-np.sum(slope * shift, 1))
        result: np.ndarray = shift / np.maximum(length, 1.0)[:, None]
        return result

    def log_evidence(self, at: _Point, step: _Step) -> np.ndarray:
        """(n_groups,), by Laplace's approximation at the mode, up to a constant [3]_.

        References
        ----------
        .. [3] MacKay, "Information theory, inference, and learning algorithms" (2003),
           chapter 27.
        """
        trial = self.live.sum(1) * _log_det(self.whiten) + _log_det(self.whiten_first)
        trial = trial - 0.5 * step.hessian.log_det()
        embeddings = 0.5 * np.linalg.slogdet(step.cov)[1]
        result: np.ndarray = self.block.sum_groups(trial) + embeddings - at.cost
        return result

    def _log_det(self, at: _Point) -> np.ndarray:
        """Log determinant (n_groups,) of the Hessian with respect to the states."""
        blocks = self._blocks(at)
        hessian = self._factored(blocks.diagonal, blocks.below)
        return self.block.sum_groups(hessian.log_det())

    def _factored(self, diagonal: np.ndarray, below: np.ndarray) -> BlockTridiagonal:
        try:
            return BlockTridiagonal(diagonal, below)
        except NotPositiveDefiniteError as error:
            trial = self.block.numbers[error.number]
            raise ValueError(
                f"the states of trial {trial} cannot be inferred: its recording is too "
                "far from what the model can produce, or too large for the numbers of "
                f"the computer (the Hessian of its posterior: {error.what}); check the "
                "unit of X, or leave the trial out"
            ) from error

    def _blocks(self, at: _Point) -> _Blocks:
        """Of the Hessian of the states alone."""
        group, red, P = self.block.group, self.model.red, self.model.red.P
        n, T, rank = at.z.shape
        live = self.live[..., None, None]
        # whitened derivatives of the step errors by the state before, negative
        inner = red.Q @ (Rows.of(at.weights).features @ self.whiten)
        inner = (inner[:, :, :, None] * P[:, None, :]).reshape(len(at.c), len(P), -1)
        by_state = (at.slope() @ inner[group]).reshape(n, T - 1, rank, rank)
        by_state = red.equation.step(self.whiten.T, by_state) * live
        state_t = np.swapaxes(by_state, 2, 3)
        toward, curvature = self.terms.slopes(at.z)
        diagonal = np.empty((n, T, rank, rank))
        diagonal[:] = curvature
        diagonal[:, 0] += self.whiten_first @ self.whiten_first.T
        diagonal[:, 1:] += self.whiten @ self.whiten.T * live
        diagonal[:, 1:] += np.eye(rank) * ~live  # states beyond the end: any number
        diagonal[:, :-1] += state_t @ by_state
        return _Blocks(diagonal, -self.whiten @ by_state, state_t, toward)

    def newton_step(self, at: _Point, *, held: bool = False) -> _Step:
        """Solve the normal equations: the states by band, the embeddings by border.

        Where embeddings are held, the step is that of the states alone.
        """
        block, group, error = self.block, self.block.group, at.error
        n, T, rank = at.z.shape
        d = at.c.shape[1]
        diagonal, below, state_t, toward = self._blocks(at)
        moved = np.moveaxis(at.slopes @ self.whiten, 1, 3)  # (n_groups, K, rank, d)
        moved = moved.reshape(len(at.c), moved.shape[1], rank * d)
        by_embedding = (at.features @ moved[group]).reshape(n, T - 1, rank, d)
        by_embedding = self.model.red.equation.step(0.0, by_embedding)
        by_embedding *= self.live[..., None, None]
        border = np.zeros((n, T, rank, d))
        border[:, 1:] -= self.whiten @ by_embedding
        border[:, :-1] += state_t @ by_embedding
        side = border.reshape(n, T * rank, d)

        toward[:, 0] -= at.first @ self.whiten_first.T
        toward[:, 1:] -= error @ self.whiten.T
        toward[:, :-1] += (state_t @ error[..., None])[..., 0]
        toward = toward.reshape(n, T * rank)
        flat = by_embedding.reshape(n, (T - 1) * rank, d)
        flat_t = np.swapaxes(flat, 1, 2)
        toward_c = (flat_t @ error.reshape(n, -1, 1))[..., 0]

        hessian = self._factored(diagonal, below)
        solved = hessian.solve(np.concatenate([toward[..., None], side], 2))
        alone, response = solved[..., 0], solved[..., 1:]
        side_t = np.swapaxes(side, 1, 2)
        precision = block.sum_groups(flat_t @ flat - side_t @ response) + np.eye(d)
        cov = np.linalg.inv(0.5 * (precision + np.swapaxes(precision, 1, 2)))
        right = block.sum_groups(toward_c - (side_t @ alone[..., None])[..., 0]) - at.c
        step_c = (cov @ right[..., None])[..., 0] * (not held)
        step_z = alone - (response @ step_c[group][..., None])[..., 0]
        along_c = block.sum_groups(toward_c) - at.c
        gain = 0.5 * (
            block.sum_groups((toward * step_z).sum(1)) + (along_c * step_c).sum(1)
        )
        return _Step(
            gain,
            step_z.reshape(n, T, rank),
            step_c,
            alone.reshape(n, T, rank),
            cov,
            hessian,
            response,
        )


def _log_det(root: np.ndarray) -> float:
    """Log determinant of a triangular matrix of positive diagonal."""
    return float(np.log(np.diag(root)).sum())
