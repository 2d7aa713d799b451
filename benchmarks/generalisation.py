"""Generalisation: what becomes of held-out trials as the data get poorer.

Driven teachers, five seeds, from the richest data to the poorest: trials a condition
(without noise, and at a signal-to-noise ratio of 1), share of the neurons recorded,
observation noise, spike counts drawn from rates, and conditions left out of the fit.
JEDI beside a low-rank network per condition and linear-Gaussian state-space models,
one for all trials and one per condition: the same trials, the same split. Where nothing
is noisy JEDI is fitted by EM alone and with training ("JEDI", the default); noisy
recordings and counts are fitted by EM alone in either case.

Scored on held-out trials against the activity without noise: R^2 of whole trials, run
from their first state, each model having seen the trial (JEDI its embedding, one model
per condition which condition it is); R^2 of the second half forecast from the first;
and the share of trials whose condition is read, from embeddings or by which model fits.
Labels of training trials are known to the models per condition, not to JEDI. Rank 5 is
the teacher's; states of linear models are chosen on a quarter of 12 training trials a
condition, once for each kind of recording: without noise, noisy (at a signal-to-noise
ratio of 1), counts (at 50 spikes/s).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np

from benchmarks._common import (
    DT,
    RESULTS,
    add,
    arguments,
    over_seeds,
    save,
    split,
    table,
)
from benchmarks._generalisation import (
    FREQUENCIES,
    LINEAR,
    Case,
    clean_case,
    count_case,
    fit_and_score,
    held_out_condition,
    linear_sizes,
    models,
    noisy_case,
)
from sklearn_jedi import JEDIEstimator

MEASURES = ("whole", "forecast", "read")
LEAST_R2 = 0.9
HELD_OUT = "held-out condition"
N_CHOOSING = 12  # trials a condition that the linear models' sizes are chosen on


class Curve(NamedTuple):
    """Levels from the richest to the poorest, and the case of a seed and a level."""

    name: str
    x_label: str
    levels: tuple[float, ...]
    case: Callable[[int, float], Case]


def curves(quick: bool) -> list[Curve]:
    size: dict[str, Any] = {"n_neurons": 100, "frequencies": (1.0, 2.0, 4.0, 8.0)}
    n_train, n_test = 12, 6
    if quick:
        size = {"n_neurons": 20, "n_timepoints": 20, "frequencies": (2.0, 6.0)}
        n_train, n_test = 3, 1

    def fewer(case: Case, n_trials: float) -> Case:
        return case._replace(train=split(case.y, int(n_trials))[0])

    def levels(*values: float) -> tuple[float, ...]:
        return values[-1:] if quick else values

    trials = levels(64.0, 16.0, 4.0, 2.0, 1.0)
    noisy_trials = levels(16.0, 4.0, 2.0, 1.0)
    every = [
        Curve(
            "trials",
            "training trials a condition",
            trials,
            lambda seed, n: fewer(clean_case(seed, int(trials[0]), n_test, **size), n),
        ),
        Curve(
            "trials at signal-to-noise 1",
            "training trials a condition",
            noisy_trials,
            lambda seed, n: fewer(
                noisy_case(seed, 1.0, int(noisy_trials[0]), n_test, **size), n
            ),
        ),
        Curve(
            "neurons",
            "neurons recorded (%)",
            levels(100.0, 50.0, 25.0, 10.0, 5.0),
            lambda seed, share: clean_case(
                seed, n_train, n_test, fraction_observed=share / 100, **size
            ),
        ),
        Curve(
            "signal-to-noise",
            "signal-to-noise ratio (variances)",
            levels(np.inf, 10.0, 1.0, 0.1),
            lambda seed, snr: noisy_case(seed, snr, n_train, n_test, **size),
        ),
        Curve(
            "spikes/s",
            "mean rate (spikes/s)",
            levels(50.0, 20.0, 10.0, 5.0),
            lambda seed, rate: count_case(seed, rate, n_train, n_test, **size),
        ),
        Curve(
            HELD_OUT,
            "frequency left out (Hz)",
            (4.0,) if quick else FREQUENCIES,
            lambda seed, _: clean_case(
                seed, 2 * n_train // 3, 0, **size | {"frequencies": FREQUENCIES}
            ),
        ),
    ]
    return [every[0], *every[3:]] if quick else every


def one_seed(seed: int, quick: bool) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    chosen: dict[str, dict[str, int]] = {}
    jedi = JEDIEstimator(dt=DT, random_state=seed)
    if quick:
        jedi.set_params(max_epochs=0)
        first = {name: candidates[0] for name, candidates in LINEAR.items()}
        chosen = dict.fromkeys(("state", "gaussian", "poisson"), first)
    for curve in curves(quick):
        for level in curve.levels:
            case = curve.case(seed, level)
            kind = case.observation
            if kind not in chosen:
                few = np.intersect1d(case.train, split(case.y, N_CHOOSING)[0])
                chosen[kind] = linear_sizes(case._replace(train=few))
            sizes = chosen[kind]
            if curve.name == HELD_OUT:
                scores = held_out_condition(case, level, jedi, sizes)
            else:
                scores = {
                    name: fit_and_score(model, case)[1]
                    for name, model in models(case, jedi, sizes).items()
                }
            for name, of in scores.items():
                where = {"curve": curve.name, "level": level, "seed": seed}
                add(rows, **where, model=name, states=sizes.get(name), **of)
    return rows


def lines(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Worst and median over seeds of each measure."""
    out = []
    for at in dict.fromkeys((r["curve"], r["level"], r["model"]) for r in rows):
        of = [r for r in rows if (r["curve"], r["level"], r["model"]) == at]
        line: dict[str, Any] = dict(zip(("curve", "level", "model"), at, strict=True))
        present = {key for r in rows if r["curve"] == at[0] for key in r}
        for key in (*MEASURES, "whole_log", "forecast_log"):
            if key in present:
                values = [r[key] for r in of if key in r]
                line[f"{key}, worst"] = min(values) if values else ""
                line[f"{key}, median"] = float(np.median(values)) if values else ""
        out.append(line)
    return out


