"""What a model knows of its training set: closed forms, the shipped models, models from files and folders, and what is refused."""

import json
import math
import sys

import numpy as np
import pytest
import torch

from separations.audit import examine_model, found_at_rate, gap_closed, membership_auc, open_model
from separations.audit.membership import others_needed
from separations.audit.model import KNOWS, LOG_SNR, NOT, UNDECIDED, summary
from separations.distributions import Empirical, GaussianMixture
from separations.networks import MLP, Denoiser
from separations.numerics import seeded
from separations.schedules import OU, VE, Flow, VPLinear
from separations.training import checkpoints, recipe_data, recipes

NOISE = VE(1000.0)


def truth_and_sets(n: int = 200, k: int = 1000, d: int = 8):
    truth = GaussianMixture(torch.randn(4, d, generator=seeded(0, 0)), 0.25)
    return truth, truth.sample(n, generator=seeded(0, 1)), truth.sample(k, generator=seeded(0, 2))


def blend(share: float, train, truth):
    law = Empirical(train)
    return lambda x, sigma: (
        share * law.denoise(x, sigma, schedule=NOISE) + (1 - share) * truth.denoise(x, sigma, schedule=NOISE)
    )


# ------------------------------------------------------------------------------------------------------ closed forms


def test_the_true_score_is_at_0_and_the_empirical_one_at_1():
    truth, train, held_out = truth_and_sets()
    options = {"most": 2000, "log_snr": (4.0, 3.0, 2.0), "batch": 512}
    at_truth = examine_model(blend(0, train, truth), train, held_out, **options, generator=seeded(1))
    at_empirical = examine_model(blend(1, train, truth), train, held_out, **options, generator=seeded(1))
    for row in [at_truth, *at_truth["levels"]]:
        assert row["gap_closed"]["low"] <= 0 <= row["gap_closed"]["high"]
    for row in [at_empirical, *at_empirical["levels"]]:
        assert row["gap_closed"]["value"] == pytest.approx(1, abs=1e-6)
    assert at_truth["verdict"]["word"] == NOT and at_empirical["verdict"]["word"] == KNOWS
    assert at_truth["membership"]["auc"]["low"] < 0.5 < at_truth["membership"]["auc"]["high"]
    assert at_empirical["membership"]["auc"]["value"] > 0.9


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_between_them_it_is_what_the_two_gaps_give(share):
    """L(training) = L_emp + (1 - share)^2 G and L(held-out) = L_true + share^2 G': the cross terms are 0, both being posterior means."""
    truth, train, held_out = truth_and_sets()
    level = 2.0
    sigma, law = math.exp(-level / 2), Empirical(train)
    x0, fresh = train.repeat(100, 1), held_out.repeat(20, 1)
    at_train, at_fresh = (x + sigma * torch.randn(x.shape, generator=seeded(2, i)) for i, x in ((1, x0), (2, fresh)))
    ask = {
        name: lambda x, one=one: one.denoise(x, sigma, schedule=NOISE) for name, one in (("emp", law), ("true", truth))
    }
    gap, gap_fresh = (float((ask["emp"](x) - ask["true"](x)).square().mean()) for x in (at_train, at_fresh))
    lost, lost_fresh = (
        float((ask["emp"](at_train) - x0).square().mean()),
        float((ask["true"](at_fresh) - fresh).square().mean()),
    )
    least = lost_fresh + share**2 * gap_fresh - lost
    wanted = 1 - (1 - share) ** 2 * gap / least
    found = examine_model(
        blend(share, train, truth),
        train,
        held_out,
        most=2000,
        draws=8,
        batch=1000,
        log_snr=[level],
        generator=seeded(3),
    )["gap_closed"]
    assert found["low"] < wanted < found["high"] and abs(found["value"] - wanted) < 0.06
    assert abs(wanted - (1 - (1 - share) ** 2)) < 0.25  # near twice the share at first


def test_where_both_denoisers_return_the_mean_nothing_is_decided():
    truth, train, held_out = truth_and_sets(n=50, k=50)
    found = examine_model(blend(0, train, truth), train, held_out, log_snr=[-12.0, 2.0], draws=1, generator=seeded(4))
    near, far = found["levels"]
    assert far["gap_closed"] is None and far["word"] == UNDECIDED and "nothing is decided" in far["words"]
    assert near["gap_closed"] is not None and found["gap_closed"] is not None


