"""What happens to a sweep when things fail for real: processes killed, a full disk, two schedulers, files edited half-way.

The fast ones are part of the suite. `SEPARATIONS_FAULTS=1` adds the long ones: 500 runs, kills at random, many schedulers.
"""

import csv
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from separations.run.profiles import Book
from separations.run.results import is_success, read_result
from separations.sweep import command as sweep
from separations.sweep import local as sweep_local
from separations.sweep.standing import claimed, standing
from separations.sweep.table import rows_of
from sweep_book import sweep_command, write_book, write_notebook, write_sweep

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to look at processes")
slow = pytest.mark.skipif(not os.environ.get("SEPARATIONS_FAULTS"), reason="takes minutes: SEPARATIONS_FAULTS=1")

# Each execution leaves a line, so that none is done twice unseen; the kernel and the worker are known by their numbers.
COUNT = "import os, pathlib, time\nwith open('count', 'a') as f:\n    f.write(f'{n} {os.getpid()} {os.getppid()}\\n')"
# Waits until the test says so, the first time only: what was killed there finishes when it is tried again.
GATE = "while act == 'gate' and not pathlib.Path('go').exists():\n    time.sleep(0.05)"


@pytest.fixture
def root(tmp_path):
    return write_book(tmp_path, COUNT, GATE)


def start(root, path, *options, jobs=2):
    command = sweep_command(root, path, "--jobs", str(jobs), *options)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root)


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def executions(root):
    """(n, kernel, worker) of each execution that began, as far as it is written."""
    path = root / "book" / "part" / "count"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [tuple(int(word) for word in line.split()) for line in lines]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def open_gate(root):
    (root / "book" / "part" / "go").touch()


def states(root, name="s"):
    with (root / "_build" / "sweeps" / name / "index.csv").open(newline="") as file:
        return {row["n"]: (row["state"], row["reason"]) for row in csv.DictReader(file)}


def folders(root, name="s"):
    return sorted((root / "_build" / "sweeps" / name / "runs").iterdir())


def finished(root):
    return {folder.name: (folder / "result.json").stat().st_mtime_ns for folder in folders(root) if is_success(folder)}


def log(root):
    return (root / "_build" / "sweeps" / "s" / "sweep.log").read_text()


# a run and a kernel that are killed


@pytest.mark.parametrize("victim", ["run", "kernel"])
def test_a_killed_run_or_kernel_is_tried_again_and_the_others_go_on(root, victim):
    process = start(root, write_sweep(root, "fixed: {act: gate}\ngrid: {n: [1, 2]}\n"))
    begun = until(lambda: len(executions(root)) == 2 and executions(root))
    n, kernel, worker = begun[0]
    os.kill(kernel if victim == "kernel" else worker, signal.SIGKILL)
    until(lambda: " retry " in log(root) if (root / "_build/sweeps/s/sweep.log").exists() else False)
    until(lambda: not alive(kernel))  # a killed run takes its kernel along
    open_gate(root)
    assert process.wait(120) == 0 and all(is_success(folder) for folder in folders(root))
    reason = "DeadKernelError" if victim == "kernel" else "killed by SIGKILL"
    assert f"n={n}: " in log(root) and reason in log(root)
    assert sorted(line[0] for line in executions(root)) == sorted([1, 2, n])  # the other one ran once


def test_a_run_that_is_killed_each_time_is_listed_with_the_reason_and_not_taken_for_done(root):
    process = start(root, write_sweep(root, "fixed: {act: gate}\ngrid: {n: [1]}\nretries: 0\n"))
    os.kill(until(lambda: executions(root))[0][2], signal.SIGKILL)
    assert process.wait(120) == 1 and "killed by SIGKILL" in process.stderr.read()
    assert states(root) == {"1": ("failed", "its process was killed by SIGKILL")} and not finished(root)
    open_gate(root)
    assert start(root, write_sweep(root, "fixed: {act: gate}\ngrid: {n: [1]}\nretries: 0\n")).wait(120) == 0


