"""Estimators that go to a file of numbers and text, and come back."""

from __future__ import annotations

import numbers
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._models import _files
from sklearn_jedi._models._files import Arrays
from sklearn_jedi._utils._plain import from_plain, to_plain
from sklearn_jedi._utils._types import RandomState
from sklearn_jedi._utils._warnings import warn_user

Saved = TypeVar("Saved", bound="SavedEstimator")

# What parts of a file that are missing or of another kind make of its reading.
_OF_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, RuntimeError)
# Where scikit-learn keeps what `set_output` was told.
_OUTPUT = "_sklearn_output_config"


class SavedEstimator(ABC, BaseEstimator):
    """An estimator with `save` and `load`.

    Attributes
    ----------
    _LEARNED : tuple of str
        Attributes that a file keeps besides the model; `net_` and `history_` are apart.
    """

    _LEARNED: ClassVar[tuple[str, ...]]
    random_state: RandomState
    net_: object | None
    history_: list[dict[str, Any]]

    @abstractmethod
    def _pack_fitted(self, arrays: Arrays) -> Any:
        """The fitted model as JSON, its arrays added to `arrays`."""

    @abstractmethod
    def _unpack_fitted(self, tree: Mapping[str, Any], arrays: Arrays) -> None:
        """Set the fitted model again."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file that holds numbers and text only.

        Arrays are in the safetensors format, everything else is JSON in its header,
        with a checksum of the whole file, which `load` verifies. Numbers of numpy and
        torch come back as Python's own. `callbacks`, a `random_state` that is no
        integer, and `net_` are not kept.

        Parameters
        ----------
        path : str or path
            Where to write, such as "model.safetensors"; replaced where it exists.
        """
        write_estimator(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an estimator that `save` wrote; no code from the file is run.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        estimator
            Of this class, fitted; `net_` is None.

        Raises
        ------
        ValueError
            If a byte of the file has changed, or if it is not from `save`, of another
            estimator, or of an older or newer format.
        FileNotFoundError
            If there is none.
        """
        estimator, content = read_estimator(cls, path)
        prepared = content.get("prepared")
        if prepared:
            warn_user(
                f"{str(path)!r} is of a report, and takes trials as the report "
                f"prepared them: {prepared}. sklearn_jedi.report.load_model reads the "
                "same file, and prepares trials itself"
            )
        return estimator

    # ------------------------------------------------------------------------- helpers

    def _packed(self, arrays: Arrays) -> dict[str, Any]:
        """The fitted estimator as JSON, its arrays added to `arrays`."""
        check_is_fitted(self)
        params = self.get_params()
        params.pop("callbacks", None)
        if not isinstance(self.random_state, numbers.Integral):
            params["random_state"] = None
        learned = {
            name: _files.pack(getattr(self, name), name, arrays)
            for name in self._LEARNED
            if hasattr(self, name)
        }
        return {
            "estimator": type(self).__name__,
            "params": {name: _parameter(name, of) for name, of in params.items()},
            "output": to_plain(getattr(self, _OUTPUT, None)),
            "learned": learned,
            "history": _history(self.history_),
            "model": self._pack_fitted(arrays),
        }

    @classmethod
    def _unpacked(cls, content: Mapping[str, Any], arrays: Arrays) -> Self:
        """The fitted estimator again."""
        params, learned = content["params"], content["learned"]
        estimator = cls(**{name: from_plain(of) for name, of in params.items()})
        for name in cls._LEARNED:
            if name in learned:
                setattr(estimator, name, _files.unpack(learned[name], name, arrays))
        estimator._unpack_fitted(content["model"], arrays)
        estimator.net_ = None
        estimator.history_ = [
            {name: from_plain(of) for name, of in epoch.items()}
            for epoch in content["history"]
        ]
        if content["output"] is not None:
            setattr(estimator, _OUTPUT, from_plain(content["output"]))
        return estimator


def write_estimator(
    estimator: SavedEstimator, path: str | os.PathLike[str], **more: Any
) -> None:
    """Write a fitted estimator, and what else its file is to keep, as JSON has it."""
    arrays: Arrays = {}
    content = estimator._packed(arrays)
    _files.write(path, {**content, **more}, arrays)


def read_estimator(
    kind: type[Saved], path: str | os.PathLike[str]
) -> tuple[Saved, dict[str, Any]]:
    """A fitted estimator, and all that its file keeps, as JSON has it.

    Raises
    ------
    ValueError, FileNotFoundError
        As `SavedEstimator.load`.
    """
    content, arrays = _files.read(path)
    if content.get("estimator") != kind.__name__:
        raise ValueError(
            f"{str(path)!r} holds a {content.get('estimator')}, not a {kind.__name__}"
        )
    try:
        return kind._unpacked(content, arrays), content
    except _OF_DAMAGE as error:
        raise _files.damaged(path, f"{type(error).__name__}: {error}") from error


def _parameter(name: str, value: Any) -> Any:
    """A parameter as JSON: numbers of numpy as Python's, arrays as tuples."""
    if isinstance(value, np.ndarray):
        value = tuple(value.tolist()) if value.ndim else value.item()
    try:
        return to_plain(str(value) if name == "device" else value)
    except TypeError as error:
        raise TypeError(
            f"{name}={value!r} cannot be kept in a file of numbers and text: {error}"
        ) from None


def _history(epochs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was recorded of each epoch, but for batches and what is not plain."""
    kept: list[dict[str, Any]] = []
    left_out: dict[str, TypeError] = {}
    for epoch in epochs:
        kept.append({})
        for name, value in epoch.items():
            if name == "batches":
                continue
            try:
                kept[-1][str(name)] = to_plain(value)
            except TypeError as error:
                left_out[str(name)] = error
    if left_out:
        why = "; ".join(f"{name}: {error}" for name, error in left_out.items())
        warn_user(f"left out of the history that is saved: {why}")
    return kept
