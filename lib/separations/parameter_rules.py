"""Rules that the parameters of a notebook must keep: ranges, members, relations, declared beside them and checked before anything runs.

    require(globals(), "n >= 2", "max(sizes) <= n_train  # the largest set is part of the training set")

stands in the cell after the parameters, tagged `parameter-rules`. Each rule is a Python expression of the parameters, with the reason
behind a `#` where it does not speak for itself. The notebook checks itself there; runs and sweeps read the rules beforehand.
"""

import ast
import io
import tokenize
from collections.abc import Mapping, Sequence
from functools import cache
from types import CodeType

BUILTINS = {
    f.__name__: f
    for f in (abs, all, any, bool, dict, divmod, enumerate, float, int, isinstance, len, list, max, min, pow, range)
}
BUILTINS |= {f.__name__: f for f in (round, set, sorted, str, sum, tuple, zip)}
METHODS = ("count", "get", "index", "items", "keys", "values", "startswith", "endswith", "is_integer")


@cache
def _compiled(rule: str) -> tuple[CodeType, str, str, tuple[str, ...], frozenset[str]]:
    """Code, expression, reason, all names and the rule's own names. ValueError where it is no plain expression."""
    try:
        text, reason = _without_reason(rule)
        tree = ast.parse(text, mode="eval")
        code = compile(tree, "<parameter rule>", "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"parameter rule {rule!r} is not a Python expression: {getattr(error, 'msg', error)}"
        ) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda | ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom) or (
            isinstance(node, ast.Attribute) and node.attr not in METHODS
        ):
            raise ValueError(f"parameter rule {rule!r}: {ast.unparse(node)} is not allowed in a rule")
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    local = frozenset(node.id for node in named if isinstance(node.ctx, ast.Store))
    return code, text, reason, tuple(dict.fromkeys(node.id for node in named if isinstance(node.ctx, ast.Load))), local


def _without_reason(rule: str) -> tuple[str, str]:
    """The expression, and the reason behind the first # that stands in no text."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(rule).readline):
            if token.type == tokenize.COMMENT and token.start[0] == 1:
                return rule[: token.start[1]].strip(), rule[token.start[1] + 1 :].strip()
    except (tokenize.TokenError, SyntaxError):
        pass  # the parser says what is wrong
    return rule.strip(), ""


def check_rules(rules: Sequence[str], values: Mapping, name: str = "") -> None:
    """ValueError with the first rule that the values do not keep: the parameters in it, their values, the rule and its reason.

    values: at least all parameters that the rules name; name: of the notebook, for the message.
    """
    where = f"{name}: " if name else ""
    for rule in rules:
        code, text, reason, names, local = _compiled(rule)
        given = {one: values[one] for one in names if one in values and not (one in BUILTINS and callable(values[one]))}
        missing = [one for one in names if one not in given and one not in local and one not in BUILTINS]
        if missing:
            raise ValueError(f"{where}parameter rule {rule!r} names {missing[0]!r}, which is no parameter")
        try:
            kept = bool(eval(code, {**given, "__builtins__": BUILTINS}))  # an expression of literals, checked above
        except Exception as error:  # a rule that cannot be evaluated is not kept: an empty list, a wrong type inside
            kept, reason = False, f"{reason + '; ' if reason else ''}{type(error).__name__}: {error}"
        if not kept:
            said = ", ".join(f"{one} = {_shown(value)}" for one, value in given.items())
            why = f" ({reason})" if reason else ""
            raise ValueError(f"{where}{f'{said}: ' if said else ''}{text} is needed{why}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def require(values: Mapping, *rules: str) -> None:
    """Check the parameters of the notebook at hand. values: `globals()`; rules: see the module. ValueError names the one not kept."""
    check_rules(rules, values)


def rules_of(notebook: Mapping, name: str = "notebook") -> tuple[str, ...]:
    """The rules that a notebook's cell tagged `parameter-rules` declares; none where it has no such cell.

    ValueError where the cell is more than one call of `require` with texts.
    """
    cells = [
        cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and "parameter-rules" in ((cell.get("metadata") or {}).get("tags") or [])
    ]
    if not cells:
        return ()
    wanted = 'one call, require(globals(), "...", ...), is needed'
    try:
        body = [node for node in ast.parse("\n".join(cells)).body if not isinstance(node, ast.Import | ast.ImportFrom)]
        (call,) = [node.value for node in body]
        if (
            not isinstance(call, ast.Call)
            or call.func.id != "require"
            or ast.unparse(call.args[0]) != "globals()"
            or call.keywords
        ):
            raise ValueError
        rules = tuple(ast.literal_eval(argument) for argument in call.args[1:])
        if not rules or not all(isinstance(rule, str) for rule in rules):
            raise ValueError
    except (SyntaxError, ValueError, AttributeError, TypeError, IndexError, RecursionError, MemoryError):
        raise ValueError(f"{name}: the cell tagged 'parameter-rules' cannot be read: {wanted}") from None
    for rule in rules:
        try:
            _compiled(rule)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return rules
