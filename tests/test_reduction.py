"""The reduced free run, in numpy and torch, against the network itself."""

import numpy as np
import pytest
import torch

from sklearn_jedi import LowRankRNN
from sklearn_jedi._engine._reduction import Basis, Reduction, free_run, rest_path
from sklearn_jedi._networks._equation import Equation

ALPHA, GAIN = 0.2, 0.6


def reduction(basis, nonlinearity):
    return Reduction.of(basis, Equation.of(0.1, 0.1 * ALPHA, nonlinearity, GAIN))


@pytest.fixture
def parts(rng):
    P, Q = (np.linalg.qr(rng.standard_normal((6, k)))[0] for k in (2, 3))
    basis = Basis(P, Q, rng.standard_normal(6), rng.standard_normal(6))
    weights = rng.standard_normal((4, 4, 2))
    return basis, weights, rng.standard_normal((4, 6))


def as_networks(basis, weights, nonlinearity):
    """drive = drive_mean + P (A^T (Q^T (phi(r) - feature_mean)) + bias)."""
    slopes, bias = weights[:, :-1], weights[:, -1]
    inner = bias - np.einsum("k,nkr->nr", basis.Q.T @ basis.feature_mean, slopes)
    return LowRankRNN(
        np.tile(basis.P, (len(weights), 1, 1)),
        basis.Q @ slopes,
        basis.drive_mean + inner @ basis.P.T,
        tau=0.1,
        dt=0.1 * ALPHA,
        nonlinearity=nonlinearity,
        gain=GAIN,
    )


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "softplus", "linear"])
def test_free_run_is_the_networks_simulation(parts, nonlinearity):
    basis, weights, states = parts
    red = reduction(basis, nonlinearity)
    kappa = free_run(red, weights, states, 9)
    run = as_networks(basis, weights, nonlinearity).simulate(states, 10)[:, 1:]
    np.testing.assert_allclose(kappa, run @ basis.P, rtol=1e-9, atol=1e-10)
    whole = kappa @ basis.P.T + rest_path(red, states, 9)
    np.testing.assert_allclose(whole, run, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "softplus", "linear"])
def test_torch_agrees_with_numpy(parts, nonlinearity):
    basis, weights, states = parts
    red = reduction(basis, nonlinearity)
    path = free_run(
        red.to_torch(torch.float64), torch.tensor(weights), torch.tensor(states), 9
    )
    assert isinstance(path, torch.Tensor)
    np.testing.assert_allclose(
        path.numpy(), free_run(red, weights, states, 9), rtol=1e-10, atol=1e-12
    )


def test_split_state_is_orthogonal(parts):
    basis, _, states = parts
    kappa, rest = reduction(basis, "tanh").split(states)
    np.testing.assert_allclose(kappa @ basis.P.T + rest, states, atol=1e-14)
    np.testing.assert_allclose(rest @ basis.P, 0, atol=1e-14)
