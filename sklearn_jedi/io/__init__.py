"""From files and labelled arrays to trials; needs the `io` extra.

The libraries that read files are imported when a function needs them.
"""

from sklearn_jedi.io._mat import trials_from_mat
from sklearn_jedi.io._npz import trials_from_npz
from sklearn_jedi.io._nwb import trials_from_nwb
from sklearn_jedi.io._on_disk import TrialsOnDisk
from sklearn_jedi.io._pynapple import trials_from_pynapple
from sklearn_jedi.io._trial_set import TrialSet
from sklearn_jedi.io._xarray import trials_from_xarray

__all__ = [
    "TrialSet",
    "TrialsOnDisk",
    "trials_from_mat",
    "trials_from_npz",
    "trials_from_nwb",
    "trials_from_pynapple",
    "trials_from_xarray",
]
