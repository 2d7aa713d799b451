"""Edge of stability: is movement nearer to it than preparation?

The paper reads from motor cortex that execution runs at the edge of stability and
preparation inside it. Each recording is fitted with one embedding for each epoch of
each direction, and the leading rate (1/s; 0 is the edge) of each epoch is read from the
weights, from the Jacobian along the activity, and as Lyapunov exponent; from the map,
which is what was fitted, and from the flow, whose rates are lower the faster a mode
turns. A difference, preparation minus movement, below zero is what the paper claims.

Recordings: hatsopoulos2007 (averages of 8 directions, both epochs), chewie (single
trials, movement alone), and `make_reaching`, where the truth is known: its default, in
which the claim is true, and with a shorter `decay` of the movement one in which both
epochs are equally far from the edge and one in which preparation is nearer. Simulations
are fitted as single trials (12 a direction) and as smoothed averages, the form of
hatsopoulos2007. Intervals are percentiles (95 %) over resampled trials (directions of
hatsopoulos2007); gain, window or first smoothing, and ridge stay as chosen on the whole
recording.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._common import (
    DT,
    RESULTS,
    arguments,
    over_seeds,
    recordings,
    save,
    table,
)
from benchmarks._edge_of_stability import (
    EPOCHS,
    READINGS,
    Fit,
    Recording,
    chewie,
    fit,
    hatsopoulos,
    map_eigenvalues,
    planted,
    readings,
    simulated,
)
from sklearn_jedi.datasets import make_reaching

# the movement's time constant in s; preparation's is 0.195 s
DECAYS = {"claimed": 0.4, "equal": 0.195, "reversed": 0.1}
TAUS = (0.025, 0.05, 0.1, 0.2)
TAU = 0.1
N_RESAMPLES = 20
COLOURS = ("#0072B2", "#D55E00")
DRAWN = (("trials", 5), ("averages", 10))
LABELS = {"weights": "weights", "visited": "Jacobian", "lyapunov": "Lyapunov"}


class Task(NamedTuple):
    """One recording, one way to fit it."""

    data: str
    how: str  # "trials", "averages" or "truth"
    seed: int = 0
    rank: int = 5
    tau: float = TAU
    n_resamples: int = 0


class Source(NamedTuple):
    """Where recordings come from: a folder, or the size of simulations."""

    folder: Path | None
    size: dict[str, Any]

    def reaches(self, task: Task) -> Any:
        decay = DECAYS[task.data]
        return make_reaching(decay=decay, random_state=task.seed, **self.size)

    def recording(self, task: Task) -> Recording:
        if task.data == "hatsopoulos":
            return hatsopoulos(self.folder)
        if task.data == "chewie":
            return chewie(self.folder)
        reaches = self.reaches(task)
        return simulated(reaches, reaches.X)


def prepared(task: Task, counts: Recording) -> Recording:
    """What is fitted: trials as they are, or averages in spikes/s."""
    if task.how == "trials" or task.data == "hatsopoulos":
        return counts
    return counts._replace(X=counts.X / DT).averages()


def fitted(task: Task, counts: Recording, **chosen: Any) -> Fit:
    data = prepared(task, counts)
    return fit(data, task.how == "trials", task.rank, tau=task.tau, **chosen)


def measure(k: int, tasks: list[Task], source: Source) -> list[dict[str, Any]]:
    """The readings of one task, and their intervals."""
    task = tasks[k]
    row: dict[str, Any] = task._asdict()
    if task.how == "truth":
        return [row | readings(planted(source.reaches(task)))]
    counts = source.recording(task)
    found = fitted(task, counts)
    row |= {"R2": found.R2} | readings(found)
    rng = np.random.default_rng(0)
    drawn = [
        readings(fitted(task, counts.redrawn(rng), **found.chosen))
        for _ in range(task.n_resamples)
    ]
    for key in drawn[0] if drawn else ():
        values = [one[key] for one in drawn]
        row[f"{key}_interval"] = np.nanpercentile(values, [2.5, 97.5]).tolist()
    return [row]


def tasks_of(n_seeds: int, real: bool) -> list[Task]:
    """The longest first, so that the cores end together."""
    tasks = []
    n = N_RESAMPLES
    if real:
        for tau in TAUS:
            for rank in (5, 10, 20):
                tasks.append(Task("hatsopoulos", "averages", 0, rank, tau, n))
            for how, rank in (("trials", 8), ("averages", 5), ("averages", 10)):
                tasks.append(Task("chewie", how, 0, rank, tau))
            tasks.append(Task("chewie", "trials", 0, 5, tau, n if tau == TAU else 0))
    for seed in range(n_seeds):
        for data in DECAYS:
            tasks.append(Task(data, "truth", seed))
            tasks.append(Task(data, "trials", seed, 8))
            for tau in TAUS:
                usual = n if tau == TAU else 0
                once = usual if seed == 0 and data == "claimed" else 0
                if data != "equal" or tau == TAU:
                    tasks.append(Task(data, "trials", seed, 5, tau, once))
                for rank in (5, 10):
                    tasks.append(Task(data, "averages", seed, rank, tau, usual))

    def cost(task: Task) -> int:
        return (1 + task.n_resamples) * (50 if task.how == "trials" else task.rank)

    return sorted(tasks, key=cost, reverse=True)


def quick_tasks(real: bool) -> list[Task]:
    tasks = [Task("claimed", how, 0, rank) for how, rank in DRAWN]
    tasks.append(Task("claimed", "truth"))
    if real:
        tasks.append(Task("hatsopoulos", "averages", 0, 10, TAU, 1))
        tasks.append(Task("chewie", "averages", 0, 5))
    return tasks


def groups_of(rows: list[dict[str, Any]]) -> dict[tuple, list[dict[str, Any]]]:
    """Rows of all seeds of one recording and one way to fit it, in a fixed order."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    order = ("hatsopoulos", "chewie", *DECAYS)
    parts = ("data", "how", "rank", "tau")
    for row in sorted(rows, key=lambda row: row["seed"]):
        groups.setdefault(tuple(row[part] for part in parts), []).append(row)
    return dict(sorted(groups.items(), key=lambda g: (order.index(g[0][0]), *g[0][1:])))


