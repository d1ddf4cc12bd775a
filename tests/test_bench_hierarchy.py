"""The random hierarchy model: its strings, its grammar, and its score by belief propagation against all strings listed."""

import math

import pytest
import torch

from separations.bench import RandomHierarchy, shared_parts
from separations.distributions import Empirical


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("v", "m", "s", "depth"), [(3, 2, 2, 2), (2, 1, 2, 3), (4, 2, 2, 2), (3, 2, 3, 1)])
def test_the_strings_are_those_of_the_grammar_each_as_likely(v, m, s, depth):
    law = RandomHierarchy(v, m, s, depth, generator=generator(1))
    every = law.every_string()
    assert len(every.unique(dim=0)) == len(every) == law.count
    assert law.legal(every).all()
    drawn = law.strings(200 * law.count, generator())
    found, counts = drawn.unique(dim=0, return_counts=True)
    assert {tuple(x) for x in found.tolist()} == {tuple(x) for x in every.tolist()}
    # chi square with count - 1 degrees of freedom, within 5 standard deviations
    chi = float(((counts - 200) ** 2 / 200).sum())
    assert abs(chi - (law.count - 1)) < 5 * math.sqrt(2 * law.count)


def test_legality_by_level_and_by_chance():
    law = RandomHierarchy(4, 2, 2, 3, generator=generator(2))
    anything = torch.randint(4, (200_000, 8), generator=generator())
    right = law.legal(anything)
    assert (right[:, 0] | ~right[:, 1]).all() and (right[:, 1] | ~right[:, 2]).all()  # a level needs those below
    assert law.by_chance() == (0.5**4, 0.5**6, 0.5**7)
    for level, chance in enumerate(law.by_chance()):
        assert abs(float(right[:, level].double().mean()) - chance) < 4 * math.sqrt(chance / 200_000)
    every = law.every_string()
    listed = {tuple(x) for x in every.tolist()}
    few = anything[:2000]
    assert [tuple(x) in listed for x in few.tolist()] == law.legal(few)[:, 2].tolist()


def test_belief_propagation_is_the_posterior_over_all_strings():
    law = RandomHierarchy(3, 2, 2, 2, generator=generator(3))
    every = law.encode(law.every_string()).double()
    exact = Empirical(every)
    for t in (0.05, 0.3, 1.0, 3.0):
        x = law.sample(40, t, generator=generator(4)).double()
        assert torch.allclose(law.denoise(x, t), exact.denoise(x, t), atol=1e-5)  # points in float32
        assert torch.allclose(law.score(x, t), exact.score(x, t), atol=1e-6 / t)  # points in float32
    three = RandomHierarchy(2, 2, 3, 2, generator=generator(3))
    x = three.sample(20, 0.7, generator=generator(5)).double()
    assert torch.allclose(
        three.denoise(x, 0.7), Empirical(three.encode(three.every_string()).double()).denoise(x, 0.7), atol=1e-5
    )


def test_points_and_strings():
    law = RandomHierarchy(5, 2, 2, 2, generator=generator())
    strings = law.strings(500, generator(1))
    x = law.encode(strings)
    assert x.shape == (500, 20) and torch.equal(law.decode(x), strings)
    every = law.encode(torch.arange(5)[:, None].expand(5, 4).contiguous())
    assert abs(float(every.mean())) < 1e-6 and abs(float(every.square().mean()) - 1) < 1e-6
    evidence = torch.zeros(2, 4, 5)
    assert torch.allclose(law.leaf_posteriors(evidence).sum(-1), torch.ones(2, 4))


def test_a_rule_is_of_one_symbol():
    law = RandomHierarchy(6, 3, 2, 3, generator=generator(7))
    for rules in law.rules:
        assert len(rules.reshape(-1, 2).unique(dim=0)) == 18
    same = RandomHierarchy(6, 3, 2, 3, generator=generator(7))
    assert all(torch.equal(a, b) for a, b in zip(law.rules, same.rules))


def test_shared_parts_counts_the_others():
    strings = torch.tensor([[0, 1, 2, 3], [0, 1, 3, 3], [0, 1, 2, 3], [1, 1, 0, 0]])
    assert torch.allclose(shared_parts(strings, [2]), torch.tensor([3.0, 2.0, 3.0, 0.0]).double() / 3)
    assert torch.allclose(shared_parts(strings, [4]), torch.tensor([1.0, 0.0, 1.0, 0.0]).double() / 3)


def test_bad_input_is_named():
    for arguments, word in (((1, 1), "v = 1"), ((3, 4), "m = 4"), ((3, 2, 1), "s = 1"), ((3, 0), "m = 0")):
        with pytest.raises(ValueError, match=word):
            RandomHierarchy(*arguments)
    law = RandomHierarchy(3, 2, 2, 2, generator=generator())
    for strings in (torch.zeros(2, 3, dtype=torch.int64), torch.full((2, 4), 3), torch.zeros(2, 4)):
        with pytest.raises(ValueError, match="strings"):
            law.legal(strings)
    with pytest.raises(ValueError, match="evidence"):
        law.leaf_posteriors(torch.zeros(2, 3, 3))
    with pytest.raises(ValueError, match="posterior covariance"):
        law.posterior_cov(law.sample(2), 0.5)
    with pytest.raises(ValueError, match="strings"):
        RandomHierarchy(8, 4, 2, 4).every_string()
    with pytest.raises(ValueError, match="sizes"):
        shared_parts(law.strings(3), [3])
    with pytest.raises(ValueError, match="n >= 2"):
        shared_parts(law.strings(1), [2])
