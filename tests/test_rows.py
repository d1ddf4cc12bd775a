"""Rows of a training set: 8-bit ones stay 8-bit, memory maps give their pages back, an index is for one content only."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from separations.distributions import Empirical
from separations.metrics import memorization_ratio
from separations.numerics import Rows, nearest
from separations.numerics.softmax import softmax_moments

G = torch.Generator().manual_seed(0)
BYTES = torch.randint(0, 256, (500, 3, 6, 6), generator=G, dtype=torch.uint8)
VALUES = BYTES.double() * (2 / 255) - 1


def test_bytes_are_images_in_minus_one_to_one():
    rows = Rows(BYTES.view(500, -1))
    every = torch.arange(500)
    torch.testing.assert_close(rows.values(every, "cpu", torch.float64), VALUES.view(500, -1), rtol=0, atol=1e-14)
    assert rows.values(every[:2], "cpu", None).dtype == torch.float32
    exact = (BYTES.view(500, -1).long() - 128).square().sum(1).double()
    assert torch.equal(rows.squared_norms, exact)
    other = Rows(BYTES.view(500, -1), scale=1 / 255, shift=0.0)
    torch.testing.assert_close(
        other.values(every, "cpu", torch.float64), BYTES.view(500, -1).double() / 255, rtol=0, atol=1e-15
    )


def test_squares_of_long_rows_of_bytes_are_exact():
    data = torch.full((2, 12288), 255, dtype=torch.uint8)
    data[1] = 0
    assert Rows(data).squared_norms.tolist() == [12288 * 127**2, 12288 * 128**2]


@pytest.mark.parametrize("t", [1e-5, 0.01, 0.3, 2.0])
def test_scores_of_bytes_are_those_of_their_values(t):
    law, plain = Empirical(BYTES), Empirical(VALUES)
    x = plain.sample(20, t, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(law.score(x, t), plain.score(x, t), rtol=1e-9, atol=1e-9 / math.sqrt(t))
    torch.testing.assert_close(law.log_prob(x, t), plain.log_prob(x, t), rtol=1e-11, atol=1e-8)
    torch.testing.assert_close(law.responsibilities(x, t), plain.responsibilities(x, t), rtol=1e-7, atol=1e-12)
    single = law.score(x.float(), t)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), plain.score(x.float().double(), t), rtol=1e-3, atol=1e-5 / t)


def test_samples_copies_and_gradients_of_a_law_of_bytes():
    law, g = Empirical(BYTES), torch.Generator().manual_seed(2)
    x = law.sample(5, 0.3, generator=g)
    assert x.dtype == torch.float32 and x.shape == (5, 3, 6, 6)
    assert law.to(dtype=torch.float64).data.dtype == torch.uint8
    x = x.double().requires_grad_()
    gradient = torch.autograd.grad(law.log_prob(x, 0.3).sum(), x)[0]
    torch.testing.assert_close(gradient, law.score(x.detach(), 0.3), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("options, message", [
    ({"scale": 0.0}, "scale = 0.0"), ({"scale": -1.0}, "scale = -1.0"), ({"shift": math.inf}, "shift"), ({"scale": "a"}, "scale = 'a'"),
])  # fmt: skip
def test_a_map_that_means_nothing_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Rows(BYTES.view(500, -1), **options)


def test_floats_have_their_own_values():
    with pytest.raises(ValueError, match=r"scale = 1\.0"):
        Rows(torch.eye(3), scale=1.0)
    with pytest.raises(ValueError, match="int16"):
        Rows(torch.eye(3).to(torch.int16))


# ------------------------------------------------------------------------------------------------------------------ index
def mapped(path, values):
    np.save(path, values)
    return np.load(path, mmap_mode="r")


def counted(monkeypatch):
    """The number of passes that measure or hash all rows."""
    passes = []
    for name in ("_measure_once", "feed"):
        real = getattr(Rows, name)
        monkeypatch.setattr(Rows, name, lambda *a, real=real, name=name: (passes.append(name), real(*a))[1])
    return passes


def test_an_index_is_made_once(tmp_path, monkeypatch):
    data, passes = mapped(tmp_path / "x.npy", BYTES.view(500, -1).numpy()), counted(monkeypatch)
    first = Rows(data, index=tmp_path / "x.index")
    assert passes == ["_measure_once", "feed"]
    passes.clear()
    second = Rows(data, index=tmp_path / "x.index")
    assert passes == [] and torch.equal(first.squared_norms, second.squared_norms)
    x = torch.rand(30, 108, generator=torch.Generator().manual_seed(3)) * 2 - 1
    assert torch.equal(nearest(x, first)[1], nearest(x, second)[1])
    torch.testing.assert_close(Empirical(data, index=tmp_path / "x.index").score(x, 0.2), Empirical(data).score(x, 0.2))


def test_an_index_of_other_content_is_made_anew(tmp_path):
    for values in (BYTES.view(500, -1).numpy(), BYTES.view(500, -1).numpy()[::-1].copy(), VALUES.view(500, -1).numpy()):
        data = mapped(tmp_path / "x.npy", values)
        rows = Rows(data, index=tmp_path / "x.index")
        assert torch.equal(rows.squared_norms, Rows(np.array(values)).squared_norms)
        again = Rows(np.array(values), index=tmp_path / "x.index")  # in memory: judged by its hash
        assert torch.equal(rows.squared_norms, again.squared_norms)


def test_parts_of_one_map_are_not_taken_for_each_other(tmp_path):
    data = mapped(tmp_path / "x.npy", BYTES.view(500, -1).numpy())
    for part in (slice(0, 250), slice(250, 500), slice(0, 500, 2)):
        rows = Rows(data[part], index=tmp_path / "x.index")
        assert torch.equal(rows.squared_norms, Rows(np.array(data[part])).squared_norms)


def test_a_moved_file_keeps_its_index(tmp_path, monkeypatch):
    mapped(tmp_path / "x.npy", BYTES.view(500, -1).numpy())
    Rows(np.load(tmp_path / "x.npy", mmap_mode="r"), index=tmp_path / "x.index")
    (tmp_path / "y.npy").write_bytes((tmp_path / "x.npy").read_bytes())
    passes = counted(monkeypatch)
    Rows(np.load(tmp_path / "y.npy", mmap_mode="r"), index=tmp_path / "x.index")
    assert passes == ["feed"]  # hashed, not measured


def test_what_is_no_index_is_left_alone(tmp_path):
    for write in (lambda p: p.write_text("mine"), lambda p: save_file({"x": torch.ones(2)}, p), lambda p: p.mkdir()):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.index"
        write(path)
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(ValueError, match="index = "):
            Rows(BYTES.view(500, -1), index=path)
        assert path.is_dir() or path.read_bytes() == before


def test_a_damaged_index_says_so(tmp_path):
    Rows(BYTES.view(500, -1), index=tmp_path / "x.index")
    whole = (tmp_path / "x.index").read_bytes()
    (tmp_path / "x.index").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="damaged"):
        Rows(BYTES.view(500, -1), index=tmp_path / "x.index")


# ----------------------------------------------------------------------------------------------------------------- memory
def test_what_was_written_to_a_private_map_stays(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((400, 50), dtype="float32"))
    data = np.load(tmp_path / "x.npy", mmap_mode="c")
    data[:] = 1
    Rows(data, 100)
    assert (data == 1).all()


RESIDENT = """
import sys
from pathlib import Path
import numpy as np, torch
from separations.metrics import memorization_ratio
from separations.numerics import Rows, nearest
from separations.distributions import Empirical

