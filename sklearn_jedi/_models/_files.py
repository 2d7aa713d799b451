"""Fitted estimators in files that hold numbers and text, and nothing that runs.

A file is in the safetensors format: arrays, and in its header one JSON document with
the parameters, the scalars and the version of this layout.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from sklearn_jedi._data._units import Scaling
from sklearn_jedi._engine._bilinear_em import BilinearModel
from sklearn_jedi._engine._likelihoods import LIKELIHOODS, Likelihood
from sklearn_jedi._engine._reduction import Basis
from sklearn_jedi._engine._settings import Settings
from sklearn_jedi._models._free_run_posterior import PathNoise
from sklearn_jedi._models._inferred import InferredModel, LatentModel
from sklearn_jedi._models._model import Model
from sklearn_jedi._models._observed import ObservedModel

FORMAT_VERSION = 2
_KEY = "sklearn_jedi"
_ARRAY = "array"
_NAMES = "names"
_PARTS: dict[str, Any] = {
    "scaling": Scaling,
    "settings": Settings,
    "basis": Basis,
    "bilinear": BilinearModel,
    "path_noise": PathNoise,
    "likelihood": lambda name, **parameters: LIKELIHOODS[name](**parameters),
}
_MODELS: dict[str, type[Model]] = {
    "observed": ObservedModel,
    "inferred": InferredModel,
    "latent": LatentModel,
}

# What sessions of one family do not share.
_OF_SESSION = ("scaling", "settings", "loading", "likelihood")

Arrays = dict[str, np.ndarray]


def write(
    path: str | os.PathLike[str], content: dict[str, Any], arrays: Arrays
) -> None:
    """Write a file; one that was there before stays whole until the new one is."""
    document = json.dumps({"format_version": FORMAT_VERSION, **content})
    data = to_bytes(arrays, metadata={_KEY: document})
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Arrays]:
    """Read a file; nothing in it is executed.

    Raises
    ------
    ValueError
        If it is truncated, not of this package, or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    try:
        with safe_open(path, framework="numpy") as file:
            document = (file.metadata() or {}).get(_KEY)
            if document is None:
                raise ValueError(
                    f"{str(path)!r} is a safetensors file, but not one that the save "
                    "of an estimator wrote"
                )
            content = json.loads(document)
            version = content["format_version"]
            if not isinstance(version, int) or version > FORMAT_VERSION:
                raise ValueError(
                    f"{str(path)!r} has format version {version}; this release of "
                    f"sklearn-jedi reads {FORMAT_VERSION}: update it"
                )
            if version < FORMAT_VERSION:
                raise ValueError(
                    f"{str(path)!r} has format version {version}, an older layout that "
                    f"is no longer read (now {FORMAT_VERSION}): fit the estimator again"
                )
            names = file.keys()  # the file itself cannot be iterated over
            arrays = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{str(path)!r} is damaged, or not a file that the save of an estimator "
            f"wrote: {error}"
        ) from error
    return content, arrays


def canonical(model: Model) -> Model:
    """The model as it would come back from a file, its arrays laid out alike."""
    arrays: Arrays = {}
    return unpack_model(pack_model(model, arrays), arrays)


def pack_model(model: Model, arrays: Arrays) -> dict[str, Any]:
    """A fitted model as JSON, its arrays added to `arrays`."""
    kind = next(name for name, of_kind in _MODELS.items() if type(model) is of_kind)
    fields = {
        field.name: getattr(model, field.name) for field in dataclasses.fields(model)
    }
    hypernetwork = fields.pop("hypernetwork")
    tree = {name: pack(value, name, arrays) for name, value in fields.items()}
    tree["hidden_layer_sizes"] = tree["change_rank"] = None
    if hypernetwork is not None:
        tree["hidden_layer_sizes"] = hypernetwork.hidden_layer_sizes
        tree["change_rank"] = hypernetwork.change_rank
        for name, tensor in hypernetwork.state_dict().items():
            arrays[f"hypernetwork.{name}"] = np.array(tensor.numpy(), order="C")
    return {"kind": kind, **tree}


def unpack_model(tree: Mapping[str, Any], arrays: Arrays) -> Model:
    """The fitted model again."""
    fields = {name: unpack(value, name, arrays) for name, value in tree.items()}
    model = _MODELS[fields.pop("kind")]
    sizes = fields.pop("hidden_layer_sizes")
    change_rank = fields.pop("change_rank", None)
    hypernetwork = None
    if sizes is not None:
        hypernetwork = _hypernetwork(fields["bilinear"].A, sizes, change_rank, arrays)
    return model(hypernetwork=hypernetwork, **fields)


def canonical_family(models: list[LatentModel]) -> list[LatentModel]:
    """The models as they would come back from a file."""
    arrays: Arrays = {}
    return unpack_family(pack_family(models, arrays), arrays)


def pack_family(models: list[LatentModel], arrays: Arrays) -> list[Any]:
    """Models of sessions: the first as a whole, of the others what is their own."""
    trees: list[Any] = [pack_model(models[0], arrays)]
    for number, model in enumerate(models[1:], 1):
        trees.append(
            {
                name: pack(getattr(model, name), f"session{number}.{name}", arrays)
                for name in _OF_SESSION
            }
        )
    return trees


def unpack_family(trees: list[Any], arrays: Arrays) -> list[LatentModel]:
    """The models again."""
    first = unpack_model(trees[0], arrays)
    if not isinstance(first, LatentModel):
        raise TypeError("not a model of latent dynamics")
    others = (
        {name: unpack(tree[name], name, arrays) for name in _OF_SESSION}
        for tree in trees[1:]
    )
    return [first, *(dataclasses.replace(first, **own) for own in others)]


def _hypernetwork(
    A: np.ndarray, sizes: list[int], change_rank: int | None, arrays: Arrays
) -> Any:
    import torch

    from sklearn_jedi._training._hypernetwork import Hypernetwork

    prefix = "hypernetwork."
    state = {
        name.removeprefix(prefix): torch.from_numpy(np.array(array, order="C"))
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    with torch.random.fork_rng(devices=[]):
        module = Hypernetwork(A, sizes, change_rank).double()
    module.load_state_dict(state)
    return module.requires_grad_(False)


def pack(value: Any, name: str, arrays: Arrays) -> Any:
    """A value as JSON; arrays are put aside under their names."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return {_NAMES: [str(item) for item in value]}
    if isinstance(value, np.ndarray):
        arrays[name] = np.array(value, order="C")
        return {_ARRAY: name}
    if isinstance(value, Likelihood):
        value = {"name": value.name, **vars(value)}
        return {key: pack(part, f"{name}.{key}", arrays) for key, part in value.items()}
    if hasattr(value, "_asdict"):
        return {
            key: pack(part, f"{name}.{key}", arrays)
            for key, part in value._asdict().items()
        }
    if isinstance(value, np.generic):
        return value.item()
    return value


def unpack(value: Any, name: str, arrays: Arrays) -> Any:
    """The value again."""
    if not isinstance(value, dict):
        return value
    if set(value) == {_ARRAY}:
        return arrays[value[_ARRAY]]
    if set(value) == {_NAMES}:
        return np.array(value[_NAMES], dtype=object)
    parts = {key: unpack(part, key, arrays) for key, part in value.items()}
    return _PARTS[name](**parts)
