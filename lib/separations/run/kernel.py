"""Execute a notebook in a kernel of the interpreter that runs this, cell by cell, and say how it ended.

papermill and nbclient do the work, with what they lack: the kernel is our own, whatever kernels and settings the user has; paths
are taken as they are; a cell counts as done when the kernel says so, not when it left no error; printed lines are put together.
"""

import ast
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat.v4.rwbase import rejoin_lines
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager
from papermill.execute import ERROR_ANCHOR_MSG, ERROR_MARKER_TAG, ERROR_MESSAGE_TEMPLATE

from ..files import PACKAGE, write_whole
from ..machine import PACKAGES
from ..version import __version__
from .executed import Outcome
from .stopping import Stopped, heard

LONGEST = 2**31 // 1000 - 1  # seconds, 24 days: the longest that ZeroMQ can wait
LATE = 120  # seconds that the last output of a cell may take to arrive, at least
SETUP = str(Path(__file__).with_name("kernel_setup.py"))
log = logging.getLogger("papermill")


class NotWhole(Exception):
    """The notebook did not run to its end, though no cell failed."""


@dataclass
class Facts:
    """What the kernel says of itself: folder of the library, versions; nothing before it started."""

    library: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def execute(notebook: Mapping, running: Path, cwd: Path, timeout: int) -> tuple[Outcome, Facts]:
    """Run the cells of a notebook in `cwd`; `running` is the copy with what came out so far. Inside `environment`."""
    client, outcome = None, Outcome("ok")
    try:
        nb = _prepared(notebook)
        manager = _Progress(nb, output_path=str(running), log_output=True, progress_bar=False)
        manager.notebook_start()
        client = _Client(manager, cwd, min(timeout, LONGEST))
        client.execute()
    except Stopped as error:
        heard()
        outcome = Outcome("stopped", str(error), 128 + error.signum)
    except CellExecutionError as error:
        outcome = Outcome("failed", f"{error.ename}: {error.evalue}", 1)
    except CellTimeoutError as error:
        outcome = _timed_out(error, timeout)
    except NotWhole as error:
        outcome = Outcome("failed", str(error), 1)
    except Exception as error:  # a dead kernel, a kernel that does not start, a full disk
        outcome = Outcome("failed", f"{type(error).__name__}: {error}", 1)
    if client:
        client.kill()
        client.mark_error()
        manager.save() if outcome.status == "stopped" else manager.notebook_complete()
        if manager.problem and outcome.status == "ok":
            outcome = Outcome("failed", f"{type(manager.problem).__name__}: {manager.problem}", 1)
    if outcome.error:
        log.error(outcome.error)
    return outcome, client.facts if client else Facts()


def _timed_out(error: CellTimeoutError, timeout: int) -> Outcome:
    if "IOPub" in str(error):
        return Outcome("failed", f"what a cell put out did not arrive within {max(LATE, timeout)} s of its end", 1)
    return Outcome("timeout", f"a cell ran for more than {timeout} s", 124)


def _prepared(notebook: Mapping) -> nbformat.NotebookNode:
    """The notebook as papermill's own reader would give it."""
    nb = rejoin_lines(nbformat.from_dict(dict(notebook)))  # files hold texts as lists of lines
    nb = nbformat.v4.upgrade(nb) or nb
    nb.metadata["papermill"] = {}
    nb.cells = [cell for cell in nb.cells if ERROR_MARKER_TAG not in cell.metadata.get("tags", [])]
    for cell in nb.cells:
        cell.metadata.setdefault("tags", [])
    return nb


class _Progress(NotebookExecutionManager):
    """Keeps the copy on disk whole: a signal or a full disk leaves the one before.

    A disk that is full while the cells run ends nothing, nor hides how a cell ended; `problem` says whether the last copy is whole.
    """

    before_save = staticmethod(lambda: None)
    problem: OSError | None = None

    def save(self, **kwargs) -> None:
        self.nb = kwargs.get("nb") or self.nb
        self.before_save()
        self.problem, self.last_save_time = None, self.now()
        try:
            write_whole(Path(self.output_path), nbformat.writes(self.nb).encode("utf-8", "backslashreplace"))
        except OSError as error:
            self.problem = error


class _Kernel(AsyncKernelManager):
    """A kernel of this interpreter: no other is looked for."""

    @property
    def kernel_spec(self) -> KernelSpec:
        provisioner = {"provisioner_name": "local-provisioner"}
        return KernelSpec(
            name="python3", display_name="Python 3", language="python", metadata={"kernel_provisioner": provisioner}
        )

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", os.path.realpath(self.connection_file)]
        return command + list(extra_arguments or [])


