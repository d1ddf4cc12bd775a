"""The pictures: what is drawn is what was given, labels do not overlap, bad input is refused, pages need no network."""

import ast
import base64
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

import separations
from separations import plotting
from separations.plotting import colors as palette
from separations.plotting import images as pictures
from separations.plotting import live as interactive
from separations.plotting.live_page import SIXES


@pytest.fixture
def ax():
    with matplotlib.rc_context():
        plotting.use_style()
        yield plt.subplots()[1]
        plt.close("all")


@pytest.fixture
def fig(ax):
    return plt.figure(figsize=(7, 3))


def standard(x):  # log density of the standard normal in the plane, up to its constant
    return -x.square().sum(1) / 2


EXTENT = (-3.0, 3.0, -2.0, 2.0)


def luminance_ratio(color):
    return 1.05 / (palette._luminance(np.array(to_rgb(color))) + 0.05)


# One look


def test_style_uses_a_font_that_matplotlib_ships(ax):
    path = matplotlib.font_manager.findfont(matplotlib.rcParams["font.family"][0], fallback_to_default=False)
    assert Path(path).is_relative_to(matplotlib.get_data_path())
    assert len(set(palette.COLORS.values())) == len(palette.COLORS)


@pytest.mark.parametrize("name", palette.COLORS)
def test_text_in_any_colour_is_readable_on_white(name):
    assert luminance_ratio(palette.ink(name)) >= 4.5


def test_panels_share_axes_and_label_only_the_outer_ones(ax):
    fig, axes = plotting.panels(2, 3)
    assert axes.shape == (2, 3) and fig.get_figwidth() == 7
    for panel in axes.flat:
        plotting.points(panel, train=torch.randn(5, 2))
        plotting.panel_label(panel, "a")
    assert [panel.get_xlabel() for panel in axes.flat] == [""] * 3 + ["$x_1$"] * 3
    assert [panel.get_ylabel() for panel in axes[:, 0]] == ["$x_2$"] * 2 and not axes[0, 1].get_ylabel()
    assert not any(panel.get_title() for panel in axes.flat)  # the title proper stays empty
    assert isinstance(plotting.panels()[1], plt.Axes)


# Lines and intervals


def test_band_runs_from_low_to_high(ax):
    x, mean = torch.arange(4.0), torch.tensor([1.0, 3.0, 2.0, 4.0])
    assert plotting.line_with_band(ax, x, mean, mean - 1, mean + 2, label="ours", color="learned") is ax
    (line,), (band,) = ax.get_lines(), ax.collections
    assert line.get_color() == palette.COLORS["learned"]
    box = band.get_paths()[0].get_extents()
    assert (box.x0, box.x1, box.y0, box.y1) == (0, 3, 0, 6)
    plotting.line_with_band(ax, x, mean)
    assert len(ax.collections) == 1  # an exact line has no band


def test_lines_without_a_colour_take_the_next_free_one(ax):
    for color in ("truth", None, None):
        plotting.line_with_band(ax, [0, 1], [0, 1], color=color)
    assert [line.get_color() for line in ax.get_lines()] == palette.CYCLE[:3]


def test_error_points_draw_the_ends_given(ax):
    plotting.error_points(ax, [1, 2], [0.5, 0.6], [0.4, 0.3], [0.7, 0.9])
    segments = np.array(ax.collections[0].get_segments())
    assert segments[:, :, 1].tolist() == [[0.4, 0.7], [0.3, 0.9]]


@pytest.mark.parametrize("scale, flip", [("linear", False), ("log", False), ("log", True)])
def test_direct_labels_stand_at_right_ends_and_do_not_overlap(ax, scale, flip):
    x = np.geomspace(0.01, 1, 20)
    ends = (1.0, 1.01, 1.02, 1.02, 3.0)
    for i, end in enumerate(ends):
        plotting.line_with_band(
            ax, x, end * (x[::-1] if flip else x), label=f"line {i}\nlow" if i == 1 else f"line {i}"
        )
    ax.set_xscale(scale)
    if flip:
        ax.invert_xaxis()
    plotting.direct_labels(ax)
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == len(ends)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    right = ax.transData.transform((0.01 if flip else 1, 1))[0]
    assert all(0 < box.x0 - right < 20 for box in boxes)
    alone = ax.transData.transform((1, 3.0))[1]  # has room, so it stays at its end, to a pixel
    assert abs((boxes[-1].y0 + boxes[-1].y1) / 2 - alone) < 2
    assert max(box.x1 for box in boxes) < ax.figure.bbox.x1  # nothing is cut off


