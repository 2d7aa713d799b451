"""Cases, scores and the figure of `benchmarks.sessions`."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import PoissonRegressor, Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from benchmarks._common import RESULTS
from sklearn_jedi import MetaDynamicalSSM
from sklearn_jedi._data._halves import second_halves
from sklearn_jedi.datasets import make_oscillator_sessions
from sklearn_jedi.datasets._oscillators import _FAMILIES, _simulate
from sklearn_jedi.metrics import trajectory_r2

N_HELD_OUT = 8
# Where parameters of new sessions are, as shares of their ranges.
_INSIDE = (0.1, 0.9)
ORANGE, BLUE, GREEN, GREY = "#D55E00", "#0072B2", "#009E73", "#555555"


class Case(NamedTuple):
    """Simulated sessions, the last `N_HELD_OUT` trials of each held out.

    Attributes
    ----------
    family : str
    data : Bunch
        From `make_oscillator_sessions`.
    train, test : arrays of shape (n_sessions, n_trials)
        Indices of trials.
    """

    family: str
    data: Any
    train: np.ndarray
    test: np.ndarray

    @property
    def half(self) -> int:
        """Time points that forecasts are given."""
        return len(self.data.X[0]) // 2

    def given(self, trials: np.ndarray) -> dict[str, Any]:
        """What the estimator is passed of trials."""
        rows = trials.ravel()
        X = [self.data.X[row] for row in rows]
        return {"X": X, "sessions": self.data.sessions[rows]}

    def forecast(self, meta: MetaDynamicalSSM, trials: np.ndarray) -> list[np.ndarray]:
        """Second halves of trials, given the first."""
        given = self.given(trials)
        forecast = functools.partial(meta.forecast, sessions=given["sessions"])
        return second_halves(forecast, given["X"], self.half)[1]

    def stacked(self, name: str, trials: np.ndarray) -> list[np.ndarray]:
        """Trials of ``data[name]``, an array for each session."""
        return [np.stack([self.data[name][row] for row in rows]) for rows in trials]


def make_case(family: str, n_sessions: int, n_train: int, **given: Any) -> Case:
    n_trials = n_train + N_HELD_OUT
    data = make_oscillator_sessions(n_sessions, n_trials, family=family, **given)
    rows = np.arange(n_sessions * n_trials).reshape(n_sessions, n_trials)
    return Case(family, data, rows[:, :n_train], rows[:, n_train:])


def new_sessions(
    family: str, n_sessions: int, n_train: int, seed: int, **given: Any
) -> Case:
    """Sessions whose parameters are well inside their ranges."""
    low, high = np.transpose(_FAMILIES[family].ranges)
    rng = np.random.RandomState(1000 + seed)
    parameters = low + rng.uniform(*_INSIDE, (n_sessions, len(low))) * (high - low)
    given |= {"parameters": parameters, "random_state": 1000 + seed}
    case = make_case(family, n_sessions, n_train, **given)
    case.data.sessions = case.data.sessions + 1000  # labels of their own
    return case


def fitted(meta: MetaDynamicalSSM, case: Case) -> tuple[MetaDynamicalSSM, bool]:
    """Fitted to the training trials, and whether a collapse was warned about."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        meta.fit(**case.given(case.train))
    return meta, any("next to nothing" in str(w.message) for w in caught)


def mean_and_worst(
    name: str, case: Case, predicted: Sequence[np.ndarray], start: int
) -> dict[str, float]:
    """R^2 of held-out trials per session, about the activity without noise.

    Parameters
    ----------
    predicted : sequence of arrays
        Of each held-out trial, from time point `start` on.
    """
    r2 = []
    for s, true in enumerate(case.stacked("expected", case.test)):
        runs = predicted[s * N_HELD_OUT : (s + 1) * N_HELD_OUT]
        r2.append(trajectory_r2(true[:, start:], np.stack(list(runs))))
    return {name: float(np.mean(r2)), f"{name}_worst": min(r2)}


def held_out(meta: MetaDynamicalSSM, case: Case) -> dict[str, float]:
    """R^2 of forecasts, free runs and smoothed trials: mean and worst session."""
    whole = case.given(case.test)
    return {
        **mean_and_worst("forecast", case, case.forecast(meta, case.test), case.half),
        **mean_and_worst("free_run", case, meta.reconstruct(**whole), 0),
        **mean_and_worst("smoothed", case, meta.smooth(**whole), 0),
    }


