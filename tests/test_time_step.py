"""The time step that recordings carry, and the one that is used."""

import warnings

import numpy as np
import pandas as pd
import pynapple as nap
import pytest
import xarray as xr

from sklearn_jedi._data._time_step import (
    choose_dt,
    choose_tau,
    time_step_of,
    warn_of_other_dt,
)
from sklearn_jedi.io import TrialSet

TIMES = np.arange(50) * 0.02
VALUES = np.zeros((3, 50, 2))
DIMS = ("trial", "time", "neuron")


def labelled(times=TIMES, dims=DIMS, **attrs):
    return xr.DataArray(VALUES, {dims[1]: times}, dims, attrs=attrs)


def in_milliseconds():
    array = labelled(1000 * TIMES)
    array.time.attrs["units"] = "ms"
    return array


def rows(labels, name=None):
    """Data frames, the rows of which are labelled so."""
    index = pd.Index(labels, name=name)
    return [pd.DataFrame(trial, index=index) for trial in VALUES]


def frame(times=TIMES):
    return nap.TsdFrame(t=times, d=np.zeros((len(times), 2)))


def trial_set(dt=0.02):
    return TrialSet(
        VALUES, dt, pd.DataFrame(index=range(3)), pd.DataFrame(index=[4, 6])
    )


CARRIERS = {
    "labelled": labelled(),
    "in another order": labelled().transpose("neuron", "trial", "time"),
    "other names": labelled(dims=("epoch", "sample", "unit")),
    "any order of other names": labelled(dims=("rep", "t", "cell")).transpose(),
    "unit in the name": labelled(1000 * TIMES, dims=("trial", "time_ms", "neuron")),
    "rows in seconds": rows(TIMES + 3),
    "rows of differences of times": rows(pd.to_timedelta(TIMES, "s")),
    "rows of dates": rows(pd.Timestamp("2026-01-01") + pd.to_timedelta(TIMES, "s")),
    "rows with a unit": rows(20 * np.arange(50), "time (ms)"),
    "column of frames": pd.Series(rows(TIMES)),
    "late": labelled(TIMES + 5000),
    "milliseconds": in_milliseconds(),
    "microseconds": labelled().assign_coords(
        time=("time", 20000 * np.arange(50), {"units": "microseconds"})
    ),
    "differences of times": labelled(pd.to_timedelta(TIMES, "s")),
    "dates": labelled(pd.Timestamp("2026-01-01") + pd.to_timedelta(TIMES, "s")),
    "attribute": xr.DataArray(VALUES, dims=DIMS, attrs={"dt": 0.02}),
    "stale attribute": labelled(TIMES / 2, dt=0.01).coarsen(time=2).mean(),
    "list of labelled": list(labelled()),
    "TrialSet": trial_set(),
    "TrialSet as labelled": trial_set().to_xarray(),
    "pynapple": [frame(), frame()],
    "pynapple in pieces": [
        frame(np.arange(2000) * 0.02).restrict(nap.IntervalSet([0, 30], [1, 31]))
    ],
    "pynapple counts": [
        nap.TsGroup({0: nap.Ts([1.0, 2.0, 3.5]), 1: nap.Ts([1.2, 2.1])}).count(0.02)
    ],
}
OTHERS = {
    "array": VALUES,
    "list": list(VALUES),
    "empty list": [],
    "no coordinate": xr.DataArray(VALUES, dims=DIMS),
    "times of the trials": xr.DataArray(
        VALUES, {"time": ("trial", [0.0, 5.0, 9.0])}, ("trial", "bin", "neuron")
    ),
    "one time point": labelled()[:, :1],
    "text": labelled([str(time) for time in TIMES]),
    "frame": [pd.DataFrame(VALUES[0])],
    "rows that are numbered": rows(20 * np.arange(50)),
    "rows of text": rows([str(time) for time in TIMES]),
    "rows of two levels": rows(pd.MultiIndex.from_product([[7], range(50)])),
    "times of spikes": nap.Ts([1.0, 2.0, 3.5]),
}


@pytest.mark.parametrize("what", CARRIERS)
def test_the_time_step_is_found_where_it_is(what):
    assert time_step_of(CARRIERS[what]) == 0.02


@pytest.mark.parametrize("what", OTHERS)
def test_others_have_none(what):
    assert time_step_of(OTHERS[what]) is None


@pytest.mark.parametrize("what", ["labelled", "TrialSet", "pynapple"])
def test_another_time_step_than_given_is_warned_of_with_both(what):
    with pytest.warns(UserWarning, match=r"dt=0\.01 s was given, .* 0\.02 s apart"):
        assert choose_dt(0.01, CARRIERS[what]) == 0.01
    with pytest.warns(UserWarning, match=r"0\.02 s apart, but Smoother .* dt=0\.01 s"):
        warn_of_other_dt(0.01, CARRIERS[what], "Smoother")


@pytest.mark.parametrize("dt", ["auto", 0.02, 0.0201])
def test_the_same_time_step_is_used_without_a_word(dt):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_dt(dt, labelled()) == (0.02 if dt == "auto" else dt)
        assert choose_dt(0.5, VALUES) == 0.5
        warn_of_other_dt(0.0201, labelled(), "Smoother")
        warn_of_other_dt(0.5, VALUES, "Smoother")


def test_where_nobody_says_the_usual_is_taken_with_one_warning():
    with pytest.warns(UserWarning, match=r"0\.01 s is assumed") as caught:
        assert choose_dt("auto", VALUES) == 0.01
    assert [warning.filename for warning in caught] == [__file__]


def test_milliseconds_and_numbers_of_bins_are_asked_about():
    text = r"1 apart, .*in ms, pass dt=0\.001; .* pass dt=1 if it is right"
    with pytest.warns(UserWarning, match=text):
        assert choose_dt("auto", labelled(np.arange(50))) == 1.0
    text = r"0\.01 s is assumed.* rows .* in steps of 20: if these are ms, dt=0\.02"
    with pytest.warns(UserWarning, match=text):
        assert choose_dt("auto", rows(20 * np.arange(50))) == 0.01
    with pytest.warns(UserWarning, match="may be in ms"):
        warn_of_other_dt(0.02, labelled(1000 * TIMES), "Smoother")


def test_time_constants():
    assert choose_tau("auto", 0.01) == 0.1
    assert choose_tau("auto", 0.1) == 0.5
    assert choose_tau(0.03, 0.01) == 0.03
    with pytest.warns(
        UserWarning, match=r'less than 3 time steps .* tau="auto" would take 0\.25'
    ):
        assert choose_tau(0.1, 0.05) == 0.1
