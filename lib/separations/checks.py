"""Checks of arguments, and random numbers from a generator on any device. Every error names the argument, its value and what is allowed."""

import os
from numbers import Real
from operator import index

import numpy as np
import torch
from torch import Tensor


def check_points(x: object, event_shape: tuple[int, ...], name: str = "x") -> Tensor:
    """x, if it is a finite floating-point tensor of shape (m, *event_shape) with m >= 1; ValueError otherwise."""
    want = f"(m, {', '.join(map(str, event_shape))})"
    plain = isinstance(x, Tensor) and x.layout == torch.strided  # neither sparse nor of a library's own making
    if not plain or not x.is_floating_point() or x.dtype.itemsize < 2:
        kind = x.dtype if plain else x.layout if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name} is {kind}: a floating-point tensor of shape {want} is needed")
    if x.ndim == 0 or tuple(x.shape[1:]) != tuple(event_shape) or len(x) == 0:
        raise ValueError(f"{name} has shape {tuple(x.shape)}: shape {want} with m >= 1 is needed")
    return check_finite(x, name)


def check_finite(x: Tensor, name: str) -> Tensor:
    """x, if all of it is finite; ValueError with the first bad row otherwise."""
    if not x.isfinite().all():
        row = int((~x.isfinite()).reshape(len(x), -1).any(1).nonzero()[0]) if x.ndim else 0
        raise ValueError(f"{name} has NaN or infinite values (first in row {row}): finite values are needed")
    return x


def check_count(m: object, name: str = "m") -> int:
    """m as an int, if it is a whole number >= 1; ValueError otherwise."""
    return check_whole(m, name, 1)


def check_whole(value: object, name: str, low: int, high: int | None = None) -> int:
    """value as an int, if it is a whole number of any library (an int, NumPy's, a tensor of one) from low to high.

    ValueError otherwise, also for True, False and 2.0.
    """
    try:
        whole = None if isinstance(value, bool | np.bool_) else index(value)
    except (TypeError, ValueError, RuntimeError):
        whole = None
    if whole is None or whole < low or (high is not None and whole > high):
        allowed = f">= {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} = {value!r}: a whole number {allowed} is needed")
    return whole


def check_real(value: object, name: str) -> float:
    """value as a float, if it is one real number of any library (NaN and infinity included); ValueError for anything else."""
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise ValueError(f"{name} = {value!r}: a number is needed")
    return float(value)


def check_generator(generator: object) -> torch.Generator | None:
    """generator, if it is a torch.Generator or None; ValueError otherwise."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ValueError(f"generator = {generator!r}: a torch.Generator, or None, is needed")
    return generator


def generator_device(generator: object, default: torch.device | str = "cpu") -> torch.device:
    """The device on which a generator draws; `default` for None."""
    return torch.device(default) if check_generator(generator) is None else generator.device


def randn(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal numbers with the dtype and device of `like`, drawn on the generator's own device."""
    device = like.device if generator is None else generator.device
    return torch.randn(shape, dtype=like.dtype, device=device, generator=generator).to(like.device)


def uniform(m: int, generator: torch.Generator | None = None) -> Tensor:
    """m numbers in [0, 1), float64, on the device of the generator."""
    device = None if generator is None else generator.device
    return torch.rand(m, dtype=torch.float64, generator=generator, device=device)


def check_memory(numbers: int, dtype: torch.dtype, what: str) -> None:
    """ValueError if so many numbers are more than this machine's memory holds. what: names the arguments and their values."""
    size = torch.empty(0, dtype=dtype).element_size()
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if numbers * size > have:
        raise ValueError(
            f"{what}: {numbers * size / 2**30:,.0f} GB of memory, this machine has {have / 2**30:,.0f} GB; less is needed"
        )