def true_forecast(case: Case) -> dict[str, float]:
    """R^2 of what the true field forecasts from the true state: a ceiling.

    With Gaussian noise of the recordings it is read out by the true loadings; counts
    are also read out by loadings that a regression on the true latents of the training
    trials finds.
    """
    kind, half = _FAMILIES[case.family], case.half
    counts = (case.data.expected[0] > 0).all()
    rng = np.random.RandomState(0)  # draws nothing: there is no process noise
    true, learned = [], []
    for s, z in enumerate(case.stacked("latents", case.test)):
        first = kind._replace(start=lambda rng, n, z=z: z[:, half - 1])
        size = (len(z), 1 + z.shape[1] - half)
        parameters = case.data.parameters[s]
        path = _simulate(
            kind=first,
            parameters=parameters,
            n_trials=size[0],
            n_timepoints=size[1],
            process_noise=0.0,
            dt=case.data.dt,
            rng=rng,
        )[:, 1:]
        loading = case.data.loadings[s]
        drive = path @ loading[:, :-1].T + loading[:, -1]
        true += list(np.exp(drive) if counts else drive)
        if counts:
            learned += list(_learned_rates(case, s, path))
    out = mean_and_worst("ceiling", case, true, half)
    if counts:
        out |= mean_and_worst("ceiling_readout", case, learned, half)
    return out


def _learned_rates(case: Case, session: int, path: np.ndarray) -> np.ndarray:
    """Expected counts along a path, by Poisson regressions on the true latents."""
    rows = case.train[session]
    z = np.concatenate([case.data.latents[row] for row in rows])
    counts = np.concatenate([case.data.X[row] for row in rows])
    flat = path.reshape(-1, path.shape[2])
    # a penalty of one over the counts, as if loadings were standard normal
    fits = [PoissonRegressor(alpha=1 / len(z)).fit(z, y) for y in counts.T]
    return np.stack([fit.predict(flat) for fit in fits], 1).reshape(*path.shape[:2], -1)


def embeddings_of(meta: MetaDynamicalSSM, case: Case) -> np.ndarray:
    """Embeddings (n_sessions, embedding_dim) inferred from held-out trials."""
    Z = meta.transform(**case.given(case.test))
    return Z.reshape(len(case.test), N_HELD_OUT, -1).mean(1)


def ordered(embeddings: np.ndarray, parameter: np.ndarray) -> float:
    """Size of the rank correlation."""
    return float(abs(spearmanr(embeddings, parameter)[0]))


def decoded(embeddings: np.ndarray, case: Case) -> dict[str, float]:
    """How well a ridge regression reads the parameters, a session left out at a time.

    On squares and products of the embeddings, too.
    """
    reader = make_pipeline(
        StandardScaler(),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
        Ridge(0.1),
    )
    true = case.data.parameters
    read = cross_val_predict(reader, embeddings, true, cv=LeaveOneOut())
    out = {}
    for k, name in enumerate(case.data.parameter_names):
        errors = ((read[:, k] - true[:, k]) ** 2).sum()
        total = ((true[:, k] - true[:, k].mean()) ** 2).sum()
        out[name] = float(1 - errors / total)
        out[f"{name}_rank"] = float(spearmanr(read[:, k], true[:, k])[0])
    return out


def alignment(meta: MetaDynamicalSSM, case: Case) -> dict[str, float]:
    """R^2 of true latents from those found, by a map of all sessions or of each.

    Where the common map does as well as those of the sessions, they are aligned. The
    true latents are first turned within the symmetry of their field.
    """
    flat = meta.latents(**case.given(case.test))
    found = [
        _with_one(np.concatenate(flat[s * N_HELD_OUT : (s + 1) * N_HELD_OUT]))
        for s in range(len(case.test))
    ]
    true = [np.concatenate(list(z)) for z in case.stacked("latents", case.test)]
    total = sum(((z - z.mean(0)) ** 2).sum() for z in true)
    pairs = list(zip(found, true, strict=True))
    maps = [np.linalg.lstsq(x, z, rcond=None)[0] for x, z in pairs]
    own = sum(
        ((z - x @ B) ** 2).sum() for x, z, B in zip(found, true, maps, strict=True)
    )
    common = min(_common_misfit(found, true, B, case.family) for B in maps[:5])
    return {
        "one_map": float(1 - common / total),
        "map_of_each": float(1 - own / total),
    }


def _common_misfit(
    found: list[np.ndarray], true: list[np.ndarray], B: np.ndarray, family: str
) -> float:
    """Squares left by one map, from a first guess, and the best turn of each truth."""
    for _ in range(30):
        turned = [
            z @ _symmetry(z.T @ x @ B, family) for x, z in zip(found, true, strict=True)
        ]
        x, z = np.concatenate(found), np.concatenate(turned)
        B = np.linalg.lstsq(x, z, rcond=None)[0]
    return float(((z - x @ B) ** 2).sum())


