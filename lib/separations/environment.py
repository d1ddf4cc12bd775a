"""What a kernel runs in, and what is recorded about it: variables, log, threads, memory, versions."""

import contextlib
import logging
import os
import platform
import resource
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from .version import __version__

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "ipykernel",
    "nbclient",
    "papermill",
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextlib.contextmanager
def environment(out: Path, threads: int | None) -> Iterator[None]:
    """The environment that the kernel inherits; the caller's comes back afterwards."""
    before = dict(os.environ)
    os.environ["PYTHONHASHSEED"] = "0"
    os.environ["SEPARATIONS_EVIDENCE"] = str(out / ".evidence")
    os.environ["IPYTHONDIR"] = str(out / ".ipython")  # no start-up files or history of the user's
    os.environ.pop("PYTHONSTARTUP", None)
    os.environ.pop("MPLBACKEND", None)  # another backend than the notebook's own would drop every figure
    if threads is not None:
        os.environ.update({name: str(threads) for name in THREAD_VARIABLES})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Send what papermill, the notebook and the kernel process write to a file instead of the terminal."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(name) for name in ("papermill", "traitlets", "py.warnings")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    logging.captureWarnings(True)
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(logging.INFO)
    terminal = os.dup(1), os.dup(2)
    for target in (1, 2):  # the kernel process inherits these
        os.dup2(handler.stream.fileno(), target)
    try:
        yield
    finally:
        for target, origin in zip((1, 2), terminal):
            os.dup2(origin, target)
            os.close(origin)
        logging.captureWarnings(False)
        for logger, (level, propagate) in zip(loggers, before):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
        handler.close()


def peak_memory() -> float:
    """Largest resident set of any finished child, the kernel in the first place, in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def threads_in_use(threads: int | None = None) -> int:
    """Threads of the numerical libraries: as asked for, else OMP_NUM_THREADS (its first level), else one a core."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return threads or (int(first) if first.isdecimal() else 0) or cores()


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Versions of Python, this library and the packages behind the numbers, as far as they are installed."""
    versions = {"python": platform.python_version(), "separations": __version__}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
