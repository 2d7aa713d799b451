"""
Sessions with different neurons
===============================

*Each day I recorded other neurons. Can all days be fitted together, and what does a new
day with a single trial gain from the others?*

`MetaDynamicalSSM` finds latents that all sessions share, an embedding per session that
says how its dynamics differ, and a readout for each session's own neurons.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_jedi import MetaDynamicalSSM
from sklearn_jedi.datasets import make_oscillator_sessions
from sklearn_jedi.metrics import trajectory_r2

# %%
# Seven sessions of 15 to 30 neurons, whose latents turn at 1 to 4 Hz. The last one is
# new.

hertz = np.array([1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 1.5])
data = make_oscillator_sessions(
    7, 8, parameters=hertz[:, None], n_neurons=(15, 30), n_timepoints=60, noise=1.0,
    random_state=1,
)  # fmt: skip
known = np.flatnonzero(data.sessions < 6)
new = np.flatnonzero(data.sessions == 6)
X_known, s_known = [data.X[i] for i in known], data.sessions[known]

settings = {"n_latents": 2, "embedding_dim": 1, "dt": 0.01, "gain": 1.2}
meta = MetaDynamicalSSM(**settings).fit(X_known, sessions=s_known)

# %%
# The new session, once by `adapt` from its first trial, which leaves the shared
# dynamics as they are, and once by a fit to that trial alone. Both then forecast the
# second halves of the other trials.

one, rest = [data.X[new[0]]], [data.X[i] for i in new[1:]]
later = [data.expected[i][30:] for i in new[1:]]  # without the noise
adapted = meta.adapt(one, sessions=[6])
alone = MetaDynamicalSSM(**settings).fit(one, sessions=[6])
scores = {}
for name, model in (("family + 1 trial", adapted), ("1 trial alone", alone)):
    ahead = model.forecast([x[:30] for x in rest], 30, sessions=[6] * len(rest))
    scores[name] = trajectory_r2(later, ahead)

mean, cov = meta.embedding_posterior(X_known, sessions=s_known)
first = np.unique(s_known, return_index=True)[1]
mean_new, cov_new = adapted.embedding_posterior(rest, sessions=[6] * len(rest))

fig, (read, path, bars) = plt.subplots(1, 3, figsize=(13, 3.9))
error = 2 * np.sqrt(cov[first, 0, 0])
read.errorbar(hertz[:6], mean[first, 0], error, fmt="o", color="#0072B2", label="known")
read.errorbar(
    hertz[6:], mean_new[:1, 0], 2 * np.sqrt(cov_new[:1, 0, 0]), fmt="D",
    color="#D55E00", label="new, from 7 trials",
)  # fmt: skip
read.set(xlabel="true frequency (Hz)", ylabel="embedding (2 posterior SD)")
read.set_title("One number per session")
read.legend(frameon=False)
for k, session in enumerate(np.argsort(hertz[:6])[[0, -1]]):
    trial = int(np.flatnonzero(s_known == session)[0])
    z = meta.latents([X_known[trial]], sessions=[session])[0]
    colour, label = ["#56B4E9", "#000000"][k], f"{hertz[session]:.1f} Hz"
    path.plot(*z.T, color=colour, lw=1.5, label=label)
    path.plot(*z[0], "o", color=colour)
path.set(xlabel="latent 1", ylabel="latent 2", aspect="equal")
path.set_title("A trial of the slowest and the fastest")
path.legend(frameon=False, loc="center")
bars.bar(list(scores), list(scores.values()), color=["#D55E00", "0.7"], width=0.6)
for k, value in enumerate(scores.values()):
    bars.annotate(f"{value:.2f}", (k, max(value, 0)), ha="center", va="bottom")
bars.set(
    ylabel="forecast R², against the activity",
    ylim=(min(-0.1, min(scores.values()) - 0.15), 1.1),
)
bars.axhline(0, color="k", lw=0.8)
bars.set_title("New session, second halves of trials")

# %%
# **What it shows.** One number per session orders the sessions by how fast their
# latents turn, the new one included. One trial of a new session is enough for good
# forecasts if the dynamics of other sessions are known, and not enough by itself.
#
# **What not to conclude.** Every session gets an embedding, also one that has nothing
# in common with the others: compare the common fit with a fit to each session alone.
# Phases of a round cycle cannot be compared between sessions, unless sessions are
# aligned by `conditions=` in `fit`. With many trials of a session the others add
# nothing.
