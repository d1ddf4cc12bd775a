"""Cost of a computation as a count that is the same on every machine, beside its processor seconds, which are not."""

import math
import time
from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from .checks import check_count


def _onednn_product(x, weight, *_, **__) -> int:
    """The linear map of oneDNN, by which `dit_kernels` goes on a CPU: x (rows, in), weight (out, in)."""
    return 2 * x.shape[0] * x.shape[1] * weight.shape[0]


LEAST = 0.05  # seconds of a measurement

_FORMULAS = dict(flop_registry)
if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
    _FORMULAS[torch.ops.mkldnn._linear_pointwise] = _onednn_product


class _Count(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        formula = _FORMULAS.get(func._overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


def count_flops(step: Callable[[], object]) -> int:
    """Floating-point operations in the matrix products and convolutions that step() runs, backward passes included.

    A product of (a, b) with (b, c) counts 2 a b c. What is done element by element is not counted.
    """
    with _Count() as count:
        step()
    return count.flops


def seconds(step: Callable[[], object], repeats: int = 5) -> list[float]:
    """Processor seconds of step(), `repeats` times after one run to warm up, in rising order; what else the machine does does not count.

    Of all threads of this process together. A short step is run as often as fills `LEAST` seconds: under a limit of processor time (`ulimit -t`)
    the clock goes in steps of some milliseconds. A step that waits for a GPU has few: time it by its events.
    """
    repeats = check_count(repeats, "repeats")
    if not callable(step):
        raise ValueError(f"step is {type(step).__name__}: a function without arguments is needed")
    step()
    number = 1
    while (took := _processor_time(step, number)) < LEAST:
        number = min(10 * number, max(2 * number, math.ceil(1.2 * number * LEAST / took))) if took else 10 * number
    return sorted([took / number, *(_processor_time(step, number) / number for _ in range(repeats - 1))])


def _processor_time(step: Callable[[], object], number: int) -> float:
    start = time.process_time()
    for _ in range(number):
        step()
    return time.process_time() - start
