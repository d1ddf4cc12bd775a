"""Every mathematical symbol of the chapters stands on the notation page, with one meaning a chapter.

A symbol is a letter with what belongs to it: an accent (`\\hat P` is not `P`), and a subscript or a superscript in
parentheses where the page lists it as such (`d_1` is not `d`). Other subscripts are indices: `x_i` and `x` are one symbol.
"""

import ast
import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
PAGE = BOOK / "notation.md"
CHAPTERS = {
    path.stem[:2]: path for path in sorted(BOOK.rglob("[0-9][0-9]_*.ipynb")) if ".ipynb_checkpoints" not in path.parts
}

GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi varpi rho varrho "
    "sigma varsigma tau upsilon phi varphi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell imath"
)
LETTERS = {f"\\{name}" for name in GREEK.split()}
ALPHABETS = {"\\mathcal", "\\mathfrak", "\\mathscr"}
ACCENTS = {"\\hat", "\\bar", "\\tilde", "\\dot", "\\vec", "\\widehat", "\\widetilde", "\\overline", "\\check"}
WORDS = {
    "\\text",
    "\\textrm",
    "\\mathrm",
    "\\mathbb",
    "\\operatorname",
    "\\mbox",
    "\\begin",
    "\\end",
    "\\label",
    "\\tag",
}
LANDAU = {"O", "o", "\\tilde O", "\\Omega", "\\Theta"}  # symbols of order, where a parenthesis follows
SIZES = {"\\big", "\\Big", "\\bigg", "\\Bigg", "\\left", "\\!"}
INDICES = set("ijkl")  # as a subscript they count points, coordinates or components
# symbols with one letter below that is no index
PARTICULAR = {"I_{d}", "\\sigma_{c}", "\\mu_{c}", "c_{l}", "c_{h}", "d_{k}"}
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)


@dataclass(frozen=True)
class Symbol:
    """A letter with its accents, and what is written at it."""

    base: str
    sub: str = ""
    sup: str = ""  # only a superscript in parentheses, as in \mu^{(k)}
    in_sub: tuple = field(default=(), compare=False)
    in_sup: tuple = field(default=(), compare=False)

    def names(self) -> list[str]:
        """Under what the page may list it, the most particular name first."""
        both = f"{self.base}_{{{self.sub}}}^{{{self.sup}}}" if self.sub and self.sup else ""
        sub = f"{self.base}_{{{self.sub}}}" if self.sub else ""
        sup = f"{self.base}^{{{self.sup}}}" if self.sup else ""
        return [name for name in (both, sub, sup, self.base) if name]


