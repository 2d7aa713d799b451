"""Labelled arrays (xarray) in, labelled arrays out."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
from sklearn_jedi.datasets import make_rotation_family

xr = pytest.importorskip("xarray", reason="needs xarray (extra io)")


@pytest.fixture(scope="module")
def values():
    return make_rotation_family(8, n_neurons=12, random_state=0)[0]


def label(values, **extra):
    n_trials, n_timepoints, n_neurons = values.shape
    coords = {
        "trial": np.arange(n_trials) + 100,
        "time": -0.3 + 0.01 * np.arange(n_timepoints),
        "neuron": [f"unit {k}" for k in range(n_neurons)],
        "target": ("trial", np.arange(n_trials) % 3),
        "speed": (("trial", "time"), values[..., 0]),
    }
    return xr.DataArray(
        values, dims=("trial", "time", "neuron"), coords=coords | extra, name="rates"
    )


@pytest.fixture(scope="module")
def fitted(values):
    return JEDIEstimator(rank=2, embedding_dim=2, max_epochs=0).fit(label(values))


def test_the_same_numbers_as_from_plain_arrays(values, fitted):
    plain = JEDIEstimator(rank=2, embedding_dim=2, max_epochs=0).fit(values)
    assert np.array_equal(fitted.embeddings_, plain.embeddings_)
    Z = fitted.transform(label(values))
    assert isinstance(Z, np.ndarray)
    assert np.array_equal(Z, plain.transform(values))
    assert np.array_equal(fitted.reconstruct(label(values)), plain.reconstruct(values))


@pytest.mark.parametrize(
    "dims", [("trial", "time", "neuron"), ("neuron", "trial", "time")]
)
@pytest.mark.parametrize("method", ["reconstruct", "smooth"])
def test_activity_keeps_every_label(values, fitted, method, dims):
    X = label(values).transpose(*dims)
    out = getattr(fitted, method)(X)
    assert out.dims == dims
    assert out.name == "rates"
    assert set(out.coords) == set(X.coords)
    xr.testing.assert_equal(out.coords.to_dataset(), X.coords.to_dataset())
    expected = getattr(fitted, method)(values)
    assert np.array_equal(out.transpose("trial", "time", "neuron"), expected)
    assert np.array_equal(X.transpose("trial", "time", "neuron"), values)  # untouched


def test_forecasts_go_on_in_time(values, fitted):
    X = label(values)
    mean, std = fitted.forecast(X[:, :50], 20, return_std=True)
    for ahead in (mean, std):
        assert ahead.dims == X.dims
        np.testing.assert_allclose(ahead.time, X.time[50:70], rtol=0, atol=1e-12)
        assert np.array_equal(ahead.target, X.target)
        assert np.array_equal(ahead.neuron, X.neuron)
        assert "speed" not in ahead.coords  # recorded along with the activity
    assert np.array_equal(mean, fitted.forecast(values[:, :50], 20))
    turned = fitted.forecast(X[:, :50].transpose("time", "neuron", "trial"), 20)
    assert turned.dims == ("time", "neuron", "trial")
    assert np.array_equal(turned.transpose(*X.dims), mean)


def test_forecasts_of_trials_that_end_at_different_times_have_no_common_time(
    values, fitted
):
    X = label(values)[:, :50].copy()
    X[0, 40:] = np.nan
    assert "time" not in fitted.forecast(X, 5).coords


def test_other_units_are_refused_by_name(values, fitted):
    X = label(values, neuron=[f"unit {k}" for k in range(11, -1, -1)])
    with pytest.raises(ValueError, match=r"units of X are not those of fit.*'unit 11'"):
        fitted.transform(X)


def test_arrays_without_coordinates(values, fitted):
    bare = xr.DataArray(values, dims=("trial", "time", "neuron"))
    assert set(fitted.forecast(bare, 3).coords) == set()


@pytest.mark.parametrize(
    "dims",
    [
        ("epoch", "sample", "channel"),
        ("Trials", "time_bin", "unit_id"),
        ("presentation", "t (ms)", "neuroid"),
        ("direction", "time", "neuron"),  # one is left
        ("dim_0", "dim_1", "dim_2"),  # xarray's own, where nobody names them
    ],
)
def test_other_names_of_axes_are_understood_in_any_order(values, fitted, dims):
    turned = xr.DataArray(values, dims=dims).transpose(dims[2], dims[0], dims[1])
    out = fitted.reconstruct(turned)
    assert out.dims == turned.dims
    assert np.array_equal(out.transpose(*dims), fitted.reconstruct(values))
    one_by_one = [trial.transpose() for trial in turned.transpose(*dims)]
    assert np.array_equal(fitted.transform(one_by_one), fitted.transform(values))


@pytest.mark.parametrize(
    ("dims", "text"),
    [
        (
            ("x", "time", "y"),
            r"do not tell .* X\.rename\({'x': 'trial', 'y': 'neuron'}",
        ),
        (("trial", "epoch", "neuron"), r"do not tell .*rename\({'epoch': 'time'}"),
    ],
)
def test_axes_of_which_nobody_knows_are_refused(values, fitted, dims, text):
    with pytest.raises(ValueError, match=text):
        fitted.transform(xr.DataArray(values, dims=dims))


def test_one_trial_alone_is_refused(values, fitted):
    with pytest.raises(ValueError, match="pass a list with such an array for each"):
        fitted.transform(xr.DataArray(values[0], dims=("time", "neuron")))
    dataset = xr.Dataset({"rates": label(values)})
    with pytest.raises(TypeError, match=r"choose one of its variables, .*X\['rates'\]"):
        fitted.transform(dataset)


def test_sessions(values):
    values = values[:6, :20]
    X = label(values).transpose("neuron", "trial", "time")
    sessions = np.arange(len(values)) % 2
    meta = MetaDynamicalSSM(n_latents=2, gain=1.0, ridge=0.1)
    meta.fit(X, sessions=sessions)
    plain = meta.reconstruct(values, sessions=sessions)
    out = meta.reconstruct(X, sessions=sessions)
    assert out.dims == X.dims
    assert np.array_equal(out.transpose("trial", "time", "neuron"), plain)
    ahead = meta.forecast(X, 3, sessions=sessions)
    times = float(X.time[-1]) + 0.01 * np.arange(1, 4)
    np.testing.assert_allclose(ahead.time, times, rtol=0, atol=1e-12)
