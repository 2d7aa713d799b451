"""Studies as reports make them, without their pages."""

from sklearn_jedi.report._fit import FitSection
from sklearn_jedi.report._prepare import prepare


def study(X, **settings):
    defaults = {
        "dt": 0.01,
        "labels": None,
        "label_name": "condition",
        "groups": None,
        "rank": None,
        "embedding_dim": None,
        "observation": "auto",
        "tau": "auto",
        "start": 0.0,
        "random_state": 0,
        "n_jobs": 1,
    }
    return prepare(X, **defaults | settings)


def fitted(X, n_states=2, **settings):
    """The section of the fit, and the study it is of."""
    one, _ = study(X, **{"rank": 2, "embedding_dim": 2} | settings)
    section = FitSection(lambda: n_states)
    section.compute(one)
    return section, one
