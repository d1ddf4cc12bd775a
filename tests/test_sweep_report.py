"""The pages about sweeps: what a reader sees of runs that finished, failed, or belong to earlier sources; and how it renders."""

import io
import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from PIL import Image

from separations.book import command as book
from separations.book import staging, sweep_pages
from separations.book.chapters import chapter
from separations.files import sha256
from separations.run.execute import run
from separations.run.profiles import Book
from separations.sweep import command as sweep
from separations.sweep import pictures as sweep_pictures
from sweep_book import cell, write_book, write_notebook, write_sweep
from test_rendered import set_signs, shown, wanted

REPOSITORY = Path(__file__).parents[1]
TOC = (
    "format: jb-book\nroot: book/index\nparts:\n- caption: A\n  chapters:\n  - file: book/part/01_a\n"
    "- caption: Appendix\n  chapters:\n  - file: book/appendix/batch\n  - file: book/appendix/sweeps\n"
)


def make_root(place: Path) -> Path:
    root = write_book(place, "if n == 3: raise ValueError('three is `not` allowed')")
    (root / "_toc.yml").write_text(TOC)
    (root / "_config.yml").write_text("title: t\n")
    (root / "book" / "index.md").write_text("# Index\n")
    (root / "book" / "appendix").mkdir()
    (root / "book" / "appendix" / "batch.md").write_text("(batch)=\n# Batch\n")
    path = root / "book" / "part" / "01_a.ipynb"
    content = json.loads(path.read_text())
    title = {"cell_type": "markdown", "id": "t", "metadata": {}, "source": "# A chapter"}
    content["cells"].insert(0, title)
    content["metadata"] = {"language_info": {"name": "python"}}
    path.write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A book with one sweep that ran, one run of it failed, and one that did not run."""
    root = make_root(tmp_path_factory.mktemp("ran"))
    write_sweep(root, "title: Later\ngrid: {n: [1]}\n", "later")
    path = write_sweep(root, "title: A sweep\ngrid: {n: [1, 2, 3]}\nseeds: [0, 1]\nretries: 0\nmeasures: [x]\n")
    assert sweep.main(["run", path, "--root", str(root), "--jobs", "2"]) == 1
    return root


def test_a_sweep_that_ran_has_a_page_with_picture_table_failures_and_notebooks(ran):
    files = sweep_pages.report_files(Book(ran))
    page = files["book/appendix/sweeps/s.md"].decode()
    assert page.startswith("# A sweep\n") and "6 runs of {doc}`/book/part/01_a`" in page and "4 done, 2 failed" in page
    assert "```{figure}" in page or ":::{figure} s/measures.png" in page
    assert "Means over 2 seeds with 95 % t-intervals" in page and "Runs of earlier sources" not in page
    assert "## Failures" in page and page.count("``ValueError: three is `not` allowed``") == 2
    notebooks = [name for name in files if name.startswith("book/appendix/sweeps/s/runs/")]
    assert len(notebooks) == 6  # the partial copies of the failed ones as well
    for name in notebooks:
        assert f"<{name.removeprefix('book/appendix/sweeps/')}>" in page
    assert Image.open(io.BytesIO(files["book/appendix/sweeps/s/measures.png"])).size[0] > 300
    assert files["book/appendix/sweeps/s/table.csv"].count(b"\n") == 7
    overview = files["book/appendix/sweeps.md"].decode()
    assert "[A sweep](sweeps/s.md)" in overview and "Later; `sweeps/later.yml`" in overview
    assert "No sweep has run here yet" not in overview
    assert sweep_pages.report_files(Book(ran)) == files  # byte for byte: nothing is rendered again without need


def test_without_any_run_the_page_says_how_to_make_one_and_the_table_of_contents_stays(tmp_path):
    root = make_root(tmp_path)
    write_sweep(root, "grid: {n: [1]}\n")
    files = sweep_pages.report_files(Book(root))
    assert list(files) == ["book/appendix/sweeps.md"]
    text = files["book/appendix/sweeps.md"].decode()
    assert "No sweep has run here yet" in text and "make sweep FILE=" in text and "not run" in text
    assert sweep_pages.toc_with_sweeps(TOC.encode(), sweep_pages.reported(files)) == TOC.encode()


def test_a_parameter_in_step_with_another_is_no_column_of_its_own_and_times_do_not_wrap(tmp_path):
    root = make_root(tmp_path)
    path = write_sweep(root, "zip: {n: [1, 2], rate: [1.0, 2.0]}\nmeasures: [x]\n")
    assert sweep.main(["run", path, "--root", str(root)]) == 0
    page = sweep_pages.report_files(Book(root))["book/appendix/sweeps/s.md"].decode()
    assert (
        "Without `rate`: " in page
        and "* - n\n  - notebook\n  - state\n  - time\n  - x\n" in page
        and re.search(r"  - \d+&nbsp;s\n", page)
    )


def test_runs_of_earlier_sources_say_so(ran, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(ran, root)
    write_notebook(root / "book" / "part" / "01_a.ipynb", "another = 1")
    page = sweep_pages.report_files(Book(root))["book/appendix/sweeps/s.md"].decode()
    assert "Runs of earlier sources" in page


def test_the_folder_of_another_file_with_the_same_name_is_not_reported(ran, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(ran, root)
    plan = root / "_build" / "sweeps" / "s" / "plan.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"file": "elsewhere/s.yml"}))
    assert list(sweep_pages.report_files(Book(root))) == ["book/appendix/sweeps.md"]


def test_the_pages_stand_in_the_staged_table_of_contents_below_their_list(ran):
    staged = staging.stage(Book(ran))
    toc = yaml.safe_load((staged / "_toc.yml").read_text())
    assert toc["parts"][1]["chapters"][1] == {
        "file": "book/appendix/sweeps",
        "sections": [{"file": "book/appendix/sweeps/s"}],
    }
    assert (staged / "book" / "appendix" / "sweeps" / "s" / "measures.png").is_file()


def test_the_pages_render_without_a_warning(ran, tmp_path):
    root = tmp_path / "my {copy} é"
    shutil.copytree(ran, root, ignore=shutil.ignore_patterns("stage"))
    shutil.copy(REPOSITORY / "_config.yml", root)
    shutil.copytree(REPOSITORY / "book" / "_static", root / "book" / "_static")
    shutil.copy(REPOSITORY / "book" / "references.bib", root / "book")
    toc = yaml.safe_load(TOC)
    toc["parts"] = toc["parts"][1:]  # the chapter itself did not run
    (root / "_toc.yml").write_text(yaml.safe_dump(toc))
    for page in (root / "sweeps").glob("*.yml"):
        assert page.is_file()
    assert book.render(Book(root), strict=True) == 0, (root / "_build" / "render" / "laptop.log").read_text()[-2000:]
    html = root / "_build" / "html"
    page = re.sub(r"<[^>]+>", "", (html / "book" / "appendix" / "sweeps" / "s.html").read_text())
    assert "A sweep" in page and page.count("ValueError: three is `not` allowed") == 2
    assert len(list((html / "_downloads").rglob("*.ipynb"))) == 6


# what runs and files say is text, and stays in its folder

HOSTILE = "<b data-x='1'>bold</b> `$x$` $y$ {doc}`x` {{name}} [a](javascript:b) ::: ``` <!-- | % \\"


class Marked(HTMLParser):
    """Collects the tags of a page that only the markup above can have made."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        if any(name == "data-x" or str(value).startswith("javascript:") for name, value in attributes):
            self.found.append((tag, attributes))


