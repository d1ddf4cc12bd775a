"""What an executed notebook depends on, by content: its own code, the definitions of the library behind it, its parameters.

Nothing is imported and no time stamp is read: see `definitions`. So a `git checkout` makes nothing stale, nor does a module that is
moved or renamed, a mended docstring or text between the cells; a changed value concerns only the notebooks that use it.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..definitions import library
from ..definitions.syntax import parsed
from ..files import file_hash, sha256
from ..yaml_files import read_yaml
from .magics import parses, plain_python
from .notebooks import book_root, read_notebook, source_of, tags_of

FORMAT = 3  # of result.json: a new number makes every earlier run stale
VOLATILE = ("papermill", "execution", "ExecuteTime", "collapsed", "scrolled", "lines_to_next_cell")  # written by tools
MAY_FAIL = {"raises-exception", "skip-execution"}  # Jupyter's own tags
DECISIVE = MAY_FAIL | {"parameters"}  # tags that decide how a cell is run
PINS = ("constraints.txt", "requirements.txt")


def code_of(notebook: Mapping) -> list[str]:
    """The code cells of a notebook as Python texts. IPython's own syntax is translated; the code inside of magics counts.

    A cell that need not be valid, being skipped or expected to fail, is empty where it is not.
    """
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            text = plain_python(source_of(cell))
            found.append(text if parses(text) or not MAY_FAIL & set(tags_of(cell)) else "")
    return found


def python_source(notebook: Mapping) -> str:
    """All code cells of a notebook as one Python text: see `code_of`."""
    return "\n".join(cell.rstrip("\n") for cell in code_of(notebook)) + "\n"


def written_hash(notebook: Mapping) -> str:
    """SHA-256 of all that an author wrote: text, sources as they are spelled, and metadata; not outputs, counts or timings."""
    cells = []
    for cell in notebook["cells"]:
        metadata = {key: value for key, value in cell.get("metadata", {}).items() if key not in VOLATILE}
        cells.append([cell["cell_type"], source_of(cell), metadata, cell.get("attachments", {})])
    return sha256(json.dumps([cells, notebook.get("metadata", {}).get("separations")], sort_keys=True))


def code_hash(notebook: Mapping, name: str = "notebook") -> str:
    """SHA-256 of what a notebook computes: its cells and all that they use, whatever the form of the text.

    Text between the cells, comments and the names of modules do not count. ValueError where a cell is no Python.
    """
    tags = [sorted(DECISIVE & set(tags_of(cell))) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    sources = [source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    others = [
        text for text in sources if not parses(text)
    ]  # with IPython's own syntax, of which only the Python inside is read
    return sha256(json.dumps([tags, others, library().meaning_of(code_of(notebook), name)]))


def shown_hash(notebook: Mapping) -> str:
    """SHA-256 of the sources that a notebook shows, `getsource(name)`, with their docstrings and comments; '' where it shows none."""
    sources, found = code_of(notebook), library()
    given = [ast.unparse(node) for source in sources for node in _shown(source)]
    imports = "\n".join(ast.unparse(node) for source in sources for node in _imports(source))
    texts = []
    for name in given:
        head, *rest = name.split(".")
        for at in range(len(rest) + 1):  # `module.function` and `Class.method` look alike
            keys = {
                key for key in found.uses([f"{imports}\n{'.'.join([head, *rest[:at]])}"]) if key[1] not in ("", "*")
            }
            if keys:
                texts += [found.source_of(key, *rest[at:]) for key in sorted(keys)]
                break
    return sha256("\n".join(texts)) if texts else ""


def _shown(source: str) -> Iterator[ast.expr]:
    for node in ast.walk(parsed(source, "cell")):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "getsource":
            yield from node.args[:1]


def _imports(source: str) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(parsed(source, "cell")) if isinstance(node, ast.Import | ast.ImportFrom))


def claims_hash(notebook: Mapping) -> str:
    """SHA-256 of the claims that the code of a notebook names, so that a claim added elsewhere leaves it fresh."""
    path = library().folder / "ledger" / "claims.yml"
    claims = read_yaml(path, "claims") if path.is_file() else {}
    text = python_source(notebook)
    return sha256(json.dumps({key: claim for key, claim in (claims or {}).items() if key in text}, sort_keys=True))


def tables_of(notebook: str | Path) -> list[Path]:
    """Small tables that a notebook reads: the files of `data/` beside it whose name begins with its number, and those it names.

    A table of another chapter is named as "data/NUMBER_name.csv" in the code.
    """
    path = Path(notebook)
    named = re.findall(r"""["']data/(\d\d_\w+)\.csv["']""", python_source(read_notebook(path)))
    own = f"{path.stem.partition('_')[0]}_"
    folder = path.parent / "data"
    return sorted({*folder.glob(f"{own}*"), *(file for name in named for file in folder.glob(f"{name}.*"))})


def fingerprint(notebook: str | Path, overrides: Mapping | None = None) -> dict:
    """Hashes of all that decides a notebook's outputs, and their own hash under 'key'.

    notebook: path; overrides: parameters that differ from its defaults. Two runs with one key have the same inputs. Two
    with one 'key_without_tables' compute the same and differ, if at all, in what they show beside it: stored tables, and the text of
    functions of the library.
    """
    content = read_notebook(notebook)
    root = book_root(notebook)
    hashes = {
        "format": FORMAT,
        "code": code_hash(content, str(notebook)),
        "claims": claims_hash(content),
        "parameters": _parameters_hash(overrides),
        **{name.partition(".")[0]: file_hash(root / name) for name in PINS if (root / name).is_file()},
    }
    beside = {"tables": {path.name: file_hash(path) for path in tables_of(notebook)}, "shown": shown_hash(content)}
    return _keyed(hashes, {name: value for name, value in beside.items() if value})


def with_parameters(hashes: Mapping, overrides: Mapping | None) -> dict:
    """The fingerprint of the same notebook under other parameters: for many runs of one notebook, read only once."""
    beside = {name: hashes[name] for name in ("tables", "shown") if name in hashes}
    rest = {name: value for name, value in hashes.items() if name not in ("key", "key_without_tables", *beside)}
    return _keyed({**rest, "parameters": _parameters_hash(overrides)}, beside)


def _parameters_hash(overrides: Mapping | None) -> str:
    return sha256(json.dumps(dict(overrides or {}), sort_keys=True))


def _keyed(hashes: dict, beside: Mapping) -> dict:
    """The hashes with their own hash, without and with what is shown beside."""
    key = key_without_tables = sha256(json.dumps(hashes, sort_keys=True))
    if beside:
        hashes = {**hashes, **beside}
        key = sha256(json.dumps(hashes, sort_keys=True))
    return {**hashes, "key": key, "key_without_tables": key_without_tables}
