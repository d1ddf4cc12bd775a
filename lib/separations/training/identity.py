"""Words for what a value is, by its content: what two runs compare to know that they are the same.

    words = describe(times, "times")       # the same in every process that makes the same object, another for another content

A function is its code, its defaults, what it closes over and the globals that it reads; an object is its class and its state; a
tensor or array is the SHA-256 of its numbers. What comes with Python, with this library or with an installed package is its
name. Names of variables in a script, line numbers, docstrings, memory addresses and the order of sets say nothing. What has no content that
can be read (open files, generators, locks, streams of random numbers that nobody saves) is an error that names it.
"""

import copyreg
import enum
import functools
import hashlib
import random
import types
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ..definitions import WHOLE, library
from .code_words import CodeWords, sha
from .installed import comes_along, is_installed

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
    saved |= {id(b) for one in module.modules() if comes_along(type(one)) for b in one.buffers(recurse=False)}
    return sha(_Describer({}, saved=saved).words(module, name))


@functools.cache
def code(modules: tuple[str, ...]) -> str:
    """SHA-256 of what modules of this library do, by their names (see `definitions`); of other modules only the names count."""
    return library(frozenset(modules)).meaning((module, WHOLE) for module in modules)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... (SHA-256 {sha(text)})"


class _Describer(CodeWords):
    """One description. Functions and classes are described where they are met first, data each time."""

    def __init__(self, known: Mapping[int, str], *, saved: set[int] | None = None):
        super().__init__()
        self.known, self.saved = known, saved  # saved: of a module, ids of the tensors whose numbers say nothing

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
            return self.coded(value, at) if isinstance(value, type | types.FunctionType) else self._data(value, at)
        finally:
            self.above.pop()

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
            if is_installed(value.__name__):
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
