"""Estimators that go to a file of numbers and text, and come back."""

from __future__ import annotations

import numbers
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._models import _files
from sklearn_jedi._models._files import Arrays
from sklearn_jedi._utils._types import RandomState


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

        Arrays are in the safetensors format, everything else is JSON in its header.
        `callbacks`, a `random_state` that is no integer, and `net_` are not kept.

        Parameters
        ----------
        path : str or path
            Where to write, such as "model.safetensors"; replaced where it exists.
        """
        check_is_fitted(self)
        params = self.get_params()
        params.pop("callbacks", None)
        if not isinstance(self.random_state, numbers.Integral):
            params["random_state"] = None
        arrays: Arrays = {}
        learned = {
            name: _files.pack(getattr(self, name), name, arrays)
            for name in self._LEARNED
            if hasattr(self, name)
        }
        content = {
            "estimator": type(self).__name__,
            "params": {k: _files.pack(v, k, arrays) for k, v in params.items()},
            "learned": learned,
            "history": [
                {key: value for key, value in epoch.items() if key != "batches"}
                for epoch in self.history_
            ],
            "model": self._pack_fitted(arrays),
        }
        _files.write(path, content, arrays)

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
            If the file is damaged, not from `save`, of another estimator, or of an
            older or newer format.
        FileNotFoundError
            If there is none.
        """
        content, arrays = _files.read(path)
        try:
            if content["estimator"] != cls.__name__:
                raise ValueError(
                    f"{str(path)!r} holds a {content['estimator']}, not a "
                    f"{cls.__name__}"
                )
            params, learned = content["params"], content["learned"]
            params["hidden_layer_sizes"] = tuple(params["hidden_layer_sizes"])
            estimator = cls(**params)
            for name in cls._LEARNED:
                if name in learned:
                    value = _files.unpack(learned[name], name, arrays)
                    setattr(estimator, name, value)
            estimator._unpack_fitted(content["model"], arrays)
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(
                f"{str(path)!r} is damaged: {type(error).__name__}: {error}"
            ) from error
        estimator.net_, estimator.history_ = None, content["history"]
        return estimator
