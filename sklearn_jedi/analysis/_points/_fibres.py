"""Curves that lead from one fixed point to others."""

from __future__ import annotations

import numpy as np

from sklearn_jedi.analysis._points._roots import evaluate
from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["follow_fibres"]

_FIRST, _LONGEST, _SHORTEST = 0.1, 0.5, 1e-4  # steps, as shares of the size of states
_LARGEST_ERROR = 0.1  # distance from the curve, as a share of the step
_SHARPEST, _STRAIGHT = 0.7, 0.95  # cosines between tangents: to step again, to speed up


def follow_fibres(
    system: ReducedDynamics,
    points: np.ndarray,
    directions: np.ndarray,
    scale: float,
    reach: float,
    n_steps: int = 40,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Where curves through fixed points meet other fixed points.

    A directional fibre [1]_ is the curve on which `G(kappa) = F(kappa) - kappa` is
    parallel to a given vector: the fixed points of the network under a constant input
    along that vector, of any strength, of which those of strength zero are fixed points
    of the network. Points that random starts hardly ever lead to lie on it like all
    others. It is followed to both sides, by steps along its tangent and two Newton
    steps back to it.

    Parameters
    ----------
    system : ReducedDynamics of one network
    points, directions : arrays of shape (n_points, n_dims)
        Fixed points, and the unit vector of each.
    scale : float
        Size of the states.
    reach : float
        Strength of the input beyond which no curve is followed.
    n_steps : int, default=40
        To either side.

    Returns
    -------
    crossings : array of shape (n_crossings, n_dims)
        Near fixed points, from which Newton's method finds them.
    origins : array of shape (n_crossings,)
        Number of the point that each curve came from.

    References
    ----------
    .. [1] Katz and Reggia, "Using directional fibers to locate fixed points of
       recurrent neural networks", IEEE Transactions on Neural Networks and Learning
       Systems 29 (2018).
    """
    n_dims = system.n_dims
    origins = np.tile(np.arange(len(points)), 2)
    kappa, v = np.tile(points, (2, 1)), np.tile(directions, (2, 1))
    strength = np.zeros(len(kappa))
    sides = np.zeros((len(kappa), n_dims + 1))
    sides[:, -1] = np.repeat([1.0, -1.0], len(points))
    _, jac, _ = evaluate(system, kappa)
    tangent = _tangent(_inverse(jac, v, sides))
    inverse = _inverse(jac, v, tangent)
    length = np.full(len(kappa), _FIRST * scale)
    crossings, sources = [np.empty((0, n_dims))], [np.empty(0, dtype=int)]
    for _ in range(n_steps):
        ahead = kappa + length[:, None] * tangent[:, :-1]
        level = strength + length * tangent[:, -1]
        for _ in range(2):
            error = system.drive(ahead) - ahead - level[:, None] * v
            move = (inverse[:, :, :-1] @ error[..., None])[..., 0]
            ahead, level = ahead - move[:, :-1], level - move[:, -1]
        G, jac, _ = evaluate(system, ahead)
        level = (G * v).sum(axis=1)
        error = np.linalg.norm(G - level[:, None] * v, axis=1)
        new_inverse = _inverse(jac, v, tangent)
        new_tangent = _tangent(new_inverse)
        cosine = (new_tangent[:, :-1] * tangent[:, :-1]).sum(axis=1)
        good = (error < _LARGEST_ERROR * length) & (cosine > _SHARPEST)
        crossed = good & (level * strength < 0)
        if crossed.any():
            share = (strength[crossed] / (strength - level)[crossed])[:, None]
            start, end = kappa[crossed], ahead[crossed]
            crossings.append(start + share * (end - start))
            sources.append(origins[crossed])
        some = good[:, None]
        kappa, tangent = (
            np.where(some, ahead, kappa),
            np.where(some, new_tangent, tangent),
        )
        strength = np.where(good, level, strength)
        inverse = np.where(some[..., None], new_inverse, inverse)
        factor = np.where(good, np.where(cosine > _STRAIGHT, 2.0, 1.0), 0.4)
        length = np.minimum(factor * length, _LONGEST * scale)
        go = (np.abs(strength) < reach) & (length > _SHORTEST * scale)
        if not go.all():
            kappa, v, origins, strength = kappa[go], v[go], origins[go], strength[go]
            tangent, inverse, length = tangent[go], inverse[go], length[go]
        if not len(kappa):
            break
    return np.concatenate(crossings), np.concatenate(sources)


def _inverse(jac: np.ndarray, v: np.ndarray, border: np.ndarray) -> np.ndarray:
    """Of the derivative of `(G - strength v, border (kappa, strength))`."""
    n_curves, n_dims = v.shape
    matrix = np.empty((n_curves, n_dims + 1, n_dims + 1))
    matrix[:, :-1, :-1] = jac
    matrix[:, :-1, -1] = -v
    matrix[:, -1] = border
    size = np.abs(matrix).max(axis=(1, 2), initial=1e-300)
    # off a matrix that is singular to the last digit
    matrix += 1e-13 * size[:, None, None] * np.eye(n_dims + 1)
    inverse: np.ndarray = np.linalg.inv(matrix)
    return inverse


def _tangent(inverse: np.ndarray) -> np.ndarray:
    """Of the curve, (n_curves, n_dims + 1), of unit length in kappa."""
    along = inverse[:, :, -1]
    tangent: np.ndarray = along / np.linalg.norm(
        along[:, :-1], axis=1, keepdims=True
    ).clip(1e-300)
    return tangent
