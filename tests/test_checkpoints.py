"""Exact resume after SIGKILL, whole files, refusals, two processes against one, clear stops, models in files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from separations.networks import MLP, Denoiser, DiT, DiTConfig
from separations.schedules import VPCosine, VPLinear
from separations.timesteps import LogNormal
from separations.training import checkpoints, random_flip, recipe_data, recipes, train
from separations.training.sealed_file import read_sealed, write_sealed

CONFIG = DiTConfig(image=(1, 4, 4), patch=2, width=16, depth=2, heads=2)


def model(seed=0):
    return Denoiser(DiT(CONFIG, generator=torch.Generator().manual_seed(seed)), VPLinear(), prediction="v")


def images(n=10):
    return torch.randn(n, *CONFIG.image, generator=torch.Generator().manual_seed(1))


def run(net, steps=24, **options):
    settings = {
        "steps": steps, "batch": 8, "times": LogNormal(1.0, 1.0, VPLinear()), "weight": "v", "optimiser": "adamw", "lr": 1e-2,
        "decay": "cosine", "warmup": 3, "ema": 0.9, "clip": 1.0, "every": 5, "generator": torch.Generator().manual_seed(2),
    }  # fmt: skip
    return train(net, images(), **(settings | options))


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.parametrize("stop", [1, 5, 7, 20, 23])
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_stopped_and_resumed_is_bit_for_bit_the_same(tmp_path, stop, optimiser):
    whole, marks = model(), sorted({stop, 5, 10, 15, 20})
    *_, last = run(whole, optimiser=optimiser, augment=random_flip, every=marks)
    first, path = model(), tmp_path / "run.safetensors"
    options = {"optimiser": optimiser, "augment": random_flip, "every": marks, "checkpoint": path, "save_every": 4}
    for record in run(first, **options):
        if record.step == stop:
            break  # whatever happened since the last checkpoint is lost, as after SIGKILL
    second = model(seed=9)  # another start: all must come from the file
    *_, record = run(second, **options)
    assert torch.equal(weights(second), weights(whole)) and torch.equal(weights(record.ema), weights(last.ema))
    assert torch.equal(record.loss, last.loss)  # the mean since the last record goes on too


KILLED = """
import sys, torch
sys.path.insert(0, {tests!r})
from test_checkpoints import model, run, weights
net = model()
for record in run(net, steps=400, every=1, checkpoint={path!r}, save_every=1):
    print(record.step, flush=True)
