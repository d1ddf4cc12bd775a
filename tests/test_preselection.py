"""The bound of the cheap product holds, is tight enough to be of use, and on every path the nearest rows are those of a full sort."""

import pytest
import torch

from separations.numerics import Rows, nearest, nearest_rows, preselection, private_operators, rounded_rows

FORMS = ["int8", "bfloat16", "float32", "float64"]


def adversaries():
    """Queries and rows (n, d) that a careless bound would get wrong."""
    g = torch.Generator().manual_seed(0)
    plain, x = torch.randn(700, 120, generator=g), torch.randn(40, 120, generator=g)
    image = torch.rand(350, 120, generator=g) * 2 - 1
    huge, constant = plain.clone(), plain.clone()
    huge[13], constant[:300] = 1e6 * huge[13], torch.randn(300, 1, generator=g).expand(300, 120)
    beyond = plain.clone()
    beyond[:, 0] *= 1e4  # one value rules the scale of every row
    return {
        "normal": (x, plain),
        "equal rows": (x, plain[:70].repeat(10, 1)),
        "near-duplicates at 1e-7": (image[:40], torch.cat([image, image + 1e-7 * torch.randn(350, 120, generator=g)])),
        "a huge row": (x, huge),
        "constant rows": (x, constant),
        "one huge value a row": (x, beyond),
        "far from the origin": (x + 1000, plain + 1000),
        "queries are rows": (plain[:40], plain),
        "float64": (x.double() + 1e-9, plain.double()),
        "zeros": (torch.zeros(30, 120), torch.zeros(400, 120)),
        "sixteen bits": (x, plain.half()),
        "bytes": (x, torch.randint(0, 256, (700, 120), generator=g, dtype=torch.uint8)),
        "two bytes": (x, torch.randint(0, 2, (700, 120), generator=g, dtype=torch.uint8) * 255),
        "one dimension": (x[:, :1], plain[:, :1]),
        "two rows": (x, plain[:2]),
    }  # fmt: skip


def values(data):
    return data.double() * (2 / 255) - 1 if data.dtype == torch.uint8 else data.double()


def full_sort(x, data, k):
    """As a full sort of explicit differences, in the coordinates in which 8-bit rows are whole numbers."""
    rows = Rows(data)
    y, z = rows.inner(x.double()), rows.take(torch.arange(len(data)), "cpu", torch.float64)
    every = torch.stack([(row - z).square().sum(1) for row in y])
    found, index = every.sort(dim=1, stable=True)
    return found[:, :k] * rows.unit**2, index[:, :k]


