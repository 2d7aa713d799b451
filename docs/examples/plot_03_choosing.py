"""
How many dimensions? Choosing rank and embedding
================================================

*How large should the rank of the weights and the dimension of the embedding be, and
what happens when I get it wrong?*

Choose both by how well held-out trials are forecast from their beginning
(`ForecastScorer`). `score` is a weaker test, because it infers the embedding from the
trial that it scores. The truth is known here: networks of rank 2 in three conditions
(two stable points, a cycle, a ring), for which two embedding axes are enough.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_attractor_family
from sklearn_jedi.metrics import ForecastScorer

X, y, _ = make_attractor_family(
    10, n_neurons=40, n_timepoints=80, observation_noise=0.3, random_state=0
)
search = GridSearchCV(
    JEDIEstimator(dt=0.01, observation="state", max_epochs=0),
    [
        {"rank": [1, 2, 4, 8], "embedding_dim": [2]},
        {"rank": [2], "embedding_dim": [1, 4, 6]},
    ],
    scoring=ForecastScorer(20),
    cv=StratifiedKFold(5, shuffle=True, random_state=0),
    refit=False,
).fit(X, y)  # y only balances the folds
folds = np.array([search.cv_results_[f"split{k}_test_score"] for k in range(5)])

# %%
# The one-standard-error rule: of all sizes whose mean score lies within one standard
# error of the best mean, take the smallest.


def draw(ax, name, fixed, value):
    """Scores of all folds over one of the parameters, and the choice."""
    params = search.cv_results_["params"]
    rows = [k for k, p in enumerate(params) if p[fixed] == value]
    rows.sort(key=lambda k: params[k][name])
    sizes = np.array([params[k][name] for k in rows])
    scores = folds[:, rows]
    mean = scores.mean(axis=0)
    error = scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
    best = mean.argmax()
    least = mean[best] - error[best]
    chosen = int(np.argmax(mean >= least))
    ax.plot(sizes, scores.T, "o", color="0.7", ms=4)
    ax.errorbar(sizes, mean, error, color="#0072B2", lw=2, capsize=3)
    ax.axhline(least, color="k", ls=":", lw=1)
    ax.plot(sizes[chosen], mean[chosen], "D", color="#D55E00", ms=9)
    ax.annotate(
        f"chosen: {sizes[chosen]}",
        (sizes[chosen], mean[chosen]),
        xytext=(6, -45),
        textcoords="offset points",
        color="#D55E00",
    )
    ax.set(xlabel=name, xticks=sizes, ylim=(-0.45, 1.0))


fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True)
draw(left, "rank", "embedding_dim", 2)
left.set(title="embedding_dim=2", ylabel="forecast R², held-out trials")
draw(right, "embedding_dim", "rank", 2)
right.set_title("rank=2")
right.plot([], [], "o", color="0.7", ms=4, label="one fold")
right.plot([], [], "-", color="#0072B2", lw=2, label="mean, standard error")
right.plot([], [], ":", color="k", lw=1, label="one standard error below the best")
right.legend(frameon=False, loc="lower right")

for rank, score in zip([1, 2, 4, 8], folds[:, :4].T, strict=True):
    print(f"rank {rank}: mean {score.mean():.2f}, worst fold {score.min():.2f}")

# %%
# **What it shows.** Networks of rank 1 cannot oscillate, and forecasts fail. From rank
# 2 on, the curve is nearly flat. With many more dimensions single folds get worse,
# because few trials, or the beginning of one, do not determine so many numbers.
#
# **What not to conclude.** A flat curve does not mean that all these models are equally
# right. A rank that is too large hardly harms forecasts, but it adds eigenvalues and
# fixed points that the recording says nothing about. That is why the rule takes the
# smallest. If the mechanism is what you are after, repeat the analysis at the ranks on
# both sides, and report what stays the same.
