"""Noisy recordings: R^2 of free runs against the activity without noise.

Driven teachers with Gaussian noise at three signal-to-noise ratios, and as Poisson
counts in bins of 10 ms at three mean rates; every fifth trial held out. JEDI with a
model of the noise ("gaussian", "poisson"), without one ("state"), and linear-Gaussian
state-space models. What is fitted to Gaussian models are square roots of counts; their
runs are turned into the counts that have this expected square root. Rotation families
at the same ratios: errors of the leading eigenvalue on training trials, R^2 on held-out
ones. Bins from the second on are scored.
"""

from __future__ import annotations

import numpy as np

from benchmarks._common import (
    DT,
    RESULTS,
    add,
    arguments,
    classifier,
    expected_counts,
    fifths,
    noisy_family,
    save,
    table,
    timed,
)
from benchmarks.rotation_spectra import upper
from sklearn_jedi import JEDIEstimator
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.datasets import make_driven_teachers, make_rotation_family
from sklearn_jedi.metrics import trajectory_r2

SNRS = (4.0, 1.0, 0.25)
RATES = (50.0, 20.0, 5.0)  # spikes/s
LEAST_RATE = 0.1  # spikes/s, where rates are compared on a logarithmic scale


def runs_of(model, X: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray):
    """Free runs of held-out trials, class read from embeddings, seconds to fit."""
    _, seconds = timed(model.fit, X[train])
    if isinstance(model, LinearStateSpace):
        return model.reconstruct(X[test]), None, seconds
    reader = classifier().fit(model.embeddings_, y[train])
    correct = reader.score(model.transform(X[test]), y[test])
    return model.reconstruct(X[test]), correct, seconds


def models(observation: str, epochs: int, seed: int) -> dict:
    return {
        observation: JEDIEstimator(dt=DT, observation=observation),
        "state": JEDIEstimator(
            dt=DT, observation="state", max_epochs=epochs, random_state=seed
        ),
        "linear 5": LinearStateSpace(5),
        "linear 10": LinearStateSpace(10),
    }


def gaussian_rows(rows: list, levels, seed: int, epochs: int, size: dict) -> None:
    for snr in levels:
        X, truth, y, _ = noisy_family(make_driven_teachers, snr, seed, **size)
        train, test = fifths(len(X))
        for name, model in models("gaussian", epochs, seed).items():
            runs, correct, seconds = runs_of(model, X, y, train, test)
            R2 = trajectory_r2(truth[test, 1:], runs[:, 1:])
            add(
                rows,
                seed=seed,
                SNR=snr,
                model=name,
                R2=R2,
                class_read=correct,
                seconds=seconds,
            )


def count_rows(rows: list, levels, seed: int, epochs: int, size: dict) -> None:
    truth, y, _ = make_driven_teachers(random_state=seed, **size)
    shape = np.exp(0.7 * truth / truth.std())
    shape /= shape.mean((0, 1))
    for rate in levels:
        rates = rate * shape
        counts = np.random.default_rng(seed).poisson(DT * rates).astype(float)
        train, test = fifths(len(counts))
        true = rates[test, 1:]
        for name, model in models("poisson", epochs, seed).items():
            X = counts if name == "poisson" else np.sqrt(counts)
            runs, correct, seconds = runs_of(model, X, y, train, test)
            runs = runs if name == "poisson" else expected_counts(runs)
            runs = runs[:, 1:] / DT
            logs = np.log(true), np.log(np.maximum(runs, LEAST_RATE))
            add(
                rows,
                seed=seed,
                spikes_per_s=rate,
                model=name,
                R2=trajectory_r2(true, runs),
                R2_log=trajectory_r2(*logs),
                class_read=correct,
                seconds=seconds,
            )


def rotation_rows(rows: list, levels, seed: int, epochs: int, size: dict) -> None:
    for snr in levels:
        X, truth, y, networks = noisy_family(make_rotation_family, snr, seed, **size)
        train, test = fifths(len(X))
        true = upper(networks.eigenvalues[:, 0])[y[train]]
        for observation in ("gaussian", "state"):
            jedi = JEDIEstimator(
                rank=2,
                embedding_dim=2,
                dt=DT,
                observation=observation,
                max_epochs=epochs,
                random_state=seed,
            )
            _, seconds = timed(jedi.fit, X[train])
            found = upper(jedi.dynamics(jedi.embeddings_).eigenvalues[:, 0])
            runs = jedi.reconstruct(X[test])[:, 1:]
            error = np.median(np.abs(found - true) / np.abs(true))
            size_error = np.median(np.abs(found) / np.abs(true)) - 1
            add(
                rows,
                seed=seed,
                SNR=snr,
                model=observation,
                R2=trajectory_r2(truth[test, 1:], runs),
                median_error_pct=100 * float(error),
                median_size_pct=100 * float(size_error),
                seconds=seconds,
            )


