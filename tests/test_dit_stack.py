"""A stack of transformers: each copy is the network alone, in what it says, in its gradients and along a whole training."""

import math

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from separations.networks import Denoiser, DiT, DiTConfig, DiTStack, dit_stack
from separations.samplers import probability_flow
from separations.schedules import VPLinear
from separations.training import train

SMALL = DiTConfig(image=(3, 8, 8), patch=2, width=32, depth=2, heads=4)
C, M = 3, 5


def gens(salt=0, copies=C):
    return [torch.Generator().manual_seed(100 * salt + i) for i in range(copies)]


def lively(config=SMALL, dtype=torch.float32):
    """Networks whose zero layers are not zero, so that everything in them acts on the output."""
    networks = [DiT(config, generator=g).to(dtype) for g in gens()]
    for network, g in zip(networks, gens(1)):
        with torch.no_grad():
            for p in network.parameters():
                p.add_(0.1 * torch.randn(p.shape, generator=g).to(dtype))
    return networks


def batch(config=SMALL, dtype=torch.float32, copies=C):
    g = torch.Generator().manual_seed(5)
    x = torch.randn(copies, M, *config.image, generator=g, dtype=dtype)
    return x, 4 * torch.randn(copies, M, generator=g, dtype=dtype)


def outputs_and_gradients(call, weights, x, log_snr):
    """What `call` gives, and the gradients of a number of it in x, log_snr and the weights."""
    x, log_snr = x.clone().requires_grad_(), log_snr.clone().requires_grad_()
    out = call(x, log_snr)
    slope = torch.linspace(-1, 1, math.prod(x.shape[-3:])).reshape(x.shape[-3:]).to(out)
    return out.detach(), torch.autograd.grad((out * slope).sum(), [x, log_snr, *weights], materialize_grads=True)


def test_copy_i_begins_with_the_weights_of_the_network_made_from_its_generator():
    stack = DiTStack(SMALL, copies=C, generator=gens())
    for i, g in enumerate(gens()):
        one, alone = stack.copy(i).state_dict(), DiT(SMALL, generator=g).state_dict()
        assert one.keys() == alone.keys() == stack.state_dict().keys()
        assert all(torch.equal(one[name], alone[name]) for name in alone)
    shared = DiTStack(SMALL, copies=2, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(*shared.x_embedder.proj.weight)
    x, log_snr = batch()
    assert (stack(x, log_snr) == 0).all()  # as the networks do


@pytest.mark.parametrize("dtype, rtol", [(torch.float64, 1e-10), (torch.float32, 1e-4)], ids=["plain", "fast"])
@pytest.mark.parametrize("depth_heads", [(2, 4), (2, (3, 0)), (1, 1)], ids=str)
def test_outputs_and_all_gradients_are_those_of_the_networks_alone(dtype, rtol, depth_heads):
    """In the order of the sums alone they may differ: a few roundings of the dtype, beside the largest value of a tensor."""
    depth, heads = depth_heads
    config = DiTConfig(image=(3, 8, 8), patch=2, width=32, depth=depth, heads=heads, head_dim=8)
    networks = lively(config, dtype)
    stack, (x, log_snr) = DiTStack.stack(networks), batch(config, dtype)
    together, gradients = outputs_and_gradients(stack, list(stack.parameters()), x, log_snr)
    for i, network in enumerate(networks):
        alone, own = outputs_and_gradients(network, list(network.parameters()), x[i], log_snr[i])
        for a, b in zip((together[i], *(g[i] for g in gradients)), (alone, *own)):
            torch.testing.assert_close(a, b, rtol=rtol, atol=rtol * float(b.abs().amax()) if b.numel() else 0)
        with torch.no_grad():
            torch.testing.assert_close(stack(x, log_snr)[i], network(x[i], log_snr[i]), rtol=rtol, atol=rtol)


def test_the_fast_form_is_the_plain_one(monkeypatch):
    stack, (x, log_snr) = DiTStack.stack(lively()), batch()
    fast = outputs_and_gradients(stack, list(stack.parameters()), x, log_snr)
    taken = []
    monkeypatch.setattr(dit_stack, "_fast", lambda *tensors: bool(taken.append(1)))
    plain = outputs_and_gradients(stack, list(stack.parameters()), x, log_snr)
    assert taken
    for a, b in zip((fast[0], *fast[1]), (plain[0], *plain[1])):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))  # float32


