"""Random features: the constants, the solved gradient flow, the spectrum and the copying times."""

import math
import time

import pytest
import torch

from separations.bench import RandomFeatures, feature_constants

LEVEL = math.log(math.exp(-0.2) / -math.expm1(-0.2))  # m = exp(-0.1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_constants_are_moments_and_those_of_a_linear_and_a_cubic_feature():
    c = feature_constants(LEVEL)
    g = generator()
    u, w, w2 = torch.randn(3, 2_000_000, generator=g, dtype=torch.float64)
    m, noise = math.sqrt(c.signal2), math.sqrt(c.noise2)
    one, two = torch.tanh(m * u + noise * w), torch.tanh(m * u + noise * w2)
    assert abs(float((u * one).mean()) - c.a * m) < 2e-3 and abs(float((w * one).mean()) - c.b) < 2e-3
    assert abs(float((one * two).mean()) - c.v2 - (c.a * m) ** 2) < 2e-3  # E[phi phi'] with common u
    assert abs(float(one.square().mean()) - c.v2 - c.s2 - c.linear2) < 2e-3
    assert math.isclose(
        c.a, math.sqrt(c.linear2), rel_tol=1e-12
    )  # Stein: E[u phi] / m = E[phi'], and b = Delta^(1/2) E[phi']
    line = feature_constants(0.3, lambda x: 2 * x)
    assert math.isclose(line.a, 2, rel_tol=1e-12) and line.v2 < 1e-12 and line.s2 < 1e-12
    # x^3 = He3 + 3 x: E[phi'] = 3, and He3 has the variance 6, of which the share m^6 is given by u.
    cubic = feature_constants(0.3, lambda x: x**3)
    assert math.isclose(cubic.a, 3, rel_tol=1e-10) and math.isclose(cubic.v2, 6 * cubic.signal2**3, rel_tol=1e-10)
    assert math.isclose(cubic.v2 + cubic.s2, 6, rel_tol=1e-10)


def test_losses_are_those_of_gradient_descent_in_small_steps():
    model = RandomFeatures(4, 24, 12, LEVEL, generator=generator())
    c, g = model.constants, generator()
    W, X = torch.randn(24, 4, generator=g, dtype=torch.float64), torch.randn(4, 12, generator=g, dtype=torch.float64)
    omega = torch.randn(24, 12, generator=g, dtype=torch.float64)
    G = math.sqrt(c.signal2) * c.a * W @ X / 2 + math.sqrt(c.v2) * omega
    U = G @ G.T / 12 + c.b**2 * W @ W.T / 4 + c.s2 * torch.eye(24, dtype=torch.float64)
    test = c.linear2 * W @ W.T / 4 + (c.v2 + c.s2) * torch.eye(24, dtype=torch.float64)
    V, A, step, tau = c.b * W / 2, torch.zeros(4, 24, dtype=torch.float64), 1e-3, 3.0

    def loss(A, U):  # A stands for A / sqrt(p)
        return 1 + (2 * math.sqrt(c.noise2) * (A * V.T).sum() + c.noise2 * ((A @ U) * A).sum()) / 4

    for _ in range(round(tau / step)):
        # d A / d tau = -(d^2 / d) times half of the gradient's scale: the flow whose solution the module gives.
        A = A - step * 2 * c.noise2 / model.psi_p * (A @ U + V.T / math.sqrt(c.noise2))
    train, held = model.losses(tau)
    assert abs(float(train) - float(loss(A, U))) < 1e-3 and abs(float(held) - float(loss(A, test))) < 1e-3
    assert [float(x) for x in model.losses(0.0)] == [1.0, 1.0]
    end = -torch.linalg.solve(U, V).T / math.sqrt(c.noise2)
    assert math.isclose(float(model.losses(math.inf)[0]), float(loss(end, U)), rel_tol=1e-9)
    assert (
        model.losses(torch.logspace(-2, 6, 30))[0].diff() <= 1e-12
    ).all()  # gradient flow never raises the training loss


@pytest.mark.slow
def test_spectrum_and_copying_times_at_full_size_within_the_time_allowed():
    started, found = time.perf_counter(), {}
    for psi_n in (2, 8):
        model = RandomFeatures(40, 32 * 40, psi_n * 40, LEVEL, generator=generator(psi_n))
        parts, found[psi_n] = model.spectrum(), model.copying_times()
        assert math.isclose(parts.delta_found, parts.delta_mass, abs_tol=1e-12)
        assert parts.far[0] < parts.far_found[0] < parts.far_found[1] < parts.far[1]
    seconds = time.perf_counter() - started
    assert seconds < 30, seconds  # 15 s each; about 2 on two cores
    # The ends of the near bulk hold up to d^(-2/3) of it, and to 1 / psi_n of the law's own directions that leak into its lower end.
    assert abs(parts.bulk_found[1] / parts.bulk[1] - 1) < 0.1 and 0.5 < parts.bulk_found[0] / parts.bulk[0] < 1.1
    two, eight = found[2], found[8]
    assert (
        4 < eight.edge / two.edge < 6 and 1.5 < eight.half / two.half < 4
    )  # the closed form grows faster than the half of the gap
    for each in found.values():
        assert each.learned < each.best < each.half < each.edge and each.threshold < each.half
    assert math.isinf(model.copying_times(1e3).threshold)


def test_equal_numbers_of_features_and_points_have_no_lower_edge():
    model = RandomFeatures(5, 40, 40, LEVEL, generator=generator())
    c = model.constants
    assert math.isclose(model.spectrum().bulk[0], c.s2) and model.spectrum().delta_mass == 0
    assert math.isclose(model.copying_times().edge, 8 / (c.noise2 * c.s2), rel_tol=1e-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: feature_constants(math.inf), "log_snr = inf"),
        (lambda: feature_constants(0.0, torch.relu), "phi has the mean"),
        (lambda: feature_constants(0.0, 3), "phi = 3"),
        (lambda: RandomFeatures(0, 5, 5, 0.0), "d = 0"),
        (lambda: RandomFeatures(5, 10**7, 5, 0.0), "p = 10000000"),
        (lambda: RandomFeatures(2, 6, 4, 0.0).losses([-1.0]), "tau has -1"),
        (lambda: RandomFeatures(2, 6, 4, 0.0).copying_times(0), "threshold = 0"),
        (lambda: RandomFeatures(2, 6, 4, 0.0).copying_times(points=5), "points = 5"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
