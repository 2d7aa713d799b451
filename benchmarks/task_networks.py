"""Networks trained on delayed tasks, recovered from their activity alone.

`make_task_network` trains a rate network of 100 neurons on each of four tasks.
Stimulus, delay and response are trials of their own. `JEDIEstimator` is fitted by EM to
these trials, once knowing which of them share their input and so an embedding
("shared"), once not ("own"; the mean of the trials' embeddings stands for an input).
Its rank is the least of 10, 20 and 30 whose error, on a quarter of the trials that is
not tested on, is at most a tenth above the best. The network of each input is held
against the true one with that input held fixed.

Distances are in units of the activity's size, its root mean square distance from its
mean over all epochs. A fixed point is visited where the activity of its epoch comes
within 0.1 of it; a visited point is found where the other network has one within 0.05.
Points on a slow curve of either network, such as the rings on which the memory tasks
hold directions, are not counted; how far visited parts of one network's curves are from
the other's curves is.

Asked for, worst of five seeds: free-run R^2 of held-out trials of at least 0.99, recall
and precision of visited points of at least 0.95, and the same stability.
"""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.decomposition import PCA

from benchmarks._common import (
    DT,
    RESULTS,
    add,
    arguments,
    over_seeds,
    save,
    table,
    timed,
)
from sklearn_jedi import JEDIEstimator, LowRankRNN
from sklearn_jedi.analysis import FixedPointAnalyzer
from sklearn_jedi.datasets import make_task_network
from sklearn_jedi.metrics import match_fixed_points
from sklearn_jedi.metrics._long_runs import size_of

TASKS = ("memory_pro", "memory_anti", "delayed_match", "perceptual_decision")
RANKS = (10, 20, 30)
EMBEDDING_DIM = 4
WORTH_RANK = 0.1  # what a lower rank may add to the least error
VISITED, TOLERANCE = 0.1, 0.05
ANALYZER = FixedPointAnalyzer(limit_cycles=False, random_state=0)


class Recording(NamedTuple):
    """Epochs as trials, and the index of the network of each."""

    X: list[np.ndarray]
    network: np.ndarray

    def take(self, rows: np.ndarray) -> Recording:
        return Recording([self.X[i] for i in rows], self.network[rows])


def divided(data: Any, n_trials: int) -> list[Recording]:
    """Trials to fit, to choose the rank with, and to test on: a half, two quarters."""
    whole = Recording(data.X_epochs, data.network)
    part = 4 * (data.trial % n_trials) // n_trials
    return [whole.take(np.isin(part, of).nonzero()[0]) for of in ((0, 1), (2,), (3,))]


def fit(train: Recording, rank: int, kind: str) -> JEDIEstimator:
    jedi = JEDIEstimator(
        rank,
        EMBEDDING_DIM,
        embedding="condition" if kind == "shared" else "trial",
        dt=DT,
        max_epochs=0,
    )
    return jedi.fit(train.X, conditions=train.network)


def score(jedi: JEDIEstimator, test: Recording) -> float:
    return jedi.score(test.X, conditions=test.network)


def choose_rank(
    ranks: tuple[int, ...], train: Recording, held_out: Recording, kind: str
) -> int:
    errors = [1 - score(fit(train, rank, kind), held_out) for rank in ranks]
    good = np.array(errors) <= (1 + WORTH_RANK) * min(errors)
    return ranks[int(good.argmax())]


def networks(jedi: JEDIEstimator, train: Recording) -> LowRankRNN:
    """One for each input: of its embedding, or of the mean of its trials'."""
    labels = np.unique(train.network)
    Z = [jedi.embeddings_[train.network == k].mean(axis=0) for k in labels]
    return jedi.dynamics(np.stack(Z))


class Portrait(NamedTuple):
    """What counts of a network: fixed points and slow curves where its activity was.

    Attributes
    ----------
    points, stable, rates : arrays of length n_points
        All isolated fixed points, whether they are stable, and their leading rates in
        1/s: positive where the network leaves them.
    visited : bool array of shape (n_points,)
    curves, visited_curves : arrays of shape (n, n_neurons)
        States on slow curves, all and those that activity came near.
    """

    points: np.ndarray
    stable: np.ndarray
    rates: np.ndarray
    visited: np.ndarray
    curves: np.ndarray
    visited_curves: np.ndarray