class _Client(PapermillNotebookClient):
    """Runs the cells; keeps what the kernel answered to each."""

    def __init__(self, manager: NotebookExecutionManager, cwd: Path, timeout: int):
        super().__init__(
            manager,
            timeout=timeout,
            iopub_timeout=max(LATE, timeout),
            kernel_name="python3",
            log=log,
            log_output=True,
            resources={"metadata": {"path": str(cwd)}},
        )
        self.facts, self.replies, self.failed, self.process = Facts(), {}, None, None
        self.printed, self.pieces = None, []  # the output that is growing, and what is to be added to it
        self.on_cell_executed, manager.before_save = self._keep_reply, self._put_together

    def create_kernel_manager(self) -> AsyncKernelManager:
        self.km = _Kernel(kernel_name="python3")
        return self.km

    def papermill_execute_cells(self) -> None:
        self.process = getattr(getattr(self.km, "provisioner", None), "process", None)
        self._check(self._ask("prepare", str(PACKAGE), os.path.join(os.environ["IPYTHONDIR"], "empty"), list(PACKAGES)))
        for index, cell in enumerate(self.nb.cells):
            self.nb_man.cell_start(cell, index)
            try:
                self.execute_cell(cell, index)
            except CellExecutionError as error:
                self.failed = index
                self.nb_man.cell_exception(cell, cell_index=index, exception=error)
                raise
            except Stopped:
                heard()  # before the copy is saved and the kernel shut down, which may take a while
                raise
            finally:
                self.nb_man.cell_complete(cell, cell_index=index)
            self._check_reply(index, cell)
        self._check(self._ask("answer", list(PACKAGES)))

    def _keep_reply(self, cell, cell_index: int, execute_reply: dict) -> None:
        self.replies[cell_index] = execute_reply["content"]

    def _check_reply(self, index: int, cell) -> None:
        """NotWhole where the kernel did not run the cell, or was asked by it to end."""
        reply = self.replies.get(index, {"status": "ok"})
        if reply["status"] == "aborted":
            raise NotWhole(f"cell {index} was not executed")
        if any(payload.get("source") == "ask_exit" for payload in reply.get("payload") or []):
            raise NotWhole(f"the notebook stopped itself: exit() or quit() in cell {index}")

    def _ask(self, question: str, *arguments) -> Facts:
        """An answer of `kernel_setup`, in the kernel."""
        code = f"__import__('runpy').run_path({SETUP!r})[{question!r}](*{arguments!r})"
        message = self.kc.execute("", silent=True, store_history=False, user_expressions={"answer": code})
        reply = self.wait_for_reply(message)
        answer = ((reply or {}).get("content") or {}).get("user_expressions", {}).get("answer", {})
        if answer.get("status") != "ok":
            raise NotWhole(f"the kernel cannot be set up: {answer.get('ename')}: {answer.get('evalue')}")
        said = json.loads(ast.literal_eval(answer["data"]["text/plain"]))
        return Facts(said["library"], said["versions"])

    def _check(self, facts: Facts) -> None:
        """NotWhole where the notebook gets another library than the one that runs it."""
        if facts.library != str(PACKAGE):
            raise NotWhole(
                f"the notebook gets the library in {facts.library or 'no folder'}, and {PACKAGE} is the one that runs it"
            )
        facts.versions = {"python": facts.versions.pop("python"), "separations": __version__, **facts.versions}
        self.facts = facts

    def output(self, outs, msg, display_id, cell_index):
        """Put printed pieces together as they arrive: a hundred thousand outputs of a cell would take minutes to write."""
        last, content = outs[-1] if outs else None, msg["content"]
        if (
            msg["msg_type"] != "stream"
            or not last
            or last.output_type != "stream"
            or last.name != content["name"]
            or self.clear_before_next_output
            or self.output_hook_stack[msg["parent_header"].get("msg_id")]
        ):
            return super().output(outs, msg, display_id, cell_index)
        if self.printed is not last:
            self._put_together()
            self.printed, self.pieces = last, [last.text]
        self.pieces.append(content["text"])
        return nbformat.v4.new_output("stream", name=content["name"], text=content["text"])  # for the log

    def _put_together(self) -> None:
        if self.printed is not None:
            self.printed.text = "".join(self.pieces)
        self.printed, self.pieces = None, []

    def _get_timeout(self, cell) -> int | None:
        return super()._get_timeout(cell) if cell is not None else LATE

    async def _async_handle_timeout(self, timeout, cell=None):
        if cell is None:
            raise NotWhole(f"the kernel did not answer for {timeout} s")
        return await super()._async_handle_timeout(timeout, cell)

    def kill(self) -> None:
        """End the kernel, if it still runs: a signal may have come while it started."""
        process = self.process or getattr(getattr(self.km, "provisioner", None), "process", None)
        if process and process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def mark_error(self) -> None:
        """A line at the top, and one before the cell that failed, as papermill has them."""
        if self.failed is None:
            return
        count = self.nb.cells[self.failed].execution_count
        for index, text in ((self.failed, ERROR_ANCHOR_MSG), (0, ERROR_MESSAGE_TEMPLATE % count)):
            cell = nbformat.v4.new_markdown_cell(text, metadata={"tags": [ERROR_MARKER_TAG]})
            cell.metadata["papermill"] = {"status": "pending"}
            self.nb.cells.insert(index, cell)
