"""Definitions that name one another in a circle, and the order in which a hash takes their parts."""

from collections.abc import Iterator

from .names import WHOLE, Key


def _circles(start: Key, uses, done: dict) -> Iterator[list[Key]]:
    """Strongly connected components that are reached from a definition, each after all that it uses (Tarjan)."""
    number, low, stack, on, work = {}, {}, [], set(), [(start, None)]
    while work:
        key, rest = work.pop()
        if rest is None:
            if key in number or key in done:
                continue
            number[key] = low[key] = len(number)
            stack.append(key)
            on.add(key)
            rest = iter(uses(key))
        for other in rest:
            if other in done:
                continue
            if other not in number:
                work += [(key, rest), (other, None)]
                break
            if other in on:
                low[key] = min(low[key], number[other])
        else:
            if work and work[-1][1] is not None:
                low[work[-1][0]] = min(low[work[-1][0]], low[key])
            if low[key] == number[key]:
                at = stack.index(key)
                circle, stack[at:] = stack[at:], []
                on -= set(circle)
                yield circle


def _in_order(form: list, name: str, own: dict, hashes: dict) -> list:
    """The parts of a form; of a whole module, which has no order, sorted by what they are."""
    if name not in ("", WHOLE):
        return form
    return sorted(form, key=lambda part: part if isinstance(part, str) else own.get(part) or hashes[part])
