"""Networks of torchvision and timm with weights from a file, which are read as tensors and nothing else."""

from pathlib import Path

import torch
from torch import Tensor, nn

HEADS = ("fc.", "head.", "classifier.", "heads.")  # what last layers are called
UNUSED = ("AuxLogits.", "aux1.", "aux2.")  # layers that are there for training alone


def of_torchvision(name: str, options: dict) -> tuple[nn.Module, dict]:
    """An architecture of torchvision without weights, and what images it takes. ValueError for another name."""
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise ValueError(
            f"architecture = {name!r}: one of torchvision's, as {', '.join(known[:3])} or resnet50, is needed"
        )
    usual = {"resolution": 299} if name == "inception_v3" else {}
    extra = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    return torchvision.models.get_model(name, weights=None, **extra), usual


def of_timm(name: str, options: dict) -> tuple[nn.Module, dict]:
    """The same of timm; options: `resolution`, where the network is built for one."""
    try:
        import timm
    except ImportError as error:
        raise ValueError(f"timm is not installed, which {name!r} needs: pip install timm") from error
    if not timm.is_model(name):
        raise ValueError(f"architecture = {name!r}: one of timm's, as vit_small_patch14_dinov2, is needed")
    network = timm.create_model(name, pretrained=False, num_classes=0)
    card = timm.data.resolve_data_config({}, model=network)
    usual = {"resolution": card["input_size"][-1], "mean": card["mean"], "std": card["std"]}
    if (resolution := options.get("resolution")) not in (None, usual["resolution"]):
        try:
            network = timm.create_model(name, pretrained=False, num_classes=0, img_size=resolution)
        except TypeError:  # convolutions take any size
            network = timm.create_model(name, pretrained=False, num_classes=0)
    return network, usual


def read_state(file: Path) -> dict[str, Tensor]:
    """Tensors by name, from safetensors or a file of torch.save that holds nothing else; one level of nesting is taken off."""
    try:
        if file.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(str(file))
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of many types: a pickle of something else, a damaged archive
        raise ValueError(
            f"{file} holds no plain weights ({type(error).__name__}): tensors by name are needed"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{file} holds no plain weights: tensors by name are needed")
    return {key.removeprefix("module."): value for key, value in state.items()}


def load_state(network: nn.Module, state: dict[str, Tensor], file: Path, name: str) -> None:
    """Weights into a network without its last layer, whose weights may stand in the file; all others must be there."""
    try:
        missing, extra = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{file} holds weights of another network than {name!r}: {reason}") from error
    missing = [key for key in missing if not key.startswith(UNUSED)]
    extra = [key for key in extra if not key.startswith((*UNUSED, *HEADS)) and not key.endswith("mask_token")]
    if missing or extra:
        told = (
            f"{len(missing)} are missing ({', '.join(missing[:2])})"
            if missing
            else f"{len(extra)} are left over ({', '.join(extra[:2])})"
        )
        raise ValueError(f"{file} holds weights of another network than {name!r}: {told}")
    for key, value in network.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"{file} has NaN or infinite weights (in {key}): finite ones are needed")


def without_head(network: nn.Module) -> nn.Module:
    """The network up to the features that its last linear layer sees."""
    for name in ("fc", "head", "classifier", "heads"):
        layer = getattr(network, name, None)
        if isinstance(layer, nn.Linear):
            setattr(network, name, nn.Identity())
            break
        if isinstance(layer, nn.Sequential) and isinstance(layer[-1], nn.Linear):
            layer[-1] = nn.Identity()
            break
    return network.eval().requires_grad_(False)
