"""The transformer beside its peers, in one run: `python benchmarks/transformer.py [--quick] [--out FILE]`.

The same weights in ours, in a plain transformer (`transformer_peers.PlainDiT`) and in the DiT of diffusers. Before anything is timed,
outputs and gradients must agree to the rounding of float32. Timed are

  training   forward, squared error, backward, AdamW (the same fused kernel for all); each image has its own noise level
  sampling   one call without gradient, one noise level for all images
  importance `pruning.mask_gradients`, the gradient in every head of every image, beside a training step of ours
  pruned     both steps of ours without 20 % and without 50 % of its heads

`--compiled` adds each network as torch.compile makes it (minutes; it needs a C++ compiler); their products are the same calls.

All take turns (A B C A B C ...) after a warm-up. The ratio is that of a turn: its median, with the quartiles. `--cpu` counts the
seconds that the processor works for this process instead of those on the wall: for a machine that has other work.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from run import machine
from transformer_peers import PEERS, Peer, left_out

from separations.files import write_whole
from separations.networks import Denoiser, DiT, DiTConfig
from separations.pruning import choose_heads, head_magnitude, mask_gradients, prune_heads
from separations.schedules import VPLinear

Tensor = torch.Tensor


@dataclass(frozen=True)
class Size:
    """A network, a batch, and how many turns count."""

    name: str
    config: DiTConfig
    batch: int
    turns: int


SIZES = [
    Size("the book's (laptop)", DiTConfig(), 64, 60),
    Size("DiT-S/2", DiTConfig(image=(3, 32, 32), patch=2, width=384, depth=12, heads=6), 8, 6),
]
QUICK = [
    Size("small, few tokens", DiTConfig(image=(1, 12, 12), patch=3, width=48, depth=2, heads=4), 8, 3),
    Size("small, many tokens", DiTConfig(image=(3, 20, 20), patch=2, width=48, depth=2, heads=4), 4, 3),
]
SHARES = (0.2, 0.5)  # of the heads, removed
TOLERANCE = 1e-3  # float32; sine and cosine of a time up to 1000 differ by 6e-5 already


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds: to see that it works")
    parser.add_argument("--turns", type=int, help="turns that count (default 60 and 6)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--cpu", action="store_true", help="seconds of the processor, all threads together")
    parser.add_argument("--compiled", action="store_true", help="beside each network what torch.compile makes of it")
    parser.add_argument(
        "--out", type=Path, default=Path("_build/benchmark_transformer.json"), help="where the JSON goes"
    )
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu else time.perf_counter
    print(f"{machine()}, seconds of the {'processor' if options.cpu else 'wall clock'}")
    found = [
        measure(size, options.turns or size.turns, clock, options.compiled)
        for size in (QUICK if options.quick else SIZES)
    ]
    write_whole(
        options.out, json.dumps({"machine": machine(), "clock": clock.__name__, "sizes": found}, indent=1) + "\n"
    )
    print(f"\nwritten: {options.out}")


def measure(size: Size, turns: int, clock: Callable[[], float] = time.perf_counter, compiled: bool = False) -> dict:
    """Agreement, then seconds and ratios of everything at one size; prints the table."""
    ours, config = lively(size.config), size.config
    networks = {"ours": ours} | {name: peer(ours) for name, peer in PEERS.items() if not left_out(name)}
    x, log_snr, target = batch(size)
    print(
        f"\n{size.name}: {config.image[1]} x {config.image[2]} x {config.image[0]}, {config.tokens} tokens, width {config.width}, "
        f"{config.depth} blocks, {config.heads[0]} heads, batch {size.batch}, {turns} turns"
    )
    if compiled:
        networks |= {f"{name}, compiled": through_compiler(net) for name, net in networks.items()}
    agreement = {name: differences(ours, net, x, log_snr, target) for name, net in networks.items() if name != "ours"}
    for name, worst in agreement.items():
        print(
            f"  {name}: output differs by {worst['output']:.1e}, gradient by {worst['gradient']:.1e} (relative, worst)"
        )
        if max(worst.values()) > TOLERANCE:
            raise RuntimeError(f"{name} does not compute what ours does, {worst}: its times would mean nothing")
    model = Denoiser(ours, VPLinear(), prediction="v")
    magnitude = head_magnitude(model)
    for share in SHARES:
        networks[f"ours, {share:.0%} of heads removed"] = prune_heads(model, choose_heads(magnitude, share)).network
    jobs = {("training", name): training_step(net, x, log_snr, target) for name, net in networks.items()}
    jobs["importance", "ours"] = importance_step(model, x, target)
    jobs |= {("sampling", name): sampling_step(net, x, log_snr) for name, net in networks.items()}
    times = in_turns(jobs, turns, clock)
    return {"size": size.name, "agreement": agreement, "rows": table(times)}


def table(times: dict[tuple[str, str], list[float]]) -> list[dict]:
    """Median seconds of each job and its ratio to ours, turn by turn: median and quartiles; printed and returned."""
    print(f"  {'step':11} {'method':30} {'seconds':>9} {'ratio to ours':>14}   quartiles")
    rows = []
    for (step, name), seconds in times.items():
        base = times["training" if step == "importance" else step, "ours"]
        ratios = [a / b for a, b in zip(seconds, base)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        found = {"median": statistics.median(seconds), "ratio": middle, "low": low, "high": high}
        rows.append({"step": step, "method": name, **found, "times": seconds})
        beside = " (to a training step)" if step == "importance" else ""
        print(f"  {step:11} {name:30} {found['median']:9.4f} {middle:14.3f}   {low:.3f} to {high:.3f}{beside}")
    for step in ("training", "sampling"):
        peers = {row["method"]: row["ratio"] for row in rows if row["step"] == step and row["method"] in PEERS}
        best = min(peers, key=peers.get)
        print(f"  {step}: ours is {peers[best]:.2f} times as fast as the best peer ({best})")
    return rows


def in_turns(jobs: dict, turns: int, clock: Callable[[], float]) -> dict[tuple[str, str], list[float]]:
    """Seconds of each job in each turn, after one turn to warm up."""
    times = {job: [] for job in jobs}
    for turn in range(turns + 1):
        for job, run in jobs.items():
            start = clock()
            run()
            if turn:
                times[job].append(clock() - start)
    return times


def lively(config: DiTConfig) -> DiT:
    """A network whose zero layers are not zero, so that everything in it acts on the output."""
    g = torch.Generator().manual_seed(0)
    net = DiT(config, generator=g)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=g))
    return net


def batch(size: Size) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy images (m, C, H, W), their log-SNR (m,), and what is to be predicted."""
    g, shape = torch.Generator().manual_seed(1), (size.batch, *size.config.image)
    return torch.randn(shape, generator=g), 4 * torch.randn(size.batch, generator=g), torch.randn(shape, generator=g)


