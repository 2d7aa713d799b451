"""
Noisy single trials: smoothing, gaps and forecasts
==================================================

*My single trials are mostly noise, some have gaps, and they end at different times. Can
I still say what happened in each of them, and how sure can I be?*

With `observation="gaussian"` the activity is inferred together with the embedding, from
all values that were recorded. Nothing is smoothed, filled in or dropped beforehand.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_rotation_family

# noise of the size of the signal; the same activity without it, to compare with
settings = {"n_neurons": 40, "frequencies": [1, 2], "noise": 0.02, "random_state": 0}
X, y, _ = make_rotation_family(16, observation_noise=1.0, **settings)
truth, _, _ = make_rotation_family(16, observation_noise=0.0, **settings)

trials = [trial[:70].copy() for trial in X]
trials[20][30:45] = np.nan  # a gap in all neurons
trials[21][:, :10] = np.nan  # ten neurons were lost
trials[22] = trials[22][:50]  # a trial that ended early

jedi = JEDIEstimator(rank=2, embedding_dim=2, dt=0.01, observation="gaussian")
jedi.fit(trials)
smooth = jedi.smooth(trials)
ahead, std = jedi.forecast(trials, n_steps=30, return_std=True)

# %%
# How often do recordings lie within the predicted standard deviations? (They are those
# of recordings, noise included, and not those of the activity.)

whole = [k for k in range(len(X)) if k != 22]
z = (X[whole, 70:100] - ahead[whole]) / std[whole]
print(f"within 1 SD: {np.mean(np.abs(z) < 1):.3f} (normal: 0.683)")
print(f"within 2 SD: {np.mean(np.abs(z) < 2):.3f} (normal: 0.954)")

fig, axes = plt.subplots(1, 3, figsize=(13, 3.8), sharey=True)
neuron = int(np.argmax(truth[20].std(axis=0)[10:])) + 10
titles = {20: "a gap", 21: "neurons lost", 22: "ended early"}
for ax, (k, title) in zip(axes, titles.items(), strict=True):
    n = len(trials[k])
    time, later = 0.01 * np.arange(n), 0.01 * np.arange(n, n + 30)
    ax.plot(time, trials[k][:, neuron], ".", color="0.6", ms=4, label="recorded")
    all_time = 0.01 * np.arange(n + 30)
    ax.plot(all_time, truth[k, : n + 30, neuron], "k:", lw=1.5, label="truth")
    ax.plot(time, smooth[k][:, neuron], color="#0072B2", lw=2, label="smoothed")
    mean, spread = ahead[k, :, neuron], 2 * std[k, :, neuron]
    ax.plot(later, mean, color="#D55E00", lw=2, label="forecast")
    ax.fill_between(
        later, mean - spread, mean + spread, color="#D55E00", alpha=0.15, lw=0,
        label="2 SD of recordings",
    )  # fmt: skip
    ax.set(xlabel="time (s)", title=title, xlim=(0, 1))
axes[0].set_ylabel(f"activity of neuron {neuron}")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)

# %%
# **What it shows.** The activity is found although the noise is as large, also within a
# gap, and for neurons that were lost. Forecasts start from the state at the end of each
# trial, wherever that is.
#
# **What not to conclude.** The standard deviations include the uncertainty of state and
# embedding and the noise, but they take the fitted model as right. With few trials, or
# with dynamics of another kind, they are too small. Compute the shares above for your
# own held-out trials.
