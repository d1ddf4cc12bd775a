"""The audit's page: every section whatever is missing, foreign text as text, nothing fetched, charts that draw their numbers."""

import base64
import copy
import io
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import audit_report as made
from separations.audit import charts, words
from separations.audit.page import POLICY, page, summary
from separations.audit.pictures import difference, pair_pictures, png

SECTIONS = ("verdict", "pairs", "detectors", "power", "copied", "distribution", "model", "sets", "reading", "method")
VOID = {"meta", "img", "input", "br", "hr", "link", "rect", "path", "circle"}
EVIL = (
    '"><script>alert(1)</script>.png',
    "' onerror='alert(1)",
    "a\nb\r\n</style><img src=x onerror=alert(1)>",
    "safe\u202egnp.exe\u2066\u200f",
    "]]><!--<svg onload=alert(1)>-->",
    "javascript:alert(1)",
    "x" * 4000,
    "\ud800\x00\x1b[31m&lt;b&gt;",
    "",
)


class Parsed(HTMLParser):
    """Elements with their attributes, the text, and whether every element is closed where it should be."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.faults, self.text = [], [], [], []
        self.feed(text)
        self.close()
        self.faults += self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if len(dict(attributes)) < len(attributes):
            self.faults.append(f"{tag} has an attribute twice")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text))


def check(text: str) -> Parsed:
    """What holds for every page, whatever it shows."""
    text.encode("utf-8")
    found = Parsed(text)
    assert found.faults == []
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "iframe", "object", "embed", "link", "base", "form", "video", "audio", "use", "image"}
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) and set(SECTIONS) <= set(ids)
    for tag, attributes in found.elements:
        assert not [key for key in attributes if key.startswith("on")]
        assert not {"srcset", "action", "xlink:href", "background", "poster"} & set(attributes)
        if "src" in attributes:
            assert re.match(r"data:image/(png|svg\+xml);base64,[A-Za-z0-9+/=]+$", attributes["src"])
        if "href" in attributes:
            assert attributes["href"][0] == "#" and attributes["href"][1:] in ids
        if tag == "img":
            assert attributes["alt"].strip()
        if tag == "th":
            assert attributes["scope"] in ("col", "row")
        if tag == "svg":
            assert attributes["role"] == "img" and set(attributes["aria-labelledby"].split()) <= set(ids)
        for key in ("aria-labelledby", "for"):
            assert set(attributes.get(key, "").split()) <= set(ids)
    style = "".join(re.findall(r"<style>(.*?)</style>", text, re.S)) + "".join(
        a.get("style", "") for _, a in found.elements
    )
    assert "url(" not in style and "@import" not in style and not re.search(r"https?:|//", style)
    assert len(re.findall(r"<(?:h1)\b", text)) == 1
    return found


@pytest.fixture(scope="module")
def pairs():
    return made.pairs(6)


def test_every_section_stands_in_order_with_its_numbers(pairs):
    text = page(made.report(), pairs)
    found = check(text)
    places = [text.index(f'id="{key}"') for key in SECTIONS]
    assert places == sorted(places)
    words_shown = found.words.replace("\u00a0", " ")
    for said in (
        "Copies found",
        "6.2 % (4.9 to 7.9 %)",
        "The interval covers the draw of the samples",
        "exit status 1",
        "train/00001.png, here flipped",
        "▲ found",
        "○ not found",
        "Aligned pixels",
        "0.41 (0.36 to 0.45)",
        "brightened",
        "−4.2 (−5.2 to −3.2)",
        "0.042 %",
        "dit-64",
        "truncated file",
        "a7" * 32,
        "Yoon et al. 2023",
        "took2 min 12 s",
    ):
        assert said in words_shown, said
    assert text.count("<svg") == 1 + 4 + 1 + 1 + 3
    assert text.count("data:image/png;base64,") == 4 * len(pairs)
    assert f'content="{POLICY}"' in text and "script-src" not in POLICY and "default-src 'none'" in POLICY


def test_levels_of_headings_are_never_left_out(pairs):
    levels = [int(tag[1]) for tag, _ in check(page(made.report(), pairs)).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:]))


@pytest.mark.parametrize("value", [None, "absent", [], {}, "text", 3, [None], {"value": math.nan}])
def test_whatever_is_missing_is_said_to_be_missing(pairs, value):
    whole = small()
    for key in whole:
        report = dict(whole)
        report[key] = value
        if value == "absent":
            del report[key]
        check(page(report, pairs[:1]))
        assert len(summary(report).splitlines()) <= 15
    nothing = check(page({}, [])).words
    for said in (
        "Not decided",
        "No share was measured",
        "No pairs were kept",
        "No detector was run",
        "ratio was not measured",
        "power of the audit was not measured",
        "Who is copied was not measured",
        "Duplicates were not looked for",
        "No measure of the distribution was taken",
        "Quality was not measured",
        "was not examined",
        "No such set was given",
        "Not recorded",
    ):
        assert said in nothing, said


def small(value=None):
    """The report with at most two entries in each list, as a histogram of two bins too."""
    value = made.report() if value is None else value
    if isinstance(value, dict):
        return {key: inner[:3] if key == "edges" else small(inner) for key, inner in value.items() if inner is not None}
    return [small(inner) for inner in value[:2]] if isinstance(value, list) else value


def replaced(value, other, at=()):
    """Copies of a nested value, each with one leaf replaced."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value[:2]):
            for one in replaced(inner, other):
                whole = copy.copy(value)
                whole[key] = one
                yield whole
    yield other


