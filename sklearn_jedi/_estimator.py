"""JEDIEstimator: parameters, fit, transform, score."""

from __future__ import annotations

import numbers
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi import _persistence, _predictions
from sklearn_jedi._low_rank_rnn import LowRankRNN
from sklearn_jedi._model import (
    Model,
    StateModel,
    fit_closed_form,
    state_trials,
    with_step_noise,
    with_training,
)
from sklearn_jedi._noisy_model import fit_noisy
from sklearn_jedi._observation import choose_observation
from sklearn_jedi._parameters import check_integer, check_parameters
from sklearn_jedi._progress import show_progress
from sklearn_jedi._scaling import Scaling, choose_scaling
from sklearn_jedi._selection import Settings, choose_settings, default_settings
from sklearn_jedi._threads import few_threads
from sklearn_jedi._trials import Trials
from sklearn_jedi._validation import Summary, check_counts, check_trials

__all__ = ["JEDIEstimator"]

_FEWEST_POINTS_TO_TRAIN = 5
# What a file keeps besides the model; `net_` and `history_` are apart.
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
    "n_iter_",
    "interrupted_",
    "best_epoch_",
)


class JEDIEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Jointly Embedded Inference of Neural Dynamics (JEDI).

    Each trial `i` of a recording gets an embedding `c_i`; a hypernetwork turns the
    embedding into the recurrent weights of a rate network of low rank whose free run,
    from the first recorded state on, reproduces the trial [1]_:

    .. math:: \tau \dot r = -r + U(c_i) V(c_i)^T \phi(r) + b(c_i).

    The fit starts in closed form: given `r`, one step is linear in the weights, and an
    EM algorithm for weights affine in the embedding takes a fraction of a second. A
    perceptron is then added to the affine map and trained on free runs, on windows
    first and whole trials after, and kept only where it lowers the error of bins that
    were held out. Embeddings have a standard normal prior; those of new trials are
    inferred, with the hypernetwork frozen.

    Parameters
    ----------
    rank : int or None, default=5
        Rank of the recurrent weights. None means full rank, whose cost grows with the
        cube of the number of neurons.
    embedding_dim : int, default=4
        Number of embedding axes. As many columns always come out; axes that the data
        cannot support stay at the prior, with a warning.
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Widths of the perceptron in the hypernetwork; ``()`` keeps it affine.
    nonlinearity : {"tanh", "relu", "softplus", "linear"}, default="tanh"
        Transfer function `phi`.
    dt : float, default=0.01
        Duration of a time point in seconds; at most `tau`.
    tau : float, default=0.1
        Time constant of the neurons in seconds.
    observation : {"auto", "state", "noisy", "poisson"}, default="auto"
        How recordings relate to the network. "state": they are the state of its units,
        as published. "noisy": state plus Gaussian noise of each neuron; states are
        inferred together with the embedding (raw single trials; square roots of spike
        counts). "poisson": spike counts, whose expectation is the exponential of the
        state. "auto" is "noisy" where white noise makes up more than a tenth of the
        variance, or where some neurons are missing in bins that others have;
        otherwise "state" (see `observation_`).
    gain : float or "auto", default="auto"
        Argument scale of `phi`: `phi(gain r) / gain` in network units; small values
        make the network linear. "auto" is 1 for data of unit scale (pooled standard
        deviation 0.3 to 3), which are left as they are; other data are centred and
        soft-normalised to unit scale (see `scale_`) and the gain is chosen like
        `window`.
    window : int or "auto", default="auto"
        Time points over which the network's equation is summed before the closed-form
        regression: more suits noisier recordings. "auto" is chosen on held-out windows
        of the training trials. For noisy recordings the standard deviation, in time
        points, of the kernel that EM starts from; "auto" predicts each bin best from
        the others around it.
    ridge : float or "auto", default="auto"
        Prior precision of the weights in the closed-form fit, in units of the mean
        square of a feature. "auto" is chosen like `window`; for noisy
        recordings each embedding axis has its own, by its evidence.
    max_epochs : int, default=25
        Epochs of training; 0 stops after EM. Training is skipped where trials have
        fewer than 5 time points, and for "noisy" and "poisson".
    batch_size : int, default=32
        Trials (or as many bins in windows) per gradient step, and trials held in
        memory at once.
    device : str, default="cpu"
        Where torch trains: "cpu", "cuda" or "cuda:N". The fitted model is on the CPU.
    callbacks : list of skorch callbacks or None, default=None
        Called while training, such as skorch's Checkpoint and EarlyStopping; they are
        copied, not modified.
    random_state : int, RandomState instance or None, default=None
        Draws the perceptron and the training windows. EM does not depend on it.
    verbose : int, default=0
        1 prints what was chosen, and the progress of EM and of training.

    Attributes
    ----------
    embeddings_ : array of shape (n_trials, embedding_dim)
        ``transform`` of the training trials.
    rank_ : int
        Rank of the weights, at most the number of neurons.
    gain_, window_, n_directions_, ridge_ : float, int, int, float
        What was used; `n_directions_` is the number of feature directions.
    offset_, scale_ : arrays of shape (n_neurons,)
        Network units are `(x - offset_) / scale_`; 0 and 1 where the data were left as
        they are. In data units.
    observation_ : str
        "state", "noisy" or "poisson": the one used.
    noise_variance_ : array of shape (n_neurons,)
        In squared data units. "state": of one-step prediction errors on the training
        trials. "noisy": of the observation noise. "poisson": of the counts, which is
        their mean.
    net_ : skorch.NeuralNet or None
        The trained net in its best state; None where nothing was trained.
    history_ : list
        skorch's history of training; empty where nothing was trained.
    n_iter_ : int
        EM rounds.
    interrupted_ : bool
        Whether Ctrl-C ended the fit early; what had been learned is kept.
    best_epoch_ : int
        The epoch whose network was kept; 0 is EM's.
    n_features_in_ : int
        Time points of X, or of the longest trial of a list.
    n_timepoints_in_ : int or array of shape (n_trials,)
        Time points a trial; where trials differ, of each.
    n_neurons_in_ : int
        Number of neurons.

    References
    ----------
    .. [1] Jamkhandi, Korojy, Codol, Lajoie and Perich, "JEDI: Jointly Embedded
       Inference of Neural Dynamics" (2026), arXiv:2603.10489.

    Examples
    --------
    >>> from sklearn_jedi import JEDIEstimator
    >>> from sklearn_jedi.datasets import make_rotation_family
    >>> X, y, _ = make_rotation_family(8, n_neurons=30, random_state=0)
    >>> jedi = JEDIEstimator(rank=2, embedding_dim=2, max_epochs=0).fit(X[::2])
    >>> jedi.transform(X[1::2]).shape
    (16, 2)
    >>> jedi.score(X[1::2]) > 0.5
    True
    """

    def __init__(
        self,
        rank: int | None = 5,
        embedding_dim: int = 4,
        *,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        nonlinearity: str = "tanh",
        dt: float = 0.01,
        tau: float = 0.1,
        observation: str = "auto",
        gain: float | str = "auto",
        window: int | str = "auto",
        ridge: float | str = "auto",
        max_epochs: int = 25,
        batch_size: int = 32,
        device: str = "cpu",
        callbacks: list | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.rank = rank
        self.embedding_dim = embedding_dim
        self.hidden_layer_sizes = hidden_layer_sizes
        self.nonlinearity = nonlinearity
        self.dt = dt
        self.tau = tau
        self.observation = observation
        self.gain = gain
        self.window = window
        self.ridge = ridge
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    @property
    def _n_features_out(self) -> int:
        return self.embedding_dim

    # --------------------------------------------------------------------------- fit

    def fit(
        self, X: ArrayLike, y: Any = None, *, conditions: ArrayLike | None = None
    ) -> JEDIEstimator:
        """Fit the model to trials.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or \
                (n_trials, n_timepoints), or list of arrays (n_timepoints_i, n_neurons)
            Firing rates, counts or any activity; at least 2 time points a trial. NaN
            where nothing was recorded: a trial ends with its last value. A 2-D array is
            read as one neuron, with a warning. Arrays on disk (numpy.memmap, zarr,
            h5py) are read in pieces of `batch_size` trials.
        y : None
            Ignored.
        conditions : array-like of shape (n_trials,), default=None
            Trials with the same label share an embedding, and are held in memory
            together; None: each trial has its own.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If X or a parameter cannot be used, before anything is fitted. Also if the
            training loss stops being finite: the last finite model is then kept.
        """
        if hasattr(self, "_model"):
            del self._model  # a refit that fails must not leave half an old model
        trials, summary = check_trials(self, X, reset=True, conditions=conditions)
        check_parameters(self, trials.n_timepoints)
        with few_threads(trials.n_neurons):
            error = self._fit(trials, summary)
        if self.interrupted_:
            warnings.warn(
                "the fit was interrupted: what had been learned until then is kept "
                f"(EM round {self.n_iter_}, epoch {len(self.history_)} of "
                f"{self.max_epochs})",
                UserWarning,
                stacklevel=2,
            )
        if error is not None:
            raise error
        return self

    def _fit(self, trials: Trials, summary: Summary) -> Exception | None:
        n_neurons = trials.n_neurons
        self.rank_ = n_neurons if self.rank is None else min(self.rank, n_neurons)
        scaling = choose_scaling(summary.mean, summary.sd)
        if self.observation == "auto":
            self.observation_ = choose_observation(
                trials.in_units(scaling),
                scaling.to_network(summary.mean),
                summary.partial_bins,
            )
        else:
            self.observation_ = self.observation
        self.net_: Any = None
        self.history_: list[dict[str, Any]] = []
        self.best_epoch_ = 0
        self.interrupted_ = False
        error, model = None, None
        if self.observation_ == "state":
            model, error = self._fit_state(trials, summary, scaling)
        else:
            model = self._fit_noisy(trials, summary, scaling)
        self.offset_, self.scale_ = model.scaling.offset, model.scaling.scale
        self.gain_, self.window_, self.n_directions_, self.ridge_ = model.settings[:4]
        self.n_iter_ = model.bilinear.n_iter
        self._warn_of_empty_axes(model.bilinear.A, trials.n_groups)
        prepared = model.prepare(trials, summary.first_whole)
        mean = _predictions.embeddings(model, prepared)[0]
        if isinstance(model, StateModel):
            model = with_step_noise(model, prepared, mean)
        self._model = _persistence.canonical(model)
        self.embeddings_ = mean.astype(trials.dtype, copy=False)
        self.noise_variance_ = model.noise_variance()
        return error

    def _fit_state(
        self, trials: Trials, summary: Summary, scaling: Scaling
    ) -> tuple[Model, Exception | None]:
        prepared = state_trials(trials, scaling, summary.first_whole)
        settings, basis = choose_settings(
            prepared,
            self.rank_,
            self.embedding_dim,
            self.nonlinearity,
            self.dt / self.tau,
            gain=1.0 if self.gain == "auto" and scaling.is_identity else self.gain,
            window=self.window,
            ridge=self.ridge,
            full_rank=self.rank is None,
        )
        self._report(trials, scaling, settings)
        model = fit_closed_form(
            prepared,
            scaling,
            settings,
            basis,
            self.embedding_dim,
            self.nonlinearity,
            self.tau,
            self.dt,
        )
        if self.max_epochs == 0 or prepared.n_timepoints < _FEWEST_POINTS_TO_TRAIN:
            return model, None
        return self._train(model, prepared)

    def _train(
        self, model: StateModel, trials: Trials
    ) -> tuple[Model, Exception | None]:
        from sklearn_jedi._net import train

        embeddings = np.zeros((trials.n_groups, self.embedding_dim))
        embeddings[trials.groups] = _predictions.embeddings(model, trials)[0]
        training = train(
            trials,
            model.reduction,
            model.bilinear.A,
            embeddings,
            hidden_layer_sizes=tuple(self.hidden_layer_sizes),
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            device=self.device,
            callbacks=self.callbacks,
            seed=check_random_state(self.random_state).randint(2**31 - 1),
            verbose=self.verbose,
        )
        self.net_, self.history_ = training.net, training.net.history
        self.best_epoch_ = training.best_epoch
        self.interrupted_ = training.interrupted
        if training.best_epoch:
            model = with_training(model, training.net.module_, trials)
        return model, training.error

    def _fit_noisy(self, trials: Trials, summary: Summary, scaling: Scaling) -> Model:
        poisson = self.observation_ == "poisson"
        if poisson:
            check_counts(summary)
        settings = default_settings(
            self.rank_,
            trials.n_neurons,
            gain=self.gain,
            window=self.window,
            ridge=self.ridge,
        )
        self._report(trials, scaling, settings)
        model, self.interrupted_ = fit_noisy(
            trials,
            scaling,
            summary.mean,
            settings,
            self.rank_,
            self.embedding_dim,
            self.nonlinearity,
            self.tau,
            self.dt,
            poisson=poisson,
            ridge=self.ridge,
            report=self._report_round,
        )
        return model

    # ------------------------------------------------------------ embeddings of trials

    def fit_transform(
        self, X: ArrayLike, y: Any = None, *, conditions: ArrayLike | None = None
    ) -> np.ndarray:
        """Fit, and return the embeddings of the same trials; see `fit`, `transform`."""
        params = {} if conditions is None else {"conditions": conditions}
        return self.fit(X, y, **params).embeddings_

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
        embeddings = np.asarray(Z, dtype=np.float64)
        n_axes = self._model.bilinear.n_axes
        if embeddings.ndim != 2 or embeddings.shape[1] != n_axes:
            raise ValueError(
                f"Z must have shape (n_networks, {n_axes}), as transform returns it; "
                f"got {embeddings.shape}"
            )
        if not np.isfinite(embeddings).all():
            raise ValueError("Z contains NaN or infinity")
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
        array of the shape of X, or list of arrays
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
        array of the shape of X, or list of arrays
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
            The beginnings of trials, at least 2 time points.
        n_steps : int
            Time points to add.
        return_std : bool, default=False
            Return predictive standard deviations, too.
        conditions : array-like of shape (n_trials,), default=None
            Trials with the same label share an embedding; None: each has its own.

        Returns
        -------
        mean : array of shape (n_trials, n_steps, n_neurons)
            Expected recordings at the new time points; 2-D where X is.
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
        if _is_2d(X):
            parts = [part[..., 0] for part in parts]
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

    # --------------------------------------------------------------------------- files

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted estimator to a file that holds numbers and text only.

        Arrays are in the safetensors format, everything else is JSON in its header.
        `callbacks`, a `random_state` that is no integer, and `net_` are not kept.

        Parameters
        ----------
        path : str or path
            Where to write, such as "model.safetensors"; replaced where it exists.
        """
        check_is_fitted(self)
        params = {**self.get_params(), "callbacks": None}
        if not isinstance(self.random_state, numbers.Integral):
            params["random_state"] = None
        arrays: _persistence.Arrays = {}
        learned = {
            name: _persistence.pack(getattr(self, name), name, arrays)
            for name in _LEARNED
            if hasattr(self, name)
        }
        content = {
            "estimator": type(self).__name__,
            "params": {k: _persistence.pack(v, k, arrays) for k, v in params.items()},
            "learned": learned,
            "history": [
                {key: value for key, value in epoch.items() if key != "batches"}
                for epoch in self.history_
            ],
            "model": _persistence.pack_model(self._model, arrays),
        }
        _persistence.write(path, content, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> JEDIEstimator:
        """Read an estimator that `save` wrote; no code from the file is run.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        JEDIEstimator
            Fitted; `net_` is None.

        Raises
        ------
        ValueError
            If the file is damaged, not from `save`, or of a newer format.
        FileNotFoundError
            If there is none.
        """
        content, arrays = _persistence.read(path)
        try:
            if content["estimator"] != cls.__name__:
                raise ValueError(
                    f"{str(path)!r} holds a {content['estimator']}, not a "
                    f"{cls.__name__}"
                )
            params, learned = content["params"], content["learned"]
            params["hidden_layer_sizes"] = tuple(params["hidden_layer_sizes"])
            estimator = cls(**params)
            for name in _LEARNED:
                if name in learned:
                    value = _persistence.unpack(learned[name], name, arrays)
                    setattr(estimator, name, value)
            estimator._model = _persistence.unpack_model(content["model"], arrays)
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(
                f"{str(path)!r} is damaged: {type(error).__name__}: {error}"
            ) from error
        estimator.net_, estimator.history_ = None, content["history"]
        return estimator

    # ------------------------------------------------------------------------- helpers

    def _trials(self, X: ArrayLike, conditions: ArrayLike | None) -> Trials:
        """Trials as the fitted model takes them."""
        check_is_fitted(self)
        trials, summary = check_trials(self, X, reset=False, conditions=conditions)
        if self.observation_ == "poisson":
            check_counts(summary)
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
        return out[..., 0] if _is_2d(X) else out

    def _report(self, trials: Trials, scaling: Scaling, settings: Settings) -> None:
        if self.verbose:
            left = scaling.is_identity or self.observation_ == "poisson"
            print(
                f"JEDIEstimator: {len(trials)} trials x {trials.n_timepoints} time "
                f"points x {trials.n_neurons} neurons, "
                f"{'left as they are' if left else 'centred, soft-normalised'}; "
                f"observation={self.observation_!r}, {settings.describe()}"
            )

    def _report_round(self, done: int, total: int, text: str) -> None:
        if self.verbose:
            show_progress("EM round", done, total, text)

    def _warn_of_empty_axes(self, A: np.ndarray, n_groups: int) -> None:
        n_empty = int((~A[1:].any((1, 2))).sum())
        if n_empty:
            warnings.warn(
                f"{n_empty} of {self.embedding_dim} embedding axes cannot be told from "
                f"{n_groups} trials and stay at the prior (zero); lower embedding_dim, "
                "or fit more trials",
                UserWarning,
                stacklevel=4,
            )


def _is_2d(X: Any) -> bool:
    """Whether X was read as trials of one neuron."""
    if isinstance(X, (list, tuple)):
        return np.ndim(X[0]) == 1
    return len(np.shape(X)) == 2