def portraits(
    rnn: LowRankRNN, states: np.ndarray, activity: list[np.ndarray], scale: float
) -> list[Portrait]:
    """Of each network, where its activity was."""
    analyzer = clone(ANALYZER).fit(rnn, states=states)
    found = []
    for k, visited in enumerate(activity):
        points = analyzer.fixed_points_[k]
        on_curves = [manifold.states for manifold in analyzer.manifolds_[k]]
        curves = np.concatenate([np.empty((0, rnn.n_neurons)), *on_curves])
        multipliers = np.abs(analyzer.eigenvalues_[k]).max(axis=1, initial=0)
        found.append(
            Portrait(
                points,
                np.asarray(analyzer.is_stable_[k]),
                np.log(multipliers) / rnn.dt,
                near(points, visited, VISITED * scale)
                & ~near(points, curves, TOLERANCE * scale),
                curves,
                curves[near(curves, visited, VISITED * scale)],
            )
        )
    return found


def near(points: np.ndarray, others: np.ndarray, reach: float) -> np.ndarray:
    return gaps(points, others) <= reach


def gaps(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each point from the nearest of the others."""
    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    return cdist(points, others).min(axis=1)


def compare(true: Portrait, found: Portrait, scale: float) -> dict[str, Any]:
    """Counts of visited points and of those matched, and distances of slow curves."""
    reach = TOLERANCE * scale
    # a continuum of one network has no points to count in the other
    one = true.visited & ~near(true.points, found.curves, reach)
    two = found.visited & ~near(found.points, true.curves, reach)
    common = {"tol": TOLERANCE, "scale": scale}
    recalled = match_fixed_points(true.points[one], found.points, **common)
    precise = match_fixed_points(true.points, found.points[two], **common)
    i, j = recalled.pairs.T
    off = np.r_[
        gaps(true.visited_curves, found.curves), gaps(found.visited_curves, true.curves)
    ]
    return {
        "true": int(one.sum()),
        "recalled": len(i),
        "found": int(two.sum()),
        "precise": len(precise.pairs),
        "stability": int((true.stable[one][i] == found.stable[j]).sum()),
        "distance": recalled.distance,
        "rates": np.column_stack([true.rates[one][i], found.rates[j]]),
        "curve": off.max() / scale if len(off) else np.nan,
    }


def scores(each: list[dict[str, Any]]) -> dict[str, Any]:
    """Of all networks of a recording together."""
    total = {
        key: sum(row[key] for row in each)
        for key in ("true", "recalled", "found", "precise", "stability")
    }

    def share(part: str, whole: str) -> float:
        return total[part] / total[whole] if total[whole] else np.nan

    rates = np.concatenate([row["rates"] for row in each])
    curves = np.array([row["curve"] for row in each])
    return {
        "points": total["true"],
        "recall": share("recalled", "true"),
        "precision": share("precise", "found"),
        "stability": share("stability", "recalled"),
        "distance": max(
            [d for r in each if not np.isnan(d := r["distance"])], default=np.nan
        ),
        "rate_error_1/s": float(np.abs(np.diff(rates)).max(initial=0)),
        "curves": int(np.isfinite(curves).sum()),
        "curves_in_one_only": int(np.isinf(curves).sum()),
        "curve_distance": float(max(curves[np.isfinite(curves)], default=np.nan)),
    }


def one_seed(seed: int, quick: bool, home: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    size: dict[str, Any] = {"n_trials_per_condition": 16, "data_home": home}
    if quick:
        size |= {"n_neurons": 50, "n_iterations": 80}
    for task in ("perceptual_decision",) if quick else TASKS:
        make = partial(make_task_network, task, random_state=seed, **size)
        data, training_seconds = timed(make)
        first, choice, test = divided(data, size["n_trials_per_condition"])
        train = Recording(first.X + choice.X, np.r_[first.network, choice.network])
        activity = [
            np.concatenate([train.X[i] for i in np.flatnonzero(train.network == k)])
            for k in range(len(data.networks))
        ]
        scale = size_of(np.concatenate(activity))
        rng = np.random.default_rng(0)
        states = np.stack([rng.choice(a, 400, replace=False) for a in activity])
        true = portraits(data.networks, states, activity, scale)
        for kind in ("shared",) if quick else ("shared", "own"):
            rank = choose_rank(RANKS[:1] if quick else RANKS, first, choice, kind)
            jedi, seconds = timed(fit, train, rank, kind)
            found = portraits(networks(jedi, train), states, activity, scale)
            each = [compare(*pair, scale) for pair in zip(true, found, strict=True)]
            add(
                rows,
                task=task,
                seed=seed,
                embeddings=kind,
                rank=rank,
                correct=float(data.correct.mean()),
                R2=score(jedi, test),
                **scores(each),
                training_s=training_seconds,
                s=seconds,
            )
            if seed == 0 and kind == "shared":
                draw(task, data, activity, true, found)
    return rows


def draw(
    task: str,
    data: Any,
    activity: list[np.ndarray],
    true: list[Portrait],
    found: list[Portrait],
) -> None:
    """Fixed points and slow curves of both in principal components, by epoch."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plane = PCA(2).fit(np.concatenate(activity))
    figure, axes = plt.subplots(
        1, 3, figsize=(11, 3.8), layout="constrained", sharex=True, sharey=True
    )
    styles = (("true", "black", "o", "s", 9), ("JEDI", "tab:red", "x", "+", 6))
    for ax, epoch in zip(axes, ("stimulus", "delay", "response"), strict=True):
        numbers = np.unique(data.network[data.epoch == epoch])
        for k in numbers:
            states = plane.transform(activity[k])[::3]
            ax.plot(*states.T, ".", ms=1.5, color="0.8", zorder=0, rasterized=True)
        for name, color, stable, unstable, size in styles:
            for k in numbers:
                portrait = (true if name == "true" else found)[k]
                if len(portrait.curves):
                    curve = plane.transform(portrait.curves)
                    ax.plot(*curve.T, ".", ms=size / 4, color=color)
                for marker, of in (
                    (stable, portrait.visited & portrait.stable),
                    (unstable, portrait.visited & ~portrait.stable),
                ):
                    if of.any():
                        points = plane.transform(portrait.points[of])
                        ax.plot(*points.T, marker, ms=size, mfc="none", color=color)
        ax.set_title(epoch)
        ax.set_xlabel("PC 1 (rate units)")
    axes[0].set_ylabel("PC 2 (rate units)")
    handles = [plt.Line2D([], [], ls="", marker=".", color="0.8", label="activity")]
    for name, color, *markers, _ in styles:
        for kind, marker in zip(
            ("stable point", "unstable point"), markers, strict=True
        ):
            handles.append(
                plt.Line2D(
                    [],
                    [],
                    ls="",
                    marker=marker,
                    mfc="none",
                    color=color,
                    label=f"{name}, {kind}",
                )
            )
        handles.append(
            plt.Line2D([], [], ls=":", lw=2, color=color, label=f"{name}, slow curve")
        )
    figure.legend(handles=handles, loc="outside right upper")
    figure.suptitle(f"{task.replace('_', ' ')}: fixed points that the activity visits")
    figure.savefig(RESULTS / f"task_networks_{task}.png", dpi=150)
    plt.close(figure)


def main() -> None:
    args = arguments(__doc__)
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        folder = home if args.quick else str(RESULTS)
        rows = over_seeds(one_seed, args.seeds, args.quick, folder)
    summary: dict[str, Any] = {}
    for kind in dict.fromkeys(row["embeddings"] for row in rows):
        of = [row for row in rows if row["embeddings"] == kind]
        print()
        table(of)
        for task in dict.fromkeys(row["task"] for row in of):
            mine = [row for row in of if row["task"] == task]
            summary[f"{kind}, {task}: worst"] = {
                "R2": min(row["R2"] for row in mine),
                **{
                    key: float(np.nanmin([row[key] for row in mine]))
                    for key in ("recall", "precision", "stability")
                },
                "distance": float(np.nanmax([row["distance"] for row in mine])),
                "curve_distance": max(
                    (d for r in mine if not np.isnan(d := r["curve_distance"])),
                    default=np.nan,
                ),
                "curves": sum(row["curves"] for row in mine),
                "curves_in_one_only": sum(row["curves_in_one_only"] for row in mine),
            }
    save("task_networks", rows, summary)


if __name__ == "__main__":
    main()