"""


def test_sigkill_at_any_moment_loses_nothing(tmp_path):
    """A process is killed again and again, writing a checkpoint every step; the end is that of a run without a stop."""
    path = tmp_path / "run.safetensors"
    code = KILLED.format(tests=str(Path(__file__).parent), path=str(path))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for wait in (0.11, 0.253):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout.readline().strip().isdigit()  # it has begun
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed, whole = model(), model()
        reached = read_sealed(path)[1]["facts"]["step"]
        for _ in run(resumed, steps=400, checkpoint=path, save_every=400):
            pass
        for _ in run(whole, steps=400):
            pass
    finally:
        torch.set_num_threads(threads)
    assert 0 < reached < 400 and torch.equal(weights(resumed), weights(whole))


def test_a_finished_run_is_not_run_again_and_gives_its_last_record(tmp_path):
    path, whole = tmp_path / "run.safetensors", model()
    *_, last = run(whole, checkpoint=path)
    again = model()
    before, (record,) = path.read_bytes(), run(again, checkpoint=path)
    assert record.step == 24 and torch.equal(weights(again), weights(whole)) and path.read_bytes() == before
    assert (record.loss, record.grad_norm, record.lr) == (last.loss, last.grad_norm, last.lr)
    assert torch.equal(weights(record.ema), weights(last.ema))


def test_a_run_that_is_to_end_where_it_was_killed_gives_a_record(tmp_path):
    path, whole = tmp_path / "run.safetensors", model()
    *_, last = run(whole, steps=10, decay="constant", every=7)
    for record in run(model(), steps=24, decay="constant", every=7, save_every=5, checkpoint=path):
        if record.step == 14:  # the file holds step 10, which had no record
            break
    again = model()
    (record,) = run(again, steps=10, decay="constant", every=7, save_every=5, checkpoint=path)
    assert record.step == 10 and torch.equal(weights(again), weights(whole))
    assert (record.loss, record.grad_norm, record.lr) == (last.loss, last.grad_norm, last.lr)


def test_longer_is_allowed_at_a_constant_rate_only(tmp_path):
    path = tmp_path / "run.safetensors"
    for _ in run(model(), steps=12, decay="constant", checkpoint=path):
        pass
    longer, whole = model(), model()
    for _ in run(longer, decay="constant", checkpoint=path):
        pass
    for _ in run(whole, decay="constant"):
        pass
    assert torch.equal(weights(longer), weights(whole))
    with pytest.raises(ValueError, match="steps = 24"):
        other = tmp_path / "cosine.safetensors"
        list(run(model(), steps=12, checkpoint=other))
        run(model(), checkpoint=other)


def test_another_run_is_refused_and_nothing_is_lost(tmp_path):
    path = tmp_path / "run.safetensors"
    list(run(model(), checkpoint=path))
    before = path.read_bytes()
    for change, word in (
        ({"lr": 2e-2}, "lr = 0.02"),
        ({"clip": None}, "clip = None"),
        ({"times": LogNormal(0.0, 1.0, VPLinear())}, "times"),
    ):
        net = model(seed=4)
        start = weights(net)
        with pytest.raises(ValueError, match=word):
            run(net, checkpoint=path, **change)
        assert torch.equal(weights(net), start)
    wide = Denoiser(DiT(DiTConfig(image=(1, 4, 4), patch=2, width=32, depth=2, heads=2)), VPLinear(), prediction="v")
    with pytest.raises(ValueError, match="another model"):
        run(wide, checkpoint=path)
    with pytest.raises(ValueError, match="generator = None"):
        run(model(), checkpoint=path, generator=None)
    path.write_bytes(before[: len(before) // 2])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        run(model(), checkpoint=path)


def test_a_loss_that_is_not_finite_names_the_checkpoint_that_is_left(tmp_path):
    path, calls = tmp_path / "run.safetensors", []

    def poison(t):
        calls.append(1)
        return t * float("nan") if len(calls) == 11 else t

    with pytest.raises(FloatingPointError, match=r"step 11: .*checkpoint of step 8 in .*run\.safetensors"):
        list(run(model(), checkpoint=path, save_every=4, weight=poison))
    assert read_sealed(path)[1]["facts"]["step"] == 8


@pytest.mark.parametrize(
    "error", [MemoryError("no"), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_too_little_memory_is_said_plainly(tmp_path, error):
    def fail(x, generator):
        raise error

    path = tmp_path / "run.safetensors"
    with pytest.raises(MemoryError, match=r"batch = 8 samples of shape \(1, 4, 4\).*checkpoint of step 0"):
        list(run(model(), checkpoint=path, augment=fail))
    list(run(model(), checkpoint=tmp_path / "other.safetensors"))
    with pytest.raises(RuntimeError, match="something else"):

        def other(x, generator):
            raise RuntimeError("something else")

        list(run(model(), augment=other))


def test_clipping_bounds_the_step_of_each_copy():
    nets = [Denoiser(MLP(3, 8, 2, copies=2, generator=torch.Generator().manual_seed(0))) for _ in range(3)]
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    x = [x, 10 * x]  # the second copy has much larger gradients
    starts = [[p.detach().clone() for p in net.parameters()] for net in nets]
    norms = []
    for net, clip in zip(nets, (None, 0.1, 1e6)):
        g = [torch.Generator().manual_seed(i) for i in range(2)]
        for record in train(net, x, steps=1, optimiser="sgd", lr=1.0, clip=clip, generator=g):
            norms.append(record.grad_norm)
    moved = [
        torch.stack(
            [
                torch.stack([(p - q)[i].square().sum() for p, q in zip(net.parameters(), start)]).sum().sqrt()
                for i in range(2)
            ]
        )
        for net, start in zip(nets, starts)
    ]
    torch.testing.assert_close(moved[0], norms[0])
    torch.testing.assert_close(moved[1], norms[0].clamp(max=0.1))
    torch.testing.assert_close(moved[2], moved[0])


def test_flips_are_mirror_images_half_of_the_time():
    x = torch.arange(12.0).reshape(1, 1, 3, 4).expand(400, 1, 3, 4)
    y = random_flip(x, torch.Generator().manual_seed(0))
    same = (y == x).flatten(1).all(1)
    assert torch.equal(y[~same], x[~same].flip(-1)) and abs(float(same.float().mean()) - 0.5) < 0.13  # 5 sigma


JOINT = """
import sys, torch
sys.path.insert(0, {tests!r})
from accelerate import Accelerator
from test_checkpoints import model, run, weights
from separations.training import random_flip
accelerator, net = Accelerator(cpu=True), model()
for record in run(net, accelerator=accelerator, augment=random_flip, optimiser="sgd", checkpoint={path!r}, save_every=6):
    pass
