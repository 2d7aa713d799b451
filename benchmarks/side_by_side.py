"""JEDI beside the paper's baselines and other packages: same trials, splits, run.

Every model chooses one of three candidates (`_side_by_side_models` lists them) on a
quarter of the first seed's training trials (of each split's, for the recording): by
R^2 of whole trials, by that of forecasts, or by the condition read, whichever is the
first that it can do. It is then fitted to all training trials and scored on held-out
ones, against activity without observation noise where that is known. Columns:

- run: R^2 of whole trials from the model's own estimate of them (free runs from the
  first state, or decoded latents);
- k=1, 10, 50: R^2 of the bin that many bins after the last one seen;
- read: conditions read from embeddings by one classifier, or by which model fits best;
- eig_%: relative error of the eigenvalue of J of largest real part, mean of conditions;
- points, false, off_%: share of true fixed points found, of found ones that are false,
  and, where any were found, their distance over the size of the activity, means over
  the conditions that have points;
- s: processor seconds of the last fit, of all threads;
- MB: memory that this fit adds, in a process of its own.

One model per condition, and "JEDI, labels", see the labels of training trials.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import multiprocessing
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks._common import add, arguments, save, table
from benchmarks._side_by_side_data import DATA
from benchmarks._side_by_side_figure import draw
from benchmarks._side_by_side_models import MODELS, QUICK
from benchmarks._side_by_side_scores import Task, choose, measure
from benchmarks.baselines._peers import INSTALL

# torch._dynamo is what torch's optimisers import; missing packages are passed over,
# and jax is left out, which is not to be forked
PRELOADED = [
    "benchmarks._side_by_side_scores",
    "torch._dynamo",
    "pykoop",
    "cebra",
    "DSA",
]
# how the worst seed is told from the best
WORST = {
    **dict.fromkeys(("run", "k=1", "k=10", "k=50", "read", "points"), min),
    **dict.fromkeys(("eig_%", "false", "off_%", "s", "MB"), max),
}


def choose_on(task: Task) -> Task:
    """Whose candidates decide: the first seed's, but each seed's own in real trials.

    There, what one split trains on another tests on.
    """
    data, seed, model = task
    return data, seed if data == "cortex" else 0, model


def available(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Models whose packages are installed, and a note for each of the others."""
    notes = {}
    for name in names:
        package = MODELS[name].package
        if package and importlib.util.find_spec(package) is None:
            notes[name] = f"not installed: {INSTALL}"
    return [name for name in names if name not in notes], notes


def summarise(rows: list[dict[str, Any]], notes: dict[str, str]) -> dict[str, Any]:
    """Mean and worst of the seeds, printed one model to the line."""
    lines, summary = [], {}
    for name in dict.fromkeys(row["model"] for row in rows):
        of = [row for row in rows if row["model"] == name]
        line = {"model": name}
        for key, worst in WORST.items():
            values = [row[key] for row in of if not np.isnan(row[key])]
            line[key] = "-"
            if values:
                mean, last = float(np.mean(values)), float(worst(values))
                line[key] = f"{mean:.3g} ({last:.3g})"
                summary[f"{name}: {key}, mean, worst"] = [mean, last]
        lines.append(line)
    kept = [key for key in lines[0] if any(line[key] != "-" for line in lines)]
    table([{key: line[key] for key in kept} for line in lines])
    for name, note in notes.items():
        print(f"{name}: {note}")
    return summary | notes


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data", choices=DATA, nargs="+", default=list(DATA))
    own, sys.argv[1:] = parser.parse_known_args()
    args = arguments(f"{__doc__}\n--data NAME ...: some of {', '.join(DATA)}.")
    names, notes = available(QUICK if args.quick else tuple(MODELS))
    # a server that has imported everything and started no thread forks each process
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED[:1] if args.quick else PRELOADED)
    for data in ("small",) if args.quick else own.data:
        if data == "cortex" and DATA[data](0) is None:
            continue
        tasks = [(data, seed, name) for seed in range(args.seeds) for name in names]
        rows: list[dict[str, Any]] = []
        with context.Pool(os.cpu_count(), maxtasksperchild=1) as pool:
            where = [choose_on(task) for task in tasks]
            asked = [] if args.quick else list(dict.fromkeys(where))
            chosen = dict(zip(asked, pool.map(choose, asked, chunksize=1), strict=True))
            of = [
                (task, chosen.get(at, 0)) for task, at in zip(tasks, where, strict=True)
            ]
            for row in pool.imap(measure, of):
                add(rows, **row)
        print(f"\n{data}: mean (worst) of {args.seeds} seeds")
        summary = summarise(rows, notes)
        save(f"side_by_side_{data}", rows, summary)
        if not args.quick:
            with contextlib.suppress(ImportError):
                draw(data, rows)


if __name__ == "__main__":
    main()
