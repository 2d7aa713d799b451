"""Which way states leave fixed points, and whether any does."""

from __future__ import annotations

import numpy as np

from sklearn_jedi.analysis._reduced import ReducedDynamics

__all__ = ["stability"]

_MARGINAL = 1e-6  # rates (in 1/tau) up to this are neither stable nor unstable
_KINK = 1e-9  # share of a unit's argument within which its slope may not jump


def stability(
    system: ReducedDynamics, roots: np.ndarray, time: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues, the leading first, stability types, and numbers of growing ones."""
    _, slopes = system.activity(roots)
    equation = system.equation
    jac = equation.linearised(system.jacobian(slopes), time)
    values = np.linalg.eigvals(jac).astype(complex)
    growth = values.real if time == "flow" else np.abs(values)
    order = np.argsort(-growth, axis=1, kind="stable")
    values, growth = (
        np.take_along_axis(part, order, axis=1) for part in (values, growth)
    )
    # in units of 1/tau
    unit = equation.alpha if time == "map" else 1 / equation.tau
    rates = (growth - 1 if time == "map" else growth) / unit
    turns = np.abs(values[:, 0].imag) / unit
    n_unstable = (rates > _MARGINAL).sum(axis=1)
    n_dims = system.n_dims
    at_kink = _at_kink(system, roots)
    n_unstable[at_kink] = np.maximum(n_unstable[at_kink], 1)  # not among the stable
    types = []
    for k in range(len(roots)):
        # rounding splits double roots
        kind = "focus" if turns[k] > _MARGINAL else "node"
        if at_kink[k] or (np.abs(rates[k]) <= _MARGINAL).any():
            types.append("marginal")
        elif n_unstable[k] == 0:
            types.append(f"stable {kind}")
        elif n_unstable[k] == n_dims:
            types.append(f"unstable {kind}")
        else:
            types.append(f"saddle ({n_unstable[k]})")
    return values, np.array(types, dtype=np.str_), n_unstable


def _at_kink(system: ReducedDynamics, roots: np.ndarray) -> np.ndarray:
    """Which roots (n_points,) lie where the derivative of `F` jumps, up to rounding.

    On one side of a kink the network may decay and on the other grow, so that no
    eigenvalue says what it does there.
    """
    transfer = system.equation.transfer
    if transfer.curvature_bound is not None:
        return np.zeros(len(roots), dtype=bool)
    u = roots @ system.A.T + system.c
    near = _KINK * (np.abs(roots) @ np.abs(system.A).T + np.abs(system.c))
    near = np.maximum(near, _KINK * np.abs(system.A).sum(axis=1) * system.natural_size)
    sides = [transfer.slope(np, x, transfer.value(np, x)) for x in (u - near, u + near)]
    weights = np.linalg.norm(system.A, axis=1) * np.linalg.norm(system.B, axis=1)
    jumps = (np.abs(sides[1] - sides[0]) * weights).max(axis=1, initial=0.0)
    at_kink: np.ndarray = jumps > _MARGINAL
    return at_kink
