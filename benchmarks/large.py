"""A set of the size of ImageNet at 64 pixels, made here of random images on disk: `python benchmarks/large.py FOLDER [--n N]`.

1.28 million images of 12,288 bytes (15.7 GB). Index, nearest rows, memorization ratio and scores, each with its seconds, and the peak of
resident memory of the process that asks. Half of the queries are images of the set with a little noise. The file is made in FOLDER if it is
not there, and deleted afterwards unless --keep is given.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from run import features, machine, peak_memory
from tqdm import tqdm

from separations.distributions import Empirical
from separations.files import write_whole
from separations.metrics import memorization_ratio
from separations.numerics import Rows, nearest

D = 12_288


def make(path: Path, n: int) -> None:
    """Random images: a smooth field of colours each, and grain, so that some are much nearer than others."""
    rng = np.random.default_rng(0)
    data = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, D))
    pool = rng.integers(0, 256, 2**26, dtype=np.uint8)  # grain is cut out of one pool at random places
    for start in tqdm(range(0, n, 4096), disable=None):
        stop = min(start + 4096, n)
        base = rng.integers(0, 200, (stop - start, 48, 1), dtype=np.uint8).repeat(D // 48, 2).reshape(stop - start, D)
        at = rng.integers(0, len(pool) - D, stop - start)
        data[start:stop] = base + np.stack([pool[i : i + D] >> 2 for i in at])
    data.flush()


def ask(path: Path, m: int) -> dict:
    """What is asked of the set, in a process of its own."""
    data = np.load(path, mmap_mode="r")
    g, found = torch.Generator().manual_seed(0), {}
    index = path.with_suffix(".index")

    def timed(name: str, step):
        start = time.perf_counter()
        answer = step()
        found[name] = time.perf_counter() - start
        return answer

    def bar(parts, total):
        return tqdm(parts, total=total, disable=None)

    rows = timed("index", lambda: Rows(data, index=index, progress=bar))
    timed("index again", lambda: Rows(data, index=index))
    chosen = torch.randint(rows.n, (m // 2,), generator=g)
    x = rows.values(chosen, "cpu", torch.float32) + 0.1 * torch.randn(m // 2, D, generator=g)
    x = torch.cat([x, torch.rand(m - m // 2, D, generator=g) * 2 - 1])
    _, where = timed("nearest", lambda: nearest(x, rows, progress=bar))
    assert torch.equal(where[: m // 2, 0], chosen)
    law = Empirical(data, index=index)
    sharp = timed("score, little noise", lambda: law.score(x[: m // 2], 0.01))
    timed("score, much noise", lambda: law.score(x[: m // 2], 1.6))
    assert torch.isfinite(sharp).all()
    ratio = timed("memorization ratio", lambda: memorization_ratio(x, rows))
    found["ratio"], found["peak_MB"] = float(ratio), peak_memory()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the images lie")
    parser.add_argument("--n", type=int, default=1_280_000, help="images (default 1,280,000)")
    parser.add_argument("--m", type=int, default=64, help="queries (default 64)")
    parser.add_argument("--keep", action="store_true", help="keep the file")
    parser.add_argument("--out", type=Path, default=Path("_build/benchmark_large.json"), help="where the JSON goes")
    parser.add_argument("--ask", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    path = options.folder / f"random_{options.n}.npy"
    if options.ask:
        print(json.dumps(ask(path, options.m)))
        return
    if not path.exists():
        options.folder.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".half")
        make(half, options.n)
        half.rename(path)
    command = [sys.executable, __file__, str(options.folder), "--n", str(options.n), "--m", str(options.m), "--ask"]
    asked = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "features": features(),
        "n": options.n,
        "d": D,
        "m": options.m,
        **asked,
    }
    print(json.dumps(found, indent=1))
    write_whole(options.out, json.dumps(found, indent=1) + "\n")
    if not options.keep:
        path.unlink()
        path.with_suffix(".index").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
