"""The one equation: steps, their inverse and derivatives, modes; arrays and tensors."""

import numpy as np
import pytest
import torch

from sklearn_jedi import Nonlinearity
from sklearn_jedi._networks._equation import Equation

EQUATION = Equation.of(0.08, 0.02, "tanh", 1.5)


def drive_of(x, J):
    return EQUATION.phi(x) @ J.T


@pytest.fixture
def J(rng):
    return rng.standard_normal((4, 4))


def test_a_step_is_eulers(rng):
    x, y = rng.standard_normal((2, 5, 4))
    velocity = (y - x) / 0.08
    np.testing.assert_allclose(EQUATION.velocity(x, y), velocity)
    np.testing.assert_allclose(EQUATION.step(x, y), x + 0.02 * velocity)
    assert (EQUATION.alpha, EQUATION.kept) == (0.25, 0.75)


def test_the_drive_of_a_step_is_found_again(rng):
    x, y = rng.standard_normal((2, 5, 4))
    np.testing.assert_allclose(EQUATION.drive(x, EQUATION.step(x, y)), y)


def test_without_a_drive_states_decay():
    x = np.full(1, 3.0)
    for left in EQUATION.decay(5):
        x = EQUATION.step(x, np.zeros(1))
        np.testing.assert_allclose(x, 3 * left)


@pytest.mark.parametrize("time", ["map", "flow"])
def test_linearised_is_the_derivative(rng, J, time):
    x = rng.standard_normal(4)
    move = EQUATION.step if time == "map" else EQUATION.velocity
    _, slope = EQUATION.activity(x)
    jacobian = EQUATION.linearised(J * slope(), time)
    for k, nudge in enumerate(1e-6 * np.eye(4)):
        ends = [move(z, drive_of(z, J)) for z in (x + nudge, x - nudge)]
        np.testing.assert_allclose(
            jacobian[:, k], (ends[0] - ends[1]) / 2e-6, atol=1e-7
        )


@pytest.mark.parametrize("time", ["map", "flow"])
def test_eigenvalues_are_those_of_the_linearised(J, time):
    of_drive = np.linalg.eigvals(J)
    found = EQUATION.eigenvalues(of_drive, time)
    dense = np.linalg.eigvals(EQUATION.linearised(J, time))
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(dense))
    np.testing.assert_allclose(EQUATION.drive_eigenvalues(found, time), of_drive)


@pytest.mark.parametrize("time", ["map", "flow"])
def test_modes_of_a_spiral(time):
    """That grows at 3 /s and turns at 2 Hz."""
    exponent = 3 + 2j * np.pi * 2
    value = np.array([np.exp(0.02 * exponent) if time == "map" else exponent])
    rates, frequencies = EQUATION.modes(EQUATION.drive_eigenvalues(value, time), time)
    np.testing.assert_allclose([rates[0], frequencies[0]], [3, 2])


def test_a_mode_that_one_step_extinguishes():
    at_once = EQUATION._replace(dt=0.08)
    rates, frequencies = at_once.modes(np.zeros(1), "map")
    assert (rates[0], frequencies[0]) == (-np.inf, 0)


@pytest.mark.parametrize("name", ["tanh", "relu", "softplus", "linear"])
def test_arrays_and_tensors_obey_the_same_equation(rng, name):
    equation = Equation.of(0.08, 0.02, name, 1.5)
    x, y = rng.standard_normal((2, 5, 4))
    of_arrays, of_tensors = (
        [
            equation.step(a, b),
            equation.drive(a, b),
            equation.velocity(a, b),
            equation.phi(a),
            equation.activity(a)[0],
            equation.activity(a)[1](),
        ]
        for a, b in ((x, y), (torch.tensor(x), torch.tensor(y)))
    )
    for array, tensor in zip(of_arrays, of_tensors, strict=True):
        assert isinstance(tensor, torch.Tensor)
        np.testing.assert_allclose(array, tensor.numpy(), atol=1e-14)


def test_a_transfer_function_of_ones_own_is_kept():
    own = Nonlinearity(lambda xp, x: 2 * x, lambda xp, x, y: xp.full_like(x, 2.0))
    equation = Equation.of(0.1, 0.01, own, gain=3.0)
    assert equation.transfer is own
    np.testing.assert_allclose(equation.phi(np.ones(2)), 2)
    np.testing.assert_allclose(equation.activity(np.ones(2))[0], 6)
