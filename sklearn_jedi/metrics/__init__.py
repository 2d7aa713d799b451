"""Scores of free runs and forecasts, and of how well dynamics were recovered."""

from sklearn_jedi.metrics._counts import bits_per_spike
from sklearn_jedi.metrics._long_runs import (
    power_spectrum_distance,
    state_space_divergence,
)
from sklearn_jedi.metrics._recovery import (
    FixedPointMatch,
    compare_dynamics,
    match_fixed_points,
    spectral_distance,
    vector_field_agreement,
)
from sklearn_jedi.metrics._trajectories import ForecastScorer, trajectory_r2

__all__ = [
    "FixedPointMatch",
    "ForecastScorer",
    "bits_per_spike",
    "compare_dynamics",
    "match_fixed_points",
    "power_spectrum_distance",
    "spectral_distance",
    "state_space_divergence",
    "trajectory_r2",
    "vector_field_agreement",
]
