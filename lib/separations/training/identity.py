"""Words for what a value is, by its content: what two runs compare to know that they are the same.

    words = describe(times, "times")       # the same in every process that makes the same object, another for another content

A function is its code, its defaults, what it closes over and the globals that it reads; an object is its class and its state; a
tensor or array is the SHA-256 of its numbers. What comes with Python, with this library or with an installed package is its
name. Names of variables in a script, line numbers, docstrings, memory addresses and the order of sets say nothing. What has no content that
can be read (open files, generators, locks, streams of random numbers that nobody saves) is an error that names it.
"""

import builtins
import copyreg
import dis
import enum
import functools
import hashlib
import random
import sys
import sysconfig
import types
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..definitions import WHOLE, library

LONGEST = 160  # characters of a description that stand as they are
PIECE = 1 << 24  # bytes hashed at a time
PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type(...),
    type(NotImplemented),
    range,
    torch.dtype,
    torch.device,
)
STREAMS = (torch.Generator, np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
# Of a class: what it is made with, not what it does.
NOT_CONTENT = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__firstlineno__", "__static_attributes__",
    "__annotate__", "__annotate_func__", "__annotations_cache__", "__abstractmethods__", "_abc_impl", "__parameters__",
}  # fmt: skip
BY_DATACLASS = {
    "__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__replace__", "__match_args__",
    "__dataclass_fields__", "__dataclass_params__",
}  # fmt: skip


def describe(value: object, name: str, known: Mapping[int, str] | None = None) -> str:
    """`value` in words that are equal in two processes if and only if its content is; long ones end in a SHA-256.

    name: of the argument, for errors. known: words for objects by their id, which are not looked into (the model that is trained).
    ValueError for what cannot be described, with the place where it was found.
    """
    try:
        return _short(_Describer(known or {}).words(value, name))
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply to be described by its content") from None


