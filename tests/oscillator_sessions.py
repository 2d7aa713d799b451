"""Sessions of oscillators, and models of them."""

import numpy as np

from sklearn_jedi.datasets import make_oscillator_sessions
from sklearn_jedi.metrics import trajectory_r2

N_GIVEN = 40


def first_trials(data, n_trials):
    """Which trials are among the first of their session, and which are not."""
    number = np.concatenate(
        [np.arange((data.sessions == s).sum()) for s in np.unique(data.sessions)]
    )
    return number < n_trials


def pick(values, mask):
    return [value for value, chosen in zip(values, mask, strict=True) if chosen]


class Recording:
    """Sessions of one family, the first trials of which a model is fitted to."""

    def __init__(self, n_train, meta, **params):
        self.data = make_oscillator_sessions(**params)
        train = first_trials(self.data, n_train)
        self.X, self.X_test = pick(self.data.X, train), pick(self.data.X, ~train)
        self.sessions = self.data.sessions[train]
        self.test_sessions = self.data.sessions[~train]
        self.expected = pick(self.data.expected, ~train)
        self.meta = meta.fit(self.X, sessions=self.sessions)


def forecast_r2(meta, of):
    """Against the activity without noise, for each session."""
    given = [x[:N_GIVEN] for x in of.X_test]
    ahead = meta.forecast(given, 40, sessions=of.test_sessions)
    scores = []
    for session in np.unique(of.test_sessions):
        mine = of.test_sessions == session
        true = [x[N_GIVEN : N_GIVEN + 40] for x in pick(of.expected, mine)]
        scores.append(trajectory_r2(true, pick(ahead, mine)))
    return np.array(scores)
