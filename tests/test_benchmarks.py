"""The benchmark command runs, and its methods agree with float64 on the small sizes."""

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
