"""An audit's measures of distance in pixels beside FAISS flat and a few lines of NumPy: `python benchmarks/audit.py [--quick]`.

Both get the same bytes and say: the two nearest training images of each generated and held-out image, the 1/9 ratio of both, the nearest other
training image of those that were found, authenticity, and the rank test of the distances. They take turns in one process. FAISS has its
flat index in float32, and equal training images stay in it. The second part times features: the extractor alone, and in the audit's way.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from separations.audit.detectors import RULE, InPixels, TrainingSet, unit_features
from separations.audit.distribution import authenticity, mann_whitney_z
from separations.audit.store import Store
from separations.machine import cores, threads_in_use
from separations.metrics.features import named_extractor


def images(n: int, seed: int) -> np.ndarray:
    """Smooth random images, uint8 (n, 3, 32, 32)."""
    coarse = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, (32, 32), mode="bicubic") * 50 + 127.5
    return fine.clamp(0, 255).round().to(torch.uint8).numpy()


def ours(generated: np.ndarray, train: np.ndarray, held_out: np.ndarray) -> dict:
    """The library's way."""
    detector = InPixels(TrainingSet.of(train))
    said, other = detector(generated), detector(held_out)
    matched, place = np.unique(said.row, return_inverse=True)
    own = detector(train[matched], own=matched).distance
    return words(said.score, other.score, said.distance, other.distance, own[place])


def theirs(generated: np.ndarray, train: np.ndarray, held_out: np.ndarray) -> dict:
    """FAISS flat and NumPy."""
    import faiss

    index = faiss.IndexFlatL2(train[0].size)
    x, y, z = (each.reshape(len(each), -1).astype(np.float32) for each in (generated, train, held_out))
    index.add(y)
    (d, rows), (e, _) = index.search(x, 2), index.search(z, 2)
    matched, place = np.unique(rows[:, 0], return_inverse=True)
    own = index.search(y[matched], 2)[0][:, 1]
    return words(d[:, 0] / d[:, 1], e[:, 0] / e[:, 1], d[:, 0] ** 0.5, e[:, 0] ** 0.5, own[place] ** 0.5)


def words(ratio, ratio_held_out, distance, distance_held_out, own) -> dict:
    """The measures from the distances."""
    return {
        "ratio": float((ratio <= RULE).mean()),
        "ratio, held out": float((ratio_held_out <= RULE).mean()),
        "authenticity": authenticity(distance, own, 0.95).value,
        "z": mann_whitney_z(distance, distance_held_out),
    }


def features_share(count: int) -> float:
    """Share of the time of the features of a set that is not the extractor's own."""
    extractor, x = named_extractor("efficientnet-lite0"), images(count, 3)
    floats = torch.from_numpy(x).float().div_(127.5).sub_(1)
    extractor(floats[:16])
    times = {"alone": [], "audit": []}
    for _ in range(3):
        begin = time.process_time()
        for part in floats.split(256):
            extractor(part)
        times["alone"].append(time.process_time() - begin)
        begin = time.process_time()
        Store().array(
            "f", {}, count, (1280,), np.float32, lambda a, b: (unit_features(x[a:b], extractor), []), step=256
        )
        times["audit"].append(time.process_time() - begin)
    alone, audit = (statistics.median(each) for each in times.values())
    return (audit - alone) / audit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds")
    parser.add_argument("--repeats", type=int, default=2, help="turns (default 2)")
    options = parser.parse_args()
    m, n, k = (200, 2000, 100) if options.quick else (10_000, 50_000, 2000)
    train = images(n, 0)
    generated, held_out = np.concatenate([train[: m // 10] ^ 1, images(m - m // 10, 1)]), images(k, 2)
    print(
        f"{m:,} samples, {k:,} held-out, {n:,} x {train[0].size:,} bytes; {cores()} cores, {threads_in_use()} threads, torch {torch.__version__}"
    )
    times = {"separations": [], "FAISS flat + NumPy": []}
    for _ in range(1 if options.quick else options.repeats):
        for name, method in zip(times, (ours, theirs)):
            begin = time.perf_counter()
            try:
                said = method(generated, train, held_out)
            except ImportError:
                print(f"{name}: not installed, left out")
                continue
            times[name].append(time.perf_counter() - begin)
            print(
                f"{name}: {times[name][-1]:.1f} s, " + ", ".join(f"{key} {value:.4g}" for key, value in said.items()),
                flush=True,
            )
    if all(times.values()):
        first, second = (statistics.median(each) for each in times.values())
        print(f"ratio of the medians: {first / second:.2f}")
    print(f"features: {features_share(64 if options.quick else 1024):.1%} of the time is outside the extractor")


if __name__ == "__main__":
    main()
