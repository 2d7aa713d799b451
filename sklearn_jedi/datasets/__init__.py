"""Simulated recordings that come with the networks behind them."""

from sklearn_jedi.datasets._generators import (
    make_attractor_family,
    make_driven_teachers,
    make_rotation_family,
)

__all__ = ["make_attractor_family", "make_driven_teachers", "make_rotation_family"]
