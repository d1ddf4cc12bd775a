"""Head importance against finite differences and its own definition, the choice of heads, removal, bad input."""

import pytest
import torch

from separations.networks import MLP, Denoiser
from separations.pruning import choose_heads, head_importance, head_magnitude, mask_gradients, prune_heads
from separations.pruning.importance import HeadImportance
from separations.schedules import VPLinear
from separations.timesteps import Beta, Uniform
from separations.training import denoising_terms
from test_dit import SMALL, lively


@pytest.fixture
def model():
    return Denoiser(lively(), VPLinear(), prediction="v")


def images(m=12, seed=5):
    return torch.randn(m, *SMALL.image, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw(m=6):
    g = torch.Generator().manual_seed(7)
    return images(m), Beta(0.8, 2).sample(m, g), torch.randn(m, *SMALL.image, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("weight", ["eps", "v", "score"])
def test_gradients_are_finite_differences_of_each_samples_loss(model, weight):
    x0, t, eps = draw()
    gradient = mask_gradients(model, x0, t, eps, weight=weight)
    a, s = (f(t)[:, None, None, None] for f in (model.schedule.alpha, model.schedule.sigma))

    def loss(mask):
        error = model.predict("eps", a * x0 + s * eps, t, head_mask=mask) - eps
        plain = error.square().flatten(1).sum(1)
        ones = denoising_terms(model, x0, t, eps=eps, weight=weight) / denoising_terms(model, x0, t, eps=eps)
        return plain * ones

    h, one = 1e-5, torch.ones(len(x0), 3, 4, dtype=torch.float64)
    for l, head in ((0, 0), (1, 3), (2, 1)):
        up, down = one.clone(), one.clone()
        up[:, l, head] += h
        down[:, l, head] -= h
        with torch.no_grad():
            slope = (loss(up) - loss(down)) / (2 * h)
        torch.testing.assert_close(gradient[:, l, head], slope, rtol=1e-5, atol=1e-6 * float(slope.abs().max()))


def test_gradients_of_tokens_sum_to_those_of_samples(model):
    per_token = mask_gradients(model, *draw(), per_token=True)
    assert per_token.shape == (6, 3, 4, SMALL.tokens)
    torch.testing.assert_close(per_token.sum(-1), mask_gradients(model, *draw()))


def test_a_batch_gives_each_sample_what_it_gets_alone(model):
    x0, t, eps = draw()
    together = mask_gradients(model, x0, t, eps)
    alone = torch.cat([mask_gradients(model, x0[i : i + 1], t[i : i + 1], eps[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-8, atol=1e-10)


def test_weights_still_ask_for_gradients_afterwards(model):
    mask_gradients(model, *draw())
    assert all(p.requires_grad and p.grad is None for p in model.network.parameters())


def importance(model, average, seed=0, **options):
    g = torch.Generator().manual_seed(seed)
    return head_importance(model, images(), Beta(0.8, 2), samples=96, batch=24, average=average, generator=g, **options)


def test_importance_is_the_mean_absolute_gradient_over_its_layers_norm(model):
    found = {a: importance(model, a) for a in ("sample", "batch", "token")}
    for one in found.values():
        torch.testing.assert_close(one.score.square().sum(1), torch.ones(3, dtype=torch.float64))
        torch.testing.assert_close(one.score, one.gradient / one.gradient.norm(dim=1, keepdim=True))
        assert (one.error > 0).all() and (one.error < one.gradient).all()
    # |mean| <= mean |.| <= sum over tokens |.|, draw by draw and so on average
    assert (found["batch"].gradient <= found["sample"].gradient).all()
    assert (found["sample"].gradient <= found["token"].gradient).all()
    g = torch.Generator().manual_seed(0)  # by hand: the same draws
    rows = []
    for _ in range(4):
        index = torch.randint(12, (24,), generator=g)
        t = Beta(0.8, 2).sample(24, g)
        eps = torch.randn(24, *SMALL.image, generator=g, dtype=torch.float64)
        rows.append(mask_gradients(model, images()[index], t, eps).abs())
    torch.testing.assert_close(found["sample"].gradient, torch.cat(rows).mean(0))


def test_a_head_without_effect_has_no_importance(model):
    with torch.no_grad():
        model.network.blocks[1].attn.proj.weight[:, 8:16] = 0  # head 1 of layer 1 is not heard
    found = importance(model, "sample").score
    assert found[1, 1] == 0 and (found[1, [0, 2, 3]] > 0).all() and head_magnitude(model)[1, 1] == 0
    assert (1, 1) in choose_heads(found, 0.1)


def test_times_matter(model):
    small, large = (
        head_importance(
            model, images(), Uniform(*ends), samples=96, generator=torch.Generator().manual_seed(1)
        ).gradient
        for ends in ((1e-3, 0.1), (0.6, 1.0))
    )
    assert ((small - large).abs() > 0.2 * large).any()


def test_magnitude_is_the_norm_of_value_then_output(model):
    block = model.network.blocks[2].attn
    value, out = block.qkv.weight[64:].reshape(4, 8, 32), block.proj.weight.reshape(32, 4, 8)
    norms = torch.stack([(out[:, h] @ value[h]).norm() for h in range(4)])
    torch.testing.assert_close(head_magnitude(model)[2], norms / norms.norm())


def test_choice_takes_the_lowest_the_highest_or_any():
    scores = torch.arange(12, dtype=torch.float64).reshape(3, 4)
    assert choose_heads(scores, 0.25) == [(0, 0), (0, 1), (0, 2)]
    assert choose_heads(scores, 0.25, "highest") == [(2, 1), (2, 2), (2, 3)]
    assert choose_heads(scores, 0.34) == [(0, 0), (0, 1), (0, 2), (1, 0)]  # a layer keeps one head
    assert choose_heads(scores, 0.34, at_least=0) == [(0, h) for h in range(4)]
    assert choose_heads(scores, 0.24) == [(0, 0), (0, 1)]  # floor
    assert len(choose_heads(scores, 0.75)) == 9 and choose_heads(scores, 0.0) == []
    counts = torch.zeros(3, 4)
    g = torch.Generator().manual_seed(0)
    for _ in range(600):
        for slot in choose_heads(scores, 0.25, "random", generator=g):
            counts[slot] += 1
    # 600 choices of 3 of 12 heads: 150 each, binomial standard deviation about 10.6
    assert (counts - 150).abs().max() < 5 * 10.6


def test_choice_accepts_an_importance_and_skips_what_is_gone(model):
    found = importance(model, "sample")
    assert isinstance(found, HeadImportance) and len(choose_heads(found, 0.5)) == 6
    small = prune_heads(model, choose_heads(found, 0.5))
    again = importance(small, "sample")
    slots = small.network.head_slots()
    assert torch.equal(~again.score.isnan(), slots) and int(slots.sum()) == 6
    chosen = choose_heads(again, 0.5)
    assert len(chosen) == 3 and all(slots[slot] for slot in chosen)
    assert sum(prune_heads(small, chosen).network.config.heads) == 3


def test_pruning_is_masking_and_leaves_the_model_alone(model):
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    gone = [(0, 2), (1, 0), (1, 1), (1, 2), (1, 3)]
    small = prune_heads(model, gone)
    mask = torch.ones(6, 3, 4, dtype=torch.float64)
    for slot in gone:
        mask[(slice(None), *slot)] = 0
    x0, t, _ = draw()
    torch.testing.assert_close(small.denoise(x0, t), model.predict("x0", x0, t, head_mask=mask))
    assert all(torch.equal(v, model.network.state_dict()[k]) for k, v in before.items())
    assert small.schedule == model.schedule and small.prediction == model.prediction


def test_bad_input(model):
    data = images()
    with pytest.raises(ValueError, match="Denoiser of a DiT"):
        head_importance(Denoiser(MLP(4, 8, 2)), torch.zeros(3, 4), Beta(0.8, 2))
    with pytest.raises(ValueError, match="average = 'layer'"):
        head_importance(model, data, Beta(0.8, 2), average="layer")
    with pytest.raises(ValueError, match="two batches"):
        head_importance(model, data, Beta(0.8, 2), samples=8, batch=8, average="batch")
    with pytest.raises(ValueError, match="data has shape"):
        head_importance(model, data[:, :1], Beta(0.8, 2))
    with pytest.raises(ValueError, match="weight = 'loss'"):
        head_importance(model, data, Beta(0.8, 2), samples=8, weight="loss")
    with torch.no_grad():
        (
            model.network.blocks[0].adaLN_modulation[1].weight.zero_(),
            model.network.blocks[0].adaLN_modulation[1].bias.zero_(),
        )
    with pytest.raises(ValueError, match="train it first"):
        head_importance(model, data, Beta(0.8, 2), samples=8)
    scores = torch.rand(3, 4)
    for ratio in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="ratio = "):
            choose_heads(scores, ratio)
    with pytest.raises(ValueError, match="each layer keeps 1"):
        choose_heads(scores, 0.9)
    with pytest.raises(ValueError, match="order = 'best'"):
        choose_heads(scores, 0.1, "best")
    with pytest.raises(ValueError, match="at_least = -1"):
        choose_heads(scores, 0.1, at_least=-1)
    with pytest.raises(ValueError, match="importance has shape"):
        choose_heads(scores[0], 0.1)
    for heads in ([(0, 4)], [(3, 0)], [(0, 1), (0, 1)]):
        with pytest.raises(ValueError, match="heads has"):
            prune_heads(model, heads)
