"""Trained models in files, with what is needed to build them again, and those that come with the library.

`save_model` and `load_model` keep a trained `Denoiser`, if wanted in half precision, `save_weights` and `load_weights` the weights of any
network. See `sealed_file` for the format, and `saved_run` for checkpoints of a training that goes on.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import schedules
from ..networks.denoiser import Denoiser
from ..networks.dit import DiT
from ..networks.dit_blocks import DiTConfig
from ..networks.unet1d import UNet1D, UNet1DConfig
from .sealed_file import KINDS, read_sealed, under, write_sealed

SHIPPED = Path(__file__).parent / "assets"  # models that come with the library
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # of a model's weights
RECORD = "checkpoints.json"  # what the shipped files are
NETWORKS = {
    "DiT": (DiT, DiTConfig),
    "UNet1D": (UNet1D, UNet1DConfig),
}  # that a file can hold: class and its configuration


def _schedules() -> dict[str, type]:
    """The schedules of this library by name."""
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
    if type(getattr(model, "network", None)) is not NETWORKS.get(kind, (None,))[0]:
        raise ValueError(f"model is {type(model).__name__}: a Denoiser of a {' or a '.join(NETWORKS)} is needed")
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
    write_sealed(Path(path), "model", tensors, {"model": _about(model, kind), "facts": dict(facts or {})})
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
    tensors, meta = read_sealed(Path(path), "model")
    try:
        return _built(tensors, meta["model"], dtype), dict(meta["facts"])
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"path = {path}: no model of this library ({type(error).__name__}: {reason})") from error


def _built(tensors: Mapping[str, Tensor], about: Mapping, dtype: torch.dtype) -> nn.Module:
    made = dict(about["schedule"])
    kind = _schedules()[made.pop("name")]
    made_of, config = NETWORKS[about.get("network", "DiT")]
    network = made_of(config(**about["config"]))
    network.load_state_dict({key: value.to(dtype) for key, value in under(tensors, "network").items()})
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
    write_sealed(Path(path), "weights", tensors, {"facts": dict(facts or {})})
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def load_weights(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """What `save_weights` wrote: tensors on the CPU, and facts. ValueError for a file that is damaged or of another kind."""
    if not Path(path).exists():
        raise FileNotFoundError(f"path = {path}: there is no such file")
    tensors, meta = read_sealed(Path(path), "weights")
    return tensors, dict(meta["facts"])


def facts_of(path: str | Path) -> dict:
    """The facts of a trained model or of weights, whichever a file holds. ValueError for a file that holds neither."""
    _, meta = read_sealed(Path(path))
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
