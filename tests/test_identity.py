"""Words for what a value is: equal in every process for equal contents, others for others, and an error for what has none."""

import functools
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from separations import definitions
from separations.files import PACKAGE
from separations.networks import MLP, Denoiser
from separations.schedules import OU, VPLinear
from separations.timesteps import LogNormal, LogSNRUniform, Uniform
from separations.training import random_flip, recipes, run_identity
from separations.training.identity import architecture, code, describe, digest

SCALE = 2.0


def factor(c):
    return lambda t: c * t


def scaled(t, *, top=1.0):
    return SCALE * t * top


def inner(c):
    def weight(t):
        def deep(u):
            return u + c

        return deep(t)

    return weight


class Late:
    """Times without a repr of their own."""

    kinds = frozenset({"a", "b"})

    def __init__(self, top=0.5):
        self.top = top

    def sample(self, m, generator):
        return self.top * torch.rand(m, generator=generator)


class Slotted:
    __slots__ = ("top",)

    def __init__(self, top):
        self.top = top


@dataclass(frozen=True)
class Pair:
    low: float
    options: dict = field(default_factory=dict)

    def __call__(self, t):
        return t * self.low


def compiled_from(text, name="f", **given):
    made = dict(given)
    exec(text, made)
    return made[name]


PAIRS = {
    "a constant that a lambda closes over": lambda v: factor(float(v)),
    "a constant two functions deep": lambda v: inner(float(v)),
    "an argument of partial": lambda v: functools.partial(scaled, top=float(v)),
    "the instance of a bound method": lambda v: Late(float(v)).sample,
    "an attribute": lambda v: Late(float(v)),
    "a slot": lambda v: Slotted(float(v)),
    "a field": lambda v: Pair(float(v)),
    "a dictionary in a field": lambda v: Pair(1.0, {"x": [v]}),
    "a schedule in a distribution": lambda v: LogNormal(schedule=(OU(), VPLinear())[v - 1]),
    "the bound method of a distribution": lambda v: LogSNRUniform(0.1, float(v)).sample,
    "numbers of a tensor": lambda v: torch.full((3,), float(v)),
    "the dtype of a tensor": lambda v: torch.zeros(2, dtype=(torch.float32, torch.int32)[v - 1]),
    "the shape of an array": lambda v: np.zeros((v, 6 // v)),
    "a network": lambda v: torch.nn.Linear(1, 1, bias=False).requires_grad_(False).apply(lambda m: m.weight.fill_(v)),
    "the constant of code": lambda v: compiled_from(f"f = lambda t: t * {v}"),
    "a name in code": lambda v: compiled_from(f"f = lambda t: t.{('sin', 'cos')[v - 1]}()"),
    "a default": lambda v: compiled_from(f"def f(t, a={v}): return a"),
    "a keyword default": lambda v: compiled_from(f"def f(t, *, a={v}): return a"),
    "a global number": lambda v: compiled_from("def f(t): return t * g", g=v),
    "a global function": lambda v: compiled_from(f"def g(t): return t * {v}\ndef f(t): return g(t)"),
    "a method of a class": lambda v: compiled_from(f"class C:\n def sample(self, m, g): return {v}\nf = C()"),
    "a method of a base": lambda v: compiled_from(f"class B:\n def a(self): return {v}\nclass C(B): pass\nf = C()"),
    "a set": lambda v: {"a", "b", v},
    "int and float": lambda v: (1, 1.0)[v - 1],
    "a pattern": lambda v: re.compile("a" * v),
}


@pytest.mark.parametrize("make", PAIRS.values(), ids=PAIRS.keys())
def test_other_contents_are_other_words_and_the_same_made_twice_are_the_same(make):
    assert describe(make(1), "x") == describe(make(1), "x") != describe(make(2), "x")
    assert not re.search("0x[0-9a-f]{6}", describe(make(1), "x"))


def test_what_says_nothing_about_the_content_is_left_out():
    plain = compiled_from("def f(t):\n return t * 2")
    told = compiled_from('\n\n# why\ndef f(t):\n "What it does."\n\n return t * 2  # twice')
    assert describe(plain, "x") == describe(told, "x")
    assert describe({"a": 1, "b": 2}, "x") == describe({"b": 2, "a": 1}, "x")
    assert describe(np.int64(3), "x") == describe(3, "x") and describe(np.float64(0.1), "x") == describe(0.1, "x")
    net = MLP(2, 4, 2)
    before = architecture(net)
    with torch.no_grad():
        next(net.parameters()).add_(1.0)
    assert architecture(net) == before != architecture(MLP(2, 4, 2).double())
    next(net.parameters()).requires_grad_(False)
    assert architecture(net) != before


def test_functions_that_call_one_another_come_to_an_end():
    text = "def f(t):\n return g(t - {})\ndef g(t):\n return f(t) if t else h\nclass h:\n def a(self): return h, f"
    one, same, other = (compiled_from(text.format(v)) for v in (1, 1, 2))
    assert describe(one, "x") == describe(same, "x") != describe(other, "x")
    loop = []
    loop.append(loop)
    assert describe(loop, "x") == describe(loop, "x")


def test_what_is_installed_is_its_name():
    assert describe(random_flip, "x") == "separations.training.loop.random_flip"
    assert describe(torch.optim.SGD, "x") == "torch.optim.sgd.SGD" and "relu" in describe(torch.relu, "x")
    assert describe(Uniform(0.1, 1.0), "x") == "separations.timesteps.times.Uniform(t_max=1.0, t_min=0.1)"


def with_attribute(value):
    late = Late()
    late.stream = value
    return late


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (lambda: (i for i in range(3)), "times is a builtins.generator"),
        (lambda: with_attribute(sys.__stdout__), "times.stream is a _io.TextIOWrapper"),
        (lambda: (lambda lock: lambda t: lock)(threading.Lock()), "the variable 'lock' that times closes over is a _thread.lock"),
        (lambda: compiled_from("def f(t): return g", g=sys.__stdout__), "the global 'g' that times reads"),
        (lambda: functools.partial(scaled, top=torch.Generator()), "Generator: its state is not part of a checkpoint"),
        (lambda: with_attribute([np.random.default_rng(0)]), r"times.stream\[0\] is a Generator"),
        (lambda: torch.zeros(2, device="meta"), "times is a torch.Tensor"),
    ],
)  # fmt: skip
def test_what_has_no_content_is_named_with_its_place(value, where):
    with pytest.raises(ValueError, match=where):
        describe(value(), "times")


