"""Checks of arguments, and random numbers from a generator on any device. Every error names the argument, its value and what is allowed."""

import math
import os
from functools import cache
from numbers import Real
from operator import index

import numpy as np
import torch
from torch import Tensor, nn


def shown(value: object) -> str:
    """What an error says of a value: its repr on one line, the middle left out where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 120 else f"{text[:80]} ... {text[-30:]}"


def is_plain(x: object) -> bool:
    """Whether x is a tensor with ordinary numbers: not sparse, nested or quantized, at least 16 bits for a float."""
    if not isinstance(x, Tensor) or x.layout != torch.strided or x.is_nested or x.is_quantized:
        return False
    return not x.is_floating_point() or x.dtype.itemsize >= 2


def check_points(x: object, event_shape: tuple[int, ...], name: str = "x") -> Tensor:
    """x, if it is a finite floating-point tensor of shape (m, *event_shape) with m >= 1; ValueError otherwise."""
    want = f"(m, {', '.join(map(str, event_shape))})"
    if not is_plain(x) or not x.is_floating_point():
        dense = isinstance(x, Tensor) and x.layout == torch.strided
        kind = x.dtype if dense else x.layout if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name} is {kind}: a floating-point tensor of shape {want} is needed")
    if x.ndim == 0 or tuple(x.shape[1:]) != tuple(event_shape) or len(x) == 0:
        raise ValueError(f"{name} has shape {tuple(x.shape)}: shape {want} with m >= 1 is needed")
    return check_finite(x, name)


def check_shaped(x: object, name: str = "x") -> Tensor:
    """x, if it is a finite floating-point tensor (m, ...) with m >= 1, whatever the shape of a row; ValueError otherwise."""
    return check_points(x, tuple(x.shape[1:]) if isinstance(x, Tensor) else ("...",), name)


def check_rows(x: object, name: str = "x") -> Tensor:
    """x without its gradient, if `check_shaped` takes it and it has at least two axes; ValueError otherwise: m numbers are no m points."""
    if check_shaped(x, name).ndim < 2:
        raise ValueError(f"{name} has shape {tuple(x.shape)}: shape (m, d, ...) is needed")
    return x.detach()


def check_finite(x: Tensor, name: str) -> Tensor:
    """x, if all of it is finite; ValueError with the first bad row otherwise."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} is {type(x).__name__}: a tensor is needed")
    if not all_finite(x):
        row = int((~x.isfinite()).reshape(len(x), -1).any(1).nonzero()[0]) if x.ndim else 0
        raise ValueError(f"{name} has NaN or infinite values (first in row {row}): finite values are needed")
    return x


def ends(x: Tensor) -> tuple[float, float]:
    """Least and largest of at least one number, both NaN if one of them is."""
    low, high = x.detach().aminmax()
    return float(low), float(high)


def all_finite(x: Tensor) -> bool:
    """Whether no number is NaN or infinite: on a CPU told by the ends, ten times faster than by each number."""
    if x.device.type != "cpu" or not x.is_floating_point() or x.numel() == 0:
        return bool(x.isfinite().all())
    return all(map(math.isfinite, ends(x)))


def check_count(m: object, name: str = "m") -> int:
    """m as an int, if it is a whole number >= 1; ValueError otherwise."""
    return check_whole(m, name, 1)


def check_whole(value: object, name: str, low: int, high: int | None = None) -> int:
    """value as an int, if it is a whole number of any library (an int, NumPy's, a tensor of one) from low to high.

    ValueError otherwise, also for True, False and 2.0.
    """
    try:
        logical = isinstance(value, bool | np.bool_) or getattr(value, "dtype", None) == torch.bool
        whole = None if logical else index(value)
    except (TypeError, ValueError, RuntimeError):
        whole = None
    if whole is None or whole < low or (high is not None and whole > high):
        allowed = f">= {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} = {shown(value)}: a whole number {allowed} is needed")
    return whole


def as_real(value: object, name: str) -> float:
    """value as a float, if it is one real number of any library (NaN and infinity included); ValueError for anything else."""
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, Tensor | np.ndarray):
        raise ValueError(f"{name} has shape {tuple(value.shape)}: a number is needed")
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise ValueError(f"{name} = {shown(value)}: a number is needed")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} has {len(str(value))} digits: a number that a float can hold is needed") from None


