"""Peak memory and time against neurons and time points.

Each fit runs in a process of its own on a numpy.memmap; memory is that of the process
itself (RssAnon, above that before the fit), without the pages of the mapped file.
Asked for: time linear or better. Against trials: larger_than_memory.
"""

from __future__ import annotations

import contextlib

from benchmarks._common import RESULTS, add, arguments, save, table
from benchmarks._on_disk import FITS, measure

TRIALS = 200
NEURONS = (50, 100, 200, 500, 1000, 2000)
TIMEPOINTS = (50, 100, 200, 500, 1000)


def along(rows: list[dict], fit: str, axis: str) -> list[dict]:
    """The rows of a fit in which only one size differs from the smallest."""
    other = {"neurons": "time points", "time points": "neurons"}[axis]
    least = min(row[other] for row in rows)
    of = [row for row in rows if row["fit"] == fit and row[other] == least]
    return sorted(of, key=lambda row: row[axis])


def draw(rows: list[dict]) -> None:
    """Time and memory against each size, on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 2, figsize=(8, 6), layout="constrained")
    for column, axis in enumerate(("neurons", "time points")):
        for fit in FITS:
            of = along(rows, fit, axis)
            for line, key in enumerate(("fit_s", "peak_MB")):
                x, y = [r[axis] for r in of], [max(r[key], 0.1) for r in of]
                axes[line, column].loglog(x, y, "o-", label=fit)
                axes[line, column].set_xlabel(axis)
    axes[0, 0].set_ylabel("time to fit (s)")
    axes[1, 0].set_ylabel("peak memory (MB)")
    axes[0, 0].legend()
    RESULTS.mkdir(exist_ok=True)
    fig.savefig(RESULTS / "scale.png", dpi=150)


def main() -> None:
    args = arguments(__doc__)
    if args.quick:
        sizes, names = [(20, 20)], ["EM"]
    else:
        sizes = [(50, n) for n in NEURONS] + [(t, 50) for t in TIMEPOINTS[1:]]
        names = list(FITS)
    rows: list[dict] = []
    for size in sizes:
        for fit in names:
            add(rows, **measure(fit, (TRIALS, *size)))
    table(rows)
    summary = {}
    for fit in names:
        for axis in ("neurons", "time points"):
            of = along(rows, fit, axis)
            times, seconds = (of[-1][key] / of[0][key] for key in (axis, "fit_s"))
            if times > 1:
                summary[f"{fit}: {times:g} times the {axis}, time x"] = seconds
    if not args.quick:
        with contextlib.suppress(ImportError):
            draw(rows)
    save("scale", rows, summary)


if __name__ == "__main__":
    main()
