"""What the estimators share: tags, messages, files."""

from __future__ import annotations

import numbers
import os
import warnings
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from sklearn_jedi._models import _files
from sklearn_jedi._models._files import Arrays
from sklearn_jedi._utils._progress import show_progress


class TrialTransformer(
    ABC, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """An estimator that embeds trials, and goes to a file of numbers and text.

    Attributes
    ----------
    _LEARNED : tuple of str
        Attributes that a file keeps besides the model; `net_` and `history_` are apart.
    """

    _LEARNED: ClassVar[tuple[str, ...]]
    embedding_dim: int
    max_epochs: int
    random_state: Any
    verbose: int
    net_: Any
    history_: list[dict[str, Any]]
    n_iter_: int
    interrupted_: bool

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.embedding_dim

    def _report_round(self, done: int, total: int, text: str) -> None:
        if self.verbose:
            show_progress("EM round", done, total, text)

    def _warn_of_empty_axes(self, A: np.ndarray, n_groups: int, what: str) -> None:
        """Say how many axes of an affine map are zero; called by what `fit` calls."""
        n_empty = int((~A[1:].any((1, 2))).sum())
        if n_empty:
            warnings.warn(
                f"{n_empty} of {self.embedding_dim} embedding axes cannot be told from "
                f"{n_groups} {what} and stay at the prior (zero); lower embedding_dim, "
                f"or fit more {what}",
                UserWarning,
                stacklevel=4,
            )

    def _warn_of_interrupt(self) -> None:
        if self.interrupted_:
            warnings.warn(
                "the fit was interrupted: what had been learned until then is kept "
                f"(EM round {self.n_iter_}, epoch {len(self.history_)} of "
                f"{self.max_epochs})",
                UserWarning,
                stacklevel=3,
            )

    @abstractmethod
    def _pack_fitted(self, arrays: Arrays) -> Any:
        """The fitted model as JSON, its arrays added to `arrays`."""

    @abstractmethod
    def _unpack_fitted(self, tree: Any, arrays: Arrays) -> None:
        """Set the fitted model again."""

    def save(self, path: str | os.PathLike) -> None:
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
    def load(cls, path: str | os.PathLike) -> Self:
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
            If the file is damaged, not from `save`, of another estimator, or of a newer
            format.
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
