"""Pictures of fitted models: one Display each, in the way of scikit-learn."""

from sklearn_jedi.plotting._embedding import EmbeddingDisplay
from sklearn_jedi.plotting._reconstruction import ReconstructionDisplay
from sklearn_jedi.plotting._spectrum import SpectrumDisplay

__all__ = ["EmbeddingDisplay", "ReconstructionDisplay", "SpectrumDisplay"]
