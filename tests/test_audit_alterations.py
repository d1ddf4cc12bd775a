"""Alterations give images of the same kind, each as its sentence says."""

import numpy as np
import pytest
import torch

from separations.audit.alterations import ALTERATIONS, ALTERATIONS_OF_SIGNALS, BRIGHTER, WORDS


def ramps(m: int = 6, c: int = 3, s: int = 16) -> np.ndarray:
    """No two pixels of a channel are equal, where 256 levels allow it."""
    return ((np.arange(m * c * s * s) * 37) % 251).reshape(m, c, s, s).astype(np.uint8)


def smooth(m: int = 4, s: int = 32) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(m, 3, s, s)).cumsum(2).cumsum(3)
    return (128 + 40 * x / np.abs(x).max((1, 2, 3), keepdims=True)).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ALTERATIONS)
def test_shape_kind_and_stream_are_kept_and_the_images_given_too(name, channels):
    images = ramps(c=channels)
    before = images.copy()
    first, again, other = (ALTERATIONS[name](images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.uint8 and first.shape == images.shape and (images == before).all()
    assert (first == again).all() and (first != images).reshape(len(images), -1).any(1).all()
    drawn = name not in ("flipped", "blurred", "recompressed")
    assert (first != other).any() == drawn


def test_flipped_and_shifted_are_exact():
    images = ramps(200, 1)
    assert (ALTERATIONS["flipped"](images) == images[..., ::-1]).all()
    moved = ALTERATIONS["shifted"](images, torch.Generator().manual_seed(0))
    ways = set()
    for image, found in zip(images, moved):
        match = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)
                 if (found[0, 2:-2, 2:-2] == np.roll(image[0], (dy, dx), (0, 1))[2:-2, 2:-2]).all()]  # fmt: skip
        assert len(match) == 1
        ways |= set(match)
    assert (0, 0) not in ways and len(ways) == 24
    edge = ALTERATIONS["shifted"](
        np.ascontiguousarray(np.broadcast_to(np.arange(16, dtype=np.uint8)[:, None], (50, 1, 16, 16)))
    )
    assert (edge[:, 0, 0] <= 2).all() and (edge[:, 0, -1] >= 13).all()


def test_noise_brightness_and_blur_are_as_large_as_they_say(generator):
    grey = np.full((4, 3, 64, 64), 128, np.uint8)
    noise = ALTERATIONS["noisy"](grey, generator).astype(float)
    assert (
        abs(noise.std() - 25.5) < 0.3 and abs(noise.mean() - 128) < 0.5
    )  # 49,152 values: standard errors 0.08 and 0.12
    levels = {int(u) for u in np.unique(ALTERATIONS["brightened"](np.full((40, 1, 8, 8), 100, np.uint8), generator))}
    assert levels == {round(100 * BRIGHTER), round(100 / BRIGHTER)}
    assert ALTERATIONS["brightened"](np.full((40, 1, 8, 8), 250, np.uint8), generator).max() == 255
    edge = np.zeros((1, 1, 64, 64), np.uint8)
    edge[..., 32:] = 255
    spread = (
        np.diff(ALTERATIONS["blurred"](edge)[0, 0, 30].astype(float)) / 255
    )  # of the line of which the edge is the sum
    variance = (spread * (np.arange(63) - 31) ** 2).sum()
    assert abs(variance - 4) < 0.15  # (64 / 32)^2; cut at 3 deviations it is 2.7 % less


def test_a_crop_shows_a_part_and_a_turn_leaves_the_middle(generator):
    ramp = np.ascontiguousarray(np.broadcast_to(np.arange(64, dtype=np.uint8) * 4, (50, 1, 64, 64)))
    wide = ALTERATIONS["cropped"](ramp, generator)[:, 0, 32].astype(float)
    assert np.ptp(wide, axis=1).min() > 0.72 * 252 and np.ptp(wide, axis=1).max() < 0.87 * 252
    turned = ALTERATIONS["rotated"](ramp, generator)[:, 0].astype(float)
    assert np.abs(turned[:, 31:33, 31:33].mean((1, 2)) - 126).max() < 2
    slope = np.degrees(np.arctan(np.abs(turned[:, 48, 32] - turned[:, 16, 32]) / 32 / 4))
    assert 2.5 < slope.min() and slope.max() < 8.5


def test_half_of_a_partial_copy_is_one_image_and_half_the_next(generator):
    images = ramps(40, 1)
    mixed = ALTERATIONS["partial"](images, generator)
    ways = set()
    for i in range(40):
        kept = (mixed[i, 0] == images[i, 0]) & (mixed[i, 0] != images[(i + 1) % 40, 0])
        ways.add(tuple(bool(kept[place].all()) for place in (np.s_[:, :8], np.s_[:, 8:], np.s_[:8], np.s_[8:])))
        assert kept.mean() == 0.5
    assert len(ways) == 4
    with pytest.raises(ValueError, match="at least 2 are needed"):
        ALTERATIONS["partial"](images[:1], generator)


def test_jpeg_loses_something_but_not_the_image():
    images = smooth()
    found = ALTERATIONS["recompressed"](images)
    assert 0 < np.abs(found.astype(float) - images).mean() < 6


@pytest.mark.parametrize("name", ALTERATIONS_OF_SIGNALS)
def test_signals_keep_their_shape_and_kind(name):
    signals = np.random.default_rng(0).normal(size=(30, 64)).astype(np.float32)
    first, again = (ALTERATIONS_OF_SIGNALS[name](signals, torch.Generator().manual_seed(1)) for _ in range(2))
    assert first.dtype == np.float32 and first.shape == signals.shape and (first == again).all()
    assert (first != signals).any(1).all()
    if name == "scaled":
        factor = first[:, 0] / signals[:, 0]
        assert np.allclose(first, factor[:, None] * signals) and 0.8 <= factor.min() <= factor.max() <= 1.25
    if name == "noisy":
        assert abs(np.std(first - signals) / signals.std(1).mean() - 0.1) < 0.01


def test_each_has_a_sentence():
    assert set(WORDS) == set(ALTERATIONS) | set(ALTERATIONS_OF_SIGNALS)
    assert all(words[0].isupper() and words.endswith(".") and words.count(". ") == 0 for words in WORDS.values())


@pytest.mark.parametrize("name", ALTERATIONS)
def test_other_images_are_refused(name):
    for images, words in [
        (ramps().astype(float), "images is float64: a numpy array uint8"),
        (torch.from_numpy(ramps()), "images is torch.uint8"),
        (ramps()[:0], r"images has shape \(0, 3, 16, 16\)"),
        (ramps()[:, :2], "c = 1 or 3"),
        (ramps()[..., :8], "s >= 8 is needed"),
    ]:
        with pytest.raises(ValueError, match=words):
            ALTERATIONS[name](images, None)
    if name in ("shifted", "noisy", "cropped"):
        with pytest.raises(ValueError, match="generator = 3"):
            ALTERATIONS[name](ramps(), 3)


def test_other_signals_are_refused():
    good = np.ones((2, 32), np.float32)
    for signals, words in [
        (good.astype(float), "signals is float64"),
        (good[:, :8], "length >= 16"),
        (np.where(np.eye(2, 32) > 0, np.nan, good).astype(np.float32), "first in row 0"),
    ]:
        for alter in ALTERATIONS_OF_SIGNALS.values():
            with pytest.raises(ValueError, match=words):
                alter(signals, None)