assert accelerator.num_processes == {processes}
if accelerator.is_main_process:
    torch.save({{"weights": weights(net), "ema": weights(record.ema), "loss": record.loss}}, {out!r})
accelerator.end_training()
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_two_processes_are_one_with_the_joint_batch(tmp_path, processes):
    pytest.importorskip("accelerate")
    out, path = tmp_path / "weights.pt", tmp_path / "run.safetensors"
    script = tmp_path / "joint.py"
    script.write_text(JOINT.format(tests=str(Path(__file__).parent), path=str(path), out=str(out), processes=processes))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        str(processes),
        "--standalone",
        str(script),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ACCELERATE_", "RANK", "WORLD_SIZE"))}
    done = subprocess.run(
        command if processes > 1 else [sys.executable, str(script)],
        env=environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    alone = model()
    *_, record = run(alone, augment=random_flip, optimiser="sgd")
    found = torch.load(out, weights_only=True)
    # float32, 24 steps of SGD, two halves of a batch summed in another order (Adam blows up the rounding of gradients near 0)
    torch.testing.assert_close(found["weights"], weights(alone), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found["ema"], weights(record.ema), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found["loss"], record.loss, rtol=1e-4, atol=1e-4)
    assert read_sealed(path)[1]["facts"]["step"] == 24


class _Fake:
    num_processes, process_index, is_main_process = 3, 0, True

    def __init__(self, precision="no"):
        self.mixed_precision = precision


def test_bad_arguments_of_train():
    for options, word in (
        ({"clip": 0.0}, "clip = 0"), ({"clip": float("nan")}, "clip = nan"), ({"augment": "flip"}, "augment = 'flip'"),
        ({"save_every": 0}, "save_every = 0"), ({"accelerator": _Fake()}, "batch = 8"), ({"accelerator": _Fake("fp16")}, "fp16"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=word):
            run(model(), **options)


@pytest.mark.parametrize("dtype,error", [(None, 0.0), (torch.float16, 2e-3)])
def test_a_model_comes_back_from_its_file(tmp_path, dtype, error):
    net = model()
    for _ in run(net):
        pass
    path = tmp_path / "model.safetensors"
    digest = checkpoints.save_model(path, net, dtype=dtype, facts={"recipe": {"n": 10}, "note": "text"})
    back, facts = checkpoints.load_model(path)
    assert facts == {"recipe": {"n": 10}, "note": "text"} and len(digest) == 64
    x = images()
    want = net.denoise(x, 0.4)
    assert (back.denoise(x, 0.4) - want).abs().max() <= error * want.abs().max()
    assert back.schedule == net.schedule and back.prediction == "v" and not any(p.is_cuda for p in back.parameters())


def test_a_pruned_model_with_a_mean_comes_back(tmp_path):
    net = Denoiser(model().network.with_heads([[1], []]), VPCosine(), prediction="x0", data_std=0.5, mean=0.25)
    checkpoints.save_model(tmp_path / "m.safetensors", net)
    back, _ = checkpoints.load_model(tmp_path / "m.safetensors")
    assert back.network.config.heads == (1, 0) and back.data_std == 0.5 and float(back.mean) == 0.25
    torch.testing.assert_close(back.denoise(images(), 0.3), net.denoise(images(), 0.3))


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        checkpoints.load_model(tmp_path / "missing.safetensors")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "pickle.safetensors")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        checkpoints.load_model(tmp_path / "pickle.safetensors")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="format"):
        checkpoints.load_model(tmp_path / "other.safetensors")
    about = {"model": {"schedule": {"name": "OS"}}, "facts": {}}
    write_sealed(tmp_path / "wrong.safetensors", "model", {"mean": torch.zeros(())}, about)
    with pytest.raises(ValueError, match="no model of this library"):
        checkpoints.load_model(tmp_path / "wrong.safetensors")
    with pytest.raises(ValueError, match="Denoiser of a DiT"):
        checkpoints.save_model(tmp_path / "mlp.safetensors", Denoiser(MLP(2, 4, 2)))
    broken = model()
    with torch.no_grad():
        broken.network.pos_embed.fill_(0), broken.network.blocks[0].mlp.fc1.weight.fill_(1e6)
    with pytest.raises(ValueError, match="not finite"):
        checkpoints.save_model(tmp_path / "big.safetensors", broken, dtype=torch.float16)
    assert not (tmp_path / "big.safetensors").exists()


