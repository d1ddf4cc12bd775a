"""What comes with Python, with this library or with an installed package: what is told by its name, as it has one everywhere."""

import functools
import sys
import sysconfig
from pathlib import Path


def comes_along(value) -> bool:
    """Whether a function or class is what its name says in a module that is installed, and not made at run time."""
    module, found = sys.modules.get(value.__module__ or ""), None
    if module is not None and is_installed(value.__module__):
        found = module
        for part in value.__qualname__.split("."):
            found = getattr(found, part, None)
        found = getattr(found, "__func__", found)
    return found is value


@functools.cache
def is_installed(name: str) -> bool:
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
