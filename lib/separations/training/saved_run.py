"""The state of a training run in a file: what `training.train(checkpoint=...)` needs to go on, bit for bit.

Weights, their average, the optimiser's moments and the generators; see `sealed_file` for the format.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from .sealed_file import read_sealed, under, write_sealed


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
    write_sealed(path, "training", tensors, {"facts": dict(facts), "optimiser": plain})


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
    tensors, meta = read_sealed(path, "training")
    check(meta["facts"])
    wanted = {f"{name}.{key}": value for name, m in modules.items() for key, value in m.state_dict().items()}
    wanted |= {f"generator.{i}": g.get_state() for i, g in enumerate(generators)}
    wrong = [
        k for k, v in wanted.items() if k not in tensors or (tensors[k].shape, tensors[k].dtype) != (v.shape, v.dtype)
    ]
    if wrong:
        raise ValueError(f"checkpoint = {path} belongs to another model: {wrong[0]} is missing or of another size")
    for name, module in modules.items():
        module.load_state_dict(under(tensors, name))
    _fill(optimiser, under(tensors, "optimiser"), meta["optimiser"])
    for i, g in enumerate(generators):
        g.set_state(tensors[f"generator.{i}"])
    return meta["facts"], under(tensors, "number")


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
