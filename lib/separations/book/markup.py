"""The one place where text becomes MyST: what was not written for a page is escaped here before it stands on one.

Parameters, titles of sweeps, recorded evidence, messages of errors and names of files are plain text: nothing in them may turn into
HTML, a role, a link, mathematics, a comment, or the end of the block that holds them.
"""

import json
import re

SPECIAL = re.compile(r"([\\`*_{}\[\]<#$&|@])")
LINKED = re.compile(
    r"(?<=\S)(?<!\d)\.(?=\S)|\.(?=[^\s\d])|:(?=//)"
)  # `linkify` makes links of what looks like an address
FIRST = re.compile(
    r"^(\d*)([-+:>~%(=.)])"
)  # begins a list, a quotation, a comment, a label or a fence at the start of a line
MATHS = re.compile(r"\$(?:[^$\\`]|\\[^`])+\$")
UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # no page can hold these
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def one_line(text: object) -> str:
    """Text on one line, without characters that no page can hold. Not escaped."""
    return " ".join(UNSEEN.sub("�", str(text)).split())


def plain(text: object) -> str:
    """Any text in one line of MyST that shows exactly that text."""
    return FIRST.sub(r"\1\\\2", _escaped(one_line(text)))


def heading(text: object) -> str:
    """Any text as the title of a page. The theme prints titles a second time, for paper, without escaping them: no sign opens a tag."""
    return f"# {plain(one_line(text).translate(str.maketrans('<>&', '＜＞＆')))}\n"


def prose(text: object) -> str:
    """Text of the book's own registers in one line of MyST: mathematics between dollars stays, all else shows exactly that text."""
    line, parts, at = one_line(text), [], 0
    for found in MATHS.finditer(line):
        parts += [_escaped(line[at : found.start()]), found[0]]
        at = found.end()
    return FIRST.sub(r"\1\\\2", "".join([*parts, _escaped(line[at:])]))


def _escaped(text: str) -> str:
    """A part of a line, with the blanks at its ends."""
    return LINKED.sub(r"\\\g<0>", SPECIAL.sub(r"\\\1", text))


def code(text: object) -> str:
    """Any text in one line as inline code."""
    line = one_line(text)
    fence = "`" * (_longest("`", line) + 1)
    room = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{room}{line}{room}{fence}"


def block(text: object, language: str = "text") -> str:
    """Any text as a code block; nothing in it can end the block."""
    content = UNSEEN.sub("�", str(text)).strip("\n")
    fence = "`" * max(3, _longest("`", content) + 1)
    return f"{fence}{language}\n{content}\n{fence}"


def directive(name: str, argument: str, body: str, /, **options: str) -> str:
    """A MyST directive around a body of MyST, with a fence that nothing in the body can end. argument: MyST in one line."""
    fence = ":" * max(4, _longest(":", body) + 1)
    lines = [f":{option}: {value}" for option, value in options.items()]
    return "\n".join([f"{fence}{{{name}}} {argument}".rstrip(), *lines, "", body.strip("\n"), fence, ""])


def option(text: object) -> str:
    """Any text as the value of a directive's option."""
    return json.dumps(one_line(text), ensure_ascii=False)


def link(text: object, page: str) -> str:
    """A link to a page of the book, by its path without the extension. ValueError for a path with other signs than names have."""
    if not all(PLAIN_NAME.fullmatch(part) for part in page.strip("/").split("/")):
        raise ValueError(f"page = {page!r}: letters, digits, _ - and . are allowed in the name of a page")
    return f"[{plain(text)}]({page}.md)"


def _longest(sign: str, text: str) -> int:
    """Length of the longest run of a sign."""
    return max((len(run) for run in re.findall(f"{re.escape(sign)}+", text)), default=0)
