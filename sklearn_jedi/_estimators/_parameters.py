"""Checks of the parameters of both estimators."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state

from sklearn_jedi._engine._likelihoods import LIKELIHOODS
from sklearn_jedi._networks._nonlinearities import get_nonlinearity
from sklearn_jedi._utils._checks import (
    check_choice,
    check_integer,
    check_real,
    check_sequence,
)
from sklearn_jedi._utils._warnings import warn_user

if TYPE_CHECKING:
    from sklearn_jedi._estimators._jedi import JEDIEstimator
    from sklearn_jedi._estimators._meta_ssm import MetaDynamicalSSM

# What recordings may be of the state of a network.
OBSERVATIONS = ("auto", "state", *LIKELIHOODS)
# Who may share an embedding.
_EMBEDDINGS = ("trial", "condition", "session")
_OF_TRAINING = ("hidden_layer_sizes", "device", "callbacks")


def check_parameters(estimator: JEDIEstimator, n_timepoints: int) -> None:
    """Check the parameters of a `JEDIEstimator`, for trials of `n_timepoints`.

    Raises
    ------
    ValueError, TypeError
        If a parameter cannot be used; the message names it and says what can.
    """
    check_integer("rank", estimator.rank, 1, none=True)
    get_nonlinearity(estimator.nonlinearity)
    _check_common(estimator)
    if estimator.start_smoothing != "auto":
        check_integer("start_smoothing", estimator.start_smoothing, 1, auto=True)
    if estimator.window != "auto":
        check_integer("window", estimator.window, 1, auto=True)
        steps = n_timepoints - 1
        if int(estimator.window) > steps:
            raise ValueError(
                f"window={estimator.window} exceeds the {steps} steps of a trial of "
                f"{n_timepoints} time points"
            )


def check_meta_parameters(estimator: MetaDynamicalSSM) -> None:
    """Check the parameters of a `MetaDynamicalSSM`.

    Raises
    ------
    ValueError, TypeError
        If a parameter cannot be used; the message names it and says what can.
    """
    check_integer("n_latents", estimator.n_latents, 1)
    check_integer("change_rank", estimator.change_rank, 1, none=True)
    check_integer("n_units", estimator.n_units, estimator.n_latents, none=True)
    if estimator.observation == "state":
        raise ValueError(
            'observation="state" needs a network whose own state is recorded, but the '
            f"latents of MetaDynamicalSSM never are: use one of {list(LIKELIHOODS)}"
        )
    check_choice("observation", estimator.observation, ("auto", *LIKELIHOODS))
    _check_common(estimator)


def warn_of_unused(estimator: JEDIEstimator) -> None:
    """Name what was set and is not used with the observation that was chosen.

    `random_state`, `verbose`, `n_jobs` and `batch_size` are no part of it, and with
    ``max_epochs=0`` nothing that concerns training: none of it was asked for.
    """
    kind = estimator.observation_
    if kind == "state":
        why = "start_smoothing belongs to noisy recordings and counts, see window"
        unused = {"start_smoothing": why}
    else:
        why = 'window belongs to the closed form of "state", see start_smoothing'
        unused = {"window": why}
        if estimator.max_epochs > 0:
            why = 'networks are trained with "state" only'
            unused |= dict.fromkeys(("max_epochs", *_OF_TRAINING), why)
    chosen = ' (chosen by "auto")' if estimator.observation == "auto" else ""
    _warn_of_set(estimator, unused, f'with observation="{kind}"{chosen}')


def warn_of_unused_training(estimator: MetaDynamicalSSM) -> None:
    """Name what was set for training where there is none."""
    if estimator.max_epochs == 0:
        unused = dict.fromkeys(_OF_TRAINING, "nothing is trained")
        _warn_of_set(estimator, unused, "with max_epochs=0")


def _warn_of_set(
    estimator: JEDIEstimator | MetaDynamicalSSM, unused: Mapping[str, str], when: str
) -> None:
    """Warn of parameters (name: why it is not used) that are not at their defaults."""
    signature = inspect.signature(type(estimator).__init__).parameters
    set_to = {
        name: why
        for name, why in unused.items()
        if not _is(getattr(estimator, name), signature[name].default)
    }
    if set_to:
        several = len(set_to) > 1
        warn_user(
            f"{', '.join(set_to)} {'were' if several else 'was'} set, but "
            f"{'are' if several else 'is'} not used {when}: "
            f"{'; '.join(dict.fromkeys(set_to.values()))}"
        )


def _is(value: object, default: object) -> bool:
    if isinstance(value, (list, np.ndarray)):
        value = tuple(value)
    return value == default


def _check_common(estimator: JEDIEstimator | MetaDynamicalSSM) -> None:
    check_integer("embedding_dim", estimator.embedding_dim, 1)
    check_integer("verbose", estimator.verbose, 0)
    check_integer("n_jobs", estimator.n_jobs, -(2**31), none=True)
    if estimator.n_jobs == 0:
        raise ValueError("n_jobs must not be 0: -1 means all cores, None is 1")
    check_choice("embedding", estimator.embedding, _EMBEDDINGS)
    check_choice("observation", estimator.observation, OBSERVATIONS)
    check_real("gain", estimator.gain, auto=True)
    check_real("ridge", estimator.ridge, positive=False, auto=True)
    check_real("dt", estimator.dt, auto=True)
    check_real("tau", estimator.tau, auto=True)
    if estimator.dt != "auto" and float(estimator.dt) > 1:
        dt = float(estimator.dt)
        warn_user(f"dt={dt:g} is read as {dt:g} s; for {dt:g} ms pass {dt / 1000:g}")
    _check_training(estimator)


def _check_training(estimator: JEDIEstimator | MetaDynamicalSSM) -> None:
    check_integer("max_epochs", estimator.max_epochs, 0)
    check_integer("batch_size", estimator.batch_size, 1)
    sizes: object = estimator.hidden_layer_sizes
    if isinstance(sizes, np.ndarray):
        sizes = sizes.tolist()
    check_sequence("hidden_layer_sizes", sizes, "(64, 64)")
    for size in estimator.hidden_layer_sizes:
        check_integer("hidden_layer_sizes", size, 1)
    if estimator.callbacks is not None:
        check_sequence("callbacks", estimator.callbacks, "[EarlyStopping()]")
    check_random_state(estimator.random_state)
    kind, _, number = str(estimator.device).partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdigit()):
        raise ValueError(
            f'device must be "cpu", "cuda", "cuda:N" or "mps"; got {estimator.device!r}'
        )
    if estimator.max_epochs > 0 and kind != "cpu":
        import torch

        found = torch.cuda if kind == "cuda" else torch.backends.mps
        if not found.is_available():
            raise ValueError(
                f"device={estimator.device!r} was asked for, but torch finds no such "
                'GPU; use device="cpu"'
            )
