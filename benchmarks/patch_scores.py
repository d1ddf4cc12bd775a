"""Local-equivariant scores beside three plainer ways, in one run: `python benchmarks/patch_scores.py [--quick] [--out FILE]`.

Ours is `separations.bench.EquivariantPatches` with borders "seen"; the peers are written here from the formula, on the same noisy digits:

  loop            for each pixel all allowed training patches, by explicit differences
  loop, products  the same with one matrix product a pixel
  filters         all whole training patches as filters of one convolution with the noisy images, borders row by row and column by column;
                  corners by explicit differences. This is how the published implementation goes about it

A loop over pixels takes minutes, so it is run at some pixels, evenly spread and in proportion to those inside, on an edge and in a corner,
and its time is scaled up; where ours is asked for the same pixels the answers agree, to the error that the table gives. Median of the
repeats for ours, one run for the peers; one process, in turn. Seconds are those of the processor, so that a busy machine does not count.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median

import torch
from run import machine
from torch.nn import functional as F

from separations.bench import EquivariantPatches
from separations.data import load
from separations.files import write_whole
from separations.schedules import OU

LEVEL = 0.0  # log-SNR
PIXELS = 9  # at which loops are timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds: to see that it works")
    parser.add_argument(
        "--out", type=Path, default=Path("_build/benchmark_patch_scores.json"), help="where the JSON goes"
    )
    options = parser.parse_args()
    n, m, windows, pixels = (6, 3, (3, 28), 6) if options.quick else (64, 64, (3, 5, 9, 17, 28), PIXELS)
    print(
        f"{machine()}\n\nlocal-equivariant score: {m} noisy digits of 28 x 28, {n} training digits, log-SNR {LEVEL:g}"
    )
    rows = measure(n, m, windows, pixels, 1 if options.quick else 3)
    write_whole(options.out, json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    print(f"written: {options.out}")


def measure(n: int, m: int, windows: tuple[int, ...], pixels: int, repeats: int) -> list[dict]:
    """Seconds and ratios to ours for each window; prints the table."""
    x0 = load("mnist5k", limit=n + m).x
    data, t = x0[:n], OU().time_from_log_snr(LEVEL)
    x = OU().add_noise(x0[n:], t, torch.randn(m, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    alpha, sigma, rows = float(OU().alpha(t)), float(OU().sigma(t)), []
    print(
        f"{'window':>7} {'ours s':>8} {'loop':>8} {'loop, products':>15} {'filters':>8}   ratio to ours   largest difference"
    )
    for window in windows:
        score, seconds = EquivariantPatches(data, window), []
        exact = EquivariantPatches(data.double(), window).denoise(x[:2].double(), t)
        score.denoise(x[:1], t)  # training patches are made once
        for _ in range(repeats):
            started = time.process_time()
            ours = score.denoise(x, t)
            seconds.append(time.process_time() - started)
        row = {"window": window, "ours": median(seconds), "error": float((ours[:2] - exact).abs().max())}
        for name, product in (("loop", False), ("loop, products", True)):
            row[name], error = timed_loop(data, x, window, alpha, sigma, ours, pixels, product)
            row["error"] = max(row["error"], error)
        started = time.process_time()
        found = filters(data, x, window, alpha, sigma)
        row["filters"] = time.process_time() - started if found is not None else None
        row["error"] = max(row["error"], float((found - ours).abs().max())) if found is not None else row["error"]
        row["ratio"] = {
            name: row[name] / row["ours"] for name in ("loop", "loop, products", "filters") if row[name] is not None
        }
        rows.append(row)
        shown = " ".join(f"{name} {ratio:.3g}" for name, ratio in row["ratio"].items())
        last = f"{row['filters']:8.2f}" if row["filters"] is not None else f"{'-':>8}"
        print(f"{window:7d} {row['ours']:8.2f} {row['loop']:8.1f} {row['loop, products']:15.2f} {last}   {shown}   {row['error']:.1e}", flush=True)  # fmt: skip
    return rows


def kinds(window: int, size: int) -> list[tuple[int, int]]:
    """How the window of each row leaves the image, (above, below)."""
    low, high = (window - 1) // 2, window // 2
    return [(max(0, low - i), max(0, i + high - size + 1)) for i in range(size)]


def allowed(data, window: int, i: int, j: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All training patches whose windows leave the image as that of pixel (i, j) does, (N, k), and their centres (N,)."""
    size, low, high, cut = data.shape[-1], (window - 1) // 2, window // 2, kinds(window, data.shape[-1])
    same = [[k for k in range(size) if cut[k] == cut[place]] for place in (i, j)]
    patches = [
        data[:, 0, max(0, k - low) : k + high + 1, max(0, l - low) : l + high + 1].flatten(1)
        for k in same[0]
        for l in same[1]
    ]
    return torch.cat(patches), torch.cat([data[:, 0, k, l] for k in same[0] for l in same[1]])


