"""Driven teachers with one frequency left out of the fit at a time.

Asked for: R^2 of the left-out trials within 0.02 of the in-sample R^2 on average over
interior frequencies, 0.04 at worst. The ends of the range are extrapolation.
"""

from __future__ import annotations

import numpy as np

from benchmarks._common import DT, arguments, save, table
from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_driven_teachers

FREQUENCIES = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)


def main() -> None:
    args = arguments(__doc__)
    rows = []
    for seed in range(args.seeds):
        size = {"n_neurons": 60, "n_timepoints": 60} if args.quick else {}
        X, y, _ = make_driven_teachers(
            8 if args.quick else 24, frequencies=FREQUENCIES, random_state=seed, **size
        )
        for held in (2,) if args.quick else range(len(FREQUENCIES)):
            for name, epochs in (("EM", 0), ("trained", 5 if args.quick else 25)):
                jedi = JEDIEstimator(dt=DT, max_epochs=epochs, random_state=seed)
                jedi.fit(X[y != held])
                inside, outside = jedi.score(X[y != held]), jedi.score(X[y == held])
                rows.append(
                    {
                        "seed": seed,
                        "fit": name,
                        "left_out_Hz": FREQUENCIES[held],
                        "R2_in_sample": inside,
                        "R2_left_out": outside,
                        "gap": inside - outside,
                    }
                )
    table(rows)
    summary = {}
    for name in ("EM", "trained"):
        of = [row for row in rows if row["fit"] == name]
        for where, ends in (("interior", False), ("ends", True)):
            gaps = [
                row["gap"]
                for row in of
                if (row["left_out_Hz"] in (FREQUENCIES[0], FREQUENCIES[-1])) == ends
            ]
            if gaps:
                summary[f"{name}, {where}: mean gap"] = float(np.mean(gaps))
                summary[f"{name}, {where}: worst gap"] = max(gaps)
    save("held_out_frequency", rows, summary)


if __name__ == "__main__":
    main()
