"""The forms in which trials come: the same values, names and ids by every door."""

import numpy as np
import pandas as pd
import polars as pl
import pynapple as nap
import pytest
import xarray as xr
from sklearn import config_context
from sklearn.pipeline import make_pipeline

from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
from sklearn_jedi._data._gate import check_trials
from sklearn_jedi.baselines import LinearStateSpace
from sklearn_jedi.io import TrialSet
from sklearn_jedi.metrics import ForecastScorer
from sklearn_jedi.preprocessing import SoftNormalizer, SpikeSmoother, split_epochs

RNG = np.random.default_rng(0)
HIDDEN = RNG.random((6, 12, 4)) < 0.1
X = np.where(HIDDEN, np.nan, RNG.standard_normal((6, 12, 4)).cumsum(1))
MASKED = np.ma.masked_array(np.where(HIDDEN, 1e3, X), HIDDEN)
OBJECTS = np.where(HIDDEN, None, X)
IDS = ["p", "q", "r", "s", "t", "u"]
UNITS = [3, 7, 9, 12]
LABELLED = xr.DataArray(X, {"trial": IDS}, ("trial", "time", "neuron"))


def column(trials):
    return pd.Series(pd.Series(dict(enumerate(trials))).to_list(), index=IDS)


def array_of(trials, shape=-1):
    array = np.empty(len(trials), dtype=object)
    array[:] = trials
    return array.reshape(shape)


def nullable(kind):
    return [
        pd.DataFrame(x).astype(kind).mask(h, pd.NA)
        for x, h in zip(X, HIDDEN, strict=True)
    ]


def trial_set(values=X):
    table = pd.DataFrame({"side": list("lrlrlr")}, index=[9, 4, 7, 2, 8, 5])
    return TrialSet(values, 0.01, table, pd.DataFrame(index=UNITS))