def _symmetry(overlap: np.ndarray, family: str) -> np.ndarray:
    """The turn that leaves the family's field as it is and has the largest overlap."""
    if family == "duffing":  # only half a turn
        return np.sign(np.trace(overlap)) * np.eye(2)
    angle = np.arctan2(overlap[0, 1] - overlap[1, 0], np.trace(overlap))
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _with_one(z: np.ndarray) -> np.ndarray:
    return np.column_stack([z, np.ones(len(z))])


class Example(NamedTuple):
    """What the figure shows of one fit.

    Attributes
    ----------
    paths : list of (seconds, recorded, true, forecast_seconds, forecast, label)
        Of one neuron in one held-out trial of the slowest and the fastest session.
    embeddings, frequencies : arrays of shape (n_sessions,)
    """

    paths: list[tuple[Any, ...]]
    embeddings: np.ndarray
    frequencies: np.ndarray


def example_of(meta: MetaDynamicalSSM, case: Case, embeddings: np.ndarray) -> Example:
    """The neuron of the largest loading in the slowest and the fastest session."""
    data, half = case.data, case.half
    frequencies = data.parameters[:, 0]
    paths = []
    for s in (int(np.argmin(frequencies)), int(np.argmax(frequencies))):
        C = data.loadings[s][:, :-1]
        neuron = int(np.argmax((C**2).sum(1)))
        ahead = case.forecast(meta, case.test[s])[0][:, neuron]
        row = case.test[s, 0]
        seconds = data.dt * np.arange(len(data.X[row]))
        paths.append(
            (
                seconds,
                data.X[row][:, neuron],
                data.expected[row][:, neuron],
                seconds[half:],
                ahead,
                f"{frequencies[s]:.1f} Hz",
            )
        )
    return Example(paths, embeddings[:, 0], frequencies)


def draw(example: Example, few: list[dict[str, Any]]) -> None:
    """Write results/sessions.png."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    families = list(dict.fromkeys(row["family"] for row in few))
    figure = plt.figure(figsize=(12, 3.8), layout="constrained")
    grid = figure.add_gridspec(
        2, 2 + len(families), width_ratios=[1.4, 1] + [1] * len(families)
    )
    for k, path in enumerate(example.paths):
        _draw_forecast(figure.add_subplot(grid[k, 0]), *path, last=k == 1)
    ax = figure.add_subplot(grid[:, 1])
    ax.plot(example.frequencies, example.embeddings, "o", color=BLUE)
    ax.set(xlabel="frequency (Hz)", ylabel="embedding (prior SD)")
    ax.set_title("one dot a session", fontsize=10)
    for k, family in enumerate(families):
        rows = [row for row in few if row["family"] == family]
        _draw_few_shot(figure.add_subplot(grid[:, 2 + k]), family, rows)
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "sessions.png", dpi=150)
    plt.close(figure)


def _draw_forecast(
    ax: Any,
    seconds: Any,
    recorded: Any,
    true: Any,
    later: Any,
    ahead: Any,
    label: str,
    last: bool,
) -> None:
    ax.plot(seconds, recorded, ".", color="#BBBBBB", markersize=4, label="recorded")
    ax.plot(seconds, true, color=GREY, label="without noise")
    ax.plot(later, ahead, "--", color=ORANGE, linewidth=2, label="forecast")
    ax.axvline(later[0], color="black", linewidth=0.8, linestyle=":")
    ax.set_title(f"a neuron of the {label} session", fontsize=10)
    ax.set_ylabel("activity (a.u.)")
    if last:
        ax.set_xlabel("time (s)")
    else:
        ax.tick_params(labelbottom=False)
        ax.legend(frameon=False, fontsize=7, ncols=3, loc="upper center")
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.3 * (high - low))


def _draw_few_shot(ax: Any, family: str, rows: list[dict[str, Any]]) -> None:
    """Mean over seeds, bars from the worst to the best; below zero at zero."""
    trials = sorted({row["trials"] for row in rows})
    names = list(dict.fromkeys(row["model"] for row in rows))
    colors = (GREY, BLUE, ORANGE, GREEN)
    for k, (name, color) in enumerate(zip(names, colors, strict=False)):
        values = [
            [
                row["forecast"]
                for row in rows
                if (row["model"], row["trials"]) == (name, n)
            ]
            for n in trials
        ]
        low, mean, high = (
            np.maximum([f(v) for v in values], 0) for f in (min, np.mean, max)
        )
        x = np.arange(len(trials)) + 0.06 * (k - 1)
        ax.errorbar(
            x,
            mean,
            [mean - low, high - mean],
            marker="o",
            capsize=3,
            color=color,
            label=name,
        )
    ax.set_xticks(range(len(trials)), [str(n) for n in trials])
    ax.set(xlabel="trials of the new session", ylabel="forecast R²", ylim=(-0.03, 1.03))
    ax.set_title(f"new session, {family.replace('_', ' ')}", fontsize=10)
    ax.legend(frameon=False, fontsize=8, loc="lower right")