@pytest.mark.parametrize("name", adversaries())
@pytest.mark.parametrize("form", FORMS)
def test_every_path_finds_the_rows_of_a_full_sort(name, form, monkeypatch):
    x, data = adversaries()[name]
    tries = [(form, False), *([(form, True)] if form == "int8" else [])]
    monkeypatch.setattr(nearest_rows, "formats", lambda *_: tries)
    for k in (1, 2, min(5, len(data))):
        distance, index = nearest(x, Rows(data, 130), k)
        want, where = full_sort(x, data, k)
        assert torch.equal(index, where) and torch.equal(distance, want)
    plain = (x[:, None].double() - values(data)).square().sum(2).sort(dim=1).values[:, :k]
    torch.testing.assert_close(distance, plain, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", adversaries())
@pytest.mark.parametrize("form, fine", [("int8", False), ("int8", True), ("bfloat16", False), ("float32", False)])
def test_the_bound_holds_for_every_pair(name, form, fine):
    """|y.r - p.q| <= |f| |r| + |p| |g| + rounding, for what the products are in exact arithmetic on the same numbers."""
    x, data = adversaries()[name]
    rows = Rows(data)
    known = rounded_rows.sketch(rows, form, rows.exponent)
    block = known.block(slice(0, rows.n), torch.device("cpu"), rounded_rows.Memory())
    y = rows.inner(x.double()) - known.centre
    r = rows.take(torch.arange(rows.n), "cpu", torch.float64) - known.centre
    q = rounded_rows.round_rows(y, form, fine=fine)
    codes = q.codes.double() + (q.fine.double() / (2 * rounded_rows.SIGNED) if fine else 0)
    product = (q.scale.double()[:, None] * codes) @ (block.scale.double()[:, None] * block.codes.double()).T
    bound = q.lost.double()[:, None] * block.norm + q.kept().double()[:, None] * block.lost
    rounding = 64 * 2.0**-23 * r.norm(dim=1) * (y.norm(dim=1)[:, None] + r.norm(dim=1))
    assert (((y @ r.T) - product).abs() <= bound + rounding + 1e-20).all()
    assert (r.norm(dim=1) <= block.norm.double() * (1 + 1e-5) + 1e-20).all()


def test_how_tight_the_bound_is():
    """On uniform noise the bound is a few times the error it covers, and leaves a handful of rows a query; two bytes leave only the nearest."""
    g = torch.Generator().manual_seed(1)
    data = torch.rand(4000, 768, generator=g) * 2 - 1
    x = data[:100] + 0.3 * torch.randn(100, 768, generator=g)
    rows = Rows(data)
    known = rounded_rows.sketch(rows, "int8", 0)
    block = known.block(slice(0, rows.n), torch.device("cpu"), rounded_rows.Memory())
    y, r = x.double() - known.centre, data.double() - known.centre
    q = rounded_rows.round_rows(y, "int8")
    product = (q.scale.double()[:, None] * q.codes.double()) @ (block.scale.double()[:, None] * block.codes.double()).T
    bound = q.lost.double()[:, None] * block.norm + q.kept().double()[:, None] * block.lost
    share = ((y @ r.T) - product).abs() / bound
    assert (
        0.02 < float(share.max()) < 0.5
    )  # errors of single values are independent: sqrt(d) smaller than Cauchy and Schwarz allow
    (query, _), crowded = preselection.candidates(x.double(), rows, 2, None, 66, "int8")
    number = torch.bincount(query, minlength=100)
    assert not crowded.any() and 2 <= float(number.double().median()) <= 8 and int(number.max()) <= 40


def test_candidates_hold_every_row_whose_weight_can_matter():
    g = torch.Generator().manual_seed(2)
    data = torch.rand(3000, 200, generator=g) * 2 - 1
    x = (data[:50] + 0.2 * torch.randn(50, 200, generator=g)).double()
    half = torch.stack([(row - data.double()).square().sum(1) for row in x]) / 2
    slack = torch.full((50,), 4.0, dtype=torch.float64)
    for form in FORMS:
        (query, row), crowded = preselection.candidates(x, Rows(data), 1, slack, 512, form)
        found = torch.zeros(50, 3000, dtype=torch.bool)
        found[query, row] = True
        assert not crowded.any() and not (~found & (half <= half.amin(1, keepdim=True) + 4.0)).any()
        assert torch.equal(query, query.sort().values) and (row.diff()[query.diff() == 0] > 0).all()


def test_a_crowd_is_handed_on():
    g = torch.Generator().manual_seed(3)
    crowd = torch.randn(2, 300, generator=g).repeat_interleave(2500, 0) + 1e-5 * torch.randn(5000, 300, generator=g)
    (query, _), crowded = preselection.candidates(crowd[:30].double(), Rows(crowd), 2, None, 66, "int8")
    assert crowded.any() and not torch.isin(query, crowded.nonzero()[:, 0]).any()
    distance, index = nearest(crowd[:30], Rows(crowd))
    want, where = full_sort(crowd[:30], crowd, 2)
    assert torch.equal(index, where) and torch.equal(distance, want)


def test_what_is_known_of_rows_is_used_again():
    g = torch.Generator().manual_seed(4)
    data, x = torch.randn(900, 150, generator=g), torch.randn(30, 150, generator=g)
    rows = Rows(data, 200)
    first = nearest(x, rows)
    if rounded_rows.format_for("cpu") == "int8":
        assert rows.rounded["int8", 0].seen.all()
    second = nearest(x, rows)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_without_a_product_of_bytes_float32_does_it(monkeypatch):
    monkeypatch.setattr(private_operators, "_BYTE_PRODUCT", None)
    rounded_rows.format_for.cache_clear()
    try:
        assert (
            private_operators.byte_product(torch.ones(2, 3, dtype=torch.int8), torch.ones(2, 3, dtype=torch.int8))
            is None
        )
        assert rounded_rows.format_for("cpu") == "float32"
        x, data = adversaries()["normal"]
        want, where = full_sort(x, data, 2)
        distance, index = nearest(x, Rows(data))
        assert torch.equal(index, where) and torch.equal(distance, want)
    finally:
        rounded_rows.format_for.cache_clear()


def test_products_of_bytes_are_exact():
    g = torch.Generator().manual_seed(5)
    for m, n, d in ((1, 1, 1), (9, 7, 1), (3, 5, 7), (40, 17, 3000), (2, 300, 65)):
        a, b = (torch.randint(-127, 128, (rows, d), generator=g, dtype=torch.int8) for rows in (m, n))
        found = private_operators.byte_product(a, b)
        assert found is None or torch.equal(found.long(), a.long() @ b.long().T)


def test_progress_is_told():
    told = []

    def progress(parts, total):
        told.append(total)
        return parts

    data = torch.randn(100, 4, generator=torch.Generator().manual_seed(6))
    rows = Rows(data, 30, progress=progress)
    nearest(data[:3], rows, progress=progress)
    assert told == [4, 4]


@pytest.mark.parametrize("place, spread, d", [(2.0**20, 4.0, 2), (1e4, 0.05, 2), (1e5, 1.0, 8), (1e6, 1.0, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_from_the_origin_rows_and_queries_are_centred_alike(place, spread, d, dtype):
    g = torch.Generator().manual_seed(7)
    data = (place + spread * torch.randn(2000, d, generator=g)).to(dtype)
    x = (place + spread * torch.randn(300, d, generator=g)).to(dtype)
    distance, index = nearest(x, Rows(data), 2)
    want, where = full_sort(x, data, 2)
    assert torch.equal(index, where) and torch.equal(distance, want)


def test_rows_too_long_for_32_bits_are_multiplied_otherwise():
    d = 133_000
    data = torch.full((40, d), 255, dtype=torch.uint8)
    data[3], data[4:8] = 0, 1
    assert nearest(-torch.ones(24, d), Rows(data), 1)[1][:, 0].tolist() == [3] * 24
    assert 128 * rounded_rows.SIGNED * rounded_rows.LONGEST < 2**31


def test_numbers_whose_squares_float32_cannot_hold():
    g = torch.Generator().manual_seed(8)
    tiny = 1e-22 * torch.randn(200, 3, generator=g)
    data = torch.cat([torch.eye(3), -torch.eye(3), tiny, -tiny])
    x = tiny[:50] + 3e-23 * torch.randn(50, 3, generator=g)
    assert torch.equal(nearest(x, Rows(data), 1)[1], full_sort(x, data, 1)[1])
