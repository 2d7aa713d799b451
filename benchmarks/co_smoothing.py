"""Co-smoothing: a quarter of the neurons predicted from the others, on held-out trials.

Driven teachers at signal-to-noise ratio 1: R^2 against the activity without noise.
Single trials of motor cortex (chewie_single_trial, 5 folds a seed, square roots of
counts, or counts for "poisson"): R^2 against square roots smoothed with a kernel of
SD 40 ms, and bits per spike over each neuron's mean rate [1]_. Beside JEDI: linear
state-space models, and principal components of smoothed training trials regressed on
the smoothed activity of the observed neurons (ridge and kernel chosen on training
trials).

.. [1] Pei, Ye et al., "Neural Latents Benchmark '21", NeurIPS datasets track (2021).
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import StratifiedKFold

from benchmarks._common import (
    DT,
    add,
    arguments,
    expected_counts,
    expected_roots,
    fifths,
    noisy_family,
    recordings,
    save,
    table,
)
from sklearn_jedi import JEDIEstimator
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.datasets import make_driven_teachers
from sklearn_jedi.metrics import bits_per_spike, trajectory_r2

KERNELS = (1.0, 2.0, 4.0, 8.0)  # bins
LEAST_COUNT = 1e-3  # expected spikes a bin


class ComponentRegression:
    """Principal components of all neurons, read linearly from some of them."""

    def __init__(self, held: np.ndarray, n_components: int = 8) -> None:
        self.held = held
        self.n_components = n_components

    def fit(self, X: np.ndarray) -> ComponentRegression:
        """Choose the kernel on every fourth trial, then fit to all."""
        check = np.arange(len(X)) % 4 == 3
        true = X[check][..., self.held]
        scores = []
        for sd in KERNELS:
            self._fit(X[~check], sd)
            scores.append(trajectory_r2(true, self.smooth(X[check])[..., self.held]))
        return self._fit(X, KERNELS[int(np.argmax(scores))])

    def _fit(self, X: np.ndarray, sd: float) -> ComponentRegression:
        self.sd = sd
        flat = self._smoothed(X)
        self.pca = PCA(min(self.n_components, flat.shape[1])).fit(flat)
        self.ridge = RidgeCV(np.logspace(-2, 5, 8))
        self.ridge.fit(flat[:, ~self.held], self.pca.transform(flat))
        return self

    def smooth(self, X: np.ndarray) -> np.ndarray:
        """Activity of all neurons; those held out are not looked at."""
        scores = self.ridge.predict(self._smoothed(X)[:, ~self.held])
        return self.pca.inverse_transform(scores).reshape(X.shape)

    def _smoothed(self, X: np.ndarray) -> np.ndarray:
        smooth = gaussian_filter1d(X, self.sd, axis=1, mode="nearest")
        return smooth.reshape(-1, X.shape[2])


def a_quarter(n_neurons: int, seed: int) -> np.ndarray:
    """Mask of the neurons to hold out."""
    order = np.random.default_rng(seed).permutation(n_neurons)
    return order < n_neurons // 4


def teacher_rows(rows: list, seed: int, size: dict) -> None:
    X, truth, _, _ = noisy_family(make_driven_teachers, 1.0, seed, **size)
    train, test = fifths(len(X))
    held = a_quarter(X.shape[2], seed)
    given = X[test]
    given[..., held] = np.nan
    for name, model in (
        ("JEDI gaussian", JEDIEstimator(dt=DT, observation="gaussian")),
        ("linear 5", LinearStateSpace(5)),
        ("linear 10", LinearStateSpace(10)),
        ("components 8", ComponentRegression(held)),
    ):
        found = model.fit(X[train]).smooth(given)[..., held]
        R2 = trajectory_r2(truth[test][..., held], found)
        add(rows, seed=seed, data="teachers", model=name, R2=R2)


def cortex_rows(rows: list, seed: int, folder, quick: bool) -> None:
    with np.load(folder / "chewie_single_trial.npz") as data:
        counts, target = data["spikes_10ms"].astype(float), data["target"]
    if quick:
        counts, target = counts[::2, :, :30], target[::2]
    rank, dim = (2, 2) if quick else (8, 4)
    roots = np.sqrt(counts)
    smooth = gaussian_filter1d(roots, 4, axis=1, mode="nearest")
    folds = StratifiedKFold(5, shuffle=True, random_state=seed).split(counts, target)
    for fold, (train, test) in enumerate(list(folds)[: 1 if quick else 5]):
        held = a_quarter(counts.shape[2], 5 * seed + fold)
        for name, model in (
            ("JEDI gaussian", JEDIEstimator(rank, dim, dt=DT, observation="gaussian")),
            ("JEDI poisson", JEDIEstimator(rank, dim, dt=DT, observation="poisson")),
            ("linear 6", LinearStateSpace(6)),
            ("linear 8", LinearStateSpace(8)),
            ("linear 12", LinearStateSpace(12)),
            ("components 8", ComponentRegression(held)),
        ):
            poisson = name == "JEDI poisson"
            X = counts if poisson else roots
            given = X[test]
            given[..., held] = np.nan
            found = model.fit(X[train]).smooth(given)[..., held]
            expected = found if poisson else expected_counts(found)
            found = expected_roots(found) if poisson else found
            add(
                rows,
                seed=seed,
                fold=fold,
                data="cortex",
                model=name,
                R2=trajectory_r2(smooth[test][..., held], found),
                bits=bits_per_spike(
                    counts[test][..., held], np.maximum(expected, LEAST_COUNT)
                ),
            )


def main() -> None:
    args = arguments(__doc__)
    folder = recordings()
    size = {"n_trials_per_condition": 30}
    if args.quick:
        size = {"n_trials_per_condition": 5, "n_timepoints": 30, "n_neurons": 30}
    teachers, cortex = [], []
    for seed in range(args.seeds):
        teacher_rows(teachers, seed, size)
        if folder is not None:
            cortex_rows(cortex, seed, folder, args.quick)
    summary = {}
    for rows in (teachers, cortex):
        if rows:
            table(rows)
        for model in dict.fromkeys(row["model"] for row in rows):
            of = [row for row in rows if row["model"] == model]
            text = f"{rows[0]['data']}, {model}:"
            summary[f"{text} mean R2"] = float(np.mean([row["R2"] for row in of]))
            summary[f"{text} worst R2"] = min(row["R2"] for row in of)
            if "bits" in of[0]:
                bits = [row["bits"] for row in of]
                summary[f"{text} mean bits per spike"] = float(np.mean(bits))
                summary[f"{text} worst bits per spike"] = min(bits)
    save("co_smoothing", [*teachers, *cortex], summary)


if __name__ == "__main__":
    main()
