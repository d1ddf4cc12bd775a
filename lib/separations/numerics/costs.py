"""Cost of a computation as a count that is the same on every machine, beside its processor seconds, which are not."""

import math
import time
from collections.abc import Callable

from torch.utils.flop_counter import flop_registry

from .checks import check_count
from .private_operators import LINEAR_POINTWISE, TorchDispatchMode


def _onednn_product(x, weight, *_, **__) -> int:
    """The linear map of oneDNN, by which `dit_kernels` goes on a CPU: x (rows, in), weight (out, in)."""
    return 2 * x.shape[0] * x.shape[1] * weight.shape[0]


LEAST = 0.05  # seconds of a measurement

_FORMULAS = {**flop_registry, LINEAR_POINTWISE: _onednn_product}


class _Count(TorchDispatchMode):
    """Adds up the formulas of `torch.utils.flop_counter`.

    Not its `FlopCounterMode`: the hooks by which that follows modules stop a gradient that is taken inside of a backward pass
    (torch 2.14: RuntimeError, "A leaf node was passed to _will_engine_execute_node"), which implicit score matching needs.
    """

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

    Args:
        step: a function without arguments, run once.

    Returns:
        The count.
    """
    with _Count() as count:
        step()
    return count.flops


def seconds(step: Callable[[], object], repeats: int = 5) -> list[float]:
    """Processor seconds of step(), of all threads of this process together; what else the machine does does not count.

    A short step is run as often as fills `LEAST` seconds: under a limit of processor time (`ulimit -t`) the clock goes in steps of some
    milliseconds. A step that waits for a GPU has few: time it by its events.

    Args:
        step: a function without arguments.
        repeats: measurements, after one run to warm up.

    Returns:
        `repeats` numbers, in seconds, in rising order.

    Raises:
        ValueError: a step that is no function, repeats that are no count.
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
