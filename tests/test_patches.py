"""The rule on patches: tiles, texture, collages."""

import pytest
import torch

from separations.metrics import patch_matches
from separations.metrics.patches import cut_patches


@pytest.fixture
def images(generator):
    return torch.rand(40, 3, 12, 12, generator=generator) * 2 - 1


def test_tiles_keep_every_pixel_in_place(images):
    tiles = cut_patches(images, 4)
    assert tiles.shape == (40, 3, 3, 48)
    assert torch.equal(tiles[5, 1, 2].reshape(3, 4, 4), images[5, :, 4:8, 8:12])


def test_a_collage_of_training_images_is_copied_patch_by_patch(images):
    train, fresh = images[:30], images[30:]
    collage = train[:10].clone()
    collage[..., 4:] = train[10:20, ..., 4:]
    assert float(patch_matches(collage, train, 4)) == 1.0
    assert float(patch_matches(fresh, train, 4)) < 0.05


def test_one_pasted_patch_is_found_where_it_is(images):
    train, fresh = images[:30], images[30:].clone()
    fresh[0, :, :4, 8:] = train[7, :, :4, 8:]
    found = patch_matches(fresh, train, 4)
    assert found.copied[0].nonzero().tolist() == [[0, 2]]
    assert found.per_sample[0] == pytest.approx(1 / 9)


def test_blank_patches_say_nothing(images):
    train, blank = images[:30].clone(), torch.zeros(2, 3, 12, 12)
    train[..., :4, :4] = 0  # every training image is blank in one corner
    found = patch_matches(torch.cat([blank, train[:1]]), train + 0.01 * images[:30], 4)
    assert found.textured[:2].sum() == 0 and found.per_sample[:2].sum() == 0
    assert found.textured[2].sum() == 8
    assert float(patch_matches(blank, train + 0.01 * images[:30], 4)) == 0.0


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda x: cut_patches(x, 5), "size = 5: a divisor"),
        (lambda x: cut_patches(x[0], 4), "images has shape"),
        (lambda x: cut_patches(x, 0), "size = 0"),
        (lambda x: patch_matches(x[..., :8], x, 4), "samples has shape"),
        (lambda x: patch_matches(x, x, 4, contrast=-1), "contrast = -1"),
        (lambda x: patch_matches(x, x, 4, 1.5), "threshold = 1.5"),
    ],
)
def test_bad_arguments(images, make, message):
    with pytest.raises(ValueError, match=message):
        make(images)


def test_where_all_training_patches_are_equal_only_an_exact_copy_counts(images):
    train, samples = images[:20].clone(), images[20:22].clone()
    train[..., :4, :4] = images[30, :, :4, :4]  # a stamp in the corner of all of them
    samples[0, :, :4, :4] = images[30, :, :4, :4]
    found = patch_matches(samples, train, 4)
    assert found.copied[:, 0, 0].tolist() == [True, False]


def test_a_patch_of_one_value_has_no_texture(images):
    grey = images[:, :1]
    assert not patch_matches(grey[:2], grey, 1).textured.any()
    assert patch_matches(grey[:2], grey, 1, contrast=0).textured.all()


@pytest.mark.parametrize("kind, unit", [(torch.float16, 1.0), (torch.bfloat16, 1.0), (torch.float64, 2.0**-600)])
def test_patches_of_any_kind_and_unit(images, kind, unit):
    x, train = images[:10].to(kind).double(), images[5:].to(kind).double()
    want = patch_matches(x, train, 4)
    found = patch_matches(x.to(kind) * unit, train.to(kind) * unit, 4, contrast=0.25 * unit)
    assert torch.equal(found.copied, want.copied) and torch.equal(found.textured, want.textured)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"contrast": float("nan")}, "contrast = nan"),
        ({"contrast": "0.1"}, "contrast = '0.1'"),
        ({"size": 2.0}, "size = 2.0"),
        ({"train": torch.zeros(1, 3, 12, 12)}, "train has 1 points"),
        ({"train": [0.0]}, "train is list"),
    ],
)
def test_bad_arguments_of_other_kinds(images, change, message):
    with pytest.raises(ValueError, match=message):
        patch_matches(**({"samples": images[:2], "train": images, "size": 4} | change))
    with pytest.raises(ValueError, match="images is list"):
        cut_patches([1.0], 1)
