"""Bounds on a process that runs what somebody handed in: time, memory, output, files, other processes, the network.

What Python itself does is held by an audit hook, which cannot be taken away again; the rest by the system, as far as it allows.
"""

import contextlib
import ctypes
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NEW_USER, NEW_NET = 0x10000000, 0x40000000  # of unshare(2)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate", "os.utime",
           "shutil.rmtree", "shutil.move")  # fmt: skip
REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.kill", "pty.", "ctypes.dlopen",
           "ctypes.dlsym", "webbrowser.", "urllib.", "ftplib.", "smtplib.")  # fmt: skip
DATA = (".csv", ".npz", ".npy", ".gz", ".pt", ".safetensors")


@dataclass(frozen=True)
class Limits:
    """What one answer may take: seconds of clock and of processor, megabytes of memory beside what the chapter has, and of output."""

    seconds: float = 20.0
    memory_mb: int = 1500
    output_mb: float = 1.0


def without_network() -> bool:
    """Take the network from this process and those that it starts. False where the system does not permit it.

    To be called before there is a second thread.
    """
    user, group = os.getuid(), os.getgid()
    try:
        call = ctypes.CDLL(None, use_errno=True).unshare
    except (OSError, AttributeError):
        return False
    if call(NEW_NET) == 0:
        return True
    if call(NEW_USER | NEW_NET) != 0:
        return False
    with contextlib.suppress(OSError):  # the same names as before
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    return True


def memory_can_be_bounded() -> bool:
    """Whether the system says how large a process is, so that a bound can be set beyond that."""
    return Path("/proc/self/statm").is_file()


def confine(folder: Path, hidden: Sequence[Path], limits: Limits) -> None:
    """Bind this process from here on.

    Args:
        folder: the only one in which it may write or remove.
        hidden: folders from which it may read nothing but data.
        limits: of time, memory and output.
    """
    size = int(limits.output_mb * 2**20)
    wanted = [
        (resource.RLIMIT_CPU, int(limits.seconds) + 1),
        (resource.RLIMIT_FSIZE, size),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
    ]
    if memory_can_be_bounded():
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        wanted.append((resource.RLIMIT_AS, now + limits.memory_mb * 2**20))
    for kind, most in wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))
    sys.dont_write_bytecode = True
    own, closed = os.path.realpath(folder), tuple(os.path.realpath(one) for one in hidden)
    sys.addaudithook(lambda event, arguments: _watch(event, arguments, own, closed))


def _watch(event: str, arguments: tuple, own: str, closed: tuple[str, ...]) -> None:
    """The audit hook: PermissionError for what an answer has no need of."""
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, int) or path is None:
            return
        place = os.path.realpath(os.fsdecode(path))
        if isinstance(flags, int) and flags & WRITES:
            if not _within(place, own) and place != os.devnull:
                raise PermissionError(f"an answer writes in its own folder alone, not {os.path.basename(place)}")
        elif any(_within(place, one) for one in closed) and not _within(place, own) and not place.endswith(DATA):
            raise PermissionError(f"an answer does not read {os.path.basename(place)}")
    elif event in CHANGES:
        for one in arguments[: 1 + (event in ("os.rename", "os.link", "os.symlink", "shutil.move"))]:
            if isinstance(one, str | bytes | os.PathLike) and not _within(os.path.realpath(os.fsdecode(one)), own):
                raise PermissionError(f"an answer changes files in its own folder alone ({event})")
    elif event.startswith(REFUSED):
        raise PermissionError(f"an answer has no need of {event.partition('.')[0]} ({event})")


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)
