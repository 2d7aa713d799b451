"""The contract of the preprocessing steps: scikit-learn's, and kinds of trials."""

import importlib
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pynapple as nap
import pytest
import xarray as xr
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_jedi.io import TrialSet
from sklearn_jedi.preprocessing import (
    NeuronSelector,
    SoftNormalizer,
    SpikeSmoother,
    SquareRoot,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* reads X as counts per bin:UserWarning"),
    pytest.mark.filterwarnings("ignore:width=.* exceeds the longest trial:UserWarning"),
]

# What scikit-learn 1.6 to 1.9 have for a transformer that takes NaN.
N_CHECKS = 46

STEPS = [
    pytest.param(SpikeSmoother(), id="smoother"),
    pytest.param(SpikeSmoother(causal=True), id="causal"),
    pytest.param(SoftNormalizer(), id="normalizer"),
    pytest.param(SquareRoot(), id="root"),
    pytest.param(SquareRoot(anscombe=True), id="anscombe"),
    pytest.param(NeuronSelector(), id="selector"),
]


def three_channels(base):
    """A step on three neurons made of one, so that checks on 2-D X see several."""

    class ThreeChannels(base):
        def _stack(self, X, reset=False):
            X = validate_data(
                self,
                X,
                reset=reset,
                dtype=(np.float64, np.float32),
                ensure_all_finite="allow-nan",
                ensure_min_features=2 if reset else 1,
            )
            return np.stack([X, 2 * X, X**2], axis=-1)

        def fit(self, X, y=None):
            super().fit(self._stack(X, reset=True), y)
            validate_data(self, X, skip_check_array=True)  # names of the columns
            return self

        def _transformed(self, X):
            return super()._transformed(self._stack(X)).mean(2)

        if hasattr(base, "inverse_transform"):

            def inverse_transform(self, X):
                check_is_fitted(self)
                return super().inverse_transform(self._stack(X)).mean(2)

    # a name of the module, for pickle
    ThreeChannels.__name__ = ThreeChannels.__qualname__ = f"Three{base.__name__}"
    return ThreeChannels


ThreeNeuronSelector = three_channels(NeuronSelector)
ThreeSoftNormalizer = three_channels(SoftNormalizer)
ThreeSpikeSmoother = three_channels(SpikeSmoother)
ThreeSquareRoot = three_channels(SquareRoot)


@pytest.mark.parametrize(
    "step",
    [
        *STEPS,
        pytest.param(ThreeSpikeSmoother(), id="three-smoother"),
        pytest.param(ThreeSpikeSmoother(causal=True), id="three-causal"),
        pytest.param(ThreeSoftNormalizer(), id="three-normalizer"),
        pytest.param(ThreeSquareRoot(), id="three-root"),
        pytest.param(ThreeNeuronSelector(), id="three-selector"),
    ],
)
def test_all_of_scikit_learns_checks_run_and_pass(step):
    results = check_estimator(step, on_fail=None, on_skip=None)
    others = {
        result["check_name"]: (result["status"], repr(result["exception"]))
        for result in results
        if result["status"] != "passed"
    }
    assert others == {}
    assert len(results) >= N_CHECKS


@pytest.fixture(scope="module")
def counts():
    """20 trials x 50 bins x 6 neurons, the last of which is nearly silent."""
    rates = np.array([0.2, 0.5, 1.0, 2.0, 4.0, 0.001])
    X = np.random.default_rng(1).poisson(rates, (20, 50, 6)).astype(float)
    X[0, 0, 5] = 1
    X.flags.writeable = False
    return X


@pytest.fixture(params=STEPS)
def step(request):
    return clone(request.param)


def kept(step, counts):
    """Numbers of the neurons that come out."""
    selects = isinstance(step, NeuronSelector)
    return np.arange(5) if selects else np.arange(counts.shape[2])


# --------------------------------------------------------------------- kinds of trials


def test_array_in_array_out(step, counts):
    before = counts.copy()
    out = step.fit_transform(counts)
    assert type(out) is np.ndarray
    assert out.dtype == np.float64
    assert out.shape == (20, 50, len(kept(step, counts)))
    assert (step.n_features_in_, step.n_timepoints_in_, step.n_neurons_in_) == (
        50,
        50,
        6,
    )
    np.testing.assert_array_equal(counts, before)
    np.testing.assert_array_equal(clone(step).fit(counts).transform(counts), out)


