"""What an executed notebook depends on, by content: its own cells, the library modules behind it, its parameters.

Nothing is imported and no time stamp is read: the imports are found in the syntax tree, and a fingerprint is a SHA-256
of contents. So a `git checkout` makes nothing stale, and a change in one module concerns only the notebooks that use it.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from .magics import parses, plain_python
from .notebooks import read_notebook, source_of, tags_of
from .yaml_files import read_yaml

PACKAGE = Path(__file__).parent
FORMAT = 2  # of result.json: a new number makes every earlier run stale
# Files beside the code that a module reads; claims.yml is treated claim by claim.
ASSETS = {"data": ("assets/*.npz",), "checkpoints": ("assets/*.safetensors",)}
VOLATILE = ("papermill", "execution", "ExecuteTime", "collapsed", "scrolled", "lines_to_next_cell")  # written by tools
MAY_FAIL = {"raises-exception", "skip-execution"}  # Jupyter's own tags
PINS = ("constraints.txt", "requirements.txt")


def python_source(notebook: Mapping) -> str:
    """All code cells of a notebook as one Python text. IPython's own syntax is translated; the code inside of magics counts.

    A cell that need not be valid, being skipped or expected to fail, imports nothing where it is not.
    """
    cells = [
        text
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        and (parses(text := plain_python(source_of(cell))) or not MAY_FAIL & set(tags_of(cell)))
    ]
    return "\n".join(cell.rstrip("\n") for cell in cells) + "\n"


def imported_names(source: str, name: str = "source") -> set[str]:
    """Modules of the library that Python text imports directly. '' stands for the package itself.

    Knows `import separations`, `import separations.x as z`, `from separations import a, b`, `from separations.x import y`,
    `importlib.import_module("separations.x")` and, inside the library, `from . import x`, `from .x import y`. A name that is
    no module is the package's own.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"{name} is not valid Python: {error.msg} (line {error.lineno})") from None
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; nested too deeply
        raise ValueError(f"{name} is not valid Python: {error or type(error).__name__}") from None
    found: set[str] = set()
    aliases: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            mine = [alias for alias in node.names if alias.name.split(".")[0] == "separations"]
            found |= {alias.name.partition(".")[2].split(".")[0] for alias in mine}
            aliases |= {
                alias.asname or "separations" for alias in mine if alias.name == "separations" or not alias.asname
            }
        elif isinstance(node, ast.ImportFrom):
            found |= _from_import(node)
        elif isinstance(node, ast.Call):
            found |= _called_import(node)
    # `import separations as s` and then `s.samplers`: works once anything has imported samplers, so it counts
    for node in ast.walk(tree) if aliases else ():
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            found |= {node.attr} if _is_module(node.attr) else set()
    return found


def _from_import(node: ast.ImportFrom) -> set[str]:
    module = node.module or ""
    if node.level == 0:
        head, _, module = module.partition(".")
        if head != "separations":
            return set()
    elif node.level > 1:
        return set()
    if module:
        return {module.split(".")[0]}
    return {alias.name if _is_module(alias.name) else "" for alias in node.names}


