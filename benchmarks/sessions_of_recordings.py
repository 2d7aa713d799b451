"""Recordings of different neurons as sessions of one MetaDynamicalSSM.

Forecasts are of the second halves of held-out trials, given the first; models have one
embedding per trial. Sizes are chosen on validation trials within the training trials.
"alone" is one model for each recording, "together" one of all of them, "conditions"
the same with reach directions and epochs given to align sessions by. "linear" is a
linear-Gaussian state-space model fitted by EM.

- Real: hatsopoulos2007 (averages) and chewie_single_trial around movement onset.
  Epoch (preparation or movement, of held-out directions) and target are read from
  embeddings and latents; chewie's target also by a classifier of hatsopoulos2007's
  movements. Forecasts are scored against averages, and against smoothed roots.
- Simulated: reaches, in sessions that are disjoint neurons of one network, or networks
  of one family. Forecasts of rates; epoch read from embeddings, and direction from
  latents of movements, by a classifier of the session's own trials ("within") or of all
  other sessions ("across"). Sizes are those chosen for square roots with conditions.

Directions are read from means of latents over thirds of the trial. "components" are
principal components that condition averages align.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks._common import (
    add,
    arguments,
    classifier,
    over_seeds,
    recordings,
    save,
    table,
)
from benchmarks._sessions_of_recordings import (
    MOVEMENT,
    PREPARATION,
    TEST,
    Fitted,
    Kind,
    Recording,
    draw,
    fit_chosen,
    principal_components,
    real_recordings,
    simulated_sessions,
)

MOVING, BOTH = {MOVEMENT}, {PREPARATION, MOVEMENT}
ALONE = {"linear alone": Kind("linear"), "JEDI alone": Kind("JEDI")}
META = {
    "meta alone": Kind("meta"),
    "meta together": Kind("meta", True),
    "meta together, conditions": Kind("meta", True, True),
}
POISSON = {
    "meta alone, poisson": Kind("meta", poisson=True),
    "meta together, conditions, poisson": Kind("meta", True, True, True),
}
BEST = "meta together, conditions"
KINDS = {**ALONE, **META, **POISSON}
FEW = ("linear alone", "meta together", BEST)  # for a family of networks
Grids = dict[str, Sequence[tuple[int, ...]]]


class Plan(NamedTuple):
    """How much is fitted.

    Attributes
    ----------
    real, simulated : dict
        Sizes that are tried, by model.
    n_sessions, n_neurons, n_trials : int
        Of simulated reaches; trials of each of four directions, of a session.
    kinds : tuple of str
        Models that are fitted.
    networks : tuple of str
    """

    real: Grids
    simulated: Grids
    n_sessions: int
    n_neurons: int
    n_trials: int
    kinds: tuple[str, ...] = tuple(KINDS)
    networks: tuple[str, ...] = ("one network", "a family")


FULL = Plan(
    {
        "linear": ((4,), (8,), (12,)),
        "JEDI": ((4, 2), (8, 2), (8, 4)),
        "meta": ((4, 2), (6, 2), (8, 4)),
    },
    {
        "linear": ((4,), (6,), (10,)),
        "JEDI": ((4, 2), (8, 2)),
        "meta": ((4, 2), (6, 2)),
    },
    6,
    30,
    8,
)
ONE_SIZE = {"linear": ((2,),), "JEDI": ((2, 1),), "meta": ((2, 1),)}
QUICK = Plan(ONE_SIZE, ONE_SIZE, 2, 12, 4, ("linear alone", BEST), ("one network",))


def thirds(Z: np.ndarray) -> np.ndarray:
    """Means over the thirds of each trial, (n_trials, 3 n_latents)."""
    return np.concatenate([z.mean(1) for z in np.array_split(Z, 3, axis=1)], axis=1)


Features = Sequence[np.ndarray]  # of all trials of each recording


def read_within(
    features: Features, recordings: Sequence[Recording], name: str, epochs: set[int]
) -> dict[str, float]:
    """Accuracy on test trials, by a classifier of the recording's training trials."""
    found = {}
    for Z, r in zip(features, recordings, strict=True):
        labels, kept = getattr(r, name), np.isin(r.epoch, list(epochs))
        train, test = (
            np.flatnonzero(kept & (r.fold != TEST)),
            np.flatnonzero(kept & (r.fold == TEST)),
        )
        found[r.label] = _accuracy(Z[train], labels[train], Z[test], labels[test])
    return found


