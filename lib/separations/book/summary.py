"""What the book found, in a few sentences, and which verdicts changed: `book/appendix/results.yml`, held against the evidence.

summary:                    sentences; each rests on verdicts of chapters, and the page says where a build reads otherwise
  - says: text
    rests on:
      - {claim: sep.prop-4.1, chapter: statistical/21_loss_gap, verdict: holds}
foremost: [1, 2]            numbers of the sentences that stand open, the others behind a fold; all where it is not there
changes:                    what the last version said, what this one says, and why
  - {claim: sep.prop-4.1, chapter: statistical/21_loss_gap, before: holds, now: not decided, why: text}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..ledger.verdicts import VERDICTS
from ..run.profiles import Book
from ..yaml_files import read_yaml

FILE = "book/appendix/results.yml"


@dataclass(frozen=True)
class Reading:
    """What a chapter says about a claim."""

    claim: str
    chapter: str
    verdict: str


@dataclass(frozen=True)
class Sentence:
    """A sentence and the verdicts that it rests on."""

    says: str
    rests_on: tuple[Reading, ...]


@dataclass(frozen=True)
class Change:
    """A verdict that is another one than in the last version. before: empty where there was none."""

    claim: str
    chapter: str
    before: str
    now: str
    why: str


@dataclass(frozen=True)
class Summary:
    """Sentences and changes, in their order; foremost: those that stand first, where not all do."""

    sentences: tuple[Sentence, ...] = ()
    changes: tuple[Change, ...] = ()
    foremost: tuple[Sentence, ...] = ()


def read_summary(book: Book) -> Summary:
    """The summary of a book; an empty one where it has none. ValueError names the entry that is not of the shape above."""
    path = book.root / FILE
    if not path.exists():
        return Summary()
    content = read_yaml(path, "summary of results")
    if not isinstance(content, dict) or set(content) - {"summary", "changes", "foremost"}:
        raise ValueError(f"{FILE}: a mapping with summary and changes is needed")
    sentences = tuple(_sentence(entry, i) for i, entry in enumerate(_list(content, "summary"), 1))
    changes = tuple(_change(entry, i) for i, entry in enumerate(_list(content, "changes"), 1))
    numbers = _list(content, "foremost")
    if not all(type(number) is int and 1 <= number <= len(sentences) for number in numbers):
        raise ValueError(f"{FILE}: foremost = {numbers}: numbers of sentences from 1 to {len(sentences)} are needed")
    return Summary(sentences, changes, tuple(sentences[number - 1] for number in numbers))


def deviations(summary: Summary, evidence: Sequence[Mapping]) -> dict[Reading, str]:
    """What a build says otherwise than the sentences and changes expect: the verdict it found; "not run" where there is none.

    evidence: records of notebooks with their claims, as the ledger writes them.
    """
    found = {
        (entry["id"], record["notebook"]): entry["verdict"] for record in evidence for entry in record.get("claims", [])
    }
    wanted = [one for sentence in summary.sentences for one in sentence.rests_on]
    wanted += [Reading(change.claim, change.chapter, change.now) for change in summary.changes]
    said = {one: found.get((one.claim, one.chapter), "not run") for one in wanted}
    return {one: word for one, word in said.items() if word != one.verdict}


def _list(content: Mapping, name: str) -> list:
    entries = content.get(name) or []
    if not isinstance(entries, list):
        raise ValueError(f"{FILE}: {name} holds a {type(entries).__name__}: a list is needed")
    return entries


def _fields(entry: object, names: Sequence[str], where: str) -> list[str]:
    """The texts of a mapping that has exactly these keys."""
    if not isinstance(entry, dict) or set(entry) != set(names) or not all(isinstance(entry[n], str) for n in names):
        raise ValueError(f"{FILE}: {where}: a mapping with {', '.join(names)}, all texts, is needed")
    return [entry[name].strip() for name in names]


def _sentence(entry: object, number: int) -> Sentence:
    where = f"sentence {number}"
    if not isinstance(entry, dict) or set(entry) != {"says", "rests on"} or not isinstance(entry["says"], str):
        raise ValueError(f"{FILE}: {where}: a mapping with says and rests on is needed")
    if not isinstance(entry["rests on"], list) or not entry["rests on"]:
        raise ValueError(f"{FILE}: {where} rests on nothing: a list of verdicts is needed")
    parts = [_fields(one, ("claim", "chapter", "verdict"), where) for one in entry["rests on"]]
    return Sentence(" ".join(entry["says"].split()), tuple(Reading(c, k, _word(v, where)) for c, k, v in parts))


def _change(entry: object, number: int) -> Change:
    where = f"change {number}"
    claim, chapter, before, now, why = _fields(entry, ("claim", "chapter", "before", "now", "why"), where)
    return Change(claim, chapter, _word(before, where) if before else "", _word(now, where), " ".join(why.split()))


def _word(word: str, where: str) -> str:
    if word not in VERDICTS:
        raise ValueError(f"{FILE}: {where}: verdict = {word!r}: one of {', '.join(VERDICTS)} is needed")
    return word