def test_list_and_padded_array_give_the_same(step, counts):
    ragged = [trial[: 30 + number] for number, trial in enumerate(counts)]
    padded = counts.copy()
    for number, trial in enumerate(padded):
        trial[30 + number :] = np.nan
    ragged_out = step.fit_transform(ragged)
    padded_out = clone(step).fit_transform(padded)
    assert isinstance(ragged_out, list)
    for number, (trial, padded_trial) in enumerate(
        zip(ragged_out, padded_out, strict=True)
    ):
        np.testing.assert_array_equal(trial, padded_trial[: 30 + number])
        assert np.isnan(padded_trial[30 + number :]).all()


def test_trailing_nan_keeps_the_length_of_a_trial(step, counts):
    trial = counts[0].copy()
    trial[40:] = np.nan
    out = step.fit(counts).transform([trial, counts[1]])
    assert [len(x) for x in out] == [50, 50]
    np.testing.assert_array_equal(np.isnan(out[0]).any(1), np.isnan(trial).any(1))


def test_nan_where_nothing_was_recorded_and_nowhere_else(step, counts, rng):
    X = counts.copy()
    X[rng.random(X.shape) < 0.2] = np.nan
    X[3, 10:30] = np.nan
    out = step.fit_transform(X)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(X)[..., kept(step, counts)])


def test_2d_in_2d_out(step, counts):
    out = step.fit_transform(counts[:, :, 3])
    assert out.shape == (20, 50)
    np.testing.assert_array_equal(
        out, clone(step).fit_transform(counts[:, :, [3]])[:, :, 0]
    )


@pytest.mark.parametrize("kind", ["array", "list"])
def test_float32_stays_float32(step, counts, kind):
    single = counts.astype(np.float32)
    out = step.fit_transform(single if kind == "array" else list(single))
    assert out[0].dtype == np.float32
    np.testing.assert_allclose(
        np.stack(out), clone(step).fit_transform(counts), rtol=1e-6, atol=1e-6
    )


def test_integers_become_float64(step, counts):
    out = step.fit_transform(counts.astype(np.uint8))
    assert out.dtype == np.float64
    np.testing.assert_array_equal(out, clone(step).fit_transform(counts))


def test_a_trial_comes_out_alone_as_in_a_batch(step, counts):
    ragged = [trial[: 50 - number] for number, trial in enumerate(counts)]
    ragged[4] = np.where(ragged[4] == 2, np.nan, ragged[4])
    together = step.fit(counts).transform(ragged)
    alone = [step.transform([trial])[0] for trial in ragged]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_frames_of_a_list_keep_index_and_columns(step, counts):
    names, times = [f"unit {k}" for k in range(6)], np.arange(50) / 100
    frames = [pd.DataFrame(x, index=times, columns=names) for x in counts]
    out = step.fit_transform(frames)
    expected = clone(step).fit_transform(counts)
    assert list(step.neuron_names_in_) == names
    for frame, values in zip(out, expected, strict=True):
        columns = [names[k] for k in kept(step, counts)]
        pd.testing.assert_frame_equal(
            frame, pd.DataFrame(values, index=times, columns=columns)
        )
    with pytest.raises(ValueError, match="or in another order"):
        step.transform([frame[names[::-1]] for frame in frames])


def test_polars_frames_of_a_list_stay_polars_frames(step, counts):
    names = [f"unit {k}" for k in range(6)]
    out = step.fit_transform([pl.DataFrame(x, schema=names) for x in counts])
    assert out[0].columns == [names[k] for k in kept(step, counts)]
    np.testing.assert_array_equal(
        np.stack([frame.to_numpy() for frame in out]), clone(step).fit_transform(counts)
    )


@pytest.mark.parametrize(
    "dims", [("trial", "time", "neuron"), ("neuron", "trial", "time")]
)
def test_labelled_arrays_stay_labelled(step, counts, dims):
    X = xr.DataArray(
        counts,
        dims=("trial", "time", "neuron"),
        coords={"time": np.arange(50) / 100, "neuron": list("abcdef")},
    ).transpose(*dims)
    out = step.fit_transform(X)
    assert out.dims == dims
    neurons = kept(step, counts)
    assert out.neuron.values.tolist() == [list("abcdef")[k] for k in neurons]
    np.testing.assert_array_equal(out.time, X.time)
    np.testing.assert_array_equal(
        out.transpose("trial", "time", "neuron"), clone(step).fit_transform(counts)
    )
    trials = step.transform([trial for trial in X.transpose("trial", "time", "neuron")])
    xr.testing.assert_equal(trials[3], out.isel(trial=3).transpose("time", "neuron"))


