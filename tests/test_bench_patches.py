"""Patch scores against a loop over all pixels and patches, their limits, their gradients, and bad input."""

import pytest
import torch

from separations.bench import EquivariantPatches, LocalPatches
from separations.bench.patch_softmax import distinct
from separations.distributions import Empirical
from separations.schedules import OU


def images(n: int, shape=(2, 6, 5), seed: int = 0) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loop(data, x, window, t, places) -> torch.Tensor:
    """Posterior means pixel by pixel; places(i, j): the places of the training images that pixel (i, j) is compared with."""
    (_, _, H, W), low, high = x.shape, (window - 1) // 2, window // 2
    alpha, sigma, out = OU().alpha(t), OU().sigma(t), torch.zeros_like(x)

    def cut(z, i, j):
        return z[..., max(0, i - low) : i + high + 1, max(0, j - low) : j + high + 1].flatten(-3)

    for i in range(H):
        for j in range(W):
            logits, values = [], []
            for k, l in places(i, j):
                apart = cut(x, i, j)[:, None] - alpha * cut(data, k, l)[None]
                logits.append(-apart.square().sum(2) / (2 * sigma**2))
                values.append(data[:, :, k, l])
            out[:, :, i, j] = torch.cat(logits, 1).softmax(1) @ torch.cat(values)
    return out


def seen(window, H, W):
    """Places whose windows are cut by the border in the same way."""
    low, high = (window - 1) // 2, window // 2
    how = {
        (i, j): (max(0, low - i), max(0, i + high - H + 1), max(0, low - j), max(0, j + high - W + 1))
        for i in range(H)
        for j in range(W)
    }
    return lambda i, j: [place for place, cut in how.items() if cut == how[i, j]]


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5, 6, 8, 11])
@pytest.mark.parametrize("t", [0.02, 0.4, 2.0])
def test_both_scores_are_what_a_loop_over_pixels_finds(window, t):
    data, x = images(4), images(3, seed=1)
    local = loop(data, x, window, t, lambda i, j: [(i, j)])
    assert (LocalPatches(data, window).denoise(x, t) - local).abs().max() < 1e-12
    everywhere = loop(data, x, window, t, seen(window, 6, 5))
    score = EquivariantPatches(data, window)
    assert (score.denoise(x, t) - everywhere).abs().max() < 1e-12
    assert (score.denoise(x, t) - everywhere).abs().max() < 1e-12  # with the patches that were kept
    assert (LocalPatches(data.float(), window).denoise(x.float(), t) - local).abs().max() < 5e-5
    found = EquivariantPatches(data.float(), window).denoise(x.float(), t)
    assert found.dtype == torch.float32 and (found - everywhere).abs().max() < 5e-5


@pytest.mark.parametrize("window", [1, 2, 3, 5])
def test_wrapped_queries_are_compared_with_windows_inside(window):
    data, x, t = images(3), images(2, seed=1), 0.4
    low, high = (window - 1) // 2, window // 2
    padded = torch.nn.functional.pad(x, (low, high, low, high), mode="circular")
    inside = [(k, l) for k in range(low, 6 - high) for l in range(low, 5 - high)]
    alpha, sigma, out = OU().alpha(t), OU().sigma(t), torch.zeros_like(x)
    for i in range(6):
        for j in range(5):
            asked = padded[:, :, i : i + window, j : j + window].flatten(1)
            patches = torch.cat(
                [data[:, :, k - low : k + high + 1, l - low : l + high + 1].flatten(1) for k, l in inside]
            )
            weights = (-(asked[:, None] - alpha * patches).square().sum(2) / (2 * sigma**2)).softmax(1)
            out[:, :, i, j] = weights @ torch.cat([data[:, :, k, l] for k, l in inside])
    score = EquivariantPatches(data, window, borders="wrapped")
    assert (score.denoise(x, t) - out).abs().max() < 1e-12
    moved = score.denoise(x.roll((2, 1), (2, 3)), t)  # equivariance under shifts
    assert (moved - score.denoise(x, t).roll((2, 1), (2, 3))).abs().max() < 1e-12


