"""
Searching a larger space: optuna
================================

*Rank, embedding dimension, gain and ridge together are too many for a grid. Does a
search that learns from the candidates it has tried find something better?*

Whole conditions are held out: the score is how well the second half of trials of
*unseen* conditions is forecast from the first. Optuna's TPE sampler proposes settings
near those that did well, and a pruner stops candidates whose first folds lie below the
median. The study is kept in a file: start the script again and the search goes on where
it stopped.

Needs the extra ``tune``. Run it with ``python optuna_search.py``; it is not run when
these pages are built.
"""

import sys
from pathlib import Path

import numpy as np
import optuna
from sklearn.model_selection import GridSearchCV, GroupKFold

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_driven_teachers
from sklearn_jedi.metrics import ForecastScorer

N_TRIALS = 30
STUDY = Path(sys.argv[1] if len(sys.argv) > 1 else "optuna_search.db")

# %%
# A driven network with much process noise. Three of nine input frequencies are set
# aside for the end; the groups of the cross-validation are the other six.

X, y, _ = make_driven_teachers(
    8,
    frequencies=(1, 2, 3, 4, 5, 6, 7, 8, 10),
    n_timepoints=60,
    n_neurons=50,
    noise=0.3,
    random_state=0,
)
test = np.isin(y, [1, 4, 7])
X_train, groups, X_test = X[~test], y[~test], X[test]
scorer = ForecastScorer()  # the second half of each trial
cv = GroupKFold(3)
jedi = JEDIEstimator(dt=0.01, observation="state", max_epochs=0)

# %%
# One trial of the study is one candidate. After each fold it reports the mean so far.


def objective(trial):
    """Mean forecast R^2 over the folds."""
    candidate = JEDIEstimator(
        rank=trial.suggest_int("rank", 1, 10),
        embedding_dim=trial.suggest_int("embedding_dim", 1, 6),
        gain=trial.suggest_float("gain", 0.05, 3, log=True),
        ridge=trial.suggest_float("ridge", 1e-4, 10, log=True),
        dt=0.01,
        observation="state",
        max_epochs=0,
    )
    scores = []
    for k, (fit, held_out) in enumerate(cv.split(X_train, groups=groups)):
        candidate.fit(X_train[fit])
        scores.append(scorer(candidate, X_train[held_out]))
        trial.report(np.mean(scores), k)
        if trial.should_prune():
            raise optuna.TrialPruned
    return np.mean(scores)


# %%
# SQLite is enough for one machine. Workers on several machines can share a study in a
# database server, or in a journal file on a common disk
# (``optuna.storages.JournalStorage``): start the script on each.

optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    study_name="jedi",
    storage=f"sqlite:///{STUDY}",
    load_if_exists=True,
    direction="maximize",
    pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
)
# a search that goes on must not draw its first candidates again
study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))
study.optimize(objective, n_trials=max(0, N_TRIALS - len(study.trials)))
pruned = study.get_trials(states=[optuna.trial.TrialState.PRUNED])
print(f"{len(study.trials)} candidates, {len(pruned)} of them stopped early")

# %%
# The grid that one would have written, with gain and ridge chosen by the estimator
# itself ("auto"). The best of many scores is too good, because it is the best: what
# counts is the score on the frequencies set aside.

grid = GridSearchCV(
    jedi,
    {"rank": [2, 5, 8], "embedding_dim": [2, 4]},
    scoring=scorer,
    cv=cv,
).fit(X_train, groups=groups)
best = jedi.set_params(**study.best_params).fit(X_train)
for name, params, score, model in (
    ("grid", grid.best_params_, grid.best_score_, grid.best_estimator_),
    ("optuna", study.best_params, study.best_value, best),
):
    text = ", ".join(f"{key} {value:.3g}" for key, value in params.items())
    print(f"{name:>6}: {score:.3f} searched, {scorer(model, X_test):.3f} new | {text}")
