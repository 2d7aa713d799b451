"""MATLAB files, of version 5 by scipy and of 7.3 in MATLAB's layout of HDF5."""

import numpy as np
import pytest
from broken_files import check_refusals, open_files
from mat73_files import MatlabObject, write_mat73
from scipy.io import savemat
from scipy.sparse import csc_array

from sklearn_jedi.io import trials_from_mat

RNG = np.random.default_rng(0)
RATES = [RNG.poisson(2, (n, 4)).astype(float) for n in (5, 7, 6)]


def save_v5(path, variables):
    """Lists that are not of dicts become cells."""
    savemat(path, {name: _celled(value) for name, value in variables.items()})
    return path


def _celled(value):
    if isinstance(value, dict):
        return {name: _celled(content) for name, content in value.items()}
    if isinstance(value, list):
        cell = np.empty((1, len(value)), dtype=object)
        cell[0] = [_celled(content) for content in value]
        if value and isinstance(value[0], dict):
            names = [(name, object) for name in value[0]]
            struct = np.empty((1, len(value)), dtype=names)
            for k, element in enumerate(cell[0]):
                struct[0, k] = tuple(element.values())
            return struct
        return cell
    return value


@pytest.fixture(params=[save_v5, write_mat73], ids=["v5", "v7.3"])
def save(request, tmp_path):
    def save(**variables):
        return request.param(tmp_path / "saved.mat", variables)

    return save


def struct_array(**fields):
    """One dict per trial."""
    return [
        dict(zip(fields, row, strict=True))
        for row in zip(*fields.values(), strict=True)
    ]


def test_struct_array_of_matrices(save):
    path = save(
        trials=struct_array(
            rates=RATES,
            side=["left", "right", ""],
            target=[3, 1, 2],
            rt=[0.25, np.array([]), 0.5],
            hand=[np.zeros((5, 2)), np.zeros((7, 2)), np.zeros((6, 2))],
        ),
        notes="made for a test",
    )
    trials = trials_from_mat(path, activity="rates", dt=0.02)
    for x, rates in zip(trials.X, RATES, strict=True):
        np.testing.assert_array_equal(x, rates)
    assert (trials.dt, trials.start) == (0.02, 0)
    assert list(trials.table) == ["rt", "side", "target"]
    assert trials.table["side"].tolist() == ["left", "right", ""]
    assert trials.table["target"].tolist() == [3, 1, 2]
    np.testing.assert_array_equal(trials.table["rt"], [0.25, np.nan, 0.5])
    with pytest.raises(ValueError, match=r"must name one; .*'hand', 'rates'"):
        trials_from_mat(path, dt=0.02)
    with pytest.raises(ValueError, match=r"saved.mat: trials: rates: the bin width"):
        trials_from_mat(path, activity="rates")


def test_matrices_neuron_by_time_sparse_or_of_one_bin(save):
    matrices = [RATES[0].T, csc_array(RATES[1].T), RATES[2][:1].T]
    path = save(data=struct_array(spikes=matrices))
    X = trials_from_mat(path, dims=("trial", "neuron", "time"), dt=0.01).X
    for x, rates in zip(X, [RATES[0], RATES[1], RATES[2][:1]], strict=True):
        np.testing.assert_array_equal(x, rates)
    with pytest.raises(
        ValueError,
        match=r"data: spikes has 5 neurons in trial 1, but 7 in trial 2.*pass dims=",
    ):
        trials_from_mat(path, dt=0.01)


def test_matrices_of_one_neuron(save):
    path = save(data=struct_array(x=[r[:, :1] for r in RATES], n=[1, 2, 3]))
    X = trials_from_mat(path, activity="x", dt=0.01).X
    for x, rates in zip(X, RATES, strict=True):
        np.testing.assert_array_equal(x, rates[:, :1])


def test_one_trial(save):
    path = save(trial={"rates": RATES[0], "side": "left", "rt": 0.5})
    trials = trials_from_mat(path, dt=0.01)
    np.testing.assert_array_equal(trials.X, RATES[0][None])
    assert trials.table.to_dict("list") == {"side": ["left"], "rt": [0.5]}


def test_struct_with_a_cell_of_matrices_and_vectors(save):
    path = save(
        data={"rates": RATES, "rt": np.array([0.2, 0.3, 0.4]), "side": ["a", "b", "cd"]}
    )
    trials = trials_from_mat(path, activity="rates", dt=0.01)
    np.testing.assert_array_equal(trials.X[1], RATES[1])
    assert trials.table["rt"].tolist() == [0.2, 0.3, 0.4]
    assert trials.table["side"].tolist() == ["a", "b", "cd"]


