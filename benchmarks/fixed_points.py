"""Fixed points: does the default search find all that provably exist?

Planted networks, whose fixed points are known in closed form up to a scalar root, and
random tanh networks with several fixed points, where all are found and counted by the
exhaustive search, which proves that none is missing. Asked for: all points, no false
one, residuals below 1e-12 (rate units, norm over neurons), index sum +1. On a ring
attractor: one manifold, no isolated points on it, no index sum.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq

from benchmarks._common import add, arguments, save, table, timed
from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis import FixedPointAnalyzer
from sklearn_jedi.datasets import make_attractor_family
from sklearn_jedi.metrics import match_fixed_points

SAME = 1e-6  # share of the size of the points within which two are one


def roots(gain: float) -> np.ndarray:
    """The three solutions of `x = gain tanh(x)`, for a gain above 1."""
    root = brentq(lambda x: gain * np.tanh(x) - x, 1e-3, gain, xtol=1e-15)
    return np.array([-root, 0.0, root])


def planted(
    rng: np.random.RandomState, n_neurons: int, n_blocks: int
) -> tuple[LowRankRNN, np.ndarray]:
    """Blocks of neurons that only excite themselves, and all their fixed points."""
    gains = rng.uniform(1.5, 3.0, n_blocks)
    member = np.arange(n_neurons) % n_blocks == np.arange(n_blocks)[:, None]
    U = member.T.astype(float)
    network = LowRankRNN(U, U * gains / U.sum(axis=0))
    levels = itertools.product(*(roots(gain) for gain in gains))
    return network, np.array([U @ np.array(level) for level in levels])


def random_network(rng: np.random.RandomState, n_neurons: int, rank: int) -> LowRankRNN:
    """Random weights, often of several fixed points."""
    U = rng.standard_normal((n_neurons, rank))
    mixing = 2.5 * np.eye(rank) + rng.standard_normal((rank, rank))
    V = (U @ mixing + rng.standard_normal((n_neurons, rank))) / n_neurons
    return LowRankRNN(U, V, 0.1 * rng.standard_normal(n_neurons))


def search(network: LowRankRNN, seed: int, exhaustive: bool) -> FixedPointAnalyzer:
    return FixedPointAnalyzer(
        limit_cycles=False, exhaustive=exhaustive, random_state=seed
    ).fit(network)


def compare(
    kind: str,
    seed: int,
    cases: Sequence[tuple[LowRankRNN, np.ndarray | None]],
) -> dict[str, Any]:
    """One row of the table: the default search of some networks against the truth.

    Where the truth is not known beforehand, it is what the exhaustive search found.
    """
    total: dict[str, list[Any]] = {}
    for network, truth in cases:
        proven, slow_s = timed(search, network, seed + 1000, True)
        quick, quick_s = timed(search, network, seed, False)
        found = quick.fixed_points_[0]
        true = proven.fixed_points_[0] if truth is None else truth
        match = match_fixed_points(true, found, tol=SAME)
        n_pairs = len(match.pairs)
        for name, value in {
            "points": len(true),
            "found": n_pairs,
            "false": len(found) - n_pairs,
            "exhaustive": len(proven.fixed_points_[0]),
            "residual": quick.residuals_[0].max(),
            "index": quick.index_sum_[0] == 1,
            "no_index": np.isnan(quick.index_sum_[0]),
            "certified": np.isfinite(quick.certified_radius_[0]).sum() / len(found),
            "closed": proven.is_complete_[0],
            "ms": 1000 * quick_s,
            "ms_exhaustive": 1000 * slow_s,
        }.items():
            total.setdefault(name, []).append(value)
    n = len(cases)
    return {
        "networks": kind,
        "neurons": cases[0][0].n_neurons,
        "rank": cases[0][0].rank,
        "seed": seed,
        "n": n,
        "points": int(sum(total["points"])),
        "found": sum(total["found"]) / sum(total["points"]),
        "all_found": sum(
            a == b for a, b in zip(total["found"], total["points"], strict=True)
        ),
        "false": int(sum(total["false"])),
        "by_exhaustive": int(sum(total["exhaustive"])),
        "residual": float(max(total["residual"])),
        "index_+1": int(sum(total["index"])),
        "index_NaN": int(sum(total["no_index"])),
        "certified": float(np.mean(total["certified"])),
        "proof_closed": int(sum(total["closed"])),
        "ms": float(np.mean(total["ms"])),
        "ms_exhaustive": float(np.mean(total["ms_exhaustive"])),
    }


def several(
    rng: np.random.RandomState, n_neurons: int, rank: int, n_networks: int, seed: int
) -> list[LowRankRNN]:
    """Random networks of which the exhaustive search finds more than one point."""
    kept: list[LowRankRNN] = []
    while len(kept) < n_networks:
        network = random_network(rng, n_neurons, rank)
        # the quick search first: where it finds several, no proof is needed here
        if any(
            len(search(network, seed + 1000, exhaustive).fixed_points_[0]) > 1
            for exhaustive in (False, True)
        ):
            kept.append(network)
    return kept


def ring(seed: int, n_neurons: int) -> dict[str, Any]:
    """What is said of a ring attractor."""
    network = make_attractor_family(
        1, kinds=("ring",), n_neurons=n_neurons, random_state=seed
    )[2]
    analyzer = search(network, seed, False)
    on_ring = np.linalg.norm(analyzer.fixed_points_[0], axis=1) > 1e-6
    kinds = [manifold.kind for manifold in analyzer.manifolds_[0]]
    return {
        "neurons": n_neurons,
        "seed": seed,
        "manifolds": kinds,
        "points_listed": len(on_ring),
        "of_them_off_the_origin": int(on_ring.sum()),
        "index_sum": float(analyzer.index_sum_[0]),
    }


def main() -> None:
    args = arguments(__doc__)
    sizes = (128,) if args.quick else (128, 1000)
    n_random = 3 if args.quick else 10
    rows: list[dict[str, Any]] = []
    rings: list[dict[str, Any]] = []
    for seed in range(args.seeds):
        rng = np.random.RandomState(seed)
        for n_neurons in sizes:
            for n_blocks in (1, 2):
                known = [planted(rng, n_neurons, n_blocks) for _ in range(5)]
                add(rows, **compare("planted", seed, known))
            for rank in (2, 3):
                drawn = several(rng, n_neurons, rank, n_random, seed)
                add(rows, **compare("random", seed, [(net, None) for net in drawn]))
        rings.append(ring(seed, 100))
    table(rows)
    print()
    table(rings)
    summary: dict[str, Any] = {}
    for kind in ("planted", "random"):
        of = [row for row in rows if row["networks"] == kind]

        def total(name: str, of: list[dict[str, Any]] = of) -> int:
            return sum(row[name] for row in of)

        summary |= {
            f"{kind}: networks, points": [total("n"), total("points")],
            f"{kind}: share of the points found, worst row": min(
                row["found"] for row in of
            ),
            f"{kind}: networks with a point missing": total("n") - total("all_found"),
            f"{kind}: false points": total("false"),
            f"{kind}: largest residual": max(row["residual"] for row in of),
            f"{kind}: networks without index sum +1": total("n") - total("index_+1"),
            f"{kind}: of them, with index sum NaN": total("index_NaN"),
            f"{kind}: share certified, worst row": min(row["certified"] for row in of),
            f"{kind}: proofs that did not close": total("n") - total("proof_closed"),
        }
    for n_neurons in sizes:
        for rank in (2, 3):
            of = [
                row
                for row in rows
                if (row["networks"], row["neurons"], row["rank"])
                == ("random", n_neurons, rank)
            ]
            summary[f"random: ms, N={n_neurons}, rank {rank} (exhaustive)"] = [
                round(float(np.mean([row[name] for row in of])), 1)
                for name in ("ms", "ms_exhaustive")
            ]
    summary["rings seen as one ring without isolated points on it"] = sum(
        row["manifolds"] == ["ring"] and row["of_them_off_the_origin"] == 0
        for row in rings
    )
    summary["rings with index sum NaN"] = sum(
        bool(np.isnan(row["index_sum"])) for row in rings
    )
    save("fixed_points", rows + rings, summary)


if __name__ == "__main__":
    main()
