"""What reports are made of: splits, choices, fits and what is said of the data."""

import numpy as np
import pytest
from report_studies import fitted, study

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._models._predictions import posteriors
from sklearn_jedi.datasets import make_rotation_family
from sklearn_jedi.io import TrialSet
from sklearn_jedi.metrics import trajectory_r2
from sklearn_jedi.report import _choice, make_report
from sklearn_jedi.report._choice import Candidate, ChoiceSection
from sklearn_jedi.report._conditions import visited_states
from sklearn_jedi.report._embeddings import EmbeddingSection
from sklearn_jedi.report._errors import Errors
from sklearn_jedi.report._spectra import _differ

# -------------------------------------------------------------------- what is doubted


def test_labels_without_meaning_are_called_so():
    X, y, _ = make_rotation_family(8, n_timepoints=30, n_neurons=8, random_state=0)
    model = JEDIEstimator(2, 2, max_epochs=0, dt=0.01).fit(X)
    p_values = []
    for seed in range(5):
        labels = np.random.default_rng(seed).permutation(y)
        one, _ = study(X, labels=labels)
        section = EmbeddingSection()
        section.read(one, model.embeddings_, n_permutations=30)
        said = any("no better than chance" in note for note in section.notes())
        assert said == (section.p_value >= 0.05)
        assert abs(section.chance - 0.25) < 0.08
        p_values.append(section.p_value)
    assert np.median(p_values) > 0.05


