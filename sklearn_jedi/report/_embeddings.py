"""Whether embeddings tell conditions apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression

from sklearn_jedi._utils._threads import few_threads
from sklearn_jedi.plotting import EmbeddingDisplay
from sklearn_jedi.report._section import Section, Table
from sklearn_jedi.report._study import Study
from sklearn_jedi.report._text import counted, first_few

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVEL = 0.05


class EmbeddingSection(Section):
    """Embeddings of all trials, and the label of held-out trials read from them."""

    name = "embeddings"
    title = "Embeddings"

    def compute(self, study: Study) -> None:
        assert study.model is not None
        study.embeddings = study.model.transform(study.X)
        self.read(study, study.embeddings)

    def read(
        self, study: Study, embeddings: np.ndarray, n_permutations: int = 200
    ) -> None:
        """Read labels of held-out trials, and as often labels that mean nothing."""
        self._z = embeddings
        self._labels, self._label_name = study.labels, study.label_name
        self._train, self._test = study.train, study.test
        self._rows = study.rows
        self._order = [name for name, _ in study.conditions]
        self.accuracy = self.p_value = self.chance = np.nan
        if self._can_read():
            with few_threads(self._z.shape[1]):
                self._test_labels(study, n_permutations)

    def _can_read(self) -> bool:
        labels = self._labels
        if labels is None or len(np.unique(labels[self._train])) < 2:
            return False
        return bool(np.isin(labels[self._test], labels[self._train]).any())

    def _test_labels(self, study: Study, n_permutations: int) -> None:
        assert self._labels is not None
        self._predicted, self.accuracy = self._accuracy(self._labels)
        rng = np.random.default_rng(study.random_state)
        null = []
        for done in range(n_permutations):
            mixed = self._labels.copy()
            for part in (self._train, self._test):  # as many of each on either side
                mixed[part] = study.permuted(self._labels, part, rng)
            null.append(self._accuracy(mixed)[1])
            study.progress(done + 1, n_permutations, "permutations")
        self.chance = float(np.mean(null))
        self._least_p = 1 / (1 + n_permutations)
        self.p_value = (1 + np.sum(np.array(null) >= self.accuracy)) / (1 + len(null))

    def _accuracy(self, labels: np.ndarray) -> tuple[np.ndarray, float]:
        """Labels read from held-out embeddings, and the share that is right."""
        y = labels[self._train]
        if len(np.unique(y)) < 2:
            predicted = np.full(len(self._test), y[0])
        else:
            reader = LogisticRegression(max_iter=1000).fit(self._z[self._train], y)
            predicted = reader.predict(self._z[self._test])
        return predicted, float(np.mean(predicted == labels[self._test]))

    def summary(self) -> str:
        if np.isnan(self.accuracy):
            axes = counted(self._z.shape[1], "dimension")
            return f"Each trial has an embedding of {axes}."
        verdict = "above" if self.p_value < _LEVEL else "no better than"
        return (
            f"From the embedding of a held-out trial, {self._label_name} is read "
            f"correctly in {100 * self.accuracy:.0f} % of trials, {verdict} chance "
            f"({100 * self.chance:.0f} % with permuted labels; permutation test, "
            f"p {'=' if self.p_value > self._least_p else '≤'} {self.p_value:.3f})."
        )

    def caption(self) -> str:
        colour = (
            "colour: trial number"
            if self._labels is None
            else f"colour: {self._label_name}"
        )
        text = (
            "Embedding of each trial, in standard deviations of its prior "
            f"({colour}; with a black edge: held out from the fit)."
        )
        if not np.isnan(self.accuracy):
            text += (
                " Right: what a linear classifier of the training trials' embeddings "
                "reads from those of held-out trials."
            )
        return text

    def draw(self) -> Figure:
        import matplotlib.pyplot as plt

        read = not np.isnan(self.accuracy)
        figure, axes = plt.subplots(
            1,
            1 + read,
            figsize=(5 + 4.2 * read, 4),
            layout="constrained",
            squeeze=False,
        )
        self._draw_embeddings(axes[0, 0])
        if read:
            self._draw_confusion(axes[0, 1])
        return figure

    def _draw_embeddings(self, ax: Axes) -> None:
        number = np.arange(len(self._z))
        flat = self._z.shape[1] == 1
        # of one axis, the trial number shows drift
        shown = np.column_stack([self._z[:, 0], number if flat else self._z[:, 1]])
        if self._labels is None:
            dots = ax.scatter(shown[:, 0], shown[:, 1], c=number, s=22)
            ax.figure.colorbar(dots, ax=ax, label="trial number")
            ax.set_xlabel("embedding axis 1 (prior SD)")
            ax.set_ylabel("embedding axis 2 (prior SD)")
        else:
            EmbeddingDisplay(shown, self._labels, self._label_name).plot(ax)
            if legend := ax.get_legend():
                legend.set_bbox_to_anchor((1.0, 1.0))
                legend.set_loc("upper left")
        if flat:
            ax.set_ylabel("trial number")
        ax.plot(*shown[self._test].T, "o", ms=6, mfc="none", mec="k", mew=0.8)

    def _draw_confusion(self, ax: Axes) -> None:
        assert self._labels is not None
        true = self._labels[self._test]
        counts = np.array(
            [
                [np.sum((true == a) & (self._predicted == b)) for b in self._order]
                for a in self._order
            ]
        )
        ax.imshow(counts, cmap="Blues")
        for (row, column), count in np.ndenumerate(counts):
            if count:
                dark = count > counts.max() / 2
                ax.text(
                    column,
                    row,
                    str(count),
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                )
        places = np.arange(len(self._order))
        turn = 45 if max(map(len, self._order)) > 3 else 0
        ax.set_xticks(places, self._order, rotation=turn)
        ax.set_yticks(places, self._order)
        ax.set_xlabel(f"{self._label_name} read from the embedding")
        ax.set_ylabel(f"{self._label_name} (held-out trials)")

    def tables(self) -> list[Table]:
        if self._labels is None:
            return []
        rows = []
        for name in self._order:
            z = self._z[self._labels == name]
            cells = [
                f"{m:+.2f} ({s:.2f})" for m, s in zip(z.mean(0), z.std(0), strict=True)
            ]
            rows.append((name, str(len(z)), *cells))
        axes = [f"axis {k + 1}, mean (SD)" for k in range(self._z.shape[1])]
        return [Table((self._label_name, "trials", *axes), rows)]

    def notes(self) -> list[str]:
        if self._labels is not None:
            unseen = set(self._labels[self._test]) - set(self._labels[self._train])
            if unseen:
                return [
                    f"{self._label_name} {first_few(sorted(unseen))} is only among the "
                    "held-out trials: it is not read, and has no network of its own."
                ]
        if np.isnan(self.accuracy) or self.p_value < _LEVEL:
            return []
        return [
            f"The embedding tells {self._label_name} no better than chance "
            f"(p = {self.p_value:.2f}): differences between conditions below may be "
            "noise. Where conditions share their dynamics and differ in where they "
            "start, embeddings need not tell them apart."
        ]

    def arrays(self) -> dict[str, np.ndarray]:
        out = {"embeddings": self._z, "rows": self._rows}
        out |= {"train": self._train, "test": self._test}
        if self._labels is not None:
            out |= {
                "labels": self._labels.astype(str),
                "accuracy": np.array(self.accuracy),
                "p_value": np.array(self.p_value),
            }
        return out
