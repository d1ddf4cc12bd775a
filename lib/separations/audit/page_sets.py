"""The section of the audit's page about what was read: sets, settings, machine."""

import json
from collections.abc import Mapping

from ..readable import duration
from .html_parts import bullets, facts, part, said, section, texts
from .words import count, finite, name, number, plain

SETS = {"generated": "Generated", "train": "Training", "held_out": "Held-out"}


def sets_section(report: object) -> str:
    """What was read and what was left out, the settings, the machine."""
    sets, cards = part(report, "sets"), []
    for key, title in SETS.items():
        one = part(sets, key)
        cards.append(f"<div><h3>{title}</h3>{_set(one) if one else said('No such set was given.')}</div>")
    body = [f'<div class="sets">{"".join(cards)}</div>']
    for key, title in (("setting", "Settings"), ("machine", "Machine")):
        body.append(f"<h3>{title}</h3>")
        found = part(report, key)
        body.append(
            facts((str(k).replace("_", " "), _value(v)) for k, v in found.items()) if found else said("Not recorded.")
        )
    lines = [
        (label, plain(report.get(key)))
        for key, label in (("version", "separations"), ("format", "format"), ("made", "made"))
        if report.get(key) is not None
    ]
    lines += [("took", duration(finite(report["seconds"])))] if finite(report.get("seconds")) is not None else []
    body += ["<h3>This report</h3>", facts(lines)] if lines else []
    return section("sets", "What was read", body)


def _set(one: Mapping) -> str:
    lines = [
        ("source", name(one.get("source"))),
        ("read", f"{count(one.get('n'))} {plain(one.get('kind') or '')}".strip()),
        ("left out", count(one.get("left_out"))),
        ("SHA-256", f"<code>{plain(one.get('digest'))}</code>"),
    ]
    left = one.get("examples_left_out")
    left = (
        [pair for pair in left if isinstance(pair, list | tuple) and len(pair) == 2]
        if isinstance(left, list | tuple)
        else []
    )
    why = (
        f"<p>Left out, for example:</p><ul>{''.join(f'<li>{name(who)}: {plain(reason, 300)}</li>' for who, reason in left)}</ul>"
        if left
        else ""
    )
    return facts(lines) + bullets(texts(one, "notes")) + why


def _value(value: object) -> str:
    if value is None or isinstance(value, str | bool):
        return plain({True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value, 600)
    if isinstance(value, int):
        return plain(value)
    return number(value) if isinstance(value, float) else plain(json.dumps(value, default=str, ensure_ascii=False), 600)
