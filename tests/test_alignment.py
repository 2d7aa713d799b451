"""Turns that bring sessions together, against the ones that took them apart."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from sklearn_jedi import MetaDynamicalSSM
from sklearn_jedi._engine._alignment import Flow, align_by_conditions, align_by_flow
from sklearn_jedi._models._random_units import features_of_units, random_units
from sklearn_jedi._networks._equation import Equation
from sklearn_jedi.datasets import make_oscillator_sessions


def duffing(z, speed):
    """Without any symmetry but that of a half turn; the shift removes it, too."""
    x, y = z[:, 0] + 0.3, z[:, 1]
    return speed * np.column_stack([y, -0.1 * y + x - x**3])


def coupled(z, speed):
    x, y, w = z.T
    return speed * np.column_stack([y - 0.8 * w**2, -x + 0.5 * w * x, 0.5 * x**2 - w])


@pytest.mark.parametrize(("field", "rank"), [(duffing, 2), (coupled, 3)])
def test_the_vector_field_tells_how_sessions_are_turned(rng, field, rank):
    flows, true = [], []
    for k in range(5):
        states = rng.standard_normal((400, rank))
        turn = np.eye(rank) if k == 0 else ortho_group.rvs(rank, random_state=k)
        flow = Flow(states @ turn.T, field(states, 0.5 + 0.5 * k) @ turn.T)
        flows.append(flow)
        true.append(turn)
    units, gain = random_units(rank, 40, 1.2)
    turns = align_by_flow(
        flows, features_of_units(units, Equation.of(1.0, 0.1, "tanh", gain))
    )
    common = turns[0] @ true[0]
    for found, turn in zip(turns, true, strict=True):
        np.testing.assert_allclose(found @ turn, common, atol=0.2)  # radians


def test_averages_of_conditions_tell_how_sessions_are_turned(rng):
    paths = {label: rng.standard_normal((30, 4)) for label in "abc"}
    true = [ortho_group.rvs(4, random_state=k) for k in range(4)]
    own = [("a", "b", "c"), ("a", "b"), ("b", "c"), ("c",)]
    averages = [
        {label: paths[label][: 30 - k] @ turn.T for label in labels}
        for k, (labels, turn) in enumerate(zip(own, true, strict=True))
    ]
    turns = align_by_conditions(averages)
    for found, turn in zip(turns, true, strict=True):
        np.testing.assert_allclose(found @ turn, true[0], atol=1e-10)


def test_conditions_settle_the_phases_of_limit_cycles():
    """By flow alone, phases of sessions do not compare; by conditions they do."""
    data = make_oscillator_sessions(
        4, 8, n_timepoints=40, parameters=[[1.5]] * 4, noise=0.3, random_state=0
    )
    start = np.array([z[0] for z in data.latents])
    quarter = np.floor(2 * np.arctan2(start[:, 1], start[:, 0]) / np.pi).astype(int)
    meta = MetaDynamicalSSM().fit(data.X, sessions=data.sessions, conditions=quarter)
    found = np.concatenate(meta.latents(data.X, sessions=data.sessions))
    true = np.concatenate(data.latents)
    found = np.column_stack([found, np.ones(len(found))])
    residual = true - found @ np.linalg.lstsq(found, true, rcond=None)[0]
    assert 1 - residual.var() / true.var() > 0.9
