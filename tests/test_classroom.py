"""Grading: answers are put into the teacher's own copy, and whatever a submission does costs its own marks alone."""

import csv
import json
import time
from pathlib import Path

import pytest

from separations import exercises
from separations.classroom import bounds, command, grading, nbgrader, slices, slides, submissions, tasks, worker
from separations.classroom.feedback import page, write_pages
from separations.run.profiles import Book

STARTER = 'def my_double(x):\n    """Twice x."""\n    return None  # your code here\n'
CHECK = """from separations.exercises import reported


@reported
def check_my_double(function):
    if function(factor) is None:
        return "not attempted yet"
    assert function(factor) == 2 * factor, "not twice as much"
    return "right"


print(check_my_double(my_double))"""
SOLUTION = "def my_double(x):\n    return 2 * x\n\n\nprint(check_my_double(my_double))"
LIMITS = bounds.Limits(seconds=6.0, memory_mb=600, output_mb=0.2)


def cell(kind, source, name, tags=()):
    code = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "id": name, "metadata": {"tags": list(tags)}, "source": source, **code}


def notebook(starter=STARTER, check=CHECK, solution=True):
    cells = [
        cell("markdown", "# Twice", "title"),
        cell("code", "n = 1  # a number (count)", "numbers", ["parameters"]),
        cell("code", "import math\nfactor = 3\nunused = 1 / 0 if n > 5 else 0\nraise_me = [n]", "set-up"),
        cell("code", "raise RuntimeError('nobody needs this')", "heavy"),
        cell(
            "markdown",
            "```{exercise-start} Twice\n:label: ex-twice\n```\nPredict, then write.\n```{exercise-end}\n```",
            "ask",
        ),
        cell("code", starter, "start"),
        cell("code", check, "check"),
        cell("markdown", "```{solution-start} ex-twice\n```\nTwo times.", "told", ["solution"]),
        cell("code", SOLUTION, "solved", ["solution"]),
        cell("markdown", "```{solution-end}\n```", "end", ["solution"]),
        cell("markdown", "## What to read next\n\nNothing.", "next"),
    ]
    cells = [one for one in cells if solution or "solution" not in one["metadata"]["tags"]]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {
        "cells": cells,
        "metadata": {**kernel, "separations": {"claim": "Two."}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


@pytest.fixture
def book(tmp_path):
    root = tmp_path / "repository"
    (root / "book" / "part").mkdir(parents=True)
    (root / "book" / "appendix").mkdir()
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/index\nchapters:\n  - file: book/part/01_twice\n")
    (root / "_config.yml").write_text((Path(__file__).resolve().parents[1] / "_config.yml").read_text())
    (root / "book" / "index.md").write_text("# Index\n")
    (root / "book" / "part" / "01_twice.ipynb").write_text(json.dumps(notebook()))
    hidden = "ex-twice:\n  hidden: |\n    assert my_double(0.5) == 1, 'halves'\n"
    (root / "book" / "appendix" / "grading.yml").write_text(hidden)
    row = "| 1 | {doc}`Twice <../part/01_twice>` | double |\n\n- *Hour 1.* What is twice?\n"
    (root / "book" / "appendix" / "teaching.md").write_text(row)
    return Book(root)


def hand_in(folder, name, starter, **options):
    (folder / name).mkdir(parents=True)
    text = starter if isinstance(starter, bytes) else json.dumps(notebook(starter, solution=False, **options)).encode()
    (folder / name / "01_twice.ipynb").write_bytes(text)


def graded(book, folder, **options):
    return grading.grade(book, folder, grading.chapters_of(book, ["part/01_twice"]), limits=LIMITS, **options)


RIGHT = "def my_double(x):\n    return x + x\n"
CHEAT = CHECK.replace("assert function(factor) == 2 * factor", "assert True")
HANDED = {  # code, points of 3, what the status says
    "right": (RIGHT, 3, "right"),
    "only visible": ("def my_double(x):\n    return int(x) * 2\n", 2, "halves"),
    "wrong": ("def my_double(x):\n    return x\n", 0, "not twice as much"),
    "blank": (STARTER, 0, "not attempted yet"),
    "loop": ("import time\nwhile True:\n    time.sleep(0.05)\n" + RIGHT, 0, "stopped after 6 seconds"),
    "loop inside": ("import time\ndef my_double(x):\n    while True:\n        time.sleep(0.05)\n", 0, "stopped after 6 seconds"),
    "crash": ("1 / 0\n", 0, "ZeroDivisionError"),
    "no Python": ("def my_double(x:\n", 0, "SyntaxError"),
    "prints": ("for _ in range(200):\n    print('x' * 10_000)\n", 0, "more output"),
    "memory": ("kept = [bytearray(10**8) for _ in range(100)]\n", 0, "more memory"),
    "exit": ("import os\nos._exit(0)\n", 0, "ended before the check did"),
    "system exit": ("raise SystemExit\n", 0, "SystemExit"),
    "process": ("import subprocess\nsubprocess.run(['true'])\n", 0, "no need of subprocess"),
    "network": ("import socket\nsocket.create_connection(('127.0.0.1', 9), 1)\n", 0, "no need of socket"),
    "says right": ("print('right')\ndef my_double(x):\n    print('right')\n    return 7\n", 0, "not twice as much"),
    "own names": ("factor = 0\ndef check_my_double(f):\n    return 'right'\ndef my_double(x):\n    return 0\n", 0, "not twice as much"),
    "uses names": ("def my_double(x):\n    return math.fsum([x] * (2 * factor)) / factor\n", 3, "right"),
    "not a notebook": (b"{", 0, "not a notebook"),
    "empty": (b"", 0, "empty"),
    "no cells": (json.dumps({**notebook(), "cells": []}).encode(), 0, "without cells"),
}  # fmt: skip


@pytest.fixture
def class_of_all(book, tmp_path):
    folder = tmp_path / "submissions"
    for number, (name, (code, _, _)) in enumerate(HANDED.items()):
        hand_in(folder, f"{name}_{number}_assignsubmission_file_", code)
    hand_in(folder, "edited check_90_assignsubmission_file_", "def my_double(x):\n    return 5\n", check=CHEAT)
    return folder


def test_each_submission_costs_its_own_marks_alone(book, class_of_all):
    before = {path: path.read_bytes() for path in class_of_all.rglob("*.ipynb")}
    started = time.monotonic()
    found = graded(book, class_of_all, jobs=2)
    assert time.monotonic() - started < 120
    by_name = {mark.student: mark for mark in found.marks}
    assert len(found.marks) == len(by_name) == len(HANDED) + 1 and {mark.of for mark in found.marks} == {3}
    for name, (_, points, status) in HANDED.items():
        assert by_name[name].points == points and status in by_name[name].status, by_name[name]
    assert by_name["edited check"].points == 0 and "not twice as much" in by_name["edited check"].status
    assert len(by_name["prints"].output) <= worker.SHOWN
    assert {path: path.read_bytes() for path in class_of_all.rglob("*.ipynb")} == before


def test_an_answer_neither_reads_the_book_nor_changes_files_elsewhere(book, tmp_path):
    outside, folder = tmp_path / "kept.txt", tmp_path / "handed"
    outside.write_text("kept")
    solution = book.notebook("part/01_twice")
    steal = f"import json\ncells = json.load(open({str(solution)!r}))['cells']\n" + RIGHT
    hand_in(folder, "thief", steal + "if not cells: raise ValueError\n")
    hand_in(folder, "thief in vain", f"text = open({str(solution)!r}).read()\nexec(text)\n")
    hand_in(folder, "remover", f"import os\nos.remove({str(outside)!r})\n")
    hand_in(folder, "writer", f"open({str(outside)!r}, 'w')\n")
    hand_in(folder, "tree", f"import shutil\nshutil.rmtree({str(tmp_path)!r})\n")
    hand_in(folder, "own folder", "import pathlib, os\npathlib.Path('a').write_text('b')\nos.remove('a')\n" + RIGHT)
    found = {mark.student: mark for mark in graded(book, folder).marks}
    assert found["own folder"].points == 3
    assert "does not read 01_twice.ipynb" in found["thief in vain"].status and not found["thief in vain"].points
    assert all(not found[name].points for name in ("remover", "writer", "tree")) and outside.read_text() == "kept"
    assert all("PermissionError" in found[name].status for name in ("remover", "writer", "tree"))
    assert found["thief"].points == 0  # reading raised before its answer was defined


def test_layouts_of_moodle_and_github_classroom_and_plain_files(book, tmp_path):
    chapters = grading.chapters_of(book, ["part/01_twice"])
    repositories = tmp_path / "week1-submissions"
    hand_in(repositories, "week1-ada/part", RIGHT)
    (repositories / "week1-ada" / ".git").mkdir()
    (repositories / "week1-ada" / ".git" / "x.ipynb").write_text("{}")
    (repositories / "week1-bob").mkdir()
    names, found = submissions.handed_in(repositories, chapters)
    assert names == ["ada", "bob"] and [(one.student, one.key) for one in found] == [("ada", "part/01_twice")]
    flat = tmp_path / "flat"
    flat.mkdir()
    text = json.dumps(notebook(RIGHT))
    (flat / "Ada Lovelace_77_assignsubmission_file_my answers (1).ipynb").write_text(text)
    (flat / "carol.ipynb").write_text(text)
    (flat / "readme.txt").write_text("no submission")
    (flat / "link.ipynb").symlink_to(flat / "carol.ipynb")
    names, found = submissions.handed_in(flat, chapters)
    assert names == ["Ada Lovelace", "carol"] and {one.key for one in found} == {"part/01_twice"}
    (flat / "dan_78_assignsubmission_file_01_twice-Copy1.ipynb").write_text("{")
    assert [one.key for one in submissions.handed_in(flat, chapters)[1] if one.student == "dan"] == ["part/01_twice"]
    marks = {mark.student: mark for mark in graded(book, repositories).marks}
    assert marks["ada"].points == 3 and marks["bob"].status == grading.NOT_HANDED_IN
    with pytest.raises(ValueError, match="no submissions"):
        graded(book, repositories / "week1-bob")


def test_an_answer_is_found_by_label_by_cell_and_by_the_check_that_follows():
    [task] = tasks.tasks_in(notebook(), {})
    whole = notebook(RIGHT, solution=False)
    assert submissions.answer(whole, task) == [RIGHT]
    helper = [*whole["cells"][:5], cell("code", "two = 2", "mine"), *whole["cells"][5:]]
    assert submissions.answer({"cells": helper}, task) == ["two = 2", RIGHT]  # cells that a student adds there count
    unlabelled = [one for one in whole["cells"] if one["cell_type"] == "code"]
    assert submissions.answer({"cells": unlabelled}, task) == [RIGHT]
    other = [{**one, "id": f"x{i}"} for i, one in enumerate(unlabelled)]
    assert submissions.answer({"cells": other}, task) == [RIGHT]
    merged = [cell("code", RIGHT + "\n\n" + CHECK, "one")]
    assert submissions.answer({"cells": merged}, task)[0].startswith(RIGHT.strip())
    assert "check_" not in submissions.answer({"cells": merged}, task)[0].replace("separations", "")
    assert submissions.answer({"cells": other[:2]}, task) is None


def test_only_what_an_exercise_needs_is_computed():
    cells = ["import math\nimport time", "x = 1\ny = [x]\nbig = time.sleep(9)", "y.append(2)\nx = 5", "def f(z):\n    return z + y[0] + late", "late = 3\nfor i in range(3):\n    y[0] += i\nprint(big)"]  # fmt: skip
    found = worker.statements_text(slices.needed(cells, {"f"}))
    assert "big = time.sleep(9)" not in found and not any("print" in one for one in found)
    assert {"x = 1", "y = [x]", "y.append(2)", "late = 3"} <= set(found)
    scope = {}
    exec("\n".join(found), scope)
    assert scope["f"](1) == 1 + 4 + 3
    assert len(slices.needed(cells, set(), whole=True)) == 11
    assert slices.names_used(__import__("ast").parse("a = [b for b in c]\nd += 1\ndef e(g):\n    return g + h")) == {
        "c",
        "d",
        "h",
    }


def test_where_the_teachers_own_solution_fails_nobody_is_graded(book, tmp_path):
    broken = notebook()
    broken["cells"][3]["source"] = "pass"
    broken["cells"][8]["source"] = SOLUTION.replace("2 * x", "3 * x")
    book.notebook("part/01_twice").write_text(json.dumps(broken))
    hand_in(tmp_path / "handed", "ada", RIGHT)
    found = graded(book, tmp_path / "handed")
    assert found.marks[0].status.startswith("not graded") and "own solution does not pass" in " ".join(found.notes)


def test_the_command_writes_a_table_and_a_page_a_student(book, class_of_all, tmp_path, capsys):
    for name in list(class_of_all.iterdir()):
        if not name.name.startswith(("right_", "blank_", "wrong_")):
            for path in name.iterdir():
                path.unlink()
            name.rmdir()
    hand_in(class_of_all, "=1+1", RIGHT)
    hand_in(class_of_all, "<b>x", RIGHT)
    out = tmp_path / "out" / "grades.csv"
    arguments = ["grade", "--root", str(book.root), "--folder", str(class_of_all), "--out", str(out)]
    assert command.main(arguments) == 0
    rows = list(csv.DictReader(out.open()))
    assert tuple(rows[0]) == grading.COLUMNS and {row["student"] for row in rows} == {
        "right",
        "blank",
        "wrong",
        "'=1+1",
        "<b>x",
    }
    pages = sorted(path.name for path in (out.parent / "grades-feedback").iterdir())
    assert len(pages) == 5 and "right.html" in pages
    text = "".join(path.read_text() for path in (out.parent / "grades-feedback").iterdir())
    assert "3 of 3 points" in text and "<b>x" not in text and "&lt;b&gt;x" in text and "not twice as much" in text
    assert command.main(["grade", "--root", str(book.root)]) == 2 and "name the folder" in capsys.readouterr().err
    assert command.main([*arguments[:-1], str(tmp_path)]) == 2


def test_two_students_of_one_name_have_two_pages(tmp_path):
    marks = [grading.Mark(name, "part/01_twice", "ex", "Twice", 0, 3, "x") for name in ("A b", "A/b", "..")]
    assert sorted(path.name for path in write_pages(marks, tmp_path)) == ["A_b-2.html", "A_b.html", "student.html"]
    assert "http" not in page("a", marks)


def test_nbgraders_course_has_answers_and_hidden_tests_in_the_source_alone(book, capsys):
    files = nbgrader.course(book)
    source, release = (json.loads(files[f"{kind}/01_twice/01_twice.ipynb"]) for kind in ("source", "release"))
    both = {
        kind: "\n".join(one["source"] for one in made["cells"])
        for kind, made in (("source", source), ("release", release))
    }
    assert (
        "2 * x" in both["source"]
        and "halves" in both["source"]
        and "must_be_right(check_my_double(my_double))" in both["source"]
    )
    assert "2 * x" not in both["release"] and "HIDDEN" not in both["release"] and nbgrader.STUB in both["release"]
    marks = {
        one["metadata"]["nbgrader"]["grade_id"]: one["metadata"]
        for one in release["cells"]
        if "nbgrader" in one["metadata"]
    }
    assert [(name, m["nbgrader"].get("points")) for name, m in marks.items()] == [("ex-twice-answer", None), ("ex-twice-check", 2), ("ex-twice-further", 1)]  # fmt: skip
    assert all(m["nbgrader"]["schema_version"] == 3 and m["deletable"] is False for m in marks.values())
    assert marks["ex-twice-check"]["editable"] is False and marks["ex-twice-check"]["nbgrader"]["locked"]
    for one in release["cells"]:
        if "nbgrader" in one["metadata"]:
            assert one["metadata"]["nbgrader"]["checksum"] == nbgrader.checksum(one)
    assert command.main(["student", "--root", str(book.root)]) == 0
    assert (book.build / "nbgrader" / "release" / "01_twice" / "01_twice.ipynb").is_file()
    for code, right in ((SOLUTION, True), (STARTER, False)):
        scope = {"factor": 3}
        exec(code.split("\n\n\nprint")[0], scope)
        exec(CHECK, scope)
        if right:
            exercises.must_be_right(scope["check_my_double"](scope["my_double"]))
        else:
            with pytest.raises(AssertionError, match="not attempted"):
                exercises.must_be_right(scope["check_my_double"](scope["my_double"]))


def test_slides_show_title_claim_question_and_figures_without_a_network(book):
    made = notebook()
    picture = {"output_type": "display_data", "data": {"image/png": "QUJD"}, "metadata": {}}
    figure = {
        "mystnb": {
            "figure": {"name": "fig-a", "caption": "See {numref}`fig-b`, $x<1$ *here*."},
            "image": {"alt": "A & B."},
        }
    }
    made["cells"].append({**cell("code", "draw()", "drawn"), "outputs": [picture], "metadata": figure})
    book.notebook("part/01_twice").write_text(json.dumps(made))
    assert command.main(["slides", "--root", str(book.root)]) == 0
    text = (book.build / "slides" / "part" / "01_twice.html").read_text()
    assert text.count("<section>") == 5 and "What is twice?" in text and "data:image/png;base64,QUJD" in text
    assert (
        "See the chapter, $x&lt;1$ <em>here</em>." in text
        and "What to notice: A &amp; B." in text
        and "Predict: Twice" in text
    )
    assert "http" not in text and "2 * x" not in text
    assert 'href="part/01_twice.html"' in (book.build / "slides" / "index.html").read_text()
    assert slides.hours(book)["part/01_twice"] == (1, "double", "What is twice?")


def test_a_check_reports_and_is_counted():
    @exercises.reported
    def check(answer):
        """Says what it does."""
        if answer is None:
            return exercises.BLANK
        if answer != 1:
            raise AssertionError("not one")
        return None

    assert [check(x) for x in (1, 2, None)] == ["right", "not yet: not one", "not attempted yet"]
    assert check() == "not yet: TypeError: " + check().partition("TypeError: ")[2] and check.__name__ == "check"
    assert exercises.outcome("correct") == "right" and exercises.outcome("not yet: right") == "wrong"
    made = notebook()
    empty = exercises.tally(made)
    assert exercises.summary(empty) == ""
    for said, line in (
        ("not attempted yet\n", "none of 1 attempted yet"),
        ("not yet: x\n", "0 of 1 right, 1 not yet"),
        ("right\n", "1 of 1 right"),
    ):
        made["cells"][6]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": said}]
        assert line in exercises.summary(exercises.tally(made))


def test_a_solution_under_another_name_is_the_one_that_its_check_is_called_with():
    made = notebook()
    made["cells"][8]["source"] = "def solved(x):\n    return 2 * x\n\n\nprint(check_my_double(solved))"
    assert tasks.tasks_in(made, {})[0].solution.endswith("my_double = solved\n")
    made["cells"][8]["source"] = "print(check_my_double(lambda x: 2 * x))\nprint('more')"
    assert tasks.tasks_in(made, {})[0].solution == "my_double = lambda x: 2 * x\n"
