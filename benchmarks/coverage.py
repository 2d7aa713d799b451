"""Do intervals hold what they say? Forecasts, and differences of embeddings.

Asked for, on trials that were not fitted: central 50 and 90 % intervals of forecasts
hold 45 to 55 and 86 to 94 % of the recordings 1, 10 and 50 steps ahead, with recording
noise of 0, 0.1, 0.2 and 0.3; two trials of one condition differ by less than the 95 %
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
        for noise in NOISE[::3] if quick else NOISE:
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
                mean, std = jedi.forecast(test[:, :N_SEEN], max(STEPS), return_std=True)
                z = np.abs(test[:, N_SEEN:] - mean) / std
                row = {"seed": seed, "data": name, "noise": noise, "fit": fit}
                for share in SHARES:
                    half = norm.ppf(0.5 + share / 2)
                    for step in STEPS:
                        held = float((z[:, step - 1] < half).mean())
                        row[f"{100 * share:.0f}%+{step}"] = held
                row["inflation"] = jedi.embedding_inflation_
                row["pairs"] = pairs_inside(*jedi.embedding_posterior(test), labels)
                if fit == "EM":
                    with warnings.catch_warnings():
                        # labels are for the inflation alone, which it says
                        warnings.simplefilter("ignore", UserWarning)
                        jedi.fit(X[::2], conditions=y[::2])
                    row["pairs_labels"] = pairs_inside(
                        *jedi.embedding_posterior(test), labels
                    )
                else:
                    row["pairs_labels"] = np.nan
                rows.append(row)
    return rows


def main() -> None:
    args = arguments(__doc__)
    rows = over_seeds(one_seed, args.seeds, args.quick)
    table(rows)
    summary = {}
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
            summary[f"{fit}, {name}: pairs inside, worst"] = min(
                row["pairs"] for row in of
            )
    save("coverage", rows, summary)


if __name__ == "__main__":
    main()
