"""Functions and classes in words: their code, defaults, what they close over and the globals that they read; see `identity`."""

import builtins
import dis
import hashlib
import types
from collections.abc import Mapping

from .installed import comes_along, is_installed

# Of a class: what it is made with, not what it does.
NOT_CONTENT = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__firstlineno__", "__static_attributes__",
    "__annotate__", "__annotate_func__", "__annotations_cache__", "__abstractmethods__", "_abc_impl", "__parameters__",
}  # fmt: skip
BY_DATACLASS = {
    "__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__replace__", "__match_args__",
    "__dataclass_fields__", "__dataclass_params__",
}  # fmt: skip


def sha(text: str) -> str:
    """The first 16 digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class CodeWords:
    """Words for functions and classes, each where it is met first; `words`, for everything, comes from the class that inherits."""

    def __init__(self):
        self.met: dict[int, tuple[int, object]] = {}  # the objects are kept, so that no id is used twice
        self.above: list[int] = []

    def words(self, value: object, at: str) -> str:
        """Of any value; at: where it stands, for errors."""
        raise NotImplementedError

    def coded(self, value: type | types.FunctionType, at: str) -> str:
        """Of a function or class."""
        if comes_along(value):
            return f"{value.__module__}.{value.__qualname__}"
        if hasattr(value, "_torchdynamo_orig_callable"):
            return f"compiled {self.words(value._torchdynamo_orig_callable, at)}"
        if id(value) in self.met:
            return f"<no. {self.met[id(value)][0]}>"
        self.met[id(value)] = len(self.met), value
        content = self._class(value, at) if isinstance(value, type) else self._function(value, at)
        return f"{value.__qualname__} ({sha(content)})"

    def _function(self, f: types.FunctionType, at: str) -> str:
        parts = [self._code(f.__code__, f.__doc__, at)]
        parts += [self.words(v, f"a default of {at}") for v in (f.__defaults__, f.__kwdefaults__)]
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or ()):
            try:
                parts.append(f"{name}={self.words(cell.cell_contents, f'the variable {name!r} that {at} closes over')}")
            except ValueError as error:
                if str(error) != "Cell is empty":
                    raise
                parts.append(f"{name} empty")
        parts += self._globals(f.__code__, f.__globals__, at)
        extra = {k: v for k, v in vars(f).items() if k != "__wrapped__"}
        return "\n".join([*parts, self.words(extra, f"an attribute of {at}")] if extra else parts)

    def _globals(self, code: types.CodeType, found: Mapping, at: str) -> list[str]:
        """The globals that a function reads; of a module of the user's own what the function may take from it."""
        names, taken = _names_read(code)
        parts = []
        for name in sorted(names):
            if name not in found:
                parts += [] if hasattr(builtins, name) else [f"{name} is not there"]
            elif isinstance(found[name], types.ModuleType):
                parts.append(f"{name}={self._module(found[name], taken, at)}")
            else:
                parts.append(f"{name}={self.words(found[name], f'the global {name!r} that {at} reads')}")
        return parts

    def _module(self, module: types.ModuleType, taken: set[str], at: str) -> str:
        if is_installed(module.__name__):
            return f"module {module.__name__}"
        if id(module) in self.above:
            return "module above"
        self.above.append(id(module))
        parts = []
        for name in sorted(taken & set(vars(module))):
            one, place = vars(module)[name], f"{module.__name__}.{name} that {at} reads"
            words = self._module(one, taken, at) if isinstance(one, types.ModuleType) else self.words(one, place)
            parts.append(f"{name}={words}")
        self.above.pop()
        return f"module({', '.join(parts)})"

    def _code(self, code: types.CodeType, doc: str | None, at: str) -> str:
        """Instructions, constants (nested code among them) and names; not the docstring, the file or the lines."""
        consts = list(code.co_consts)
        if isinstance(doc, str) and consts[:1] == [doc]:
            consts[0] = None
        told = [self._code(c, None, at) if isinstance(c, types.CodeType) else self.words(c, at) for c in consts]
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        table = getattr(code, "co_exceptiontable", b"")
        return f"code {code.co_code.hex()} {table.hex()} {counts} {names} [{', '.join(told)}]"

    def _class(self, value: type, at: str) -> str:
        left_out = NOT_CONTENT | (BY_DATACLASS if "__dataclass_params__" in vars(value) else set())
        bases = [self.words(base, f"a base of {at}") for base in value.__bases__]
        parts = [
            f"{name}={self.words(one, f'{name!r} of the class of {at}')}"
            for name, one in sorted(vars(value).items())
            if name not in left_out and not isinstance(one, types.MemberDescriptorType | types.GetSetDescriptorType)
        ]
        return "\n".join([*bases, *parts])


def _names_read(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Globals that a function or one inside it reads, and attributes and names that it may take from a module."""
    read, taken = set(), set(code.co_names)
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
            read.add(instruction.argval)
    for inner in (c for c in code.co_consts if isinstance(c, types.CodeType)):
        more, also = _names_read(inner)
        read, taken = read | more, taken | also
    return read, taken
