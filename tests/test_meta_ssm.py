"""Latent dynamics of sessions with different neurons, against those that made them."""

from functools import partialmethod

import numpy as np
import pytest
import sklearn
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from sklearn_jedi import MetaDynamicalSSM
from sklearn_jedi._engine._state_space_em import StateSpaceEM
from sklearn_jedi._models import _family
from sklearn_jedi.analysis import FixedPointAnalyzer, LyapunovAnalyzer
from sklearn_jedi.datasets import make_oscillator_sessions
from sklearn_jedi.metrics import trajectory_r2

# As for JEDIEstimator: all that scikit-learn has for a transformer that takes NaN.
N_CHECKS = 46
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


@pytest.fixture(scope="module")
def cycles():
    """Six sessions of limit cycles of different speeds."""
    params = {"n_sessions": 6, "n_trials": 9, "n_timepoints": 80, "noise": 0.5}
    return Recording(6, MetaDynamicalSSM(gain=1.2), **params, random_state=0)


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


# ------------------------------------------------------------------------------ truth


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
        return trajectory_r2(true, meta.forecast(given, 40, sessions=["new"] * 8))

    meta = MetaDynamicalSSM(gain=1.2)
    meta.fit(cycles.X, sessions=[f"s{k}" for k in cycles.sessions])
    one, four = (score(meta.adapt(data.X[:n], sessions=["new"] * n)) for n in (1, 4))
    with pytest.warns(UserWarning, match="these sessions determine only 0 of your 1"):
        alone = MetaDynamicalSSM(gain=1.2).fit(data.X[:1], sessions=["new"])
    assert one > 0.9
    assert four > 0.95
    assert one > score(alone) + 0.01


def test_adapting_leaves_the_estimator_and_the_old_sessions_as_they_are(cycles):
    before = cycles.meta.transform(cycles.X, sessions=cycles.sessions)
    other = cycles.meta.adapt(cycles.X[:2], sessions=[9, 9])
    assert cycles.meta.sessions_.tolist() == [0, 1, 2, 3, 4, 5]
    assert other.sessions_.tolist() == [0, 1, 2, 3, 4, 5, 9]
    assert len(other.n_neurons_in_) == 7
    after = other.transform(cycles.X, sessions=cycles.sessions)
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("embedding", ["session", "trial"])
def test_trials_of_a_session_share_an_embedding_or_not(cycles, embedding):
    meta = clone(cycles.meta).set_params(embedding=embedding)
    Z = meta.fit_transform(cycles.X, sessions=cycles.sessions)
    assert Z.shape == (36, 1)
    n_distinct = len(np.unique(Z))
    assert n_distinct == (6 if embedding == "session" else 36)
    speed = cycles.data.parameters[cycles.sessions, 0]
    assert abs(spearmanr(Z[:, 0], speed)[0]) > (0.99 if n_distinct == 6 else 0.9)


def test_trials_of_a_condition_share_an_embedding_within_their_session(cycles):
    X, sessions = cycles.X, cycles.sessions
    conditions = np.where(np.arange(len(X)) % 2, "odd", "even")
    meta = clone(cycles.meta).set_params(embedding="condition", gain=1.2)
    Z = meta.fit_transform(X, sessions=sessions, conditions=conditions)
    groups = [f"{s} {c}" for s, c in zip(sessions, conditions, strict=True)]
    assert len(np.unique(Z)) == 12
    for group in set(groups):
        assert len(np.unique(Z[np.array(groups) == group])) == 1
    labels = {"sessions": sessions, "conditions": conditions}
    np.testing.assert_allclose(meta.transform(X, **labels), Z, atol=1e-6)
    assert len(np.unique(meta.transform(X, sessions=sessions))) == 36
    # by any other name, and forecasts use what is shared
    for other in (labels, {"sessions": sessions, "conditions": groups}):
        ahead = meta.forecast([x[:N_GIVEN] for x in X], 3, **other)
        alone = meta.forecast([x[:N_GIVEN] for x in X[::2]], 3, sessions=sessions[::2])
        assert not np.allclose(ahead[0], alone[0], atol=1e-6)
        start = [
            meta.forecast(
                [x[:N_GIVEN] for x in X[:6:2]],
                3,
                sessions=sessions[:6:2],
                conditions=["one"] * 3,
            )[0]
        ]
        np.testing.assert_allclose(ahead[0], start[0], atol=1e-6)


