"""The page of results: every claim of a source, what it reports, what was found here, and the verdict."""

import re
from collections.abc import Mapping, Sequence

from ..ledger.verdicts import VERDICTS, Finding
from .card import verdict_word
from .markup import code, directive, one_line, plain, prose
from .pages import chapter_link, list_table
from .summary import Sentence, Summary, deviations

VERDICT_MARKS = {word: verdict_word(word) for word in VERDICTS}
FILTERS = '```{raw} html\n<script src="../../_static/results.js" defer></script>\n```\n'

VERDICTS_MEAN = (
    "A claim is taken apart into findings: an estimate, its 95 % interval, a criterion, and what must be given for the number to count. "
    "A finding *holds* if its whole interval meets the criterion, *differs* if no value of it does, and is *not decided* otherwise: an "
    "interval that is too wide says nothing. A claim *holds* if all of its findings hold, *differs* if all differ, *holds in part* if some "
    "hold and others differ, and is *not decided* otherwise. Of a question, *holds* is yes and *differs* is no. Each verdict carries "
    "the scale at which it was found, and an analogue is called one. "
    "A theorem is not proved by any of this: its conditions were set up, and its statement looked for. "
    "Where several notebooks say something about a claim, they are numbered; the findings stand below the tables.\n"
)

SOURCES = {  # as claims.yml calls them -> heading, what stands below it
    "separations": ("Provable separations", "The claims of {cite:t}`ye2026separations`.\n"),
    "control": ("Memorization control", "The claims of {cite:t}`vu2026control`.\n"),
    "essay": ("Memorization effect of diffusion models", "The claims of {cite:t}`wu2025essay`.\n"),
    "own": ("Questions of this book, on a model of one's own", ""),
    "landscape": (
        "The landscape",
        "Claims of other works, each named in its row, and questions that this book asks of them together.\n",
    ),
}

FIGURE = re.compile(r"[A-Za-z][\w.:-]*")  # a name that a reference can hold
CITED = re.compile(r"[A-Za-z][\w-]*")  # a key of the bibliography


def results_page(
    claims: Mapping[str, Mapping],
    evidence: Sequence[Mapping],
    places: Mapping[str, str],
    larger: Sequence[Mapping] = (),
    summary: Summary | None = None,
) -> str:
    """The page of results: every registered claim, what its source says, what was found here and at larger profiles.

    claims: id -> source, where, kind, statement, reported; evidence: of the fresh runs, as the ledger writes it;
    places: figure name -> notebook, for the figures that exist; larger: records of `separations.book.evidence`; summary: what stands on
    top, and what changed.
    """
    summary = summary or Summary()
    beyond: dict[str, list[tuple[Mapping, Mapping]]] = {}
    for record in larger:
        for entry in record["claims"]:
            beyond.setdefault(entry["id"], []).append((record, entry))
    found: dict[str, list[tuple[str, Mapping]]] = {}
    for record in evidence:
        for entry in record.get("claims", []):
            found.setdefault(entry["id"], []).append((record["notebook"], entry))
    verdicts = [entry["verdict"] for entries in found.values() for _, entry in entries]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS)
    parts = [
        "---\nhtml_theme.sidebar_secondary.remove: true\n---\n",  # the tables need the width
        "# Results: the claims and what we found\n",
        *_in_short(summary, evidence),
        "## The claims\n",
        "Every claim of a source that this book tests has a row here, also the ones that no chapter has tested yet. "
        "The page is generated from the evidence that the chapters recorded when this book was built.\n",
        f"{len(claims)} claims are registered, {len(found)} have evidence in this build; verdicts recorded: {counts}.\n",
        directive("dropdown", "What the verdicts mean", VERDICTS_MEAN),
        _larger_note(larger),
        FILTERS,
    ]
    for group in dict.fromkeys(group_of(claim) for claim in claims.values()):
        rows = [
            _claim_row(key, claim, found.get(key, []), places, beyond.get(key, []))
            for key, claim in claims.items()
            if group_of(claim) == group
        ]
        header = ("Claim", "Statement", "Reported", "Ours", "Verdict", "Larger profiles", "Where to look")
        heading, below = SOURCES[group]
        parts += [f"## {heading}\n", below, list_table(header, rows, "13 17 11 18 16 13 12", "wide results claims")]
    return "\n".join([*parts, *_findings(claims, found), *_changes(summary)])


def sentences(summary: Summary) -> list[str]:
    """The sentences of the summary as a numbered list, each with its chapters."""
    return _list_of([_sentence(one, {}) for one in summary.sentences]).splitlines()


def _in_short(summary: Summary, evidence: Sequence[Mapping]) -> list[str]:
    """The sentences on top: the first few open, the others behind a fold, each with its chapters and what this build reads otherwise."""
    if not summary.sentences:
        return []
    lines = {one: _sentence(one, deviations(summary, evidence)) for one in summary.sentences}
    first = [one for one in summary.sentences if one in summary.foremost] or list(summary.sentences)
    others = [one for one in summary.sentences if one not in first]
    words = {5: "Five findings", 10: "In ten sentences"}
    parts = [f"## {words.get(len(first), 'In short')}\n", _list_of([lines[one] for one in first])]
    if others:
        title = f"{len(others)} more"
        parts.append(directive("dropdown", title, _list_of([lines[one] for one in others], len(first) + 1)))
        parts.append("```{include} ../_generated/who_sits_where.md\n```\n")
    return parts


