"""Times of trials and spikes: of another clock or unit, corrupt, or too many."""

import contextlib
import warnings

import h5py
import numpy as np
import pandas as pd
import pynapple as nap
import pytest
import xarray as xr
from nwb_files import write_nwb
from scipy.io import savemat

from sklearn_jedi.io import (
    TrialSet,
    trials_from_mat,
    trials_from_npz,
    trials_from_nwb,
    trials_from_pynapple,
    trials_from_xarray,
)
from sklearn_jedi.io._intervals import duration, union
from sklearn_jedi.io._size import check_n_bins, new_array
from sklearn_jedi.io._text import with_text
from sklearn_jedi.io._trial_times import corrupt_times

STARTS = np.arange(1.0, 55.0, 3.0)
N_TRIALS = len(STARTS)


@pytest.fixture(scope="module")
def spikes():
    """Of 3 units, 10 a second for 60 s."""
    rng = np.random.default_rng(0)
    return [np.sort(rng.uniform(0, 60, 600)) for _ in range(3)]


def table_of(**columns):
    return pd.DataFrame({"start_time": STARTS, "stop_time": STARTS + 2} | columns)


def read_nwb(path, spikes, trials, **options):
    write_nwb(path, spikes, trials)
    return trials_from_nwb(path, **options)


def read_pynapple(_, spikes, trials, **options):
    names = {"start_time": "start", "stop_time": "end"}
    window = tuple(names.get(end, end) for end in options.pop("window"))
    options["align"] = names.get(options["align"], options["align"])
    data = nap.TsGroup(
        {k: nap.Ts(train) for k, train in enumerate(spikes)},
        time_support=nap.IntervalSet(0, max(train[-1] for train in spikes) + 1),
    )
    epochs = trials.rename(columns=names)
    return trials_from_pynapple(data, epochs, window=window, **options)


READERS = {"nwb": read_nwb, "pynapple": read_pynapple}


@pytest.fixture(params=READERS)
def read(request, tmp_path):
    def called(spikes, trials, **options):
        """Trials, or None if they are refused, and the warnings."""
        found, path = None, tmp_path / "session.nwb"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with contextlib.suppress(ValueError):
                found = READERS[request.param](path, spikes, trials, **options)
        return found, [str(w.message) for w in caught if w.category is UserWarning]

    return called


# ------------------------------------------------------------------ clocks of trials


def test_times_of_the_session_draw_no_warning(read, spikes):
    trials, said = read(
        spikes, table_of(go=STARTS + 0.5), align="go", window=(0.1, 0.5)
    )
    assert said == []
    counts = [np.histogram(spikes[1], t + 0.5 + np.r_[0.1, 0.5])[0][0] for t in STARTS]
    np.testing.assert_array_equal(trials.X.sum(1)[:, 1], counts)


@pytest.mark.parametrize(
    ("go", "n_outside", "why"),
    [
        (np.full(N_TRIALS, 0.5), N_TRIALS, "from the beginning of each trial"),
        (np.where(np.arange(N_TRIALS) % 3, STARTS + 0.5, 0.0), 6, "if 0 means that"),
        (1000 * (STARTS + 0.5), N_TRIALS, "looks like ms; divide it by 1000"),
    ],
    ids=["relative", "0 for no event", "ms"],
)
def test_alignment_outside_of_its_trials_is_named(read, spikes, go, n_outside, why):
    said = read(spikes, table_of(go=go), align="go", window=(0.1, 0.5))[1]
    first = next(text for text in said if "lies outside" in text)
    assert f"in {n_outside} of {N_TRIALS} trials" in first
    assert "'go'" in first
    assert why in first


def test_trials_at_one_place_are_named(read, spikes):
    said = read(spikes, table_of(go=np.full(N_TRIALS, 0.5)), align="go", window=(0, 1))
    assert any(f"{N_TRIALS} of {N_TRIALS} trials have the window" in t for t in said[1])


# ---------------------------------------------------------------------- spike clocks


@pytest.mark.parametrize(
    ("of_second", "rounded", "hint"),
    [
        (1e3, False, "look like ms; divide them by 1000"),
        (3e4, True, "look like sample numbers; divide them by the sampling rate"),
    ],
)
def test_spike_times_in_another_unit_are_named(read, spikes, of_second, rounded, hint):
    other = [train * of_second for train in spikes]
    if rounded:
        other = [np.unique(np.rint(train)) for train in other]
    said = read(other, table_of(), align="start_time", window=(0, 0.5))[1]
    assert len([text for text in said if hint in text]) == 1
    assert any("all 3 units" in text for text in said)