def test_labels_that_one_session_cannot_use_are_named(cycles):
    X = pick(cycles.X, cycles.sessions == 0)
    with pytest.warns(UserWarning, match='align sessions, .*embedding="condition"'):
        MetaDynamicalSSM(gain=1.2).fit(X, conditions=np.arange(6) % 2)


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


# ---------------------------------------------------------------------- what comes out


def test_shapes_for_sessions_of_different_neurons(cycles):
    meta, X, sessions = cycles.meta, cycles.X[::5], cycles.sessions[::5]
    for method in (meta.reconstruct, meta.smooth):
        found = method(X, sessions=sessions)
        assert [f.shape for f in found] == [x.shape for x in X]
    assert [z.shape for z in meta.latents(X, sessions=sessions)] == [(80, 2)] * len(X)
    mean, std = meta.forecast(X, 7, return_std=True, sessions=sessions)
    assert [f.shape for f in mean] == [(7, x.shape[1]) for x in X]
    assert [f.shape for f in std] == [(7, x.shape[1]) for x in X]
    Z, cov = meta.embedding_posterior(X, sessions=sessions)
    assert Z.shape == (len(X), 1)
    assert cov.shape == (len(X), 1, 1)


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


def test_the_order_of_trials_does_not_matter(cycles, rng):
    order = rng.permutation(len(cycles.X_test))
    Z = cycles.meta.transform(cycles.X_test, sessions=cycles.test_sessions)
    shuffled = cycles.meta.transform(
        [cycles.X_test[k] for k in order], sessions=cycles.test_sessions[order]
    )
    np.testing.assert_allclose(shuffled, Z[order], atol=1e-6)


def test_one_session_without_labels_is_a_plain_transformer(cycles):
    X = np.stack(pick(cycles.X, cycles.sessions == 0)).astype(np.float32)
    meta = MetaDynamicalSSM().fit(X)
    assert meta.n_neurons_in_ == X.shape[2]
    assert meta.transform(X).dtype == np.float32
    assert len(np.unique(meta.transform(X))) == len(X)
    assert meta.reconstruct(X).shape == X.shape
    assert meta.latents(X).shape == (len(X), 80, 2)
    assert meta.forecast(X, 3).shape == (len(X), 3, X.shape[2])
    np.testing.assert_array_equal(meta.transform(X), meta.embeddings_)
    np.testing.assert_array_equal(clone(meta).fit_transform(X), meta.embeddings_)


def test_it_passes_all_of_scikit_learns_checks(monkeypatch):
    """None of which is about how long EM runs."""
    short = partialmethod(_family.FamilyFit.fit, n_rounds=2)
    monkeypatch.setattr(_family.FamilyFit, "fit", short)
    results = check_estimator(MetaDynamicalSSM(gain=1.2), on_fail=None, on_skip=None)
    others = {
        result["check_name"]: repr(result["exception"])
        for result in results
        if result["status"] != "passed"
    }
    assert others == {}
    assert len(results) == N_CHECKS


def test_fits_repeat_exactly_and_leave_global_random_numbers_alone(cycles):
    state = np.random.get_state()[1].copy()  # noqa: NPY002 (the legacy global state is what is tested)
    again = clone(cycles.meta).set_params(random_state=3)
    again.fit(cycles.X, sessions=cycles.sessions)
    after = np.random.get_state()[1]  # noqa: NPY002 (the legacy global state is what is tested)
    np.testing.assert_array_equal(after, state)
    np.testing.assert_array_equal(again.embeddings_, cycles.meta.embeddings_)


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


# ------------------------------------------------------------------ what is hard to fit


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


def test_latents_that_explain_nothing_are_told(rng):
    counts = [rng.poisson(0.3, (40, 12)).astype(float) for _ in range(12)]
    sessions = np.repeat([0, 1, 2], 4)
    with pytest.warns(UserWarning, match="explain next to nothing in sessions"):
        MetaDynamicalSSM().fit([0 * x for x in counts], sessions=sessions)


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


def test_an_interrupt_while_the_gain_is_chosen_ends_the_fit(monkeypatch):
    data = make_oscillator_sessions(3, 12, n_timepoints=30, random_state=0)
    calls = []

    def round_(self, *args):
        calls.append(self.n_iter)
        raise KeyboardInterrupt

    monkeypatch.setattr(StateSpaceEM, "_round", round_)
    with pytest.warns(UserWarning, match="the fit was interrupted"):
        meta = MetaDynamicalSSM().fit(data.X, sessions=data.sessions)
    assert calls == [0]  # no other gain, and no round after
    assert meta.interrupted_
    assert np.isfinite(meta.score(data.X, sessions=data.sessions))


