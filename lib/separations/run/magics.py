"""IPython's own syntax as plain Python: magics, shell lines and questions, with the code inside of magics written out."""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

# Cell magics whose body is no Python. Of one that is not known the body counts where it is valid Python.
OTHER = {
    "!",
    "HTML",
    "SVG",
    "bash",
    "cmd",
    "html",
    "javascript",
    "js",
    "latex",
    "markdown",
    "perl",
    "ruby",
    "sh",
    "svg",
}
OTHER |= {"sx", "system"}
PLAIN = {"capture", "prun", "time", "timeit"}  # the body is Python that runs here: it must be valid


@lru_cache(maxsize=4096)
def plain_python(source: str) -> str:
    """A cell as Python text; one that is Python already as it stands. What is neither comes back for the parser to complain."""
    if parses(source):
        return source
    from IPython.core.inputtransformer2 import TransformerManager

    text = TransformerManager().transform_cell(source)
    if not parses(text):
        return text
    tree = ast.parse(text)
    magics = list(_calls(tree))
    whole = len(tree.body) == 1 and any(kind == "run_cell_magic" for kind, _ in magics)
    return "\n".join([*([] if whole else [text]), *(_code(kind, arguments) for kind, arguments in magics)])


def parses(source: str) -> bool:
    """Whether a text is valid Python."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _calls(tree: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """Calls of magics that IPython's translation has put in: which kind, and the texts that it gets."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if (
            node.func.attr not in ("run_cell_magic", "run_line_magic")
            or ast.unparse(node.func.value) != "get_ipython()"
        ):
            continue
        arguments = [item.value for item in node.args if isinstance(item, ast.Constant) and isinstance(item.value, str)]
        if len(arguments) == (3 if node.func.attr == "run_cell_magic" else 2):
            yield node.func.attr, arguments


def _code(kind: str, arguments: list[str]) -> str:
    """The Python code that a magic runs, or ''."""
    if kind == "run_line_magic":
        return _line_code(*arguments)
    name, line, body = arguments
    words = line.split()
    if name == "script":
        name = "python" if words and re.search(r"python[\d.]*$", words[0]) else "sh"
    if name in OTHER or (name in ("writefile", "file") and not line.strip().endswith(".py")):
        return ""
    code = plain_python(body)
    code = code if name in PLAIN or parses(code) else ""
    return f"{_line_code(name, line)}\n{code}" if name == "timeit" else code


def _line_code(name: str, line: str) -> str:
    """The code behind the options of a line magic, and the import that some stand for."""
    if name == "run" and (module := re.match(r"(?:-\S+\s+)*?-m\s+([\w.]+)", line)):
        return f"import {module[1]}"
    if name == "aimport":
        return "\n".join(f"import {word}" for word in re.findall(r"(?<![-\w.])[A-Za-z_][\w.]*", line))
    for start in (0, *(gap.end() for gap in re.finditer(r"\s+", line))):  # options stand in front, and are no Python
        code = line[start:]
        if code.lstrip()[:1] in ("!", "%") and code.strip() not in ("!", "%"):
            code = plain_python(code)
        if parses(code):
            return code
    return ""
