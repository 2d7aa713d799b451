"""
Regimes read by a classifier, in a Pipeline
===========================================

*Can the condition of a trial be told from its dynamics alone, and how would I report
that without fooling myself?*

`JEDIEstimator` is a transformer: trials in, embeddings out. Any classifier of
scikit-learn can follow it in a Pipeline. Cross-validation fits both anew in each fold,
so that held-out trials take no part in either fit.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_driven_teachers

# %%
# A random network of rank 5, driven by an input of another frequency in each condition.
# The model sees only the activity of the network. `max_epochs=0` stops after the closed
# form and EM, which is fast and good enough for searches.

hertz = np.array([1, 2, 4, 8])
X, y, _ = make_driven_teachers(
    12,
    n_neurons=60,
    frequencies=hertz,
    noise=0.2,
    observation_noise=0.5,
    random_state=0,
)
pipe = make_pipeline(
    JEDIEstimator(rank=5, embedding_dim=4, dt=0.01, observation="state", max_epochs=0),
    LogisticRegression(C=100),
)
folds = StratifiedKFold(4, shuffle=True, random_state=0)
read = cross_val_predict(pipe, X, hertz[y], cv=folds)

# %%
# Two comparisons belong to such a number: chance, from labels that were permuted before
# anything was fitted; and a simple alternative, the frequency read from the mean rates
# of a trial, without any dynamics.

rng = np.random.default_rng(0)
shuffled = rng.permutation(hertz[y])
by_chance = cross_val_predict(pipe, X, shuffled, cv=folds)
means = X.mean(axis=1)
by_means = cross_val_predict(pipe[-1], means, hertz[y], cv=folds)
scores = {
    "embedding": np.mean(read == hertz[y]),
    "mean rates": np.mean(by_means == hertz[y]),
    "labels permuted": np.mean(by_chance == shuffled),
}

fig, (matrix, bars) = plt.subplots(1, 2, figsize=(9, 3.8))
ConfusionMatrixDisplay.from_predictions(
    hertz[y], read, ax=matrix, cmap="Blues", colorbar=False
)
matrix.set(xlabel="read from the embedding (Hz)", ylabel="input (Hz)")
matrix.set_title("Held-out trials")
bars.bar(list(scores), list(scores.values()), color=["#0072B2", "0.6", "0.8"])
bars.axhline(1 / len(hertz), color="k", ls="--", lw=1, label="chance")
bars.set(ylim=(0, 1.1), ylabel="share of trials read correctly")
for k, value in enumerate(scores.values()):
    above = max(value, 1 / len(hertz)) + 0.01
    bars.annotate(f"{value:.2f}", (k, above), ha="center", va="bottom")
bars.legend(frameon=False)

# %%
# **What it shows.** Left, which input was read as which; right, that the condition can
# be read from embeddings, and that permuted labels cannot. Only what embeddings add to
# the mean rates is due to the dynamics.
#
# **What not to conclude.** A condition that is read well need not differ in its
# dynamics: a constant offset can be enough, because embeddings change the bias of the
# network, too. Eigenvalues do not contain the bias: classify them instead of the
# embeddings (`SpectrumAnalyzer(estimator=JEDIEstimator())` in the Pipeline). If rank
# and embedding dimension are to be chosen, choose them within the folds: put the
# Pipeline into `GridSearchCV`.
