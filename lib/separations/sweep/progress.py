"""How a sweep goes on, for who waits for it: a bar, a line in `sweep.log` for each run that ended, and the index."""

import contextlib
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tqdm import tqdm

from ..files import write_whole
from .columns import index_text, said
from .file import Sweep
from .plan import Run
from .standing import Standing

INDEX_EVERY = 5  # seconds


class Progress:
    """Progress of the runs of a sweep. verbose: print a line for each run that ends as well."""

    def __init__(self, sweep: Sweep, runs: Sequence[Run], done: int, verbose: bool = False):
        self.swept, self.folder, self.runs, self.verbose = sweep.swept, sweep.folder, runs, verbose
        self.failed = 0
        self._indexed = self._shown = 0.0
        self._bar = tqdm(total=len(runs), initial=done, unit="run", desc=sweep.name, disable=None if sys.stderr else True, dynamic_ncols=True)  # fmt: skip

    def ended(self, run: Run, how: Standing, running: int) -> None:
        """A run ended for good. running: those that still go on."""
        self.failed += how.state == "failed"
        self._bar.update(1)
        self.log(how.state, run, how)
        self.show(running)

    def show(self, running: int) -> None:
        """Say how many runs are under way."""
        self._bar.set_postfix_str(f"running {running}, failed {self.failed}")

    def tick(self) -> None:
        """Let the clock of the bar go on while nothing ends."""
        if time.monotonic() - self._shown > 1:
            self._shown = time.monotonic()
            self._bar.refresh()

    def log(self, word: str, run: Run, how: Standing) -> None:
        """A line about a run in the log, with the time of day."""
        seconds = "" if how.seconds is None else f" {how.seconds:.1f} s"
        line = f"{word} {run.id}{seconds} {said(run)}{': ' + how.reason if how.reason else ''}"
        with contextlib.suppress(OSError), (self.folder / "sweep.log").open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now().isoformat(timespec='seconds')} {line}\n")
        if self.verbose:
            self.say(line)

    def say(self, line: str) -> None:
        """A line beside the bar."""
        if sys.stderr is not None:
            self._bar.write(line, file=sys.stderr)

    def index(self, standings: Mapping[str, Standing], running: Collection[str] = (), now: bool = False) -> None:
        """Write `index.csv`, every few seconds at most unless now. running: ids of the runs under way."""
        if not now and time.monotonic() - self._indexed < INDEX_EVERY:
            return
        self._indexed = time.monotonic()
        rows = [(run, Standing("running") if run.id in running else standings[run.id]) for run in self.runs]
        with contextlib.suppress(OSError):
            write_whole(self.folder / "index.csv", index_text(self.swept, rows))

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
