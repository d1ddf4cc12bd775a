"""Diffusion transformer: equal to another implementation, begins as zero, masks and removed heads are the same, bad input."""

import pytest
import torch

from separations.networks import Denoiser, DiT, DiTConfig, dit_config, dit_kernels
from separations.networks.dit_blocks import modulate, positions
from separations.schedules import VPLinear

SMALL = DiTConfig(image=(3, 8, 8), patch=2, width=32, depth=3, heads=4)


def lively(config=SMALL, seed=0, dtype=torch.float64):
    """A network whose zero layers are not zero, so that everything in it acts on the output."""
    g = torch.Generator().manual_seed(seed)
    net = DiT(config, generator=g).to(dtype)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=g, dtype=dtype))
    return net


def batch(config=SMALL, m=5, seed=1, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(m, *config.image, generator=g, dtype=dtype), 4 * torch.randn(m, generator=g, dtype=dtype)


def to_diffusers(net):
    """The same weights in the DiT of Hugging Face diffusers, its class embedding set to 0."""
    diffusers = pytest.importorskip("diffusers")
    c = net.config
    peer = diffusers.DiTTransformer2DModel(
        num_attention_heads=c.heads[0], attention_head_dim=c.head_dim, in_channels=c.image[0], out_channels=c.image[0],
        num_layers=c.depth, sample_size=c.image[1], patch_size=c.patch, num_embeds_ada_norm=10, norm_eps=1e-6,
    ).double().eval()  # fmt: skip
    ours, D = net.state_dict(), c.width
    state = {"proj_out_1.weight": ours["final_layer.adaLN_modulation.1.weight"]}
    state |= {f"pos_embed.proj.{k}": ours[f"x_embedder.proj.{k}"] for k in ("weight", "bias")}
    state["proj_out_1.bias"] = ours["final_layer.adaLN_modulation.1.bias"]
    state |= {f"proj_out_2.{k}": ours[f"final_layer.linear.{k}"] for k in ("weight", "bias")}
    for l in range(c.depth):
        a, b = f"blocks.{l}.", f"transformer_blocks.{l}."
        for k in ("weight", "bias"):
            for i, name in enumerate(("to_q", "to_k", "to_v")):
                state[f"{b}attn1.{name}.{k}"] = ours[f"{a}attn.qkv.{k}"][i * D : (i + 1) * D]
            state[f"{b}attn1.to_out.0.{k}"] = ours[f"{a}attn.proj.{k}"]
            state[f"{b}ff.net.0.proj.{k}"], state[f"{b}ff.net.2.{k}"] = ours[f"{a}mlp.fc1.{k}"], ours[f"{a}mlp.fc2.{k}"]
            state[f"{b}norm1.linear.{k}"] = ours[f"{a}adaLN_modulation.1.{k}"]
            for i, name in ((0, "linear_1"), (2, "linear_2")):
                state[f"{b}norm1.emb.timestep_embedder.{name}.{k}"] = ours[f"t_embedder.mlp.{i}.{k}"]
        table = f"{b}norm1.emb.class_embedder.embedding_table.weight"
        state[table] = torch.zeros_like(peer.state_dict()[table])
    missing, unexpected = peer.load_state_dict(state, strict=False)
    assert not missing and not unexpected
    for (
        block
    ) in peer.transformer_blocks:  # diffusers spreads its frequencies by 1/(half - 1), the DiT paper and we by 1/half
        block.norm1.emb.time_proj.downscale_freq_shift = 0
    return peer


@pytest.mark.parametrize("image,patch", [((3, 8, 8), 2), ((1, 28, 28), 7)])
def test_equals_the_dit_of_diffusers(image, patch):
    net = lively(DiTConfig(image=image, patch=patch, width=32, depth=3, heads=4))
    x, l = batch(net.config)
    peer = to_diffusers(net)
    with torch.no_grad():
        ours = net(x, l)
        labels = torch.zeros(len(x), dtype=torch.long)
        theirs = peer(x, timestep=net.t_embedder.timestep(l), class_labels=labels).sample
    # diffusers embeds times in float32: sin and cos of arguments up to 1000 carry an error of 6e-5
    assert (ours - theirs).abs().max() < 2e-4 * ours.abs().max()

    with torch.no_grad():
        whole = torch.tensor([0.0, 4.0, -8.0, 12.0, -12.0], dtype=torch.float64)  # timesteps exact in float32
        assert (
            net(x, whole) - peer(x, timestep=net.t_embedder.timestep(whole), class_labels=labels).sample
        ).abs().max() < 2e-5


def test_begins_as_zero_and_from_its_generator():
    a, b, other = (DiT(SMALL, generator=torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    x, l = batch(dtype=torch.float32)
    assert (a(x, l) == 0).all()
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters()))
    assert not torch.equal(a.blocks[0].mlp.fc1.weight, other.blocks[0].mlp.fc1.weight)


def test_sizes_are_those_of_the_paper():
    # toolchain of DiT: 32.5M and 129.5M at patch 2 on 32 x 32 x 3
    assert DiT(dit_config("S", image=(3, 32, 32))).parameters_count() == 32_471_436
    assert dit_config("B", image=(3, 32, 32)).heads == (12,) * 12 and dit_config("L", image=(3, 32, 32)).depth == 24


def test_one_time_for_all_is_the_same_as_each_its_own():
    net = lively()
    x, _ = batch()
    with torch.no_grad():
        same = net(x, torch.full((len(x),), 1.5, dtype=torch.float64))
        shared = net(x, torch.tensor([1.5], dtype=torch.float64).expand(len(x)))
    torch.testing.assert_close(shared, same, rtol=1e-12, atol=1e-12)  # another order of summation


def test_modulation_is_layer_norm_scaled_and_shifted():
    g = torch.Generator().manual_seed(0)
    x, shift, scale = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((4, 5, 8), (4, 1, 8), (4, 1, 8)))
    centred = x - x.mean(-1, keepdim=True)
    want = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() * (1 + scale) + shift
    torch.testing.assert_close(modulate(x, shift, scale), want)