def test_label_of_a_line_that_leaves_the_window_stands_where_it_leaves(ax):
    plotting.line_with_band(ax, np.arange(11), np.arange(11), label="up")
    ax.set(ylim=(0, 4))
    plotting.direct_labels(ax)
    assert ax.texts[0].xy == pytest.approx((4, 4))


# The plane


def test_points_are_told_apart_by_colour_and_by_shape(ax):
    samples, copied = torch.randn(6, 2), torch.tensor([True, False, True, False, False, False])
    plotting.points(ax, torch.randn(3, 2), samples, copied)
    drawn = {artist.get_label(): artist for artist in ax.collections}
    assert np.allclose(drawn["memorized"].get_offsets(), samples[copied])
    assert np.allclose(drawn["samples"].get_offsets(), samples[~copied])
    assert len(drawn["training points"].get_offsets()) == 3
    assert to_rgb(drawn["memorized"].get_facecolor()[0][:3]) == to_rgb(palette.COLORS["memorized"])
    shapes = [len(artist.get_paths()[0]) for artist in drawn.values()]
    assert len(set(shapes)) == 3


def test_density_contours_lie_where_the_density_is(ax):
    calls = []
    plotting.density(
        ax, lambda x: calls.append((x.dtype, torch.is_grad_enabled())) or standard(x), EXTENT, 200, depth=2.0
    )
    assert calls == [(torch.get_default_dtype(), False)]
    radii = np.linalg.norm(np.concatenate([path.vertices for path in ax.collections[0].get_paths()]), axis=1)
    assert radii.max() == pytest.approx(2, abs=0.05)  # two nats below the maximum; the rest of the window is white


def test_arrows_keep_directions_and_compress_lengths_as_stated(ax):
    plotting.field(ax, lambda x: -x, EXTENT, 12, power=0.5)
    (quiver,) = ax.collections
    at, arrows = quiver.get_offsets(), np.stack([quiver.U, quiver.V], 1)
    norm, length = np.linalg.norm(at, axis=1), np.linalg.norm(arrows, axis=1)
    assert np.allclose(arrows / length[:, None], -at / norm[:, None])
    assert np.allclose(length / length.max(), np.sqrt(norm / norm.max()))
    assert length.max() == pytest.approx(6 / 12)  # one step of the grid
    assert f"longest: $|s|$ = {norm.max():.3g}" in ax.get_title(loc="right") and "sqrt" in ax.get_title(loc="right")


def test_the_same_longest_makes_panels_comparable(ax):
    lengths = []
    for factor in (1, 2):
        plotting.field(ax, lambda x, f=factor: -f * x, EXTENT, 8, power=1, longest=10.0)
        lengths.append(np.hypot(ax.collections[-1].U, ax.collections[-1].V))
    assert np.allclose(lengths[1], 2 * lengths[0])


# Images


def test_a_heat_map_writes_each_number_where_it_stands_and_can_be_read(ax):
    values = np.arange(12.0).reshape(3, 4)
    values[2, 0] = np.nan
    image = plotting.heat_map(ax, values, ["a", "b", "c"], [1, 2.5, 3, 4], texts="{:.1f}", label="y")
    assert {text.get_position(): text.get_text() for text in ax.texts} == {
        (j, i): f"{values[i, j]:.1f}" for i in range(3) for j in range(4) if (i, j) != (2, 0)
    }
    for text in ax.texts:
        on_white = luminance_ratio(image.cmap(image.norm(float(text.get_text())))[:3])
        assert text.get_color() == ("black" if 21 / on_white > on_white else "white")
    assert {text.get_color() for text in ax.texts} == {"black", "white"}
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2.5", "3", "4"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.get_ylim()[0] < ax.get_ylim()[1] and ax.figure.axes[1].get_ylabel() == "y"  # the first row below
    assert plotting.heat_map(ax, values, "abc", "abcd", limits=(0, 20), cmap="RdBu").get_clim() == (0, 20)


