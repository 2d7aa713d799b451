"""Driven teachers with gaps: what missing bins and ragged trials cost.

Training trials complete; with 30 % of their bins missing, all neurons at once; or of
50 to 150 % of the length. Clean activity (observation "state") and signal-to-noise
ratio 1 ("gaussian"). Held-out trials are complete; R^2 of their free runs against the
activity without noise, from the second bin on. Asked for: within 0.01 of complete data.
"""

from __future__ import annotations

import numpy as np

from benchmarks._common import (
    DT,
    add,
    arguments,
    fifths,
    noisy_family,
    save,
    table,
    timed,
)
from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_driven_teachers
from sklearn_jedi.metrics import trajectory_r2


def with_gaps(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Trials without 30 % of their bins."""
    X = X.copy()
    X[rng.random(X.shape[:2]) < 0.3] = np.nan
    return X


def cut(X: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Trials of a third of their length to all of it."""
    lengths = rng.integers(X.shape[1] // 3, X.shape[1], size=len(X), endpoint=True)
    return [trial[:length] for trial, length in zip(X, lengths, strict=True)]


def main() -> None:
    args = arguments(__doc__)
    n_trials, n_neurons, length = (5, 30, 30) if args.quick else (30, 200, 100)
    epochs = 0 if args.quick else 25
    rows = []
    for seed in range(args.seeds):
        rng = np.random.default_rng(seed)
        noisy, clean, _, _ = noisy_family(
            make_driven_teachers,
            1.0,
            seed,
            n_trials_per_condition=n_trials,
            n_timepoints=3 * length // 2,
            n_neurons=n_neurons,
        )
        train, test = fifths(len(clean))
        true = clean[test, 1:length]
        for observation, X in (("state", clean), ("gaussian", noisy)):
            complete = None
            for name, X_train in (
                ("complete", X[train, :length]),
                ("missing", with_gaps(X[train, :length], rng)),
                ("ragged", cut(X[train], rng)),
            ):
                jedi = JEDIEstimator(
                    dt=DT,
                    observation=observation,
                    max_epochs=epochs,
                    random_state=seed,
                )
                _, seconds = timed(jedi.fit, X_train)
                runs = jedi.reconstruct(X[test, :length])[:, 1:]
                R2 = trajectory_r2(true, runs)
                complete = R2 if complete is None else complete
                add(
                    rows,
                    seed=seed,
                    observation=observation,
                    trials=name,
                    seconds=seconds,
                    R2=R2,
                    less=complete - R2,
                )
    table(rows)
    summary = {}
    for observation in ("state", "gaussian"):
        for name in ("complete", "missing", "ragged"):
            of = [
                row
                for row in rows
                if (row["observation"], row["trials"]) == (observation, name)
            ]
            text = f"{observation}, {name}: worst"
            summary[f"{text} R2"] = min(row["R2"] for row in of)
            if name != "complete":
                summary[f"{text} loss of R2"] = max(row["less"] for row in of)
    save("gaps", rows, summary)


if __name__ == "__main__":
    main()
