"""Keeps what the benchmarks wrote for the book's page *How fast is it?*: `python benchmarks/store.py`, after `make bench`.

A part that was not measured this time stays as it was.
"""

import json
from pathlib import Path

from separations.files import write_whole

ROOT = Path(__file__).parents[1]
PARTS = {
    "kernels": "benchmarks.json",
    "candidates": "benchmark_candidates.json",
    "large": "benchmark_large.json",
    "networks": "benchmark_networks.json",
    "transformers": "benchmark_stacked_transformers.json",
}  # part of the page -> file in _build


def main(root: Path = ROOT) -> None:
    kept = root / "book/appendix/speed.json"
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    for part, name in PARTS.items():
        if (path := root / "_build" / name).is_file():
            found[part] = json.loads(path.read_text(encoding="utf-8"))
            print(f"{part}: from {path.relative_to(root)}")
    if not isinstance(found.get("kernels", []), list):
        found["kernels"] = [found["kernels"]]
    for run in found.get("kernels", []):
        for row in run["rows"]:
            row.pop("times", None)
    write_whole(kept, json.dumps(found, indent=1) + "\n")
    print(f"written: {kept.relative_to(root)}")


if __name__ == "__main__":
    main()
