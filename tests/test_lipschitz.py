"""Lipschitz constants: Lemma C.1, both bounds on C_t on random and adversarial data, networks against their Jacobians."""

import math

import pytest
import torch
from torch import nn

from conftest import COVARIANCES, empirical, mixture
from separations.distributions import Empirical, GaussianMixture
from separations.distributions.hessians import hessian_extremes, hessian_norms
from separations.distributions.lipschitz import (
    empirical_lipschitz_bounds,
    gaussian_lipschitz,
    sharp_lipschitz_bounds,
    sup_hessian_norm,
)
from separations.networks import MLP, Denoiser
from separations.networks.lipschitz import SLOPES, local_lipschitz, product_of_norms, score_lipschitz_bound
from separations.schedules import OU, VE, Flow, VPLinear

TIMES = [1e-3, 0.05, 0.5, 3.0]
LAWS = {kind: lambda kind=kind: mixture(kind) for kind in COVARIANCES} | {"empirical": empirical}


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def time_of(ratio: float, least: float) -> float:
    """The OU time at which alpha^2 least^2 / sigma^2 is `ratio`, for sigma^2 / alpha^2 = e^t - 1."""
    return math.log1p(least**2 / ratio)


# Hessians


@pytest.mark.parametrize("kind", LAWS)
@pytest.mark.parametrize("t", [0.01, 0.5])
def test_extremes_are_those_of_the_second_derivative_of_log_prob(kind, t):
    law = LAWS[kind]()
    x = law.sample(4, t, generator=torch.Generator().manual_seed(3))
    hessian = torch.stack([
        torch.autograd.functional.hessian(lambda y: law.log_prob(y[None], t).sum(), row) for row in x
    ])  # fmt: skip
    values = torch.linalg.eigvalsh(hessian)
    for method in ("exact", "krylov"):
        low, high = hessian_extremes(law, x, t, method=method, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(low, values[:, 0], rtol=1e-6, atol=1e-6)  # tol of krylov, relative to the norm
        torch.testing.assert_close(high, values[:, -1], rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(hessian_norms(law, x, t), values.abs().amax(1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("t", [0.01, 0.3])
@pytest.mark.parametrize("schedule", [OU(), VPLinear(), VE(), Flow()], ids=str)
def test_krylov_agrees_with_matrices_in_many_dimensions(schedule, t, generator):
    d, x = 90, normal(12, 90)
    root = normal(2, d, d, seed=4) / d**0.5
    mixed = GaussianMixture(normal(2, d, seed=1), root @ root.mT + 0.1 * torch.eye(d, dtype=torch.float64))
    data = normal(200, d, seed=2)
    # Two queries between two points, where the posterior is spread and the top eigenvalue large and positive.
    alpha = schedule.alpha(t)
    between = torch.cat([x, alpha * (data[:2] + data[2:4]) / 2])
    for law, points in ((mixed, x), (Empirical(data, block=64), between)):
        exact = hessian_extremes(law, points, t, schedule=schedule, method="exact")
        found = hessian_extremes(law, points, t, schedule=schedule, method="krylov", generator=generator)
        auto = hessian_extremes(law, points, t, schedule=schedule, generator=generator)
        norm = torch.maximum(exact[0].abs(), exact[1].abs())
        for one, two, three in zip(exact, found, auto):
            assert ((one - two).abs() <= 1e-6 * norm).all()
            assert ((one - three).abs() <= 1e-6 * norm).all()


def test_one_sided_structure_of_lemma_c1():
    law, t = empirical(n=20, d=3), 0.02
    low, high = hessian_extremes(law, normal(200, 3), t)
    floor = -1 / OU().sigma(t) ** 2
    assert (low >= floor * (1 + 1e-9)).all()
    assert high.max() > -floor  # the excess is on the positive side only
    few = Empirical(normal(3, 5))  # a posterior of 3 points has rank <= 2 in 5 dimensions: the floor is reached
    low, _ = hessian_extremes(few, normal(20, 5), t)
    torch.testing.assert_close(low, floor.expand(20), rtol=1e-9, atol=0)


def test_times_per_row_and_event_shapes(generator):
    law = Empirical(normal(10, 2, 2, 3))
    x, t = normal(4, 2, 2, 3, seed=1), torch.tensor([0.01, 0.1, 1.0, 2.0])
    rows = torch.cat([hessian_norms(law, x[i : i + 1], float(t[i])) for i in range(4)])
    torch.testing.assert_close(hessian_norms(law, x, t), rows, rtol=1e-6, atol=0)  # t is float32
    krylov = hessian_norms(law, x, t, method="krylov", generator=generator)
    torch.testing.assert_close(krylov, rows, rtol=2e-6, atol=0)


def test_krylov_says_when_it_has_not_converged(generator):
    law = GaussianMixture(torch.zeros(1, 100), torch.linspace(0.5, 1, 100))
    with pytest.raises(RuntimeError, match="max_steps = 3"):
        hessian_norms(law, torch.zeros(1, 100), 0.1, max_steps=3, generator=generator)


# The Gaussian


@pytest.mark.parametrize("schedule", [OU(), VPLinear(), VE(), Flow()], ids=str)
def test_gaussian_constant_is_exact_and_bounded_at_all_times(schedule):
    root = normal(4, 4) / 2
    cov = root @ root.mT + 0.2 * torch.eye(4, dtype=torch.float64)
    truth, least = GaussianMixture(normal(1, 4), cov), torch.linalg.eigvalsh(cov)[0]
    times = torch.tensor([1e-6, 1e-3, 0.1, 0.5, 0.9], dtype=torch.float64)
    constant = gaussian_lipschitz(truth, times, schedule=schedule)
    for t, value in zip(times, constant):
        norms = hessian_norms(truth, normal(5, 4, seed=7), float(t), schedule=schedule)
        torch.testing.assert_close(norms, value.expand(5), rtol=1e-9, atol=0)
    r2 = schedule.alpha(times) ** 2 + schedule.sigma(times) ** 2
    assert (constant <= 1 / (r2 * least.clamp(max=1)) * (1 + 1e-9)).all()
    assert gaussian_lipschitz(truth, 0.0) == pytest.approx(float(1 / least))


def test_search_finds_the_gaussian_constant(generator):
    truth = GaussianMixture(normal(1, 3), torch.tensor([0.3, 1.0, 2.0]))
    found = sup_hessian_norm(truth, 0.05, steps=3, generator=generator)
    assert found.value == pytest.approx(float(gaussian_lipschitz(truth, 0.05)), rel=1e-6)


# Bounds on C_t


@pytest.mark.parametrize("d", [1, 2, 3, 100])
@pytest.mark.parametrize("t", TIMES)
def test_two_points_reach_the_known_constant(d, t, generator):
    data = normal(2, d)
    gap2, alpha, variance = float((data[0] - data[1]).square().sum()), float(OU().alpha(t)), float(OU().sigma(t)) ** 2
    exact = max(1 / variance, alpha**2 * gap2 / (4 * variance**2) - 1 / variance)
    found = sup_hessian_norm(Empirical(data), t, generator=generator, steps=5)
    assert found.value == pytest.approx(exact, rel=1e-6)
    if exact > 1 / variance:
        torch.testing.assert_close(found.x, alpha * data.mean(0), rtol=1e-6, atol=1e-8)
    for side in sharp_lipschitz_bounds(data, t):
        assert float(side) == pytest.approx(exact, rel=1e-12)
    assert float(hessian_norms(Empirical(data), found.x[None], t, generator=generator)) == pytest.approx(found.value)


def configurations():
    """Small training sets on which a bound might fail: clouds, lattices, spheres, lines, clusters, repeats."""
    for d in (1, 2, 3):
        for n in (3, 50):
            cloud = normal(n, d, seed=10 * d + n)
            yield cloud
            yield cloud / cloud.norm(dim=1, keepdim=True)
            yield cloud[torch.arange(2 * n) * 7 % n]
            yield torch.arange(n).double()[:, None] * cloud[0]
            yield (5 * cloud[: n // 3, None] + 0.1 * cloud[None, -3:]).reshape(-1, d)
        yield torch.cartesian_prod(*[torch.arange(3.0).double()] * d).reshape(-1, d)
    yield torch.eye(9, dtype=torch.float64)  # a simplex


@pytest.mark.parametrize("ratio", [60.0, 30.0, 18.0, 5.0])
def test_both_bounds_hold_for_every_configuration(ratio, generator):
    """ratio = alpha^2 min^2 / sigma^2; the paper's lower bound changes sign at 16, and passes the trivial 1 / sigma^2 at 32."""
    for data in configurations():
        distinct = data.unique(dim=0)
        if len(distinct) == 1:
            continue
        t = time_of(ratio, float(torch.pdist(distinct).min()))
        steps = 8 if len(distinct) == len(data) else 60  # where points repeat, the midpoint of a pair is not the top
        found = sup_hessian_norm(Empirical(data), t, steps=steps, pairs=3, generator=generator).value
        low, high = sharp_lipschitz_bounds(data, t)
        # 1e-5: the ascent comes only close to the top.
        assert low * (1 - 1e-5) <= found <= high * (1 + 1e-9)
        paper_low, paper_high = empirical_lipschitz_bounds(data, t)
        assert paper_low <= low and high <= paper_high


def test_simplex_reaches_the_upper_end(generator):
    data, t = normal(11, 10), 0.05  # n = d + 1: every pair is an edge of the convex hull
    found = sup_hessian_norm(Empirical(data), t, generator=generator)
    assert found.value == pytest.approx(float(sharp_lipschitz_bounds(data, t)[1]), rel=1e-9)
    assert found.candidate == "outside"


def test_ascent_finds_the_balance_of_unequal_weights(generator):
    data = torch.tensor([[0.0], [0.0], [0.0], [1.0]]).double()
    found = sup_hessian_norm(Empirical(data), 0.01, generator=generator)
    exact = float(sharp_lipschitz_bounds(data, 0.01)[1])
    assert found.value == pytest.approx(exact, rel=1e-6)
    assert found.start < 0.8 * exact  # at the midpoint the weights are 3 : 1 and the variance 3/16, not 1/4


def test_a_mixture_with_narrow_components_is_close_to_its_means(generator):
    means, t = normal(6, 2, seed=3), 0.02
    narrow = GaussianMixture(means, 1e-8)
    points = sup_hessian_norm(Empirical(means), t, generator=torch.Generator().manual_seed(0))
    assert sup_hessian_norm(narrow, t, generator=torch.Generator().manual_seed(0)).value == pytest.approx(
        points.value, rel=1e-4
    )


def gold_code() -> torch.Tensor:
    """The 2^15 words x -> tr(a x) + tr(b x^3) + c on the field of 128 elements, (32768, 128) of -1 and 1, distance >= 56."""

    def times(a: int, b: int) -> int:
        product = 0
        for i in range(7):
            product ^= (a << i) * (b >> i & 1)
        for i in range(13, 6, -1):
            product ^= (0b10000011 << i - 7) * (product >> i & 1)  # modulo z^7 + z + 1
        return product

    columns = [(1, x, times(x, times(x, x))) for x in range(128)]
    rows = [[(c, x >> i & 1, y >> i & 1) for c, x, y in columns] for i in range(7)]
    basis = torch.tensor([[1] * 128] + [[c[k] for c in row] for row in rows for k in (1, 2)])
    bits = torch.arange(2**15)[:, None] >> torch.arange(15) & 1
    return 1 - 2.0 * (bits.double() @ basis.double() % 2)


def test_the_midpoint_of_the_closest_pair_alone_does_not_prove_the_lower_bound(generator):
    """A pair at distance 1 and 2^15 points around its midpoint, all at least 1 apart: there the Hessian's norm is below the
    paper's lower bound, for the posterior leaves the pair. The bound holds nevertheless, at a point outside the hull."""
    words = gold_code()
    weight = (words < 0).sum(1)[1:]  # of a linear code: the least weight is the least distance
    assert weight.min() >= 56
    ring = words * (0.75 / 128) ** 0.5  # radius sqrt(3)/2: distance 1 to both ends of the pair
    assert (2 * 0.75 * 56 / 64) >= 1  # squared distance of two words on the ring
    data = torch.zeros(2**15 + 2, 129, dtype=torch.float64)
    data[2:, 1:], data[0, 0], data[1, 0] = ring, 0.5, -0.5
    t = time_of(33.0, 1.0)
    alpha, variance = float(OU().alpha(t)), float(OU().sigma(t)) ** 2
    paper_low = -1 / variance + alpha**2 / (16 * variance**2)
    law = Empirical(data)
    middle = float(hessian_norms(law, torch.zeros(1, 129, dtype=torch.float64), t, generator=generator))
    assert middle < 0.85 * paper_low  # -0.84 / sigma^2 against 1.06 / sigma^2
    # A direction in which the point 0 and the word 2 are equally high, all other words lower.
    theta = torch.zeros(129, dtype=torch.float64)
    theta[0], theta[1:] = 1.5, ring[0]
    outside = alpha * (data[0] + data[2]) / 2 + 20 * theta
    edge = float(hessian_norms(law, outside[None], t, generator=generator))
    assert edge == pytest.approx(alpha**2 / (4 * variance**2) - 1 / variance, rel=1e-3)
    assert edge > 4 * paper_low


def test_midpoint_of_the_closest_pair_is_enough_for_few_points():
    """At the midpoint each other point weighs at most exp(-alpha^2 min^2 / (4 sigma^2)) against 1 for each of the pair, W in all,
    so the top eigenvalue is at least alpha^2 min^2 / (4 sigma^4) * 2 / (2 + W) - 1 / sigma^2."""
    for data in configurations():
        distinct = data.unique(dim=0)
        if len(distinct) < 3:
            continue
        distance = torch.cdist(distinct, distinct).fill_diagonal_(math.inf)
        i, j = divmod(int(distance.argmin()), len(distinct))
        least = float((distinct[i] - distinct[j]).norm())
        for ratio in (60.0, 30.0, 18.0, 5.0):
            t = time_of(ratio, least)
            others = (len(distinct) - 2) * math.exp(-ratio / 4)
            bound = (ratio / 2 / (2 + others) - 1) / float(OU().sigma(t)) ** 2
            middle = float(OU().alpha(t)) * (distinct[i] + distinct[j])[None] / 2
            top = hessian_extremes(Empirical(distinct), middle, t)[1]
            assert float(top) >= bound - 1e-6 * abs(bound)


def test_bounds_of_the_paper_by_hand_and_with_repeats():
    data, t = torch.tensor([[0.0, 0], [3, 4], [0, 1]]).double(), torch.tensor([0.1, 1.0]).double()
    alpha, variance = OU().alpha(t), OU().sigma(t) ** 2
    low, high = empirical_lipschitz_bounds(data, t)
    torch.testing.assert_close(low, -1 / variance + alpha**2 / (16 * variance**2))
    torch.testing.assert_close(high, 1 / variance + alpha**2 / (4 * variance**2) * 25)
    repeated = torch.cat([data, data[:1]])
    low, again = empirical_lipschitz_bounds(Empirical(repeated), t)
    torch.testing.assert_close(low, -1 / variance)
    torch.testing.assert_close(again, high)
    torch.testing.assert_close(sharp_lipschitz_bounds(repeated, t), sharp_lipschitz_bounds(data, t))
    low, high = sharp_lipschitz_bounds(data[:1].repeat(3, 1), t)
    torch.testing.assert_close(low, 1 / variance)
    torch.testing.assert_close(high, 1 / variance)


# Networks


def network(depth=3, copies=None, activation=torch.relu, d=4, width=16):
    net = MLP(
        d, width, depth, copies=copies, activation=activation, generator=torch.Generator().manual_seed(5)
    ).double()
    with torch.no_grad():
        g = torch.Generator().manual_seed(6)
        net.weights[-1].copy_(torch.randn(net.weights[-1].shape, generator=g))
    return net


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_are_those_of_the_activations(name):
    x = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    function = nn.Identity() if name == "identity" else getattr(nn.functional, name)
    slopes = torch.func.vmap(torch.func.grad(lambda y: function(y)))(x).abs()
    assert SLOPES[name] - 1.5e-4 <= slopes.max() <= SLOPES[name]


def test_linear_networks_are_exact(generator):
    a, b = nn.Linear(6, 6), nn.Linear(6, 6)
    u, s, vh = torch.linalg.svd(a.weight.detach())
    with torch.no_grad():
        b.weight.copy_(torch.diag(torch.arange(6.0).flip(0)) @ u.mT)  # aligned: the norms multiply
    assert product_of_norms(nn.Sequential(a, nn.Identity(), nn.Sequential(b))).item() == pytest.approx(5 * s[0].item())
    assert product_of_norms(nn.Sequential(a, nn.LeakyReLU(3.0))).item() == pytest.approx(3 * s[0].item())
    model = Denoiser(network(depth=1))  # score = -network / sigma, an affine map of x
    x = normal(3, 4)
    for t in (0.01, 1.0):
        top = torch.linalg.matrix_norm(model.network.weights[0].detach()[:4], 2) / OU().sigma(t)
        for method in ("exact", "krylov"):
            found = local_lipschitz(model, x, t, method=method, generator=generator)
            torch.testing.assert_close(found, top.expand(3), rtol=1e-4, atol=0)
        torch.testing.assert_close(score_lipschitz_bound(model, t), top)


def double(x):
    return 2 * x


def test_activations_count_once_per_hidden_layer():
    net = network(depth=3, activation=double, d=4, width=4)
    with torch.no_grad():
        for w in net.weights:
            w.copy_(torch.eye(*w.shape))
    assert product_of_norms(net, slope=2.0).item() == pytest.approx(4.0)
    x = normal(2, 4)
    moved = net(x, torch.zeros(2).double()).detach()
    assert (moved[0] - moved[1]).norm() == pytest.approx(4 * float((x[0] - x[1]).norm()))  # it is reached


@pytest.mark.parametrize("prediction", ["eps", "x0", "v", "score"])
@pytest.mark.parametrize("t", [0.01, 1.0])
def test_the_bound_on_the_score_is_reached_by_a_multiple_of_the_identity(prediction, t):
    model = Denoiser(network(depth=1), prediction=prediction, data_std=0.3)
    reached = []
    for sign in (-3.0, 3.0):  # one of the two has the sign of a in score = a x + b network(x / scale)
        with torch.no_grad():
            model.network.weights[0][:4] = sign * torch.eye(4)
        reached.append(float(local_lipschitz(model, normal(1, 4), t)))
    assert max(reached) == pytest.approx(float(score_lipschitz_bound(model, t)), rel=1e-9)


@pytest.mark.parametrize("prediction", ["eps", "x0", "v", "score"])
@pytest.mark.parametrize("activation", [torch.relu, nn.functional.silu, nn.SiLU(), torch.tanh], ids=str)
def test_local_is_at_most_the_product_of_norms(prediction, activation):
    model = Denoiser(network(copies=3, activation=activation), prediction=prediction, data_std=0.5, mean=0.3)
    x, times = 3 * normal(3, 40, 4), torch.tensor([0.01, 0.3, 2.0])
    bound = score_lipschitz_bound(model, times)
    assert bound.shape == (3, 3) and product_of_norms(model.network).shape == (3,)
    for k, t in enumerate(times.tolist()):
        local = local_lipschitz(model, x, t)
        assert local.shape == (3, 40)
        assert (local <= bound[:, k, None] * (1 + 1e-6)).all()  # t is float32 in one, float64 in the other
        torch.testing.assert_close(bound[:, k], score_lipschitz_bound(model, t), rtol=1e-5, atol=0)
        for i in range(3):
            one = model.copy(i)
            torch.testing.assert_close(local_lipschitz(one, x[i], t), local[i])
            torch.testing.assert_close(score_lipschitz_bound(one, t), score_lipschitz_bound(model, t)[i])


def test_the_product_of_norms_bounds_finite_differences_of_the_network():
    net = network(activation=nn.functional.gelu, depth=4)
    x, y, snr = normal(500, 4), normal(500, 4, seed=1), torch.zeros(500).double()
    ratio = (net(x, snr) - net(y, snr)).norm(dim=1) / (x - y).norm(dim=1)
    assert 0 < ratio.max() <= product_of_norms(net)


def test_local_constant_by_krylov_is_that_of_the_jacobian(generator):
    model = Denoiser(network(d=80, width=64), prediction="v")
    x, t = normal(5, 80), torch.linspace(0.05, 2, 5)
    exact = local_lipschitz(model, x, t, method="exact")
    jacobians = torch.stack([torch.func.jacrev(lambda y: model.network(y[None], torch.zeros(1).double())[0])(x[0])])
    assert jacobians.abs().max() > 0.1  # not the zero network
    torch.testing.assert_close(local_lipschitz(model, x, t, generator=generator), exact, rtol=1e-4, atol=0)
    stack = Denoiser(network(d=80, width=64, copies=2), prediction="v")
    x = normal(2, 3, 80)
    torch.testing.assert_close(
        local_lipschitz(stack, x, 0.3, generator=generator), local_lipschitz(stack, x, 0.3, method="exact"), rtol=1e-4, atol=0
    )  # fmt: skip


@pytest.mark.parametrize("method", ["exact", "krylov"])
@pytest.mark.parametrize("kind", LAWS)
def test_local_constant_of_a_law_is_its_hessian_norm(kind, method, generator):
    law, t = LAWS[kind](), 0.1
    x = law.sample(5, t, generator=generator)
    found = local_lipschitz(law, x, t, schedule=VE(), method=method, generator=generator)
    torch.testing.assert_close(found, hessian_norms(law, x, t, schedule=VE()), rtol=1e-4, atol=0)


# Bad input


class Constant:
    event_shape = (3,)

    def score(self, x, t, *, schedule=None):
        return torch.zeros_like(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hessian_norms(empirical(), normal(2, 4), 0.1), r"x has shape \(2, 4\)"),
        (lambda: hessian_norms(empirical(), normal(2, 3), 0.0), "t = 0 is not allowed"),
        (lambda: hessian_norms(empirical(), normal(2, 3), torch.ones(3)), r"t has shape \(3,\)"),
        (lambda: hessian_norms(empirical(), normal(2, 3), 0.1, method="power"), "method = 'power'"),
        (lambda: hessian_norms(empirical(), normal(2, 3), 0.1, method="krylov", tol=0), "tol = 0"),
        (lambda: hessian_norms(empirical(), normal(2, 3), 0.1, method="krylov", max_steps=0), "max_steps = 0"),
        (lambda: gaussian_lipschitz(mixture("matrix"), 0.1), "truth = .*K = 1 is needed"),
        (lambda: gaussian_lipschitz(GaussianMixture(normal(1, 2), 0.0), 0.0), "t = 0 is not allowed"),
        (lambda: empirical_lipschitz_bounds(normal(1, 3), 0.1), "n = 1 points: n >= 2"),
        (lambda: sharp_lipschitz_bounds(normal(1, 3), 0.1), "n = 1 points: n >= 2"),
        (lambda: empirical_lipschitz_bounds(normal(3, 3) * math.nan, 0.1), "data has NaN"),
        (lambda: empirical_lipschitz_bounds(normal(3, 3), -1.0), "t = -1 is not allowed"),
        (lambda: sup_hessian_norm(empirical(), torch.ones(2)), r"t has shape \(2,\)"),
        (lambda: sup_hessian_norm(empirical(), 0.1, pairs=0), "pairs = 0"),
        (lambda: sup_hessian_norm(Constant(), 0.1), "law is Constant"),
        (lambda: product_of_norms(nn.Sequential(nn.Linear(2, 2), nn.Mish())), "network has a mish"),
        (lambda: product_of_norms(nn.Conv2d(1, 1, 3)), "network has a conv2d"),
        (lambda: score_lipschitz_bound(nn.Linear(2, 2), 0.1), "model is Linear"),
        (lambda: local_lipschitz(Constant(), normal(2, 3), 0.1), "carries no gradient"),
        (lambda: local_lipschitz(Denoiser(network()), normal(2, 5), 0.1), r"x is shape \(2, 5\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_distinct_point_is_a_gaussian(generator):
    found = sup_hessian_norm(Empirical(normal(1, 3).repeat(4, 1)), 0.1, steps=2, generator=generator)
    assert found.value == pytest.approx(1 / float(OU().sigma(0.1)) ** 2)
    assert product_of_norms(nn.Mish(), slope=1.1).item() == 1.1
