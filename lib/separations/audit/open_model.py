"""A trained model from a file, a folder or memory as one function denoise(x, sigma), whatever its schedule and prediction."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..networks.denoiser import Denoiser
from ..numerics.checks import as_numbers, check_points, check_positive, check_real, ends, shown
from ..training import checkpoints, recipes
from ..training.recipe import Recipe
from ..training.recipe_data import recipe_data
from .pipelines import PICKLED, open_pipeline


class OpenedModel:
    """A denoiser of variance-exploding noise: model(x, sigma) estimates x0 from x = x0 + sigma eps.

    Args:
        denoise: the function (x, sigma) that does it, sigma float64 (m,) within the range.
        name: for tables and sentences.
        event_shape: of one sample.
        sigma_range: least and largest sigma that its schedule has.
    """

    def __init__(
        self,
        denoise: Callable[[Tensor, Tensor], Tensor],
        name: str,
        event_shape: tuple[int, ...],
        sigma_range: tuple[float, float] = (0.0, math.inf),
    ):
        self.denoise, self.name = denoise, name
        self.event_shape, self.sigma_range = tuple(event_shape), sigma_range

    @torch.no_grad()
    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Estimate of x0, shape and device of x.

        x: (m, *event_shape); sigma: standard deviation of the noise on x0, a number or (m,). ValueError for other shapes, values that
        are not finite, and a sigma that the schedule of the model does not have.
        """
        check_points(x, self.event_shape)
        level = as_numbers(sigma, "sigma")
        if level.ndim and level.shape != x.shape[:1]:
            raise ValueError(f"sigma has shape {tuple(level.shape)}: a number or shape ({len(x)},) is needed")
        (least, most), (low, high) = ends(level), self.sigma_range
        if not (least > 0 and low * (1 - 1e-9) <= least and most <= high * (1 + 1e-9) and math.isfinite(most)):
            wrong = most if least > 0 and least >= low else least
            raise ValueError(
                f"sigma = {wrong:.4g}: from {low:.4g} to {high:.4g}, what the schedule of {self.name} has, is needed"
            )
        level = level.to(x.device).expand(len(x)).clamp(max(low, math.ulp(0.0)), high)
        return self.denoise(x, level).to(x)

    def __repr__(self) -> str:
        low, high = self.sigma_range
        return f"OpenedModel({self.name}: {self.event_shape}, sigma from {low:.3g} to {high:.3g})"


def open_model(
    source: str | Path | Denoiser,
    *,
    mean: float | None = None,
    std: float | None = None,
    name: str | None = None,
    device: str | torch.device | None = None,
) -> OpenedModel:
    """A trained model as a function denoise(x, sigma) on x = x0 + sigma eps.

    With alpha and sigma_t of its own schedule the network sees x_t = alpha x at the time where sigma_t / alpha = sigma, that is at the
    same signal-to-noise ratio. A model that was trained on standardised images sees (x - mean) / std at sigma / std.

    Args:
        source: a checkpoint of this library (*.safetensors), the name of a shipped one, the folder of a pipeline of diffusers that
            works on pixels (see `pipelines.open_pipeline`), or a `Denoiser` at hand. Nothing is unpickled.
        mean, std: what was subtracted from the training images, and what they were divided by; None: what the recipe in the
            checkpoint says, else 0 and 1.
        name: for tables; None: that of the file or the folder.
        device: where the network runs; answers come back to that of x. None: the CPU, and a `Denoiser` at hand stays as it is.

    Returns:
        An `OpenedModel`, with attributes `name`, `event_shape` and `sigma_range`.

    Raises:
        ValueError: for a pickled file, a damaged one, a model on latents or with conditions, and a schedule without log-SNR.
        FileNotFoundError: where there is nothing.
    """
    if isinstance(source, Denoiser):
        return _of_denoiser(source, name or "model", 0.0 if mean is None else mean, 1.0 if std is None else std, device)
    if not isinstance(source, str | Path) or not str(source):
        raise ValueError(f"source = {shown(source)}: the path of a checkpoint or a folder, or a Denoiser, is needed")
    path = Path(source)
    if str(source) in recipes.NAMES:
        path = checkpoints.shipped(str(source))
    elif path.is_dir():
        if mean is not None or std is not None:
            raise ValueError(f"mean = {mean}, std = {std}: a pipeline has images in [-1, 1], None is needed")
        return OpenedModel(*open_pipeline(path, device or "cpu", name))
    elif path.suffix in PICKLED:
        raise ValueError(
            f"source = {str(source)!r}: {path.suffix} files are pickled, and unpickling runs whatever code is in them; "
            "a .safetensors file is needed"
        )
    elif not path.is_file():
        raise FileNotFoundError(
            f"source = {str(source)!r}: no such file or folder; a .safetensors file, the folder of a pipeline, or one of "
            f"{', '.join(recipes.NAMES)} is needed"
        )
    model, facts = checkpoints.load_model(path)
    model.eval()
    if mean is None or std is None:
        found = _moments(facts.get("recipe"), str(source))
        mean, std = (given if given is not None else other for given, other in zip((mean, std), found))
    return _of_denoiser(model, name or path.stem, mean, std, device)


def _moments(words: dict | None, source: str) -> tuple[float, float]:
    """Mean and standard deviation of the training images of a recipe; 0 and 1 where there is none."""
    if words is None:
        return 0.0, 1.0
    try:
        images = recipe_data(Recipe(**words))
    except (TypeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"mean = None, std = None: {source} was trained on {words.get('data_name')!r}, which cannot be read here "
            f"({reason}); the mean and the standard deviation of its training images are needed"
        ) from None
    return images.mean, images.std


def _of_denoiser(model: Denoiser, name: str, mean: float, std: float, device) -> OpenedModel:
    if model.copies is not None:
        raise ValueError(f"source is a stack of {model.copies} networks: one of them, model.copy(i), is needed")
    mean, std, schedule = check_real(mean, "mean"), check_positive(std, "std"), model.schedule
    device = model.mean.device if device is None else device
    model = model.to(device)
    last = math.inf if math.isinf(schedule.t_max) else std * math.exp(-float(schedule.log_snr(schedule.t_max)) / 2)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        t = schedule.time_from_log_snr(-2 * (sigma.cpu() / std).log())
        column = schedule.alpha(t).reshape(-1, *[1] * (x.ndim - 1)).to(x)
        return model.denoise((column * ((x - mean) / std)).to(device), t).to(x) * std + mean

    return OpenedModel(denoise, name, model.event_shape, (0.0, last))
