"""What the first page shows of the chapters: a figure of one of them, as it came out in this build."""

import base64
import binascii
from collections.abc import Mapping, Sequence

from .markup import directive, one_line
from .pages import chapter_link

FIGURE = "fig-who-sits-where"
PICTURE = "book/_generated/who_sits_where.png"
TEXT = "book/_generated/who_sits_where.md"


def figure_png(notebook: Mapping, name: str) -> tuple[bytes, str] | None:
    """The picture of a figure of an executed notebook, and its alternative text.

    Args:
        notebook: as nbformat stores it.
        name: of the figure, in the metadata of its cell.

    Returns:
        A PNG and a text; None where the notebook has no such figure, or it was not drawn.
    """
    for cell in notebook["cells"]:
        shown = cell.get("metadata", {}).get("mystnb", {})
        if not isinstance(shown, Mapping) or (shown.get("figure") or {}).get("name") != name:
            continue
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get("image/png")
            if data is None:
                continue
            try:
                return base64.b64decode("".join("".join(data).split()), validate=True), str(
                    (shown.get("image") or {}).get("alt", "")
                )
            except (binascii.Error, ValueError):
                return None
    return None


def front_files(notebooks: Sequence[tuple[str, Mapping]]) -> dict[str, bytes]:
    """What the first page includes: the picture and the text that shows it, or a line that says that it is not there.

    Args:
        notebooks: the chapters by key, as the book shows them.

    Returns:
        Relative path -> content.
    """
    for key, notebook in notebooks:
        if (found := figure_png(notebook, FIGURE)) is None:
            continue
        png, alt = found
        body = (
            "Copies upward, agreement with a twin of disjoint data to the right: closed forms of the theories (squares), and networks "
            f"along their training, from the hollow points. {chapter_link(key)} explains it."
        )
        text = directive("figure", f"/{PICTURE}", body, alt=one_line(alt))
        return {PICTURE: png, TEXT: text.encode()}
    return {TEXT: b"*The picture of who sits where was not drawn in this build.*\n"}
