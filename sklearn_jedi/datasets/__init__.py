"""Simulated recordings that come with the networks behind them."""

from sklearn_jedi.datasets._generators import (
    make_attractor_family,
    make_driven_teachers,
    make_rotation_family,
)
from sklearn_jedi.datasets._oscillators import make_oscillator_sessions
from sklearn_jedi.datasets._reaching import make_reaching
from sklearn_jedi.datasets._tasks import make_task_network

__all__ = [
    "make_attractor_family",
    "make_driven_teachers",
    "make_oscillator_sessions",
    "make_reaching",
    "make_rotation_family",
    "make_task_network",
]