@pytest.mark.parametrize(
    ("go", "hint"), [(0.5, "they look like ms"), (500.0, "all times look like ms")]
)
def test_spike_times_of_mat_files_in_another_unit_are_named(tmp_path, spikes, go, hint):
    """Of trials on their own clocks, with the event in s or in ms, too."""
    saved = []
    for start in STARTS:
        cell = np.empty(3, dtype=object)
        cell[:] = [1e3 * (x[(x >= start) & (x < start + 2)] - start) for x in spikes]
        saved.append({"spikes": cell, "go": go})
    path = tmp_path / "s.mat"
    savemat(path, {"trials": saved})
    options = {"spike_times": "spikes", "align": "go", "window": (0.0, 0.5)}
    with pytest.warns(UserWarning, match=f"{hint}; pass their time_unit=, or divide"):
        trials_from_mat(path, **options)
    if go == 500.0:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trials = trials_from_mat(path, time_unit="ms", **options)
        edges = STARTS[3] + 0.5 + np.r_[0.0, 0.5]
        counts = [np.histogram(train, edges)[0][0] for train in spikes]
        np.testing.assert_array_equal(trials.X[3].sum(0), counts)


def test_slow_units_before_time_0_draw_no_warning(recwarn):
    """Of 0.4 spikes/s: times in ms would make such of usual units."""
    data = nap.TsGroup(
        {0: nap.Ts(np.linspace(-150.0, -1.0, 60))},
        time_support=nap.IntervalSet(-151, 0),
    )
    epochs = pd.DataFrame({"start": STARTS - 60, "end": STARTS - 58})
    trials = trials_from_pynapple(data, epochs, align="start", window=(0, 2))
    assert trials.X.sum() == pytest.approx(0.4 * 2 * N_TRIALS, abs=3)
    assert [str(one.message) for one in recwarn] == []


# --------------------------------------------------------------------- corrupt times


def test_a_corrupt_time_costs_its_own_trial(tmp_path, spikes):
    stops = STARTS + 2
    stops[9] = 1e12
    path = write_nwb(tmp_path / "s.nwb", spikes, table_of(stop_time=stops))
    with pytest.warns(UserWarning, match=r"'stop_time' cannot .* in 1 of 18 .* 9: 1e"):
        assert len(trials_from_nwb(path, window=(0, 0.5)).X) == N_TRIALS
    with pytest.warns(UserWarning, match="left out|cannot") as caught:
        trials = trials_from_nwb(path, window=("start_time", "stop_time"))
    assert len(caught) == 2
    assert "1 of 18 trials are left out" in str(caught[1].message)
    np.testing.assert_array_equal(trials.table.index, np.delete(range(N_TRIALS), 9))


def test_what_is_far_from_everything_is_corrupt_unless_most_of_it_is():
    times = np.array([[1.0, 2.0], [4.0, 5.0], [7.0, 1e6], [10.0, np.inf]])
    expected = [[False, False], [False, False], [False, True], [False, True]]
    np.testing.assert_array_equal(corrupt_times(times, (0.0, 12.0)), expected)
    in_ms = np.column_stack([times[:, 0], 1000 * (times[:, 0] + 1)])
    assert not corrupt_times(in_ms, (0.0, 12.0)).any()


def test_too_many_bins_are_refused_before_they_are_counted():
    n_bins, ids = np.array([200.0, 1e11]), np.array([3, 9])
    with pytest.raises(
        ValueError, match=r"trial 9 lasts 1e\+09 s, which is 100,000,000"
    ):
        check_n_bins(n_bins, ids, 0.01, "file")
    n_bins = np.array([200.0, 200.0, 30_000.0])
    with pytest.warns(UserWarning, match="trial 5 lasts 300 s, which is 30,000 bins"):
        check_n_bins(n_bins, np.array([3, 4, 5]), 0.01, "file")
    with pytest.raises(ValueError, match=r"need 74505806\.0 GiB of memory"):
        new_array(10**13, 1000)
    assert new_array(4, 3).shape == (4, 3)


