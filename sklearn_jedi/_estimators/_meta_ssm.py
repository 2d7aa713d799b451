"""MetaDynamicalSSM: its parameters, how it is fitted, and new sessions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._forms import TrialsLike
from sklearn_jedi._data._gate_of_sessions import (
    UNNAMED,
    Label,
    Neurons,
    SessionTrials,
    check_sessions,
    refuse_mixed,
)
from sklearn_jedi._data._smoothed_before import warn_of_smoothing
from sklearn_jedi._data._spectra import fluctuations, pieces_of
from sklearn_jedi._data._time_step import warn_of_other_dt
from sklearn_jedi._data._unit_copies import warn_of_copies
from sklearn_jedi._data._units import Scaling, choose_scaling
from sklearn_jedi._engine._likelihoods import LIKELIHOODS
from sklearn_jedi._estimators._meta_ssm_fitted import SessionMethods
from sklearn_jedi._estimators._parameters import (
    check_meta_parameters,
    warn_of_unused_training,
)
from sklearn_jedi._models import _files, _predictions
from sklearn_jedi._models._adapt import adapt_session
from sklearn_jedi._models._family import FamilyFit
from sklearn_jedi._models._fit import Recording
from sklearn_jedi._models._inferred import LatentModel, with_centres
from sklearn_jedi._utils._threads import on_cores
from sklearn_jedi._utils._types import RandomState
from sklearn_jedi._utils._warnings import warn_user

__all__ = ["MetaDynamicalSSM"]


class MetaDynamicalSSM(SessionMethods):
    r"""Meta-dynamical state space model: latent dynamics of a family of sessions.

    Sessions (animals, days) record different neurons. The model describes them by the
    same few latents, whose dynamics are alike in all sessions but for a few numbers:
    the embedding `e` of a session, of a condition within it or of a trial. What differs
    from session to session beside that is the readout, from latents to the neurons that
    were recorded there [1]_:

    .. math::

       z_{t+1} &= (1 - \alpha) z_t + \alpha (W(e)^T \phi(P z_t + d) + b(e)) + noise, \\
       y_t &= C z_t + c + noise \quad \text{or} \quad
       y_t \sim \text{Poisson}(\exp(C z_t + c)),

    with `alpha = dt / tau` and random units `P`, `d` that all share. `W(e)` and `b(e)`
    change in proportion to the embedding, in `change_rank` directions of the latents.

    This is the model of `JEDIEstimator` for noisy recordings, except that nobody
    records the units. It is fitted in the same way: principal components of each
    session are brought to common axes, and EM with a smoother over latents and
    embeddings finds everything else, in seconds and without a random number. The
    published variational training can follow (`max_epochs`).

    Parameters
    ----------
    n_latents : int, default=2
        Number of latents; at most that of the smallest session's neurons.
    embedding_dim : int, default=1
        Number of embedding axes: in how many ways dynamics may differ. As many columns
        always come out; embeddings are zero along axes that the trials do not
        determine, with a warning.
    change_rank : int or None, default=None
        Directions of the latents in which embeddings change the drive; None: all
        `n_latents`. Fewer suit a family that changes one equation alone, such as the
        stiffness of an oscillator, and then fix the axes of the latents; a change of
        speed or frequency takes all directions.
    embedding : {"session", "condition", "trial"}, default="session"
        Who shares an embedding: the trials of a session ("session"; each trial has its
        own where `fit` was given no sessions), those of a session that have the same
        label in ``conditions=`` ("condition"; `fit` needs these labels, and where other
        methods get none, each trial has its own), or nobody ("trial").
    observation : {"auto", "gaussian", "poisson", "negative_binomial"}, default="auto"
        What recordings are. "gaussian" (which "auto" means): any activity with noise
        on it, of each neuron its own size (also square roots of spike counts).
        "poisson": spike counts per time point. "negative_binomial": counts that vary
        more than Poisson's, of each neuron by its own factor. "state", which
        JEDIEstimator takes, is refused: latents are never recorded.
    dt : float or "auto", default="auto"
        Duration of a time point in seconds. "auto" takes it from X where X says it
        (TrialSet, DataArray, pynapple), and is 0.01 with a warning elsewhere.
    tau : float or "auto", default="auto"
        Time constant in seconds with which latents decay where the units do not drive
        them, at least `dt`. "auto" is 0.1, or 5 time points where these are longer.
        The fit compensates for it: it matters only where data are few.
    gain : float or "auto", default="auto"
        How strongly the units saturate; small values make the dynamics nearly linear.
        It is the size of the weights by which units read latents of unit variance: from
        about 1 on they saturate within the range of the latents. "auto" tries 1.2, 0.4
        and 0.1 and takes the one of the best forecasts of held-out training trials; 1.2
        where fewer than 8 can be held out.
    n_units : int or None, default=None
        Units that read the latents. None: 15 for each latent, and at least 30.
    ridge : float or "auto", default="auto"
        How strongly weights are pulled to zero: their prior precision, in units of the
        mean square of a feature. "auto" finds one for each embedding axis by its
        evidence.
    max_epochs : int, default=0
        Epochs of variational training after EM; 0 stops at EM's solution, which
        training rarely improved on when it was tried. Trained dynamics are kept only
        where they forecast held-out trials better; see `best_epoch_`.
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Widths of the perceptron that training adds to the affine map from embeddings
        to weights.
    batch_size : int, default=32
        Trials held in memory at once, unless more share an embedding, and trials per
        gradient step.
    device : str, default="cpu"
        Where torch trains: "cpu", "cuda", "cuda:N" or "mps". The fitted model is on the
        CPU.
    callbacks : list of skorch callbacks or None, default=None
        Called while training; they are copied, not modified.
    random_state : int, RandomState instance or None, default=None
        Draws what training needs. EM does not depend on it.
    n_jobs : int or None, default=None
        Threads among which blocks of trials are shared out, in EM with noise or counts
        and wherever embeddings are inferred; -1 means all cores. None is 1, or what
        ``joblib.parallel_config`` says. Results do not depend on it.
    verbose : int, default=0
        1 prints the progress.

    Attributes
    ----------
    embeddings_ : array of shape (n_trials, embedding_dim)
        ``transform`` of the training trials.
    sessions_ : array of shape (n_sessions,)
        Labels of the sessions, in order of appearance; those of `adapt` come last.
        ``[None]`` where `fit` was given none.
    observation_ : str
        The one used: "gaussian", "poisson" or "negative_binomial".
    dt_, tau_ : float
        In seconds: those used.
    n_latents_, change_rank_, gain_ : int, int, float
        What was used.
    n_iter_ : int
        EM rounds.
    net_ : skorch.NeuralNet or None
        The trained net in its best state; None where nothing was trained.
    history_ : list
        skorch's history of training; empty where nothing was trained.
    best_epoch_ : int
        The epoch whose dynamics were kept; 0 is EM's.
    interrupted_ : bool
        Whether Ctrl-C ended the fit early; what had been learned is kept.
    n_features_in_ : int
        Time points of the longest trial.
    n_timepoints_in_ : int or array of shape (n_trials,)
        Time points a trial; where trials differ, of each.
    n_neurons_in_ : int or array of shape (n_sessions,)
        Number of neurons; of each session, where `fit` was given sessions.

    Notes
    -----
    Sessions are aligned by what they share: averages over `conditions`, where labels
    are given, otherwise the vector field, up to its speed. What stays ambiguous:

    - All latents together can be turned, mirrored, and scaled; their axes have no
      meaning of their own.
    - Where the dynamics have a symmetry (a limit cycle on a circle looks alike from all
      sides), latents of a session are known up to it: phases of different sessions do
      not compare. `conditions` settle it.
    - Embeddings are scaled to unit variance over sessions, however small their true
      differences: compare them with the standard deviations of `embedding_posterior`.
    - What a rescaling of the session's activity explains, such as the amplitude of a
      cycle, does not show in the embedding: the readout of each session takes it up.

    References
    ----------
    .. [1] Vermani, Nassar, Jeon, Dowling and Park, "Meta-dynamical state space models
       for integrative neural data analysis", ICLR (2025), arXiv:2410.05454.

    Examples
    --------
    >>> from sklearn_jedi import MetaDynamicalSSM
    >>> from sklearn_jedi.datasets import make_oscillator_sessions
    >>> data = make_oscillator_sessions(4, 6, n_timepoints=60, random_state=0)
    >>> meta = MetaDynamicalSSM(dt=0.01).fit(data.X, sessions=data.sessions)
    >>> meta.transform(data.X, sessions=data.sessions).shape
    (24, 1)
    >>> meta.score(data.X, sessions=data.sessions) > 0.5
    True
    """

    def __init__(
        self,
        n_latents: int = 2,
        embedding_dim: int = 1,
        change_rank: int | None = None,
        *,
        embedding: str = "session",
        observation: str = "auto",
        dt: float | str = "auto",
        tau: float | str = "auto",
        gain: float | str = "auto",
        n_units: int | None = None,
        ridge: float | str = "auto",
        max_epochs: int = 0,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        batch_size: int = 32,
        device: str = "cpu",
        callbacks: list[object] | None = None,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_latents = n_latents
        self.embedding_dim = embedding_dim
        self.change_rank = change_rank
        self.embedding = embedding
        self.observation = observation
        self.dt = dt
        self.tau = tau
        self.gain = gain
        self.n_units = n_units
        self.ridge = ridge
        self.max_epochs = max_epochs
        self.hidden_layer_sizes = hidden_layer_sizes
        self.batch_size = batch_size
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: TrialsLike,
        y: object = None,
        *,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> MetaDynamicalSSM:
        """Fit the family, and the readout of each session.

        Parameters
        ----------
        X : list of arrays (n_timepoints_i, n_neurons of the session), array-like \
                of shape (n_trials, n_timepoints, n_neurons) or \
                (n_trials, n_timepoints), or TrialSet
            Firing rates, counts or any activity; at least 2 time points a trial. NaN
            where nothing was recorded: a trial ends with its last value. A 2-D array is
            read as one neuron, with a warning.
        y : None
            Ignored.
        conditions : array-like of shape (n_trials,), default=None
            Labels of what was done in each trial, the same in all sessions. Averages
            over the trials of a condition, whose time points must correspond, then
            align the sessions. With ``embedding="condition"`` the trials of a condition
            within a session share an embedding.
        sessions : array-like of shape (n_trials,), default=None
            The session of each trial: text or numbers. None: all trials are of one
            session, and with ``embedding="session"`` each has its own embedding.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If X or a parameter cannot be used, before anything is fitted; messages name
            the session.
        """
        if hasattr(self, "_models"):
            del self._models  # a refit that fails must not leave half an old model
        check_meta_parameters(self)
        found, neurons = check_sessions(self, X, sessions, known=None)
        self._choose_times(X)
        auto = self.observation == "auto"
        self.observation_ = "gaussian" if auto else self.observation
        parts = self._sharing(found, conditions, needed=True)
        recordings = self._recordings(parts, neurons)
        if auto and all(
            part.summary.counts and part.summary.mean.any() for part in parts
        ):
            warn_user(
                "X looks like spike counts (whole numbers, none negative): pass their "
                'square roots, whose noise is more even, or observation="poisson" '
                'or "negative_binomial"'
            )
        warn_of_unused_training(self)
        if conditions is not None:
            labels = np.asarray(conditions, dtype=object)
            recordings = [
                recording._replace(conditions=labels[part.rows])
                for recording, part in zip(recordings, parts, strict=True)
            ]
            if len(parts) == 1 and self.embedding != "condition":
                warn_user(
                    "conditions= are not used: they align sessions, of which there is "
                    'one. Set embedding="condition" if the trials of a condition are '
                    "to share an embedding"
                )
        self.n_latents_ = min(self.n_latents, *(p.trials.n_neurons for p in parts))
        rank = self.n_latents if self.change_rank is None else self.change_rank
        self.change_rank_ = min(rank, self.n_latents_)
        if self.verbose:
            print(
                f"MetaDynamicalSSM: {sum(len(p.rows) for p in parts)} trials of "
                f"{len(parts)} sessions, {self.n_latents_} latents"
            )
        with on_cores(self.n_jobs, max(part.trials.n_neurons for part in parts)):
            family = FamilyFit(
                LIKELIHOODS[self.observation_],
                self.n_latents_,
                self.embedding_dim,
                self.change_rank_,
                self.tau_,
                self.dt_,
                self.n_units,
                self.ridge,
            )
            self.gain_, interrupted = self._gain(family, recordings)
            rounds = {"n_rounds": 0} if interrupted else {}
            fit = family.fit(
                recordings, self.gain_, report=self._report_round, **rounds
            )
            self.interrupted_ = interrupted or fit.interrupted
            models, error = self._train(parts, fit.models)
            self._infer(parts, models)
            models = [with_centres(model, self.embeddings_) for model in models]
            models = _files.canonical_family(models)
            self._warn_of_silent(parts, models, self._infer(parts, models))
        self.n_iter_ = models[0].bilinear.n_iter
        self._set_sessions(
            dict(zip([part.label for part in parts], models, strict=True)), neurons
        )
        self._warn_of_axes(parts, models[0])
        self._warn_of_interrupt()
        if error is not None:
            raise error
        return self

    def _gain(
        self, family: FamilyFit, recordings: list[Recording]
    ) -> tuple[float, bool]:
        """The gain given or chosen, and whether Ctrl-C ended the choice."""
        if self.gain != "auto":
            return float(self.gain), False
        gain, interrupted = family.choose_gain(recordings)
        if self.verbose:
            print(f"gain={gain:g}")
        return gain, interrupted

    def _train(
        self, parts: Sequence[SessionTrials], models: list[LatentModel]
    ) -> tuple[list[LatentModel], Exception | None]:
        """Variational training, kept only where it forecasts better than EM."""
        self.net_, self.history_, self.best_epoch_ = None, [], 0
        if self.max_epochs == 0 or self.interrupted_:
            return models, None
        from sklearn_jedi._training._variational import train_variational

        training = train_variational(
            [
                model.prepare(part.trials, part.summary.first_whole)
                for part, model in zip(parts, models, strict=True)
            ],
            [model.state_space for model in models],
            change_rank=self.change_rank_,
            hidden_layer_sizes=tuple(self.hidden_layer_sizes),
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            device=self.device,
            callbacks=self.callbacks,
            random_state=check_random_state(self.random_state),
            progress=self.verbose > 0,
        )
        self.net_, self.history_ = training.net, training.history
        self.best_epoch_, self.interrupted_ = training.best_epoch, training.interrupted
        if training.best_epoch:
            models = [
                replace(model, step_cov=of.step_cov, hypernetwork=training.hypernetwork)
                for model, of in zip(models, training.models, strict=True)
            ]
        return models, training.error

    def adapt(
        self,
        X: TrialsLike,
        y: object = None,
        *,
        sessions: ArrayLike,
        conditions: ArrayLike | None = None,
    ) -> MetaDynamicalSSM:
        """A new estimator that also knows new sessions, from few trials of them.

        The dynamics stay as they are; of each new session the readout is found, and the
        embedding inferred.

        Parameters
        ----------
        X : list of arrays (n_timepoints_i, n_neurons of the session), array-like \
                of shape (n_trials, n_timepoints, n_neurons), or TrialSet
            Trials of the new sessions; one each is enough to begin with.
        y : None
            Ignored.
        sessions : array-like of shape (n_trials,)
            The session of each trial, none of which `fit` has seen.
        conditions : array-like of shape (n_trials,), default=None
            What was done in each trial; needed with ``embedding="condition"``.

        Returns
        -------
        MetaDynamicalSSM
            Fitted; this estimator stays as it is. `embeddings_` are those of its
            training trials.

        Raises
        ------
        ValueError
            If a session is known already, or this was fitted without sessions.
        """
        check_is_fitted(self)
        if sessions is None or UNNAMED in self._models:
            raise ValueError(
                "adapt needs sessions=, the session of each trial, here and in fit"
            )
        found, neurons = check_sessions(copy.copy(self), X, sessions, known=None)
        known = sorted((label for label in neurons if label in self._models), key=str)
        if known:
            raise ValueError(
                f"sessions {known[:5]} are known already; adapt takes new ones"
            )
        warn_of_other_dt(self.dt_, X, type(self).__name__)
        parts = self._sharing(found, conditions, needed=True)
        some = next(iter(self._models.values()))
        models = dict(self._models)
        for part in parts:
            n_neurons = part.trials.n_neurons
            if n_neurons < self.n_latents_:
                raise ValueError(
                    f"session {part.label!r} has {n_neurons} neurons, fewer than the "
                    f"{self.n_latents_} latents"
                )
            with on_cores(self.n_jobs, n_neurons):
                recording = self._recordings([part], neurons)[0]
                models[part.label] = adapt_session(recording, some)
        refuse_mixed([*models])
        other = copy.copy(self)
        other._set_sessions(models, {**self._neurons, **neurons})
        return other

    # ------------------------------------------------------------------------- helpers

    def _recordings(
        self, parts: Sequence[SessionTrials], neurons: dict[Label, Neurons]
    ) -> list[Recording]:
        """Trials of each session, and what the fit needs to know of them."""
        recordings = []
        smoothed = False
        for part in parts:
            summary = part.summary
            LIKELIHOODS[self.observation_].check(summary, part.trials, part.rows)
            of = self if part.label is UNNAMED else neurons[part.label]
            names = getattr(of, "neuron_names_in_", None)
            trials = part.trials.ordered(Scaling.standard(summary.mean, summary.sd))
            pieces = pieces_of(trials, summary.mean)
            warn_of_copies(pieces, summary.mean, names, part.label)
            if self.observation_ == "gaussian" and not smoothed:
                smoothed = warn_of_smoothing(pieces, self.dt_)
            scaling = choose_scaling(summary.mean, summary.sd, fluctuations(pieces))
            recordings.append(Recording(trials, scaling, summary.mean))
        return recordings

    def _infer(
        self, parts: Sequence[SessionTrials], models: list[LatentModel]
    ) -> list[np.ndarray]:
        """Embeddings of the training trials; returns the latents of each session."""
        n_trials = sum(len(part.rows) for part in parts)
        mean = np.empty((n_trials, self.embedding_dim))
        latents = []
        for part, model in zip(parts, models, strict=True):
            trials = model.prepare(part.trials, part.summary.first_whole)
            states = []
            for block, found in _predictions.posteriors(model, trials):
                mean[part.rows[block.numbers]] = found.mean[block.group]
                states.append(model.latents(found.activity())[block.within])
            latents.append(np.concatenate(states))
        dtype = np.result_type(*{part.trials.dtype for part in parts})
        self.embeddings_ = mean.astype(dtype)
        return latents

    def _warn_of_silent(
        self,
        parts: Sequence[SessionTrials],
        models: list[LatentModel],
        latents: list[np.ndarray],
    ) -> None:
        """Say which sessions' recordings the latents do not explain."""
        silent = []
        for part, model, z in zip(parts, models, latents, strict=True):
            variance = (z @ model.output.T).var(0)
            if model.likelihood.explains_nothing(variance):
                silent.append(part.label)
        if silent:
            warn_user(
                f"the latents explain next to nothing in sessions {silent[:5]}: rates "
                "stay at their means (a collapse, or recordings without common "
                "activity). Try wider bins, or leave these sessions out"
            )

    def _warn_of_axes(self, parts: Sequence[SessionTrials], model: LatentModel) -> None:
        n_groups = sum(part.trials.n_groups for part in parts)
        alone = self.embedding == "session" and parts[0].label is UNNAMED
        shared = self.embedding != "trial" and not alone
        self._warn_of_empty_axes(model.bilinear.A, n_groups, shared)
