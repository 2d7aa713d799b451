"""From the trials that a report was given to those that its model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from sklearn_jedi._data._forms import (
    TrialsLike,
    is_2d,
    names_of,
    recorded_trials,
    trials_of,
    unwrap,
)
from sklearn_jedi._data._neuron_names import Name
from sklearn_jedi.preprocessing import SquareRoot
from sklearn_jedi.preprocessing._base import like_trials
from sklearn_jedi.report._text import first_few


class Preparation(
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]  # scikit-learn has no types
):
    """The neurons that a report fitted, and square roots of spike counts.

    A step of a Pipeline that has nothing to learn.

    Parameters
    ----------
    neurons : sequence of int
        Numbers of the neurons that were fitted, among those that the report was given.
    n_neurons : int
        How many it was given.
    names : sequence or None
        Ids of the fitted neurons, where trials had them.
    square_root : bool
        Whether trials were spike counts that were fitted as square roots.
    """

    def __init__(
        self,
        neurons: Sequence[int],
        n_neurons: int,
        names: Sequence[Name] | None,
        square_root: bool,
    ) -> None:
        self.neurons = neurons
        self.n_neurons = n_neurons
        self.names = names
        self.square_root = square_root

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def set_output(self, *, transform: str | None = None) -> Preparation:
        """Trials stay trials, whatever embeddings are to be."""
        return self

    def fit(self, X: TrialsLike, y: object = None) -> Preparation:
        """Nothing is learned."""
        return self

    def transform(self, X: TrialsLike) -> Any:
        """Trials of the neurons that were fitted, as the model takes them.

        Parameters
        ----------
        X : TrialSet, DataArray, array-like of shape (n_trials, n_timepoints, \
                n_neurons) or list of arrays of shape (n_timepoints_i, n_neurons)
            As the report was given them; neurons with ids in any order, and among
            others.

        Returns
        -------
        TrialSet, DataArray, array or list of arrays
            As X is.

        Raises
        ------
        ValueError
            If neurons are missing, or X holds no spike counts where the report did.
        """
        neurons = np.array(self._numbers(X))
        chosen = X
        if not is_2d(X):
            array: Any = unwrap(X)
            kept = [np.asarray(trial)[:, neurons] for trial in trials_of(X)]
            same = kept if isinstance(array, (list, tuple)) else np.stack(kept)
            chosen = like_trials(X, same, neurons)
        if not self.square_root:
            return chosen
        for number, trial in enumerate(recorded_trials(chosen)):
            values = trial[np.isfinite(trial)]
            if not ((values >= 0) & (values % 1 == 0)).all():
                raise ValueError(
                    "the report was given spike counts, and its model takes their "
                    f"square roots, which are found here: trial {number} holds other "
                    "numbers. Pass counts"
                )
        return SquareRoot().fit_transform(chosen)

    def describe(self) -> str:
        """What is done, in words; "" where trials are taken as they are."""
        done = []
        if len(self.neurons) < self.n_neurons:
            done.append(f"{len(self.neurons)} of {self.n_neurons} neurons")
        if self.square_root:
            done.append("square roots of spike counts")
        return ", ".join(done)

    def _numbers(self, X: TrialsLike) -> list[int]:
        """Which neurons of X were fitted: by their ids, if both have them."""
        found = names_of(X)
        if self.names is None or found is None:
            trials: Any = unwrap(X)
            n_found = np.shape(trials[0])[-1] if np.ndim(trials[0]) > 1 else 1
            if n_found != self.n_neurons:
                ids = ", or a TrialSet, whose neurons are told by their ids"
                raise ValueError(
                    f"X has {n_found} neurons, and the report was given "
                    f"{self.n_neurons}: pass the same"
                    + (ids if self.names is not None else "")
                )
            return list(self.neurons)
        where = {name: number for number, name in enumerate(found)}
        missing = [name for name in self.names if name not in where]
        if missing:
            raise ValueError(
                f"{len(missing)} of the {len(self.names)} neurons that were fitted are "
                f"not in X: {first_few(map(repr, missing))}. Read them as for the "
                "report"
            )
        return [where[name] for name in self.names]
