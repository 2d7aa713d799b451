"""Degeneracy: how far do refits of the same recording agree, and in what?

Twenty fits of one driven teacher's activity: ten that differ in the seed of training
alone, and ten of random halves of its trials. Every pair of fits is compared on
held-out trials: embeddings up to rotation (Procrustes disparity), spectra (mean matched
distance over the mean size of the eigenvalues), the vector field where the activity was
(R^2 of one against the other), fixed points of the networks of the conditions (share
matched within 5 % of the size of the activity), and the weights themselves (correlation
of the entries of `J`). Only what the data visited is identifiable: weights need not
agree where all else does.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import procrustes

from benchmarks._common import DT, RESULTS, add, arguments, save, split, table
from sklearn_jedi import JEDIEstimator, LowRankRNN
from sklearn_jedi.analysis import FixedPointAnalyzer
from sklearn_jedi.datasets import make_driven_teachers
from sklearn_jedi.metrics import (
    FixedPointMatch,
    match_fixed_points,
    spectral_distance,
    vector_field_agreement,
)

MEASURES = ("embeddings", "spectra", "vector_field", "fixed_points", "weights")


class Refit(NamedTuple):
    """What one fit says of the held-out trials, and of the networks of conditions."""

    embeddings: np.ndarray
    trials: LowRankRNN
    conditions: LowRankRNN
    fixed_points: list[np.ndarray]
    R2: float


def refit(
    X: np.ndarray, chosen: np.ndarray, test: np.ndarray, y: np.ndarray, **params: Any
) -> Refit:
    jedi = JEDIEstimator(rank=5, embedding_dim=4, dt=DT, **params).fit(X[chosen])
    Z = jedi.transform(X[test])
    labels = y[test]
    means = np.stack([Z[labels == k].mean(axis=0) for k in np.unique(labels)])
    conditions = jedi.dynamics(means)
    points = FixedPointAnalyzer(limit_cycles=False, random_state=0).fit(conditions)
    return Refit(
        Z, jedi.dynamics(Z), conditions, points.fixed_points_, jedi.score(X[test])
    )


def agreement(one: Refit, other: Refit, X: np.ndarray) -> dict[str, float]:
    """The measures of one pair of fits, X the held-out trials."""
    size = np.sqrt(((X - X.mean((0, 1))) ** 2).sum(axis=2).mean())
    matches = [
        match_fixed_points(a, b, tol=0.05, scale=size)
        for a, b in zip(one.fixed_points, other.fixed_points, strict=True)
    ]
    eigenvalues = one.trials.eigenvalues, other.trials.eigenvalues
    distance = np.mean(spectral_distance(*eigenvalues))
    return {
        "embeddings": float(procrustes(one.embeddings, other.embeddings)[2]),
        "spectra": float(distance / np.abs(eigenvalues[0]).mean()),
        "vector_field": float(
            np.median(vector_field_agreement(one.trials, other.trials, X))
        ),
        "fixed_points": float(np.mean([matched(m) for m in matches])),
        "weights": float(
            np.corrcoef(one.conditions.J.ravel(), other.conditions.J.ravel())[0, 1]
        ),
    }


def matched(match: FixedPointMatch) -> float:
    """Share of the points of both networks that have a partner; 1 if there are none."""
    shares = np.array([match.recall, match.precision])
    return 1.0 if np.isnan(shares).all() else float(np.nanmin(shares))


def draw(rows: list[dict[str, Any]]) -> None:
    """Every pair of fits, one panel a measure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    labels = {
        "embeddings": "embeddings\n(disparity)",
        "spectra": "spectra\n(relative distance)",
        "vector_field": r"vector field ($R^2$)",
        "fixed_points": "fixed points\n(share matched)",
        "weights": "weights\n(correlation)",
    }
    kinds = list(dict.fromkeys(row["differ_in"] for row in rows))
    rng = np.random.default_rng(0)
    figure, axes = plt.subplots(1, 5, figsize=(12, 3.2), layout="constrained")
    for ax, measure in zip(axes, MEASURES, strict=True):
        for k, kind in enumerate(kinds):
            values = [row[measure] for row in rows if row["differ_in"] == kind]
            x = k + 0.15 * rng.uniform(-1, 1, len(values))
            ax.plot(x, values, "o", ms=3, alpha=0.5, color=("#0072B2", "#D55E00")[k])
        ax.set_xticks(range(len(kinds)), ["seeds", "halves"])
        ax.ticklabel_format(axis="y", useOffset=False)
        ax.set_xlim(-0.5, len(kinds) - 0.5)
        ax.set_ylabel(labels[measure])
    figure.savefig(RESULTS / "degeneracy.png", dpi=150)
    plt.close(figure)


def main() -> None:
    args = arguments(__doc__)
    size: dict[str, Any] = {"n_neurons": 60, "n_timepoints": 60} if args.quick else {}
    n_train, n_test = (8, 4) if args.quick else (24, 6)
    n_fits = 2 if args.quick else 10
    training = {"max_epochs": 0} if args.quick else {}
    rows: list[dict[str, Any]] = []
    for seed in range(args.seeds):
        X, y, _ = make_driven_teachers(n_train + n_test, random_state=seed, **size)
        train, test = split(y, n_train)
        rng = np.random.RandomState(seed)
        halves = [
            np.sort(rng.permutation(train)[: len(train) // 2]) for _ in range(n_fits)
        ]
        groups = {
            "training seed": [
                refit(X, train, test, y, random_state=k, **training)
                for k in range(n_fits)
            ],
            "half of trials": [
                refit(X, half, test, y, random_state=0, **training) for half in halves
            ],
        }
        for kind, fits in groups.items():
            for one, other in itertools.combinations(fits, 2):
                scores = agreement(one, other, X[test])
                lower = min(one.R2, other.R2)
                add(rows, seed=seed, differ_in=kind, R2=lower, **scores)
    worst = {
        name: max if name in ("embeddings", "spectra") else min for name in MEASURES
    }
    lines = []
    for kind in dict.fromkeys(row["differ_in"] for row in rows):
        of = [row for row in rows if row["differ_in"] == kind]
        for name in MEASURES:
            values = [row[name] for row in of]
            lines.append(
                {
                    "differ in": kind,
                    "measure": name,
                    "median": float(np.median(values)),
                    "worst": worst[name](values),
                    "pairs": len(of),
                }
            )
    table(lines)
    RESULTS.mkdir(exist_ok=True)
    draw(rows)
    summary = {
        f"{r['differ in']}: {r['measure']}": [r["median"], r["worst"]] for r in lines
    }
    summary["lowest R2 of a fit"] = min(row["R2"] for row in rows)
    save("degeneracy", rows, summary)


if __name__ == "__main__":
    main()
