"""The page of speed shows what was measured, keeps what was not measured again, and says so where there is nothing."""

import importlib.util
import json
from pathlib import Path

from separations.book import speed
from separations.run.profiles import Book

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("store", ROOT / "benchmarks/store.py")
store = importlib.util.module_from_spec(spec)
spec.loader.exec_module(store)

KERNELS = [
    {
        "date": "2026-01-02", "machine": "A processor, 2 cores", "features": "avx2; products in int8", "threads": threads,
        "rows": [
            {"task": "two nearest rows", "method": "ours", "seconds": 0.5, "ratio": 1.0, "prepare_seconds": 0.1, "extra_MB": 40.0, "error": 1e-12, "times": [1]},
            {"task": "two nearest rows", "method": "FAISS flat", "seconds": 1.1, "ratio": 2.2, "prepare_seconds": 0.2, "extra_MB": 600.0, "error": 2e-4, "times": [1]},
            {"task": "two nearest rows", "method": "a floor", "seconds": 1.1, "ratio": 2.2, "prepare_seconds": 0.2, "extra_MB": 0.0, "error": None, "times": [1]},
        ],
    }
    for threads in (1, 2)
]  # fmt: skip
CANDIDATES = {
    "date": "2026-01-02", "machine": "A processor", "features": "", "rows": [
        {"set": "digits <b>", "n": 5000, "d": 784, "bytes": True} | {
            kind: {"format": "int8", "median": 3.0, "most of 95 %": 7.0, "largest": 20.0, "finer": 0.25} for kind in ("held out", "near a row")
        }
    ],
}  # fmt: skip

CLOCK = {"seconds": 1.26, "ratio": 1.17, "low": 1.15, "high": 1.19}
TRANSFORMERS = [
    {
        "date": "2026-01-02", "machine": "A processor", "threads": threads, "copies": 7, "rows": [
            {"method": name, "difference": 0.0, "wall": CLOCK, "processor": CLOCK | {"ratio": 1.04}} for name in ("stacked", "torch.func")
        ],
    }
    for threads in (1, 2)
]  # fmt: skip


def test_nothing_measured_is_said(tmp_path):
    assert "Nothing was measured yet" in speed.page(Book(tmp_path))


def test_what_was_measured_is_kept_and_shown(tmp_path):
    build = tmp_path / "_build"
    build.mkdir()
    (build / "benchmarks.json").write_text(json.dumps(KERNELS))
    store.main(tmp_path)
    (build / "benchmarks.json").unlink()
    (build / "benchmark_candidates.json").write_text(json.dumps(CANDIDATES))
    (build / "benchmark_stacked_transformers.json").write_text(json.dumps(TRANSFORMERS))
    store.main(tmp_path)
    page = speed.page(Book(tmp_path))
    assert "## One thread" in page and "## 2 threads" in page and "A processor, 2 cores" in page
    assert "**ours**" in page and "2.20" in page and "25 %" in page and "2e-04" in page
    assert "### 7 networks, one thread" in page and "### 7 networks, 2 threads" in page
    assert page.count("1.17 (1.15 to 1.19)") == page.count("1.04 (1.15 to 1.19)") == 2 and "**stacked**" in page
    assert "digits \\<b>" in page  # names of sets are text
    assert "times" not in (tmp_path / "book/appendix/speed.json").read_text()


def test_the_stored_page_is_whole():
    """What is committed can be shown, and ours stands in every table with an error that rounding explains."""
    found = json.loads((ROOT / speed.STORED).read_text(encoding="utf-8"))
    assert (
        {run["threads"] for run in found["kernels"]} == {1, 2}
        and found["candidates"]["rows"]
        and found["large"]["peak_MB"] < 2000
    )
    for run in found["kernels"]:
        assert len(ours := [row for row in run["rows"] if row["method"] == "ours"]) == 5
        assert all(row["error"] < 1e-3 for row in ours)
    assert speed.page(Book(ROOT)).count(":::{list-table}") >= 12
