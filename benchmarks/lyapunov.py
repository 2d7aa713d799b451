"""Lyapunov exponents against an independent computation, and published ones.

Networks that are stable, that oscillate and that are chaotic: `LyapunovAnalyzer`, which
works in the `rank` dimensions that matter, against QR decompositions of products of the
N x N Jacobians, from other states. Asked for: within three standard errors of both
combined. Then `lyapunov_exponents` on flows of the package dysts [1]_, by steps of the
classical Runge-Kutta rule and their derivative, against the estimates that dysts
carries, and against textbook values [2]_.

.. [1] Gilpin, "Chaos as an interpretable benchmark for forecasting and data-driven
   modelling", NeurIPS Datasets and Benchmarks (2021).
.. [2] Sprott, "Chaos and time-series analysis" (2003), appendix A.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import qr

from benchmarks._common import add, arguments, save, table
from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis import LyapunovAnalyzer, lyapunov_exponents
from sklearn_jedi.datasets import make_attractor_family

N_COMPARED = 10  # largest exponents that are compared
ROUNDING = 1e-6  # 1/s: differences below it, of exponents without spread, are none
FLOWS = ("Lorenz", "Rossler", "Chen", "SprottB", "Halvorsen")
TEXTBOOK = {"Lorenz": 0.9056, "Rossler": 0.0714}


def dense(
    network: LowRankRNN, n_states: int, n_steps: int, n_transient: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Exponents of one network and their standard errors, from its full Jacobians.

    The error is the larger one of the spread over blocks of a tenth of the run and the
    spread over the runs.
    """
    rng = np.random.RandomState(seed)
    N = network.n_neurons
    n_blocks, n_between = 10, 5
    n_rounds = n_steps // (n_blocks * n_between)
    blocks = np.zeros((n_states, n_blocks + 1, N))
    for run in range(n_states):
        state = network.simulate(2 * rng.standard_normal(N), n_transient)[0, -1]
        frame = np.eye(N)
        for block in range(n_blocks + 1):  # the first turns the frame into place
            for _ in range(n_rounds):
                path = network.simulate(state, n_between + 1)[0]
                for jac in network.jacobian(path[None, :-1], time="map")[0]:
                    frame = jac @ frame
                frame, stretch = qr(frame, check_finite=False)
                blocks[run, block] += np.log(np.abs(np.diagonal(stretch)))
                state = path[-1]
    blocks = blocks[:, 1:] / (n_rounds * n_between * network.dt)
    of_runs = blocks.mean(axis=1)
    within = blocks.std(axis=1, ddof=1) / np.sqrt(n_blocks)
    error = np.sqrt((within**2).sum(axis=0)) / n_states
    if n_states > 1:
        between = of_runs.std(axis=0, ddof=1) / np.sqrt(n_states)
        error = np.maximum(error, between)
    exponents = of_runs.mean(axis=0)
    order = np.argsort(-exponents)
    return exponents[order], error[order]


def chaotic_network(seed: int, n_neurons: int, gain: float = 3.0) -> LowRankRNN:
    """A random network of full rank whose trajectories separate.

    Small networks may settle on a cycle or a point instead: the first is taken in
    which pairs of neighbouring states, run for 2000 steps, end far apart, all of them.
    """
    rng = np.random.RandomState(seed)
    while True:
        J = gain / np.sqrt(n_neurons) * rng.standard_normal((n_neurons, n_neurons))
        network = LowRankRNN.from_weights(J)
        starts = rng.standard_normal((1, 8, n_neurons))
        starts = network.simulate(starts, 1000)[:, :, -1]
        near = starts + 1e-9 * rng.standard_normal(starts.shape)
        ends = [network.simulate(x, 2000)[:, :, -1] for x in (starts, near)]
        if (np.linalg.norm(ends[0] - ends[1], axis=2) > 1e-3).all():
            return network


def network_rows(seed: int, quick: bool) -> list[dict[str, Any]]:
    """The three networks of a seed, both ways."""
    family = make_attractor_family(
        1, kinds=("bistable", "limit_cycle"), n_neurons=60, random_state=seed
    )[2]
    cases: dict[str, tuple[LowRankRNN, int]] = {
        "stable": (family[0], 5000),
        "oscillating": (family[1], 5000),
        "chaotic": (chaotic_network(seed, 60), 20_000),
    }
    rows: list[dict[str, Any]] = []
    for kind, (network, n_steps) in cases.items():
        steps = 500 if quick else n_steps
        transient = 500 if quick else 2000
        fitted = LyapunovAnalyzer(
            n_steps=steps, n_transient=transient, random_state=seed
        ).fit(network)
        rest = np.full(network.n_neurons - network.rank, fitted.rest_exponent_)
        values = np.append(fitted.exponents_[0], rest)[:N_COMPARED]
        errors = np.append(fitted.standard_errors_[0], 0 * rest)[:N_COMPARED]
        other, other_errors = dense(
            network, 1 if quick else 2, steps, transient, seed + 1000
        )
        gap = np.abs(values - other[:N_COMPARED])
        both = np.hypot(errors, other_errors[:N_COMPARED])
        ratio = np.where(gap < ROUNDING, 0.0, gap / np.maximum(both, 1e-300))
        add(
            rows,
            network=kind,
            seed=seed,
            verdict=str(fitted.verdict_[0]),
            leading=float(values[0]),
            error=float(errors[0]),
            dense=float(other[0]),
            dense_error=float(other_errors[0]),
            off_by_errors=float(ratio[0]),
            largest_off_by=float(ratio.max()),
            beyond_three=int((ratio > 3).sum()),
            largest_difference=float(gap.max()),
        )
    return rows