class Reader:
    """Reads the symbols of one formula."""

    def __init__(self, formula: str):
        self.tokens = TOKEN.findall(formula)
        self.at = 0

    def peek(self, offset: int = 0) -> str:
        return self.tokens[self.at + offset] if self.at + offset < len(self.tokens) else ""

    def space(self) -> None:
        while self.peek().isspace():
            self.at += 1

    def group(self) -> str:
        """The source of the argument that follows: a group, or one token with its own argument."""
        self.space()
        start = self.at
        if self.peek() != "{":
            self.at += 1
            if self.tokens[start : start + 1] and self.tokens[start] in ACCENTS | ALPHABETS | WORDS:
                self.group()
            return "".join(self.tokens[start : self.at])
        depth = 0
        while self.at < len(self.tokens):
            depth += {"{": 1, "}": -1}.get(self.peek(), 0)
            self.at += 1
            if depth == 0:
                break
        return "".join(self.tokens[start + 1 : self.at - 1])

    def base(self) -> tuple[str, list[Symbol]]:
        """Name of the letter that stands here, "" if it is none, with the symbols of an argument that is no single letter."""
        token = self.peek()
        self.at += 1
        if re.fullmatch(r"[A-Za-z]", token) or token in LETTERS:
            return token, []
        if token in ALPHABETS:
            return f"{token} {self.group().strip()}", []
        if token in ACCENTS:
            inner = self.group()
            found = symbols(inner)
            if len(found) == 1 and not found[0].sub:
                return f"{token} {found[0].base}", []
            return "", found
        if token in WORDS:
            if self.peek() == "*":
                self.at += 1
            self.group()
        return "", []

    def differential(self) -> bool:
        """Is the d that stands here that of an integral or a derivative: a letter right after it, none right before it?"""
        before = self.peek(-1) if self.at else ""
        after = self.peek(1)
        joined = re.fullmatch(r"[A-Za-z0-9]", before) or before in LETTERS or before == "\\sqrt"
        return self.peek() == "d" and bool(re.fullmatch(r"[A-Za-z]", after)) and not joined

    def read(self) -> list[Symbol]:
        found = []
        while self.at < len(self.tokens):
            if self.differential():
                self.at += 1
                continue
            base, inner = self.base()
            found += inner
            sub, sup, in_sub, in_sup = "", "", (), ()
            while True:
                start = self.at
                self.space()
                if self.peek() == "_":
                    self.at += 1
                    sub = re.sub(r"\s|\\[,!]", "", source := self.group())
                    in_sub = tuple(s for s in symbols(source) if s.base not in INDICES)
                elif self.peek() == "^":
                    self.at += 1
                    source = self.group()
                    in_sup = tuple(symbols(source))
                    if re.fullmatch(r"\(\w+\)", source.strip()):
                        sup, in_sup = source.strip(), tuple(s for s in in_sup if s.base not in INDICES)
                elif self.peek() == "'" and base:
                    self.at += 1
                else:
                    self.at = start
                    break
            if not base:
                found += [*in_sub, *in_sup]  # as of a sum, or of a bracket
            elif not (base in LANDAU and not sub and self.opens()):
                found.append(Symbol(base, sub, sup, in_sub, in_sup))
        return found

    def opens(self) -> bool:
        offset = 0
        while self.peek(offset) in SIZES or self.peek(offset).isspace():
            offset += 1
        return self.peek(offset) == "("


def symbols(formula: str) -> list[Symbol]:
    return Reader(formula).read()


def used(formula: str, listed: set[str]) -> set[str]:
    """Names of the symbols of a formula, as `listed` has them; a symbol that it does not have goes by its letter."""
    names, rest = set(), list(symbols(formula))
    while rest:
        symbol = rest.pop()
        name = next((name for name in symbol.names() if name in listed), symbol.base)
        names.add(name)
        rest += symbol.in_sup
        if not (symbol.sub and f"_{{{symbol.sub}}}" in name):
            rest += symbol.in_sub
    return names


def without_code(text: str) -> str:
    """The text without its blocks of code; a fence with braces, {note} say, opens a directive, which is text."""
    kept, fences = [], []
    for line in text.splitlines(keepends=True):
        fence = re.match(r"\s*(`{3,})\s*(\S*)", line)
        if not fence:
            kept += [] if fences and fences[-1][1] else [line]
        elif fences and not fence[2] and len(fence[1]) >= fences[-1][0]:
            fences.pop()
        elif not (fences and fences[-1][1]):
            fences.append((len(fence[1]), not fence[2].startswith("{")))
    return "".join(kept)


def formulas(text: str) -> list[str]:
    """Inline and display formulas of a text in Markdown."""
    text = without_code(text)
    text = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text)
    found = re.findall(r"(?s)\$\$(.+?)\$\$", text)
    text = re.sub(r"(?s)\$\$.+?\$\$", "", text)
    return found + re.findall(r"(?<![\\$])\$([^$\n]+?)(?<!\\)\$", text)


