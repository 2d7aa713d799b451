"""Sessions with different neurons: MetaDynamicalSSM on simulated families.

Of every session 12 trials are fitted and 8 held out; R^2 per session, about the
activity without noise. Forecasts are of the second halves of held-out trials, given the
first. "ceiling" is the forecast of the true field from the true state, which process
noise limits.

- Limit cycles of different frequencies, Gaussian noise of three sizes, embeddings that
  change the drive in one direction or two: forecasts, frequency from the embedding,
  seconds.
- The same as spike counts: rates.
- Two parameters (Hopf, Duffing): both read from the embedding, leaving one session out
  at a time; how well sessions are aligned.
- A new session from 1, 4 or 16 trials, for families fitted to 2 or 20 sessions, and
  models of that session alone.
"""

from __future__ import annotations

import itertools
import time
import warnings
from typing import Any, NamedTuple

import numpy as np

from benchmarks._common import add, arguments, over_seeds, save, table, timed
from benchmarks._sessions import (
    Case,
    Example,
    alignment,
    decoded,
    draw,
    embeddings_of,
    example_of,
    fitted,
    held_out,
    make_case,
    mean_and_worst,
    new_sessions,
    ordered,
    true_forecast,
)
from sklearn_jedi import MetaDynamicalSSM

SHOWN = 0.5
# Another frequency is another drive in both directions of the plane.
RANK = 2
COUNTS = (0.05, 0.5)  # spikes a bin
TWO = ("hopf", "duffing")


class Plan(NamedTuple):
    """How much is simulated.

    Attributes
    ----------
    n_sessions, n_train, n_timepoints : int
        Of limit cycles; `n_timepoints` of everything.
    noises : tuple of float
        Standard deviations of the noise of recordings of limit cycles.
    ranks : tuple of int
        Directions in which embeddings change the drive of limit cycles.
    two_sizes, few_sizes : tuple of int
        Sessions of two-parameter families, and of those that meet new sessions.
    few_families : tuple of str
    shots : tuple of int
        Trials of a new session.
    n_new : int
        New sessions.
    """

    n_sessions: int = 20
    n_train: int = 12
    n_timepoints: int = 100
    noises: tuple[float, ...] = (0.2, SHOWN, 1.0)
    ranks: tuple[int, ...] = (1, RANK)
    two_sizes: tuple[int, ...] = (20,)
    few_sizes: tuple[int, ...] = (2, 20)
    few_families: tuple[str, ...] = ("limit_cycle", "duffing")
    shots: tuple[int, ...] = (1, 4, 16)
    n_new: int = 4

    def case(self, family: str, n_sessions: int, seed: int, **given: Any) -> Case:
        length = {"n_timepoints": self.n_timepoints, "random_state": seed}
        return make_case(family, n_sessions, self.n_train, **length, **given)


QUICK = Plan(2, 2, 40, (SHOWN,), (RANK,), (2,), (2,), ("limit_cycle",), (1,), 1)


def limit_cycles(n_seeds: int, plan: Plan) -> tuple[list[dict[str, Any]], Example]:
    """One after the other, for their seconds; and what the figure shows."""
    rows: list[dict[str, Any]] = []
    shown = None
    for seed in range(n_seeds):
        for noise, rank in itertools.product(plan.noises, plan.ranks):
            case = plan.case("limit_cycle", plan.n_sessions, seed, noise=noise)
            busy = time.process_time()
            meta = MetaDynamicalSSM(change_rank=rank, dt=case.data.dt)
            (meta, _), seconds = timed(fitted, meta, case)
            busy = time.process_time() - busy
            Z = embeddings_of(meta, case)
            add(
                rows,
                noise=noise,
                rank=rank,
                seed=seed,
                **held_out(meta, case),
                **true_forecast(case),
                spearman=ordered(Z[:, 0], case.data.parameters[:, 0]),
                **alignment(meta, case),
                seconds=seconds,
                cpu_seconds=busy,
            )
            if shown is None and (noise, rank) == (SHOWN, RANK):
                shown = example_of(meta, case, Z)
    assert shown is not None
    return rows, shown


def spike_counts(seed: int, plan: Plan) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    case = plan.case("limit_cycle", plan.n_sessions, seed, mean_counts=COUNTS)
    meta = MetaDynamicalSSM(change_rank=RANK, observation="poisson", dt=case.data.dt)
    (meta, collapsed), seconds = timed(fitted, meta, case)
    Z = embeddings_of(meta, case)
    add(
        rows,
        seed=seed,
        **held_out(meta, case),
        **true_forecast(case),
        spearman=ordered(Z[:, 0], case.data.parameters[:, 0]),
        collapsed=collapsed,
        seconds=seconds,
    )
    return rows