def test_the_interval_covers():
    """Losses of log-normal difficulty; the wanted share is that of their means. 500 sets: 0.95 within four standard errors."""
    generator, held = np.random.default_rng(5), 0
    for _ in range(500):
        hard, other = generator.lognormal(0, 0.5, (80, 2)), generator.lognormal(0, 0.5, (120, 2))
        noise = generator.lognormal(0, 0.2, (80, 2)) / math.exp(0.02)
        found = gap_closed(0.7 * hard * noise, other, 0.2 * hard, resamples=400)
        held += found.low <= (1 - 0.7) / (1 - 0.2) <= found.high
    assert held / 500 > 0.95 - 4 * math.sqrt(0.05 * 0.95 / 500) - 0.01


def test_the_area_and_its_interval():
    generator = np.random.default_rng(6)
    assert membership_auc([3.0, 2.0], [1.0, 2.0]).value == 0.875
    perfect = membership_auc([2.0] * 50, [1.0] * 50)
    assert perfect.value == 1 and 0.9 < perfect.low < 0.99 and perfect.high == 1
    assert membership_auc([1.0] * 9, [1.0] * 9).ends[0] < 0.5 < membership_auc([1.0] * 9, [1.0] * 9).ends[1]
    wanted, held = 0.5 * (1 + math.erf(1 / 2)), 0  # P(X > Y) of N(1, 1) and N(0, 1) is Phi(1 / sqrt 2)
    for _ in range(500):
        found = membership_auc(generator.normal(1, 1, 60), generator.normal(0, 1, 90))
        held += found.low <= wanted <= found.high
    assert held / 500 > 0.95 - 4 * math.sqrt(0.05 * 0.95 / 500)


def test_the_share_found_at_a_rate_of_mistakes():
    generator = np.random.default_rng(7)
    assert others_needed(0.01) == 99 and others_needed(0.1) == 9
    assert found_at_rate(np.ones(5), np.zeros(98)) is None
    assert found_at_rate(np.ones(50), np.zeros(99)).ends[0] < 1
    mistakes = [
        found_at_rate(generator.normal(size=400), generator.normal(size=199), resamples=2).value for _ in range(200)
    ]
    assert np.mean(mistakes) < 0.01 + 4 * np.std(mistakes) / 200**0.5  # rate floor(0.01 * 200) / 200
    wanted, held = 1 - 0.5 * (1 + math.erf((2.3263 - 3) / math.sqrt(2))), 0
    for _ in range(200):
        found = found_at_rate(generator.normal(3, 1, 300), generator.normal(0, 1, 999), resamples=300)
        held += found.low <= wanted <= found.high
    assert held / 200 > 0.85


# --------------------------------------------------------------------------------------------------------- our models


@pytest.fixture(scope="module")
def shipped():
    found = {}
    for name in ("mnist-memorizing", "mnist-generalizing"):
        images = recipe_data(recipes.named(name))
        found[name] = examine_model(
            open_model(name), images.train_set.x, images.held_out_set.x, images.train_set.x[:20],
            log_snr=(4.5, 1.5, -1.5), draws=1, most=400, generator=seeded(8),
        )  # fmt: skip
    return found


def test_the_verdicts_on_the_shipped_models_are_right(shipped):
    few, many = shipped["mnist-memorizing"], shipped["mnist-generalizing"]
    assert few["verdict"]["word"] == KNOWS and many["verdict"]["word"] == NOT
    assert few["gap_closed"]["low"] > 0.8 and many["gap_closed"]["high"] < 0.1
    assert [row["word"] for row in few["levels"]] == [KNOWS] * 3
    assert few["membership"]["auc"]["low"] > 0.95 and few["membership"]["tpr"]["low"] > 0.8
    assert many["membership"]["auc"]["high"] < 0.6
    assert few["images"] == {"train": 64, "held_out": 1000, "generated": 20} and few["denoised"]["held_out"] == 400


def test_the_report_is_json_and_reads(shipped):
    for found in shipped.values():
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert found["verdict"]["sentences"][0].startswith("Over all levels together 0.")
        assert "AUC" in found["verdict"]["sentences"][-1]
        for row in found["levels"]:
            assert row["words"].startswith("At sigma = ") and set(row["loss"]) == {
                "train",
                "held_out",
                "empirical",
                "generated",
            }
            for name in ("train", "held_out"):
                loss = row["loss"][name]
                assert 0 <= loss["low"] <= loss["value"] <= loss["high"]


