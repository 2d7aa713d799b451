"""The baseline: a linear-Gaussian state-space model, the same for all trials."""

from __future__ import annotations

from typing import Literal, overload

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._forms import Activity, TrialsLike, in_form_of, is_2d
from sklearn_jedi._data._gate import check_trials
from sklearn_jedi._data._labelled_arrays import ahead_of
from sklearn_jedi._data._smoothed_before import warn_of_smoothing
from sklearn_jedi._data._spectra import pieces_of
from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._data._unit_copies import warn_of_copies
from sklearn_jedi._utils._checks import check_integer, check_real
from sklearn_jedi._utils._progress import show_progress
from sklearn_jedi._utils._streaming import R2Sums
from sklearn_jedi._utils._threads import few_threads
from sklearn_jedi.baselines import _kalman
from sklearn_jedi.baselines._kalman import GappedTrials, System

# "auto": time points of the kernel, and its share of the shortest trial.
_START_SD = 4.0
_START_SHARE = 1 / 8


class LinearStateSpace(BaseEstimator):
    r"""Linear-Gaussian state-space model of trials: one linear system for all of them.

    .. math:: z_{t+1} = A z_t + b + q_t, \quad x_t = C z_t + d + r_t,

    where `x` are recordings, `z` a few latent states, `q` and `r` Gaussian noise, that
    of the recordings independent between neurons. All trials share the parameters,
    which are fitted by EM [1]_ with Kalman's filter and the smoother of Rauch, Tung and
    Striebel [2]_. EM starts from principal components of smoothed trials.

    It is what a model of nonlinear dynamics, or of dynamics that differ between trials,
    should be compared with. `forecast` and `score` mean the same as in `JEDIEstimator`.

    Parameters
    ----------
    n_states : int, default=8
        Number of latent states; no more than neurons are used.
    n_iter : int, default=100
        Rounds of EM.
    start_sd : float or "auto", default="auto"
        Standard deviation, in time points, of the kernel that smooths the trials that
        EM starts from. "auto" is 4, but no more than an eighth of the shortest trial.
    verbose : int, default=0
        1 prints the progress of EM.

    Attributes
    ----------
    transition_ : array of shape (n_states, n_states)
        `A`. Its eigenvalues are those of one time step: an oscillation of frequency `f`
        has the angle `2 pi f dt`.
    drift_ : array of shape (n_states,)
        `b`.
    loading_ : array of shape (n_neurons, n_states)
        `C`, in data units.
    offset_ : array of shape (n_neurons,)
        `d`, in data units.
    step_cov_ : array of shape (n_states, n_states)
        Covariance of `q`, the noise of a step.
    noise_variance_ : array of shape (n_neurons,)
        Variance of `r`, the noise of the recordings, in squared data units.
    first_mean_, first_cov_ : arrays of shape (n_states,) and (n_states, n_states)
        Mean and covariance of the states in which trials begin.
    log_likelihood_ : float
        `log_likelihood` of the training trials after the last round.
    n_iter_ : int
        Rounds of EM.
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

    References
    ----------
    .. [1] Shumway and Stoffer, "An approach to time series smoothing and forecasting
       using the EM algorithm", Journal of Time Series Analysis 3 (1982).
    .. [2] Rauch, Tung and Striebel, "Maximum likelihood estimates of linear dynamic
       systems", AIAA Journal 3 (1965).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.baselines import LinearStateSpace
    >>> from sklearn_jedi.datasets import make_rotation_family
    >>> X, y, _ = make_rotation_family(8, n_neurons=30, random_state=0)
    >>> slow = X[y == 0]  # rotations of 1 Hz, in steps of 0.01 s
    >>> linear = LinearStateSpace(2, n_iter=20).fit(slow[:4])
    >>> linear.forecast(slow[4:, :50], 50).shape
    (4, 50, 30)
    >>> turn = np.angle(np.linalg.eigvals(linear.transition_)).max()
    >>> print(f"{turn / (2 * np.pi * 0.01):.2f} Hz")
    0.95 Hz
    """

    transition_: np.ndarray

    def __init__(
        self,
        n_states: int = 8,
        *,
        n_iter: int = 100,
        start_sd: float | str = "auto",
        verbose: int = 0,
    ) -> None:
        self.n_states = n_states
        self.n_iter = n_iter
        self.start_sd = start_sd
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "transition_")

    def fit(self, X: TrialsLike, y: object = None) -> LinearStateSpace:
        """Fit the model to trials.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons) or \
                (n_trials, n_timepoints), list of arrays (n_timepoints_i, n_neurons), \
                or TrialSet
            Firing rates, square roots of counts or any activity; at least 2 time points
            a trial. NaN where nothing was recorded: a trial ends with its last value. A
            2-D array is read as one neuron, with a warning. All trials are held in
            memory.
        y : None
            Ignored.

        Returns
        -------
        self
            Fitted.
        """
        if hasattr(self, "transition_"):
            del self.transition_  # a refit that fails must not leave an old model
        check_integer("n_states", self.n_states, 1)
        check_integer("n_iter", self.n_iter, 1)
        check_real("start_sd", self.start_sd, auto=True)
        trials, summary = check_trials(self, X, reset=True)
        pieces = pieces_of(trials, summary.mean)
        warn_of_smoothing(pieces)
        names = getattr(self, "neuron_names_in_", None)
        warn_of_copies(pieces, summary.mean, names)
        start_sd = (
            min(_START_SD, _START_SHARE * int(trials.lengths.min()))
            if isinstance(self.start_sd, str)
            else self.start_sd
        )
        recording = _gapped(_read(trials))
        with few_threads(trials.n_neurons):
            n_states = min(self.n_states, trials.n_neurons)
            system = _kalman.start(recording, n_states, start_sd)
            for done in range(1, self.n_iter + 1):
                states, across = _kalman.smoothed(system, recording)
                system = _kalman.maximised(recording, states, across)
                if self.verbose:
                    noise = f"mean noise variance {system.R.mean():.3g}"
                    show_progress("EM round", done, self.n_iter, noise)
            self.log_likelihood_ = _kalman.log_likelihood(system, recording)
        self.n_iter_ = self.n_iter
        self.transition_, self.drift_ = system.A, system.b
        self.loading_, self.offset_ = system.C, system.d
        self.step_cov_, self.noise_variance_ = system.Q, system.R
        self.first_mean_, self.first_cov_ = system.first_mean, system.first_cov
        return self

    def smooth(self, X: TrialsLike) -> Activity:
        """Expected recordings at the states inferred from the whole trial.

        Noise is removed, and gaps and neurons that were not recorded are filled in.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays \
                of shape (n_timepoints_i, n_neurons), or TrialSet
            Trials of the neurons that `fit` had, of any lengths, NaN where missing.

        Returns
        -------
        array of the shape of X, or list of arrays, or DataArray where X is one
            NaN after a trial's end.
        """
        trials, system = self._trials(X), self._system
        with few_threads(trials.n_neurons):
            states = _kalman.smoothed(system, _gapped(_read(trials)))[0]
            return _like(X, trials, system.activity(states.means))

    def reconstruct(self, X: TrialsLike) -> Activity:
        """Run from the first state, inferred from the whole trial, without noise.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays \
                of shape (n_timepoints_i, n_neurons), or TrialSet
            Trials of the neurons that `fit` had, of any lengths, NaN where missing.

        Returns
        -------
        array of the shape of X, or list of arrays, or DataArray where X is one
            Expected recordings, also where X has gaps; NaN after a trial's end.
        """
        trials = self._trials(X)
        with few_threads(trials.n_neurons):
            return _like(X, trials, self._free_runs(_read(trials)))

    @overload
    def forecast(
        self, X: TrialsLike, n_steps: int, *, return_std: Literal[False] = ...
    ) -> np.ndarray: ...

    @overload
    def forecast(
        self, X: TrialsLike, n_steps: int, *, return_std: Literal[True]
    ) -> tuple[np.ndarray, np.ndarray]: ...

    def forecast(
        self,
        X: TrialsLike,
        n_steps: int,
        *,
        return_std: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Continue trials: infer the last state from what is given, then run on.

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

        Returns
        -------
        mean : array of shape (n_trials, n_steps, n_neurons)
            Expected recordings at the new time points; 2-D where X is. Of a DataArray
            one, whose times go on from those of X.
        std : array of the same shape
            Only with `return_std`: standard deviations of recordings there, from the
            uncertainty of the last state, the noise of each step and that of the
            recordings. In data units.
        """
        trials, system = self._trials(X), self._system
        check_integer("n_steps", n_steps, 1)
        with few_threads(trials.n_neurons):
            recording = _gapped(_read(trials))
            states = _kalman.filtered(system, recording)[0]
            last = trials.lengths - 1
            z = states.means[np.arange(len(trials)), last]
            mean = system.activity(system.run(z, n_steps + 1)[:, 1:])
            if not return_std:
                return _ahead(X, trials, mean)
            cov = states.covs[recording.pattern, last]
            std = np.empty_like(mean)
            for step in range(n_steps):
                cov = system.next_cov(cov)
                variance = ((system.C @ cov) * system.C).sum(-1) + system.R
                std[:, step] = np.sqrt(variance)
        return _ahead(X, trials, mean), _ahead(X, trials, std)

    def score(self, X: TrialsLike, y: object = None) -> float:
        """R^2 of the free runs of `reconstruct`.

        `1 - SSE / SST`, pooled over trials, time and neurons, SST about each neuron's
        mean over these trials. Bins that are missing do not count. What is scored are
        recordings: with noise no model reaches 1.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays \
                of shape (n_timepoints_i, n_neurons), or TrialSet
            Trials of the neurons that `fit` had, of any lengths, NaN where missing.
        y : None
            Ignored.

        Returns
        -------
        float
            1 for a perfect prediction, 0 for each neuron's mean.
        """
        trials = self._trials(X)
        sums = R2Sums(trials.n_neurons)
        block = _read(trials)
        with few_threads(trials.n_neurons):
            sums.add(block.values, self._free_runs(block), block.recorded)
        return sums.r2()

    def log_likelihood(self, X: TrialsLike) -> float:
        """Log likelihood of trials, each by itself, summed over them.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays \
                of shape (n_timepoints_i, n_neurons), or TrialSet
            Trials of the neurons that `fit` had, of any lengths, NaN where missing.

        Returns
        -------
        float
            In nats: the logarithm of the density of all recorded values.
        """
        trials = self._trials(X)
        with few_threads(trials.n_neurons):
            return _kalman.log_likelihood(self._system, _gapped(_read(trials)))

    # ------------------------------------------------------------------------- helpers

    @property
    def _system(self) -> System:
        return System(
            A=self.transition_,
            b=self.drift_,
            C=self.loading_,
            d=self.offset_,
            Q=self.step_cov_,
            R=self.noise_variance_,
            first_mean=self.first_mean_,
            first_cov=self.first_cov_,
        )

    def _trials(self, X: TrialsLike) -> Trials:
        check_is_fitted(self)
        return check_trials(self, X, reset=False)[0]

    def _free_runs(self, block: Block) -> np.ndarray:
        """Expected recordings of runs from the smoothed first state."""
        states = _kalman.smoothed(self._system, _gapped(block))[0]
        run = self._system.run(states.means[:, 0], block.values.shape[1])
        return self._system.activity(run)


def _read(trials: Trials) -> Block:
    """All trials, in their order."""
    return trials.read(np.arange(len(trials)))


def _gapped(block: Block) -> GappedTrials:
    return GappedTrials(block.values, block.recorded)


def _like(X: TrialsLike, trials: Trials, activity: np.ndarray) -> Activity:
    """Activity (n_trials, n_timepoints, n_neurons) in the form of X, NaN after ends."""
    out = trials.blank()
    for trial, values, length in zip(out, activity, trials.lengths, strict=True):
        trial[:length] = values[:length]
    return in_form_of(X, out)


def _ahead(X: TrialsLike, trials: Trials, values: np.ndarray) -> np.ndarray:
    """Values at the time points after those of X, labelled as X is."""
    values = values.astype(trials.dtype, copy=False)
    return values[..., 0] if is_2d(X) else ahead_of(X, values)
