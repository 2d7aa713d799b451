"""Steps that come before a model in a Pipeline, on trials of any lengths with gaps."""

from sklearn_jedi.preprocessing._epochs import Epochs, split_epochs
from sklearn_jedi.preprocessing._neuron_selector import NeuronSelector
from sklearn_jedi.preprocessing._soft_normalizer import SoftNormalizer
from sklearn_jedi.preprocessing._spike_smoother import SpikeSmoother
from sklearn_jedi.preprocessing._square_root import SquareRoot

__all__ = [
    "Epochs",
    "NeuronSelector",
    "SoftNormalizer",
    "SpikeSmoother",
    "SquareRoot",
    "split_epochs",
]
