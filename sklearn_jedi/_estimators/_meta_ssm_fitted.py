"""What can be asked of latent dynamics fitted to sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._gate import is_2d
from sklearn_jedi._data._gate_of_sessions import (
    UNNAMED,
    Neurons,
    SessionTrials,
    check_sessions,
)
from sklearn_jedi._data._labelled_arrays import ahead_of, like
from sklearn_jedi._data._trials import Trials
from sklearn_jedi._engine._likelihoods import LIKELIHOODS
from sklearn_jedi._estimators._base import TrialTransformer
from sklearn_jedi._estimators._jedi_fitted import check_embeddings
from sklearn_jedi._models import _files, _predictions
from sklearn_jedi._models._inferred import LatentModel
from sklearn_jedi._networks._latent_dynamics import LatentDynamics
from sklearn_jedi._utils._checks import check_integer
from sklearn_jedi._utils._streaming import R2Sums, pooled_r2
from sklearn_jedi._utils._threads import few_threads

Part = tuple[SessionTrials, LatentModel, Trials]


class SessionMethods(TrialTransformer):
    """The methods of `MetaDynamicalSSM` that need a fit."""

    _LEARNED = (
        "embeddings_",
        "n_latents_",
        "rank_",
        "gain_",
        "n_features_in_",
        "feature_names_in_",
        "n_timepoints_in_",
        "neuron_names_in_",
        "n_iter_",
        "interrupted_",
        "best_epoch_",
    )
    embedding: str
    likelihood: str
    batch_size: int
    _models: dict[Any, LatentModel]
    _neurons: dict[Any, Neurons]

    # ------------------------------------------------------- embeddings and dynamics

    def transform(
        self, X: ArrayLike, *, sessions: ArrayLike | None = None
    ) -> np.ndarray:
        """Infer the embedding of each trial: the posterior mode.

        Parameters
        ----------
        X : list of arrays (n_timepoints_i, n_neurons of the session), or array-like \
                of shape (n_trials, n_timepoints, n_neurons)
            Trials of any length of at least 2 time points; NaN where nothing was
            recorded.
        sessions : array-like of shape (n_trials,), default=None
            The session of each trial, as in `fit`. With ``embedding="session"`` the
            embedding is inferred jointly from all trials passed of a session. None:
            only if `fit` was without; each trial has its own.

        Returns
        -------
        array of shape (n_trials, embedding_dim)
            One row per trial; those of a session are equal with
            ``embedding="session"``.
        """
        return self.embedding_posterior(X, sessions=sessions)[0]

    def embedding_posterior(
        self, X: ArrayLike, *, sessions: ArrayLike | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gaussian approximation of the embeddings' posterior, latents integrated out.

        Parameters
        ----------
        X, sessions
            As in `transform`.

        Returns
        -------
        mean : array of shape (n_trials, embedding_dim)
            ``transform(X)``.
        cov : array of shape (n_trials, embedding_dim, embedding_dim)
            Given the fitted dynamics and readouts, whose errors it leaves out.
        """
        parts, n_trials, dtype = self._parts(X, sessions)
        mean = np.empty((n_trials, self.embedding_dim))
        cov = np.empty((n_trials, self.embedding_dim, self.embedding_dim))
        for part, model, trials in parts:
            with few_threads(trials.n_neurons):
                mean[part.rows], cov[part.rows] = _predictions.embeddings(model, trials)
        return mean.astype(dtype), cov.astype(dtype)

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

    # ------------------------------------------------------------ latents and activity

    def latents(self, X: ArrayLike, *, sessions: ArrayLike | None = None) -> Any:
        """Latents inferred from whole trials (smoothed).

        Sessions share the latents up to what their readouts can trade for dynamics; see
        the notes of `MetaDynamicalSSM`.

        Parameters
        ----------
        X, sessions
            As in `transform`.

        Returns
        -------
        array of shape (n_trials, n_timepoints, n_latents) or list of arrays
            A list where X is one. NaN after a trial's end.
        """
        parts, n_trials, dtype = self._parts(X, sessions)
        out: list[Any] = [None] * n_trials
        for part, model, trials in parts:
            source = part.trials.source
            own = [np.full((len(x), model.output.shape[1]), np.nan) for x in source]

            def states(
                model: LatentModel, trials: Trials
            ) -> Iterator[tuple[Any, np.ndarray]]:
                for block, found in _predictions.posteriors(model, trials):
                    yield block, model.latents(found.activity())

            with few_threads(trials.n_neurons):
                _predictions.write(states(model, trials), trials, own)
            for row, path in zip(part.rows, own, strict=True):
                out[row] = path.astype(dtype, copy=False)
        return out if isinstance(X, (list, tuple)) and not is_2d(X) else np.stack(out)

    def reconstruct(self, X: ArrayLike, *, sessions: ArrayLike | None = None) -> Any:
        """Expected recordings of a free run from each trial's inferred first latents.

        Parameters
        ----------
        X, sessions
            As in `transform`.

        Returns
        -------
        array of the shape of X, or list of arrays, or DataArray where X is one
            Counts per bin with ``likelihood="poisson"``; NaN after a trial's end.
        """
        return self._like_trials(_predictions.free_runs, X, sessions)

    def smooth(self, X: ArrayLike, *, sessions: ArrayLike | None = None) -> Any:
        """Expected recordings at the latents inferred from the whole trial.

        Parameters
        ----------
        X, sessions
            As in `transform`.

        Returns
        -------
        array of the shape of X, or list of arrays, or DataArray where X is one
            Without noise, gaps filled in; NaN after a trial's end.
        """
        return self._like_trials(_predictions.smoothed, X, sessions)

    def forecast(
        self,
        X: ArrayLike,
        n_steps: int,
        *,
        return_std: bool = False,
        sessions: ArrayLike | None = None,
    ) -> Any:
        """Continue trials: infer embeddings and latents from them, then run on.

        Parameters
        ----------
        X : list of arrays or array-like
            The beginnings of trials, as in `transform`. A trial ends with its last
            value: the forecast begins after it.
        n_steps : int
            Time points to add.
        return_std : bool, default=False
            Return predictive standard deviations, too.
        sessions : array-like of shape (n_trials,), default=None
            As in `transform`.

        Returns
        -------
        mean : list of arrays (n_steps, n_neurons of the session), or array
            Expected recordings at the new time points; an array, or a DataArray whose
            times go on, where X is one.
        std : the same
            Only with `return_std`: standard deviations of recordings there, from the
            posterior of latents and embedding, the noise of each step and that of the
            recording.
        """
        check_is_fitted(self)
        check_integer("n_steps", n_steps, 1)
        parts, n_trials, dtype = self._parts(X, sessions)
        mean: list[Any] = [None] * n_trials
        std: list[Any] = [None] * n_trials
        for part, model, trials in parts:
            with few_threads(trials.n_neurons):
                ahead = _predictions.forecast(
                    model, trials, n_steps, with_std=return_std
                )
            for k, row in enumerate(part.rows):
                mean[row] = ahead.mean[k].astype(dtype, copy=False)
                if ahead.std is not None:
                    std[row] = ahead.std[k].astype(dtype, copy=False)
        first = ahead_of(X, _in_form_of(X, mean))
        if not return_std:
            return first
        return first, ahead_of(X, _in_form_of(X, std))

    def score(
        self, X: ArrayLike, y: Any = None, *, sessions: ArrayLike | None = None
    ) -> float:
        """How well the second half of each trial is forecast from the first.

        With ``likelihood="gaussian"`` the R^2 of the recordings, pooled over trials,
        time and neurons, about each neuron's mean over what is scored; with noise no
        model reaches 1. With "poisson" bits per spike, see
        `sklearn_jedi.metrics.bits_per_spike`. Embeddings are inferred from the first
        halves alone.

        Parameters
        ----------
        X : list of arrays or array-like
            As in `transform`; trials of at least 3 time points.
        y : None
            Ignored.
        sessions : array-like of shape (n_trials,), default=None
            As in `transform`.

        Returns
        -------
        float
        """
        parts, _, _ = self._parts(X, sessions)
        if max(int(part.trials.lengths.max()) for part, _, _ in parts) < 3:
            raise ValueError(
                "score forecasts the second half of trials from the first: X needs "
                "trials of at least 3 time points"
            )
        sums = []
        for part, model, trials in parts:
            sums.append(R2Sums(trials.n_neurons))
            with few_threads(trials.n_neurons):
                for block, runs in _predictions.free_runs(model, trials):
                    true = trials.in_data_units(block.values)
                    sums[-1].add(true, runs, block.recorded)
        return pooled_r2(sums)

    # ------------------------------------------------------------------------- helpers

    def _parts(
        self, X: Any, sessions: ArrayLike | None
    ) -> tuple[list[Part], int, np.dtype]:
        """Each session's trials, its model, and the trials as the model takes them."""
        check_is_fitted(self)
        found, _ = check_sessions(
            self,
            X,
            sessions,
            known=self._neurons,
            shared=self.embedding == "session",
        )
        parts = []
        for part in found:
            LIKELIHOODS[self.likelihood].check(part.summary)
            model = self._models[part.label]
            prepared = model.prepare(part.trials, part.summary.first_whole)
            parts.append((part, model, prepared))
        dtype = np.result_type(*{part.trials.dtype for part in found})
        return parts, sum(len(part.rows) for part in found), dtype

    def _like_trials(self, pieces: Any, X: Any, sessions: Any) -> Any:
        """What is predicted of trials, in the form that they have."""
        parts, n_trials, dtype = self._parts(X, sessions)
        out: list[Any] = [None] * n_trials
        for part, model, trials in parts:
            own = [np.full(np.shape(x), np.nan, dtype) for x in part.trials.source]
            with few_threads(trials.n_neurons):
                _predictions.write(pieces(model, trials), trials, own)
            for row, trial in zip(part.rows, own, strict=True):
                out[row] = trial
        return like(X, _in_form_of(X, out))

    def _set_sessions(
        self, models: dict[Any, LatentModel], neurons: dict[Any, Neurons]
    ) -> None:
        self._models, self._neurons = models, neurons
        self.sessions_ = np.array(list(models))
        sizes = np.array([len(model.loading) for model in models.values()])
        self.n_neurons_in_ = int(sizes[0]) if UNNAMED in models else sizes

    def _pack_fitted(self, arrays: _files.Arrays) -> Any:
        names = {
            number: list(neurons.neuron_names_in_)
            for number, neurons in enumerate(self._neurons.values())
            if hasattr(neurons, "neuron_names_in_")
        }
        return {
            "sessions": list(self._models),
            "names": names,
            "models": _files.pack_family(list(self._models.values()), arrays),
        }

    def _unpack_fitted(self, tree: Any, arrays: _files.Arrays) -> None:
        models = _files.unpack_family(tree["models"], arrays)
        known = {}
        for number, (label, model) in enumerate(
            zip(tree["sessions"], models, strict=True)
        ):
            neurons = known[label] = Neurons(self.batch_size)
            neurons.n_neurons_in_ = len(model.loading)
            names = tree["names"].get(str(number))
            if names is not None:
                neurons.neuron_names_in_ = np.array(names, dtype=object)
        self._set_sessions(dict(zip(tree["sessions"], models, strict=True)), known)


def _in_form_of(X: Any, trials: list[np.ndarray]) -> Any:
    """A list of trials in the form of X."""
    if is_2d(X):
        return np.stack([trial[:, 0] for trial in trials])
    return trials if isinstance(X, (list, tuple)) else np.stack(trials)
