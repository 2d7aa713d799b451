"""What every section of a report has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sklearn_jedi.report._study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Table(NamedTuple):
    """Rows of text under a header."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


class Section(ABC):
    """A question to the recording, its answer, and the picture of it.

    Attributes
    ----------
    name : str
        Of files.
    title : str
        On the page, and beside the progress.
    reads_networks : bool
        Whether the answer is worth no more than the networks are.
    """

    name: str
    title: str
    reads_networks: bool = False

    @abstractmethod
    def compute(self, study: Study) -> None:
        """Find the answer; may add to the study what later sections need."""

    @abstractmethod
    def summary(self) -> str:
        """The answer in a sentence."""

    @abstractmethod
    def caption(self) -> str:
        """What the picture shows."""

    @abstractmethod
    def draw(self) -> Figure:
        """The picture: a matplotlib Figure."""

    def tables(self) -> list[Table]:
        """Numbers behind the picture."""
        return []

    def notes(self) -> list[str]:
        """Reasons not to trust a result, in plain language."""
        return []

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """What goes to results.npz."""
