"""What a fitted `JEDIEstimator` does, and `MetaDynamicalSSM` does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._forms import TrialsLike
from sklearn_jedi._data._gate import check_labels, check_trials
from sklearn_jedi._data._gate_of_sessions import UNNAMED
from sklearn_jedi._data._trials import Trials
from sklearn_jedi._engine._likelihoods import LIKELIHOODS
from sklearn_jedi._estimators._base import TrialTransformer
from sklearn_jedi._estimators._parts import Part, check_embeddings
from sklearn_jedi._models import _files, _predictions
from sklearn_jedi._models._model import Model
from sklearn_jedi._networks._low_rank_rnn import LowRankRNN
from sklearn_jedi._utils._threads import on_cores
from sklearn_jedi._utils._warnings import warn_user


class FittedMethods(TrialTransformer):
    """The methods of `JEDIEstimator` that need a fit."""

    _LEARNED = (
        *TrialTransformer._LEARNED,
        "rank_",
        "window_",
        "start_smoothing_",
        "n_directions_",
        "ridge_",
        "offset_",
        "scale_",
        "noise_variance_",
        "embedding_inflation_",
        "n_neurons_in_",
    )
    _model: Model
    n_neurons_in_: int
    n_timepoints_in_: int | np.ndarray
    neuron_names_in_: np.ndarray

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def dynamics(self, Z: ArrayLike) -> LowRankRNN:
        """The networks of embeddings, one each, of one unit per recorded neuron.

        Their activity is in the units of the data: with ``observation="state"`` it is
        the recorded activity, with "gaussian" the recorded activity without its noise,
        and for counts the logarithm of the expected count per time point.

        Parameters
        ----------
        Z : array-like of shape (n_networks, embedding_dim)
            Embeddings, from `transform` or chosen by hand.

        Returns
        -------
        LowRankRNN
        """
        check_is_fitted(self)
        embeddings = check_embeddings(Z, self._model.bilinear.n_axes)
        return self._model.networks(embeddings)

    def initial_states(
        self,
        X: TrialsLike,
        *,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> np.ndarray:
        """State of the network where each trial begins, in the units of `dynamics`.

        With ``observation="state"`` this is the first time point at which all neurons
        were recorded; otherwise it is inferred from the whole trial.

        Parameters
        ----------
        X, conditions, sessions
            As in `transform`.

        Returns
        -------
        array of shape (n_trials, n_neurons)
        """
        (part,) = self._read(X, conditions, sessions)
        with on_cores(self.n_jobs, part.trials.n_neurons):
            states = _predictions.initial_states(part.model, part.trials)
        return states.astype(part.given.dtype, copy=False)

    # ------------------------------------------------------------------------- helpers

    def _parts(
        self,
        X: TrialsLike,
        conditions: ArrayLike | None,
        sessions: ArrayLike | None,
    ) -> list[Part]:
        trials, summary = check_trials(self, X, reset=False)
        rows = np.arange(len(trials))
        if self.observation_ in LIKELIHOODS:
            likelihood = LIKELIHOODS[self.observation_]
            likelihood.check(summary, trials, rows, self._model.scaling)
        trials = self._sharing(trials, conditions, sessions)
        prepared = self._model.prepare(trials, summary.first_whole)
        return [Part(UNNAMED, rows, trials, prepared, self._model)]

    def _sharing(
        self,
        trials: Trials,
        conditions: ArrayLike | None,
        sessions: ArrayLike | None,
        *,
        needed: bool = False,
    ) -> Trials:
        """Trials, those that share an embedding in one group.

        Parameters
        ----------
        needed : bool, default=False
            Refuse trials without the labels that tell which of them do.
        """
        given = {"condition": conditions, "session": sessions}
        groups = {
            kind: check_labels(f"{kind}s", labels, len(trials))
            for kind, labels in given.items()
            if labels is not None
        }
        unused = [kind for kind in groups if kind != self.embedding]
        if unused:
            names = " and ".join(f"{kind}s=" for kind in unused)
            inflates = needed and self.embedding == "trial" and "condition" in unused
            but = (
                ' (conditions= but for embedding_inflation_ of observation="state")'
                if inflates
                else ""
            )
            warn_user(
                f"{names} {'are' if len(unused) > 1 else 'is'} not used with "
                f'embedding="{self.embedding}"{but}: set embedding="{unused[0]}" if '
                f"the trials of a {unused[0]} are to share an embedding"
            )
        if self.embedding in groups:
            return trials.grouped(groups[self.embedding])
        if needed and self.embedding != "trial":
            raise ValueError(
                f'with embedding="{self.embedding}" fit needs {self.embedding}s=, the '
                f"{self.embedding} of each trial (y is not read); with "
                'embedding="trial" each trial has its own embedding'
            )
        return trials

    def _pack_fitted(self, arrays: _files.Arrays) -> Any:
        return _files.pack_model(self._model, arrays)

    def _unpack_fitted(self, tree: Mapping[str, Any], arrays: _files.Arrays) -> None:
        self._model = _files.unpack_model(tree, arrays)