@pytest.mark.parametrize("schedule", [VPLinear(), OU(), VE(50.0), Flow()])
@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
def test_a_denoiser_is_asked_at_its_own_noise(schedule, prediction):
    network = MLP(6, 16, 3, generator=seeded(9))
    for weight in network.weights:
        torch.nn.init.normal_(weight, std=0.3, generator=seeded(9, 1))
    model = Denoiser(network, schedule, prediction=prediction, event_shape=(1, 2, 3))
    opened, x = open_model(model, mean=0.3, std=0.6), torch.randn(5, 1, 2, 3, generator=seeded(9, 2))
    sigma = torch.tensor([0.1, 0.5, 1.0, 2.0, 4.0])
    t = schedule.time_from_log_snr(-2 * (sigma.double() / 0.6).log())
    alpha = schedule.alpha(t).float().reshape(-1, 1, 1, 1)
    wanted = 0.6 * model.denoise(alpha * (x - 0.3) / 0.6, t) + 0.3
    assert torch.allclose(opened(x, sigma), wanted, atol=1e-5)
    assert torch.allclose(opened(x, 1.0)[2], wanted[2], atol=1e-5)
    assert opened.event_shape == (1, 2, 3) and opened.name == "model"


def test_a_checkpoint_is_opened_with_the_moments_of_its_recipe(tmp_path):
    model, facts = checkpoints.load_model(checkpoints.shipped("mnist-memorizing"))
    checkpoints.save_model(tmp_path / "mine.safetensors", model, facts=facts)
    images = recipe_data(recipes.named("mnist-memorizing"))
    x = images.train_set.x[:3]
    opened, plain = open_model(tmp_path / "mine.safetensors"), open_model("mnist-memorizing")
    assert opened.name == "mine" and torch.equal(opened(x, 0.5), plain(x, 0.5))
    checkpoints.save_model(tmp_path / "bare.safetensors", model)
    assert not torch.allclose(open_model(tmp_path / "bare.safetensors")(x, 0.5), plain(x, 0.5), atol=1e-2)
    given = open_model(tmp_path / "bare.safetensors", mean=images.mean, std=images.std)
    assert torch.allclose(given(x, 0.5), plain(x, 0.5), atol=1e-6)
    checkpoints.save_model(
        tmp_path / "lost.safetensors", model, facts={"recipe": facts["recipe"] | {"data_name": "nowhere"}}
    )
    with pytest.raises(ValueError, match=r"mean = None, std = None: .*'nowhere', which cannot be read"):
        open_model(tmp_path / "lost.safetensors")


def test_signals_have_a_model_too():
    images = recipe_data(recipes.named("heartbeats-pretrained"))
    found = examine_model(
        open_model("heartbeats-pretrained"), images.train_set.x, images.held_out_set.x, most=60, draws=1, log_snr=[1.0],
        generator=seeded(10),
    )  # fmt: skip
    assert found["dimension"] == 140 and found["gap_closed"]["value"] < 0.5


# -------------------------------------------------------------------------------------------------------- any function


def byte_sets(n: int = 40):
    return [torch.randint(256, (n, 1, 4, 4), generator=seeded(11, i), dtype=torch.uint8).numpy() for i in range(3)]


def shrink(x, sigma):
    """The posterior mean of N(0, 1/3)."""
    return x / (1 + 3 * sigma**2)


def test_bytes_and_floats_give_one_report_and_a_memory_map_will_do(tmp_path):
    train, held_out, generated = byte_sets()
    options = {"most": 30, "log_snr": (3.0, 0.0)}
    as_bytes = examine_model(shrink, train, held_out, generated, **options, generator=seeded(12))
    floats = [torch.from_numpy(x).float() / 127.5 - 1 for x in (train, held_out, generated)]
    as_floats = examine_model(shrink, *floats, **options, generator=seeded(12))
    np.save(tmp_path / "train.npy", train)
    mapped = examine_model(
        shrink, np.load(tmp_path / "train.npy", mmap_mode="r"), *floats[1:], **options, generator=seeded(12)
    )
    tensors = examine_model(
        shrink, *map(torch.from_numpy, (train, held_out, generated)), **options, generator=seeded(12)
    )
    for other in (as_floats, mapped, tensors):
        for one, two in zip(as_bytes["levels"], other["levels"]):
            for name in one["loss"]:
                assert one["loss"][name] == pytest.approx(two["loss"][name], rel=1e-4, abs=1e-7)
    assert as_bytes["name"] == "shrink"


