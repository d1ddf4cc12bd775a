"""A sweep beside plain papermill, on the same runs: `python benchmarks/sweeps.py [--full] [--out FILE]`.

The notebook burns a fixed number of CPU seconds. What a method takes beyond that, over the seconds that its processes at a
time would need without any overhead, is the overhead. The methods take turns; medians with quartiles over the turns.

  papermill, loop        one papermill process after another, as in a shell loop
  papermill, xargs -P    as many papermill processes at a time as the sweep has workers
  sweep                  separations.sweep with its own workers
  sweep, Snakemake       the same through Snakemake, as on a cluster, with local cores

papermill alone checks no parameters, keeps no hashes, and takes a notebook half-way executed for a result.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from run import machine

from separations.files import write_whole
from separations.run.results import is_success

CELLS = (
    ("seconds = 1.0  # CPU time (s)\nx = 0  # number of the run (count)", ["parameters"]),
    (
        "import time\nstart = time.process_time()\nwhile time.process_time() - start < seconds:\n    sum(range(10000))",
        [],
    ),
    ("print(x)", []),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="50 runs of 20 s (most of an hour) instead of 8 of 2 s")
    parser.add_argument("--quick", action="store_true", help="2 runs of half a second: to see that it works")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default 2)")
    parser.add_argument("--repeats", type=int, help="turns (default 3, and 1 with --full or --quick)")
    parser.add_argument("--out", type=Path, default=Path("_build/benchmark_sweeps.json"), help="where the JSON goes")
    options = parser.parse_args()
    runs, seconds = (50, 20.0) if options.full else (2, 0.5) if options.quick else (8, 2.0)
    repeats = options.repeats or (1 if options.full or options.quick else 3)
    print(f"{machine()}\n\n{runs} runs of {seconds:g} s of CPU time, {options.jobs} at a time, {repeats} turn(s)")
    times: dict[str, list[float]] = {name: [] for name in METHODS}
    for turn in range(1, repeats + 1):
        for name, method in METHODS.items():
            with tempfile.TemporaryDirectory() as folder:
                root = make_book(Path(folder), runs, seconds)
                start = time.perf_counter()
                method(root, runs, seconds, options.jobs)
                times[name].append(time.perf_counter() - start)
            print(f"  turn {turn}: {name}, {times[name][-1]:.1f} s", flush=True)
    rows = [row(name, values, runs, seconds, 1 if "loop" in name else options.jobs) for name, values in times.items()]
    print(f"  {'method':22} {'total s':>24} {'ideal s':>8} {'overhead':>9} {'a run':>8}")
    for one in rows:
        low, middle, high = one["quartiles"]
        print(
            f"  {one['method']:22} {f'{middle:.1f} [{low:.1f}, {high:.1f}]':>24} {one['ideal']:8.1f} {one['overhead']:8.1%} {one['overhead_a_run']:6.2f} s"
        )
    sizes = {"runs": runs, "seconds": seconds, "jobs": options.jobs}
    write_whole(options.out, json.dumps({"machine": machine(), **sizes, "rows": rows}, indent=1) + "\n")
    print(f"written: {options.out}")


def row(name: str, values: list[float], runs: int, seconds: float, width: int) -> dict:
    """A method's times: median and quartiles, and the overhead over `width` perfect processes."""
    ideal = -(-runs // width) * seconds  # the last round may not be full
    middle = statistics.median(values)
    low, high = statistics.quantiles(values, n=4)[::2] if len(values) > 1 else (middle, middle)
    return {
        "method": name, "times": values, "quartiles": [low, middle, high], "ideal": ideal,
        "overhead": middle / ideal - 1, "overhead_a_run": (middle - ideal) * width / runs,
    }  # fmt: skip


def make_book(root: Path, runs: int, seconds: float) -> Path:
    """A book of one notebook, and a sweep over it."""
    cells = [
        {"cell_type": "code", "id": f"c{i}", "execution_count": None, "metadata": {"tags": tags}, "outputs": [], "source": source}
        for i, (source, tags) in enumerate(CELLS)
    ]  # fmt: skip
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    write_whole(root / "book" / "part" / "01_work.ipynb", json.dumps(notebook))
    text = f"notebook: part/01_work\nfixed: {{seconds: {seconds!r}}}\ngrid: {{x: {list(range(runs))}}}\n"
    write_whole(root / "work.yml", text)
    (root / "out").mkdir()
    return root


def papermill_command(root: Path, seconds: float) -> list[str]:
    notebook = root / "book" / "part" / "01_work.ipynb"
    return [
        sys.executable,
        "-m",
        "papermill",
        str(notebook),
        "--no-progress-bar",
        "-p",
        "seconds",
        str(seconds),
        "-p",
        "x",
    ]


def quietly(command: list[str], **options) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def papermill_loop(root: Path, runs: int, seconds: float, jobs: int) -> None:
    for x in range(runs):
        quietly([*papermill_command(root, seconds), str(x), str(root / "out" / f"{x}.ipynb")])
    assert len(list((root / "out").iterdir())) == runs


def papermill_xargs(root: Path, runs: int, seconds: float, jobs: int) -> None:
    command = [*papermill_command(root, seconds), "{}", str(root / "out" / "{}.ipynb")]
    numbers = "\n".join(str(x) for x in range(runs)).encode()
    quietly(["xargs", "-P", str(jobs), "-I", "{}", *command], input=numbers)
    assert len(list((root / "out").iterdir())) == runs


def sweep(root: Path, runs: int, seconds: float, jobs: int, options: tuple[str, ...] = ()) -> None:
    command = [sys.executable, "-m", "separations.sweep", "run", str(root / "work.yml"), "--root", str(root)]
    quietly([*command, "--jobs", str(jobs), *options])
    assert sum(map(is_success, (root / "_build" / "sweeps" / "work" / "runs").iterdir())) == runs


def sweep_snakemake(root: Path, runs: int, seconds: float, jobs: int) -> None:
    sweep(root, runs, seconds, jobs, ("--", "--cores", str(jobs)))


METHODS = {
    "papermill, loop": papermill_loop,
    "papermill, xargs -P": papermill_xargs,
    "sweep": sweep,
    "sweep, Snakemake": sweep_snakemake,
}


if __name__ == "__main__":
    main()
