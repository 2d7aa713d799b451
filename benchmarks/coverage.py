"""Do intervals hold what they say? Forecasts, and differences of embeddings.

Asked for, on trials that were not fitted: central 50 and 90 % intervals of forecasts
hold 45 to 55 and 86 to 94 % of the recordings 1, 10 and 50 steps ahead: with "state"
for recording noise of 0, 0.1, 0.2 and 0.3, with "gaussian" for 0.3 and 1, and for
counts, about seven in a bin, those of a Poisson and of a negative binomial distribution
with shape 3. With "state", two trials of one condition differ by less than the 95 %
region of their embeddings' posterior in at least 85 %, without and with labels that
tell `fit` which trials are of one condition.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.stats import chi2, norm

from benchmarks._common import DT, arguments, over_seeds, save, table
from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import (
    make_attractor_family,
    make_driven_teachers,
    make_rotation_family,
)

DATA = {
    "rotations": (make_rotation_family, 2),
    "attractors": (make_attractor_family, 2),
    "teachers": (make_driven_teachers, 5),
}
NOISE = (0.0, 0.1, 0.2, 0.3)
STEPS = (1, 10, 50)
SHARES = (0.5, 0.9)
N_SEEN = 50
EMBEDDING_DIM = 2


# Recordings whose states are inferred, from activity and a generator.
NOISY = {
    ("gaussian", "noise 0.3"): lambda X, rng: X + 0.3 * rng.standard_normal(X.shape),
    ("gaussian", "noise 1"): lambda X, rng: X + rng.standard_normal(X.shape),
    ("poisson", "counts"): lambda X, rng: rng.poisson(rates(X)),
    ("negative_binomial", "counts"): lambda X, rng: rng.negative_binomial(
        3, 3 / (3 + rates(X))
    ),
}


def rates(X: np.ndarray) -> np.ndarray:
    """Expected counts of about seven in a bin."""
    return np.exp(2 + 0.3 * X / X.std())


def held_by_intervals(jedi: JEDIEstimator, test: np.ndarray) -> dict[str, float]:
    """Share of test trials (n_trials, n_timepoints, n_neurons) within intervals."""
    mean, std = jedi.forecast(test[:, :N_SEEN], max(STEPS), return_std=True)
    z = np.abs(test[:, N_SEEN:] - mean) / std
    return {
        f"{100 * share:.0f}%+{step}": float(
            (z[:, step - 1] < norm.ppf(0.5 + share / 2)).mean()
        )
        for share in SHARES
        for step in STEPS
    }


def pairs_inside(mode: np.ndarray, cov: np.ndarray, labels: np.ndarray) -> float:
    """Share of pairs of trials of a label within 95 % regions of their difference."""
    first, second = np.triu_indices(len(labels), 1)
    same = labels[first] == labels[second]
    first, second = first[same], second[same]
    difference = mode[first] - mode[second]
    solved = np.linalg.solve(cov[first] + cov[second], difference[..., None])[..., 0]
    squares = (difference * solved).sum(1)
    return float((squares < chi2.ppf(0.95, mode.shape[1])).mean())


def one_seed(seed: int, quick: bool) -> list[dict[str, Any]]:
    rows = []
    size = {"n_neurons": 20} if quick else {"n_neurons": 50}
    for name, (make, rank) in DATA.items():
        for noise in NOISE[1:2] if quick else NOISE:
            X, y, _ = make(
                8 if quick else 20, observation_noise=noise, random_state=seed, **size
            )
            test, labels = X[1::2], y[1::2]
            for fit, epochs in (("EM", 0), ("trained", 2 if quick else 25)):
                jedi = JEDIEstimator(
                    rank,
                    EMBEDDING_DIM,
                    dt=DT,
                    observation="state",
                    max_epochs=epochs,
                    random_state=seed,
                ).fit(X[::2])
                row = {"seed": seed, "data": name, "noise": noise, "fit": fit}
                row |= held_by_intervals(jedi, test)
                row["inflation"] = jedi.embedding_inflation_
                row["pairs"] = pairs_inside(*jedi.embedding_posterior(test), labels)
                with warnings.catch_warnings():
                    # labels are for the inflation alone, which it says
                    warnings.simplefilter("ignore", UserWarning)
                    jedi.fit(X[::2], conditions=y[::2])
                row["pairs_labels"] = pairs_inside(
                    *jedi.embedding_posterior(test), labels
                )
                rows.append(row)
    return rows


def one_seed_of_noisy(seed: int, quick: bool) -> list[dict[str, Any]]:
    """Rows of recordings whose states are inferred."""
    rows = []
    for name, (make, rank) in DATA.items():
        X = make(8 if quick else 20, n_neurons=20 if quick else 50, random_state=seed)[
            0
        ]
        rng = np.random.default_rng(seed)
        for (observation, noise), recorded in NOISY.items():
            Y = recorded(X, rng).astype(float)
            jedi = JEDIEstimator(rank, EMBEDDING_DIM, dt=DT, observation=observation)
            row = {"seed": seed, "data": name, "observation": observation}
            row |= {"noise": noise} | held_by_intervals(jedi.fit(Y[::2]), Y[1::2])
            rows.append(row)
        if quick:
            break
    return rows


def main() -> None:
    args = arguments(__doc__)
    rows = over_seeds(one_seed, args.seeds, args.quick)
    table(rows)
    noisy = over_seeds(one_seed_of_noisy, args.seeds, args.quick)
    table(noisy)
    summary = {}
    for observation, noise in NOISY:
        of = [
            r for r in noisy if (r["observation"], r["noise"]) == (observation, noise)
        ]
        for share in SHARES:
            for step in STEPS:
                key = f"{100 * share:.0f}%+{step}"
                held = [row[key] for row in of]
                summary[f"{observation}, {noise}: {key}, least and most"] = [
                    min(held),
                    max(held),
                ]
    for fit in ("EM", "trained"):
        for name in DATA:
            of = [row for row in rows if (row["fit"], row["data"]) == (fit, name)]
            for share in SHARES:
                for step in STEPS:
                    key = f"{100 * share:.0f}%+{step}"
                    by_noise = [
                        np.mean([row[key] for row in of if row["noise"] == noise])
                        for noise in sorted({row["noise"] for row in of})
                    ]
                    summary[f"{fit}, {name}: {key}, least and most"] = [
                        float(min(by_noise)),
                        float(max(by_noise)),
                    ]
            for key in ("pairs", "pairs_labels"):
                worst = min(row[key] for row in of)
                summary[f"{fit}, {name}: {key} inside, worst"] = worst
    save("coverage", rows + noisy, summary)


if __name__ == "__main__":
    main()
