"""Run one notebook: `python -m separations.run NOTEBOOK --params FILE --out DIR`.

The parameters are checked before anything runs. DIR then receives the executed notebook, `result.json`, `run.log` and,
last of all, `SUCCESS`, which holds the SHA-256 of `result.json`. Only `is_success(DIR)` tells a finished run from one
that failed, timed out or was killed: a notebook file alone does not.

Exit status: 0 done, 1 the notebook failed, 2 bad input (nothing was run), 124 a cell timed out, 128 + n stopped by signal n.
"""

import argparse
import contextlib
import fcntl
import json
import logging
import os
import platform
import re
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import yaml

from .dependencies import FORMAT, book_root, file_hash, fingerprint, notebook_key, read_notebook, sha256
from .files import write_whole
from .parameters import check_overrides, overrides_for, parameters_of
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
DEFAULT_TIMEOUT = 900  # seconds a cell


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop; `signum` says which."""

    def __init__(self, signum: int):
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


@dataclass(frozen=True)
class Outcome:
    """How a run ended: status ('ok', 'failed', 'timeout', 'stopped'), the error in one line, the exit status."""

    status: str
    error: str = ""
    code: int = 0


def is_success(out: str | Path) -> bool:
    """Whether `out` holds a finished run: sentinel, result and executed notebook are there and agree."""
    out = Path(out)
    try:
        content = (out / "result.json").read_bytes()
        if (out / "SUCCESS").read_text(encoding="utf-8").strip() != sha256(content):
            return False
        result = json.loads(content)
        executed = out / f"{Path(result['notebook']).name}.ipynb"
        return result["status"] == "ok" and result["executed"] == file_hash(executed)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_result(out: str | Path) -> dict | None:
    """`result.json` of a run folder, or None where there is none that can be read."""
    try:
        result = json.loads((Path(out) / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) else None


def run(
    notebook: str | Path,
    out: str | Path,
    overrides: Mapping | None = None,
    *,
    profile: str = "laptop",
    timeout: int = DEFAULT_TIMEOUT,
    threads: int | None = None,
    key: str | None = None,
) -> Outcome:
    """Execute a notebook into the folder `out` and say how it ended.

    overrides: parameters that differ from the defaults; profile: a name for them, recorded; timeout: seconds a cell;
    threads: for the numerical libraries (default: as the environment says); key: the notebook's name in the evidence.
    ValueError for bad input, before anything is run or written.
    """
    notebook, out = Path(notebook).resolve(), Path(out).resolve()
    key = key or notebook_key(notebook)
    defaults = parameters_of(read_notebook(notebook), name=key)
    overrides = check_overrides(defaults, overrides or {}, name=key)
    if timeout <= 0:
        raise ValueError(f"timeout = {timeout}: a positive number of seconds is needed")
    if threads is not None and threads < 1:
        raise ValueError(f"threads = {threads}: at least 1 is needed")
    hashes = fingerprint(notebook, overrides)
    with _locked(out):
        _clean(out, notebook.stem)
        started = time.monotonic()
        with _environment(out, threads), _log(out / "run.log"):
            outcome = _execute(notebook, out, overrides, timeout)
        result = {
            "format": FORMAT,
            "notebook": key,
            "status": outcome.status,
            "error": outcome.error,
            "profile": profile,
            "parameters": {**defaults, **overrides},
            "overrides": dict(overrides),
            "evidence": _evidence(out),
            "seconds": round(time.monotonic() - started, 2),
            "peak_memory_mb": _peak_memory(),
            "threads": threads or int(os.environ.get("OMP_NUM_THREADS", 0)) or _cores(),
            "versions": _versions(),
            "machine": {"system": f"{platform.system()} {platform.machine()}", "cores": _cores()},
            "hashes": hashes,
        }
        return _finish(out, notebook, outcome, result)


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep a second run out of the folder. The system frees the lock when the process ends, however it ends."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"out = {str(out)!r}: another run is at work in this folder") from None
        yield


def _clean(out: Path, name: str) -> None:
    # the sentinel first: from here on the folder is no success, whatever happens
    for leftover in (
        "SUCCESS",
        "result.json",
        f"{name}.ipynb",
        f"{name}.failed.ipynb",
        f"{name}.running.ipynb",
        "run.log",
    ):
        (out / leftover).unlink(missing_ok=True)
    for folder in (".evidence", ".ipython"):
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder).mkdir()


@contextlib.contextmanager
def _environment(out: Path, threads: int | None) -> Iterator[None]:
    """The environment that the kernel inherits; the caller's comes back afterwards."""
    before = dict(os.environ)
    os.environ["PYTHONHASHSEED"] = "0"
    os.environ["SEPARATIONS_EVIDENCE"] = str(out / ".evidence")
    os.environ["IPYTHONDIR"] = str(out / ".ipython")  # no start-up files or history of the user's
    os.environ.pop("MPLBACKEND", None)  # another backend than the notebook's own would drop every figure
    if threads is not None:
        os.environ.update({name: str(threads) for name in THREAD_VARIABLES})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _log(path: Path) -> Iterator[None]:
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


