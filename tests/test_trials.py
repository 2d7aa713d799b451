"""Trials read in pieces: order, gaps, lengths, groups and units."""

import numpy as np
import pytest
from conftest import in_block, in_trials

from sklearn_jedi._data._units import Scaling


@pytest.fixture
def ragged(rng):
    """Trials of 5, 3 and 4 bins of 2 neurons; the second misses a value."""
    X = [rng.standard_normal((length, 2)) for length in (5, 3, 4)]
    X[1][1, 0] = np.nan
    return X


def test_blocks_hold_every_trial_in_order(rng):
    X = rng.standard_normal((7, 4, 5))
    blocks = list(in_trials(X, batch_size=2).blocks())
    assert [len(block.values) for block in blocks] == [2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([b.values for b in blocks]), X)
    np.testing.assert_array_equal(np.concatenate([b.numbers for b in blocks]), range(7))


@pytest.mark.parametrize("scale", [None, 30.0])
def test_what_is_read_is_a_contiguous_float64_copy(rng, scale):
    X = rng.standard_normal((7, 4, 5))
    for data in (X, X.astype(np.float32), X[:, ::-1], X[::-1]):
        trials = in_trials(data)
        if scale:
            trials = trials.in_units(Scaling(np.zeros(5), np.full(5, scale)))
        values = trials.read(np.arange(7)).values
        expected = data.astype(np.float64) / (scale or 1)
        np.testing.assert_array_equal(values, expected)
        assert values.dtype == np.float64
        assert values.flags.c_contiguous
        assert not np.shares_memory(values, data)


def test_short_trials_are_padded_and_gaps_are_zero(ragged):
    block = in_block(ragged)
    assert block.values.shape == (3, 5, 2)
    np.testing.assert_array_equal(block.lengths, [5, 3, 4])
    for i, trial in enumerate(ragged):
        expected = np.zeros((5, 2))
        expected[: len(trial)] = np.nan_to_num(trial)
        np.testing.assert_array_equal(block.values[i], expected)
        np.testing.assert_array_equal(block.recorded[i, : len(trial)], ~np.isnan(trial))
        assert not block.recorded[i, len(trial) :].any()
    np.testing.assert_array_equal(block.n_recorded, [11, 12])


def test_bins_are_whole_and_steps_lie_between_two(ragged):
    block = in_block(ragged)
    bins = [[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [1, 1, 1, 1, 0]]
    steps = [[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0]]
    np.testing.assert_array_equal(block.bins, np.array(bins, dtype=bool))
    np.testing.assert_array_equal(block.steps, np.array(steps, dtype=bool))
    np.testing.assert_array_equal(block.last_bins(), [4, 2, 3])
    np.testing.assert_array_equal(block.within.sum(1), [5, 3, 4])


def test_groups_are_not_divided_and_are_summed(rng):
    X = rng.standard_normal((6, 4, 2))
    groups = np.array([1, 0, 1, 2, 0, 1])
    blocks = list(in_trials(X, groups, batch_size=2).blocks())
    assert [b.numbers.tolist() for b in blocks] == [[1, 4], [0, 2, 5], [3]]
    assert [b.labels.tolist() for b in blocks] == [[0], [1], [2]]
    block = in_block(X, groups)
    np.testing.assert_array_equal(block.values, X[block.numbers])
    np.testing.assert_array_equal(block.labels[block.group], groups[block.numbers])
    for label, total in zip(block.labels, block.sum_groups(block.values), strict=True):
        np.testing.assert_allclose(total, X[groups == label].sum(0))


def test_trials_that_start_later(ragged):
    later = in_trials(ragged).starting_at(np.array([2, 0, 1]))
    block = later.read(np.arange(3))
    np.testing.assert_array_equal(block.lengths, [3, 3, 3])
    np.testing.assert_array_equal(block.values[0], ragged[0][2:])
    np.testing.assert_array_equal(block.values[2], ragged[2][1:])


def test_trials_that_are_taken_keep_their_values(ragged):
    taken = in_trials(ragged).take(np.array([2, 0])).take(np.array([1]))
    np.testing.assert_array_equal(taken.read(np.array([0])).values[0], ragged[0])
    assert len(in_trials(ragged).sample(2)) == 2
    assert len(in_trials(ragged).sample(9)) == 3


@pytest.mark.parametrize("n_conditions", [2, 3, 8])
def test_a_sample_has_trials_of_conditions_that_take_turns(n_conditions):
    condition = np.tile(np.arange(n_conditions), 48 // n_conditions)
    X = np.broadcast_to(condition[:, None, None], (48, 3, 2)).astype(float)
    drawn = in_trials(X).sample(24)
    order = drawn.read(np.arange(24)).values[:, 0, 0]
    np.testing.assert_array_equal(np.unique(order), np.arange(n_conditions))
    numbered = np.broadcast_to(np.arange(48.0)[:, None, None], (48, 3, 2))
    chosen = in_trials(numbered).sample(32).read(np.arange(32)).values[:, 0, 0]
    assert len(np.unique(chosen)) == 32  # none twice
    again = in_trials(X).sample(24).read(np.arange(24)).values[:, 0, 0]
    np.testing.assert_array_equal(order, again)
