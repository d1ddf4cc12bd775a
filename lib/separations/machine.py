"""What this machine is, as it is recorded with a number: cores, threads, memory, versions."""

import contextlib
import os
import platform
import resource
import sys
from importlib import metadata

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
