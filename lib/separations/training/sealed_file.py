"""Files of tensors by name and of one JSON text, in safetensors, sealed by a digest of all that they hold.

A file is written whole or not at all, and reading one never runs code: a file that is cut, damaged in a single bit, of another kind or
of another version of this format is a ValueError that says so. What is not a tensor stands as one JSON text under one key, so that
equal contents are equal files, in every process.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from ..files import write_whole
from .identity import digest

FORMAT = "separations 2"
KEY = "separations"  # of the one JSON text in the header
KINDS = {"training": "the state of a training run", "model": "a trained model", "weights": "weights by name"}


def under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors whose name begins with `name.`, without it."""
    return {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}


def write_sealed(path: Path, kind: str, tensors: Mapping[str, Tensor], meta: Mapping) -> None:
    """Write tensors and what else there is to say, `meta`, as a file of a kind, one of KINDS. ValueError for what JSON has no word for."""
    ready = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    # safetensors refuses two names for one memory: give each its own
    seen: set[int] = set()
    for key, value in ready.items():
        if value.data_ptr() in seen:
            ready[key] = value.clone()
        seen.add(value.data_ptr())
    meta = json.loads(as_json({"format": FORMAT, "kind": kind, **meta}))
    text = as_json(meta | {"sha256": _digest(ready, meta)})
    # a dictionary of several keys would be written in another order each time
    write_whole(Path(path), save(ready, {KEY: text}))


def as_json(value: object, name: str = "facts") -> str:
    """JSON that depends on the content only, numbers of numpy among it. ValueError for what JSON has no word for, as NaN."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} cannot be written as JSON ({error}): finite numbers, text, lists and dictionaries are needed"
        ) from None


def _plain(value: object) -> object:
    """A number or array of numpy as Python's own."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__}")


def _digest(tensors: Mapping[str, Tensor], meta: Mapping) -> str:
    """SHA-256 of everything in a file: the JSON without the digest, and each tensor with its name, dtype and shape."""
    about = {key: [str(value.dtype), list(value.shape), digest(value)] for key, value in tensors.items()}
    return hashlib.sha256(as_json([dict(meta), about]).encode()).hexdigest()


def read_sealed(path: Path, kind: str | None = None) -> tuple[dict[str, Tensor], dict]:
    """Tensors and JSON of a whole, undamaged file, of this kind if one is given."""
    if Path(path).is_dir():
        raise ValueError(f"path = {path} is a folder: a file is needed")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except MemoryError:
        raise
    except Exception as error:  # whatever is in a file that somebody else wrote
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"path = {path}: not a whole safetensors file ({type(error).__name__}: {reason})") from error
    meta = _meta(path, header, kind)
    if meta.pop("sha256", None) != _digest(tensors, meta):
        raise ValueError(
            f"path = {path}: the file is damaged, its contents are not those that were written (SHA-256 differs)"
        )
    if kind is not None and meta.get("kind") != kind:
        raise ValueError(
            f"path = {path} holds {KINDS.get(meta.get('kind'), 'something else')}: {KINDS[kind]} is needed"
        )
    return tensors, meta


def _meta(path: Path, header: Mapping[str, str], kind: str | None) -> dict:
    """The JSON of a file of this format."""
    if header.get("format") == "separations 1":
        raise ValueError(
            f"path = {path}: an older file, format 'separations 1' without a digest; remove it and train again"
        )
    try:
        meta = json.loads(header[KEY])
        sound = isinstance(meta, dict) and meta["format"] == FORMAT
    except (KeyError, ValueError, RecursionError):
        sound = False
    if not sound:
        raise ValueError(f"path = {path}: no {kind or 'file'} of this library, a file with format {FORMAT!r} is needed")
    return meta