def as_numbers(value: object, name: str, *, nan: bool = False) -> Tensor:
    """value as a float64 tensor, if it is a real number or at least one of them, none NaN unless `nan`; ValueError otherwise."""
    if type(value) is float and (nan or value == value):  # by far the most frequent case
        return torch.tensor(value, dtype=torch.float64)
    try:
        found = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} = {shown(value)}: a number, or a tensor or list of numbers, is needed") from None
    if not is_plain(found):
        raise ValueError(
            f"{name} is a tensor of {found.layout}, {found.dtype}: a dense one of ordinary numbers is needed"
        )
    if found.dtype == torch.bool or found.is_complex():
        raise ValueError(f"{name} is of type {found.dtype}: real numbers are needed")
    if not isinstance(value, Tensor | np.ndarray):  # Python's numbers are double, torch's default is not
        found = torch.as_tensor(value, dtype=torch.float64)
    if found.numel() == 0:
        raise ValueError(f"{name} is empty: at least one number is needed")
    if not nan and found.isnan().any():
        raise ValueError(f"{name} has NaN: numbers are needed")
    return found.double()


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
        raise ValueError(f"{name} = {shown(value)}: {allowed} is needed")
    return number


def check_positive(value: object, name: str) -> float:
    """value as a float, if it is a number > 0; ValueError otherwise."""
    return check_real(value, name, "a positive number", low=0, open_low=True)


def check_wholes(values: object, name: str, low: int = 1) -> tuple[int, ...]:
    """values as a tuple of ints, if they are whole numbers >= low of any library; ValueError otherwise."""
    try:
        listed = tuple(values)
    except TypeError:
        raise ValueError(f"{name} = {shown(values)}: a list of whole numbers >= {low} is needed") from None
    return tuple(check_whole(value, name, low) for value in listed)


def check_weights(module: nn.Module, name: str = "model") -> None:
    """ValueError with the first weight of a module that has NaN or infinite values."""
    for key, value in module.named_parameters():
        if not all_finite(value):
            raise ValueError(f"{name} has NaN or infinite values in its weight {key}: finite weights are needed")


def check_generator(generator: object, name: str = "generator") -> torch.Generator | None:
    """generator, if it is a torch.Generator or None; ValueError otherwise: a seed is not one."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ValueError(f"{name} = {shown(generator)}: a torch.Generator, or None, is needed")
    return generator


def generator_device(generator: object, default: torch.device | str = "cpu") -> torch.device:
    """The device on which a generator draws; `default` for None."""
    return torch.device(default) if check_generator(generator) is None else generator.device


def check_model(model: object, *methods: str, name: str = "model", either: bool = False) -> object:
    """model, if it has all of the methods, or with `either` one of them; ValueError otherwise."""
    missing = [method for method in methods if not callable(getattr(model, method, None))]
    if len(missing) == len(methods) or (missing and not either):
        needed = " or ".join(f".{method}(...)" for method in (methods if either else missing[:1]))
        raise ValueError(f"{name} is {type(model).__name__}: a law or a network with {needed} is needed")
    return model


def check_shape(shape: object, name: str = "shape") -> tuple[int, ...]:
    """shape as a tuple of whole numbers >= 1, at least one; ValueError otherwise."""
    if not isinstance(shape, tuple | list | torch.Size) or not shape:
        raise ValueError(f"{name} = {shown(shape)}: a tuple of whole numbers, as (1, 28, 28), is needed")
    return tuple(check_whole(size, f"{name}[{i}]", 1) for i, size in enumerate(shape))


def check_result(result: Tensor, name: str, advice: str) -> Tensor:
    """result, if all of it is finite; ValueError otherwise: it overflowed. advice: what would help."""
    if not all_finite(result):
        raise ValueError(f"{name} overflows {str(result.dtype).removeprefix('torch.')}: {advice}")
    return result


def randn(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal numbers with the dtype and device of `like`, drawn on the generator's own device."""
    device = generator_device(generator, like.device)
    return torch.randn(shape, dtype=like.dtype, device=device, generator=generator).to(like.device)


def uniform(m: int, generator: torch.Generator | None = None) -> Tensor:
    """m numbers in [0, 1), float64, on the device of the generator."""
    check_memory(check_count(m), torch.float64, f"m = {shown(m)}")
    return torch.rand(check_count(m), dtype=torch.float64, generator=generator, device=generator_device(generator))


def check_memory(numbers: int, dtype: torch.dtype, what: str) -> None:
    """ValueError if so many numbers are more than this machine's memory holds. what: names the arguments and their values."""
    size = torch.empty(0, dtype=dtype).element_size()
    have = _memory()
    if numbers * size > have:
        want = f"{numbers * size // 2**30:,}" if numbers < 2**80 else "more than 10^15"
        raise ValueError(f"{what}: {want} GB of memory, this machine has {have / 2**30:,.0f} GB; less is needed")


@cache
def _memory() -> int:
    """Bytes of memory of this machine; asked once, for the system reads a file to tell."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
