"""Checks of the parameters of estimators."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.utils import check_random_state

from sklearn_jedi._engine._likelihoods import LIKELIHOODS
from sklearn_jedi._networks._nonlinearities import get_nonlinearity
from sklearn_jedi._utils._checks import (
    check_choice,
    check_integer,
    check_real,
    check_sequence,
)

OBSERVATIONS = ("auto", "state", *LIKELIHOODS)


def check_parameters(estimator: Any, n_timepoints: int) -> None:
    """Check the parameters of a `JEDIEstimator`, for trials of `n_timepoints`.

    Raises
    ------
    ValueError, TypeError
        If a parameter cannot be used; the message names it and says what can.
    """
    check_integer("rank", estimator.rank, 1, none=True)
    check_integer("embedding_dim", estimator.embedding_dim, 1)
    check_integer("verbose", estimator.verbose, 0)
    check_real("gain", estimator.gain, auto=True)
    check_real("ridge", estimator.ridge, positive=False, auto=True)
    get_nonlinearity(estimator.nonlinearity)
    _check_times(estimator)
    steps = n_timepoints - 1
    if estimator.observation not in OBSERVATIONS:
        raise ValueError(
            f"observation must be one of {OBSERVATIONS}; got {estimator.observation!r}"
        )
    if estimator.window != "auto":
        check_integer("window", estimator.window, 1, auto=True)
        if int(estimator.window) > steps:
            raise ValueError(
                f"window={estimator.window} exceeds the {steps} steps of a trial of "
                f"{n_timepoints} time points"
            )
    _check_training(estimator)


def check_meta_parameters(estimator: Any) -> None:
    """Check the parameters of a `MetaDynamicalSSM`.

    Raises
    ------
    ValueError, TypeError
        If a parameter cannot be used; the message names it and says what can.
    """
    for name in ("n_latents", "embedding_dim"):
        check_integer(name, getattr(estimator, name), 1)
    check_integer("rank", estimator.rank, 1, none=True)
    check_integer("verbose", estimator.verbose, 0)
    check_integer("n_units", estimator.n_units, estimator.n_latents, none=True)
    check_choice("embedding", estimator.embedding, ("session", "trial"))
    check_choice("likelihood", estimator.likelihood, ("gaussian", "poisson"))
    check_real("gain", estimator.gain, auto=True)
    check_real("ridge", estimator.ridge, positive=False, auto=True)
    _check_times(estimator)
    _check_training(estimator)


def _check_training(estimator: Any) -> None:
    check_integer("max_epochs", estimator.max_epochs, 0)
    check_integer("batch_size", estimator.batch_size, 1)
    check_sequence("hidden_layer_sizes", estimator.hidden_layer_sizes, "(64, 64)")
    for size in estimator.hidden_layer_sizes:
        check_integer("hidden_layer_sizes", size, 1)
    if estimator.callbacks is not None:
        check_sequence("callbacks", estimator.callbacks, "[EarlyStopping()]")
    check_random_state(estimator.random_state)
    kind, _, number = str(estimator.device).partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise ValueError(
            f'device must be "cpu", "cuda" or "cuda:N"; got {estimator.device!r}'
        )
    if estimator.max_epochs > 0 and kind == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ValueError(
                f"device={estimator.device!r} was asked for, but torch finds no GPU; "
                'use device="cpu"'
            )


def _check_times(estimator: Any) -> None:
    check_real("dt", estimator.dt)
    check_real("tau", estimator.tau)
    dt, tau = estimator.dt, estimator.tau
    if dt > 1:
        warnings.warn(
            f"dt={dt} is read as {dt} s; for {dt} ms pass {dt / 1000:g}",
            UserWarning,
            stacklevel=5,
        )
    if dt > tau:
        raise ValueError(
            f"dt must not exceed tau; got dt={dt} s and tau={tau} s. "
            "Both are in seconds: 10 ms is 0.01"
        )
