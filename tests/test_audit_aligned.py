"""Copies in pixels that are mirrored, moved, cropped or brighter are found, and fresh images are not."""

import numpy as np
import pytest
import torch

from separations.audit.aligned import Aligned
from separations.audit.alterations import ALTERATIONS, ALTERATIONS_OF_SIGNALS
from separations.audit.block_means import STEPS, block_weights
from separations.data import load

PROMISED = ("flipped", "shifted", "noisy", "blurred", "cropped", "brightened", "recompressed")
KINDS = [(16, 3), (32, 1), (32, 3), (64, 3)]


def fields(n: int, c: int, s: int, seed: int) -> np.ndarray:
    """Gaussian random fields with the spectrum of photographs, uint8 (n, c, s, s)."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(s)[:, None], np.fft.fftfreq(s))
    frequency[0, 0] = np.inf
    x = np.fft.ifft2(np.fft.fft2(random.normal(size=(n, c, s, s))) * frequency**-1.5).real
    x = x + x.mean(1, keepdims=True)
    return (128 + 50 * x / x.std((1, 2, 3), keepdims=True)).clip(0, 255).round().astype(np.uint8)


def emoji(limit: int) -> np.ndarray:
    return ((load("emoji", size=32, limit=limit).x + 1) * 127.5).round().byte().numpy()


@pytest.fixture(scope="module", params=KINDS, ids=str)
def prepared(request):
    size, channels = request.param
    x = fields(160, channels, size, 1)
    detector = Aligned.of(x[:120])
    return x[:120], detector, detector(x[120:])


@pytest.mark.parametrize("name", PROMISED)
def test_a_planted_copy_is_found_with_its_row_however_it_is_altered(prepared, name, generator):
    train, detector, fresh = prepared
    found = detector(ALTERATIONS[name](train[20:28], generator))
    assert found.row.tolist() == list(range(20, 28)) and (found.second != found.row).all()
    assert found.score.max() < fresh.score.min()


def test_what_was_done_is_said():
    x = fields(20, 3, 32, 2)
    detector = Aligned.of(x)
    moved = np.roll(x[:1], (3, -2), axis=(2, 3))
    said = detector(np.concatenate([x[:1], x[:1, :, :, ::-1], moved, x[:1] // 2])).how
    assert said[:2] == ["", "flipped"] and said[2] == "shifted by (-2, 3)" and said[3].startswith("contrast times 0.5")
    inner = x[:1, :, 3:29, 3:29]
    zoomed = torch.nn.functional.interpolate(torch.from_numpy(inner).float(), (32, 32), mode="bilinear")
    assert detector(zoomed.round().byte().numpy()).how[0].startswith("enlarged to 12")


def test_copies_are_told_from_fresh_images_where_many_look_alike():
    """Emoji look alike: even so the rows are right, and most copies lie below all fresh ones."""
    x = emoji(330)
    detector = Aligned.of(x[:300])
    threshold = np.sort(detector(x[300:]).score)[0]
    for name in ("flipped", "shifted"):
        found = detector(ALTERATIONS[name](x[:20], torch.Generator().manual_seed(1)))
        assert (found.row == np.arange(20)).mean() >= 0.9 and (found.score < threshold).mean() >= 0.7


def test_a_score_does_not_depend_on_the_batch(generator):
    x = fields(60, 3, 16, 3)
    detector = Aligned.of(x[:40])
    asked = np.concatenate([ALTERATIONS["noisy"](x[:6], generator), x[40:50]])
    whole, parts = detector(asked), [detector(asked[i : i + 1]) for i in (0, 5, 9)] + [detector(asked[2:5])]
    for i, part in zip((0, 5, 9, 2), parts):
        assert whole.score[i : i + len(part)].tolist() == part.score.tolist()
        assert whole.row[i : i + len(part)].tolist() == part.row.tolist() and whole.how[i : i + len(part)] == part.how
    order = np.arange(16)[::-1]
    assert detector(asked[order]).score.tolist() == whole.score[order].tolist()


def test_flat_images_match_nothing():
    x = fields(30, 3, 16, 4)
    x[7], x[8] = 200, 90
    detector = Aligned.of(x)
    found = detector(np.stack([np.full((3, 16, 16), u, np.uint8) for u in (0, 77, 200, 255)]))
    assert (found.residual > 0.999).all() and (found.score > 0.99).all()
    assert (detector(x[:7]).row == np.arange(7)).all()


def test_equal_training_points_count_once_and_one_s_own_is_left_out():
    x = fields(20, 1, 16, 5)
    twice = np.concatenate([x, x[:5], x[:5]])
    found = Aligned.of(twice)(x[:5])
    assert (found.row == np.arange(5)).all() and (found.second < 20).all() and (found.score < 0.1).all()
    left_out = Aligned.of(twice)(twice[18:25], own=np.arange(18, 25))
    assert (left_out.score > 0.3).all() and all(
        row not in (i, i + 20, i + 25) for row, i in zip(left_out.row, (18, 19, 0, 1, 2, 3, 4))
    )
    named = Aligned.of(twice, group=np.concatenate([np.arange(20), np.arange(5), np.arange(5)]))(x[:5])
    assert named.score.tolist() == found.score.tolist()


def test_descriptors_may_be_kept_elsewhere():
    x = fields(30, 1, 32, 0)
    kept = []

    def keep(count, dimension, produce):
        kept.append((count, dimension))
        return np.concatenate([produce(i, min(i + 7, count)) for i in range(0, count, 7)])

    assert Aligned.of(x, keep=keep)(x[:4]).score.tolist() == Aligned.of(x)(x[:4]).score.tolist()
    assert kept[0][0] == 30


@pytest.mark.parametrize("side", [8, 9, 100, 256])
def test_every_size_works(side):
    x = fields(12, 1, side, 7)
    found = Aligned.of(x)(x[:3, :, :, ::-1].copy())
    assert found.row.tolist() == [0, 1, 2] and set(found.how) == {"flipped"}


@pytest.mark.parametrize("name", ALTERATIONS_OF_SIGNALS)
def test_signals_that_are_moved_scaled_or_noisy_are_found(name, generator):
    x = np.random.default_rng(8).normal(size=(160, 140)).cumsum(1).astype(np.float32)
    detector = Aligned.of(x[:120])
    found, fresh = detector(ALTERATIONS_OF_SIGNALS[name](x[:20], generator)), detector(x[120:])
    assert found.row.tolist() == list(range(20)) and (found.score < np.quantile(fresh.score, 0.03)).mean() >= 0.9
    assert detector(np.zeros((1, 140), np.float32)).score[0] > 0.99
    assert detector(np.roll(x[:1], 5, 1)).how[0].startswith("shifted by 5")


def test_weights_of_block_means_are_whole_numbers_that_sum_up():
    for s, grid, side, middle in [(32, 6, 0.7, 0.5), (8, 4, 0.875, 0.6), (256, 6, 0.56, 0.4), (33, 9, 0.7, 0.9)]:
        weights = block_weights(s, grid, side, middle)
        assert weights.shape == (grid, s) and (weights == weights.round()).all() and (weights >= 0).all()
        assert (weights.sum(1) == STEPS).all()


def test_what_does_not_fit_is_said():
    x = fields(5, 3, 16, 9)
    for train, words in [
        (x.astype(np.float64), "train is float64: a numpy array uint8"),
        (x[:, :2], r"train has shape \(5, 2, 16, 16\)"),
        (x[..., :7, :7], "s >= 8"),
        (x[:1], "1 distinct: at least 2"),
        (np.repeat(x[:1], 4, 0), "4 points, 1 distinct"),
        (torch.from_numpy(x), "train is torch.uint8"),
        (np.full((3, 20), np.nan, np.float32), "NaN or infinite"),
        (np.zeros((3, 4), np.float32), "length >= 16"),
    ]:
        with pytest.raises(ValueError, match=words):
            Aligned.of(train)
    detector = Aligned.of(x)
    with pytest.raises(ValueError, match=r"values has shape \(2, 1, 16, 16\)"):
        detector(x[:2, :1])
    with pytest.raises(ValueError, match="own is int64"):
        detector(x[:2], own=np.array([0, 5]))
    with pytest.raises(ValueError, match="group is float64"):
        Aligned.of(x, group=np.zeros(5))
    with pytest.raises(ValueError, match="2 distinct points: at least 3"):
        Aligned.of(x[:2])(x[:1], own=np.array([0]))