def read_across(
    features: Features, recordings: Sequence[Recording], name: str, epochs: set[int]
) -> dict[str, float]:
    """Accuracy on test trials, by a classifier of the trials of all other recordings.

    Of those only labels that the recording has.
    """
    found = {}
    for s, r in enumerate(recordings):
        labels = getattr(r, name)
        test = np.flatnonzero(np.isin(r.epoch, list(epochs)) & (r.fold == TEST))
        Z_train, y_train = [], []
        for Z, other in zip(features, recordings, strict=True):
            if other is r:
                continue
            own = getattr(other, name)
            kept = np.isin(other.epoch, list(epochs)) & np.isin(own, labels)
            Z_train.append(Z[kept])
            y_train.append(own[kept])
        train = np.concatenate(Z_train), np.concatenate(y_train)
        found[r.label] = _accuracy(*train, features[s][test], labels[test])
    return found


def _accuracy(Z_train: Any, y_train: Any, Z: np.ndarray, y: np.ndarray) -> float:
    kept = np.isin(y, y_train)
    if not kept.any() or len(np.unique(y_train)) < 2:
        return float("nan")
    return float(classifier().fit(Z_train, y_train).score(Z[kept], y[kept]))


def features_of(fitted: Fitted, data: Sequence[Recording]) -> list[np.ndarray]:
    """Thirds of the latents, or of the smoothed activity where there are none."""
    method = "latents" if fitted.kind.model == "meta" else "smooth"
    return [thirds(fitted.ask(method, r, slice(None))) for r in data]


def embeddings_of(fitted: Fitted, data: Sequence[Recording]) -> list[np.ndarray]:
    return [fitted.ask("transform", r, slice(None)) for r in data]


def real(seed: int, folder: Any, plan: Plan, quick: bool) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    data = real_recordings(folder, seed, quick)
    hats, chewie = (r.label for r in data)
    nothing = dict.fromkeys((hats, chewie), float("nan"))
    for name in plan.kinds:
        kind = KINDS[name]
        if kind.poisson:  # averages are no counts
            continue
        fitted = fit_chosen(kind, data, plan.real[kind.model])
        ahead = {r.label: fitted.score("forecast", r, r.rows(test=True)) for r in data}
        epoch = target = across = nothing
        features = features_of(fitted, data)
        if kind.model != "linear":
            Z = embeddings_of(fitted, data)
            epoch = read_within(Z[:1], data[:1], "epoch", BOTH)
            target = read_within(Z[1:], data[1:], "direction", MOVING)
        if kind.together:
            across = read_across(features, data, "direction", MOVING)
        latents = read_within(features[1:], data[1:], "direction", MOVING)
        add(
            rows,
            model=name,
            seed=seed,
            averages_forecast=ahead[hats],
            chewie_forecast=ahead[chewie],
            epoch_embedding=epoch[hats],
            target_embedding=target[chewie],
            target_latents=latents[chewie],
            target_across=across[chewie],
            sizes=list(fitted.sizes.values()),
        )
    size = fitted.sizes[chewie]
    components = components_of(data, size[0])
    add(
        rows,
        model="components",
        seed=seed,
        **dict.fromkeys(list(rows[0])[2:6], float("nan")),
        target_latents=read_within(components[1:], data[1:], "direction", MOVING)[
            chewie
        ],
        target_across=read_across(components, data, "direction", MOVING)[chewie],
        sizes=[size],
    )
    return rows


