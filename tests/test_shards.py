"""Rows spread over processes answer as one set: two processes that talk through gloo."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, tempfile
import torch, torch.distributed as dist
from separations.distributions import Empirical
from separations.numerics import Rows, nearest

torch.set_num_threads(1)
rank, where, what = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{where}", rank=rank, world_size=2)
world = dist.group.WORLD
g = torch.Generator().manual_seed(0)
if what == "bytes":
    data = torch.randint(0, 256, (301, 120), generator=g, dtype=torch.uint8)
else:
    data = torch.rand(301, 120, generator=g) * 2 - 1
    data[290:] = data[:11]  # ties between the parts
    if what == "scaled":
        data[200:] = data[200:] * 2.0**70  # one part alone would take another power of two
x = (data[::7].float() if what != "bytes" else data[::7].float() / 127.5 - 1) + 0.05 * torch.randn(43, 120, generator=g)
cut = 1 if what == "short" else 173
part = data[:cut] if rank == 0 else data[cut:]
rows, whole = Rows(part, group=world), Rows(data)
assert (rows.first, rows.total) == (0 if rank == 0 else cut, 301)
for k in (1, 2, 5):
    mine, all_of = nearest(x, rows, k), nearest(x, whole, k)
    assert torch.equal(mine[1], all_of[1]), (k, mine[1], all_of[1])
    torch.testing.assert_close(mine[0], all_of[0], rtol=1e-14, atol=0)
law, plain = Empirical(part, group=world), Empirical(data)
assert law.n == 301
if what != "scaled":
    for t in (1e-4, 0.05, 1.0):
        torch.testing.assert_close(law.score(x, t), plain.score(x, t), rtol=1e-4, atol=1e-4 / t)
        torch.testing.assert_close(law.score(x.double(), t), plain.score(x.double(), t), rtol=1e-9, atol=1e-9 / t)
        torch.testing.assert_close(law.log_prob(x.double(), t), plain.log_prob(x.double(), t), rtol=1e-10, atol=1e-8)

def refused(step, words):
    try:
        step()
    except ValueError as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)

refused(lambda: law.score(x.clone().requires_grad_(), 0.1), "x asks for gradients")
refused(lambda: nearest(x * (1 + rank), rows), "x differs between processes")
refused(lambda: nearest(x.flip(0) if rank else x, rows), "x differs between processes")
refused(lambda: nearest(x, rows, 1 + rank), "x differs between processes")
refused(lambda: law.score(x, 0.1 + rank), "x differs between processes")
refused(lambda: nearest(x, rows, 302), "k = 302")
nothing = part[:0] if rank else part
refused(lambda: Rows(nothing, group=world), "(0, 120)")
if what != "bytes":
    spoilt = part.clone()
    spoilt[0, 0] = float("nan") if rank else 0.0
    refused(lambda: Rows(spoilt, group=world), "NaN")
refused(lambda: law.responsibilities(x, 0.1), "group = ")
refused(lambda: Rows(part[:, : 120 - rank], group=world), "rows of one length")
dist.barrier()
print("done", rank, flush=True)
dist.destroy_process_group()
os._exit(0)  # threads of gloo that still run abort a process that ends by itself, now and then
"""


@pytest.mark.parametrize("what", ["floats", "bytes", "scaled", "short"])
def test_two_processes_answer_as_one(what, tmp_path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(rank), str(tmp_path / "meet"), what],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for rank, process in enumerate(started):
            out, error = process.communicate(timeout=240)
            assert process.returncode == 0 and f"done {rank}" in out, error
    finally:
        for process in started:
            process.kill()


def test_without_other_processes_a_group_is_refused():
    program = "import torch; from separations.numerics import Rows; Rows(torch.eye(3), group='all')"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.returncode and "init_process_group" in found.stderr
