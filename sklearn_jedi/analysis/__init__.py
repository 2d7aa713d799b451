"""What networks or latents do, fitted or not: analyzers of their dynamics."""

from sklearn_jedi.analysis._exponents import lyapunov_exponents
from sklearn_jedi.analysis._fixed_points import FixedPointAnalyzer
from sklearn_jedi.analysis._limit_cycles import LimitCycle
from sklearn_jedi.analysis._lyapunov import LyapunovAnalyzer
from sklearn_jedi.analysis._manifolds import Manifold
from sklearn_jedi.analysis._spectrum import SpectrumAnalyzer, SpectrumIntervals

__all__ = [
    "FixedPointAnalyzer",
    "LimitCycle",
    "LyapunovAnalyzer",
    "Manifold",
    "SpectrumAnalyzer",
    "SpectrumIntervals",
    "lyapunov_exponents",
]
