"""What single statements of Python bind, import and do, by their syntax trees: the grammar under `definitions`."""

import ast
import copy
from collections.abc import Iterable, Iterator

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def parsed(source: str | bytes, name: str) -> ast.Module:
    """Syntax tree of a text. ValueError that names it where it is no Python."""
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"{name} is not valid Python: {error.msg} (line {error.lineno})") from None
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; nested too deeply
        raise ValueError(f"{name} is not valid Python: {error or type(error).__name__}") from None


def is_text(node: ast.AST) -> bool:
    """A statement that is a text: a docstring, or what a cell shows."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def only_types(node: ast.AST) -> bool:
    """`if TYPE_CHECKING:`, which never runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def that_run(node: ast.stmt) -> list[ast.stmt]:
    """The statement, if it does anything in a module that is imported: no text, no `__all__`, nothing for a type checker or a command.

    Of what is only for these the other branch.
    """
    command = isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
    if only_types(node) or command:
        return [one for other in node.orelse for one in that_run(other)]
    names = (
        [getattr(target, "id", "") for target in getattr(node, "targets", [])] if isinstance(node, ast.Assign) else []
    )
    silent = is_text(node) or names == ["__all__"] or isinstance(node, ast.Pass | ast.Import | ast.ImportFrom)
    return [] if silent else [node]


def imported_later(node: ast.stmt) -> dict:
    """The table `LATER` of a package's face: modules, and the names that are taken from them when they are asked for."""
    if not isinstance(node, ast.Assign) or [getattr(one, "id", "") for one in node.targets] != ["LATER"]:
        return {}
    try:
        found = ast.literal_eval(node.value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def imports_in_try(tree: ast.AST) -> set[ast.stmt]:
    """Imports that may fail without harm: those in a `try`."""
    return {
        one
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        for one in ast.walk(node)
        if isinstance(one, ast.Import | ast.ImportFrom)
    }


def root_of(node: ast.expr) -> str | None:
    """The name that a chain of attributes begins with; None where it begins with something else."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def may_register(node: ast.stmt) -> bool:
    """Whether a decorator may put the function into a table of somebody else: every one but those that only wrap it."""
    wraps = ("dataclass", "lru_cache", "cache", "contextmanager", "wraps", "total_ordering", "runtime_checkable")
    wraps += (
        "no_grad",
        "enable_grad",
        "inference_mode",
        "disable",
        "compile",
        "singledispatch",
        "overload",
        "custom_op",
    )
    said = [ast.unparse(one).partition("(")[0].rpartition(".")[2] for one in getattr(node, "decorator_list", [])]
    return any(name not in wraps for name in said)


def stored(node: ast.AST) -> Iterator[str]:
    """Names that one node binds, by itself."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
        yield node.id
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or (
        isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name
    ):
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)


def own_nodes(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """These nodes and all below them that belong to the same scope."""
    for node in nodes:
        yield node
        if not isinstance(node, (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef)):
            yield from own_nodes(ast.iter_child_nodes(node))


def bound_by(node: ast.stmt) -> set[str]:
    """Names that a statement makes or changes: what it stores, and the table in `TABLE[key] = value`."""
    found = set()
    for one in own_nodes([node]):
        if isinstance(one, ast.Import | ast.ImportFrom):
            continue
        found |= set(stored(one))
        if isinstance(one, ast.Subscript | ast.Attribute) and isinstance(one.ctx, ast.Store):
            base = one
            while isinstance(base, ast.Subscript | ast.Attribute):
                base = base.value
            found |= {base.id} if isinstance(base, ast.Name) else set()
    return found


class _WithoutModules(ast.NodeTransformer):
    def visit_Attribute(self, node: ast.Attribute) -> ast.Name:
        return ast.Name(node.attr)


def without_modules(annotation: ast.expr) -> str:
    """An annotation without the modules in front of its names."""
    return ast.unparse(_WithoutModules().visit(copy.deepcopy(annotation)))


def segment(text: str, node: ast.stmt) -> str:
    """The lines of a text that a statement takes, with its decorators."""
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
