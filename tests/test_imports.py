"""What an import brings along, and what is said where a library is missing."""

import json
import pkgutil
import subprocess
import sys

import numpy as np
import pytest

import sklearn_jedi

PUBLIC = ["sklearn_jedi"] + [
    f"sklearn_jedi.{module.name}"
    for module in pkgutil.iter_modules(sklearn_jedi.__path__)
    if not module.name.startswith("_")
]
OPTIONAL = ["accelerate", "dask", "distributed", "h5py", "matplotlib", "numba"]
OPTIONAL += ["optuna", "pymatreader", "pynapple", "pynwb", "xarray", "zarr"]
HEAVY = [*OPTIONAL, "skorch", "torch"]
# scikit-learn imports these itself, where they are installed
DATAFRAMES = ["pandas", "polars", "pyarrow"]

# Calls, the library that each needs first, and how the extra with it is named.
CALLS = {
    "plotting.EmbeddingDisplay([[0.0, 0.0], [1.0, 1.0]]).plot()": (
        "matplotlib",
        "plot",
    ),
    "report.make_report(None, dt=0.01)": ("matplotlib", "plot"),
    "io.trials_from_nwb(path)": ("pynwb", "io"),
    "io.trials_from_pynapple(None)": ("pynapple", "io"),
    "io.trials_from_xarray(None)": ("xarray", "io"),
    "io.trials_from_mat(path)": ("pymatreader", "io"),
    "io.trials_from_npz(path, dt=0.01)": ("pandas", "io"),
}


def run(code, *arguments):
    """What a new interpreter prints, read as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_imports_bring_no_heavy_library():
    """And the estimators come without training, analysis, plots and reports."""
    code = f"""
import importlib, json, sys
brought = {{}}
for name in {PUBLIC}:
    importlib.import_module(name)
    brought[name] = sorted(set({HEAVY}) & set(sys.modules))
    if name == "sklearn_jedi":
        loaded = [name.split(".") for name in sys.modules]
        rooms = {{name[1] for name in loaded if name[0] == "sklearn_jedi" and name[1:]}}
print(json.dumps([brought, sorted(rooms)]))
"""
    brought, rooms = run(code)
    assert brought == {name: [] for name in PUBLIC}
    assert rooms == [
        "_data",
        "_engine",
        "_estimators",
        "_models",
        "_networks",
        "_utils",
    ]


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """What each call says where no optional library can be found."""
    path = tmp_path_factory.mktemp("missing") / "trials.npz"
    np.savez(path, X=np.ones((2, 3, 4)))
    code = f"""
import importlib.abc, json, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {[*OPTIONAL, *DATAFRAMES]}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import {", ".join(PUBLIC)}
from sklearn_jedi import io, plotting, report

path = sys.argv[1]
errors = {{}}
for call in {[*CALLS]}:
    try:
        eval(call)
    except ImportError as error:
        errors[call] = str(error)
print(json.dumps(errors))
"""
    return run(code, str(path))


@pytest.mark.parametrize("call", CALLS)
def test_the_error_of_a_missing_library_names_it_and_its_extra(call, errors):
    library, extra = CALLS[call]
    assert library in errors[call]
    assert f"pip install 'sklearn-jedi[{extra}]'" in errors[call]
