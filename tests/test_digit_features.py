"""Features that see digits: what no eye sees does not move them, what an eye sees does, and new digits are as those trained on."""

import pytest
import torch

from separations.metrics import (
    digit_features,
    features_of,
    frechet_distance,
    kernel_distance,
    precision_recall,
    reachable_coverage,
)
from separations.metrics.digit_features import (
    DigitFeatures,
    DigitNetwork,
    accuracy,
    as_digits,
    augmented,
    shipped_network,
    training_digits,
)
from separations.metrics.features import named_extractor
from separations.metrics.images import quantised
from separations.training.checkpoints import load_weights, save_weights, shipped


@pytest.fixture(scope="module")
def halves():
    """Held-out digits in two halves, and as many of those trained on."""
    pool, held_out = training_digits()
    order = torch.randperm(held_out.n, generator=torch.Generator().manual_seed(5))
    some = torch.randperm(pool.n, generator=torch.Generator().manual_seed(6))[:500]
    return held_out.x[order[:500]], held_out.x[order[500:]], pool.x[some]


def compared(x, y):
    """Fréchet distance and precision in the features of digits."""
    a, b = features_of(x, "digits"), features_of(y, "digits")
    return float(frechet_distance(a, b, None, resamples=2)), float(precision_recall(a, b, resamples=2)[0])


def noisy(x, sd):
    return (x + sd * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)


def test_the_network_reads_digits_that_it_has_not_seen():
    _, held_out = training_digits()
    assert accuracy(shipped_network(), held_out) > 0.97
    _, facts = load_weights(shipped(digit_features.NAME))
    assert facts["read right, held out"] == pytest.approx(accuracy(shipped_network(), held_out), abs=0.003)


def test_invisible_noise_is_not_seen_and_damage_is(halves):
    """Noise of sd 0.02 on [-1, 1] is 2.5 of 255 grey levels; in features of photographs it is most of the range of the chapters."""
    some, others, _ = halves
    base = compared(some, others)
    for sd in (0.01, 0.02, 0.05):
        assert compared(noisy(some, sd), others) == pytest.approx(base, rel=0.1, abs=0.02), sd
    cut = some.clone()
    cut[:, :, 12:16] = -1
    mixed = (some + some.roll(1, 0)) / 2
    for damaged in (cut, mixed, (some + 1) * 0.6 - 1, noisy(some, 0.8)):
        assert compared(damaged, others)[0] > 8 * base[0]
    assert compared(cut, others)[1] < base[1] - 0.2


def test_more_damage_is_farther(halves):
    some, others, _ = halves
    found = [compared(noisy(some, sd), others)[0] for sd in (0.02, 0.2, 0.4, 0.8)]
    assert found == sorted(found)


def test_digits_that_it_was_trained_on_are_no_nearer_than_new_ones(halves):
    some, others, seen = halves
    found = kernel_distance(features_of(seen, "digits"), features_of(others, "digits"))
    assert float(found) < 0.05  # half of the classes alone: 0.26; noise of sd 0.8: 0.51
    assert compared(seen, others)[0] < 2 * compared(some, others)[0]


def test_missing_classes_are_missing_from_what_is_within_reach(halves):
    pool, _ = training_digits()
    reference = features_of(halves[1], "digits")
    even = features_of(pool.x[pool.labels % 2 == 0][:500], "digits")
    assert abs(float(reachable_coverage(even, reference, resamples=2)) - 0.5) < 0.1
    assert float(reachable_coverage(features_of(halves[0], "digits"), reference, resamples=2)) > 0.95


def test_features_have_mean_square_1_and_do_not_depend_on_the_batch(halves):
    pool = training_digits()[0].x
    values = DigitFeatures()(pool)
    assert values.shape == (len(pool), 64) and values.dtype == torch.float32
    assert float(values.square().mean()) == pytest.approx(1, abs=0.01)
    torch.testing.assert_close(DigitFeatures()(pool[:3]), values[:3], rtol=1e-5, atol=1e-5)


def test_colour_and_other_sizes_are_taken(halves):
    some = halves[0][:8]
    extractor = named_extractor("digits")
    torch.testing.assert_close(extractor(some.expand(-1, 3, -1, -1)), extractor(some), rtol=1e-5, atol=1e-5)
    large = some.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert as_digits(large).shape == some.shape
    torch.testing.assert_close(as_digits(torch.full_like(large, 0.2)), quantised(torch.full_like(some, 0.2)))
    assert bool((shipped_network()(as_digits(large)).argmax(1) == shipped_network()(some).argmax(1)).all())
    assert extractor(some.half()).dtype == torch.float32
    with pytest.raises(ValueError, match="images"):
        extractor(some[0])


def test_images_are_rounded_to_the_levels_of_a_file():
    x = torch.linspace(-1.2, 1.2, 1001)
    rounded = quantised(x)
    assert rounded.min() == -1 and rounded.max() == 1 and len(rounded.unique()) == 256
    assert torch.equal(quantised(rounded), rounded) and float((rounded - x.clamp(-1, 1)).abs().max()) <= 1 / 255 + 1e-6
    assert quantised(x, 2).unique().tolist() == [-1, 1]
    with pytest.raises(ValueError, match="levels = 1"):
        quantised(x, 1)


def test_augmentation_keeps_shape_and_range_and_is_repeatable(halves):
    some = halves[0][:16]
    a, b = (augmented(some, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b) and a.shape == some.shape and a.min() >= -1 and a.max() <= 1 and not torch.equal(a, some)


def test_training_is_repeatable_and_learns():
    before = torch.random.get_rng_state()
    lost: list[float] = []
    first, found = digit_features.train_network(1, report=lambda number, loss: lost.append(loss))
    assert torch.equal(before, torch.random.get_rng_state())  # no global seed is touched
    assert found["read right, held out"] > 0.6 and len(lost) == 1
    again, _ = digit_features.train_network(1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters()))


def test_weights_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    tensors = DigitNetwork().state_dict()
    digest = save_weights(path, tensors, {"a": 1})
    found, facts = load_weights(path)
    assert facts == {"a": 1} and len(digest) == 64 and all(torch.equal(found[key], tensors[key]) for key in tensors)
    with pytest.raises(ValueError, match="a trained model"):
        load_weights(shipped("mnist-memorizing"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_weights(tmp_path / "none")
    with pytest.raises(ValueError, match="is not finite"):
        save_weights(path, {"a": torch.tensor([float("nan")])})