@pytest.mark.parametrize("t", [1e-4, 0.05, 0.5, 3.0])
def test_a_window_that_is_the_whole_image_gives_the_empirical_score(t):
    data, x = images(5), images(3, seed=1)
    x[0] = OU().add_noise(data[:1], t, images(1, seed=2))[0]
    exact = Empirical(data)
    for score in (LocalPatches(data, 11), EquivariantPatches(data, 11)):
        assert (score.denoise(x, t) - exact.denoise(x, t)).abs().max() < 1e-10
        assert torch.allclose(score.score(x, t), exact.score(x, t), rtol=1e-9, atol=1e-9)


def test_little_noise_in_float32_is_answered_in_float64():
    data, t = images(6).float(), 1e-6
    x = OU().add_noise(data[:3], t, images(3, seed=1).float())
    for kind in (LocalPatches, EquivariantPatches):
        for window in (1, 3):
            found = kind(data, window).denoise(x, t)
            assert (found - kind(data.double(), window).denoise(x.double(), t)).abs().max() < 1e-5
    tiny = EquivariantPatches(data.double(), 3).denoise(x.double(), 1e-13)  # by explicit differences
    assert (tiny - loop(data.double(), x.double(), 3, 1e-13, seen(3, 6, 5))).abs().max() < 1e-9


@pytest.mark.parametrize("kind", [LocalPatches, EquivariantPatches])
def test_gradients_are_those_of_differences(kind):
    score, x, t = kind(images(4), 3), images(1, seed=1), 0.5
    x.requires_grad_()
    weights = images(1, seed=5)
    gradient = torch.autograd.grad((score.denoise(x, t) * weights).sum(), x)[0]
    step = 1e-6
    with torch.no_grad():
        for place in [(0, 0, 0, 0), (0, 1, 3, 2), (0, 0, 5, 4)]:
            move = torch.zeros_like(x)
            move[place] = step
            slope = ((score.denoise(x + move, t) - score.denoise(x - move, t)) * weights).sum() / (2 * step)
            assert abs(float(slope - gradient[place])) < 1e-6


def test_times_of_rows_images_one_by_one_and_mosaics_of_black_and_white():
    data, x = images(4), images(3, seed=1)
    times = torch.tensor([0.1, 1.0, 0.3], dtype=torch.float64)
    for score in (LocalPatches(data, 3), EquivariantPatches(data, 3)):
        each = torch.cat([score.denoise(x[i : i + 1], float(times[i])) for i in range(3)])
        assert (score.denoise(x, times) - each).abs().max() < 1e-12
    plain = torch.stack([torch.full((1, 7, 7), value, dtype=torch.float64) for value in (-1.0, 1.0)])
    x = images(4, (1, 7, 7), seed=3)
    found = EquivariantPatches(plain, 3).denoise(x, 1e-3)
    majority = torch.nn.functional.avg_pool2d(
        x, 3, 1, 1
    ).sign()  # the nearer of the two plain patches is that of the sign of the mean
    assert (found - majority).abs().max() < 1e-6


def test_distinct_rows_and_their_numbers():
    rows = torch.tensor([[0.0, 1.0], [2.0, 3.0], [-0.0, 1.0], [0.0, 1.0]])
    found, counts = distinct(rows)
    assert sorted(zip(found.tolist(), counts.exp().round().tolist())) == [([0.0, 1.0], 3.0), ([2.0, 3.0], 1.0)]
    assert distinct(rows[:2])[0].tolist() == rows[:2].tolist()
    twice = images(2).repeat(2, 1, 1, 1)  # a set that stands there twice has the same score
    x = images(2, seed=1)
    for window in (1, 3):
        one, two = EquivariantPatches(images(2), window), EquivariantPatches(twice, window)
        assert (one.denoise(x, 0.3) - two.denoise(x, 0.3)).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: LocalPatches(x[0], 3), "data has shape"),
        (lambda x: LocalPatches(x, 0), "window = 0"),
        (lambda x: EquivariantPatches(x, 3, borders="none"), "borders = 'none'"),
        (lambda x: EquivariantPatches(x, 6, borders="wrapped"), "window = 6"),
        (lambda x: LocalPatches(x, 3).sample(2), "score without a law"),
        (lambda x: LocalPatches(x, 3).hessian(x, 0.1), "has no posterior"),
        (lambda x: EquivariantPatches(x, 3).denoise(x, 0.0), "t = 0"),
        (lambda x: EquivariantPatches(x, 3).denoise(x[:, :, :4], 0.1), "x has shape"),
        (lambda x: LocalPatches(x * torch.nan, 3), "data has NaN"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make(images(3))
