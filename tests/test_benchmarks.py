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