def digest(tensor: Tensor) -> str:
    """SHA-256 of the numbers of a tensor, of any dtype and on any device, read piece by piece."""
    found = hashlib.sha256()
    rows = tensor.detach().contiguous().flatten()
    for piece in rows.split(max(1, PIECE // max(1, rows.element_size()))):
        found.update(piece.cpu().contiguous().view(torch.uint8).numpy())
    return found.hexdigest()


def architecture(module: nn.Module, name: str = "model") -> str:
    """SHA-256 of a module in words, as `describe`, but of what it saves only name, shape, dtype and whether it is trained.

    Other tensors count with their numbers: no file brings them back. Those that an installed class makes follow from its settings.
    """
    saved = {id(tensor) for tensor in module.state_dict(keep_vars=True).values()}
    saved |= {id(b) for one in module.modules() if _comes_along(type(one)) for b in one.buffers(recurse=False)}
    return _sha(_Describer({}, saved=saved).words(module, name))


@functools.cache
def code(modules: tuple[str, ...]) -> str:
    """SHA-256 of what modules of this library do, by their names (see `definitions`); of other modules only the names count."""
    return library(frozenset(modules)).meaning((module, WHOLE) for module in modules)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... (SHA-256 {_sha(text)})"


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class _Describer:
    """One description. Functions and classes are described where they are met first, data each time."""

    def __init__(self, known: Mapping[int, str], *, saved: set[int] | None = None):
        self.known, self.saved = known, saved  # saved: of a module, ids of the tensors whose numbers say nothing
        self.met: dict[int, tuple[int, object]] = {}  # the objects are kept, so that no id is used twice
        self.above: list[int] = []

    def words(self, value: object, at: str) -> str:
        if id(value) in self.known:
            return self.known[id(value)]
        if type(value) in PLAIN:
            return repr(value)
        if isinstance(value, np.generic) and not isinstance(value, np.void):
            return self.words(value.item(), at) if type(value.item()) in PLAIN else repr(value)
        if id(value) in self.above:
            return f"<{len(self.above) - self.above.index(id(value))} up>"
        self.above.append(id(value))
        try:
            return self._coded(value, at) if isinstance(value, type | types.FunctionType) else self._data(value, at)
        finally:
            self.above.pop()

    # --- functions and classes ---

    def _coded(self, value, at: str) -> str:
        if _comes_along(value):
            return f"{value.__module__}.{value.__qualname__}"
        if hasattr(value, "_torchdynamo_orig_callable"):
            return f"compiled {self.words(value._torchdynamo_orig_callable, at)}"
        if id(value) in self.met:
            return f"<no. {self.met[id(value)][0]}>"
        self.met[id(value)] = len(self.met), value
        content = self._class(value, at) if isinstance(value, type) else self._function(value, at)
        return f"{value.__qualname__} ({_sha(content)})"

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
        if _is_installed(module.__name__):
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

    # --- data ---

    def _data(self, value, at: str) -> str:
        kind = type(value)
        if isinstance(value, Tensor):
            return self._tensor(value, at)
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            sha = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return f"array({value.dtype.str}, {value.shape}, {sha[:32]})"
        if kind in (list, tuple):
            inside = ", ".join(self.words(v, f"{at}[{i}]") for i, v in enumerate(value))
            return f"[{inside}]" if kind is list else f"({inside})"
        if kind in (set, frozenset):
            return f"{kind.__name__}{{{', '.join(sorted(self._alone(v, f'a member of {at}') for v in value))}}}"
        if kind in (dict, types.MappingProxyType):
            items = sorted(((self._alone(k, f"a key of {at}"), k) for k in value), key=lambda pair: pair[0])
            return "{" + ", ".join(f"{words}: {self.words(value[k], f'{at}[{words}]')}" for words, k in items) + "}"
        for kinds, name in WRAPPERS:
            if isinstance(value, kinds):
                return f"{name}({', '.join(self.words(part, at) for part in _inside(value))})"
        return self._object(value, at)

    def _alone(self, value, at: str) -> str:
        """Words that do not depend on what was met before, for what has no order."""
        return _Describer(self.known, saved=self.saved).words(value, at)

    def _tensor(self, value: Tensor, at: str) -> str:
        if value.layout is not torch.strided or value.is_meta or value.is_quantized:
            raise _unknown(value, at)
        about = f"{str(value.dtype).removeprefix('torch.')}, {tuple(value.shape)}"
        return f"tensor({about}, {value.requires_grad if id(value) in (self.saved or ()) else digest(value)[:32]})"

    def _object(self, value, at: str) -> str:
        if isinstance(value, STREAMS):
            raise ValueError(
                f"{at} is a {type(value).__name__}: its state is not part of a checkpoint, so a run that goes on would draw "
                "others; the generator that `train` passes is needed"
            )
        if isinstance(value, nn.Module):
            return f"{self.words(type(value), at)}{self._state(self._of_module(value), at)}"
        if isinstance(
            value, types.BuiltinFunctionType | types.MethodDescriptorType | types.WrapperDescriptorType | np.ufunc
        ):
            owner = getattr(value, "__self__", None)
            bound = (
                "" if owner is None or isinstance(owner, type | types.ModuleType) else f" of {self.words(owner, at)}"
            )
            return f"{getattr(value, '__module__', None) or ''}.{getattr(value, '__qualname__', value.__name__)}{bound}"
        if isinstance(value, types.ModuleType):
            if _is_installed(value.__name__):
                return f"module {value.__name__}"
            raise _unknown(value, at)
        if isinstance(value, enum.Enum):
            return f"{self.words(type(value), at)}.{value.name}"
        return self._reduced(value, at)

    def _of_module(self, module: nn.Module) -> dict:
        """The attributes of a module that say what it computes: not how it is compiled, not what stands empty in every module."""
        empty = vars(nn.Module()).keys() - {"training"}
        left_out = {"_compiled_call_impl"} | (set() if self.saved is None else {"training"})
        return {k: v for k, v in vars(module).items() if k not in left_out and (k not in empty or v)}

    def _reduced(self, value, at: str) -> str:
        """What pickle would keep: the class, what it is made with, its attributes and items."""
        try:
            own = copyreg.dispatch_table.get(type(value))
            reduced = value.__reduce_ex__(2) if own is None else own(value)
        except Exception as error:
            raise _unknown(value, at) from error
        if isinstance(reduced, str):
            return f"{type(value).__module__}.{reduced}"
        make, arguments, state, listed, items = (*reduced, None, None, None)[:5]
        first = "" if getattr(make, "__module__", "") == "copyreg" else f"{self.words(make, at)} "
        parts = [self.words(arguments[0], at) if len(arguments) == 1 else self.words(tuple(arguments), at)]
        if state is not None or len(arguments) == 1:
            parts.append(self._state(state or {}, at))
        parts += [self.words(list(v), at) for v in (listed, items) if v is not None]
        return first + "".join(parts)

    def _state(self, state, at: str) -> str:
        """The attributes of an object, each with its own place for errors."""
        slots = isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict)
        attributes = {**(state[0] or {}), **state[1]} if slots else state
        if not isinstance(attributes, dict) or not all(isinstance(k, str) for k in attributes):
            return self.words(attributes, at)
        told = [f"{k}={self.words(v, f'{at}.{k}')}" for k, v in sorted(attributes.items())]
        return f"({', '.join(told)})"


WRAPPERS = (
    (functools.partial, "partial"), (types.MethodType, "method"), (staticmethod, "static"), (classmethod, "of class"),
    (property, "property"), (functools._lru_cache_wrapper, "cached"), (functools.cached_property, "cached"),
    (functools.partialmethod, "partial"), (slice, "slice"), (types.CellType, "cell"),
)  # fmt: skip


def _inside(value) -> tuple:
    if isinstance(value, functools.partial | functools.partialmethod):
        return value.func, value.args, value.keywords, dict(getattr(value, "__dict__", {}))
    if isinstance(value, types.MethodType):
        return value.__func__, value.__self__
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    if isinstance(value, functools.cached_property):
        return (value.func,)
    if isinstance(value, slice):
        return value.start, value.stop, value.step
    if isinstance(value, types.CellType):
        return (value.cell_contents,)
    return (value.__wrapped__,)


def _unknown(value, at: str) -> ValueError:
    return ValueError(
        f"{at} is a {type(value).__module__}.{type(value).__qualname__}, which has no content that can be compared: with a checkpoint, "
        "numbers, text, tensors, arrays, functions and objects made of these are needed"
    )


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


def _comes_along(value) -> bool:
    """Whether a function or class is what its name says in a module that is installed, and not made at run time."""
    module, found = sys.modules.get(value.__module__ or ""), None
    if module is not None and _is_installed(value.__module__):
        found = module
        for part in value.__qualname__.split("."):
            found = getattr(found, part, None)
        found = getattr(found, "__func__", found)
    return found is value


@functools.cache
def _is_installed(name: str) -> bool:
    """Whether a module comes with Python, with this library, or from where packages are installed."""
    head = name.partition(".")[0]
    if head == "separations":
        return True
    file = getattr(sys.modules.get(name), "__file__", None) or getattr(sys.modules.get(head), "__file__", None)
    if file is None:
        return head != "__main__" and (head in sys.builtin_module_names or head in sys.stdlib_module_names)
    return any(Path(file).is_relative_to(place) for place in _places())


@functools.cache
def _places() -> tuple[str, ...]:
    import site

    paths = {sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(sorted(paths | {*site.getsitepackages(), site.getusersitepackages()}))