@pytest.mark.parametrize("begins", [[-0.02] * 3, [-0.02, -0.03, -0.01]])
def test_times_of_bins(save, begins):
    times = [
        (begin + 0.005 + np.arange(len(rates)) * 0.01) * 1000
        for begin, rates in zip(begins, RATES, strict=True)
    ]
    path = save(trials=struct_array(rates=RATES, ms=times))
    trials = trials_from_mat(path, activity="rates", time="ms", time_unit="ms")
    assert trials.dt == 0.01
    assert np.ndim(trials.start) == (begins[0] != begins[1])
    np.testing.assert_allclose(np.broadcast_to(trials.start, 3), begins)


def test_cells_of_spike_times(save):
    empty = np.array([])
    spikes = [
        [np.array([10.0, 109.0, 110.0]), empty, np.array([250.0])],
        [empty, np.array([120.0, 130.0]), np.array([5.0, 230.0])],
    ]
    path = save(trials=struct_array(spikes=spikes, go=[110.0, 120.0], stop=[260, 350]))
    trials = trials_from_mat(
        path,
        spike_times="spikes",
        align="go",
        window=(-0.1, 0.2),
        bin_size=0.1,
        time_unit="ms",
    )
    assert trials.X.tolist() == [
        [[2, 0, 0], [1, 0, 0], [0, 0, 1]],
        [[0, 0, 0], [0, 2, 0], [0, 0, 1]],
    ]
    assert (trials.dt, trials.start) == (0.1, -0.1)
    assert trials.table["go"].tolist() == [110, 120]
    ragged = trials_from_mat(
        path, spike_times="spikes", window=(0.1, "stop"), bin_size=0.08, time_unit="ms"
    )
    assert [x.tolist() for x in ragged.X] == [
        [[2, 0, 0], [0, 0, 1]],
        [[0, 2, 0], [0, 0, 1], [0, 0, 0]],
    ]
    assert ragged.start == 0.1


def test_arrays_with_labels(save):
    counts = RNG.integers(0, 3, (5, 6, 4)).astype(np.uint8)
    path = save(
        counts=np.moveaxis(counts, 0, 2),
        ms=np.arange(6) * 20.0,
        target=np.array([1, 2, 1, 2, 3]),
        side=["l", "r", "l", "r", "up"],
        hand=[np.zeros((6, 2)), np.zeros((5, 2)), np.zeros(3), 1.0, "lost"],
        notes="made for a test",
    )
    trials = trials_from_mat(
        path, dims=("time", "neuron", "trial"), time="ms", time_unit="ms"
    )
    np.testing.assert_array_equal(trials.X, counts)
    assert trials.X.dtype == float
    assert (trials.dt, trials.start) == (0.02, -0.01)
    assert sorted(trials.table) == ["side", "target"]
    assert trials.table["target"].tolist() == [1, 2, 1, 2, 3]
    assert trials.table["side"].tolist() == ["l", "r", "l", "r", "up"]


@pytest.mark.parametrize(
    "side",
    [
        ["left", "right", "up", "up", "right"],
        ["l", "r", "u", "u", "r"],
        ["links", "ö\N{GRINNING FACE}", "", "µ", "右"],
    ],
)
@pytest.mark.parametrize("as_rows", [True, False], ids=["rows", "cell"])
def test_characters_are_labels(save, side, as_rows):
    saved = {"counts": np.ones((5, 6, 4)), "side": np.array(side) if as_rows else side}
    if as_rows and "ö" in side[1]:
        saved["side"] = np.array([one.replace("\N{GRINNING FACE}", "") for one in side])
    for variables in (saved, {"data": saved}):
        trials = trials_from_mat(save(**variables), dt=0.01)
        assert trials.table["side"].tolist() == list(saved["side"])


def test_a_unit_that_did_not_fire_has_no_spikes(save):
    empty = np.array([])
    path = save(trials=struct_array(spikes=[[empty], [np.array([0.0, 0.15])]]))
    trials = trials_from_mat(path, spike_times="spikes", window=(0, 0.2), bin_size=0.1)
    assert trials.X[:, :, 0].tolist() == [[0, 0], [1, 1]]