def _called_import(node: ast.Call) -> set[str]:
    """`import_module("separations.x")`, `import_module(".x", "separations")` and `__import__("separations.x")`."""
    called = getattr(node.func, "id", getattr(node.func, "attr", ""))
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    texts = [item.value for item in given if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    if called not in ("import_module", "__import__") or not texts:
        return set()
    target = f"{texts[1]}{texts[0]}" if texts[0].startswith(".") and len(texts) > 1 else texts[0]
    head, _, module = target.partition(".")
    return {module.split(".")[0]} if head == "separations" else set()


def _is_module(name: str) -> bool:
    return (PACKAGE / f"{name}.py").is_file()


@lru_cache
def _direct(module: str, stamp: tuple) -> frozenset[str]:
    path = _path(module)
    return frozenset(imported_names(path.read_text(encoding="utf-8"), name=str(path)))


def _path(module: str) -> Path:
    return PACKAGE / f"{module or '__init__'}.py"


def closure(names: Iterable[str]) -> list[str]:
    """Library modules reached from `names`, themselves included, sorted. Any import runs the package's `__init__` ('')."""
    reached: set[str] = set()
    waiting = set(names)
    if waiting:
        waiting.add("")
    while waiting:
        module = waiting.pop()
        path = _path(module)
        if not path.is_file():
            raise ValueError(f"separations.{module} is imported but {path.name} is not in the library")
        reached.add(module)
        stat = path.stat()
        waiting |= _direct(module, (stat.st_mtime_ns, stat.st_size)) - reached
    return sorted(reached)


def modules_of(path: str | Path) -> list[str]:
    """Library modules that a notebook or a Python file uses, transitively; '' is the package's `__init__`."""
    path = Path(path)
    source = python_source(read_notebook(path)) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    return closure(imported_names(source, name=str(path)))


def files_of(modules: Iterable[str]) -> list[Path]:
    """Files of these modules: the code, and the assets that it reads."""
    files = []
    for module in modules:
        files.append(_path(module))
        for pattern in ASSETS.get(module, ()):
            files += sorted(path for path in PACKAGE.glob(pattern) if path.is_file())
    return files


def sha256(content: bytes | str) -> str:
    """SHA-256 of bytes or text, hexadecimal."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


@lru_cache
def _file_hash(path: Path, stamp: tuple) -> str:
    return sha256(path.read_bytes())


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, remembered as long as its size and time stamp stay."""
    stat = Path(path).stat()
    return _file_hash(Path(path), (stat.st_mtime_ns, stat.st_size))


def notebook_hash(notebook: Mapping) -> str:
    """SHA-256 of what an author wrote: sources and metadata; not outputs, counts or timings."""
    cells = []
    for cell in notebook["cells"]:
        metadata = {key: value for key, value in cell.get("metadata", {}).items() if key not in VOLATILE}
        cells.append([cell["cell_type"], source_of(cell), metadata, cell.get("attachments", {})])
    return sha256(json.dumps([cells, notebook.get("metadata", {}).get("separations")], sort_keys=True))


def claims_hash(notebook: Mapping) -> str:
    """SHA-256 of the claims that the notebook names, so that a claim added elsewhere leaves it fresh."""
    path = PACKAGE / "claims.yml"
    claims = read_yaml(path, "claims") if path.is_file() else {}
    text = "\n".join(source_of(cell) for cell in notebook["cells"])
    return sha256(json.dumps({key: claim for key, claim in (claims or {}).items() if key in text}, sort_keys=True))


def resolved(path: str | Path, name: str = "notebook") -> Path:
    """The path from the root, without links. ValueError where that cannot be said: links in a circle, no working folder."""
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{name} = {str(path)!r}: this path cannot be followed ({reason})") from None


def book_root(notebook: str | Path) -> Path:
    """Folder that holds the notebook's `book/`; the notebook's own folder where there is none."""
    path = resolved(notebook)
    for parent in path.parents:
        if parent.name == "book":
            return parent.parent
    return path.parent


def notebook_key(notebook: str | Path) -> str:
    """Name of a notebook in profiles and evidence: its path in `book/` without the extension."""
    path = resolved(notebook)
    root = book_root(path)
    base = root / "book" if path.is_relative_to(root / "book") else root
    return path.relative_to(base).with_suffix("").as_posix()


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
    with one 'key_without_tables' compute the same and differ, if at all, in the stored tables that they show beside it.
    """
    content = read_notebook(notebook)
    modules = closure(imported_names(python_source(content), name=str(notebook)))
    root = book_root(notebook)
    hashes = {
        "format": FORMAT,
        "notebook": notebook_hash(content),
        "modules": {path.relative_to(PACKAGE).as_posix(): file_hash(path) for path in files_of(modules)},
        "claims": claims_hash(content) if "ledger" in modules else None,
        "parameters": _parameters_hash(overrides),
        **{name.partition(".")[0]: file_hash(root / name) for name in PINS if (root / name).is_file()},
    }
    return _keyed(hashes, {path.name: file_hash(path) for path in tables_of(notebook)})


def with_parameters(hashes: Mapping, overrides: Mapping | None) -> dict:
    """The fingerprint of the same notebook under other parameters: for many runs of one notebook, read only once."""
    rest = {name: value for name, value in hashes.items() if name not in ("key", "key_without_tables", "tables")}
    return _keyed({**rest, "parameters": _parameters_hash(overrides)}, hashes.get("tables", {}))


def _parameters_hash(overrides: Mapping | None) -> str:
    return sha256(json.dumps(dict(overrides or {}), sort_keys=True))


def _keyed(hashes: dict, tables: Mapping) -> dict:
    """The hashes with their own hash, without and with the stored tables."""
    key = key_without_tables = sha256(json.dumps(hashes, sort_keys=True))
    if tables:
        hashes = {**hashes, "tables": dict(tables)}
        key = sha256(json.dumps(hashes, sort_keys=True))
    return {**hashes, "key": key, "key_without_tables": key_without_tables}
