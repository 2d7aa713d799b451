"""Settings chosen on held-out windows."""

import numpy as np
import pytest
from conftest import in_block, in_trials

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._engine._settings import choose_settings, held_out_windows
from sklearn_jedi._networks._equation import Equation
from sklearn_jedi.datasets import make_rotation_family


def choose(X, groups=None, **given):
    given = {"gain": "auto", "window": "auto", "ridge": "auto"} | given
    full_rank = given.pop("full_rank", False)
    return choose_settings(
        in_trials(X, groups),
        2,
        given.pop("embedding_dim", 2),
        Equation.of(0.1, 0.01, "tanh"),
        **given,
        full_rank=full_rank,
        weights=np.ones(X[0].shape[1]),
    )


def test_held_out_windows_take_turns():
    held = held_out_windows(in_block(np.zeros((7, 13, 2))), every=2)
    expected = {0: range(3, 6), 2: range(6, 9), 4: range(9, 12), 6: range(3, 6)}
    for trial in range(7):
        assert np.flatnonzero(held[trial]).tolist() == list(expected.get(trial, []))


@pytest.mark.parametrize("n_steps", range(4, 12))
def test_held_out_windows_are_a_quarter_and_leave_the_first_step(n_steps):
    held = held_out_windows(in_block(np.zeros((6, n_steps + 1, 2))))
    assert (held.sum(1) == n_steps // 4).all()
    assert not held[:, 0].any()


def test_held_out_windows_of_short_trials_with_gaps():
    X = [np.zeros((length, 2)) for length in (13, 9, 5)]
    X[0][4, 1] = np.nan
    held = held_out_windows(in_block(X))
    expected = [[4, 5], [4, 5], [3]]  # 3 is the step to the missing bin
    assert [np.flatnonzero(row).tolist() for row in held] == expected


def test_given_numbers_are_kept(rotations):
    settings = choose(rotations[0], gain=0.7, window=3, ridge=0.02)
    assert (settings.gain, settings.window, settings.ridge) == (0.7, 3, 0.02)
    assert settings.score > 0.9


def test_too_few_steps_to_choose_on(rotations):
    settings = choose(rotations[0][:, :4])
    assert np.isnan(settings.score)
    assert settings.window == 1


def test_full_rank_uses_every_direction(rotations):
    settings = choose(rotations[0][:, :, :6], full_rank=True)
    assert settings.n_directions == 6


def test_there_are_at_least_as_many_feature_directions_as_ranks(rotations):
    settings = choose(rotations[0])
    assert settings.n_directions >= 2


def test_recording_noise_is_averaged_over_windows():
    X, _, _ = make_rotation_family(
        8, n_neurons=20, noise=0.0, observation_noise=0.5, random_state=0
    )
    chosen, stepwise = choose(X), choose(X, window=1)
    assert chosen.window > 1
    assert chosen.score > stepwise.score


def test_trials_of_a_condition_share_an_embedding_while_settings_are_chosen(rotations):
    X = rotations[0][:7]
    given = {"window": 1, "ridge": 0.1, "gain": 1.0}
    # trials that all share one embedding have the network of trials without any
    together = choose(X, np.zeros(7, dtype=int), **given)
    assert together == choose(X, embedding_dim=0, **given)
    assert together.score < choose(X, **given).score


def test_ridge_is_chosen_again_for_fewer_directions(rotations, monkeypatch):
    """With 12 directions 1 is the best ridge, with fewer 0.01, which 12 would hide."""

    def scored(self, settings):
        wide = settings.n_directions == 12
        off = abs(np.log10(settings.ridge / (1.0 if wide else 0.01)))
        error = (0.5 if wide else 0.1) * (1 + off)
        return settings._replace(score=1 - error)

    monkeypatch.setattr("sklearn_jedi._engine._settings._Search.scored", scored)
    settings = choose(rotations[0], window=1, gain=1.0)
    assert (settings.n_directions, settings.ridge) == (6, 0.01)


def test_no_setting_runs_away_on_noise(rng):
    X = rng.standard_normal((12, 30, 5))
    settings = choose(X)
    # the share of the first bin that decays with the time constant stays
    assert settings.score > -1.1 * np.mean(0.9 ** (2 * np.arange(1, 30)))


def test_the_choice_is_deterministic(rotations):
    X = rotations[0]
    first = choose(X)
    again = choose(X)
    assert first == again


def test_windows_longer_than_every_gapless_run_are_passed_over():
    X = make_rotation_family(4, n_timepoints=40, n_neurons=10, random_state=0)[0]
    X[np.random.default_rng(0).random(X.shape[:2]) < 0.4] = np.nan
    jedi = JEDIEstimator(2, 2, observation="state", max_epochs=0).fit(X)
    assert jedi.window_ < 15
    with pytest.raises(ValueError, match="no trial has 26 time points in a row"):
        JEDIEstimator(2, 2, observation="state", max_epochs=0, window=25).fit(X)
