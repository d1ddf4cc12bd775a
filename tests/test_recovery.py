"""Recovery against laws whose answer is known: an empirical score gives its own points and no others, a Gaussian gives all alike."""

import math
import re

import pytest
import torch

from separations.distributions import Empirical, FittedGaussian, GaussianMixture
from separations.numerics import seeded
from separations.recovery import recovered, relearning_curve, search_noise
from separations.recovery.noise_search import flow
from separations.recovery.relearning import copied_points
from separations.samplers import ddim, log_snr_times
from separations.schedules import OU, VPLinear
from separations.training import recipe_data, recipes, untrained


def cloud(n, d=6, stream=0):
    return torch.randn(n, d, generator=seeded(5, stream), dtype=torch.float64)


def test_the_flow_is_ddim_with_a_last_step_to_no_noise():
    law, x = FittedGaussian(cloud(40)), cloud(7, stream=1)
    times = log_snr_times(
        *OU().time_from_log_snr(torch.tensor([-8.0, 4.0], dtype=torch.float64)).tolist(), 12, schedule=OU()
    )
    end = ddim(law, x * OU().sigma(times[0]), times, schedule=OU())
    torch.testing.assert_close(flow(law, x, times, OU()), law.denoise(end, times[-1], schedule=OU()))


def test_a_narrow_mixture_gives_its_own_points_and_no_others():
    train, fresh = cloud(20), cloud(20, stream=1)
    law, everything = GaussianMixture(train, 0.01), torch.cat([train, fresh])
    for targets, least, most in ((train, 0.6, 1.0), (fresh, 0.0, 0.0)):
        found = search_noise(law, targets, at=(0, 60), lr=0.1, generator=seeded(5, 10))
        assert least <= float(recovered(found.images[-1], targets, everything)) <= most


def test_on_the_plateaus_of_an_exact_memory_a_search_by_gradients_stands_still():
    train = cloud(20)
    found = search_noise(Empirical(train), train, at=(0, 60), lr=0.1, generator=seeded(5, 10))
    assert torch.equal(found.images[0], found.images[1]) or float(recovered(found.images[-1], train, train)) < 0.5


def test_a_gaussian_gives_points_it_has_seen_and_others_alike():
    train, fresh = cloud(200), cloud(30, stream=1)
    shares = []
    for targets in (train[:30], fresh):
        found = search_noise(FittedGaussian(train), targets, at=(0, 80), lr=0.2, free=True, generator=seeded(5, 3))
        assert (found.errors[-1] < 0.05 * found.errors[0].mean()).all()
        shares.append(float(recovered(found.images[-1], targets, torch.cat([train, fresh]))))
    assert shares == [1.0, 1.0]


@pytest.mark.parametrize("free", [False, True])
def test_the_noise_keeps_its_length_unless_it_is_free(free):
    targets = 3 * cloud(5)
    found = search_noise(FittedGaussian(cloud(50)), targets, at=(0, 40), free=free, generator=seeded(5, 1))
    start = torch.randn(5, 6, generator=seeded(5, 1), dtype=torch.float64).norm(dim=1)
    assert torch.allclose(found.noise.norm(dim=1), start) is not free


def test_looks_do_not_change_the_search_nor_do_batches():
    law, targets = GaussianMixture(cloud(3), 0.2), cloud(6, stream=2)
    one = search_noise(law, targets, at=(0, 5, 15), generator=seeded(5, 1))
    two = search_noise(law, targets, at=(15,), batch=4, generator=seeded(5, 1))
    torch.testing.assert_close(one.images[-1], two.images[-1])
    assert one.at == (0, 5, 15) and one.errors.shape == (3, 6)
    assert float(one.errors[-1].mean()) < float(one.errors[0].mean())


def test_the_network_is_not_changed_by_a_search():
    model = untrained(recipes.named("mnist-memorizing", n=8), (1, 28, 28))
    before = [p.detach().clone() for p in model.parameters()]
    search_noise(model, torch.zeros(2, 1, 28, 28), at=(1,), sampler_steps=2, generator=seeded(5, 1))
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, model.parameters()))


def test_recovered_is_the_ninth_rule_with_the_target_in_place_of_the_nearest():
    targets = torch.tensor([[0.0], [10.0], [20.0]])
    others = torch.tensor([[0.0], [10.0], [30.0]])
    images = torch.tensor([[2.4], [15.5], [22.5]])  # 2.4 and 7.6; 5.5 and 14.5, for 10 is the target; 2.5 and 7.5
    assert recovered(images, targets, others).found.tolist() == [True, False, True]
    assert recovered(targets, targets, others).share.value == 1