# -------------------------------------------------------------- units of an NWB file


def test_intervals_are_joined():
    joined = union([[4.0, 6.0], [0.0, 2.0], [1.0, 3.0], [0.0, 2.0], [5.0, 5.0]])
    np.testing.assert_array_equal(joined, [[0, 3], [4, 6]])
    assert duration(joined) == 5.0


def test_overlapping_observations_count_once(tmp_path, spikes):
    observed = [np.array([[0.0, 40.0], [20.0, 60.0], [0.0, 40.0]])] * 3
    path = tmp_path / "s.nwb"
    write_nwb(path, spikes, table_of(), units={"obs_intervals": observed})
    trials = trials_from_nwb(path, window=(0, 0.5))
    np.testing.assert_allclose(trials.units["rate"], 10.0)  # 600 spikes in 60 s
    assert np.isfinite(trials.X).all()


@pytest.mark.parametrize(
    ("observed", "rate"),
    [
        ([[0.0, 1e12]], 10.0),
        ([[0.0, 60_000.0]], 10.0),
        ([[-np.inf, np.inf]], 10.0),
        ([[30.0, 60.0], [0.0, 30.0]], 10.0),
        ([[-60.0, 60.0]], 5.0),
    ],
    ids=["corrupt", "ms", "open", "not in order", "longer than the session"],
)
def test_rates_are_of_the_time_that_was_observed(tmp_path, spikes, observed, rate):
    path, trains = tmp_path / "s.nwb", [np.append(0.0, x[1:]) for x in spikes]
    trains = [np.append(train[:-1], 60.0) for train in trains]
    units = {"obs_intervals": [np.array(observed)] * 3}
    write_nwb(path, trains, table_of(), units=units)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trials = trials_from_nwb(path, window=(0, 0.5))
    np.testing.assert_allclose(trials.units["rate"], rate)
    assert np.isfinite(trials.X).all()
    said = [
        "obs_intervals of 3 of 3 units (first: 0) go" in str(w.message) for w in caught
    ]
    assert said == [True] * (np.max(observed) in (1e12, 60_000.0))


def test_corrupt_times_leave_the_rates_of_units_alone(tmp_path, spikes):
    stops, trains = STARTS + 2, list(spikes)
    stops[9], trains[1] = 1e6, np.append(spikes[1][:-1], 1e8)
    path = write_nwb(tmp_path / "s.nwb", trains, table_of(stop_time=stops))
    with pytest.warns(UserWarning, match="cannot be right|the last are corrupt"):
        trials = trials_from_nwb(path, window=(0, 0.5))
    np.testing.assert_allclose(trials.units["rate"], 10.0, rtol=0.01)


@pytest.mark.parametrize(
    "fault", ["end before they begin", "are no numbers", "not in order"]
)
def test_a_bad_unit_can_be_left_out(tmp_path, spikes, fault):
    observed, trains = [np.array([[0.0, 60.0]])] * 3, list(spikes)
    if fault == "end before they begin":
        observed[1] = np.array([[60.0, 0.0]])
    elif fault == "are no numbers":
        observed[1] = np.array([[0.0, np.nan]])
    else:
        trains[1] = spikes[1][::-1]
    path = tmp_path / "s.nwb"
    write_nwb(path, trains, table_of(), units={"obs_intervals": observed})
    with pytest.raises(ValueError, match=f"of unit 1 .*{fault}.*units= can leave it"):
        trials_from_nwb(path, window=(0, 0.5))
    trials = trials_from_nwb(path, window=(0, 0.5), units=[0, 2])
    np.testing.assert_array_equal(trials.units.index, [0, 2])


def test_units_without_an_index_of_spike_times_are_refused(tmp_path, spikes):
    path = write_nwb(tmp_path / "s.nwb", spikes[:1], table_of())
    with h5py.File(path, "a") as file:
        units = file["units"]
        attrs = dict(units["id"].attrs)
        del units["spike_times_index"], units["id"]
        units.create_dataset("id", data=np.arange(600)).attrs.update(attrs)
    with pytest.raises(ValueError, match="units: spike_times has no index"):
        trials_from_nwb(path, window=(0, 0.5))


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ([600, 1200, 9999], "up to the 1800 rows of spike_times; it goes from 600 to"),
        ([600, 300, 1800], "spike_times_index must increase from unit to unit"),
        ([-5, 600, 1800], "it goes from -5 to 1800"),
    ],
)
def test_an_index_of_other_spike_times_is_refused(tmp_path, spikes, ends, said):
    path = write_nwb(tmp_path / "s.nwb", spikes, table_of())
    replace_data(path, "units/spike_times_index", np.array(ends))
    with pytest.raises(ValueError, match=said):
        trials_from_nwb(path, window=(0, 0.5))