def _execute(notebook: Path, out: Path, overrides: Mapping, timeout: int) -> Outcome:
    """Execute into `<name>.running.ipynb` and classify how it ended."""
    import papermill
    from nbclient.exceptions import CellTimeoutError
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            str(notebook),
            str(out / f"{notebook.stem}.running.ipynb"),
            parameters={name: list(value) if isinstance(value, tuple) else value for name, value in overrides.items()},
            kernel_name="python3",
            language="python",
            cwd=str(notebook.parent),
            execution_timeout=timeout,
            progress_bar=False,
            log_output=True,
        )
    except PapermillExecutionError as error:
        outcome = Outcome("failed", f"{error.ename}: {error.evalue}", 1)
    except CellTimeoutError:
        outcome = Outcome("timeout", f"a cell ran for more than {timeout} s", 124)
    except Stopped as error:
        outcome = Outcome("stopped", str(error), 128 + error.signum)
    except Exception as error:  # a dead kernel, a kernel that does not start, a full disk
        outcome = Outcome("failed", f"{type(error).__name__}: {error}", 1)
    else:
        outcome = Outcome("ok")
    if outcome.error:
        logging.getLogger("papermill").error(outcome.error)
    return outcome


def _evidence(out: Path) -> list[dict]:
    """What the ledger wrote during the run."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((out / ".evidence").glob("*.json"))]


def _peak_memory() -> float:
    """Largest resident set of any finished child, the kernel in the first place, in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "separations": __version__}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _finish(out: Path, source: Path, outcome: Outcome, result: dict) -> Outcome:
    """Write notebook, result and, only where all went well, the sentinel last."""
    name = source.stem
    running = out / f"{name}.running.ipynb"
    if running.is_file():
        notebook = json.loads(running.read_text(encoding="utf-8"))
        problem = _unfinished(notebook) if outcome.status == "ok" else ""
        if problem:
            outcome = Outcome("failed", problem, 1)
            result.update(status="failed", error=problem)
        if outcome.status != "ok":
            _mark_failure(notebook, outcome)
        target = out / (f"{name}.ipynb" if outcome.status == "ok" else f"{name}.failed.ipynb")
        text = json.dumps(_without_papermill(notebook), indent=1, ensure_ascii=False) + "\n"
        write_whole(target, text if outcome.status == "ok" else _hide_paths(text, source))
        result["executed"] = file_hash(target)
        running.unlink()
    for folder in (".evidence", ".ipython"):
        shutil.rmtree(out / folder, ignore_errors=True)
    content = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    write_whole(out / "result.json", content)
    if outcome.status == "ok":
        write_whole(out / "SUCCESS", sha256(content) + "\n")
    return outcome


def _unfinished(notebook: Mapping) -> str:
    """Why an executed notebook is not whole, or ''. papermill marks cells as completed that never ran."""
    for index, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
            continue
        if cell.get("execution_count") is None:
            return f"cell {index} was not executed"
        if "raises-exception" in cell["metadata"].get("tags", []):
            continue
        if any(output["output_type"] == "error" for output in cell["outputs"]):
            return f"cell {index} ended with an error"
    return ""


