"""Fit the simulated example, print what came out, and draw it: `make demo`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_driven_teachers

FREQUENCIES = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)


def main(argv: list[str] | None = None) -> None:
    """Run the demonstration.

    Parameters
    ----------
    argv : list of str, default=None
        Command line; None means that of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo.png"))
    out = parser.parse_args(argv).out

    X, y, _ = make_driven_teachers(30, frequencies=FREQUENCIES, random_state=0)
    labels = np.asarray(FREQUENCIES, dtype=int)[y]
    X_train, X_test, y_train, y_test = train_test_split(
        X, labels, test_size=36, stratify=y, random_state=0
    )
    print(
        f"simulated recording: {len(X_train)} training and {len(X_test)} held-out "
        f"trials x {X.shape[1]} time points x {X.shape[2]} neurons, driven at "
        f"{', '.join(f'{f:g}' for f in FREQUENCIES)} Hz"
    )
    start = time.perf_counter()
    closed_form = JEDIEstimator(max_epochs=0).fit(X_train)
    em_seconds = time.perf_counter() - start
    start = time.perf_counter()
    jedi = JEDIEstimator(random_state=0).fit(X_train)
    fit_seconds = time.perf_counter() - start

    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    accuracy = classifier.fit(jedi.embeddings_, y_train).score(
        jedi.transform(X_test), y_test
    )
    print("                                 R^2 train  R^2 held out  seconds")
    for name, model, seconds in (
        ("closed form and EM (max_epochs=0)", closed_form, em_seconds),
        ("and training                     ", jedi, fit_seconds),
    ):
        print(
            f"{name} {model.score(X_train):8.4f}  {model.score(X_test):12.4f}"
            f"  {seconds:7.2f}"
        )
    print(f"held-out frequency read from the embedding: {accuracy:.3f} correct")
    draw(jedi, X_test, y_test, out)
    print(f"picture: {out}")


def draw(jedi: JEDIEstimator, X: np.ndarray, labels: np.ndarray, out: Path) -> None:
    """Reconstruction, embeddings and eigenvalues of held-out trials, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sklearn_jedi.plotting import (
        EmbeddingDisplay,
        ReconstructionDisplay,
        SpectrumDisplay,
    )

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.6), layout="constrained")
    trial = int(np.argmax(labels == np.unique(labels)[2]))
    ReconstructionDisplay.from_estimator(jedi, X, trial=trial, ax=axes[0])
    axes[0].set_title(f"A held-out trial at {labels[trial]} Hz")
    EmbeddingDisplay.from_estimator(jedi, X, labels, title="input (Hz)", ax=axes[1])
    axes[1].set_title("Embeddings of held-out trials")
    SpectrumDisplay.from_estimator(jedi, X, labels, title="input (Hz)", ax=axes[2])
    axes[2].set_title("Eigenvalues of their networks")
    figure.savefig(out, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
