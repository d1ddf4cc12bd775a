"""The command behind `python -m separations.data`: a list of the data sets, and `fetch` to download some."""

import argparse
import sys
from pathlib import Path

from .data import data_root
from .data_fetch import DOWNLOADS, fetch
from .data_sources import SPECS, Spec

COLUMNS = "{:<11} {:<6} {:>7}  {:<12} {:>9}  {:<42} {}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 1 after an error of one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m separations.data", description="List the data sets, or fetch some."
    )
    parser.add_argument("--root", type=Path, help="data root (default: $SEPARATIONS_DATA, else ~/.cache/separations)")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("list", help="list the data sets (the default)")
    get = commands.add_parser("fetch", help="download once, check, keep for use offline")
    get.add_argument("names", nargs="+", metavar="NAME", help=", ".join(DOWNLOADS))
    get.add_argument("--root", type=Path, default=argparse.SUPPRESS, help="data root, made if it is not there")
    options = parser.parse_args(arguments)
    try:
        if options.command == "fetch":
            for name in dict.fromkeys(options.names):
                _fetch(name, data_root() if options.root is None else options.root.expanduser())
        else:
            print(overview(data_root(options.root)))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def overview(root: Path) -> str:
    """A table of all data sets: number of rows, shape, size on disk, licence, and whether they are there."""
    there = "" if root.is_dir() else " (not there yet)"
    lines = [
        f"Data root: {root}{there}",
        COLUMNS.format("name", "split", "number", "shape", "on disk", "licence", "there"),
    ]
    lines += [_line(name, spec, split, root) for name, spec in SPECS.items() for split in spec.splits]
    return "\n".join([*lines, "folder:PATH loads any folder of images, with those in the folders below it."])


def _line(name: str, spec: Spec, split: str, root: Path) -> str:
    """One line of the table. What is there is opened and counted, so that a damaged file shows."""
    number, size = "-", "-"
    try:
        raw = spec.read(root, split, spec.shape[-1])
        if raw is None:
            state = (
                f"no: python -m separations.data fetch {name}" if name in DOWNLOADS else "no: get it from its owners"
            )
        else:
            state, number = "yes", str(raw.n)
            size = f"{sum(file.stat().st_size for file in raw.files if file.is_file()) / 1e6:.1f} MB"
    except (OSError, ValueError) as error:
        state = f"damaged: {error}"
    shape = " x ".join(map(str, spec.shape))
    return COLUMNS.format(name, split, number, shape, size, spec.licence, state)


def _fetch(name: str, root: Path) -> None:
    if name in DOWNLOADS:
        print(f"{name}: about {DOWNLOADS[name].megabytes} MB to download unless it is there", flush=True)
    new = fetch(name, root, _progress if sys.stderr.isatty() else None)
    if sys.stderr.isatty() and new:
        print(file=sys.stderr)
    print(f"{name}: {'fetched into' if new else 'already in'} {root / name}")


def _progress(file: str, done: int, total: int) -> None:
    share = f" of {total / 1e6:.0f}" if total else ""
    print(f"\r{file}: {done / 1e6:.0f}{share} MB", end="", file=sys.stderr, flush=True)
