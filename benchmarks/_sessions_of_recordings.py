"""Recordings, models, scores and the figure of `benchmarks.sessions_of_recordings`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from benchmarks._common import DT, RESULTS, expected_counts
from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
from sklearn_jedi._data._halves import second_halves
from sklearn_jedi._engine._alignment import align_by_conditions
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.datasets import make_reaching
from sklearn_jedi.metrics import trajectory_r2

TEST, VALIDATION = 0, 1  # folds; what is above them is for training
PREPARATION, MOVEMENT = 0, 1
_BEFORE, _AFTER = -170, 140  # of movement onset, in ms
_PREPARATION = (-600, -290)
_ONSET = 0.2  # share of a trial's peak speed
_BINS = 4  # of 10 ms, together one of a simulated recording
_SMOOTHED = 0.04  # SD of the kernel in seconds
_HELD_OUT = 4  # of chewie, of each target
_COLOURS = ("#D55E00", "#E69F00", "#009E73", "#0072B2")
_GREY = "#999999"


class Recording(NamedTuple):
    """Trials of one set of neurons.

    Attributes
    ----------
    label : str
    X : array of shape (n_trials, n_timepoints, n_neurons)
        Square roots of (expected) counts per bin.
    true : array of the shape of X
        What predictions are scored against.
    direction, epoch, fold : int arrays of shape (n_trials,)
    rates : bool
        Whether `true` holds expected counts, not square roots.
    dt : float
        Bin width in seconds.
    n_directions : int
        Of which `direction` is one, evenly over the circle.
    """

    label: str
    X: np.ndarray
    true: np.ndarray
    direction: np.ndarray
    epoch: np.ndarray
    fold: np.ndarray
    rates: bool
    dt: float
    n_directions: int

    @property
    def given(self) -> int:
        """Bins that forecasts are given."""
        return (self.X.shape[1] + 1) // 2

    @property
    def conditions(self) -> np.ndarray:
        """Labels that mean the same in all recordings."""
        return 100 * self.epoch + self.direction

    def rows(self, *, test: bool) -> np.ndarray:
        return np.flatnonzero((self.fold == TEST) == test)


def smoothed(X: np.ndarray, dt: float) -> np.ndarray:
    return gaussian_filter1d(X, _SMOOTHED / dt, axis=1, mode="nearest")


def folds(labels: np.ndarray, n_each: int, rng: np.random.Generator) -> np.ndarray:
    """Of each label `n_each` trials to test on, and as many to choose sizes on."""
    fold = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        fold[rows] = np.minimum(np.arange(len(rows)) // n_each, VALIDATION + 1)
    return fold


def real_recordings(folder: Path, seed: int, quick: bool) -> list[Recording]:
    """hatsopoulos2007 (averages) and chewie_single_trial, in bins of 10 ms.

    Both are at 10 ms as they are. Time points correspond after shifting chewie's clock
    by the median onset of movement, found from the hand's speed, which its go cue
    precedes; of hatsopoulos2007 the same 31 bins around onset are kept, and as many of
    preparation. Rates become square roots of expected counts a bin. Targets of chewie
    are labelled by the nearest of the eight angles. Held out are two directions of the
    averages, one that both recordings have and one that they have not, and four of
    chewie's trials of each target; as many choose sizes.
    """
    rng = np.random.default_rng(seed)
    with np.load(folder / "hatsopoulos2007.npz") as data:
        roots = np.sqrt(DT * data["rates"].astype(float))
        time, angles = data["time_ms"], data["reach_angle_deg"]
    with np.load(folder / "chewie_single_trial.npz") as data:
        counts, target = data["spikes_10ms"].astype(float), data["target"]
        from_go, velocity = data["time_ms_from_go"], data["hand_vel"]
    speed = np.linalg.norm(velocity, axis=2)
    fast = speed > _ONSET * speed.max(1, keepdims=True)
    onset = 10 * round(float(np.median(from_go[fast.argmax(1)])) / 10)
    from_onset = from_go - onset
    if (from_onset[0], from_onset[-1]) != (_BEFORE, _AFTER - 10):
        raise RuntimeError(f"chewie's trials are not around its onset, {onset} ms")
    late = [velocity[target == k, -8:].mean((0, 1)) for k in range(4)]
    reached = np.degrees([np.arctan2(v[1], v[0]) for v in late])
    apart = (reached[:, None] - angles + 180) % 360 - 180
    common = np.abs(apart).argmin(1)  # a direction of each target

    epochs = (
        (time >= low) & (time < high) for low, high in (_PREPARATION, (_BEFORE, _AFTER))
    )
    averages = np.concatenate([roots[:, epoch] for epoch in epochs])
    others = np.setdiff1d(np.arange(8), common)
    of_direction = np.full(8, VALIDATION + 1)
    for own in (common, others):
        of_direction[rng.permutation(own)[:2]] = TEST, VALIDATION
    if quick:
        averages, counts, target = averages[..., ::8], counts[::2, :, ::5], target[::2]
    fold = folds(target, _HELD_OUT, rng)
    X = np.sqrt(counts)
    return [
        Recording(
            "hatsopoulos2007",
            averages,
            averages,
            np.tile(np.arange(8), 2),
            np.repeat([PREPARATION, MOVEMENT], 8),
            np.tile(of_direction, 2),
            False,
            DT,
            8,
        ),
        Recording(
            "chewie",
            X,
            smoothed(X, DT),
            common[target],
            np.full(len(target), MOVEMENT),
            fold,
            False,
            DT,
            8,
        ),
    ]


def simulated_sessions(
    seed: int, one_network: bool, n_sessions: int, n_neurons: int, n_trials: int
) -> list[Recording]:
    """Spike counts of sessions with different neurons and different trials.

    Either disjoint neurons of one network, or networks of one family: other subspaces
    and mean rates, the same tuning and rotations. Bins of 40 ms; preparation and
    movement are trials of their own.
    """
    rng = np.random.default_rng(seed)
    size = n_sessions if one_network else 1
    sources = [
        make_reaching(
            n_trials * size,
            n_directions=4,
            n_neurons=n_neurons * size,
            random_state=1000 * seed + k,
        )
        for k in range(1 if one_network else n_sessions)
    ]
    recordings = []
    neurons = rng.permutation(n_neurons * size).reshape(size, n_neurons)
    for s in range(n_sessions):
        data = sources[0 if one_network else s]
        part = s if one_network else 0
        number = np.arange(len(data.X)) % (n_trials * size)  # within its direction
        rows = np.flatnonzero(number // n_trials == part)
        counts, rates = (
            _coarse(x[rows][:, :, neurons[part]], data.go) for x in (data.X, data.rates)
        )
        direction = np.tile(data.direction[rows], 2)
        fold = folds(data.direction[rows], max(1, n_trials // 4), rng)
        recordings.append(
            Recording(
                f"session {s}",
                np.sqrt(counts),
                rates,
                direction,
                np.repeat([PREPARATION, MOVEMENT], len(rows)),
                np.tile(fold, 2),
                True,
                _BINS * data.dt,
                4,
            )
        )
    return recordings


def _coarse(X: np.ndarray, go: int) -> np.ndarray:
    """Sums over bins; preparation and movement one below the other."""
    halves = np.concatenate([X[:, :go], X[:, go : 2 * go]]).astype(float)
    return halves.reshape(len(halves), -1, _BINS, X.shape[2]).sum(2)


# ------------------------------------------------------------------------------- models


class Kind(NamedTuple):
    """A way to model recordings.

    Attributes
    ----------
    model : {"linear", "JEDI", "meta"}
    together : bool
        Whether one model has all recordings.
    conditions : bool
        Whether it is given conditions, to align them by.
    poisson : bool
        Whether it is given counts.
    """

    model: str
    together: bool = False
    conditions: bool = False
    poisson: bool = False


class Fitted:
    """A model of each recording, or one of all.

    Parameters
    ----------
    kind : Kind
    size : tuple of int
        Latents, and for models that have them axes of the embedding.
    recordings : sequence of Recording
    rows : sequence of arrays
        Which trials of each are fitted.
    """

    def __init__(
        self,
        kind: Kind,
        size: tuple[int, ...],
        recordings: Sequence[Recording],
        rows: Sequence[np.ndarray],
    ) -> None:
        self.kind, self.sizes = kind, {r.label: size for r in recordings}
        pairs = list(zip(recordings, rows, strict=True))
        self.models: dict[str, Any] = {}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*embedding axes")
            if kind.together:
                given: dict[str, Any] = {
                    "sessions": [r.label for r, own in pairs for _ in own]
                }
                if kind.conditions:
                    labels = [r.conditions[own] for r, own in pairs]
                    given["conditions"] = np.concatenate(labels)
                trials = [x for r, own in pairs for x in self._recorded(r)[own]]
                model = self._new(size, recordings[0].dt).fit(trials, **given)
                self.models = {r.label: model for r in recordings}
                return
            for r, own in pairs:
                self.models[r.label] = self._new(size, r.dt).fit(self._recorded(r)[own])

    def _new(self, size: tuple[int, ...], dt: float) -> Any:
        if self.kind.model == "linear":
            return LinearStateSpace(*size, start_sd=_SMOOTHED / dt)
        if self.kind.model == "JEDI":
            return JEDIEstimator(*size, observation="gaussian", dt=dt)
        return MetaDynamicalSSM(
            *size,
            min(size),  # as many directions as axes
            embedding="trial",
            observation="poisson" if self.kind.poisson else "gaussian",
            dt=dt,
            batch_size=128,
        )

    def _recorded(self, r: Recording) -> np.ndarray:
        return np.round(r.X**2) if self.kind.poisson else r.X

    def _method(self, name: str, r: Recording) -> Callable[..., Any]:
        """A method of the estimator, of trials of a recording."""
        method = getattr(self.models[r.label], name)
        if not self.kind.together:
            return method
        return lambda X, *args: method(X, *args, sessions=[r.label] * len(X))

    def ask(self, method: str, r: Recording, rows: Any) -> Any:
        """What a method of the estimator says of trials of a recording."""
        return self._method(method, r)(self._recorded(r)[rows])

    def forecast(self, r: Recording, rows: np.ndarray) -> np.ndarray:
        """Second halves of trials, as square roots or as counts."""
        X = self._recorded(r)[rows]
        return np.stack(second_halves(self._method("forecast", r), X, r.given)[1])

    def score(self, method: str, r: Recording, rows: np.ndarray) -> float:
        """R^2 against the truth, of "forecast" or "smooth"."""
        ahead = method == "forecast"
        found = self.forecast(r, rows) if ahead else self.ask(method, r, rows)
        if r.rates and not self.kind.poisson:
            found = expected_counts(found)
        return trajectory_r2(r.true[rows][:, r.given if ahead else 0 :], found)


def fit_chosen(
    kind: Kind, recordings: Sequence[Recording], grid: Sequence[tuple[int, ...]]
) -> Fitted:
    """Fitted to all but test trials, of the size that forecasts validation trials best.

    Where recordings are modelled one by one, each has a size of its own; otherwise the
    mean of the R^2 of the recordings decides. Forecasts are scored against recordings.
    """
    if not kind.together and len(recordings) > 1:
        each = [fit_chosen(kind, [r], grid) for r in recordings]
        for other in each[1:]:
            each[0].models |= other.models
            each[0].sizes |= other.sizes
        return each[0]

    def worth(size: tuple[int, ...]) -> float:
        inner = [np.flatnonzero(r.fold > VALIDATION) for r in recordings]
        fitted = Fitted(kind, size, recordings, inner)
        scores = []
        for r in recordings:
            rows = np.flatnonzero(r.fold == VALIDATION)
            recorded = fitted._recorded(r)[rows][:, r.given :]
            scores.append(trajectory_r2(recorded, fitted.forecast(r, rows)))
        return float(np.mean(scores))

    size = max(grid, key=worth) if len(grid) > 1 else grid[0]
    return Fitted(kind, size, recordings, [r.rows(test=False) for r in recordings])


# ------------------------------------------------------------- baseline and figure


def principal_components(
    recordings: Sequence[Recording], n_components: int
) -> list[np.ndarray]:
    """Whitened components of smoothed trials, turned by averages over conditions.

    The baseline of latents that compare between recordings; training trials alone are
    used.
    """
    paths, averages = [], []
    for r in recordings:
        X, train = smoothed(r.X, r.dt), r.rows(test=False)
        mean = X[train].mean((0, 1))
        flat = (X[train] - mean).reshape(-1, X.shape[2])
        _, s, axes = np.linalg.svd(flat, full_matrices=False)
        scale = s[:n_components] / np.sqrt(len(flat))
        z = (X - mean) @ axes[:n_components].T / scale
        labels = r.conditions[train]
        of_label = {c: z[train][labels == c].mean(0) for c in np.unique(labels)}
        paths.append(z)
        averages.append(of_label)
    turns = align_by_conditions(averages)
    return [z @ turn.T for z, turn in zip(paths, turns, strict=True)]


def plane(Z: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The two axes in which averages of directions differ most."""
    means = np.stack([Z[direction == d].mean(0) for d in np.unique(direction)])
    means -= means.mean(0)
    return np.linalg.svd(means.reshape(-1, Z.shape[2]), full_matrices=False)[2][:2].T


