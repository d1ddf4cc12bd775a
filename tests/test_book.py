"""Structure of the notebooks in book/: what every chapter must have, checked without running anything."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

from separations.book.chapters import notebook_keys
from separations.book.staging import claim_of
from separations.book.store_tables import stored_path
from separations.files import file_hash
from separations.ledger import read_table
from separations.ledger.ledger import load_claims
from separations.numerics import preselection, rounded_rows
from separations.run.fingerprint import VOLATILE, python_source
from separations.run.notebooks import read_notebook, source_of
from separations.run.parameters import check_overrides, parameter_cell, parameters_of, profile_entry, read_params
from separations.run.profiles import Book
from separations.sweep.file import read_sweep

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
KEYS = sorted(
    path.relative_to(BOOK).with_suffix("").as_posix()
    for path in BOOK.rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)
MACHINE_PATH = re.compile(r"(?<![\w.:/~])/(?:root|home|tmp|work|Users|private|opt|var)/[\w.-]+")
MAX_LINES = 30  # a cell longer than this hides the idea

# With no chapter yet there is nothing to check, and nothing fails.
each_notebook = pytest.mark.parametrize("key", KEYS)


def load(key: str) -> dict:
    return read_notebook(BOOK / f"{key}.ipynb")


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def code_cells(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def output_text(cell: dict) -> str:
    """Text that a reader of the outputs meets; images left out."""
    parts = []
    for output in cell.get("outputs", []):
        data = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
        parts.append(json.dumps([output.get("text"), output.get("traceback"), data]))
    return "\n".join(parts)


@each_notebook
def test_the_first_cell_is_the_title(key):
    first = load(key)["cells"][0]
    assert first["cell_type"] == "markdown"
    assert re.match(r"(\(\S+\)=\n)?# \S", source_of(first))  # a label may stand above it


@each_notebook
def test_a_chapter_has_its_claim_in_one_line(key):
    claim = claim_of(load(key))
    assert claim and "\n" not in claim and len(claim) <= 240, "metadata: separations.claim"


@each_notebook
def test_parameters_are_literals_each_with_a_comment(key):
    notebook = load(key)
    assert parameters_of(notebook, key)
    source = parameter_cell(notebook, key)
    lines = source.splitlines()
    for statement in ast.parse(source).body:
        around = lines[statement.lineno - 1 : statement.end_lineno]
        assert any("#" in line for line in around), f"no comment (meaning, unit) on: {around[0]}"


@each_notebook
def test_there_is_a_check_and_its_output_is_short_text(key):
    checks = [cell for cell in code_cells(load(key)) if "nbval-check-output" in tags(cell)]
    assert checks, "no cell tagged nbval-check-output"
    for cell in checks:
        kinds = {output["output_type"] for output in cell["outputs"]}
        assert kinds and kinds <= {"stream"}, f"a check prints text, not {kinds}"
        text = "".join("".join(output["text"]) for output in cell["outputs"])
        assert len(text) < 4000 and not re.search(r"\d\.\d{4,}", text), "raw floats go to the ledger, not into a check"


def figures(notebook: dict) -> list[tuple[dict, dict]]:
    """Cells that declare a figure, with their declaration."""
    return [
        (cell, cell["metadata"]["mystnb"])
        for cell in code_cells(notebook)
        if "figure" in cell["metadata"].get("mystnb", {})
    ]


@each_notebook
def test_figures_have_name_caption_and_alternative_text(key):
    for cell, entry in figures(load(key)):
        figure = entry["figure"]
        assert figure.get("name", "").startswith("fig-"), figure
        assert figure.get("caption", "").strip(), figure["name"]
        drawn_in_html = "text/html" in output_text(cell) and not has_image(cell)
        alternative = (
            "aria-label" in output_text(cell) if drawn_in_html else entry.get("image", {}).get("alt", "").strip()
        )
        assert alternative, f"{figure['name']} has no alternative text (image.alt; in HTML: aria-label)"


def has_image(cell: dict) -> bool:
    return any(kind.startswith("image/") for output in cell["outputs"] for kind in output.get("data", {}))


@each_notebook
def test_every_image_belongs_to_a_figure(key):
    for cell in code_cells(load(key)):
        hidden = {"remove-output", "remove-cell", "remove_output", "remove_cell"} & set(tags(cell))
        if has_image(cell) and not hidden:
            assert "figure" in cell["metadata"].get("mystnb", {}), source_of(cell)[:80]


def test_figure_names_are_unique_over_the_book():
    names = [entry["figure"].get("name") for key in KEYS for _, entry in figures(load(key))]
    assert sorted(names) == sorted(set(names))


@each_notebook
def test_no_machine_path_in_sources_or_outputs(key):
    for cell in load(key)["cells"]:
        for text in (source_of(cell), output_text(cell)):
            found = MACHINE_PATH.search(text)
            assert not found, found.group(0)


@each_notebook
def test_cells_are_short(key):
    for cell in code_cells(load(key)):
        lines = source_of(cell).splitlines()
        assert len(lines) <= MAX_LINES, f"{len(lines)} lines: {lines[0]}"


@each_notebook
def test_the_committed_copy_is_executed_in_order_and_without_errors(key):
    counts = []
    for cell in code_cells(load(key)):
        assert not any(output["output_type"] == "error" for output in cell["outputs"])
        if source_of(cell).strip():
            assert cell["execution_count"], f"not executed (make refresh): {source_of(cell)[:60]}"
            counts.append(cell["execution_count"])
    assert counts == list(range(1, len(counts) + 1)), "not executed from a fresh kernel (make refresh)"


@each_notebook
def test_no_metadata_of_the_execution_is_stored(key):
    notebook = load(key)
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info", "separations"}
    for cell in notebook["cells"]:
        assert not set(cell["metadata"]) & set(VOLATILE), cell["metadata"]


@each_notebook
def test_the_ledger_carries_the_notebooks_own_path(key):
    tree = ast.parse(python_source(load(key)))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Ledger"
    ]
    assert [ast.literal_eval(call.args[0]) for call in calls] == [key]


@each_notebook
def test_the_version_it_was_written_for_is_named(key):
    assert re.search(r"written_for\(\"[\d.]+\"\)", python_source(load(key)))


@each_notebook
def test_glued_words_hold_no_markup(key):
    """A page shows them letter by letter."""
    outputs = [out for cell in load(key)["cells"] for out in cell.get("outputs", [])]
    glued = [out for out in outputs if "scrapbook" in out.get("metadata", {})]
    texts = {
        out["metadata"]["scrapbook"]["name"]: "".join(text)
        for out in glued
        for kind, text in out["data"].items()
        if kind.endswith("text/plain")
    }
    assert not {name: text for name, text in texts.items() if re.search(r"[*`$]|\{\w+\}", text)}


@each_notebook
def test_recorded_claims_are_registered(key):
    ids = re.findall(r"\.record\(\s*\"([^\"]+)\"", python_source(load(key)))
    assert ids, "a chapter records evidence for at least one claim"
    assert set(ids) <= set(load_claims())


@each_notebook
def test_numbers_for_the_prose_come_from_the_one_glue(key):
    tree = ast.parse(python_source(load(key)))
    calls = [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and getattr(n.func, "id", getattr(n.func, "attr", "")) == "glue"
    ]
    imports = [
        (getattr(node, "module", "") or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    foreign = [entry for entry in imports if "myst_nb" in entry[0] or "myst_nb" in entry[1]]
    assert foreign == [], "from separations.ledger import glue: the other one drops numbers of NumPy from the page"
    assert not calls or ("separations.ledger", "glue") in imports


@each_notebook
def test_exercises_have_gated_and_tagged_solutions(key):
    cells = load(key)["cells"]
    text = {i: source_of(cell) for i, cell in enumerate(cells) if cell["cell_type"] == "markdown"}
    labels = [re.search(r":label: *(\S+)", source).group(1) for source in text.values() if "{exercise-start}" in source]
    starts = {
        re.search(r"\{solution-start\} *(\S+)", source).group(1): i
        for i, source in text.items()
        if "{solution-start}" in source
    }
    ends = [i for i, source in text.items() if "{solution-end}" in source]
    assert 3 <= len(labels) <= 5, f"{len(labels)} exercises; three to five are wanted"
    assert sum("{exercise-end}" in source for source in text.values()) == len(labels)
    assert sorted(starts) == sorted(labels) and len(ends) == len(labels)
    inside = {i for start, end in zip(sorted(starts.values()), ends) for i in range(start, end + 1)}
    tagged = {i for i, cell in enumerate(cells) if "solution" in tags(cell)}
    assert tagged == inside, f"the tag 'solution' is missing on or too much on cells {sorted(tagged ^ inside)}"


@each_notebook
def test_it_is_in_the_table_of_contents_and_in_the_smoke_profile(key):
    assert key in notebook_keys(Book(ROOT))
    assert key in read_params(ROOT / "params" / "smoke.yml")


@pytest.mark.parametrize("path", sorted((ROOT / "params").glob("*.yml")), ids=lambda path: path.stem)
def test_profiles_name_notebooks_and_parameters_that_exist(path):
    table = read_params(path)
    for key in table:
        overrides = profile_entry(table, key, path.name, KEYS)
        check_overrides(parameters_of(load(key), key), overrides, key)


@pytest.mark.parametrize("path", sorted(BOOK.glob("*/data/*.csv")), ids=lambda path: path.stem)
def test_a_stored_table_says_how_it_was_made_and_with_the_parameters_of_its_profile(path):
    recipe = yaml.safe_load(path.with_suffix(".yml").read_text(encoding="utf-8"))
    key = recipe["notebook"]
    assert path == stored_path(Book(ROOT), key, recipe["table"]) and recipe["sha256"] == file_hash(path)
    assert len(read_table(path)) == recipe["rows"]
    defaults, profile = parameters_of(load(key), key), read_params(ROOT / "params" / f"{recipe['profile']}.yml")
    wanted = check_overrides(defaults, profile_entry(profile, key), key)
    assert check_overrides(defaults, recipe["parameters"], key) == wanted, "the profile has changed: make tables"
    assert not MACHINE_PATH.search(path.with_suffix(".yml").read_text(encoding="utf-8"))


def test_a_recipe_has_its_table():
    for path in BOOK.glob("*/data/*.yml"):
        assert path.with_suffix(".csv").is_file(), path.name


def test_a_numbered_notebook_shares_no_name_with_a_module():
    for key in KEYS:
        assert re.fullmatch(r"\d\d_\w+", key.rpartition("/")[2]), key


def test_the_settings_ask_for_nothing_from_the_network():
    text = (ROOT / "_config.yml").read_text()
    assert "http://" not in text and "https://" not in text
    config = yaml.safe_load(text)
    assert config["execute"]["execute_notebooks"] == "off"
    assert (BOOK / "_static" / config["sphinx"]["config"]["mathjax_path"]).is_file()


def test_the_examples_on_the_batch_page_name_parameters_that_exist():
    blocks = re.findall(r"```yaml\n(.*?)```", (BOOK / "appendix" / "batch.md").read_text(encoding="utf-8"), re.S)
    sweeps = [block for block in blocks if "\nnotebook: " in block]
    assert sweeps == [(ROOT / "sweeps" / "tiny.yml").read_text(encoding="utf-8")]  # the page shows the file as it is
    examples = [yaml.safe_load(block) for block in blocks if block not in sweeps]
    profiles = [table for table in examples if all(isinstance(value, dict) for value in table.values())]
    flat = [{"foundations/13_two_scores": table} for table in examples if table not in profiles]
    assert profiles and flat
    for table in profiles + flat:
        for key, overrides in table.items():
            check_overrides(parameters_of(load(key), key), overrides, key)


@pytest.mark.parametrize("path", sorted((ROOT / "sweeps").glob("*.yml")), ids=lambda p: p.stem)
def test_the_sweeps_of_the_book_are_valid_and_small_enough_to_be_looked_at(path):
    found = read_sweep(path, Book(ROOT))
    assert found.notebook in KEYS and 1 < len(found.points) <= 200 and found.title != path.stem


@each_notebook
def test_no_sentence_that_code_writes_has_a_backquote(key):
    """A glued text is shown as it stands: a backquote in it would be a sign on the page."""
    for cell in code_cells(load(key)):
        tree = ast.parse(re.sub(r"^%.*$", "", source_of(cell), flags=re.MULTILINE))
        notes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in notes)
        shown = [node.value for node in texts if isinstance(node.value, str)]
        assert not [text for text in shown if "`" in text.replace("```", "")]


def test_the_page_on_near_rows_names_the_constants_of_the_library():
    page = (BOOK / "appendix/near_rows.md").read_text(encoding="utf-8")
    assert f"$(d + {preselection.MARGIN})" in page and rounded_rows.MANY == 24 and "two dozen queries" in page
    assert (
        rounded_rows.FASTER == 1.5
        and "win by a half" in page
        and 2 * rounded_rows.SIGNED == 254
        and "some 250 times" in page
    )
