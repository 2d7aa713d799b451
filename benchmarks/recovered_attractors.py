"""Attractors of fitted networks against those of the networks behind the data.

The attractor family (two points, a cycle, a ring) with process noise 0.02 and
observation noise of a tenth of the activity. `JEDIEstimator` is fitted, with one
embedding for each kind or with one for each trial and their mean, and the networks of
the three embeddings are analysed and compared with the true ones where the noise-free
trials were. Asked for: every fixed point in that region found, none invented, within
5 % of the attractor's size, and of the right stability. A fitted ring breaks up into
points joined by a slow curve. Points on it are not counted; how far it is from the true
ring is, and how fast the fitted network drifts along it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from benchmarks._common import DT, add, arguments, noisy_family, save, table, timed
from sklearn_jedi import JEDIEstimator, LowRankRNN
from sklearn_jedi.analysis import FixedPointAnalyzer
from sklearn_jedi.datasets import make_attractor_family
from sklearn_jedi.metrics import compare_dynamics

KINDS = ("bistable", "limit_cycle", "ring")
# trials of a kind share their embedding, but in the last
FITS: dict[str, dict[str, Any]] = {
    "default": {"embedding": "condition"},
    "EM": {"embedding": "condition", "max_epochs": 0},
    "gaussian": {"embedding": "condition", "observation": "gaussian"},
    "default, own embeddings": {"embedding": "trial"},
}


def cycles(analyzer: FixedPointAnalyzer, kind: int) -> tuple[float, int]:
    """Period of the only cycle in seconds, or NaN, and how many there are."""
    found = analyzer.limit_cycles_[kind]
    return (found[0].period if len(found) == 1 else np.nan), len(found)


def ring_scores(
    true: LowRankRNN, analyzer: FixedPointAnalyzer, network: LowRankRNN
) -> dict[str, Any]:
    """Slow manifolds of a fitted ring against the true ring.

    Distances and speeds are in units of the radius. Points of the true ring say how
    fast the fitted network drifts there; its own manifolds how fast it drifts on them.
    """
    own = FixedPointAnalyzer(limit_cycles=False, random_state=0).fit(true)
    (ring,) = own.manifolds_[0]
    radius = float(np.linalg.norm(ring.states, axis=1).mean())
    manifolds = analyzer.manifolds_[KINDS.index("ring")]
    off, drift, covered = np.nan, np.nan, np.nan
    if manifolds:
        states = np.concatenate([m.states for m in manifolds])
        gaps = cdist(states, ring.states)
        off = float(gaps.min(axis=1).max()) / radius
        # what of the true ring has a slow point of the fitted network nearby
        covered = float((gaps.min(axis=0) <= 0.05 * radius).mean())
        drift = max(float(m.drift_speed.max()) for m in manifolds) / radius
    on_true = np.linalg.norm(network.vector_field(ring.states[None])[0], axis=1)
    return {
        "manifolds": "+".join(m.kind for m in manifolds) or "none",
        "off_ring": off,
        "ring_covered": covered,
        "drift_1/s": drift,
        "drift_on_true_ring": float(on_true.max()) / radius,
        "true_drift": float(ring.drift_speed.max()) / radius,
    }


def analyse(
    true: LowRankRNN, found: LowRankRNN, truth: np.ndarray, y: np.ndarray
) -> list[dict[str, Any]]:
    """One row of scores for each kind."""
    states = np.stack(
        [truth[y == k][:, ::10].reshape(-1, truth.shape[2]) for k in range(len(KINDS))]
    )
    scores = compare_dynamics(true, found, states)
    fitted = FixedPointAnalyzer(random_state=0).fit(found, states=states)
    known = FixedPointAnalyzer(random_state=0).fit(true, states=states)
    rows = []
    for k, kind in enumerate(KINDS):
        period, n_cycles = cycles(fitted, k)
        true_period, _ = cycles(known, k)
        row: dict[str, Any] = {
            "kind": kind,
            "recall": float(scores["fixed_point_recall"][k]),
            "precision": float(scores["fixed_point_precision"][k]),
            "distance": float(scores["fixed_point_distance"][k]),
            "stability": float(scores["stability_agreement"][k]),
            "manifold_distance": float(scores["manifold_distance"][k]),
            "points": len(fitted.fixed_points_[k]),
            "true_points": len(known.fixed_points_[k]),
            "field_R2": float(scores["vector_field_r2"][k]),
            "cycles": n_cycles,
            "period_error_%": 100 * (period / true_period - 1),
        }
        if kind == "ring":
            row |= ring_scores(true[k], fitted, found[k])
        rows.append(row)
    return rows


def main() -> None:
    args = arguments(__doc__)
    rows: list[dict[str, Any]] = []
    n_trials = 8 if args.quick else 24
    for seed in range(args.seeds):
        X, truth, y, true = noisy_family(
            make_attractor_family, 100.0, seed, n_trials_per_condition=n_trials
        )
        for name in ("EM",) if args.quick else FITS:
            jedi = JEDIEstimator(
                rank=2, embedding_dim=2, dt=DT, random_state=seed, **FITS[name]
            )
            jedi, seconds = timed(partial(jedi.fit, X, conditions=y))
            Z = np.stack([jedi.embeddings_[y == k].mean(axis=0) for k in range(3)])
            fit = {"fit": name, "seed": seed, "s": seconds, "as": jedi.observation_}
            for row in analyse(true, jedi.dynamics(Z), truth, y):
                add(rows, **fit, **row)
    for kind in KINDS:
        print()
        table([row for row in rows if row["kind"] == kind])
    summary: dict[str, Any] = {}
    for name in dict.fromkeys(row["fit"] for row in rows):
        for kind in KINDS:
            of = [r for r in rows if (r["fit"], r["kind"]) == (name, kind)]
            wanted = [("recall", np.fmin.reduce), ("precision", np.fmin.reduce)]
            if kind == "limit_cycle":
                wanted.append(("period_error_%", lambda v: max(v, key=abs)))
            if kind == "ring":
                wanted += [
                    ("manifold_distance", max),
                    ("off_ring", max),
                    ("ring_covered", min),
                    ("drift_1/s", max),
                    ("drift_on_true_ring", max),
                    ("true_drift", max),
                ]
            summary[f"{name}, {kind}: worst"] = {
                # NaN, nothing found, is the worst of all; of recall and precision it
                # says that no point was in the region
                key: np.nan
                if worst is not np.fmin.reduce
                and np.isnan([row[key] for row in of]).any()
                else float(f"{worst([row[key] for row in of]):.4g}")
                for key, worst in wanted
            }
            # recall says whether a point is missing; NaN where none is in the region
            near = [row for row in of if not np.isnan(row["distance"])]
            summary[f"{name}, {kind}: seeds with a true point in the region"] = sum(
                row in near or row["recall"] < 1 for row in of
            )
            if near:
                summary[f"{name}, {kind}: worst distance, stability"] = [
                    float(f"{max(row['distance'] for row in near):.4g}"),
                    min(row["stability"] for row in near),
                ]
        of = [r for r in rows if (r["fit"], r["kind"]) == (name, "ring")]
        summary[f"{name}, ring: seen as"] = [row["manifolds"] for row in of]
    save("recovered_attractors", rows, summary)


if __name__ == "__main__":
    main()