def draw(parts: dict[str, tuple[list[Recording], list[np.ndarray]]]) -> None:
    """Latents of movements, averaged over directions, a panel for each recording."""
    import matplotlib.pyplot as plt

    n_columns = max(len(recordings) for recordings, _ in parts.values())
    fig, axes = plt.subplots(
        len(parts),
        n_columns,
        figsize=(3.1 * n_columns, 3.2 * len(parts)),
        squeeze=False,
        layout="constrained",
    )
    for line, (title, (recordings, paths)) in zip(axes, parts.items(), strict=True):
        moves = [r.epoch == MOVEMENT for r in recordings]
        common = set.intersection(
            *(set(r.direction[m]) for r, m in zip(recordings, moves, strict=True))
        )
        colour = dict(zip(sorted(common), _COLOURS, strict=False))
        reference = int(np.argmax([m.sum() for m in moves]))
        axis = plane(
            paths[reference][moves[reference]],
            recordings[reference].direction[moves[reference]],
        )
        for ax, r, Z, moving in zip(line, recordings, paths, moves, strict=False):
            for d in sorted(set(r.direction[moving]), key=lambda d: d in colour):
                path = Z[moving & (r.direction == d)].mean(0) @ axis
                ax.plot(*path.T, color=colour.get(d, _GREY), lw=1.8)
                ax.plot(*path[0], "o", color=colour.get(d, _GREY), ms=5)
            ax.set_title(f"{r.label} ({r.X.shape[2]} neurons)", fontsize=9)
            ax.set_xlabel("latent axis 1")
            ax.set_aspect("equal", "datalim")
        line[0].set_ylabel(f"{title}\nlatent axis 2")
        for ax in line[len(recordings) :]:
            ax.axis("off")
        step = 360 // recordings[0].n_directions
        labels = [f"{step * d}°" for d in sorted(colour)]
        handles = [plt.Line2D([], [], color=colour[d]) for d in sorted(colour)]
        if len(common) < len(set(np.concatenate([r.direction for r in recordings]))):
            handles.append(plt.Line2D([], [], color=_GREY))
            labels.append("not in all")
        line[len(recordings) - 1].legend(
            handles, labels, fontsize=7, frameon=False, loc="best"
        )
    RESULTS.mkdir(exist_ok=True)
    fig.savefig(RESULTS / "sessions_of_recordings.png", dpi=150)
    plt.close(fig)
