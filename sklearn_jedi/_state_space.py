r"""EM for noisy recordings: states, embeddings and weights, from the data alone.

E step: the smoother, which infers states and embeddings together. M step: regressions
over draws from its posterior (Monte Carlo EM [1]_, [2]_), with the same random numbers
in every round, so that EM is deterministic: of the drives on features and embeddings,
as in `_em`, the ridge of each embedding axis by its evidence [3]_; and of recordings on
states, leaving out that features depend on that readout.

References
----------
.. [1] Wei and Tanner, "A Monte Carlo implementation of the EM algorithm and the poor
   man's data augmentation algorithms", Journal of the American Statistical Association
   85 (1990).
.. [2] Shumway and Stoffer, "An approach to time series smoothing and forecasting using
   the EM algorithm", Journal of Time Series Analysis 3 (1982).
.. [3] MacKay, "Bayesian interpolation", Neural Computation 4 (1992).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from sklearn_jedi import _em, _moments
from sklearn_jedi._first_states import FirstStates, start_trials
from sklearn_jedi._nonlinearities import scaled_nonlinearity
from sklearn_jedi._readout import (
    ReadoutSums,
    gauge,
    readout_sums,
    solve_readout,
    with_one,
)
from sklearn_jedi._rollout import reduction
from sklearn_jedi._smoother import Smoothed, StateSpace, smooth
from sklearn_jedi._trials import Block, Trials

# Passes over all trials, after EM on a part.
_PASSES = 3
# Pairs of posterior draws of a trial, and Gauss-Newton steps, in a round.
_PAIRS = 2
_STEPS = 2
# Rounds after which feature directions are found anew.
_NEW_FEATURES = (2, 6)
# Smoothed states hardly show the noise of a step, and EM raises it slowly: it starts at
# this share of the variance of the states.
_FIRST_NOISE = 0.1
_FIRST_RIDGE = 1e-2
# How much further than EM a round moves the size (in logarithms) of the noise of a
# step, and the change of it at which EM has converged.
_FURTHER = 1.0
_SMALL_CHANGE = 0.02
_TINY = np.finfo(float).tiny


class Sums(NamedTuple):
    """What the M step needs of all trials; sums of it are sums over trials.

    Attributes
    ----------
    dynamics : Pooled
        Of the regression of drives on features.
    readout : ReadoutSums
    first : array of shape (rank + 1, rank + 1)
        Second moments of `[z, 1]` at the first time point.
    """

    dynamics: _em.Pooled
    readout: ReadoutSums
    first: np.ndarray

    def plus(self, other: Sums) -> Sums:
        return Sums(
            self.dynamics.plus(other.dynamics),
            self.readout.plus(other.readout),
            self.first + other.first,
        )


class StateSpaceEM:
    """EM from first states.

    Parameters
    ----------
    trials : Trials
        In network units, or counts.
    first : FirstStates
    embedding_dim : int
    nonlinearity : str
    alpha : float
        `dt / tau`.
    gain : float
    ridge : float or "auto"
        Prior precision of the weights, in units of the mean square of a feature.
    n_directions : int
        Feature directions.
    report : callable
        Told the number of each round, how many there are at most, and what happened.

    Attributes
    ----------
    model : StateSpace
    basis : Basis
    n_iter : int
        Rounds done.
    interrupted : bool
        Whether Ctrl-C ended EM; the last whole round is kept.
    """

    def __init__(
        self,
        trials: Trials,
        first: FirstStates,
        embedding_dim: int,
        nonlinearity: str,
        alpha: float,
        *,
        gain: float,
        ridge: float | str,
        n_directions: int,
        report: Callable[[int, int, str], None] = lambda done, total, text: None,
    ) -> None:
        self._paths: list[np.ndarray] = []
        self.trials = trials
        self.embedding_dim = embedding_dim
        self.network = (alpha, nonlinearity, gain)
        self.ridge = ridge
        self.n_directions = n_directions
        self.report = report
        self._penalty: np.ndarray | None = None
        self.n_iter = 0
        self.interrupted = False
        self._start(first)

    def run(self, max_iter: int, tol: float = 2e-2) -> StateSpaceEM:
        """Rounds on a part of the trials, then passes over all of them."""
        part = start_trials(self.trials)
        try:
            for _ in range(max_iter):
                moved = self._round(part, self._paths)
                text = f"embeddings moved by {moved:.3f} prior SD"
                text = text if np.isfinite(moved) else "first embeddings"
                converged = moved < tol and abs(self._change) < _SMALL_CHANGE
                self.report(self.n_iter, self.n_iter if converged else max_iter, text)
                if converged:
                    break
            self._paths = []
            for _ in range(_PASSES if len(part) < len(self.trials) and max_iter else 0):
                self._round(self.trials, [])
        except KeyboardInterrupt:
            self.interrupted = True
        self._paths = []
        self._finish()
        return self

    # -- start

    def _start(self, first: FirstStates) -> None:
        """Embeddings and weights in closed form from the first states."""
        alpha, nonlinearity, gain = self.network
        self._paths = first.paths
        self._embeddings: dict[int, np.ndarray] = {}
        self.basis = _moments.Basis(
            first.P, np.empty((len(first.P), 0)), first.offset, np.zeros(len(first.P))
        )
        self._find_features(first.paths)
        part = start_trials(self.trials)
        window = max(1, min(part.n_timepoints // 3, 5))
        parts, residual_parts = [], []
        rank = first.P.shape[1]
        first_states = np.concatenate([path[:, 0] for path in first.paths])
        for block, path in zip(part.blocks(), first.paths, strict=True):
            drives, features = self._project(path)
            keep = block.within[:, 1:]
            moments = _moments.trial_moments(drives, features, window, keep)
            parts.append(moments.grouped(block))
            residual_parts.append((drives, features, keep))
        moments = _moments.concatenate(parts)
        drives, features, keep = residual_parts[0]
        bilinear = _em.fit_bilinear(
            moments,
            self.embedding_dim,
            ridge=_FIRST_RIDGE if self.ridge == "auto" else float(self.ridge),
            inflation=_em.step_inflation(drives, features, window, keep),
            max_iter=5,
        )
        supported = bilinear.A[1:].any((1, 2))
        A = bilinear.A[np.r_[True, supported]]
        bilinear = bilinear._replace(A=A)
        scatter, n_steps = np.zeros((rank, rank)), 0
        for block, (drives, features, keep) in zip(
            part.blocks(), residual_parts, strict=True
        ):
            here = _moments.trial_moments(drives, features, 1, keep).grouped(block)
            c = _em.posterior(here, bilinear)[0]
            error = drives - features @ bilinear.weights(c)[block.group]
            error = alpha * error[keep]
            scatter, n_steps = scatter + error.T @ error, n_steps + len(error)
        states = np.concatenate([path.reshape(-1, rank) for path in first.paths])
        spread = np.cov(states.T, bias=True).reshape(rank, rank)
        cov = np.cov(first_states.T, bias=True).reshape(rank, rank)
        self.model = StateSpace(
            reduction(self.basis, alpha, nonlinearity, gain),
            bilinear,
            _regular(scatter / max(n_steps, 1) + _FIRST_NOISE * spread),
            first_states.mean(0),
            _regular(cov),
            first.readout,
        )

    def _find_features(self, paths: list[np.ndarray]) -> None:
        """Leading directions of the features at given states."""
        _, nonlinearity, gain = self.network
        part, basis = start_trials(self.trials), self.basis

        def rows() -> Iterator[np.ndarray]:
            for block, path in zip(part.blocks(), paths, strict=True):
                x = path[block.within] @ basis.P.T + basis.drive_mean
                yield scaled_nonlinearity(nonlinearity, x, gain)

        Q, mean = _moments.leading_directions(
            rows, self.n_directions, len(basis.P), centre=True
        )
        self.basis = basis._replace(Q=Q, feature_mean=mean)

    def _project(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Drives and features of states (n, T, rank)."""
        alpha, nonlinearity, gain = self.network
        basis = self.basis
        x = z[:, :-1] @ basis.P.T + basis.drive_mean
        features = _moments.features_of(x, basis, nonlinearity, gain)
        return (z[:, 1:] - (1 - alpha) * z[:, :-1]) / alpha, features

    # -- rounds

    def _round(self, trials: Trials, paths: list[np.ndarray]) -> float:
        """One E and one M step; how far the embeddings moved (root mean square)."""
        sums, smoothed = None, []
        moved, n_moved = 0.0, 0
        for number, block in enumerate(trials.blocks()):
            known = self._embeddings.get(number) if paths else None
            post = smooth(
                self.model,
                block,
                paths[number] if paths else None,
                known,
                max_iter=_STEPS if paths else 4 * _STEPS,
            )
            if paths:
                smoothed.append(post)
                if known is not None:
                    moved += float(((post.c - known) ** 2).sum())
                    n_moved += post.c.size
            here = self._sums(block, post)
            sums = here if sums is None else sums.plus(here)
        assert sums is not None
        T, turn, shift = self._update(sums)
        self.n_iter += 1
        for number, post in enumerate(smoothed):
            paths[number] = post.z @ turn.T + shift
            self._embeddings[number] = post.c @ T[1:, 1:].T + T[1:, 0]
        if paths and self.n_iter in _NEW_FEATURES:
            self._renew_features(paths)
        return np.sqrt(moved / n_moved) if n_moved else np.inf

    def _sums(self, block: Block, post: Smoothed) -> Sums:
        """Expectations over the posterior of a block, from draws."""
        z, c = post.draws(block, _PAIRS)
        share = 1.0 / len(z)
        keep = block.within[:, 1:]
        pooled = []
        for path, embeddings in zip(z, c, strict=True):
            moments = _moments.trial_moments(*self._project(path), 1, keep)
            pooled.append(_em.pool(moments.grouped(block), embeddings).times(share))
        one = with_one(z)
        first = np.einsum("sni,snj->ij", one[:, :, 0], one[:, :, 0])
        return Sums(
            functools.reduce(_em.Pooled.plus, pooled),
            readout_sums(self.model.readout, self._loading(), block, one),
            share * first,
        )

    def _loading(self) -> np.ndarray:
        """The readout (n_neurons, rank + 1) of `[z, 1]`."""
        return np.column_stack([self.basis.P, self.basis.drive_mean])

    def _update(self, sums: Sums) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The M step; how embeddings and states are to be transformed."""
        alpha, nonlinearity, gain = self.network
        old, rank = self.model, len(self.model.first_mean)
        T = _em.whitening(sums.dynamics)
        pooled = sums.dynamics.transformed(T)
        level = max(np.trace(pooled.gram[0, 0]) / pooled.gram.shape[2], _TINY)
        if self.ridge == "auto":
            start = _FIRST_RIDGE * level * np.ones(len(T))
            old_penalty = start if self._penalty is None else self._penalty
            drive_cov = old.step_cov / alpha**2
            self._penalty = _em.evidence_penalty(pooled, drive_cov, old_penalty)
            bilinear = _em.solve(pooled, self._penalty)
        else:
            bilinear = _em.solve(pooled, float(self.ridge) * level)
        loading, readout = solve_readout(old.readout, self._loading(), sums.readout)
        P, offset, turn, shift = gauge(loading)
        A = bilinear.A @ turn.T
        A[0, -1] += shift
        step_cov = alpha**2 * bilinear.noise_cov
        # EM moves a small noise slowly: go further the way that it moves the size
        self._change = float(np.log(np.trace(step_cov) / np.trace(old.step_cov)))
        noise = turn @ (np.exp(_FURTHER * self._change) * step_cov) @ turn.T
        first = sums.first / sums.first[-1, -1]
        mean = first[:rank, -1]
        cov = first[:rank, :rank] - np.outer(mean, mean)
        self.basis = self.basis._replace(P=P, drive_mean=offset)
        self.model = StateSpace(
            reduction(self.basis, alpha, nonlinearity, gain),
            bilinear._replace(A=A),
            _regular(noise),
            turn @ mean + shift,
            _regular(turn @ cov @ turn.T, 1e-12 * float(mean @ mean)),
            readout,
        )
        self._ff = pooled.gram[0, 0]
        return T, turn, shift

    def _renew_features(self, paths: list[np.ndarray]) -> None:
        """Feature directions at the present states; the weights are carried over."""
        old, bilinear = self.basis, self.model.map
        self._find_features(paths)
        new = self.basis
        A = np.zeros_like(bilinear.A)
        A[:, :-1] = (new.Q.T @ old.Q) @ bilinear.A[:, :-1]
        A[:, -1] = bilinear.A[:, -1]
        A[:, -1] += (new.feature_mean - old.feature_mean) @ old.Q @ bilinear.A[:, :-1]
        alpha, nonlinearity, gain = self.network
        self.model = self.model._replace(
            red=reduction(new, alpha, nonlinearity, gain), map=bilinear._replace(A=A)
        )

    def _finish(self) -> None:
        """Order the embedding axes, and fill up those without support."""
        bilinear = self.model.map
        A = np.zeros((self.embedding_dim + 1, *bilinear.A.shape[1:]))
        ordered = bilinear.A
        if self.n_iter:
            ordered = _em.fix_gauge(self._ff, ordered, self.model.step_cov)
        A[: len(ordered)] = ordered
        self.model = self.model._replace(map=bilinear._replace(A=A, n_iter=self.n_iter))


def _regular(cov: np.ndarray, rounding: float = 0.0) -> np.ndarray:
    """A symmetric matrix whose inverse is safe, given the rounding of its entries."""
    values, vectors = np.linalg.eigh(0.5 * (cov + cov.T))
    floor = 1e-6 * max(float(values.mean()), 0.0) + 1e-10 + rounding
    return (vectors * np.maximum(values, floor)) @ vectors.T