def holds(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """The poorest level up to which the worst seed has at least `LEAST_R2`.

    Of conditions left out, all those whose worst seed has it.
    """
    out: dict[str, Any] = {}
    for curve, model in dict.fromkeys((r["curve"], r["model"]) for r in summaries):
        of = [r for r in summaries if (r["curve"], r["model"]) == (curve, model)]
        good = [r["level"] for r in of if r["whole, worst"] >= LEAST_R2]
        if curve != HELD_OUT:
            run = takewhile(lambda r: r["whole, worst"] >= LEAST_R2, of)
            good = [r["level"] for r in run][-1:]
        out[f"{curve}, {model}: worst R2 at least {LEAST_R2:g} at"] = good
    return out


def draw(rows: list[dict[str, Any]], quick: bool) -> None:
    """A column for each curve, a row for each measure; seeds thin, medians thick."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = {
        "linear": "#999999",
        "linear per condition": "#009E73",
        "network per condition": "#D55E00",
        "JEDI, EM": "#56B4E9",
        "JEDI, nearest condition": "#CC79A7",
        "JEDI, interpolated": "#E69F00",
        "JEDI": "#0072B2",
    }
    y_labels = (
        r"whole trials, $R^2$",
        r"second half forecast, $R^2$",
        "condition read (share of trials)",
    )
    of_curves = curves(quick)
    figure, axes = plt.subplots(
        3, len(of_curves), figsize=(17, 8.5), sharey="row", layout="constrained"
    )
    for letter, curve, column in zip("abcdef", of_curves, axes.T, strict=False):
        column[0].set_title(f"{letter}  {curve.name}", loc="left")
        column[-1].set_xlabel(curve.x_label)
        x = np.arange(len(curve.levels))
        for ax, measure in zip(column, MEASURES, strict=True):
            for model, colour in colours.items():
                of = [
                    r
                    for r in rows
                    if (r["curve"], r["model"]) == (curve.name, model) and measure in r
                ]
                seeds = sorted({r["seed"] for r in of})
                if not seeds:
                    continue
                found = {(r["seed"], r["level"]): r[measure] for r in of}
                values = np.array(
                    [[found.get((s, v), np.nan) for v in curve.levels] for s in seeds]
                )
                shown = values if measure == "read" else np.clip(1 - values, 1e-5, 10)
                ax.plot(x, shown.T, color=colour, lw=0.6, alpha=0.6)
                ax.plot(
                    x, np.median(shown, 0), "o-", color=colour, lw=2.4, ms=4,
                    label=model,
                )  # fmt: skip
            ax.set_xticks(x, [f"{v:g}" for v in curve.levels])
            ax.set_xlim(-0.4, len(x) - 0.6)
            ax.grid(axis="y", lw=0.4, alpha=0.5)
    for ax, label in zip(axes[:, 0], y_labels, strict=True):
        ax.set_ylabel(label)
    for ax in axes[:2, 0]:
        ax.set_yscale("log")
        ax.set_ylim(12, 1e-4)
        missed = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)
        ax.set_yticks(missed, ["-9", "0", "0.9", "0.99", "0.999", "0.9999"])
        ax.minorticks_off()
    axes[2, 0].set_ylim(-0.03, 1.03)
    axes[2, -1].set_title("read as a neighbouring frequency", loc="left", fontsize=9)
    handles = {
        label: handle
        for ax in axes.flat
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=7, frameon=False
    )
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "generalisation.png", dpi=150)
    plt.close(figure)


def main() -> None:
    args = arguments(__doc__)
    rows = over_seeds(one_seed, args.seeds, args.quick)
    draw(rows, args.quick)
    summaries = lines(rows)
    for name in dict.fromkeys(line["curve"] for line in summaries):
        print()
        table([line for line in summaries if line["curve"] == name])
    save("generalisation", rows, holds(summaries))


if __name__ == "__main__":
    main()
