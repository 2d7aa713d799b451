"""The fitted model of activity that is the state of the network itself."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._data._units import Scaling
from sklearn_jedi._engine import _bilinear_em, _moments
from sklearn_jedi._engine._reduction import Basis, Reduction, Rows
from sklearn_jedi._engine._settings import Settings
from sklearn_jedi._models._embedding_inflation import (
    between_alike,
    between_halves,
    inflated,
    inflation_of,
)
from sklearn_jedi._models._error_sizes import find_error_sizes
from sklearn_jedi._models._forecast_errors import ErrorSizes, Runs, error_variance
from sklearn_jedi._models._free_run_posterior import (
    PathNoise,
    infer_embeddings,
    path_noise,
)
from sklearn_jedi._models._model import Forecast, Model, Posterior
from sklearn_jedi._networks._equation import Equation

if TYPE_CHECKING:
    from sklearn_jedi._training._free_runs import EmbeddedNetwork

# Free runs that embeddings are inferred from, in time constants: longer ones predict
# whole trials slightly better, shorter ones tell embeddings apart more sharply.
_HORIZON_IN_TAU = 5
# Trials that the noise of trained free runs is estimated from.
_NOISE_TRIALS = 512
# Moments of all trials are kept in memory up to so many bytes; EM starts on a part
# that fits, and ends with passes over all trials.
_MOMENT_BYTES = 2**24
_LEAST_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class ObservedModel(Model):
    """Recorded activity is the state of the network's units.

    Attributes
    ----------
    step_variance : array of shape (n_neurons,)
        Variance of the errors of one-step predictions, in squared network units.
    path_noise : PathNoise or None
        Of the trained network's free runs.
    errors : ErrorSizes
        Of forecasts.
    """

    step_variance: np.ndarray = field(default_factory=lambda: np.zeros(0))
    path_noise: PathNoise | None = None
    errors: ErrorSizes = field(default_factory=ErrorSizes.of_steps)

    def prepare(self, trials: Trials, first_whole: np.ndarray) -> Trials:
        return state_trials(trials, self.scaling, first_whole)

    def noise_variance(self) -> np.ndarray:
        result: np.ndarray = self.step_variance * self.scaling.scale**2
        return result

    @property
    def rest_variance(self) -> np.ndarray:
        """Step noise (n_neurons,) outside the span of `P`, in squared network units."""
        P = self.basis.P
        within = np.einsum("nr,rs,ns->n", P, self.step_cov, P)
        result: np.ndarray = np.maximum(self.step_variance - within, 0.0)
        return result

    def infer(self, block: Block) -> Posterior:
        """Posterior of the embeddings of a block of trials.

        In closed form under EM's affine map; from there by Levenberg-Marquardt where
        training changed the network.
        """
        moments = _moments.block_moments(block, self.reduction, self.settings.window)
        mean, cov = _bilinear_em.posterior(moments, self.bilinear)
        converged = np.ones(len(mean), dtype=bool)
        if self.hypernetwork is not None and self.path_noise is not None:
            mean, cov, converged = infer_embeddings(
                self.reduction, self.hypernetwork, self.path_noise, block, mean
            )
        cov = inflated(cov, self.embedding_inflation)
        last = block.last_bins()

        def activity() -> np.ndarray:
            if block.recorded is None:
                return block.values
            n_steps = block.values.shape[1] - 1
            later = self.run(mean[block.group], block.values[:, 0], n_steps)
            runs = np.concatenate([block.values[:, :1], later], 1)
            return np.where(block.recorded, block.values, runs)

        return Posterior(
            mean,
            cov,
            converged,
            block.values[:, 0],
            block.values[np.arange(len(last)), last],
            block.lengths - 1 - last,
            activity,
            lambda: np.zeros(1),
        )

    def ahead(
        self, block: Block, found: Posterior, n_steps: int, *, with_std: bool
    ) -> Forecast:
        """The run from the mode, and errors as large as those of training trials."""
        run = self.run(found.mean[block.group], found.last, n_steps)
        if not with_std:
            return Forecast(self.expected(run), None)
        variance = error_variance(self, Runs.of(self, found, block.group), run)
        std = np.sqrt(variance) * self.scaling.scale
        return Forecast(self.expected(run), std)


def state_trials(trials: Trials, scaling: Scaling, first_whole: np.ndarray) -> Trials:
    """Trials for `ObservedModel`: network units, from the first whole bin on.

    Raises
    ------
    ValueError
        If a trial has no bin in which all neurons were recorded.
    """
    if (first_whole < 0).any():
        number = int(np.flatnonzero(first_whole < 0)[0])
        raise ValueError(
            f"trial {number} has no time point at which every neuron was recorded, "
            'which observation="state" needs; use observation="gaussian"'
        )
    return trials.in_units(scaling).starting_at(first_whole)


def fit_closed_form(
    trials: Trials,
    scaling: Scaling,
    settings: Settings,
    basis: Basis,
    embedding_dim: int,
    nonlinearity: str,
    tau: float,
    dt: float,
) -> ObservedModel:
    """Closed-form start and EM on trials in network units."""
    red = Reduction.of(basis, Equation.of(tau, dt, nonlinearity, settings.gain))

    def moments(of: Trials) -> Iterator[_moments.Moments]:
        for block in of.blocks():
            yield _moments.block_moments(block, red, settings.window)

    n_rows = Rows.count(basis.Q.shape[1])
    at_once = max(_MOMENT_BYTES // (8 * n_rows**2), _LEAST_AT_ONCE)
    head = _moments.concatenate(list(moments(trials.sample(at_once))))
    if not head.n_windows.any():
        raise ValueError(
            f"no trial has {settings.window + 1} time points in a row at which every "
            'neuron was recorded; use observation="gaussian", or a smaller window'
        )
    block = trials.sample_block(_NOISE_TRIALS)
    drives, features = red.project(block.values)
    window = min(settings.window, drives.shape[1])
    bilinear = _bilinear_em.fit_bilinear(
        head,
        embedding_dim,
        ridge=settings.ridge,
        inflation=_bilinear_em.step_inflation(drives, features, window, block.steps),
        everything=(lambda: moments(trials)) if len(trials) > at_once else None,
    )
    rank = basis.P.shape[1]
    return ObservedModel(
        scaling=scaling,
        settings=settings,
        basis=basis,
        bilinear=bilinear,
        nonlinearity=nonlinearity,
        tau=tau,
        dt=dt,
        step_cov=np.zeros((rank, rank)),
    )


def with_training(
    model: ObservedModel, module: EmbeddedNetwork, trials: Trials
) -> ObservedModel:
    """The model with a trained hypernetwork, and the noise of its free runs.

    Parameters
    ----------
    module : EmbeddedNetwork
        Trained, on the CPU.
    trials : Trials
        Training trials in network units.
    """
    double = copy.deepcopy(module).double()
    double.requires_grad_(False)
    hypernetwork, embeddings = double.hypernetwork, double.embeddings.numpy()
    block = trials.sample_block(_NOISE_TRIALS)
    horizon = min(
        trials.n_timepoints - 1, round(_HORIZON_IN_TAU / model.equation.alpha)
    )
    noise = path_noise(
        model.reduction, hypernetwork, block, embeddings[block.labels], horizon
    )
    return replace(model, hypernetwork=hypernetwork, path_noise=noise)


def with_uncertainty(
    model: ObservedModel,
    trials: Trials,
    embeddings: np.ndarray,
    cov: np.ndarray,
    alike: np.ndarray | None = None,
) -> ObservedModel:
    """The model with what training trials tell of its errors.

    These are the noise of its one-step predictions, the width of the posterior of
    embeddings and the errors of forecasts.

    Parameters
    ----------
    trials : Trials
        Training trials in network units.
    embeddings, cov : arrays of shape (n_trials, d), (n_trials, d, d)
        Of their posterior.
    alike : int array of shape (n_trials,), default=None
        Trials with the same number should have the same network.
    """
    model = _with_step_noise(model, trials, embeddings)
    inflation = inflation_of(*between_halves(model.infer, trials))
    if alike is not None:
        pairs = between_alike(embeddings, cov, alike)
        inflation = max(inflation, inflation_of(*pairs))
    model = replace(model, embedding_inflation=inflation)
    return replace(model, errors=find_error_sizes(model, trials))


def _with_step_noise(
    model: ObservedModel, trials: Trials, embeddings: np.ndarray
) -> ObservedModel:
    """The model with the noise of its one-step predictions."""
    basis, red, step = model.basis, model.reduction, model.equation.step
    variance, count = np.zeros(trials.n_neurons), 0
    cov = np.zeros_like(model.step_cov)
    for block in trials.blocks():
        drives, features = red.project(block.values)
        drive = features @ model.weights(embeddings[block.numbers])
        steps = block.steps
        within = step(0.0, (drives - drive)[steps])
        X = block.values
        mean = X[:, 1:] - step(X[:, :-1], basis.drive_mean)
        error = mean[steps] - step(0.0, drive[steps]) @ basis.P.T
        variance += np.einsum("sk,sk->k", error, error)
        cov += within.T @ within
        count += len(error)
    count = max(count, 1)
    return replace(model, step_variance=variance / count, step_cov=cov / count)
