"""Syntax trees written down as words and keys of definitions: the form that is hashed."""

import ast
from collections.abc import Iterable, Iterator

from .names import NAME, WHOLE, Key, Names
from .syntax import COMPREHENSIONS, FUNCTIONS, may_register, only_types, own_nodes, stored, that_run, without_modules


class _Reader:
    """Writes syntax trees down as a list of words and of keys of definitions. library: where names are looked up; module: where it stands; None: outside of the library."""

    def __init__(self, library, module: str | None, inner: Names):
        self.library, self.module, self.inner = library, module, inner

    def statements(self, nodes: Iterable[ast.AST], local: frozenset[str] = frozenset()) -> Iterator[str | Key]:
        for node in nodes:
            yield from self.node(node, local)

    def node(self, node: object, local: frozenset[str]) -> Iterator[str | Key]:
        if isinstance(node, list):
            yield "["
            yield from self.statements(node, local)
            yield "]"
        elif not isinstance(node, ast.AST):
            yield repr(node)
        elif isinstance(node, ast.Name | ast.Attribute):
            yield from self._named(node, local)
        elif isinstance(node, FUNCTIONS):
            yield from self._function(node, local)
        elif isinstance(node, COMPREHENSIONS):
            targets = {n.id for one in node.generators for n in ast.walk(one.target) if isinstance(n, ast.Name)}
            first = node.generators[0].iter  # it is read outside of the comprehension's own scope
            yield from self.node(first, local)
            yield from self._fields(node, local | (targets - set(self.inner.imports)), first)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if not self._is_ours(node):
                yield ast.unparse(node)
        elif isinstance(node, ast.AnnAssign):
            yield f"(AnnAssign {without_modules(node.annotation)}" if self.module is None or not local else "(AnnAssign"
            yield from self.statements([node.target, *([node.value] if node.value else [])], local)
            yield ")"
        elif self.module is None and not local and not only_types(node):
            yield from self._fields(
                node, local
            )  # in a notebook a text may be what a cell shows, and __name__ is "__main__"
        else:
            for one in that_run(node) if isinstance(node, ast.stmt) else [node]:
                yield from self._fields(one, local)

    def _fields(self, node: ast.AST, local: frozenset[str], done: ast.AST | None = None) -> Iterator[str | Key]:
        yield f"({type(node).__name__}"
        leave = ("ctx", "kind", "type_comment", "type_ignores", "type_params")
        for name, value in ast.iter_fields(node):
            if name not in leave and value not in (None, []) and value is not done:
                yield name
                yield from self.node(value, local)
        if isinstance(node, ast.Call):
            yield from self._called(node)
        yield ")"

    def _function(self, node: ast.AST, local: frozenset[str]) -> Iterator[str | Key]:
        arguments = node.args
        yield f"({type(node).__name__} {getattr(node, 'name', '')}"
        yield from self.node(getattr(node, "decorator_list", []), local)
        if may_register(node):  # `register` reads the annotations
            yield " ".join(
                without_modules(one.annotation)
                for one in ast.walk(arguments)
                if isinstance(one, ast.arg) and one.annotation
            )
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
        more = [a.arg for a in arguments.kwonlyargs], *(a and a.arg for a in (arguments.vararg, arguments.kwarg))
        yield repr((names, len(arguments.posonlyargs), more))
        yield from self.node(arguments.defaults, local)
        yield from self.node([one or "none" for one in arguments.kw_defaults], local)
        body = node.body if isinstance(node.body, list) else [node.body]
        shared = {name for one in own_nodes(body) if isinstance(one, ast.Global) for name in one.names}
        bound = {name for one in own_nodes(body) for name in stored(one)}
        given = {*names, *more[0], *filter(None, more[1:])}
        yield from self.node(body, (local | given | bound) - shared - set(self.inner.imports) | {"\0"})
        yield ")"

    def _named(self, node: ast.Name | ast.Attribute, local: frozenset[str]) -> Iterator[str | Key]:
        attributes, base = [], node
        while isinstance(base, ast.Attribute):
            attributes.append(base.attr)
            base = base.value
        attributes.reverse()
        if not isinstance(base, ast.Name):
            yield from self.node(base, local)
            yield from (f".{name}" for name in attributes)
            return
        found = [] if base.id in local else self._resolved(base.id)
        ends = [self._followed(one, attributes) if isinstance(one, tuple) else (one, attributes) for one in found]
        if not ends:
            yield f"name {base.id}"
            yield from (f".{name}" for name in attributes)
        for key, left in ends:
            yield key if isinstance(key, tuple) else f"outside {key}"
            yield from (f".{name}" for name in left)
        if base.id == "globals" and not found and self.module is not None:
            yield self.module, ""

    def _followed(self, key: Key, attributes: list[str]) -> tuple[Key | str, list[str]]:
        """What `module.name` leads to, and the attributes that are left."""
        while attributes and isinstance(key, tuple) and not key[1]:
            inner = self.library.resolve(key[0], attributes[0])
            if not inner:  # made when the module runs
                return (key[0], WHOLE), attributes
            key, attributes = inner, attributes[1:]
        return key, attributes

    def _resolved(self, name: str) -> list[Key | str]:
        """All that a name may stand for, what is imported nearest to it first; nothing for a name of Python's or of its own."""
        found = [self.library.resolve(*one) or (one[0], WHOLE) for one in self.inner.imports.get(name, ())]
        found += [self.inner.outside[name]] if name in self.inner.outside else []
        if not found:
            found = [key for star in reversed(self.inner.stars) if (key := self.library.resolve(star, name))][:1]
        if self.module is None:
            return found
        names = self.library.names(self.module)
        known = name in names.definitions or name in names.imports or name in names.outside or names.stars
        mine = self.library.resolve(self.module, name) if known else None  # a submodule is no name until it is imported
        targets = [self.library.resolve(*one) for one in names.imports.get(name, ())[1:]]
        return found + [key for key in (mine, *targets) if key and key not in found]

    def _is_ours(self, node: ast.Import | ast.ImportFrom) -> bool:
        if isinstance(node, ast.ImportFrom):
            return bool(node.level) or (node.module or "").partition(".")[0] == NAME
        return all(alias.name.partition(".")[0] == NAME for alias in node.names)

    def _called(self, node: ast.Call) -> Iterator[str | Key]:
        """`import_module("separations.x")`, `import_module(".x", "separations")`, `__import__("separations.x")`: all of it."""
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        texts = [item.value for item in given if isinstance(item, ast.Constant) and isinstance(item.value, str)]
        if called not in ("import_module", "__import__") or not texts:
            return
        target = f"{texts[1]}{texts[0]}" if texts[0].startswith(".") and len(texts) > 1 else texts[0]
        head, _, module = target.partition(".")
        if head == NAME:
            self.library.names(module)  # an error where it is not there
            yield module, ""