def trial_set(counts, dt):
    table = pd.DataFrame({"side": ["left", "right"] * 10}, index=np.arange(20) + 100)
    units = pd.DataFrame({"area": list("abcdef")}, index=[7, 9, 2, 3, 4, 5])
    return TrialSet(counts, dt, table, units, start=-0.2)


def labelled(counts, dt):
    coords = {"time": np.arange(50) * dt}
    return xr.DataArray(counts, coords, dims=("trial", "time", "neuron"))


def pynapple_frames(counts, dt):
    times = np.arange(50) * dt
    return [nap.TsdFrame(t=times, d=trial, columns=[*range(7, 13)]) for trial in counts]


def test_trial_sets_stay_trial_sets(step, counts):
    neurons, trials = kept(step, counts), trial_set(counts, 0.01)
    out = step.fit_transform(trials)
    assert isinstance(out, TrialSet)
    np.testing.assert_array_equal(out.X, clone(step).fit_transform(counts))
    assert (out.dt, out.start, out.table.side[101]) == (0.01, -0.2, "right")
    assert out.units.area.tolist() == [list("abcdef")[k] for k in neurons]


def test_frames_of_pynapple_stay_frames_of_pynapple(step, counts):
    out = step.fit_transform(pynapple_frames(counts, 0.01))
    assert {type(frame) for frame in out} == {nap.TsdFrame}
    np.testing.assert_allclose(out[3].t, np.arange(50) / 100)
    assert list(out[3].columns) == (kept(step, counts) + 7).tolist()
    np.testing.assert_array_equal(
        np.stack([frame.values for frame in out]), clone(step).fit_transform(counts)
    )


TIMED = pytest.mark.parametrize(
    "step", [SpikeSmoother(0.05), SoftNormalizer(), NeuronSelector(10)]
)
FORMS = pytest.mark.parametrize("form", [trial_set, labelled, pynapple_frames])


@TIMED
@FORMS
def test_the_time_step_is_that_of_the_trials(step, form, counts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = clone(step).fit(form(counts, 0.02))
        given = clone(step).set_params(dt=0.02).fit(counts)
    assert out.dt_ == given.dt_ == 0.02
    np.testing.assert_array_equal(out.transform(counts), given.transform(counts))
    with pytest.warns(UserWarning, match="dt was not given"):
        assert clone(step).fit(counts).dt_ == 0.01


@TIMED
@FORMS
@pytest.mark.filterwarnings("error")
def test_another_time_step_than_that_of_the_trials_is_warned_of_once(
    step, form, counts
):
    step = clone(step).set_params(dt=0.05)
    with pytest.warns(UserWarning, match=r"dt=0\.05 s .* 0\.02 s apart") as caught:
        step.fit_transform(form(counts, 0.02))
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(
        UserWarning, match=r"0\.1 s apart.* fitted .* dt=0\.05"
    ) as caught:
        step.transform(form(counts, 0.1))
    assert [warning.filename for warning in caught] == [__file__]
    step.transform(form(counts, 0.0502))


@pytest.mark.parametrize("step", [SoftNormalizer(dt=1), NeuronSelector(dt=1)])
@pytest.mark.filterwarnings("error")
def test_rates_in_spikes_per_second_have_any_time_step(step, counts):
    assert clone(step).fit(labelled(100 * counts, 0.02)).dt_ == 1


def column_of_a_table(trials):
    return pd.Series(trials, index=[f"t{k}" for k in range(len(trials))], name="rates")


def turned_arrays(trials):
    return [xr.DataArray(x.T, dims=("unit", "time")) for x in trials]


def frames_of_probes(trials):
    columns = pd.MultiIndex.from_product([["A", "B"], [0, 1, 2]], names=["probe", "id"])
    return [pd.DataFrame(x, columns=columns) for x in trials]


@pytest.mark.parametrize("form", [column_of_a_table, turned_arrays, frames_of_probes])
def test_other_forms_of_trials_come_out_as_they_went_in(step, counts, form):
    ragged = [trial[: 50 - k] for k, trial in enumerate(counts)]
    given = form(ragged)
    out, expected = step.fit_transform(given), clone(step).fit_transform(ragged)
    assert type(out) is type(given)
    for before, after, values in zip(given, out, expected, strict=True):
        assert type(after) is type(before)
        turn = after.T if form is turned_arrays else after
        np.testing.assert_array_equal(np.asarray(turn), values)
    if form is column_of_a_table:
        assert list(out.index) == list(given.index)
    if form is frames_of_probes:
        assert out[0].columns.equals(given[0].columns[kept(step, counts)])
        assert list(step.neuron_names_in_) == list(given[0].columns)
        with pytest.raises(ValueError, match=r"differs: \('B', 2\), for \('A', 0\)"):
            step.transform([frame.iloc[:, ::-1] for frame in given])


@pytest.mark.parametrize("as_list", [False, True])
def test_masks_and_missing_values_are_gaps(step, counts, as_list):
    hidden = np.random.default_rng(3).random(counts.shape) < 0.1
    gaps = np.where(hidden, np.nan, counts)
    masked = np.ma.masked_array(np.where(hidden, 1e3, counts), hidden)
    out = step.fit_transform(list(masked) if as_list else masked)
    expected = clone(step).fit_transform(gaps)
    np.testing.assert_array_equal(np.stack(out), expected)
    frames = [pd.DataFrame(x).convert_dtypes() for x in gaps]
    np.testing.assert_array_equal(np.stack(step.transform(frames)), expected)


def test_memory_mapped_trials(step, counts, tmp_path):
    np.save(tmp_path / "X.npy", counts)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        step.fit_transform(mapped), clone(step).fit_transform(counts)
    )


