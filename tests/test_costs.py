"""Costs: counts that can be worked out by hand, backward and double backward included."""

import pytest
import torch

from separations.losses import denoising_loss, implicit_loss
from separations.networks import dit_kernels
from separations.numerics import costs
from separations.numerics.costs import count_flops, seconds


def test_matrix_product():
    a, b = torch.ones(3, 4), torch.ones(4, 5)
    assert count_flops(lambda: a @ b) == 2 * 3 * 4 * 5
    assert count_flops(lambda: a + a) == 0


def test_backward_costs_twice_forward():
    a, b = torch.ones(3, 4, requires_grad=True), torch.ones(4, 5, requires_grad=True)
    assert count_flops(lambda: (a @ b).sum().backward()) == 3 * 2 * 3 * 4 * 5


class Network(torch.nn.Module):
    def __init__(self, d):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(d, 8), torch.nn.Tanh(), torch.nn.Linear(8, d))

    def score(self, x, t, *, schedule=None):
        return self.body(x)


def test_exact_divergence_costs_as_many_probes_as_dimensions():
    model, x = Network(6), torch.ones(4, 6)
    cost = {
        k: count_flops(lambda k=k: implicit_loss(model, x, 0.1, probes=k).value.backward()) for k in (1, 2, 6, None)
    }
    assert cost[None] == cost[6] and cost[6] - cost[1] == 5 * (cost[2] - cost[1])
    assert count_flops(lambda: denoising_loss(model, x, 0.1).value.backward()) < cost[1]


def test_seconds():
    found = seconds(lambda: None, repeats=3)
    assert len(found) == 3 and found == sorted(found) and found[0] > 0
    with pytest.raises(ValueError, match="repeats = 0"):
        seconds(lambda: None, repeats=0)


def test_a_short_step_has_a_time_also_where_the_clock_is_coarse(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(
        costs.time, "process_time", lambda: now[0] // 0.004 * 0.004
    )  # as under a limit of processor time

    def step():
        now[0] += 1e-4

    found = costs.seconds(step, repeats=4)
    assert len(found) == 4 and all(abs(one / 1e-4 - 1) < 0.1 for one in found)


def test_the_fast_linear_map_of_the_transformer_counts_as_the_plain_one():
    layer, x = torch.nn.Linear(6, 10), torch.ones(7, 6)
    counts = []
    for form in (dit_kernels.linear, lambda x, layer: layer(x)):
        with torch.no_grad():
            counts.append(count_flops(lambda form=form: form(x, layer)))
        counts.append(count_flops(lambda form=form: form(x, layer).sum().backward()))
    assert counts == [2 * 7 * 6 * 10, 2 * 2 * 7 * 6 * 10] * 2  # x itself asks for no gradient


@pytest.mark.parametrize("repeats", [0, 2.5, "3", float("nan")])
def test_repeats_are_a_count(repeats):
    with pytest.raises(ValueError, match="repeats = "):
        seconds(lambda: None, repeats)
    with pytest.raises(ValueError, match="step is int"):
        seconds(3)