# the scheduler


def test_a_killed_scheduler_leaves_its_runs_to_finish_and_a_restart_finishes_the_rest(root):
    path = write_sweep(root, "list: [{n: 1}, {n: 2, act: gate}, {n: 3, act: gate}, {n: 4}]\n")
    process = start(root, path)
    until(lambda: len(executions(root)) == 3 and len(finished(root)) == 1)
    process.kill()
    process.wait(10)
    before = finished(root)
    second = start(root, path)
    until(lambda: len(executions(root)) == 4)  # it starts the fourth, and waits for the two that are under way
    open_gate(root)
    assert second.wait(120) == 0 and len(finished(root)) == 4 and before.items() <= finished(root).items()
    assert sorted(line[0] for line in executions(root)) == [1, 2, 3, 4]  # each once


def test_everything_killed_at_once_leaves_nothing_that_counts_as_done_and_a_restart_finishes(root):
    path = write_sweep(root, "list: [{n: 1}, {n: 2, act: gate}, {n: 3, act: gate}, {n: 4}]\n")
    process = start(root, path)
    begun = until(lambda: len(executions(root)) == 3 and len(finished(root)) == 1 and executions(root))
    process.kill()
    for _, kernel, worker in begun:
        for pid in (worker, kernel):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
    process.wait(10)
    until(lambda: not any(claimed(folder) for folder in folders(root)))
    before = finished(root)
    assert len(before) == 1
    assert sweep.main(["table", "s", "--root", str(root)]) == 0
    reasons = {row["n"]: (row["state"], row["reason"]) for row in rows_of(Book(root), "s")}
    assert reasons[2] == ("failed", "its process ended without a result: it was killed") and reasons[4][0] == "waiting"
    open_gate(root)
    assert start(root, path).wait(120) == 0
    assert len(finished(root)) == 4 and before.items() <= finished(root).items()


@pytest.mark.parametrize("signum", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=slow)])
def test_a_scheduler_that_is_asked_to_stop_stops_its_runs_and_a_restart_goes_on(root, signum):
    path = write_sweep(root, "fixed: {act: gate}\ngrid: {n: [1, 2, 3]}\n")
    process = start(root, path)
    begun = until(lambda: len(executions(root)) == 2 and executions(root))
    process.send_signal(signum)
    assert process.wait(120) == 128 + signum and "start it again to go on" in process.stderr.read()
    until(lambda: not any(alive(pid) for line in begun for pid in line[1:]))
    assert {state for state, _ in states(root).values()} == {"waiting"} and not finished(root)
    open_gate(root)
    assert start(root, path).wait(120) == 0 and len(finished(root)) == 3


