"""
Analysing a network of your own
===============================

*I trained a recurrent network (or took one from a paper). What does it compute with?*

No fit is needed. `LowRankRNN.from_weights` takes any weights, and the analyzers treat
it like a fitted network. The network here is built to make decisions: it integrates an
input along one direction, which tips the balance between two choices.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis import FixedPointAnalyzer, SpectrumAnalyzer
from sklearn_jedi.plotting import FixedPointDisplay

rng = np.random.default_rng(0)
u, v = rng.standard_normal((2, 150))
v -= (v @ u) / (u @ u) * u  # so that the two directions do not interact
J = (1.6 * np.outer(u, u) + 0.6 * np.outer(v, v)) / 150

# %%
# One network for each strength of the input, all with the same weights:

evidence = np.array([0.0, 0.1, 0.4])
networks = LowRankRNN.from_weights(
    np.repeat(J[None], 3, axis=0), bias=evidence[:, None] * u, tau=0.05, dt=0.005
)
print(networks.rank, "dimensions matter, of", networks.n_neurons)

points = FixedPointAnalyzer(exhaustive=True, random_state=0).fit(networks)
starts = rng.uniform(-1.2, 1.2, (3, 12, 2)) @ np.stack([u, v])
runs = networks.simulate(starts, 200)

fig, axes = plt.subplots(1, 3, figsize=(13, 4.8))
for k, ax in enumerate(axes):
    FixedPointDisplay.from_analyzer(points, network=k, trajectories=runs[k], ax=ax)
    text = f"evidence {evidence[k]}"
    ax.annotate(text, (0.03, 0.94), xycoords="axes fraction", weight="bold")
    kinds, counts = np.unique(points.stability_type_[k], return_counts=True)
    found = ", ".join(f"{n} {kind}" for kind, n in zip(kinds, counts, strict=True))
    print(f"evidence {evidence[k]}: {found}; complete: {points.is_complete_[k]}")

# %%
# How fast is the decision? Linearise at the stable points: the time constant of the
# slowest mode there.

at_points = SpectrumAnalyzer("jacobian").fit(networks, states=points.fixed_points_)
for k in range(3):
    slowest = at_points.time_constants_[k][points.is_stable_[k], 0]
    print(f"evidence {evidence[k]}: settles within (s)", slowest.round(2))

# %%
# **What it shows.** From left to right the evidence grows. Without it, two choices
# attract half of the plane each; with some, one of them attracts more; with enough, a
# saddle and a stable point meet and vanish, and only one choice is left. It is proven
# that there is no other fixed point.
#
# **What not to conclude.** Each panel has axes of its own. Fixed points say where the
# state goes while the input stays as it is; if the input changes, the fixed points
# change with it. And a network trained on a task may use states that it only passes
# through (`slow_points_`, `manifolds_`).
