"""The random hierarchy model: strings with a grammar drawn at random, whose score is exact by belief propagation.

A root symbol, one of v, is replaced by s symbols according to one of its m rules, each of these by s others according to one of theirs, and so on:
after L levels a string of s^L leaves (Cagnetta et al. 2024; a test of how diffusion models learn in Favero et al. 2025). The v m right-hand sides of
a level are different ones out of v^s, so that a string can be parsed; with v m = v^s every string would be one of the grammar, and there
would be nothing to learn. All roots and rules are equally likely: v m^(1 + s + ... + s^(L-1)) strings, each as likely as any other.

As a point of R^d, d = s^L v, each leaf is a one-hot vector, shifted and scaled to mean 0 and variance 1 if its symbols are equally likely. Given
a noisy point, the posterior of each leaf, hence E[X_0 | X_t], follows from one pass up the tree and one down (belief propagation; a tree, so exact).
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from ..distributions import Diffused
from ..numerics.checks import check_count, check_generator, check_memory, check_whole, generator_device
from ..schedules import Schedule, check_schedule

MOST = 2**20  # strings that `every_string` lists


class RandomHierarchy(Diffused):
    """The law of the strings of a random grammar, as points of R^(s^L v).

    Args:
        v: symbols of each level, >= 2.
        m: rules of each symbol.
        s: symbols on the right of a rule, >= 2.
        depth: L, levels.
        generator: draws the rules; None for torch's own.
        schedule: that the law owns; None for one of OU() that follows another where one is given.

    Attributes:
        rules: L tensors (v, m, s) int64, from the root down: what symbol y becomes by rule r.

    Raises:
        ValueError: for counts below these, and for v m > v^s: the rules of a level could not all differ.
    """

    def __init__(
        self,
        v: int,
        m: int,
        s: int = 2,
        depth: int = 3,
        *,
        generator: torch.Generator | None = None,
        schedule: Schedule | None = None,
    ):
        self.v, self.m = check_whole(v, "v", 2), check_count(m, "m")
        self.s, self.depth = check_whole(s, "s", 2), check_count(depth, "depth")
        check_memory(self.v**self.s * self.depth, torch.int64, f"v = {v}, s = {s}")
        if self.v * self.m > self.v**self.s:
            raise ValueError(f"m = {m}: at most v^(s - 1) = {self.v ** (self.s - 1)} rules a symbol can all differ")
        self.own_schedule = None if schedule is None else check_schedule(schedule)
        generator = check_generator(generator)
        self.rules, self._parents, tuples = [], [], self.v**self.s
        powers = self.v ** torch.arange(self.s - 1, -1, -1)
        for _ in range(self.depth):
            chosen = torch.randperm(tuples, generator=generator)[: self.v * self.m]
            parents = torch.full((tuples,), -1)
            parents[chosen] = torch.arange(self.v).repeat_interleave(self.m)
            self.rules.append((chosen[:, None] // powers % self.v).reshape(self.v, self.m, self.s))
            self._parents.append(parents)
        self.leaves = self.s**self.depth
        self.event_shape = (self.leaves * self.v,)
        self.size = self.scale * (1 - 1 / self.v)

    @property
    def scale(self) -> float:
        """What the one-hot vectors are multiplied by, v / sqrt(v - 1)."""
        return self.v / math.sqrt(self.v - 1)

    @property
    def count(self) -> int:
        """Number of strings of the grammar, v m^((s^L - 1) / (s - 1))."""
        return self.v * self.m ** ((self.leaves - 1) // (self.s - 1))

    def strings(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Strings drawn from the grammar.

        Args:
            count: how many.
            generator: of the draws; None for torch's own.

        Returns:
            (count, s^L) int64.

        Raises:
            ValueError: for a count below 1.
        """
        device = generator_device(generator)
        found = torch.randint(self.v, (check_count(count, "count"), 1), generator=generator, device=device).cpu()
        for rules in self.rules:
            choice = torch.randint(self.m, found.shape, generator=generator, device=device).cpu()
            found = rules[found, choice].flatten(1)
        return found

    def every_string(self) -> Tensor:
        """All strings of the grammar, (count, s^L); ValueError where there are more than 2^20."""
        if self.count > MOST:
            raise ValueError(f"v = {self.v}, m = {self.m}: {self.count:,} strings, at most {MOST:,} are listed")
        found = torch.arange(self.v)[:, None]
        for rules in self.rules:
            nodes = found.shape[1]
            choices = torch.cartesian_prod(*[torch.arange(self.m)] * nodes).reshape(-1, nodes)
            found = rules[found[:, None], choices[None]].flatten(2).flatten(0, 1)
        return found

    def encode(self, strings: Tensor) -> Tensor:
        """Strings (k, s^L) as points (k, s^L v), in torch's default dtype; ValueError for others."""
        hot = torch.nn.functional.one_hot(self._check(strings), self.v).to(torch.get_default_dtype())
        return (self.scale * (hot - 1 / self.v)).flatten(1)

    def decode(self, x: Tensor) -> Tensor:
        """The nearest string of any symbols to each point: at each leaf its largest coordinate, (k, s^L)."""
        return x.reshape(len(x), self.leaves, self.v).argmax(-1)

    def legal(self, strings: Tensor) -> Tensor:
        """Which strings keep to the grammar up to each level.

        Args:
            strings: (k, s^L) of symbols 0 to v - 1.

        Returns:
            (k, L) bool: whether all tuples of the levels 1 ... l, from the leaves up, are right-hand sides of rules; the last column says that
            the string is one of the grammar.

        Raises:
            ValueError: for other strings.
        """
        found, right, columns = self._check(strings), torch.ones(len(strings), dtype=torch.bool), []
        powers = self.v ** torch.arange(self.s - 1, -1, -1)
        for parents in reversed(self._parents):
            above = parents[(found.reshape(len(found), -1, self.s) * powers).sum(-1)]
            right = right & (above >= 0).all(1)
            columns.append(right)
            found = above.clamp(min=0)
        return torch.stack(columns, 1)

    def by_chance(self) -> tuple[float, ...]:
        """Share of strings of independent, equally likely symbols that are legal up to levels 1 ... L: (m / v^(s-1))^(tuples up to there)."""
        tuples = [sum(self.s ** (self.depth - 1 - k) for k in range(level + 1)) for level in range(self.depth)]
        return tuple((self.m / self.v ** (self.s - 1)) ** k for k in tuples)

    def _check(self, strings: Tensor) -> Tensor:
        good = isinstance(strings, Tensor) and strings.dtype == torch.int64 and strings.ndim == 2
        if not good or strings.shape[1] != self.leaves or not ((strings >= 0) & (strings < self.v)).all():
            shape = tuple(strings.shape) if isinstance(strings, Tensor) else type(strings).__name__
            raise ValueError(f"strings is {shape}: int64 (k, {self.leaves}) of symbols 0 to {self.v - 1} is needed")
        return strings

    def _sample0(self, m: int, generator) -> Tensor:
        return self.encode(self.strings(m, generator))

    def leaf_posteriors(self, evidence: Tensor) -> Tensor:
        """Posterior of each leaf of a random string, given independent evidence on its leaves: belief propagation.

        Args:
            evidence: (k, s^L, v), the log likelihood of each symbol at each leaf, up to a constant a leaf.

        Returns:
            (k, s^L, v), of sum 1 over the symbols.

        Raises:
            ValueError: for another shape.
        """
        if evidence.ndim != 3 or tuple(evidence.shape[1:]) != (self.leaves, self.v):
            raise ValueError(
                f"evidence has shape {tuple(evidence.shape)}: (k, {self.leaves}, {self.v}), one row a leaf, is needed"
            )
        up, by_rule = evidence - evidence.logsumexp(-1, keepdim=True), []
        for rules in reversed(self.rules):  # from the leaves to the root
            children = up.reshape(len(up), -1, self.s, self.v)
            joint = sum(children[:, :, k][..., rules[..., k].to(up.device)] for k in range(self.s))  # (k, nodes, v, m)
            by_rule.append(joint)
            up = joint.logsumexp(-1)
            up = up - up.logsumexp(-1, keepdim=True)
        known = up.softmax(-1)  # (k, 1, v), the root
        for rules, joint in zip(self.rules, reversed(by_rule)):  # and down again
            chosen = known[..., None] * joint.softmax(-1)  # (k, nodes, v, m): symbol and rule
            nodes = torch.zeros(*known.shape[:2], self.s, self.v, dtype=up.dtype, device=up.device)
            for k in range(self.s):
                nodes[:, :, k].index_add_(2, rules[..., k].flatten().to(up.device), chosen.flatten(2))
            known = nodes.flatten(1, 2)
        return known

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        evidence = (alpha * self.scale / sigma**2).to(x.dtype)[..., None] * x.reshape(len(x), self.leaves, self.v)
        return (self.scale * (self.leaf_posteriors(evidence) - 1 / self.v)).flatten(1)

    def _posterior_cov(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        raise ValueError("RandomHierarchy has no posterior covariance here: leaf_posteriors gives what each leaf is")

    def to(self, device=None, dtype=None) -> "RandomHierarchy":
        """The same law: the rules stay on the CPU, and answers come where the question is."""
        return self

    def __repr__(self) -> str:
        return f"RandomHierarchy(v={self.v}, m={self.m}, s={self.s}, depth={self.depth})"


def shared_parts(strings: Tensor, sizes: Iterable[int]) -> Tensor:
    """How prototypical each string of a set is: with how many others it shares an aligned part, summed over the parts.

    Args:
        strings: (n, leaves) int64.
        sizes: lengths of the parts, divisors of the number of leaves.

    Returns:
        (n,) float64: the sum over all aligned parts of these lengths of the number of other strings with the same part there, over n - 1.

    Raises:
        ValueError: for fewer than two strings, and a size that is no divisor.
    """
    if not isinstance(strings, Tensor) or strings.ndim != 2 or len(strings) < 2:
        raise ValueError("strings needs the shape (n, leaves), n >= 2")
    n, leaves = strings.shape
    found = torch.zeros(n, dtype=torch.float64)
    for size in sizes:
        if check_count(size, "sizes") > leaves or leaves % size:
            raise ValueError(f"sizes has {size}: a divisor of {leaves} is needed")
        for part in strings.reshape(n, -1, size).unbind(1):
            _, which, counts = part.unique(dim=0, return_inverse=True, return_counts=True)
            found += (counts[which] - 1) / (n - 1)
    return found
