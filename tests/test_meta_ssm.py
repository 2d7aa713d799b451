"""Latent dynamics of sessions with different neurons, against those that made them."""

import numpy as np
import pytest
from oscillator_sessions import N_GIVEN, Recording, first_trials, forecast_r2, pick
from scipy.stats import spearmanr
from sklearn.base import clone

from sklearn_jedi import MetaDynamicalSSM
from sklearn_jedi._engine._state_space_em import StateSpaceEM
from sklearn_jedi.analysis import FixedPointAnalyzer, LyapunovAnalyzer
from sklearn_jedi.datasets import make_oscillator_sessions
from sklearn_jedi.metrics import trajectory_r2


@pytest.fixture(scope="module")
def counts():
    return Recording(
        12,
        MetaDynamicalSSM(observation="poisson", gain=1.2),
        n_sessions=5,
        n_trials=15,
        n_neurons=(40, 60),
        mean_counts=(0.1, 0.5),
        random_state=0,
    )


def pooled(true, predicted, sessions):
    """R^2 over sessions of different neurons."""
    error = total = 0.0
    for session in np.unique(sessions):
        x = np.concatenate(pick(true, sessions == session))
        run = np.concatenate(pick(predicted, sessions == session))
        error += ((x - run) ** 2).sum()
        total += ((x - x.mean(0)) ** 2).sum()
    return 1 - error / total


def test_forecasts_of_limit_cycles(cycles):
    scores = forecast_r2(cycles.meta, cycles)
    assert scores.mean() > 0.98
    assert scores.min() > 0.96


def test_embeddings_are_ordered_by_speed(cycles):
    Z = cycles.meta.transform(cycles.X_test, sessions=cycles.test_sessions)
    speed = cycles.data.parameters[cycles.test_sessions, 0]
    assert abs(spearmanr(Z[:, 0], speed)[0]) > 0.99


def test_latents_are_the_true_ones_up_to_a_linear_map_of_the_session(cycles):
    """What a readout can undo; the limit cycle's symmetry leaves nothing in common."""
    latents = cycles.meta.latents(cycles.X, sessions=cycles.sessions)
    train = first_trials(cycles.data, 6)
    true = pick(cycles.data.latents, train)
    for session in range(6):
        mine = cycles.sessions == session
        z, t = np.concatenate(pick(latents, mine)), np.concatenate(pick(true, mine))
        z = np.column_stack([z, np.ones(len(z))])
        residual = t - z @ np.linalg.lstsq(z, t, rcond=None)[0]
        assert 1 - residual.var() / t.var() > 0.98


def test_speeds_of_the_fitted_limit_cycles(cycles):
    """Analyzers see the cycles that made the sessions: stable, of the true period."""
    meta = cycles.meta
    Z = meta.transform(cycles.X, sessions=cycles.sessions)[::6]
    dynamics = meta.dynamics(Z)
    assert (dynamics.n_networks, dynamics.n_latents) == (6, 2)
    found = FixedPointAnalyzer(random_state=0).fit(dynamics)
    for k, frequency in enumerate(cycles.data.parameters[:, 0]):
        (cycle,) = found.limit_cycles_[k]
        assert cycle.is_stable
        assert 1 / cycle.period == pytest.approx(frequency, rel=0.05)
        assert found.stability_type_[k].tolist() == ["unstable focus"]
    start = meta.latents(cycles.X, sessions=cycles.sessions)[::6]
    exponents = LyapunovAnalyzer(random_state=0).fit(
        dynamics, states=np.stack(start)[:, -1:]
    )
    largest = np.array(exponents.exponents_)[:, 0]
    np.testing.assert_allclose(largest, 0, atol=0.1)  # 1/s


def test_rates_are_recovered_from_counts(counts):
    meta = counts.meta
    rates = meta.smooth(counts.X_test, sessions=counts.test_sessions)
    runs = meta.reconstruct(counts.X_test, sessions=counts.test_sessions)
    for session in range(5):
        mine = counts.test_sessions == session
        true = pick(counts.expected, mine)
        assert trajectory_r2(true, pick(rates, mine)) > 0.85
        assert trajectory_r2(true, pick(runs, mine)) > 0.8
    # of counts, the best that any model can do is to know their expectation
    best = pooled(counts.X_test, counts.expected, counts.test_sessions)
    score = meta.score(counts.X_test, sessions=counts.test_sessions)
    assert 0.8 * best < score < best


def test_a_new_session_needs_few_trials(cycles):
    """Against a model of the new session alone."""
    data = make_oscillator_sessions(
        1, 12, n_timepoints=80, parameters=[[2.5]], noise=1.5, random_state=5
    )
    given = [x[:N_GIVEN] for x in data.X[4:]]
    true = [x[N_GIVEN:] for x in data.expected[4:]]

    def score(meta):
        return trajectory_r2(true, meta.forecast(given, 40, sessions=[9] * 8))

    meta = cycles.meta
    one, four = (score(meta.adapt(data.X[:n], sessions=[9] * n)) for n in (1, 4))
    with pytest.warns(UserWarning, match="these sessions determine only 0 of your 1"):
        alone = MetaDynamicalSSM(gain=1.2).fit(data.X[:1], sessions=[9])
    assert one > 0.9
    assert four > 0.95
    assert one > score(alone) + 0.01


