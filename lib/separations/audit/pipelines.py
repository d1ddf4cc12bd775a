"""Pipelines of diffusers, from a folder: a network on pixels and its schedule of discrete timesteps, as one function of sigma."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
LATENT = ("vae", "vqvae", "vqmodel", "movq")
CONDITIONS = ("text_encoder", "tokenizer", "text_encoder_2", "image_encoder", "prior")
PREDICTED = ("epsilon", "sample", "v_prediction")


def open_pipeline(
    folder: Path, device: str | torch.device = "cpu", name: str | None = None
) -> tuple[Callable[[Tensor, Tensor], Tensor], str, tuple[int, ...], tuple[float, float]]:
    """A function (x, sigma) of the folder that `DDPMPipeline.save_pretrained` and its like write: `unet` and `scheduler`.

    The network was trained at whole timesteps with log-SNR log(a / (1 - a)), a their `alphas_cumprod`. A sigma between two of them is
    given to it as the fraction that is linear in the log-SNR, and x_t = x / sqrt(1 + sigma^2) is exact; a sigma outside is not there.
    `clip_sample` and thresholding, which are the sampler's, are not applied. Of a network with learned variances the mean is taken.

    Args:
        folder: with model_index.json, unet/ (safetensors) and scheduler/.
        device: where the network runs.
        name: for tables; None: that of the folder.

    Returns:
        The function, its name, the event_shape, and the least and largest sigma: what an `OpenedModel` is made of.

    Raises:
        ValueError: for pickled weights, latents, conditions, another network, another prediction, or a scheduler without
            `alphas_cumprod` (flow matching, EDM); and where diffusers is not installed.
    """
    parts = _json(folder, folder / "model_index.json")
    for group, words in ((LATENT, "works on latents, not on pixels"), (CONDITIONS, "has conditions")):
        found = [key for key in group if parts.get(key, [None])[0] is not None]
        if found:
            raise ValueError(
                f"source = {str(folder)!r}: the pipeline {words} ({found[0]}); an unconditional one on pixels is needed"
            )
    unet = _json(folder, folder / "unet" / "config.json")
    _check_weights(folder)
    if unet.get("_class_name") != "UNet2DModel" or unet.get("class_embed_type") or unet.get("num_class_embeds"):
        what = unet.get("_class_name") if unet.get("_class_name") != "UNet2DModel" else "a network with classes"
        raise ValueError(f"source = {str(folder)!r}: unet is {what}; an unconditional UNet2DModel is needed")
    network, schedule = _loaded(folder)
    kind, cumulative = schedule.config.prediction_type, getattr(schedule, "alphas_cumprod", None)
    if cumulative is None:
        raise ValueError(
            f"source = {str(folder)!r}: {type(schedule).__name__} has no alphas_cumprod; a variance-preserving scheduler is needed"
        )
    if kind not in PREDICTED:
        raise ValueError(
            f"source = {str(folder)!r}: prediction_type = {kind!r}; one of {', '.join(PREDICTED)} is needed"
        )
    shape, channels = _shape(folder, unet), int(unet["in_channels"])
    cumulative = cumulative.double().cpu()
    levels = cumulative.log() - torch.log1p(-cumulative)  # log-SNR of timesteps 0, 1, ...: falling
    usable = levels.isfinite()  # the last one has none where the schedule was rescaled to zero SNR
    levels = levels[usable]
    steps = torch.arange(len(usable), dtype=torch.float64)[usable]
    network = network.to(device).eval()

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        level, column = -2 * sigma.cpu().log(), sigma.reshape(-1, 1, 1, 1).to(x)
        k = torch.searchsorted(-levels, -level, right=True).sub(1).clamp(0, len(levels) - 2)
        share = (levels[k] - level) / (levels[k] - levels[k + 1])
        t = (steps[k] + share.clamp(0, 1) * (steps[k + 1] - steps[k])).to(device, torch.float32)
        alpha = (1 + column.square()).rsqrt()
        x_t = alpha * x
        said = network(x_t.to(device, torch.float32), t).sample[:, :channels].to(x)
        if kind == "sample":
            return said
        if kind == "epsilon":
            return x - column * said
        return alpha * x_t - alpha * column * said

    return denoise, name or folder.name, shape, (float((-levels[0] / 2).exp()), float((-levels[-1] / 2).exp()))


def _json(folder: Path, path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"source = {str(folder)!r}: {path.relative_to(folder)} cannot be read ({type(error).__name__}: {reason}); a folder as "
            "DDPMPipeline.save_pretrained writes it is needed"
        ) from None
    if not isinstance(found, dict):
        raise ValueError(f"source = {str(folder)!r}: {path.relative_to(folder)} is no mapping; one is needed")
    return found


def _check_weights(folder: Path) -> None:
    if any((folder / "unet").glob("*.safetensors")):
        return
    pickled = sorted(path.name for path in (folder / "unet").iterdir() if path.suffix in PICKLED)
    have = (
        f"has {pickled[0]}, which is pickled, and unpickling runs whatever code is in it"
        if pickled
        else "has no weights"
    )
    raise ValueError(
        f"source = {str(folder)!r}: unet {have}; safetensors, as save_pretrained(..., safe_serialization=True) writes, are needed"
    )


def _loaded(folder: Path):
    """The network in float32 and the scheduler."""
    try:
        import diffusers
    except ImportError:
        raise ValueError(
            f"source = {str(folder)!r}: a pipeline of diffusers, and the package diffusers is not installed; "
            "pip install diffusers is needed"
        ) from None
    options = {"local_files_only": True}
    about = _json(folder, folder / "scheduler" / "scheduler_config.json")
    kind = getattr(diffusers, str(about.get("_class_name")), None)
    if kind is None or not isinstance(kind, type) or not issubclass(kind, diffusers.SchedulerMixin):
        raise ValueError(
            f"source = {str(folder)!r}: scheduler is {about.get('_class_name')!r}; a scheduler of diffusers {diffusers.__version__} is needed"
        )
    try:
        network = diffusers.UNet2DModel.from_pretrained(
            folder, subfolder="unet", use_safetensors=True, torch_dtype=torch.float32, **options
        )
        return network, kind.from_pretrained(folder, subfolder="scheduler", **options)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"source = {str(folder)!r}: diffusers cannot load it ({type(error).__name__}: {reason}); a whole folder is needed"
        ) from error


def _shape(folder: Path, unet: dict) -> tuple[int, ...]:
    """(c, h, w) of the images, from the configuration."""
    size, channels, out = unet.get("sample_size"), unet.get("in_channels"), unet.get("out_channels")
    if isinstance(size, int):
        size = (size, size)
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(isinstance(s, int) and s > 0 for s in size):
        raise ValueError(f"source = {str(folder)!r}: unet has sample_size = {size!r}; a size in pixels is needed")
    if not isinstance(channels, int) or out not in (channels, 2 * channels):
        raise ValueError(
            f"source = {str(folder)!r}: unet has in_channels = {channels}, out_channels = {out}; as many, or twice as many with learned "
            "variances, are needed"
        )
    return (channels, *size)
