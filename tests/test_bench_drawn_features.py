"""Random features of given draws, and the own-half preference."""

import math

import pytest
import torch

from separations.bench import DrawnFeatures, RandomFeatures, own_half_preference

LEVEL = 1.5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_is_gradient_descent_in_small_steps():
    x = torch.randn(6, 3, generator=generator(), dtype=torch.float64)
    model = DrawnFeatures(x, 10, LEVEL, draws=2, generator=generator(1))
    points, xi = model._own
    Z = model.features(model.signal * points + model.noise * xi)
    B, step, tau = torch.zeros(3, 10, dtype=torch.float64), 1e-3, 4.0
    for _ in range(round(tau / step)):
        B = B - step * 2 * model.noise**2 / model.psi_p * (B @ Z.T - xi.T) @ Z / len(Z)
    assert torch.allclose(B, model.readout(tau), atol=1e-4)  # Euler's rule, steps of 0.001
    assert math.isclose(model.loss(tau), model.loss(tau, points, xi), rel_tol=1e-12)
    assert torch.allclose(model.denoise(points, 1.0) * model.signal + model.noise * model.eps(points, 1.0), points)


def test_the_end_is_the_solution_of_least_norm_and_fits_all_noise_where_it_can():
    x = torch.randn(5, 3, generator=generator(), dtype=torch.float64)
    for p, draws in ((40, 2), (6, 4)):
        model = DrawnFeatures(x, p, LEVEL, draws=draws, generator=generator(2))
        points, xi = model._own
        Z = model.features(model.signal * points + model.noise * xi)
        assert torch.allclose(model.readout(math.inf), (torch.linalg.pinv(Z) @ xi).T, atol=1e-6)
        assert (model.loss(math.inf) < 1e-12) == (p >= 5 * draws)
        assert int((model.eigenvalues > 1e-10).sum()) == min(p, 5 * draws)


def test_many_draws_have_the_spectrum_of_the_gaussian_equivalent():
    # d = 30, p = 90, n = 60: 200 draws a point; the equivalent holds up to 1 / sqrt(d), a few per cent of each eigenvalue.
    x = torch.randn(60, 30, generator=generator(), dtype=torch.float64)
    drawn = DrawnFeatures(x, 90, LEVEL, draws=200, generator=generator(3)).eigenvalues
    equivalent = RandomFeatures(30, 90, 60, LEVEL, generator=generator(4)).eigenvalues
    for q in (0.2, 0.5, 0.9):
        one, two = (float(values.quantile(q)) for values in (drawn, equivalent))
        assert abs(one / two - 1) < 0.2
    assert abs(float(drawn.sum() / equivalent.sum()) - 1) < 0.12  # tanh of weights of finite length


def test_losses_begin_at_one_and_the_training_loss_falls():
    x = torch.randn(20, 4, generator=generator(), dtype=torch.float64)
    model = DrawnFeatures(x, 30, LEVEL, draws=50, generator=generator(1))
    assert abs(model.loss(0.0) - 1) < 0.1  # 4,000 draws of chi square: 0.022
    losses = [model.loss(tau) for tau in (0, 1, 10, 100, 1e4, math.inf)]
    assert losses == sorted(losses, reverse=True)


def test_own_half_preference_is_none_for_the_truth_and_half_for_copies():
    g = generator()
    train, held = (torch.randn(200, 3, generator=g) for _ in range(2))
    assert float(own_half_preference(train, train, held)) == 0.5
    assert float(own_half_preference(held, train, held)) == -0.5
    x = torch.randn(4000, 3, generator=g)
    one, other = own_half_preference(x, train, held), own_half_preference(x, held, train)
    assert math.isclose(float(one), -float(other), abs_tol=1e-12)
    # over splits the mean is 0; one split is off by about 0.35 / sqrt(n)
    found = []
    for _ in range(40):
        both = torch.randn(100, 3, generator=g)
        found.append(float(own_half_preference(x, both[:50], both[50:])))
    found = torch.tensor(found)
    assert abs(float(found.mean())) < 4 * float(found.std()) / math.sqrt(40)
    assert 0.5 < float(found.std()) / (0.35 / math.sqrt(50)) < 2


def test_bad_input_is_named():
    x = torch.randn(5, 3)
    for arguments, word in (
        ({"p": 0}, "p = 0"), ({"draws": 0}, "draws = 0"), ({"log_snr": math.inf}, "log_snr"), ({"weights": torch.zeros(2, 3)}, "weights"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=word):
            DrawnFeatures(x, **{"p": 4, "log_snr": 0.0, "draws": 1} | arguments)
    model = DrawnFeatures(x, 4, 0.0, draws=1)
    with pytest.raises(ValueError, match="tau"):
        model.readout(-1)
    with pytest.raises(ValueError, match="points and noise"):
        model.loss(1.0, x)
    with pytest.raises(ValueError, match="held_out"):
        own_half_preference(x, x, x[:3])
