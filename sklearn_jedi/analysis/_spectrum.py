"""Spectra of networks: of the weights, or of the dynamics linearised at states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._forms import TrialsLike, labels_given, recorded_trials
from sklearn_jedi._networks._low_rank_rnn import LowRankRNN
from sklearn_jedi._utils._checks import check_choice, check_integer
from sklearn_jedi._utils._types import RandomState
from sklearn_jedi.analysis._modes import Spectrum, spectrum_at
from sklearn_jedi.analysis._reduced import (
    Networks,
    ReducedDynamics,
    check_networks,
    check_states,
)

__all__ = ["SpectrumAnalyzer", "SpectrumIntervals"]

_SUMMARIES = (
    "spectral_abscissa",
    "spectral_radius",
    "distance_to_edge",
    "numerical_abscissa",
    "henrici",
)


class TrialEstimator(Protocol):
    """What fits trials, and knows the networks of their embeddings."""

    observation_: str

    def fit(
        self,
        X: TrialsLike,
        y: object = ...,
        *,
        conditions: ArrayLike | None = ...,
        sessions: ArrayLike | None = ...,
    ) -> Self: ...

    def transform(
        self,
        X: TrialsLike,
        *,
        conditions: ArrayLike | None = ...,
        sessions: ArrayLike | None = ...,
    ) -> np.ndarray: ...

    def embedding_posterior(
        self,
        X: TrialsLike,
        *,
        conditions: ArrayLike | None = ...,
        sessions: ArrayLike | None = ...,
    ) -> tuple[np.ndarray, np.ndarray]: ...

    def dynamics(self, Z: ArrayLike) -> Networks: ...


class SpectrumIntervals(NamedTuple):
    """What the posterior of the embeddings says about spectra.

    Attributes
    ----------
    eigenvalues : complex array of shape (n_trials, n_draws, rank)
        Eigenvalues of networks drawn from the posterior of each trial, in the order of
        those at its most probable embedding. With ``kind="jacobian"`` those at
        the first state.
    features : array of shape (n_trials, n_features, 2)
        Lower and upper ends of the credible intervals of what `transform` returns.
    """

    eigenvalues: np.ndarray
    features: np.ndarray


class SpectrumAnalyzer(TransformerMixin, BaseEstimator):
    r"""Eigenvalues of networks as growth rates (1/s) and frequencies (Hz).

    The nonzero eigenvalues `lambda` of `J D`, `D = diag(phi'(r))`, are those of the
    `rank` x `rank` matrix `V^T D U`. One step of the map multiplies their modes by
    `mu = 1 + (dt/tau) (lambda - 1)`: growth rate `log|mu| / dt`, frequency
    `angle(mu) / (2 pi dt)`, stable if `|mu| < 1`. The flow has `(lambda - 1) / tau`.
    The other `n_neurons - rank` modes have `lambda = 0`. They are not listed, but
    abscissas, radii and the distance to the edge include them. For latent dynamics read
    "number of latents" for rank; there are no other modes.

    Parameters
    ----------
    kind : {"connectivity", "jacobian"}, default="connectivity"
        "connectivity": the spectrum of `J`, which is that of the dynamics where every
        slope `phi'` is 1. "jacobian": of the dynamics linearised at each of the
        `states`, such as fixed points or a trajectory; with an estimator, along the
        trials' free runs.
    time : {"map", "flow"}, default="map"
        Whether rates, frequencies and stability are those of the map, which is what was
        fitted, or of the flow.
    estimator : JEDIEstimator or MetaDynamicalSSM, default=None
        With it, `fit` and `transform` take trials: a clone of it is fitted, and the
        spectra are those of the trials' networks.

    Attributes
    ----------
    eigenvalues_ : complex array of shape (n_networks, rank)
        "connectivity": of `J`. "jacobian": of the Jacobian of the map (no unit) or of
        the flow (1/s), of shape (n_networks, n_states, rank), or a list of arrays where
        networks have different numbers of states. The least stable first.
    rates_ : array of the shape of `eigenvalues_`
        Growth rates of the modes in 1/s; negative: they decay.
    frequencies_ : array of the shape of `eigenvalues_`
        In Hz; positive and negative for a complex pair.
    time_constants_ : array of the shape of `eigenvalues_`
        `-1 / rates_` in s; negative: the mode grows.
    spectral_abscissa_, spectral_radius_ : arrays of shape (n_networks,)
        Largest real part and largest magnitude of all eigenvalues of the matrix;
        (n_networks, n_states) or a list for "jacobian", and so are the following.
    distance_to_edge_ : array of shape (n_networks,)
        Minus the largest growth rate, in 1/s: negative beyond the edge of stability.
    numerical_abscissa_ : array of shape (n_networks,)
        Largest eigenvalue of the matrix's symmetric part [1]_: for the flow the fastest
        growth that any perturbation can have at first, in 1/s.
    henrici_ : array of shape (n_networks,)
        Henrici's departure from normality of `J D` [1]_ over its Frobenius norm, from 0
        (normal) to 1 (nilpotent). Of latent dynamics, of the matrix `W^T D P` that acts
        on the latents.
    networks_ : LowRankRNN or LatentDynamics
        The networks analysed.
    estimator_ : JEDIEstimator or MetaDynamicalSSM
        The clone that was fitted, where an estimator was given.

    Raises
    ------
    TypeError, ValueError
        If X holds no networks (or, with an estimator, no trials), or `states` are
        missing or do not fit.

    See Also
    --------
    sklearn_jedi.metrics.spectral_distance : Distance of two spectra.

    References
    ----------
    .. [1] Trefethen and Embree, "Spectra and pseudospectra" (2005), chapters 14, 48.

    Examples
    --------
    >>> from sklearn_jedi.analysis import SpectrumAnalyzer
    >>> from sklearn_jedi.datasets import make_rotation_family
    >>> _, _, networks = make_rotation_family(1, frequencies=(1, 3), random_state=0)
    >>> spectra = SpectrumAnalyzer().fit(networks)
    >>> spectra.eigenvalues_.round(2).tolist()
    [[(1.62+1.04j), (1.62-1.04j)], [(1.36+3.09j), (1.36-3.09j)]]
    >>> spectra.get_feature_names_out()[:4].tolist()
    ['rate_0', 'rate_1', 'frequency_0', 'frequency_1']
    """

    def __init__(
        self,
        kind: str = "connectivity",
        *,
        time: str = "map",
        estimator: TrialEstimator | None = None,
    ) -> None:
        self.kind = kind
        self.time = time
        self.estimator = estimator

    def fit(
        self,
        X: Networks | TrialsLike,
        y: object = None,
        *,
        states: ArrayLike | None = None,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> Self:
        """Compute the spectra of networks, or fit the estimator and then do.

        Parameters
        ----------
        X : LowRankRNN or LatentDynamics, or trials where there is an estimator
            Trials in any form that the estimator takes.
        y : None
            Ignored, but for being passed to the estimator.
        states : array-like of shape (n_networks, n_states, n_neurons) or list of \
                arrays of shape (n_states_i, n_neurons), default=None
            Where to linearise, in rates (in latents, of latent dynamics); for
            ``kind="jacobian"`` without an estimator.
        conditions, sessions : array-like of shape (n_trials,), default=None
            Labels of the trials, for the estimator.

        Returns
        -------
        SpectrumAnalyzer
            Itself.
        """
        check_choice("kind", self.kind, ("connectivity", "jacobian"))
        check_choice("time", self.time, ("map", "flow"))
        labels = labels_given(conditions=conditions, sessions=sessions)
        if self.estimator is not None:
            self.estimator_ = clone(self.estimator).fit(_trials(X), y, **labels)
        self.networks_, at = self._networks(X, states, labels)
        self._n_modes = self.networks_.n_dims
        spectra = self._spectra(self.networks_, at)
        for name in Spectrum._fields:
            setattr(self, f"{name}_", self._of_networks(spectra, name))
        self.time_constants_ = _each(_time_constants, self.rates_)
        return self

    def fit_transform(
        self,
        X: Networks | TrialsLike,
        y: object = None,
        *,
        states: ArrayLike | None = None,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> np.ndarray:
        """Fit, and return the features of the same networks.

        Parameters
        ----------
        X, y, states, conditions, sessions
            As in `fit`.

        Returns
        -------
        array of shape (n_networks, n_features)
            What `transform` returns.
        """
        labels = labels_given(conditions=conditions, sessions=sessions)
        return self.fit(X, y, states=states, **labels).transform(
            X, states=states, **labels
        )

    def transform(
        self,
        X: Networks | TrialsLike,
        *,
        states: ArrayLike | None = None,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> np.ndarray:
        """Features of the spectra of networks, or of trials' networks.

        Parameters
        ----------
        X, states, conditions, sessions
            As in `fit`.

        Returns
        -------
        array of shape (n_networks, n_features)
            Rates (1/s) and magnitudes of frequencies (Hz) of all modes, the least
            stable first, spectral abscissa and radius, distance to the edge, numerical
            abscissa and Henrici's departure; means over the states for "jacobian".
        """
        check_is_fitted(self)
        labels = labels_given(conditions=conditions, sessions=sessions)
        networks, at = self._networks(X, states, labels)
        if networks.n_dims != self._n_modes:
            raise ValueError(
                f"the networks have rank {networks.n_dims}, those of fit had rank "
                f"{self._n_modes}: features would not match"
            )
        return self._features(self._spectra(networks, at))

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        array of str of shape (n_features,)
        """
        check_is_fitted(self)
        modes = range(self._n_modes)
        names = [f"rate_{k}" for k in modes] + [f"frequency_{k}" for k in modes]
        return np.array([*names, *_SUMMARIES], dtype=object)

    def credible_intervals(
        self,
        X: TrialsLike,
        *,
        n_draws: int = 200,
        level: float = 0.9,
        random_state: RandomState = None,
        conditions: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> SpectrumIntervals:
        """How well a trial's embedding determines the spectrum of its network.

        Networks are drawn from the posterior of each trial's embedding, given the
        fitted map from embeddings to networks. The intervals therefore say how trials
        compare with each other, not how near the spectra are to those of the network
        that was recorded: errors of the map are common to all trials, and can be
        several times larger.

        Parameters
        ----------
        X : trials
            In any form that the estimator takes.
        n_draws : int, default=200
            Draws for each trial.
        level : float, default=0.9
            Share of the draws within an interval.
        random_state : int, RandomState instance or None, default=None
            Draws the embeddings.
        conditions, sessions : array-like of shape (n_trials,), default=None
            Labels of the trials, for the estimator.

        Returns
        -------
        SpectrumIntervals
        """
        check_is_fitted(self)
        check_integer("n_draws", n_draws, 2)
        if not 0 < level < 1:
            raise ValueError(f"level must be between 0 and 1; got {level}")
        if self.estimator is None:
            raise ValueError(
                "credible intervals need the posterior of embeddings: use "
                "SpectrumAnalyzer(estimator=JEDIEstimator(...)), fitted on trials"
            )
        rng = check_random_state(random_state)
        labels = labels_given(conditions=conditions, sessions=sessions)
        means, covariances = self.estimator_.embedding_posterior(X, **labels)
        runs = None
        if self.kind == "jacobian":
            runs = self._free_runs(self.estimator_.dynamics(means), X, labels)
        n_trials, n_axes = means.shape
        eigenvalues = np.empty((n_trials, n_draws, self._n_modes), dtype=complex)
        ends = []
        for k in range(n_trials):
            root = np.linalg.cholesky(covariances[k] + 1e-12 * np.eye(n_axes))
            draws = means[k] + rng.standard_normal((n_draws, n_axes)) @ root.T
            networks = self.estimator_.dynamics(np.vstack([means[k], draws]))
            at = None
            if runs is not None:
                at = list(networks.simulate(runs[k][0], len(runs[k])))
            spectra = self._spectra(networks, at)
            own = spectra[0].eigenvalues[0]
            for draw, spectrum in enumerate(spectra[1:]):
                values = spectrum.eigenvalues[0]
                cost = np.abs(own[:, None] - values)
                eigenvalues[k, draw] = values[linear_sum_assignment(cost)[1]]
            tails = [(1 - level) / 2, (1 + level) / 2]
            ends.append(np.quantile(self._features(spectra[1:]), tails, axis=0).T)
        return SpectrumIntervals(eigenvalues, np.array(ends))

    # ---------------------------------------------------------------- in private

    def _networks(
        self,
        X: Networks | TrialsLike,
        states: ArrayLike | None,
        labels: dict[str, ArrayLike],
    ) -> tuple[Networks, list[np.ndarray] | None]:
        """The networks to analyse, and where; None for the weights themselves."""
        if states is not None and self.kind == "connectivity":
            raise ValueError(
                'states are where kind="jacobian" linearises; the weights have none'
            )
        if self.estimator is None:
            if labels:
                raise ValueError(
                    f"{' and '.join(labels)} are labels of trials, for an estimator; "
                    "SpectrumAnalyzer() without one takes networks"
                )
            networks = check_networks(X)
            if self.kind == "connectivity":
                return networks, None
            if states is None:
                raise ValueError(
                    'kind="jacobian" needs states: where to linearise each network, '
                    "such as FixedPointAnalyzer().fit(networks).fixed_points_"
                )
            return networks, _states_of_each(networks, states)
        if states is not None:
            raise ValueError(
                "states are the trials' free runs where there is an estimator; pass "
                "networks, and no estimator, to choose them"
            )
        X = _trials(X)
        networks = self.estimator_.dynamics(self.estimator_.transform(X, **labels))
        if self.kind == "connectivity":
            return networks, None
        return networks, self._free_runs(networks, X, labels)

    def _free_runs(
        self, networks: Networks, X: TrialsLike, labels: dict[str, ArrayLike]
    ) -> list[np.ndarray]:
        """Free run of each trial (n_timepoints_i, n_neurons), as long as the trial."""
        if not isinstance(networks, LowRankRNN):
            raise ValueError(
                'kind="jacobian" has no free runs of latents: leave the estimator out, '
                "and pass the networks of its `dynamics`, with latents as states"
            )
        starts = self.estimator_.initial_states(X, **labels)
        runs = []
        for k, trial in enumerate(recorded_trials(X)):
            first = 0
            if self.estimator_.observation_ == "state":  # the first bin that is whole
                first = int(np.isnan(trial).any(axis=1).argmin())
            runs.append(networks[k].simulate(starts[k], len(trial) - first)[0])
        return runs

    def _spectra(
        self, networks: Networks, at: list[np.ndarray] | None
    ) -> list[Spectrum]:
        """The spectrum of every network at its states."""
        system = ReducedDynamics(networks)
        if at is None:
            slopes = np.ones((len(networks), 1, system.A.shape[-2]))
            batch = spectrum_at(system, slopes, self.kind, self.time)
            return [Spectrum(*of_one) for of_one in zip(*batch, strict=True)]
        return [
            spectrum_at(system[k], networks.phi_slope(at[k]), self.kind, self.time)
            for k in range(len(networks))
        ]

    def _of_networks(
        self, spectra: list[Spectrum], name: str
    ) -> np.ndarray | list[np.ndarray]:
        """One quantity of all networks: an array where they have as many states."""
        values = [getattr(spectrum, name) for spectrum in spectra]
        if self.kind == "connectivity":
            return np.concatenate(values)
        same = len({len(value) for value in values}) == 1
        return np.stack(values) if same else values

    def _features(self, spectra: Sequence[Spectrum]) -> np.ndarray:
        rows = []
        for spectrum in spectra:
            summaries = [getattr(spectrum, name)[:, None] for name in _SUMMARIES]
            parts = [spectrum.rates, np.abs(spectrum.frequencies), *summaries]
            table = np.concatenate(parts, axis=1)
            if not len(table):
                raise ValueError(
                    "a network without states has no features: leave it out, or "
                    "linearise it elsewhere"
                )
            rows.append(table.mean(axis=0))
        return np.array(rows)


def _trials(X: Networks | TrialsLike) -> TrialsLike:
    if isinstance(X, Networks):
        raise TypeError(
            "with an estimator, X holds trials; to analyse networks leave the "
            "estimator out"
        )
    return X


def _states_of_each(networks: Networks, states: ArrayLike) -> list[np.ndarray]:
    """States of every network, of any numbers: (n_states_i, state_dim) each."""
    each = states if isinstance(states, Sequence) else None
    if each is None or all(np.ndim(one) < 2 for one in each):
        return list(check_states(networks, states))
    want = f"{len(networks)} arrays of shape (n_states_i, {networks.state_dim})"
    arrays = [np.asarray(one, dtype=float) for one in each]
    shapes = [array.shape for array in arrays]
    if len(arrays) != len(networks) or any(
        len(shape) != 2 or shape[1] != networks.state_dim for shape in shapes
    ):
        raise ValueError(f"states must be {want}, one for each network; got {shapes}")
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("states contains NaN or infinity")
    return arrays


def _time_constants(rates: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        times: np.ndarray = -1 / rates
    return times


def _each(
    function: Callable[[np.ndarray], np.ndarray], values: np.ndarray | list[np.ndarray]
) -> np.ndarray | list[np.ndarray]:
    """A function of an array, or of each array of a list."""
    if isinstance(values, list):
        return [function(value) for value in values]
    return function(values)
