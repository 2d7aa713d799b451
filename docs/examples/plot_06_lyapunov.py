"""
Chaos or noise? Lyapunov exponents
==================================

*Activity of my network is irregular. Is that chaos, or is it a stable network that is
shaken?*

Random networks whose weights grow stronger, from which the answer is known: large ones
become chaotic where the gain of the weights passes 1 [Sompolinsky, Crisanti and Sommers
1988]. `LowRankRNN.from_weights` takes any matrix of weights.
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
# What an exponent means: how fast two runs part that start next to each other.

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
# **What it shows.** A negative exponent: nearby runs become one, and a perturbation is
# forgotten. A positive one: they part exponentially until they are as far apart as the
# attractor is large. Near zero it is a cycle, which keeps its phase.
#
# **What not to conclude.** Gain 1 is the edge for networks of infinitely many neurons;
# one of 100 can hold a stable point or a cycle beyond it, and the verdict is about
# *this* network. Exponents of a fitted network are those of the model, without noise:
# whether a recording is chaotic cannot be told from single noisy trials of a second.
# And those of the map at `dt` are not those of the differential equation.