def test_forecasts_behind_the_linear_model_are_called_so():
    """Also where groups are too few for an interval."""
    X, _, _ = make_rotation_family(
        24, frequencies=(2.0,), n_timepoints=40, n_neurons=6, random_state=0
    )
    # networks of rank 1 cannot turn
    settings = {"rank": 1, "embedding_dim": 1, "groups": np.arange(24) // 6}
    section, _ = fitted(X, observation="gaussian", **settings)
    arrays = section.arrays()
    jedi, linear = (
        arrays[f"r2_{model}_forecast_recorded"] for model in ("jedi", "linear")
    )
    assert jedi < linear
    assert any("not better than those of one linear" in n for n in section.notes())
    assert any("nothing can be said of how far" in n for n in section.notes())


@pytest.mark.parametrize(
    ("start", "said"), [(-0.3, True), (0.005, False), (-2.0, False)]
)
def test_a_time_zero_within_the_trials_is_pointed_out(start, said):
    X = np.random.default_rng(0).standard_normal((8, 60, 3))
    _, notes = study(X, start=start)
    assert any("Time 0 is within the trials" in note for note in notes) == said


# ------------------------------------------------------------------------- its parts


def test_rank_and_embedding_are_chosen_by_forecasts(monkeypatch):
    monkeypatch.setattr(_choice, "_STATES", (2,))
    X, y, _ = make_rotation_family(
        5, n_timepoints=30, n_neurons=7, observation_noise=0.6, random_state=0
    )
    one, _ = study(X, labels=y)
    choice = ChoiceSection()
    choice.compute(one)
    assert choice.chosen.rank == 2  # that of the rotations
    assert choice.scores[2, 1].mean() > choice.scores[2, 0].mean() + 0.2
    assert (one.rank, one.embedding_dim) == choice.chosen
    assert not any("largest rank" in note for note in choice.notes())


def test_what_is_given_is_not_searched_for():
    X, _, _ = make_rotation_family(2, n_timepoints=20, n_neurons=4, random_state=0)
    one, _ = study(X, rank=3, embedding_dim=1)
    choice = ChoiceSection()
    choice.compute(one)
    assert choice.chosen == (3, 1)
    assert all(candidate.embedding_dim == 0 for candidate in choice.scores)
    assert "given" in choice.summary()


@pytest.mark.parametrize("by", ["groups", "labels", "nothing"])
def test_splits(by):
    X = np.random.default_rng(0).standard_normal((40, 10, 3))
    labels, groups = np.repeat(["a", "b"], 20), np.arange(40) // 5
    one, _ = study(
        X,
        labels=labels if by == "labels" else None,
        groups=groups if by == "groups" else None,
    )
    assert sorted([*one.train, *one.test]) == list(range(40))
    folds = list(one.folds(one.train))
    assert sorted(np.concatenate([test for _, test in folds])) == sorted(one.train)
    for train, test in [(one.train, one.test), *folds]:
        assert set(train).isdisjoint(test)
        if by == "groups":
            assert set(groups[train]).isdisjoint(groups[test])
        if by == "labels":
            counts = np.unique(labels[test], return_counts=True)[1]
            assert abs(counts[0] - counts[1]) <= 1


def test_errors_are_the_package_s_r2():
    rng = np.random.default_rng(0)
    true = [rng.standard_normal((n, 3)) + 5 for n in (4, 7, 9)]
    true[1][2, 0] = np.nan
    predicted = [np.nan_to_num(x) + 0.3 * rng.standard_normal(x.shape) for x in true]
    errors = Errors(true, predicted)
    assert errors.r2() == pytest.approx(trajectory_r2(true, predicted))
    drawn = errors.resampled(np.array([[1, 1, 1], [0, 0, 3]]))
    assert drawn[0] == pytest.approx(errors.r2())
    assert drawn[1] == pytest.approx(errors.per_trial[2])


def test_what_is_not_predicted_does_not_count():
    rng = np.random.default_rng(0)
    true = [rng.standard_normal((40, 2)) for _ in range(3)]
    nothing = [np.zeros_like(x) for x in true]
    for run in nothing:
        run[:20] = np.nan
    scored = [x[20:] for x in true]
    expected = trajectory_r2(scored, [run[20:] for run in nothing])
    assert Errors(true, nothing).r2() == pytest.approx(expected)


@pytest.mark.parametrize("constant", [True, False])
def test_p_values_hold_where_trials_of_a_group_are_alike(constant):
    """Embeddings drift from group to group, and labels mean nothing."""
    groups = np.repeat(np.arange(16), 8)
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        labels = np.where(rng.permutation(16) < 8, "a", "b")[groups]
        if not constant:
            labels = rng.permutation(labels)
        one, _ = study(rng.standard_normal((128, 8, 2)), labels=labels, groups=groups)
        drift = 5 * rng.standard_normal((16, 2))
        z = drift[groups] + rng.standard_normal((128, 2))
        section = EmbeddingSection()
        section.read(one, z, n_permutations=19)
        units = one.units_of(np.arange(128))
        found.append(
            (
                section.p_value,
                _differ(z[:, 0], np.unique(labels, return_inverse=True)[1], units),
            )
        )
    # of 12 at a level of 0.05, 4 or more have a probability of 0.2 %
    assert (np.array(found) <= 0.05).sum(0).max() < 4


def test_the_choice_is_the_smallest_rank_and_the_largest_embedding_as_good():
    X = np.random.default_rng(0).standard_normal((12, 10, 8))
    planted = {
        Candidate(2, 0): [0.10, 0.10, 0.10],
        Candidate(4, 0): [0.30, 0.31, 0.32],
        Candidate(8, 0): [0.30, 0.31, 0.33],  # best, by a standard error
        Candidate(2, 1): [0.50, 0.50, 0.50],
        Candidate(4, 1): [0.80, 0.81, 0.79],
        Candidate(8, 1): [0.80, 0.82, 0.80],
    }

    class Planted(ChoiceSection):
        def _try(self, study, candidates):
            self.scores |= {one: np.array(planted[one]) for one in candidates}

    choice = Planted()
    choice.compute(study(X)[0])
    assert choice.chosen == (4, 1)
    assert choice.n_states == 4
    planted[Candidate(4, 1)] = [np.nan, 0.9, 0.9]  # a fit that failed is not good
    choice.compute(study(X)[0])
    assert choice.chosen == (8, 1)


# -------------------------------------------------------------------- what goes in


def test_spike_counts_are_fitted_as_square_roots():
    X = np.random.default_rng(0).poisson(2.0, (8, 12, 5))
    one, notes = study(X)
    assert one.observation == "gaussian"
    assert notes == []
    np.testing.assert_array_equal(one.X[3], np.sqrt(X[3]))
    kept, _ = study(X, observation="poisson")
    np.testing.assert_array_equal(kept.X[3], X[3])


@pytest.mark.parametrize("observation", ["poisson", "negative_binomial"])
def test_states_of_spike_counts_are_logarithms(observation):
    log_rates = np.log([0.5, 1.0, 2.0, 4.0, 8.0])
    X = np.random.default_rng(0).poisson(np.exp(log_rates), (20, 30, 5))
    one, _ = study(X, observation=observation)
    one.model = one.estimator(1, 1, max_epochs=0).fit(one.X)
    states = np.stack(visited_states(one))
    # the log of a mean count is known to 1 / sqrt(rate * bins), which is 0.06 at most
    np.testing.assert_allclose(states.mean((0, 1)), log_rates, atol=0.1)
    # a count is expected to be exp(mean + variance / 2) of what is inferred
    (part,) = one.model._read(one.X, None, None)
    ((_, found),) = posteriors(part.model, part.trials)
    begins = one.model.initial_states(one.X)
    np.testing.assert_allclose(
        states[:, 0] - begins, 0.5 * found.variance()[:, 0], rtol=1e-6
    )


def test_what_is_left_out_is_said():
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((12, 4)) for _ in range(12)]
    X[2] = X[2][:5]
    for x in X:
        x[:, 1] = 7.0
    labels = [1.0, np.nan, 1.0, None, *[2.0] * 8]
    one, notes = study(X, labels=labels)
    assert len(one.X) == 9
    assert one.n_neurons == 3
    assert one.labels.tolist() == ["1", *["2"] * 8]
    said = " ".join(notes)
    for part in (
        "2 trials without a label",
        "1 trial of fewer",
        "1 neuron that never",
    ):
        assert part in said


