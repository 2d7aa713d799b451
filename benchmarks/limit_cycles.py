"""Limit cycles: does the analyzer find those that long simulations end on?

Random tanh networks of rank 2 to 5 and gain 2 to 8, with and without bias, of 50 and
200 neurons: many of their cycles are relaxation oscillations, and some networks have
two. Each is simulated from 32 states for 600 tau; what then still moves is simulated
for another 4000 tau and counts as a cycle if all crossings of a plane come back to
their places, and if the periods of the two halves of the run agree. Asked for: every
such cycle, its period within 1e-6. Cycles of the flow are integrated for a turn by a
method of high order from a state that the analyzer gives; asked for: the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from benchmarks._common import add, arguments, save, table, timed
from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis import FixedPointAnalyzer

TAU, DT = 0.1, 0.01
SAME = 1e-5  # difference of two periods, as a share, below which the cycles are one
AGREES = 3e-6  # difference between the halves of a run
BACK = 0.005  # distance between returns, as a share of the size of a cycle


def random_networks(n_networks: int, seed: int) -> Iterator[LowRankRNN]:
    """Networks that mostly rotate, in planes of their subspace."""
    rng = np.random.default_rng(seed)
    for k in range(n_networks):
        rank, n_neurons = (2, 3, 4, 5)[k % 4], (50, 200)[k // 4 % 2]
        gain, bias = rng.choice((2, 3, 5, 8)), rng.choice([0.0, 0.5])
        U = rng.standard_normal((n_neurons, rank))
        A = rng.standard_normal((rank, rank))
        mixing = np.eye(rank) * gain / 1.5 + (A - A.T) * rng.uniform(0.3, 2)
        noise = 0.3 * rng.standard_normal((n_neurons, rank)) / np.sqrt(n_neurons)
        V = U @ mixing.T / n_neurons + noise
        yield LowRankRNN(U, V, bias * rng.standard_normal(n_neurons), TAU, DT)


def simulate(network: LowRankRNN, kappa: np.ndarray, n_steps: int) -> np.ndarray:
    """States (n_steps, n_states, rank), in units of the columns of U."""
    U, V, bias = network.U[0], network.V[0], network.bias[0]
    path = np.empty((n_steps, *kappa.shape))
    for t in range(n_steps):
        drive = np.tanh(kappa @ U.T + bias) @ V
        kappa = kappa + DT / TAU * (drive - kappa)
        path[t] = kappa
    return path


def period(path: np.ndarray) -> float:
    """Steps between returns of a path (n_steps, rank), NaN where it does not return."""
    x = path - path.mean(axis=0)
    size = np.sqrt((x**2).sum(axis=1).mean())
    height = x @ np.linalg.svd(x[::7], full_matrices=False)[2][0]
    up = np.flatnonzero((height[:-1] < 0) & (height[1:] >= 0))
    share = -height[up] / (height[up + 1] - height[up])
    times, places = up + share, path[up] + share[:, None] * (path[up + 1] - path[up])
    for m in range(1, min(40, len(up) // 3) + 1):
        moved = np.linalg.norm(places[m:] - places[:-m], axis=1)
        # to within what a straight line between two steps misses
        if moved[len(moved) // 2 :].max() < 4 * BACK * size:
            back = times[::m]  # the slope of a line through them averages best
            return float(np.polyfit(np.arange(len(back)), back, 1)[0])
    return np.nan


def simulated_periods(
    network: LowRankRNN, seed: int, n_starts: int, n_steps: int
) -> list[float]:
    """Periods in seconds of the cycles that simulations end on."""
    rng = np.random.default_rng(1000 + seed)
    sizes = 10 ** rng.uniform(-0.5, 1, (n_starts, 1))
    kappa = sizes * rng.standard_normal((n_starts, network.rank))
    kappa = simulate(network, kappa, 6000)[-1]
    step = np.abs(simulate(network, kappa, 1)[0] - kappa).max(axis=1)
    kappa = kappa[step > 1e-8 * np.abs(kappa).max()]
    groups: list[np.ndarray] = []
    kept = []
    path = simulate(network, kappa, 4000)
    for k in range(len(kappa)):
        shape = np.concatenate([path[:, k].mean(axis=0), path[:, k].std(axis=0)])
        if all(np.abs(shape - other).max() > 0.02 * shape.max() for other in groups):
            groups.append(shape)
            kept.append(k)
    path = simulate(network, path[-1, kept], n_steps)
    found: list[float] = []
    for k in range(len(kept)):
        whole, half = period(path[:, k]) * DT, period(path[n_steps // 2 :, k]) * DT
        if abs(whole / half - 1) < AGREES and not any(
            abs(whole / other - 1) < SAME for other in found
        ):
            found.append(whole)
    return found


def integrated_period(network: LowRankRNN, state: np.ndarray, guess: float) -> float:
    """Period in seconds of the flow, from a state on its cycle."""
    U, V, bias = network.U[0], network.V[0], network.bias[0]
    start = np.linalg.lstsq(U, state - bias)[0]

    def motion(t: float, kappa: np.ndarray) -> np.ndarray:
        velocity: np.ndarray = (np.tanh(U @ kappa + bias) @ V - kappa) / TAU
        return velocity

    across = motion(0, start)

    def height(t: float, kappa: np.ndarray) -> float:
        return float((kappa - start) @ across)

    # scipy reads it off the function, whose type does not have it
    height.direction = 1  # type: ignore[attr-defined]
    run = solve_ivp(
        motion, (0, 1.5 * guess), start, "DOP853", events=height, rtol=1e-11, atol=1e-12
    )
    times = run.t_events[0]
    return float(times[np.abs(times - guess).argmin()])


def analyse(network: LowRankRNN, seed: int, time: str) -> FixedPointAnalyzer:
    return FixedPointAnalyzer(time=time, random_state=seed).fit(network)


def one_network(
    network: LowRankRNN, seed: int, n_starts: int, n_steps: int
) -> dict[str, Any]:
    """What simulations and the analyzer find in one network."""
    truth = simulated_periods(network, seed, n_starts, n_steps)
    analyzer, seconds = timed(analyse, network, seed, "map")
    found = [c.period for c in analyzer.limit_cycles_[0] if c.is_stable]
    errors = [min([abs(p / t - 1) for p in found], default=np.inf) for t in truth]
    of_flow, flow_seconds = timed(analyse, network, seed, "flow")
    flow_errors = [
        abs(c.period / integrated_period(network, c.states[0], c.period) - 1)
        for c in of_flow.limit_cycles_[0]
    ]
    matched = [error for error in errors if error < SAME]
    return {
        "rank": network.rank,
        "neurons": network.n_neurons,
        "simulated": len(truth),
        "found": len(matched),
        "listed": len(found),
        "unsettled": int(analyzer.n_unsettled_[0]),
        "error": max(matched, default=0.0),
        "s": seconds,
        "of_flow": len(flow_errors),
        "flow_error": max(flow_errors, default=0.0),
        "s_flow": flow_seconds,
    }


def main() -> None:
    args = arguments(__doc__)
    every = 75 if args.quick else 1  # of the networks
    n_starts, n_steps = (8, 10_000) if args.quick else (32, 40_000)
    rows: list[dict[str, Any]] = []
    for k, network in enumerate(random_networks(300, 1)):
        if k % every == 0:
            add(rows, network=k, **one_network(network, k, n_starts, n_steps))
    table(rows)
    save(
        "limit_cycles",
        rows,
        {
            "networks": len(rows),
            "stable cycles that simulations end on": sum(r["simulated"] for r in rows),
            "of them found": sum(r["found"] for r in rows),
            "worst error of a period": max(r["error"] for r in rows),
            "cycles of the flow": sum(r["of_flow"] for r in rows),
            "worst error of their periods": max(r["flow_error"] for r in rows),
            "networks with unsettled trajectories": sum(
                r["unsettled"] > 0 for r in rows
            ),
            "seconds for a network, mean": float(np.mean([r["s"] for r in rows])),
            "seconds, median": float(np.median([r["s"] for r in rows])),
            "seconds with time='flow', mean": float(
                np.mean([r["s_flow"] for r in rows])
            ),
        },
    )


if __name__ == "__main__":
    main()