def test_the_empirical_loss_is_that_of_all_training_images_however_few_are_denoised():
    train, held_out, _ = byte_sets(300)
    few = examine_model(shrink, train, held_out, most=50, log_snr=[0.8], draws=4, generator=seeded(13))
    wrong = examine_model(shrink, train[:50], held_out, log_snr=[0.8], draws=4, generator=seeded(13))
    assert few["levels"][0]["loss"]["empirical"]["value"] > 1.2 * wrong["levels"][0]["loss"]["empirical"]["value"]


def test_noise_is_the_same_for_all_sets_and_does_not_depend_on_the_batch():
    train, held_out, generated = byte_sets()
    seen = {}

    def look(x, sigma):
        seen.setdefault(len(seen), x.clone())
        return shrink(x, sigma)

    same = [train, train, train]
    one = examine_model(look, *same, log_snr=[0.0], draws=1, most=40, batch=40, generator=seeded(14))
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])  # equal images, equal noise
    assert one["levels"][0]["loss"]["train"] == one["levels"][0]["loss"]["held_out"]
    assert "40 of 40 held-out images are training images as well" in one["notes"][0]
    again = examine_model(shrink, *same, log_snr=[0.0], draws=1, most=40, batch=7, generator=seeded(14))
    assert again["levels"][0]["loss"]["train"]["value"] == pytest.approx(
        one["levels"][0]["loss"]["train"]["value"], rel=0.2
    )


def test_levels_that_the_model_does_not_have_are_left_out_and_said():
    train, held_out, _ = byte_sets()

    def partial(x, sigma):
        return shrink(x, sigma)

    partial.sigma_range = (0.1, 2.0)
    found = examine_model(partial, train, held_out, draws=1, generator=seeded(15))
    assert found["left_out"] == [7.5, 6.0, -1.5, -3.0] and "log-SNR 7.5, 6, -1.5, -3" in found["notes"][0]
    assert [row["log_snr"] for row in found["levels"]] == [4.5, 3.0, 1.5, 0.0]
    done = []
    examine_model(shrink, train, held_out, draws=1, generator=seeded(15), progress=lambda i, n: done.append((i, n)))
    assert done[-1] == (len(LOG_SNR), len(LOG_SNR))


def test_a_shift_between_the_sets_is_not_taken_for_knowledge():
    losses = np.random.default_rng(16).lognormal(0, 0.3, (3, 200, 2))
    found = summary([1.0, 0.0], {"train": 2 * losses[0], "held_out": losses[1], "empirical": 0.1 * losses[0]})
    assert found["gap_closed"]["high"] < 0 and "harder than held-out ones" in found["verdict"]["sentences"][0]
    wide = summary(
        [1.0], {"train": losses[0, :9, :1], "held_out": losses[1, :9, :1], "empirical": 0 * losses[0, :9, :1]}
    )
    assert wide["verdict"]["word"] == UNDECIDED and "99 held-out images are needed" in wide["membership"]["words"]


# ----------------------------------------------------------------------------------------------------------- bad input

