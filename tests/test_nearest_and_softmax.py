"""Streaming softmax and nearest neighbours: precision at small sigma, memory, and the three ways through."""

import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy
import pytest
import torch

from separations.distributions import Empirical
from separations.numerics import Rows, nearest, nearest_rows, softmax
from separations.numerics.softmax import product_error, softmax_moments


def near_duplicates(n=200, d=3072, offset=-0.7):
    """n images in [-1, 1] + offset, the second half copies of the first at a distance of about 0.0055 (float32)."""
    g = torch.Generator().manual_seed(0)
    base = torch.rand(n // 2, d, generator=g) * 2 - 1 + offset
    return torch.cat([base, base + 1e-4 * torch.randn(n // 2, d, generator=g)])


def time_of(sigma):
    return -math.log1p(-(sigma**2))


def test_the_rounding_bound_covers_the_rounding_error():
    data = near_duplicates()
    x = data[:64] + 0.5 * torch.randn(64, 3072, generator=torch.Generator().manual_seed(1))
    error = ((x @ data.T).double() - x.double() @ data.double().T).abs().amax(1)
    assert (product_error(x, Rows(data)) > 2 * error).all()


@pytest.mark.parametrize("sigma", [0.002, 0.01, 0.1, 0.5, 0.9])
def test_float32_agrees_with_float64_even_with_near_duplicates(sigma):
    data, t = near_duplicates(), time_of(sigma)
    single, double = Empirical(data), Empirical(data.double())
    x = double.sample(16, t, generator=torch.Generator().manual_seed(2)).float()
    exact = double.score(x.double(), t)
    error = (single.score(x, t) - exact).norm(dim=1) / exact.norm(dim=1)
    # Rounding of the posterior mean, eps |x| / (sigma sqrt(d)), with a factor 20 to spare; naive float32 is off by > 1e-1.
    assert float(error.max()) < 20 * 1.2e-7 * 55 / (sigma * 55)
    assert float((single.log_prob(x, t) - double.log_prob(x.double(), t)).abs().max()) < 1e-2  # of about 1e4


def test_the_naive_way_would_fail_here():
    data, sigma = near_duplicates(), 0.002
    t = time_of(sigma)
    x = Empirical(data.double()).sample(16, t, generator=torch.Generator().manual_seed(2)).float()
    a = math.exp(-t / 2)
    naive = torch.softmax(
        -((x.square().sum(1)[:, None] - 2 * a * x @ data.T + a**2 * data.square().sum(1)) / (2 * sigma**2)), 1
    )
    exact = Empirical(data.double()).responsibilities(x.double(), t)
    assert float((naive - exact).abs().max()) > 0.1


def test_all_three_ways_agree_with_float64(monkeypatch):
    g = torch.Generator().manual_seed(0)
    data = torch.randn(1500, 2, generator=g)
    x = torch.randn(40, 2, generator=g)
    t = torch.cat(
        [torch.full((20,), time_of(3e-3)), torch.full((20,), time_of(0.8))]
    )  # sharp and smooth rows in one call
    exact = Empirical(data.double()).denoise(x.double(), t)
    for tolerance, most in [(math.inf, 512), (1e-2, 512), (0.0, 512), (0.0, 3)]:  # smooth, mixed, sharp and flat, flat
        monkeypatch.setattr(softmax, "LOGIT_TOLERANCE", tolerance)
        monkeypatch.setattr(softmax, "MAX_CANDIDATES", most)
        error = (Empirical(data, block=64).denoise(x, t).double() - exact).abs()[20 * (tolerance == math.inf) :]
        bound = 2e-3 if tolerance else 1e-5  # the smooth way may err by its tolerance, the others not
        assert float(error.max()) < bound


def test_gradients_flow_through_every_way(monkeypatch):
    g = torch.Generator().manual_seed(0)
    data = torch.randn(300, 2, generator=g, dtype=torch.float64)
    x, t = torch.randn(10, 2, generator=g, dtype=torch.float64, requires_grad=True), time_of(0.3)
    law = Empirical(data, block=32)
    for tolerance, most in [(math.inf, 512), (0.0, 512), (0.0, 3)]:
        monkeypatch.setattr(softmax, "LOGIT_TOLERANCE", tolerance)
        monkeypatch.setattr(softmax, "MAX_CANDIDATES", most)
        score = torch.autograd.grad(law.log_prob(x, t).sum(), x)[0]
        torch.testing.assert_close(score, law.score(x, t), rtol=1e-9, atol=1e-9)
        jacobian = torch.stack([torch.autograd.grad(law.score(x, t)[:, i].sum(), x)[0] for i in range(2)], 1)
        torch.testing.assert_close(jacobian, law.hessian(x, t), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("block", [1, 7, None])
def test_nearest_is_a_full_sort(dtype, block):
    g = torch.Generator().manual_seed(0)
    data, x = torch.randn(90, 5, generator=g, dtype=dtype), torch.randn(11, 5, generator=g, dtype=dtype)
    distance, index = nearest(x, Rows(data, block), k=3)
    full = torch.cdist(x.double(), data.double(), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(distance.sqrt(), full.sort(1).values[:, :3])
    assert torch.equal(index, full.argsort(1)[:, :3])


def test_nearest_is_exact_among_near_duplicates():
    data = near_duplicates(n=400, d=3072)
    crowd = torch.cat([data, data[:1] + 1e-6 * torch.randn(100, 3072, generator=torch.Generator().manual_seed(3))])
    x = crowd[[0, 250, 450]]  # the third has more near neighbours than the preselection keeps
    distance, index = nearest(x, Rows(crowd), k=2)
    full = torch.stack([(row.double() - crowd.double()).square().sum(1) for row in x])
    torch.testing.assert_close(distance, full.sort(1).values[:, :2], rtol=1e-9, atol=1e-12)
    assert index[:, 0].tolist() == [0, 250, 450]


def test_ties_go_to_the_lower_row():
    data = torch.tensor([[1.0], [-1.0], [1.0], [5.0]])
    distance, index = nearest(torch.tensor([[0.0]]), Rows(data), k=3)
    assert index.tolist() == [[0, 1, 2]] and distance.tolist() == [[1, 1, 1]]


MEMORY = """
import torch
from pathlib import Path
from separations.distributions import Empirical

def peak():  # MB; getrusage would count the parent's memory at the fork
    return next(int(l.split()[1]) / 1024 for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM"))

g = torch.Generator().manual_seed(0)
data = torch.empty(50_000, 3072).uniform_(-1, 1, generator=g)  # in place: no temporary copy that would hide ours
torch.randn(64, 64) @ torch.randn(64, 64)
before = peak()
law = Empirical(data)
for t in (4e-6, 0.05, 3.0):
    law.score(law.sample(256, t, generator=g), t)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.slow
def test_memory_at_the_size_of_cifar10_stays_under_one_gigabyte():
    extra = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout
    assert 1 < float(extra) < 1000  # MB beside the data


MAPPED = """
import sys
from pathlib import Path
import numpy as np, torch
from separations.distributions import Empirical

def anonymous():  # MB of this process that no file backs
    return next(int(l.split()[1]) / 1024 for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("RssAnon"))

shape = (80_000, 3072)  # 940 MB, all but the first rows a hole in the file
np.memmap(sys.argv[1], dtype="float32", mode="w+", shape=shape)[:10] = 1
data, x = np.memmap(sys.argv[1], dtype="float32", mode="r", shape=shape), torch.ones(4, 3072)
before = anonymous()
Empirical(data).denoise(x, 0.01)
print(anonymous() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.slow
def test_a_memory_map_is_not_copied_into_memory(tmp_path):
    command = [sys.executable, "-c", MAPPED, str(tmp_path / "data.bin")]
    extra = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(extra) < 300  # MB, of 940 on disk


def test_queries_in_pieces_give_the_same(monkeypatch, generator):
    data, x = torch.randn(300, 5, generator=generator), torch.randn(700, 5, generator=generator)
    a, s = torch.full((700,), 0.9, dtype=torch.float64), torch.rand(700, generator=generator).double() + 1e-5
    whole = softmax_moments(x, Rows(data), a, s)
    monkeypatch.setattr("separations.numerics.softmax.LOGITS_BYTES", 4 * 300 * 150)
    pieces = softmax_moments(x, Rows(data), a, s)
    # float32; a log sum at s = 1e-5 is about 1e10, so relative
    torch.testing.assert_close(pieces.mean, whole.mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pieces.log_sum, whole.log_sum, rtol=1e-5, atol=1e-5)


def sorted_by_differences(x, data, k):
    """Squared distances in float64, pair by pair, and row numbers; equal ones by row number."""
    every = torch.stack([(row - data.double()).square().sum(1) for row in x.double()])
    found, index = every.sort(dim=1, stable=True)
    return found[:, :k], index[:, :k]


def hard_sets():
    g = torch.Generator().manual_seed(4)
    plain = torch.randn(60, 30, generator=g)
    huge = plain.clone()
    huge[7] = 1e9
    return {
        "each row thirty times": (plain[:5], plain[:10].repeat(30, 1)),
        "one row only": (plain[:3], plain[:1].expand(200, 30)),
        "a huge row": (plain[:5] + 0.1, huge),
        "near-duplicates": (plain[:5].double() + 100, plain[:1].double() + 100 + 1e-7 * torch.randn(300, 30, generator=g)),
        "a query far out": (torch.full((2, 30), 1e19), plain),
        "rows along the diagonal": (torch.rand(9, 1, generator=g).expand(9, 500), torch.rand(400, 1, generator=g).expand(400, 500)),
        "whole numbers on a line": (torch.arange(5.0)[:, None], torch.randint(0, 4, (90, 1), generator=g).float()),
        "two points": (plain[:4], plain[:2]),
    }  # fmt: skip


@pytest.mark.parametrize("name", hard_sets())
@pytest.mark.parametrize("block", [17, None])
def test_nearest_is_a_full_sort_where_a_product_is_too_coarse(name, block):
    x, data = hard_sets()[name]
    distance, index = nearest(x, Rows(data, block), k=2)
    want, where = sorted_by_differences(x, data, 2)
    assert torch.equal(index, where) and torch.equal(distance, want)


@pytest.mark.parametrize("dtype, unit", [(torch.float32, 2.0**66), (torch.float32, 2.0**-77), (torch.float64, 2.0**560),
                                         (torch.float64, 2.0**-565)])  # fmt: skip
def test_nearest_does_not_depend_on_the_unit(dtype, unit):
    g = torch.Generator().manual_seed(5)
    data, x = torch.randn(90, 8, generator=g).to(dtype), torch.randn(20, 8, generator=g).to(dtype)
    plain, where = nearest_rows.nearest_distances(x, Rows(data), k=3)
    other, index = nearest_rows.nearest_distances(x * unit, Rows(data * unit), k=3)
    assert torch.equal(index, where) and torch.equal(other, plain * unit)


def test_rows_of_any_floating_point_kind(tmp_path):
    g = torch.Generator().manual_seed(6)
    data, x = torch.randn(50, 4, generator=g).half(), torch.randn(6, 4, generator=g)
    want = nearest(x, Rows(data.double()))
    numpy.memmap(tmp_path / "half.bin", dtype="float16", mode="w+", shape=(50, 4))[:] = data.numpy()
    mapped = numpy.memmap(tmp_path / "half.bin", dtype="float16", mode="r", shape=(50, 4))
    for rows in (data, mapped, data.numpy().astype(">f4"), data.clone().requires_grad_()):
        found = nearest(x, Rows(rows))
        assert torch.equal(found[0], want[0]) and torch.equal(found[1], want[1])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Rows(numpy.ones((3, 2), dtype=numpy.longdouble)), "data is float128"),
        (lambda: nearest(torch.zeros(1, 2), Rows(torch.eye(2)), k=3), "k = 3: a whole number from 1 to 2"),
        (lambda: nearest(torch.tensor([[0.0, math.nan]]), Rows(torch.eye(2))), "x has NaN"),
        (lambda: nearest(torch.zeros(1, 3), Rows(torch.eye(2))), r"x has shape \(1, 3\)"),
        (lambda: nearest(torch.ones(1, 2).double() * 1e200, Rows(torch.eye(2).double())), "squared distances overflow"),
        (
            lambda: softmax_moments(torch.ones(1, 2), Rows(torch.eye(2)), ONE, ONE * 1e-200),
            "sigma reaches .*: at most 1e[+]140",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


ONE = torch.ones(1, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sigma", [1e-3, 0.3])
def test_softmax_in_16_bits_is_that_of_the_same_numbers_in_float32(dtype, sigma):
    g = torch.Generator().manual_seed(7)
    data, x = torch.randn(40, 3000, generator=g).to(dtype) * 8, torch.randn(5, 3000, generator=g).to(dtype)
    a, s = torch.full((5,), 0.9, dtype=torch.float64), torch.full((5,), sigma, dtype=torch.float64)
    found, want = softmax_moments(x, Rows(data), a, s), softmax_moments(x.float(), Rows(data.float()), a, s)
    assert found.mean.dtype == torch.float32 and torch.equal(found.mean, want.mean)
    assert found.log_sum.isfinite().all() and torch.equal(found.log_sum, want.log_sum)


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 2.0])
def test_softmax_does_not_depend_on_the_unit(sigma):
    g = torch.Generator().manual_seed(8)
    data, x = torch.randn(300, 5, generator=g), torch.randn(20, 5, generator=g)
    a, s = torch.full((20,), 0.9, dtype=torch.float64), torch.full((20,), sigma, dtype=torch.float64)
    plain = softmax_moments(x, Rows(data), a, s)
    for unit in (2.0**66, 2.0**-77):
        other = softmax_moments(x * unit, Rows(data * unit), a, s * unit)
        assert torch.equal(other.mean, plain.mean * unit) and torch.equal(other.log_sum, plain.log_sum)


def exact_softmax(x, data, a, s):
    """Mean and log sum, float64, from logits in exact fractions less the largest of them."""
    rows = data.double()
    x, data = ([[Fraction(v) for v in row] for row in z.tolist()] for z in (x, data))
    a, s = Fraction(a), Fraction(s)
    squared = [[sum((v - a * w) ** 2 for v, w in zip(row, other)) for other in data] for row in x]
    least = [min(each) for each in squared]
    gaps = [[min(float((v - low) / s**2 / 2), 800.0) for v in each] for each, low in zip(squared, least)]
    weights = torch.tensor(gaps, dtype=torch.float64).neg().exp()
    top = torch.tensor([float(low / s**2 / 2) for low in least], dtype=torch.float64)
    return (weights @ rows) / weights.sum(1, keepdim=True), weights.sum(1).log() - top


@pytest.mark.parametrize("size, s", [(1.0, 1e-19), (1e19, 1.0), (1e4, 1e-4), (1e19, 1e-3)])
def test_softmax_far_out_and_at_tiny_noise(size, s):
    g = torch.Generator().manual_seed(9)
    data, x = torch.randn(60, 4, generator=g), torch.randn(8, 4, generator=g) * size
    ones = torch.ones(8, dtype=torch.float64)
    found = softmax_moments(x.double(), Rows(data), ones, ones * s)
    mean, log_sum = exact_softmax(x, data, 1.0, s)
    torch.testing.assert_close(found.mean, mean, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.log_sum, log_sum, rtol=1e-9, atol=1e-9)
    single = softmax_moments(x, Rows(data), ones, ones * s, log_sum=False)
    torch.testing.assert_close(single.mean.double(), mean, rtol=1e-5, atol=1e-5)


def test_softmax_among_many_near_duplicates_in_float64():
    """More rows than the selection keeps, closer together than a product can tell even in float64."""
    g = torch.Generator().manual_seed(10)
    data = 50 + 1e-8 * torch.randn(700, 20, generator=g, dtype=torch.float64)
    x = data[:4] + 1e-8 * torch.randn(4, 20, generator=g, dtype=torch.float64)
    ones = torch.ones(4, dtype=torch.float64)
    found = softmax_moments(x, Rows(data, 128), ones, ones * 2e-8)
    mean, log_sum = exact_softmax(x, data, 1.0, 2e-8)
    # differences of numbers near 50 are known to 7e-15, that is 1e-6 of what is asked for
    assert float((found.mean - mean).abs().max()) < 1e-12
    torch.testing.assert_close(found.log_sum, log_sum, rtol=0, atol=1e-6)
    x.requires_grad_()
    score = torch.autograd.grad(softmax_moments(x, Rows(data, 128), ones, ones * 2e-8).log_sum.sum(), x)[0]
    torch.testing.assert_close(score, (found.mean - x.detach()) / 4e-16, rtol=1e-5, atol=1e3)  # of about 5e7


def test_white_grounds_round_to_one_side_and_lose_no_row():
    """Coordinates that are all alike: the error of a float32 product is six times that of signs that change."""
    data = torch.linspace(0.9, 1.0, 800)[:, None].expand(-1, 3072).contiguous()
    x = data[100:700:100] * 1.00001
    ones = torch.ones(len(x), dtype=torch.float64)
    found = softmax_moments(x, Rows(data), ones, ones * 1e-3, log_sum=False).mean
    mean, _ = exact_softmax(x[:, :1] * 3072**0.5, data[:, :1] * 3072**0.5, 1.0, 1e-3)
    assert float((found.double() - mean / 3072**0.5).abs().max()) < 1e-6