def test_torch_func_says_the_same():
    """vmap over `functional_call` of the single network, another way to the same numbers; and the stack itself under vmap."""
    networks = lively(dtype=torch.float64)
    stack, (x, log_snr) = DiTStack.stack(networks), batch(dtype=torch.float64)
    weights, buffers = stack_module_state(networks)

    def one(weights, buffers, x, log_snr):
        return functional_call(networks[0], (weights, buffers), (x, log_snr))

    torch.testing.assert_close(vmap(one)(weights, buffers, x, log_snr), stack(x, log_snr))
    two = torch.stack([x, 2 * x])
    torch.testing.assert_close(vmap(lambda x: stack(x, log_snr))(two)[1], stack(2 * x, log_snr))


def test_autocast_takes_the_plain_form():
    stack, (x, log_snr) = DiTStack.stack(lively()), batch()
    with torch.autocast("cpu", torch.bfloat16):
        low = stack(x, log_snr)
        low.sum().backward()
    whole = stack(x, log_snr)
    torch.testing.assert_close(
        low.float(), whole, rtol=0.1, atol=0.05 * float(whole.detach().abs().max())
    )  # bfloat16: 8 bits
    assert all(p.grad.isfinite().all() for p in stack.parameters())


def test_nothing_mixes_between_copies():
    stack, (x, log_snr) = DiTStack.stack(lively()), batch()
    stack(x, log_snr)[1].sum().backward()
    assert all((p.grad[[0, 2]] == 0).all() and (p.grad[1] != 0).any() for p in stack.parameters())


def trainings(ema, clip, optimiser):
    """Three steps and more of a stack and of its copies alone, each on a set of its own size."""
    g = torch.Generator().manual_seed(9)
    data = [torch.randn(n, *SMALL.image, generator=g) for n in (4, 7, 12)]
    settings = {
        "steps": 6, "batch": 8, "every": 1, "lr": 2e-3, "warmup": 2, "ema": ema, "clip": clip, "optimiser": optimiser,
        "weight": "v", "weight_decay": 0.01,
    }  # fmt: skip
    stack = Denoiser(DiTStack(SMALL, copies=C, generator=gens()), VPLinear(), prediction="v")
    together = list(train(stack, data, generator=gens(3), **settings))
    alone = []
    for one, start, draws in zip(data, gens(), gens(3)):
        model = Denoiser(DiT(SMALL, generator=start), VPLinear(), prediction="v")
        alone.append((model, list(train(model, one, generator=draws, **settings))))
    return stack, together, alone


@pytest.mark.parametrize(
    "ema, clip, optimiser", [(0.9, 0.5, "adamw"), (0.9, None, "adamw"), (0.5, 0.3, "sgd")], ids=str
)
def test_training_a_stack_is_training_its_copies_alone(ema, clip, optimiser):
    """Loss and gradient norm of each step, weights and averages at the end, with clipping of each copy by itself."""
    stack, together, alone = trainings(ema, clip, optimiser)
    if clip is not None:  # so that clipping is seen to act, and by each copy's own norm
        assert all((record.grad_norm > clip).all() for record in together)
        assert together[0].grad_norm.unique().numel() == C
    for i, (model, records) in enumerate(alone):
        for a, b in zip(together, records):
            torch.testing.assert_close(a.loss[i], b.loss, rtol=1e-4, atol=0)  # float32, after some steps
            torch.testing.assert_close(a.grad_norm[i], b.grad_norm, rtol=1e-3, atol=0)
        pairs = [(stack.copy(i), model), (together[-1].ema.copy(i), records[-1].ema)]
        for a, b in pairs:
            for (name, p), q in zip(a.network.state_dict().items(), b.network.parameters()):
                # Adam divides by the root of a square: where a gradient is near 0, rounding moves a step of at most lr
                torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_a_stopped_training_of_a_stack_goes_on_bit_for_bit(tmp_path):
    g = torch.Generator().manual_seed(9)
    data = torch.randn(6, *SMALL.image, generator=g)

    def run(steps, path):
        model = Denoiser(DiTStack(SMALL, copies=2, generator=gens(0, 2)), VPLinear(), prediction="v")
        settings = {"batch": 4, "ema": 0.9, "clip": 0.5, "optimiser": "adamw", "checkpoint": path, "save_every": 2}
        return model, list(train(model, data, steps=steps, generator=gens(1, 2), **settings))[-1]

    whole, last = run(5, tmp_path / "whole.safetensors")
    run(3, tmp_path / "part.safetensors")
    model, again = run(5, tmp_path / "part.safetensors")
    for a, b in ((model, whole), (again.ema, last.ema)):
        assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters()))


