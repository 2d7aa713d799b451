"""
Fixed points, cycles and rings
==============================

*In my recordings activity settles somewhere, or goes round in circles, or holds a
value. Is there a fixed point, a limit cycle, a continuous attractor behind it?*

Noisy recordings of three conditions, whose networks are known to have two stable
points, a cycle and a ring. Trials of a condition share an embedding.
"""

import matplotlib.pyplot as plt

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.analysis import FixedPointAnalyzer
from sklearn_jedi.datasets import make_attractor_family
from sklearn_jedi.plotting import FixedPointDisplay

X, y, _ = make_attractor_family(10, n_neurons=60, observation_noise=0.5, random_state=0)
jedi = JEDIEstimator(rank=2, embedding_dim=2, embedding="condition", dt=0.01)
jedi.fit(X, conditions=y)
first = [0, 10, 20]  # one trial of each condition
networks = jedi.dynamics(jedi.embeddings_[first])
smooth = jedi.smooth(X, conditions=y)

# %%
# The search starts from states that the activity visited. For each fixed point it is
# proven, where possible, that it exists (`certified_radius_`). With
# `exhaustive=True` it is also proven that no other fixed point exists.

points = FixedPointAnalyzer(exhaustive=True, random_state=0)
points.fit(networks, states=smooth[first])
for k in range(3):
    cycles = [
        f"cycle of {1 / cycle.period:.2f} Hz" for cycle in points.limit_cycles_[k]
    ]
    curves = [curve.kind for curve in points.manifolds_[k]]
    types = points.stability_type_[k].tolist()
    print(f"condition {k}: {types} {cycles} {curves}")
print("proven that none is missing:", points.is_complete_)

fig, axes = plt.subplots(1, 3, figsize=(13, 4.8))
for k, ax in enumerate(axes):
    FixedPointDisplay.from_analyzer(
        points, network=k, trajectories=smooth[y == k], ax=ax
    )

# %%
# **What it shows.** The activity of all trials (grey) in the plane of each condition's
# network, and what attracts it: two stable points with a saddle between them; a cycle
# around an unstable point; a ring, along which the state hardly moves.
#
# **What not to conclude.** A fitted ring is never exact: it breaks into a few fixed
# points, stable and unstable in turn. Report how fast the state drifts between them
# (`manifolds_[k][0].drift_speed`), not how many there are. Fixed points in parts of the
# plane without grey curves are extrapolations of the model.