def labels(source: str) -> list[str]:
    """Formulas in the string literals of a code cell."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a magic
        return []
    texts, inside = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            parts = (part.value if isinstance(part, ast.Constant) else "0" for part in node.values)
            texts.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            texts.append(node.value)
    return [formula for text in texts for formula in formulas(text)]


@cache
def chapter_formulas(number: str) -> tuple[str, ...]:
    """All formulas of a chapter: text, captions and labels in figures."""
    found = []
    for cell in json.loads(CHAPTERS[number].read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            found += formulas(source)
        else:
            caption = cell["metadata"].get("mystnb", {}).get("figure", {}).get("caption", "")
            found += formulas(caption) + labels(source)
    return tuple(found)


def declared(cell: str) -> list[str]:
    """Symbols that the first column of a row declares: the first letter of each formula, unless an operator stands before it."""
    names = []
    for formula in re.findall(r"\$([^$]+)\$", cell):
        if not re.match(r"\\(nabla|operatorname|text|mathrm|lVert)\b", formula) and (found := symbols(formula)):
            names.append(found[0].names()[0])
    return names


def rows(page: str) -> list[tuple[str, list[str], list[str]]]:
    """Rows of the tables of symbols: header, symbols, and chapters in a table of local symbols."""
    found, header = [], ""
    for line in page.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else []
        if not cells:
            header = ""
        elif cells[0] == "symbol":
            header = " | ".join(cells)
        elif header and not set(cells[0]) <= set("-:"):
            numbers = re.findall(r"<[\w/]*?(\d\d)_\w+>", cells[1]) if "chapters" in header else []
            found.append((header, declared(cells[0]), numbers))
    return found


def index_dropped(name: str) -> str:
    """The name under which a row lists a symbol: an index is not part of it (p_t lists p), anything else is (d_1)."""
    return re.sub(r"_\{[a-z]\}$", "", name) if name not in PARTICULAR else name


def tables(page: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Global symbols, and pairs of a local symbol and its chapter; with repetitions."""
    everywhere = [index_dropped(name) for header, names, _ in rows(page) if "chapters" not in header for name in names]
    local = [
        (index_dropped(name), number)
        for header, names, numbers in rows(page)
        if "chapters" in header
        for name in names
        for number in numbers
    ]
    return everywhere, local


@cache
def page_tables() -> tuple[list[str], list[tuple[str, str]]]:
    return tables(PAGE.read_text(encoding="utf-8"))


def listed_for(number: str) -> set[str]:
    """What the page allows in a chapter."""
    everywhere, local = page_tables()
    return set(everywhere) | {name for name, chapter in local if chapter == number}


def all_used(number: str) -> set[str]:
    listed = listed_for(number)
    return set().union(*(used(formula, listed) for formula in chapter_formulas(number)))


# --- the reader of formulas, on small texts


def names(formula: str, listed: str = "") -> set[str]:
    return used(formula, set(listed.split()))


@pytest.mark.parametrize(
    "formula, expected",
    [
        (r"x_t = \alpha_t x_0 + \sigma_t\epsilon", {"x", "\\alpha", "\\sigma", "\\epsilon", "t"}),
        (r"\hat P_t \ne P_t", {"\\hat P", "P", "t"}),
        (r"\bar{w}_i", {"\\bar w"}),
        (r"\hat{\mathcal I}_h", {"\\hat \\mathcal I", "h"}),
        (r"\mathcal F(W, L, N)", {"\\mathcal F", "W", "L", "N"}),
        (r"\log \operatorname{tr}\Sigma \le \text{no word} + \mathrm{SNR}", {"\\Sigma"}),
        (r"\operatorname*{softmax}_i(y)", {"y"}),
        (r"\mathbb R^d", {"d"}),
        (r"\int f\,dx + \frac{dy}{ds}", {"f", "x", "y", "s"}),  # the d of an integral is no symbol
        (r"2d\nu + \sqrt d + nd", {"d", "\\nu", "n"}),  # the d of a product is one
        (r"O(\sqrt a) + \Theta\big(b\big) + \tilde O(c)", {"a", "b", "c"}),  # symbols of order are none
        (r"\Theta^\top\psi", {"\\Theta", "\\psi"}),
        (r"\sum_{i=1}^n x_{ij}", {"n", "x"}),  # indices are none
        (r"k x_{t_0}^k", {"k", "x", "t"}),
        (r"E_{X \sim \hat P_t}[u']", {"E", "X", "\\hat P", "t", "u"}),
        (r"\hat{xy}", {"x", "y"}),
    ],
)
def test_symbols_of_a_formula(formula, expected):
    assert names(formula) == expected