SET = torch.zeros(4, 1, 2, 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"denoise": 3}, r"denoise = 3: a function \(x, sigma\)"),
        ({"train": [1, 2]}, "train is list: floating-point values"),
        ({"train": SET.long()}, "train is torch.int64: floating-point"),
        ({"train": SET[:1]}, r"train has shape \(1, 1, 2, 2\): .*n >= 2"),
        ({"held_out": torch.zeros(4, 1, 2, 3)}, r"held_out has shape \(4, 1, 2, 3\): shape \(n, 1, 2, 2\)"),
        ({"generated": torch.zeros(4, 4)}, r"generated has shape \(4, 4\): shape \(n, 1, 2, 2\)"),
        ({"held_out": torch.full((4, 1, 2, 2), 255.0)}, r"held_out has values up to 255: images in \[-1, 1\]"),
        ({"held_out": SET + torch.nan}, "held_out has NaN or infinite values"),
        ({"train": SET + torch.nan}, "train has NaN or infinite values"),
        ({"log_snr": [math.nan]}, "log_snr has NaN"),
        ({"log_snr": [math.inf]}, "log_snr = .*finite numbers"),
        ({"log_snr": []}, "log_snr is empty"),
        ({"draws": 0}, "draws = 0: a whole number >= 1"),
        ({"most": 1}, "most = 1: a whole number >= 2"),
        ({"batch": 1.5}, "batch = 1.5: a whole number"),
        ({"confidence": 1.0}, r"confidence = 1.0: a number in \(0, 1\)"),
        ({"small": 0}, r"small = 0: a number in \(0, 1\)"),
        ({"generator": 3}, "generator = 3: a torch.Generator"),
        ({"denoise": lambda x, s: x[:1]}, r"denoise\(x, .*\) is shape \(1, 1, 2, 2\).*shape \(4, 1, 2, 2\) is needed"),
        ({"denoise": lambda x, s: None}, r"denoise\(x, .*\) is None"),
        ({"denoise": lambda x, s: x / 0}, "has NaN or infinite values: finite"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(changes, said):
    options = {"denoise": shrink, "train": SET, "held_out": SET} | changes
    with pytest.raises(ValueError, match=said) as error:
        examine_model(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "options", "error", "said"),
    [
        (3, {}, ValueError, "source = 3: the path"),
        ("nothing-here", {}, FileNotFoundError, "source = 'nothing-here': no such file.*mnist-memorizing"),
        ("weights.bin", {}, ValueError, "source = .*bin files are pickled"),
        ("weights.ckpt", {}, ValueError, "source = .*ckpt files are pickled"),
        (Denoiser(MLP(2, 4, 2, copies=2)), {}, ValueError, "a stack of 2 networks"),
        ("mnist-memorizing", {"std": 0}, ValueError, "std = 0: a positive number"),
    ],
)
def test_a_source_that_is_none_is_refused(source, options, error, said):
    with pytest.raises(error, match=said) as found:
        open_model(source, **options)
    assert "\n" not in str(found.value)


def test_an_opened_model_checks_what_it_is_asked():
    opened = open_model(Denoiser(MLP(2, 4, 2), VE(9.0)))
    x = torch.zeros(3, 2)
    for bad, said in [
        ((torch.zeros(3, 4), 1.0), r"x has shape \(3, 4\)"),
        ((x, 10.0), "sigma = 10: from 0 to 9, what the schedule of model has"),
        ((x, 0.0), "sigma = 0: from 0 to 9"),
        ((x, torch.ones(2)), r"sigma has shape \(2,\): a number or shape \(3,\)"),
        ((x, math.nan), "sigma has NaN"),
    ]:
        with pytest.raises(ValueError, match=said):
            opened(*bad)
    assert "sigma from 0 to 9" in repr(opened)


# ---------------------------------------------------------------------------------------------- pipelines of diffusers


@pytest.fixture
def pipeline(tmp_path):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

    def make(kind: str = "epsilon", folder: str = "pipeline", scheduler=None, **options):
        torch.manual_seed(0)
        shape = {
            "sample_size": 8,
            "in_channels": 1,
            "out_channels": 1,
            "block_out_channels": (8, 8),
            "norm_num_groups": 4,
        }
        blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2, "layers_per_block": 1}
        unet = diffusers.UNet2DModel(**shape | blocks | options)
        scheduler = scheduler or diffusers.DDPMScheduler(prediction_type=kind)
        diffusers.DDPMPipeline(unet, scheduler).save_pretrained(tmp_path / folder)
        return tmp_path / folder, unet.eval(), scheduler

    return make


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_a_pipeline_is_asked_at_its_timesteps(pipeline, kind):
    folder, unet, scheduler = pipeline(kind)
    opened, x = open_model(folder), torch.randn(3, 1, 8, 8, generator=seeded(20))
    steps = torch.tensor([10, 300, 700])
    a = scheduler.alphas_cumprod[steps].double()
    sigma = ((1 - a) / a).sqrt()
    x_t = a.sqrt().float().reshape(-1, 1, 1, 1) * x
    with torch.no_grad():
        said = unet(x_t, steps).sample
    if kind == "sample":
        wanted = said
    else:
        factor, root = a.sqrt().float().reshape(-1, 1, 1, 1), (1 - a).sqrt().float().reshape(-1, 1, 1, 1)
        wanted = (x_t - root * said) / factor if kind == "epsilon" else factor * x_t - root * said
    assert torch.allclose(opened(x, sigma), wanted, atol=1e-4, rtol=1e-4)
    assert opened.name == "pipeline" and opened.event_shape == (1, 8, 8)
    low, high = opened.sigma_range
    assert low == pytest.approx(math.sqrt(1e-4 / (1 - 1e-4)), rel=1e-3) and 150 < high < 160
    with pytest.raises(ValueError, match=r"sigma = 0.001: from 0.01 to 15"):
        opened(x, 0.001)