def marked(text: str) -> list:
    page = Marked()
    page.feed(text)
    return page.found


def reseal(run: Path, **changes) -> None:
    """Change a run's result as somebody else's computer might have written it, with a sentinel that fits."""
    result = json.loads((run / "result.json").read_text()) | changes
    (run / "result.json").write_text(json.dumps(result))
    if (run / "SUCCESS").is_file():
        (run / "SUCCESS").write_text(sha256((run / "result.json").read_bytes()) + "\n")


@pytest.fixture
def hostile(ran, tmp_path):
    """A copy of the book that ran, with markup in every text that a run, a plan, a sweep file or a table of contents holds."""
    root = tmp_path / "copy"
    shutil.copytree(ran, root, ignore=shutil.ignore_patterns("stage"))
    plan = root / "_build" / "sweeps" / "s" / "plan.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"title": HOSTILE, "measures": []}))
    (root / "sweeps" / "s.yml").write_text(f"# {HOSTILE}\n:::\n::::\n```\n<b data-x='1'>b</b>\n")
    (root / "sweeps" / "later.yml").write_text(f"notebook: {json.dumps(HOSTILE)}\ntitle: {json.dumps(HOSTILE)}\n")
    (root / "sweeps" / "`$x$` <b>.yml").write_text("title: Odd\n")
    for place in (root / "_build" / "sweeps" / "s" / "runs").iterdir():
        result = json.loads((place / "result.json").read_text())
        [record] = result["evidence"] or [{"measures": {}, "claims": []}]
        record["measures"] = {HOSTILE: int(place.name[:4], 16), "$x_$": 1.0}
        parameters = result["parameters"] | {"label": HOSTILE}
        reseal(
            place,
            error=HOSTILE,
            evidence=[record],
            parameters=parameters,
            overrides=result["overrides"] | {"label": HOSTILE},
        )
    return root