def peak():
    return next(int(l.split()[1]) / 1024 for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM"))

data = np.memmap(sys.argv[1], dtype="uint8", mode="w+", shape=(200_000, 3072))  # 614 MB
data[:100] = np.random.default_rng(0).integers(0, 256, (100, 3072))
del data
data = np.memmap(sys.argv[1], dtype="uint8", mode="r", shape=(200_000, 3072))
x = torch.rand(40, 3072, generator=torch.Generator().manual_seed(0)) * 2 - 1
before = peak()
rows = Rows(data)
nearest(x, rows)
Empirical(data).score(x, 0.5)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.slow
def test_a_map_of_bytes_stays_on_disk(tmp_path):
    """Pages that were read are given back, and no copy in floating point is made: 614 MB would be resident, or 2.5 GB."""
    found = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(tmp_path / "x.bin")], capture_output=True, text=True, check=True
    )
    assert float(found.stdout) < 300


def test_the_index_speaks_in_plain_words(tmp_path):
    from safetensors import safe_open

    Rows(BYTES.view(500, -1), index=tmp_path / "x.index")
    with safe_open(tmp_path / "x.index", "pt") as file:
        words = json.loads(file.metadata()["words"])
    assert words["about"]["n"] == 500 and len(words["sha256"]) == 64


