"""What a kernel runs in: variables, streams and the log."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ..files import PACKAGE

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Settings of the user's that would change figures, numbers or what a cell puts out.
UNWANTED = {
    "COLUMNS",
    "FORCE_COLOR",
    "LANG",
    "LANGUAGE",
    "LINES",
    "MPLBACKEND",  # another backend than the notebook's own would drop every figure
    "NO_COLOR",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_LOGS",
    *(f"LC_{name}" for name in ("COLLATE", "CTYPE", "MESSAGES", "MONETARY", "NUMERIC", "TIME")),
    *(f"PYTHON{name}" for name in ("ASYNCIODEBUG", "BREAKPOINT", "COERCECLOCALE", "DEVMODE", "INSPECT", "IOENCODING")),
    *(f"PYTHON{name}" for name in ("OPTIMIZE", "PROFILEIMPORTTIME", "STARTUP", "TRACEMALLOC", "VERBOSE", "WARNINGS")),
}


@contextlib.contextmanager
def environment(out: Path, threads: int | None) -> Iterator[None]:
    """The environment that the kernel inherits, without the user's settings; the caller's comes back afterwards.

    out: folder of the run, whose `.ipython` and `.evidence` are there.
    """
    before = dict(os.environ)
    private = out / ".ipython"
    for name in [name for name in before if name in UNWANTED or name.startswith(("JUPYTER_", "JPY_", "PAPERMILL_"))]:
        del os.environ[name]
    os.environ |= {
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": _python_path(),
        "SEPARATIONS_EVIDENCE": str(out / ".evidence"),
        "IPYTHONDIR": str(private),
        "MATPLOTLIBRC": str(private / "matplotlibrc"),
        **{f"JUPYTER_{name}_DIR": str(private / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")},
    }
    if threads is not None:
        os.environ |= {name: str(threads) for name in THREAD_VARIABLES}
    try:
        _somewhere(out)
        (private / "empty").mkdir(parents=True, exist_ok=True)
        (private / "matplotlibrc").touch()
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _somewhere(folder: Path) -> None:
    """Go into the folder, if the working folder has vanished: starting a process fails without one."""
    try:
        os.getcwd()
    except OSError:
        os.chdir(folder)


def _python_path() -> str:
    """PYTHONPATH for a kernel in another folder: that of this library first, then the caller's, from the root."""
    folder = PACKAGE.parent
    mine = [] if folder.name in ("site-packages", "dist-packages") else [str(folder)]  # these come after Python's own
    theirs = os.environ.get("PYTHONPATH", "")
    with contextlib.suppress(OSError):  # no working folder any more
        theirs = os.pathsep.join(os.path.abspath(entry) for entry in theirs.split(os.pathsep)) if theirs else ""
    return os.pathsep.join([*mine, *([theirs] if theirs else [])])


def open_streams() -> None:
    """Make sure that standard input, output and error are open files: else the next file opened would take their place."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for number, name in (
        (1, "stdout"),
        (2, "stderr"),
    ):  # Python has none where it found them closed; papermill flushes them
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115


@contextlib.contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Send what papermill, the notebook and the kernel process write to a file instead of the terminal."""
    open_streams()
    handler = logging.FileHandler(path, mode="w", encoding="utf-8", errors="backslashreplace")
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
        with contextlib.suppress(OSError):  # a full disk: the run has its own way to say so
            handler.close()
