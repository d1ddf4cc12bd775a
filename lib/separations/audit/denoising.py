"""Denoising losses of several sets of images under the same noise, image by image, and that of the exact empirical score."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..distributions.empirical import Empirical
from ..numerics.checks import all_finite, check_finite, randn, shown
from ..numerics.rows import kind
from ..schedules import VE

FARTHEST = 1.5  # of image values: beyond it they are not on the scale of [-1, 1]


def check_values(values: object, name: str, event_shape: tuple[int, ...] | None = None, least: int = 2):
    """values, if they are floating-point or uint8, (n, *event_shape) with n >= least, a tensor or an array; ValueError otherwise."""
    if not isinstance(values, Tensor | np.ndarray) or not kind(values):
        what = getattr(values, "dtype", type(values).__name__)
        raise ValueError(f"{name} is {what}: floating-point values in [-1, 1], or uint8 for 8-bit images, are needed")
    if values.ndim < 2 or 0 in values.shape or len(values) < least:
        raise ValueError(f"{name} has shape {tuple(values.shape)}: (n, ...) with n >= {least} is needed")
    if event_shape is not None and tuple(values.shape[1:]) != event_shape:
        want = ", ".join(map(str, ("n", *event_shape)))
        raise ValueError(f"{name} has shape {tuple(values.shape)}: shape ({want}), as train, is needed")
    return values


def taken(values: Tensor | np.ndarray, most: int, name: str, generator: torch.Generator | None) -> Tensor:
    """At most so many rows, drawn without replacement, float32 on the CPU; 8-bit numbers u as u / 127.5 - 1."""
    index = torch.randperm(len(values), generator=generator)[:most].sort().values
    some = values[index.numpy()] if isinstance(values, np.ndarray) else values[index.to(values.device)].detach().cpu()
    if isinstance(some, np.ndarray):
        some = torch.from_numpy(np.ascontiguousarray(some, dtype=some.dtype.newbyteorder("=")))
    if some.dtype == torch.uint8:
        return some.float() / 127.5 - 1
    some = check_finite(some, name).float()
    if some.ndim == 4 and (far := float(some.abs().max())) > FARTHEST:
        raise ValueError(f"{name} has values up to {far:.4g}: images in [-1, 1], or uint8 for 8-bit images, are needed")
    return some


def asked(denoise: Callable, x: Tensor, sigma: float) -> Tensor:
    """denoise(x, sigma), checked; ValueError where the answer is no finite tensor of the shape of x."""
    with torch.no_grad():
        answer = denoise(x, sigma)
    if not isinstance(answer, Tensor) or answer.shape != x.shape or not answer.is_floating_point():
        what = f"shape {tuple(answer.shape)}, {answer.dtype}" if isinstance(answer, Tensor) else shown(answer)
        raise ValueError(
            f"denoise(x, {sigma:.4g}) is {what}: a floating-point tensor of shape {tuple(x.shape)} is needed"
        )
    if not all_finite(answer):
        raise ValueError(f"denoise(x, {sigma:.4g}) has NaN or infinite values: finite ones are needed")
    return answer.to(x)


def losses(
    denoise: Callable,
    sets: Mapping[str, Tensor],
    law: Empirical,
    sigma: float,
    *,
    draws: int,
    batch: int,
    generator: torch.Generator | None,
) -> dict[str, np.ndarray]:
    """|D(x0 + sigma eps, sigma) - x0|^2 / d of each image, mean over the draws of eps, by the name of the set; float64 (m,).

    Row j of every set sees the same noise, so that sets of one size differ by their images alone. "empirical" is the loss of the
    posterior mean of `law`, the whole training set, at the noisy images of the set "train": one pass over the training set.
    """
    found = {name: torch.zeros(len(x0), dtype=torch.float64) for name, x0 in sets.items()}
    longest, noisy = max(sets.values(), key=len), []
    for _ in range(draws):
        for first in range(0, len(longest), batch):
            part = slice(first, first + batch)
            eps = randn(tuple(longest[part].shape), longest, generator)
            for name, x0 in sets.items():
                clean = x0[part]
                if not len(clean):
                    continue
                x = clean + sigma * eps[: len(clean)]
                found[name][part] += _error(asked(denoise, x, sigma), clean)
                if name == "train":
                    noisy.append(x)
    x0 = sets["train"]
    exact = law.denoise(torch.cat(noisy), sigma, schedule=VE(max(sigma, 1.0)))
    found["empirical"] = sum(_error(part, x0) for part in exact.split(len(x0)))
    return {name: (each / draws).numpy() for name, each in found.items()}


def _error(x: Tensor, x0: Tensor) -> Tensor:
    """Mean squared difference of each row, float64."""
    return (x.double() - x0.double()).square().flatten(1).mean(1)
