"""What the command lines have in common: a parser, lines on stdout and stderr, and errors in one line."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO


def parser(module: str, documentation: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m separations.<module>` with `--root`. documentation: of the module; None where Python runs with -OO."""
    about = (documentation or "").partition("\n")[0]
    made = argparse.ArgumentParser(allow_abbrev=False, prog=f"python -m separations.{module}", description=about)
    made.add_argument("--root", type=Path, default=Path(), help="the repository (default: this folder)")
    return made


def guarded(
    module: str,
    command: Callable[[], int],
    status: Callable[[Exception], int] = lambda error: 2,
    words: Callable[[Exception], str] = str,
) -> int:
    """What a command returns; where its input is bad or a file cannot be read or written, one line on stderr that says why.

    Args:
        module: of the command, as it is called in `python -m separations.<module>`.
        command: what to do; it returns the exit status.
        status: exit status of an error (a ValueError, OSError or RecursionError).
        words: what the line says of it.
    """
    try:
        return command()
    except (ValueError, OSError, RecursionError) as error:
        say(f"separations.{module}: {' '.join(words(error).split())}")
        return status(error)


def say(text: str) -> None:
    """A line on stderr, if anyone listens."""
    _write(sys.stderr, text, must=False)


def tell(text: str, must: bool = True) -> None:
    """A line on stdout. must: OSError where it cannot be written, as on a full disk; a reader that has left is no error."""
    _write(sys.stdout, text, must)


def _write(stream: TextIO | None, text: str, must: bool) -> None:
    """Write a line at once, where there is a stream."""
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except (OSError, ValueError) as error:  # a closed pipe, a full disk: Python would complain once more at its end
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        if must and not isinstance(error, BrokenPipeError):
            raise
