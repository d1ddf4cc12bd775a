"""The pairs of the audit's page: each sample beside the training image that it matches, for a person to judge."""

import base64
from collections.abc import Sequence

import numpy as np

from .html_parts import facts, part, said, section, texts
from .words import count, finite, name, number, plain

PICTURES = {
    "sample": "Generated",
    "train": "Training {thing}",
    "aligned": "Training {thing}, altered",
    "second": "Second nearest",
    "difference": "Difference",
}


def pairs_section(pairs: Sequence[dict], thing: str = "image") -> str:
    """All pairs, in the order given, with a choice of those found or not found (no script)."""
    if not pairs:
        return section("pairs", "Pairs, worst first", [said("No pairs were kept.")])
    found = sum(found_or_not(pair) is True for pair in pairs)
    intro = (
        f"Each generated {thing} beside the training {thing} that it matches, the least likely by chance first. Judge for yourself: is the one a "
        f"copy of the other, or do the two only look alike as the second nearest does? p is the share of held-out {thing}s that match the training "
        f"set at least as closely. In the difference, middle grey means equal, but for what is too small to see."
    )
    if thing == "signal":
        intro = (
            intro.partition(" In the difference")[0]
            + " All are drawn to one scale, the difference around the dashed line of zero."
        )
    choice = _choice(len(pairs), found) if 0 < found < len(pairs) else ""
    cards = "".join(_card(i, pair, thing) for i, pair in enumerate(pairs, 1))
    return section("pairs", "Pairs, worst first", [said(intro), choice, f'<div class="pairs">{cards}</div>'])


def found_or_not(pair: dict) -> bool | None:
    """Whether a pair was found; None where that was not decided."""
    state = pair.get("found")
    return bool(state) if isinstance(state, bool | np.bool_) else None


def _choice(total: int, found: int) -> str:
    options = (("all", "all", total), ("found", "found", found), ("clear", "not found", total - found))
    inside = "".join(
        f'<label><input type="radio" name="show" id="show-{key}"{" checked" if key == "all" else ""}> {words} ({count(n)})</label>'
        for key, words, n in options
    )
    return f'<fieldset class="show"><legend>Show</legend>{inside}</fieldset>'


def _card(i: int, pair: dict, thing: str) -> str:
    state = found_or_not(pair)
    kind = "found" if state else "clear"
    mark = {True: "▲ found", False: "○ not found"}.get(state, "– not decided")
    rank = count(pair["rank"]) if finite(pair.get("rank")) is not None else str(i)
    how = pair.get("how")
    by = texts(pair, "by")
    scores = [(key, value) for key, value in part(pair, "scores").items() if finite(value) is not None]
    lines = [
        ("generated", name(pair.get("sample"))),
        ("training", name(pair.get("train")) + (f", here {plain(how)}" if how else "")),
        ("second nearest", name(pair.get("second"))),
        ("p", number(pair.get("p"))),
        ("found by", ", ".join(plain(one, 40) for one in by) if by else "no detector"),
    ]
    if (times := finite(pair.get("times"))) is not None:
        lines.append(
            (
                "times",
                f"{count(times)} generated {thing} matches it"
                if times == 1
                else f"{count(times)} generated {thing}s match it",
            )
        )
    if scores:
        lines.append(("scores", ", ".join(f"{plain(key, 40)} {number(value)}" for key, value in scores)))
    heading = f'<h3 id="pair-{i}">Pair {rank} <span class="mark">{mark}</span></h3>'
    return f'<article class="pair {kind}" aria-labelledby="pair-{i}">{heading}{_pictures(pair, rank, thing)}{facts(lines)}</article>'


def _pictures(pair: dict, rank: str, thing: str) -> str:
    images, shown = part(pair, "images"), []
    for key, words in PICTURES.items():
        if not (source := _source(images.get(key))):
            continue
        words = words.format(thing=thing)
        of = f": {plain(pair.get(key), 60)}" if key in ("sample", "train", "second") else ""
        kind = ' class="signal"' if isinstance(images[key], str) else ""
        image = f'<img src="{source}" alt="{words} of pair {rank}{of}"{kind}>'
        shown.append(f"<figure>{image}<figcaption>{words}</figcaption></figure>")
    return f'<div class="four">{"".join(shown)}</div>' if shown else said("There is no picture of this pair.", "note")


def _source(picture: object) -> str:
    """A picture as a data URI: bytes are PNG, text is SVG (as an image, in which no script runs); nothing for anything else."""
    if isinstance(picture, bytes | bytearray) and picture:
        return f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"
    if isinstance(picture, str) and picture:
        return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode('utf-8', 'replace')).decode('ascii')}"
    return ""
