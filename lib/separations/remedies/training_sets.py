"""Training sets as remedies change them: duplicates, dummy images, shards."""

import torch
from torch import Tensor

from ..numerics.checks import check_count, check_whole, uniform


def _points(x: object, least: int = 1) -> Tensor:
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2 or len(x) < least or x.numel() == 0:
        what = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x is {what}: a floating-point tensor of at least {least} rows (n, *event_shape) is needed")
    return x


def repeated_points(x: Tensor, k: int, times: int) -> Tensor:
    """The set in which the first k points stand `times` times: what removing duplicates undoes.

    Args:
        x: (n, *event_shape).
        k: points that are repeated, 0 to n.
        times: how often each of them stands there, >= 1; at 1 the set as it was.

    Returns:
        (n + k (times - 1), *event_shape).

    Raises:
        ValueError: another kind of set, counts out of range.
    """
    x = _points(x)
    k, times = check_whole(k, "k", 0, len(x)), check_count(times, "times")
    return torch.cat([x, *[x[:k]] * (times - 1)])


def with_dummies(x: Tensor, k: int, *, generator: torch.Generator | None = None) -> Tensor:
    """The set with k dummy images behind it: training images whose pixels were shuffled, so that each has the grey values of an image and no form.

    Args:
        x: (n, *event_shape).
        k: dummies, from 0 on.
        generator: of the shuffles; None for torch's own.

    Returns:
        (n + k, *event_shape).

    Raises:
        ValueError: another kind of set, a count below 0.
    """
    x, k = _points(x), check_whole(k, "k", 0)
    if k == 0:
        return x
    flat = x.flatten(1)[torch.arange(k) % len(x)]
    order = uniform(flat.numel(), generator).reshape(flat.shape).argsort(1).to(x.device)
    return torch.cat([x, flat.gather(1, order).reshape(k, *x.shape[1:])])


def shards(x: Tensor, count: int) -> list[Tensor]:
    """The set in `count` parts, as equal as they can be: point i goes to part i modulo count.

    Args:
        x: (n, *event_shape).
        count: 1 to n.

    Returns:
        The parts, a list.

    Raises:
        ValueError: another kind of set, more parts than points.
    """
    x = _points(x)
    count = check_whole(count, "count", 1, len(x))
    return [x[i::count] for i in range(count)]
