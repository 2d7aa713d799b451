"""
From spike counts to a first figure
===================================

*I have spike counts of many trials in a few conditions. Do the dynamics differ between
them, and how?*

Everything starts from one array of spike counts, trials x time x neurons.
"""

# %%
# The recording
# -------------
# In place of yours: 40 neurons whose common activity turns at 1, 2 or 3 Hz, depending
# on the condition; counts in bins of 10 ms. Nothing is smoothed or averaged.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_rotation_family
from sklearn_jedi.metrics import trajectory_r2
from sklearn_jedi.plotting import EmbeddingDisplay, SpectrumDisplay

hertz = [1, 2, 3]
activity, condition, _ = make_rotation_family(
    16, n_neurons=40, frequencies=hertz, n_timepoints=100, random_state=0
)
counts = np.random.default_rng(0).poisson(0.2 * np.exp(0.8 * activity))
frequency = np.array(hertz)[condition]
print(counts.shape, f"{counts.mean() / 0.01:.0f} spikes/s")

# %%
# Fit
# ---
# Square roots even out the noise of counts. `dt` is the bin width in seconds. Trials
# are split as for any other estimator; labels of conditions are not used.

X_train, X_test, y_train, y_test = train_test_split(
    np.sqrt(counts), frequency, test_size=18, stratify=frequency, random_state=0
)
jedi = JEDIEstimator(rank=2, embedding_dim=2, dt=0.01).fit(X_train)
print(jedi.observation_)  # noise was found, so states are inferred with the embedding

# %%
# The figure
# ----------
# All three panels are of trials that the fit has not seen.

fig, (raw, embedded, spectra) = plt.subplots(1, 3, figsize=(12.5, 3.8))

trial = int(np.argmax(y_test == 2))
time = 0.01 * np.arange(100)
smooth = jedi.smooth(X_test)[trial]
for row, neuron in enumerate(np.argsort(-smooth.std(axis=0))[:4]):
    raw.plot(time, X_test[trial, :, neuron] - 2 * row, color="0.75", lw=1)
    raw.plot(time, smooth[:, neuron] - 2 * row, color="#D55E00", lw=2)
raw.set(xlabel="time (s)", ylabel="square root of counts, each neuron", yticks=[])
raw.set_title("Four neurons of one trial, and their rates")

EmbeddingDisplay.from_estimator(jedi, X_test, y_test, title="Hz", ax=embedded)
embedded.set(title="One point per trial", xlim=(-2.5, 2.5), ylim=(-2.5, 2.5))

networks = jedi.dynamics(jedi.transform(X_test))
SpectrumDisplay.from_networks(networks, y_test, title="Hz", ax=spectra)
spectra.set_title("Eigenvalues of each trial's network")

# %%
# **What it shows.** The embeddings, which were inferred from single trials without
# labels, fall into three groups: the dynamics differ between conditions. The second
# axis stays near zero: one number per trial is enough. The eigenvalues say how the
# conditions differ: their imaginary part grows, so the activity turns faster.
#
# **What not to conclude.** The axes of an embedding have no meaning of their own; only
# distances between trials do. An eigenvalue of the weights is not yet a frequency:
# :ref:`sphx_glr_auto_examples_plot_04_spectra.py` shows how to read one. And groups
# alone do not say that the model is good. For that, predict what it has not seen.
# Single bins are mostly noise, so no prediction comes near R² = 1. Compare with the
# mean of each neuron, which any model should beat, and with the smoothed activity,
# which has seen these bins and is hard to beat.

late = X_test[:, 60:]
predictions = {
    "mean of each neuron": np.broadcast_to(X_train.mean(axis=(0, 1)), late.shape),
    "forecast from the first 0.6 s": jedi.forecast(X_test[:, :60], n_steps=40),
    "smoothed, having seen them": jedi.smooth(X_test)[:, 60:],
}
for name, predicted in predictions.items():
    print(f"{name:30s} R^2 {trajectory_r2(late, predicted):.2f}")
