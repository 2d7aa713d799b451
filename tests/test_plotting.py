"""Displays draw the numbers they were given, with units on the axes."""

import matplotlib
import matplotlib.pyplot
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.quiver import Quiver

matplotlib.use("Agg")

from sklearn_jedi import JEDIEstimator, LowRankRNN
from sklearn_jedi.analysis import FixedPointAnalyzer, SpectrumAnalyzer
from sklearn_jedi.datasets import make_attractor_family, make_rotation_family
from sklearn_jedi.plotting import (
    EmbeddingDisplay,
    FixedPointDisplay,
    ReconstructionDisplay,
    SpectrumDisplay,
    TrainingDisplay,
)


@pytest.fixture(scope="module")
def fitted():
    X, y, _ = make_rotation_family(4, n_neurons=20, n_timepoints=40, random_state=0)
    return JEDIEstimator(2, 2, max_epochs=0).fit(X), X, y


@pytest.fixture(autouse=True)
def close_figures():
    yield
    matplotlib.pyplot.close("all")


def line_of(display, label):
    """The one line with a label of the legend."""
    (line,) = [line for line in display.ax_.lines if line.get_label() == label]
    return line


def points_of(line):
    """What a line shows, as complex numbers."""
    x, y = line.get_xydata().T
    return x + 1j * y


# --------------------------------------------------------------------------- embeddings


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


# ----------------------------------------------------------------------- reconstruction


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


def test_labels_reach_the_estimator(fitted):
    """With them, trials of a condition share an embedding."""
    _, X, y = fitted
    jedi = JEDIEstimator(2, 2, embedding="condition", dt=0.01, max_epochs=0)
    jedi.fit(X, conditions=y)
    labels = {"conditions": y}
    display = EmbeddingDisplay.from_estimator(jedi, X, y, **labels)
    for line in display.ax_.lines:
        np.testing.assert_array_equal(line.get_xydata(), line.get_xydata()[[0] * 4])
    display = ReconstructionDisplay.from_estimator(jedi, X, trial=3, **labels)
    together = jedi.reconstruct(X, **labels)[3]
    np.testing.assert_allclose(display.reconstruction, together)
    assert not np.allclose(together, jedi.reconstruct(X[3:4])[0], atol=1e-4)
    display = SpectrumDisplay.from_estimator(jedi, X, y, **labels)
    expected = jedi.dynamics(jedi.transform(X, **labels)).eigenvalues
    np.testing.assert_allclose(
        np.abs(points_of(display.ax_.lines[0])), np.abs(expected[y == 0]).ravel()
    )


# ------------------------------------------------------------------------------ spectra


def random_networks(n_networks=3, n_neurons=8, rank=3):
    rng = np.random.default_rng(0)
    U, V = rng.standard_normal((2, n_networks, n_neurons, rank))
    return LowRankRNN(U, V, tau=0.1, dt=0.02)


@pytest.mark.parametrize("time", ["map", "flow"])
@pytest.mark.parametrize("kind", ["connectivity", "jacobian"])
def test_the_edge_of_stability_is_where_modes_neither_grow_nor_decay(kind, time):
    networks = random_networks()
    states = np.zeros((3, 2, 8)) if kind == "jacobian" else None
    spectra = SpectrumAnalyzer(kind, time=time).fit(networks, states=states)
    display = SpectrumDisplay.from_analyzer(spectra)
    points, edge = display.ax_.lines
    np.testing.assert_array_equal(points_of(points), spectra.eigenvalues_.ravel())
    values = points_of(edge)
    if kind == "connectivity":
        values = 1 + 0.2 * (values - 1) if time == "map" else (values - 1) / 0.1
    growth = np.abs(values) - 1 if time == "map" else values.real
    np.testing.assert_allclose(growth, 0, atol=1e-12)
    assert np.ptp(edge.get_ydata()) > 0
    assert edge.get_label() == "edge of stability"


