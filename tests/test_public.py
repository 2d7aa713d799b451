"""What can be imported, and what an import costs."""

import importlib
import subprocess
import sys

import pytest

PUBLIC = {
    "sklearn_jedi": {"JEDIEstimator", "LatentDynamics", "LowRankRNN", "Nonlinearity"},
    "sklearn_jedi.analysis": {
        "FixedPointAnalyzer",
        "LimitCycle",
        "LyapunovAnalyzer",
        "Manifold",
        "SpectrumAnalyzer",
        "SpectrumIntervals",
        "lyapunov_exponents",
    },
    "sklearn_jedi.datasets": {
        "make_attractor_family",
        "make_driven_teachers",
        "make_oscillator_sessions",
        "make_reaching",
        "make_rotation_family",
        "make_task_network",
    },
    "sklearn_jedi.metrics": {
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
    },
    "sklearn_jedi.plotting": {
        "EmbeddingDisplay",
        "FixedPointDisplay",
        "ReconstructionDisplay",
        "SpectrumDisplay",
        "TrainingDisplay",
    },
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names(module):
    imported = importlib.import_module(module)
    assert set(imported.__all__) >= PUBLIC[module]
    for name in imported.__all__:
        assert getattr(imported, name).__doc__


def test_version():
    import sklearn_jedi

    assert all(part.isdigit() for part in sklearn_jedi.__version__.split(".")[:2])


@pytest.mark.parametrize(
    "use",
    [
        "JEDIEstimator(observation='state', max_epochs=0).fit(X).score(X)",
        "JEDIEstimator(observation='noisy').fit(X).score(X)",
    ],
    ids=["em", "noisy"],
)
def test_fits_by_em_need_no_heavy_library(use):
    code = f"""
import sys
import numpy as np
from sklearn_jedi import JEDIEstimator
import sklearn_jedi.analysis, sklearn_jedi.datasets, sklearn_jedi.metrics
X = np.random.default_rng(0).standard_normal((5, 10, 3))
{use}
heavy = {{"torch", "skorch", "matplotlib"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
