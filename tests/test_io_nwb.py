"""NWB files written by pynwb, read back against known counts."""

import datetime

import h5py
import numpy as np
import pynwb
import pytest
from broken_files import check_refusals, open_files
from nwb_files import write_nwb

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_reaching
from sklearn_jedi.io import trials_from_nwb

SPIKES = [
    [0.5, 1.0, 1.01, 1.0299999, 1.03, 2.0, 2.049],
    [],
    [2.03],
]
TRIALS = {
    "start_time": [0.9, 1.9, 2.9, 3.9],
    "stop_time": [1.13, 2.05, 3.5, 4.5],
    "go_cue_time": [1.0, 2.0, np.nan, 4.0],
    "side": ["left", "right", "left", "right"],
    "rewarded": [True, True, False, False],
    "touches": [3, 1, 4, 1],
}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Three units, four trials; the third trial has no go cue."""
    path = tmp_path_factory.mktemp("nwb") / "session.nwb"
    units = {"area": ["M1", "PMd", "M1"]}
    return write_nwb(path, SPIKES, TRIALS, units=units, ids=[7, 3, 5])


def test_counts_table_and_units(session):
    message = r"session.nwb: trials: 1 of 4 trials are left out: go_cue_time is missing"
    with pytest.warns(UserWarning, match=message) as caught:
        trials = trials_from_nwb(session, align="go_cue_time", window=(-0.02, 0.05))
    assert caught[0].filename == __file__
    X, dt, table = trials
    expected = np.zeros((3, 7, 3))
    expected[0, 2:6, 0] = [1, 1, 1, 1]  # 1.0, 1.01, 1.0299999 and 1.03 s
    expected[1, [2, 6], 0] = 1
    expected[1, 5, 2] = 1
    np.testing.assert_array_equal(X, expected)
    assert dt == 0.01
    assert trials.start == -0.02
    assert table.index.tolist() == [0, 1, 3]
    assert table["side"].tolist() == ["left", "right", "right"]
    assert table["touches"].tolist() == [3, 1, 1]
    assert trials.units.index.tolist() == [7, 3, 5]
    assert trials.units["area"].tolist() == ["M1", "PMd", "M1"]
    # spikes per second of the session, from 0.5 to 4.5 s
    np.testing.assert_allclose(trials.units["rate"], [1.75, 0, 0.25])


def test_selection_of_trials_and_units(session):
    trials = trials_from_nwb(
        session, trials="rewarded and side == 'right'", units="area == 'M1'"
    )
    assert trials.X.shape == (1, 90, 2)
    assert trials.X.sum((0, 1)).tolist() == [2, 1]
    trials = trials_from_nwb(session, trials=[1], units=[5, 7])
    assert trials.X.sum((0, 1)).tolist() == [1, 2]
    assert trials.units.index.tolist() == [5, 7]


@pytest.mark.parametrize(
    ("window", "lengths", "start"),
    [
        (("start_time", "stop_time"), [23, 15, 60], -0.1),
        ((-0.1, "stop_time"), [23, 15, 60], -0.1),
        (("go_cue_time", 0.2), [20, 20, 20], 0.0),
    ],
)
def test_windows_from_column_to_column(session, window, lengths, start):
    with pytest.warns(UserWarning, match="left out"):
        trials = trials_from_nwb(session, align="go_cue_time", window=window)
    assert [len(x) for x in trials.X] == lengths
    assert trials.start == pytest.approx(start, abs=1e-12)
    assert isinstance(trials.X, list) == (len(set(lengths)) > 1)
    assert trials.X[0][:, 0].sum() == 4


def test_without_alignment_trials_begin_at_zero(session):
    trials = trials_from_nwb(session, align=None, window=("start_time", "stop_time"))
    assert trials.start == 0
    assert len(trials.X) == 4


def test_starts_that_differ(session):
    with pytest.warns(UserWarning, match="left out"):
        trials = trials_from_nwb(
            session, align="stop_time", window=("go_cue_time", "stop_time")
        )
    np.testing.assert_allclose(trials.start, [-0.13, -0.05, -0.5])
    np.testing.assert_allclose(trials.time[:2], [0.005, 0.015])


def test_bins_outside_the_session_are_missing(session):
    # the session ends with the last trial, at 4.5 s
    X = trials_from_nwb(session, trials=[3], window=(0.4, 0.8)).X
    assert np.isnan(X[0, 20:]).all()
    assert (X[0, :20] == 0).all()
    message = "1 of 4 trials are left out: nothing was recorded"
    with pytest.warns(UserWarning, match=message) as caught:
        assert len(trials_from_nwb(session, window=(0.7, 0.8)).X) == 3
    assert caught[0].filename == __file__


def test_observed_intervals_of_each_unit(tmp_path):
    observed = [[[0.0, 1.02], [1.02, 1.045]], [[0.0, 5.0]], [[1.01, 5.0]]]
    path = write_nwb(
        tmp_path / "s.nwb", SPIKES, TRIALS, units={"obs_intervals": observed}
    )
    X = trials_from_nwb(path, trials=[0], window=(0.1, 0.17)).X[0]
    nan = np.nan
    np.testing.assert_array_equal(X[:, 0], [1, 1, 1, 1, nan, nan, nan])
    np.testing.assert_array_equal(X[:, 1], np.zeros(7))
    np.testing.assert_array_equal(X[:, 2], [nan, 0, 0, 0, 0, 0, 0])


def test_other_tables_of_intervals(tmp_path):
    stimuli = {"start_time": [1.0, 2.0], "stop_time": [1.5, 2.5], "kind": ["a", "b"]}
    path = write_nwb(tmp_path / "s.nwb", SPIKES, stimuli=stimuli)
    trials = trials_from_nwb(path, epochs="stimuli", window=(0, 0.04))
    assert trials.table["kind"].tolist() == ["a", "b"]
    assert trials.X[0, :, 0].tolist() == [1, 1, 1, 1]
    with pytest.raises(ValueError, match=r"s.nwb has no table .* 'trials'.*'stimuli'"):
        trials_from_nwb(path)


def test_trials_that_overlap_and_are_not_in_order(tmp_path):
    table = {
        "start_time": [2.0, 1.0, 1.01],
        "stop_time": [2.1, 1.5, 1.4],
        "n": [0, 1, 2],
    }
    path = write_nwb(tmp_path / "s.nwb", SPIKES, table)
    trials = trials_from_nwb(path, window=(0, 0.02))
    assert trials.table["n"].tolist() == [0, 1, 2]
    assert trials.X[:, :, 0].tolist() == [[1, 0], [1, 1], [1, 1]]


def test_columns_of_lists_are_left_out(tmp_path):
    table = TRIALS | {"position": [[0.0, 1.0]] * 4}
    units = {"quality": ["good"] * 3, "shape": [[0.0, 1.0]] * 3}
    path = write_nwb(tmp_path / "s.nwb", SPIKES, table, units=units)
    trials = trials_from_nwb(path)
    assert list(trials.table) == list(TRIALS)
    assert list(trials.units) == ["quality", "rate"]


@pytest.mark.parametrize("of_electrodes", [True, False])
def test_locations_of_units(tmp_path, of_electrodes):
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    nwb = pynwb.NWBFile("session", "1", start)
    probe = nwb.create_electrode_group(
        name="probe", description="", location="M1", device=nwb.create_device(name="d")
    )
    for location in ("PMd", "S1"):
        nwb.add_electrode(location=location, group=probe)
    nwb.units = pynwb.misc.Units(name="units")
    if of_electrodes:
        for electrodes in ([1, 0], [], [0]):
            nwb.add_unit(spike_times=[0.5], electrodes=electrodes)
    else:
        for _ in range(3):
            nwb.add_unit(spike_times=[0.5], electrode_group=probe)
    nwb.add_trial(start_time=0.4, stop_time=1.0)
    with pynwb.NWBHDF5IO(str(tmp_path / "s.nwb"), "w") as io:
        io.write(nwb)
    units = trials_from_nwb(tmp_path / "s.nwb", window=(0, 0.2)).units
    expected = ["S1", "", "PMd"] if of_electrodes else ["M1"] * 3
    assert units["location"].tolist() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"align": "go"}, r"session.nwb: trials has no column 'go'; .*'go_cue_time'"),
        (
            {"align": "side"},
            r"session.nwb: trials: times in column 'side' are not numbers",
        ),
        ({"window": (0.6, -0.3)}, "window must end after it begins"),
        ({"window": (0, np.inf)}, "window must be finite"),
        ({"window": 0.5}, "window must be a pair"),
        ({"window": (0, None)}, "window must be a pair"),
        ({"align": None}, "name the column in align"),
        ({"bin_size": 0.0}, "bin_size must be positive"),
        ({"bin_size": 10}, r"longer than the window.*10 ms is 0.01"),
        ({"window": ("stop_time", "start_time")}, "no trial a bin of 0.01 s fits"),
        ({"window": (10, 11)}, "nothing was recorded in the window of any"),
        ({"trials": "touches > 9"}, "chooses none of the 4 trials"),
        ({"trials": "touches >"}, "is not an expression"),
        ({"trials": "hits > 1"}, "session.nwb: trials=.* no column 'hits'.*'touches'"),
        ({"units": [3, 99]}, "session.nwb: units: there are no ids 99"),
        ({"units": "area == 'V1'"}, "chooses none of the 3 units"),
    ],
)
@pytest.mark.filterwarnings("ignore:.* trials are left out")
def test_what_cannot_be_asked_for(session, arguments, message):
    with pytest.raises(ValueError, match=message):
        trials_from_nwb(session, **arguments)


@pytest.mark.parametrize(
    ("spikes", "ids", "message"),
    [
        ([[0.1, 0.3, 0.2]], [4], "spike_times of unit 4 are not in order: number 1 is"),
        ([[0.1], [-0.1, 0.2]], [4, 6], "spike_times of unit 6 begin at -0.1 s"),
        ([[0.1, np.nan]], [4], "spike_times of unit 4 are not finite: number 1 is nan"),
        ([[0.1, np.inf]], [4], "spike_times of unit 4 are not finite: number 1 is inf"),
        ([[0.1], [0.2], [0.3]], [4, 6, 4], "units: ids are not unique: 4"),
        (None, None, "has no units"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*id 4 already in the table")
def test_spikes_that_cannot_be(tmp_path, spikes, ids, message):
    path = write_nwb(tmp_path / "bad.nwb", spikes, TRIALS, ids=ids)
    with pytest.raises(ValueError, match=rf"bad\.nwb.*{message}"):
        trials_from_nwb(path)


def test_units_without_spike_times(tmp_path):
    path = write_nwb(tmp_path / "bad.nwb", SPIKES, TRIALS, units={"depth": [1, 2, 3]})
    with h5py.File(path, "r+") as file:
        del file["units/spike_times"], file["units/spike_times_index"]
        file["units"].attrs["colnames"] = ["depth"]
    with pytest.raises(ValueError, match=r"bad.nwb: units has no .*spike_.*'depth'"):
        trials_from_nwb(path)


def test_files_of_other_kinds(tmp_path, session):
    np.savez(tmp_path / "arrays.npz", X=np.zeros(3))
    with pytest.raises(ValueError, match=r"arrays.npz cannot be read as an NWB file"):
        trials_from_nwb(tmp_path / "arrays.npz")
    check_refusals(trials_from_nwb, "an NWB file", session, tmp_path)
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match=r"other.nwb is an HDF5 file, but not an NWB"):
        trials_from_nwb(tmp_path / "other.nwb")
    with h5py.File(tmp_path / "hollow.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.8.0"
    with pytest.raises(ValueError, match=r"hollow.nwb cannot be read as an NWB file"):
        trials_from_nwb(tmp_path / "hollow.nwb")


def test_files_are_closed(session, tmp_path):
    path = tmp_path / "copy.nwb"
    path.write_bytes(session.read_bytes())
    trials_from_nwb(path)
    with pytest.raises(ValueError, match="no column"):
        trials_from_nwb(path, align="nothing")
    with pytest.raises(ValueError, match="no table"):
        trials_from_nwb(path, epochs="nothing")
    assert not open_files(tmp_path)


def test_from_reaches_to_embeddings(tmp_path):
    """Counts made into spike times, written, read back, and fitted."""
    reaches = make_reaching(
        6, n_directions=2, n_timepoints=60, n_neurons=20, random_state=0
    )
    counts = reaches.X
    n_trials, _, n_neurons = counts.shape
    starts = 1.0 + np.arange(n_trials)
    rng = np.random.default_rng(0)
    trains = []
    for unit in range(n_neurons):
        trial, k = np.nonzero(counts[:, :, unit])
        times = np.repeat(starts[trial] + k * 0.01, counts[trial, k, unit])
        # within the bin, the first of them on its edge
        times += np.append(0.0, rng.uniform(0, 0.0099, len(times)))[:-1]
        trains.append(np.sort(times))
    table = {
        "start_time": starts,
        "stop_time": starts + 0.6,
        "go_cue": starts + reaches.go * 0.01,
        "direction": reaches.direction,
    }
    path = write_nwb(tmp_path / "reaches.nwb", trains, table)
    trials = trials_from_nwb(path, align="go_cue", window=(-0.3, 0.3))
    np.testing.assert_array_equal(trials.X, counts)
    jedi = JEDIEstimator(rank=3, embedding_dim=2, dt=trials.dt, max_epochs=0)
    Z = jedi.fit_transform(np.sqrt(trials.X))
    direction = trials.table["direction"].to_numpy()
    means = np.stack([Z[direction == d].mean(0) for d in (0, 1)])
    nearest = np.linalg.norm(Z[:, None] - means, axis=2).argmin(1)
    assert (nearest == direction).mean() > 0.9
