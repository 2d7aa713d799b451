"""
Regimes read by a classifier, in a Pipeline
===========================================

*Can the condition of a trial be told from its dynamics alone, and how would I report
that without fooling myself?*

An estimator of this package is a transformer: trials in, embeddings out. Behind it goes
any classifier of scikit-learn, and cross-validation fits both anew in each fold, so
that no held-out trial has a part in the dynamics it is judged by.
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
# A random network of rank 5, driven by an input of another frequency in each condition;
# the model sees the activity of the network alone. `max_epochs=0` stops after the fit
# in closed form and EM, which is what one wants in searches.

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
    JEDIEstimator(rank=5, embedding_dim=4, observation="state", max_epochs=0),
    LogisticRegression(C=100),
)
folds = StratifiedKFold(4, shuffle=True, random_state=0)
read = cross_val_predict(pipe, X, hertz[y], cv=folds)

# %%
# Two comparisons belong to such a number. Chance, from labels that were permuted before
# everything else. And the plain alternative: is the frequency read as well from mean
# rates, without any dynamics?

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
# **What it shows.** Left, how often each input was read as which; right, that
# embeddings carry the condition and that shuffled labels do not. What mean rates know
# is known without dynamics; only what goes beyond it is said by the embedding.
#
# **What not to conclude.** A condition that is read well need not differ in its
# dynamics: an offset or an initial state can give it away. Leave the bias aside by
# looking at `jedi.dynamics(Z).eigenvalues` (as features:
# `SpectrumAnalyzer(estimator=JEDIEstimator())` in the Pipeline), and at
# `jedi.initial_states(X)`. Settings that were chosen on all trials (rank, embedding)
# have to be chosen within the folds: put the Pipeline into `GridSearchCV`.