def test_cells_of_trials_by_units(save):
    spikes = np.empty((2, 3), dtype=object)
    for k in range(6):
        spikes.flat[k] = np.arange(k + 1) * 0.01
    path = save(data={"spikes": spikes, "go": np.array([0.0, 0.01])})
    trials = trials_from_mat(
        path, spike_times="spikes", align="go", window=(0, 0.1), bin_size=0.1
    )
    # those before the go cue of the second trial are out
    assert trials.X[:, 0].tolist() == [[1, 2, 3], [3, 4, 5]]


def test_objects_of_matlab_are_named(tmp_path):
    trials = struct_array(rates=RATES, side=[MatlabObject("string")] * 3, rt=[1, 2, 3])
    path = write_mat73(
        tmp_path / "saved.mat", {"trials": trials, "day": MatlabObject("datetime")}
    )
    words = r"'day', 'trials.side' are of MATLAB's classes 'datetime', 'string', which"
    with pytest.warns(UserWarning, match=words):
        table = trials_from_mat(path, activity="rates", dt=0.01).table
    assert list(table) == ["rt"]


@pytest.mark.parametrize(
    ("fields", "arguments", "message"),
    [
        (
            {"x": [RATES[0], RATES[1][:, :3]]},
            {"dt": 0.01},
            r"x has 4 neurons in trial 1, but 3 in trial 2",
        ),
        ({"x": [RATES[0], np.array([])]}, {"dt": 0.01}, r"trials\(2\).x is empty"),
        (
            {"x": [RATES[0], np.ones(3)]},
            {"dt": 0.01},
            r"trials\(2\).x has 3 values in a row; other trials have 4 neurons",
        ),
        (
            {"x": [RATES[0], np.full((2, 4), np.inf)]},
            {"dt": 0.01},
            r"trials\(2\).x has infinite values",
        ),
        ({"x": [RATES[0]] * 2}, {"activity": "y"}, r"'y' is none of them; .*'x'"),
        ({"x": [RATES[0]] * 2}, {"variable": "y"}, r"'y' is none of them; .*'trials'"),
        (
            {"x": [RATES[0]] * 2},
            {"time": "ms"},
            r"trials has no field 'ms' with one entry per trial; there are: 'x'",
        ),
        (
            {"s": [[np.ones(2), np.ones(1)], [np.ones(2)] * 3]},
            {"spike_times": "s", "window": (0, 1)},
            r"s has 2 units in trial 1, but 3 in trial 2",
        ),
        (
            {"s": [[np.ones(2), np.ones(1)], [np.array([2.0, 1.0]), np.ones(2)]]},
            {"spike_times": "s", "window": (0, 1)},
            r"trials\(2\).s\{1\} are not in order: number 0 is 2 s, the next 1 s",
        ),
        (
            {"s": [[np.ones(2), np.array([1, np.nan])]] * 2},
            {"spike_times": "s", "window": (0, 1)},
            r"trials\(1\).s\{2\} are not finite: number 1 is nan",
        ),
        (
            {"s": [[np.ones(2), np.ones((2, 2))]] * 2},
            {"spike_times": "s", "window": (0, 1)},
            r"trials\(1\).s\{2\} must be a vector of spike times",
        ),
        (
            {"s": [[np.ones(2), np.ones(2)]] * 2},
            {"spike_times": "s", "window": (0, 1), "align": "go"},
            r"trials has no column 'go'",
        ),
        ({"s": [[np.ones(2)] * 2] * 2}, {"spike_times": "s"}, "needs window="),
        (
            {"s": [RATES[0]] * 2},
            {"spike_times": "s", "activity": "s"},
            "activity or spike_times, not both",
        ),
        (
            {"s": [RATES[0]] * 2},
            {"dims": ("time", "neuron")},
            "dims must name the axes",
        ),
    ],
)
def test_what_cannot_be_read(save, fields, arguments, message):
    path = save(trials=struct_array(**fields))
    with pytest.raises(ValueError, match=message):
        trials_from_mat(path, **arguments)


def test_files_of_other_kinds(save, tmp_path):
    path = save(trials=struct_array(rates=RATES, pad=[RNG.random(4000)] * 3))
    path = path.rename(tmp_path / "good.mat")
    trials_from_mat(path, activity="rates", dt=0.01)
    assert not open_files(tmp_path)
    check_refusals(
        lambda path: trials_from_mat(path, activity="rates", dt=0.01),
        "a MATLAB file",
        path,
        tmp_path,
    )
