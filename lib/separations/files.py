"""Files are written whole or not at all, and known by the SHA-256 of what they hold."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

PACKAGE = Path(__file__).resolve().parent


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, piece by piece, that is there whole or not at all: under a temporary name in the same folder, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, see `whole_file`. Text becomes UTF-8."""
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sha256(content: bytes | str) -> str:
    """SHA-256 of bytes or text, hexadecimal."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


@lru_cache
def _file_hash(path: Path, stamp: tuple) -> str:
    return sha256(path.read_bytes())


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, remembered as long as its size and time stamp stay."""
    stat = Path(path).stat()
    return _file_hash(Path(path), (stat.st_mtime_ns, stat.st_size))
