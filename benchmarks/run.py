"""Each kernel beside its peers on the same work, in one run: `make bench`, or `python benchmarks/run.py [--quick] [--threads 1 2]`.

Times: the methods take turns (A B C A B C ...) in one process after a warm-up, the median counts. Memory: each method in a
process of its own, peak resident memory beyond that with the inputs loaded. Error: against float64, relative, the worst of 8 queries.
Preparation (an index, norms) is timed apart. With several numbers of threads each has a process of its own, one after the other.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import peers
import torch

from separations.files import write_whole
from separations.numerics.rounded_rows import format_for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds: to see that it works")
    parser.add_argument("--repeats", type=int, default=5, help="turns that count (default 5)")
    parser.add_argument("--out", type=Path, default=Path("_build/benchmarks.json"), help="where the JSON goes")
    parser.add_argument(
        "--threads", type=int, nargs="*", default=[], help="numbers of threads (default: that of torch)"
    )
    parser.add_argument("--memory", nargs=2, metavar=("TASK", "METHOD"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    tasks = {task.name: task for task in peers.TASKS + peers.QUICK}
    if options.memory:
        print(extra_memory(tasks[options.memory[0]], options.memory[1]))
        return
    if options.threads:
        several(options)
        return
    print(f"{machine()}\n{features()}\n")
    rows = [row for task in (peers.QUICK if options.quick else peers.TASKS) for row in measure(task, options.repeats)]
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "features": features(),
        "threads": torch.get_num_threads(),
        "rows": rows,
    }
    write_whole(options.out, json.dumps(found, indent=1) + "\n")
    print(f"written: {options.out}")


def several(options: argparse.Namespace) -> None:
    """One process for each number of threads, and their results in one file."""
    found = []
    for threads in options.threads:
        part = options.out.with_name(f"{options.out.stem}_{threads}{options.out.suffix}")
        command = [
            sys.executable,
            __file__,
            "--repeats",
            str(options.repeats),
            "--out",
            str(part),
            *(["--quick"] * options.quick),
        ]
        subprocess.run(
            command, check=True, env=os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        )
        found.append(json.loads(part.read_text()))
        part.unlink()
    write_whole(options.out, json.dumps(found, indent=1) + "\n")
    print(f"written: {options.out}")


def features() -> str:
    """What the processor has for products in few bits, and which format the library takes here."""
    info = Path("/proc/cpuinfo")
    flags = (
        next((line.split(":")[1].split() for line in info.read_text().splitlines() if line.startswith("flags")), [])
        if info.exists()
        else []
    )
    known = [
        flag
        for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
        if flag in flags
    ]
    return f"{', '.join(known) or 'no vector instructions known'}; products in {format_for('cpu')}"


def machine() -> str:
    """The machine in a line, without its name."""
    info = Path("/proc/cpuinfo")
    names = (
        [l.split(":")[1].strip() for l in info.read_text().splitlines() if l.startswith("model name")]
        if info.exists()
        else []
    )
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {device}, torch {torch.__version__}, float32"


def measure(task: peers.Task, repeats: int) -> list[dict]:
    """Times, memory and errors of all methods on one task; prints the table as it goes."""
    data, x = peers.inputs(task)
    print(
        f"{task.name}: m = {task.m}, n = {task.n}, d = {task.d}"
        + (f", sigma = {task.sigma}" if task.kind == "score" else "")
    )
    print(f"  {'method':22} {'prepare':>9} {'query s':>9} {'ratio to ours':>14} {'extra MB':>9} {'rel. error':>11}")
    methods, prepared = {}, {}
    for name, prepare in peers.METHODS[task.kind].items():
        if not peers.left_out(name, task):
            start = time.perf_counter()
            methods[name] = prepare(task, data)
            prepared[name] = time.perf_counter() - start
    times: dict[str, list[float]] = {name: [] for name in methods}
    answers = {name: method(x) for name, method in methods.items()}  # the warm-up
    for _ in range(repeats):
        for name, method in methods.items():
            start = time.perf_counter()
            method(x)
            times[name].append(time.perf_counter() - start)
    truth = peers.exact(task, data, x[:8])
    rows = []
    for name in peers.METHODS[task.kind]:
        if name not in methods:
            print(f"  {name:22} left out: {peers.left_out(name, task)}")
            continue
        # The ratio of each turn: the methods of one turn ran side by side.
        ratio = statistics.median(a / b for a, b in zip(times[name], times["ours"]))
        error = None if name == "two matrix products" else worst_error(answers[name][:8], truth)
        row = {
            "task": task.name, "size": f"m = {task.m:,}, n = {task.n:,}, d = {task.d:,}", "method": name, "seconds": statistics.median(times[name]), "ratio": ratio,
            "prepare_seconds": prepared[name], "extra_MB": memory_in_own_process(task, name), "error": error,
            "times": times[name],
        }  # fmt: skip
        shown = "" if error is None else f"{error:11.1e}"
        print(
            f"  {name:22} {prepared[name]:9.3f} {row['seconds']:9.3f} {ratio:14.2f} {row['extra_MB']:9.0f} {shown}",
            flush=True,
        )
        rows.append(row)
    print()
    return rows


def memory_in_own_process(task: peers.Task, method: str) -> float:
    """Peak resident memory in MB that a method adds, measured in a process that does nothing else."""
    command = [sys.executable, __file__, "--memory", task.name, method]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def extra_memory(task: peers.Task, method: str) -> float:
    data, x = peers.inputs(task)
    torch.randn(64, 64) @ torch.randn(64, 64)  # the matrix library's own buffers are not the method's
    before = peak_memory()
    peers.METHODS[task.kind][method](task, data)(x)
    return peak_memory() - before


def peak_memory() -> float:
    """Peak resident memory of this process in MB. On Linux from /proc: getrusage would count the parent's at the fork."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def worst_error(answer: torch.Tensor, truth: torch.Tensor) -> float:
    """Largest relative error of a query: (8, k), (8, k) -> number."""
    return float(((answer.double() - truth).norm(dim=1) / truth.norm(dim=1)).max())


if __name__ == "__main__":
    main()
