"""
Reading spectra: which frequency, and how near the edge?
========================================================

*My network has complex eigenvalues. At which frequency does it oscillate, is it stable,
and does the answer depend on the time constant that I assumed?*

Networks whose activity turns at 1 to 4 Hz, with some noise in each step, are fitted
three times, each time with another `tau`. The activity does not determine the time
constant: if another one is assumed, the fit finds other weights.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.analysis import FixedPointAnalyzer, SpectrumAnalyzer
from sklearn_jedi.datasets import make_rotation_family
from sklearn_jedi.plotting import SpectrumDisplay

hertz = np.array([1, 2, 3, 4])
X, y, _ = make_rotation_family(12, n_neurons=60, random_state=0)
first = np.unique(y, return_index=True)[1]  # a trial of each condition

networks = {}
for tau in (0.05, 0.1, 0.2):
    jedi = JEDIEstimator(
        rank=2, embedding_dim=2, embedding="condition", dt=0.01, tau=tau, max_epochs=0
    )
    jedi.fit(X, conditions=y)
    networks[tau] = jedi.dynamics(jedi.embeddings_[first])

# %%
# Three candidates for "the" frequency: of the limit cycle on which the activity
# settles; of the eigenvalues of the weights, read as those of one step of the map
# (which is what was fitted); and the same read as those of the differential equation.

frequency = {}
for tau, found in networks.items():
    cycles = FixedPointAnalyzer(random_state=0).fit(found).limit_cycles_
    frequency[tau] = [1 / of_one[0].period for of_one in cycles]
in_map = SpectrumAnalyzer().fit(networks[0.1]).frequencies_.max(axis=1)
in_flow = SpectrumAnalyzer(time="flow").fit(networks[0.1]).frequencies_.max(axis=1)

fig, (weights, read) = plt.subplots(1, 2, figsize=(10, 4.2))
styles = {0.05: ("#56B4E9", 14), 0.1: ("#0072B2", 9), 0.2: ("#000000", 4)}
for tau, (colour, size) in styles.items():
    lam = networks[tau].eigenvalues.ravel()
    weights.plot(lam.real, lam.imag, "o", color=colour, label=f"tau = {tau} s")
    label = f"limit cycle, tau = {tau} s"
    read.plot(hertz, frequency[tau], "o", color=colour, ms=size, label=label)
weights.set(xlabel="real part", ylabel="imaginary part", xlim=(0.6, 2.0))
weights.set_title("Eigenvalues of the weights J")
weights.legend(frameon=False, loc="center left")
read.plot(hertz, in_map, "^", color="#D55E00", label="weights, map, tau = 0.1 s")
read.plot(hertz, in_flow, "v", color="#E69F00", label="weights, flow, tau = 0.1 s")
read.plot([0, 7], [0, 7], color="0.8", lw=1, zorder=0)
read.set(xlabel="true frequency (Hz)", ylabel="frequency read (Hz)", xticks=hertz)
read.set(xlim=(0.5, 4.5), ylim=(0, 9), title="Three readings of one network")
read.legend(frameon=False, loc="upper left", fontsize="small")

# %%
# The edge of stability of the map is a circle in the plane of the eigenvalues of the
# weights; the part of it that is near them is drawn here.

display = SpectrumDisplay.from_networks(networks[0.1], hertz, title="true Hz")
display.figure_.set_size_inches(6, 4)

# %%
# **What it shows.** Left: with another `tau` the same activity gives other weights, so
# their eigenvalues cannot be compared between fits of different `tau`, nor with those
# of a network from elsewhere. Right: the period of the cycle hardly depends on `tau`,
# and is the true one. The eigenvalues of the weights belong to a state where every
# slope of the transfer function is 1; an oscillation as large as this one saturates,
# and is slower.
#
# **What not to conclude.** All four networks are beyond the edge of stability, but
# their activity does not grow without bound: it leaves the origin and settles on a
# cycle. Eigenvalues at states that the activity never came near are an extrapolation of
# the model. Linearise where the trials were:
# `SpectrumAnalyzer("jacobian").fit(networks, states=...)`.
