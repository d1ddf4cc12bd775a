"""Computes once what the exercises of a chapter need, then forks for each answer: `python -m separations.classroom.worker PLACE`.

PLACE is a folder with `job.json` and `requests/`; a result for each request comes into `results/`. The chapter's solutions and the answers
of others are in no memory that an answer sees.
"""

import ast
import contextlib
import errno
import importlib
import io
import json
import os
import secrets
import select
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ..exercises import BLANK, outcome, word_of
from ..files import write_whole
from ..run.magics import plain_python
from .bounds import Limits, confine, without_network

SHOWN = 2000  # characters of what an answer printed


def prepared(statements: list[str], folder: Path) -> dict:
    """The names that a chapter's statements leave, run in `folder`, where its notebook lies. What they print is dropped."""
    scope = {"__name__": "__main__", "__builtins__": __builtins__}
    os.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for text in statements:
            exec(compile(text, "<chapter>", "exec"), scope)
    return scope


def judged(request: Mapping, scope: Mapping) -> dict:
    """What the checks and the hidden tests say of an answer: words, and 'right', 'wrong' or 'blank' for the checks.

    The answer runs among names of its own; only what it was to define is handed to the checks, which are the teacher's.
    """
    student, trouble = dict(scope), ""
    for piece in request["answer"]:
        try:
            exec(compile(plain_python(piece), "<answer>", "exec"), student)
        except BaseException as error:
            trouble = trouble or _word(error)
    if missing := [
        name for name in request["names"] if name not in student or student[name] is scope.get(name, student)
    ]:
        word = trouble or f"not yet: {', '.join(missing)} is not defined"
        return {"word": word, "outcome": "wrong", "hidden": "", "hidden_passed": False}
    word, seen = _checked(request["checks"], scope, {name: student[name] for name in request["names"]})
    found = outcome(word)
    if found == "wrong" and trouble:
        word = f"{word} (before that: {trouble.removeprefix('not yet: ')})"
    result = {"word": word, "outcome": found, "hidden": "", "hidden_passed": False}
    if request["hidden"] and found != "blank":
        try:
            exec(compile(request["hidden"], "<further tests>", "exec"), seen)
            result.update(hidden="right", hidden_passed=True)
        except BaseException as error:
            result["hidden"] = _word(error)
    return result


def _checked(checks: list[str], scope: Mapping, answer: Mapping) -> tuple[str, dict]:
    """The last word that the check cells print for an answer, and the names afterwards."""
    said: list[str] = []
    seen = {**scope, **answer, "print": lambda *values, **_: said.append(" ".join(map(str, values)))}
    try:
        for check in checks:
            exec(compile(plain_python(check), "<check>", "exec"), seen)
    except BaseException as error:
        said.append(_word(error))
    return (said[-1] if said else "not yet: the check said nothing"), {**seen, **answer}


def _word(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "not yet: more output than is allowed"
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        return "not yet: more memory than is allowed"
    return word_of(error)[:600]


class Fork:
    """A child that judges one request in a folder of its own, and the pipe on which its result comes."""

    def __init__(self, path: Path, job: Mapping, scope: Mapping, place: Path):
        self.path, self.folder, self.started = path, place / "own" / path.stem, time.monotonic()
        self.token, self.limits = secrets.token_hex(16), Limits(**job["limits"])
        (self.folder / "files").mkdir(parents=True)
        self.pipe, end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._be_the_child(end, job, scope)
        os.close(end)
        self.received = b""

    def _be_the_child(self, end: int, job: Mapping, scope: Mapping) -> None:
        """Never returns."""
        status = 1
        try:
            os.setsid()
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            request = json.loads(self.path.read_text(encoding="utf-8"))
            output = os.open(self.folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for here, there in ((nothing, 0), (output, 1), (output, 2)):
                os.dup2(here, there)
            sys.stdout, sys.stderr = (
                os.fdopen(1, "w", encoding="utf-8", errors="replace"),
                os.fdopen(2, "w", errors="replace"),
            )
            os.dup2(end, 3)
            os.closerange(4, 4096)
            os.chdir(self.folder / "files")
            confine(self.folder, [Path(one) for one in job["closed"]], self.limits)
            before = set(sys.modules)
            result = judged(request, scope)
            if request.get("own"):  # the teacher's: others need these too
                result["modules"] = sorted(set(sys.modules) - before)
            os.write(3, (json.dumps({"token": self.token, **result}) + "\n").encode())
            status = 0
        finally:
            os._exit(status)

    def listen(self) -> bool:
        """Read what has come; whether that was all."""
        text = os.read(self.pipe, 65536)
        self.received += text
        return not text or b"\n" in self.received or len(self.received) > 2**20

    def close(self) -> dict:
        """End the child with all that it started, and say how it ended."""
        seconds = time.monotonic() - self.started
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.pipe)
        said = self.folder / "output.txt"
        output = (
            said.read_text(encoding="utf-8", errors="replace")[-SHOWN:]
            if said.is_file() and not said.is_symlink()
            else ""
        )
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(ValueError, AttributeError):
            result = json.loads(self.received)
            if result.pop("token", None) == self.token:
                return {**result, "output": output, "seconds": round(seconds, 3)}
        late = seconds >= self.limits.seconds
        word = (
            f"not yet: stopped after {self.limits.seconds:g} seconds"
            if late
            else "not yet: it ended before the check did"
        )
        return {
            "word": word,
            "outcome": "wrong",
            "hidden": "",
            "hidden_passed": False,
            "output": output,
            "seconds": round(seconds, 3),
        }


def work(place: Path) -> None:
    """Judge all requests of a folder, up to `jobs` at a time."""
    job = json.loads((place / "job.json").read_text(encoding="utf-8"))
    state = {"network": not without_network(), "seconds": 0.0, "error": ""}
    started = time.monotonic()
    try:
        scope = prepared(job["statements"], Path(job["folder"]))
    except BaseException as error:
        write_whole(place / "state.json", json.dumps({**state, "error": word_of(error).removeprefix("not yet: ")}))
        return
    write_whole(place / "state.json", json.dumps({**state, "seconds": round(time.monotonic() - started, 2)}))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # a fork has the threads of nobody else
    waiting, running = sorted((place / "requests").glob("*.json")), []
    while waiting or running:
        own = any(one.path.stem.startswith("0") for one in running)  # the teacher's answers go first
        while waiting and len(running) < job["jobs"] and not (own and not waiting[0].stem.startswith("0")):
            running.append(Fork(waiting.pop(0), job, scope, place))
        ready, _, _ = select.select([one.pipe for one in running], [], [], 0.05)
        done = [
            one
            for one in running
            if (one.pipe in ready and one.listen()) or time.monotonic() - one.started > one.limits.seconds
        ]
        for one in done:
            running.remove(one)
            result = one.close()
            for name in result.pop("modules", []):
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
            write_whole(place / "results" / one.path.name, json.dumps(result))


def statements_text(statements: list[ast.stmt]) -> list[str]:
    """Statements as texts that can be stored."""
    return [ast.unparse(one) for one in statements]


def is_blank(answer: list[str], starter: str) -> bool:
    """Whether an answer is the starter as it was handed out, or nothing at all."""
    text = "\n".join(answer)
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        wanted = ast.dump(ast.parse(plain_python(starter)))
        return ast.dump(ast.parse(plain_python(text))) in (wanted, ast.dump(ast.parse("")))
    return False


__all__ = ["BLANK", "is_blank", "judged", "prepared", "statements_text", "work"]

if __name__ == "__main__":
    work(Path(sys.argv[1]))
