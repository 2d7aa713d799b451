"""Run every benchmark, one after the other: python -m benchmarks [--quick].

In one process, so that libraries are imported once.
"""

from __future__ import annotations

import runpy
import time

NAMES = (
    "driven_teachers",
    "backpropagation",
    "rotation_spectra",
    "held_out_frequency",
    "coverage",
    "motor_cortex",
    "gaps",
    "noisy_teachers",
    "co_smoothing",
    "single_trials",
    "scale",
    "larger_than_memory",
    "spectra",
    "fixed_points",
    "completeness",
    "fixed_point_speed",
    "limit_cycles",
    "lyapunov",
    "recovered_attractors",
    "student_teacher",
    "task_networks",
    "generalisation",
    "edge_of_stability",
    "degeneracy",
    "side_by_side",
    "sessions",
    "sessions_of_recordings",
)

for name in NAMES:
    print(f"== {name}", flush=True)
    start = time.perf_counter()
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    print(f"({time.perf_counter() - start:.0f} s)\n", flush=True)
