"""What models of several sessions share with other estimators: labels, files, tools."""

from functools import partialmethod

import numpy as np
import pytest
import sklearn
from oscillator_sessions import N_GIVEN, pick
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from sklearn_jedi import MetaDynamicalSSM
from sklearn_jedi._engine._state_space_em import StateSpaceEM
from sklearn_jedi._models import _family
from sklearn_jedi.datasets import make_oscillator_sessions

# As for JEDIEstimator: all that scikit-learn has for a transformer that takes NaN.
N_CHECKS = 46


@pytest.fixture
def short(monkeypatch):
    """Fits of few rounds, which is enough for all but what they find."""
    few = partialmethod(_family.FamilyFit.fit, n_rounds=2)
    monkeypatch.setattr(_family.FamilyFit, "fit", few)


# ----------------------------------------------------------------------------- labels


def test_adapting_leaves_the_estimator_and_the_old_sessions_as_they_are(cycles):
    before = cycles.meta.transform(cycles.X, sessions=cycles.sessions)
    other = cycles.meta.adapt(cycles.X[:2], sessions=[9, 9])
    assert cycles.meta.sessions_.tolist() == [0, 1, 2, 3, 4, 5]
    assert other.sessions_.tolist() == [0, 1, 2, 3, 4, 5, 9]
    assert len(other.n_neurons_in_) == 7
    after = other.transform(cycles.X, sessions=cycles.sessions)
    np.testing.assert_array_equal(after, before)


@pytest.mark.usefixtures("short")
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


@pytest.mark.usefixtures("short")
def test_labels_that_one_session_cannot_use_are_named(cycles):
    X = pick(cycles.X, cycles.sessions == 0)
    with pytest.warns(UserWarning, match='align sessions, .*embedding="condition"'):
        MetaDynamicalSSM(gain=1.2).fit(X, conditions=np.arange(6) % 2)


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


def test_the_order_of_trials_does_not_matter(cycles, rng):
    order = rng.permutation(len(cycles.X_test))
    Z = cycles.meta.transform(cycles.X_test, sessions=cycles.test_sessions)
    shuffled = cycles.meta.transform(
        [cycles.X_test[k] for k in order], sessions=cycles.test_sessions[order]
    )
    np.testing.assert_allclose(shuffled, Z[order], atol=1e-6)


@pytest.mark.usefixtures("short")
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


@pytest.mark.usefixtures("short")
def test_it_passes_all_of_scikit_learns_checks():
    results = check_estimator(MetaDynamicalSSM(gain=1.2), on_fail=None, on_skip=None)
    others = {
        result["check_name"]: repr(result["exception"])
        for result in results
        if result["status"] != "passed"
    }
    assert others == {}
    assert len(results) == N_CHECKS


@pytest.mark.usefixtures("short")
def test_fits_repeat_exactly_and_leave_global_random_numbers_alone(cycles):
    first = clone(cycles.meta).fit(cycles.X, sessions=cycles.sessions)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 (the legacy global state is what is tested)
    again = clone(cycles.meta).set_params(random_state=3)
    again.fit(cycles.X, sessions=cycles.sessions)
    after = np.random.get_state()[1]  # noqa: NPY002 (the legacy global state is what is tested)
    np.testing.assert_array_equal(after, state)
    np.testing.assert_array_equal(again.embeddings_, first.embeddings_)


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


@pytest.mark.usefixtures("short")
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


# ---------------------------------------------------------------------------- training


def test_training_is_kept_only_where_held_out_forecasts_improve(cycles):
    meta = clone(cycles.meta).set_params(max_epochs=3, random_state=0)
    meta.fit(cycles.X, sessions=cycles.sessions)
    assert len(meta.history_) == 3
    if meta.best_epoch_ == 0:
        np.testing.assert_array_equal(meta.embeddings_, cycles.meta.embeddings_)
    losses = [1.0, *(epoch["valid_loss"] for epoch in meta.history_)]
    assert (meta.best_epoch_ > 0) == (min(losses) < 0.95)


@pytest.mark.usefixtures("short")
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


# ---------------------------------------------------------------- scikit-learn's tools


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
