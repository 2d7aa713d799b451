"""Displays draw the numbers they were given, with units on the axes."""

import sys

import matplotlib
import matplotlib.pyplot
import numpy as np
import pytest

matplotlib.use("Agg")

from sklearn_jedi import JEDIEstimator, LowRankRNN
from sklearn_jedi.datasets import make_rotation_family
from sklearn_jedi.plotting import (
    EmbeddingDisplay,
    ReconstructionDisplay,
    SpectrumDisplay,
)


@pytest.fixture(scope="module")
def fitted():
    X, y, _ = make_rotation_family(4, n_neurons=20, n_timepoints=40, random_state=0)
    return JEDIEstimator(2, 2, max_epochs=0).fit(X), X, y


@pytest.fixture(autouse=True)
def close_figures():
    yield
    matplotlib.pyplot.close("all")


def test_embeddings_are_drawn_by_condition(fitted):
    jedi, X, y = fitted
    display = EmbeddingDisplay.from_estimator(jedi, X, y, title="input")
    Z = jedi.transform(X)
    for line, group in zip(display.ax_.lines, np.unique(y), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), Z[y == group])
    assert "prior SD" in display.ax_.get_xlabel()


def test_one_axis_is_drawn_along_a_line():
    display = EmbeddingDisplay(np.array([[1.0], [2.0]])).plot()
    np.testing.assert_array_equal(display.ax_.lines[0].get_ydata(), [0, 0])


def test_labels_have_to_fit_the_trials():
    with pytest.raises(ValueError, match=r"labels must have shape \(2,\)"):
        EmbeddingDisplay(np.zeros((2, 2)), labels=[0, 1, 2]).plot()


def test_the_free_run_lies_over_the_most_variable_neurons(fitted):
    jedi, X, _ = fitted
    display = ReconstructionDisplay.from_estimator(jedi, X, trial=3)
    first = int(np.argmax(X[3].std(0)))
    recorded, run = display.ax_.lines[:2]
    mean = X[3, :, first].mean()
    np.testing.assert_allclose(recorded.get_ydata(), X[3, :, first] - mean)
    expected = jedi.reconstruct(X[3:4])[0, :, first] - mean
    np.testing.assert_allclose(run.get_ydata(), expected)
    np.testing.assert_allclose(run.get_xdata(), 0.01 * np.arange(40))
    assert "(s)" in display.ax_.get_xlabel()


def test_the_edge_of_stability_is_where_the_map_has_magnitude_one():
    u = np.ones((4, 1)) / 2
    display = SpectrumDisplay(LowRankRNN(u, 2 * u, tau=0.1, dt=0.02)).plot()
    points, edge = display.ax_.lines
    np.testing.assert_allclose(points.get_xydata(), [[2, 0]], atol=1e-12)
    on_edge = edge.get_xdata() + 1j * edge.get_ydata()
    np.testing.assert_allclose(np.abs(1 + 0.2 * (on_edge - 1)), 1)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"sklearn-jedi\[plot\]"):
        EmbeddingDisplay(np.zeros((2, 2))).plot()