def test_numbers_are_ordered_as_numbers():
    X = np.random.default_rng(0).standard_normal((12, 10, 3))
    one, _ = study(X, labels=np.repeat([10.0, 2.0, 0.5], 4))
    assert [name for name, _ in one.conditions] == ["0.5", "2", "10"]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"labels": np.arange(40)}, "40 different values.*at most 20"),
        ({"labels": ["a"]}, r"labels must have one entry per trial, shape \(40,\)"),
        ({"groups": np.arange(40) // 20}, "groups needs at least 3.*got 2"),
        ({"dt": 0.2, "tau": 0.1}, "dt must be at most tau"),
        ({"dt": 0.0}, "dt must be positive"),
        ({"rank": 0}, "rank"),
        ({"rank": 4}, "rank is 4, but there are 3 neurons"),
        ({"embedding_dim": 40}, "embedding_dim is 40, but there are 30 trials"),
        ({"tau": -1.0}, "tau must be positive"),
        ({"n_jobs": 0}, "n_jobs must not be 0"),
        ({"observation": "spikes"}, "observation"),
    ],
)
def test_bad_settings_are_refused(changes, match):
    X = np.random.default_rng(0).standard_normal((40, 10, 3))
    with pytest.raises(ValueError, match=match):
        study(X, **changes)


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.ones((10, 10, 3)), "no neuron's activity ever changes"),
        (np.random.default_rng(0).random((4, 10, 3)), "at least 6 trials.*got 4"),
        (np.random.default_rng(0).random((9, 5, 3)), "at least 8 time points.*got 0"),
        (np.full((10, 10, 3), np.inf), "infinity"),
    ],
)
def test_bad_trials_are_refused(X, match, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=match):
        make_report(X, dt=0.01, out=out)
    assert not out.exists()


def test_trials_of_any_length_with_gaps():
    X, y, _ = make_rotation_family(
        5, n_timepoints=42, n_neurons=8, observation_noise=0.6, random_state=0
    )
    trials = [x[: 40 + k % 3] for k, x in enumerate(X)]
    trials[0][5:9, 3] = np.nan
    section, one = fitted(trials, labels=y, observation="gaussian")
    assert section.arrays()["r2_jedi_free_run_recorded"] > 0.5
    assert len(one.model.embeddings_) == 15


def test_times_are_those_of_the_data():
    pandas = pytest.importorskip("pandas")
    X = np.random.default_rng(0).standard_normal((8, 20, 3))
    tables = pandas.DataFrame(index=range(8)), pandas.DataFrame(index=range(3))
    trials = TrialSet(X, 0.05, *tables, start=-0.3)
    labelled = trials.to_xarray()
    ms = ("time", 1000 * trials.time, {"units": "ms"})
    for data in (trials, labelled, labelled.assign_coords(time=ms)):
        one, notes = study(data, dt="auto", start=None)
        assert one.dt == pytest.approx(0.05)
        assert one.tau == pytest.approx(0.25)  # 5 bins
        assert one.start == pytest.approx(-0.275)
        assert [note[:6] for note in notes] == ["Time 0"]
    one, notes = study(X, dt="auto", start=None)
    assert (one.dt, one.tau, one.start) == (0.01, 0.1, 0.0)
    assert "0.01 s is assumed" in notes[0]
    one, notes = study(trials, dt=0.01, tau=0.02)
    assert one.dt == 0.01
    assert "0.05" in notes[0]
    assert "tau=0.02 s is less than 3 time steps" in notes[1]
