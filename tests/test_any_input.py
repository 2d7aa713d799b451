"""Whatever array is passed: it is refused in words, or fitted to finite results."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sklearn_jedi import JEDIEstimator
from sklearn_jedi._data._gate import check_trials

_VALUES = st.floats(allow_nan=True, allow_infinity=True, width=32)
_DTYPES = st.sampled_from(["f4", "f8", "i4", "u1", "b1", "c16", "O", "U3"])


@st.composite
def arrays(draw):
    """Anything that might be passed as trials: most of it small and finite."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6))
    dtype = np.dtype(draw(_DTYPES))
    if dtype.kind == "f":
        scale = draw(st.sampled_from([1e-30, 1e-3, 1.0, 1e3, 1e12]))
        wild = draw(st.booleans())
        elements = _VALUES if wild else st.floats(-1, 1, width=32)
        return (draw(hnp.arrays(dtype, shape, elements=elements)) * scale).astype(dtype)
    elements = st.just("a") if dtype.kind in "OU" else None
    return draw(hnp.arrays(dtype, shape, elements=elements))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow of the multiplication
@settings(max_examples=60, deadline=None, derandomize=True)
@given(arrays())
def test_any_array_passes_the_gate_whole_or_is_refused(X):
    estimator = JEDIEstimator()
    try:
        checked, summary = check_trials(estimator, X, reset=True)
    except (ValueError, TypeError):
        return
    assert checked.dtype == (np.float32 if X.dtype == np.float32 else np.float64)
    X3 = X.reshape(*X.shape[:2], -1).astype(float)
    block = checked.read(np.arange(len(X)))
    n_read = block.values.shape[1]
    assert np.isnan(X3[:, n_read:]).all()
    np.testing.assert_array_equal(block.values, np.nan_to_num(X3[:, :n_read]))
    if block.recorded is not None:
        np.testing.assert_array_equal(block.recorded, ~np.isnan(X3[:, :n_read]))
    assert np.isfinite(block.values).all()
    assert np.isfinite([summary.mean, summary.sd]).all()
    assert estimator.n_features_in_ == X.shape[1]
    np.testing.assert_array_equal(
        np.broadcast_to(estimator.n_timepoints_in_, len(X)), checked.lengths
    )
    assert estimator.n_neurons_in_ == X3.shape[2]
    again = check_trials(estimator, X, reset=False)[0].read(np.arange(len(X)))
    np.testing.assert_array_equal(again.values, block.values)


finite_trials = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=7),
    elements=st.floats(-1, 1, width=16),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    X=finite_trials,
    scale=st.sampled_from([1e-6, 1.0, 100.0]),
    offset=st.sampled_from([0.0, 5.0]),
    rank=st.sampled_from([1, 3, None]),
    nonlinearity=st.sampled_from(["tanh", "linear", "relu", "softplus"]),
    observation=st.sampled_from(["auto", "state"]),
)
def test_any_finite_trials_are_fitted(
    X, scale, offset, rank, nonlinearity, observation
):
    X = X * X.dtype.type(scale) + X.dtype.type(offset)
    jedi = JEDIEstimator(
        rank, 2, nonlinearity=nonlinearity, observation=observation, max_epochs=0
    )
    Z = jedi.fit_transform(X)
    assert Z.shape == (len(X), 2)
    assert Z.dtype == X.dtype
    assert np.isfinite(Z).all()
    np.testing.assert_allclose(jedi.transform(X), Z, atol=1e-5)
    networks = jedi.dynamics(Z)
    assert networks.rank == (X.shape[2] if rank is None else min(rank, X.shape[2]))
    runs = jedi.reconstruct(X)
    assert runs.shape == X.shape
    assert np.isfinite(runs).all()
    assert (jedi.noise_variance_ >= 0).all()


@settings(max_examples=8, deadline=None, derandomize=True)
@given(X=finite_trials, nonlinearity=st.sampled_from(["tanh", "relu"]))
def test_any_finite_trials_can_be_trained_on(X, nonlinearity):
    jedi = JEDIEstimator(
        2,
        2,
        nonlinearity=nonlinearity,
        observation="state",
        max_epochs=2,
        hidden_layer_sizes=(4,),
    )
    Z = jedi.fit_transform(X)
    assert Z.shape == (len(X), 2)
    assert np.isfinite(Z).all()
    assert np.isfinite(jedi.reconstruct(X)).all()
