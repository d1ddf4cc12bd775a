"""The unit of work: what a run accepts, what it leaves behind, and when it may be called a success."""

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from separations.machine import cores, threads_in_use
from separations.run import results, stopping
from separations.run.execute import main, run
from separations.run.executed import Outcome, hide_paths, without_paths
from separations.run.folder import clean
from separations.run.parameters import check_overrides, overrides_for, parameters_of
from separations.run.results import is_success, read_result

PARAMETERS = "steps = 3  # number of steps\nrate = 0.5  # learning rate\nlabel = 'a'  # name\nsizes = [1, 2]  # widths"
LEDGER = (
    "import json, os, pathlib\n"
    "folder = pathlib.Path(os.environ['SEPARATIONS_EVIDENCE'])\n"
    "(folder / 'part__chapter.json').write_text(json.dumps({'notebook': 'part/chapter', 'measures': {'x': rate * steps}}))"
)


def notebook(path: Path, *cells: str, parameters: str | None = PARAMETERS) -> Path:
    """A tiny notebook in a tiny book; `cells` are code cells after the parameters."""
    tagged = [] if parameters is None else [(parameters, ["parameters"])]
    content = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"c{i}",
                "execution_count": None,
                "metadata": {"tags": tags},
                "outputs": [],
                "source": source.splitlines(keepends=True),  # as Jupyter writes files
            }
            for i, (source, tags) in enumerate([*tagged, *((cell, []) for cell in cells)])
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def book(tmp_path):
    """Path of a chapter in an otherwise empty book."""
    return tmp_path / "book" / "part" / "chapter.ipynb"


def leftovers(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()} - {".lock"}


# parameters: checked before anything runs


def test_defaults_are_the_literals_of_the_tagged_cell(book):
    content = json.loads(notebook(book, parameters="n: int = 3\nt = -1.5\nname = None\nok = True").read_text())
    assert parameters_of(content) == {"n": 3, "t": -1.5, "name": None, "ok": True}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("n = 2 * 3", "not a literal"),
        ("n = f(3)", "not a literal"),
        ("n = {1, 2}", "not a literal; allowed: real numbers"),
        ("n = 2j", "not a literal; allowed: real numbers"),
        ("n = 1\nn = 2", "twice"),
        ("import os", "not of the form"),
        ("a = b = 1", "not of the form"),
        ("a, b = 1, 2", "not of the form"),
        ("n = = 2", "not valid Python"),
    ],
)
def test_a_parameters_cell_holds_literals_only(book, cell, message):
    content = json.loads(notebook(book, parameters=cell).read_text())
    with pytest.raises(ValueError, match=message):
        parameters_of(content)


DEFAULTS = {
    "steps": 3,
    "rate": 0.5,
    "label": "a",
    "sizes": [1, 2],
    "flag": True,
    "any": None,
    "rates": [0.1],
    "pair": (1, 2),
}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"step": 3}, "did you mean 'steps'.*Allowed: steps, rate"),
        ({"zzz": 3}, "unknown parameter 'zzz'.*Allowed: steps, rate"),
        ({"rate": "1e-3"}, r"it is text: write 0\.001, without quotes"),
        ({"rate": "2E5"}, r"write 200000\.0"),
        ({"rate": "nan"}, "of type str, not float; a finite number is needed"),
        ({"rate": "-Infinity"}, "of type str, not float; a finite number is needed"),
        ({"steps": "4"}, "it is text: write 4, without quotes"),
        ({"flag": "yes"}, "write true or false"),
        ({"label": 7}, "of type int, not str; in quotes it is text"),
        ({"rate": "fast"}, "'rate' = 'fast' is of type str, not float"),
        ({"rate": float("nan")}, "not a finite number"),
        ({"rate": True}, "of type bool, not float"),
        ({"steps": 3.0}, "write 3"),
        ({"steps": True}, "of type bool, not int"),
        ({"steps": None}, "of type NoneType, not int"),
        ({"flag": 1}, "of type int, not bool"),
        ({"sizes": 3}, "of type int, not list"),
        ({"sizes": [1, "2"]}, r"sizes\[1\]"),
        ({"rates": ["1e-3"]}, r"rates\[0\].*write 0\.001"),
        ({"any": datetime.date(2020, 1, 1)}, "'any' = datetime.date.* is not allowed"),
        ({"any": {"a": 1, 2: 3}}, "is not allowed; allowed: real numbers"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value_and_what_is_allowed(overrides, message):
    with pytest.raises(ValueError, match=message):
        check_overrides(DEFAULTS, overrides)


def test_right_parameters_pass():
    overrides = {
        "steps": 7,
        "rate": 2,
        "label": "b",
        "sizes": [],
        "flag": False,
        "any": 4,
        "rates": [1],
        "pair": [3, 4],
    }
    checked = check_overrides(DEFAULTS, overrides)
    assert checked == {**overrides, "pair": (3, 4)}
    assert type(checked["rate"]) is float and type(checked["rates"][0]) is float


def test_a_profile_is_read_by_notebook_and_a_flat_file_as_it_stands(book, tmp_path):
    notebook(book)
    profile, flat, empty = tmp_path / "smoke.yml", tmp_path / "flat.yml", tmp_path / "empty.yml"
    profile.write_text("part/chapter: {steps: 9}\n")
    flat.write_text("steps: 8\n")
    empty.write_text("# nothing yet\n")
    assert overrides_for(book, profile) == {"steps": 9}
    assert overrides_for(book, flat) == {"steps": 8}
    assert overrides_for(book, empty) == {}
    other = notebook(book.with_name("other.ipynb"))
    assert overrides_for(other, profile) == {}  # a profile without the notebook's key: its defaults


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n- 2\n", "holds a list"),
        ("just text", "holds a str"),
        ("a: [1\n", "not valid YAML"),
        ("part/chaptre: {steps: 1}\n", "did you mean 'part/chapter'"),
        ("part/chapter: 3\n", "a mapping 'parameter: value' is needed"),
        ("part/chapter: {steps: 1}\nrate: 2.0\n", "a mapping 'parameter: value' is needed"),
    ],
)
def test_a_bad_parameters_file_is_refused(book, tmp_path, text, message):
    notebook(book)
    path = tmp_path / "params.yml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        overrides_for(book, path)