@pytest.mark.parametrize("embedding", ["session", "trial"])
def test_trials_of_a_session_share_an_embedding_or_not(cycles, embedding):
    meta = clone(cycles.meta).set_params(embedding=embedding)
    Z = meta.fit_transform(cycles.X, sessions=cycles.sessions)
    assert Z.shape == (36, 1)
    n_distinct = len(np.unique(Z))
    assert n_distinct == (6 if embedding == "session" else 36)
    speed = cycles.data.parameters[cycles.sessions, 0]
    assert abs(spearmanr(Z[:, 0], speed)[0]) > (0.99 if n_distinct == 6 else 0.9)


def test_predictive_intervals_hold_what_they_promise(cycles):
    given = [x[:N_GIVEN] for x in cycles.X_test]
    mean, std = cycles.meta.forecast(
        given, 40, return_std=True, sessions=cycles.test_sessions
    )
    inside = [
        np.abs(x[N_GIVEN:] - m) < 1.645 * s
        for x, m, s in zip(cycles.X_test, mean, std, strict=True)
    ]
    share = np.mean(np.concatenate([i.ravel() for i in inside]))
    assert 0.87 < share < 0.93  # 0.9


def test_sessions_do_not_depend_on_their_labels_or_units(cycles):
    named = np.array(["cat", "dog", "eel", "fox", "gnu", "hen"])[cycles.sessions]
    X = [3 * x + 50 for x in cycles.X]
    meta = clone(cycles.meta).fit(X, sessions=named)
    assert meta.sessions_.tolist() == ["cat", "dog", "eel", "fox", "gnu", "hen"]
    np.testing.assert_allclose(meta.embeddings_, cycles.meta.embeddings_, atol=0.05)
    runs = meta.smooth(X, sessions=named)
    plain = cycles.meta.smooth(cycles.X, sessions=cycles.sessions)
    for one, run in zip(plain[::6], runs[::6], strict=True):
        assert trajectory_r2([one], [(run - 50) / 3]) > 0.99


# ----------------------------------------------------------------- what is hard to fit


def test_gaps_ragged_trials_and_sessions_of_one_trial(cycles, rng):
    keep = np.ones(len(cycles.X), dtype=bool)
    keep[1:6] = False  # the first session has one trial
    X = [x.copy() for x in pick(cycles.X, keep)]
    sessions = cycles.sessions[keep]
    for k, x in enumerate(X):
        x[rng.random(x.shape) < 0.1] = np.nan
        x[10:14] = np.nan
        X[k] = x[: 80 - k % 20]
    meta = clone(cycles.meta).fit(X, sessions=sessions)
    assert forecast_r2(meta, cycles).mean() > 0.95
    assert meta.n_timepoints_in_.tolist() == [len(x) for x in X]
    filled = meta.smooth(X, sessions=sessions)
    assert not any(np.isnan(f).any() for f in filled)


def test_an_interrupt_leaves_a_usable_model(cycles, monkeypatch):
    whole = StateSpaceEM._round

    def round_(self, *args):
        if self.n_iter == 3:
            raise KeyboardInterrupt
        return whole(self, *args)

    monkeypatch.setattr(StateSpaceEM, "_round", round_)
    meta = clone(cycles.meta)
    with pytest.warns(UserWarning, match="the fit was interrupted"):
        meta.fit(cycles.X, sessions=cycles.sessions)
    assert meta.interrupted_
    assert forecast_r2(meta, cycles).mean() > 0.5


# ---------------------------------------------------------------------------- settings


def test_nearly_linear_dynamics_get_a_small_gain(rng):
    """Decaying spirals, whose vector field does not bend."""
    X, sessions = [], []
    for session in range(4):
        turn = 2 * np.pi * (1 + 0.3 * session) * 0.01
        step = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        C = rng.standard_normal((20, 2))
        for _ in range(8):
            z = np.empty((60, 2))
            z[0] = 2 * rng.standard_normal(2)
            for t in range(59):
                z[t + 1] = 0.99 * step @ z[t] + 0.1 * rng.standard_normal(2)
            X.append(z @ C.T + 1.5 * rng.standard_normal((60, 20)))
            sessions.append(session)
    meta = MetaDynamicalSSM().fit(X, sessions=sessions)
    assert meta.gain_ < 1.2
    fixed = MetaDynamicalSSM(gain=0.1).fit(X, sessions=sessions)
    assert fixed.gain_ == 0.1
    assert meta.score(X, sessions=sessions) > 0.5


def test_change_rank_limits_what_embeddings_change():
    data = make_oscillator_sessions(
        4, 4, n_timepoints=30, n_neurons=(8, 9), random_state=0
    )
    params = {"n_latents": 3, "embedding_dim": 2}
    for rank in (1, 2, None):
        meta = MetaDynamicalSSM(change_rank=rank, gain=1.2, **params)
        meta.fit(data.X, sessions=data.sessions)
        W = meta.dynamics([[0, 0], [1, 0], [0, 1], [2, -1]])
        change = np.concatenate([W.weights[1:] - W.weights[0]])
        sizes = np.linalg.svd(change.reshape(-1, 3), compute_uv=False)
        assert (sizes > 1e-9 * sizes[0]).sum() == (rank or 3)
        assert meta.change_rank_ == (rank or 3)


def test_latents_that_explain_nothing_are_told(rng):
    counts = [rng.poisson(0.3, (40, 12)).astype(float) for _ in range(12)]
    sessions = np.repeat([0, 1, 2], 4)
    with pytest.warns(UserWarning, match="explain next to nothing in sessions"):
        MetaDynamicalSSM().fit([0 * x for x in counts], sessions=sessions)
