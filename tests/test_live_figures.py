"""The figures that answer back: in headless Chromium the numbers that they show are those of the library, and they are quick enough to drag.

Skipped where no Chromium is found; what the files may hold is looked at everywhere.
"""

import itertools
import json
import math
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from separations.distributions import Empirical, GaussianMixture
from separations.distributions.hessians import hessian_extremes
from separations.distributions.lipschitz import sharp_lipschitz_bounds
from separations.distributions.total_variation import effective_points
from separations.loss_gap.theory import gaussian_information, information_density, predicted_gap, small_t_limit
from separations.metrics import memorization_ratio
from separations.numerics import wilson_interval
from separations.samplers import (
    ddim,
    integrators,
    log_snr_times,
    probability_flow,
    reverse_sde,
    switch,
    uniform_times,
)
from separations.schedules import OU, Flow, VPCosine, VPLinear

ROOT = Path(__file__).parents[1]
LIVE = ROOT / "book" / "_static" / "live"
FIGURES = ["explorer", "weights", "particles", "rule", "gap", "ridges"]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here")
SCHEDULES = {"ou": OU(), "linear": VPLinear(), "cosine": VPCosine(), "flow": Flow()}
CLOSE = {"rtol": 1e-6, "atol": 1e-6}  # double precision on both sides; generation multiplies rounding
F64 = torch.float64

# The states are those that a reader reaches by the controls; a figure's `live` object sets them and says what it shows.
HARNESS = """
addEventListener("load", () => {
  const plain = v => ArrayBuffer.isView(v) ? Array.from(v) : Array.isArray(v) ? v.map(plain)
    : v && typeof v === "object" ? Object.fromEntries(Object.entries(v).map(([k, one]) => [k, plain(one)])) : v;
  const out = {}, places = Object.fromEntries([...document.querySelectorAll(".live")].map(box => [box.dataset.live, box]));
  for (const name in STATES) out[name] = STATES[name].map(state => {
    const box = places[name], live = box.live;
    live.set(state);
    live.draw();
    const found = {numbers: plain(live.numbers()), says: box.querySelector(".live-says").textContent};
    for (const more of ["train", "starts", "fresh", "heldOut"]) if (live[more]) found[more] = plain(live[more]);
    if (name === "explorer") { const one = live.run(state.seed); found.walk = plain({start: one.start, noise: one.noise, times: one.times, x: one.x}) }
    return found;
  });
  const pre = document.createElement("pre");
  pre.id = "found";
  pre.textContent = JSON.stringify(out);
  document.body.append(pre);
});
"""


