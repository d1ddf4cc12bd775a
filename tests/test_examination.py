"""Examination along training: the same as training and examining by hand, and losses that are those of the training loss."""

import pytest
import torch

from separations.examination import along_training, denoising_losses, examine, noise_yardstick, reference_features
from separations.metrics import extractor_for, sees
from separations.metrics.extractors import DEFAULT
from separations.metrics.features import EXTRACTORS
from separations.training import denoising_terms, recipe_data, recipes, train_recipe, untrained

TINY = {"n": 6, "steps": 12, "warmup": 2, "depth": 1, "width": 32, "heads": 2, "batch": 4, "ema": 0.5}


@pytest.fixture(scope="module")
def setting():
    recipe = recipes.named("mnist-memorizing", **TINY)
    return recipe, recipe_data(recipe)


def test_along_training_is_training_and_then_examining(setting):
    recipe, images = setting
    moments = list(along_training(recipe, images, [4, 12], 5, steps=3, draws=8, seed=7))
    assert [moment.step for moment in moments] == [4, 12]
    model = untrained(recipe, tuple(images.train.shape[1:]))
    (record,) = train_recipe(recipe, model, images.train, every=[12])
    for mine, net in ((moments[-1].averaged, record.ema), (moments[-1].raw, model)):
        by_hand = examine(net, images, 5, steps=3, generator=torch.Generator().manual_seed(7))
        assert torch.equal(mine.samples, by_hand.samples) and mine.memorization.ratio == by_hand.memorization.ratio
    again = denoising_losses(record.ema, recipe, images, 8, generator=torch.Generator().manual_seed(8))
    assert (moments[-1].loss_train, moments[-1].loss_held_out) == again


def test_rows_have_quality_only_where_it_was_measured(setting):
    recipe, images = setting
    reference = reference_features(images, "pixels")
    (moment,) = along_training(recipe, images, [12], 14, steps=2, draws=8)
    assert moment.row()["step"] == 12 and "kernel" not in moment.row()
    seen = examine(
        untrained(recipe, tuple(images.train.shape[1:])), images, 14, reference=reference, extractor="pixels", steps=2
    )
    assert {"ratio", "kernel", "precision_low", "coverage_high"} <= set(seen.row())


def test_the_loss_of_an_untrained_network_is_the_mean_square_of_v(setting):
    recipe, images = setting
    model = untrained(recipe, tuple(images.train.shape[1:]))  # says v = 0
    ours = denoising_losses(model, recipe, images, 600, generator=torch.Generator().manual_seed(0))
    g = torch.Generator().manual_seed(0)
    t = recipe.time_distribution().sample(600, g)
    eps = torch.randn(600, *images.train.shape[1:], generator=g)
    alpha, sigma = (f(t).float().reshape(-1, 1, 1, 1) for f in (recipe.noise().alpha, recipe.noise().sigma))
    v = alpha * eps - sigma * images.train[torch.arange(600) % len(images.train)]
    assert ours[0] == pytest.approx(float(v.square().mean()), rel=1e-4)  # float32
    x0 = images.held_out[:600]
    assert ours[1] == pytest.approx(
        float(denoising_terms(model, x0, t, eps=eps, weight="v").detach().mean()) / 784, rel=1e-5
    )


def test_the_yardstick_moves_in_features_of_photographs_and_not_in_those_of_digits(setting):
    _, images = setting
    found = noise_yardstick(images, "digits", 100, generator=torch.Generator().manual_seed(0))
    assert list(found) == [0.0, 0.01, 0.02, 0.05]
    clean, noisy = found[0.0], found[0.02]
    for a, b in zip(clean, noisy):
        assert abs(a.value - b.value) < (b.high - b.low) / 2, a.label
    assert clean.kernel.low < 0 < clean.kernel.high and clean.reach.high > 0.9
    photographs = noise_yardstick(images, DEFAULT, 100, deviations=(0.0, 0.02))
    assert photographs[0.02].kernel.low > photographs[0.0].kernel.high


def test_the_yardstick_takes_half_of_the_held_out_images_at_most_and_no_bad_noise(setting):
    _, images = setting
    (quality,) = noise_yardstick(images, "digits", 10**6, deviations=[0]).values()
    assert "500 of noisy held-out images against 500 of other held-out images" in str(quality.kernel)
    for bad in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="deviation = "):
            noise_yardstick(images, "digits", deviations=[bad])


def test_the_extractor_of_a_data_set_is_one_that_sees_it_or_the_default_one():
    assert extractor_for("mnist5k") == "digits" and sees("mnist5k", extractor_for("mnist5k"))
    assert extractor_for("emoji") == extractor_for("folder:/a/b") == DEFAULT and not sees("emoji", DEFAULT)
    assert set(map(extractor_for, ("mnist5k", "emoji", "cifar10"))) <= set(EXTRACTORS)
