"""Trials cut into epochs."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_jedi.io import TrialSet
from sklearn_jedi.preprocessing import split_epochs


@pytest.fixture
def X():
    """3 trials x 100 bins x 2 neurons whose values name trial and bin."""
    bins = np.arange(3)[:, None] * 1000 + np.arange(100)
    return np.stack([bins, -bins], axis=-1).astype(float)


WINDOWS = {"early": (-0.2, 0.1), "late": (0.0, 0.3)}


def test_windows_labels_and_order(X):
    cut = split_epochs(
        X, WINDOWS, y=["a", "b", "c"], groups=[7, 7, 8], dt=0.01, start=-0.3
    )
    np.testing.assert_array_equal(cut.X, np.concatenate([X[:, 10:40], X[:, 30:60]]))
    assert cut.epochs.tolist() == ["early"] * 3 + ["late"] * 3
    assert cut.y.tolist() == ["a", "b", "c"] * 2
    assert cut.groups.tolist() == [7, 7, 8] * 2
    assert cut.trials.tolist() == [0, 1, 2] * 2
    assert split_epochs(X, WINDOWS, start=-0.3)[2:4] == (None, None)


def test_each_trial_aligned_to_its_own_event(X):
    events = np.array([0.3, 0.42, 0.5])  # after the first bin
    cut = split_epochs(X, {"around": (-0.1, 0.1)}, start=-events)
    np.testing.assert_array_equal(
        cut.X, np.stack([X[0, 20:40], X[1, 32:52], X[2, 40:60]])
    )


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([0.001, 0.005, 0.01, 0.02, 1 / 30]),
    st.integers(-500, 500),
    st.integers(0, 60),
    st.integers(1, 40),
)
def test_edges_are_exact_whatever_rounds(dt, first, begin, n_bins):
    X = np.arange(100.0).reshape(1, 100, 1)
    window = ((first + begin) * dt, (first + begin + n_bins) * dt)
    cut = split_epochs(X, {"w": window}, dt=dt, start=first * dt)
    np.testing.assert_array_equal(cut.X, X[:, begin : begin + n_bins])


def test_windows_of_different_lengths_make_a_list(X):
    cut = split_epochs(X, {"short": (0, 0.2), "long": (0.2, 1.0)})
    assert [epoch.shape for epoch in cut.X] == [(20, 2)] * 3 + [(80, 2)] * 3
    np.testing.assert_array_equal(cut.X[4], X[1, 20:])


def test_lists_stay_lists_and_epochs_are_copies(X):
    trials = [X[0], X[1, :60], X[2, :70]]
    cut = split_epochs(trials, WINDOWS, start=-0.3)
    assert isinstance(cut.X, list)
    np.testing.assert_array_equal(cut.X[5], X[2, 30:60])
    cut.X[5][:] = 0
    assert X[2, 30, 0] == 2030


def test_frames_keep_index_and_columns(X):
    times = np.arange(-30, 70) / 100
    frames = [pd.DataFrame(x, index=times, columns=["u", "v"]) for x in X]
    cut = split_epochs(frames, WINDOWS, start=-0.3)
    pd.testing.assert_frame_equal(cut.X[4], frames[1].loc[-0.001:0.295])
    polars = [pl.DataFrame(x, schema=["u", "v"]) for x in X]
    assert split_epochs(polars, WINDOWS, start=-0.3).X[4].equals(polars[1][30:60])


@pytest.mark.parametrize("ragged", [False, True])
def test_the_time_step_is_that_of_the_trials(X, ragged):
    values = [X[0], X[1, :80], X[2]] if ragged else X
    tables = pd.DataFrame(index=range(3)), pd.DataFrame(index=range(2))
    trials = TrialSet(values, 0.02, *tables)
    cut = split_epochs(trials, {"w": (0.2, 0.4)})
    np.testing.assert_array_equal(cut.X, X[:, 10:20])
    with pytest.warns(UserWarning, match=r"dt=0\.01 s .* 0\.02 s apart"):
        np.testing.assert_array_equal(
            split_epochs(trials, {"w": (0.2, 0.4)}, dt=0.01).X, X[:, 20:40]
        )


def test_labelled_arrays(X):
    coords = {"time": np.arange(100) * 0.02}
    trials = xr.DataArray(X, coords, ("trial", "time", "neuron"))
    cut = split_epochs(trials.transpose("neuron", "trial", "time"), {"w": (0.2, 0.4)})
    np.testing.assert_array_equal(cut.X, X[:, 10:20])
    listed = split_epochs(list(trials), {"w": (0.2, 0.4)})
    np.testing.assert_allclose(listed.X[2].time, np.arange(0.2, 0.39, 0.02))


@pytest.mark.filterwarnings("ignore:.* reads a 2-D X:UserWarning")
def test_2d_stays_2d_where_windows_are_of_one_length(X):
    flat = X[:, :, 0]
    cut = split_epochs(flat, WINDOWS, start=-0.3)
    np.testing.assert_array_equal(cut.X[3:], flat[:, 30:60])
    cut = split_epochs(flat, {"short": (0, 0.2), "long": (0.2, 1.0)})
    assert [epoch.shape for epoch in cut.X] == [(20, 1)] * 3 + [(80, 1)] * 3


def test_dtype_and_gaps_are_kept(X):
    X = X.astype(np.float32)
    X[1, 35, 0] = np.nan
    cut = split_epochs(X, WINDOWS, start=-0.3)
    assert cut.X.dtype == np.float32
    np.testing.assert_array_equal(cut.X[4], X[1, 30:60])
    counts = split_epochs(np.ones((2, 10, 1), dtype=np.uint8), {"w": (0, 0.05)}).X
    assert counts.dtype == np.uint8


@pytest.mark.parametrize("padded", [True, False])
def test_windows_beyond_a_trial_are_refused(X, padded):
    X[1, 55:] = np.nan
    trials = X if padded else [X[0], X[1, :55], X[2]]
    with pytest.raises(
        ValueError,
        match=r"window 'late' from 0 to 0.3 s reaches beyond trial 1, which covers "
        r"-0.3 to 0.25 s \(so for 1 of 3 trials",
    ):
        split_epochs(trials, WINDOWS, start=-0.3)
    with pytest.raises(ValueError, match=r"'early' .* trial 0, which covers 0 to 1 s"):
        split_epochs(trials, WINDOWS)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"windows": {}}, ValueError, "windows is empty"),
        ({"windows": [(0, 1)]}, TypeError, "windows must be a dict"),
        (
            {"windows": {"w": (0.5, 0.5)}},
            ValueError,
            "window 'w' from 0.5 to 0.5 s has",
        ),
        ({"windows": {"w": (0.5, 0.2)}}, ValueError, "has no bin"),
        ({"windows": {"w": (0.5, 0.504)}}, ValueError, "has no bin"),
        ({"windows": {"w": ("0", "1")}}, ValueError, r"must be \(start, stop\)"),
        ({"windows": {"w": 0.5}}, ValueError, r"window 'w' must be \(start, stop\)"),
        ({"windows": {"w": (0, np.nan)}}, ValueError, r"must be \(start, stop\)"),
        ({"dt": 0}, ValueError, "dt must be positive"),
        ({"start": [0, 0]}, ValueError, r"start must be one number or one per trial"),
        ({"start": np.inf}, ValueError, "start must be finite"),
        ({"y": [1, 2]}, ValueError, "y must have one entry per trial"),
        ({"groups": [1]}, ValueError, "groups must have one entry per trial"),
    ],
)
def test_bad_arguments(X, arguments, error, message):
    arguments = {"windows": {"w": (0.0, 0.5)}, **arguments}
    with pytest.raises(error, match=message):
        split_epochs(X, **arguments)


@pytest.mark.parametrize("stop", [0.25, 0.4])
def test_preparation_and_movement_of_a_recording(real_data, stop):
    with np.load(real_data / "hatsopoulos2007.npz") as recording:
        rates, time = recording["rates"], recording["time_ms"]
    windows = {"preparation": (-0.6, -0.2), "movement": (-0.15, stop)}
    cut = split_epochs(rates, windows, groups=np.arange(8), start=time[0] / 1000)
    preparation = rates[:, (time >= -600) & (time < -200)]
    movement = rates[:, (time >= -150) & (time < round(1000 * stop))]
    assert isinstance(cut.X, list) == (stop == 0.4)
    for epoch, expected in zip(cut.X, [*preparation, *movement], strict=True):
        np.testing.assert_array_equal(epoch, expected)
