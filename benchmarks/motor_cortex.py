"""hatsopoulos2007: preparation and movement of 8 reach directions, condition averages.

Asked for: in-sample free-run R^2 >= 0.95, and that of the left-out direction beside it;
preparation against movement from the embedding, one direction left out at a time, 1.0.
Nothing is tuned on left-out directions: rank and embedding dimension are given, the
rest is chosen on held-out windows of the training trials.
"""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import LeaveOneGroupOut

from benchmarks._common import DT, arguments, classifier, recordings, save, table, timed
from sklearn_jedi import JEDIEstimator


def preparation_and_movement(folder) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trials (16, 40, 141) in Hz, epoch (0 preparation, 1 movement) and direction."""
    with np.load(folder / "hatsopoulos2007.npz") as data:
        rates, time = data["rates"], data["time_ms"]
    preparation = rates[:, (time >= -600) & (time < -200)]
    movement = rates[:, (time >= -150) & (time < 250)]
    direction = np.tile(np.arange(len(rates)), 2)
    epoch = np.repeat([0, 1], len(rates))
    return np.concatenate([preparation, movement]), epoch, direction


def main() -> None:
    args = arguments(__doc__)
    folder = recordings()
    if folder is None:
        return
    X, epoch, direction = preparation_and_movement(folder)
    rows = []
    ranks = ((5, 4),) if args.quick else ((5, 4), (10, 8), (15, 8), (20, 8))
    fits = (("EM", 0),) if args.quick else (("EM", 0), ("trained", 25))
    for rank, dim in ranks:
        for name, epochs in fits:
            for seed in range(args.seeds if epochs else 1):
                jedi = JEDIEstimator(
                    rank, dim, dt=DT, max_epochs=epochs, random_state=seed
                )
                _, seconds = timed(jedi.fit, X)
                row = {
                    "rank": rank,
                    "dim": dim,
                    "fit": name,
                    "seed": seed,
                    "seconds": seconds,
                    "R2_in_sample": jedi.score(X),
                }
                errors, totals, correct = 0.0, 0.0, []
                for train, test in LeaveOneGroupOut().split(X, groups=direction):
                    jedi.fit(X[train])
                    true, runs = X[test][:, 1:], jedi.reconstruct(X[test])[:, 1:]
                    errors += ((true - runs) ** 2).sum()
                    totals += ((true - true.mean((0, 1))) ** 2).sum()
                    reader = classifier().fit(jedi.embeddings_, epoch[train])
                    correct.append(reader.score(jedi.transform(X[test]), epoch[test]))
                row["R2_left_out"] = float(1 - errors / totals)
                row["epoch_read"] = float(np.mean(correct))
                rows.append(row)
    table(rows)
    summary = {}
    for rank in sorted({row["rank"] for row in rows}):
        for name, _ in fits:
            of = [r for r in rows if r["rank"] == rank and r["fit"] == name]
            for key in ("R2_in_sample", "R2_left_out", "epoch_read"):
                summary[f"rank {rank}, {name}: worst {key}"] = min(r[key] for r in of)
    save("motor_cortex", rows, summary)


if __name__ == "__main__":
    main()
