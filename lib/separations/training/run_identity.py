"""Which training run a checkpoint belongs to: everything that decides the weights, in words that two processes can compare.

`training.train` asks before it goes on from a file. Another data set, model, time distribution, weight or generator is refused,
however much it is called the same; the same script in a new process is the same run.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..networks.denoiser import Denoiser
from . import identity

# Whose code decides what training computes: with other code a run that goes on would be neither the one nor the other.
CODE = (
    "numerics.checks", "numerics.private_operators", "networks.dit", "networks.dit_blocks", "networks.dit_kernels", "networks.dit_stack", "networks.denoiser", "networks.mlp", "parameterizations", "training.per_copy", "schedules.base", "schedules.processes", "schedules.ownership", "timesteps.times", "timesteps.interval", "training.average", "training.batches", "training.objective", "training.loop", "training.state", "networks.unet1d",
)  # fmt: skip
NAMED = ("schedule", "prediction", "data_std", "mean", "event_shape")  # of a model, each told by its name
# Generators and running means move on while they are used: how each was when this process began a run with it, by file.
_BEGAN: WeakKeyDictionary = WeakKeyDictionary()


def words_of_run(
    model: Denoiser, rows: Tensor, sizes: Tensor, generators: Sequence[torch.Generator], path: Path, settings: Mapping
) -> dict[str, str]:
    """Words for each setting, the data, the model but for its trained weights, the generators and the library's code.

    ValueError for what cannot be described by its content.
    """
    known = {id(model): "the model", id(model.network): "the network"}
    known |= {id(g): f"generator {i}" for i, g in enumerate(generators)}
    words = {name: identity.describe(value, name, known) for name, value in settings.items()}
    counts = sizes.flatten().tolist()
    counts = counts[0] if len(set(counts)) == 1 else counts
    words["data"] = f"{counts} rows, {rows.dtype} of shape {tuple(rows.shape)}, SHA-256 {identity.digest(rows)[:16]}"
    words |= {name: identity.describe(getattr(model, name), f"model.{name}") for name in NAMED}
    words["network"] = f"SHA-256 {identity.architecture(model)}"
    words |= _untrained(model, path)
    words["generator"] = ", ".join(_start(g, path) for g in generators)
    words["code"] = f"SHA-256 {identity.code(CODE)[:16]}"
    return words


def _untrained(model: Denoiser, path: Path) -> dict[str, str]:
    """Frozen weights and buffers in a word, as they were when this process began with the checkpoint; nothing where there are none."""
    held = {k: v for k, v in model.state_dict(keep_vars=True).items() if not v.requires_grad and k not in NAMED}
    if not held:
        return {}
    began, key = _BEGAN.setdefault(model, {}), str(path.resolve())
    if not path.exists() or key not in began:
        digests = json.dumps({k: identity.digest(v) for k, v in held.items()})
        began[key] = f"{len(held)} tensors, SHA-256 {hashlib.sha256(digests.encode()).hexdigest()[:16]}"
    return {"untrained": began[key]}


def _start(g: torch.Generator, path: Path) -> str:
    """Seed and state of a generator, as it was when this process began with the checkpoint, if it did."""
    seed, began = g.initial_seed(), _BEGAN.setdefault(g, {})
    key = str(path.resolve()), seed
    if not path.exists() or key not in began:
        began[key] = identity.digest(g.get_state())[:16]
    return f"seed {seed} in state {began[key]}"


def check_same_run(path: Path, was: Mapping[str, str], now: Mapping[str, str], step: int) -> None:
    """ValueError with all that differs. More steps are the same run at a constant rate."""
    was, now = dict(was), dict(now)
    if int(now["steps"]) >= step and now["decay"] == was.get("decay") == "'constant'":
        was.pop("steps"), now.pop("steps")
    differ = [name for name in now if now[name] != was.get(name)]
    if not differ:
        return
    told = [f"{name} = {now[name]} (it was {was.get(name)})" for name in differ if name not in ("network", "code")]
    if "code" in differ:
        told.append("the library trains by other code now")
    if "network" in differ and not set(differ) & set(NAMED):
        told.append("the network has another class, size or dtype, or other weights that are trained")
    other = "model" if {"network", "untrained"} & set(differ) else "run"
    raise ValueError(
        f"checkpoint = {path} belongs to another {other}: {'; '.join(told)}; the same, or another file, is needed"
    )
