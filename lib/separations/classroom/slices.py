"""What a chapter has to compute before an exercise can be checked: statement by statement, backwards from the names that are needed."""

import ast
import builtins
import symtable
from collections.abc import Iterable, Iterator, Mapping

GIVEN = frozenset(dir(builtins))
SETTERS = ("set_", "manual_seed")  # functions of a library that change what its others do


def names_used(tree: ast.Module) -> set[str]:
    """Global names that a piece of code takes from before, also within functions; built-in ones left out."""
    reading = _Reading()
    reading.visit(tree)
    return reading.used - GIVEN


class _Reading(ast.NodeVisitor):
    """Goes through code in the order in which it runs: a name that was bound before it is read is not taken from before."""

    def __init__(self):
        self.used: set[str] = set()
        self.bound: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.bound.add(node.id)
        elif node.id not in self.bound:
            self.used.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        for one in (node.value, *node.targets):
            self.visit(one)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self.used |= {node.target.id} - self.bound
        self.visit(node.target)

    def visit_For(self, node: ast.For) -> None:
        for one in (node.iter, node.target, *node.body, *node.orelse):
            self.visit(one)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.bound |= names_made(node)

    visit_ImportFrom = visit_Import

    def _inner(self, node: ast.AST) -> None:
        """A scope of its own: a function, a class, a comprehension."""
        whole = ast.Module([node if isinstance(node, ast.stmt) else ast.Expr(node)], [])
        tables = [symtable.symtable(ast.unparse(ast.fix_missing_locations(whole)), "code", "exec")]
        for table in tables:  # it grows
            outer = table is tables[0]
            names = {
                one.get_name() for one in table.get_symbols() if one.is_referenced() and (outer or one.is_global())
            }
            self.used |= names - self.bound
            tables += table.get_children()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            self.bound.add(node.name)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _inner
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _inner


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
        elif (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Attribute)
        ):
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
    imported = set().union(*(names_made(one) for one in statements if isinstance(one, ast.Import | ast.ImportFrom)))
    wanted, chosen = _with(wanted, inner), []
    for one, used in zip(reversed(statements), reversed(uses)):
        if _needs_nothing(one):
            chosen.append(one)
            wanted -= _bound(one)
        elif (made := names_made(one) - _asked_only(one, imported)) and made & wanted:
            wanted = (wanted - _bound(one)) | _with(used, inner)
            chosen.append(one)
    return chosen[::-1]


def _needs_nothing(statement: ast.stmt) -> bool:
    """Whether a statement imports, or sets names to plain values: an answer may use those, and they cost nothing."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return True
    if not isinstance(statement, ast.Assign) or not _bound(statement):
        return False
    try:
        ast.literal_eval(statement.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _asked_only(statement: ast.stmt, imported: set[str]) -> set[str]:
    """Modules that a statement only asks to do something, as plt.show(); not where it sets something for later."""
    found: set[str] = set()
    for node in _outside_functions(statement):
        call = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
        if isinstance(call, ast.Attribute) and not call.attr.startswith(SETTERS):
            found |= _root(call) & imported
    return found


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
