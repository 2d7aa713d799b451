"""Which dynamics produced this activity, and how do they differ between conditions?"""

from sklearn_jedi._estimator import JEDIEstimator
from sklearn_jedi._low_rank_rnn import LowRankRNN

__version__ = "0.1.0"
__all__ = ["JEDIEstimator", "LowRankRNN"]
