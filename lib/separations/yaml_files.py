"""One strict reader for YAML that people write: parameters, profiles, sweeps, claims. What could be read in two ways is refused.

As YAML 1.2 reads it, not 1.1: `1e-3` is a number, `yes` and `on` are text. Refused, with the line: a key that stands there
twice, a number with a leading zero (`010`), with colons (`1:30`) or underscores, `.nan` and `.inf`, and any tag of Python's.
"""

import math
import os
import re
from pathlib import Path

import yaml

WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
REAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")
DOUBTFUL = {
    re.compile(r"[-+]?0[0-9_]+"): "for a leading zero means another base to some readers",
    re.compile(r"[-+]?[0-9]+(:[0-9]+)+(\.[0-9]*)?"): "for colons mean base 60 to some readers",
    re.compile(r"[-+]?[0-9]+_[0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?"): "for underscores are dropped by some readers",
    re.compile(r"[-+]?0[xob][0-9a-fA-F_]+"): "write it in decimal",
    re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"): "a finite number is needed",
}
WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
NOTHING = ("", "~", "null", "Null", "NULL")


class _Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # in C where there is one: five times as fast
    """PyYAML's safe loader with scalars of YAML 1.2 and without keys that stand there twice."""

    yaml_implicit_resolvers: dict = {None: [("!plain", re.compile(".*", re.S))]}  # noqa: RUF012  # for `_scalar`


def _fail(problem: str, node: yaml.Node):
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _scalar(loader: yaml.SafeLoader, node: yaml.ScalarNode):
    """A plain scalar as null, bool, int, float or text."""
    text = node.value
    if text in NOTHING:
        return None
    if text in WORDS:
        return WORDS[text]
    for pattern, reason in DOUBTFUL.items():
        if pattern.fullmatch(text):
            _fail(f"{text!r} is refused, {reason}; in quotes it is text", node)
    if WHOLE.fullmatch(text):
        if len(text) > 4000:  # Python itself stops at 4,300 digits
            _fail(f"a whole number of {len(text)} digits is too long", node)
        return int(text)
    if REAL.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            _fail(f"{text!r} is beyond the largest number", node)
        if number == 0 and re.search("[1-9]", re.split("[eE]", text)[0]):
            _fail(f"{text!r} is below the smallest number", node)
        return number
    return text


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict:
    loader.flatten_mapping(node)
    found: dict = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        try:
            twice = key in found
        except TypeError:
            _fail(f"a {type(key).__name__} is no key", key_node)
        if twice:
            _fail(f"key {key!r} stands there twice", key_node)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _sequence(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list:
    return [loader.construct_object(item, deep=True) for item in node.value]


def _no_tag(loader: yaml.SafeLoader, node: yaml.Node):
    _fail(f"the tag {node.tag} is not allowed: plain numbers, text, lists and mappings are", node)


_Strict.add_constructor("!plain", _scalar)
_Strict.add_constructor("tag:yaml.org,2002:str", lambda loader, node: loader.construct_scalar(node))
_Strict.add_constructor("tag:yaml.org,2002:map", _mapping)
_Strict.add_constructor("tag:yaml.org,2002:seq", _sequence)
for _tag in ("binary", "set", "omap", "pairs", "timestamp", "int", "float", "bool", "null"):
    _Strict.add_constructor(f"tag:yaml.org,2002:{_tag}", _no_tag)
_Strict.add_constructor(None, _no_tag)


def parse_yaml(text: str, name: str):
    """The value that YAML text holds. name: what to call it in an error. ValueError for anything that is not plain and plain to read."""
    try:
        return yaml.load(text, Loader=_Strict)
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds bytes that are no UTF-8 text: {ascii(text)[:100]}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1})" if mark else ""
        raise ValueError(f"{name} is not valid YAML: {error.problem or error.context}{where}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"{name} is not valid YAML: it is nested too deeply, or contains itself") from None


def read_yaml(path: str | Path, what: str = "file"):
    """The value that a YAML file holds. what: what to call it in an error. ValueError where it cannot be read."""
    name = f"{what} {str(path)!r}"
    if os.path.isdir(path) or not os.path.exists(path):
        raise ValueError(f"{name} {'is a folder' if os.path.isdir(path) else 'does not exist'}")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    return parse_yaml(text, name)
