"""Proofs that a fixed point exists, that it is alone, and that none is missing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_jedi.analysis._reduced import ReducedDynamics, weighted_gram

__all__ = [
    "Certificates",
    "certify",
    "curvature",
    "no_certificates",
    "open_cells",
]

_UNIT = np.finfo(float).eps / 2
_ULPS = 4  # largest error of a transfer function, in units of its last place


class Certificates(NamedTuple):
    """Newton-Kantorovich certificates of points (n_points,).

    Attributes
    ----------
    existence : array
        A fixed point exists within this distance (of rates); NaN: not proven.
    uniqueness : array
        There is no other within this distance.
    sign : array of int
        `sign det(I - F')`; 0 where not proven.
    """

    existence: np.ndarray
    uniqueness: np.ndarray
    sign: np.ndarray


def certify(
    system: ReducedDynamics, kappa: np.ndarray, lipschitz: float
) -> Certificates:
    r"""Newton-Kantorovich theorem at points (n_points, n_dims) of one network.

    With `G = F - kappa`, the bound L of `curvature` on the Lipschitz constant of `G'`,
    `beta >= |G'^-1|` and `eta >= |G'^-1 G|` [1]_: if `h = beta eta L <= 1/2`, a root
    exists within `(1 - sqrt(1 - 2h)) / (beta L)`, and no other within
    `(1 + sqrt(1 - 2h)) / (beta L)`. Both bounds hold for the exact G of the weights
    `Q W^T` stored in floating point (equal to the given ones up to rounding): errors of
    sums, products and transfer functions (at most four units in the last place) are
    added on.

    References
    ----------
    .. [1] Ortega and Rheinboldt, "Iterative solution of nonlinear equations in several
       variables" (1970), theorem 12.6.2.
    """
    n_points, n_dims = kappa.shape
    if not np.isfinite(lipschitz) or not n_points:
        return no_certificates(n_points)
    activity, slopes = system.activity(kappa)
    G, eye = activity @ system.B - kappa, np.eye(n_dims)
    jac = system.jacobian(slopes) - eye
    G_error, jac_error = _rounding(system, kappa, activity, slopes)
    # of the rates, with which the point is stored
    rates = np.abs(kappa) @ np.abs(system.Q).T + np.abs(system.bias)
    lift_error = 2 * _gamma(n_dims + 2) * np.linalg.norm(rates, axis=1)

    singular = np.linalg.svd(jac, compute_uv=False)
    regular = singular[:, -1] > 1e-12 * singular[:, 0]
    inverse = np.linalg.inv(np.where(regular[:, None, None], jac, eye))
    size = np.linalg.norm(inverse, 2, axis=(1, 2))
    # |I - inverse G'| bounds how far the inverse of the exact G' may be
    defect = np.linalg.norm(eye - inverse @ jac, axis=(1, 2)) + size * jac_error
    defect += 4 * n_dims * _UNIT * size * np.linalg.norm(jac, axis=(1, 2))
    regular &= defect < 0.5
    share = np.where(regular, 1 - defect, 1.0)
    beta = size / share
    step = np.linalg.norm((inverse @ G[..., None])[..., 0], axis=1)
    eta = (step + size * G_error) / share
    h = beta * eta * lipschitz
    root = np.sqrt(np.maximum(1 - 2 * h, 0))
    with np.errstate(divide="ignore"):  # of a linear network nothing bends
        unique = (1 + root) / (beta * lipschitz) - lift_error
    proven = regular & (h <= 0.5)
    return Certificates(
        # 2 eta / (1 + root) is (1 - root) / (beta L) without its cancellation
        np.where(proven, 2 * eta / (1 + root) + lift_error, np.nan),
        np.where(proven, unique, np.nan),
        np.where(regular, np.sign(np.linalg.det(-jac)), 0).astype(int),
    )


def no_certificates(n_points: int) -> Certificates:
    """Of points about which nothing is proven."""
    unknown = np.full(n_points, np.nan)
    return Certificates(unknown, unknown.copy(), np.zeros(n_points, dtype=int))


def curvature(system: ReducedDynamics) -> float:
    """A bound on the Lipschitz constant of `F'`; infinity where `phi''` has none.

    `|F'(x) - F'(y)| <= sum_i |B_i| |A_i| sup|f''| |A_i (x - y)|`, and, by Cauchy and
    Schwarz over the neurons, the largest eigenvalues of weighted Gram matrices: the
    smaller of the two.
    """
    if system.equation.transfer.curvature_bound is None:
        return np.inf
    a, b = np.linalg.norm(system.A, axis=1), np.linalg.norm(system.B, axis=1)
    gram = [(M * a[:, None]).T @ M for M in (system.A, system.B)]
    largest = [np.linalg.norm(matrix, 2) for matrix in gram]
    bound = min(float(np.sum(b * a * a)), float(np.sqrt(largest[0] * largest[1])))
    return system.equation.transfer.curvature_bound * bound * (1 + 1e-12)


def _rounding(
    system: ReducedDynamics,
    kappa: np.ndarray,
    activity: np.ndarray,
    slopes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (n_points,) on the errors of `G` and of `G'` in floating point.

    The standard bounds of sums in any order, `n u / (1 - n u)` times the sum of the
    magnitudes; an error of an argument of `f` reaches the value through a slope of at
    most `|f'(u)| + sup|f''| times the error`, and the slope through `sup|f''|`.
    """
    n_neurons, n_dims = system.A.shape
    gamma = _gamma(n_neurons + 2)
    sizes_A, sizes_B = np.abs(system.A), np.abs(system.B)
    size, steep = np.abs(activity), np.abs(slopes)
    argument = _gamma(n_dims + 3) * (np.abs(kappa) @ sizes_A.T + np.abs(system.c))
    slope_error = (system.equation.transfer.curvature_bound or 0.0) * argument
    value_error = (steep + slope_error) * argument + 2 * _ULPS * _UNIT * size
    slope_error += 2 * _ULPS * _UNIT * (1 + steep)
    G = (value_error + gamma * size) @ sizes_B + gamma * np.abs(kappa)
    weights = np.linalg.norm(sizes_A, axis=1) * np.linalg.norm(sizes_B, axis=1)
    jac = (slope_error + gamma * steep) @ weights + gamma * np.sqrt(n_dims)
    return 2 * np.linalg.norm(G, axis=1), 2 * jac


