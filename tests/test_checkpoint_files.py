"""Checkpoints against what happens to files and runs: another run of the same name, a flipped bit, a full disk, other files."""

import errno
import functools
import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from separations import files, shipped_models
from separations.networks import MLP, Denoiser, DiT, DiTConfig
from separations.numerics.seeds import MAX_SEED
from separations.schedules import OU, Schedule, VPLinear
from separations.timesteps import LogNormal, Uniform
from separations.training import checkpoints, log_snr_uniform, recipe_data, recipes, train, untrained
from separations.training.checkpoints import load_model, save_model
from separations.training.recipe import stream
from separations.training.sealed_file import FORMAT, KEY

DATA = torch.randn(32, 2, generator=torch.Generator().manual_seed(1))


def gen(seed):
    return torch.Generator().manual_seed(seed)


def small(schedule=None, width=8, **options):
    return Denoiser(MLP(2, width, 2, generator=gen(0)), schedule or OU(), **options)


def fit(path, steps=6, net=None, data=DATA, **options):
    settings = {"batch": 4, "every": 2, "save_every": 2, "generator": gen(3), "checkpoint": path} | options
    return list(train(small() if net is None else net, data, steps=steps, **settings))


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def factor(c):
    return lambda t: c * t


class Narrow(Denoiser):
    def eps(self, x, t, **options):
        return 0.5 * super().eps(x, t, **options)


class Scaled(torch.nn.Module):
    """A network with a constant that no optimiser moves. kept: how it is held."""

    event_shape, copies = (2,), None

    def __init__(self, c, kept):
        super().__init__()
        self.inner, c = MLP(2, 8, 2, generator=gen(0)), torch.full((3,), c)
        if kept in ("saved", "not saved"):
            self.register_buffer("c", c, persistent=kept == "saved")
        else:
            self.c = torch.nn.Parameter(c, requires_grad=False) if kept == "frozen" else c

    def forward(self, x, log_snr):
        return self.inner(x * self.c.mean(), log_snr)


class Moving(Scaled):
    """A network whose buffer moves while it is used, as running means do."""

    def forward(self, x, log_snr):
        self.c += 0.1
        return super().forward(x, log_snr)


class Late:
    def __init__(self, low):
        self.low = low

    def sample(self, m, generator):
        return self.low + 0.4 * torch.rand(m, generator=generator, dtype=torch.float64)


# --- another run is refused, whatever it is called ---

OTHER = {
    "data": ({}, {"data": DATA + 1}),
    "data's order": ({}, {"data": DATA.flip(0)}, "data"),
    "data a copy": ({"net": "stack", "data": [DATA, DATA[:8]]}, {"net": "stack", "data": [DATA[:8], DATA]}, "data"),
    "times, a bound method": ({"times": log_snr_uniform(1e-3, 5.0)}, {"times": log_snr_uniform(0.5, 1.0)}, "times"),
    "times, an object": ({"times": Late(0.1)}, {"times": Late(0.2)}, "times"),
    "times, a distribution": ({"times": LogNormal(1.0)}, {"times": LogNormal(2.0)}, "times"),
    "weight": ({"weight": factor(1.0)}, {"weight": factor(9.0)}),
    "schedule": ({}, {"net": small(VPLinear())}),
    "schedule's numbers": ({"net": small(VPLinear())}, {"net": small(VPLinear(beta_max=10.0))}, "schedule"),
    "data_std": ({}, {"net": small(data_std=3.0)}),
    "mean": ({}, {"net": small(mean=0.5)}),
    "prediction": ({}, {"net": small(prediction="x0")}),
    "the class": ({}, {"net": Narrow(MLP(2, 8, 2), OU())}, "another model"),
    "activation": ({}, {"net": Denoiser(MLP(2, 8, 2, activation=torch.tanh), OU())}, "another model"),
    "dtype": ({}, {"net": small().double()}, "another model"),
    "what is trained": ({}, {"net": "frozen"}, "another model"),
    "generator": ({}, {"generator": gen(4)}),
    "generator's place": ({}, {"generator": "used"}, "generator"),
    "optimiser": (
        {"optimiser": functools.partial(torch.optim.SGD, momentum=0.9)},
        {"optimiser": functools.partial(torch.optim.SGD, momentum=0.8)},
    ),
    "decay": ({"decay": lambda u: 1 - u}, {"decay": lambda u: 1 - u / 2}),
    "augment": ({"augment": lambda x, g: x}, {"augment": lambda x, g: -x}),
    "ema": ({"ema": 0.5}, {"ema": 0.6}),
}  # fmt: skip


