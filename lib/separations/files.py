"""Files are written whole or not at all, and known by the SHA-256 of what they hold."""

import hashlib
import os
import threading
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: under a temporary name in the same folder, then renamed. Text becomes UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
