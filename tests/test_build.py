"""Makefile and Snakefile: in a folder of any name, with settings of any kind, and by content instead of time stamps."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from separations.book import command as book
from separations.book import rendered, staging
from separations.book import settings as build_settings
from separations.run.profiles import Book
from sweep_book import cell, write_book
from test_staging import leave_run
from test_staging import root as bare  # noqa: F401

ROOT = Path(__file__).parents[1]
NUMBERS = ("threads", "params.timeout", "params.strict")  # placeholders that hold a number
FILES = ("Snakefile", "sweep.smk")
TOC = "format: jb-book\nroot: book/index\nchapters:\n- file: book/part/01_a\n"


def shell_commands(text: str) -> list[str]:
    """The commands of the rules: what stands below `shell:`, without comments."""
    blocks = re.findall(r"^    shell:\n((?:        .*\n?|\n)+)", text, re.M)
    return [re.sub(r"^\s*#.*$", "", block, flags=re.M) for block in blocks]


@pytest.mark.parametrize("name", FILES)
def test_every_placeholder_of_a_command_is_quoted(name):
    commands = shell_commands((ROOT / name).read_text(encoding="utf-8"))
    assert commands
    for command in commands:
        loose = [p for p in re.findall(r"(?<!\{)\{([\w.\[\]]+)\}(?!\})", command) if p not in NUMBERS]
        assert loose == [], f"write {{{loose[0]}:q}}"
        for variable in re.findall(
            r"\$\w+", command
        ):  # of the shell: between double quotes, up to which backslashes stand
            assert re.search(rf'\\"[^\\ ]*{re.escape(variable)}', command), f"{variable} is not quoted"


def test_no_parameter_of_a_rule_holds_an_absolute_path_in_plain_text():
    text = (ROOT / "Snakefile").read_text(encoding="utf-8")
    for block in re.findall(r"^    params:\n((?:        .*\n)+)", text, re.M):
        assert "=sys.executable" not in block and "=str(" not in block, "a function is needed: Snakemake reads braces"


def test_targets_of_make_quote_what_is_given_to_them():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = "\n".join(line for line in text.splitlines() if line.startswith("\t"))
    for name in ("PROFILE", "STRICT", "JOBS", "FILE"):
        assert f"$({name})" not in recipes, f"$(call quoted,{name})"
    assert not re.search(r'(?<!")\$\(PYTHON\)(?! found| is | has)', recipes)
    assert not re.search(r"\$\(VENV\)/bin/(?!python)", text), (
        "a script's first line holds no path with spaces: python -m"
    )


# commands in a small repository


def write_repository(root: Path) -> Path:
    """A book of one chapter with our graph and targets, and an environment that is linked."""
    write_book(root)
    path = root / "book" / "part" / "01_a.ipynb"
    content = json.loads(path.read_text())
    content["cells"].insert(1, cell("print('seen')", 50, tags=["nbval-check-output"]))
    content["cells"][1]["execution_count"] = 1
    content["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "seen\n"}]
    path.write_text(json.dumps(content))
    for name in (
        "Makefile",
        "Snakefile",
        "constraints.txt",
        "requirements.txt",
        "requirements-dev.txt",
        "pyproject.toml",
    ):
        shutil.copy(ROOT / name, root)
    shutil.copytree(ROOT / "profiles", root / "profiles")
    (root / "lib").symlink_to(ROOT / "lib")
    (root / "_toc.yml").write_text(TOC)
    (root / "_config.yml").write_text("title: t\n")
    (root / "book" / "index.md").write_text("# Index\n")
    return root


def call(root: Path, *command: str) -> subprocess.CompletedProcess:
    variables = os.environ | {"PYTHONPATH": str(ROOT / "lib"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, timeout=300)


def snakemake(root: Path, target: str, *settings: str) -> subprocess.CompletedProcess:
    options = ["--config", *settings] if settings else []
    return call(root, sys.executable, "-m", "snakemake", target, "--quiet", "all", *options)


def make(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    """make with an environment that is there: this interpreter, and the stamp of what is installed."""
    venv = root / ".venv"
    if not venv.exists():
        (venv / "bin").mkdir(parents=True)
        (venv / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (venv / "bin" / "python").chmod(0o755)
        name = re.search(r"\.venv/\.installed-[\w-]+", call(root, "make", "-pn", "env").stdout)[0]
        (root / name).touch()
        venv.rename(root / "environment")
        venv.symlink_to(root / "environment")
    return call(root, "make", *arguments)


def test_the_notebooks_checks_leave_a_sibling_with_half_the_name_alone(tmp_path):
    name = "my {clone} é [a-z]* $HOME 'x'"
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "precious.txt").write_text("mine")
    root = write_repository(tmp_path / name)
    stale = root / "_build" / "evidence"
    stale.mkdir(parents=True)
    for leftover in ("part__01_a.json", "part__01_a.old.csv"):
        (stale / leftover).write_text("{}")
    done = snakemake(root, "_build/tests/nbval/part/01_a.ok")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "my" / "precious.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["my", name])
    assert sorted(path.name for path in stale.iterdir()) == ["part__01_a.json", "part__01_a.rows.csv"]
    assert json.loads((stale / "part__01_a.json").read_text())["measures"]["y"] == 1.0


BAD = [
    ("JOBS=", "JOBS = "), ("JOBS=-1", "JOBS = -1"), ("PROFILE=", "profile = ''"), ("STRICT=banana", "STRICT = banana"),
    ("PROFILE=-x", "profile = '-x'"), ("PROFILE=a b; touch x", "profile = 'a b; touch x'"), ("JOBS='; touch x; '", "JOBS = '; touch x; '"),
]  # fmt: skip


def test_a_setting_that_cannot_be_is_said_in_one_line_and_nothing_runs(tmp_path, capsys):
    root = write_repository(tmp_path / "a b")
    for setting, message in BAD:
        done = make(root, "book", setting)
        said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
        assert done.returncode != 0 and len(said) == 1 and message in said[0], (setting, done.stderr)
    assert not (root / "_build").exists() and not (root / "x").exists()
    for option in ("--jobs=0", "--jobs=abc", "--jobs=2.5", "--profile=../params/smoke", "--strict=2"):
        assert book.main(["check", "--root", str(root), option]) == 2
        assert option.partition("=")[2] in (said := capsys.readouterr().err) and said.count("\n") == 1
    for setting in ("jobs=0", "timeout=1000000000", "tables=maybe"):
        done = snakemake(root, "notebooks", setting)
        said = [line for line in done.stderr.splitlines() if not line.startswith("Using workflow")]
        assert done.returncode != 0 and len(said) == 1 and "Traceback" not in done.stderr, (setting, done.stderr)
    assert not (root / "_build").exists()


def test_the_file_of_a_sweep_is_one_word_whatever_is_in_it(tmp_path):
    root = write_repository(tmp_path / "a b")
    done = make(root, "sweep", "FILE=sweeps/my 'own' {x} \"é\".yml")
    assert done.returncode != 0 and '{x} "é".yml' in done.stderr and "Traceback" not in done.stderr
    done = make(root, "sweep", "FILE=sweeps/no.yml", "JOBS=0")
    assert done.returncode != 0 and "JOBS = 0" in done.stderr


def test_clean_keeps_what_somebody_put_there_and_what_a_link_leads_to(tmp_path):
    root = write_repository(tmp_path / "a b")
    ours = (
        "html",
        "html-smoke",
        ".html-smoke.old",
        "stage",
        "stage-smoke",
        "render/smoke",
        "runs/laptop",
        "sweeps/s",
        "tests",
        "evidence",
        "check/paper",
    )
    others = ["grading", "html_notes", "mine", "my html", "student", "student-2"]  # fmt: skip
    for name in (*ours, *others):
        (root / "_build" / name).mkdir(parents=True)
        (root / "_build" / name / "file").write_text("x")
    (root / "_build" / ".render.lock").write_text("")
    assert make(root, "clean").returncode == 0
    assert sorted(path.name for path in (root / "_build").iterdir()) == others
    assert all((root / "_build" / name / "file").is_file() for name in others)
    (root / "_build").rename(tmp_path / "elsewhere")
    (root / "_build").symlink_to(tmp_path / "elsewhere")
    assert make(root, "clean").returncode == 0
    assert not (root / "_build").is_symlink() and (tmp_path / "elsewhere" / "student" / "file").is_file()


def test_targets_load_the_library_of_their_own_folder(tmp_path):
    root = write_repository(tmp_path / "copied")
    (root / "lib").unlink()
    (root / "lib").mkdir()
    shutil.copytree(
        ROOT / "lib" / "separations",
        root / "lib" / "separations",
        ignore=shutil.ignore_patterns("__pycache__", "assets"),
    )
    (root / "lib" / "separations" / "classroom" / "__main__.py").write_text("print('the library of', __file__)\n")
    done = make(root, "student")
    assert f"the library of {root / 'lib'}" in done.stdout, done.stderr


def test_a_copied_or_moved_environment_loads_the_library_of_its_folder(tmp_path):
    """One that names another folder, as an earlier installation does, is noticed; the path that make writes holds wherever it is moved."""
    root = write_repository(tmp_path / "my {copy} é")
    make(root, "env")
    (root / ".venv").unlink()  # it was linked
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    for stamp in (root / "environment").glob(".installed*"):
        shutil.copy(stamp, root / ".venv")
    [site] = (root / ".venv" / "lib").glob("python3*/site-packages")
    (tmp_path / "old" / "separations").mkdir(parents=True)
    (tmp_path / "old" / "separations" / "__init__.py").touch()
    (site / "__editable__.separations-0.1.0.pth").write_text(f"{tmp_path / 'old'}\n")
    (site / "packages.pth").write_text(f"{Path(yaml.__file__).parents[1]}\n")

    def loaded(folder: Path) -> str:
        command = [folder / ".venv" / "bin" / "python", "-I", "-c", "import separations; print(separations.__file__)"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    assert loaded(root) == str(tmp_path / "old" / "separations" / "__init__.py")
    done = call(root, "make", "env")
    assert "was made for another folder" in done.stdout, done.stdout + done.stderr
    assert loaded(root) == str(root / "lib" / "separations" / "__init__.py")
    moved = root.rename(tmp_path / "moved [1]")
    assert loaded(moved) == str(moved / "lib" / "separations" / "__init__.py")
    assert "was made for another folder" not in call(moved, "make", "env").stdout


def test_an_environment_without_pip_is_removed_only_where_make_began_it(tmp_path):
    root = write_repository(tmp_path / "a b")
    venv = root / ".venv"
    (venv / "lib").mkdir(parents=True)
    (venv / "lib" / "mine").write_text("mine")
    done = make(root, "env")
    assert done.returncode != 0 and "was not made by make" in done.stderr and (venv / "lib" / "mine").is_file()
    (venv / ".installing").touch()
    done = call(root, "make", "env", "PYTHON=/bin/false")
    assert "made anew" not in done.stdout and (venv / "lib" / "mine").is_file()  # not without another in sight
    interpreter = tmp_path / "python"
    interpreter.write_text(f'#!/bin/sh\ncase "$*" in "-m venv"*) exit 1;; esac\nexec "{sys.executable}" "$@"\n')
    interpreter.chmod(0o755)
    done = call(root, "make", "env", f"PYTHON={interpreter}")
    assert "made anew" in done.stdout and not (venv / "lib").exists()
    assert (venv / ".installing").is_file()  # also of one that was interrupted at once make knows that it is its own


def test_a_folder_with_a_colon_is_refused_before_another_library_is_loaded(tmp_path):
    root = write_repository(tmp_path / "a:b")
    done = call(root, "make", "student")
    assert done.returncode != 0 and "has a colon" in done.stderr and not (root / "_build").exists()
    assert call(root, "make", "help").returncode == call(root, "make", "clean").returncode == 0


# what is stale


def test_a_changed_chapter_runs_all_tests_again_that_read_chapters():
    text = (ROOT / "Snakefile").read_text(encoding="utf-8")
    named = re.search(r"BOOK_TESTS = .* in \((.*)\)\]", text)[1].replace('"', "").split(", ")
    pages_only = {"build", "data", "evidence", "sweep_report"}  # read no chapter: they read what is in BUILD
    reading = {
        path.stem.removeprefix("test_")
        for path in (ROOT / "tests").glob("test_*.py")
        if re.search(r"(?:ROOT|REPOSITORY|HERE|parents?\S*) / \"book\"", path.read_text(encoding="utf-8"))
    }
    assert reading - pages_only == set(named)


def test_settings_are_read_strictly():
    assert [build_settings.yes(word, "s") for word in ("1", "true", "Yes", 1, True, "0", "no", "", None, False)] == [
        True
    ] * 5 + [False] * 5
    assert build_settings.whole("007", "n") == 7 and build_settings.whole(3, "n") == 3
    for value in ("", None, "1.0", 1.0, "1e2", "-1", "0", "²", True, [1], "9" * 30):
        with pytest.raises(ValueError, match="n = "):
            build_settings.whole(value, "n")


def test_the_rendered_book_is_stale_by_content_not_by_time_stamp(tmp_path):
    root = write_repository(tmp_path / "book")
    page = root / "book" / "index.md"
    key = rendered.book_key(Book(root))
    page.write_text("# Index\n\nMore\n")
    os.utime(page, (1, 1))  # changed, and older than anything
    (root / "params" / "paper.yml").write_text("{}\n")
    changed = rendered.book_key(Book(root))
    assert changed != key
    os.utime(page)
    assert rendered.book_key(Book(root)) == changed
    seen = {changed}
    for name in ("book/_static/a.svg", "sweeps/s.yml", "_build/sweeps/s/plan.json", "_build/sweeps/s/runs/ab/SUCCESS", "params/longer.yml",
                 "_build/runs/laptop/part/01_a/SUCCESS", "_build/runs/paper/part/01_a/SUCCESS", "book/appendix/evidence/paper.json"):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        seen.add(rendered.book_key(Book(root)))
        path.unlink()  # what is removed counts as well: the page of a sweep that is gone
        assert rendered.book_key(Book(root)) == changed, name
    assert len(seen) == 9
    (root / "_build" / "runs" / "laptop" / "part" / "01_a" / "run.log").write_text("x")
    assert rendered.book_key(Book(root)) == changed


def test_the_page_of_a_chapter_without_outputs_is_not_that_of_its_run(bare):
    leave_run(bare)
    key = rendered.book_key(Book(bare))
    notebook = bare / "book" / "part" / "01_a.ipynb"
    before = notebook.read_text()
    notebook.write_text(before.replace("print(n)", "print(n + 1)"))
    assert rendered.book_key(Book(bare)) != key
    notebook.write_text(before)
    assert rendered.book_key(Book(bare)) == key


def rendering(monkeypatch, bare, pages, code=0):
    """Render with a stand-in for Jupyter Book that writes these pages."""

    def run(command, **_):
        html = Path(command[command.index("--path-output") + 1]) / "_build" / "html"
        html.mkdir(parents=True, exist_ok=True)
        for name in (".buildinfo", "index.html", *pages):
            (html / name).write_text(name)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(book.subprocess, "run", run)
    return book.render(Book(bare))


def test_a_rendered_book_that_lacks_a_page_is_not_fresh(bare, monkeypatch):
    assert rendering(monkeypatch, bare, ["a.html"]) == 0 and rendered.is_rendered(Book(bare), False)
    for name in ("index.html", "a.html", ".contents"):
        (bare / "_build" / "html" / name).unlink()
        assert not rendered.is_rendered(Book(bare), False)
        assert rendering(monkeypatch, bare, ["a.html"]) == 0 and rendered.is_rendered(Book(bare), False)


def test_a_page_of_a_rendering_that_failed_is_not_in_the_next(bare, monkeypatch):
    assert rendering(monkeypatch, bare, ["gone.html"], code=1) == 1
    assert rendering(monkeypatch, bare, ["a.html"]) == 0
    assert sorted(path.name for path in (bare / "_build" / "html").glob("*.html")) == ["a.html", "index.html"]


@pytest.mark.parametrize("name", ["01_`a`", "01_<b>", "01_{a}", "01_a\nb", "01_a.b"])
def test_a_notebook_with_a_name_that_no_reference_or_rule_can_hold_is_refused(bare, name, capsys):
    (bare / "book" / "part" / "01_a.ipynb").rename(bare / "book" / "part" / f"{name}.ipynb")
    toc = bare / "_toc.yml"
    toc.write_text(toc.read_text().replace("book/part/01_a", json.dumps(f"book/part/{name}")))
    assert book.main(["check", "--root", str(bare)]) == 2
    said = capsys.readouterr().err
    assert (said.count("\n") == 1 and "is not allowed in the name" in said) or "no dot is allowed" in said
    for plain in ("é [z] (p)", "a'b", "a&b;c"):
        toc.write_text(toc.read_text().replace(json.dumps(f"book/part/{name}"), json.dumps(f"book/part/{plain}")))
        (bare / "book" / "part" / f"{plain}.ipynb").write_text((bare / "book" / "part" / f"{name}.ipynb").read_text())
        (bare / "book" / "part" / f"{name}.ipynb").unlink()
        name = plain
        assert book.main(["check", "--root", str(bare)]) == 0


def test_a_folder_of_staged_copies_is_one_that_only_staging_writes(bare):
    mine = bare / "_build" / "stage"
    mine.mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml", "thesis.md"):  # a Jupyter Book of somebody
        (mine / name).write_text("mine")
    with pytest.raises(ValueError, match="not ours"):
        staging.stage(Book(bare))
    assert (mine / "thesis.md").read_text() == "mine"


def test_a_rendered_book_takes_the_place_of_its_own_kind_only(tmp_path):
    new, place = tmp_path / "new", tmp_path / "html"

    def make_new(text):
        new.mkdir()
        (new / ".buildinfo").write_text("")
        (new / "index.html").write_text(text)

    make_new("1")
    place.mkdir()
    (place / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files and no rendered book"):
        rendered.swap(new, place)
    assert (place / "thesis.txt").read_text() == "mine"
    (place / "thesis.txt").unlink()
    rendered.swap(new, place)
    (place / "CNAME").write_text("mine")
    make_new("2")
    rendered.swap(new, place)
    assert (place / "index.html").read_text() == "2" and (place / "CNAME").read_text() == "mine"
    make_new("3")
    (new / "CNAME").write_text("a page of that name")
    with pytest.raises(ValueError, match=r"CNAME.* is not of the rendered book"):
        rendered.swap(new, place)
    assert (place / "CNAME").read_text() == "mine" and (place / "index.html").read_text() == "2"
    shutil.rmtree(new)
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    make_new("3")
    rendered.swap(new, place)
    assert place.is_symlink() and (tmp_path / "elsewhere" / "index.html").read_text() == "3"
    assert (place / "CNAME").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "html"]


def test_a_named_folder_without_a_rendered_book_is_no_passed_test(tmp_path):
    variables = os.environ | {"SEPARATIONS_HTML": str(tmp_path / "no book")}
    command = [sys.executable, "-m", "pytest", "--noconftest", str(ROOT / "tests" / "test_rendered.py")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "no rendered book there" in done.stdout


def test_profiles_are_names_of_files_in_their_folder(tmp_path):
    root = write_repository(tmp_path / "book")
    (root / "params" / "sub").mkdir()
    (root / "params" / "sub" / "x.yml").write_text("{}")
    for name in ("../params/smoke", "sub/x", "./smoke", "", ".", "smoke/", "/etc", "smoke\n", "smoke.yml", None, 3):
        with pytest.raises(ValueError, match="profile = "):
            Book(root, name).params_file()
    assert Book(root, "smoke").params_file() == root / "params" / "smoke.yml"