def open_cells(
    system: ReducedDynamics,
    roots: np.ndarray,
    certificates: Certificates,
    max_cells: int,
) -> np.ndarray:
    """Where roots other than the known ones may be; nowhere proves that none is.

    Branch and bound over the box that holds every root of a bounded network. A cell is
    discarded where `|Y G|` at its centre exceeds what `Y G` can change within it, with
    Y the identity or the inverse of the Jacobian there (an interval Newton test, which
    spares the many small cells around a root [1]_), and closed where it lies within the
    uniqueness ball of a certified root. The others are halved along their longest side,
    down to a size at which a cell that stays open speaks for a missing root.

    Parameters
    ----------
    system : ReducedDynamics of one network, bounded and of bounded curvature
    roots : array of shape (n_roots, n_dims)
    certificates : Certificates of the roots
    max_cells : int
        Cells looked at before giving up.

    Returns
    -------
    array of shape (n_cells, n_dims)
        Centres of the cells left open.

    References
    ----------
    .. [1] Neumaier, "Interval methods for systems of equations" (1990), chapter 5.
    """
    known = ~np.isnan(certificates.existence)
    balls = roots[known]
    radii = certificates.uniqueness[known] * (1 - 1e-9)
    box = system.box() * (1 + 1e-9)
    smallest = 0.1 * min([1e-3 * np.linalg.norm(box), *radii])
    centres, halves = np.zeros((1, system.n_dims)), box[None]
    looked_at = 0
    while len(centres) and looked_at < max_cells and halves.max() >= smallest:
        looked_at += len(centres)
        away = ~_inside(centres, halves, balls, radii)
        centres, halves = centres[away], halves[away]
        may = _may_hold_root(system, centres, halves)
        centres, halves = _halve(centres[may], halves[may])
    return centres


def _inside(
    centres: np.ndarray, halves: np.ndarray, balls: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """Which cells lie within one of the balls."""
    inside = np.zeros(len(centres), dtype=bool)
    for ball, radius in zip(balls, radii, strict=True):
        farthest = np.linalg.norm(np.abs(centres - ball) + halves, axis=1)
        inside |= farthest < radius
    return inside


def _may_hold_root(
    system: ReducedDynamics, centres: np.ndarray, halves: np.ndarray
) -> np.ndarray:
    """Which cells an interval Newton test cannot discard."""
    keep = np.ones(len(centres), dtype=bool)
    for start in range(0, len(centres), 256):
        part = slice(start, start + 256)
        keep[part] = _newton_test(system, centres[part], halves[part])
    return keep


def _newton_test(
    system: ReducedDynamics, centres: np.ndarray, halves: np.ndarray
) -> np.ndarray:
    transfer = system.equation.transfer
    activity, slopes = system.activity(centres)
    G, eye = activity @ system.B - centres, np.eye(system.n_dims)
    jac = system.jacobian(slopes) - eye
    G_error, jac_error = _rounding(system, centres, activity, slopes)
    # how much the argument, the slope and the value of each neuron change in the cell
    away = halves @ np.abs(system.A).T * (1 + 1e-12)
    bend = (transfer.curvature_bound or 0.0) * away
    most = 2 * (transfer.bound or np.inf)
    change = np.minimum((np.abs(slopes) + 0.5 * bend) * away, most)
    reach = change @ np.abs(system.B) + halves
    discard = (np.abs(G) > reach * (1 + 1e-12) + G_error[:, None]).any(axis=1)
    # preconditioned by the inverse at the centre, where there is one
    spread = (
        weighted_gram(np.abs(system.B), np.abs(system.A), bend)
        + jac_error[:, None, None]
    )
    regular = np.linalg.cond(jac) < 1e8
    Y = np.linalg.inv(np.where(regular[:, None, None], jac, eye))
    slack = np.abs(Y @ jac) + np.abs(Y) @ spread
    reach = (slack @ halves[..., None])[..., 0]
    value = np.abs((Y @ G[..., None])[..., 0])
    error = np.abs(Y).sum(axis=2) * G_error[:, None] + 1e-12 * (value + reach)
    discard |= regular & (value > reach + error).any(axis=1)
    keep: np.ndarray = ~discard
    return keep


def _halve(centres: np.ndarray, halves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each cell in two, along its longest side."""
    rows, longest = np.arange(len(halves)), halves.argmax(axis=1)
    halves = halves.copy()
    halves[rows, longest] /= 2
    shift = np.zeros_like(halves)
    shift[rows, longest] = halves[rows, longest]
    # a little wider, so that rounding of the centres leaves no gap between cells
    wider = halves * (1 + 1e-12)
    return np.concatenate([centres - shift, centres + shift]), np.tile(wider, (2, 1))


def _gamma(n: int) -> float:
    return n * _UNIT / (1 - n * _UNIT)
