"""A stack with settings of its own for each copy moves as copies that train alone with AdamW or Adam."""

from functools import partial

import pytest
import torch

from separations.ledger import prose
from separations.networks import MLP, Denoiser
from separations.training import PerCopyAdamW, train

DECAYS, FACTORS, LR = [0.0, 0.3, 10.0], [1.0, 3.0, 0.1], 0.01


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def weights(model):
    return [p.detach() for p in model.parameters()]


def trained_alone(data, *, lr, decay, optimiser, shape="constant"):
    model = Denoiser(MLP(2, 8, 3, generator=seeded(1)))
    options = {"optimiser": optimiser, "lr": lr, "weight_decay": decay, "decay": shape, "generator": seeded(7)}
    list(train(model, data, steps=40, batch=16, **options))
    return weights(model)


def trained_together(data, shape="constant", **own):
    model = Denoiser(MLP(2, 8, 3, copies=3, generator=[seeded(1) for _ in DECAYS]))
    options = {"optimiser": partial(PerCopyAdamW, **own), "decay": shape, "generator": [seeded(7) for _ in DECAYS]}
    list(train(model, data, steps=40, batch=16, lr=LR, **options))
    return weights(model)


@pytest.fixture
def data():
    return torch.randn(12, 2, generator=seeded(3))


# float32, 40 steps: a rounding error of a weight is multiplied by the training, up to about 1e-4 here
close = partial(torch.allclose, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", ["constant", "cosine"])
@pytest.mark.parametrize("own", [{"decays": DECAYS}, {"factors": FACTORS}, {"decays": DECAYS, "factors": FACTORS}])
def test_each_copy_moves_as_if_alone_with_adamw(data, own, shape):
    together = trained_together(data, shape, **own)
    for i in range(3):
        decay, factor = own.get("decays", [0.0] * 3)[i], own.get("factors", [1.0] * 3)[i]
        alone = trained_alone(data, lr=factor * LR, decay=decay, optimiser="adamw", shape=shape)
        assert all(close(a[i], b) for a, b in zip(together, alone)), i
        if decay:  # the test sees whether decay is decoupled, and whether it is there
            for other in ({"optimiser": "adam", "decay": decay}, {"optimiser": "adamw", "decay": 0.0}):
                wrong = trained_alone(data, lr=factor * LR, shape=shape, **other)
                assert not all(close(a[i], b) for a, b in zip(together, wrong)), other


def test_without_settings_it_is_adam_to_the_last_bit(data):
    together = trained_together(data)
    model = Denoiser(MLP(2, 8, 3, copies=3, generator=[seeded(1) for _ in DECAYS]))
    list(train(model, data, steps=40, batch=16, lr=LR, generator=[seeded(7) for _ in DECAYS]))
    assert all(torch.equal(a, b) for a, b in zip(together, weights(model)))


def test_a_closure_is_called_once_and_its_value_returned_and_what_has_no_gradient_stays():
    p, still = (torch.nn.Parameter(torch.ones(2, 1)) for _ in range(2))
    optimiser, calls = PerCopyAdamW([p, still], lr=0.5, decays=[0.0, 1.0]), []

    def closure():
        calls.append(1)
        loss = (p - 1).square().sum()  # no gradient at the start: what moves is the decay
        loss.backward()
        return loss

    assert optimiser.step(closure).item() == 0.0 and len(calls) == 1
    assert p.flatten().tolist() == [1.0, 0.5] and still.flatten().tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_decay": 0.1}, "weight_decay = 0.1: 0 is needed"),
        ({"decays": [0.1]}, r"decays = \[0.1\d*\]: 2 finite numbers >= 0"),
        ({"decays": [0.5, -0.5]}, r"decays = \[0.5, -0.5\]"),
        ({"decays": [0.5, float("inf")]}, "decays = .*inf"),
        ({"factors": [1.0, 0.0]}, r"factors = \[1.0, 0.0\]: numbers > 0"),
        ({"factors": [[1.0], [2.0]]}, "factors = .*2 finite numbers"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        PerCopyAdamW([torch.nn.Parameter(torch.ones(2, 3))], **options)


@pytest.mark.parametrize("shapes", [[(2, 3), (3, 2)], [()], [(2,), ()]])
def test_parameters_that_are_no_stack(shapes):
    with pytest.raises(ValueError, match="one first dimension, the number of copies"):
        PerCopyAdamW([torch.nn.Parameter(torch.ones(shape)) for shape in shapes])


def test_numbers_of_numpy_become_plain_ones_in_the_text(monkeypatch):
    import numpy as np

    kept = {}
    monkeypatch.setattr(prose, "keep", lambda name, value, display: kept.update({name: (type(value), display)}))
    prose.glue("a", np.float64(0.5)), prose.glue("b", np.int64(3), display=True), prose.glue("c", "text")
    assert kept == {"a": (float, False), "b": (int, True), "c": (str, False)}
