"""Peak memory and time against trials, neurons and time points.

Each fit runs in a process of its own on a numpy.memmap; memory is that of the process
itself (RssAnon, above that before the fit), without the pages of the mapped file.
Asked for: time linear or better, memory flat in trials.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._common import RESULTS, arguments, save, table
from benchmarks._memory import memory_watch

TRIALS = (100, 1_000, 10_000, 100_000)
NEURONS = (50, 100, 200, 500, 1000, 2000)
TIMEPOINTS = (50, 100, 200, 500, 1000)
FITS = {
    "EM": {"observation": "state", "max_epochs": 0},
    "trained": {"observation": "state", "max_epochs": 4},
    "noisy": {"observation": "noisy"},
}


def recording(path: Path, n_trials: int, n_timepoints: int, n_neurons: int) -> None:
    """Rotations with noise, written in pieces."""
    from sklearn_jedi.datasets import make_rotation_family

    size = min(n_trials, 200)
    few, _, _ = make_rotation_family(
        size // 4, n_timepoints=n_timepoints, n_neurons=n_neurons, random_state=0
    )
    out = np.lib.format.open_memmap(
        path, "w+", np.float32, (n_trials, n_timepoints, n_neurons)
    )
    rng = np.random.default_rng(0)
    for start in range(0, n_trials, size):
        piece = few[rng.permutation(size)][: n_trials - start]
        noise = rng.standard_normal(piece.shape, dtype=np.float32)
        out[start : start + size] = piece + 0.5 * noise
    out.flush()


def fit_here(path: str, name: str) -> None:
    """Fit and transform the recording; print seconds and peak memory as JSON."""
    from sklearn_jedi import JEDIEstimator

    warm_up = np.random.default_rng(0).standard_normal((8, 20, 5))
    jedi = JEDIEstimator(rank=2, embedding_dim=2, random_state=0, **FITS[name])
    jedi.fit(warm_up).transform(warm_up)
    X = np.load(path, mmap_mode="r")
    with memory_watch() as added:
        start = time.perf_counter()
        jedi.fit(X)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        jedi.transform(X)
        transform_seconds = time.perf_counter() - start
        row = {
            "fit_s": seconds,
            "transform_s": transform_seconds,
            "peak_MB": added(),
        }
    print(json.dumps(row))


def measure(name: str, shape: tuple[int, int, int]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.npy"
        recording(path, *shape)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.scale", str(path), name],
            check=True,
            capture_output=True,
            text=True,
        )
    row = json.loads(done.stdout.splitlines()[-1])
    n_trials, n_timepoints, n_neurons = shape
    sizes = {"trials": n_trials, "time points": n_timepoints, "neurons": n_neurons}
    return {"fit": name, **sizes, **row}


def draw(rows: list[dict], fixed: dict[str, int]) -> None:
    """Time and memory against each size, on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 3, figsize=(11, 6), layout="constrained")
    for column, axis in enumerate(fixed):
        others = {k: v for k, v in fixed.items() if k != axis}
        for name in FITS:
            of = [
                r
                for r in rows
                if r["fit"] == name and all(r[k] == v for k, v in others.items())
            ]
            of = sorted({r[axis]: r for r in of}.values(), key=lambda r: r[axis])
            for line, key in enumerate(("fit_s", "peak_MB")):
                x, y = [r[axis] for r in of], [max(r[key], 0.1) for r in of]
                axes[line, column].loglog(x, y, "o-", label=name)
                axes[line, column].set_xlabel(axis)
        shared = ", ".join(f"{v} {k}" for k, v in others.items())
        axes[0, column].set_title(shared, fontsize=10)
    axes[0, 0].set_ylabel("time to fit (s)")
    axes[1, 0].set_ylabel("peak memory (MB)")
    axes[0, 0].legend()
    RESULTS.mkdir(exist_ok=True)
    fig.savefig(RESULTS / "scale.png", dpi=150)


def main() -> None:
    args = arguments(__doc__)
    if args.quick:
        shapes = [(n, 20, 20) for n in (100, 1000)]
        names = ("EM",)
    else:
        shapes = [(n, 50, 50) for n in TRIALS]
        shapes += [(200, 50, n) for n in NEURONS] + [(200, t, 50) for t in TIMEPOINTS]
        names = tuple(FITS)
    rows = []
    for shape in shapes:
        for name in names:
            if name == "noisy" and shape[0] > 10_000:
                continue  # tens of minutes; its cost a trial is in the smaller ones
            rows.append(measure(name, shape))
            print(rows[-1], flush=True)
    table(rows)
    summary = {}
    for name in names:
        of = [r for r in rows if r["fit"] == name and r["trials"] != 200]
        first, last = of[0], of[-1]
        more = last["trials"] / first["trials"]
        summary[f"{name}: {more:g} times the trials, time x"] = (
            last["fit_s"] / first["fit_s"]
        )
        summary[f"{name}: memory (MB), {first['trials']} trials"] = first["peak_MB"]
        summary[f"{name}: memory (MB), {last['trials']} trials"] = last["peak_MB"]
    if not args.quick:
        with contextlib.suppress(ImportError):
            draw(rows, {"trials": 200, "neurons": 50, "time points": 50})
    save("scale", rows, summary)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[2] in FITS:
        fit_here(*sys.argv[1:])
    else:
        main()