def made(options):
    """A model and generator of its own for each run."""
    options = dict(options)
    if options.get("net") == "stack":
        options["net"] = Denoiser(MLP(2, 8, 2, copies=2, generator=[gen(0), gen(1)]))
    if options.get("net") == "frozen":
        options["net"] = small()
        options["net"].network.weights[0].requires_grad_(False)
    if options.get("generator") == "used":
        options["generator"] = gen(3)
        torch.rand(5, generator=options["generator"])
    return options


@pytest.mark.parametrize("case", OTHER.values(), ids=OTHER.keys())
def test_another_content_is_another_run_and_nothing_is_touched(tmp_path, case, request):
    first, second, *word = case
    path, word = tmp_path / "run.safetensors", word[0] if word else request.node.callspec.id
    fit(path, **made(first))
    before, options = path.read_bytes(), made(second)
    net = options.setdefault("net", small())
    start = weights(net)
    with pytest.raises(ValueError, match=f"belongs to another.*{word}|{word}"):
        fit(path, 12, **options)
    assert path.read_bytes() == before and torch.equal(weights(net), start)


SCRIPT = """
import functools, sys, torch
sys.path.insert(0, sys.argv[2])
from separations.networks import MLP, Denoiser
from separations.training import train
KINDS = {"a", "b", "c"}
def low(m, generator, *, top): return 1e-3 + top * torch.rand(m, generator=generator, dtype=torch.float64) * len(KINDS)
class Weight:
    def __call__(self, t): return t * self.factor()
    def factor(self): return 2.0
g = torch.Generator().manual_seed(0)
net = Denoiser(MLP(2, 8, 2, generator=g))
for r in train(net, torch.randn(16, 2, generator=g), steps=8, generator=g, times=functools.partial(low, top=0.5), weight=Weight(),
               augment=lambda x, g: x if "a" in {"a", "b"} else -x, save_every=2, every=2, checkpoint=sys.argv[1]):
    print(r.step, float(r.loss))
    if r.step == 4 and len(sys.argv) > 3: break
"""


@pytest.mark.parametrize("kept", ["saved", "not saved", "frozen", "an attribute"])
def test_constants_of_a_network_belong_to_the_run(tmp_path, kept):
    path = tmp_path / "run.safetensors"
    fit(path, net=Denoiser(Scaled(1.0, kept)))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="another model"):
        fit(path, 12, net=Denoiser(Scaled(2.0, kept)))
    assert path.read_bytes() == before
    assert [r.step for r in fit(path, 12, net=Denoiser(Scaled(1.0, kept)))] == [8, 10, 12]


def test_buffers_that_move_in_training_are_the_same_run(tmp_path):
    path, net = tmp_path / "run.safetensors", Denoiser(Moving(1.0, "saved"))
    fit(path, net=net)
    assert [r.step for r in fit(path, 8, net=net)] == [8]  # the same object goes on
    assert [r.step for r in fit(path, 10, net=Denoiser(Moving(1.0, "saved")))] == [10]  # as a new process would


def test_the_same_script_in_a_new_process_is_the_same_run(tmp_path):
    library = os.path.dirname(os.path.dirname(checkpoints.__file__))
    found = []
    for seed, *stop in ((1, "stop"), (2,)):
        arguments = [sys.executable, "-c", SCRIPT, str(tmp_path / "run.safetensors"), library, *stop]
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        found += [int(line.split()[0]) for line in done.stdout.splitlines()]
    assert found == [2, 4, 6, 8]


def test_a_generator_that_this_process_used_for_the_run_may_go_on(tmp_path):
    path, g, net = tmp_path / "run.safetensors", gen(3), small()
    for record in train(net, DATA, steps=6, batch=4, every=2, save_every=2, generator=g, checkpoint=path):
        if record.step == 4:
            break
    resumed = small()
    assert [r.step for r in fit(path, net=resumed, generator=g)] == [6]
    whole = small()
    fit(tmp_path / "other.safetensors", net=whole)
    assert torch.equal(weights(resumed), weights(whole))
    path.unlink()  # a new run, from where the generator stands now
    fit(path, generator=g)
    with pytest.raises(ValueError, match="generator"):
        fit(path, 12, generator=gen(3))


