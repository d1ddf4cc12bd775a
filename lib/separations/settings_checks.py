"""Checks of what networks and their training are given: numbers, generators, weights. Every error names the argument and its value."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from .checks import check_whole


def check_real(value: object, name: str, allowed: str = "a finite number", *, low: float = -math.inf, high: float = math.inf,
               open_low: bool = False, open_high: bool = False) -> float:  # fmt: skip
    """value as a float, if it is a finite number of any library from low to high (without the ends where open); ValueError otherwise."""
    try:
        refused = isinstance(value, bool | np.bool_ | str | bytes) or (isinstance(value, Tensor) and value.ndim > 0)
        number = math.nan if refused else float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        number = math.nan
    below, above = number <= low if open_low else number < low, number >= high if open_high else number > high
    if not math.isfinite(number) or below or above:
        raise ValueError(f"{name} = {value!r}: {allowed} is needed")
    return number


def check_positive(value: object, name: str) -> float:
    """value as a float, if it is a number > 0; ValueError otherwise."""
    return check_real(value, name, "a positive number", low=0, open_low=True)


def check_wholes(values: object, name: str, low: int = 1) -> tuple[int, ...]:
    """values as a tuple of ints, if they are whole numbers >= low of any library; ValueError otherwise."""
    try:
        listed = tuple(values)
    except TypeError:
        raise ValueError(f"{name} = {values!r}: a list of whole numbers >= {low} is needed") from None
    return tuple(check_whole(value, name, low) for value in listed)


def check_generator(generator: object, name: str = "generator") -> torch.Generator | None:
    """generator, if it is a torch.Generator or None; ValueError otherwise: a seed is not one."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ValueError(f"{name} = {generator!r}: a torch.Generator, or None, is needed")
    return generator


def check_weights(module: nn.Module, name: str = "model") -> None:
    """ValueError with the first weight of a module that has NaN or infinite values."""
    for key, value in module.named_parameters():
        if not value.detach().isfinite().all():
            raise ValueError(f"{name} has NaN or infinite values in its weight {key}: finite weights are needed")
