"""What both estimators do with trials, once fitted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, overload

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._forms import (
    Activity,
    TrialsLike,
    in_form_of,
    labels_given,
    trial_ids,
)
from sklearn_jedi._data._time_step import choose_dt, choose_tau, warn_of_other_dt
from sklearn_jedi._data._trials import Trials
from sklearn_jedi._estimators._parts import Part, Pieces, in_form_ahead, written
from sklearn_jedi._estimators._saved import SavedEstimator
from sklearn_jedi._models import _predictions
from sklearn_jedi._models._model import Model
from sklearn_jedi._utils._checks import check_integer
from sklearn_jedi._utils._optional import import_optional
from sklearn_jedi._utils._progress import show_progress
from sklearn_jedi._utils._streaming import R2Sums, pooled_r2
from sklearn_jedi._utils._threads import on_cores
from sklearn_jedi._utils._warnings import warn_user


class TrialTransformer(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, SavedEstimator
):
    """An estimator that embeds trials, and knows the dynamics of embeddings."""

    _LEARNED: ClassVar[tuple[str, ...]] = (
        "embeddings_",
        "observation_",
        "dt_",
        "tau_",
        "gain_",
        "n_features_in_",
        "feature_names_in_",
        "n_timepoints_in_",
        "neuron_names_in_",
        "n_iter_",
        "interrupted_",
        "best_epoch_",
    )
    embedding_dim: int
    embedding: str
    dt: float | str
    tau: float | str
    max_epochs: int
    n_jobs: int | None
    verbose: int
    embeddings_: np.ndarray
    observation_: str
    dt_: float
    tau_: float
    n_iter_: int
    interrupted_: bool

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.embedding_dim

    @abstractmethod
    def _parts(
        self,
        X: TrialsLike,
        conditions: ArrayLike | None,
        sessions: ArrayLike | None,
    ) -> list[Part]:
        """Trials by the neurons that they are of, each with the model of these."""

    @abstractmethod
    def fit(self, X: TrialsLike, y: object = None) -> TrialTransformer:
        """Fit to trials."""

    # ------------------------------------------------------------ embeddings of trials

    def fit_transform(
        self,
        X: TrialsLike,
        y: object = None,
        *,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> np.ndarray:
        """Fit, and return the embeddings of the same trials.

        Parameters
        ----------
        X, y, conditions, sessions
            As in `fit`.

        Returns
        -------
        array of shape (n_trials, embedding_dim)
            `embeddings_`.
        """
        labels = labels_given(conditions=conditions, sessions=sessions)
        return self._with_ids(self.fit(X, y, **labels).embeddings_, X)

    def transform(
        self,
        X: TrialsLike,
        *,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> np.ndarray:
        """Infer the embedding of each trial: the mode of its posterior.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays \
                of shape (n_timepoints_i, n_neurons), or TrialSet
            Trials of the neurons of `fit`, of any length of at least 2 time points; NaN
            where nothing was recorded.
        conditions, sessions : array-like of shape (n_trials,), default=None
            Labels of these trials, as in `fit`. Trials that share an embedding (see the
            parameter `embedding`) get the one that suits them all best; without the
            labels that tell which do, each trial gets its own.

        Returns
        -------
        array of shape (n_trials, embedding_dim)
            One row per trial, the same for those that share an embedding. With
            ``set_output(transform="pandas")`` a data frame, whose index has the trials'
            ids where X (a TrialSet, a DataArray, a column of a table) has them.
        """
        mode, _ = self.embedding_posterior(X, conditions=conditions, sessions=sessions)
        return self._with_ids(mode, X)

    def embedding_posterior(
        self,
        X: TrialsLike,
        *,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings and how certain they are: a Gaussian about the posterior's mode.

        Parameters
        ----------
        X, conditions, sessions
            As in `transform`.

        Returns
        -------
        mode : array of shape (n_trials, embedding_dim)
            ``transform(X)``.
        cov : array of shape (n_trials, embedding_dim, embedding_dim)
            Covariance of the Gaussian: the inverse of Gauss and Newton's approximation
            to the Hessian of the negative log posterior at its mode, from first
            derivatives of the activity with respect to the embedding alone (exact where
            the activity is linear in the embedding). The states of the network are
            integrated out. With ``observation="state"`` they are known, and the noise
            is corrected for its correlation over time and by `embedding_inflation_`,
            which is estimated from the training trials. The fitted weights are taken as
            known.
        """
        parts = self._read(X, conditions, sessions)
        shape = (sum(len(part.rows) for part in parts), self.embedding_dim)
        mode, cov = np.empty(shape), np.empty((*shape, self.embedding_dim))
        for part in parts:
            with on_cores(self.n_jobs, part.trials.n_neurons):
                found = _predictions.embeddings(part.model, part.trials)
            mode[part.rows], cov[part.rows] = found
        dtype = parts[0].given.dtype
        return mode.astype(dtype), cov.astype(dtype)

    # -------------------------------------------------------------- activity of trials

    def reconstruct(
        self,
        X: TrialsLike,
        *,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> Activity:
        """Free runs: each trial's dynamics, from the state in which the trial begins.

        After that state the run sees nothing of the recording.

        Parameters
        ----------
        X, conditions, sessions
            As in `transform`.

        Returns
        -------
        array of the shape of X, or list of arrays, or DataArray where X is one
            Expected recordings (of counts: expected counts per time point), also where
            X has gaps; NaN after the end of a trial. With ``observation="state"`` the
            first time point at which all neurons were recorded is copied from X, and
            what comes before it is NaN.
        """
        return self._like_trials(_predictions.free_runs, X, conditions, sessions)

    def smooth(
        self,
        X: TrialsLike,
        *,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> Activity:
        """Expected recordings at the states that are inferred from the whole trial.

        Unlike in `reconstruct`, the states follow the recording: noise is removed, and
        gaps and neurons that were not recorded are filled in. With
        ``observation="state"`` recordings are returned as they are, and gaps are filled
        by the free run.

        Parameters
        ----------
        X, conditions, sessions
            As in `transform`.

        Returns
        -------
        array of the shape of X, or list of arrays, or DataArray where X is one
            Of counts: expected counts per time point, over what the logarithm of the
            rate may be. NaN after the end of a trial.
        """
        return self._like_trials(_predictions.smoothed, X, conditions, sessions)

    @overload
    def forecast(
        self,
        X: TrialsLike,
        n_steps: int,
        *,
        return_std: Literal[False] = ...,
        conditions: ArrayLike | None = ...,
        sessions: ArrayLike | None = ...,
    ) -> Activity: ...

    @overload
    def forecast(
        self,
        X: TrialsLike,
        n_steps: int,
        *,
        return_std: Literal[True],
        conditions: ArrayLike | None = ...,
        sessions: ArrayLike | None = ...,
    ) -> tuple[Activity, Activity]: ...

    def forecast(
        self,
        X: TrialsLike,
        n_steps: int,
        *,
        return_std: bool = False,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> Activity | tuple[Activity, Activity]:
        """Continue trials: infer embeddings and states from what is given, then run on.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays \
                of shape (n_timepoints_i, n_neurons), or TrialSet
            The beginnings of trials, at least 2 time points. A trial ends with its last
            value: the forecast begins after it, NaN at the end or not.
        n_steps : int
            Time points to add.
        return_std : bool, default=False
            Return predictive standard deviations, too.
        conditions, sessions : array-like of shape (n_trials,), default=None
            As in `transform`.

        Returns
        -------
        expected : array of shape (n_trials, n_steps, n_neurons)
            Expected recordings at the new time points; 2-D where X is. With
            ``observation="state"`` the run from the posterior's mode, otherwise the
            mean over 128 runs with noise, from draws of the posterior. Of a DataArray
            one, whose times go on from those of X.
            Where sessions have different neurons and X is a list, a list of arrays
            (n_steps, n_neurons of the session).
        std : array of the same shape, or list
            Only with `return_std`: standard deviations of recordings there, in data
            units. From the posterior of state and embedding, the noise of each step and
            that of the recording; with ``observation="state"`` also from what the
            dynamics miss, all as large as forecasts of the training trials from their
            own beginnings show. What is further ahead than three quarters of the
            longest training trial is extrapolated.
        """
        check_is_fitted(self)
        check_integer("n_steps", n_steps, 1)
        parts = self._read(X, conditions, sessions)
        expected, std = [], []
        for part in parts:
            with on_cores(self.n_jobs, part.trials.n_neurons):
                ahead = _predictions.forecast(
                    part.model, part.trials, n_steps, with_std=return_std
                )
            expected.append(ahead.mean.astype(part.given.dtype, copy=False))
            if ahead.std is not None:
                std.append(ahead.std.astype(part.given.dtype, copy=False))
        if not return_std:
            return in_form_ahead(X, parts, expected)
        return in_form_ahead(X, parts, expected), in_form_ahead(X, parts, std)

    def score(
        self,
        X: TrialsLike,
        y: object = None,
        *,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> float:
        """R^2 of the free runs of `reconstruct`, embeddings inferred from these trials.

        `1 - SSE / SST`, summed over trials, time points and neurons (of all sessions),
        SST about each neuron's mean over these trials. Bins that are missing, or copied
        from X (with ``observation="state"`` the first of each trial), do not count.
        What is scored are recordings: with noise, no model reaches 1. How well trials
        are *forecast* tells `sklearn_jedi.metrics.ForecastScorer`, of counts also in
        bits per spike.

        Parameters
        ----------
        X : array-like or list of arrays
            As in `transform`.
        y : None
            Ignored.
        conditions, sessions : array-like of shape (n_trials,), default=None
            As in `transform`.

        Returns
        -------
        float
        """
        parts = self._read(X, conditions, sessions)
        n_copied = 1 if self.observation_ == "state" else 0
        sums = []
        for part in parts:
            sums.append(R2Sums(part.trials.n_neurons))
            with on_cores(self.n_jobs, part.trials.n_neurons):
                for block, runs in _predictions.free_runs(part.model, part.trials):
                    where = block.recorded
                    true = part.trials.in_data_units(block.values)
                    sums[-1].add(
                        true[:, n_copied:],
                        runs[:, n_copied:],
                        None if where is None else where[:, n_copied:],
                    )
        return pooled_r2(sums)

    # ------------------------------------------------------------------------- helpers

    def _read(
        self,
        X: TrialsLike,
        conditions: ArrayLike | None,
        sessions: ArrayLike | None,
    ) -> list[Part]:
        """The gate of every method: parts whose results have one type."""
        check_is_fitted(self)
        parts = self._parts(X, conditions, sessions)
        warn_of_other_dt(self.dt_, X, type(self).__name__)
        dtype = np.result_type(*{part.given.dtype for part in parts})
        return [part._replace(given=part.given.returned_as(dtype)) for part in parts]

    def _like_trials(
        self,
        pieces: Callable[[Model, Trials], Pieces],
        X: TrialsLike,
        conditions: ArrayLike | None,
        sessions: ArrayLike | None,
    ) -> Activity:
        """What is predicted of trials, in the form that they have."""
        parts = self._read(X, conditions, sessions)
        return in_form_of(X, written(pieces, parts, n_jobs=self.n_jobs))

    def _choose_times(self, X: TrialsLike) -> None:
        """Set `dt_` and `tau_`, in seconds."""
        self.dt_ = choose_dt(self.dt, X)
        if self.tau != "auto" and self.dt_ > float(self.tau):
            raise ValueError(
                f"dt must not exceed tau; got dt={self.dt_:g} s and tau={self.tau} s. "
                "Both are in seconds: 10 ms is 0.01"
            )
        self.tau_ = choose_tau(self.tau, self.dt_)

    def _with_ids(self, embeddings: np.ndarray, X: TrialsLike) -> np.ndarray:
        """Embeddings as they are; where data frames are asked for, with trials' ids."""
        ids = trial_ids(X)
        if ids is None or _get_output_config("transform", self)["dense"] != "pandas":
            return embeddings
        pandas = import_optional("pandas", 'transform="pandas"', "io")
        frame: np.ndarray = pandas.DataFrame(embeddings, index=ids)
        return frame

    def _report_round(self, done: int, total: int, text: str) -> None:
        if self.verbose:
            show_progress("EM round", done, total, text)

    def _warn_of_empty_axes(self, A: np.ndarray, n_groups: int, shared: bool) -> None:
        """Say how many axes of an affine map the trials determine, if not all."""
        n_found = int(A[1:].any((1, 2)).sum())
        what = f"{self.embedding}s" if shared else "trials"
        if n_found < self.embedding_dim:
            warn_user(
                f"these {what} determine only {n_found} of your {self.embedding_dim} "
                "embedding axes, and embeddings are zero along the others: lower "
                f"embedding_dim, or fit more {what} than {n_groups}"
            )

    def _warn_of_interrupt(self) -> None:
        if self.interrupted_:
            warn_user(
                "the fit was interrupted: what had been learned until then is kept "
                f"(EM round {self.n_iter_}, epoch {len(self.history_)} of "
                f"{self.max_epochs})"
            )
