"""JEDIEstimator: its parameters, and how it is fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_jedi._data._forms import TrialsLike
from sklearn_jedi._data._gate import Summary, check_labels, check_trials
from sklearn_jedi._data._smoothed_before import warn_of_smoothing
from sklearn_jedi._data._spectra import fluctuations, pieces_of
from sklearn_jedi._data._trials import Trials
from sklearn_jedi._data._unit_copies import warn_of_copies
from sklearn_jedi._data._units import Scaling, choose_scaling, is_of_unit_scale
from sklearn_jedi._data._white_noise import choose_observation, white_share
from sklearn_jedi._engine._likelihoods import LIKELIHOODS
from sklearn_jedi._engine._settings import Settings, default_settings
from sklearn_jedi._estimators._jedi_fitted import FittedMethods
from sklearn_jedi._estimators._parameters import check_parameters, warn_of_unused
from sklearn_jedi._models import _files, _predictions
from sklearn_jedi._models._fit import Recording, fit_inferred
from sklearn_jedi._models._inferred import InferredModel, with_centres
from sklearn_jedi._models._model import Model
from sklearn_jedi._models._observed import (
    ObservedModel,
    fit_closed_form,
    state_trials,
    with_training,
    with_uncertainty,
)
from sklearn_jedi._models._units_of_states import choose_units
from sklearn_jedi._networks._equation import Equation
from sklearn_jedi._utils._threads import on_cores
from sklearn_jedi._utils._types import RandomState
from sklearn_jedi._utils._warnings import warn_user

__all__ = ["JEDIEstimator"]

_FEWEST_POINTS_TO_TRAIN = 5
# Least share of the variance that counts as activity rather than noise.
_LEAST_SIGNAL = 0.05


class JEDIEstimator(FittedMethods):
    r"""Jointly Embedded Inference of Neural Dynamics (JEDI).

    Finds, for each trial of a recording, a recurrent network whose units are the
    recorded neurons and whose activity is that of the trial. The networks of all trials
    have a common form, and differ by a few numbers: the embedding `c_i` of trial `i`,
    from which a hypernetwork makes the recurrent weights [1]_. They are rate networks
    of low rank:

    .. math:: \tau \dot r = -r + U V(c_i)^T \phi(r) + b(c_i).

    The embeddings of the training trials are found together with the weights; those of
    new trials are inferred with the weights as they are.

    The fit starts in closed form: where `r` is known, one time step is linear in the
    weights, and an EM algorithm for weights that are affine in the embedding takes a
    fraction of a second. Where recordings are noisy or counts, `r` is inferred, too. A
    perceptron can then be added to the affine map and trained on free runs, first of
    windows and then of whole trials; it is kept only where it lowers the error of time
    points that were held out. Embeddings have a standard normal prior.

    Parameters
    ----------
    rank : int or None, default=5
        Rank of the recurrent weights: in how many directions the neurons drive each
        other. None means full rank, whose cost grows with the cube of the number of
        neurons.
    embedding_dim : int, default=4
        Number of embedding axes: in how many ways networks may differ. As many columns
        always come out; embeddings are zero along axes that the trials do not
        determine, with a warning.
    embedding : {"trial", "condition", "session"}, default="trial"
        Who shares an embedding, and so a network: nobody ("trial"), trials with the
        same label in ``conditions=`` ("condition"), or with the same label in
        ``sessions=`` ("session", such as days on which the same neurons were
        recorded). `fit` needs these labels. Where other methods get none, each trial
        has its own embedding.
    observation : {"auto", "state", "gaussian", "poisson", "negative_binomial"}
        What recordings are. "state": the activity of the network itself, as in the
        publication (smoothed rates, calcium of many neurons, simulations). "gaussian":
        that activity plus noise, whose size is learned for each neuron (raw single
        trials; square roots of spike counts). "poisson": spike counts per time point,
        whose expectation is the exponential of the activity. "negative_binomial": such
        counts that vary more than Poisson's, by a factor learned for each neuron.
        "auto" (default) is "gaussian" where white noise makes up more than 1 % of the
        variance, or where some neurons are missing in bins that others have, and
        otherwise "state".
    dt : float or "auto", default="auto"
        Duration of a time point in seconds. "auto" takes it from X where X says it
        (TrialSet, DataArray, pynapple), and is 0.01 with a warning elsewhere.
    tau : float or "auto", default="auto"
        Time constant of the neurons in seconds, at least `dt`. "auto" is 0.1, or 5 time
        points where these are longer.
    nonlinearity : {"tanh", "relu", "softplus", "linear"}, default="tanh"
        Transfer function `phi`, from the state of a neuron to its rate.
    gain : float or "auto", default="auto"
        How strongly rates saturate; small values make the network nearly linear. The
        transfer function is `phi(gain r) / gain`, with `r` in network units (see
        `scale_`). "auto": with "state" 1 where data are left in their own unit, and
        otherwise chosen on held-out windows of the training trials; with "gaussian" and
        for counts 1.
    ridge : float or "auto", default="auto"
        How strongly weights are pulled to zero: the prior precision of the weights in
        units of the mean square of a feature. "auto" chooses it on held-out windows
        of the training trials; with "gaussian" and for counts each embedding axis has
        its own, by its evidence.
    window : int or "auto", default="auto"
        Only with "state". Time points over which the equation of the network is summed
        before the weights are found by regression: more suits noisier recordings.
        "auto" is chosen on held-out windows of the training trials.
    start_smoothing : int or "auto", default="auto"
        Only with "gaussian" and for counts. Standard deviation, in time points, of the
        Gaussian kernel that smooths the recordings from which EM starts. "auto" is the
        one that predicts each time point best from the others around it.
    max_epochs : int, default=25
        Epochs of training; 0 stops after EM. Networks are trained only with "state",
        and on trials of at least 5 time points.
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Widths of the perceptron that training adds to the map from embeddings to
        weights; ``()`` keeps the map affine.
    batch_size : int, default=32
        Trials (or as many bins in windows) per gradient step, and trials held in
        memory at once.
    device : str, default="cpu"
        Where torch trains: "cpu", "cuda", "cuda:N" or "mps". The fitted model is on the
        CPU.
    callbacks : list of skorch callbacks or None, default=None
        Called while training, such as skorch's Checkpoint and EarlyStopping; they are
        copied, not modified.
    random_state : int, RandomState instance or None, default=None
        Draws the perceptron and the training windows. EM does not depend on it.
    n_jobs : int or None, default=None
        Threads among which blocks of trials are shared out, in EM with noise or counts
        and wherever embeddings are inferred; -1 means all cores. None is 1, or what
        ``joblib.parallel_config`` says. Results do not depend on it.
    verbose : int, default=0
        1 prints what was chosen, and the progress of EM and of training.

    Attributes
    ----------
    embeddings_ : array of shape (n_trials, embedding_dim)
        ``transform`` of the training trials.
    observation_ : str
        The one used: "state", "gaussian", "poisson" or "negative_binomial".
    dt_, tau_ : float
        In seconds: those used.
    rank_ : int
        Rank of the weights, at most the number of neurons.
    gain_, ridge_ : float
        What was used; `ridge_` is NaN where each axis has its own.
    n_directions_ : int
        Directions of the rates from which the weights read.
    window_ : int
        With "state": the window used.
    start_smoothing_ : int
        With "gaussian" and for counts: the width used.
    offset_, scale_ : arrays of shape (n_neurons,)
        Network units are `(x - offset_) / scale_`, in data units; for counts, of their
        logarithm. Each neuron is centred and divided by the geometric mean of its
        standard deviation and of the size of its fluctuations from bin to bin, so that
        results do not depend on its unit, and all by one number that makes the pooled
        standard deviation 1. With "state", held-out windows of the training trials
        choose between this, the same with thresholds (offsets that lie a third of
        `scale_` about the means, so that not all neurons saturate symmetrically), and,
        where the pooled standard deviation is 0.3 to 3, data as they are or only
        centred: the first of these, from the last, that none after it betters by 10 %.
        With "gaussian" data of that size are only centred, and others are divided by
        the standard deviation of the activity without its noise.
    noise_variance_ : array of shape (n_neurons,)
        In squared data units. With "state": of one-step prediction errors on the
        training trials. With "gaussian": of the noise of the recordings. Of counts:
        their variance about the mean rate.
    embedding_inflation_ : float
        How much larger the variance of the noise that embeddings are inferred from is
        than what was fitted: so much that embeddings inferred from the first and from
        the second half of each training trial differ by as much as they do. An upper
        limit, two standard errors above the estimate, and at least 1. Where `fit` got
        `conditions`, so much that embeddings of trials of one condition differ by as
        much as they do, if that is more. It widens `embedding_posterior`, and with it
        `forecast`; `transform` stays as it is. 1 unless observation is "state".
    net_ : skorch.NeuralNet or None
        The trained net in its best state; None where nothing was trained.
    history_ : list
        skorch's history of training; empty where nothing was trained.
    best_epoch_ : int
        The epoch whose network was kept; 0 is EM's.
    n_iter_ : int
        EM rounds.
    interrupted_ : bool
        Whether Ctrl-C ended the fit early; what had been learned is kept.
    n_features_in_ : int
        Time points of X, or of the longest trial of a list.
    n_timepoints_in_ : int or array of shape (n_trials,)
        Time points a trial; where trials differ, of each.
    n_neurons_in_ : int
        Number of neurons.
    neuron_names_in_ : array of shape (n_neurons,)
        Where X names the neurons (data frames, labelled arrays, a TrialSet): later
        trials need the same in the same order. Integers stay integers; names of several
        levels are tuples.

    Notes
    -----
    A parameter that was set but is not used with the observation that was chosen draws
    one warning. This leaves out `random_state`, and, with ``max_epochs=0``, what
    concerns training.

    References
    ----------
    .. [1] Jamkhandi, Korojy, Codol, Lajoie and Perich, "JEDI: Jointly Embedded
       Inference of Neural Dynamics" (2026), arXiv:2603.10489.

    Examples
    --------
    >>> from sklearn_jedi import JEDIEstimator
    >>> from sklearn_jedi.datasets import make_rotation_family
    >>> X, y, _ = make_rotation_family(8, n_neurons=30, random_state=0)
    >>> jedi = JEDIEstimator(rank=2, embedding_dim=2, dt=0.01, max_epochs=0)
    >>> jedi.fit_transform(X[::2]).shape
    (16, 2)
    >>> jedi.score(X[1::2]) > 0.5
    True
    """

    def __init__(
        self,
        rank: int | None = 5,
        embedding_dim: int = 4,
        *,
        embedding: str = "trial",
        observation: str = "auto",
        dt: float | str = "auto",
        tau: float | str = "auto",
        nonlinearity: str = "tanh",
        gain: float | str = "auto",
        ridge: float | str = "auto",
        window: int | str = "auto",
        start_smoothing: int | str = "auto",
        max_epochs: int = 25,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        batch_size: int = 32,
        device: str = "cpu",
        callbacks: list[object] | None = None,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.rank = rank
        self.embedding_dim = embedding_dim
        self.embedding = embedding
        self.observation = observation
        self.dt = dt
        self.tau = tau
        self.nonlinearity = nonlinearity
        self.gain = gain
        self.ridge = ridge
        self.window = window
        self.start_smoothing = start_smoothing
        self.max_epochs = max_epochs
        self.hidden_layer_sizes = hidden_layer_sizes
        self.batch_size = batch_size
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    # --------------------------------------------------------------------------- fit

    def fit(
        self,
        X: TrialsLike,
        y: object = None,
        *,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> JEDIEstimator:
        """Fit the model to trials.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or \
                (n_trials, n_timepoints), list of arrays (n_timepoints_i, n_neurons), \
                or TrialSet
            Firing rates, counts or any activity; at least 2 time points a trial. NaN
            where nothing was recorded: a trial ends with its last value. Lists may also
            have a data frame or a TsdFrame (pynapple) for each trial. A 2-D array is
            read as one neuron, with a warning. Arrays on disk (numpy.memmap, zarr,
            h5py) are read in pieces of `batch_size` trials.
        y : None
            Ignored.
        conditions : array-like of shape (n_trials,), default=None
            What was done in each trial. With ``embedding="condition"`` trials with the
            same label share an embedding, and are held in memory together. With
            ``embedding="trial"`` and "state" labels only tell how far embeddings of one
            condition differ (see `embedding_inflation_`), and draw a warning that says
            so.
        sessions : array-like of shape (n_trials,), default=None
            The session of each trial, all of the same neurons. With
            ``embedding="session"`` trials with the same label share an embedding.

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
        trials, summary = check_trials(self, X, reset=True)
        check_parameters(self, trials.n_timepoints)
        self._choose_times(X)
        trials = self._sharing(trials, conditions, sessions, needed=True)
        alike = None
        if conditions is not None and self.embedding == "trial":
            alike = check_labels("conditions", conditions, len(trials))
        with on_cores(self.n_jobs, trials.n_neurons):
            error = self._fit(trials, summary, alike)
        self._warn_of_interrupt()
        if error is not None:
            raise error
        return self

    def _fit(
        self, trials: Trials, summary: Summary, alike: np.ndarray | None
    ) -> Exception | None:
        n_neurons = trials.n_neurons
        self.rank_ = n_neurons if self.rank is None else min(self.rank, n_neurons)
        trials = trials.ordered(Scaling.standard(summary.mean, summary.sd))
        pieces = pieces_of(trials, summary.mean)
        scaling = choose_scaling(summary.mean, summary.sd, fluctuations(pieces))
        scaled = None if pieces is None else pieces.scaled(scaling.scale)
        if self.observation == "auto":
            self.observation_ = choose_observation(scaled, summary.partial_bins)
            if summary.counts and summary.mean.any():
                warn_user(
                    "X looks like spike counts (whole numbers, none negative): pass "
                    'np.sqrt(X), whose noise is more even, or observation="poisson" '
                    'or "negative_binomial"'
                )
        else:
            self.observation_ = self.observation
        if self.observation in ("auto", "gaussian"):
            warn_of_smoothing(pieces, self.dt_)
        warn_of_unused(self)
        self.net_ = None
        self.history_ = []
        self.best_epoch_ = 0
        self.interrupted_ = False
        error: Exception | None = None
        model: Model
        if self.observation_ == "state":
            model, error = self._fit_state(trials, summary, scaling)
        else:
            names = getattr(self, "neuron_names_in_", None)
            warn_of_copies(pieces, summary.mean, names)
            if is_of_unit_scale(summary.sd):
                scaling = Scaling.centred(summary.mean)
            else:
                # the activity, not the noise on it, is to have unit scale
                signal = np.clip(1 - white_share(scaled), _LEAST_SIGNAL, 1.0)
                scaling = scaling._replace(scale=scaling.scale * np.sqrt(signal))
            model = self._fit_noisy(trials, summary, scaling)
        self.offset_, self.scale_ = model.scaling.offset, model.scaling.scale
        self._keep_settings(model.settings)
        self.n_iter_ = model.bilinear.n_iter
        shared = self.embedding != "trial"
        self._warn_of_empty_axes(model.bilinear.A, trials.n_groups, shared)
        prepared = model.prepare(trials, summary.first_whole)
        mean, cov = _predictions.embeddings(model, prepared)
        if isinstance(model, ObservedModel):
            model = with_uncertainty(model, prepared, mean, cov, alike)
        if isinstance(model, InferredModel):
            refined = with_centres(model, mean, model.likelihood.n_centres)
            if refined is not model:
                model, mean = refined, _predictions.embeddings(refined, prepared)[0]
        self._model = _files.canonical(model)
        self.embeddings_ = mean.astype(trials.dtype, copy=False)
        self.noise_variance_ = model.noise_variance()
        self.embedding_inflation_ = model.embedding_inflation
        return error

    def _fit_state(
        self, trials: Trials, summary: Summary, scaling: Scaling
    ) -> tuple[Model, Exception | None]:
        scaling, settings, basis = choose_units(
            trials,
            summary,
            scaling,
            self.rank_,
            self.embedding_dim,
            Equation.of(self.tau_, self.dt_, self.nonlinearity),
            gain=self.gain,
            window=self.window,
            ridge=self.ridge,
            full_rank=self.rank is None,
        )
        prepared = state_trials(trials, scaling, summary.first_whole)
        self._report(trials, scaling, settings)
        model = fit_closed_form(
            prepared,
            scaling,
            settings,
            basis,
            self.embedding_dim,
            self.nonlinearity,
            self.tau_,
            self.dt_,
        )
        if self.max_epochs == 0 or prepared.n_timepoints < _FEWEST_POINTS_TO_TRAIN:
            return model, None
        return self._train(model, prepared)

    def _train(
        self, model: ObservedModel, trials: Trials
    ) -> tuple[Model, Exception | None]:
        from sklearn_jedi._training._free_runs import train_free_runs

        trials = trials.in_order()
        embeddings = np.zeros((trials.n_groups, self.embedding_dim))
        embeddings[trials.groups] = _predictions.embeddings(model, trials)[0]
        training = train_free_runs(
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
        observation.check(summary, trials, np.arange(len(trials)))
        settings = default_settings(
            self.rank_,
            trials.n_neurons,
            gain=self.gain,
            start_smoothing=self.start_smoothing,
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
            self.tau_,
            self.dt_,
            report=self._report_round,
        )
        self.interrupted_ = fit.interrupted
        model: InferredModel = fit.models[0]
        return model

    # ------------------------------------------------------------------------- helpers

    def _keep_settings(self, settings: Settings) -> None:
        """Set what was chosen or given, and forget what an earlier fit had."""
        for name in ("window_", "start_smoothing_"):
            if hasattr(self, name):
                delattr(self, name)
        self.gain_, self.ridge_ = settings.gain, settings.ridge
        self.n_directions_ = settings.n_directions
        if self.observation_ == "state":
            self.window_ = settings.window
        else:
            self.start_smoothing_ = settings.start_smoothing

    def _report(self, trials: Trials, scaling: Scaling, settings: Settings) -> None:
        if self.verbose:
            chosen = settings.describe()
            print(
                f"JEDIEstimator: {len(trials)} trials x {trials.n_timepoints} time "
                f"points x {trials.n_neurons} neurons, "
                f"{scaling.describe()}; "
                f"observation={self.observation_!r}, {chosen}"
            )
