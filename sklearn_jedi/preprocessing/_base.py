"""What the steps share: trials in, trials of the same kind out."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._set_output import _wrap_data_with_container
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._data._forms import TrialsLike, entries_of, is_2d, is_trial_set
from sklearn_jedi._data._gate import Summary, check_trials
from sklearn_jedi._data._labelled_arrays import in_order, is_labelled, like
from sklearn_jedi._data._time_step import choose_dt, warn_of_other_dt
from sklearn_jedi._data._trials import Block, Trials
from sklearn_jedi._utils._warnings import warn_user

# What comes out of a step is of the kind of what went in.
SameForm = TypeVar("SameForm", bound=TrialsLike)

# Spikes per second that no neuron keeps up over a recording.
_IMPLAUSIBLE_RATE = 1000


class TrialStep(
    ABC,
    OneToOneFeatureMixin,
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]  # scikit-learn has no types
):
    """A transformer from trials to trials.

    scikit-learn's wrapping of methods is off, because it would make a data frame of
    three dimensions: `transform` calls for one itself, where X has two.

    Steps with a parameter `dt` get `dt_` in `fit`.
    """

    n_neurons_in_: int
    n_timepoints_in_: int | np.ndarray
    neuron_names_in_: np.ndarray
    dt_: float

    # Whether dt=1 says that X is in spikes per second, whatever its time step is.
    _takes_rates: ClassVar[bool] = False

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: TrialsLike, y: object = None) -> Self:
        """Check the parameters and the trials, and learn what has to be learned.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays of \
                shape (n_timepoints_i, n_neurons), or TrialSet
            NaN where nothing was recorded. A 2-D array is trials x time of one neuron.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        self._check_parameters()
        trials, summary = check_trials(self, X, reset=True)
        if hasattr(self, "dt"):
            self.dt_ = 1.0 if self._in_rates(self.dt) else choose_dt(self.dt, X)
        self._learn(trials, summary)
        return self

    def transform(self, X: SameForm) -> SameForm:
        """Transform trials, each by itself.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays of \
                shape (n_timepoints_i, n_neurons), or TrialSet
            Trials of the neurons of `fit`, of any lengths; NaN where nothing was
            recorded.

        Returns
        -------
        array, list of arrays or of DataFrames, DataArray or TrialSet
            As X is: float32 where X is, otherwise float64, and NaN where X is. Of 2-D
            X a data frame where `set_output` asks for it.
        """
        check_is_fitted(self)
        if hasattr(self, "dt_") and not self._in_rates(self.dt_):
            warn_of_other_dt(self.dt_, X, type(self).__name__)
        return self._transformed(X)

    def fit_transform(self, X: SameForm, y: object = None) -> SameForm:
        """Fit to trials and transform them.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays of \
                shape (n_timepoints_i, n_neurons), or TrialSet
        y : None
            Ignored.

        Returns
        -------
        array, list of arrays or of DataFrames, DataArray or TrialSet
            ``fit(X).transform(X)``.
        """
        return self.fit(X, y)._transformed(X)

    def _in_rates(self, dt: float | str) -> bool:
        return self._takes_rates and dt == 1

    def _transformed(self, X: SameForm) -> SameForm:
        trials, _ = check_trials(self, X, reset=False)
        out = self._mapped(X, trials, self._forward)
        if getattr(out, "ndim", 0) != 2:
            return out
        framed: SameForm = _wrap_data_with_container("transform", out, X, self)
        return framed

    @abstractmethod
    def _check_parameters(self) -> None:
        """Raise where a parameter cannot be used."""

    @abstractmethod
    def _learn(self, trials: Trials, summary: Summary) -> None:
        """Set what `fit` learns besides sizes and names, or refuse the trials."""

    @abstractmethod
    def _forward(self, block: Block) -> np.ndarray:
        """Values of a block transformed; whatever where nothing was recorded."""

    def _neurons_out(self) -> np.ndarray:
        """Numbers of the neurons that come out."""
        return np.arange(self.n_neurons_in_)

    def _mapped(
        self, X: SameForm, trials: Trials, function: Callable[[Block], np.ndarray]
    ) -> SameForm:
        """Trials of the kind of X from a function of their blocks."""
        neurons, source = self._neurons_out(), trials.source
        if isinstance(source, list):
            shapes = [(len(trial), len(neurons)) for trial in source]
            out: Any = [np.full(shape, np.nan, trials.dtype) for shape in shapes]
        else:
            out = np.full((*source.shape[:2], len(neurons)), np.nan, trials.dtype)
        for block in trials.blocks():
            values = function(block)
            if block.recorded is not None:
                values = np.where(block.recorded[..., neurons], values, np.nan)
            for number, value, end in zip(
                block.numbers, values, block.lengths, strict=True
            ):
                out[number][:end] = value[:end]
        mapped: SameForm = like_trials(X, out, neurons)
        return mapped


