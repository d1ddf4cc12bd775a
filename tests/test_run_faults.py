"""What can go wrong around a run: folders that are not ours, odd paths, foreign kernels and settings, full disks, results from elsewhere."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from separations import files
from separations.files import sha256
from separations.run import folder as run_folder
from separations.run import results
from separations.run.execute import main, run
from separations.run.executed import Outcome, hide_paths, unfinished
from separations.run.results import is_success, read_result


def notebook(path, *cells, parameters="n = 1", **metadata):
    """A tiny notebook; a cell is its source, or a pair of source and tag."""
    pairs = [(parameters, "parameters"), *(cell if isinstance(cell, tuple) else (cell, None) for cell in cells)]
    content = {
        "cells": [
            {"cell_type": "code", "id": f"c{i}", "metadata": {"tags": [tag] if tag else []}, "source": source, "outputs": [], "execution_count": None}
            for i, (source, tag) in enumerate(pairs)
        ],
        "metadata": metadata,
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def book(tmp_path):
    return tmp_path / "book" / "part" / "chapter.ipynb"


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def command(*arguments, **options):
    return [sys.executable, "-m", "separations.run", *map(str, arguments)]


# folders


@pytest.mark.parametrize(
    "files",
    [
        ["chapter.ipynb"],
        ["tables/results.csv"],
        ["run.log"],
        ["result.json"],
        ["SUCCESS"],
        ["notes.txt"],
        [".evidence/mine.json"],
        [".ipython/profile"],
        [".lock"],
        [".lock", "tables/a.csv", "chapter.failed.ipynb"],
        ["empty folder/"],
    ],
)
def test_a_folder_with_files_that_no_run_left_is_refused_and_loses_nothing(book, tmp_path, capsys, files):
    out = tmp_path / "paper"
    for name in files:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).mkdir() if name.endswith("/") else (out / name).write_text('{"mine": 1}')
    before = contents(out)
    assert main([str(notebook(book)), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "which no run left there" in error and error.count("\n") == 1 and contents(out) == before


def test_a_log_of_the_users_in_the_usual_form_is_not_taken_for_ours(tmp_path):
    (tmp_path / "run.log").write_text("2026-01-31 10:00:00,123 INFO epoch 1: loss 0.3\n")
    with pytest.raises(ValueError, match=r"holds run\.log, which no run left there"):
        run_folder.check_folder(tmp_path, "chapter")
    (tmp_path / ".lock").touch()  # beside the lock of an earlier version it is that of a run
    run_folder.check_folder(tmp_path, "chapter")


def test_a_link_or_a_file_as_folder(book, tmp_path, capsys):
    notebook(book, "1")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "x").write_text("mine")
    (tmp_path / "linked").symlink_to(tmp_path / "theirs")
    for name in ("file", "dangling", "circle", "linked", ""):
        assert main([str(book), "--out", str(tmp_path / name) if name else ""]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "nowhere").exists() and (tmp_path / "file").read_text() == "mine"
    assert contents(tmp_path / "theirs") == {"x": b"mine"}


def folder_of_an_earlier_version(out):
    out.mkdir()
    result = {"format": 2, "notebook": "part/chapter", "status": "ok", "hashes": {}}
    (out / "result.json").write_text(json.dumps(result))
    (out / "chapter.ipynb").write_text("{}")


def folder_with_a_log(out):
    out.mkdir()
    (out / "run.log").write_text("")


def folder_of_a_sweep(out):
    out.mkdir()
    for name in ("run.json", "worker.log", ".claim"):
        (out / name).write_text("{}")


def folder_of_a_killed_run(out):
    for name in (".evidence", ".ipython"):
        (out / name).mkdir(parents=True)
    (out / ".lock").write_text("")
    (out / "chapter.running.ipynb").write_text("{")


@pytest.mark.parametrize(
    "make",
    [Path.mkdir, folder_of_an_earlier_version, folder_with_a_log, folder_of_a_sweep, folder_of_a_killed_run],
)
def test_folders_that_are_empty_or_ours_are_taken(tmp_path, make):
    out = tmp_path / "out"
    make(out)
    run_folder.check_folder(out, "chapter")
    with run_folder.locked(out):
        run_folder.clean(out, "chapter")
    run_folder.check_folder(out, "chapter")
    assert not {"result.json", "chapter.ipynb", "chapter.running.ipynb"} & {path.name for path in out.iterdir()}
    (out / "result.json").write_text("not even JSON")  # marked: ours, whatever happened to it
    run_folder.check_folder(out, "chapter")


def test_in_a_folder_of_ours_links_are_removed_and_their_targets_and_other_files_stay(tmp_path):
    out, theirs = tmp_path / "out", tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "a.csv").write_text("mine")
    with run_folder.locked(out):
        for name in ("tables", ".evidence", ".ipython"):
            (out / name).symlink_to(theirs)
        (out / "chapter.ipynb").symlink_to(theirs / "a.csv")
        run_folder.clean(out, "chapter")
        assert contents(theirs) == {"a.csv": b"mine"} and not (out / "tables").is_symlink()
        (out / "tables").mkdir()
        (out / "tables" / "mine.tex").write_text("mine")
        (out / "tables" / "mine.csv").write_text("mine")
        (out / "tables" / "runs.csv").write_text("ours")
        (out / "result.json").write_text(json.dumps({"tables": {"runs": "digest", "../result": "", "gone": ""}}))
        run_folder.clean(out, "chapter")
        assert contents(out / "tables") == {"mine.tex": b"mine", "mine.csv": b"mine"}
    (out / "chapter.ipynb").mkdir()
    with pytest.raises(ValueError, match=r"chapter\.ipynb in it is a folder"):
        run_folder.check_folder(out, "chapter")


# what a run gets from its surroundings


LOOK = """
import json, locale, os, sys
import matplotlib, separations
seen = dict(rc=matplotlib.rcParams["savefig.dpi"], usetex=matplotlib.rcParams["text.usetex"], who=os.environ.get("WHO", "ours"))
seen |= dict(here=os.getcwd(), optimised=sys.flags.optimize, library=os.path.dirname(separations.__file__))
seen |= dict(startup="STARTED" in globals(), path=sys.path, shape=repr(shape), number=locale.str(0.5))
seen |= dict(width=os.environ.get("COLUMNS"))
json.dump(seen, open("seen.json", "w"))
"""


def test_odd_paths_and_the_users_surroundings_do_not_reach_the_notebook(tmp_path):
    clone = tmp_path / "my {clone} é 'x' 50% #1?"
    path = notebook(clone / "book" / "part" / "a {n} {}.ipynb", LOOK, parameters="n = 1\nshape = [(1, 2)]")
    (path.parent / "matplotlibrc").write_text("text.usetex: True\nsavefig.dpi: 600\n")
    (path.parent / "seen.json").unlink(missing_ok=True)
    theirs = tmp_path / "theirs"
    spec = {"argv": ["false"], "display_name": "theirs", "language": "python", "env": {"WHO": "theirs"}}
    for place in ("jupyter", "home/.local/share/jupyter"):
        (theirs / place / "kernels" / "python3").mkdir(parents=True)
        (theirs / place / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))
    for place in ("mpl", "home/.config/matplotlib"):
        (theirs / place).mkdir(parents=True, exist_ok=True)
        (theirs / place / "matplotlibrc").write_text("savefig.dpi: 601\n")
    (theirs / "home" / ".ipython" / "profile_default" / "startup").mkdir(parents=True)
    (theirs / "home" / ".ipython" / "profile_default" / "startup" / "a.py").write_text("STARTED = 1")
    (theirs / "extra").mkdir()
    environment = os.environ | {
        "HOME": str(theirs / "home"),
        "JUPYTER_PATH": str(theirs / "jupyter"),
        "JUPYTER_DEFAULT_PROVISIONER_NAME": "nothing",
        "MPLCONFIGDIR": str(theirs / "mpl"),
        "MATPLOTLIBRC": str(theirs / "mpl" / "matplotlibrc"),
        "PYTHONOPTIMIZE": "2",
        "PYTHONPATH": os.pathsep.join([os.path.relpath(files.PACKAGE.parent, theirs), "extra"]),
        "LC_ALL": "de_DE.UTF-8",
        "COLUMNS": "20",
    }
    out = tmp_path / "o {pm} {n} x"
    arguments = command(path, "--out", out, "--set", "shape=[[3, 4]]")
    done = subprocess.run(
        arguments, env=environment, cwd=theirs, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    assert is_success(out) and {item.name for item in tmp_path.iterdir()} == {clone.name, "theirs", out.name}
    seen = json.loads((path.parent / "seen.json").read_text())
    assert seen["who"] == "ours" and seen["rc"] == "figure" and not seen["usetex"] and not seen["startup"]
    assert seen["here"] == str(path.parent) and seen["optimised"] == 0
    assert seen["library"] == str(files.PACKAGE) and str(theirs / "extra") in seen["path"]
    assert seen["shape"] == "[(3, 4)]" and seen["number"] == "0.5" and seen["width"] is None
    result = read_result(out)
    assert result["versions"]["numpy"] and result["versions"]["separations"] and result["library"]


def test_a_notebook_of_another_copy_of_the_library_is_refused(tmp_path, capsys):
    path = notebook(tmp_path / "clone" / "book" / "part" / "a.ipynb", "1")
    library = tmp_path / "clone" / "lib" / "separations"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("")
    assert main([str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert str(library) in error and str(files.PACKAGE) in error and not (tmp_path / "out").exists()
    (library / "__init__.py").unlink()
    library.rmdir()
    library.symlink_to(files.PACKAGE)  # the same one under another name
    assert main([str(path), "--out", str(tmp_path / "out"), "--set", "m=1"]) == 2
    assert "unknown parameter 'm'" in capsys.readouterr().err


def test_the_kernel_is_asked_which_library_the_notebook_got(book, tmp_path):
    shadow = book.parent / "separations"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("WHO = 'theirs'")
    cell = "import separations\nassert not hasattr(separations, 'WHO')"
    assert run(notebook(book, cell), tmp_path / "a").code == 0  # one beside the notebook does not come first
    cell = f"import sys\nsys.path.insert(0, {str(book.parent)!r})\nimport separations"
    assert run(notebook(book, cell), tmp_path / "b").code == 1
    assert "the notebook gets the library in" in read_result(tmp_path / "b")["error"] and not is_success(tmp_path / "b")


# what counts as done


def test_jupyters_own_tags_are_kept(book, tmp_path):
    cells = [
        ("1 / 0", "skip-execution"),
        ("int('x')", "raises-exception"),
        ("raise SystemExit", "raises-exception"),
        ("x = = 1", "raises-exception"),
        ("x = <your answer>", "skip-execution"),
        "print(n)",
    ]
    assert run(notebook(book, *cells), tmp_path / "out").code == 0 and is_success(tmp_path / "out")
    text = (tmp_path / "out" / "chapter.ipynb").read_text()
    assert "invalid literal" in text and "ZeroDivisionError" not in text


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("exit()", r"the notebook stopped itself: exit() or quit() in cell 1"),
        ("if n:\n    quit(1)", r"the notebook stopped itself"),
        ("get_ipython().ask_exit()", r"the notebook stopped itself"),
        ("import sys\nsys.exit()", "SystemExit"),
        ("import os\nos._exit(0)", "DeadKernelError"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)", "DeadKernelError"),
    ],
)
def test_a_notebook_that_ends_half_way_is_no_success_and_nothing_after_it_runs(book, tmp_path, cell, reason):
    notebook(book, cell, "open('after', 'w').write('ran')")
    assert run(book, tmp_path / "out").code == 1
    assert not is_success(tmp_path / "out") and not book.with_name("after").exists()
    assert reason in read_result(tmp_path / "out")["error"]


def test_a_cell_left_out_of_an_executed_copy_is_found():
    def cell(source, count=1, tags=(), outputs=()):
        return {"cell_type": "code", "source": source, "execution_count": count, "metadata": {"tags": list(tags)}, "outputs": list(outputs)}  # fmt: skip

    error = {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}
    assert unfinished({"cells": [cell("1"), cell(" \n", None), cell("2", None, ["skip-execution"])]}) == ""
    assert unfinished({"cells": [cell("1", outputs=[error], tags=["raises-exception"])]}) == ""
    assert unfinished({"cells": [cell("1"), cell("2", None)]}) == "cell 1 was not executed"
    assert unfinished({"cells": [cell("1", outputs=[error])]}) == "cell 0 ended with an error"
    assert unfinished({"cells": [{**cell("1", None), "metadata": None}]}) == "cell 0 was not executed"


def test_a_hundred_thousand_lines_arrive_in_order_as_one_output_and_later_updates_find_their_place(book, tmp_path):
    shown = "from IPython.display import HTML, display\nprint('a')\nh = display(HTML('old'), display_id=True)\nprint('b')\nprint('c')"
    lines = "for i in range(100_000):\n    print(i)"
    started = time.monotonic()
    assert run(notebook(book, lines, shown, "h.update(HTML('new'))"), tmp_path / "out", timeout=10**9).code == 0
    assert time.monotonic() - started < 120
    cells = json.loads((tmp_path / "out" / "chapter.ipynb").read_text())["cells"]
    (output,) = cells[1]["outputs"]
    assert "".join(output["text"]) == "".join(f"{i}\n" for i in range(100_000))
    first, middle, last = cells[2]["outputs"]
    assert (
        "".join(middle["data"]["text/html"]) == "new"
        and "".join(first["text"]) == "a\n"
        and "".join(last["text"]) == "b\nc\n"
    )


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1.5, "900", True, None])
def test_a_timeout_is_a_whole_number_of_seconds(book, tmp_path, timeout):
    with pytest.raises(ValueError, match=r"timeout = .*: a number of seconds of at least 1 is needed"):
        run(notebook(book), tmp_path / "out", timeout=timeout)


@pytest.mark.parametrize("threads", [0, -1, 1025, 10**9, 1.5, "2", True])
def test_threads_are_a_sensible_whole_number(book, tmp_path, threads):
    with pytest.raises(ValueError, match=r"threads = .*: a number of threads from 1 to 1024 is needed"):
        run(notebook(book), tmp_path / "out", threads=threads)


def test_an_injected_cell_of_an_earlier_run_does_not_count(book, tmp_path):
    path = notebook(book, ("n = 5", "injected-parameters"), "assert n == 1")
    assert run(path, tmp_path / "out").code == 0
    path = notebook(book, ("n = 5", "injected-parameters"), "assert n == 2")
    assert run(path, tmp_path / "out", {"n": 2}).code == 0


# a finished run is never lost


def test_neither_a_home_nor_a_working_folder_is_needed_to_finish(tmp_path, monkeypatch):
    def gone(*_):
        raise RuntimeError("Could not determine home directory.")

    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.chdir(here)
    monkeypatch.setattr(Path, "home", gone)
    here.rmdir()
    assert hide_paths(f"{tmp_path}/b/book/x.py", tmp_path / "b" / "book" / "a.ipynb") == "./book/x.py"
    path = notebook(tmp_path / "a.ipynb", "1")
    assert main([str(path), "--out", str(tmp_path / "out")]) == 0 and is_success(tmp_path / "out")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ValueError, match="out = 'relative': this path cannot be followed"):
        run(path, "relative")


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("name", ["a.ipynb", "SUCCESS"])
@pytest.mark.parametrize("cell", ["1", "1 / 0"])
def test_where_the_disk_is_full_the_reason_is_in_the_result(tmp_path, monkeypatch, capsys, name, cell):
    def write(path, content):
        if path.name in (name, "a.failed.ipynb"):
            raise FULL
        files.write_whole(path, content)

    monkeypatch.setattr(results, "write_whole", write)
    out = tmp_path / "out"
    assert main([str(notebook(tmp_path / "a.ipynb", cell)), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert "No space left on device" in error and error.count("\n") == 1 and not is_success(out)
    assert ("ZeroDivisionError" in error) == (cell == "1 / 0")
    result = read_result(out)
    assert result["status"] == "failed" and "No space left" in result["error"] and "file" not in result
    assert {path.name for path in out.iterdir()} == {".lock", "result.json", "run.log"}


@pytest.mark.parametrize("cell", ["1", "1 / 0"])
def test_a_disk_that_is_full_while_the_cells_run_does_not_hide_how_they_ended(tmp_path, monkeypatch, cell):
    from separations.run import kernel

    full = {"now": True}

    def write(path, content):
        if full["now"]:
            raise FULL
        files.write_whole(path, content)

    monkeypatch.setattr(kernel, "write_whole", write)
    path = notebook(tmp_path / "a.ipynb", "print('x')", cell)
    assert run(path, tmp_path / "out").code == 1
    error = read_result(tmp_path / "out")["error"]
    assert ("ZeroDivisionError" if cell == "1 / 0" else "No space left") in error
    complete = kernel._Client.mark_error

    def room_again(client):
        full["now"] = False
        complete(client)

    monkeypatch.setattr(kernel._Client, "mark_error", room_again)
    assert run(path, tmp_path / "out").code == (cell == "1 / 0") and is_success(tmp_path / "out") == (cell == "1")


def test_where_not_even_the_result_can_be_written_the_reason_is_on_standard_error(tmp_path, monkeypatch, capsys):
    def write(path, content):
        raise FULL

    monkeypatch.setattr(results, "write_whole", write)
    assert main([str(notebook(tmp_path / "a.ipynb", "1 / 0")), "--out", str(tmp_path / "out")]) == 74
    error = capsys.readouterr().err
    assert "No space left on device" in error and "ZeroDivisionError" in error and error.count("\n") == 1
    assert not is_success(tmp_path / "out")


@pytest.mark.parametrize(
    ("closed", "options"), [("<&- >&- 2>&-", ["-OO"]), (">&-", []), ("2>&-", []), ("> /dev/full", [])]
)
def test_closed_or_full_standard_streams_do_not_matter(tmp_path, closed, options):
    path = notebook(tmp_path / "a.ipynb", "print(n)\nimport sys\nprint(n, file=sys.stderr)")
    python, *rest = command(path, "--out", tmp_path / "out")
    line = " ".join(f"'{part}'" for part in (python, *options, *rest))
    done = subprocess.run(["bash", "-c", f"{line} {closed}"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and is_success(tmp_path / "out") and "Traceback" not in done.stderr


def test_half_a_character_in_an_output_or_a_name_does_not_lose_the_run(tmp_path):
    path = notebook(tmp_path / "caf\udce9.ipynb", "print('a\\ud800b')\n'\\ud800'")
    assert main([str(path), "--out", str(tmp_path / "out")]) == 0 and is_success(tmp_path / "out")
    json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    printed, shown = json.loads((tmp_path / "out" / path.name).read_text(encoding="utf-8"))["cells"][-1]["outputs"]
    assert (printed["name"], printed["text"]) == (
        "stdout",
        ["a\ud800b\n"],
    )  # not lost, and no error of the kernel beside it
    assert shown["data"]["text/plain"] == [r"'\ud800'"]


# results from elsewhere


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    cell = "from separations import Ledger\nnotes = Ledger('part/chapter')\nnotes.measure('x', 1)\nnotes.table('runs', [{'a': 1}])"
    out = folder / "out"
    assert run(notebook(folder / "book" / "part" / "chapter.ipynb", cell), out).code == 0 and is_success(out)
    (folder / "secret.ipynb").write_bytes((out / "chapter.ipynb").read_bytes())
    (folder / "secret.csv").write_bytes((out / "tables" / "runs.csv").read_bytes())
    return out


def rewritten(out, change):
    """The run with another result, and a sentinel that belongs to it."""
    before = (out / "result.json").read_text(), (out / "SUCCESS").read_text()
    result = json.loads(before[0])
    change(result)
    content = json.dumps(result)
    (out / "result.json").write_text(content)
    (out / "SUCCESS").write_text(sha256(content))
    answer = is_success(out), read_result(out)
    (out / "result.json").write_text(before[0]), (out / "SUCCESS").write_text(before[1])
    assert is_success(out)
    return answer


def put(**fields):
    return lambda result: result.update(fields)


@pytest.mark.parametrize(
    "change",
    [
        put(file="../secret.ipynb"),
        put(file="/etc/passwd"),
        put(file=".."),
        put(file=""),
        put(file=None),
        put(file=["chapter.ipynb"]),
        put(status=1),
        put(error=None),
        put(seconds="1"),
        put(seconds=float("nan")),
        put(seconds=True),
        put(hashes=[]),
        put(evidence=None),
        put(evidence={}),
        put(evidence=[None]),
        put(evidence=[{}]),
        put(evidence=[{"notebook": 1}]),
        put(evidence=[{"notebook": "a", "measures": {"x": float("inf")}}]),
        put(evidence=[{"notebook": "a", "measures": {"x": "1"}}]),
        put(evidence=[{"notebook": "a", "measures": []}]),
        put(evidence=[{"notebook": "a", "claims": [{"id": "x", "verdict": "perhaps"}]}]),
        put(evidence=[{"notebook": "a", "claims": ["x"]}]),
        put(evidence=[{"notebook": "a", "tables": ["../x"]}]),
        put(tables={"../../secret": "0"}),
        put(tables={"runs": 3}),
        put(tables=[]),
        put(versions=[]),
        put(versions={"numpy": 1}),
        put(peak_memory_mb=None),
        lambda result: result.pop("hashes"),
    ],
)
def test_a_result_of_another_shape_or_with_paths_that_lead_out_is_none(finished, change):
    assert rewritten(finished, change) == (False, None)


def test_links_out_of_the_folder_are_not_followed(finished):
    for path, target in [
        (finished / "chapter.ipynb", finished.parent / "secret.ipynb"),
        (finished / "tables" / "runs.csv", finished.parent / "secret.csv"),
    ]:
        content = path.read_bytes()
        path.unlink()
        path.symlink_to(target)
        assert path.read_bytes() == content and not is_success(finished)
        path.unlink()
        path.write_bytes(content)
        assert is_success(finished)
    for name in ("../secret", "..", "", "a/b", "A", None):
        with pytest.raises(ValueError, match="name = "):
            results.table_path(finished, name)


@pytest.mark.parametrize("content", ["null", "[]", "3", '{"a": NaN}', "{", "[" * 10**5])
def test_what_is_no_mapping_is_no_result(tmp_path, content):
    (tmp_path / "result.json").write_text(content)
    (tmp_path / "SUCCESS").write_text(sha256(content))
    assert read_result(tmp_path) is None and not is_success(tmp_path)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"notebook": "part/chapter", "measures": {"x": float("nan")}}, "NaN is no JSON number"),
        ({"notebook": "part/chapter", "tables": ["../../../stolen"]}, "name = '../../../stolen'"),
        ({"notebook": "../part", "tables": ["missing"]}, "cannot be kept: No such file"),
        ([], "does not name its notebook"),
    ],
)
def test_evidence_that_a_notebook_wrote_itself_is_checked(tmp_path, record, reason):
    out = tmp_path / "out"
    out.mkdir()
    run_folder.clean(out, "a")
    (out / "a.running.ipynb").write_text(json.dumps({"cells": [], "metadata": {}}))
    (out / ".evidence" / "a.json").write_text(json.dumps(record))
    result = {"notebook": "a", "seconds": 1.0, "hashes": {}}
    outcome = results.finish(out, tmp_path / "a.ipynb", Outcome("ok"), result)
    assert outcome.status == "failed" and reason in outcome.error and not is_success(out)
    assert read_result(out)["error"] == outcome.error


# signals


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", [".ipython/empty", "a.running.ipynb"])  # before the libraries, and before the kernel
def test_a_signal_while_the_kernel_starts_is_heard_at_once(tmp_path, signum, stage):
    out = tmp_path / "out"
    path = notebook(tmp_path / "a.ipynb", "import time\ntime.sleep(60)")
    process = subprocess.Popen(command(path, "--out", out), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (out / stage).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    started = time.monotonic()
    process.send_signal(signum)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 128 + signum and time.monotonic() - started < 20
    assert f"stopped by {signal.Signals(signum).name}" in error and "Traceback" not in error
    assert not is_success(out) and not (out / "a.running.ipynb").exists()
