"""Trials from npz files and labelled arrays, and the set of trials itself."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from broken_files import check_refusals, open_files

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.io import TrialSet, trials_from_npz, trials_from_xarray

X = np.arange(24.0).reshape(2, 4, 3)
MS = [-15.0, -5.0, 5.0, 15.0]


@pytest.fixture
def save(tmp_path):
    def save(**arrays):
        path = tmp_path / "saved.npz"
        np.savez(path, **arrays)
        return path

    return save


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_npz(save, axes):
    names = ("trial", "time", "neuron")
    path = save(
        spikes=X.transpose(axes).astype(np.uint8),
        ms=MS,
        side=["left", "right"],
        target=[3, 1],
        hand=np.zeros((2, 4)),
        made="today",
    )
    trials = trials_from_npz(
        path, time="ms", time_unit="ms", dims=tuple(names[axis] for axis in axes)
    )
    np.testing.assert_array_equal(trials.X, X)
    assert trials.X.dtype == np.float64
    assert (trials.dt, trials.start) == (0.01, -0.02)
    np.testing.assert_allclose(trials.time, np.array(MS) / 1000)
    assert list(trials.table) == ["side", "target"]
    assert trials.table["side"].tolist() == ["left", "right"]
    assert trials.units.index.tolist() == [0, 1, 2]
    assert not open_files(path.parent)


def test_single_trials_of_motor_cortex(real_data):
    path = real_data / "chewie_single_trial.npz"
    trials = trials_from_npz(
        path, key="spikes_10ms", time="time_ms_from_go", time_unit="ms"
    )
    with np.load(path) as recording:
        np.testing.assert_array_equal(trials.X, recording["spikes_10ms"])
        np.testing.assert_array_equal(trials.table["target"], recording["target"])
    assert (trials.X.shape, trials.dt) == ((96, 31, 71), 0.01)
    np.testing.assert_allclose(trials.time, np.arange(0.15, 0.455, 0.01))
    assert list(trials.table) == ["target", "is_train_block"]


def test_averages_of_motor_cortex(real_data):
    path = real_data / "hatsopoulos2007.npz"
    trials = trials_from_npz(path, key="rates", time="time_ms", time_unit="ms")
    assert (trials.X.shape, trials.dt, trials.start) == ((8, 121, 141), 0.01, -0.805)
    assert list(trials.table) == ["reach_angle_deg", "mean_move_dur_ms"]
    with pytest.raises(ValueError, match=r"'rates'.*'hand_pos_norm', 'hand_vel_norm'"):
        trials_from_npz(path, time="time_ms")


def test_objects_are_not_unpickled(save):
    objects = np.array([{"a": 1}, None], dtype=object)
    path = save(X=X, label=objects)
    with pytest.warns(UserWarning, match=r"saved.npz: 'label' holds Python objects"):
        assert list(trials_from_npz(path, dt=0.01).table) == []
    with pytest.raises(ValueError, match=r"'label' holds Python objects, .* run code"):
        trials_from_npz(path, key="label", dt=0.01)


@pytest.mark.parametrize(
    ("arrays", "arguments", "message"),
    [
        ({"X": X}, {}, r"saved.npz: X: the bin width is not known: pass dt"),
        ({"X": X}, {"dt": -1.0}, r"dt must be positive"),
        ({"X": X}, {"key": "Y", "dt": 0.01}, r"'Y' is none of them; candidates: 'X'"),
        ({"X": X[0]}, {"dt": 0.01}, r"three axes: key must name one; candidates: none"),
        ({"X": X[0]}, {"key": "X", "dt": 0.01}, r"X must have three axes .* \(4, 3\)"),
        ({"X": X[:0]}, {"dt": 0.01}, r"saved.npz: X is empty; shape \(0, 4, 3\)"),
        ({"X": X + np.inf}, {"dt": 0.01}, r"saved.npz: X has infinite values"),
        ({"X": X}, {"time": "t"}, r"saved.npz has no array 't'; there are: 'X'"),
        ({"X": X, "t": MS[:3]}, {"time": "t"}, r"saved.npz: t are 3, .* 4 bins"),
        ({"X": X, "t": [0, 1, 3, 4]}, {"time": "t"}, r"t must increase in even steps"),
        ({"X": X, "t": MS[::-1]}, {"time": "t"}, r"t must increase in even steps"),
        ({"X": X, "t": MS}, {"time": "t", "dt": 0.01}, r"are 10 s apart, but dt=0.01"),
        ({"X": X, "t": MS}, {"time": "t", "time_unit": "h"}, r"time_unit must be one"),
        ({"X": X, "t": ["a"] * 4}, {"time": "t"}, r"saved.npz: t are not numbers"),
        ({"X": X}, {"dims": ("trial", "time")}, r"dims must name the axes"),
    ],
)
def test_npz_that_cannot_be_read(save, arrays, arguments, message):
    with pytest.raises(ValueError, match=message):
        trials_from_npz(save(**arrays), **arguments)


def test_files_of_other_kinds(save, tmp_path):
    good = save(X=np.random.default_rng(0).random((20, 30, 10)))
    folder = tmp_path / "folder"
    folder.mkdir()
    check_refusals(
        lambda path: trials_from_npz(path, dt=0.01), "an npz file", good, folder
    )
    damaged = bytearray(good.read_bytes())
    damaged[200:220] = bytes(20)
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"damaged.npz cannot be read as an npz file"):
        trials_from_npz(tmp_path / "damaged.npz", dt=0.01)
    np.save(tmp_path / "one.npy", X)
    with pytest.raises(ValueError, match=r"one.npy holds a single array"):
        trials_from_npz(tmp_path / "one.npy", dt=0.01)


@pytest.fixture
def array():
    coords = {
        "time": [-0.015, -0.005, 0.005, 0.015],
        "trial": [8, 9],
        "neuron": ["a", "b", "c"],
        "side": ("trial", ["left", "right"]),
        "area": ("neuron", ["M1", "M1", "PMd"]),
        "subject": "x",
    }
    return xr.DataArray(X, coords, ("trial", "time", "neuron"))


def test_xarray_in_any_order_and_back(array):
    trials = trials_from_xarray(array.transpose("neuron", "trial", "time"))
    np.testing.assert_array_equal(trials.X, X)
    assert (trials.dt, trials.start) == (0.01, -0.02)
    assert trials.table.to_dict("index") == {8: {"side": "left"}, 9: {"side": "right"}}
    assert trials.units.index.tolist() == ["a", "b", "c"]
    assert trials.units["area"].tolist() == ["M1", "M1", "PMd"]
    back = trials.to_xarray()
    xr.testing.assert_allclose(back, array.drop_vars("subject"))
    assert back.attrs == {"dt": 0.01}


def test_xarray_without_times(array):
    bare = array.drop_vars(["time", "trial"])
    trials = trials_from_xarray(bare, dt=0.02)
    assert (trials.dt, trials.start) == (0.02, 0)
    assert trials.table.index.tolist() == [0, 1]
    bare.attrs["dt"] = 0.05
    assert trials_from_xarray(bare).dt == 0.05
    one = trials_from_xarray(array[:, :1], dt=0.01)
    assert (one.X.shape, one.start) == ((2, 1, 3), -0.02)


def test_differences_of_times_are_read_in_seconds(array):
    steps = pd.to_timedelta(array["time"].values, unit="s")
    trials = trials_from_xarray(array.assign_coords(time=steps), time_unit="ms")
    assert (trials.dt, trials.start) == (0.01, -0.02)


def dated(array):
    days = pd.date_range("2026-01-01", periods=array.sizes["time"])
    return array.assign_coords(time=days)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda a: a.values, TypeError, "must be an xarray.DataArray; got ndarray"),
        (lambda a: a.to_dataset(name="x"), TypeError, "got Dataset: choose a variable"),
        (lambda a: a[0], ValueError, r"it has \('time', 'neuron'\)"),
        (lambda a: a.rename(time="t"), ValueError, r"array.rename\(\{'t': 'time'\}"),
        (lambda a: a.drop_vars("time"), ValueError, "the bin width is not known"),
        (lambda a: a[:, [0, 1, 3]], ValueError, "must increase in even steps"),
        (lambda a: a[:, :0], ValueError, "array is empty"),
        (dated, ValueError, "are dates"),
        (lambda a: a.astype(str), ValueError, "array must hold real numbers"),
    ],
)
def test_xarray_that_cannot_be_read(array, change, error, message):
    with pytest.raises(error, match=message):
        trials_from_xarray(change(array))


def test_ragged_trials_to_xarray():
    table = pd.DataFrame({"time": [1.5, 2.5], "rt": [0.2, np.nan]}, index=[4, 6])
    units = pd.DataFrame({"rt": [1, 2, 3]})
    start = np.array([-0.01, -0.02])
    trials = TrialSet([X[0, :2], X[1]], 0.01, table, units, start)
    array = trials.to_xarray()
    np.testing.assert_array_equal(array[0, :2], X[0, :2])
    assert np.isnan(array[0, 2:]).all()
    np.testing.assert_allclose(array["time"], [0.005, 0.015, 0.025, 0.035])
    np.testing.assert_allclose(array["start"], start)
    assert array["trial_time"].values.tolist() == [1.5, 2.5]
    assert array["neuron_rt"].values.tolist() == [1, 2, 3]
    one = trials.select(trials="rt < 1", units="rt != 2")
    np.testing.assert_array_equal(one.X, X[:1, :2][:, :, [0, 2]])
    assert one.start.tolist() == [-0.01]
    assert (
        repr(trials)
        == "TrialSet(2 trials, 2-4 bins of 0.01 s, 3 neurons; table: time, rt)"
    )


def test_labelled_trials_are_fitted(rotations):
    activity, y, _ = rotations
    table = pd.DataFrame({"y": y})
    trials = TrialSet(activity, 0.01, table, pd.DataFrame(index=range(20)))
    jedi = JEDIEstimator(rank=2, embedding_dim=2, max_epochs=0)
    Z = jedi.fit_transform(trials.to_xarray())
    np.testing.assert_allclose(Z, jedi.fit_transform(activity))


def test_missing_library_names_the_extra():
    from sklearn_jedi.io._files import import_io

    with pytest.raises(ImportError, match=r"needs no_such_reader.*sklearn-jedi\[io\]"):
        import_io("no_such_reader")