@pytest.mark.slow
@pytest.mark.parametrize("other", [math.nan, -3, [1, None]])
def test_any_one_value_may_be_missing_or_wrong(other):
    report = small()
    for i, one in enumerate(replaced(report, other)):
        text = page(one, []).replace("[1, None]", "")  # a list shows as one
        assert not re.search(r"\b(nan|inf|None)\b", re.sub(r'"#[^"]*"|<style>.*?</style>', "", text)), i
        summary(one)


@pytest.mark.parametrize("evil", EVIL)
def test_what_comes_from_outside_is_text(pairs, evil):
    def put(value):
        if isinstance(value, dict):
            return {key: put(inner) for key, inner in value.items()} | {evil: evil}
        if isinstance(value, list):
            return [put(inner) for inner in value]
        return evil if isinstance(value, str) else value

    report, pair = (
        put(made.report()),
        {key: evil if isinstance(value, str) else value for key, value in pairs[0].items()},
    )
    pair |= {"by": [evil, None], "scores": {evil: 1.0}, "rank": evil}
    text = page(report, [pair, pair | {"found": False}])
    found = check(text)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200f\x00\x1b\ud800]", text)
    assert "alert(1)" not in str([attributes for tag, attributes in found.elements if tag not in ("img", "div")])
    assert words.shown(evil) in "".join(found.text)
    plain = summary(report)
    assert len(plain.splitlines()) <= 15 and not re.search("[\x00-\x09\x0b-\x1f\u202e]", plain)


@pytest.mark.parametrize("odd", [None, math.nan, 3, [], {}, "text", b"", True])
def test_a_pair_may_lack_anything(pairs, odd):
    for key in pairs[0]:
        check(page({}, [pairs[0] | {key: odd}, {k: v for k, v in pairs[0].items() if k != key}]))
    assert "There is no picture of this pair" in page({}, [{}])
    check(page({}, [odd, {}]))


def test_a_hundred_pairs_weigh_less_than_three_megabytes():
    assert len(page(made.report(), made.pairs(100)).encode("utf-8")) < 3e6


def test_pairs_can_be_chosen_without_a_script(pairs):
    both, one = page({}, pairs), page({}, pairs[:1])
    assert both.count('type="radio"') == 3 and 'type="radio"' not in one
    assert 'type="radio" name="show" id="show-all" checked' in both
    assert len(re.findall(r'class="pair found"', both)) == sum(pair["found"] for pair in pairs)


def test_signals_are_drawn_as_pictures_in_which_nothing_runs():
    rng = np.random.default_rng(0)
    signals = rng.normal(size=(3, 140)).astype(np.float32)
    images = pair_pictures(*signals)
    report = {"sets": {"generated": {"kind": "signals"}}}
    text = page(report, [{"images": images}])
    found = check(text)
    assert len([1 for tag, a in found.elements if tag == "img" and a["class"] == "signal"]) == 4
    assert "Each generated signal" in found.words and "Training signal" in found.words
    source = re.search(r"data:image/svg\+xml;base64,([^\"]+)", text)[1]
    assert base64.b64decode(source).decode() == images["sample"]
    check(page(report, [{"images": {"sample": "<script>alert(1)</script>"}}]))
    assert images["sample"].count("L") == 139


def test_the_summary_says_the_verdict_first_and_stays_short():
    lines = summary(made.report()).splitlines()
    assert lines[0] == "Copies found" and "6.2 % (4.9 to 7.9 %)" in lines[1] and len(lines) <= 15
    assert lines[-1].startswith("Failed") and "exit status 1" in lines[-1]
    report = made.report() | {"failed": False}
    assert summary(report).splitlines()[-1].startswith("Passed")
    report["verdict"] = report["verdict"] | {"sentences": ["a"] * 50, "limits": ["b"] * 50}
    assert len(summary(report).splitlines()) <= 15 and summary(report).splitlines()[-1].startswith("Passed")
    assert summary({}) == "Not decided"


def test_without_a_joint_decision_the_rule_of_one_ninth_is_shown():
    assert "2.4 % (1.6 to 3.5 %)" in summary(made.report() | {"joint": None})


