"""What the displays share: the optional import, axes, colours by condition."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._utils._optional import import_optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def import_pyplot() -> ModuleType:
    """matplotlib.pyplot, or an error that names the extra."""
    return import_optional("matplotlib.pyplot", "plotting", "plot")


def get_axes(ax: Axes | None) -> Axes:
    """The axes given, or those of a new figure."""
    plt = import_pyplot()
    if ax is not None:
        return ax
    new: Axes = plt.subplots(figsize=(4.5, 4.0), layout="constrained")[1]
    return new


def ordered_labels(labels: np.ndarray) -> np.ndarray:
    """Different labels in order; text that is numbers in the order of numbers."""
    unique = np.unique(labels)
    try:
        return unique[np.argsort(unique.astype(float), kind="stable")]
    except (TypeError, ValueError):
        return unique


def colour_groups(
    labels: ArrayLike | None, n: int, what: str = "trial"
) -> list[tuple[object, np.ndarray, str | np.ndarray]]:
    """(label, mask, colour) of each condition; one nameless group without labels."""
    import matplotlib

    if labels is None:
        return [(None, np.ones(n, dtype=bool), "tab:blue")]
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(
            f"labels must have shape ({n},), one per {what}; got {labels.shape}"
        )
    groups = ordered_labels(labels)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.92, len(groups)))
    return [
        (group, labels == group, colour)
        for group, colour in zip(groups, colours, strict=True)
    ]
