"""Spectra in `rank` dimensions against `numpy.linalg.eig` of the N x N matrix.

Random networks of rank 5; the matrix is `J`, or the Jacobian of the map or of the flow
at a state that the network reached. Asked for: the `rank` eigenvalues that differ from
those of the null space within 1e-9 (in 1/s for the flow). Seconds of numpy are those of
`eig` alone, with the matrix at hand; those of the analyzer are of all of `fit`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks._common import add, arguments, save, table
from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis import SpectrumAnalyzer

RANK = 5
CASES = (("connectivity", "map"), ("jacobian", "map"), ("jacobian", "flow"))
REPEATS = 5  # 2 for --quick
LONG = 3.0  # seconds from which on one repeat is enough


def drawn(n_neurons: int, seed: int) -> tuple[LowRankRNN, np.ndarray]:
    """A random network, and the state (1, 1, n_neurons) that it reaches in a second."""
    rng = np.random.RandomState(seed)
    scale = np.sqrt(1.8 / np.sqrt(n_neurons * RANK))
    U, V = scale * rng.standard_normal((2, n_neurons, RANK))
    network = LowRankRNN(U, V, 0.2 * rng.standard_normal(n_neurons))
    run = network.simulate(rng.standard_normal(n_neurons), 101)
    return network, run[:, -1:]


def dense_matrix(
    network: LowRankRNN, states: np.ndarray, kind: str, mode: str
) -> tuple[np.ndarray, float]:
    """The N x N matrix, and its eigenvalue for all vectors that `J` takes to zero."""
    if kind == "connectivity":
        return network.J[0], 0.0
    null = 1 - network.dt / network.tau if mode == "map" else -1 / network.tau
    return network.jacobian(states, time=mode)[0, 0], null


def largest_difference(found: np.ndarray, dense: np.ndarray, null: float) -> float:
    """Of eigenvalues matched one to one, the least total distance."""
    furthest = np.argsort(-np.abs(dense - null))[: len(found)]
    distance = np.abs(found[:, None] - dense[furthest])
    return float(distance[linear_sum_assignment(distance)].max())


def median_time(function: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    """What a function returns, and the median seconds of its calls."""
    seconds: list[float] = []
    while len(seconds) < repeats and (not seconds or seconds[0] < LONG):
        start = time.perf_counter()
        value = function()
        seconds.append(time.perf_counter() - start)
    return value, float(np.median(seconds))


def main() -> None:
    args = arguments(__doc__)
    rows: list[dict[str, Any]] = []
    repeats = 2 if args.quick else REPEATS
    sizes = (100, 200, 500) if args.quick else (100, 200, 500, 1000, 2000)
    for n_neurons in sizes:
        for seed in range(args.seeds):
            network, states = drawn(n_neurons, seed)
            for kind, mode in CASES:
                analyzer = SpectrumAnalyzer(kind, time=mode)
                at = states if kind == "jacobian" else None
                matrix, null = dense_matrix(network, states, kind, mode)
                _, own = median_time(
                    lambda a=analyzer, n=network, s=at: a.fit(n, states=s), repeats
                )
                (dense, _), numpy = median_time(
                    lambda m=matrix: np.linalg.eig(m), repeats
                )
                found = analyzer.eigenvalues_.ravel()
                add(
                    rows,
                    neurons=n_neurons,
                    seed=seed,
                    matrix="J" if kind == "connectivity" else f"Jacobian, {mode}",
                    difference=largest_difference(found, dense, null),
                    analyzer_ms=1000 * own,
                    numpy_ms=1000 * numpy,
                    ratio=numpy / own,
                )
    table(rows)
    summary: dict[str, Any] = {
        "largest difference (asked: 1e-9)": max(row["difference"] for row in rows)
    }
    for n_neurons in sizes:
        ratios = [row["ratio"] for row in rows if row["neurons"] == n_neurons]
        summary[f"N={n_neurons}: times faster than numpy, median (worst)"] = [
            round(float(np.median(ratios)), 1),
            round(min(ratios), 1),
        ]
    save("spectra", rows, summary)


if __name__ == "__main__":
    main()