def test_what_cannot_be_compared_is_said_at_the_first_call(tmp_path):
    stream = (i for i in range(3))
    with pytest.raises(ValueError, match=r"'stream' that augment closes over is a builtins\.generator"):
        fit(tmp_path / "run.safetensors", augment=lambda x, g: (stream, x)[1])
    assert not list(tmp_path.iterdir())
    fit(None, augment=lambda x, g: (stream, x)[1])  # without a checkpoint nothing is compared


# --- equal contents are equal files ---


def test_a_file_depends_on_its_content_only(tmp_path):
    net = Denoiser(DiT(DiTConfig(image=(1, 4, 4), patch=2, width=16, depth=1, heads=2), generator=gen(0)), VPLinear())
    facts = [{"b": np.int64(1), "a": [0.5, None], "c": {"é": True}}, {"c": {"é": True}, "a": [0.5, None], "b": 1}]
    digests = {save_model(tmp_path / f"{i}.safetensors", net, facts=facts[i % 2]) for i in range(8)}
    assert len(digests) == 1
    code = (
        f"import sys; sys.path.insert(0, {os.path.dirname(os.path.dirname(checkpoints.__file__))!r})\n"
        "from separations.training.checkpoints import load_model, save_model\n"
        f"net, facts = load_model({str(tmp_path / '0.safetensors')!r})\n"
        f"print(save_model({str(tmp_path / 'again.safetensors')!r}, net, facts=facts))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert {done.stdout.strip()} == digests, done.stderr
    with safe_open(str(tmp_path / "0.safetensors"), framework="pt") as file:
        assert list(file.metadata()) == [KEY]


@pytest.mark.parametrize("facts", [{"x": float("nan")}, {"x": object()}, {"x": {1, 2}}, {1: 2, "a": 3}], ids=str)
def test_facts_that_are_no_json_are_refused_and_nothing_is_written(tmp_path, facts):
    net = untrained(recipes.named("mnist-memorizing", depth=1, width=12, heads=1), (1, 28, 28))
    with pytest.raises(ValueError, match="facts cannot be written as JSON"):
        save_model(tmp_path / "m.safetensors", net, facts=facts)
    assert not list(tmp_path.iterdir())


# --- damage ---


def flipped(path, place, bit=0):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def test_one_flipped_bit_anywhere_is_refused(tmp_path):
    net = Denoiser(DiT(DiTConfig(image=(1, 2, 2), patch=1, width=4, depth=1, heads=1), generator=gen(0)), VPLinear())
    path, run = tmp_path / "m.safetensors", tmp_path / "run.safetensors"
    save_model(path, net), fit(run, ema=0.9)
    whole, whole_run = path.read_bytes(), run.read_bytes()
    for share in (*np.linspace(0, 0.999, 40), 0.99999):
        path.write_bytes(whole), flipped(path, int(share * len(whole)), int(share * 7919) % 8)
        with pytest.raises(ValueError, match=r"m\.safetensors"):
            load_model(path)
        run.write_bytes(whole_run), flipped(run, int(share * len(whole_run)), int(share * 7919) % 8)
        fresh = small()
        with pytest.raises(ValueError, match=r"run\.safetensors"):
            fit(run, ema=0.9, net=fresh)
        assert torch.equal(weights(fresh), weights(small()))
    run.write_bytes(whole_run)
    assert len(fit(run, ema=0.9)) == 1


def test_a_shipped_model_that_was_changed_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "separations"
    (package / "assets").mkdir(parents=True)
    name, source = "heartbeats-pretrained", checkpoints.shipped("heartbeats-pretrained")
    record = source.with_name(checkpoints.RECORD).read_bytes()
    (package / "assets" / checkpoints.RECORD).write_bytes(record)
    path = package / "assets" / source.name
    monkeypatch.setattr(checkpoints, "SHIPPED", package / "assets")
    path.write_bytes(source.read_bytes())
    assert checkpoints.shipped(name) == path
    flipped(path, len(path.read_bytes()) - 5)
    for load in (
        lambda: recipes.trained(recipes.named(name)),
        lambda: checkpoints.shipped(name),
        lambda: load_model(path),
    ):
        with pytest.raises(ValueError, match="damaged"):
            load()
    other = Denoiser(DiT(DiTConfig(image=(1, 4, 4), patch=2, width=16, depth=1, heads=2)), VPLinear())
    save_model(path, other)  # a whole file, but not the shipped one
    with pytest.raises(ValueError, match="SHA-256 is not the recorded one"):
        checkpoints.shipped(name)


def old_format(path):
    save_file({"mean": torch.zeros(())}, path, {"format": "separations 1", "model": "{}", "facts": "{}"})


def header_of(text):
    return lambda path: path.write_bytes(len(text).to_bytes(8, "little") + text)


STRANGE = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no checkpoint\n"),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "a huge header": lambda path: path.write_bytes(b"\xff" * 64),
    "a header that is a list": header_of(b"[1, 2]"),
    "a header with odd words": header_of(b'{"a": {"dtype": "Q8", "shape": [1], "data_offsets": [0, 1]}}'),
    "a header without tensors": header_of(b"{}"),
    "a pickle": lambda path: torch.save({"a": torch.zeros(2)}, path),
    "another's": lambda path: save_file({"a": torch.zeros(2)}, path, {"format": "pt"}),
    "our key, no JSON": lambda path: save_file({"a": torch.zeros(2)}, path, {KEY: "{"}),
    "our key, a list": lambda path: save_file({"a": torch.zeros(2)}, path, {KEY: "[1]"}),
    "our key, no digest": lambda path: save_file(
        {"a": torch.zeros(2)}, path, {KEY: json.dumps({"format": FORMAT, "kind": "model"})}
    ),
    "an older one": old_format,
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE.keys())
def test_files_that_are_no_checkpoint_are_named(tmp_path, make):
    path = tmp_path / "strange.safetensors"
    make(path)
    with pytest.raises(ValueError, match=r"strange\.safetensors"):
        load_model(path)
    with pytest.raises(ValueError, match=r"strange\.safetensors"):
        fit(path)


