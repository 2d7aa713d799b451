"""Which dynamics produced this activity, and how do they differ between conditions?"""

from sklearn_jedi._estimators._jedi import JEDIEstimator
from sklearn_jedi._estimators._meta_ssm import MetaDynamicalSSM
from sklearn_jedi._networks._latent_dynamics import LatentDynamics
from sklearn_jedi._networks._low_rank_rnn import LowRankRNN
from sklearn_jedi._networks._nonlinearities import Nonlinearity

__version__ = "0.1.0"
__all__ = [
    "JEDIEstimator",
    "LatentDynamics",
    "LowRankRNN",
    "MetaDynamicalSSM",
    "Nonlinearity",
]
