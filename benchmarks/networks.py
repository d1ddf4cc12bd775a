"""Many small networks trained at once beside one after another, in one run: `python benchmarks/networks.py [--quick] [--out FILE]`.

The same networks, data, draws and optimiser (Adam): a stack of c copies, and c single networks with the generators of the copies.
The two take turns (stack, singles, stack, ...), and the median of each counts. The losses at the end must agree to the
rounding of float32, or the comparison would mean nothing. The singles pay for nothing that the stack does not pay for.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from run import machine

from separations.files import write_whole
from separations.networks import MLP, Denoiser
from separations.training import train

SIZES = [(64, 3), (64, 5), (128, 3), (160, 4), (224, 4)]  # width, depth: 6K, 14K, 20K, 56K, 108K parameters in d = 8
QUICK = [(16, 3), (32, 3)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds: to see that it works")
    parser.add_argument("--copies", type=int, default=16, help="networks at once (default 16)")
    parser.add_argument("--steps", type=int, default=100, help="steps of training in a turn (default 100)")
    parser.add_argument("--repeats", type=int, default=3, help="turns that count (default 3)")
    parser.add_argument("--out", type=Path, default=Path("_build/benchmark_networks.json"), help="where the JSON goes")
    options = parser.parse_args()
    steps = 10 if options.quick else options.steps
    print(f"{machine()}\n\n{options.copies} networks, d = 8, batch 128, {steps} steps of Adam")
    rows = []
    for width, depth in QUICK if options.quick else SIZES:
        rows.append(measure(width, depth, options.copies, steps, options.repeats))
        print(
            "  width {width:4d}, depth {depth}: {parameters:7,} parameters each   at once {stack:7.2f} s   one after another "
            "{singles:7.2f} s   ratio {ratio:.2f}".format(**rows[-1])
        )
    write_whole(
        options.out,
        json.dumps(
            {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "copies": options.copies, "rows": rows}, indent=1
        )
        + "\n",
    )
    print(f"written: {options.out}")


def measure(width: int, depth: int, copies: int, steps: int, repeats: int, d: int = 8) -> dict:
    """Median seconds for the stack and for the singles, and the largest relative difference of their losses."""
    g = torch.Generator().manual_seed(0)
    data = [torch.randn(n, d, generator=g) for n in torch.linspace(50, 500, copies).long().tolist()]
    seconds, losses = {"stack": [], "singles": []}, {}
    for turn in range(repeats + 1):  # the first is a warm-up
        for name, run in (("stack", at_once), ("singles", one_after_another)):
            start = time.perf_counter()
            losses[name] = run(width, depth, data, steps)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    difference = float(((losses["stack"] - losses["singles"]) / losses["singles"]).abs().max())
    stack, singles = (statistics.median(seconds[name]) for name in ("stack", "singles"))
    count = MLP(d, width, depth, copies=1).parameters_per_copy
    return {
        "width": width,
        "depth": depth,
        "parameters": count,
        "stack": stack,
        "singles": singles,
        "ratio": singles / stack,
        "difference": difference,
    }


def generators(copies: int, salt: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(1000 * salt + i) for i in range(copies)]


def at_once(width: int, depth: int, data: list[torch.Tensor], steps: int) -> torch.Tensor:
    c, d = len(data), data[0].shape[1]
    model = Denoiser(MLP(d, width, depth, copies=c, generator=generators(c, 1)))
    return list(train(model, data, steps=steps, generator=generators(c, 2)))[-1].loss


def one_after_another(width: int, depth: int, data: list[torch.Tensor], steps: int) -> torch.Tensor:
    c, d, losses = len(data), data[0].shape[1], []
    for one, start, draws in zip(data, generators(c, 1), generators(c, 2)):
        model = Denoiser(MLP(d, width, depth, generator=start))
        losses.append(list(train(model, one, steps=steps, generator=draws))[-1].loss)
    return torch.stack(losses)


if __name__ == "__main__":
    main()