def test_a_model_is_no_training_and_a_training_no_model(tmp_path):
    net = Denoiser(DiT(DiTConfig(image=(1, 4, 4), patch=2, width=16, depth=1, heads=2)), VPLinear())
    save_model(tmp_path / "model", net), fit(tmp_path / "run")
    with pytest.raises(ValueError, match="holds the state of a training run: a trained model is needed"):
        load_model(tmp_path / "run")
    with pytest.raises(ValueError, match="holds a trained model: the state of a training run is needed"):
        fit(tmp_path / "model")


def test_models_that_a_file_would_not_give_back_are_refused(tmp_path):
    class Mine(OU, Schedule):
        pass

    net = DiT(DiTConfig(image=(1, 4, 4), patch=2, width=16, depth=1, heads=2))
    for dtype in (torch.int8, torch.bool, torch.complex64, "float16", torch.float8_e4m3fn):
        with pytest.raises(ValueError, match=r"dtype = .*: one of float16, bfloat16"):
            save_model(tmp_path / "m", Denoiser(net, VPLinear()), dtype=dtype)
    with pytest.raises(ValueError, match="schedule = "):
        save_model(tmp_path / "m", Denoiser(net, Mine()))
    assert not list(tmp_path.iterdir())
    save_model(tmp_path / "m", Denoiser(net, VPLinear(), event_shape=(16,)))
    assert load_model(tmp_path / "m")[0].event_shape == (16,)
    with pytest.raises(ValueError, match=r"dtype = torch\.int8"):
        load_model(tmp_path / "m", dtype=torch.int8)


# --- a full disk ---


@pytest.fixture
def full(monkeypatch):
    """A disk that can be full: set full.now."""

    class Disk:
        now = False

    write = files.os.replace

    def replace_file(*arguments):
        if Disk.now:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(files.os, "replace", replace_file)
    return Disk


def test_a_disk_that_fills_up_takes_no_training_along(tmp_path, full):
    path, net, whole = tmp_path / "run.safetensors", small(), small()
    fit(tmp_path / "other.safetensors", net=whole)
    steps = []
    with pytest.warns(RuntimeWarning, match=r"run\.safetensors: step (4|6) could not be written .*still holds step 2"):
        for record in train(net, DATA, steps=6, batch=4, every=2, save_every=2, generator=gen(3), checkpoint=path):
            full.now = record.step >= 2
            steps.append(record.step)
    assert steps == [2, 4, 6] and torch.equal(weights(net), weights(whole))
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["other.safetensors", "run.safetensors"]
    full.now, again = False, small()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [r.step for r in fit(path, net=again)] == [4, 6]
    assert torch.equal(weights(again), weights(whole)) and len(fit(path)) == 1


def test_a_disk_that_is_full_at_the_start_is_said_before_the_training(tmp_path, full):
    full.now = True
    with pytest.raises(OSError, match="No space left"):
        fit(tmp_path / "run.safetensors")