def states() -> dict[str, list[dict]]:
    """Ten states of each figure, spread over what the controls allow."""
    random = np.random.RandomState(5)
    found = {name: [] for name in FIGURES}
    for k in range(10):
        n, names = [1, 2, 3, 5, 12, 20, 40, 60, 80, 100][k], list(SCHEDULES)
        found["explorer"].append(
            {
                "points": random.uniform(-4, 4, (n, 2)).round(2).tolist() + ([[1.0, 1.0]] * 3 if k == 4 else []),
                "kind": ["empirical", "smoothed", "truth"][k % 3], "width": float(random.uniform(0.05, 1.2)),
                "level": float(random.uniform(-5, 8)), "probe": random.uniform(-3, 3, 2).tolist(), "schedule": names[k % 4],
                "eta": k % 2, "steps": [5, 20, 60][k % 3], "even": ["level", "t"][k // 2 % 2], "seed": k,
            }
        )  # fmt: skip
        found["weights"].append(
            {"n": [2, 5, 12, 40, 100][k % 5], "where": ["below", "above", "always", "never"][k % 4],
             "level": float(random.uniform(-5, 8)), "x": float(random.uniform(-3, 3)), "switch": float(random.uniform(-4, 7))}
        )  # fmt: skip
        found["particles"].append(
            {"count": 25, "steps": [8, 16, 32, 100][k % 4], "even": ["level", "t"][k % 2], "at": k / 9}
        )
        found["rule"].append(
            {"n": [2, 5, 30, 100, 300][k % 5], "threshold": [1 / 9, 0.25, 0.02, 0.9][k % 4], "sample": random.uniform(-4, 4, 2).tolist()}
        )  # fmt: skip
        found["ridges"].append(
            {"level": float(random.uniform(-3, 5.5)), "kind": ["empirical", "truth"][k % 2], "probe": random.uniform(-3, 3, 2).tolist()}
        )  # fmt: skip
        found["gap"].append(
            {"d": 1 if k < 5 else [2, 8, 32, 256, 3072][k - 5], "n": [1, 2, 10, 300, 10**6][k % 5],
             "t": [0.01, 0.1, 0.5, 1.0, 3.0][(k + k // 5) % 5], "scale": [1.0, 0.3, 2.5][k % 3]}
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What the figures show in each state; one start of Chromium for all."""
    folder = tmp_path_factory.mktemp("live")
    asked = states()
    boxes = "".join(f'<div class="live" data-live="{name}"></div>' for name in FIGURES)
    scripts = "".join(
        f'<script src="{(LIVE / name).as_uri()}.js" defer></script>' for name in ["maths", "stage", *FIGURES]
    )
    harness = f"<script>const STATES = {json.dumps(asked)};{HARNESS}</script>"
    page = folder / "page.html"
    page.write_text(f'<!doctype html><meta charset="utf-8"><body>{boxes}{harness}{scripts}</body>', encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
        "--no-first-run",
    ]
    done = subprocess.run(
        [*command, "--timeout=400000", "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=500
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return asked, json.loads(found[1])


def both(shown, name: str):
    asked, found = shown
    assert len(asked[name]) == 10
    return zip(asked[name], found[name])


def tensor(values, d: int = 0) -> torch.Tensor:
    found = torch.tensor(values, dtype=F64)
    return found.reshape(-1, d) if d else found


def close(mine, right) -> None:
    assert np.allclose(np.asarray(mine, dtype=float), np.asarray(right, dtype=float), **CLOSE)


def law_of(state: dict, train: torch.Tensor, schedule=None):
    """The law whose score the explorer follows."""
    if state["kind"] == "empirical":
        return Empirical(train, schedule=schedule)
    if state["kind"] == "smoothed":
        return GaussianMixture(train, state["width"] ** 2, schedule=schedule)
    return GaussianMixture(2.5 * tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]]), 0.3, schedule=schedule)


def same_share(mine: dict, k: int, m: int) -> None:
    right = wilson_interval(k, m)
    close([mine["value"], mine["low"], mine["high"]], [right.value, right.low, right.high])


def with_noise(monkeypatch, noises) -> None:
    """The random numbers of the samplers are those that the page drew."""
    drawn = iter(noises)
    monkeypatch.setattr(integrators, "randn", lambda shape, like, generator: tensor(next(drawn)).reshape(shape))


@in_chromium
def test_the_explorer_shows_the_librarys_weights_scores_and_shares(shown):
    for state, found in both(shown, "explorer"):
        train = tensor(state["points"], 2)
        law = law_of(state, train)
        t, x = float(OU().time_from_log_snr(tensor(state["level"]))), tensor([state["probe"]])
        numbers = found["numbers"]
        weights = law.responsibilities(x, t)[0]
        close(numbers["weights"], weights)
        close(numbers["score"], law.score(x, t)[0])
        close(numbers["logp"], law.log_prob(x, t)[0])
        close(numbers["effective"], 1 / weights.square().sum())
        assert f" {1 / float(weights.square().sum()):.2f} of {len(weights)}" in found["says"]
        if len(train) > 1:
            ratio = memorization_ratio(tensor(found["heldOut"], 2), train)
            same_share(numbers["heldOut"], int(ratio.memorized.sum()), 1000)
            assert f"held-out points {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" in found["says"]


@in_chromium
def test_the_explorer_generates_as_the_library_does(shown, monkeypatch):
    for state, found in both(shown, "explorer"):
        schedule, train, walk = SCHEDULES[state["schedule"]], tensor(state["points"], 2), found["walk"]
        high, low = schedule.time_from_log_snr(tensor([-8.0, 9.2])).tolist()
        even = log_snr_times(high, low, state["steps"], schedule=schedule)
        times = even if state["even"] == "level" else uniform_times(high, low, state["steps"])
        close(walk["times"], times)
        law = law_of(state, train, schedule)
        with_noise(monkeypatch, walk["noise"])
        close(walk["x"], ddim(law, tensor(walk["start"], 2), tensor(walk["times"]), eta=float(state["eta"])).flatten())


@in_chromium
def test_weights_over_time_are_the_librarys(shown):
    truth = GaussianMixture(tensor([[-1.5], [1.5]]), 0.25)
    for state, found in both(shown, "weights"):
        empirical, numbers = Empirical(tensor(found["train"], 1)), found["numbers"]
        t, star = OU().time_from_log_snr(tensor([state["level"], state["switch"]])).tolist()
        x = tensor([[state["x"]]])
        close(numbers["weights"], empirical.responsibilities(x, t)[0])
        close(numbers["effective"], effective_points(empirical, x, t)[0])
        high = float(OU().time_from_log_snr(tensor(-6.0)))
        parts = {
            "below": (truth, empirical),
            "above": (empirical, truth),
            "always": (empirical,) * 2,
            "never": (truth,) * 2,
        }
        above, below = parts[state["where"]]
        model = switch({(high, star): above, (star, 1e-4): below})
        times = torch.cat([log_snr_times(high, 1e-4, 60), tensor([star])]).unique().flip(0)
        ends = ddim(model, tensor(found["starts"], 1), times)
        close(numbers["ends"], ends.flatten())
        same_share(numbers["ratio"], int(memorization_ratio(ends, empirical.data).memorized.sum()), len(ends))
        assert f"{float(effective_points(empirical, x, t)[0]):.2f} of {state['n']} training points" in found["says"]


@in_chromium
def test_particles_go_as_the_librarys_samplers_move_them(shown, monkeypatch):
    spread = [[[0.30, 0.18], [0.18, 0.20]], [[0.10, -0.04], [-0.04, 0.20]], [[0.15, 0], [0, 0.50]], [[0.35, -0.20], [-0.20, 0.25]], [[0.05, 0], [0, 0.05]]]  # fmt: skip
    means = [[2.4, 0.6], [-0.4, 2.0], [-2.0, -0.4], [0.6, -1.6], [0.5, 0.3]]
    plane = GaussianMixture(tensor(means), tensor(spread), tensor([0.30, 0.20, 0.25, 0.15, 0.10]))
    for state, found in both(shown, "particles"):
        numbers = found["numbers"]
        grid = log_snr_times if state["even"] == "level" else uniform_times
        close(numbers["times"], grid(5.0, 0.01, state["steps"]))
        times, start, k = tensor(numbers["times"]), tensor(numbers["start"], 2), round(state["at"] * state["steps"])
        with_noise(monkeypatch, numbers["noise"])
        ways = probability_flow(plane, start, times, trajectory=True), reverse_sde(plane, start, times, trajectory=True)
        for way, points, moments in zip(ways, numbers["points"], (numbers["ode"], numbers["sde"])):
            close(points, way[k].flatten())
            close(moments[::2], way[k].mean(0)), close(moments[1::2], way[k].std(0, correction=0))
        w, t = plane.weights, numbers["t"]
        mean, a2 = w @ plane.means, float(OU().alpha(t)) ** 2
        second = w @ (plane.cov.diagonal(dim1=1, dim2=2) + plane.means.square())
        close(numbers["exact"][::2], a2**0.5 * mean)
        close(numbers["exact"][1::2], (a2 * (second - mean.square()) + float(OU().sigma(t)) ** 2).sqrt())


@in_chromium
def test_the_rule_and_its_share_are_the_librarys(shown):
    for state, found in both(shown, "rule"):
        train, numbers = tensor(found["train"], 2), found["numbers"]
        one = memorization_ratio(tensor([state["sample"]]), train, state["threshold"])
        close([numbers["d1"], numbers["d2"]], [float(one.d1), float(one.d2)])
        assert (numbers["memorized"], numbers["nearest"]) == (bool(one.memorized), int(one.nearest))
        fresh = memorization_ratio(tensor(found["fresh"], 2), train, state["threshold"])
        same_share(numbers["share"], int(fresh.memorized.sum()), 2000)
        assert ("not memorized" in found["says"]) == (not bool(one.memorized))
        assert f"{fresh.value:.2f} [{fresh.low:.2f}, {fresh.high:.2f}]" in found["says"]


def quadrature_of_the_prediction(truth: GaussianMixture, t: float, n: int) -> float:
    """`predicted_gap` in one dimension with the sum over draws replaced by Gauss and Hermite's rule."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(160)
    x0, z = (tensor(list(pair)) for pair in zip(*itertools.product(nodes, nodes)))
    weight = tensor([a * b for a, b in itertools.product(weights, weights)]) / (2 * math.pi)
    alpha, sigma = float(OU().alpha(t)), float(OU().sigma(t))
    x = (alpha * float(truth.cov) ** 0.5 * x0 + sigma * z)[:, None]
    density = information_density(truth, x, z[:, None], sigma, t, OU())
    squared = (z[:, None] / sigma + truth.score(x, t)).square().sum(1)
    return float(weight @ (squared / (1 + (n - 1) * torch.exp(-density))))


@in_chromium
def test_the_calculator_agrees_with_closed_forms_and_with_the_prediction(shown):
    generator = torch.Generator().manual_seed(0)
    for state, found in both(shown, "gap"):
        d, n, t, numbers = state["d"], state["n"], state["t"], found["numbers"]
        truth = GaussianMixture(torch.zeros(1, d, dtype=F64), state["scale"] ** 2)
        close(numbers["logN"], math.log(n))
        assert numbers["information"] == pytest.approx(float(gaussian_information(truth, t)), rel=1e-6)
        assert numbers["plateau"] == pytest.approx(float(small_t_limit(truth, t)), rel=1e-6)
        if d == 1:
            assert numbers["gap"] == pytest.approx(quadrature_of_the_prediction(truth, t, n), rel=1e-6)
        drawn = predicted_gap(truth, t, n, samples=2_000_000 // (50 + d), generator=generator)
        assert abs(numbers["gap"] - float(drawn.value)) < 5 * float(drawn.se) + 1e-9
        assert f"information {numbers['information']:.2f} nats" in found["says"]


@in_chromium
def test_ridges_are_as_high_as_the_library_finds_them(shown):
    truth = GaussianMixture(tensor([[2, 0], [-1, 1.7], [-1, -1.7]]), 0.3)
    for state, found in both(shown, "ridges"):
        empirical, numbers = Empirical(tensor(found["train"], 2)), found["numbers"]
        t = float(OU().time_from_log_snr(tensor(state["level"])))
        law, unit = truth if state["kind"] == "truth" else empirical, float(OU().sigma(t)) ** 2
        right = [float(value) * unit for value in hessian_extremes(law, tensor([state["probe"]]), t)]
        close([value * numbers["unit"] for value in numbers["eigenvalues"]], right)
        bounds = [float(value) for value in sharp_lipschitz_bounds(empirical, t)]
        assert np.allclose(numbers["bounds"], bounds, rtol=1e-6)
        assert f"times σ²: {right[0]:.2f} and {right[1]:.2f}".replace("-0.00", "0.00") in found["says"].replace(
            "-0.00", "0.00"
        )


DRAG = """
addEventListener("load", () => {
  const box = document.querySelector(".live"), live = box.live, pen = box.querySelector("canvas").getContext("2d");
  const points = Array.from({length: 100}, (_, i) => [4 * Math.cos(i * i), 4 * Math.sin(3 * i)]);
  live.set({points});
  for (let k = 0; k < FRAMES; k++) {
    live.set({points: points.map(([x, y], i) => i ? [x, y] : [4 * Math.cos(k / 50), 1])});
    live.draw();
    pen.getImageData(0, 0, 1, 1);
  }
  document.body.append(`done ${FRAMES}`);
});
"""


def processor_seconds(session: int) -> dict[int, float]:
    """Processor time of each process of a session so far, user and system."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[3]) == session:
            found[int(path.parent.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def seconds_of_dragging(folder: Path, frames: int) -> float:
    """Processor time of Chromium, all its processes, for so many frames of the explorer with 100 points, its start included."""
    page = folder / f"{frames}.html"
    scripts = "".join(
        f'<script src="{(LIVE / name).as_uri()}.js" defer></script>' for name in ("maths", "stage", "explorer")
    )
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><body style="width:44rem"><div class="live" data-live="explorer"></div>'
        f"<script>const FRAMES = {frames};{DRAG}</script>{scripts}</body>",
        encoding="utf-8",
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--timeout=400000", "--dump-dom"]
    command = [CHROMIUM, *options, f"--user-data-dir={folder / str(frames)}", page.as_uri()]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as running:
        spent = {}
        while running.poll() is None:
            spent |= processor_seconds(running.pid)
            time.sleep(0.05)
        assert f"done {frames}" in running.stdout.read()
    return sum(spent.values())


@in_chromium
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processor time is read from /proc")
def test_a_hundred_points_can_be_dragged(tmp_path):
    """Thirty frames a second on one core: in processor time, for other processes may hold the machine."""
    few, many = (seconds_of_dragging(tmp_path, frames) for frames in (10, 210))
    assert (many - few) / 200 < 1 / 30


@pytest.mark.parametrize("path", sorted(LIVE.glob("*.js")), ids=lambda p: p.name)
def test_a_script_is_small_and_asks_for_nothing(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < 24_000
    assert not re.search(
        r"https?:|fetch\(|XMLHttp|import\b|require\(|innerHTML|\beval\(|localStorage|document\.cookie", text
    )


def pages() -> dict[str, str]:
    """Each page of the book that holds a live figure: its place and its text."""
    found = {}
    for path in sorted([*(ROOT / "book").rglob("*.md"), *(ROOT / "book").rglob("*.ipynb")]):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
            text = "\n".join("".join(cell["source"]) for cell in cells)
        if "data-live=" in text:
            found[path.relative_to(ROOT).as_posix()] = text
    return found


def test_every_figure_is_on_one_page_with_its_scripts_and_a_sentence_in_its_place():
    seen = []
    for place, text in pages().items():
        up = "../" * (place.count("/"))
        for name in re.findall(r'<div class="live" data-live="(\w+)"><p>[^<]{40,}</p></div>', text):
            seen.append(name)
            files = ["live.css", "maths.js", "stage.js", f"{name}.js"]
            assert [f"{up}_static/live/{one}" for one in files] == re.findall(
                r'(?:src|href)="([^"]*/live/[^"]*)"', text
            ), place
            assert all((LIVE / one).is_file() for one in files)
        assert text.count("data-live=") == len(re.findall(r'data-live="\w+"><p>', text)), place
    assert sorted(seen) == sorted(FIGURES)
