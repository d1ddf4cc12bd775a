"""The icons of the theme, only those that the book shows: all of them together weigh more than a chapter."""

import re
from pathlib import Path

from ..files import write_whole

FILE = "_static/scripts/fontawesome.js"
# name: [width, height, [other names], "code point", "path" or ["path", "path"]],
ICON = re.compile(
    r'(?P<quote>"?)(?P<name>[a-z0-9-]+)(?P=quote):\[\d+,\d+,\[(?P<others>[^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?'
)
USED = re.compile(r"\bfa-([a-z0-9-]+)")


def slim_icons(html: Path) -> int:
    """Leave out of the theme's icons what no page and no script of a rendered book names; styles name all of them.

    Args:
        html: folder of the book.

    Returns:
        How many bytes less there are; 0 where the theme has no such file, or one of another shape.
    """
    file = html / FILE
    if not file.is_file():
        return 0
    used: set[str] = set()
    for path in html.rglob("*"):
        if path.suffix in (".html", ".js") and path.name not in ("fontawesome.js", "searchindex.js"):
            used |= set() if "mathjax" in path.parts else set(USED.findall(path.read_text(encoding="utf-8")))
    before = file.read_text(encoding="utf-8")

    def kept(found: re.Match) -> str:
        names = {found["name"], *re.findall(r'"([^"]+)"', found["others"])}
        return found[0] if names & used else ""

    after = ICON.sub(kept, before)
    if after != before:
        write_whole(file, after)
    return len(before.encode()) - len(after.encode())
