"""The figure of `side_by_side`: every seed's scores, one model to the line."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._common import RESULTS

PANELS = {
    "run": "whole trials, R²",
    "k=10": "10 bins ahead, R²",
    "read": "conditions read",
    "s": "seconds of the fit",
}
OURS, OTHERS = "#D55E00", "#0072B2"


def draw(data: str, rows: list[dict[str, Any]]) -> None:
    """Write results/side_by_side_DATA.png; R² below zero is drawn at zero."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    names = list(dict.fromkeys(row["model"] for row in rows))
    fig, axes = plt.subplots(
        1,
        len(PANELS),
        figsize=(11, 0.9 + 0.28 * len(names)),
        sharey=True,
        layout="constrained",
    )
    for ax, (key, label) in zip(axes, PANELS.items(), strict=True):
        for line, name in enumerate(names):
            values = np.array([row[key] for row in rows if row["model"] == name])
            values = values if key == "s" else np.maximum(values, 0)
            color = OURS if name.startswith("JEDI") else OTHERS
            ax.plot(values, np.full(len(values), line), "o", color=color, alpha=0.6)
        ax.set_xlabel(label)
        ax.grid(axis="x", alpha=0.3)
        if key == "s":
            ax.set_xscale("log")
            ax.xaxis.set_minor_formatter(NullFormatter())
        else:
            ax.set_xlim(-0.05, 1.05)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    fig.suptitle(f"{data}: held-out trials, one dot a seed", fontsize=11)
    RESULTS.mkdir(exist_ok=True)
    fig.savefig(RESULTS / f"side_by_side_{data}.png", dpi=150)
    plt.close(fig)