def test_a_known_object_is_not_looked_into():
    g = torch.Generator()
    model = Denoiser(MLP(2, 4, 2))
    weight = compiled_from("def f(t): return model, g", model=model, g=g)
    words = describe(weight, "weight", {id(g): "generator 0", id(model): "the model"})
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    assert words == describe(weight, "weight", {id(g): "generator 0", id(model): "the model"})


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.bool, torch.int16])
def test_a_digest_reads_every_number_wherever_it_lies(dtype, monkeypatch):
    monkeypatch.setattr("separations.training.identity.PIECE", 64)
    x = torch.arange(120).reshape(10, 12).to(dtype)
    assert digest(x) == digest(x.T.contiguous().T) and digest(x[:0]) == digest(x[:0])
    for place in (0, 67, 119):
        y = x.clone()
        y.view(-1)[place] = 1 - y.view(-1)[place].to(torch.int16)
        assert digest(y) != digest(x), place


SCRIPT = """
import functools, sys
sys.path.insert(0, sys.argv[1])
from separations.training.identity import describe
def low(m, generator, *, top): return top * helper(m) if m in {"a", "b", "c"} else {"x", "y", "z"}
def helper(m): return [kind for kind in KINDS]
KINDS = {"one", "two", "three"}
class Late:
    kinds = {"u", "v", "w"}
    def __init__(self): self.seen = {"p", "q"}
    def sample(self, m, generator): return low(m, generator, top=1)
for value in (low, Late(), Late().sample, functools.partial(low, top=0.5), Late, lambda t: Late, {(1, 2), "s"}): print(describe(value, "x"))
"""


def test_words_are_the_same_in_every_process(monkeypatch, capsys):
    library = str(PACKAGE.parent)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, library], env=os.environ | {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["", library])
    monkeypatch.setattr(sys, "path", [*sys.path])
    exec(SCRIPT, {"__name__": "__main__"})
    assert done.stdout == capsys.readouterr().out and len(set(done.stdout.splitlines())) == 7


def test_the_code_behind_a_training_is_complete_and_is_read_without_its_comments(tmp_path, monkeypatch):
    """Every module that training or recipes reach counts, but for those that move no number."""
    still = {
        "data.data_set", "data.ecg", "data.fetch", "data.formats", "data.images", "data.sets", "data.sources", "definitions", "definitions.circles", "definitions.merkle", "definitions.names", "definitions.reader", "definitions.syntax", "files", "machine",
        "", "former_paths", "schedules", "yaml_files", "timesteps", "training", "training.checkpoints", "training.code_words", "training.gradient_signal", "training.identity", "training.installed", "training.recipe", "training.recipe_data", "training.recipe_training", "training.recipes", "training.run_identity", "training.saved_run", "training.sealed_file", "version",
    }  # fmt: skip
    there = definitions.library()
    for module, code_of_it in (
        ("training.loop", run_identity.CODE),
        ("training.recipes", recipes.CODE),
    ):  # what the data are is compared itself
        assert {name for name, _ in there.reached([(module, "")])} - set(code_of_it) <= still
        assert set(code_of_it) <= set(there.modules)
    monkeypatch.setattr(definitions.merkle, "PACKAGE", tmp_path)
    same = "def f(t):\n    return t * 2\n", '"""Twice."""\n\n\ndef f(t):  # why\n    "What."\n    return t * 2\n'
    found = []
    for text in (*same, "def f(t):\n    return t * 3\n"):
        (tmp_path / "one.py").write_text(text)
        found.append(code.__wrapped__(("one",)))
    assert found[0] == found[1] != found[2]
