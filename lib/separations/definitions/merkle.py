"""What code means, in whatever file it stands: a hash of each definition of the library, with that of all it names.

    Library(folder).meaning_of([source])        # SHA-256, other only where something is computed otherwise

The hash of a definition (a function, a class, a value of a module) is that of its syntax tree, without docstrings, comments,
annotations and the form of the text, in which every name that the library defines is replaced by the hash of its definition: a
Merkle tree. Definitions that name one another in a circle are hashed together. So a module may be moved, split or renamed, a name
be handed on by the face of a package, a docstring be mended, and nothing is other; a changed value concerns exactly its users.

What is read besides: files that a definition names beside `__file__`, by their content (see `BY_ENTRY`), and what modules do when
they are imported (`effects`). Nothing is imported for this. Where a name cannot be followed, as in `getattr(module, name)` or `globals()`, the whole
module counts. What is not seen: modules whose names are made when the code runs (`import_module(name)`), a table that another module fills under a
second name, code in texts (`eval`), and files that are found by `importlib.resources`.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path

from ..files import PACKAGE, file_hash, sha256
from .circles import _circles, _in_order
from .names import NAME, WHOLE, Key, Names
from .reader import _Reader
from .syntax import (
    bound_by,
    imported_later,
    imports_in_try,
    is_text,
    may_register,
    only_types,
    own_nodes,
    parsed,
    root_of,
    segment,
    that_run,
)

BY_ENTRY = ("claims.yml",)  # files whose entries count one by one, where they are named


class Library:
    """The definitions of a package.

    folder: that of the package, which is called `separations` in imports; within: modules beyond which nothing is followed: what
    stands elsewhere is its name.
    """

    def __init__(self, folder: Path, within: frozenset[str] | None = None):
        self.folder, self.within = folder, within
        self._names: dict[str, Names] = {}
        self._forms: dict[Key, list[str | Key]] = {}
        self._hashes: dict[Key, str] = {}
        self._effects: dict[str, list[ast.stmt]] = {}
        self._inner: dict[Key, set[str]] = {}  # modules that a definition imports when it runs

    # --- modules ---

    def path(self, module: str) -> Path | None:
        """File of a module by its dotted name in the package; None where there is none."""
        place = self.folder.joinpath(*module.split(".")) if module else self.folder
        found = place / "__init__.py", place.with_suffix(".py")
        return next((path for path in found[: 1 if not module else 2] if path.is_file()), None)

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """Names of all modules, sorted."""
        paths = [path.relative_to(self.folder).with_suffix("").parts for path in self.folder.rglob("*.py")]
        return tuple(sorted(".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in paths))

    def names(self, module: str) -> Names:
        """What the names of a module stand for. ValueError where there is no such module, or it is no Python."""
        if module not in self._names:
            path = self.path(module)
            if path is None:
                raise ValueError(f"{NAME}.{module} is imported but {module.replace('.', '/')}.py is not in the library")
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            self._names[module] = self._sorted(parsed(path.read_bytes(), str(path)), package)
        return self._names[module]

    def _sorted(self, tree: ast.Module, package: str) -> Names:
        found, tried = Names(), imports_in_try(tree)
        for node in tree.body:
            for inner in own_nodes([node]) if not only_types(node) else ():
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    found.update(self._imported(inner, package, absent=inner in tried))
            for one in that_run(node):
                made = bound_by(one)
                later = imported_later(
                    one
                )  # the face of a package: modules that are imported when a name of theirs is asked for
                for module, names in later.items():
                    found.update(Names(imports={name: [(f"{package}.{module}", name)] for name in names}))
                for name in made:
                    found.definitions.setdefault(name, []).append(one)
                found.statements.append(one)
        return found

    def effects(self, module: str) -> list[ast.stmt]:
        """Statements of a module that may change something else than the names that they make, in their order."""
        if module not in self._effects:
            names = self.names(module)
            self._effects[module] = [one for one in names.statements if self._acts(one, module, names)]
        return self._effects[module]

    def _acts(self, node: ast.stmt, module: str, names: Names) -> bool:
        made = bound_by(node)
        if not made or may_register(node) or made & set(names.imports):
            return not isinstance(node, ast.Import | ast.ImportFrom)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return False
        if any(isinstance(one, ast.Expr) and not is_text(one) for one in own_nodes([node])):
            return True
        roots = {root_of(one.func) for one in own_nodes([node]) if isinstance(one, ast.Call)}
        return any(self._may_change(root, module, names) for root in roots - {None})

    def _may_change(self, name: str, module: str, names: Names) -> bool:
        """Whether a call that begins with a name may change a table: a function of the library, or a value of a module."""
        found = self.resolve(module, name) if name in names.imports else (module, name)
        if not isinstance(found, tuple) or not self.path(found[0]):
            return False
        nodes = self.names(found[0]).definitions.get(found[1], [])
        return any(isinstance(one, ast.FunctionDef | ast.Assign | ast.AnnAssign) for one in nodes)

    def _imported(self, node: ast.Import | ast.ImportFrom, package: str = "", absent: bool = False) -> Names:
        """What an import binds. Inside the library a relative one starts at its package. absent: whether what it names may be missing."""
        found = Names()
        if isinstance(node, ast.Import):
            for alias in node.names:
                head, _, module = alias.name.partition(".")
                if head != NAME:
                    found.outside[alias.asname or head] = alias.name if alias.asname else head
                else:  # `import separations.a` binds the package, and `import separations.a as b` the module
                    if self._there(module, absent):
                        found.update(Names(imports={alias.asname or NAME: [(module if alias.asname else "", None)]}))
                        found.update(Names(imports={f"\0{module}": [(module, None)]}))  # it is loaded in either case
            return found
        module = node.module or ""
        if node.level:
            parts = package.split(".") if package else []
            kept = parts[: len(parts) - node.level + 1]
            if node.level > len(parts) + 1:
                return found
            module = ".".join([*kept, *([module] if module else [])])
        elif module.partition(".")[0] == NAME:
            module = module.partition(".")[2]
        else:
            found.outside |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names}
            return found
        for alias in node.names if self._there(module, absent) else ():
            if alias.name == "*":
                found.stars.append(module)
            else:
                found.update(Names(imports={alias.asname or alias.name: [(module, alias.name)]}))
        return found

    def _there(self, module: str, absent: bool) -> bool:
        there = self.path(module) is not None or self.folder.joinpath(*module.split(".")).is_dir()
        if not there and not absent:
            raise ValueError(f"{NAME}.{module} is imported but {module.replace('.', '/')}.py is not in the library")
        return there

    def resolve(self, module: str, name: str | None, seen: frozenset = frozenset()) -> Key | str | None:
        """The definition that a name of a module stands for, ('x', '') for the module x, words for what comes from elsewhere, or None."""
        if name is None:
            return module, ""
        if (module, name) in seen:
            return None
        seen |= {(module, name)}
        found = self.names(module) if self.path(module) else Names()
        if name in found.definitions:
            return module, name
        target = found.imports.get(name, [(module, name)])[0]
        if target != (module, name):  # `from . import x` in the face of a package
            return self.resolve(*target, seen) or (target[0], WHOLE)
        if name in found.outside:
            return found.outside[name]
        for star in reversed(found.stars):
            if there := self.resolve(star, name, seen):
                return there
        inner = f"{module}.{name}" if module else name
        return (inner, "") if self.path(inner) else None

    # --- what a text uses ---

    def forms(self, sources: Iterable[str], name: str = "source") -> list[str | Key]:
        """Texts outside of the library, one after the other, as what they mean: definitions of the library stand in place of their names.

        ValueError where one is no Python, or imports from the library what is not there.
        """
        return self._read([parsed(source, name) for source in sources], name)[0]

    def _read(self, trees: list[ast.Module], name: str) -> tuple[list[str | Key], set[str]]:
        """The form of texts, and the modules that they import."""
        found = Names()
        for tree in trees:
            found.update(_names_in(self, tree))
        reader = _Reader(self, None, found)
        try:
            return [part for tree in trees for part in ("text", *reader.statements(tree.body))], found.modules()
        except RecursionError:
            raise ValueError(f"{name} is nested too deeply to be read") from None

    def uses(self, sources: Iterable[str], name: str = "source") -> set[Key]:
        """Definitions that texts outside of the library use."""
        return {part for part in self.forms(sources, name) if isinstance(part, tuple)}

    def meaning_of(self, sources: Iterable[str], name: str = "source") -> str:
        """SHA-256 of what texts outside of the library do, with all that they use."""
        form, modules = self._read([parsed(source, name) for source in sources], name)
        keys = {part for part in form if isinstance(part, tuple)}
        own = [part if isinstance(part, str) else self._hash(part) for part in form]
        return sha256("\n".join([*own, self.meaning(keys, modules)]))

    def source_of(self, key: Key, *inner: str) -> str:
        """The text that defines something, or a part of it (a method of a class), as `inspect.getsource` shows it, or the whole of it."""
        path = self.path(key[0])
        text = path.read_text(encoding="utf-8")
        nodes: list[ast.stmt] = self.names(key[0]).definitions[key[1]]
        for name in inner:
            parts = [part for node in nodes for part in getattr(node, "body", []) if name in bound_by(part)]
            nodes = parts or nodes
        return "\n".join(segment(text, node) for node in nodes)

    # --- hashes ---

    def meaning(self, keys: Iterable[Key], modules: Iterable[str] = ()) -> str:
        """SHA-256 of what these definitions, and all that they use, do; with what modules do when they are imported.

        modules: imported beside those of the definitions.
        """
        keys = set(keys)
        _, loaded = self._closure(keys, set(modules))
        hashes = sorted({self._hash(key) for key in keys})
        effects = [[self._hash((module, f"!{i}")) for i in range(len(self.effects(module)))] for module in loaded]
        return sha256("\n".join([*hashes, "effects", *sorted(" ".join(one) for one in effects if one)]))

    def reached(self, keys: Iterable[Key]) -> set[Key]:
        """These definitions and all that they use, directly or through others."""
        return self._closure(set(keys), set())[0]

    def _closure(self, keys: set[Key], imported: set[str]) -> tuple[set[Key], set[str]]:
        """Definitions that are reached, and modules that are loaded for them."""
        reached, loaded, waiting, modules = set(), set(), set(keys), set(imported)
        while waiting or modules:
            while modules:
                module = modules.pop()
                inside = self.path(module) and (self.within is None or module in self.within)
                if inside and module not in loaded:
                    loaded.add(module)
                    waiting |= {(module, f"!{i}") for i in range(len(self.effects(module)))} - reached
                    modules |= {*_parents(module), *self.names(module).modules()} - loaded
            if waiting:
                key = waiting.pop()
                reached.add(key)
                waiting |= {part for part in self._form(key) if isinstance(part, tuple)} - reached
                modules |= {key[0], *self._inner.get(key, ())} - loaded
        return reached, loaded

    def _form(self, key: Key) -> list[str | Key]:
        if key not in self._forms:
            inside = self.within is None or key[0] in self.within
            self._forms[key] = list(self._formed(*key)) if inside else [f"elsewhere {key[1]}"]
        return self._forms[key]

    def _formed(self, module: str, name: str) -> Iterator[str | Key]:
        found = self.names(module) if self.path(module) else Names()
        if name in ("", WHOLE):
            yield "module"
            yield from ((module, one) for one in sorted(found.definitions))
            for target in (
                (one[0] for one in found.imports.values()) if name == "" else ()
            ):  # `module.name` may be what it imports
                key = self.resolve(*target)
                if isinstance(key, tuple) and key[1]:
                    yield key
            yield from ((star, WHOLE) for star in found.stars)
            return
        nodes = [self.effects(module)[int(name[1:])]] if name.startswith("!") else found.definitions[name]
        for target in found.imports.get(name, ()):  # it is imported first, and changed or made anew then
            key = self.resolve(*target)
            yield from (key,) if isinstance(key, tuple) else ()
        for node in nodes:
            inner = _names_in(self, node, self._package(module))
            self._inner.setdefault((module, name), set()).update(inner.modules())
            yield from _Reader(self, module, inner).statements([node])
            yield from self._files_beside(module, node)

    def _files_beside(self, module: str, node: ast.stmt) -> Iterator[str]:
        """Names and contents of the files that a statement names beside its own: `Path(__file__).with_name("table.yml")`."""
        inner = list(ast.walk(node))
        if not any(isinstance(one, ast.Name) and one.id == "__file__" for one in inner):
            return
        texts = {one.value for one in inner if isinstance(one, ast.Constant) and isinstance(one.value, str)}
        here, named = self.path(module).parent, []
        for name in sorted(
            text for text in texts if re.fullmatch(r"[\w. -]+(/[\w. -]+)*", text) and text not in BY_ENTRY
        ):
            place = here / name
            named += sorted(place.rglob("*")) if place.is_dir() else [place] if place.is_file() else []
        if not named and not texts & set(BY_ENTRY):  # a folder that others go on from: all that lies in it
            named = [path for path in sorted(here.iterdir()) if path.suffix != ".py" and path.name not in BY_ENTRY]
        for path in named:
            if path.is_file() and path.suffix != ".pyc":
                yield f"{path.relative_to(here).as_posix()} {file_hash(path)}"

    def _package(self, module: str) -> str:
        path = self.path(module)
        return module if path and path.name == "__init__.py" else module.rpartition(".")[0]

    def _hash(self, key: Key) -> str:
        if key not in self._hashes:
            for circle in _circles(key, lambda one: [p for p in self._form(one) if isinstance(p, tuple)], self._hashes):
                self._hash_together(circle)
        return self._hashes[key]

    def _hash_together(self, circle: list[Key]) -> None:
        """Hashes of definitions that name one another, by names in place of hashes among them; of one alone likewise."""
        inside = set(circle)
        own = {key: key[1] if key[1] not in ("", WHOLE) else "module" for key in circle}
        alike = {name for name in own.values() if list(own.values()).count(name) > 1}
        own = {key: f"{name} of {key[0]}" if name in alike else name for key, name in own.items()}
        texts = {
            key: "\n".join(
                part if isinstance(part, str) else f"~{own[part]}" if part in inside else self._hashes[part]
                for part in _in_order(self._form(key), key[1], own, self._hashes)
            )
            for key in circle
        }
        together = sha256("\n\n".join(sorted(f"{own[key]}\n{texts[key]}" for key in circle))) if len(circle) > 1 else ""
        for key in circle:
            self._hashes[key] = sha256(f"{together}\n{own[key] if together else ''}\n{texts[key]}")


@lru_cache(maxsize=4)
def _library(folder: Path, within: frozenset[str] | None, stamp: tuple) -> Library:
    return Library(folder, within)


def library(within: frozenset[str] | None = None) -> Library:
    """The definitions of this library as its files are now; read again where one of them changed. within: see `Library`."""
    files = [path for path in sorted(PACKAGE.rglob("*")) if path.suffix != ".pyc" and path.is_file()]
    return _library(PACKAGE, within, tuple((path, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in files))


def _parents(module: str) -> set[str]:
    """The packages that a module lies in."""
    parts = module.split(".")
    return {".".join(parts[:i]) for i in range(len(parts))}


def _names_in(library, tree: ast.AST, package: str = "") -> Names:
    """What the imports anywhere in a tree bind."""
    found, tried = Names(), imports_in_try(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update(library._imported(node, package, absent=node in tried))
    return found
