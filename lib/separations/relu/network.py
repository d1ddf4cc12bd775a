"""Explicit ReLU networks of the class F(W, L, N) and their algebra: nothing here is trained.

A network is affine, ReLU, affine, ..., ReLU, affine, with no skips: what must survive a layer is carried through it as
relu(x) - relu(-x), or as relu(x) where it is known not to be negative. Its size is counted as in Ye et al. (2026, section 5):

    W  width: the largest number of ReLUs in a layer (the number of outputs, where there is no ReLU);
    L  depth: the number of affine maps, one more than the number of layers of ReLUs;
    N  the number of weights and biases that are not 0.

The weights are stored sparse, for n terms side by side are a block-diagonal matrix; `dense` exports plain linear layers.
All arithmetic is float64. The scalar bricks are in `relu.bricks`, the scores in `relu.scores`.
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor

from ..numerics.checks import as_numbers, check_count, check_points

Layer = tuple[sparse.csr_array, np.ndarray]
DENSE_LIMIT = 2**25  # numbers that `dense` may store: 256 MiB


class ReLUNetwork(torch.nn.Module):
    """Affine maps with ReLUs between them: (m, inputs) -> (m, outputs), float64.

    Args:
        layers: pairs of a weight (outputs, inputs) and a bias (outputs,).
        error: the guaranteed bound on what the network approximates, on `valid`; None where nothing is approximated.
        valid: (low, high), the box of inputs; None where every input is allowed.
        nonnegative: whether the outputs are >= 0 for valid inputs.

    Raises:
        ValueError: for no layers, or layers that do not fit.
    """

    def __init__(self, layers: Sequence, *, error: float | None = None, valid=None, nonnegative: bool = False):
        super().__init__()
        self.layers: list[Layer] = [_layer(weight, bias) for weight, bias in layers]
        if not self.layers:
            raise ValueError("layers is empty: at least one affine map is needed")
        for (first, _), (second, _) in zip(self.layers, self.layers[1:]):
            if first.shape[0] != second.shape[1]:
                raise ValueError(
                    f"layers of shapes {first.shape} and {second.shape} follow each other: they do not fit"
                )
        self.inputs, self.outputs = self.layers[0][0].shape[1], self.layers[-1][0].shape[0]
        self.error, self.nonnegative = error, nonnegative
        self.valid = None if valid is None else tuple(np.broadcast_to(v, (self.inputs,)).astype(float) for v in valid)
        for i, (weight, bias) in enumerate(self.layers):
            self.register_buffer(f"places{i}", torch.from_numpy(np.stack(weight.tocoo().coords).astype(np.int64)))
            self.register_buffer(f"weight{i}", torch.from_numpy(weight.data))
            self.register_buffer(f"bias{i}", torch.from_numpy(bias))

    @property
    def width(self) -> int:
        """W: the largest number of ReLUs in a layer."""
        return max((len(bias) for _, bias in self.layers[:-1]), default=self.outputs)

    @property
    def depth(self) -> int:
        """L: the number of affine maps."""
        return len(self.layers)

    @property
    def nonzero(self) -> int:
        """N: the number of weights and biases that are not 0."""
        return sum(weight.nnz + int(np.count_nonzero(bias)) for weight, bias in self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """x: (m, inputs) -> (m, outputs), float64. Outside of `valid` the value means nothing; `check` tells."""
        x = check_points(x, (self.inputs,)).double().T
        for i, (weight, _) in enumerate(self.layers):
            places, values = getattr(self, f"places{i}"), getattr(self, f"weight{i}")
            matrix = torch.sparse_coo_tensor(places, values, weight.shape, is_coalesced=True, check_invariants=False)
            x = torch.sparse.mm(matrix, x.relu() if i else x) + getattr(self, f"bias{i}")[:, None]
        return x.T

    def check(self, x: Tensor) -> Tensor:
        """x, if the guarantee holds at each of its rows; ValueError that names the first bad coordinate otherwise."""
        check_points(x, (self.inputs,))
        if self.valid is not None:
            low, high = (torch.from_numpy(v.copy()).to(x.device) for v in self.valid)
            bad = ((x < low) | (x > high)).nonzero()
            if len(bad):
                row, k = bad[0].tolist()
                allowed = f"[{self.valid[0][k]:g}, {self.valid[1][k]:g}]"
                raise ValueError(
                    f"x[{row}, {k}] = {float(x[row, k]):g} is outside {allowed}, where the network is valid"
                )
        return x

    def dense(self) -> torch.nn.Sequential:
        """The same network as torch.nn.Linear and torch.nn.ReLU. Raises ValueError beyond 2^25 stored numbers."""
        numbers = sum(weight.shape[0] * weight.shape[1] for weight, _ in self.layers)
        if numbers > DENSE_LIMIT:
            raise ValueError(f"the dense network has {numbers} weights: at most {DENSE_LIMIT} are stored")
        modules = []
        for weight, bias in self.layers:
            linear = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
            linear.weight.data, linear.bias.data = torch.from_numpy(weight.toarray()), torch.from_numpy(bias.copy())
            modules += [linear, torch.nn.ReLU()]
        return torch.nn.Sequential(*modules[:-1])

    def certified(self, error: float, low, high, nonnegative: bool = False) -> "ReLUNetwork":
        """The same network with a guarantee: at most `error` off on the box [low, high] of inputs."""
        return ReLUNetwork(self.layers, error=error, valid=(low, high), nonnegative=nonnegative)

    def extra_repr(self) -> str:
        return f"inputs={self.inputs}, outputs={self.outputs}, W={self.width}, L={self.depth}, N={self.nonzero}"


def _layer(weight, bias) -> Layer:
    weight = sparse.csr_array(weight if sparse.issparse(weight) else _numbers(weight, "weight"), dtype=np.float64)
    weight.eliminate_zeros()
    weight.sort_indices()
    bias = np.ascontiguousarray(_numbers(bias, "bias"))
    if 0 in weight.shape or bias.shape != weight.shape[:1]:
        raise ValueError(f"weight {weight.shape} and bias {bias.shape}: (k, j) and (k,) with k, j >= 1 are needed")
    if not (np.isfinite(weight.data).all() and np.isfinite(bias).all()):
        raise ValueError("a weight or bias is NaN or infinite: finite values are needed")
    return weight, bias


def _numbers(values, name: str) -> np.ndarray:
    """float64, from a tensor, an array or lists of real numbers."""
    values = np.asarray(values) if isinstance(values, list | tuple) else values
    if isinstance(values, np.ndarray) and values.size == 0:  # `_layer` names the shapes
        return values.astype(np.float64)
    return as_numbers(values, name).detach().cpu().numpy()


def affine(weight, bias=None) -> ReLUNetwork:
    """x -> weight x + bias, depth 1.

    Args:
        weight: (outputs, inputs), dense or sparse.
        bias: (outputs,), 0 if None.

    Returns:
        The network.

    Raises:
        ValueError: for what are no finite numbers, or shapes that do not fit.
    """
    weight = weight if sparse.issparse(weight) else np.atleast_2d(_numbers(weight, "weight"))
    return ReLUNetwork([(weight, np.zeros(weight.shape[0]) if bias is None else np.atleast_1d(_numbers(bias, "bias")))])


def identity(inputs: int, depth: int = 1, *, nonnegative: bool = False) -> ReLUNetwork:
    """x -> x through `depth` affine maps, by relu(x) - relu(-x); by relu(x) where the inputs are known to be >= 0."""
    eye = sparse.eye_array(check_count(inputs, "inputs"))
    if check_count(depth, "depth") == 1:
        return ReLUNetwork([(eye, np.zeros(inputs))], nonnegative=nonnegative)
    first = eye if nonnegative else sparse.vstack([eye, -eye])
    units = first.shape[0]
    layers = [(first, np.zeros(units)), *[(sparse.eye_array(units), np.zeros(units))] * (depth - 2)]
    return ReLUNetwork([*layers, (first.T, np.zeros(inputs))], nonnegative=nonnegative)


def compose(*networks: ReLUNetwork) -> ReLUNetwork:
    """networks[-1](... networks[0](x)): adjacent affine maps become one, so that the depth is sum L - (number - 1)."""
    layers = list(networks[0].layers)
    for before, network in zip(networks, networks[1:]):
        if before.outputs != network.inputs:
            raise ValueError(f"{before.outputs} outputs meet {network.inputs} inputs: the numbers must agree")
        (weight, bias), (next_weight, next_bias) = layers.pop(), network.layers[0]
        layers += [(next_weight @ weight, next_weight @ bias + next_bias), *network.layers[1:]]
    return ReLUNetwork(layers, nonnegative=networks[-1].nonnegative)


def parallel(*networks: ReLUNetwork) -> ReLUNetwork:
    """(x_1, x_2, ...) -> (f_1(x_1), f_2(x_2), ...), block-diagonal; the shallower ones are prolonged by identities."""
    depth = max(network.depth for network in networks)
    networks = [_prolong(network, depth) for network in networks]
    layers = []
    for parts in zip(*(network.layers for network in networks)):
        blocks = sparse.block_diag([weight for weight, _ in parts], format="csr")
        layers.append((blocks, np.concatenate([bias for _, bias in parts])))
    return ReLUNetwork(layers, nonnegative=all(network.nonnegative for network in networks))


def _prolong(network: ReLUNetwork, depth: int) -> ReLUNetwork:
    if network.depth == depth:
        return network
    wire = identity(network.outputs, depth - network.depth + 1, nonnegative=network.nonnegative)
    return compose(network, wire)


def copies(network: ReLUNetwork, n: int) -> ReLUNetwork:
    """n copies side by side, each with inputs of its own: (x_1, ..., x_n) -> (f(x_1), ..., f(x_n))."""
    eye = sparse.eye_array(check_count(n, "n"))
    layers = [(sparse.kron(eye, weight, format="csr"), np.tile(bias, n)) for weight, bias in network.layers]
    return ReLUNetwork(layers, nonnegative=network.nonnegative)


def shared(*networks: ReLUNetwork) -> ReLUNetwork:
    """x -> (f_1(x), f_2(x), ...), all reading the same x."""
    eye = sparse.eye_array(networks[0].inputs)
    return compose(affine(sparse.vstack([eye] * len(networks))), parallel(*networks))


def route(inputs: int, *branches: tuple[ReLUNetwork, Sequence[int]]) -> ReLUNetwork:
    """x -> (f_1(x[columns_1]), f_2(x[columns_2]), ...): each branch is a network and the inputs that it reads."""
    columns = np.concatenate([np.atleast_1d(chosen) for _, chosen in branches])
    shape = (len(columns), check_count(inputs, "inputs"))
    pick = sparse.csr_array((np.ones(len(columns)), (np.arange(len(columns)), columns)), shape=shape)
    return compose(affine(pick), parallel(*[network for network, _ in branches]))


def clip(low, high) -> ReLUNetwork:
    """x -> min(max(x, low), high), coordinate by coordinate, exactly: low + relu(x - low) - relu(x - high)."""
    low, high = (np.atleast_1d(as_numbers(end, name).numpy()) for name, end in (("low", low), ("high", high)))
    if low.shape != high.shape or not (low < high).all():
        raise ValueError(f"low = {low.tolist()}, high = {high.tolist()}: low < high is needed in every coordinate")
    eye = sparse.eye_array(len(low))
    first = (sparse.vstack([eye, eye]), np.concatenate([-low, -high]))
    return ReLUNetwork([first, (sparse.hstack([eye, -eye]), low)])


def maximum(n: int) -> ReLUNetwork:
    """(x_1, ..., x_n) -> max_i x_i, exactly: a tournament of ceil(log2 n) rounds of max(a, b) = b + relu(a - b)."""
    network = identity(check_count(n, "n"))
    while network.outputs > 1:
        network = compose(network, _round(network.outputs))
    return network


def _round(n: int) -> ReLUNetwork:
    """One round: (a, b) -> relu(a - b) + relu(b) - relu(-b) for each pair; who is left over passes."""
    pairs, left = divmod(n, 2)
    odd = ([[1.0], [-1.0]], [[1.0, -1.0]]) if left else (sparse.csr_array((0, 0)), sparse.csr_array((0, 0)))
    duel = sparse.kron(sparse.eye_array(pairs), [[1.0, -1.0], [0.0, 1.0], [0.0, -1.0]])
    winner = sparse.kron(sparse.eye_array(pairs), [[1.0, 1.0, -1.0]])
    first, second = sparse.block_diag([duel, odd[0]]), sparse.block_diag([winner, odd[1]])
    return ReLUNetwork([(first, np.zeros(first.shape[0])), (second, np.zeros(second.shape[0]))])
