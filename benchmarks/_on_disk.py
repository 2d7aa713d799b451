"""Fits to recordings on disk, each in a process of its own that reports its memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._common import DT
from benchmarks._memory import memory_watch

FITS = {
    "EM": {"observation": "state", "max_epochs": 0},
    "trained": {"observation": "state", "max_epochs": 4},
    "gaussian": {"observation": "gaussian"},
}
_AT_ONCE = 1000
_HELD_OUT = 1000
_TRIALS_PER_CHUNK = 32


def write_recording(
    path: Path, shape: tuple[int, int, int], *, noise: float, seed: int
) -> None:
    """Rotations of four frequencies, each trial simulated anew, written in pieces.

    A file that ends in .npy is read as numpy.memmap, any other name as zarr.
    """
    from sklearn_jedi.datasets import make_rotation_family

    n_trials, n_timepoints, n_neurons = shape
    networks = make_rotation_family(1, n_neurons=n_neurons, random_state=0)[2]
    plane = n_neurons * np.swapaxes(networks.V, 1, 2)
    rng = np.random.RandomState(seed)
    if path.suffix == ".npy":
        out = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    else:
        import zarr

        chunks = (min(_TRIALS_PER_CHUNK, n_trials), n_timepoints, n_neurons)
        out = zarr.create_array(path, shape=shape, chunks=chunks, dtype="float32")
    for begin in range(0, n_trials, _AT_ONCE):
        size = min(_AT_ONCE, n_trials - begin)
        start = rng.standard_normal((len(networks), -(-size // len(networks)), 2))
        activity = networks.simulate(
            start @ plane, n_timepoints, noise=0.05, random_state=rng
        )
        piece = np.swapaxes(activity, 0, 1).reshape(-1, n_timepoints, n_neurons)[:size]
        out[begin : begin + size] = piece + noise * rng.standard_normal(piece.shape)
    if path.suffix == ".npy":
        out.flush()


def read_recording(path: Path) -> Any:
    """The recording, of which nothing is in memory yet."""
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")
    import zarr

    return zarr.open_array(path, mode="r")


def measure(
    fit: str,
    shape: tuple[int, int, int],
    *,
    store: str = "memmap",
    limit: int | None = None,
) -> dict[str, Any]:
    """Fit in a process of its own; seconds, memory added, R^2 of held-out trials.

    Parameters
    ----------
    fit : str
        One of `FITS`.
    shape : tuple of int
        Trials, time points, neurons; 1,000 more trials, at most as many, are held out.
    store : {"memmap", "zarr"}
    limit : int, default=None
        MB that the process may allocate beyond what it has once libraries are loaded.
    """
    n_trials, n_timepoints, n_neurons = shape
    suffix = {"memmap": ".npy", "zarr": ".zarr"}[store]
    noise = 0.5 if fit == "gaussian" else 0.0
    with tempfile.TemporaryDirectory() as folder:
        train, test = Path(folder) / f"train{suffix}", Path(folder) / f"test{suffix}"
        write_recording(train, shape, noise=noise, seed=1)
        held_out = (min(_HELD_OUT, n_trials), n_timepoints, n_neurons)
        write_recording(test, held_out, noise=noise, seed=2)
        task = {"fit": fit, "train": str(train), "test": str(test), "limit": limit}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks._on_disk", json.dumps(task)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    sizes = {"trials": n_trials, "time points": n_timepoints, "neurons": n_neurons}
    return {
        "fit": fit,
        "store": store,
        **sizes,
        "data_MB": 4 * n_trials * n_timepoints * n_neurons / 2**20,
        **json.loads(done.stdout.splitlines()[-1]),
    }


def _limit_memory(megabytes: int) -> None:
    """Let this process allocate no more than so much beyond what it has (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData"):
            most = (int(line.split()[1]) << 10) + (megabytes << 20)
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _copy_fits(X: Any) -> bool:
    try:
        np.empty(X.shape, X.dtype)
    except MemoryError:
        return False
    return True


def _fit_here(fit: str, train: str, test: str, limit: int | None) -> dict[str, Any]:
    from sklearn_jedi import JEDIEstimator

    jedi = JEDIEstimator(rank=2, embedding_dim=2, dt=DT, random_state=0, **FITS[fit])
    warm_up = np.random.default_rng(0).standard_normal((8, 20, 5))
    jedi.fit(warm_up).transform(warm_up)
    X, X_test = read_recording(Path(train)), read_recording(Path(test))
    row: dict[str, Any] = {}
    with memory_watch() as added:
        if limit is not None:
            _limit_memory(limit)
            row["copy_fits"] = _copy_fits(X)
        start = time.perf_counter()
        jedi.fit(X)
        row["fit_s"] = time.perf_counter() - start
        row["peak_MB"] = added()
    row["best_epoch"] = jedi.best_epoch_
    row["held_out_r2"] = jedi.score(X_test)
    return row


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(_fit_here(**json.loads(sys.argv[1]))))