def components_of(data: Sequence[Recording], n_components: int) -> list[np.ndarray]:
    return [thirds(z) for z in principal_components(data, n_components)]


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Mean over sessions, and the worst."""
    return {name: float(np.mean(values)), f"{name}_worst": float(min(values))}


def simulated(seed: int, plan: Plan) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for network in plan.networks:
        one = network == "one network"
        data = simulated_sessions(
            seed, one, plan.n_sessions, plan.n_neurons, plan.n_trials
        )
        chosen = fit_chosen(META[BEST], data, plan.simulated["meta"])
        size = chosen.sizes[data[0].label]
        for name in plan.kinds if one else [k for k in plan.kinds if k in FEW]:
            kind = KINDS[name]
            grid = [size] if kind.model == "meta" else plan.simulated[kind.model]
            fitted = chosen if name == BEST else fit_chosen(kind, data, grid)
            row = {"sessions": network, "model": name, "seed": seed}
            row |= scores_of_sessions(fitted, data)
            add(rows, **row, sizes=list(fitted.sizes.values()))
        components = components_of(data, size[0])
        row = dict.fromkeys(rows[0], float("nan"))
        row |= {"sessions": network, "model": "components", "seed": seed}
        row |= directions(components, data, across=True)
        add(rows, **row | {"sizes": [size]})
    return rows


def scores_of_sessions(fitted: Fitted, data: Sequence[Recording]) -> dict[str, float]:
    """R^2 of rates, and what is read from latents and embeddings."""
    row: dict[str, float] = {}
    for method in ("forecast", "smooth"):
        row |= spread(
            method, [fitted.score(method, r, r.rows(test=True)) for r in data]
        )
    together = fitted.kind.together
    row |= directions(features_of(fitted, data), data, across=together)
    names = ("prepared_embedding", "epoch_embedding", "epoch_across")
    row |= dict.fromkeys(names, float("nan"))
    if fitted.kind.model != "linear":
        Z = embeddings_of(fitted, data)
        own = read_within(Z, data, "direction", {PREPARATION})
        row["prepared_embedding"] = float(np.mean(list(own.values())))
        own = read_within(Z, data, "epoch", BOTH)
        row["epoch_embedding"] = float(np.mean(list(own.values())))
        if together:
            others = read_across(Z, data, "epoch", BOTH)
            row["epoch_across"] = float(np.mean(list(others.values())))
    return row


def directions(
    features: Features, data: Sequence[Recording], *, across: bool
) -> dict[str, float]:
    """Accuracies of the direction of movements; NaN where latents do not compare."""
    within = read_within(features, data, "direction", MOVING)
    row = spread("within", list(within.values()))
    found = read_across(features, data, "direction", MOVING) if across else {}
    return row | spread("across", list(found.values()) or [float("nan")])


def over(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """A row for each model: worst seed and mean of the scores."""
    groups: dict[tuple, list] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    out = []
    for key, of in groups.items():
        line: dict[str, Any] = dict(zip(names, key, strict=True))
        for name, first in of[0].items():
            if isinstance(first, float):
                values = [row[name] for row in of]  # of all seeds, or of none
                text = f"{min(values):.3f} ({np.mean(values):.3f})"
                line[name] = "" if np.isnan(first) else text
        out.append(line)
    return out


def main() -> None:
    args = arguments(__doc__)
    plan = QUICK if args.quick else FULL
    parts: dict[str, tuple[list[dict[str, Any]], tuple[str, ...]]] = {}
    shown = {}
    folder = recordings()
    if folder is not None:
        rows = over_seeds(real, args.seeds, folder, plan, args.quick)
        parts["real"] = rows, ("model",)
        if not args.quick:
            shown["real"] = real_recordings(folder, 0, quick=False)
    rows = over_seeds(simulated, args.seeds, plan)
    parts["simulated"] = rows, ("sessions", "model")
    size = plan.n_sessions, plan.n_neurons, plan.n_trials
    shown["simulated"] = simulated_sessions(0, True, *size)
    summary: dict[str, Any] = {}
    for title, (rows, names) in parts.items():
        print(f"\n{title}: worst seed (mean)")
        table(over(rows, *names))
        for row in over(rows, *names):
            model = ", ".join(row.pop(name) for name in names)
            of_model = {key: text for key, text in row.items() if text}
            summary |= {f"{title}, {model}: {key}": of_model[key] for key in of_model}
    paths = {}
    for title, data in shown.items():
        size = next(r["sizes"][0] for r in parts[title][0] if r["model"] == BEST)
        fitted = fit_chosen(META[BEST], data, [size])
        latents = [fitted.ask("latents", r, slice(None)) for r in data]
        paths[title] = (data[:4], latents[:4])
    draw(paths)
    save(
        "sessions_of_recordings",
        [r for rows, _ in parts.values() for r in rows],
        summary,
    )


if __name__ == "__main__":
    main()