# ----------------------------------------------------------------------- scikit-learn's


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("where", ["estimator", "config"])
def test_set_output_frames_2d_and_leaves_3d(step, counts, library, where):
    frames = importlib.import_module(library)
    expected = clone(step).fit_transform(counts)
    flat = clone(step).fit_transform(counts[:, :, 3])
    if where == "estimator":
        step.set_output(transform=library)
    with config_context(
        transform_output="default" if where == "estimator" else library
    ):
        out = step.fit_transform(counts)
        assert type(out) is np.ndarray
        np.testing.assert_array_equal(out, expected)
        assert isinstance(step.transform(list(counts)), list)
        frame = step.fit_transform(counts[:, :, 3])
    assert isinstance(frame, frames.DataFrame)
    assert list(frame.columns) == [f"x{k}" for k in range(50)]
    np.testing.assert_array_equal(frame.to_numpy(), flat)


def test_names_of_time_points_pass_through_2d(step, counts):
    names = [f"{10 * k} ms" for k in range(50)]
    frame = pd.DataFrame(counts[:, :, 3], columns=names, index=np.arange(100, 120))
    out = step.set_output(transform="pandas").fit_transform(frame)
    assert list(step.get_feature_names_out()) == names
    assert list(out.columns) == names
    assert list(out.index) == list(frame.index)


def test_clone_and_pickle(step, counts):
    out = step.fit_transform(counts)
    again = pickle.loads(pickle.dumps(step))
    np.testing.assert_array_equal(again.transform(counts), out)
    copy = clone(step)
    assert copy.get_params() == step.get_params()
    assert not [name for name in vars(copy) if name.endswith("_")]


def test_transform_changes_nothing(step, counts):
    step.fit(counts)
    before = pickle.dumps(vars(step))
    step.transform(counts[:3])
    assert pickle.dumps(vars(step)) == before


def test_other_neurons_are_refused(step, counts):
    step.fit(counts)
    with pytest.raises(ValueError, match=r"X has 4 neurons, but .* was fitted on 6"):
        step.transform(counts[:, :, :4])


def test_a_2d_array_is_one_neuron_with_a_warning_where_it_was_passed(step, counts):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        step.fit(counts[:, :, 3]).transform(counts[:, :, 3])
    assert [
        "20 trials of 50 time points of one neuron" in str(c.message) for c in caught
    ]
    assert {c.filename for c in caught if "2-D" in str(c.message)} == {__file__}
