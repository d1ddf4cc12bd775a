"""What the command lines have in common: a parser, and errors in one line on stderr with exit status 2."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO


def parser(module: str, documentation: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m separations.<module>` with `--root`. documentation: of the module; None where Python runs with -OO."""
    about = (documentation or "").partition("\n")[0]
    made = argparse.ArgumentParser(prog=f"python -m separations.{module}", description=about)
    made.add_argument("--root", type=Path, default=Path(), help="the repository (default: this folder)")
    return made


def guarded(module: str, command: Callable[[], int]) -> int:
    """What the command returns; 2 where its input is bad or a file cannot be read or written, with one line that says why."""
    try:
        return command()
    except (ValueError, OSError, RecursionError) as error:
        say(f"separations.{module}: {' '.join(str(error).split())}")
        return 2


def say(text: str) -> None:
    """A line on stderr."""
    _write(sys.stderr, text)


def tell(text: str) -> None:
    """A line on stdout."""
    _write(sys.stdout, text)


def _write(stream: TextIO | None, text: str) -> None:
    """Write a line where there is somebody to read it: a closed output or a reader that has left is no error."""
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else Python complains once more when it ends