def _sentence(sentence: Sentence, other: Mapping) -> str:
    chapters = ", ".join(dict.fromkeys(chapter_link(one.chapter) for one in sentence.rests_on))
    against = [f"{code(one.claim)} reads *{other[one]}*" for one in sentence.rests_on if one in other]
    note = f" **In this build {', '.join(against)}.**" if against else ""
    return f"{prose(sentence.says)} ({chapters}){note}"


def _list_of(lines: Sequence[str], first: int = 1) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, first)) + "\n"


def _changes(summary: Summary) -> list[str]:
    """The verdicts that are others than in the last version."""
    if not summary.changes:
        return []
    rows = [
        (
            code(one.claim),
            chapter_link(one.chapter),
            VERDICT_MARKS.get(one.before, "none"),
            VERDICT_MARKS[one.now],
            prose(one.why),
        )
        for one in summary.changes
    ]
    table = list_table(("Claim", "Chapter", "Before", "Now", "Why"), rows, "16 20 11 11 42", "wide results changes")
    return ["(results-changes)=\n## What changed against the last version\n", table]


def _findings(claims: Mapping[str, Mapping], found: Mapping[str, list]) -> list[str]:
    """The findings from which the verdicts of this build follow."""
    rows = []
    for key, entries in ((key, found[key]) for key in claims if key in found):
        for notebook, entry in entries:
            for i, record in enumerate(entry.get("findings", [])):
                part = Finding.from_record(record)
                first = (code(key), chapter_link(notebook)) if i == 0 else ("", "")
                rows.append((*first, plain(part.what), plain(part.number), _needed(part), VERDICT_MARKS[part.verdict]))
    if not rows:
        return []
    header = ("Claim", "Chapter", "What was measured", "Estimate and interval", "Criterion", "Finding")
    text = "(results-findings)=\n## The findings behind the verdicts\n"
    return [text, list_table(header, rows, "16 16 26 16 14 12", "wide results behind")]


def _needed(part: Finding) -> str:
    return plain(f"{part.criterion}; not given: {part.unmet}" if part.unmet else str(part.criterion))


def _larger_note(larger: Sequence[Mapping]) -> str:
    """What the column of larger profiles holds."""
    runs = ", ".join(
        f"{code(profile)}: {sum(record['profile'] == profile for record in larger)}"
        for profile in dict.fromkeys(record["profile"] for record in larger)
    )
    if not runs:
        return "Beside this build there is no evidence of a larger profile yet: {doc}`batch` says how to make and store some.\n"
    return (
        "The column *Larger profiles* has what the same notebooks recorded with the parameters of other profiles "
        f"({{doc}}`batch`); notebooks with such a run, by profile: {runs}. "
        "A run of an earlier state of the notebook or the library is marked as such.\n"
    )


def _beyond(entries: Sequence[tuple[Mapping, Mapping]], number: Mapping[str, str]) -> str:
    """What larger profiles found about a claim. number: how a notebook is numbered in this row."""
    said = []
    for record, entry in entries:
        name, mark = code(record["profile"]), VERDICT_MARKS[entry["verdict"]]
        before = number.get(record["notebook"], f"{chapter_link(record['notebook'])} " if number else "")
        earlier = ", earlier sources" if record["outdated"] else ""
        said.append(f"{before}{name}{earlier}: {mark}; {plain(entry['ours'])}")
    return " ".join(f"{text}." for text in said) or "not run"


def _scale(entry: Mapping) -> str:
    """At which sizes a verdict was found, and on what, if that is an analogue of what the source has."""
    analogue = f"an analogue: {entry['analogue']}" if entry.get("analogue") else ""
    return plain("; ".join(text for text in (analogue, entry.get("scale", "")) if text))


def group_of(claim: Mapping) -> str:
    """The heading under which a claim stands: that of its source, or the landscape for any other work."""
    source = str(claim.get("source", ""))
    return source if source in SOURCES else "landscape"


def cited(key: str) -> str:
    """A work by its key in the bibliography; as code where that is no key."""
    return f"{{cite:t}}`{key}`" if CITED.fullmatch(key) else code(key)


def _claim_row(
    key: str, claim: Mapping, entries: list, places: Mapping[str, str], beyond: Sequence = ()
) -> tuple[str, ...]:
    paper = "" if (source := str(claim.get("source", ""))) in SOURCES else f"{cited(source)}, "
    name = f"{paper}{prose(claim.get('where', ''))} {code(key)}"
    said = (name, prose(claim.get("statement", "")), prose(claim.get("reported", "")))
    if not entries:
        return (*said, "–", "not run", _beyond(beyond, {}), "–")
    several = list(dict.fromkeys(notebook for notebook, _ in entries))
    number = {notebook: f"({i}) " if len(several) > 1 else "" for i, notebook in enumerate(several, 1)}
    ours = " ".join(f"{number[notebook]}{plain(one_line(entry['ours']).rstrip('.'))}." for notebook, entry in entries)
    marks = [(number[notebook], VERDICT_MARKS[entry["verdict"]]) for notebook, entry in entries]
    alike = len({mark for _, mark in marks}) == 1
    verdict = marks[0][1] if alike else " ".join(f"{before}{mark}" for before, mark in marks)
    scales = [number[notebook] + _scale(entry) for notebook, entry in entries if _scale(entry)]
    verdict += f" ({' '.join(scales)})" if scales else ""
    links = []
    for notebook, entry in entries:
        figure = entry.get("figure", "")
        seen = f", {{numref}}`{figure}`" if places.get(figure) and FIGURE.fullmatch(figure) else ""
        links.append(f"{number[notebook]}{chapter_link(notebook)}{seen}")
    return (*said, ours, verdict, _beyond(beyond, number), "; ".join(links))
