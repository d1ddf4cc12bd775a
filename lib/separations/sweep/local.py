"""Run a sweep on this machine: several workers at a time, each a process of its own with a kernel of its own.

Two of these may work on one sweep: each run is claimed by its worker, and what another has claimed is waited for. A scheduler
that is killed leaves its workers to finish what they began; the next one finds it.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..files import PACKAGE, write_whole
from ..machine import cores
from .file import Sweep
from .plan import Run
from .progress import Progress
from .standing import NOTE, Standing, claimed, standing, standings
from .worker import BUSY, FULL

GRACE = 90  # seconds between a worker's own limit and the end of patience with it
FULL_DISK = "No space left on device"


@dataclass
class Active:
    """A worker at work."""

    run: Run
    attempt: int
    process: subprocess.Popen
    gpus: list[str]
    started: float = field(default_factory=time.monotonic)


class Interrupted(KeyboardInterrupt):
    """A signal asked the scheduler to stop."""

    def __init__(self, signum: int):
        super().__init__(f"stopped by {signal_name(signum)}")
        self.signum = signum


def signal_name(signum: int) -> str:
    """The name of a signal; of one without a name, as those of real time, its number."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def worker_environment() -> dict[str, str]:
    """The variables of a worker: it and its kernel load the library that is running here, whatever else is installed."""
    path = os.pathsep.join(part for part in (str(PACKAGE.parent), os.environ.get("PYTHONPATH")) if part)
    return os.environ | {"PYTHONPATH": path}


