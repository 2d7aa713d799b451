"""
From an NWB file to embeddings
==============================

*My recordings are in NWB files. What is the shortest way to a cross-validated answer?*

A small session of reaches is written to an NWB file, to stand in for yours. From then
on only the file is used.
"""

import datetime
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pynwb
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_reaching
from sklearn_jedi.io import trials_from_nwb
from sklearn_jedi.plotting import EmbeddingDisplay
from sklearn_jedi.preprocessing import NeuronSelector, SquareRoot, split_epochs

# %%
# The file
# --------
# Spike times of 40 units, and a table of trials with the time of the go cue and the
# direction of the reach. Trials begin every two seconds.

session = make_reaching(8, n_directions=4, n_neurons=40, random_state=0)
order = np.random.default_rng(0).permutation(len(session.X))
began = 2.0 * np.arange(len(order))
nwb = pynwb.NWBFile("reaches", "1", datetime.datetime.now().astimezone())
nwb.add_trial_column("go_cue", "time of the go cue in s")
nwb.add_trial_column("direction", "angle of the reach in degrees")
for time, k in zip(began, order, strict=True):
    nwb.add_trial(
        start_time=time,
        stop_time=time + 1.2,
        go_cue=time + 0.6,
        direction=90.0 * session.direction[k],
    )
for neuron in range(40):
    times = [
        time + 0.01 * (np.repeat(np.arange(120), session.X[k, :, neuron]) + 0.5)
        for time, k in zip(began, order, strict=True)
    ]
    nwb.add_unit(spike_times=np.concatenate(times))
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "reaches.nwb"
with pynwb.NWBHDF5IO(path, "w") as file:
    file.write(nwb)

# %%
# From the file to trials
# -----------------------
# Time 0 is the go cue.

trials = trials_from_nwb(path, align="go_cue", window=(-0.5, 0.5), bin_size=0.01)
print(trials)
folder.cleanup()

# %%
# From trials to an answer
# ------------------------
# Preparation and movement become trials of their own. The two epochs of a trial are on
# the same side of every split (`groups`). Units that hardly fire in the training trials
# are left out.

windows = {"preparation": (-0.5, -0.1), "movement": (0.0, 0.4)}
cut = split_epochs(trials.X, windows, dt=trials.dt, start=trials.start)
pipe = make_pipeline(
    NeuronSelector(minimum_rate=2.0, dt=trials.dt),
    SquareRoot(),
    JEDIEstimator(rank=5, embedding_dim=3, dt=trials.dt, observation="gaussian"),
    LogisticRegression(C=100),
)
read = cross_val_predict(pipe, cut.X, cut.epochs, groups=cut.trials, cv=GroupKFold(3))
print(f"epoch read in held-out trials: {np.mean(read == cut.epochs):.2f} (chance 0.5)")

# %%
# One fit to all trials, for a picture; the directions come from the file's own table.

Z = pipe[:-1].fit_transform(cut.X)
direction = trials.table["direction"].to_numpy()[cut.trials].astype(int)
fig, axes = plt.subplots(1, 2, figsize=(9.5, 4), sharex=True, sharey=True)
EmbeddingDisplay(Z, cut.epochs, title="epoch").plot(axes[0])
EmbeddingDisplay(Z, direction, title="direction (°)").plot(axes[1])
for ax in axes:
    ax.get_legend().set(loc="upper left", bbox_to_anchor=(1, 1))
axes[0].set_title("By epoch")
axes[1].set_title("The same, by direction")

# %%
# **What it shows.** The two epochs have different dynamics, and the embedding of a
# single trial tells to which of them it belongs.
#
# **What not to conclude.** Directions need not separate: reaches in different
# directions share their dynamics and start at different states, which
# `pipe[2].initial_states` gives. The picture shows trials that the model was fitted to;
# the number that was printed is for trials that it was not fitted to.