def test_boxes_show_all_values_and_points_where_there_are_few(ax):
    plotting.boxes(ax, {1: [1, 2, 3, 9], 0: [4, 5]}, width=0.5)
    points = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "o"]
    assert [each for each in points if each] == [[[0, 4], [0, 5]]]
    heights = np.concatenate([line.get_ydata() for line in ax.lines if line.get_marker() != "o"])
    assert heights.min() == 1 and heights.max() == 9 and 2.5 in heights


def test_image_grid_puts_each_image_in_its_place(fig):
    images = torch.linspace(-1, 1, 5)[:, None, None].expand(5, 4, 6).clone()
    images[4, 0, 0] = 1.4  # a little beyond the range: clipped
    ax = pictures.image_grid(fig, images, 3, labels=list("abcde"), frame_colors=["memorized", None, None, None, None])
    shown = [artist.get_array() for artist in ax.images]
    assert [float(image.flat[-1]) for image in shown] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    left, right, bottom, top = np.array([artist.get_extent() for artist in ax.images]).T
    assert np.allclose((right - left) / (top - bottom), 6 / 4)
    assert (np.diff(left[:3]) > 1).all() and top[3] < bottom[0] and left[3] == left[0]
    assert [text.get_text() for text in ax.texts] == list("abcde") and len(ax.patches) == 1
    ax.figure.canvas.draw()
    label, below = ax.texts[0].get_window_extent(), ax.images[3].get_window_extent()
    assert label.y0 > below.y1  # labels stay clear of the next row


def test_colour_images_keep_their_channels(ax):
    red = torch.tensor([1.0, -1, -1])[None, :, None, None].expand(2, 3, 4, 4)
    assert pictures.image_grid(ax, red, 2).images[0].get_array()[0, 0].tolist() == [1, 0, 0]


def test_pairs_stand_above_each_other(fig):
    generated, nearest = torch.full((5, 1, 4, 4), 0.5), torch.full((5, 1, 4, 4), -0.5)
    ax = pictures.pairs(fig, generated, nearest, [str(i) for i in range(5)], memorized=np.arange(5) < 2, ncols=3)
    above, below = ax.images[0::2], ax.images[1::2]
    for upper, lower in zip(above, below):
        (l1, r1, b1, _), (l2, r2, _, t2) = upper.get_extent(), lower.get_extent()
        assert (l1, r1) == (l2, r2) and 0 < b1 - t2 < 0.2
        assert upper.get_array().flat[0] == 0.75 and lower.get_array().flat[0] == 0.25
    assert len(ax.patches) == 2


# Bad input: a ValueError that names the argument