TINY = {"n": 6, "width": 16, "depth": 1, "heads": 2, "patch": 14, "steps": 4, "batch": 4, "warmup": 2}


def test_a_model_whose_file_cannot_be_written_is_delivered_then_and_later(tmp_path, full):
    recipe, trained_steps = recipes.named("mnist-memorizing", **TINY), []

    def tell(record):
        trained_steps.append(record.step)
        full.now = True  # after the last checkpoint, before the model

    with pytest.warns(RuntimeWarning, match="could not be kept"):
        model, _ = recipes.trained(recipe, folder=tmp_path, progress=tell)
    full.now = False
    again, facts = recipes.trained(recipe, folder=tmp_path)
    assert torch.equal(weights(model), weights(again)) and facts["recipe"] == recipe.words()
    kept, _ = recipes.trained(recipe, folder=tmp_path, progress=lambda record: pytest.fail("it was kept"))
    assert torch.equal(weights(kept), weights(model)) and trained_steps == [4]
    assert [p.name.count("training") for p in tmp_path.iterdir()] == [0]


# --- models that were kept ---


def test_a_kept_model_is_another_after_a_change_of_code_or_data(tmp_path, monkeypatch):
    recipe = recipes.named("mnist-memorizing", **TINY)
    images = recipe_data(recipe)
    recipes.trained(recipe, folder=tmp_path, data=images)
    seen = []
    again = functools.partial(recipes.trained, recipe, folder=tmp_path, progress=lambda r: seen.append(r.step))
    again(data=images)
    assert seen == []
    again(data=replace(images, train=-images.train))
    assert seen == [4]
    monkeypatch.setattr(recipes.identity, "code", lambda modules: "of another version")
    again(data=images)
    assert seen == [4, 4] and len(list(tmp_path.iterdir())) == 3
    for path in tmp_path.iterdir():
        flipped(path, -3)
    with pytest.raises(ValueError, match="damaged"):
        again(data=images)


def test_streams_of_recipes_never_meet():
    seeds = (*range(40), *range(980, 1100), 2000, 3000, 10**6, MAX_SEED)
    numbers = {stream(seed, purpose) for seed in seeds for purpose in range(4)}
    assert len(numbers) == 4 * len(seeds) and max(numbers) < 2**32
    assert [stream(7, purpose) for purpose in range(4)] == [7, 1007, 2007, 3007]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"seed": 2**32}, "seed = 4294967296"), ({"seed": -1}, "seed = -1"), ({"seed": 1.0}, "seed = 1.0"), ({"n": 0}, "n = 0"),
        ({"steps": 2.5}, "steps = 2.5"), ({"batch": True}, "batch = True"), ({"lr": float("nan")}, "lr = nan"), ({"ema": "no"}, "ema = 'no'"),
        ({"schedule": "Linear"}, "schedule = 'Linear'"), ({"times": ("Normal", {})}, "times = "), ({"step": 3}, "step is no field"),
        ({"name": "../up"}, "name = '../up'"), ({"name": ""}, "name = ''"),
    ],
)  # fmt: skip
def test_recipes_with_bad_values_are_refused(changes, word):
    with pytest.raises(ValueError, match=word):
        recipes.named("mnist-memorizing", **changes)


def test_recipes_take_whole_numbers_of_numpy():
    plain, numpy = (
        recipes.named("mnist-memorizing", n=kind(6), steps=kind(4), seed=kind(2)) for kind in (int, np.int64)
    )
    assert plain == numpy and plain.words() == numpy.words() and repr(plain) == repr(numpy)


def test_the_data_of_a_recipe_do_not_depend_on_the_threads():
    recipe, before, found = recipes.named("mnist-generalizing"), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(recipe_data(recipe).train)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_the_command_says_what_is_wrong_in_one_line_before_it_trains(tmp_path, capsys):
    (tmp_path / "users.safetensors").write_text("not ours")
    for arguments in (["imagenet"], ["--threads", "0"], []):
        assert shipped_models.main([*arguments, "--out", str(tmp_path)]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and "Traceback" not in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["users.safetensors"]


def test_uniform_times_with_equal_ends_are_no_other_run(tmp_path):
    path = tmp_path / "run.safetensors"
    fit(path, times=Uniform(0.1, 1.0))
    assert (
        len(fit(path, times=Uniform(0.1, 1.0))) == 1
        and len(fit(path, np.int64(8), times=Uniform(np.float64(0.1), 1.0))) == 1
    )