def n_right(of: list[dict[str, Any]], name: str) -> int:
    """Seeds with a difference of the true sign, of "claimed" or "reversed"."""
    sign = -1 if of[0]["data"] == "claimed" else 1
    return sum(sign * row[f"difference_{name}"] > 0 for row in of)


def verdict(interval: list[float]) -> str:
    if interval[1] < 0:
        return "as claimed"
    return "reversed" if interval[0] > 0 else "open"


def lines_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table: map readings, with intervals, or means and ranges over seeds."""
    groups = groups_of(rows)
    lines = []
    for (data, how, rank, tau), of in groups.items():
        truth = groups.get((data, "truth", 5, TAU), [{}])[0]
        for name in READINGS[:3]:
            line = {"data": data, "how": how, "rank": rank, "tau": tau, "read": name}
            for part in (*EPOCHS, "difference"):
                line[part] = _spread(of, f"{part}_{name}")
            key = f"difference_{name}"
            known = [row for row in of if f"{key}_interval" in row]
            line["verdict"] = line["holds truth"] = ""
            if how != "truth" and truth:
                if data != "equal":
                    line["verdict"] = f"{n_right(of, name)}/{len(of)} right"
                ends = [row[f"{key}_interval"] for row in known]
                if ends:
                    held = sum(low <= truth[key] <= high for low, high in ends)
                    line["holds truth"] = f"{held}/{len(ends)}"
            elif known:
                line["verdict"] = verdict(known[0][f"{key}_interval"])
            lines.append(line)
    return lines


def _spread(of: list[dict[str, Any]], key: str) -> str:
    """Mean and range over seeds, or the value and its interval."""
    if key not in of[0]:
        return ""
    values = [row[key] for row in of]
    if len(of) > 1:
        return f"{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"
    if f"{key}_interval" in of[0]:
        low, high = of[0][f"{key}_interval"]
        return f"{values[0]:.1f} ({low:.1f} to {high:.1f})"
    return f"{values[0]:.1f}"


def summary_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Seeds read right in either order, beside the verdict on hatsopoulos2007."""
    summary: dict[str, Any] = {}
    groups = groups_of(rows)
    for (data, how, rank, tau), of in groups.items():
        if data != "claimed" or how == "truth":
            continue
        other = groups.get(("reversed", how, rank, tau), [])
        real = groups.get(("hatsopoulos", how, rank, tau))
        for name in READINGS:
            text = f"claimed {n_right(of, name)}/{len(of)}"
            if other:
                text += f", reversed {n_right(other, name)}/{len(other)}"
            if real:
                interval = real[0][f"difference_{name}_interval"]
                text += f"; hatsopoulos {verdict(interval)}"
            summary[f"{how}, rank {rank}, tau {tau}, {name}"] = text
    changes = [
        abs(row[f"difference_{name}"] - row[f"difference_{name}_flow"])
        for row in rows
        for name in READINGS[:2]
        if "difference_weights" in row
    ]
    name = "flow against map: median, largest change of a difference (1/s)"
    summary[name] = [float(np.median(changes)), max(changes)]
    return summary