def runge_kutta(
    rhs: Callable[..., Any], h: float
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """One step, and its derivative: the same step of the variational equation.

    The derivative is taken by imaginary increments, exact to rounding.
    """
    tiny = 1e-30

    def advance(x: np.ndarray) -> np.ndarray:
        k1 = rhs(x)
        k2 = rhs(x + h / 2 * k1)
        k3 = rhs(x + h / 2 * k2)
        k4 = rhs(x + h * k3)
        return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def step(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = states[..., None, :] + 1j * tiny * np.eye(states.shape[-1])
        ahead = advance(moved)  # (..., increments, n_dims)
        return ahead[..., 0, :].real, np.swapaxes(ahead.imag, -1, -2) / tiny

    return step


def flow_rows(seed: int, quick: bool) -> list[dict[str, Any]]:
    """Flows of dysts: the leading exponent, in 1 / its unit of time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that numba is not there
        from dysts import flows
    rows: list[dict[str, Any]] = []
    rng = np.random.RandomState(seed)
    for name in FLOWS[:1] if quick else FLOWS:
        system = getattr(flows, name)()
        parameters = system.param_list

        def rhs(x: np.ndarray, system: Any = system, p: Any = parameters) -> np.ndarray:
            return np.stack(system._rhs(*np.moveaxis(x, -1, 0), 0.0, *p), axis=-1)

        h = system.period / 200
        step = runge_kutta(rhs, h)
        size = np.linalg.norm(system.std)
        starts = np.array(system.ic) + 1e-2 * size * rng.standard_normal((32, 3))
        for _ in range(500 if quick else 2000):
            starts = step(starts)[0]
        n_steps = 500 if quick else 6000
        blocks, _ = lyapunov_exponents(step, starts, n_steps, h, n_between=5)
        per_run = blocks.mean(axis=0)
        exponents = per_run.mean(axis=0)
        errors = per_run.std(axis=0, ddof=1) / np.sqrt(len(per_run))
        known = TEXTBOOK.get(name, np.nan)
        add(
            rows,
            flow=name,
            seed=seed,
            exponents=[round(float(value), 4) for value in exponents],
            error=float(errors[0]),
            dysts_spectrum=[round(v, 3) for v in system.lyapunov_spectrum_estimated],
            dysts_maximum=float(system.maximum_lyapunov_estimated),
            textbook=known,
            off_textbook=float(exponents[0] - known),
            off_by_errors=float(abs(exponents[0] - known) / errors[0]),
        )
    return rows


def main() -> None:
    args = arguments(__doc__)
    rows: list[dict[str, Any]] = []
    for seed in range(args.seeds):
        rows += network_rows(seed, args.quick)
    table(rows)
    summary: dict[str, Any] = {}
    for kind in ("stable", "oscillating", "chaotic"):
        of = [row for row in rows if row["network"] == kind]
        summary[f"{kind}: leading exponent, worst difference in standard errors"] = max(
            row["off_by_errors"] for row in of
        )
        summary[f"{kind}: of {N_COMPARED} exponents, worst difference in errors"] = max(
            row["largest_off_by"] for row in of
        )
        summary[f"{kind}: largest difference (1/s)"] = max(
            row["largest_difference"] for row in of
        )
        summary[f"{kind}: exponents beyond three errors, of {N_COMPARED * len(of)}"] = (
            sum(row["beyond_three"] for row in of)
        )
        summary[f"{kind}: verdicts"] = sorted({row["verdict"] for row in of})
    flows: list[dict[str, Any]] = []
    try:
        for seed in range(args.seeds):
            flows += flow_rows(seed, args.quick)
    except ImportError:
        print("skipped: dysts is not installed (extra bench)")
    if flows:
        print()
        table(flows)
    for name in dict.fromkeys(row["flow"] for row in flows):
        of = [row for row in flows if row["flow"] == name]
        leading = [row["exponents"][0] for row in of]
        summary[f"{name}: leading exponent, mean (range) of seeds"] = [
            round(float(value), 4)
            for value in (np.mean(leading), min(leading), max(leading))
        ]
        summary[f"{name}: dysts' maximum, and first of its spectrum"] = [
            round(of[0]["dysts_maximum"], 4),
            of[0]["dysts_spectrum"][0],
        ]
        if name in TEXTBOOK:
            summary[f"{name}: textbook {TEXTBOOK[name]}, worst difference"] = max(
                (row["off_textbook"] for row in of), key=abs
            )
            summary[f"{name}: the same in standard errors"] = max(
                row["off_by_errors"] for row in of
            )
    save("lyapunov", rows + flows, summary)


if __name__ == "__main__":
    main()
