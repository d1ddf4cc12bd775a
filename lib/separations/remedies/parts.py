"""Training only some parts of a transformer."""

from collections.abc import Iterable

from torch import nn

from ..networks import Denoiser, DiT

PARTS = ("attention", "MLP", "adaLN", "embedding", "last layer")


def part_of(name: str) -> str:
    """To which part of a `DiT` a parameter of this name belongs.

    Args:
        name: as `named_parameters` has it.

    Returns:
        "attention" and "MLP" of the blocks, "adaLN" with that before the last layer, "embedding" of patches and of time, "last layer".

    Raises:
        ValueError: a name that no transformer of this book has.
    """
    words = name.split(".")
    if "adaLN_modulation" in words:
        return "adaLN"
    if words[0] in ("x_embedder", "t_embedder"):
        return "embedding"
    if words[0] == "final_layer":
        return "last layer"
    for word, part in (("attn", "attention"), ("mlp", "MLP")):
        if words[0] == "blocks" and word in words:
            return part
    raise ValueError(f"name = {name!r}: the name of a parameter of a DiT is needed")


def train_only(model: Denoiser, parts: Iterable[str]) -> list[nn.Parameter]:
    """Let only some parts of a transformer learn, in place: the other weights ask for no gradient.

    Args:
        model: a denoiser around a `DiT`.
        parts: of PARTS, at least one.

    Returns:
        The parameters that learn.

    Raises:
        ValueError: another network, no parts, a part that is not there.
    """
    if not isinstance(model, Denoiser) or not isinstance(model.network, DiT):
        raise ValueError(f"model is {type(model).__name__}: a denoiser around a DiT is needed")
    parts = [parts] if isinstance(parts, str) else list(parts)
    if not parts or not set(parts) <= set(PARTS):
        raise ValueError(f"parts = {parts}: at least one of {', '.join(PARTS)} is needed")
    for name, p in model.network.named_parameters():
        p.requires_grad_(part_of(name) in parts)
    return [p for p in model.network.parameters() if p.requires_grad]
