"""chewie_single_trial: reaches to 4 targets, single trials, 5 folds x 5 shuffles.

Everything is fitted to training trials and scored on held-out ones: R^2 of the free
run over all bins, and of the second half forecast from the first 16 bins, against
square roots of counts smoothed with a kernel of SD 40 ms; the target read from the
embedding, and from the whole smoothed trial. Poisson counts are fitted as they are,
everything else to their square roots; runs are turned from one to the other by the
expected root of a Poisson count, so that all are scored in both. "one network" is JEDI
without embeddings: all trials share one.

Intervals are of the corrected resampled t-test, since training sets overlap [1]_. Nulls
of the target read: labels permuted (20 times a shuffle, embeddings kept), and models
of trials whose bins are permuted, each trial's in another order.

.. [1] Nadeau and Bengio, "Inference for the generalization error", Machine Learning
   52 (2003).
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._common import (
    DT,
    add,
    arguments,
    expected_counts,
    expected_roots,
    recordings,
    save,
    table,
    timed,
)
from benchmarks.baselines import OneNetwork
from sklearn_jedi import JEDIEstimator
from sklearn_jedi._data._halves import second_halves
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.metrics import trajectory_r2

N_GIVEN = 16
N_PERMUTATIONS = 20
SCORES = ("free_run", "forecast", "free_run_counts", "forecast_counts", "target")


def jedi(rank: int, embedding_dim: int, observation: str) -> JEDIEstimator:
    return JEDIEstimator(rank, embedding_dim, dt=DT, observation=observation)


def models(quick: bool) -> dict:
    if quick:
        return {
            "linear 2": LinearStateSpace(2),
            "gaussian 2, 2": jedi(2, 2, "gaussian"),
            "poisson 2, 2": jedi(2, 2, "poisson"),
            "one network 2": OneNetwork(jedi(2, 1, "gaussian")),
        }
    return {
        "linear 6": LinearStateSpace(6),
        "linear 8": LinearStateSpace(8),
        "linear 12": LinearStateSpace(12),
        "gaussian 8, 2": jedi(8, 2, "gaussian"),
        "gaussian 8, 4": jedi(8, 4, "gaussian"),
        "gaussian 12, 4": jedi(12, 4, "gaussian"),
        "poisson 8, 4": jedi(8, 4, "poisson"),
        "one network 8": OneNetwork(jedi(8, 1, "gaussian")),
    }


def reader() -> LogisticRegression:
    return LogisticRegression(max_iter=2000)


def smoothed(X: np.ndarray) -> np.ndarray:
    return gaussian_filter1d(X, 4, axis=1, mode="nearest")


def trajectory_scores(model, X: np.ndarray, roots, counts) -> dict[str, float]:
    """R^2 of free runs and forecasts, as square roots and as counts."""
    run = model.reconstruct(X)
    ahead = np.stack(second_halves(model.forecast, X, N_GIVEN)[1])
    poisson = getattr(model, "observation", None) == "poisson"
    scores = {}
    for name, found, start in (("free_run", run, 0), ("forecast", ahead, N_GIVEN)):
        as_roots = expected_roots(found) if poisson else found
        as_counts = found if poisson else expected_counts(found)
        scores[name] = trajectory_r2(roots[:, start:], as_roots)
        scores[f"{name}_counts"] = trajectory_r2(counts[:, start:], as_counts)
    return scores


def permuted_accuracy(
    Z_train: np.ndarray, Z: np.ndarray, target, train, test, seed: int
) -> np.ndarray:
    """Accuracy with permuted targets, the same permutations in all folds of a seed."""
    rng = np.random.default_rng(seed)
    accuracy = []
    for _ in range(N_PERMUTATIONS):
        y = rng.permutation(target)
        accuracy.append(reader().fit(Z_train, y[train]).score(Z, y[test]))
    return np.array(accuracy)


def interval(values: np.ndarray) -> dict[str, float]:
    """Mean over folds, standard error corrected for their overlap, 95 % interval."""
    n = len(values)
    # each test set is a quarter of its training set
    error = float(np.sqrt((1 / n + 1 / 4) * values.var(ddof=1))) if n > 1 else 0.0
    half = student.ppf(0.975, max(n - 1, 1)) * error
    mean = float(values.mean())
    return {"mean": mean, "error": error, "low": mean - half, "high": mean + half}


def main() -> None:
    args = arguments(__doc__)
    folder = recordings()
    if folder is None:
        return
    with np.load(folder / "chewie_single_trial.npz") as data:
        counts, target = data["spikes_10ms"].astype(float), data["target"]
    if args.quick:
        counts, target = counts[::2, :, :30], target[::2]
    smooth_roots, smooth_counts = smoothed(np.sqrt(counts)), smoothed(counts)
    whole = smooth_roots.reshape(len(counts), -1)
    rng = np.random.default_rng(0)
    mixed = np.stack([trial[rng.permutation(len(trial))] for trial in np.sqrt(counts)])
    n_folds = 1 if args.quick else 5
    folds, nulls = [], {}
    for shuffle in range(args.seeds):
        splits = StratifiedKFold(5, shuffle=True, random_state=shuffle)
        of_shuffle = list(splits.split(counts, target))[:n_folds]
        for fold, (train, test) in enumerate(of_shuffle):
            where = {"shuffle": shuffle, "fold": fold}
            flat = make_pipeline(StandardScaler(), reader())
            correct = flat.fit(whole[train], target[train]).score(
                whole[test], target[test]
            )
            add(folds, **where, model="smoothed trial", target=correct)
            for name, model in models(args.quick).items():
                X = counts if name.startswith("poisson") else np.sqrt(counts)
                _, seconds = timed(model.fit, X[train])
                row = {**where, "model": name, "seconds": seconds}
                row |= trajectory_scores(
                    model, X[test], smooth_roots[test], smooth_counts[test]
                )
                if isinstance(model, JEDIEstimator):
                    Z_train, Z = model.embeddings_, model.transform(X[test])
                    fitted = reader().fit(Z_train, target[train])
                    row["target"] = fitted.score(Z, target[test])
                    null = permuted_accuracy(Z_train, Z, target, train, test, shuffle)
                    nulls.setdefault(name, {}).setdefault(shuffle, []).append(null)
                add(folds, **row)
            rank, dim = (2, 2) if args.quick else (8, 4)
            model = jedi(rank, dim, "gaussian").fit(mixed[train])
            fitted = reader().fit(model.embeddings_, target[train])
            correct = fitted.score(model.transform(mixed[test]), target[test])
            add(folds, **where, model="permuted bins", target=correct)

    def values(model: str, score: str) -> np.ndarray:
        return np.array([r[score] for r in folds if r["model"] == model and score in r])

    names = list(dict.fromkeys(row["model"] for row in folds))
    rows = [
        {"score": score, "model": name, "minus": "", **interval(values(name, score))}
        for score in SCORES
        for name in names
        if len(values(name, score))
    ]
    rows += [
        {
            "score": score,
            "model": name,
            "minus": other,
            **interval(values(name, score) - values(other, score)),
        }
        for score in SCORES[:-1]
        for name in names
        for other in names
        if other.startswith("linear")
        and not name.startswith("linear")
        and len(values(name, score))
    ]
    table(rows)
    summary = {}
    for row in rows:
        if not row["minus"]:
            summary[f"{row['model']}: mean {row['score']}"] = row["mean"]
    for name, of in nulls.items():
        accuracy = np.concatenate([np.mean(null, axis=0) for null in of.values()])
        summary[f"{name}: target, labels permuted, mean"] = float(accuracy.mean())
        summary[f"{name}: target, labels permuted, 95th percentile"] = float(
            np.percentile(accuracy, 95)
        )
    for name in names:
        if len(values(name, "seconds")):
            summary[f"{name}: mean seconds"] = float(values(name, "seconds").mean())
    save("single_trials", rows, summary)


if __name__ == "__main__":
    main()
