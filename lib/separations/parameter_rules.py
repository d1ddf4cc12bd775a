"""Rules that the parameters of a notebook must keep: ranges, members, relations, declared beside them and checked before anything runs.

    require(globals(), "n >= 2", "max(sizes) <= n_train  # the largest set is part of the training set")

stands in the cell after the parameters, tagged `parameter-rules`. Each rule is a Python expression of the parameters, with the reason
behind a `#` where it does not speak for itself. The notebook checks itself there; runs and sweeps read the rules beforehand.
"""

import ast
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
def _compiled(rule: str) -> tuple[CodeType, str, str, tuple[str, ...]]:
    """Code, expression, reason and the parameters of a rule. ValueError where it is no plain expression."""
    text, _, reason = rule.partition("#")
    text = text.strip()
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"parameter rule {rule!r} is not a Python expression: {error.msg}") from None
    local = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda | ast.NamedExpr | ast.Await | ast.Yield) or (
            isinstance(node, ast.Attribute) and node.attr not in METHODS
        ):
            raise ValueError(f"parameter rule {rule!r}: {ast.unparse(node)} is not allowed in a rule")
        if isinstance(node, ast.Name) and node.id not in local and node.id not in BUILTINS:
            names.append(node.id)
    return compile(tree, "<parameter rule>", "eval"), text, reason.strip(), tuple(dict.fromkeys(names))


def check_rules(rules: Sequence[str], values: Mapping, name: str = "") -> None:
    """ValueError with the first rule that the values do not keep: the parameters in it, their values, the rule and its reason.

    values: at least all parameters that the rules name; name: of the notebook, for the message.
    """
    for rule in rules:
        code, text, reason, names = _compiled(rule)
        missing = [one for one in names if one not in values]
        if missing:
            raise ValueError(f"parameter rule {rule!r} names {missing[0]!r}, which is no parameter")
        given = {one: values[one] for one in names}
        try:
            kept = eval(code, {"__builtins__": BUILTINS, **given})  # an expression of literals, checked above
        except Exception as error:  # a rule that cannot be evaluated is not kept: an empty list, a wrong type inside
            kept, reason = False, f"{type(error).__name__}: {error}"
        if not kept:
            said = ", ".join(f"{one} = {value!r}" for one, value in given.items())
            why = f" ({reason})" if reason else ""
            raise ValueError(f"{f'{name}: ' if name else ''}{said}: {text} is needed{why}")


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
        if cell["cell_type"] == "code" and "parameter-rules" in cell.get("metadata", {}).get("tags", [])
    ]
    if not cells:
        return ()
    wanted = 'one call, require(globals(), "...", ...), is needed'
    try:
        body = [node for node in ast.parse("\n".join(cells)).body if not isinstance(node, ast.Import | ast.ImportFrom)]
        (call,) = [node.value for node in body]
        if call.func.id != "require" or ast.unparse(call.args[0]) != "globals()" or call.keywords:
            raise ValueError
        rules = tuple(ast.literal_eval(argument) for argument in call.args[1:])
        if not rules or not all(isinstance(rule, str) for rule in rules):
            raise ValueError
    except (SyntaxError, ValueError, AttributeError, TypeError, IndexError):
        raise ValueError(f"{name}: the cell tagged 'parameter-rules' cannot be read: {wanted}") from None
    for rule in rules:
        _compiled(rule)
    return rules
