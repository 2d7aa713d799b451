"""What all examples of the gallery share: how their figures look."""

import warnings

import matplotlib


def reset(gallery_conf: dict, fname: str) -> None:
    """Set up matplotlib before an example runs."""
    matplotlib.use("agg")
    matplotlib.rcParams.update(
        {"savefig.dpi": 110, "figure.constrained_layout.use": True}
    )
    # a session by itself, or a condition less, supports fewer axes: meant
    warnings.filterwarnings("ignore", message="these .* determine only")
