"""Second halves of trials, against forecasts that say what they were given."""

import numpy as np
import pytest

from sklearn_jedi._data._halves import second_halves


def ramps(*lengths):
    """Trials whose value is the number of the time point."""
    return [np.arange(n, dtype=float)[:, None] for n in lengths]


def counting(first, n_steps):
    """Goes on from the last value given, one up each step."""
    return [part[-1] + np.arange(1, n_steps + 1)[:, None] for part in first]


@pytest.mark.parametrize("n_given", [None, 3])
def test_what_is_compared_are_the_same_time_points(n_given):
    X = ramps(8, 5, 11)
    later, predicted = second_halves(counting, X, n_given)
    for trial, part, run in zip(X, later, predicted, strict=True):
        n = len(trial) // 2 if n_given is None else n_given
        np.testing.assert_array_equal(part, trial[n:])
        np.testing.assert_array_equal(run, part)


def test_a_gap_at_the_end_of_the_first_half_shifts_nothing():
    (trial,) = ramps(10)
    trial[3:5] = np.nan
    trial[7] = np.nan
    later, predicted = second_halves(counting, [trial, *ramps(6)])
    np.testing.assert_array_equal(predicted[0][:, 0], np.arange(5, 10))
    np.testing.assert_array_equal(later[0], trial[5:])
    np.testing.assert_array_equal(predicted[1], later[1])


def test_short_trials_have_no_second_half():
    later, predicted = second_halves(counting, ramps(2, 3))
    assert [len(part) for part in later] == [0, 1]
    assert [len(run) for run in predicted] == [0, 1]
