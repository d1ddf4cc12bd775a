"""Checkpoints in safetensors: the state of a training run, and trained models with what is needed to build them again.

A file is written whole or not at all, and reading one never runs code that it holds. `write_state` and `read_state` are what
`training.train(checkpoint=...)` uses: weights, their average, the optimiser's moments, the generators, bit for bit.
`save_model` and `load_model` keep a trained `Denoiser` alone, if wanted in half precision.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .files import write_whole

FORMAT = "separations 1"


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
    _write(path, tensors, {"facts": dict(facts), "optimiser": plain})


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
    tensors, meta = _read(path)
    check(meta["facts"])
    wanted = {f"{name}.{key}": value.shape for name, m in modules.items() for key, value in m.state_dict().items()}
    wanted |= {f"generator.{i}": g.get_state().shape for i, g in enumerate(generators)}
    wrong = [key for key, shape in wanted.items() if key not in tensors or tensors[key].shape != shape]
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


def _write(path: Path, tensors: Mapping[str, Tensor], meta: Mapping) -> None:
    ready = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    # safetensors refuses two names for one memory: give each its own
    seen: set[int] = set()
    for key, value in ready.items():
        if value.data_ptr() in seen:
            ready[key] = value.clone()
        seen.add(value.data_ptr())
    write_whole(Path(path), save(ready, {"format": FORMAT, **{key: json.dumps(value) for key, value in meta.items()}}))


def _read(path: Path) -> tuple[dict[str, Tensor], dict]:
    try:
        with safe_open(str(path), framework="pt") as file:
            meta = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"path = {path}: not a whole safetensors file ({error})") from error
    if meta.pop("format", None) != FORMAT:
        raise ValueError(f"path = {path}: a file with format {FORMAT!r} is needed, made by this library")
    return tensors, {key: json.loads(value) for key, value in meta.items()}


def _networks() -> dict[str, tuple[type, type]]:
    """Networks that a file can hold: class and its configuration, by name."""
    from .dit import DiT, DiTConfig
    from .unet1d import UNet1D, UNet1DConfig

    return {"DiT": (DiT, DiTConfig), "UNet1D": (UNet1D, UNet1DConfig)}


def save_model(
    path: str | Path, model: nn.Module, *, dtype: torch.dtype | None = None, facts: Mapping | None = None
) -> str:
    """Write a `Denoiser` of a DiT or a UNet1D with all that builds it again, and return the SHA-256 of the file.

    dtype: float16 halves the file (weights are rounded to 3 digits). facts: anything JSON, as the recipe; `load_model` gives it back.
    """
    kind = type(getattr(model, "network", None)).__name__
    if kind not in _networks():
        raise ValueError(f"model is {type(model).__name__}: a Denoiser of a {' or a '.join(_networks())} is needed")
    tensors = {
        key: value.to(dtype) if dtype and value.is_floating_point() else value
        for key, value in model.network.state_dict().items()
    }
    if any(not value.isfinite().all() for value in tensors.values()):
        raise ValueError(f"model has weights that are not finite in {dtype or 'its own dtype'}: it is not written")
    tensors = {f"network.{key}": value for key, value in tensors.items()} | {"mean": model.mean}
    schedule = {"name": type(model.schedule).__name__, **vars(model.schedule)}
    meta = {
        "config": model.network.config.dict(),
        "schedule": schedule,
        "prediction": model.prediction,
        "data_std": model.data_std,
    }
    if kind != "DiT":  # what a file without this word holds
        meta["network"] = kind
    _write(Path(path), tensors, {"model": meta, "facts": dict(facts or {})})
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def load_model(path: str | Path, *, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, dict]:
    """The `Denoiser` that `save_model` wrote, in `dtype` on the CPU, and its facts.

    FileNotFoundError if there is no such file; ValueError if it is damaged or of another kind.
    """
    from . import schedules
    from .networks import Denoiser

    if not Path(path).is_file():
        raise FileNotFoundError(f"path = {path}: there is no such file")
    tensors, meta = _read(Path(path))
    try:
        about = meta["model"]
        made = dict(about["schedule"])
        kind = {c.__name__: c for c in schedules.Schedule.__subclasses__()}[made.pop("name")]
        made_of, config = _networks()[about.get("network", "DiT")]
        network = made_of(config(**about["config"]))
        network.load_state_dict({key: value.to(dtype) for key, value in _under(tensors, "network").items()})
        model = Denoiser(
            network.to(dtype),
            kind(**made),
            prediction=about["prediction"],
            data_std=about["data_std"],
            mean=tensors["mean"],
        )
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"path = {path}: no model of this library ({type(error).__name__}: {error})") from error
    return model, meta["facts"]


def shipped(name: str) -> Path:
    """Path of a checkpoint that comes with the library; ValueError with the known names otherwise."""
    folder = files("separations").joinpath("assets")
    known = sorted(p.name.removesuffix(".safetensors") for p in folder.iterdir() if p.name.endswith(".safetensors"))
    if name not in known:
        raise ValueError(f"name = {name!r}: one of {', '.join(known) or 'no checkpoint at all'} is needed")
    return Path(str(folder.joinpath(name + ".safetensors")))
