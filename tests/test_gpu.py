"""The same answers on a CUDA device as on the CPU, from data on either side. Skipped where there is no device."""

import numpy as np
import pytest
import torch

from separations.distributions import Empirical, GaussianMixture
from separations.examination import examine
from separations.interval_study import Experiment, interval_job
from separations.interval_study.jobs import run_job
from separations.loss_gap import generalization_error, kl_gap, loss_gap
from separations.metrics import memorization_ratio
from separations.numerics import Rows, nearest
from separations.pruning import choose_heads, head_importance, prune_heads
from separations.samplers import heun, log_snr_times, prior, reverse_sde
from separations.timesteps import Uniform
from separations.training import fine_tune, recipe_data, recipes

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

DATA = torch.randn(300, 2, 8, generator=torch.Generator().manual_seed(0))
QUESTIONS = ["log_prob", "score", "denoise", "hessian", "posterior_cov", "responsibilities"]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("t", [1e-5, 0.3, torch.linspace(0.01, 2, 6)], ids=str)
@pytest.mark.parametrize("law", [Empirical(DATA), GaussianMixture(DATA[:5], 0.3)], ids=str)
def test_every_question_on_the_device(law, question, t):
    x = law.sample(6, t, generator=torch.Generator().manual_seed(1)).double()
    law = law.to(dtype=torch.float64)
    here, there = getattr(law, question)(x, t), getattr(law.to(device="cuda"), question)(x.cuda(), t)
    assert there.is_cuda
    torch.testing.assert_close(there.cpu(), here, rtol=1e-7, atol=1e-7 * float(here.abs().max()))


def test_data_on_the_cpu_or_on_disk_streams_to_the_device(tmp_path):
    np.save(tmp_path / "data.npy", DATA.numpy())
    x = DATA[:9].cuda() + 0.1
    for data in (DATA, np.load(tmp_path / "data.npy", mmap_mode="r")):
        torch.testing.assert_close(Empirical(data, block=64).score(x, 0.1), Empirical(DATA.cuda()).score(x, 0.1))


@pytest.mark.parametrize("kind", ["float32", "float64", "uint8"])
def test_near_rows_on_the_device_are_those_on_the_cpu(kind):
    g = torch.Generator().manual_seed(5)
    data = torch.randint(0, 256, (3000, 200), generator=g, dtype=torch.uint8)
    data = data if kind == "uint8" else (data / 127.5 - 1).to(getattr(torch, kind))
    data[2900:] = data[:100]
    x = torch.rand(60, 200, generator=g) * 2 - 1
    here = nearest(x, Rows(data), 3)
    for rows in (Rows(data.cuda()), Rows(data)):
        there = nearest(x.cuda(), rows, 3)
        assert torch.equal(there[1].cpu(), here[1])
        torch.testing.assert_close(there[0].cpu(), here[0], rtol=1e-12, atol=0)


def test_sampling_and_measuring_on_the_device():
    law, g = Empirical(DATA.cuda()), torch.Generator("cuda").manual_seed(0)
    x = prior((50, 2, 8), 8.0, generator=g, device="cuda")
    times = log_snr_times(8.0, 1e-4, 60)
    for end in (heun(law, x, times), reverse_sde(law, x, times, generator=g)):
        assert end.is_cuda and memorization_ratio(end, DATA.cuda()).ratio == 1.0


def test_loss_gap_on_the_device():
    truth, times = GaussianMixture(DATA[:5].double(), 0.3), torch.tensor([1e-4, 0.05, 0.5])
    data = truth.sample(200, generator=torch.Generator().manual_seed(2))
    here = loss_gap(data, truth, times, samples=4000, relative_error=0.02, generator=torch.Generator().manual_seed(3))
    there = loss_gap(data.cuda(), truth, times, samples=4000, generator=torch.Generator("cuda").manual_seed(3))
    assert (here.best.sigmas_from(there.best) < 5).all() and (here.difference.sigmas_from(there.difference) < 5).all()
    kl = [kl_gap(x, truth, 0.01, 1.0, samples=4000) for x in (data, data.cuda())]
    assert abs(float(kl[0]) - float(kl[1])) < 5 * (kl[0].se ** 2 + kl[1].se ** 2) ** 0.5
    errors = [generalization_error(x, truth, 0.3, samples=4000) for x in (data, data.cuda())]
    assert errors[0].sigmas_from(errors[1]) < 5


def test_training_pruning_and_fine_tuning_on_the_device():
    recipe = recipes.named("mnist-memorizing", n=8, steps=12, warmup=2, depth=2, batch=8)
    images, found = recipe_data(recipe), {}
    for device in ("cpu", "cuda"):
        model, _ = recipes.trained(recipe, data=images, device=device)
        importance = head_importance(
            model, images.train, Uniform(), samples=64, generator=torch.Generator().manual_seed(0)
        )
        smaller = prune_heads(model, choose_heads(importance, 0.2))
        *_, record = fine_tune(recipe, smaller, images.train, steps=3, lr=1e-3)
        assert next(record.ema.parameters()).device.type == device
        seen = examine(record.ema, images, 4, steps=3, generator=torch.Generator(device).manual_seed(1))
        found[device] = importance.score, seen.samples
    assert not found["cuda"][0].is_cuda and (found["cuda"][0] - found["cpu"][0]).abs().max() < 0.05


def test_training_on_with_another_interval_on_the_device(tmp_path):
    options = {"prediction": "eps", "times": ("Uniform", {}), "steps": 8, "warmup": 0, "batch": 8, "n_held_out": 100}
    small = recipes.named("mnist-memorizing", name="small", n=12, depth=1, patch=14, **options)
    signals = recipes.named("heartbeats-pretrained", name="signals", steps=4, warmup=0, n=20, n_held_out=40)
    for recipe in (small, signals):
        rows = []
        for device in ("cpu", "cuda"):
            setting = Experiment(
                recipe, str(tmp_path / device), m=12, steps=4, draws=16, extractor="pixels", device=device
            )
            rows.append(run_job(setting, interval_job(400, 900, epochs=2, batch=4)).row)
        assert rows[0].keys() == rows[1].keys()
        for name in ("distance", "loss_held_out"):
            assert rows[1][name] == pytest.approx(rows[0][name], rel=0.02)