def like_trials(X: Any, values: Any, neurons: np.ndarray) -> Any:
    """Values of some neurons, an array or a list, as trials of the kind of X."""
    if is_trial_set(X) and dataclasses.is_dataclass(X):
        inside = like_trials(X.X, values, neurons)
        return dataclasses.replace(X, X=inside, units=X.units.iloc[neurons])
    entries = entries_of(X)
    if entries is not None and not is_2d(X):
        trials = [
            _like_trial(x, z, neurons) for x, z in zip(entries, values, strict=True)
        ]
        if not hasattr(X, "iloc"):
            return trials
        column = X.iloc[:, 0] if hasattr(X, "columns") else X
        # a column of a table keeps the ids of its trials
        return type(column)(trials, index=column.index, name=column.name)
    if isinstance(values, list):
        return [_like_trial(x, z, neurons) for x, z in zip(X, values, strict=True)]
    if is_labelled(X) and X.ndim == 3:
        ordered: Any = in_order(X)
        chosen = ordered.isel({ordered.dims[2]: neurons}).transpose(*X.dims)
        return like(chosen, values)
    return like(X, values[..., 0]) if is_2d(X) else values


def _like_trial(trial: Any, values: np.ndarray, neurons: np.ndarray) -> Any:
    """Values (n_timepoints, n_neurons) labelled as one trial of a list is."""
    if is_labelled(trial):
        ordered: Any = in_order(trial, one_trial=True)
        return ordered[:, neurons].copy(data=values).transpose(*trial.dims)
    if hasattr(trial, "time_support"):
        return type(trial)(
            t=trial.t,
            d=values,
            time_support=trial.time_support,
            columns=np.asarray(trial.columns)[neurons],
        )
    if hasattr(trial, "iloc"):
        columns = trial.columns[neurons]
        return type(trial)(values, index=trial.index, columns=columns)
    if not hasattr(trial, "columns"):
        return values
    names = [trial.columns[neuron] for neuron in neurons]
    return type(trial)(values, schema=names, orient="row")


def check_not_negative(step: TrialStep, block: Block, why: str) -> None:
    """Refuse values below zero; say where the first is."""
    if (block.values >= 0).all():
        return
    trial, time, neuron = np.argwhere(block.values < 0)[0]
    raise ValueError(
        f"Negative values in data passed to {type(step).__name__}: "
        f"{block.values[trial, time, neuron]:.3g} in trial {block.numbers[trial]}, "
        f"time point {time}, neuron {neuron}. {why}"
    )


def warn_of_rates(step: TrialStep, mean: np.ndarray, dt: float) -> None:
    """Say where values can hardly be counts per bin of `dt`; called by `_learn`."""
    neuron = int(mean.argmax())
    if mean[neuron] > _IMPLAUSIBLE_RATE * dt:
        warn_user(
            f"{type(step).__name__} reads X as counts per bin of dt={dt:g} s, so that "
            f"neuron {neuron} would fire at {mean[neuron] / dt:.4g} spikes/s on "
            "average. Pass dt=1 if X is in spikes/s already; dt is in seconds"
        )