def test_two_schedulers_at_once_share_the_runs_and_lose_none(root):
    path = write_sweep(root, "grid: {n: [1, 2, 3, 4]}\n")
    both = [start(root, path, jobs=1), start(root, path, jobs=2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert sorted(line[0] for line in executions(root)) == [1, 2, 3, 4]  # each once
    assert {state for state, _ in states(root).values()} == {"done"} and len(finished(root)) == 4
    assert len({line[2] for line in executions(root)}) == 4 and log(root).count(" done ") >= 4


def test_a_run_that_was_killed_just_before_its_sentinel_is_not_done_again(root):
    path = write_sweep(root, "grid: {n: [1]}\n")
    assert start(root, path).wait(120) == 0
    (folders(root)[0] / "SUCCESS").unlink()
    assert start(root, path).wait(120) == 0 and len(finished(root)) == len(executions(root)) == 1
    (folders(root)[0] / "SUCCESS").unlink()
    (folders(root)[0] / "tables" / "rows.csv").write_text("k\n")  # but not where anything else is not as it was
    assert start(root, path).wait(120) == 0 and len(finished(root)) == 1 and len(executions(root)) == 2


@slow
def test_a_killed_snakemake_loses_nothing_and_a_restart_finishes(root):
    path = write_sweep(root, "fixed: {act: gate}\ngrid: {n: [1, 2, 3]}\n")
    process = start(root, path, "--", "--cores", "2")
    until(lambda: len(executions(root)) == 2)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    process.wait(10)
    open_gate(root)
    assert start(root, path, "--", "--cores", "2").wait(120) == 0 and len(finished(root)) == 3
    assert sorted(line[0] for line in executions(root)) == [1, 2, 3]  # each once


# files that are edited half-way


def test_a_sweep_goes_by_its_file_as_it_was_read_and_says_so(root):
    path = write_sweep(root, "profile: smoke\nfixed: {act: gate}\ngrid: {n: [1, 2]}\n")
    process = start(root, path)
    until(lambda: len(executions(root)) == 2)
    write_sweep(root, "profile: smoke\nfixed: {act: gate}\ngrid: {n: [2, 3]}\n")
    open_gate(root)
    assert process.wait(120) == 0 and "changed while the sweep ran" in process.stderr.read()
    assert sorted(states(root)) == ["1", "2"] and len(finished(root)) == 2
    before = finished(root)
    again = start(root, path)
    assert again.wait(120) == 0 and "changed" not in again.stderr.read()
    assert sorted(states(root)) == ["2", "3"] and before.items() <= finished(root).items()
    (root / "params" / "smoke.yml").write_text("part/01_a: {rate: 2.5}\n")  # the profile counts as well
    assert start(root, path).wait(120) == 0 and {row["rate"] for row in rows_of(Book(root), "s")} == {2.5}


def test_a_notebook_that_is_edited_half_way_does_not_pass_for_the_one_that_was_planned(root):
    path = write_sweep(root, "list: [{n: 1, act: gate}, {n: 2}]\n")
    process = start(root, path, jobs=1)
    until(lambda: executions(root))
    write_notebook(root / "book" / "part" / "01_a.ipynb", COUNT, GATE, "edited = True")
    open_gate(root)
    assert process.wait(120) == 1 and "changed while the sweep ran" in process.stderr.read()
    assert start(root, path).wait(120) == 0
    assert sorted(line[0] for line in executions(root)) == [1, 1, 2]  # the second belongs to the new notebook already


# a notebook that hangs


def test_a_hanging_cell_and_a_run_that_takes_too_long_are_stopped(tmp_path):
    deaf = "import signal, time\nif act == 'deaf': signal.signal(signal.SIGINT, signal.SIG_IGN)"
    root = write_book(tmp_path, COUNT, deaf, "if act: time.sleep(120)")
    path = write_sweep(root, "list: [{n: 1, act: hang}, {n: 2, act: deaf}, {n: 3}]\ntimeout: 2\nretries: 0\n")
    other = write_sweep(root, "list: [{n: 1, act: hang}, {n: 2, act: deaf}]\ntimeout: 100\nlimit: 4\nretries: 0\n", "t")
    both = [start(root, path, jobs=3), start(root, other)]
    assert [process.wait(120) for process in both] == [1, 1]
    assert states(root) == {"1": (s := ("failed", "a cell ran for more than 2 s")), "2": s, "3": ("done", "")}
    assert set(states(root, "t").values()) == {("failed", "the run took longer than 4 s")}
    assert not any(alive(pid) for line in executions(root) for pid in line[1:])


def test_a_worker_that_no_longer_answers_is_killed(root, monkeypatch):
    monkeypatch.setattr(sweep_local, "GRACE", 2)
    found, runs = sweep.planned(
        write_sweep(root, "fixed: {act: gate}\ngrid: {n: [1]}\nlimit: 3\nretries: 0\n"), Book(root)
    )
    sweep.write_plan(found, runs)
    scheduler = sweep_local.Scheduler(found, runs, 1)
    scheduler._start()
    os.kill(until(lambda: executions(root))[0][2], signal.SIGSTOP)
    assert scheduler.work()[runs[0].id].reason == "its process was killed by SIGKILL"


# a full disk


@pytest.fixture
def small_disk(tmp_path):
    """`_build` on a file system of 4 MB; gives a function that makes it larger."""
    root = write_book(tmp_path, COUNT, "print('x' * 1_200_000)")
    place = root / "_build"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here (root is needed)")
    try:
        yield root, lambda: subprocess.run(["mount", "-o", "remount,size=50m", str(place)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_stops_the_sweep_and_a_restart_finishes_the_rest(small_disk):
    root, enlarge = small_disk
    path = write_sweep(root, "grid: {n: [1, 2, 3, 4]}\n")
    process = start(root, path, jobs=1)
    assert process.wait(120) == 1
    said = process.stderr.read()
    assert "the disk is full: no further run is started" in said and "No space left on device" in said
    before = finished(root)
    assert 0 < len(before) < 4 and len(executions(root)) < 4  # it did not try them all
    enlarge()
    assert start(root, path).wait(120) == 0
    assert len(finished(root)) == 4 and before.items() <= finished(root).items()


# what is half-written


def test_half_written_files_are_never_taken_for_a_finished_run(root):
    found, runs = sweep.planned(path := write_sweep(root, "grid: {n: [1]}\n"), Book(root))
    assert start(root, path).wait(120) == 0 and standing(runs[0]).state == "done"
    for name in ("result.json", "SUCCESS", "01_a.ipynb", "tables/rows.csv"):
        file = runs[0].folder / name
        content = file.read_bytes()
        for left in (None, b"", content[: len(content) // 2], content[:-1] + b"?"):
            file.unlink() if left is None else file.write_bytes(left)
            assert standing(runs[0]).state != "done", (name, left)
            file.write_bytes(content)
            assert standing(runs[0]).state == "done"


# long ones


@slow
def test_500_tiny_runs_in_one_sweep(tmp_path):
    root = write_book(tmp_path, COUNT)
    path = write_sweep(root, f"grid: {{n: {list(range(100))}}}\nseeds: [0, 1, 2, 3, 4]\n")
    process = start(root, path)
    assert process.wait(3000) == 0 and len(finished(root)) == 500 and len(executions(root)) == 500
    assert len(rows_of(Book(root), "s")) == 500
    began = time.monotonic()
    assert start(root, path).wait(120) == 0 and len(executions(root)) == 500
    assert time.monotonic() - began < 20  # to see that nothing is to be done


@slow
def test_kills_at_random_until_all_is_done(tmp_path):
    root, dice = write_book(tmp_path, COUNT), random.Random(0)
    path = write_sweep(root, f"grid: {{n: {list(range(1, 31))}}}\nretries: 0\n")
    kept: dict[str, int] = {}
    for _ in range(12):
        process = start(root, path)
        time.sleep(dice.uniform(1, 5))
        victims = [process.pid] + [pid for line in executions(root)[-2:] for pid in line[1:] if alive(pid)]
        for pid in dice.sample(victims, dice.randint(1, len(victims))):
            os.kill(pid, signal.SIGKILL) if alive(pid) else None
        process.kill()
        process.wait(10)
        done = finished(root)
        assert kept.items() <= done.items()  # what was done stays, untouched
        kept = done
    assert start(root, path).wait(300) == 0 and len(finished(root)) == 30


@slow
def test_several_schedulers_of_both_kinds_at_once(tmp_path):
    root = write_book(tmp_path, COUNT)
    path = write_sweep(root, f"grid: {{n: {list(range(1, 25))}}}\n")
    many = [start(root, path, jobs=1) for _ in range(3)] + [start(root, path, "--", "--cores", "2")]
    assert [process.wait(300) for process in many] == [0, 0, 0, 0]
    assert len(finished(root)) == 24 and sorted(line[0] for line in executions(root)) == list(range(1, 25))
    for folder in folders(root):
        assert json.loads((folder / "result.json").read_text())["status"] == "ok" and read_result(folder)