def test_the_reference_is_called_what_it_is():
    report = made.report()
    report["reference"] = {"kind": "training, leave-one-out", "m": 500, "words": "w"}
    found = check(page(report, []))
    assert "false alarms (training, leave one out)" in found.words


# Charts


def rects(svg: str, kind: str) -> list[dict]:
    return [
        {key: float(value) for key, value in re.findall(r'\b(x|y|width|height)="([\d.]+)"', one)}
        for one in re.findall(rf'<rect class="{kind}"[^>]*>', svg)
    ]


def test_bars_have_the_heights_of_their_shares_and_the_threshold_stands_where_it_is():
    generated, reference = [0.16, 0.04, 0.0, 0.8], [0.01, 0.0, 0.35, 0.64]
    svg = charts.histogram(
        [0, 0.25, 0.5, 0.75, 1], generated, reference, 0.3, name="h", about="A. B", x_label="score", band=(0.2, 0.4)
    )
    bars = rects(svg, "bar")
    assert len(bars) == 3  # none for an empty bin
    tallest = bars[-1]["height"]
    for bar, value in zip(bars, [0.16, 0.04, 0.8]):
        assert bar["height"] == pytest.approx(tallest * math.sqrt(value / 0.8), abs=0.02)  # two decimals are drawn
        assert bar["y"] + bar["height"] == pytest.approx(bars[0]["y"] + bars[0]["height"], abs=0.02)
    assert bars[1]["x"] == pytest.approx(bars[0]["x"] + bars[0]["width"], abs=0.02)
    left, right = bars[0]["x"], bars[-1]["x"] + bars[-1]["width"]
    at = float(re.search(r'class="threshold" d="M([\d.]+)', svg)[1])
    assert at == pytest.approx(left + 0.3 * (right - left), abs=0.02)
    band = rects(svg, "band")[0]
    assert [band["x"], band["width"]] == pytest.approx([left + 0.2 * (right - left), 0.2 * (right - left)], abs=0.02)
    steps = [float(y) for y in re.findall(r"V([\d.]+)H", re.search(r'class="outline" d="([^"]*)"', svg)[1])]
    low = bars[0]["y"] + bars[0]["height"]
    assert [low - y for y in steps] == pytest.approx([tallest * math.sqrt(v / 0.8) for v in reference], abs=0.02)
    assert "threshold 0.3" in svg and re.search(r"<title id=\"h-title\">A</title><desc id=\"h-desc\">B</desc>", svg)


def test_edges_of_equal_ratios_are_drawn_on_a_logarithmic_axis_and_infinite_ends_are_cut():
    svg = charts.histogram([0.01, 0.1, 1, 10], [0.1, 0.2, 0.7], [0, 0.5, 0.5], 1.0, name="h", about="A", x_label="s")
    bars = rects(svg, "bar")
    assert [bar["width"] for bar in bars] == pytest.approx([bars[0]["width"]] * 3, abs=0.02)
    svg = charts.histogram(
        [-math.inf, 0, 1, math.inf], [0.1, 0.2, 0.7], [0, 0.5, 0.5], None, name="h", about="A", x_label="s"
    )
    assert len({bar["width"] for bar in rects(svg, "bar")}) == 1 and "threshold" not in svg
    with pytest.raises(ValueError, match="increasing"):
        charts.histogram([0, 0, 1], [1, 0], [0, 1], None, name="h", about="A", x_label="s")
    with pytest.raises(ValueError, match="one more"):
        charts.histogram([0, 1], [1, 0], [0, 1], None, name="h", about="A", x_label="s")
    with pytest.raises(ValueError, match="name"):
        charts.heat_map([], [], [], name='"x', about="A")


def test_a_heat_map_is_darker_where_its_numbers_are_greater():
    svg = charts.heat_map([[0.0, 0.5], [1.0, None]], ["a", "b"], ["one", "two"], name="m", about="A")
    shades = [float(v) for v in re.findall(r"fill-opacity:([\d.]+)", svg)]
    assert shades == pytest.approx([0, 0.4, 0.8, 0]) and len(rects(svg, "cell")) == 4
    assert [text for text in re.findall(r">([^<>]*)</text>", svg) if text[:1].isdigit() or text == "–"] == [
        "0",
        "50",
        "100",
        "–",
    ]
    with pytest.raises(ValueError, match="rows of lengths"):
        charts.heat_map([[1]], ["a", "b"], ["c"], name="m", about="A")


