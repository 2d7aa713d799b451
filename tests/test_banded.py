"""Block tridiagonal systems against dense matrices, and what is none of theirs."""

import numpy as np
import pytest

from sklearn_jedi._engine._banded import BlockTridiagonal, NotPositiveDefiniteError

N, T, RANK = 3, 5, 2
SIZE = T * RANK


def blocks_of(matrices):
    """Diagonal blocks and those below, of matrices (n, SIZE, SIZE)."""
    cut = matrices.reshape(len(matrices), T, RANK, T, RANK).swapaxes(2, 3)
    steps = np.arange(T)
    return cut[:, steps, steps], cut[:, steps[1:], steps[:-1]]


@pytest.fixture
def matrices(rng):
    """Positive definite, as the covariance of a smoother's step errors makes them."""
    half = np.zeros((N, SIZE, SIZE))
    for t in range(T):
        rows = slice(t * RANK, (t + 1) * RANK)
        before = slice(max(t - 1, 0) * RANK, (t + 1) * RANK)
        half[:, rows, before] = rng.standard_normal(half[:, rows, before].shape)
    return np.swapaxes(half, 1, 2) @ half + 0.1 * np.eye(SIZE)


@pytest.fixture
def system(matrices):
    return BlockTridiagonal(*blocks_of(matrices))


def test_solutions(matrices, system, rng):
    rhs = rng.standard_normal((N, SIZE, 4))
    np.testing.assert_allclose(system.solve(rhs), np.linalg.solve(matrices, rhs))


def test_log_determinants(matrices, system):
    np.testing.assert_allclose(system.log_det(), np.linalg.slogdet(matrices)[1])


def test_marginal_covariances(matrices, system):
    dense = blocks_of(np.linalg.inv(matrices))[0]
    np.testing.assert_allclose(system.marginal_covs(), dense)


def test_draws_have_the_covariance_of_the_inverse(matrices, system):
    """A factor of the covariance, from unit vectors, is exact: no sampling error."""
    root = system.draw(np.tile(np.eye(SIZE), (N, 1, 1)))
    covariance = root @ np.swapaxes(root, 1, 2)
    np.testing.assert_allclose(covariance, np.linalg.inv(matrices), atol=1e-12)


def diagonal(values):
    """One matrix of four blocks of size one."""
    values = np.asarray(values, dtype=float)
    return values.reshape(1, -1, 1, 1), np.zeros((1, len(values) - 1, 1, 1))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1, -0.5, 1, 1], "leading minor of order 2"),
        ([1, 1, 1, 0], "leading minor of order 4"),
        ([-1, -1, -1, -1], "leading minor of order 1"),
        ([1, np.nan, 1, 1], "NaN or infinity"),
        ([1, np.inf, 1, 1], "NaN or infinity"),
    ],
)
def test_what_is_not_positive_definite_is_refused(values, reason):
    if values[-1] == 0:  # singular beyond rounding: also minus a little
        values = [*values[:-1], -1e-6]
    with pytest.raises(NotPositiveDefiniteError, match=reason):
        BlockTridiagonal(*diagonal(values))


def test_the_message_names_the_matrix(matrices):
    matrices[1, 3, 3] = -1.0
    with pytest.raises(NotPositiveDefiniteError, match="matrix 1 is not positive"):
        BlockTridiagonal(*blocks_of(matrices))


def test_off_diagonal_blocks_can_spoil_a_matrix():
    ones, below = diagonal([1, 1, 1, 1])
    with pytest.raises(NotPositiveDefiniteError, match="order 2"):
        BlockTridiagonal(ones, below + 2.0)


def test_what_rounding_takes_from_the_diagonal_is_given_back():
    values = [1.0, -1e-13, 1.0, 1.0]
    solved = BlockTridiagonal(*diagonal(values)).solve(np.ones((1, 4, 1)))
    np.testing.assert_allclose(solved[0, [0, 2, 3], 0], 1, rtol=1e-8)