def draw_rates(rows: list[dict[str, Any]]) -> None:
    """Leading rates of both epochs: recordings with intervals, seeds, and truths."""
    import matplotlib.pyplot as plt

    groups = groups_of(rows)
    columns = [
        ("hatsopoulos", "averages", 10),
        ("chewie", "trials", 5),
        *((data, how, rank) for data in DECAYS for how, rank in DRAWN),
    ]
    figure, axes = plt.subplots(3, 1, figsize=(9, 9), sharex=True, layout="constrained")
    drawn = [c for c in columns if (*c, TAU) in groups]
    for ax, name in zip(axes, READINGS[:3], strict=True):
        ax.axhline(0, color="0.4", lw=1)
        for x, column in enumerate(drawn):
            of = groups[*column, TAU]
            truth = groups.get((column[0], "truth", 5, TAU), [{}])[0]
            for k, epoch in enumerate(EPOCHS):
                key, at = f"{epoch}_{name}", x + (-0.15, 0.15)[k]
                if key not in of[0]:
                    continue
                if truth:
                    style = {"color": COLOURS[k], "lw": 3, "alpha": 0.4}
                    ax.hlines(truth[key], at - 0.13, at + 0.13, **style)
                    spread = np.linspace(-0.06, 0.06, len(of))
                    ax.plot(
                        at + spread, [row[key] for row in of], "o", ms=4, c=COLOURS[k]
                    )
                else:
                    ends = np.array(of[0][f"{key}_interval"])
                    ax.vlines(at, *ends, color=COLOURS[k], lw=2)
                    ax.plot(at, of[0][key], "s", ms=6, c=COLOURS[k])
        ax.set_ylabel(f"{LABELS[name]}\nleading rate (1/s)")
    for k, epoch in enumerate(EPOCHS):
        axes[0].plot([], [], "o", c=COLOURS[k], label=epoch)
    axes[0].plot([], [], color="0.5", lw=3, alpha=0.6, label="truth")
    axes[0].legend(ncols=3, fontsize="small")
    names = [f"{d}\n{how}\nrank {rank}" for d, how, rank in drawn]
    axes[-1].set_xticks(range(len(drawn)), names, fontsize="small")
    figure.savefig(RESULTS / "edge_of_stability.png", dpi=150)
    plt.close(figure)


def draw_spectra(source: Source) -> None:
    """Eigenvalues of the map along the activity, and the unit circle."""
    import matplotlib.pyplot as plt

    tasks = [Task("claimed", how, 0, rank) for how, rank in DRAWN]
    if source.folder:
        tasks.insert(0, Task("hatsopoulos", "averages", 0, 10))
    panels = [
        (f"{t.data}, {t.how}, rank {t.rank}", fitted(t, source.recording(t)))
        for t in tasks
    ]
    panels.append(("claimed, truth", planted(source.reaches(tasks[-1]))))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.6 * len(panels), 3.8), layout="constrained"
    )
    angles = np.linspace(-0.5, 0.5, 200)
    for ax, (title, found) in zip(axes, panels, strict=True):
        ax.plot(np.cos(angles), np.sin(angles), color="0.4", lw=1)
        for k, values in enumerate(map_eigenvalues(found)):
            style = {"ms": 4, "alpha": 0.5, "c": COLOURS[k], "label": EPOCHS[k]}
            ax.plot(values.real, values.imag, ("o", "x")[k], **style)
        ax.set_aspect("equal")
        ax.set_xlim(0.65, 1.15)
        ax.set_ylim(-0.25, 0.25)
        ax.set_title(title, fontsize="medium")
        ax.set_xlabel(r"Re $\mu$ (no unit)")
    axes[0].set_ylabel(r"Im $\mu$ (no unit)")
    axes[0].legend(fontsize="small")
    figure.savefig(RESULTS / "edge_of_stability_spectra.png", dpi=150)
    plt.close(figure)


def main() -> None:
    args = arguments(__doc__)
    folder = recordings()
    real = folder is not None
    if args.quick:
        source = Source(folder, {"n_trials_per_direction": 2, "n_neurons": 30})
        tasks = quick_tasks(real)
        rows = [measure(k, tasks, source)[0] for k in range(len(tasks))]
    else:
        source = Source(folder, {"n_trials_per_direction": 12})
        tasks = tasks_of(args.seeds, real)
        rows = over_seeds(measure, len(tasks), tasks, source)
    table(lines_of(rows))
    import matplotlib

    matplotlib.use("Agg")
    RESULTS.mkdir(exist_ok=True)
    draw_rates(rows)
    draw_spectra(source)
    save("edge_of_stability", rows, summary_of(rows))


if __name__ == "__main__":
    main()
