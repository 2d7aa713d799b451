"""Trials from pynapple's spikes, continuous activity and tensors."""

import numpy as np
import pandas as pd
import pynapple as nap
import pytest
from packaging.version import Version

from sklearn_jedi.io import trials_from_pynapple

SESSION = nap.IntervalSet(0, 10)


@pytest.fixture(scope="module")
def spikes():
    return nap.TsGroup(
        {2: nap.Ts([1.0, 1.05, 4.2]), 5: nap.Ts([1.1, 4.0])},
        time_support=SESSION,
        metadata={"area": ["M1", "PMd"]},
    )


@pytest.fixture(scope="module")
def epochs():
    metadata = {"side": ["l", "r"], "go": [1.1, np.nan]}
    return nap.IntervalSet([1.0, 4.0], [1.3, 4.5], metadata=metadata)


def test_each_interval_is_a_trial(spikes, epochs):
    trials = trials_from_pynapple(spikes, epochs, bin_size=0.1)
    assert [x.T.tolist() for x in trials.X] == [
        [[2, 0, 0], [0, 1, 0]],
        [[0, 0, 1, 0, 0], [1, 0, 0, 0, 0]],
    ]
    assert trials.start == 0
    assert trials.table["side"].tolist() == ["l", "r"]
    assert trials.units["area"].tolist() == ["M1", "PMd"]


def test_alignment_selection_and_windows(spikes, epochs):
    with pytest.warns(UserWarning, match="epochs: 1 of 2 trials are left out: go is"):
        trials = trials_from_pynapple(
            spikes, epochs, align="go", window=(-0.1, 0.1), bin_size=0.1, units=[5]
        )
    assert trials.X.tolist() == [[[0], [1]]]
    assert trials.start == -0.1
    window = ("start", 0.2)
    X, _, table = trials_from_pynapple(
        spikes, epochs, align="start", window=window, bin_size=0.1, trials="side == 'r'"
    )
    assert X.tolist() == [[[0, 1], [0, 0]]]
    assert table.index.tolist() == [1]


def test_intervals_that_touch_keep_their_last_bin(spikes):
    with pytest.warns(UserWarning, match="Some starts and ends are equal"):
        epochs = nap.IntervalSet([1.0, 1.1], [1.1, 1.2])
    X, _, _ = trials_from_pynapple(spikes, epochs, bin_size=0.1)
    assert X.tolist() == [[[2, 0]], [[0, 1]]]


def test_overlapping_trials_from_a_dataframe(spikes):
    table = pd.DataFrame({"start": [1.0, 0.98], "end": [1.1, 1.19]}, index=["a", "b"])
    trials = trials_from_pynapple(spikes, table, bin_size=0.1)
    assert [x[:, 0].tolist() for x in trials.X] == [[2], [2, 0]]
    assert trials.table.index.tolist() == ["a", "b"]


def test_time_support_that_was_given(spikes):
    part = spikes.restrict(nap.IntervalSet([0, 1.1], [1.05, 4.1]))
    table = pd.DataFrame({"start": [1.0, 3.9, 6.0], "end": [1.2, 4.2, 6.2]})
    with pytest.warns(UserWarning, match="1 of 3 trials .* nothing was recorded"):
        X = trials_from_pynapple(part, table, bin_size=0.1).X
    nan = np.nan
    np.testing.assert_array_equal(X[0], [[nan, nan], [0, 1]])
    np.testing.assert_array_equal(X[1], [[0, 0], [0, 1], [nan, nan]])


def test_time_support_that_pynapple_made_up():
    """From the first spike to the last: no bin before or after is missing."""
    group = nap.TsGroup({0: nap.Ts([1.05, 4.2]), 1: nap.Ts([1.1, 2.0])})
    table = pd.DataFrame({"start": [0.9, 4.1], "end": [1.2, 4.4]})
    X = trials_from_pynapple(group, table, bin_size=0.1).X
    assert X[:, :, 0].tolist() == [[0, 1, 0], [0, 1, 0]]