FORMS = {
    "masked": MASKED,
    "list of masked": list(MASKED),
    "TrialSet of masked": trial_set(list(MASKED)),
    "objects": OBJECTS,
    "pandas' NA": np.where(HIDDEN, pd.NA, X),
    "list of objects": list(OBJECTS),
    "nullable frames": nullable("Float64"),
    "frames of pyarrow": nullable("double[pyarrow]"),
    "frames of objects": [pd.DataFrame(x) for x in OBJECTS],
    "polars frames": [pl.DataFrame(x, schema=list("abcd")) for x in X],
    "polars frames with nulls": [
        pl.DataFrame(x.tolist(), schema=list("abcd"), orient="row") for x in OBJECTS
    ],
    "column": column(list(X)),
    "column of masked": column(list(MASKED)),
    "column of frames": column([pd.DataFrame(x) for x in X]),
    "column of lists": column(X.tolist()),
    "table of a column": pd.DataFrame({"rates": column(list(X))}),
    "column of polars": pl.Series(X.tolist()),
    "array of arrays": array_of(list(X)),
    "cells": array_of(list(X), (-1, 1)),
    "nested lists": OBJECTS.tolist(),
    "labelled": LABELLED.transpose("neuron", "trial", "time"),
    "labelled objects": LABELLED.astype(object).transpose(),
    "list of labelled": [trial.transpose() for trial in LABELLED],
    "TrialSet": trial_set(),
    "table of polars": pl.DataFrame({"rates": [x.tolist() for x in X]}),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_values_in_every_form(form):
    trials, _ = check_trials(LinearStateSpace(), FORMS[form], reset=True)
    block = trials.read(np.arange(len(trials)))
    found = np.where(block.recorded, block.values, np.nan)
    np.testing.assert_array_equal(found, X[:, : found.shape[1]])


@pytest.mark.parametrize("form", ["list of masked", "column", "TrialSet"])
def test_lists_of_trials_of_different_lengths(form):
    whole = {"list of masked": MASKED, "column": X, "TrialSet": X}[form]
    ragged = [trial[: 12 - k] for k, trial in enumerate(whole)]
    given = {"column": column, "TrialSet": trial_set}.get(form, list)(ragged)
    trials, _ = check_trials(LinearStateSpace(), given, reset=True)
    for k, trial in enumerate(trials.as_list()):
        np.testing.assert_array_equal(trial, X[k, : 12 - k][: len(trial)])
    assert (trials.lengths <= 12 - np.arange(6)).all()


@pytest.mark.parametrize(
    "form",
    [
        np.ma.masked_array(MASKED.data[..., 0], HIDDEN[..., 0]),
        list(MASKED[..., 0]),
        pd.DataFrame(OBJECTS[..., 0]).convert_dtypes(),
        column(list(X[..., 0])),
        LABELLED[..., 0].transpose(),
    ],
)
@pytest.mark.filterwarnings("ignore:.*reads a 2-D X")
def test_one_neuron_in_every_form(form):
    trials, _ = check_trials(LinearStateSpace(), form, reset=True)
    block = trials.read(np.arange(len(trials)))
    found = np.where(block.recorded, block.values, np.nan)[..., 0]
    np.testing.assert_array_equal(found, X[:, : found.shape[1], 0])


def test_the_column_with_the_trials_is_pointed_out():
    table = pd.DataFrame({"y": range(6), "rates": list(X)})
    with pytest.raises(ValueError, match=r"\['y', 'rates'\]: pass .* X\['rates'\]"):
        check_trials(LinearStateSpace(), table, reset=True)


# --------------------------------------------------------------------- artefacts

NOISE = np.random.default_rng(1).standard_normal((20, 30, 3))


@pytest.mark.parametrize("dtype", ["counts", "activity"])
@pytest.mark.parametrize("value", [65535.0, -9999.0])
@pytest.mark.parametrize("times", [1, 3])
def test_a_value_far_from_all_others_is_named(dtype, value, times):
    Z = np.abs(NOISE).round() if dtype == "counts" else NOISE + 2
    Z = Z.copy()
    Z[7 : 7 + times, 10, 1] = value
    with pytest.warns(UserWarning, match=f"trial 7, neuron 1 has a value of {value:g}"):
        check_trials(LinearStateSpace(), Z, reset=True)


def test_a_value_far_from_all_others_is_named_with_its_session():
    Z = NOISE.copy()
    Z[7, 10, 1] = 1e4
    with pytest.warns(UserWarning, match=r"^session 'b', trials .*: trial 3, neuron"):
        MetaDynamicalSSM(1, 1).fit(Z, sessions=["a", "b"] * 10)


def test_sparse_activity_is_no_artefact(recwarn):
    """A spike or two, a burst, heavy tails, a baseline with gaps."""
    sparse = np.zeros((20, 30, 5))
    sparse[3, 4, 0] = 1
    sparse[[3, 9], 4, 1] = 1, 2
    sparse[5, 10:14, 2] = 8
    sparse[..., 3] = np.random.default_rng(2).standard_t(2.5, (20, 30))
    sparse[..., 4] = 1e6 + NOISE[..., 0]
    sparse[4, 10:, 4] = np.nan
    check_trials(LinearStateSpace(), sparse, reset=True)
    assert [str(one.message) for one in recwarn] == []


# --------------------------------------------------------------------- names of neurons

SESSIONS = np.arange(6) % 2
PLAIN = np.nan_to_num(X)


def frames(names, order=slice(None)):
    names = pd.Index(names)
    return [pd.DataFrame(x[:, order], columns=names[order]) for x in PLAIN]


def arrays(names, order=slice(None)):
    array = xr.DataArray(
        PLAIN, {"neuron": pd.Index(names)}, ("trial", "time", "neuron")
    )
    return array[:, :, order]


def lists_of_arrays(names, order=slice(None)):
    return list(arrays(names, order))


def tsd_frames(names, order=slice(None)):
    times, columns = np.arange(12) * 0.01, np.asarray(names)[order]
    return [nap.TsdFrame(t=times, d=x[:, order], columns=columns) for x in PLAIN]


def trial_sets(names, order=slice(None)):
    units = pd.DataFrame(index=pd.Index(names)).iloc[order]
    return TrialSet(PLAIN[:, :, order], 0.01, pd.DataFrame(index=IDS), units)


PROBES = pd.MultiIndex.from_product([["A", "B"], [0, 1]], names=["probe", "unit"])
WIDE = [frames, arrays, lists_of_arrays, tsd_frames, trial_sets]


NAMES = [UNITS, [0, 1, 2, 3], PROBES, [0.5, 1.5, 2.5, 3.5]]


@pytest.mark.parametrize(
    ("form", "names"),
    [
        (form, names)
        for form in WIDE
        for names in NAMES
        if form is not tsd_frames or names is not PROBES  # pynapple has one level
    ],
)
def test_units_are_told_by_names_of_any_kind(form, names):
    linear = LinearStateSpace(2, n_iter=1).fit(form(names))
    assert list(linear.neuron_names_in_) == list(names)
    expected = linear.score(PLAIN)
    assert linear.score(form(names)) == expected
    other = form(names, [1, 0, 2, 3])
    for call in (
        linear.score,
        linear.smooth,
        linear.reconstruct,
        lambda other: linear.forecast(other, 2),
        lambda other: ForecastScorer()(linear, other),
        SoftNormalizer(dt=1).fit(form(names)).transform,
        SoftNormalizer(dt=1).fit(form(names)).inverse_transform,
    ):
        with pytest.raises(ValueError, match="not those of fit, or in another order"):
            call(other)


def test_units_in_another_order_from_trial_to_trial_are_refused():
    mixed = [*frames(UNITS)[:3], *frames(UNITS, [1, 0, 2, 3])[3:]]
    text = r"units of trial 3 are not those of the first .* differs: 7, for 3\)"
    with pytest.raises(ValueError, match=text):
        LinearStateSpace().fit(mixed)
    with pytest.raises(ValueError, match=text):
        split_epochs(mixed, {"all": (0.0, 0.1)}, dt=0.01)
    with pytest.raises(ValueError, match=r"session 0 .* first .* differs: 7, for 3\)"):
        MetaDynamicalSSM(gain=1.0, ridge=0.1).fit(mixed, sessions=SESSIONS // 2)


@pytest.mark.parametrize("model", [JEDIEstimator, MetaDynamicalSSM])
def test_every_method_tells_units_by_name(model, tmp_path):
    settings = {"ridge": 0.1} if model is MetaDynamicalSSM else {"rank": 2}
    settings |= {} if model is MetaDynamicalSSM else {"observation": "state"}
    fitted = model(embedding_dim=1, gain=1.0, max_epochs=0, dt=0.01, **settings)
    fitted.fit(
        arrays(PROBES), **({"sessions": SESSIONS} if "ridge" in settings else {})
    )
    labels = {"sessions": SESSIONS} if model is MetaDynamicalSSM else {}
    fitted.save(tmp_path / "model.safetensors")
    for one in (fitted, model.load(tmp_path / "model.safetensors")):
        np.testing.assert_array_equal(
            one.transform(frames(PROBES), **labels), one.transform(PLAIN, **labels)
        )
        for name in (
            *("transform", "score", "reconstruct", "smooth", "forecast"),
            *("embedding_posterior", "initial_states", "latents"),
        ):
            steps = {"n_steps": 2} if name == "forecast" else {}
            if hasattr(one, name):
                with pytest.raises(
                    ValueError, match=r"differs: \('A', 1\), for \('A', 0"
                ):
                    getattr(one, name)(arrays(PROBES, [1, 0, 2, 3]), **steps, **labels)


def test_what_numbers_without_names_say():
    named = LinearStateSpace(2, n_iter=1).fit(frames(["a", "b", "c", "d"]))
    numbered = [pd.DataFrame(x) for x in PLAIN]  # 0, 1, 2, 3 by pandas itself
    assert named.score(numbered) == named.score(PLAIN)
    nameless = LinearStateSpace(2, n_iter=1).fit(PLAIN)
    assert nameless.score(frames(UNITS)) == nameless.score(PLAIN)
    with pytest.raises(ValueError, match=r"not those of fit.*differs: 3, for 0\)"):
        nameless.score(frames(range(4), [3, 2, 1, 0]))
    with pytest.raises(ValueError, match="pass plain arrays if only the names differ"):
        LinearStateSpace(2, n_iter=1).fit(frames(UNITS)).score(numbered)


# ------------------------------------------------------------------------ ids of trials

MANY = pd.MultiIndex.from_product([["A", "B"], [0, 1, 2]], names=["session", "trial"])


@pytest.mark.parametrize(
    ("form", "ids"),
    [
        (trial_set(PLAIN), [9, 4, 7, 2, 8, 5]),
        (LABELLED.fillna(0).rename(trial="sweep").transpose(), IDS),
        (list(LABELLED.fillna(0)), IDS),
        (column(list(PLAIN)), IDS),
        (column(list(PLAIN)).set_axis(MANY), list(MANY)),
        (pd.DataFrame({"rates": column(list(PLAIN))}), IDS),
    ],
)
@pytest.mark.parametrize("steps", [0, 2])
def test_embeddings_as_a_table_keep_the_ids_of_trials(form, ids, steps):
    before = [SoftNormalizer(dt=0.01), SpikeSmoother(0.02, dt=0.01)][:steps]
    jedi = JEDIEstimator(2, 2, observation="state", dt=0.01, max_epochs=0)
    with config_context(transform_output="pandas"):
        Z = make_pipeline(*before, jedi).fit_transform(form)
        assert list(Z.index) == ids
        assert list(jedi.transform(form).index) == ids
    if isinstance(form, TrialSet):
        joined = form.table.join(Z)
        np.testing.assert_array_equal(joined["jediestimator0"], jedi.embeddings_[:, 0])
