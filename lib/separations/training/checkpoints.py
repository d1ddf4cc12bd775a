"""Checkpoints in safetensors: the state of a training run, and trained models with what is needed to build them again.

A file is written whole or not at all, carries a digest of all that it holds, and reading one never runs code: a file that is cut,
damaged in a single bit, of another kind or of another version of this format is a ValueError that says so. What is not a tensor
stands as one JSON text under one key, so that equal contents are equal files, in every process.
`write_state` and `read_state` are what `training.train(checkpoint=...)` uses: weights, their average, the optimiser's moments, the
generators, bit for bit. `save_model` and `load_model` keep a trained `Denoiser` alone, if wanted in half precision, `save_weights` and `load_weights` those of any network.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..files import write_whole
from . import identity

FORMAT = "separations 2"
SHIPPED = Path(__file__).parent / "assets"  # models that come with the library
KEY = "separations"  # of the one JSON text in the header
KINDS = {"training": "the state of a training run", "model": "a trained model", "weights": "weights by name"}
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # of a model's weights
RECORD = "checkpoints.json"  # what the shipped files are


def write_state(
    path: Path,
    *,
    modules: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    generators: Sequence[torch.Generator],
    numbers: Mapping[str, Tensor | float],
    facts: Mapping,
) -> None:
    """Write the state of a run: modules and optimiser whole, states of the generators, further numbers, facts as JSON."""
    tensors = {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    moments, plain = _flat(optimiser)
    tensors |= moments
    tensors |= {f"generator.{i}": g.get_state() for i, g in enumerate(generators)}
    tensors |= {
        f"number.{name}": torch.as_tensor(value, dtype=torch.float64) if isinstance(value, float) else value
        for name, value in numbers.items()
    }
    _write(path, "training", tensors, {"facts": dict(facts), "optimiser": plain})


def read_state(
    path: Path,
    *,
    modules: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    generators: Sequence[torch.Generator],
    check: Callable[[dict], None],
) -> tuple[dict, dict[str, Tensor]]:
    """Read what `write_state` wrote into the same objects; facts and numbers. Nothing is changed if `check(facts)` raises.

    ValueError for a file that is damaged, of another format, or of a model of other sizes.
    """
    tensors, meta = _read(path, "training")
    check(meta["facts"])
    wanted = {f"{name}.{key}": value for name, m in modules.items() for key, value in m.state_dict().items()}
    wanted |= {f"generator.{i}": g.get_state() for i, g in enumerate(generators)}
    wrong = [
        k for k, v in wanted.items() if k not in tensors or (tensors[k].shape, tensors[k].dtype) != (v.shape, v.dtype)
    ]
    if wrong:
        raise ValueError(f"checkpoint = {path} belongs to another model: {wrong[0]} is missing or of another size")
    for name, module in modules.items():
        module.load_state_dict(_under(tensors, name))
    _fill(optimiser, _under(tensors, "optimiser"), meta["optimiser"])
    for i, g in enumerate(generators):
        g.set_state(tensors[f"generator.{i}"])
    return meta["facts"], _under(tensors, "number")


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}


def _flat(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict]:
    """Moments as tensors 'optimiser.<parameter>.<name>', and what is not a tensor."""
    tensors, plain = {}, {}
    for i, state in optimiser.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser.{i}.{name}"] = value
            else:
                plain[f"{i}.{name}"] = value
    return tensors, plain


def _fill(optimiser: torch.optim.Optimizer, moments: Mapping[str, Tensor], plain: Mapping) -> None:
    state: dict[int, dict] = {}
    for key, value in {**moments, **plain}.items():
        i, name = key.split(".", 1)
        state.setdefault(int(i), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _write(path: Path, kind: str, tensors: Mapping[str, Tensor], meta: Mapping) -> None:
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
    about = {key: [str(value.dtype), list(value.shape), identity.digest(value)] for key, value in tensors.items()}
    return hashlib.sha256(as_json([dict(meta), about]).encode()).hexdigest()


def _read(path: Path, kind: str | None = None) -> tuple[dict[str, Tensor], dict]:
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


def _networks() -> dict[str, tuple[type, type]]:
    """Networks that a file can hold: class and its configuration, by name."""
    from ..networks.dit import DiT
    from ..networks.dit_blocks import DiTConfig
    from ..networks.unet1d import UNet1D, UNet1DConfig

    return {"DiT": (DiT, DiTConfig), "UNet1D": (UNet1D, UNet1DConfig)}


def _schedules() -> dict[str, type]:
    """The schedules of this library by name."""
    from .. import schedules

    own = (one for one in vars(schedules).values() if isinstance(one, type) and issubclass(one, schedules.Schedule))
    return {one.__name__: one for one in own}


def save_model(
    path: str | Path, model: nn.Module, *, dtype: torch.dtype | None = None, facts: Mapping | None = None
) -> str:
    """Write a `Denoiser` of a DiT or a UNet1D with all that builds it again, and return the SHA-256 of the file.

    dtype: float16 halves the file (weights are rounded to 3 digits); one of float16, bfloat16, float32, float64. facts: anything JSON,
    as the recipe; `load_model` gives it back. ValueError for another network or schedule, weights that are not finite, other facts.
    """
    kind = type(getattr(model, "network", None)).__name__
    if type(getattr(model, "network", None)) is not _networks().get(kind, (None,))[0]:
        raise ValueError(f"model is {type(model).__name__}: a Denoiser of a {' or a '.join(_networks())} is needed")
    if type(model.schedule) is not _schedules().get(type(model.schedule).__name__):
        raise ValueError(f"model has schedule = {model.schedule!r}: one out of {', '.join(_schedules())} is needed")
    if dtype is not None:
        _check_dtype(dtype)
    tensors = {
        key: value.to(dtype) if dtype and value.is_floating_point() else value
        for key, value in model.network.state_dict().items()
    }
    if any(not value.isfinite().all() for value in tensors.values()):
        raise ValueError(f"model has weights that are not finite in {dtype or 'its own dtype'}: it is not written")
    tensors = {f"network.{key}": value for key, value in tensors.items()} | {"mean": model.mean}
    _write(Path(path), "model", tensors, {"model": _about(model, kind), "facts": dict(facts or {})})
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _about(model: nn.Module, kind: str) -> dict:
    """What builds the model again, but for its weights."""
    about = {
        "config": model.network.config.dict(),
        "schedule": {"name": type(model.schedule).__name__, **vars(model.schedule)},
        "prediction": model.prediction,
        "data_std": model.data_std,
    }
    if kind != "DiT":  # what a file without this word holds
        about["network"] = kind
    if model.event_shape != model.network.event_shape:
        about["event_shape"] = model.event_shape
    return about


def _check_dtype(dtype: object) -> None:
    if dtype not in DTYPES:
        names = ", ".join(str(one).removeprefix("torch.") for one in DTYPES)
        raise ValueError(f"dtype = {dtype!r}: one of {names} is needed")


def load_model(path: str | Path, *, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, dict]:
    """The `Denoiser` that `save_model` wrote, in `dtype` on the CPU, and its facts.

    FileNotFoundError if there is no such file; ValueError if it is damaged (one bit is enough) or of another kind.
    """
    _check_dtype(dtype)
    if not Path(path).exists():
        raise FileNotFoundError(f"path = {path}: there is no such file")
    tensors, meta = _read(Path(path), "model")
    try:
        return _built(tensors, meta["model"], dtype), dict(meta["facts"])
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"path = {path}: no model of this library ({type(error).__name__}: {reason})") from error


def _built(tensors: Mapping[str, Tensor], about: Mapping, dtype: torch.dtype) -> nn.Module:
    from ..networks.denoiser import Denoiser

    made = dict(about["schedule"])
    kind = _schedules()[made.pop("name")]
    made_of, config = _networks()[about.get("network", "DiT")]
    network = made_of(config(**about["config"]))
    network.load_state_dict({key: value.to(dtype) for key, value in _under(tensors, "network").items()})
    shape = about.get("event_shape")
    return Denoiser(
        network.to(dtype), kind(**made), prediction=about["prediction"], data_std=about["data_std"], mean=tensors["mean"],
        event_shape=None if shape is None else tuple(shape),
    )  # fmt: skip


def save_weights(path: str | Path, tensors: Mapping[str, Tensor], facts: Mapping | None = None) -> str:
    """Write tensors by name, finite ones, with facts (anything JSON); returns the SHA-256 of the file."""
    wrong = [key for key, value in tensors.items() if not value.isfinite().all()]
    if wrong:
        raise ValueError(f"tensors[{wrong[0]!r}] is not finite: it is not written")
    _write(Path(path), "weights", tensors, {"facts": dict(facts or {})})
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def load_weights(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """What `save_weights` wrote: tensors on the CPU, and facts. ValueError for a file that is damaged or of another kind."""
    if not Path(path).exists():
        raise FileNotFoundError(f"path = {path}: there is no such file")
    tensors, meta = _read(Path(path), "weights")
    return tensors, dict(meta["facts"])


def facts_of(path: str | Path) -> dict:
    """The facts of a trained model or of weights, whichever a file holds. ValueError for a file that holds neither."""
    _, meta = _read(Path(path))
    if meta.get("kind") not in ("model", "weights"):
        raise ValueError(
            f"path = {path} holds {KINDS.get(meta.get('kind'), 'something else')}: a trained model is needed"
        )
    return dict(meta["facts"])


def shipped(name: str) -> Path:
    """Path of a checkpoint that comes with the library, whole as it was shipped; ValueError with the known names otherwise."""
    known = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
    if name not in known:
        raise ValueError(f"name = {name!r}: one of {', '.join(known) or 'no checkpoint at all'} is needed")
    path = SHIPPED / f"{name}.safetensors"
    recorded = json.loads((SHIPPED / RECORD).read_text(encoding="utf-8")).get(name, {}).get("sha256")
    if recorded is not None and hashlib.sha256(path.read_bytes()).hexdigest() != recorded:
        raise ValueError(
            f"path = {path}: the file is damaged, its SHA-256 is not the recorded one; install the library again"
        )
    return path
