"""Many small transformers trained at once, in one run: `python benchmarks/stacked_transformers.py [--quick] [--threads 1 2] [--out FILE]`.

The same networks, data, draws, optimiser (AdamW) and average, those of the recipe mnist-memorizing (without the slow start of its rate,
so that losses move), c networks in three ways:

  stacked            one `DiTStack`
  one after another  c times `DiT`
  torch.func         `stack_module_state`, `vmap` and `functional_call` of `DiT`, in the same training loop

The three take turns (A B C A B C ...) after a warm-up. Their losses must agree to the rounding of float32, or the comparison would mean
nothing. The ratio is that of a turn: its median, with the quartiles; once for the seconds on the wall and once for those that the
processor worked, all threads together, which other work on the machine moves less. With several numbers of threads each has a process of
its own, one after the other.

What to expect on a processor is little. Matrix products are about 40 % of a step and a stack changes none of them: it would be at most 2.5
times as fast if all else cost nothing. All else is mostly elementwise work, which waits for memory. A stack saves calls, many small updates of
optimiser and average, and the draws; what it loses is that its tensors are too large for a cache. On a GPU, where small kernels wait
for their launches, nothing was measured.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from run import machine
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from separations.files import write_whole
from separations.networks import Denoiser, DiT, DiTConfig, DiTStack
from separations.training import Record, recipe_data, recipes, train

BASE = "stacked"
TOLERANCE = 1e-3  # float32, in the loss of a network after some steps


class TorchFunc(nn.Module):
    """c networks as torch.func runs them: weights stacked by `stack_module_state`, one call under `vmap`."""

    def __init__(self, networks: list[DiT]):
        super().__init__()
        self.copies, self.event_shape = len(networks), networks[0].event_shape
        weights, _ = stack_module_state(networks)
        self.names = list(weights)
        self.weights = nn.ParameterList(w.detach() for w in weights.values())
        self.__dict__["one"] = networks[0].to("meta")  # its form; not a part, or its weights would be trained
        self.register_buffer("pos_embed", networks[1].pos_embed, persistent=False)

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        weights = dict(zip(self.names, self.weights))

        def one(own: dict, x: Tensor, log_snr: Tensor) -> Tensor:
            return functional_call(self.one, (own, {"pos_embed": self.pos_embed}), (x, log_snr))

        return vmap(one)(weights, x, log_snr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small networks, seconds: to see that it works")
    parser.add_argument("--copies", type=int, default=12, help="networks at once, at least 2 (default 12)")
    parser.add_argument("--steps", type=int, default=2, help="steps of training in a turn (default 2)")
    parser.add_argument("--repeats", type=int, default=7, help="turns that count (default 7)")
    parser.add_argument(
        "--threads", type=int, nargs="*", default=[], help="numbers of threads (default: that of torch)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("_build/benchmark_stacked_transformers.json"), help="where the JSON goes"
    )
    options = parser.parse_args()
    if options.copies < 2 or options.repeats < 2:
        parser.error("--copies and --repeats are at least 2")
    runs = several(options) if options.threads else [measure(options)]
    write_whole(options.out, json.dumps(runs, indent=1) + "\n")
    if not options.threads:
        print(f"written: {options.out}")


def several(options: argparse.Namespace) -> list[dict]:
    """One process for each number of threads, and their results in one list."""
    found = []
    for threads in options.threads:
        part = options.out.with_name(f"{options.out.stem}_{threads}{options.out.suffix}")
        counts = [f"--{name}={getattr(options, name)}" for name in ("copies", "steps", "repeats")]
        command = [sys.executable, __file__, *counts, f"--out={part}", *(["--quick"] * options.quick)]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        subprocess.run(command, check=True, env=environment)
        found += json.loads(part.read_text())
        part.unlink()
    return found


def measure(options: argparse.Namespace) -> dict:
    """Seconds and ratios of the three ways; prints the table."""
    small = DiTConfig(image=(1, 28, 28), patch=14, width=16, depth=2, heads=2)
    config, c = small if options.quick else DiTConfig(), options.copies
    print(f"{machine()}\n\n{c} networks, {options.steps} steps of training in a turn, {options.repeats} turns")
    ways = runs(config, c)
    clocks = {"wall": time.perf_counter, "processor": time.process_time}
    times = {name: {clock: [] for clock in clocks} for name in ways}
    losses = {}
    for turn in range(options.repeats + 1):  # the first is a warm-up
        for name, trainings in ways.items():
            start = {clock: now() for clock, now in clocks.items()}
            found = [[next(one).loss for _ in range(options.steps)][-1] for one in trainings]
            if turn:
                for clock, now in clocks.items():
                    times[name][clock].append((now() - start[clock]) / options.steps)
            losses[name] = torch.stack(found).flatten()
    worst = {name: float((loss / losses[BASE] - 1).abs().max()) for name, loss in losses.items()}
    if max(worst.values()) > TOLERANCE:
        raise RuntimeError(f"the losses differ, {worst}: the times would mean nothing")
    return {
        "date": time.strftime("%Y-%m-%d"), "machine": machine(), "threads": torch.get_num_threads(), "copies": c,
        "rows": [row(name, times, worst[name]) for name in ways],
    }  # fmt: skip


def row(name: str, times: dict[str, dict[str, list[float]]], difference: float) -> dict:
    """Median seconds of a step of all networks, and the ratio to the stack, turn by turn; printed and returned."""
    found = {"method": name, "difference": difference}
    for clock, seconds in times[name].items():
        ratios = [a / b for a, b in zip(seconds, times[BASE][clock])]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        found[clock] = {"seconds": statistics.median(seconds), "ratio": middle, "low": low, "high": high}
    told = "   ".join(
        "{0} {seconds:7.3f} s a step, ratio {ratio:.2f} ({low:.2f} to {high:.2f})".format(clock, **found[clock])
        for clock in times[name]
    )
    print(f"  {name:17}  {told}   losses differ by {difference:.0e}", flush=True)
    return found


def runs(config: DiTConfig, c: int) -> dict[str, list[Iterator[Record]]]:
    """The trainings of each way: one for a stack, c for single networks; all see the same draws."""
    recipe = recipes.named("mnist-memorizing")
    data = recipe_data(recipe).train

    def generators(salt: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(1000 * salt + i) for i in range(c)]

    def training(network: nn.Module, generator) -> Iterator[Record]:
        return train(
            Denoiser(network, recipe.noise(), prediction=recipe.prediction), data, steps=10**6, batch=recipe.batch, lr=recipe.lr,
            ema=recipe.ema, times=recipe.time_distribution(), weight=recipe.prediction, optimiser="adamw",
            every=1, generator=generator,
        )  # fmt: skip

    singles = [DiT(config, generator=g) for g in generators(1)]
    return {
        BASE: [training(DiTStack(config, copies=c, generator=generators(1)), generators(2))],
        "one after another": [training(network, g) for network, g in zip(singles, generators(2))],
        "torch.func": [training(TorchFunc([DiT(config, generator=g) for g in generators(1)]), generators(2))],
    }


if __name__ == "__main__":
    main()