def two_parameters(seed: int, plan: Plan) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for family in TWO:
        for n_sessions in plan.two_sizes:
            case = plan.case(family, n_sessions, seed)
            meta = MetaDynamicalSSM(embedding_dim=2, change_rank=RANK, dt=case.data.dt)
            (meta, _), seconds = timed(fitted, meta, case)
            add(
                rows,
                family=family,
                sessions=n_sessions,
                seed=seed,
                **held_out(meta, case),
                **true_forecast(case),
                **decoded(embeddings_of(meta, case), case),
                **alignment(meta, case),
                seconds=seconds,
            )
    return rows


def few_shot(seed: int, plan: Plan) -> list[dict[str, Any]]:
    """Forecasts of new sessions: families that know M others, and each alone."""
    rows: list[dict[str, Any]] = []
    for family in plan.few_families:
        new = new_sessions(
            family, plan.n_new, max(plan.shots), seed, n_timepoints=plan.n_timepoints
        )
        n_axes = new.data.parameters.shape[1]
        params = {"embedding_dim": n_axes, "change_rank": RANK, "dt": new.data.dt}
        models: dict[str, Any] = {"alone": None}
        for size in plan.few_sizes:
            case = plan.case(family, size, seed)
            meta, _ = fitted(MetaDynamicalSSM(**params), case)
            models[f"family of {size}"] = meta
        for n_trials in plan.shots:
            few = new._replace(train=new.train[:, :n_trials])
            for name, meta in models.items():
                ahead = forecasts_of_new(meta, few, params)
                add(
                    rows,
                    family=family,
                    model=name,
                    trials=n_trials,
                    seed=seed,
                    **mean_and_worst("forecast", few, ahead, few.half),
                )
    return rows


def forecasts_of_new(
    meta: MetaDynamicalSSM | None, new: Case, params: dict[str, Any]
) -> list[np.ndarray]:
    """Of held-out trials: by a family adapted to the new sessions, or by each alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # alone, embedding axes have no support
        if meta is not None:
            return new.forecast(meta.adapt(**new.given(new.train)), new.test)
        found = []
        for train, test in zip(new.train, new.test, strict=True):
            own = MetaDynamicalSSM(**params).fit(**new.given(train))
            found += new.forecast(own, test)
        return found


def groups(rows: list[dict[str, Any]], *names: str) -> dict[tuple, list]:
    """Rows by the values that they have under names."""
    out: dict[tuple, list] = {}
    for row in rows:
        out.setdefault(tuple(row[name] for name in names), []).append(row)
    return out


def over(rows: list[dict[str, Any]], settings: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row for each setting: worst seed and mean of the scores, the slowest fit."""
    out = []
    for names, of in groups(rows, *settings).items():
        line: dict[str, Any] = dict(zip(settings, names, strict=True))
        for key, first in of[0].items():
            values = [row[key] for row in of]
            if key.endswith("seconds"):
                line[key] = max(values)
            elif isinstance(first, float) and key not in settings:
                line[key] = f"{min(values):.3f} ({np.mean(values):.3f})"
        out.append(line)
    return out


def main() -> None:
    args = arguments(__doc__)
    plan = QUICK if args.quick else Plan()
    cycles, shown = limit_cycles(args.seeds, plan)
    counts = over_seeds(spike_counts, args.seeds, plan)
    two = over_seeds(two_parameters, args.seeds, plan)
    few = over_seeds(few_shot, args.seeds, plan)
    parts = {
        "limit cycles": (cycles, ("noise", "rank")),
        "counts": (counts, ()),
        **{
            family: ([row for row in two if row["family"] == family], ("sessions",))
            for family in TWO
        },
        "new sessions": (few, ("family", "trials", "model")),
    }
    summary: dict[str, Any] = {}
    for title, (rows, of) in parts.items():
        print(f"\n{title}")
        table(rows)
        print("worst seed (mean)")
        table(over(rows, of))
    for (noise, rank), rows in groups(cycles, "noise", "rank").items():
        title = f"limit cycles, noise {noise:g}, rank {rank}"
        for key in ("forecast", "forecast_worst", "spearman"):
            summary[f"{title}: {key}, worst seed"] = min(row[key] for row in rows)
        summary[f"{title}: slowest fit (s)"] = max(row["seconds"] for row in rows)
    for key in ("smoothed", "free_run", "forecast"):
        summary[f"counts: {key}, worst seed"] = min(row[key] for row in counts)
    summary["counts: fits that collapsed"] = sum(row["collapsed"] for row in counts)
    draw(shown, few)
    save("sessions", [*cycles, *counts, *two, *few], summary)


if __name__ == "__main__":
    main()