ONES = torch.ones(3)
IMAGES = torch.zeros(4, 1, 5, 5)
BAD = {
    "x has shape": lambda ax: plotting.line_with_band(ax, torch.ones(3, 2), ONES),
    r"mean has shape \(4,\): shape \(3,\)": lambda ax: plotting.line_with_band(ax, ONES, torch.ones(4)),
    "low is above high at index 0": lambda ax: plotting.line_with_band(ax, ONES, ONES, ONES, -ONES),
    "both ends": lambda ax: plotting.line_with_band(ax, ONES, ONES, ONES),
    "y has NaN": lambda ax: plotting.error_points(ax, ONES, ONES * torch.nan, ONES, ONES),
    "color = 'blurple'": lambda ax: plotting.line_with_band(ax, ONES, ONES, color="blurple"),
    "no line with a label": lambda ax: plotting.direct_labels(ax),
    "train and samples are None": lambda ax: plotting.points(ax),
    "without samples": lambda ax: plotting.points(ax, torch.ones(2, 2), memorized=[True, True]),
    "memorized is float32": lambda ax: plotting.points(ax, samples=torch.ones(2, 2), memorized=torch.ones(2)),
    r"samples has shape \(2, 3\)": lambda ax: plotting.points(ax, samples=torch.ones(2, 3)),
    "extent = ": lambda ax: plotting.density(ax, standard, (1, -1, 0, 1)),
    "resolution = 1": lambda ax: plotting.density(ax, standard, EXTENT, 1),
    r"log_prob\(x\) has shape": lambda ax: plotting.density(ax, lambda x: x, EXTENT),
    "log_prob is -inf": lambda ax: plotting.density(ax, lambda x: standard(x) - torch.inf, EXTENT),
    "log_prob is int": lambda ax: plotting.density(ax, 3, EXTENT),
    "longest = 0": lambda ax: plotting.field(ax, lambda x: 0 * x, EXTENT),
    r"score\(x\) has NaN": lambda ax: plotting.field(ax, lambda x: x / 0, EXTENT),
    "ncols = 0": lambda ax: pictures.image_grid(ax, IMAGES, 0),
    r"images has shape \(4, 2, 5, 5\)": lambda ax: pictures.image_grid(ax, IMAGES.expand(4, 2, 5, 5), 2),
    "images has values from 0 to 255": lambda ax: pictures.image_grid(ax, torch.linspace(0, 255, 100).view(4, 5, 5), 2),
    "labels has 3 entries": lambda ax: pictures.image_grid(ax, IMAGES, 2, labels=list("abc")),
    "nearest has images": lambda ax: pictures.pairs(ax, IMAGES, IMAGES[:2]),
    "str is no place": lambda ax: pictures.image_grid("here", IMAGES, 2),
    r"values has shape \(2, 3\): \(2, 2\)": lambda ax: plotting.heat_map(ax, np.ones((2, 3)), "ab", "cd"),
    r"texts has lines of \[2\]": lambda ax: plotting.heat_map(ax, np.ones((2, 2)), "ab", "cd", texts=["no"]),
    "nrows = 0": lambda ax: plotting.panels(0, 1),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(ax, message):
    with pytest.raises(ValueError, match=message):
        BAD[message](ax)


# Interactive figures


def score_frames(frames=5):
    x, y, points = palette.cells(EXTENT, 12)
    t = np.geomspace(0.01, 1, frames)
    fields = [torch.stack([-points / (a + at) for at in t]).reshape(frames, len(y), len(x), 2) for a in (1, 0)]
    heats = [torch.stack([standard(points) / (a + at) for at in t]).reshape(frames, len(y), len(x)) for a in (1, 0)]
    return x, y, t, fields, heats


def score_figure(name="two-scores", **options):
    x, y, t, fields, heats = score_frames()
    train = torch.tensor([[0.0, 0.0], [1.0, -1.0], [9.0, 9.0]])
    options = {"log_densities": heats, "train": train, "alpha": np.exp(-t / 2), "sigma": t**0.5, "start": 1} | options
    return interactive.score_field_slider(name, x, y, t, fields, **options)


def curves_figure(name="curves", **options):
    x, rates, floors = np.geomspace(0.1, 10, 9), [0.5, 1, 2], [0, 1]
    p = np.exp(-np.array(rates)[:, None, None] * x) + np.array(floors)[None, :, None]
    sliders = {"rate": rates, "floor": floors}
    figure = interactive.curves_slider(
        name, x, {"p(t)": p, "C(t)": -p}, sliders, xlabel="t", ylabel="value", log_x=True, **options
    )
    return figure, x, p


def data_of(figure):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', figure.html, re.S)[1])


def test_page_is_reproducible_small_and_needs_no_network():
    for figure, again in ((score_figure(), score_figure()), (curves_figure()[0], curves_figure()[0])):
        assert figure._repr_html_() == again._repr_html_() and repr(figure) == repr(again)
        assert "0x" not in repr(figure) and len(figure.html) < interactive.LARGEST
        assert not re.search(r"https?:|[\"'(]//|@import|url\(|src=|Math\.random|Date", figure.html)


def test_figures_of_a_page_share_no_id():
    page = score_figure("a").html + score_figure("b").html + curves_figure("c")[0].html
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) == 7  # three figures, four sliders
    assert set(re.findall(r'\bfor="([^"]+)"', page)) <= set(ids)


def test_slider_is_labelled_and_its_value_read_out():
    html = score_figure().html
    assert '<label for="sep-two-scores-0">time t</label>' in html
    assert 'min="0" max="4" step="1" value="1" aria-valuetext="t = 0.0316, σ = 0.178"' in html
    assert data_of(score_figure())["texts"][0][-1] == "t = 1, σ = 1"
    assert data_of(score_figure(readouts=list("abcde")))["texts"] == [list("abcde")]