@pytest.mark.parametrize(
    ("kind", "time", "what", "unit"),
    [
        ("connectivity", "map", "lambda", "(no unit)"),
        ("connectivity", "flow", "lambda", "(no unit)"),
        ("jacobian", "map", "eigenvalue of the map", "(no unit)"),
        ("jacobian", "flow", "eigenvalue of the flow", "(1/s)"),
    ],
)
def test_units_of_spectra(kind, time, what, unit):
    states = np.zeros((3, 1, 8)) if kind == "jacobian" else None
    spectra = SpectrumAnalyzer(kind, time=time).fit(random_networks(), states=states)
    ax = SpectrumDisplay(spectra).plot().ax_
    for label, part in ((ax.get_xlabel(), "Re "), (ax.get_ylabel(), "Im ")):
        assert label.startswith(part)
        assert what in label
        assert label.endswith(unit)


def test_spectra_of_networks_are_drawn_by_condition():
    networks = random_networks()
    labels = np.array(["b", "a", "b"])
    display = SpectrumDisplay.from_networks(networks, labels, title="input")
    values = SpectrumAnalyzer().fit(networks).eigenvalues_
    for label in ("a", "b"):
        found = points_of(line_of(display, label))
        np.testing.assert_array_equal(found, values[labels == label].ravel())
    assert display.ax_.get_legend().get_title().get_text() == "input"


def test_spectra_of_trials(fitted):
    jedi, X, y = fitted
    ax = matplotlib.pyplot.figure().add_subplot()
    display = SpectrumDisplay.from_estimator(jedi, X, y, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    values = SpectrumAnalyzer().fit(jedi.dynamics(jedi.transform(X))).eigenvalues_
    for line, group in zip(ax.lines[:-1], np.unique(y), strict=True):
        np.testing.assert_allclose(points_of(line), values[y == group].ravel())


def test_spectra_of_different_numbers_of_states():
    networks = random_networks()
    states = [np.zeros((2, 8)), np.empty((0, 8)), np.ones((1, 8))]
    spectra = SpectrumAnalyzer("jacobian").fit(networks, states=states)
    points, edge = SpectrumDisplay(spectra).plot().ax_.lines
    expected = np.concatenate([values.ravel() for values in spectra.eigenvalues_])
    np.testing.assert_array_equal(points_of(points), expected)
    np.testing.assert_allclose(np.abs(points_of(edge)), 1)


def test_labels_have_to_fit_the_networks():
    with pytest.raises(ValueError, match=r"labels must have shape \(3,\)"):
        SpectrumDisplay.from_networks(random_networks(), [0, 1])


# ------------------------------------------------------------------------- fixed points


@pytest.fixture(scope="module")
def attractors():
    """Networks with two stable points and a saddle, a cycle, a ring, and their runs."""
    X, y, networks = make_attractor_family(3, n_neurons=40, random_state=0)
    return FixedPointAnalyzer(random_state=0).fit(networks), X, y


def in_plane(line, states):
    """Whether a line shows the distances that states in rates have in two dimensions.

    Axes of the picture may be turned; distances in the networks' plane stay.
    """
    drawn = line.get_xydata()
    between = np.linalg.norm(drawn[:, None] - drawn, axis=2)
    expected = np.linalg.norm(states[:, None] - states, axis=2)
    np.testing.assert_allclose(between, expected, atol=1e-9 * (1 + expected.max()))


def test_fixed_points_are_filled_where_stable_and_open_elsewhere(attractors):
    analyzer = attractors[0]
    display = FixedPointDisplay.from_analyzer(analyzer)
    stable = line_of(display, "stable fixed point")
    unstable = line_of(display, "unstable, and how it leaves")
    assert to_rgb(stable.get_markerfacecolor()) == (0, 0, 0)
    assert to_rgb(unstable.get_markerfacecolor()) == (1, 1, 1)
    points, settled = analyzer.fixed_points_[0], analyzer.is_stable_[0]
    assert settled.tolist() == [True, True, False]
    in_plane(stable, points[settled])
    np.testing.assert_allclose(unstable.get_xydata(), [[0, 0]], atol=1e-9)
    for label in (display.ax_.get_xlabel(), display.ax_.get_ylabel()):
        assert label.endswith("(rate units)")


def test_a_saddle_leaves_towards_the_stable_points(attractors):
    display = FixedPointDisplay.from_analyzer(attractors[0])
    direction = [
        line.get_xydata() for line in display.ax_.lines if len(line.get_xdata()) == 2
        and line.get_linestyle() == "-"
    ]  # fmt: skip
    assert len(direction) == 1
    along = direction[0][1] - direction[0][0]
    away = line_of(display, "stable fixed point").get_xydata()[0]
    cosine = along @ away / np.linalg.norm(along) / np.linalg.norm(away)
    assert abs(cosine) == pytest.approx(1)


def test_arrows_show_where_the_state_goes(attractors):
    analyzer = attractors[0]
    display = FixedPointDisplay.from_analyzer(analyzer)
    (arrows,) = [c for c in display.ax_.collections if isinstance(c, Quiver)]
    moves = np.stack([arrows.U, arrows.V], axis=1)
    away = np.arange(len(moves)) != len(moves) // 2  # in the middle nothing moves
    np.testing.assert_allclose(np.linalg.norm(moves[away], axis=1), 1)
    # the plane's axes in rates, from one of the fixed points
    network = analyzer.networks_[0]
    plane = np.linalg.qr(network.U[0])[0]
    stable = analyzer.fixed_points_[0][:2]
    drawn = line_of(display, "stable fixed point").get_xydata()
    first = stable[0] @ plane / np.linalg.norm(stable[0])
    other = np.array([-first[1], first[0]])
    drawn_first = drawn[0] / np.linalg.norm(drawn[0])
    drawn_other = np.array([-drawn_first[1], drawn_first[0]])
    grid = np.stack([arrows.X, arrows.Y], axis=1)
    agreements = []
    for sign in (1, -1):  # the picture may be a mirror image
        turn = np.outer(drawn_first, first) + sign * np.outer(drawn_other, other)
        states = grid @ turn @ plane.T
        field = network.vector_field(states[None])[0] @ plane @ turn.T
        field[away] /= np.linalg.norm(field[away], axis=1, keepdims=True)
        agreements.append((field * moves).sum(axis=1)[away].min())
    assert max(agreements) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("rank", "n_fields"), [(1, 0), (2, 1), (3, 0)])