# ------------------------------------------------------------------------------- files


def test_files_bring_everything_back(cycles, tmp_path):
    meta = cycles.meta.adapt(cycles.X[:2], sessions=[9, 9])
    meta.save(tmp_path / "meta.safetensors")
    again = MetaDynamicalSSM.load(tmp_path / "meta.safetensors")
    assert again.get_params() == meta.get_params()
    assert again.sessions_.tolist() == meta.sessions_.tolist()
    X, sessions = [*cycles.X, cycles.X[0]], [*cycles.sessions.tolist(), 9]
    np.testing.assert_array_equal(
        again.transform(X, sessions=sessions), meta.transform(X, sessions=sessions)
    )
    with pytest.raises(ValueError, match="adapt"):
        again.transform(X[:1], sessions=[77])


def test_files_of_a_session_without_a_label(cycles, tmp_path):
    X = pick(cycles.X, cycles.sessions == 0)
    meta = MetaDynamicalSSM().fit(X)
    assert meta.sessions_.tolist() == [None]
    meta.save(tmp_path / "meta.safetensors")
    again = MetaDynamicalSSM.load(tmp_path / "meta.safetensors")
    assert again.n_neurons_in_ == meta.n_neurons_in_ == X[0].shape[1]
    np.testing.assert_array_equal(again.transform(X), meta.embeddings_)


def test_files_of_another_estimator_are_refused(cycles, tmp_path):
    from sklearn_jedi import JEDIEstimator

    cycles.meta.save(tmp_path / "meta.safetensors")
    with pytest.raises(ValueError, match="holds a MetaDynamicalSSM, not a JEDI"):
        JEDIEstimator.load(tmp_path / "meta.safetensors")


# --------------------------------------------------------------------------- training


def test_training_is_kept_only_where_held_out_forecasts_improve(cycles):
    meta = clone(cycles.meta).set_params(max_epochs=3, random_state=0)
    meta.fit(cycles.X, sessions=cycles.sessions)
    assert len(meta.history_) == 3
    if meta.best_epoch_ == 0:
        np.testing.assert_array_equal(meta.embeddings_, cycles.meta.embeddings_)
    losses = [1.0, *(epoch["valid_loss"] for epoch in meta.history_)]
    assert (meta.best_epoch_ > 0) == (min(losses) < 0.95)


def test_trained_dynamics_come_back_from_a_file(cycles, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "sklearn_jedi._training._variational_data.Forecasts.__call__",
        lambda self, models: 0.5,
    )
    meta = clone(cycles.meta).set_params(max_epochs=3, random_state=0)
    meta.fit(cycles.X, sessions=cycles.sessions)
    assert meta.best_epoch_ == 3
    Z = [[-1.0], [0.0], [1.0]]
    meta.save(tmp_path / "meta.safetensors")
    again = MetaDynamicalSSM.load(tmp_path / "meta.safetensors")
    weights = meta.dynamics(Z).weights
    np.testing.assert_array_equal(again.dynamics(Z).weights, weights)
    assert not np.allclose(cycles.meta.dynamics(Z).weights, weights, rtol=1e-3)
    np.testing.assert_array_equal(
        again.transform(cycles.X, sessions=cycles.sessions), meta.embeddings_
    )


# --------------------------------------------------------------- scikit-learn's tools


def test_sessions_are_routed(cycles):
    """Each fold gets the labels of its own trials."""
    order = np.random.default_rng(0).permutation(len(cycles.X))
    X, sessions = [cycles.X[k][:40] for k in order], cycles.sessions[order]
    with sklearn.config_context(enable_metadata_routing=True):
        meta = (
            MetaDynamicalSSM(gain=1.2)
            .set_fit_request(sessions=True)
            .set_score_request(sessions=True)
            .set_transform_request(sessions=True)
        )
        folds = StratifiedKFold(2).split(X, sessions)
        params = {"sessions": sessions}
        scores = cross_val_score(meta, X, cv=folds, params=params)
        assert (scores > 0.5).all()
        pipe = make_pipeline(meta, LogisticRegression(C=100))
        fast = cycles.data.parameters[sessions, 0] > 2.5
        pipe.fit(X, fast, sessions=sessions)
        assert pipe.score(X, fast, sessions=sessions) == 1.0


# ------------------------------------------------------------------------------- gain


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