def test_points_and_intervals_stand_at_their_values():
    one = {"value": 2.0, "low": 1.0, "high": 3.0}
    points = [("a", one, {"value": 0.25, "low": 0.16, "high": 0.36}), ("b", 4.0, 0.0), ("c", None, 0.1)]
    svg = charts.scatter(points, name="s", about="A", x_label="x", y_label="y")
    (x, y), *others = [
        (float(a), float(b)) for a, b in re.findall(r'class="marker" cx="([\d.]+)" cy="([\d.]+)"', svg) if float(a) > 70
    ]
    assert others == []
    ends = [
        [float(v) for v in end] for end in re.findall(r'class="whisker" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)', svg)
    ]
    assert ends[0][1] == ends[0][3] == y and (ends[0][0] + ends[0][2]) / 2 == pytest.approx(x, abs=0.02)
    # upwards, 0.4, 0.5 and 0.6, the square roots, stand at equal distances
    assert (ends[1][1] + ends[1][3]) / 2 == pytest.approx(y, abs=0.02) and ends[1][0] == ends[1][2] == x
    assert svg.count('class="whisker"') == 2 and ">c<" not in svg


def test_lines_have_dashes_markers_and_gaps():
    some = [{"value": v, "low": v - 0.1, "high": v + 0.1} for v in (1.0, 2.0, math.nan, 3.0, 4.0)]
    svg = charts.lines(range(5), {"a": some, "b": [1, 2, 3, 4, 5]}, name="l", about="A", x_label="x", y_label="y")
    assert svg.count('class="curve"') == 3 and svg.count('class="band"') == 2
    assert "stroke-dasharray" in svg
    log = charts.lines(range(5), {"a": [1e-6, 1e-3, 0, -1, 1]}, name="l", about="A", x_label="x", y_label="y", log=True)
    assert log.count('class="marker"') == 3 + 1 and "10⁻⁶" in log  # one in the key
    with pytest.raises(ValueError, match="at most 4"):
        charts.lines([1], {"a": [1, 2]}, name="l", about="A", x_label="x", y_label="y")


# Pictures


def test_a_png_holds_the_image_as_it_is():
    rng = np.random.default_rng(0)
    for c in (1, 3):
        image = rng.integers(0, 256, (c, 5, 7), dtype=np.uint8)
        read = np.asarray(Image.open(io.BytesIO(png(image))))
        assert np.array_equal(read if c == 1 else read.transpose(2, 0, 1), image[0] if c == 1 else image)
    assert png(image) == png(image.copy())
    for wrong in (image.astype(float), image[:2], image[0], [[1]]):
        with pytest.raises(ValueError, match="image"):
            png(wrong)


def test_equal_images_differ_by_middle_grey():
    a = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert (difference(a, a) == 128).all()
    white, black = np.full_like(a, 255), np.zeros_like(a)
    assert (difference(white, black) == 255).all() and (difference(black, white) == 0).all()
    assert (np.diff(difference(a, black).ravel().astype(int)) >= 0).all()
    with pytest.raises(ValueError, match="shape"):
        difference(a, a[:, :3])


def test_pictures_of_a_pair_show_a_difference_in_steps_that_are_seen():
    a = np.full((3, 8, 8), 100, np.uint8)
    shown = np.asarray(Image.open(io.BytesIO(pair_pictures(a, a + 7, a)["difference"])))
    assert (shown == 128).all()
    assert (np.asarray(Image.open(io.BytesIO(pair_pictures(a + 40, a, a)["difference"]))) > 140).all()
    with pytest.raises(ValueError, match="train has shape"):
        pair_pictures(np.zeros(5), np.zeros(4), np.zeros(5))


# Words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 %"),
        (0.0312, "3.1 %"),
        (0.01, "1.0 %"),
        (0.00042, "0.042 %"),
        (1, "100 %"),
        (0.9997, "99.97 %"),
        (0.314, "31.4 %"),
        (-0.02, "−2.0 %"),
        (1e-7, "< 0.001 %"),
        (None, "–"),
        (math.nan, "–"),
        (True, "–"),
    ],
)
def test_shares_in_words(value, text):
    assert words.percent(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01234, "0.0123"),
        (2553.2, "2,550"),
        (-4.2, "−4.2"),
        (1.2e-5, "1.2 × 10⁻⁵"),
        (3e7, "3 × 10⁷"),
        (-0.0, "0"),
        (math.inf, "–"),
    ],
)
def test_numbers_in_words(value, text):
    assert words.number(value).replace("\u00a0", " ") == text


def test_text_from_outside_stays_on_one_line_and_short():
    assert words.shown(" a\n\tb ") == "a b" and words.shown(None) == words.shown("") == "–"
    assert words.shown("a\u202eb") == "a\\u202eb" and words.shown("\ud800\x1b") == "��"
    long = words.shown("a" * 2000 + "z" * 2000)
    assert len(long) == words.LONGEST and long.startswith("aaa") and long.endswith("zzz") and "…" in long
    assert words.plain("<&\"'>") == "&lt;&amp;&quot;&#x27;&gt;"