def test_between_two_timesteps_the_noise_is_exact_and_the_time_a_fraction(pipeline):
    folder, unet, scheduler = pipeline()
    levels = (scheduler.alphas_cumprod / (1 - scheduler.alphas_cumprod)).double().log()
    middle = float(levels[400] + levels[401]) / 2
    sigma, x = math.exp(-middle / 2), torch.randn(2, 1, 8, 8, generator=seeded(21))
    with torch.no_grad():
        said = unet(x / math.sqrt(1 + sigma**2), torch.full((2,), 400.5)).sample
    assert torch.allclose(open_model(folder)(x, sigma), x - sigma * said, atol=1e-4)


def test_a_pipeline_is_examined_and_levels_outside_are_left_out(pipeline):
    import diffusers

    folder, *_ = pipeline(scheduler=diffusers.DDIMScheduler(beta_start=0.001, beta_end=0.01, num_train_timesteps=100))
    train, held_out = (torch.rand(12, 1, 8, 8, generator=seeded(22, i)) * 2 - 1 for i in range(2))
    found = examine_model(open_model(folder), train, held_out, draws=1, generator=seeded(23))
    assert found["left_out"] == [7.5, 0.0, -1.5, -3.0] and found["name"] == "pipeline"


def test_learned_variances_are_passed_over_and_a_schedule_may_end_at_no_signal(pipeline):
    import diffusers

    scheduler = diffusers.DDPMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    folder, *_ = pipeline(out_channels=2, scheduler=scheduler)
    opened = open_model(folder)
    assert math.isfinite(opened.sigma_range[1])
    assert opened(torch.zeros(2, 1, 8, 8), 1.0).shape == (2, 1, 8, 8)


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_is_no_pixel_pipeline_is_refused_with_words(pipeline, monkeypatch):
    folder, *_ = pipeline()
    index, unet, noise = (
        folder / "model_index.json",
        folder / "unet" / "config.json",
        folder / "scheduler" / "scheduler_config.json",
    )
    kept = {path: path.read_text() for path in (index, unet, noise)}
    for path, changes, said in [
        (index, {"vae": ["diffusers", "AutoencoderKL"]}, r"works on latents, not on pixels \(vae\)"),
        (index, {"text_encoder": ["transformers", "CLIPTextModel"]}, r"has conditions \(text_encoder\)"),
        (unet, {"_class_name": "UNet2DConditionModel"}, "unet is UNet2DConditionModel; an unconditional UNet2DModel"),
        (unet, {"num_class_embeds": 10}, "unet is a network with classes"),
        (unet, {"sample_size": None}, "sample_size = None; a size in pixels"),
        (unet, {"out_channels": 3}, "out_channels = 3|cannot load it"),
        (unet, {"block_out_channels": [4, 4]}, "cannot load it"),
        (noise, {"prediction_type": "flow"}, "prediction_type = 'flow'; one of epsilon"),
        (noise, {"_class_name": "Nothing"}, "scheduler is 'Nothing'"),
        (noise, {"_class_name": "FlowMatchEulerDiscreteScheduler"}, "no alphas_cumprod|prediction_type"),
    ]:
        edit(path, **changes)
        with pytest.raises(ValueError, match=said) as error:
            open_model(folder)
        assert "\n" not in str(error.value)
        path.write_text(kept[path])
    with pytest.raises(ValueError, match=r"mean = 0.5, std = None: a pipeline has images"):
        open_model(folder, mean=0.5)
    index.write_text("[1")
    with pytest.raises(ValueError, match=r"model_index.json cannot be read"):
        open_model(folder)
    index.write_text(kept[index])
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ValueError, match="the package diffusers is not installed; pip install diffusers"):
        open_model(folder)


def test_pickled_weights_in_a_folder_are_never_opened(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text('{"_class_name": "DDPMPipeline"}')
    (tmp_path / "unet" / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(ValueError, match="unet has no weights; safetensors"):
        open_model(tmp_path)
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(ValueError, match=r"has diffusion_pytorch_model.bin, which is pickled, and unpickling runs"):
        open_model(tmp_path)
