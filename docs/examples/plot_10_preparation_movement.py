"""
Preparation and movement
========================

*Monkeys prepare a reach, then make it. Do the two epochs have different dynamics, and
which of them is nearer to the edge of stability?*

A simulated recording of reaches with a go cue, as spike counts. The two epochs obey
different networks, which are known, so that the answer can be checked.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.analysis import SpectrumAnalyzer
from sklearn_jedi.datasets import make_reaching
from sklearn_jedi.plotting import EmbeddingDisplay

data = make_reaching(12, n_directions=4, n_neurons=60, random_state=0)
go = data.go

# %%
# Each epoch becomes a trial of its own: 0.4 s that end shortly before the go cue, and
# the 0.4 s after it. Trials of the same epoch and direction share an embedding.

X = np.sqrt(np.concatenate([data.X[:, go - 50 : go - 10], data.X[:, go : go + 40]]))
moving = np.repeat([False, True], len(data.X))
direction = np.tile(data.direction, 2)
condition = 4 * moving + direction

jedi = JEDIEstimator(
    rank=5, embedding_dim=4, embedding="condition", dt=0.01, observation="gaussian"
)
jedi.fit(X, conditions=condition)

# %%
# How far is each network from the edge? `distance_to_edge_` is the rate, in 1/s, at
# which the slowest mode decays. Each network is linearised at the average states of its
# condition.

first = np.unique(condition, return_index=True)[1]
networks = jedi.dynamics(jedi.embeddings_[first])
smooth = jedi.smooth(X, conditions=condition)
states = np.stack([smooth[condition == k].mean(axis=0) for k in range(8)])
near = SpectrumAnalyzer("jacobian").fit(networks, states=states)
distance = np.median(near.distance_to_edge_, axis=1)
true = [
    SpectrumAnalyzer().fit(networks).distance_to_edge_[0]
    for networks in (data.preparation, data.movement)
]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
single = jedi.transform(X)  # each trial by itself, without its label
epochs = np.where(moving, "movement", "preparation")
EmbeddingDisplay(single, epochs).plot(left)
left.set_title("Embeddings of single trials")
colours = plt.colormaps["viridis"]([0.92, 0.0])
for k in range(2):
    values = distance[4 * k : 4 * k + 4]
    right.plot(k + np.linspace(-0.1, 0.1, 4), values, "o", color=colours[k])
    right.plot([k - 0.25, k + 0.25], [true[k]] * 2, "k-", lw=1.5)
right.plot([], [], "k-", lw=1.5, label="true network")
right.plot([], [], "o", color="0.5", label="fitted, one direction")
right.axhline(0, color="k", ls="--", lw=1, label="edge of stability")
right.set_xticks([0, 1], ["preparation", "movement"])
right.set(ylabel="distance to the edge (1/s)", xlim=(-0.5, 1.5), ylim=(-0.8, None))
right.legend(frameon=False, loc="upper right")

# %%
# **What it shows.** Embeddings of single trials tell preparation from movement, and the
# fitted networks have the two epochs in the right order: movement is nearer to the
# edge. How fast activity decays in preparation is found only roughly: what decays fast
# is soon too small to be seen.
#
# **What not to conclude.** The order is right here, but need not be in every recording.
# From trial averages, or at a rank that is too large, fits to this same simulation say
# "preparation is nearer" whether it is true or not (:doc:`/reproducing`, "Motor
# cortex"). Directions of a reach share their dynamics and differ in where they start:
# look at `jedi.initial_states(X)`, not at the embedding.
