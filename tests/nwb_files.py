"""NWB files for tests, written by pynwb."""

import datetime

import numpy as np
import pynwb


def write_nwb(path, spike_times, trials=None, *, units=None, ids=None, **tables):
    """Write a session of spike times and trials.

    Parameters
    ----------
    path : path-like
    spike_times : list of n_units arrays, or None
        In s; None: no units table.
    trials : DataFrame or dict of lists, default=None
        `start_time`, `stop_time` and columns of any name; None: no trials table.
    units : dict of lists, default=None
        Columns of the units; `obs_intervals` holds (n_intervals, 2) for each.
    ids : list of n_units int, default=None
        Ids of the units; None: 0, 1, ...
    **tables : DataFrame or dict of lists
        Further tables of time intervals.
    """
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    nwb = pynwb.NWBFile("simulated session", "simulated", start)
    units = units or {}
    for name in units:
        if name != "obs_intervals":
            nwb.add_unit_column(name, name)
    for k, times in enumerate([] if spike_times is None else spike_times):
        row = {name: values[k] for name, values in units.items()}
        unit_id = None if ids is None else ids[k]
        nwb.add_unit(spike_times=np.asarray(times, dtype=float), id=unit_id, **row)
    if trials is not None:
        for name in trials:
            if name not in ("start_time", "stop_time"):
                nwb.add_trial_column(name, name)
        for row in _rows(trials):
            nwb.add_trial(**row)
    for table_name, table in tables.items():
        intervals = pynwb.epoch.TimeIntervals(name=table_name, description=table_name)
        for name in table:
            if name not in ("start_time", "stop_time"):
                intervals.add_column(name=name, description=name)
        for row in _rows(table):
            intervals.add_interval(**row)
        nwb.add_time_intervals(intervals)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


def _rows(table):
    return [
        dict(zip(table, row, strict=True))
        for row in zip(*(table[name] for name in table), strict=True)
    ]
