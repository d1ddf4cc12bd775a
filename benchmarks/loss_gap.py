"""The loss gap beside plain Monte Carlo at equal error, in one run: `python benchmarks/loss_gap.py [--quick] [--out FILE]`.

Ours: `separations.loss_gap.loss_gap` until every time has the relative standard error asked for. The peers draw training points and
noise independently for each time and average one side of Proposition 4.1, written with the library's plain losses:

  plain difference   the difference of the two denoising losses on the same noisy points
  plain Fisher       the squared distance of the two scores

A peer's variance and its cost per noisy point are measured on a pilot sample at each time; the time to reach the same error
follows from error^2 = variance / points. It would be days at some times, so it is not run to the end. The error bars of the
ratios come from the pilot alone. One training set throughout.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from run import machine

from separations.distributions import Empirical, GaussianMixture
from separations.files import write_whole
from separations.loss_gap import loss_gap
from separations.losses import denoising_loss, fisher_divergence
from separations.schedules import OU


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds: to see that it works")
    parser.add_argument(
        "--error", type=float, default=0.01, help="relative standard error at every time (default 0.01)"
    )
    parser.add_argument("--out", type=Path, default=Path("_build/benchmark_loss_gap.json"), help="where the JSON goes")
    options = parser.parse_args()
    n, times, pilot = (300, 4, 200) if options.quick else (10_000, 40, 10_000)
    result = measure(32, n, times, options.error, pilot)
    write_whole(options.out, json.dumps({"machine": machine(), **result}, indent=1) + "\n")
    print(f"written: {options.out}")


def setting(d: int, n: int) -> tuple[GaussianMixture, torch.Tensor]:
    """Four unit Gaussians with centres N(0, 4 I), and one training set; float64."""
    g = torch.Generator().manual_seed(0)
    truth = GaussianMixture(2 * torch.randn(4, d, generator=g, dtype=torch.float64), 1.0)
    return truth, truth.sample(n, generator=g)


def measure(d: int, n: int, count: int, error: float, pilot: int) -> dict:
    """Seconds to the error for ours and for both peers, at each time and in all; prints the table."""
    truth, data = setting(d, n)
    times = torch.logspace(-3, torch.tensor(5.0).log10().item(), count, dtype=torch.float64)
    print(
        f"{machine().replace('float32', 'float64')}\n\nloss gap: d = {d}, n = {n}, {count} times, relative s.e. {error:g}"
    )
    started = time.perf_counter()
    gap = loss_gap(data, truth, times, samples=256, relative_error=error, generator=torch.Generator().manual_seed(1))
    ours = time.perf_counter() - started
    peers = {name: [side(data, truth, float(t), pilot) for t in times] for name, side in PEERS.items()}
    rows, totals = [], {}
    for name, found in peers.items():
        # The gap itself is taken from ours: a pilot mean may be far off where the peer is poor.
        seconds = [variance / (error * float(v)) ** 2 * cost for (variance, cost), v in zip(found, gap.value)]
        totals[name] = sum(seconds)
        rows.append({"method": name, "seconds": seconds, "total": totals[name], "ratio": totals[name] / ours})
    worst = float(gap.best.relative_error.max())
    print(
        f"  ours               {ours:12.3g} s   worst relative s.e. {worst:.4f}, {int(gap.samples.sum())} noisy points"
    )
    for row in rows:
        print(f"  {row['method']:18s} {row['total']:12.3g} s   ratio to ours {row['ratio']:.3g}")
        shown = range(0, count, max(1, count // 8))
        print("    seconds at t: " + ", ".join(f"{float(times[k]):.2g}: {row['seconds'][k]:.2g}" for k in shown))
    return {
        "t": times.tolist(),
        "ours": {"seconds": ours, "worst": worst, "points": gap.samples.tolist()},
        "peers": rows,
    }


def plain(data: torch.Tensor, truth: GaussianMixture, t: float, m: int, difference: bool) -> tuple[float, float]:
    """Variance of one term, and seconds a term."""
    empirical, g = Empirical(data), torch.Generator().manual_seed(2)
    started = time.perf_counter()
    x0 = data[torch.randint(len(data), (m,), generator=g)]
    eps = torch.randn(x0.shape, generator=g, dtype=x0.dtype)
    if difference:
        losses = [denoising_loss(model, x0, t, eps=eps).terms for model in (truth, empirical)]
        terms = losses[0] - losses[1]
    else:
        schedule = OU()
        terms = fisher_divergence(empirical, truth, schedule.alpha(t) * x0 + schedule.sigma(t) * eps, t).terms
    return float(terms.var()), (time.perf_counter() - started) / m


PEERS = {
    "plain difference": lambda *a: plain(*a, difference=True),
    "plain Fisher": lambda *a: plain(*a, difference=False),
}


if __name__ == "__main__":
    main()
