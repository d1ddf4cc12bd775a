"""Operators of PyTorch behind an underscore: they do what their public forms do, may be missing, and stand in one module."""

import ast
import importlib
from types import SimpleNamespace

import pytest
import torch

from separations.files import PACKAGE
from separations.networks import DiT, DiTConfig
from separations.numerics import private_operators
from separations.numerics.costs import count_flops

HOME = "numerics/private_operators.py"


@pytest.fixture(params=["present", "missing"])
def operators(request, monkeypatch):
    """The module as it is, and as it is read where PyTorch lacks all of them."""
    with monkeypatch.context() as patch:
        if request.param == "missing":
            patch.setattr(torch.ops, "mkldnn", SimpleNamespace())
            patch.delattr(torch._C, "_are_functorch_transforms_active")
            patch.delattr(torch, "_int_mm")
        importlib.reload(private_operators)
    yield request.param  # PyTorch itself has them again
    importlib.reload(private_operators)


def test_each_does_what_its_public_form_does(operators):
    g = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(shape, generator=g) for shape in ((5, 8), (6, 8), (6,)))
    assert (private_operators.LINEAR_POINTWISE is None) == (operators == "missing")
    for b in (bias, None):
        want = torch.nn.functional.linear(x, weight, b)
        torch.testing.assert_close(private_operators.linear_pointwise(x, weight, b), want)
        hidden = private_operators.linear_pointwise(x, weight, b, gelu=True)
        torch.testing.assert_close(hidden, torch.nn.functional.gelu(want, approximate="tanh"))
    bytes_ = torch.arange(-6, 6, dtype=torch.int8).view(4, 3)
    product = private_operators.byte_product(bytes_, bytes_[:2])
    assert (product is None) == (operators == "missing")
    assert product is None or torch.equal(product.long(), bytes_.long() @ bytes_[:2].long().T)
    assert private_operators.transforms_active() == (operators == "missing")
    inside = torch.func.vmap(lambda row: row * private_operators.transforms_active())(torch.ones(2))
    assert inside.tolist() == [1.0, 1.0]


def test_a_transformer_trains_and_is_counted_without_them(operators):
    config = DiTConfig(image=(1, 8, 8), patch=4, width=16, depth=2, heads=2)
    g = torch.Generator().manual_seed(1)
    x, l = torch.randn(3, 1, 8, 8, generator=g), torch.linspace(-2, 2, 3)
    found = []
    for dtype in (torch.float32, torch.float64):
        net = DiT(config, generator=g.manual_seed(2))
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.05 * torch.randn(p.shape, generator=g))
        net = net.to(dtype)
        flops = count_flops(lambda net=net, dtype=dtype: net(x.to(dtype), l.to(dtype)).square().sum().backward())
        with torch.no_grad():
            found.append((flops, net(x.to(dtype), l.to(dtype)), [p.grad for p in net.parameters()]))
    (fast, y, slopes), (plain, want, exact) = found
    assert fast > 0 and abs(fast / plain - 1) < 0.05  # the fast attention writes its gradient out
    torch.testing.assert_close(y, want.float(), rtol=1e-4, atol=1e-5)
    for have, wanted in zip(slopes, exact):
        torch.testing.assert_close(have, wanted.float(), rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


def private_names(source):
    """Names of PyTorch with a part behind one underscore, in chains of attributes and in imports."""

    def private(chain):
        return any(part.startswith("_") and not part.startswith("__") for part in chain.split("."))

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            chains = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            chains = [alias.name for alias in node.names if alias.name.split(".")[0] == "torch"]
        else:
            text = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            chains = [text] if text.startswith("torch.") and text.replace(".", "").isidentifier() else []
        yield from (chain for chain in chains if private(chain))


def test_no_other_module_names_an_operator_behind_an_underscore():
    found = {
        path.relative_to(PACKAGE).as_posix(): set(private_names(path.read_text(encoding="utf-8")))
        for path in PACKAGE.rglob("*.py")
    }
    assert {name for name, private in found.items() if private} == {HOME}
    caught = (
        "import torch._C\nfrom torch import _foreach_add\nfrom torch.utils._pytree import x\ntorch.ops.a._b(torch._c.d)"
    )
    assert len(set(private_names(caught))) == 6
    assert not set(private_names("import torch\ntorch.__version__, torch.nn.Linear, self.torch._x, x._torch"))
