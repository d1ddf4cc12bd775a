"""What a chapter has to compute before an exercise can be checked: statement by statement, backwards from the names that are needed."""

import ast
import builtins
import symtable
from collections.abc import Iterable, Iterator, Mapping

GIVEN = frozenset(dir(builtins))


def names_used(tree: ast.Module) -> set[str]:
    """Global names that a piece of code reads, also within functions; built-in ones left out."""
    found = {node.target.id for node in ast.walk(tree) if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)}
    tables = [symtable.symtable(ast.unparse(tree), "code", "exec")]
    for table in tables:  # it grows
        outermost = table is tables[0]
        found |= {one.get_name() for one in table.get_symbols() if one.is_referenced() and (outermost or one.is_global())}
        tables += table.get_children()
    return found - GIVEN


def names_made(statement: ast.stmt) -> set[str]:
    """Names that a statement binds or changes: assigned, imported, defined, written into, or asked to do something."""
    found: set[str] = set()
    for node in _outside_functions(statement):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            found |= _root(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            found |= _root(node.value.func)  # x.append(1) changes x
    return found


def _outside_functions(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement, without those that run only when a function is called."""
    yield statement
    inside = isinstance(statement, ast.FunctionDef | ast.Lambda | ast.ClassDef)
    for child in [] if inside else ast.iter_child_nodes(statement):
        yield from _outside_functions(child)


def _root(node: ast.AST) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def needed(cells: Iterable[str], wanted: set[str], whole: bool = False) -> list[ast.stmt]:
    """The statements of cells, in their order, that the names `wanted` depend on.

    Args:
        cells: Python texts, in the order in which they run.
        wanted: names that have to be there afterwards.
        whole: every statement instead.

    Returns:
        The statements. What is called for what it does alone, as a plot, is left out; so is what a function does to its arguments.
    """
    statements = [statement for text in cells for statement in ast.parse(text).body]
    if whole:
        return statements
    uses = [names_used(ast.Module([one], [])) for one in statements]
    inner: dict[str, set[str]] = {}  # what is read when a function is called
    for one, used in zip(statements, uses):
        if isinstance(one, ast.FunctionDef | ast.ClassDef):
            inner.setdefault(one.name, set()).update(used)
    wanted, chosen = _with(wanted, inner), []
    for one, used in zip(reversed(statements), reversed(uses)):
        if names_made(one) & wanted:
            wanted = (wanted - _bound(one)) | _with(used, inner)
            chosen.append(one)
    return chosen[::-1]


def _with(names: set[str], inner: Mapping[str, set[str]]) -> set[str]:
    """Names, and those that the functions among them read."""
    found, left = set(), list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += inner.get(name, ())
    return found


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement binds anew, whatever they were before."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return names_made(statement)
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [one for target in targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return {one.id for one in targets if isinstance(one, ast.Name)}
