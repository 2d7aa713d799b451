"""What a fitted `JEDIEstimator` does: embeddings, networks, activity, files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._gate import check_trials, is_2d
from sklearn_jedi._data._labelled_arrays import ahead_of, like
from sklearn_jedi._data._trials import Trials
from sklearn_jedi._engine._likelihoods import LIKELIHOODS
from sklearn_jedi._estimators._base import TrialTransformer
from sklearn_jedi._models import _files, _predictions
from sklearn_jedi._models._model import Model
from sklearn_jedi._networks._low_rank_rnn import LowRankRNN
from sklearn_jedi._utils._checks import check_integer
from sklearn_jedi._utils._threads import few_threads


class FittedMethods(TrialTransformer):
    """The methods of `JEDIEstimator` that need a fit."""

    _LEARNED = (
        "embeddings_",
        "rank_",
        "gain_",
        "window_",
        "n_directions_",
        "ridge_",
        "offset_",
        "scale_",
        "observation_",
        "noise_variance_",
        "n_features_in_",
        "feature_names_in_",
        "n_timepoints_in_",
        "n_neurons_in_",
        "neuron_names_in_",
        "n_iter_",
        "interrupted_",
        "best_epoch_",
    )
    _model: Model
    observation_: str

    # ------------------------------------------------------------ embeddings of trials

    def transform(
        self, X: ArrayLike, *, conditions: ArrayLike | None = None
    ) -> np.ndarray:
        """Infer the embedding of each trial: the posterior mode.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or list of \
                arrays of shape (n_timepoints_i, n_neurons)
            Trials of the neurons of `fit`, of any length of at least 2 time points; NaN
            where nothing was recorded.
        conditions : array-like of shape (n_trials,), default=None
            Trials with the same label share an embedding; None: each has its own.

        Returns
        -------
        array of shape (n_trials, embedding_dim)
        """
        return self.embedding_posterior(X, conditions=conditions)[0]

    def embedding_posterior(
        self, X: ArrayLike, *, conditions: ArrayLike | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gaussian approximation of the posterior of each trial's embedding.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or list of \
                arrays of shape (n_timepoints_i, n_neurons)
        conditions : array-like of shape (n_trials,), default=None
            Trials with the same label share an embedding; None: each has its own.

        Returns
        -------
        mean : array of shape (n_trials, embedding_dim)
            ``transform(X)``.
        cov : array of shape (n_trials, embedding_dim, embedding_dim)
            Inverse Hessian of the same objective at the mean. With "state", the noise
            is corrected for serial correlation; otherwise the states are integrated
            out.
        """
        trials = self._trials(X, conditions)
        with few_threads(trials.n_neurons):
            mean, cov = _predictions.embeddings(self._model, trials)
        return mean.astype(trials.dtype), cov.astype(trials.dtype)

    # ------------------------------------------------------------ networks and activity

    def dynamics(self, Z: ArrayLike) -> LowRankRNN:
        """The networks of embeddings, one each, of one unit per recorded neuron.

        Their activity is in the units of the data: with "state" it is the recorded
        activity, with "noisy" the recorded activity without its noise, with "poisson"
        the logarithm of the expected count per time point.

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
        self, X: ArrayLike, *, conditions: ArrayLike | None = None
    ) -> np.ndarray:
        """State of the network where each trial begins, in the units of `dynamics`.

        With "state" this is the first time point at which all neurons were recorded;
        otherwise it is inferred from the whole trial.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or list of \
                arrays of shape (n_timepoints_i, n_neurons)
        conditions : array-like of shape (n_trials,), default=None
            Trials with the same label share an embedding; None: each has its own.

        Returns
        -------
        array of shape (n_trials, n_neurons)
        """
        trials = self._trials(X, conditions)
        with few_threads(trials.n_neurons):
            states = _predictions.initial_states(self._model, trials)
        return states.astype(trials.dtype, copy=False)

    def reconstruct(
        self, X: ArrayLike, *, conditions: ArrayLike | None = None
    ) -> np.ndarray | list[np.ndarray]:
        """Free run of each trial's network from the trial's initial state.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or list of \
                arrays of shape (n_timepoints_i, n_neurons)
            Trials whose embeddings are inferred.
        conditions : array-like of shape (n_trials,), default=None
            Trials with the same label share an embedding; None: each has its own.

        Returns
        -------
        array of the shape of X, or list of arrays, or DataArray where X is one
            Expected recordings, also where X has gaps; NaN after a trial's end. With
            "state" the first time point recorded from all neurons is copied from X, and
            what comes before is NaN.
        """
        return self._like_trials(_predictions.free_runs, X, conditions)

    def smooth(
        self, X: ArrayLike, *, conditions: ArrayLike | None = None
    ) -> np.ndarray | list[np.ndarray]:
        """Expected recordings at the states inferred from the whole trial.

        Unlike `reconstruct`, the states follow the recording: noise is removed, and
        gaps and neurons that were not recorded are filled in. With "state" recordings
        are returned as they are, and gaps are filled by the free run.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or list of \
                arrays of shape (n_timepoints_i, n_neurons)
        conditions : array-like of shape (n_trials,), default=None
            Trials with the same label share an embedding; None: each has its own.

        Returns
        -------
        array of the shape of X, or list of arrays, or DataArray where X is one
            NaN after a trial's end.
        """
        return self._like_trials(_predictions.smoothed, X, conditions)

    def forecast(
        self,
        X: ArrayLike,
        n_steps: int,
        *,
        return_std: bool = False,
        conditions: ArrayLike | None = None,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Continue trials: infer embeddings and states from what is given, then run on.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or list of \
                arrays of shape (n_timepoints_i, n_neurons)
            The beginnings of trials, at least 2 time points. A trial ends with its last
            value: the forecast begins after it, NaN at the end or not.
        n_steps : int
            Time points to add.
        return_std : bool, default=False
            Return predictive standard deviations, too.
        conditions : array-like of shape (n_trials,), default=None
            Trials with the same label share an embedding; None: each has its own.

        Returns
        -------
        mean : array of shape (n_trials, n_steps, n_neurons)
            Expected recordings at the new time points; 2-D where X is. Of a DataArray
            one, whose times go on from those of X.
        std : array of the same shape
            Only with `return_std`: standard deviations of recordings there, from the
            posterior of state and embedding, the noise of each step and, unless
            "state", that of the recording. In data units.
        """
        check_is_fitted(self)
        check_integer("n_steps", n_steps, 1)
        trials = self._trials(X, conditions)
        with few_threads(trials.n_neurons):
            ahead = _predictions.forecast(
                self._model, trials, n_steps, with_std=return_std
            )
        parts = [part for part in ahead if part is not None]
        parts = [part.astype(trials.dtype, copy=False) for part in parts]
        if is_2d(X):
            parts = [part[..., 0] for part in parts]
        parts = [ahead_of(X, part) for part in parts]
        return (parts[0], parts[1]) if return_std else parts[0]

    def score(
        self, X: ArrayLike, y: Any = None, *, conditions: ArrayLike | None = None
    ) -> float:
        """R^2 of the free runs, embeddings inferred from the trials given.

        `1 - SSE / SST`, pooled over trials, time and neurons, SST about each neuron's
        mean over these trials. Bins that are missing, or copied from the data (with
        "state" the first of each trial) do not count. What is scored are recordings:
        with noise no model reaches 1.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or list of \
                arrays of shape (n_timepoints_i, n_neurons)
        y : None
            Ignored.
        conditions : array-like of shape (n_trials,), default=None
            Trials with the same label share an embedding; None: each has its own.

        Returns
        -------
        float
        """
        trials = self._trials(X, conditions)
        n_copied = 1 if self.observation_ == "state" else 0
        with few_threads(trials.n_neurons):
            return _predictions.score(self._model, trials, n_copied)

    # ------------------------------------------------------------------------- helpers

    def _pack_fitted(self, arrays: _files.Arrays) -> Any:
        return _files.pack_model(self._model, arrays)

    def _unpack_fitted(self, tree: Any, arrays: _files.Arrays) -> None:
        self._model = _files.unpack_model(tree, arrays)

    def _trials(self, X: ArrayLike, conditions: ArrayLike | None) -> Trials:
        """Trials as the fitted model takes them."""
        check_is_fitted(self)
        trials, summary = check_trials(self, X, reset=False, conditions=conditions)
        if self.observation_ in LIKELIHOODS:
            LIKELIHOODS[self.observation_].check(summary)
        return self._model.prepare(trials, summary.first_whole)

    def _like_trials(self, pieces: Any, X: Any, conditions: Any) -> Any:
        """What is predicted of trials, in the form that they have."""
        trials = self._trials(X, conditions)
        if isinstance(trials.source, list):
            out: Any = [np.full(x.shape, np.nan, trials.dtype) for x in trials.source]
        else:
            out = np.full(trials.source.shape, np.nan, trials.dtype)
        with few_threads(trials.n_neurons):
            _predictions.write(pieces(self._model, trials), trials, out)
        return out[..., 0] if is_2d(X) else like(X, out)


def check_embeddings(Z: ArrayLike, n_axes: int) -> np.ndarray:
    """Embeddings as a finite array of shape (n_networks, n_axes)."""
    try:
        embeddings = np.asarray(Z, dtype=np.float64)
    except ValueError as error:
        raise ValueError(
            f"Z must have shape (n_networks, {n_axes}), as transform returns it: "
            f"{error}"
        ) from None
    if embeddings.ndim != 2 or embeddings.shape[1] != n_axes:
        raise ValueError(
            f"Z must have shape (n_networks, {n_axes}), as transform returns it; "
            f"got {embeddings.shape}"
        )
    if not np.isfinite(embeddings).all():
        raise ValueError("Z contains NaN or infinity")
    return embeddings
