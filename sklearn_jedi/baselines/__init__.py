"""The models that every figure is held against."""

from sklearn_jedi.baselines._linear_state_space import LinearStateSpace

__all__ = ["LinearStateSpace"]
