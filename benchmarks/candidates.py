"""How many rows a query has left to compare, on five data sets: `python benchmarks/candidates.py [--out FILE]`.

Queries are held-out rows, and training rows with a little noise, as a model that copies would give them. A row of the table: median, 95 %
and largest number of candidates for the two nearest rows, and the share of queries that needed a finer product.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from run import features, machine

from separations.data import load
from separations.files import write_whole
from separations.numerics import Rows, preselection, rounded_rows

Tensor = torch.Tensor


def sets() -> dict[str, tuple[Tensor, Tensor]]:
    """Training rows and held-out rows by name; images as the uint8 that they are."""
    g = torch.Generator().manual_seed(0)
    noise = torch.rand(10_000, 3072, generator=g) * 2 - 1
    noise[5_000:] = noise[:5_000] + 1e-4 * torch.randn(5_000, 3072, generator=g)
    found = {"uniform noise with near-duplicates": (noise, torch.rand(256, 3072, generator=g) * 2 - 1)}
    for name, options in (("mnist5k", {}), ("emoji", {"size": 32}), ("heartbeats", {}), ("cifar10", {})):
        try:
            whole = load(name, **options)
        except (ValueError, FileNotFoundError) as error:
            print(f"{name}: left out, {str(error).splitlines()[0]}")
            continue
        held, train = whole.split(min(256, whole.n // 4))
        found[name] = tuple(_rows(part.x) for part in (train, held))
    found["normal"] = tuple(torch.randn(n, 784, generator=g) for n in (10_000, 256))
    return found


def _rows(x: Tensor) -> Tensor:
    """Images in [-1, 1] that came from bytes, as bytes again; anything else as it is. (n, d)."""
    flat = x.flatten(1)
    back = (flat + 1) * 127.5
    return back.round().to(torch.uint8) if (back - back.round()).abs().max() < 1e-3 else flat


def counted(train: Tensor, queries: Tensor) -> dict:
    """Candidates of the first product that is tried."""
    rows, number = Rows(train), len(queries)
    values = (queries.double() / 127.5 - 1) if queries.dtype == torch.uint8 else queries.double()
    near = rows.values(torch.arange(0, rows.n, max(1, rows.n // number))[:number], "cpu", torch.float64)
    near += 0.05 * torch.randn(near.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = {"n": rows.n, "d": rows.d, "bytes": rows.bytes}
    for kind, x in (("held out", values), ("near a row", near)):
        (form, fine), *_ = rounded_rows.formats(rows, len(x), x.device)
        (query, _), crowded = preselection.candidates(rows.inner(x), rows, 2, None, 66, form, fine=fine)
        counts = torch.bincount(query, minlength=len(x))[~crowded].double()
        found[kind] = {
            "format": form, "median": float(counts.median()), "most of 95 %": float(counts.quantile(0.95)), "largest": float(counts.max()),
            "finer": float(crowded.double().mean()),
        }  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("_build/benchmark_candidates.json"), help="where the JSON goes"
    )
    options = parser.parse_args()
    rows = []
    for name, (train, held) in sets().items():
        rows.append({"set": name} | counted(train, held))
        print(rows[-1], flush=True)
    found = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "features": features(), "rows": rows}
    write_whole(options.out, json.dumps(found, indent=1) + "\n")
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
