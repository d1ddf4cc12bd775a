"""Figures of executed notebooks: the pictures that their cells put out."""

import base64
import binascii
from collections.abc import Mapping


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