def test_patches_and_unpatching_are_inverse():
    net = lively(DiTConfig(image=(3, 6, 4), patch=2, width=16, depth=1, heads=2))
    x, _ = batch(net.config)
    p = net.config.patch
    rows = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1).reshape(len(x), net.config.tokens, -1)
    torch.testing.assert_close(net._unpatch(rows), x)
    torch.testing.assert_close(net.x_embedder(x), net.x_embedder.proj(x).flatten(2).mT)


def test_positions_tell_all_places_apart():
    e = positions(4, 7, 32)
    assert torch.cdist(e, e).fill_diagonal_(1).min() > 0.1


@pytest.mark.parametrize("gone", [[(0, 1)], [(0, 0), (1, 3), (2, 2)], [(1, h) for h in range(4)]])
def test_removing_heads_is_masking_them(gone):
    net = lively()
    x, l = batch()
    mask = torch.ones(len(x), 3, 4, dtype=torch.float64)
    for layer, head in gone:
        mask[:, layer, head] = 0
    small = net.with_heads([[h for h in range(4) if (layer, h) not in gone] for layer in range(3)])
    torch.testing.assert_close(small(x, l), net(x, l, mask), rtol=1e-10, atol=1e-10)
    assert small.parameters_count() == net.parameters_count() - len(gone) * (3 * 8 * 33 + 8 * 32)
    assert (small(x, l) - net(x, l)).abs().max() > 1e-3  # the heads did something
    again = small.with_heads([range(h) for h in small.config.heads])  # a pruned network can be taken as it is
    torch.testing.assert_close(again(x, l), small(x, l))


def test_a_mask_weighs_each_sample_by_itself():
    net = lively()
    x, l = batch()
    mask = torch.ones(len(x), 3, 4, dtype=torch.float64)
    mask[2, 1, 0] = 0.3
    changed = (net(x, l, mask) - net(x, l)).abs().flatten(1).amax(1)
    assert changed[2] > 1e-4 and changed[[0, 1, 3, 4]].max() < 1e-12
    per_token = mask[..., None].expand(*mask.shape, SMALL.tokens)
    torch.testing.assert_close(net(x, l, per_token), net(x, l, mask))


