"""The hypernetwork starts as EM's affine map, and knows its slopes."""

import numpy as np
import pytest
import torch

from sklearn_jedi._training._hypernetwork import Hypernetwork


@pytest.fixture
def A(rng):
    return rng.standard_normal((3, 5, 2))


@pytest.mark.parametrize("sizes", [(), (4,), (8, 6)])
def test_it_starts_as_the_affine_map(rng, A, sizes):
    c = rng.standard_normal((7, 2))
    net = Hypernetwork(A, sizes).double()
    expected = A[0] + np.einsum("nj,jkr->nkr", c, A[1:])
    # buffers were float32 once
    np.testing.assert_allclose(net.weights(c), expected, atol=1e-6)


@pytest.mark.parametrize("sizes", [(), (4,), (8, 6)])
def test_slopes_are_derivatives(rng, A, sizes):
    net = Hypernetwork(A, sizes).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    c = rng.standard_normal((7, 2))
    weights, slopes = net.weights_and_slopes(c)
    assert weights.shape == (7, 5, 2)
    assert slopes.shape == (7, 2, 5, 2)
    np.testing.assert_array_equal(weights, net.weights(c))
    eps = 1e-6
    for j, e in enumerate(np.eye(2)):
        up, down = net.weights(c + eps * e), net.weights(c - eps * e)
        np.testing.assert_allclose(slopes[:, j], (up - down) / (2 * eps), atol=1e-7)


def test_changes_are_in_units_of_the_shared_weights(rng, A):
    c = torch.tensor(rng.standard_normal((3, 2)))
    small, large = Hypernetwork(A, ()).double(), Hypernetwork(100 * A, ()).double()
    for net in (small, large):
        torch.nn.init.constant_(net.change, 0.3)
    np.testing.assert_allclose(
        100 * small(c).detach(), large(c).detach(), rtol=1e-5, atol=1e-4
    )


def test_weights_carry_no_gradient(A):
    net = Hypernetwork(A, (4,))
    weights, slopes = net.weights_and_slopes(np.zeros((1, 2)))
    assert type(weights) is type(slopes) is np.ndarray
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("sizes", [(), (4,)])
def test_change_rank_bounds_the_rank_of_the_change(rng, sizes):
    A = rng.standard_normal((3, 5, 3))
    along = rng.standard_normal((3, 1)) / 2
    A[1:] = A[1:] @ along @ along.T
    net = Hypernetwork(A, sizes, change_rank=1).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    c = rng.standard_normal((4, 2))
    weights, slopes = net.weights_and_slopes(c)
    change = (weights - weights[0])[1:].reshape(-1, 3)
    np.testing.assert_allclose(np.linalg.svd(change)[1][1:], 0, atol=1e-5)
    across = np.linalg.svd(along.T)[2][1:]
    np.testing.assert_allclose(slopes @ across.T, 0, atol=1e-5)
    assert "within" not in net.state_dict()
