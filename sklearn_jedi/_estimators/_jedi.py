"""JEDIEstimator: parameters, fit, transform, score."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_jedi._data._gate import Summary, check_trials
from sklearn_jedi._data._trials import Trials
from sklearn_jedi._data._units import Scaling, choose_scaling
from sklearn_jedi._data._white_noise import choose_observation, white_share
from sklearn_jedi._engine._likelihoods import LIKELIHOODS
from sklearn_jedi._engine._settings import Settings, choose_settings, default_settings
from sklearn_jedi._estimators._jedi_fitted import FittedMethods
from sklearn_jedi._estimators._parameters import check_parameters
from sklearn_jedi._models import _files, _predictions
from sklearn_jedi._models._fit import Recording, fit_inferred
from sklearn_jedi._models._inferred import InferredModel, with_centres
from sklearn_jedi._models._model import Model
from sklearn_jedi._models._observed import (
    ObservedModel,
    fit_closed_form,
    state_trials,
    with_step_noise,
    with_training,
)
from sklearn_jedi._networks._equation import Equation
from sklearn_jedi._utils._threads import few_threads

__all__ = ["JEDIEstimator"]

_FEWEST_POINTS_TO_TRAIN = 5
# Least share of the variance that counts as activity rather than noise.
_LEAST_SIGNAL = 0.05


class JEDIEstimator(FittedMethods):
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
        `window`. For noisy recordings it is 1, unit scale being that of the activity
        without the noise.
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
    neuron_names_in_ : array of shape (n_neurons,)
        Columns of the data frames, where trials were a list of such; later trials need
        the same in the same order.

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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

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
        self._warn_of_interrupt()
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
            if summary.counts and summary.mean.any():
                warnings.warn(
                    "X looks like spike counts (whole numbers, none negative): pass "
                    'np.sqrt(X), whose noise is more even, or observation="poisson"',
                    UserWarning,
                    stacklevel=3,
                )
        else:
            self.observation_ = self.observation
        self.net_ = None
        self.history_ = []
        self.best_epoch_ = 0
        self.interrupted_ = False
        error: Exception | None = None
        model: Model
        if self.observation_ == "state":
            model, error = self._fit_state(trials, summary, scaling)
        else:
            model = self._fit_noisy(trials, summary, scaling)
        self.offset_, self.scale_ = model.scaling.offset, model.scaling.scale
        self.gain_, self.window_, self.n_directions_, self.ridge_ = model.settings[:4]
        self.n_iter_ = model.bilinear.n_iter
        self._warn_of_empty_axes(model.bilinear.A, trials.n_groups, "trials")
        prepared = model.prepare(trials, summary.first_whole)
        mean = _predictions.embeddings(model, prepared)[0]
        if isinstance(model, ObservedModel):
            model = with_step_noise(model, prepared, mean)
        if isinstance(model, InferredModel):
            refined = with_centres(model, mean, model.likelihood.n_centres)
            if refined is not model:
                model, mean = refined, _predictions.embeddings(refined, prepared)[0]
        self._model = _files.canonical(model)
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
            Equation.of(self.tau, self.dt, self.nonlinearity),
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
        self, model: ObservedModel, trials: Trials
    ) -> tuple[Model, Exception | None]:
        from sklearn_jedi._training._free_runs import train

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
        observation = LIKELIHOODS[self.observation_]
        observation.check(summary)
        if not scaling.is_identity:
            # the activity, not the noise on it, is to have unit scale
            mean = scaling.to_network(summary.mean)
            share = white_share(trials.in_units(scaling), mean)
            scale = scaling.scale * np.sqrt(np.clip(1 - share, _LEAST_SIGNAL, 1.0))
            scaling = scaling._replace(scale=scale)
        settings = default_settings(
            self.rank_,
            trials.n_neurons,
            gain=self.gain,
            window=self.window,
            ridge=self.ridge,
        )
        self._report(trials, scaling, settings)
        fit = fit_inferred(
            [Recording(trials, scaling, summary.mean)],
            observation,
            settings,
            self.rank_,
            self.embedding_dim,
            self.nonlinearity,
            self.tau,
            self.dt,
            report=self._report_round,
        )
        self.interrupted_ = fit.interrupted
        model: InferredModel = fit.models[0]
        return model

    def fit_transform(
        self, X: ArrayLike, y: Any = None, *, conditions: ArrayLike | None = None
    ) -> np.ndarray:
        """Fit, and return the embeddings of the same trials.

        Parameters
        ----------
        X, y, conditions
            As in `fit`.

        Returns
        -------
        array of shape (n_trials, embedding_dim)
            `embeddings_`.
        """
        params = {} if conditions is None else {"conditions": conditions}
        return self.fit(X, y, **params).embeddings_

    # ------------------------------------------------------------------------- helpers

    def _report(self, trials: Trials, scaling: Scaling, settings: Settings) -> None:
        if self.verbose:
            left = scaling.is_identity
            print(
                f"JEDIEstimator: {len(trials)} trials x {trials.n_timepoints} time "
                f"points x {trials.n_neurons} neurons, "
                f"{'left as they are' if left else 'centred, soft-normalised'}; "
                f"observation={self.observation_!r}, {settings.describe()}"
            )