def test_a_target_that_stands_among_the_others_several_times_is_its_own_rival_never():
    target, far = torch.zeros(1, 1), torch.tensor([[10.0]])
    others = torch.cat([target, target, target, far])
    assert recovered(torch.tensor([[2.4]]), target, others).found.tolist() == [True]
    assert recovered(torch.tensor([[2.6]]), target, others).found.tolist() == [False]
    with pytest.raises(ValueError, match="all equal to target 0"):
        recovered(target, target, target.repeat(3, 1))


def test_a_target_is_known_again_in_a_coarser_dtype():
    x = cloud(6)
    for images, targets, others in ((x.float(), x.float(), x), (x, x, x.float()), (x.half(), x.half(), x)):
        assert recovered(images, targets, others).share.value == 1


class Still:
    "A model whose images do not depend on the noise."

    def denoise(self, x, t, *, schedule=None):
        return torch.zeros_like(x)


def test_a_model_without_a_gradient_is_named_also_where_gradients_are_off():
    with pytest.raises(ValueError, match="model is Still"):
        search_noise(Still(), X, at=(0, 1), sampler_steps=2)
    law, targets = GaussianMixture(cloud(3), 0.2), cloud(2)
    with torch.no_grad():
        off = search_noise(law, targets, at=(3,), generator=seeded(5, 1))
    torch.testing.assert_close(off.images, search_noise(law, targets, at=(3,), generator=seeded(5, 1)).images)


def test_targets_of_any_layout_and_one_alone_are_searched():
    law, targets = GaussianMixture(cloud(3), 0.2), cloud(6, 4)
    turned = search_noise(law, targets.T, at=(3,), generator=seeded(5, 1))
    straight = search_noise(law, targets.T.contiguous(), at=(3,), generator=seeded(5, 1))
    assert torch.equal(turned.images, straight.images)
    assert search_noise(Empirical(cloud(1)), cloud(1), at=(0, 2), generator=seeded(5, 1)).errors.max() < 1e-12


def test_copied_points_counts_each_point_once():
    train = torch.tensor([[0.0], [10.0], [20.0]])
    assert copied_points(torch.tensor([[0.1], [0.2], [5.0], [19.9]]), train) == 2


def test_relearning_looks_at_the_network_as_it_is_and_after_updates():
    recipe = recipes.named("mnist-memorizing", n=16)
    images = recipe_data(recipe)
    model = untrained(recipe, (1, 28, 28))
    before = [p.detach().clone() for p in model.parameters()]
    how = {"at": (0, 2), "m": 8, "sampler_steps": 2}
    rows = relearning_curve(
        recipe, model, images.train[:4], images.train[4:], images.held_out[:20], generator=seeded(5, 1), **how
    )
    assert [row["step"] for row in rows] == [0, 2] and all(0 <= row["distinct"] <= 8 for row in rows)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))


X = torch.zeros(3, 2)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: search_noise(Empirical(X), X, at=()), "at is empty"),
        (lambda: search_noise(Empirical(X), X, at=(5, 5)), "at = [5, 5]"),
        (lambda: search_noise(Empirical(X), X, at=(-1, 5)), "at = [-1, 5]"),
        (lambda: search_noise(Empirical(X), X, at=(0.5,)), "at = [0.5]"),
        (lambda: search_noise(Empirical(X), X, at=3), "at = 3"),
        (lambda: search_noise(Empirical(X), X, log_snr=(4.0, -8.0)), "log_snr = (4.0, -8.0)"),
        (lambda: search_noise(Empirical(X), X, log_snr=4.0), "log_snr = 4.0"),
        (lambda: search_noise(Empirical(X), X[:, 0]), "targets has shape (3,)"),
        (lambda: recovered(X[:, 0], X[:, 0], X[:, 0]), "images has shape (3,)"),
        (lambda: relearning_curve(None, None, X, X, X, at=3), "at = 3"),
        (lambda: relearning_curve(None, None, X, X, X, at=()), "at is empty"),
        (lambda: relearning_curve(None, None, X, X, X[:, :1]), "held_out has shape (3, 1)"),
        (lambda: search_noise(Empirical(X), X, lr=0.0), "lr = 0.0"),
        (lambda: search_noise(Empirical(X), X * math.nan), "targets"),
        (lambda: search_noise(object(), X), "model"),
        (lambda: recovered(X, X[:2], X), "targets has 2 points"),
        (lambda: recovered(X, X, X[:1]), "others"),
        (lambda: recovered(X, X, X, rule=1.0), "rule = 1.0"),
        (lambda: copied_points(X, X[:1]), "train"),
    ],
)
def test_bad_input_is_named(call, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        call()


def test_noise_has_variance_one_under_every_schedule():
    law = FittedGaussian(cloud(50), schedule=VPLinear())
    found = search_noise(law, cloud(4), at=(0,), generator=seeded(5, 1))
    assert torch.equal(found.noise, torch.randn(4, 6, generator=seeded(5, 1), dtype=torch.float64))
