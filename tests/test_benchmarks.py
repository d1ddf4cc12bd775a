"""The benchmark command runs, and its methods agree with float64 on the small sizes."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_quick_benchmark_writes_a_table_in_which_ours_is_exact(tmp_path):
    out = tmp_path / "bench.json"
    command = [sys.executable, "benchmarks/run.py", "--quick", "--repeats", "1", "--out", str(out)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    table = json.loads(out.read_text())
    assert "cores" in table["machine"] and "ratio to ours" in printed
    ours = [row for row in table["rows"] if row["method"] == "ours"]
    assert len(ours) == 3
    for row in ours:
        assert row["error"] < 1e-4 and row["ratio"] == 1.0 and row["seconds"] > 0 and row["extra_MB"] >= 0
    assert {"cdist + softmax", "torch SDPA", "two matrix products"} <= {row["method"] for row in table["rows"]}


@pytest.mark.slow
def test_quick_benchmark_of_the_loss_gap_reaches_the_error_asked_for(tmp_path):
    out = tmp_path / "gap.json"
    command = [sys.executable, "benchmarks/loss_gap.py", "--quick", "--error", "0.05", "--out", str(out)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    table = json.loads(out.read_text())
    assert "ratio to ours" in printed and 0 < table["ours"]["worst"] <= 0.05
    by_name = {row["method"]: row for row in table["peers"]}
    assert by_name["plain difference"]["total"] > by_name["plain Fisher"]["total"] > 0


@pytest.mark.slow
def test_quick_benchmark_of_networks_trains_the_same_networks(tmp_path):
    out = tmp_path / "networks.json"
    command = [sys.executable, "benchmarks/networks.py", "--quick", "--repeats", "1", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 2
    for row in rows:
        assert (
            row["difference"] < 1e-4 and row["ratio"] > 1
        )  # float32; at these sizes the stack is several times faster


@pytest.mark.slow
def test_quick_benchmark_of_stacked_transformers_trains_the_same_networks(tmp_path):
    out = tmp_path / "stacked.json"
    counts = ["--copies", "6", "--repeats", "3", "--threads", "1"]
    command = [sys.executable, "benchmarks/stacked_transformers.py", "--quick", *counts, "--out", str(out)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (run,) = json.loads(out.read_text())
    rows = {row["method"]: row for row in run["rows"]}
    assert rows.keys() == {"stacked", "one after another", "torch.func"} and run["copies"] == 6 and run["threads"] == 1
    for row in rows.values():
        assert row["difference"] < 1e-3  # float32, after some steps
        assert all(row[c]["low"] <= row[c]["ratio"] <= row[c]["high"] for c in ("wall", "processor"))
    # at this size calls are most of the work: several times as fast
    assert rows["one after another"]["processor"]["ratio"] > 1


@pytest.mark.slow
def test_quick_benchmark_of_the_transformer_compares_equal_networks(tmp_path):
    out = tmp_path / "transformer.json"
    command = [sys.executable, "benchmarks/transformer.py", "--quick", "--out", str(out)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sizes = json.loads(out.read_text())["sizes"]
    peers = {"plain blocks"} | ({"diffusers"} if importlib.util.find_spec("diffusers") else set())
    assert len(sizes) == 2 and printed.count("times as fast as the best peer") == 4
    for size in sizes:
        assert size["agreement"].keys() == peers
        for name, worst in size["agreement"].items():
            assert worst["output"] < 1e-3 and worst["gradient"] < 1e-3, name  # float32; a time up to 1000 in sines
        seen = {(row["step"], row["method"]) for row in size["rows"]}
        pruned = {f"ours, {share} of heads removed" for share in ("20%", "50%")}
        assert seen == {("importance", "ours")} | {
            (s, n) for s in ("training", "sampling") for n in peers | pruned | {"ours"}
        }
        assert all(row["low"] <= row["ratio"] <= row["high"] and min(row["times"]) > 0 for row in size["rows"])


@pytest.mark.slow
def test_quick_benchmark_of_sweeps_runs_every_method(tmp_path):
    out = tmp_path / "sweeps.json"
    command = [sys.executable, "benchmarks/sweeps.py", "--quick", "--out", str(out)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = json.loads(out.read_text())["rows"]
    assert [row["method"] for row in rows] == ["papermill, loop", "papermill, xargs -P", "sweep", "sweep, Snakemake"]
    assert all(row["overhead"] > 0 for row in rows) and printed.count("%") == 4


@pytest.mark.slow
def test_the_large_set_is_made_asked_and_removed(tmp_path):
    out = tmp_path / "large.json"
    command = [
        sys.executable,
        "benchmarks/large.py",
        str(tmp_path / "set"),
        "--n",
        "2000",
        "--m",
        "8",
        "--out",
        str(out),
    ]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(out.read_text())
    assert (
        found["n"] == 2000 and found["ratio"] == 0.5 and found["index again"] < found["index"] and found["peak_MB"] > 0
    )
    assert not list((tmp_path / "set").iterdir())


def test_candidates_are_counted(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import candidates
    import torch

    g = torch.Generator().manual_seed(0)
    train = torch.randint(0, 256, (900, 200), generator=g, dtype=torch.uint8)
    found = candidates.counted(train[:800], train[800:])
    assert found["bytes"] and found["n"] == 800
    assert all(
        2 <= found[kind]["median"] <= found[kind]["largest"] and 0 <= found[kind]["finer"] < 0.5
        for kind in ("held out", "near a row")
    )


@pytest.mark.slow
def test_quick_benchmark_of_patch_scores_finds_the_same_by_every_way(tmp_path):
    out = tmp_path / "patches.json"
    command = [sys.executable, "benchmarks/patch_scores.py", "--quick", "--out", str(out)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = json.loads(out.read_text())["rows"]
    assert "ratio to ours" in printed and [row["window"] for row in rows] == [3, 28]
    assert all(row["error"] < 1e-3 and row["ratio"]["loop"] > 1 for row in rows)