def _mark_failure(notebook: dict, outcome: Outcome) -> None:
    """Put the reason into the cell that was running, unless it is the cell's own error, which papermill kept."""
    errors = [out for cell in notebook["cells"] for out in cell.get("outputs", []) if out["output_type"] == "error"]
    if errors and outcome.status == "failed":
        return
    started = [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and cell["metadata"].get("papermill", {}).get("start_time")
    ]
    if started:
        name, _, value = outcome.error.partition(": ")
        error = {"output_type": "error", "ename": name, "evalue": value, "traceback": [outcome.error]}
        started[-1]["outputs"].append(error)


def _without_papermill(notebook: dict) -> dict:
    """Drop the metadata of the execution: it holds paths of this machine and times that differ from run to run."""
    for holder in (notebook, *notebook["cells"]):
        for name in ("papermill", "execution"):
            holder["metadata"].pop(name, None)
    return notebook


def _hide_paths(text: str, source: Path) -> str:
    """Replace this machine's folders, which stand in tracebacks, by short names."""
    folders = [(book_root(source), "."), (Path(sys.prefix), "<python>"), (Path(sys.base_prefix), "<python>")]
    for path, name in [*folders, (Path.cwd(), "."), (Path.home(), "~")]:
        if len(path.parts) > 1:
            text = text.replace(str(path), name)
    return re.sub(r"/tmp/ipykernel_\d+/", "", text)


def _setting(text: str) -> tuple[str, object]:
    """`name=value` of --set, the value read as YAML."""
    name, mark, value = text.partition("=")
    if not mark or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise argparse.ArgumentTypeError(f"{text!r}: the value is not valid YAML") from None


def _stop(signum: int, frame) -> None:
    signal.signal(signum, signal.SIG_IGN)  # a second signal must not cut the clean-up short
    raise Stopped(signum)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m separations.run", description=__doc__.splitlines()[0])
    parser.add_argument("notebook", help="the notebook to execute")
    parser.add_argument("--params", help="YAML file: flat 'name: value', or a profile with notebook paths as keys")
    parser.add_argument("--profile-key", help="the notebook's key in a profile (default: its path in book/)")
    parser.add_argument(
        "--out", required=True, help="folder for the executed notebook, result.json, run.log and SUCCESS"
    )
    parser.add_argument(
        "--set", action="append", default=[], type=_setting, metavar="NAME=VALUE", help="one parameter, over the file's"
    )
    parser.add_argument(
        "--timeout", type=int, default=DEFAULT_TIMEOUT, help="seconds a cell may take (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, help="threads of the numerical libraries (default: as the environment says)"
    )
    options = parser.parse_args(arguments)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _stop)
    profile = Path(options.params).stem if options.params else "laptop"
    try:
        overrides = overrides_for(options.notebook, options.params, options.profile_key) | dict(options.set)
        outcome = run(
            options.notebook,
            options.out,
            overrides,
            profile=profile if not options.set else f"{profile}, changed",
            timeout=options.timeout,
            threads=options.threads,
            key=options.profile_key,
        )
    except ValueError as error:
        sys.stderr.write(f"separations.run: {' '.join(str(error).split())}\n")
        return 2
    except Stopped as error:
        sys.stderr.write(f"separations.run: {error}\n")
        return 128 + error.signum
    result = read_result(options.out) or {}
    if result.get("status") == "ok":
        sys.stdout.write(f"{result['notebook']}: {result['seconds']:.0f} s, peak {result['peak_memory_mb']:.0f} MB\n")
        return 0
    where = Path(options.out) / "run.log"
    reason = " ".join((result.get("error") or outcome.error).split())[:300]
    sys.stderr.write(f"separations.run: {options.notebook} {result.get('status', 'failed')}: {reason} (log: {where})\n")
    return outcome.code or 1


if __name__ == "__main__":
    sys.exit(main())