def test_is_a_network_of_a_denoiser():
    model = Denoiser(lively(dtype=torch.float32), VPLinear(), prediction="v")
    x, _ = batch(dtype=torch.float32)
    assert model.score(x, 0.3).shape == x.shape and model.copies is None and model.d == 192
    t = torch.linspace(0.1, 0.9, len(x))
    torch.testing.assert_close(model.denoise(x, t)[2:3], model.denoise(x[2:3], t[2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "change,word",
    [
        ({"patch": 3}, "patch"), ({"width": 30}, "heads"), ({"width": 34, "heads": 2}, "multiple of 4"), ({"depth": 0}, "depth"),
        ({"heads": (4, 4)}, "heads"), ({"heads": 0}, "heads"), ({"mlp_ratio": 0}, "mlp_ratio"), ({"image": (3, 8)}, "image"),
    ],
)  # fmt: skip
def test_bad_sizes(change, word):
    with pytest.raises(ValueError, match=word):
        DiTConfig(**{**SMALL.dict(), "head_dim": None, "heads": 4, **change})


def test_bad_calls():
    net = lively()
    x, l = batch()
    with pytest.raises(ValueError, match="x has shape"):
        net(x[:, :1], l)
    with pytest.raises(ValueError, match="head_mask has shape"):
        net(x, l, torch.ones(5, 3, 3))
    with pytest.raises(ValueError, match="kept"):
        net.with_heads([[0], [1], [4]])
    with pytest.raises(ValueError, match="kept"):
        net.with_heads([[0], [1]])
    with pytest.raises(ValueError, match="size = 'XL'"):
        dit_config("XL", image=(3, 32, 32))


@pytest.mark.parametrize("image,patch", [((3, 8, 8), 2), ((3, 20, 20), 2)])  # 16 tokens, and more than FEW_TOKENS
def test_fast_forms_are_the_plain_ones(image, patch, monkeypatch):
    config = DiTConfig(image=image, patch=patch, width=32, depth=3, heads=(4, 2, 0), head_dim=8)
    net, (x, l), g = lively(config, dtype=torch.float32), batch(config, dtype=torch.float32), torch.Generator()
    taken, found = dit_kernels._fast(x, x), []
    for fast in (taken, False):
        monkeypatch.setattr(dit_kernels, "_fast", lambda *_, fast=fast: fast)
        point, mask = x.clone().requires_grad_(), torch.ones(len(x), 3, 4, requires_grad=True)
        out = net(point, l, mask)
        net.zero_grad()
        (out * torch.randn(out.shape, generator=g.manual_seed(2))).sum().backward()
        with torch.no_grad():
            plain = net(x, l), net(x, l[:1].expand(len(x)))
        found.append([out.detach(), *plain, point.grad, mask.grad, *(p.grad for p in net.parameters())])
    for have, want in zip(*found):
        assert (have is None) == (want is None)
        if want is not None:  # the maps of a block without heads have no gradient
            assert (have - want).abs().max() <= 1e-5 * want.abs().max()  # float32, three blocks
    # a CPU with oneDNN sums in another order: not a single bit changed would mean that the fast form was not taken
    assert not taken or any(not torch.equal(*both) for both in zip(*found) if both[0] is not None)


def test_fast_forms_give_only_the_gradients_asked_for():
    net = lively(dtype=torch.float32)
    x, l = batch(dtype=torch.float32)
    for p in net.parameters():
        p.requires_grad_(False)
    point = x.clone().requires_grad_()
    net(point, l).sum().backward()
    assert point.grad.abs().max() > 0 and all(p.grad is None for p in net.parameters())
    net.blocks[1].mlp.fc2.weight.requires_grad_(True)
    net(x, l).sum().backward()
    assert net.blocks[1].mlp.fc2.weight.grad.abs().max() > 0 and net.blocks[1].mlp.fc1.weight.grad is None


@pytest.mark.parametrize("rows", [1, 700])
def test_gelu_and_its_slope(rows):
    h = 3 * torch.randn(rows, 512, generator=torch.Generator().manual_seed(0))  # 700 rows: two pieces
    point = h.double().requires_grad_()
    want = torch.nn.functional.gelu(point, approximate="tanh")
    want.sum().backward()
    assert 700 * 512 > dit_kernels.PIECE
    found = dit_kernels._gelu_and_slope(h)  # h becomes the slope
    assert (found - want).abs().max() < 2e-6 and (h - point.grad).abs().max() < 4e-6  # float32


def test_autocast_takes_the_plain_forms():
    net = lively(dtype=torch.float32)
    x, l = batch(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = net(x, l)
    assert 1e-4 < (rounded - net(x, l)).abs().max() < 0.2 * net(x, l).abs().max()  # bfloat16 has 8 bits


def test_the_compiler_sees_one_whole_graph():
    net = lively(dtype=torch.float32)
    x, l = batch(dtype=torch.float32)
    found = torch.compile(net, backend="aot_eager", fullgraph=True)(x, l)
    found.square().sum().backward()
    have = net.blocks[1].attn.qkv.weight.grad.clone()
    net.zero_grad()
    want = net(x, l)
    want.square().sum().backward()
    assert (found - want).abs().max() < 1e-5 * want.abs().max()
    assert (have - net.blocks[1].attn.qkv.weight.grad).abs().max() < 1e-4 * have.abs().max()


def test_transforms_of_torch_func_take_the_plain_forms():
    net = lively(dtype=torch.float32)
    x, l = batch(dtype=torch.float32)
    weights = dict(net.named_parameters())

    def loss(w, one, level):
        return torch.func.functional_call(net, w, (one[None], level[None])).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(weights, x, l)
    net.zero_grad()
    net(x, l).square().sum().backward()
    name = "blocks.1.attn.qkv.weight"
    assert len(each[name]) == len(x)
    assert (each[name].sum(0) - weights[name].grad).abs().max() < 1e-4 * weights[name].grad.abs().max()