def test_drawings_are_well_formed_and_described():
    for html in (score_figure().html, curves_figure()[0].html):
        for drawing in re.findall(r"<svg viewBox.*?</svg>(?=</div>)", html, re.S):
            root = ET.fromstring(drawing)
            assert root.get("role") == "img" and len(root.get("aria-label")) > 20


def test_stored_arrows_are_the_compressed_field():
    _, _, _, fields, _ = score_frames()
    data = data_of(score_figure())
    for field, panel in zip(fields, data["panels"]):
        stored = np.frombuffer(base64.b64decode(panel["field"]), np.uint8).reshape(field.shape) - 128.0
        norm = field.norm(dim=-1, keepdim=True)
        wanted = field / norm * (norm / norm.amax((1, 2, 3), keepdim=True)).sqrt() * 127
        assert np.abs(stored - wanted.numpy()).max() <= 0.501  # rounded to whole numbers
        assert panel["longest"][0] == f"longest |s| = {palette.number(norm[0].max().item())}"


def test_stored_shade_is_the_log_density_below_its_maximum():
    _, _, _, _, heats = score_frames()
    for heat, panel in zip(heats, data_of(score_figure(depth=4.0))["panels"]):
        stored = np.array([SIXES.index(c) for c in panel["heat"]]).reshape(heat.shape)
        below = (heat - heat.amax((1, 2), keepdim=True)).numpy()
        assert np.abs(stored / 63 - np.clip(1 + below / 4, 0, 1)).max() <= 0.5 / 63 + 1e-6
        assert panel["size"] == [heat.shape[2], heat.shape[1]]


def test_stored_curves_are_the_curves():
    figure, _, p = curves_figure(ylim=(-3, 3))
    data = data_of(figure)
    for wanted, stored in zip((p, -p), data["curves"]):
        heights = (np.frombuffer(base64.b64decode(stored), "<u2").reshape(p.shape) - 16384.0) / 32767
        assert np.allclose(-3 + 6 * heights, wanted, atol=6 / 32767)


def test_text_of_the_reader_cannot_break_the_page():
    figure = score_figure(labels=("</script><b>", 'a "quoted" label'), readouts=["</script>"] * 5)
    assert figure.html.count("</script>") == 2 and "<b></script>" not in figure.html
    assert data_of(figure)["texts"][0][0] == "</script>"


@pytest.mark.parametrize(
    "value, text", [(0.01234, "0.0123"), (26.84, "26.8"), (2549.7, "2,550"), (3e7, "3e+07"), (0, "0")]
)
def test_numbers_for_readers(value, text):
    assert palette.number(value) == text


BAD_FIGURES = {
    "name = 'Two scores'": lambda: score_figure("Two scores"),
    "start = 5": lambda: score_figure(start=5),
    r"alpha has shape \(2,\)": lambda: score_figure(alpha=[1, 1]),
    r"train has shape \(3,\)": lambda: score_figure(train=torch.ones(3)),
    "log_densities has 1 entries": lambda: score_figure(log_densities=[0]),
    "-inf on a whole frame": lambda: score_figure(log_densities=[torch.full((5, 3, 3), -torch.inf)] * 2),
    "power = 2": lambda: score_figure(power=2),
    "one of each per panel": lambda: score_figure(labels=["one"]),
    "readouts = ": lambda: score_figure(readouts=["a"]),
    "x must be at least two equally spaced": lambda: interactive.score_field_slider("a", [0, 1, 3], [0, 1], [1], []),
    "field of 'true score' has shape": lambda: interactive.score_field_slider("a", [0, 1], [0, 1], [1], [ONES, ONES]),
    "x must increase": lambda: interactive.curves_slider("a", [1, 0], {"p": ONES}, {"k": [1]}, xlabel="", ylabel=""),
    "curve 'p' has shape": lambda: interactive.curves_slider(
        "a", [0, 1], {"p": ONES}, {"k": [1]}, xlabel="", ylabel=""
    ),
    "ordered = True": lambda: interactive.curves_slider(
        "a", [0, 1], {"p": np.ones((1, 2))}, {"k": [1]}, xlabel="", ylabel="", ordered=True
    ),
    "start = \\[1, 1\\]": lambda: interactive.curves_slider(
        "a",
        [0, 1],
        {"p": np.ones((2, 2, 2))},
        {"k": [1, 2], "l": [1, 2]},
        xlabel="",
        ylabel="",
        ordered=True,
        start=[1, 1],
    ),
    "0 sliders": lambda: interactive.curves_slider("a", [0, 1], {"p": ONES}, {}, xlabel="", ylabel=""),
    "bytes, 150000 are allowed": lambda: interactive.InteractiveFigure("a", "x" * 200_000),
}


