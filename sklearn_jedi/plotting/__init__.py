"""Pictures of fitted models: one Display each, in the way of scikit-learn."""

from sklearn_jedi.plotting._embedding import EmbeddingDisplay
from sklearn_jedi.plotting._fixed_points import FixedPointDisplay
from sklearn_jedi.plotting._reconstruction import ReconstructionDisplay
from sklearn_jedi.plotting._spectrum import SpectrumDisplay
from sklearn_jedi.plotting._training import TrainingDisplay

__all__ = [
    "EmbeddingDisplay",
    "FixedPointDisplay",
    "ReconstructionDisplay",
    "SpectrumDisplay",
    "TrainingDisplay",
]