def test_names_of_shipped_models_and_recipes():
    with pytest.raises(ValueError, match="name = 'imagenet'"):
        checkpoints.shipped("imagenet")
    with pytest.raises(ValueError, match="name = 'imagenet'"):
        recipes.named("imagenet")


TINY = {"n": 6, "width": 16, "depth": 2, "heads": 2, "patch": 14, "steps": 8, "batch": 4, "warmup": 2}


def test_a_recipe_is_trained_once_and_kept(tmp_path):
    recipe = recipes.named("mnist-memorizing", **TINY)
    seen = []
    made, facts = recipes.trained(recipe, folder=tmp_path, progress=lambda record: seen.append(record.step))
    assert seen == [8] and [p.suffixes for p in tmp_path.iterdir()] == [[".safetensors"]] and facts["recipe"]["n"] == 6
    again, _ = recipes.trained(recipe, folder=tmp_path, progress=lambda record: seen.append(record.step))
    assert seen == [8] and torch.equal(weights(made), weights(again))
    other, _ = recipes.trained(recipes.named("mnist-memorizing", **TINY, seed=1), folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 and not torch.equal(weights(made), weights(other))


def test_the_images_of_a_recipe():
    small, other, large = (
        recipe_data(recipes.named("mnist-memorizing", n=n, seed=s)) for n, s in ((20, 0), (20, 1), (4000, 0))
    )
    assert torch.equal(small.held_out_set.index, large.held_out_set.index) and len(small.held_out) == 1000
    assert not torch.equal(small.train_set.index, other.train_set.index)
    assert not set(large.train_set.index.tolist()) & set(large.held_out_set.index.tolist())
    assert abs(float(small.train.mean())) < 1e-5 and abs(float(small.train.std()) - 1) < 1e-5
    torch.testing.assert_close(small.to_images(small.train), small.train_set.x, atol=1e-5, rtol=0)
    assert small.train_set.labels.bincount().tolist() == [2] * 10
    with pytest.raises(ValueError, match="n = 4001"):
        recipe_data(recipes.named("mnist-memorizing", n=4001))