def at_pixel(
    x, patches, centres, window: int, alpha: float, sigma: float, i: int, j: int, product: bool
) -> torch.Tensor:
    """Denoised pixels (m,) at (i, j): softmax over these training patches."""
    low, high = (window - 1) // 2, window // 2
    asked = x[:, 0, max(0, i - low) : i + high + 1, max(0, j - low) : j + high + 1].flatten(1)
    if product:
        logits = (alpha * (asked @ patches.T) - alpha**2 / 2 * patches.square().sum(1)) / sigma**2
        return logits.softmax(1) @ centres
    # A query at a time: all of them at once would take gigabytes.
    found = [(-(row - alpha * patches).square().sum(1) / (2 * sigma**2)).softmax(0) @ centres for row in asked]
    return torch.stack(found)


def timed_loop(data, x, window, alpha, sigma, ours, pixels: int, product: bool) -> tuple[float, float]:
    """Seconds for all pixels, from some of each kind, and the largest difference to ours there."""
    cut, size = kinds(window, x.shape[-1]), x.shape[-1]
    whole = {i for i in range(size) if cut[i] == (0, 0)}
    groups: dict[int, list[tuple[int, int]]] = {0: [], 1: [], 2: []}
    for i in range(size):
        for j in range(size):
            groups[(i not in whole) + (j not in whole)].append((i, j))
    total, error = 0.0, 0.0
    for places in groups.values():
        if not places:
            continue
        chosen = places[:: max(1, len(places) // (pixels // 3))]
        found, spent, banks = [], 0.0, {}
        for i, j in chosen:
            key = (cut[i], cut[j])
            banks = banks if key in banks else {key: allowed(data, window, i, j)}  # not counted: they are made once
            started = time.process_time()
            found.append(at_pixel(x, *banks[key], window, alpha, sigma, i, j, product))
            spent += time.process_time() - started
        total += spent / len(chosen) * len(places)
        error = max(error, *(float((each - ours[:, 0, i, j]).abs().max()) for each, (i, j) in zip(found, chosen)))
    return total, error


def filters(data, x, window: int, alpha: float, sigma: float) -> torch.Tensor | None:
    """The whole windows by one convolution with all training patches as filters, image by image of the training set; None for even windows."""
    size, low = x.shape[-1], window // 2
    if window % 2 == 0:
        return None
    found, inner = torch.zeros_like(x), size - window + 1
    m = len(x)
    for rows, columns, middle in strips(size, low, inner):
        part = x[:, :, slice(*rows), slice(*columns)]
        kernel = (min(window, rows[1] - rows[0]), min(window, columns[1] - columns[0]))
        shape = (part.shape[2] - kernel[0] + 1, part.shape[3] - kernel[1] + 1)
        top, mass, mean = torch.full((m, 1, *shape), -torch.inf), torch.zeros(m, 1, *shape), torch.zeros(m, 1, *shape)
        for image in data.split(1):
            some = image[:, :, slice(*rows), slice(*columns)]
            patches = F.unfold(some, kernel).transpose(1, 2).reshape(-1, 1, *kernel)
            up, left = middle
            centres = patches[:, 0, up, left]
            logits = F.conv2d(part, patches)
            logits = (alpha * logits - alpha**2 / 2 * patches.square().sum((1, 2, 3))[:, None, None]) / sigma**2
            new = torch.maximum(top, logits.amax(1, keepdim=True))
            weights = (logits - new).exp()
            mass = mass * (top - new).exp() + weights.sum(1, keepdim=True)
            mean = mean * (top - new).exp() + (weights * centres[:, None, None]).sum(1, keepdim=True)
            top = new
        i, j = rows[0] + middle[0], columns[0] + middle[1]
        found[:, :, i : i + shape[0], j : j + shape[1]] = mean / mass
    return found


def strips(size: int, low: int, inner: int):
    """Rows and columns in which windows of one kind lie, and where their centres are: the inside, edges, corners."""
    whole, sides = (0, size), [i for i in range(size) if i < low or i >= size - low]

    def cut(i: int) -> tuple[tuple[int, int], int]:
        first = max(0, i - low)
        return (first, min(size, i + low + 1)), i - first

    if inner > 0:
        yield whole, whole, (low, low)
        for i in sides:
            rows, up = cut(i)
            yield rows, whole, (up, low)
            yield whole, rows, (low, up)
    for i in sides:
        for j in sides:
            (rows, up), (columns, left) = cut(i), cut(j)
            yield rows, columns, (up, left)


if __name__ == "__main__":
    main()
