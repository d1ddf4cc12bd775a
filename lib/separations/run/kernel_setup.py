"""What a run does inside its kernel before the first cell: run there by path, with the standard library alone.

It keeps a `matplotlibrc` in the notebook's folder out (others are kept out by the environment), lets half a character be put out,
and says which library and which versions the notebook gets.
"""

import importlib.util
import json
import os
import platform
import sys
from importlib import metadata


def prepare(library: str, empty: str, packages: list) -> str:
    """Set the kernel up and say what it is, as `answer`. library: folder of the one wanted; empty: a folder without any file."""
    if _library() != library and os.path.basename(os.path.dirname(library)) not in ("site-packages", "dist-packages"):
        sys.path.insert(0, os.path.dirname(library))
    sys.meta_path.insert(0, _PlainMatplotlib(empty))
    _carry_half_characters()
    return answer(packages)


def _carry_half_characters() -> None:
    """Send what holds half a character as ASCII.

    jupyter_client 8.10 encodes messages as UTF-8, which has no half of a pair: ipykernel 7.4 then loses what a cell printed, and at
    times, with that, the message that the cell has ended.
    """
    session = sys.modules["IPython"].get_ipython().kernel.session
    pack = session.pack

    def packed(message) -> bytes:
        try:
            return pack(message)
        except UnicodeEncodeError:
            return json.dumps(message, default=sys.modules["jupyter_client.jsonutil"].json_default).encode("ascii")

    session.pack = packed


def answer(packages: list) -> str:
    """JSON text: folder of the library that is loaded, or would be, and versions of Python and of the packages."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except Exception:  # not installed, or without a version
            continue
    return json.dumps({"library": _library(), "versions": versions})


def _library() -> str:
    """Folder of the library, without importing it; '' where there is none."""
    module = sys.modules.get("separations")
    try:
        origin = module.__file__ if module else importlib.util.find_spec("separations").origin
        return os.path.dirname(os.path.realpath(origin))
    except (AttributeError, ImportError, TypeError, ValueError):
        return ""


class _PlainMatplotlib:
    """Imports matplotlib from an empty folder, where it finds no `matplotlibrc` of the notebook's folder."""

    def __init__(self, empty: str):
        self.empty = empty

    def find_spec(self, name, path=None, target=None):
        if name != "matplotlib":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader and os.path.exists("matplotlibrc"):
            self._elsewhere(spec.loader)
        return spec

    def _elsewhere(self, loader) -> None:
        load = loader.exec_module

        def exec_module(module):
            here = os.getcwd()
            os.chdir(self.empty)
            try:
                load(module)
            finally:
                os.chdir(here)
                del loader.exec_module

        loader.exec_module = exec_module