@pytest.mark.parametrize("message", BAD_FIGURES)
def test_bad_figures_are_named(message):
    with pytest.raises(ValueError, match=message):
        BAD_FIGURES[message]()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_script_draws_what_the_page_shows_without_it(tmp_path):
    """The script's first drawing equals Python's; after a move of the slider it equals that of a page started there."""

    def paths(html):
        return [re.findall(r"-?[\d.]+", d) for d in re.findall(r'class="sep-[a-z]+"[^>]* d="([^"]*)"', html)]

    def rendered(html):
        page = tmp_path / "page.html"
        page.write_text(f'<!doctype html><meta charset="utf-8">{html}')
        flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
        command = ["chromium", *flags.split(), f"--user-data-dir={tmp_path}/profile", "--dump-dom", page.as_uri()]
        found = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
        if "sep-fig" not in found:
            pytest.skip("chromium does not read the page here")
        return found

    move = '<script>for(const s of document.querySelectorAll("input")){s.value=2;s.dispatchEvent(new Event("input"))}</script>'
    start, moved = score_figure().html + curves_figure(start=[0, 0])[0].html, score_figure(start=2).html
    still, shifted = rendered(start), rendered(score_figure().html + move)
    for wanted, found in ((start, still), (moved, shifted)):
        assert len(paths(wanted)) == len(paths(found)) >= 6
        for a, b in zip(paths(wanted), paths(found)):
            assert np.allclose(np.array(a, float), np.array(b, float), atol=0.11)  # one decimal, rounded twice
    assert "t = 0.1, σ = 0.316</output>" in shifted


def test_the_ends_of_an_interval_push_each_other():
    assert interactive.ORDERED not in curves_figure()[0].html
    x, ones = [0, 1], np.ones((3, 3, 2))
    figure = interactive.curves_slider(
        "a", x, {"p": ones}, {"low": [0, 1, 2], "high": [0, 1, 2]}, xlabel="", ylabel="", start=[0, 2], ordered=True
    )
    assert interactive.ORDERED in figure.html
    page = figure.html
    assert page.index(interactive.ORDERED) < page.index('addEventListener("input",update)')  # pushed first, then drawn


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_script_keeps_the_ends_apart():
    code = f"""
    const make=v=>({{set value(x){{this.v=Math.min(3,Math.max(0,+x))}},get value(){{return String(this.v)}},v,
    addEventListener(n,f){{this.f=f}}}});
    const sliders=[make(0),make(3)];
    {interactive.ORDERED}
    const found=[];
    for(const a of [0,1])for(const from of [[0,1],[0,3],[2,3],[1,2]])for(let to=0;to<4;to++){{
    sliders[0].v=from[0];sliders[1].v=from[1];sliders[a].value=to;sliders[a].f();found.push([a,to,sliders[0].v,sliders[1].v])}}
    console.log(JSON.stringify(found));"""
    found = json.loads(
        subprocess.run(["node", "-e", code], capture_output=True, text=True, timeout=60, check=True).stdout
    )
    assert all(0 <= low < high <= 3 for _, _, low, high in found)
    assert all((low, high)[which] == to for which, to, low, high in found if to != (3, 0)[which])


def test_no_other_module_of_the_library_imports_plotting():
    drawing = {"plotting", "pictures", "interactive", "interactive_page", "palette"}
    reports = {"sweep_pictures"}  # draws the page of a sweep, which no notebook draws
    for path in Path(separations.__file__).parent.glob("*.py"):
        if path.stem in drawing | reports:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            assert not drawing & {name.rpartition(".")[2] for name in names}, path.name
