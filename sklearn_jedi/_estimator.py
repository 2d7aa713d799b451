"""JEDIEstimator: parameters, fit, transform, score."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
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

from sklearn_jedi._low_rank_rnn import LowRankRNN
from sklearn_jedi._model import FittedModel, fit_closed_form, with_training
from sklearn_jedi._parameters import check_integer, check_parameters
from sklearn_jedi._scaling import choose_scaling
from sklearn_jedi._selection import choose_settings, held_out_windows
from sklearn_jedi._threads import few_threads
from sklearn_jedi._validation import check_trials
from sklearn_jedi.metrics import trajectory_r2

__all__ = ["JEDIEstimator"]

# Networks simulated at once: their weights, not the data, would fill the memory.
_NETWORKS_AT_ONCE = 256
# One trial in so many has a held-out window while training.
_HELD_OUT_EVERY = 4


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
    observation : {"state"}, default="state"
        How neurons relate to the network. "state": recorded activity is the state of
        the network's units, as published.
    gain : float or "auto", default="auto"
        Argument scale of `phi`: `phi(gain r) / gain` in network units; small values
        make the network linear. "auto" is 1 for data of unit scale (pooled standard
        deviation 0.3 to 3), which are left as they are; other data are centred and
        soft-normalised to unit scale (see `scale_`) and the gain is chosen like
        `window`.
    window : int or "auto", default="auto"
        Time points over which the network's equation is summed before the closed-form
        regression: more suits noisier recordings. "auto" is chosen on held-out windows
        of the training trials.
    ridge : float or "auto", default="auto"
        Prior precision of the weights in the closed-form fit, in units of the mean
        square of a feature. "auto" is chosen like `window`.
    max_epochs : int, default=25
        Epochs of training; 0 stops after EM. Training is skipped where trials have
        fewer than 5 time points.
    batch_size : int, default=32
        Trials (or as many bins in windows) per gradient step.
    device : str, default="cpu"
        Where torch trains: "cpu", "cuda" or "cuda:N". The fitted model is on the CPU.
    callbacks : list of skorch callbacks or None, default=None
        Called while training; they are copied, not modified.
    random_state : int, RandomState instance or None, default=None
        Draws the perceptron and the training windows. EM does not depend on it.
    verbose : int, default=0
        1 prints what was chosen and a line an epoch.

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
    noise_variance_ : array of shape (n_neurons,)
        Variance of one-step prediction errors on the training trials, in squared data
        units.
    net_ : skorch.NeuralNet or None
        The trained net in its best state; None where nothing was trained.
    history_ : list
        skorch's history of training; empty where nothing was trained.
    n_iter_ : int
        EM rounds.
    best_epoch_ : int
        The epoch whose network was kept; 0 is EM's.
    n_features_in_, n_timepoints_in_ : int
        Time points a trial.
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
        observation: str = "state",
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
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    @property
    def _n_features_out(self) -> int:
        return self.embedding_dim

    # --------------------------------------------------------------------------- fit

    def fit(self, X: ArrayLike, y: Any = None) -> JEDIEstimator:
        """Fit the model to trials.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or \
                (n_trials, n_timepoints)
            Firing rates or any activity; at least 2 time points. A 2-D array is read
            as one neuron, with a warning.
        y : None
            Ignored.

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
        trials = check_trials(self, X, reset=True)
        check_parameters(self, trials.shape[1])
        with few_threads(trials.shape[2]):
            error = self._fit(trials)
        if error is not None:
            raise error
        return self

    def _fit(self, trials: np.ndarray) -> Exception | None:
        n_trials, n_timepoints, n_neurons = trials.shape
        self.rank_ = n_neurons if self.rank is None else min(self.rank, n_neurons)
        scaling = choose_scaling(trials)
        network_units = scaling.to_network(trials)
        settings, basis = choose_settings(
            network_units,
            self.rank_,
            self.embedding_dim,
            self.nonlinearity,
            self.dt / self.tau,
            gain=1.0 if self.gain == "auto" and scaling.is_identity else self.gain,
            window=self.window,
            ridge=self.ridge,
            full_rank=self.rank is None,
        )
        model, embeddings = fit_closed_form(
            network_units,
            scaling,
            settings,
            basis,
            self.embedding_dim,
            self.nonlinearity,
            self.tau,
            self.dt,
        )
        self._report(trials.shape, scaling.is_identity, settings)
        self._warn_of_empty_axes(model.bilinear.A, n_trials)
        self.offset_, self.scale_ = scaling.offset, scaling.scale
        self.gain_, self.window_, self.n_directions_, self.ridge_ = settings[:4]
        self.n_iter_ = model.bilinear.n_iter

        error = None
        self.net_: Any = None
        self.history_: list[dict[str, Any]] = []
        self.best_epoch_ = 0
        if self.max_epochs > 0 and n_timepoints >= 5:
            model, error = self._train(model, network_units, embeddings)
        if self.best_epoch_:
            embeddings = model.infer(trials)[0]
        self._model = model
        self.embeddings_ = embeddings.astype(trials.dtype, copy=False)
        self.noise_variance_ = model.one_step_variance(network_units, embeddings)
        return error

    def _train(
        self, model: FittedModel, X: np.ndarray, embeddings: np.ndarray
    ) -> tuple[FittedModel, Exception | None]:
        from sklearn_jedi._net import train

        training = train(
            X,
            model.reduction,
            model.bilinear.A,
            embeddings,
            held_out_windows(len(X), X.shape[1] - 1, _HELD_OUT_EVERY),
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
        if training.best_epoch:
            model = with_training(model, training.net.module_, X)
        return model, training.error

    # ------------------------------------------------------------ embeddings of trials

    def fit_transform(self, X: ArrayLike, y: Any = None) -> np.ndarray:
        """Fit, and return the embeddings of the same trials; see `fit`, `transform`."""
        return self.fit(X, y).embeddings_

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Infer the embedding of each trial: the posterior mode.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons)
            Trials of the neurons of `fit`, of any length of at least 2 time points.

        Returns
        -------
        array of shape (n_trials, embedding_dim)
        """
        check_is_fitted(self)
        trials = check_trials(self, X, reset=False)
        return self._model.infer(trials)[0].astype(trials.dtype, copy=False)

    def embedding_posterior(self, X: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Gaussian approximation of the posterior of each trial's embedding.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons)

        Returns
        -------
        mean : array of shape (n_trials, embedding_dim)
            ``transform(X)``.
        cov : array of shape (n_trials, embedding_dim, embedding_dim)
            Inverse Hessian of the same objective at the mean, the noise corrected for
            serial correlation.
        """
        check_is_fitted(self)
        trials = check_trials(self, X, reset=False)
        mean, cov = self._model.infer(trials)
        return mean.astype(trials.dtype), cov.astype(trials.dtype)

    # ------------------------------------------------------------ networks and activity

    def dynamics(self, Z: ArrayLike) -> LowRankRNN:
        """The networks of embeddings, one each, in the units of the recorded neurons.

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
        n_axes = len(self._model.bilinear.A) - 1
        if embeddings.ndim != 2 or embeddings.shape[1] != n_axes:
            raise ValueError(
                f"Z must have shape (n_networks, {n_axes}), as transform returns it; "
                f"got {embeddings.shape}"
            )
        if not np.isfinite(embeddings).all():
            raise ValueError("Z contains NaN or infinity")
        return self._model.networks(embeddings)

    def initial_states(self, X: ArrayLike) -> np.ndarray:
        """State of the network at each trial's first time point, in data units.

        With ``observation="state"`` this is the recorded first time point.

        Returns
        -------
        array of shape (n_trials, n_neurons)
        """
        check_is_fitted(self)
        return check_trials(self, X, reset=False)[:, 0].copy()

    def reconstruct(self, X: ArrayLike) -> np.ndarray:
        """Free run of each trial's network from the trial's initial state.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons)
            Trials whose embeddings are inferred.

        Returns
        -------
        array of the shape of X
            The first time point is copied from X.
        """
        check_is_fitted(self)
        trials = check_trials(self, X, reset=False)
        runs = self._free_runs(trials, trials[:, 0], trials.shape[1])
        return runs.reshape(np.shape(X)).astype(trials.dtype, copy=False)

    def forecast(self, X: ArrayLike, n_steps: int) -> np.ndarray:
        """Continue trials: infer embeddings from what is given, then run on.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons)
            The beginnings of trials, at least 2 time points.
        n_steps : int
            Time points to add.

        Returns
        -------
        array of shape (n_trials, n_steps, n_neurons)
            The new time points only; 2-D where X is.
        """
        check_is_fitted(self)
        check_integer("n_steps", n_steps, 1)
        trials = check_trials(self, X, reset=False)
        runs = self._free_runs(trials, trials[:, -1], n_steps + 1)[:, 1:]
        if np.ndim(X) == 2:
            runs = runs[..., 0]
        return runs.astype(trials.dtype, copy=False)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """R^2 of the free runs, embeddings inferred from the trials given.

        `1 - SSE / SST`, pooled over trials, time and neurons, SST about each neuron's
        mean over these trials; the first time point, copied from the data, does not
        count.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons)
        y : None
            Ignored.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        trials = check_trials(self, X, reset=False)
        runs = self._free_runs(trials, trials[:, 0], trials.shape[1])
        return trajectory_r2(trials[:, 1:], runs[:, 1:])

    # ------------------------------------------------------------------------- helpers

    def _free_runs(
        self, trials: np.ndarray, states: np.ndarray, n_timepoints: int
    ) -> np.ndarray:
        embeddings = self._model.infer(trials)[0]
        runs = np.empty((len(trials), n_timepoints, trials.shape[2]))
        for batch in _batches(len(trials)):
            networks = self._model.networks(embeddings[batch])
            runs[batch] = networks.simulate(states[batch], n_timepoints)
        return runs

    def _report(self, shape: tuple[int, ...], is_identity: bool, settings: Any) -> None:
        if self.verbose:
            sizes = "{} trials x {} time points x {} neurons".format(*shape)
            units = "left as they are" if is_identity else "centred, soft-normalised"
            print(
                f"JEDIEstimator: {sizes}, {units}; gain={settings.gain:g}, "
                f"window={settings.window}, ridge={settings.ridge:g}, "
                f"{settings.n_directions} feature directions "
                f"(R^2 on held-out windows {settings.score:.3f})"
            )

    def _warn_of_empty_axes(self, A: np.ndarray, n_trials: int) -> None:
        n_empty = int((~A[1:].any((1, 2))).sum())
        if n_empty:
            warnings.warn(
                f"{n_empty} of {self.embedding_dim} embedding axes cannot be told from "
                f"{n_trials} trials and stay at the prior (zero); lower embedding_dim, "
                "or fit more trials",
                UserWarning,
                stacklevel=4,
            )


def _batches(n: int) -> Iterator[slice]:
    for start in range(0, n, _NETWORKS_AT_ONCE):
        yield slice(start, start + _NETWORKS_AT_ONCE)
