"""Run one notebook: `python -m separations.run NOTEBOOK --params FILE --out DIR`.

The parameters are checked before anything runs. DIR then receives the executed notebook, `result.json`, `run.log` and,
last of all, `SUCCESS`, which holds the SHA-256 of `result.json`. Only `is_success(DIR)` tells a finished run from one
that failed, timed out or was killed: a notebook file alone does not.

Exit status: 0 done, 1 the notebook failed, 2 bad input (nothing was run), 124 a cell timed out, 128 + n stopped by signal n.
"""

import argparse
import logging
import platform
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from .dependencies import FORMAT, fingerprint, notebook_key, read_notebook
from .environment import cores, environment, log_to, peak_memory, threads_in_use, versions
from .executed import Outcome
from .parameters import checked_parameters, overrides_for
from .results import clean, finish, is_success, locked, read_result
from .yaml_files import parse_yaml

__all__ = ["Outcome", "Stopped", "is_success", "main", "read_result", "run"]

DEFAULT_TIMEOUT = 900  # seconds a cell
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop; `signum` says which."""

    def __init__(self, signum: int):
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


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
    defaults, overrides = checked_parameters(read_notebook(notebook), overrides or {}, key)
    if timeout <= 0:
        raise ValueError(f"timeout = {timeout}: a positive number of seconds is needed")
    if threads is not None and threads < 1:
        raise ValueError(f"threads = {threads}: at least 1 is needed")
    if out == notebook.parent:
        raise ValueError(f"out = {str(out)!r}: the notebook's own folder, where its executed copy would replace it")
    hashes = fingerprint(notebook, overrides)
    with locked(out):
        clean(out, notebook.stem)
        started = time.monotonic()
        with environment(out, threads), log_to(out / "run.log"):
            outcome = _execute(notebook, out, overrides, timeout)
        result = {
            "format": FORMAT,
            "notebook": key,
            "profile": profile,
            "parameters": {**defaults, **overrides},
            "overrides": dict(overrides),
            "seconds": round(time.monotonic() - started, 2),
            "peak_memory_mb": peak_memory(),
            "threads": threads_in_use(threads),
            "versions": versions(),
            "machine": {"system": f"{platform.system()} {platform.machine()}", "cores": cores()},
            "hashes": hashes,
        }
        return finish(out, notebook, outcome, result)


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


def _setting(text: str) -> tuple[str, object]:
    """`name=value` of --set, the value read as YAML."""
    name, mark, value = text.partition("=")
    if not mark or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    try:
        return name.strip(), parse_yaml(value, f"the value of {name.strip()!r}")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _stop(signum: int, frame) -> None:
    for other in SIGNALS:  # a second signal must not cut the clean-up short
        signal.signal(other, signal.SIG_IGN)
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
    for signum in SIGNALS:
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