def test_spike_times_of_no_unit_are_not_those_of_the_last(tmp_path, spikes):
    path = write_nwb(tmp_path / "s.nwb", spikes, table_of())
    replace_data(path, "units/spike_times_index", np.array([600, 1200, 1500]))
    with pytest.warns(UserWarning, match="the last 300 of 1800 rows of spike_times"):
        trials = trials_from_nwb(path, window=(0, 0.5))
    until = spikes[2][300]
    edges = [np.r_[start, start + 0.5] for start in STARTS]
    counts = [np.histogram(spikes[2][:300], edge)[0][0] for edge in edges]
    np.testing.assert_array_equal(trials.X[..., 2].sum(1), counts)
    assert trials.X[until < STARTS][..., 2].sum() == 0


def replace_data(path, name, values):
    """Put other values in the place of a dataset of an HDF5 file."""
    with h5py.File(path, "a") as file:
        attrs = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, data=values).attrs.update(attrs)


# -------------------------------------------------------------- units of other files


def of_trials(spikes, bad):
    """Spikes about the beginning of each trial, those of unit 1 as `bad`."""
    saved = []
    for start in STARTS:
        cell = np.empty(3, dtype=object)
        cell[:] = [x[(x >= start) & (x < start + 2)] - start for x in spikes]
        cell[1] = bad
        saved.append({"spikes": cell, "side": "left" if start < 20 else "right"})
    return saved


@pytest.mark.parametrize("bad", [[0.1, np.nan], [0.3, 0.1], [0.1, 1e12]])
def test_a_bad_unit_of_a_mat_file_can_be_left_out(tmp_path, spikes, bad):
    path = tmp_path / "s.mat"
    savemat(path, {"trials": of_trials(spikes, np.array(bad))})
    options = {"spike_times": "spikes", "window": (0.0, 1.0)}
    with pytest.raises(
        ValueError, match=r"trials\(1\).spikes\{2\} .*; units= can leave"
    ):
        trials_from_mat(path, **options)
    trials = trials_from_mat(
        path, units="index != 1", trials="side == 'right'", **options
    )
    assert trials.units.index.tolist() == [0, 2]
    assert trials.table.index.tolist() == np.flatnonzero(STARTS > 20).tolist()
    edges = trials.table.index[0] * 3 + 1.0 + np.r_[0.0, 1.0]
    counts = [np.histogram(spikes[unit], edges)[0][0] for unit in (0, 2)]
    np.testing.assert_array_equal(trials.X[0].sum(0), counts)


@pytest.mark.parametrize("kind", ["npz", "mat", "matrices", "xarray", "pynapple"])
def test_a_unit_with_infinite_values_can_be_left_out(tmp_path, kind):
    X = np.random.default_rng(0).normal(size=(4, 10, 3))
    X[2, 5, 1] = np.inf
    path = tmp_path / f"s.{'npz' if kind == 'npz' else 'mat'}"
    given, options, reader = path, {"dt": 0.01}, trials_from_mat
    if kind == "npz":
        np.savez(path, X=X)
        reader = trials_from_npz
    elif kind == "xarray":
        given, reader = (
            xr.DataArray(X, dims=("trial", "time", "neuron")),
            trials_from_xarray,
        )
    elif kind == "pynapple":
        given = nap.TsdFrame(t=0.005 + 0.01 * np.arange(40), d=X.reshape(40, 3))
        edges = 0.1 * np.arange(5)
        options = {"epochs": pd.DataFrame({"start": edges[:-1], "end": edges[1:]})}
        reader = trials_from_pynapple
    else:
        savemat(path, {"X": X} if kind == "mat" else {"X": [{"x": x} for x in X]})
    with pytest.raises(ValueError, match=r"infinite values, of neuron 1.* by units="):
        reader(given, **options)
    trials = reader(given, units=[2, 0], **options)
    np.testing.assert_allclose(trials.X, X[..., [2, 0]])


