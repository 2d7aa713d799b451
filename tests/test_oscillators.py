"""Simulated sessions against the equations that their documentation gives."""

import numpy as np
import pytest
from scipy.integrate import trapezoid

from sklearn_jedi.datasets import make_oscillator_sessions

QUIET = {"noise": 0.0, "process_noise": 0.0, "random_state": 0}


def test_shapes_and_labels():
    data = make_oscillator_sessions(3, 2, n_timepoints=20, n_neurons=(5, 7), **QUIET)
    assert data.sessions.tolist() == [0, 0, 1, 1, 2, 2]
    for x, expected, z, s in zip(
        data.X, data.expected, data.latents, data.sessions, strict=True
    ):
        loading = data.loadings[s]
        assert 5 <= len(loading) <= 7
        assert x.shape == (20, len(loading))
        assert z.shape == (20, 2)
        np.testing.assert_allclose(expected, z @ loading[:, :2].T + loading[:, 2])
        np.testing.assert_array_equal(x, expected)


def test_limit_cycles_have_their_frequency_and_radius():
    data = make_oscillator_sessions(4, 3, n_timepoints=200, **QUIET)
    assert sorted(data.parameters[:, 0]) == [1.0, 2.0, 3.0, 4.0]
    for z, s in zip(data.latents, data.sessions, strict=True):
        late = z[100:]
        np.testing.assert_allclose(np.linalg.norm(late, axis=1), 1, atol=2e-3)
        angle = np.unwrap(np.arctan2(late[:, 1], late[:, 0]))
        frequency = np.diff(angle).mean() / (2 * np.pi * data.dt)
        assert frequency == pytest.approx(data.parameters[s, 0], rel=1e-3)


def test_hopf_decays_below_and_cycles_above_zero():
    data = make_oscillator_sessions(
        2, 2, family="hopf", n_timepoints=400, parameters=[[-1, 2], [1, 2]], **QUIET
    )
    size = [np.linalg.norm(z[-1]) for z in data.latents]
    np.testing.assert_allclose(size, [0, 0, 0.5, 0.5], atol=0.03)


def test_duffing_loses_energy_at_the_rate_of_its_damping():
    a, b = -0.2, -0.5
    data = make_oscillator_sessions(
        1, 1, family="duffing", n_timepoints=100, parameters=[[a, b]], **QUIET
    )
    x, y = data.latents[0].T
    energy = y**2 / 2 + b * x**2 / 2 + x**4 / 4
    lost = trapezoid(2 * np.pi * a * y**2, dx=data.dt)
    assert energy[-1] - energy[0] == pytest.approx(lost, rel=1e-2)


def test_counts_have_the_expected_mean():
    data = make_oscillator_sessions(
        2, 40, mean_counts=(0.05, 0.5), n_neurons=(30, 30), random_state=0
    )
    for s in range(2):
        own = data.sessions == s
        X = np.concatenate([x for x, k in zip(data.X, own, strict=True) if k])
        rate = np.concatenate([x for x, k in zip(data.expected, own, strict=True) if k])
        assert (X % 1 == 0).all()
        z = (X - rate).mean(0) / np.sqrt(rate.mean(0) / len(X))
        assert (np.abs(z) < 4.5).all()
        at_rest = np.exp(data.loadings[s][:, 2])
        assert (at_rest >= 0.05).all()
        assert (at_rest <= 0.5).all()


def test_seed_decides():
    one, again, other = (
        make_oscillator_sessions(2, 2, random_state=s) for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.X[0], again.X[0])
    assert one.X[0].shape != other.X[0].shape or not (one.X[0] == other.X[0]).all()


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"family": "lorenz"}, "family must be one of"),
        ({"n_sessions": 0}, "n_sessions must be at least 1"),
        ({"parameters": [[1.0]]}, r"of shape \(2, 1\)"),
        ({"noise": -1.0}, "noise must be zero or positive"),
        ({"n_neurons": (5, 3)}, "n_neurons must be"),
        ({"mean_counts": (0.0, 1.0)}, "mean_counts must be"),
    ],
)
def test_parameters_that_cannot_be_used(params, match):
    with pytest.raises(ValueError, match=match):
        make_oscillator_sessions(**{"n_sessions": 2, **params})
