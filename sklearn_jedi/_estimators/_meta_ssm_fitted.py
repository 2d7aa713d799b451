"""What a fitted `MetaDynamicalSSM` does, and `JEDIEstimator` does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._forms import Activity, TrialsLike, is_2d, unwrap
from sklearn_jedi._data._gate import check_labels
from sklearn_jedi._data._gate_of_sessions import (
    UNNAMED,
    Label,
    Neurons,
    SessionTrials,
    check_sessions,
)
from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._engine._likelihoods import LIKELIHOODS
from sklearn_jedi._estimators._base import TrialTransformer
from sklearn_jedi._estimators._parts import Part, check_embeddings, written
from sklearn_jedi._models import _files, _predictions
from sklearn_jedi._models._inferred import LatentModel
from sklearn_jedi._models._model import Model
from sklearn_jedi._networks._latent_dynamics import LatentDynamics
from sklearn_jedi._utils._plain import from_plain, to_plain


class SessionMethods(TrialTransformer):
    """The methods of `MetaDynamicalSSM` that need a fit."""

    _LEARNED = (*TrialTransformer._LEARNED, "n_latents_", "change_rank_")
    batch_size: int
    n_latents_: int
    n_features_in_: int
    n_timepoints_in_: int | np.ndarray
    neuron_names_in_: np.ndarray
    n_neurons_in_: Any  # one number, or one for each session
    sessions_: np.ndarray
    _models: dict[Label, LatentModel]
    _neurons: dict[Label, Neurons]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_models")

    def dynamics(self, Z: ArrayLike) -> LatentDynamics:
        """The latent dynamics of embeddings, one each; analyzers take them.

        Parameters
        ----------
        Z : array-like of shape (n_networks, embedding_dim)
            Embeddings, from `transform` or chosen by hand.

        Returns
        -------
        LatentDynamics
            Of the latents that `latents` returns; the same for all sessions.
        """
        check_is_fitted(self)
        embeddings = check_embeddings(Z, self.embedding_dim)
        return next(iter(self._models.values())).latent_dynamics(embeddings)

    def latents(
        self,
        X: TrialsLike,
        *,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> Activity:
        """Latents inferred from whole trials (smoothed).

        Sessions share the latents up to what their readouts can trade for dynamics; see
        the notes of `MetaDynamicalSSM`.

        Parameters
        ----------
        X, conditions, sessions
            As in `transform`.

        Returns
        -------
        array of shape (n_trials, n_timepoints, n_latents) or list of arrays
            A list where X is one. NaN after a trial's end.
        """
        parts = self._read(X, conditions, sessions)
        found = written(_latents, parts, self.n_latents_, self.n_jobs)
        if isinstance(unwrap(X), (list, tuple)) and not is_2d(X):
            return list(found)
        return found if isinstance(found, np.ndarray) else np.stack(found)

    # ------------------------------------------------------------------------- helpers

    def _parts(
        self,
        X: TrialsLike,
        conditions: ArrayLike | None,
        sessions: ArrayLike | None,
    ) -> list[Part]:
        found, _ = check_sessions(self, X, sessions, known=self._neurons)
        parts = []
        for part in self._sharing(found, conditions):
            model = self._models[part.label]
            likelihood = LIKELIHOODS[self.observation_]
            likelihood.check(part.summary, part.trials, part.rows, model.scaling)
            prepared = model.prepare(part.trials, part.summary.first_whole)
            parts.append(Part(part.label, part.rows, part.trials, prepared, model))
        return parts

    def _sharing(
        self,
        parts: Sequence[SessionTrials],
        conditions: ArrayLike | None,
        *,
        needed: bool = False,
    ) -> list[SessionTrials]:
        """Trials of each session, those that share an embedding in one group.

        Parameters
        ----------
        needed : bool, default=False
            Refuse trials without the conditions that tell which of them do.
        """
        labels = None
        if conditions is not None:
            check_labels("conditions", conditions, sum(len(p.rows) for p in parts))
            labels = np.asarray(conditions, dtype=object)
        elif needed and self.embedding == "condition":
            raise ValueError(
                'embedding="condition" needs conditions=, what was done in each trial; '
                'with embedding="session" all trials of a session share an embedding'
            )
        if self.embedding == "session":
            return [
                part
                if part.label is UNNAMED
                else _grouped(part, np.zeros(len(part.rows), dtype=int))
                for part in parts
            ]
        if self.embedding == "condition" and labels is not None:
            return [
                _grouped(
                    part, check_labels("conditions", labels[part.rows], len(part.rows))
                )
                for part in parts
            ]
        return list(parts)

    def _set_sessions(
        self, models: dict[Label, LatentModel], neurons: dict[Label, Neurons]
    ) -> None:
        self._models, self._neurons = models, neurons
        self.sessions_ = np.array(list(models))
        sizes = np.array([len(model.loading) for model in models.values()])
        self.n_neurons_in_ = int(sizes[0]) if UNNAMED in models else sizes

    def _pack_fitted(self, arrays: _files.Arrays) -> Any:
        names = {
            str(number): _files.pack(neurons.neuron_names_in_, "names", arrays)
            for number, neurons in enumerate(self._neurons.values())
            if hasattr(neurons, "neuron_names_in_")
        }
        return {
            "sessions": to_plain(list(self._models)),
            "names": names,
            "models": _files.pack_family(list(self._models.values()), arrays),
        }

    def _unpack_fitted(self, tree: Mapping[str, Any], arrays: _files.Arrays) -> None:
        models = _files.unpack_family(tree["models"], arrays)
        known: dict[Label, Neurons] = {}
        labels = from_plain(tree["sessions"])
        for number, (label, model) in enumerate(zip(labels, models, strict=True)):
            neurons = known[label] = Neurons(self.batch_size)
            neurons.n_neurons_in_ = len(model.loading)
            names = tree["names"].get(str(number))
            if names is not None:
                neurons.neuron_names_in_ = _files.unpack(names, "names", arrays)
        self._set_sessions(dict(zip(labels, models, strict=True)), known)


def _grouped(part: SessionTrials, groups: np.ndarray) -> SessionTrials:
    return part._replace(trials=part.trials.grouped(groups))


def _latents(model: Model, trials: Trials) -> Iterator[tuple[Block, np.ndarray]]:
    """Blocks of trials, and their latents at the inferred states."""
    assert isinstance(model, LatentModel)
    for block, found in _predictions.posteriors(model, trials):
        yield block, model.latents(found.activity())
