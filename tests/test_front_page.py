"""The picture on the first page comes from a chapter of this build, or the page says that it was not drawn."""

import base64

import pytest

from separations.book.front_page import FIGURE, PICTURE, TEXT, figure_png, front_files

PNG = b"\x89PNG\r\n\x1a\n and the rest"


def notebook(data=None, name=FIGURE, alt="Points in a plane."):
    figure = {"figure": {"name": name, "caption": "c"}, "image": {"alt": alt}}
    outputs = [{"output_type": "stream", "text": "x"}]
    outputs += [] if data is None else [{"output_type": "display_data", "data": {"image/png": data}}]
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "# T"}]
    return {"cells": [*cells, {"cell_type": "code", "metadata": {"mystnb": figure}, "outputs": outputs, "source": ""}]}


def encoded(png=PNG):
    return base64.b64encode(png).decode()


@pytest.mark.parametrize("data", [encoded(), [encoded()[:5], encoded()[5:]]])
def test_the_figure_is_that_of_the_executed_chapter(data):
    assert figure_png(notebook(data), FIGURE) == (PNG, "Points in a plane.")
    files = front_files([("part/01_a", notebook(name="other")), ("part/02_b", notebook(data))])
    assert files[PICTURE] == PNG
    text = files[TEXT].decode()
    assert "{figure} /book/_generated/who_sits_where.png" in text and ":alt: Points in a plane." in text
    assert "{doc}`/book/part/02_b`" in text


@pytest.mark.parametrize("odd", [notebook(), notebook("no base64!"), notebook(encoded(), name="other"), {"cells": []}])
def test_without_a_picture_the_page_says_so(odd):
    files = front_files([("part/01_a", odd)])
    assert list(files) == [TEXT] and b"not drawn" in files[TEXT]


def test_an_alternative_text_cannot_end_its_line():
    text = front_files([("part/01_a", notebook(encoded(), alt="a\n:::: \n# b"))])[TEXT].decode()
    assert ":alt: a :::: # b" in text.splitlines()
