"""Command line, tables and JSON of the benchmarks."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import poisson
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

RESULTS = Path(__file__).parent / "results"
DT = 0.01  # time step in seconds, of what does not say another


def arguments(description: str | None) -> argparse.Namespace:
    """--seeds N and --quick, the same for every benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument(
        "--quick", action="store_true", help="one seed and little data, for CI"
    )
    args = parser.parse_args()
    if args.quick:
        args.seeds = 1
    warnings.simplefilter("ignore", ConvergenceWarning)
    return args


def classifier() -> Pipeline:
    """The classifier that reads conditions from embeddings everywhere."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def timed(function: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    """What a function returns, and the seconds it took."""
    start = time.perf_counter()
    value = function(*args)
    return value, time.perf_counter() - start


def over_seeds(
    one_seed: Callable[..., list[dict[str, Any]]], n_seeds: int, *args: Any
) -> list[dict[str, Any]]:
    """Rows of ``one_seed(seed, *args)`` for every seed, side by side on the cores.

    Rows come in the order of the seeds; each process uses one thread. Not for
    benchmarks that compare seconds.
    """
    n_jobs = min(n_seeds, os.cpu_count() or 1)
    tasks = (delayed(_quiet)(one_seed, seed, *args) for seed in range(n_seeds))
    return [row for rows in Parallel(n_jobs)(tasks) for row in rows]


def _quiet(function: Callable[..., Any], *args: Any) -> Any:
    warnings.simplefilter("ignore", ConvergenceWarning)
    return function(*args)


def add(rows: list[dict[str, Any]], **row: Any) -> None:
    """Append a row, and print it as progress of a long run."""
    rows.append(row)
    text = " ".join(f"{key}={_text(value)}" for key, value in row.items())
    print(text, file=sys.stderr, flush=True)


def table(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows of the same keys."""
    names = list(rows[0])
    cells = [names] + [[_text(row[name]) for name in names] for row in rows]
    widths = [max(len(line[k]) for line in cells) for k in range(len(names))]
    for line in cells:
        print("  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)))


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def save(name: str, rows: Sequence[dict[str, Any]], summary: dict[str, Any]) -> None:
    """Print the summary, and write rows and summary to results/NAME.json."""
    print()
    for key, value in summary.items():
        print(f"{key}: {_text(value)}")
    RESULTS.mkdir(exist_ok=True)
    content = {
        "summary": summary,
        "rows": list(rows),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=1, default=float) + "\n")
    print(f"written: benchmarks/{path.parent.name}/{path.name}")


def recordings() -> Path | None:
    """The folder with the real recordings, or None with a line that says so."""
    folder = os.environ.get("SKLEARN_JEDI_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    print("skipped: SKLEARN_JEDI_DATA does not name the folder with the recordings")
    return None


def split(y: np.ndarray, n_train: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the first `n_train` trials of each condition, and of the others."""
    rank = np.array([np.sum(y[:i] == y[i]) for i in range(len(y))])
    return np.flatnonzero(rank < n_train), np.flatnonzero(rank >= n_train)


def noisy_family(
    make: Callable[..., Any], snr: float, seed: int, **size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """A simulated family with observation noise, and the same without it.

    Parameters
    ----------
    make : callable
        One of `sklearn_jedi.datasets`.
    snr : float
        Variance of the activity over that of the noise.

    Returns
    -------
    X, truth : arrays of shape (n_trials, n_timepoints, n_neurons)
    y : array of shape (n_trials,)
    networks : LowRankRNN
    """
    truth, y, networks = make(random_state=seed, **size)
    sd = truth.std() / np.sqrt(snr)
    X = make(random_state=seed, observation_noise=sd, **size)[0]
    if abs((X - truth).std() / sd - 1) > 0.05:  # noise is drawn last
        raise RuntimeError("the same seed gave other activity with observation noise")
    return X, truth, y, networks


def fifths(n_trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training trials, and of every fifth trial, to test on."""
    test = np.arange(n_trials) % 5 == 4
    return np.flatnonzero(~test), np.flatnonzero(test)


_RATES = np.concatenate([np.linspace(0, 1, 401), np.linspace(1, 40, 1561)[1:]])
_ROOTS = np.sqrt(np.arange(121)) @ poisson.pmf(np.arange(121)[:, None], _RATES)


def expected_roots(rates: np.ndarray) -> np.ndarray:
    """Expected square roots of Poisson counts, of expected counts up to 40."""
    return np.interp(rates, _RATES, _ROOTS)


def expected_counts(roots: np.ndarray) -> np.ndarray:
    """Expected counts, of expected square roots; the inverse of `expected_roots`."""
    return np.interp(roots, _ROOTS, _RATES)