# ------------------------------------------------------------------------------------------------------------------- ratio
def test_the_memorization_ratio_of_images_as_they_are_stored(tmp_path):
    """Bytes, a memory map, and rows: the ratio, the rows and the duplicates of the same values in floating point."""
    data = torch.cat([BYTES.view(500, -1), BYTES.view(500, -1)[:40].repeat(3, 1)])
    values = data.double() * (2 / 255) - 1
    g = torch.Generator().manual_seed(4)
    samples = torch.cat(
        [values[:30] + 0.01 * torch.randn(30, 108, generator=g), torch.rand(30, 108, generator=g) * 2 - 1]
    )
    want = memorization_ratio(samples, values)
    assert want.ratio == 0.5 and want.n == 500 and want.duplicates == 120
    for train in (data, data.view(620, 3, 6, 6), mapped(tmp_path / "x.npy", data.numpy()), Rows(data), Rows(values)):
        found = memorization_ratio(samples, train)
        assert (found.ratio, found.n, found.duplicates) == (want.ratio, want.n, want.duplicates)
        assert torch.equal(found.nearest, want.nearest)
        torch.testing.assert_close(found.d1, want.d1)
        torch.testing.assert_close(found.d2, want.d2)
    plain = memorization_ratio(samples, data, merge_duplicates=False)
    assert plain.ratio == 0.0 and plain.n == 620


@pytest.mark.parametrize("train, message", [
    (np.zeros((3, 2), dtype="int32"), "train is int32"), (np.zeros((0, 2), dtype="uint8"), r"train has shape \(0, 2\)"),
    (torch.zeros(3, 5, dtype=torch.uint8), r"samples has shape \(4, 2\)"), (torch.zeros(3, 2, dtype=torch.uint8), "train has 3 points, 1 distinct"),
])  # fmt: skip
def test_training_sets_without_a_ratio(train, message):
    with pytest.raises(ValueError, match=message):
        memorization_ratio(torch.zeros(4, 2), train)


# ------------------------------------------------------------------------------------------- what a stamp has to notice
def stored(path, values):
    values.tofile(path)
    return lambda mode="r", offset=0: np.memmap(path, "uint8", mode, offset=offset, shape=(200, 108))


def norms(data, index):
    return Rows(data, index=index).squared_norms, Rows(np.array(data)).squared_norms


def test_two_maps_of_one_file_have_places_of_their_own(tmp_path):
    at = stored(tmp_path / "x.bin", np.random.default_rng(0).integers(0, 256, (400, 108)).astype("uint8"))
    for offset in (0, 200 * 108, 0):
        assert torch.equal(*norms(at(offset=offset), tmp_path / "x.index"))


def test_a_map_that_can_be_written_is_hashed_each_time(tmp_path):
    at = stored(tmp_path / "x.bin", np.random.default_rng(1).integers(0, 256, (200, 108)).astype("uint8"))
    for mode in ("c", "r+"):
        data = at(mode)
        Rows(data, index=tmp_path / "x.index")
        data[:] = 7
        assert torch.equal(*norms(data, tmp_path / "x.index"))
        assert torch.equal(*norms(at(), tmp_path / "x.index"))


