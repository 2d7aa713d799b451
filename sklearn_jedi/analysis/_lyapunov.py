"""Lyapunov exponents of networks, and what they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from sklearn_jedi._utils._checks import check_integer
from sklearn_jedi._utils._progress import show_progress
from sklearn_jedi._utils._types import RandomState
from sklearn_jedi.analysis._exponents import lyapunov_exponents
from sklearn_jedi.analysis._points._starts import random_starts
from sklearn_jedi.analysis._reduced import (
    Networks,
    ReducedDynamics,
    check_networks,
    check_states,
)

__all__ = ["LyapunovAnalyzer"]

_UNDECIDED = 50  # times the resolution: an error beyond which 0 is no finding
_SAME_SWINGS = 0.01  # change of the swings within a fifth of a run, at most
_SWING_STEPS = 10  # steps of which the swings are taken in together
_MAX_BATCH = 500_000  # networks x states x units that run together


class LyapunovAnalyzer(BaseEstimator):
    r"""Lyapunov exponents of networks: how fast nearby states separate.

    Positive exponents: nearby states separate; negative: they approach each other. The
    dynamics of a network of rank `rank` takes place in as many dimensions, and the
    exponents are computed there; the other `n_neurons - rank` are known,
    `log(1 - dt/tau) / dt` each. Latent dynamics have one exponent for each latent. All
    are those of the map, at the network's own `dt`; the exponents of the differential
    equation differ from them.

    Parameters
    ----------
    n_states : int, default=4
        Runs of each network: from `states`, where given, otherwise from random ones.
    n_steps : int, default=5000
        Time steps of a run.
    n_transient : int, default=1000
        Steps before it that are discarded.
    n_exponents : int, default=None
        How many of the largest exponents, at most `rank` (of latent dynamics: the
        number of latents); None means all of these.
    n_blocks : int, default=20
        Blocks of a run, whose spread gives the standard error.
    random_state : int, RandomState instance or None, default=None
        Draws starts where `states` is not given.
    verbose : int, default=0
        1 shows progress over the networks.

    Attributes
    ----------
    exponents_ : array of shape (n_networks, n_exponents)
        Exponents in 1/s, descending; means over the runs. NaN where a run diverged.
    standard_errors_ : array of shape (n_networks, n_exponents)
        Of the means, from the spread over blocks and over runs, in 1/s.
    exponents_per_state_ : array of shape (n_networks, n_states, n_exponents)
        Of each run: runs can end on different attractors.
    rest_exponent_ : float
        The other `n_neurons - rank` exponents, in 1/s; NaN of latent dynamics, which
        have none.
    kaplan_yorke_dimension_ : array of shape (n_networks,)
        Dimension of the attractor by Kaplan and Yorke's formula [1]_; exponents within
        their error of 0 count as 0. NaN where `n_exponents` are too few to tell.
    verdict_ : array of str of shape (n_networks,)
        What the exponents say of each network:

        - "stable": the largest is below 0;
        - "limit cycle": the largest is 0, the next below 0, and the state moves;
        - "torus": two are 0, and the state moves, in three dimensions or more;
        - "marginal": the largest is 0, but the state hardly moves: a continuous
          attractor, a bifurcation, or dynamics too slow for the length of the run;
        - "chaotic": the largest is above 0, and the state moves;
        - "unstable": the largest is above 0, but the state hardly moves: the run began
          on an unstable fixed point;
        - "diverging": the state itself grows without bound;
        - "not resolved": the largest is 0 and the state moves, but its swings keep
          shrinking or growing: a focus that decays very slowly, or a cycle that is not
          yet reached; take more `n_transient`;
        - "undecided": the errors are too large to tell; take more `n_steps`;
        - "mixed": the runs of the network do not agree, see `verdict_per_state_`.

        Below and above 0 means by more than three standard errors plus the resolution
        of a run, one over its duration.
    verdict_per_state_ : array of str of shape (n_networks, n_states)

    Raises
    ------
    TypeError, ValueError
        If `dynamics` is neither a `LowRankRNN` nor `LatentDynamics`, `states` do not
        fit it, or a parameter cannot be used.

    References
    ----------
    .. [1] Kaplan and Yorke, "Chaotic behavior of multidimensional difference
       equations", Lecture Notes in Mathematics 730 (1979).

    Examples
    --------
    >>> from sklearn_jedi.analysis import LyapunovAnalyzer
    >>> from sklearn_jedi.datasets import make_attractor_family
    >>> _, _, networks = make_attractor_family(1, n_neurons=40, random_state=0)
    >>> analyzer = LyapunovAnalyzer(n_steps=2000, random_state=0).fit(networks)
    >>> analyzer.verdict_.tolist()  # two points, a cycle, a ring
    ['stable', 'limit cycle', 'marginal']
    """

    def __init__(
        self,
        n_states: int = 4,
        *,
        n_steps: int = 5000,
        n_transient: int = 1000,
        n_exponents: int | None = None,
        n_blocks: int = 20,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.n_states = n_states
        self.n_steps = n_steps
        self.n_transient = n_transient
        self.n_exponents = n_exponents
        self.n_blocks = n_blocks
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, dynamics: Networks, y: object = None, *, states: ArrayLike | None = None
    ) -> LyapunovAnalyzer:
        """Run every network, and average how perturbations grow.

        Parameters
        ----------
        dynamics : LowRankRNN or LatentDynamics
            Networks, from an estimator's `dynamics` or built by hand.
        y : None
            Ignored.
        states : array-like of shape (n_networks, n_states, n_neurons), default=None
            Where to start, in rates, or in latents of latent dynamics; `n_states` of
            them are taken, evenly.

        Returns
        -------
        LyapunovAnalyzer
            Itself.
        """
        for name, low in (
            ("n_states", 1),
            ("n_steps", 1),
            ("n_transient", 0),
            ("n_blocks", 2),
            ("verbose", 0),
        ):
            check_integer(name, getattr(self, name), low)
        check_integer("n_exponents", self.n_exponents, 1, none=True)
        dynamics = check_networks(dynamics)
        visited = None if states is None else check_states(dynamics, states)
        if self.n_steps < self.n_blocks:
            raise ValueError(
                f"n_steps={self.n_steps} do not make n_blocks={self.n_blocks} blocks"
            )
        system = ReducedDynamics(dynamics)
        starts = self._starts(system, visited)
        n_networks, n_states, n_dims = starts.shape
        n_exponents = min(self.n_exponents or n_dims, n_dims)
        blocks = np.empty((self.n_blocks, n_networks, n_states, n_exponents))
        course = np.empty((3, n_networks, n_states))
        at_once = max(1, _MAX_BATCH // (n_states * system.A.shape[-2]))
        for first in range(0, n_networks, at_once):
            part = slice(first, min(first + at_once, n_networks))
            blocks[:, part], course[:, part] = self._run(
                system[part], starts[part], n_exponents
            )
            if self.verbose:
                show_progress("network", part.stop, n_networks, "")
        self._conclude(blocks, course, system)
        return self

    def _starts(self, system: ReducedDynamics, states: np.ndarray | None) -> np.ndarray:
        """States (n_networks, n_states, n_dims) in reduced coordinates."""
        if states is None:
            rng = check_random_state(self.random_state)
            return np.stack(
                [
                    random_starts(system[k], self.n_states, rng)
                    for k in range(len(system.A))
                ]
            )
        n_states = min(self.n_states, states.shape[1])
        chosen = np.linspace(0, states.shape[1] - 1, n_states).round().astype(int)
        return system.project(states[:, chosen])

    def _run(
        self, system: ReducedDynamics, kappa: np.ndarray, n_exponents: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Exponents of blocks; how far each run goes, how its size and swings grow.

        The way as a share of the size of the state, at the speed of the end; the growth
        in 1/s; of swings that shrink or grow all along, the share by which they do.
        NaN where a run diverged.
        """

        equation = system.equation
        swings = _Swings()

        def step(kappa: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            swings.add(kappa)
            activity, slopes = system.activity(kappa)
            ahead = equation.step(kappa, activity @ system.B)
            return ahead, equation.linearised(system.jacobian(slopes), "map")

        # within half a time constant no direction grows or shrinks beyond precision
        n_between = max(1, min(10, int(0.5 / equation.alpha)))
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(self.n_transient):
                kappa = system.step(kappa)
            diverged = ~(np.abs(kappa).max(axis=2) < 1e12)
            kappa = np.where(diverged[..., None], 0.0, kappa)
            blocks, end = lyapunov_exponents(
                step,
                kappa,
                self.n_steps,
                equation.dt,
                n_exponents=n_exponents,
                n_blocks=self.n_blocks,
                n_between=n_between,
            )
            diverged |= ~np.isfinite(end).all(axis=2)
            size = np.maximum(np.linalg.norm(end, axis=2), 1e-300)
            speed = np.linalg.norm(system.velocity(end), axis=2) / size
            growth = np.log(size / np.maximum(np.linalg.norm(kappa, axis=2), 1e-300))
            change = swings.change()
        if equation.transfer.bound is not None:
            growth[:] = 0.0  # nothing grows for good
        duration = self.n_steps * equation.dt
        course = np.stack([speed * duration, growth / duration, change])
        blocks[:, diverged] = course[:, diverged] = np.nan
        return blocks, course

    def _conclude(
        self, blocks: np.ndarray, course: np.ndarray, system: ReducedDynamics
    ) -> None:
        """Means, errors, verdicts and dimensions from the exponents of blocks."""
        per_state = blocks.mean(axis=0)
        error = blocks.std(axis=0, ddof=1) / np.sqrt(len(blocks))
        n_states = per_state.shape[1]
        within = np.sqrt((error**2).sum(axis=1)) / n_states
        between = per_state.std(axis=1, ddof=min(1, n_states - 1)) / np.sqrt(n_states)
        self.exponents_per_state_ = per_state
        exponents, errors = per_state.mean(axis=1), np.maximum(within, between)
        order = np.argsort(-exponents, axis=1)
        self.exponents_ = np.take_along_axis(exponents, order, axis=1)
        self.standard_errors_ = np.take_along_axis(errors, order, axis=1)
        rest = float(system.equation.modes(np.zeros(1), "map")[0][0])
        self.rest_exponent_ = np.nan if system.of_latents else rest
        resolution = 1 / (self.n_steps * system.equation.dt)
        self.verdict_per_state_ = np.array(
            [
                [
                    _verdict(values, spread, resolution, way, growth, change)
                    for values, spread, way, growth, change in zip(
                        *of_network, strict=True
                    )
                ]
                for of_network in zip(per_state, error, *course, strict=True)
            ]
        )
        if system.n_dims < 3:  # no room for a torus
            is_torus = self.verdict_per_state_ == "torus"
            self.verdict_per_state_ = np.where(
                is_torus, "not resolved", self.verdict_per_state_
            )
        self.verdict_ = np.array(
            [
                verdicts[0] if len(set(verdicts)) == 1 else "mixed"
                for verdicts in self.verdict_per_state_.tolist()
            ]
        )
        is_partial = per_state.shape[2] < system.n_dims
        self.kaplan_yorke_dimension_ = np.array(
            [
                _kaplan_yorke(
                    np.where(np.abs(values) <= 3 * spread + resolution, 0.0, values),
                    np.full(0 if is_partial else system.n_rest, rest),
                    is_partial,
                )
                for values, spread in zip(
                    self.exponents_, self.standard_errors_, strict=True
                )
            ]
        )


class _Swings:
    """How far states swing around their mean, early and late in a run."""

    def __init__(self) -> None:
        self._sums: list[tuple[np.ndarray, np.ndarray]] = []
        self._n_steps = 0

    def add(self, kappa: np.ndarray) -> None:
        """Take in the states (..., n_dims) of the next step."""
        if self._n_steps % _SWING_STEPS == 0:
            self._sums.append((np.zeros_like(kappa), np.zeros(kappa.shape[:-1])))
        first, second = self._sums[-1]
        first += kappa
        second += (kappa**2).sum(axis=-1)
        self._n_steps += 1

    def change(self) -> np.ndarray:
        """By which share swings change at the end; 0 if not in one direction all along.

        From the fourth to the last fifth of the run.
        """
        n_each = self._n_steps // _SWING_STEPS // 5
        full = self._sums[: self._n_steps // _SWING_STEPS]
        if n_each == 0:
            return np.zeros(self._sums[0][1].shape)
        firsts, seconds = (np.array(part) for part in zip(*full, strict=True))
        means, squares = (
            part[-5 * n_each :].reshape(5, n_each, *part.shape[1:]).mean(axis=1)
            / _SWING_STEPS
            for part in (firsts, seconds)
        )
        centre = means.mean(axis=0)
        sizes = squares - 2 * (means * centre).sum(axis=-1) + (centre**2).sum(axis=-1)
        moves = np.diff(np.log(np.maximum(sizes, 1e-300)), axis=0) / 2
        one_way = (np.sign(moves) == np.sign(moves[0])).all(axis=0)
        change: np.ndarray = np.where(one_way, np.abs(moves[-1]), 0.0)
        return change


def _verdict(
    exponents: np.ndarray,
    spread: np.ndarray,
    resolution: float,
    way: float,
    growth: float,
    change: float = 0.0,
) -> str:
    """What the exponents of one run say, given how near to 0 they cannot be told.

    `way` is how far the state goes in a run, as a share of its size, `growth` how fast
    its size grows (1/s), and `change` by which share its swings keep changing.
    """
    if not np.isfinite(exponents).all():
        return "diverging"
    tolerance = 3 * spread + resolution
    if exponents[0] > tolerance[0]:
        if growth > 0.5 * exponents[0]:
            return "diverging"
        return "chaotic" if way >= 1 else "unstable"
    if exponents[0] < -tolerance[0]:
        return "stable"
    if way < 1:
        return "marginal"
    if change > _SAME_SWINGS:
        return "not resolved"
    if tolerance[0] > _UNDECIDED * resolution:
        return "undecided"
    if len(exponents) < 2 or exponents[1] < -tolerance[1]:
        return "limit cycle"
    return "torus" if exponents[1] > -spread[1] - resolution else "undecided"


def _kaplan_yorke(
    exponents: np.ndarray, rest: np.ndarray, is_partial: bool = False
) -> float:
    """Kaplan-Yorke dimension from all exponents, or from as many as needed."""
    if not np.isfinite(exponents).all():
        return np.nan
    values = np.sort(np.concatenate([exponents, rest]))[::-1]
    sums = np.cumsum(values)
    if sums[-1] >= 0:
        return np.nan if is_partial else float(len(values))
    k = int(np.argmax(sums < 0))
    return k + float(sums[k - 1] / -values[k]) if k else 0.0