@pytest.mark.parametrize(
    "options",
    [
        ["--set", "stepz=3"],
        ["--set", "rate='1e-3'"],
        ["--set", "steps=010"],
        ["--set", "steps"],
        ["--set", "steps=3", "--set", "steps=5"],
        ["--set", "rate=.nan"],
        ["--set", "label=!!python/name:os.system"],
        ["--params", "missing.yml"],
        ["--params", "."],
        ["--params", "x" * 5000],
        ["--timeout", "0"],
        ["--timeout", "nan"],
        ["--threads", "0"],
        ["--threads", "100000"],
        ["--unknown"],
        ["--profile", "smoke"],  # not the beginning of --profile-key
    ],
)
def test_bad_input_is_one_line_on_stderr_status_2_and_nothing_run(book, tmp_path, capsys, options):
    notebook(book, "open('was_run', 'w')")
    assert main([str(book), "--out", str(tmp_path / "out"), *options]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists() and not book.with_name("was_run").exists()


@pytest.mark.parametrize("content", [None, "{}", "not json", '{"nbformat": 4, "cells": [], "metadata": {}}'])
def test_a_missing_or_broken_notebook_or_tag_is_refused(book, tmp_path, content, capsys):
    if content is not None:
        book.parent.mkdir(parents=True)
        book.write_text(content)
    assert main([str(book), "--out", str(tmp_path / "out")]) == 2
    assert "separations.run: " in capsys.readouterr().err


def test_the_notebooks_own_folder_is_refused_for_the_executed_copy_would_replace_it(book, capsys):
    before = notebook(book, "1").read_text()
    assert main([str(book), "--out", str(book.parent)]) == 2
    assert "own folder" in capsys.readouterr().err and book.read_text() == before
    assert [path.name for path in book.parent.iterdir()] == ["chapter.ipynb"]


def test_a_folder_that_cannot_be_written_to_is_bad_input(book, tmp_path, capsys):
    notebook(book, "1")
    (tmp_path / "file").write_text("")
    assert main([str(book), "--out", str(tmp_path / "file" / "out")]) == 2
    assert "no folder that can be written to" in capsys.readouterr().err


# running


def test_a_success_leaves_notebook_result_log_and_sentinel(book, tmp_path):
    out = tmp_path / "out"
    notebook(book, "import os\nprint(os.path.basename(os.getcwd()), os.environ['PYTHONHASHSEED'])", LEDGER)
    assert run(book, out, {"rate": 2}, profile="smoke", threads=1).code == 0
    assert is_success(out) and leftovers(out) == {"chapter.ipynb", "result.json", "run.log", "SUCCESS"}
    result = read_result(out)
    assert result["status"] == "ok" and result["notebook"] == "part/chapter" and result["profile"] == "smoke"
    assert result["parameters"] == {"steps": 3, "rate": 2.0, "label": "a", "sizes": [1, 2]}
    assert result["overrides"] == {"rate": 2.0}
    assert result["evidence"] == [{"notebook": "part/chapter", "measures": {"x": 6.0}}]
    assert result["seconds"] > 0 and result["peak_memory_mb"] > 10 and result["threads"] == 1
    assert result["versions"]["python"] and result["versions"]["numpy"] and result["versions"]["separations"]
    executed = (out / "chapter.ipynb").read_text()
    assert "part 0\\n" in executed and "injected-parameters" in executed
    assert "papermill" not in executed and str(tmp_path) not in executed + json.dumps(result)


def test_a_cell_that_fails_leaves_a_partial_copy_and_no_success(book, tmp_path, capsys):
    out = tmp_path / "out"
    notebook(book, "print('before')", "raise RuntimeError('on purpose')", "print('after')")
    assert main([str(book), "--out", str(out)]) == 1
    assert "RuntimeError: on purpose" in capsys.readouterr().err
    assert not is_success(out) and leftovers(out) == {"chapter.failed.ipynb", "result.json", "run.log"}
    partial = (out / "chapter.failed.ipynb").read_text()
    assert "before\\n" in partial and "on purpose" in partial and "after\\n" not in partial
    assert str(tmp_path) not in partial
    assert read_result(out)["status"] == "failed" and "on purpose" in (out / "run.log").read_text()


def test_a_rerun_cleans_what_the_failed_one_left_and_the_other_way_round(book, tmp_path):
    out = tmp_path / "out"
    notebook(book, "1 / 0")
    run(book, out)
    (out / ".result.json.99.tmp").write_text("of a run that was killed while it wrote")
    notebook(book, "1 / 1")
    run(book, out)
    assert is_success(out) and leftovers(out) == {"chapter.ipynb", "result.json", "run.log", "SUCCESS"}
    notebook(book, "1 / 0")
    run(book, out)
    assert not is_success(out) and leftovers(out) == {"chapter.failed.ipynb", "result.json", "run.log"}


def test_a_cell_that_takes_too_long_is_no_success(book, tmp_path, capsys):
    out = tmp_path / "out"
    notebook(book, "import time\ntime.sleep(60)", "print('after')")
    assert main([str(book), "--out", str(out), "--timeout", "1"]) == 124
    assert "more than 1 s" in capsys.readouterr().err
    assert not is_success(out) and read_result(out)["status"] == "timeout"
    assert "more than 1 s" in (out / "chapter.failed.ipynb").read_text()


def test_a_notebook_that_stops_itself_half_way_is_no_success(book, tmp_path):
    out = tmp_path / "out"
    notebook(book, "raise SystemExit(0)", "print('after')")  # papermill calls this a success
    assert run(book, out).code == 1 and not is_success(out) and read_result(out)["status"] == "failed"


def test_a_notebook_may_stand_in_for_another(book, tmp_path):
    out = tmp_path / "out"
    submission = notebook(tmp_path / "submission.ipynb", "1")
    assert main([str(submission), "--profile-key", "part/chapter", "--out", str(out)]) == 0
    assert is_success(out) and read_result(out)["notebook"] == "part/chapter"


def test_no_folder_of_this_machine_is_left_in_outputs_or_errors(book, tmp_path, monkeypatch):
    out = tmp_path / "out"
    startup = tmp_path / "startup.py"
    startup.write_text("print('from the user')")
    monkeypatch.setenv("PYTHONSTARTUP", str(startup))
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")
    where = "import os, pathlib, warnings\nprint(os.getcwd())\nwarnings.warn('careful')\npathlib.Path(os.getcwd())"
    assert run(notebook(book, where), out).code == 0 and is_success(out)
    text = (out / "chapter.ipynb").read_text()
    assert "careful" in text and "./book/part" in text and "from the user" not in text
    assert str(tmp_path) not in text and "ipykernel_" not in text
    assert read_result(out)["threads"] == 2
    assert run(notebook(book, "import os\nraise OSError(os.getcwd())"), out).code == 1
    assert read_result(out)["error"] == "OSError: ./book/part"
    assert str(tmp_path) not in (out / "result.json").read_text() + (out / "chapter.failed.ipynb").read_text()


def test_paths_are_hidden_in_every_spelling_and_nothing_else_is(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setattr(Path, "home", lambda: home)
    source = home / "a book" / "book" / "part" / "chapter.ipynb"
    for text, hidden in {
        f"File {home}/a book/lib/x.py:3": "File ./lib/x.py:3",
        "File \x1b[32m~/a book/lib/x.py:3": "File \x1b[32m./lib/x.py:3",
        f"\x1b[1;32m{home}/data": "\x1b[1;32m~/data",
        f"{home}: {home}s, {home}-2": f"~: {home}s, {home}-2",
        f"https://example.org{home}": f"https://example.org{home}",
        "/tmp/ipykernel_12/34.py:1: Warning": "34.py:1: Warning",
        f"{os.__file__}": "<python>/os.py",
    }.items():
        assert hide_paths(text, source) == hidden
    picture = {"image/png": f"{home}", "text/plain": [f"{home}\n", "1"]}
    cells = [{"source": f"{home}", "outputs": [{"output_type": "display_data", "data": picture}]}]
    cell = without_paths({"cells": cells}, source)["cells"][0]
    assert cell["source"] == cell["outputs"][0]["data"]["image/png"] == str(home)
    assert cell["outputs"][0]["data"]["text/plain"] == ["~\n", "1"]


@pytest.mark.parametrize(("value", "threads"), [("", cores()), ("3", 3), ("4,2", 4), ("many", cores()), ("0", cores())])
def test_threads_are_read_from_any_value_of_the_variable(monkeypatch, value, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads_in_use() == threads and threads_in_use(7) == 7


@pytest.mark.parametrize("status", ["ok", "stopped"])
@pytest.mark.parametrize("left", [None, "", '{"cells": [', "evidence"])
def test_a_half_written_copy_or_evidence_is_a_failure_with_a_result(book, tmp_path, status, left):
    out = tmp_path / "out"
    out.mkdir()
    clean(out, "chapter")
    whole = json.dumps({"cells": [], "metadata": {}})
    if left is not None:
        (out / "chapter.running.ipynb").write_text(whole if left == "evidence" else left)
    if left == "evidence":
        (out / ".evidence" / "a.json").write_text('{"notebook": ')
    result = {"notebook": "part/chapter", "seconds": 1.0, "hashes": {}}
    outcome = results.finish(out, notebook(book), Outcome(status), result)
    assert outcome.status == ("failed" if status == "ok" else "stopped")
    assert not is_success(out) and not (out / "SUCCESS").exists()
    assert read_result(out)["status"] == outcome.status and "chapter.running.ipynb" not in leftovers(out)


def test_a_second_signal_of_either_kind_does_not_cut_the_clean_up_short():
    before = {signum: signal.getsignal(signum) for signum in stopping.SIGNALS}
    try:
        stopping.stop_on_signals()
        with pytest.raises(stopping.Stopped):
            signal.raise_signal(signal.SIGINT)
        stopping.heard()
        assert all(signal.getsignal(signum) is signal.SIG_IGN for signum in stopping.SIGNALS)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


EARLY = """
import runpy, signal, sys
class Early:
    def find_spec(self, name, *_):
        if name == "separations.run.execute":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Early())
runpy.run_module("separations.run", run_name="__main__")
"""


def test_a_signal_while_the_library_is_imported_is_one_line():
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "separations.run: stopped by SIGINT\n")


def test_a_signal_is_sent_again_where_its_exception_was_lost(monkeypatch):
    class Dying:
        def __del__(self):  # what falls in here is dropped by Python, with a note on standard error
            signal.raise_signal(signal.SIGTERM)

    before = {signum: signal.getsignal(signum) for signum in stopping.SIGNALS}
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: None)
    try:
        stopping.stop_on_signals()
        Dying()
        with pytest.raises(stopping.Stopped, match="SIGTERM"):
            time.sleep(30)
    finally:
        stopping.heard()
        for signum, handler in before.items():
            signal.signal(signum, handler)


def test_a_kernel_that_dies_is_no_success(book, tmp_path):
    out = tmp_path / "out"
    notebook(book, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "print('after')")
    assert run(book, out).code == 1
    assert not is_success(out) and "DeadKernel" in read_result(out)["error"]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see whether the kernel is gone")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_killed_is_no_success_and_takes_its_kernel_along(book, tmp_path, signum):
    out = tmp_path / "out"
    notebook(book, "import os, time\nopen('kernel', 'w').write(str(os.getpid()))\ntime.sleep(120)")
    process = subprocess.Popen([sys.executable, "-m", "separations.run", str(book), "--out", str(out)], cwd=tmp_path)
    mark, deadline = book.with_name("kernel"), time.monotonic() + 60
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signum)
    code = process.wait(timeout=30)
    assert code == (-signum if signum == signal.SIGKILL else 128 + signum)
    assert not is_success(out) and not (out / "SUCCESS").exists()
    kernel, deadline = int(mark.read_text()), time.monotonic() + 15
    while alive(kernel) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not alive(kernel)


def test_what_was_changed_afterwards_is_no_success(book, tmp_path):
    out = tmp_path / "out"
    run(notebook(book, "1"), out)
    result, executed = out / "result.json", out / "chapter.ipynb"
    for path in (result, executed, out / "SUCCESS"):
        content = path.read_text()
        path.write_text(content.replace("1", "2"))
        assert not is_success(out)
        path.write_text(content)
        assert is_success(out)
    executed.unlink()
    assert not is_success(out) and not is_success(tmp_path / "nowhere")


def test_two_runs_do_not_share_a_folder(book, tmp_path):
    import fcntl

    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another run"):
            run(notebook(book, "1"), out)


def test_the_environment_of_the_caller_is_left_alone(book, tmp_path):
    before = dict(os.environ)
    run(notebook(book, "1"), tmp_path / "out", threads=1)
    assert dict(os.environ) == before