def draw(gaussian: list, counts: list, rotation: list) -> None:
    """R^2 and eigenvalue error: mean over seeds, bars from the least to the most."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    snr, rate = "signal-to-noise ratio (variances)", "mean rate (spikes/s)"
    for ax, rows, x, key, x_label, y_label in (
        (axes[0], gaussian, "SNR", "R2", snr, r"driven teachers, held-out $R^2$"),
        (axes[1], counts, "spikes_per_s", "R2", rate, r"counts, held-out $R^2$"),
        (axes[2], rotation, "SNR", "median_error_pct", snr, "eigenvalue error (%)"),
    ):
        for model in dict.fromkeys(row["model"] for row in rows):
            where = sorted({row[x] for row in rows})
            values = [
                [row[key] for row in rows if (row["model"], row[x]) == (model, at)]
                for at in where
            ]
            mean = np.array([np.mean(of) for of in values])
            bars = [mean - [min(v) for v in values], [max(v) for v in values] - mean]
            name = model if "linear" in model else f"JEDI, {model}"
            ax.errorbar(where, mean, bars, marker="o", capsize=3, label=name)
        ax.set_xscale("log")
        ax.set_xticks(where, [f"{at:g}" for at in where], minor=False)
        ax.minorticks_off()
        ax.set_xlabel(x_label)
        ax.set_ylabel(y_label)
        if key == "R2":
            ax.set_ylim(-0.05, 1.02)
        else:
            ax.set_yscale("log")
        ax.legend(frameon=False, fontsize=8)
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "noisy_teachers.png", dpi=150)
    plt.close(figure)


def main() -> None:
    args = arguments(__doc__)
    teachers = {"n_trials_per_condition": 30}
    rotations, snrs, rates, epochs = {"n_neurons": 100}, SNRS, RATES, 25
    if args.quick:
        teachers = {"n_trials_per_condition": 5, "n_timepoints": 30, "n_neurons": 30}
        rotations, snrs, rates, epochs = teachers, SNRS[:1], RATES[:1], 0
    gaussian, counts, rotation = [], [], []
    for seed in range(args.seeds):
        gaussian_rows(gaussian, snrs, seed, epochs, teachers)
        count_rows(counts, rates, seed, epochs, teachers)
        rotation_rows(rotation, snrs, seed, epochs, rotations)
    summary = {}
    for title, rows, x in (
        ("driven teachers", gaussian, "SNR"),
        ("counts", counts, "spikes_per_s"),
        ("rotations", rotation, "SNR"),
    ):
        print(f"\n{title}")
        table(rows)
        for level in dict.fromkeys(row[x] for row in rows):
            for model in dict.fromkeys(row["model"] for row in rows):
                of = [row for row in rows if (row[x], row["model"]) == (level, model)]
                text = f"{title}, {x} {level:g}, {model}:"
                summary[f"{text} worst R2"] = min(row["R2"] for row in of)
                if "R2_log" in of[0]:
                    summary[f"{text} worst R2_log"] = min(row["R2_log"] for row in of)
                if of[0].get("class_read") is not None:
                    read = [row["class_read"] for row in of]
                    summary[f"{text} mean class"] = float(np.mean(read))
                    summary[f"{text} worst class"] = min(read)
                if "median_error_pct" in of[0]:
                    errors = [row["median_error_pct"] for row in of]
                    sizes = [row["median_size_pct"] for row in of]
                    summary[f"{text} worst median error (%)"] = max(errors)
                    summary[f"{text} mean size error (%)"] = float(np.mean(sizes))
                summary[f"{text} slowest fit (s)"] = max(row["seconds"] for row in of)
    draw(gaussian, counts, rotation)
    save("noisy_teachers", [*gaussian, *counts, *rotation], summary)


if __name__ == "__main__":
    main()