def test_other_content_with_the_same_times_is_noticed(tmp_path):
    at = stored(tmp_path / "x.bin", np.random.default_rng(2).integers(0, 256, (200, 108)).astype("uint8"))
    old = at()
    Rows(old, index=tmp_path / "x.index")
    about = (tmp_path / "x.bin").stat()
    (tmp_path / "y.bin").write_bytes(bytes(200 * 108))
    os.utime(tmp_path / "y.bin", ns=(about.st_atime_ns, about.st_mtime_ns))
    os.replace(tmp_path / "y.bin", tmp_path / "x.bin")
    assert torch.equal(*norms(at(), tmp_path / "x.index"))
    assert torch.equal(*norms(old, tmp_path / "x.index"))  # the file that this map shows has no name any more
    assert torch.equal(*norms(at(), tmp_path / "x.index"))
    (tmp_path / "x.bin").unlink()
    assert torch.equal(*norms(old, tmp_path / "x.index"))


def test_an_index_with_other_words_or_a_link_to_nothing_is_refused(tmp_path):
    for words in ("{}", "[]", "nothing"):
        save_file(
            {"squared_norms": torch.ones(500)},
            tmp_path / "x.index",
            {"format": "separations rows index", "words": words},
        )
        with pytest.raises(ValueError, match="damaged"):
            Rows(BYTES.view(500, -1), index=tmp_path / "x.index")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="link to nothing"):
        Rows(BYTES.view(500, -1), index=tmp_path / "link")
    assert (tmp_path / "link").is_symlink()


def test_nothing_to_ask_and_nothing_to_ask_about():
    rows = Rows(torch.eye(3))
    assert [tuple(one.shape) for one in nearest(torch.zeros(0, 3), rows)] == [(0, 2), (0, 2)]
    none = torch.zeros(0, dtype=torch.float64)
    assert softmax_moments(torch.zeros(0, 3), rows, none, none).mean.shape == (0, 3)
    for data, message in (
        (torch.zeros(0, 3), r"\(0, 3\)"),
        (torch.zeros(3, 0), r"\(3, 0\)"),
        (torch.zeros(3), r"\(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            Rows(data)
    for block in (0, -1, 1.5):
        with pytest.raises(ValueError, match="block = "):
            Rows(torch.eye(3), block)


def test_arrays_in_any_order_can_be_moved_but_no_map_is_copied(tmp_path):
    values = np.random.default_rng(3).normal(size=(20, 2, 3)).astype(">f4")
    for data in (values, values[::-1]):
        moved = Empirical(data).to(dtype=torch.float64)
        assert moved.data.dtype == torch.float64 and torch.equal(moved.data, torch.from_numpy(data.astype("f8")))
    np.save(tmp_path / "f.npy", np.asfortranarray(values))
    with pytest.raises(ValueError, match="C order"):
        Empirical(np.load(tmp_path / "f.npy", mmap_mode="r"))


def test_autocast_changes_no_score():
    data, x = torch.randn(300, 8, generator=G), torch.randn(20, 8, generator=G)
    law = Empirical(data)
    want = law.score(x, 0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(law.score(x, 0.5), want)


@pytest.mark.parametrize("sigma", [1e-4, 1e-5, 1e-6])
def test_log_prob_at_little_noise_is_as_good_as_in_double_precision(sigma):
    data = torch.rand(200, 3000, generator=G) * 2 - 1
    x = 0.9 * data[:5] + sigma * torch.randn(5, 3000, generator=G)
    a, s = torch.full((5,), 0.9, dtype=torch.float64), torch.full((5,), sigma, dtype=torch.float64)
    single, double = softmax_moments(x, Rows(data), a, s), softmax_moments(x.double(), Rows(data.double()), a, s)
    torch.testing.assert_close(single.log_sum.double(), double.log_sum, rtol=1e-6, atol=1e-3)
