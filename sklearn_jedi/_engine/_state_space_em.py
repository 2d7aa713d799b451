r"""EM for noisy recordings: states, embeddings and weights, from the data alone.

E step: the smoother, which infers states and embeddings together. M step: regressions
over draws from its posterior (Monte Carlo EM [1]_, [2]_), with the same random numbers
in every round, so that EM is deterministic: of the drives on features and embeddings,
as in `_bilinear_em`, the ridge of each embedding axis by its evidence [3]_; and of
recordings on states, leaving out that features depend on that readout where the
recorded neurons are the units of the network. Sessions with neurons of their own share
the dynamics.

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
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._engine import _bilinear_em, _moments
from sklearn_jedi._engine._basis import leading_directions
from sklearn_jedi._engine._bilinear_em import BilinearModel
from sklearn_jedi._engine._first_dynamics import Projected, first_dynamics
from sklearn_jedi._engine._first_states import FirstStates, start_trials
from sklearn_jedi._engine._joint_blocks import JointBlock, joint_blocks, padded
from sklearn_jedi._engine._likelihoods import ReadoutSums
from sklearn_jedi._engine._readout import gauge, with_one
from sklearn_jedi._engine._reduction import Basis, Reduction, Rows
from sklearn_jedi._engine._smoothed import Smoothed
from sklearn_jedi._engine._smoother import smooth
from sklearn_jedi._engine._state_space import StateSpace
from sklearn_jedi._networks._equation import Equation
from sklearn_jedi._utils._threads import in_order

# Passes over all trials, after EM on a part.
_PASSES = 3
# Pairs of posterior draws of a trial, and Gauss-Newton steps, in a round.
_PAIRS = 2
_STEPS = 2
# Rounds after which feature directions are found anew.
_NEW_FEATURES = (2, 6)
# Features that are held in memory at once, of the units' states.
_FEATURE_VALUES = 2**18
# Smoothed states hardly show the noise of a step, and EM raises it slowly: it starts at
# this share of the variance of the states.
_FIRST_NOISE = 0.1
_FIRST_RIDGE = 1e-2
# How much further than EM a round moves the size (in logarithms) of the noise of a
# step; rounds done before its size is searched, each with the factor of that search.
_FURTHER = 1.0
_NOISE_ROUNDS = {0: 4.0, 4: 2.0, 12: 2.0}
_MOST_SCALINGS = 6
# Share of the evidence that counts as a gain, and rounds without one that end EM.
_SMALL_GAIN = 1e-5
_STALE = 3
_TINY = np.finfo(float).tiny


class DynamicsSums(NamedTuple):
    """What the M step of the dynamics needs; sums of it are sums over trials.

    Attributes
    ----------
    dynamics : Pooled
        Of the regression of drives on features.
    first : array of shape (rank + 1, rank + 1)
        Second moments of `[z, 1]` at the first time point.
    """

    dynamics: _bilinear_em.Pooled
    first: np.ndarray

    def plus(self, other: DynamicsSums) -> DynamicsSums:
        return DynamicsSums(
            self.dynamics.plus(other.dynamics), self.first + other.first
        )


class EStep(NamedTuple):
    """What the E step of a block leaves.

    Attributes
    ----------
    z : array of shape (n_trials, n_timepoints, rank)
    c : array of shape (n_groups, embedding_dim)
        The posterior mode.
    evidence : float
    dynamics : DynamicsSums
    readouts : list of (int, ReadoutSums)
        For each session that has trials in the block.
    """

    z: np.ndarray
    c: np.ndarray
    evidence: float
    dynamics: DynamicsSums
    readouts: list[tuple[int, ReadoutSums]]


class StateSpaceEM:
    """EM from first states.

    Parameters
    ----------
    sessions : sequence of FirstStates
        Recordings of different neurons, in network units, or counts.
    embedding_dim : int
    equation : Equation
    ridge : float or "auto"
        Prior precision of the weights, in units of the mean square of a feature.
    least_ridge : float
        What "auto" does not go below.
    n_directions : int
        Feature directions.
    units : Basis, default=None
        `P` and `drive_mean` of the units that features are computed from. None: the
        neurons of the only session are the units.
    change_rank : int, default=None
        Directions of the state in which embeddings change the drive; None: any.
    search_noise : bool, default=False
        Whether the size of the step noise is searched by evidence, too. Where the model
        cannot be the truth, this can leave too little of it for forecasts.
    report : callable
        Told the number of each round, how many there are at most, and what happened.

    Attributes
    ----------
    models : list of StateSpace
        One per session, of which they differ in `loading` and `likelihood`.
    basis : Basis
    n_iter : int
        Rounds done.
    interrupted : bool
        Whether Ctrl-C ended EM; the last whole round is kept.
    """

    def __init__(
        self,
        sessions: Sequence[FirstStates],
        embedding_dim: int,
        equation: Equation,
        *,
        ridge: float | str,
        n_directions: int,
        least_ridge: float = 0.0,
        units: Basis | None = None,
        change_rank: int | None = None,
        search_noise: bool = False,
        report: Callable[[int, int, str], None] = lambda done, total, text: None,
    ) -> None:
        self.trials = [session.trials for session in sessions]
        self._part = [start_trials(trials) for trials in self.trials]
        self.embedding_dim = embedding_dim
        self.equation = equation
        self.ridge = ridge
        self.least_ridge = least_ridge
        self.n_directions = n_directions
        self.change_rank = change_rank
        self.search_noise = search_noise
        self.report = report
        self.own_units = units is None
        self.basis = Basis.of_units(sessions[0].loading) if units is None else units
        self._penalty: np.ndarray | None = None
        self._ff: np.ndarray | None = None
        self._embeddings: dict[int, np.ndarray] = {}
        self._paths = self._first_paths(sessions)
        self.n_iter = 0
        self.interrupted = False
        self.models: list[StateSpace] = []
        self._start(sessions)

    def run(self, max_iter: int) -> Self:
        """Rounds on a part of the trials, then passes over all of them.

        EM stops where the evidence stops rising, and the model of the most is kept:
        Laplace's approximation of wide posteriors can lead EM astray.
        """
        part = self._part
        more = any(len(p) < len(t) for p, t in zip(part, self.trials, strict=True))
        best, kept, stale = -np.inf, self._state(), 0
        try:
            for _ in range(max_iter):
                if self.search_noise and self.n_iter in _NOISE_ROUNDS:
                    self._scale_noise(part, _NOISE_ROUNDS[self.n_iter])
                before = self._state()
                evidence = self._round(part, self._paths)
                worth = _SMALL_GAIN * abs(evidence)
                stale = 0 if evidence > best + worth else stale + 1
                if evidence > best:
                    best, kept = evidence, before
                done = stale == _STALE
                text = f"log evidence {evidence:.1f}"
                self.report(self.n_iter, self.n_iter if done else max_iter, text)
                if done:
                    break
            if max_iter and self._evidence(part, _STEPS) < best:
                self.__dict__.update(kept)
            self._paths = {}
            for _ in range(_PASSES if more and max_iter else 0):
                self._round(self.trials, {})
        except KeyboardInterrupt:
            self.interrupted = True
        self._paths = {}
        self._finish()
        return self

    @property
    def bilinear(self) -> BilinearModel:
        """The affine map from embeddings to weights, which all sessions share."""
        found = self.models[0].map
        assert isinstance(found, BilinearModel)
        return found

    def _state(self) -> dict[str, Any]:
        """What a round changes, but for the number of rounds."""
        names = ("models", "basis", "_penalty", "_ff")
        state = {name: getattr(self, name) for name in names}
        copies = {"_paths": dict(self._paths), "_embeddings": dict(self._embeddings)}
        return {**state, **copies}

    def _evidence(self, trials: list[Trials], n_steps: int) -> float:
        """Log evidence of the present model, from the present states."""

        def of_block(key: int, joint: JointBlock) -> float:
            start = self._paths[key], self._embeddings.get(key)
            return float(self._smooth(joint, *start, n_steps).log_evidence.sum())

        return sum(in_order(of_block, enumerate(joint_blocks(trials))))

    def _smooth(
        self,
        joint: JointBlock,
        z: np.ndarray | None,
        c: np.ndarray | None,
        n_steps: int,
    ) -> Smoothed:
        terms = joint.terms(self.models)
        return smooth(self.models[0], joint.block, z, c, max_iter=n_steps, terms=terms)

    def _scale_noise(self, trials: list[Trials], factor: float) -> None:
        """Multiply or divide the noise of a step by a factor while evidence rises.

        EM alone moves it slowly, the more so the less a bin says about the state.
        """
        evidence = self._evidence(trials, _STEPS)
        for sign in (-1, 1):
            moved = False
            for _ in range(_MOST_SCALINGS):
                before = self.models
                step_cov = factor**sign * before[0].step_cov
                self._share(step_cov=_regular(step_cov))
                tried = self._evidence(trials, _STEPS)
                if tried <= evidence:
                    self.models = before
                    break
                evidence, moved = tried, True
            if moved:
                break

    # -- start

    def _first_paths(self, sessions: Sequence[FirstStates]) -> dict[int, np.ndarray]:
        """States of each joint block."""
        paths = [iter(session.paths) for session in sessions]
        return {
            number: padded([next(paths[part.session]) for part in joint.parts])
            for number, joint in enumerate(joint_blocks(self._part))
        }

    def _start(self, sessions: Sequence[FirstStates]) -> None:
        """Embeddings and weights in closed form from the first states."""
        self._find_features()
        projected = [
            Projected(joint.block, *self._project(self._paths[key]))
            for key, joint in enumerate(joint_blocks(self._part))
        ]
        bilinear, step_cov = first_dynamics(
            projected,
            self.equation,
            self.embedding_dim,
            ridge=_FIRST_RIDGE if self.ridge == "auto" else float(self.ridge),
            change_rank=self.change_rank,
        )
        rank = len(step_cov)
        states = self._all_states()
        first = np.concatenate([path[:, 0] for path in self._paths.values()])
        spread = np.cov(states.T, bias=True).reshape(rank, rank)
        cov = np.cov(first.T, bias=True).reshape(rank, rank)
        shared = StateSpace(
            Reduction.of(self.basis, self.equation),
            bilinear,
            _regular(step_cov + _FIRST_NOISE * spread),
            first.mean(0),
            _regular(cov),
            sessions[0].loading,
            sessions[0].likelihood,
        )
        self.models = [
            shared._replace(loading=one.loading, likelihood=one.likelihood)
            for one in sessions
        ]

    def _find_features(self) -> None:
        """Leading directions of the features at the present states."""
        basis, states = self.basis, self._all_states()
        at_once = max(1, _FEATURE_VALUES // len(basis.P))

        def rows() -> Iterator[np.ndarray]:
            for begin in range(0, len(states), at_once):
                some = states[begin : begin + at_once] @ basis.P.T + basis.drive_mean
                yield self.equation.phi(some)

        Q, mean = leading_directions(rows, self.n_directions, len(basis.P), centre=True)
        self.basis = basis._replace(Q=Q, feature_mean=mean)

    def _all_states(self) -> np.ndarray:
        """Present states (n, rank) within all trials."""
        blocks = joint_blocks(self._part)
        return np.concatenate(
            [self._paths[k][joint.block.within] for k, joint in enumerate(blocks)]
        )

    def _project(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Drives and features of states (n, T, rank)."""
        red = Reduction.of(self.basis, self.equation)
        features = red.design(z[:, :-1] @ red.P.T + self.basis.drive_mean)
        return self.equation.drive(z[:, :-1], z[:, 1:]), features

    # -- rounds

    def _round(self, trials: list[Trials], paths: dict[int, np.ndarray]) -> float:
        """One E and one M step; the log evidence before them."""
        sums: DynamicsSums | None = None
        readouts: list[ReadoutSums | None] = [None] * len(trials)
        found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        evidence = 0.0
        arguments = (
            (joint, paths[key], self._embeddings.get(key), _STEPS)
            if paths
            else (joint, None, None, 4 * _STEPS)
            for key, joint in enumerate(joint_blocks(trials))
        )
        for key, step in enumerate(in_order(self._e_step, arguments)):
            evidence += step.evidence
            if paths:
                found[key] = step.z, step.c
            sums = step.dynamics if sums is None else sums.plus(step.dynamics)
            for session, own in step.readouts:
                before = readouts[session]
                readouts[session] = own if before is None else before.plus(own)
        assert sums is not None
        T, turn, shift = self._update(sums, [own for own in readouts if own])
        self.n_iter += 1
        for key, (z, c) in found.items():
            paths[key] = z @ turn.T + shift
            self._embeddings[key] = c @ T[1:, 1:].T + T[1:, 0]
        if paths and self.n_iter in _NEW_FEATURES:
            self._renew_features()
        return evidence

    def _e_step(
        self,
        joint: JointBlock,
        z: np.ndarray | None,
        c: np.ndarray | None,
        n_steps: int,
    ) -> EStep:
        """Of one block, from states and embeddings to start with."""
        post = self._smooth(joint, z, c, n_steps)
        paths, embeddings = post.draws(
            joint.block, _PAIRS, joint.sessions, joint.sessions_of_groups
        )
        one, readouts = with_one(paths), []
        for session, block, rows in joint.parts:
            model = self.models[session]
            mine = one[:, rows, : block.values.shape[1]]
            own = model.likelihood.sums(model.loading, block, mine)
            readouts.append((session, own))
        return EStep(
            post.z,
            post.c,
            float(post.log_evidence.sum()),
            self._sums(joint.block, paths, embeddings),
            readouts,
        )

    def _sums(self, block: Block, z: np.ndarray, c: np.ndarray) -> DynamicsSums:
        """Expectations over the posterior of a block, from draws."""
        share = 1.0 / len(z)
        keep = block.within[:, 1:]
        pooled = []
        for path, embeddings in zip(z, c, strict=True):
            moments = _moments.trial_moments(*self._project(path), 1, keep)
            pooled.append(
                _bilinear_em.pool(moments.grouped(block), embeddings).times(share)
            )
        first = with_one(z[:, :, 0])
        second = np.einsum("sni,snj->ij", first, first)
        return DynamicsSums(
            functools.reduce(_bilinear_em.Pooled.plus, pooled), share * second
        )

    def _update(
        self, sums: DynamicsSums, readouts: list[ReadoutSums]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The M step; how embeddings and states are to be transformed."""
        alpha = self.equation.alpha
        old = self.models[0]
        rank = len(old.first_mean)
        T = _bilinear_em.whitening(sums.dynamics)
        pooled = sums.dynamics.transformed(T)
        level = max(np.trace(pooled.gram[0, 0]) / pooled.gram.shape[2], _TINY)
        penalty: np.ndarray | float
        if self.ridge == "auto":
            start = _FIRST_RIDGE * level * np.ones(len(T))
            old_penalty = start if self._penalty is None else self._penalty
            drive_cov = old.step_cov / alpha**2
            self._penalty = _bilinear_em.evidence_penalty(
                pooled, drive_cov, old_penalty
            )
            penalty = np.maximum(self._penalty, self.least_ridge * level)
        else:
            penalty = float(self.ridge) * level
        bilinear = _bilinear_em.solve(pooled, penalty, change_rank=self.change_rank)
        solved = [
            model.likelihood.solved(model.loading, own)
            for model, own in zip(self.models, readouts, strict=True)
        ]
        turn, shift = np.eye(rank), np.zeros(rank)
        if self.own_units:
            loading, likelihood = solved[0]
            P, offset, turn, shift = gauge(loading)
            solved = [(np.column_stack([P, offset]), likelihood)]
            self.basis = self.basis._replace(P=P, drive_mean=offset)
        A = bilinear.A @ turn.T
        Rows.of(A).constant[0] += shift
        step_cov = alpha**2 * bilinear.noise_cov
        # EM moves a small noise slowly: go further the way that it moves the size
        change = np.log(np.trace(step_cov) / np.trace(old.step_cov))
        noise = turn @ (np.exp(_FURTHER * change) * step_cov) @ turn.T
        first = sums.first / sums.first[-1, -1]
        mean = first[:rank, -1]
        cov = first[:rank, :rank] - np.outer(mean, mean)
        shared = old._replace(
            red=Reduction.of(self.basis, self.equation),
            map=bilinear._replace(A=A),
            step_cov=_regular(noise),
            first_mean=turn @ mean + shift,
            first_cov=_regular(turn @ cov @ turn.T, 1e-12 * float(mean @ mean)),
        )
        self.models = [
            shared._replace(loading=loading, likelihood=likelihood)
            for loading, likelihood in solved
        ]
        self._ff = pooled.gram[0, 0]
        return T, turn, shift

    def _renew_features(self) -> None:
        """Feature directions at the present states; the weights are carried over."""
        old, bilinear = self.basis, self.bilinear
        self._find_features()
        new = self.basis
        A, before = np.zeros_like(bilinear.A), Rows.of(bilinear.A)
        after = Rows.of(A)
        after.features[:] = (new.Q.T @ old.Q) @ before.features
        shift = (new.feature_mean - old.feature_mean) @ old.Q
        after.constant[:] = before.constant + shift @ before.features
        self._share(red=Reduction.of(new, self.equation), map=bilinear._replace(A=A))

    def _share(self, **changes: Any) -> None:
        """Change what all sessions share."""
        self.models = [model._replace(**changes) for model in self.models]

    def _finish(self) -> None:
        """Order the embedding axes, and fill up those without support."""
        model, bilinear = self.models[0], self.bilinear
        A = np.zeros((self.embedding_dim + 1, *bilinear.A.shape[1:]))
        ordered = bilinear.A
        if self._ff is not None:
            ordered = _bilinear_em.fix_gauge(self._ff, ordered, model.step_cov)
        A[: len(ordered)] = ordered
        self._share(map=bilinear._replace(A=A, n_iter=self.n_iter))


def _regular(cov: np.ndarray, rounding: float = 0.0) -> np.ndarray:
    """A symmetric matrix whose inverse is safe, given the rounding of its entries."""
    values, vectors = np.linalg.eigh(0.5 * (cov + cov.T))
    floor = 1e-6 * max(float(values.mean()), 0.0) + 1e-10 + rounding
    result: np.ndarray = (vectors * np.maximum(values, floor)) @ vectors.T
    return result
