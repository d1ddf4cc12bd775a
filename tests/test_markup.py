"""Text that was not written for a page shows on it as it is: real MyST reads it, and nothing of it has become markup."""

import json
import random
from html.parser import HTMLParser

import pytest
import yaml
from docutils import nodes
from docutils.core import publish_doctree
from myst_parser.docutils_ import Parser

from separations.book import markup, pages
from separations.plotting import curves_slider
from separations.sweep.pictures import picture
from test_book import ROOT

HARMLESS = [
    '<b data-x="1">bold</b>', "`$x$`", "$x$", "$$x$$", "{doc}`x`", "{{name}}", "% gone", "<!-- gone -->", "[a](javascript:b)", "![a](b.png)",
    "[a]: b", "[^1]", "(here)=", "# Title", "## Title ##", "- item", "+ item", "* item", "1. item", "2) item", "> quoted", "a | b", ":::", "::::",
    ":::{note} x", "```", "~~~", "---", "===", "+++", ": a", ":a: b", "*em* **strong** __strong__ _em_", "&lt; &amp; &#60;", "http://example.org/x",
    "www.example.org", "see example.org now", "a@example.org", "<http://example.org>", "<a@example.org>", "a\\", "\\", "\\begin{align} x", "a\nb", "a\\\nb",
    "[ ] task", "[x]{.red}", "`a`{.red}", "`` a ` b ``", "a `", "| a | b |", "'quoted'", "1.", "1.5", "-", "e.g. this", "\\$x$", "x$y", "5 % of 3 < 4", "{", "}", "{a", "\t- a",
]  # fmt: skip
EXTENSIONS = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["parse"]["myst_enable_extensions"]
ALLOWED = (nodes.document, nodes.paragraph, nodes.Text, nodes.section, nodes.title, nodes.literal, nodes.literal_block)


def read(text: str) -> nodes.document:
    """What MyST makes of a page, with the book's own extensions. Warnings are errors."""
    settings = {"myst_enable_extensions": EXTENSIONS, "report_level": 2, "halt_level": 2, "_disable_config": True}
    return publish_doctree(text, parser=Parser(), settings_overrides=settings)


def kinds(document) -> set[str]:
    return {type(node).__name__ for node in document.findall()}


def shown(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("text", HARMLESS)
def test_plain_text_shows_as_it_is_in_a_paragraph_a_title_a_table_and_a_notice(text):
    document = read(f"{markup.plain(text)}\n")
    assert document.astext() == shown(text) and kinds(document) == {"document", "paragraph", "Text"}
    titled = read(f"# {markup.plain(text)}\n\nText\n")
    assert titled.next_node(nodes.title).astext() == shown(text)
    table = read(pages.list_table(("A", markup.plain(text)), [("1", markup.plain(text)), ("2", "b")], "50 50"))
    assert [entry.astext() for entry in table.findall(nodes.entry)] == ["A", shown(text), "1", shown(text), "2", "b"]
    assert not list(
        table.findall(lambda node: isinstance(node, nodes.raw | nodes.reference | nodes.math | nodes.emphasis))
    )
    notice = read(pages.failed_notice(text, 3))
    [code] = notice.findall(nodes.literal_block)
    assert shown(code.astext()) == shown(text) and "raw" not in kinds(notice)


@pytest.mark.parametrize("text", HARMLESS)
def test_code_and_blocks_end_where_they_should(text):
    inline = read(f"before {markup.code(text)} after\n")
    assert inline.astext() == f"before {shown(text)} after" and "literal" in kinds(inline)
    for content in (text, f"{text}\n```\n{text}\n:::\n"):
        document = read(markup.directive("note", "", markup.block(content)) + "\nafter\n")
        [code] = document.findall(nodes.literal_block)
        assert code.astext().strip("\n") == content.strip("\n") and document.children[-1].astext() == "after"


def test_prose_keeps_mathematics_and_nothing_else():
    document = read(markup.prose("Of order $n^{-1/d}$ and <b>$\\|x\\|_2$</b>, *not* $ alone\n"))
    assert [node.astext() for node in document.findall(nodes.math)] == ["n^{-1/d}", "\\|x\\|_2"]
    assert "<b>" in document.astext() and "*not* $ alone" in document.astext() and "raw" not in kinds(document)
    for text in HARMLESS:
        assert not kinds(read(f"{markup.prose(text)}\n")) - {"document", "paragraph", "Text", "math"}, text


def test_any_signs_in_any_order_show_as_they_are():
    draw = random.Random(0)
    signs = list("\\`*_{}[]<>()#+-.!|$%&~^@:;=/'\" \nab1")
    for _ in range(300):
        text = "".join(draw.choices(signs, k=draw.randint(1, 12)))
        document = read(f"{markup.plain(text)}\n\n{markup.code(text or 'a')}\n")
        if shown(text):
            assert document.children[0].astext() == shown(text), repr(text)
            assert document.children[1].astext() == shown(text), repr(text)


def test_an_option_of_a_directive_holds_any_text():
    for text in HARMLESS:
        document = read(markup.directive("figure", "a.png", "Text", alt=markup.option(text)))
        assert document.next_node(nodes.image)["alt"] == shown(text)


def test_signs_that_no_page_can_hold_are_replaced():
    assert markup.plain("a\x00\x1b[31mb\ud800") == "a��\\[31mb�"
    assert markup.plain("a\x00").encode() and markup.block("a\ud800\nb").encode()


def test_a_link_shows_its_text_and_names_a_page():
    assert markup.link("a [b](c)", "sweeps/s") == "[a \\[b\\](c)](sweeps/s.md)"
    with pytest.raises(ValueError, match="page = 'a b'"):
        markup.link("a", "a b")


def test_texts_in_a_figure_with_sliders_are_text():
    class Tags(HTMLParser):
        found, scripts = (), ()

        def handle_starttag(self, tag, attributes):
            self.found += ((tag, dict(attributes)),)

        def handle_data(self, data):
            if self.found and self.found[-1][0] == "script" and data.strip():
                self.scripts += (data,)

    hostile = "</script><b data-x='1'>\"bold\"</b> & <!--"
    figure = curves_slider(
        "a-name", [0.0, 1.0], {hostile: [[0.0, 1.0], [1.0, 2.0]]}, {f"{hostile} s": [1.0, 2.0]}, xlabel=hostile, ylabel=hostile,
        readouts=[[hostile, "b"]],
    )  # fmt: skip
    page = Tags()
    page.feed(figure.html)
    assert not [tag for tag, attributes in page.found if "data-x" in attributes or tag == "b"]
    assert [tag for tag, _ in page.found].count("script") == 2 == figure.html.count("</script>")
    assert json.loads(page.scripts[0])["texts"] == [[hostile, "b"]]
    with pytest.raises(ValueError, match="name = "):
        curves_slider(hostile, [0.0, 1.0], {"a": [[0.0, 1.0]]}, {"s": [1.0]}, xlabel="x", ylabel="y")


def test_mathematics_and_markup_in_names_are_text_in_pictures():
    for text in ("$x_$", "$", "a $ b $ c", "<b>", "$\\frac$", "a\nb"):
        rows = [{"n": i, f"{text}": text, f"measure.{text}": float(i), "state": "done"} for i in range(3)]
        for axes in ([], ["n"], ["n", text], [text]):
            assert picture(rows, axes, [f"measure.{text}"])[:4] == b"\x89PNG"
