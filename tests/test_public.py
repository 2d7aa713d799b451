"""What can be imported, and what fits by EM cost."""

import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_jedi

PUBLIC = {
    "sklearn_jedi": {
        "JEDIEstimator",
        "LatentDynamics",
        "LowRankRNN",
        "MetaDynamicalSSM",
        "Nonlinearity",
    },
    "sklearn_jedi.baselines": {"LinearStateSpace"},
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
    "sklearn_jedi.io": {
        "TrialSet",
        "TrialsOnDisk",
        "trials_from_mat",
        "trials_from_npz",
        "trials_from_nwb",
        "trials_from_pynapple",
        "trials_from_xarray",
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
    "sklearn_jedi.preprocessing": {
        "Epochs",
        "NeuronSelector",
        "SoftNormalizer",
        "SpikeSmoother",
        "SquareRoot",
        "split_epochs",
    },
    "sklearn_jedi.report": {"Report", "load_model", "make_report"},
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_these_and_no_others(module):
    imported = importlib.import_module(module)
    assert set(imported.__all__) == PUBLIC[module]
    assert len(imported.__all__) == len(PUBLIC[module])
    packages = {name.rpartition(".")[2] for name in PUBLIC}
    reachable = {name for name in vars(imported) if not name.startswith("_")}
    assert reachable - packages == PUBLIC[module]
    for name in PUBLIC[module]:
        made_in = getattr(imported, name).__module__
        assert made_in.startswith("sklearn_jedi.")
        assert made_in.rpartition(".")[2].startswith("_")


def test_every_public_package_is_among_them():
    found = {
        f"sklearn_jedi.{module.name}"
        for module in pkgutil.iter_modules(sklearn_jedi.__path__)
        if not module.name.startswith("_")
    }
    assert found | {"sklearn_jedi"} == set(PUBLIC)


def test_the_version_is_the_one_that_is_installed_and_cited():
    version = sklearn_jedi.__version__
    assert importlib.metadata.version("sklearn-jedi") == version
    citation = (Path(__file__).parents[1] / "CITATION.cff").read_text()
    assert f"\nversion: {version}\n" in citation


def test_fits_by_em_need_no_heavy_library():
    code = """
import sys
import numpy as np
from sklearn_jedi import JEDIEstimator
import sklearn_jedi.analysis, sklearn_jedi.datasets, sklearn_jedi.metrics
X = np.random.default_rng(0).standard_normal((5, 10, 3))
JEDIEstimator(observation='state', max_epochs=0).fit(X).score(X)
JEDIEstimator(observation='gaussian').fit(X).score(X)
heavy = {"torch", "skorch", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