def test_markup_in_sweeps_runs_and_chapters_is_shown_as_text(hostile):
    for name in ("_config.yml", "book/_static", "book/references.bib"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, hostile / name)
    (hostile / "_toc.yml").write_text(TOC + "  - file: book/appendix/results\n")
    (hostile / "book" / "index.md").write_text("# Index\n\n```{include} _generated/chapters.md\n```\n")
    path = hostile / "book" / "part" / "01_a.ipynb"
    notebook = json.loads(path.read_text())
    notebook["metadata"]["separations"] = {"claim": f"$x^2$ {HOSTILE}"}
    glue = "import numpy as np\nfrom separations.ledger.prose import glue\nglue('n', np.float64(0.123)), glue('said', label);"
    notebook["cells"].insert(2, cell(glue, 51))
    roles = {
        "cell_type": "markdown",
        "id": "g",
        "metadata": {},
        "source": "It is {glue:text}`n:.2f`, {glue:text}`n:.2f`, {glue:text}`said`.",
    }
    notebook["cells"].insert(3, roles)
    path.write_text(json.dumps(notebook))
    out = Book(hostile).run_folder("part/01_a")
    assert run(path, out, {"label": HOSTILE}).code == 0
    reseal(
        out,
        hashes=json.loads((out / "result.json").read_text())["hashes"]
        | {"key": Book(hostile).expected("part/01_a")["key"]},
    )
    entry = {"id": "sep.forward-marginals", "ours": HOSTILE, "verdict": "holds", "figure": HOSTILE}
    reseal(out, evidence=[{"notebook": HOSTILE, "claims": [entry]}], profile=HOSTILE, versions={"python": HOSTILE})
    assert chapter(Book(hostile), "part/01_a").state == "fresh"
    assert book.render(Book(hostile), quiet=True) == 0
    html = hostile / "_build" / "html" / "book"
    for name in ("index", "appendix/sweeps/s", "appendix/sweeps", "appendix/results", "part/01_a"):
        text = (html / f"{name}.html").read_text()
        assert marked(text) == [], name
        assert "&lt;b data-x" in text, name
    page, executed = (html / "part" / "01_a.html").read_text(), json.loads((out / "01_a.ipynb").read_text())
    assert shown(page) == wanted(executed) and shown(page)["0.12"] == 2 and shown(page)[set_signs(HOSTILE)] == 1
    staged = hostile / "_build" / "stage" / "book" / "appendix" / "sweeps"
    assert (staged / "s" / "measures.png").is_file()


def test_a_result_that_names_a_file_elsewhere_is_not_followed(ran, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(ran, root)
    (tmp_path / "secret.ipynb").write_text("SECRET")
    runs = sorted((root / "_build" / "sweeps" / "s" / "runs").iterdir())
    names = [
        str(tmp_path / "secret.ipynb"),
        "../../../../../../secret.ipynb",
        "..",
        ".",
        "",
        None,
        ["a"],
        "linked.ipynb",
    ]
    for name in names:
        for place in runs:
            (place / "linked.ipynb").unlink(missing_ok=True)
            (place / "linked.ipynb").symlink_to(tmp_path / "secret.ipynb")
            reseal(place, file=name)
        assert not any(b"SECRET" in content for content in sweep_pages.report_files(Book(root)).values()), name
    plan = root / "_build" / "sweeps" / "s" / "plan.json"
    content = json.loads(plan.read_text())
    content["runs"] = dict.fromkeys(["../../../../x"], next(iter(content["runs"].values())))
    plan.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"run = '\.\./\.\./\.\./\.\./x'"):
        sweep_pages.report_files(Book(root))


# pictures


def rows(**values):
    names = list(values)
    return [dict(zip(names, row)) for row in zip(*values.values())]


def test_parameters_in_step_with_another_and_constants_and_seeds_are_no_axes():
    found = rows(n=[1, 2, 1, 2], m=["a", "b", "a", "b"], c=[5] * 4, w=[1, 1, 2, 2], seed=[0, 1, 2, 3])
    assert sweep_pictures.axes_of(found, ["n", "m", "c", "w", "seed"], "seed") == ["n", "w"]


def test_points_are_means_over_seeds_with_their_interval():
    found = sweep_pictures.grouped(rows(n=[1, 1, 2], x=[1.0, 2.0, 5.0]), ["n"], "x")
    mean, half = found[(1,)]
    assert mean == 1.5 and math.isclose(half, 12.7062047 * 0.5, rel_tol=1e-8)  # t with 1 degree of freedom
    assert math.isnan(found[(2,)][1])


@pytest.mark.parametrize("names", [[], ["n"], ["label"], ["n", "w"], ["n", "label"], ["n", "w", "label"]])
def test_every_number_of_axes_gives_a_picture_also_with_holes_and_without_seeds(names):
    data = rows(n=[1, 1, 30, 30], w=[1, 2, 1, 2], label=["a", "b", "b", "a"], **{"measure.x": [1.0, 2.0, 3.0, None]})
    picture = sweep_pictures.picture(data, names, ["measure.x"])
    assert Image.open(io.BytesIO(picture)).size[1] > 100
    assert sweep_pictures.picture(data, names, ["measure.x"]) == picture