def test_a_listed_subscript_makes_another_symbol():
    assert names("d_1 < d_{2} + d_i + d", "d d_{1} d_{2}") == {"d", "d_{1}", "d_{2}"}
    assert names("d_1 < d", "d") == {"d"}
    assert names(r"P_{\mathrm{data}}, P_t", r"P P_{\mathrm{data}} t") == {"P", r"P_{\mathrm{data}}", "t"}
    assert names(r"\mu^{(k)} + \mu^2 + w^{(k)}", r"\mu^{(k)}") == {r"\mu^{(k)}", r"\mu", "w"}
    assert names("x^{(1)} + y^{ab}") == {"x", "y", "a", "b"}


def test_formulas_of_a_text():
    text = (
        "Let $a$ be\n$$\nb = c\n$$ (eq-x)\nno `$d$`, \\$5\n```{note}\n$e$\n```\n```\n$f$\n```\n"
        "```{exercise-start}\n```\n$g$\n```{exercise-end}\n```\n"
    )
    assert sorted(formula.strip() for formula in formulas(text)) == ["a", "b = c", "e", "g"]


def test_labels_of_a_cell():
    source = 'ax.set(xlabel="time $t$", ylabel=r"$\\alpha_t$")\npanel_label(ax, f"$n$ = {n}, $c = {c}$")  # $z$\n'
    assert sorted(labels(source)) == [r"$\alpha_t$".strip("$"), "c = 0", "n", "t"]
    assert labels("%magic $t$") == []


SMALL = """
| symbol | in code | meaning | defined in |
|---|---|---|---|
| $p_t$, $d_1$, $\\nabla\\log q$ | | | |

| symbol | chapters | meaning |
|---|---|---|
| $h$, $\\hat u_k$ | {doc}`11 <foundations/11_x>`, {doc}`22 <statistical/22_y>` | a step, in $z$ |

| other | table |
|---|---|
| $w$ | |
"""


def test_tables_of_a_page():
    everywhere, local = tables(SMALL)
    assert everywhere == ["p", "d_{1}"]
    assert sorted(local) == [("\\hat u", "11"), ("\\hat u", "22"), ("h", "11"), ("h", "22")]


# --- the page and the chapters


def test_the_page_has_both_kinds_of_tables():
    everywhere, local = page_tables()
    assert len(everywhere) > 30 and len(local) > 100


def test_a_global_symbol_is_never_a_local_one():
    everywhere, local = page_tables()
    assert not set(everywhere) & {name for name, _ in local}


def test_a_global_symbol_has_one_row():
    everywhere, _ = page_tables()
    twice = {name for name in everywhere if everywhere.count(name) > 1}
    assert twice <= {"x", "X", "P", "p"}  # a point and a law have a second row for what they are at time t


def test_a_local_symbol_has_one_meaning_in_a_chapter():
    _, local = page_tables()
    assert sorted(local) == sorted(set(local))


def test_rows_of_local_symbols_name_symbols_and_chapters():
    for header, found, numbers in rows(PAGE.read_text(encoding="utf-8")):
        if "chapters" in header:
            assert found and numbers and set(numbers) <= set(CHAPTERS), (found, numbers)


@pytest.mark.parametrize("number", CHAPTERS)
def test_every_symbol_of_a_chapter_is_listed(number):
    assert not all_used(number) - listed_for(number)


@pytest.mark.parametrize("number", CHAPTERS)
def test_every_local_symbol_is_used(number):
    _, local = page_tables()
    assert not {name for name, chapter in local if chapter == number} - all_used(number)


# Symbols that a page defines for itself; none of them means anything elsewhere.
OWN = {"near_rows.md": {"y", "r", "k", "b", "h", "\\tilde y", "\\tilde r", "\\tilde h", "\\check y", "\\check r"}}


def test_other_pages_use_global_symbols_alone():
    everywhere = set(page_tables()[0])
    for page in sorted(BOOK.rglob("*.md")):
        text = page.read_text(encoding="utf-8").split("(notation-local)=")[0]
        extra = set().union(*(used(formula, everywhere) for formula in formulas(text))) - everywhere
        # the notation page also says how others write things, and defines a divergence of two laws
        own = OWN.get(page.name, set())
        assert extra <= ({"Q", "q", "z", "k", "\\delta", "\\bar \\alpha"} if page == PAGE else own), page.name
        assert own <= extra, f"{page.name} does not use {own - extra}"
