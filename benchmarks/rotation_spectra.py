"""Rotation family: is the leading eigenvalue of J recovered without shrinkage?

Process noise 0.05, observation noise 0.1, activity SD 1. Asked for: within 1.5 % of
the spectral radius, median over trials, and no systematic shrinkage. "EM" and
"trained" take the recording as the state; "auto" chooses, by the share of noise.
"""

from __future__ import annotations

import numpy as np

from benchmarks._common import DT, arguments, save, table
from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_rotation_family


def upper(values: np.ndarray) -> np.ndarray:
    """The member of each complex pair in the upper half plane."""
    return values.real + 1j * np.abs(values.imag)


def main() -> None:
    args = arguments(__doc__)
    rows = []
    for n_neurons in (100,) if args.quick else (100, 200):
        for seed in range(args.seeds):
            X, y, networks = make_rotation_family(
                6 if args.quick else 24,
                n_neurons=n_neurons,
                observation_noise=0.1,
                random_state=seed,
            )
            true = upper(networks.eigenvalues[:, 0])[y]
            for name, observation, epochs in (
                ("EM", "state", 0),
                ("trained", "state", 5 if args.quick else 25),
                ("auto", "auto", 0),
            ):
                jedi = JEDIEstimator(
                    rank=2,
                    embedding_dim=2,
                    dt=DT,
                    observation=observation,
                    max_epochs=epochs,
                    random_state=seed,
                ).fit(X)
                found = upper(jedi.dynamics(jedi.embeddings_).eigenvalues[:, 0])
                size = np.abs(found) / np.abs(true) - 1
                rows.append(
                    {
                        "neurons": n_neurons,
                        "seed": seed,
                        "fit": name,
                        "observation": jedi.observation_,
                        "median_error_%": float(
                            100 * np.median(np.abs(found - true) / np.abs(true))
                        ),
                        "median_size_%": float(100 * np.median(size)),
                        "R2": jedi.score(X),
                        "ridge": jedi.ridge_,
                    }
                )
    table(rows)
    summary = {}
    for name in ("EM", "trained", "auto"):
        of = [row for row in rows if row["fit"] == name]
        summary[f"{name}: worst median error (%)"] = max(
            r["median_error_%"] for r in of
        )
        summary[f"{name}: mean size error (%)"] = float(
            np.mean([row["median_size_%"] for row in of])
        )
    save("rotation_spectra", rows, summary)


if __name__ == "__main__":
    main()