def test_only_the_flow_of_rank_two_is_in_the_plane(rank, n_fields, rng):
    U, V = rng.standard_normal((2, 10, rank))
    analyzer = FixedPointAnalyzer(limit_cycles=False, random_state=0)
    analyzer.fit(LowRankRNN(U, V / 10 + U / 5))
    display = FixedPointDisplay.from_analyzer(analyzer)
    fields = [c for c in display.ax_.collections if isinstance(c, Quiver)]
    assert len(fields) == n_fields


def test_a_network_of_one_neuron():
    analyzer = FixedPointAnalyzer(random_state=0).fit(LowRankRNN([[1.0]], [[2.0]]))
    display = FixedPointDisplay.from_analyzer(analyzer)
    stable = line_of(display, "stable fixed point").get_xydata()
    np.testing.assert_allclose(np.abs(stable), [[1.915008, 0]] * 2, atol=1e-5)


def test_a_cycle_is_a_closed_curve_through_its_states(attractors):
    analyzer = attractors[0]
    display = FixedPointDisplay.from_analyzer(analyzer, network=1)
    curve = line_of(display, "limit cycle")
    assert curve.get_linestyle() == "-"  # a stable one
    drawn = curve.get_xydata()
    np.testing.assert_allclose(drawn[0], drawn[-1], atol=1e-12)
    states = analyzer.limit_cycles_[1][0].states
    # the origin is the centre of picture and cycle
    sizes = np.linalg.norm(drawn, axis=1)
    expected = np.linalg.norm(states, axis=1)
    assert sizes.min() == pytest.approx(expected.min(), rel=1e-3)
    assert sizes.max() == pytest.approx(expected.max(), rel=1e-3)
    steps = np.linalg.norm(np.diff(drawn, axis=0), axis=1)
    assert len(drawn) > 200
    assert steps.max() < 0.05 * sizes.max()


def test_a_ring_is_drawn_as_a_continuous_attractor(attractors):
    analyzer = attractors[0]
    display = FixedPointDisplay.from_analyzer(analyzer, network=2)
    in_plane(line_of(display, "continuous attractor"), analyzer.manifolds_[2][0].states)


