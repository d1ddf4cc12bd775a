"""What is measured: for each task, our function and its peers on the same tensors.

Every method is prepared once with the training set (an index, norms) and returns a function of the queries.
"""

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from separations.distributions import Empirical
from separations.numerics import Rows, nearest
from separations.schedules import OU

Tensor = torch.Tensor
Query = Callable[[Tensor], Tensor]  # queries (m, d) -> their scores (m, d) or two distances (m, 2)


@dataclass(frozen=True)
class Task:
    """A size and a noise level. kind: 'score' (the empirical score of m queries) or 'neighbours' (the two nearest rows)."""

    name: str
    kind: str
    m: int
    n: int
    d: int
    sigma: float = 0.5

    @property
    def t(self) -> float:
        return -math.log1p(-(self.sigma**2))


TASKS = [
    Task("score, CIFAR-10 size, little noise", "score", 256, 50_000, 3072, 0.002),
    Task("score, CIFAR-10 size, much noise", "score", 256, 50_000, 3072, 0.9),
    Task("score, low dimension", "score", 1000, 50_000, 16, 0.3),
    Task("two nearest rows, CIFAR-10 size", "neighbours", 256, 50_000, 3072),
    Task("two nearest rows, MNIST size", "neighbours", 1000, 5_000, 784),
]
QUICK = [
    Task("score, little noise", "score", 32, 1000, 256, 0.002),
    Task("score, much noise", "score", 32, 1000, 256, 0.9),
    Task("two nearest rows", "neighbours", 32, 1000, 256),
]


def inputs(task: Task) -> tuple[Tensor, Tensor]:
    """Training set (n, d) in [-1, 1], every row with a near-duplicate at a distance of 1e-4 sqrt(d), and noisy rows as queries (m, d)."""
    g = torch.Generator().manual_seed(0)
    data, half = torch.empty(task.n, task.d), task.n // 2  # filled in place: no temporary copy blurs the memory figures
    data[:half].uniform_(-1, 1, generator=g)
    data[half:].normal_(generator=g).mul_(1e-4).add_(data[:half])
    picked = data[torch.randint(task.n, (task.m,), generator=g)]
    alpha, sigma = (math.exp(-task.t / 2), task.sigma) if task.kind == "score" else (1.0, 0.3)
    return data, alpha * picked + sigma * torch.randn(task.m, task.d, generator=g)


def ours_score(task: Task, data: Tensor) -> Query:
    law = Empirical(data)
    return lambda x: law.score(x, task.t)


def two_products(task: Task, data: Tensor) -> Query:
    """The floor: the two matrix products no exact method can avoid (not a score)."""
    return lambda x: (x @ data.T) @ data


def cdist_softmax(task: Task, data: Tensor) -> Query:
    alpha = float(OU().alpha(task.t))
    rows = alpha * data
    return lambda x: (torch.softmax(-torch.cdist(x, rows).square() / (2 * task.sigma**2), 1) @ rows - x) / task.sigma**2


def sdpa(task: Task, data: Tensor) -> Query:
    """One softmax-attention head with the training points as keys and values, and -|key|^2 as a bias."""
    alpha = float(OU().alpha(task.t))
    bias = -(alpha**2) / (2 * task.sigma**2) * data.square().sum(1)
    keys = data[None, None]

    def query(x: Tensor) -> Tensor:
        mask, q = bias.expand(1, 1, len(x), -1), (x * alpha / task.sigma**2)[None, None]
        mean = torch.nn.functional.scaled_dot_product_attention(q, keys, keys, attn_mask=mask, scale=1.0)[0, 0]
        return (alpha * mean - x) / task.sigma**2

    return query


def keops(task: Task, data: Tensor) -> Query:
    from pykeops.torch import LazyTensor

    rows = LazyTensor((float(OU().alpha(task.t)) * data)[None, :, :].contiguous())

    def query(x: Tensor) -> Tensor:
        logits = -((LazyTensor(x[:, None, :].contiguous()) - rows) ** 2).sum(-1) / (2 * task.sigma**2)
        return (logits.sumsoftmaxweight(rows, dim=1) - x) / task.sigma**2

    return query


def ours_neighbours(task: Task, data: Tensor) -> Query:
    rows = Rows(data)
    return lambda x: nearest(x, rows)[0].sqrt()


def cdist_topk(task: Task, data: Tensor) -> Query:
    return lambda x: torch.cdist(x, data).topk(2, largest=False).values


def faiss_flat(task: Task, data: Tensor) -> Query:
    import faiss

    index = faiss.IndexFlatL2(task.d)
    index.add(data.numpy())
    return lambda x: torch.from_numpy(index.search(x.numpy(), 2)[0]).clamp(min=0).sqrt()


def faiss_8_bit(task: Task, data: Tensor) -> Query:
    """FAISS with every value rounded to a byte, one scale a dimension: a quarter of the memory, and not exact."""
    import faiss

    index = faiss.IndexScalarQuantizer(task.d, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_L2)
    index.train(data[:4096].numpy())
    index.add(data.numpy())
    return lambda x: torch.from_numpy(index.search(x.numpy(), 2)[0]).clamp(min=0).sqrt()


def sklearn_brute(task: Task, data: Tensor) -> Query:
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(data.numpy())
    return lambda x: torch.from_numpy(index.kneighbors(x.numpy())[0])


METHODS: dict[str, dict[str, Callable[[Task, Tensor], Query]]] = {
    "score": {
        "ours": ours_score,
        "two matrix products": two_products,
        "cdist + softmax": cdist_softmax,
        "torch SDPA": sdpa,
        "KeOps": keops,
    },
    "neighbours": {
        "ours": ours_neighbours,
        "cdist + topk": cdist_topk,
        "FAISS flat": faiss_flat,
        "FAISS 8-bit": faiss_8_bit,
        "scikit-learn brute": sklearn_brute,
    },
}
NEEDS = {"KeOps": "pykeops", "FAISS flat": "faiss", "FAISS 8-bit": "faiss", "scikit-learn brute": "sklearn"}
NOT_MEANT_FOR = {
    "KeOps": lambda task: task.d > 100 and "KeOps unrolls the dimension in registers: meant for d up to about 100"
}


def left_out(method: str, task: Task) -> str:
    """Why a method is not measured on a task, or an empty string."""
    package = NEEDS.get(method)
    if package and importlib.util.find_spec(package) is None:
        return f"{package} is not installed (pip install -r benchmarks/requirements.txt)"
    return NOT_MEANT_FOR.get(method, lambda task: "")(task) or ""


def exact(task: Task, data: Tensor, x: Tensor) -> Tensor:
    """The same quantity in float64 by explicit differences, query by query: (m, d) or (m, 2)."""
    alpha = float(OU().alpha(task.t)) if task.kind == "score" else 1.0
    rows = alpha * data.double()
    squared = torch.stack([(row - rows).square().sum(1) for row in x.double()])
    if task.kind == "neighbours":
        return squared.topk(2, largest=False).values.sqrt()
    weights = torch.softmax(-squared / (2 * task.sigma**2), 1)
    return (weights @ rows - x.double()) / task.sigma**2