def jobs_here(sweep: Sweep, jobs: int | None = None) -> int:
    """Runs at a time: as many as asked for, else as the cores and the memory of this machine have room for, at least one;
    with `gpus` never more than there are GPUs for."""
    room = [jobs or cores() // sweep.resources["cores"]]
    if sweep.resources["memory"] and not jobs and hasattr(os, "sysconf"):
        room.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (sweep.resources["memory"] * 10**6))
    if sweep.resources["gpus"]:
        room.append(len(gpus_here()) // sweep.resources["gpus"])
    return max(1, min(room))


def gpus_here() -> list[str]:
    """GPUs that this process may use: those of CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        return list(itertools.takewhile(lambda name: name and not name.startswith("-"), names))  # as CUDA reads it
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
        return [str(i) for i, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]
    return []


class Scheduler:
    """The runs of a sweep, a few at a time. `work()` returns how they all stand."""

    def __init__(self, sweep: Sweep, runs: Sequence[Run], jobs: int, verbose: bool = False):
        self.sweep, self.jobs = sweep, jobs
        self.standings = {run.id: how for run, how in zip(runs, standings(runs))}
        self.pending = deque((run, 0) for run in runs if self.standings[run.id].state not in ("done", "running"))
        self.elsewhere = [(run, 0) for run in runs if self.standings[run.id].state == "running"]
        self.active: list[Active] = []
        self.gpus = gpus_here() if sweep.resources["gpus"] else []
        self.full, self.signum, self.looked = False, 0, 0.0
        done = len(runs) - len(self.pending) - len(self.elsewhere)
        self.progress = Progress(sweep, runs, done, verbose)

    def work(self) -> dict[str, Standing]:
        """Run everything that is not finished. A signal stops the workers, too; then `Interrupted` is raised."""
        before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        for signum, handler in before.items():
            if handler is not signal.SIG_IGN:  # nohup
                signal.signal(signum, self._interrupt)
        try:
            while self.pending or self.active or self.elsewhere:
                if self.signum:
                    raise Interrupted(self.signum)
                self._start()
                if not self._collect():
                    time.sleep(0.05)
                self._look_elsewhere()
                self.progress.tick()
                self.progress.index(self.standings, self._working())
        except BaseException:
            self._stop_workers()
            raise
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
            self.progress.close()
            self.progress.index(self.standings, self._working(), now=True)
        return self.standings

    def _interrupt(self, signum: int, frame) -> None:
        self.signum = signum  # and not an exception: it could come between a worker's start and its entry in the list

    def _start(self) -> None:
        gpus = self.sweep.resources["gpus"]
        while self.pending and len(self.active) < self.jobs and len(self.gpus) >= gpus:
            run, attempt = self.pending.popleft()
            now = standing(run)
            if now.state == "running":  # another scheduler was faster
                self.elsewhere.append((run, attempt))
                continue
            if now.state == "done":
                self._ended(run, now)
                continue
            mine, environment = [self.gpus.pop() for _ in range(gpus)], worker_environment()
            if mine:
                environment["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
            run.folder.mkdir(parents=True, exist_ok=True)
            command = [
                sys.executable,
                "-m",
                "separations.sweep.worker",
                str(run.folder),
                "--root",
                str(self.sweep.book.root),
            ]
            # a file and not a pipe: the worker must be able to outlive this process; a session of its own: Ctrl-C is ours
            with (run.folder / "worker.log").open("w") as log:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment
                )
            self.active.append(Active(run, attempt, process, mine))
            self.progress.show(len(self.active))

    def _collect(self) -> bool:
        """Take in the workers that ended; whether there were any."""
        ended = [item for item in self.active if item.process.poll() is not None]
        for item in self.active:
            if item not in ended and time.monotonic() - item.started > self.sweep.limit + GRACE:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(item.process.pid, signal.SIGKILL)
        for item in ended:
            self.active.remove(item)
            self.gpus += item.gpus
            self._judge(item, item.process.returncode)
        return bool(ended)

    def _judge(self, item: Active, code: int) -> None:
        if code == BUSY:
            self.elsewhere.append((item.run, item.attempt))
            return
        if code < 0:
            self._note(item, f"its process was killed by {signal_name(-code)}")
        how = standing(item.run)
        if how.state == "running":  # claimed again by another scheduler in between
            self.elsewhere.append((item.run, item.attempt))
            return
        if how.state == "done":
            return self._ended(item.run, how)
        if code == 0:  # it ended well, and belongs to other sources than those that were planned
            how = Standing("failed", "notebook, library or requirements changed while the sweep ran: start it again")
        self.full = self.full or code == FULL or FULL_DISK in how.reason
        again = item.attempt < self.sweep.retries and code not in (0, 2) and not self.full
        if again:
            self.progress.log("retry", item.run, how)
            self.pending.append((item.run, item.attempt + 1))
        else:
            self._ended(
                item.run, how if how.state == "failed" else Standing("failed", how.reason or f"exit status {code}")
            )
        if self.full and self.pending:
            self.pending.clear()
            self.progress.say("the disk is full: no further run is started")

    def _note(self, item: Active, reason: str) -> None:
        if standing(item.run).state != "done":
            with contextlib.suppress(OSError):
                write_whole(item.run.folder / NOTE, f"{reason}\n")

    def _look_elsewhere(self) -> None:
        if not self.elsewhere or time.monotonic() - self.looked < 0.5:
            return
        self.looked = time.monotonic()
        free = [entry for entry in self.elsewhere if not claimed(entry[0].folder)]
        for entry in free:
            self.elsewhere.remove(entry)
            now = standing(entry[0])
            if now.state == "done":
                self._ended(entry[0], now)
            elif not self.full:
                self.pending.append(entry)

    def _ended(self, run: Run, how: Standing) -> None:
        self.standings[run.id] = how
        self.progress.ended(run, how, len(self.active))

    def _working(self) -> set[str]:
        return {item.run.id for item in self.active} | {run.id for run, _ in self.elsewhere}

    def _stop_workers(self) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)
        for item in self.active:
            item.process.terminate()
        patience = time.monotonic() + 30
        for item in self.active:
            try:
                item.process.wait(timeout=max(0.1, patience - time.monotonic()))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(item.process.pid, signal.SIGKILL)
        for item in self.active:
            self.standings[item.run.id] = standing(item.run)
            self.progress.log("stopped", item.run, self.standings[item.run.id])
        self.active.clear()
