"""The pictures on the first page come from chapters of this build, or the page says that they were not drawn; its findings are those of the results."""

import base64

import pytest

from separations.book.figures import figure_png
from separations.book.front_page import FINDINGS, REMEDIES, SHOWN, WHO_SITS_WHERE, front_files
from separations.book.summary import Reading, Sentence, Summary

FIGURE, PICTURE, TEXT = WHO_SITS_WHERE.figure, WHO_SITS_WHERE.picture, WHO_SITS_WHERE.text

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
    files = front_files([("part/01_a", notebook(name="other")), ("part/02_b", notebook(data))], Summary(), [])
    assert files[PICTURE] == PNG and REMEDIES.picture not in files and b"not drawn" in files[REMEDIES.text]
    text = files[TEXT].decode()
    assert "{figure} /book/_generated/who_sits_where.png" in text and ":alt: Points in a plane." in text
    assert "{doc}`/book/part/02_b`" in text


@pytest.mark.parametrize("odd", [notebook(), notebook("no base64!"), notebook(encoded(), name="other"), {"cells": []}])
def test_without_a_picture_the_page_says_so(odd):
    files = front_files([("part/01_a", odd)], Summary(), [])
    assert set(files) == {FINDINGS, *(one.text for one in SHOWN)} and b"not drawn" in files[TEXT]


def test_an_alternative_text_cannot_end_its_line():
    text = front_files([("part/01_a", notebook(encoded(), alt="a\n:::: \n# b"))], Summary(), [])[TEXT].decode()
    assert ":alt: a :::: # b" in text.splitlines()


def test_the_findings_say_where_they_stand_and_what_this_build_reads_otherwise():
    reading = Reading("a.claim", "part/01_a", "holds")
    summary = Summary((Sentence("Water is wet.", (reading,)), Sentence("So is rain.", (reading,))))
    told = {verdict: front_files([], summary, evidence(verdict))[FINDINGS].decode() for verdict in ("holds", "differs")}
    assert told["holds"].splitlines() == [
        "1. Water is wet. ({doc}`/book/part/01_a`)",
        "2. So is rain. ({doc}`/book/part/01_a`)",
    ]
    assert told["differs"].startswith(told["holds"]) and "read otherwise" in told["differs"]


def evidence(verdict):
    return [{"notebook": "part/01_a", "claims": [{"id": "a.claim", "verdict": verdict}]}]