def test_times_that_cannot_be_of_a_mat_file_cost_their_trial(tmp_path, spikes):
    saved = of_trials(spikes, spikes[0][:1])
    for k, trial in enumerate(saved):
        trial["stop"] = 1e6 if k == 9 else 2.0
    path = tmp_path / "s.mat"
    savemat(path, {"trials": saved})
    with pytest.warns(UserWarning, match=r"'stop' cannot be right in 1 of 18|left out"):
        trials = trials_from_mat(path, spike_times="spikes", window=(0.0, "stop"))
    assert trials.table.index.tolist() == [k for k in range(18) if k != 9]
    with pytest.warns(
        UserWarning, match=r"window of a trial lasts 70 s, but spikes .* 1.99 s"
    ):
        trials_from_mat(path, spike_times="spikes", window=(-20, 50))


def test_a_recording_that_pynapple_cut_in_two_has_no_gap(spikes):
    support = nap.IntervalSet([0.0, 20.000001], [20.0, 60.0])  # as it cuts them
    data = nap.TsGroup({0: nap.Ts(spikes[0])}, time_support=support)
    epochs = pd.DataFrame({"start": STARTS, "end": STARTS + 2})
    assert np.isfinite(trials_from_pynapple(data, epochs).X).all()


def test_times_of_bins_in_the_unit_that_they_name():
    values, dims = np.ones((2, 4, 3)), ("trial", "time", "neuron")
    times = ("time", [-15.0, -5.0, 5.0, 15.0], {"units": "ms"})
    array = xr.DataArray(values, {"time": times}, dims)
    trials = trials_from_xarray(array)
    assert (trials.dt, trials.start) == (0.01, -0.02)
    assert trials_from_xarray(array, time_unit="s").dt == 10.0
    gap = array.assign_coords(time=[-0.015, -0.005, np.nan, 0.015])
    with pytest.raises(ValueError, match="must be finite; number 2 is nan"):
        trials_from_xarray(gap)


# ------------------------------------------------------------------------------ text


def test_bytes_are_text():
    given = pd.DataFrame({b"side": [b"left \0", 3.5], "n": [1, 2]}, index=[b"a", b"b"])
    table = with_text(given)
    assert table.columns.tolist() == ["side", "n"]
    assert table.index.tolist() == ["a", "b"]
    assert table["side"].tolist() == ["left", 3.5]
    assert table["n"].dtype == int
    assert given.iloc[0, 0] == b"left \0"


def test_bytes_in_any_table_are_text():
    X = np.ones((2, 4, 3))
    side, names = np.array([b"left ", "é".encode("latin-1")]), [b"u0", b"u1", b"u2"]
    coords = {"side": ("trial", side), "neuron": np.array(names)}
    array = xr.DataArray(X, coords, ("trial", "time", "neuron"))
    tables = pd.DataFrame({"side": side.astype(object)}), pd.DataFrame(index=names)
    for trials in (trials_from_xarray(array, dt=0.01), TrialSet(X, 0.01, *tables)):
        assert trials.table["side"].tolist() == ["left", "é"]
        assert trials.units.index.tolist() == ["u0", "u1", "u2"]
        assert len(trials.select(trials="side == 'left'", units=["u1"])) == 1


def test_bytes_of_npz_files_are_text(tmp_path):
    path = tmp_path / "s.npz"
    np.savez(path, X=np.ones((2, 4, 3)), side=np.array([b"left ", b"right"]))
    trials = trials_from_npz(path, dt=0.01)
    assert trials.table["side"].tolist() == ["left", "right"]


def test_trials_are_chosen_by_text_of_fixed_length(tmp_path, spikes):
    side = ["left", "right"] * (N_TRIALS // 2)
    path = write_nwb(tmp_path / "s.nwb", spikes, table_of(side=side))
    with h5py.File(path, "a") as file:
        group = file["intervals/trials"]
        attrs = dict(group["side"].attrs)
        del group["side"]
        data = group.create_dataset("side", data=np.array(side, dtype="S5"))
        data.attrs.update(attrs)
    trials = trials_from_nwb(path, window=(0, 0.5), trials="side == 'left'")
    np.testing.assert_array_equal(trials.table.index, range(0, N_TRIALS, 2))
