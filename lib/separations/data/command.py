"""The command behind `python -m separations.data`: a list of the data sets, and `fetch` to download some."""

import argparse
import os
import sys
from pathlib import Path
from typing import TextIO

from .fetch import DOWNLOADS, fetch
from .sets import data_root
from .sources import SPECS, Spec, check_number

COLUMNS = "{:<11} {:<6} {:>7}  {:<12} {:>9}  {:<42} {}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 1 after an error of one line on stderr, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False, prog="python -m separations.data", description="List the data sets, or fetch some."
    )
    parser.add_argument("--root", type=Path, help="data root (default: $SEPARATIONS_DATA, else ~/.cache/separations)")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("list", allow_abbrev=False, help="list the data sets (the default)")
    get = commands.add_parser("fetch", allow_abbrev=False, help="download once, check, keep for use offline")
    get.add_argument("names", nargs="+", metavar="NAME", help=", ".join(DOWNLOADS))
    get.add_argument("--root", type=Path, default=argparse.SUPPRESS, help="data root, made if it is not there")
    options = parser.parse_args(arguments)
    try:
        if options.command == "fetch":
            for name in dict.fromkeys(options.names):
                _fetch(name, data_root() if options.root is None else options.root)
        else:
            _say(overview(data_root(options.root)))
    except BrokenPipeError:  # whoever read has seen enough, as in `| head -3`
        return 0
    except (OSError, ValueError) as error:
        _say(f"error: {' '.join(str(error).split())}", sys.stderr)
        return 1
    except KeyboardInterrupt:
        _say("error: interrupted, what was not finished is not kept", sys.stderr)
        return 130
    return 0


def _say(text: str, stream: TextIO | None = None) -> None:
    """Print at once, so that an error of writing shows here; nothing where the stream is closed."""
    stream = sys.stdout if stream is None else stream
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)  # Python would flush once more at the end, and fail again
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        raise


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
            check_number(raw, name, split, spec.splits[split])
            state, number = "; ".join(["yes", *raw.notes]), str(raw.n)
            size = f"{sum(file.stat().st_size for file in raw.files if file.is_file()) / 1e6:.1f} MB"
    except (OSError, ValueError) as error:
        state = f"damaged: {error}"
    shape = " x ".join(map(str, spec.shape))
    return COLUMNS.format(name, split, number, shape, size, spec.licence, state)


def _fetch(name: str, root: Path) -> None:
    if name in DOWNLOADS:
        _say(f"{name}: about {DOWNLOADS[name].megabytes} MB to download unless it is there")
    watched = sys.stderr is not None and sys.stderr.isatty()
    new = fetch(name, root, _progress if watched else None)
    if watched and new:
        _say("", sys.stderr)
    _say(f"{name}: {'fetched into' if new else 'already in'} {root / name}")


def _progress(file: str, done: int, total: int) -> None:
    share = f" of {total / 1e6:.0f}" if total else ""
    print(f"\r{file}: {done / 1e6:.0f}{share} MB", end="", file=sys.stderr, flush=True)