def test_a_stack_is_a_denoiser_that_samples_all_copies_at_once():
    networks = lively(dtype=torch.float64)
    one = Denoiser(networks[0], VPLinear(), prediction="v")
    many = one.with_network(DiTStack.stack(networks))
    assert many.copies == C
    x, _ = batch(dtype=torch.float64)
    together = probability_flow(many, x, torch.tensor([0.9, 0.5, 0.2, 0.05]))
    for i in range(C):
        torch.testing.assert_close(
            together[i], probability_flow(many.copy(i), x[i], torch.tensor([0.9, 0.5, 0.2, 0.05]))
        )


def test_copies_are_taken_out_and_put_together_again():
    networks = lively(dtype=torch.float64)
    stack = DiTStack.stack(networks)
    turned = DiTStack.stack([stack.copy(i) for i in (2, -2)])
    assert turned.copies == 2 and torch.equal(turned.final_layer.linear.bias[1], networks[1].final_layer.linear.bias)
    before = torch.get_rng_state()
    taken = stack.copy(0)
    assert torch.equal(before, torch.get_rng_state())  # no draw of anyone else's
    with torch.no_grad():
        taken.final_layer.linear.bias.add_(1)
    assert torch.equal(stack.final_layer.linear.bias[0], networks[0].final_layer.linear.bias)  # weights of its own
    frozen = DiTStack.stack([n.requires_grad_(False) for n in networks])
    assert all(p.requires_grad for p in frozen.parameters())


def test_networks_without_some_heads_are_stacked_too():
    kept = [[0, 2], [1]]
    small = [n.with_heads(kept) for n in lively(dtype=torch.float64)]
    x, log_snr = batch(dtype=torch.float64)
    torch.testing.assert_close(DiTStack.stack(small)(x, log_snr)[1], small[1](x[1], log_snr[1]))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: DiTStack(SMALL, copies=0), "copies = 0"),
        (lambda: DiTStack(SMALL, copies=2, generator=gens()), "generator has 3 generators"),
        (lambda: DiTStack.stack([]), "networks has 0 kinds"),
        (lambda: DiTStack.stack([DiT(SMALL), DiT(DiTConfig())]), "networks has 2 kinds"),
        (lambda: DiTStack.stack([DiT(SMALL), DiT(SMALL).double()]), "networks has 2 kinds"),
        (lambda: DiTStack(SMALL, copies=2).copy(2), "i = 2"),
        (lambda: DiTStack(SMALL, copies=2)(*batch()), r"x has shape \(3, 5, 3, 8, 8\): shape \(2, m, 3, 8, 8\)"),
        (lambda: DiTStack(SMALL, copies=C)(batch()[0], batch()[1][:, :2]), r"log_snr has shape \(3, 2\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_stack_too_large_for_memory_is_refused_at_once():
    with pytest.raises(ValueError, match="copies = 10000000"):
        DiTStack(DiTConfig(), copies=10_000_000)
