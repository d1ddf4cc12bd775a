"""Images as bytes: those of `load`, kept in one file that is made whole or not at all, and anew when its images change."""

import os

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from separations.data import load, load_bytes
from separations.distributions import Empirical
from separations.metrics import memorization_ratio
from separations.numerics import Rows, nearest


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(30):
        place = tmp_path / "mine" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(place / f"{i}.png")
    return tmp_path / "mine"


@pytest.mark.parametrize("name, options", [("mnist5k", {"limit": 50}), ("emoji", {"limit": 20, "size": 32})])
def test_they_are_the_images_of_load(name, options):
    found, plain = load_bytes(name, **options), load(name, **options).x
    assert found.dtype == np.uint8 and found.shape == tuple(plain.shape)
    torch.testing.assert_close(torch.from_numpy(found) / 127.5 - 1, plain, rtol=0, atol=1e-6)


def test_a_folder_is_decoded_once(folder, tmp_path):
    name, cache = f"folder:{folder}", tmp_path / "mine.images"
    told = []
    found = load_bytes(name, size=16, cache=cache, progress=lambda parts, total: (told.append(total), parts)[1])
    assert isinstance(found, np.memmap) and not found.flags.writeable
    torch.testing.assert_close(torch.from_numpy(found.copy()) / 127.5 - 1, load(name, size=16).x, rtol=0, atol=1e-6)
    again = load_bytes(name, size=16, cache=cache, progress=lambda parts, total: (told.append(total), parts)[1])
    assert told == [1] and (again == found).all()
    assert (load_file(cache)["images"] == found).all()  # any reader of safetensors opens it
    x = torch.from_numpy(found[:5].reshape(5, -1).copy()) / 127.5 - 1
    assert nearest(x, Rows(found.reshape(30, -1)))[1][:, 0].tolist() == [0, 1, 2, 3, 4]
    assert Empirical(found).score(x.view(5, 3, 16, 16), 0.1).shape == (5, 3, 16, 16)
    assert memorization_ratio(x.view(5, 3, 16, 16), found).ratio == 1.0


def test_other_images_or_arguments_make_it_anew(folder, tmp_path):
    name, cache = f"folder:{folder}", tmp_path / "mine.images"
    first = np.array(load_bytes(name, size=16, cache=cache))
    assert load_bytes(name, size=8, cache=cache).shape == (30, 3, 8, 8)
    assert load_bytes(name, size=8, limit=7, cache=cache).shape == (7, 3, 8, 8)
    Image.fromarray(np.zeros((20, 24, 3), dtype=np.uint8)).save(folder / "a" / "0.png")
    os.utime(folder / "a" / "0.png", (1, 1))
    second = load_bytes(name, size=16, cache=cache)
    assert (second != first).any() and (second.reshape(30, -1) == 0).all(1).sum() == 1


def test_half_a_cache_is_none(folder, tmp_path, monkeypatch):
    from separations.data import byte_images

    name, cache = f"folder:{folder}", tmp_path / "mine.images"

    def interrupted(parts, total):
        yield from []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_bytes(name, size=16, cache=cache, progress=interrupted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
    load_bytes(name, size=16, cache=cache)
    cache.write_bytes(cache.read_bytes()[:-10])
    assert byte_images._kept_key(cache) is None and load_bytes(name, size=16, cache=cache).shape == (30, 3, 16, 16)


@pytest.mark.parametrize("name, words", [("heartbeats", "signals"), ("digits", "17 grey levels")])
def test_what_is_no_8_bit_image_is_refused(name, words):
    with pytest.raises(ValueError, match=words):
        load_bytes(name)


def test_what_is_no_cache_is_left_alone(folder, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ValueError, match="no cache of images"):
        load_bytes(f"folder:{folder}", size=16, cache=path)
    assert path.read_text() == "mine"
