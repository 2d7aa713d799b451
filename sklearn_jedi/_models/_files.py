"""Fitted estimators in files that hold numbers and text, and nothing that runs.

A file is in the safetensors format: arrays, and in its header one JSON document with
the parameters, the scalars, the version of this layout, and the SHA-256 of the whole
file. As no sum can be over itself, the file is taken with zeros in its place.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes

from sklearn_jedi._data._units import Scaling
from sklearn_jedi._engine._bilinear_em import BilinearModel
from sklearn_jedi._engine._likelihoods import LIKELIHOODS, Likelihood
from sklearn_jedi._engine._reduction import Basis
from sklearn_jedi._engine._settings import Settings
from sklearn_jedi._models._forecast_errors import ErrorSizes
from sklearn_jedi._models._free_run_posterior import PathNoise
from sklearn_jedi._models._inferred import InferredModel, LatentModel
from sklearn_jedi._models._model import Model
from sklearn_jedi._models._observed import ObservedModel
from sklearn_jedi._utils._plain import as_objects, from_plain, is_tagged, to_plain

FORMAT_VERSION = 3
_KEY = "sklearn_jedi"
# How the header has the checksum, which stands first in the document.
_SEAL = rb"{\"sha256\": \""
_ZEROS = "0" * 64
_UNREADABLE = (
    *(SafetensorError, ValueError, KeyError, TypeError, AttributeError),
    RecursionError,
)
_ARRAY = "array"
_NAMES = "names"
_PARTS: dict[str, Any] = {
    "scaling": Scaling,
    "settings": Settings,
    "basis": Basis,
    "bilinear": BilinearModel,
    "path_noise": PathNoise,
    "errors": ErrorSizes,
    "likelihood": lambda name, **parameters: LIKELIHOODS[name](**parameters),
}
_MODELS: dict[str, type[Model]] = {
    "observed": ObservedModel,
    "inferred": InferredModel,
    "latent": LatentModel,
}

# What sessions of one family do not share.
_OF_SESSION = ("scaling", "settings", "loading", "likelihood", "ceiling")

Arrays = dict[str, np.ndarray]


def write(
    path: str | os.PathLike[str], content: dict[str, Any], arrays: Arrays
) -> None:
    """Write a file; one that was there before stays whole until the new one is."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r}")
    document = {"sha256": _ZEROS, "format_version": FORMAT_VERSION, **content}
    data = _sealed(to_bytes(arrays, metadata={_KEY: json.dumps(document)}))
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
        If a byte of it is not as it was written, or if it is not of this package, or of
        another format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    data = path.read_bytes()
    # Whatever its version, a file with a checksum has it there: damage comes first.
    if _SEAL in data and data != _sealed(data):
        raise damaged(path, "its contents do not fit its checksum")
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        arrays = from_bytes(data)
        document = header.get("__metadata__", {}).get(_KEY)
        content = None if document is None else json.loads(document)
        version = None if content is None else content["format_version"]
    except _UNREADABLE as error:
        raise damaged(path, error) from error
    if content is None:
        raise ValueError(
            f"{str(path)!r} is a safetensors file, but not one that the save of an "
            "estimator wrote"
        )
    _check_version(path, version)
    if "sha256" not in content:
        raise damaged(path, "it has no checksum")
    return content, arrays


def damaged(path: str | os.PathLike[str], why: object) -> ValueError:
    """The error of a file of which something is missing or changed."""
    return ValueError(
        f"the file {str(path)!r} is damaged, or not one that the save of an estimator "
        f"wrote ({why}): load a copy, or fit again"
    )


def _sealed(data: bytes) -> bytes:
    """A file with its own checksum in its place."""
    before, mark, rest = data.partition(_SEAL)
    rest = rest[len(_ZEROS) :]
    digest = hashlib.sha256(before + mark + _ZEROS.encode() + rest).hexdigest()
    return before + mark + digest.encode() + rest


def _check_version(path: Path, version: object) -> None:
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ValueError(
            f"{str(path)!r} has format version {version}; this release of sklearn-jedi "
            f"reads {FORMAT_VERSION}: update it"
        )
    if version < FORMAT_VERSION:
        raise ValueError(
            f"{str(path)!r} has format version {version}, an older layout that is no "
            f"longer read (now {FORMAT_VERSION}): fit the estimator again"
        )


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
        tree["hidden_layer_sizes"] = to_plain(hypernetwork.hidden_layer_sizes)
        tree["change_rank"] = to_plain(hypernetwork.change_rank)
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
    """A value as JSON; arrays of numbers are put aside under their names."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        names = [
            tuple(item) if isinstance(item, np.ndarray) else item for item in value
        ]
        return {_NAMES: to_plain(names)}
    if isinstance(value, np.ndarray) and value.ndim:
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
    return to_plain(value)


def unpack(value: Any, name: str, arrays: Arrays) -> Any:
    """The value again."""
    if not isinstance(value, dict) or is_tagged(value):
        return from_plain(value)
    if set(value) == {_ARRAY}:
        return arrays[value[_ARRAY]]
    if set(value) == {_NAMES}:
        return as_objects(from_plain(value[_NAMES]))
    parts = {key: unpack(part, key, arrays) for key, part in value.items()}
    return _PARTS[name](**parts)
