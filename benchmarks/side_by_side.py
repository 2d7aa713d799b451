"""JEDI beside other models of the same trials: driven teachers, one split, one run.

Every model's settings are chosen on a quarter of the training trials, from as many
candidates as it has in `MODELS`; then it is fitted to all training trials and scored on
held-out ones. Columns: R^2 of whole trials from the model's own estimate of them (free
runs from the first state, or decoded latents), R^2 of the second half forecast from the
first, the condition read from embeddings by a linear classifier and by a radial one (by
which model fits best, for one model per condition), and seconds of the final fit.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks._common import add, arguments, classifier, save, split, table, timed
from benchmarks._linear import LinearStateSpace
from benchmarks.baselines import (
    ForceRNN,
    OneNetwork,
    PerCondition,
    RecurrentVAE,
    TrialVAE,
)
from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_driven_teachers
from sklearn_jedi.metrics import trajectory_r2


def network(rank: int) -> OneNetwork:
    return OneNetwork(JEDIEstimator(rank=rank, max_epochs=0))


MODELS: dict[str, list[Any]] = {
    "JEDI": [JEDIEstimator(rank=r, random_state=0) for r in (3, 5, 8)],
    "JEDI, EM": [JEDIEstimator(rank=r, max_epochs=0) for r in (3, 5, 8)],
    "VAE": [TrialVAE(k, 256, random_state=0) for k in (8, 16, 32)],
    "recurrent VAE": [
        RecurrentVAE(16, h, n_epochs=100, learning_rate=5e-3, random_state=0)
        for h in (32, 64, 128)
    ],
    "FORCE": [ForceRNN(alpha=a, random_state=0) for a in (1.0, 10.0, 100.0)],
    "one network": [network(rank) for rank in (3, 5, 10)],
    "linear": [LinearStateSpace(k) for k in (5, 10, 15)],
    "one network per condition": [PerCondition(network(r)) for r in (3, 5, 10)],
    "linear per condition": [PerCondition(LinearStateSpace(k)) for k in (5, 10, 15)],
}
QUICK = ("JEDI, EM", "FORCE", "one network", "one network per condition")


def whole(model: Any, X: np.ndarray) -> float:
    """R^2 of whole trials; the first time point, which some models copy, left out."""
    run = getattr(model, "reconstruct", None) or model.free_run
    return trajectory_r2(X[:, 1:], run(X)[:, 1:])


def forecast(model: Any, X: np.ndarray) -> float:
    """R^2 of the second half of each trial, given the first."""
    if not hasattr(model, "forecast"):
        return np.nan
    half = X.shape[1] // 2
    later = X[:, half:]
    return trajectory_r2(later, model.forecast(X[:, :half], later.shape[1]))


def reading(
    model: Any, X: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[float, float]:
    """Share of held-out conditions read: linearly, and by a radial classifier."""
    if isinstance(model, PerCondition):
        share = model.accuracy(X[test], y[test])
        return share, share
    if not hasattr(model, "transform"):
        return np.nan, np.nan
    Z = model.transform(X[train]), model.transform(X[test])
    radial = make_pipeline(StandardScaler(), SVC(C=10.0))
    linear, curved = (
        c.fit(Z[0], y[train]).score(Z[1], y[test]) for c in (classifier(), radial)
    )
    return linear, curved


def fitted(model: Any, X: np.ndarray, y: np.ndarray) -> Any:
    copy = clone(model, safe=False)
    return copy.fit(X, y) if isinstance(copy, PerCondition) else copy.fit(X)


def main() -> None:
    args = arguments(__doc__)
    size: dict[str, Any] = {"n_neurons": 30, "n_timepoints": 40} if args.quick else {}
    n_train, n_test = (8, 2) if args.quick else (24, 6)
    rows: list[dict[str, Any]] = []
    for seed in range(args.seeds):
        X, y, _ = make_driven_teachers(n_train + n_test, random_state=seed, **size)
        train, test = split(y, n_train)
        inner, held = split(y[train], 3 * n_train // 4)
        for name, candidates in MODELS.items():
            if args.quick:
                if name not in QUICK:
                    continue
                candidates = candidates[:1]
            scores = [np.nan]
            if len(candidates) > 1:
                scores = [
                    whole(fitted(c, X[train][inner], y[train][inner]), X[train][held])
                    for c in candidates
                ]
            best = int(np.argmax(scores))
            model, seconds = timed(
                partial(fitted, candidates[best], X[train], y[train])
            )
            linear, radial = reading(model, X, y, train, test)
            add(
                rows,
                model=name,
                seed=seed,
                candidate=best,
                R2_train=whole(model, X[train]),
                R2_test=whole(model, X[test]),
                R2_forecast=forecast(model, X[test]),
                read=linear,
                read_radial=radial,
                s=seconds,
            )
    table(rows)
    summary: dict[str, Any] = {}
    for name in dict.fromkeys(row["model"] for row in rows):
        of = [row for row in rows if row["model"] == name]
        for key in ("R2_test", "R2_forecast", "read", "read_radial"):
            summary[f"{name}: {key}, worst"] = min(row[key] for row in of)
        summary[f"{name}: seconds, mean"] = float(np.mean([row["s"] for row in of]))
    save("side_by_side", rows, summary)


if __name__ == "__main__":
    main()