def through_compiler(net: DiT | Peer) -> DiT | Peer:
    """A copy whose calls go through torch.compile; it compiles at the first call, once for each kind of call."""
    net = copy.deepcopy(net)
    getattr(net, "network", net).compile()
    return net


def squared_error(net: torch.nn.Module, x: Tensor, log_snr: Tensor, target: Tensor) -> Tensor:
    return (net(x, log_snr) - target).square().mean()


def differences(ours: DiT, peer: Peer | DiT, x: Tensor, log_snr: Tensor, target: Tensor) -> dict[str, float]:
    """Largest difference of outputs, and of gradients, each over the largest value of ours (of that weight)."""
    with torch.no_grad():
        mine, theirs = ours(x, log_snr), peer(x, log_snr)
        same = log_snr[:1].expand(len(x))
        worst = max(relative(theirs, mine), relative(peer(x, same), ours(x, same)))
    for net in (ours, peer):
        net.zero_grad()
        squared_error(net, x, log_snr, target).backward()
    mine = {name: p.grad for name, p in ours.named_parameters()}
    summed = {name: torch.zeros_like(g) for name, g in mine.items()}
    if isinstance(peer, DiT):
        pairs, theirs = {name: (name, slice(None)) for name in mine}, dict(peer.named_parameters())
    else:
        pairs, theirs = peer.pairs, dict(peer.network.named_parameters())
    for name, (partner, rows) in pairs.items():
        if name in theirs:  # where a peer has a weight of ours several times, the gradients add up to ours
            summed[partner][rows] += theirs[name].grad
    return {"output": worst, "gradient": max(relative(summed[name], mine[name]) for name in mine)}


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def training_step(net: torch.nn.Module, x: Tensor, log_snr: Tensor, target: Tensor) -> Callable[[], None]:
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-5, fused=True)

    def run() -> None:
        optimiser.zero_grad()
        squared_error(net, x, log_snr, target).backward()
        optimiser.step()

    return run


def sampling_step(net: torch.nn.Module, x: Tensor, log_snr: Tensor) -> Callable[[], None]:
    @torch.no_grad()
    def run() -> None:
        net(x, log_snr[:1].expand(len(x)))

    return run


def importance_step(model: Denoiser, x0: Tensor, eps: Tensor) -> Callable[[], None]:
    times = torch.linspace(0.05, 0.95, len(x0), dtype=torch.float64)
    return lambda: mask_gradients(model, x0, times, eps)


if __name__ == "__main__":
    main()
