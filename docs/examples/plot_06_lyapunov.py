"""
Chaos or noise? Lyapunov exponents
==================================

*The activity of my network is irregular. Is the network chaotic, or is it stable and
disturbed by noise?*

Random networks with weights of growing strength. For these the answer is known: large
ones become chaotic where the gain of the weights exceeds 1 [Sompolinsky, Crisanti and
Sommers 1988]. `LowRankRNN.from_weights` takes any matrix of weights.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_jedi import LowRankRNN
from sklearn_jedi.analysis import LyapunovAnalyzer

rng = np.random.default_rng(3)
gains = np.array([0.6, 0.9, 1.2, 1.5, 2.0, 3.0])
J = rng.standard_normal((100, 100)) / np.sqrt(100)
networks = LowRankRNN.from_weights(gains[:, None, None] * J, tau=0.1, dt=0.01)

analyzer = LyapunovAnalyzer(
    n_states=2, n_exponents=2, n_steps=1500, n_transient=500, random_state=0
).fit(networks)
for gain, leading, error, verdict in zip(
    gains,
    analyzer.exponents_[:, 0],
    analyzer.standard_errors_[:, 0],
    analyzer.verdict_,
    strict=True,
):
    print(f"gain {gain}: {leading:6.2f} +- {error:.2f} 1/s, {verdict}")

# %%
# What an exponent means: how fast two runs that start next to each other move apart.

fig, (apart, spectrum) = plt.subplots(1, 2, figsize=(10, 4))
start = rng.standard_normal(100)
starts = np.stack([start, start + 1e-6 * rng.standard_normal(100)])
time = 0.01 * np.arange(1500)
colours = plt.colormaps["viridis"](np.linspace(0, 0.92, len(gains)))
for k in (0, 1, 3, 5):
    one, two = networks[k].simulate(starts[None], len(time))[0]
    distance = np.linalg.norm(one - two, axis=1)
    apart.semilogy(time, distance, color=colours[k], label=f"gain {gains[k]}")
apart.set(xlabel="time (s)", ylabel="distance of the two runs", ylim=(1e-17, 1e6))
apart.legend(frameon=False, ncols=2, loc="upper left")

spectrum.axhline(0, color="k", ls="--", lw=1)
spectrum.errorbar(
    gains,
    analyzer.exponents_[:, 0],
    3 * analyzer.standard_errors_[:, 0],
    fmt="o-",
    color="#0072B2",
    capsize=3,
    label="leading exponent, 3 standard errors",
)
spectrum.set(xlabel="gain of the weights", ylabel="Lyapunov exponent (1/s)")
spectrum.legend(frameon=False, loc="upper left")

# %%
# **What it shows.** With a negative exponent nearby runs come together, and a
# perturbation is forgotten. With a positive one they move apart exponentially, until
# their distance is the size of the attractor. An exponent near zero belongs to a cycle:
# runs keep the difference of their phases.
#
# **What not to conclude.** Gain 1 is the edge for networks of infinitely many neurons.
# A network of 100 can have a stable point or a cycle beyond it, and the verdict is
# about *this* network. Exponents of a fitted network are those of the model, without
# noise; noisy trials of a second do not tell whether the recorded activity is chaotic.
# And exponents of the map at `dt` are not those of the differential equation.
