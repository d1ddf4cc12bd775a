"""Somebody else's torch.set_default_dtype changes nothing: what is computed follows the dtype of the data."""

import numpy as np
import pytest
import torch

from separations.audit.aligned import Aligned
from separations.networks import DiT, DiTConfig
from separations.numerics import Rows, nearest, nearest_rows, rounded_rows, seeded


@pytest.fixture
def as_if_double():
    """Runs a computation under the usual default, then under float64; both results."""

    def twice(compute):
        results = []
        for dtype in (torch.float32, torch.float64):
            torch.set_default_dtype(dtype)
            try:
                results.append(compute())
            finally:
                torch.set_default_dtype(torch.float32)
        return results

    return twice


@pytest.mark.parametrize("form", ["int8", "bfloat16", "float32"])
def test_near_rows(as_if_double, form, monkeypatch):
    monkeypatch.setattr(nearest_rows, "formats", lambda *_: [(form, False)])
    data = torch.randn(3000, 64, generator=seeded(1, 1), dtype=torch.float32)
    x = data[:200] + 0.1 * torch.randn(200, 64, generator=seeded(1, 2), dtype=torch.float32)
    (one, rows), (other, same) = as_if_double(lambda: nearest(x, Rows(data), 2))
    assert torch.equal(rows, same) and torch.equal(one, other)
    assert rounded_rows.sketch(Rows(data), "int8", 0).lost.dtype == torch.float32


def test_a_transformer_and_its_gradients(as_if_double):
    network = DiT(DiTConfig(image=(1, 8, 8), patch=4, width=32, depth=2, heads=4), generator=seeded(1, 3))
    x = torch.randn(64, 1, 8, 8, generator=seeded(1, 4), dtype=torch.float32)

    def gradients():
        network.zero_grad()
        network(x, torch.zeros(64, dtype=torch.float32)).square().sum().backward()
        return [p.grad.clone() for p in network.parameters()]

    for one, other in zip(*as_if_double(gradients)):
        assert one.dtype == other.dtype == torch.float32
        torch.testing.assert_close(one, other)


def test_aligned_pixels(as_if_double):
    images = torch.randint(0, 256, (40, 1, 16, 16), generator=seeded(1, 5)).to(torch.uint8).numpy()
    one, other = as_if_double(lambda: Aligned.of(images[:30])(np.flip(images[:10], -1).copy()))
    assert np.array_equal(one.row, other.row)
    np.testing.assert_allclose(one.score, other.score, rtol=1e-4, atol=1e-5)