def test_continuous_activity_is_averaged(epochs):
    times = np.arange(1000) * 0.01
    values = np.stack([times, np.ones(1000)], axis=1)
    frame = nap.TsdFrame(
        t=times, d=values, columns=["a", "b"], metadata={"depth": [3, 4]}
    )
    trials = trials_from_pynapple(frame, epochs, window=(0, 0.2), bin_size=0.1)
    np.testing.assert_allclose(trials.X[0], [[1.045, 1], [1.145, 1]])
    np.testing.assert_allclose(trials.X[1, :, 0], [4.045, 4.145])
    assert trials.units["depth"].tolist() == [3, 4]
    X = trials_from_pynapple(frame, epochs, bin_size=0.1, units="depth > 3").X
    assert [x.shape for x in X] == [(3, 1), (5, 1)]
    one = nap.Tsd(t=times, d=times)
    np.testing.assert_allclose(
        trials_from_pynapple(one, epochs, window=(0, 0.2), bin_size=0.1).X,
        trials.X[:, :, :1],
    )
    with pytest.raises(ValueError, match=r"bin_size=0.001 s is shorter than the 0.01"):
        trials_from_pynapple(one, epochs, bin_size=0.001)


def test_tensor(epochs):
    times = np.arange(-5, 11) * 0.01
    values = times[:, None, None] + epochs.start[:, None] * [1, -1]
    tensor = nap.TsdTensor(t=times, d=values)
    trials = trials_from_pynapple(tensor, epochs, trials="side == 'r'")
    np.testing.assert_allclose(trials.X[0, :, 0], 4 + times)
    np.testing.assert_allclose(trials.X[0, :, 1], -4 + times)
    np.testing.assert_allclose(trials.time, times, atol=1e-12)
    assert trials.table["side"].tolist() == ["r"]
    assert trials_from_pynapple(tensor).X.shape == (2, 16, 2)
    with pytest.raises(ValueError, match="do not apply to a TsdTensor"):
        trials_from_pynapple(tensor, window=(0, 1))
    with pytest.raises(ValueError, match=r"epochs has 1 rows, .* has 2 trials"):
        trials_from_pynapple(tensor, epochs[:1])


@pytest.mark.skipif(
    Version(nap.__version__) < Version("0.11"),
    reason="compute_perievent takes continuous activity from pynapple 0.11 on",
)
def test_perievent_tensor(epochs):
    times = np.arange(1000) * 0.01
    frame = nap.TsdFrame(t=times, d=np.stack([times, -times], axis=1))
    tensor = nap.compute_perievent(frame, nap.Ts(epochs.start), (0.05, 0.1))
    expected = epochs.start[:, None] + np.arange(-5, 11) * 0.01
    X = trials_from_pynapple(tensor).X
    np.testing.assert_allclose(X, np.stack([expected, -expected], axis=2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"data": np.zeros(3)}, TypeError, "data must be a TsGroup.*got ndarray"),
        ({"epochs": [0, 1]}, TypeError, "epochs must be an IntervalSet.*got list"),
        ({"epochs": None}, TypeError, "epochs must be an IntervalSet.*got NoneType"),
        ({"data": nap.TsGroup({}, SESSION)}, ValueError, "data is empty"),
        ({"epochs": pd.DataFrame({"start": []})}, ValueError, "epochs is empty"),
        ({"align": "cue"}, ValueError, "epochs has no column 'cue'; .*'start', 'end'"),
        ({"window": (20, 30)}, ValueError, "nothing was recorded in the window"),
        ({"units": "area == 'V1'"}, ValueError, "data: units: .* none of the 2 units"),
    ],
)
@pytest.mark.filterwarnings("ignore:.* trials are left out")
def test_what_cannot_be_read(spikes, epochs, arguments, error, message):
    with pytest.raises(error, match=message):
        trials_from_pynapple(**{"data": spikes, "epochs": epochs} | arguments)