def test_trajectories_are_projected_onto_their_principal_components(rng):
    U, V = rng.standard_normal((2, 10, 3))
    network = LowRankRNN(U, (V + 2 * U) / 10)
    runs = network.simulate(rng.standard_normal((1, 4, 10)), 30)[0]
    analyzer = FixedPointAnalyzer(limit_cycles=False, random_state=0).fit(network)
    ax = matplotlib.pyplot.figure().add_subplot()
    display = FixedPointDisplay.from_analyzer(analyzer, trajectories=runs, ax=ax)
    assert display.ax_ is ax
    flat = runs.reshape(-1, 10)
    axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:2]
    expected = (runs - flat.mean(0)) @ axes.T
    drawn = np.array(
        [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 30]
    )
    assert drawn.shape == (4, 30, 2)
    signs = np.sign((drawn * expected).sum(axis=(0, 1)))
    np.testing.assert_allclose(drawn, signs * expected, atol=1e-9)
    labels = ax.get_legend_handles_labels()[1]
    assert labels.count("trajectories") == 1


def test_recordings_and_what_they_end_at_fit_into_the_picture(attractors):
    analyzer, X, y = attractors
    for k in range(3):
        display = FixedPointDisplay.from_analyzer(
            analyzer, network=k, trajectories=X[y == k]
        )
        limits = display.ax_.get_xlim() + display.ax_.get_ylim()
        for line in display.ax_.lines:
            if line.get_label() == "trajectories":
                assert np.abs(line.get_xydata()).max() < max(limits)


@pytest.mark.parametrize("shape", [(30, 40), (2, 30, 39), (40,)])
def test_trajectories_have_to_fit_the_network(attractors, shape):
    with pytest.raises(ValueError, match=r"\(n_trajectories, n_timepoints, 40\); got"):
        FixedPointDisplay.from_analyzer(attractors[0], trajectories=np.zeros(shape))


# ----------------------------------------------------------------------------- training

HISTORY = [
    {"epoch": k + 1, "train_loss": 0.5 / (k + 1), "valid_loss": 0.7 / (k + 1),
     "horizon": (5, 5, 20, 20)[k]}
    for k in range(4)
]  # fmt: skip


def test_losses_of_every_epoch():
    display = TrainingDisplay(HISTORY, best_epoch=3).plot()
    for key, label in (
        ("train_loss", "training windows"),
        ("valid_loss", "held-out bins"),
    ):
        line = line_of(display, label)
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
        np.testing.assert_array_equal(line.get_ydata(), [h[key] for h in HISTORY])
    assert set(line_of(display, "kept").get_xdata()) == {3}
    assert [text.get_text().strip() for text in display.ax_.texts] == [
        "5 steps",
        "20 steps",
    ]
    assert [text.xy[0] for text in display.ax_.texts] == [0.5, 2.5]
    assert display.ax_.get_xlabel() == "epoch"
    assert "share of the variance" in display.ax_.get_ylabel()


@pytest.mark.parametrize("best_epoch", [None, 0])
def test_no_epoch_is_marked_where_none_was_kept(best_epoch):
    display = TrainingDisplay(HISTORY, best_epoch).plot()
    assert "kept" not in display.ax_.get_legend_handles_labels()[1]


def test_training_of_an_estimator(trained):
    display = TrainingDisplay.from_estimator(trained)
    line = line_of(display, "training windows")
    losses = [epoch["train_loss"] for epoch in trained.history_]
    np.testing.assert_array_equal(line.get_ydata(), losses)
    assert set(line_of(display, "kept").get_xdata()) == {trained.best_epoch_}


def test_nothing_trained_is_nothing_to_draw(em_fitted):
    with pytest.raises(ValueError, match=r"nothing was trained \(max_epochs=0"):
        TrainingDisplay.from_estimator(em_fitted)


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["10", "2", "-1.5", "2"], ["-1.5", "2", "10"]),
        (["b", "10", "2", "a"], ["10", "2", "a", "b"]),
        ([3, 1, 3, 2], [1, 2, 3]),
    ],
)
def test_numbers_are_in_the_order_of_numbers(labels, order):
    display = EmbeddingDisplay(np.zeros((4, 2)), labels).plot()
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == [str(label) for label in order]
