"""A network that is told a label with each image, and losses that tell it."""

import torch
from torch import Tensor, nn

from ..networks import MLP, Denoiser
from .term_functions import Terms


class Labelled(nn.Module):
    """An MLP that sees the code of a label beside the image: f(z, code of the label, features of the log-SNR).

    The codes are fixed, so that kinds of labels differ in which label an image has and in nothing else: not in the size of the network, not in its
    start. By itself the module knows no label and answers for the code 0; `given` tells it.

    Args:
        network: takes and gives d + e numbers; what it gives for the code is dropped.
        codes: of the labels, (labels, e).

    Raises:
        ValueError: another network, codes that are no table, or leave nothing of the network for the image.
    """

    def __init__(self, network: MLP, codes: Tensor):
        super().__init__()
        if not isinstance(network, MLP):
            raise ValueError(f"network is {type(network).__name__}: an MLP is needed")
        if not isinstance(codes, Tensor) or not codes.is_floating_point() or codes.ndim != 2 or not codes.numel():
            what = tuple(codes.shape) if isinstance(codes, Tensor) else type(codes).__name__
            raise ValueError(f"codes is {what}: a floating-point table (labels, e) is needed")
        d = network.event_shape[0] - codes.shape[1]
        if d < 1 or not codes.isfinite().all():
            raise ValueError(
                f"codes has {codes.shape[1]} columns for {network.event_shape[0]} inputs: finite codes, and an input for the image, are needed"
            )
        self.network, self.event_shape = network, (d,)
        self.register_buffer("codes", codes.detach().to(next(network.parameters())))

    @property
    def copies(self) -> int | None:
        """Of the network."""
        return self.network.copies

    def forward(self, x: Tensor, log_snr: Tensor, labels: Tensor | None = None) -> Tensor:
        """x (m, d), log_snr and labels (m,), or with copies (c, m, d), (c, m), (c, m) or (m,) -> shape of x; no labels: the code 0."""
        e = self.codes.shape[1]
        code = x.new_zeros(e) if labels is None else self.codes[labels]
        return self.network(torch.cat([x, code.expand(*x.shape[:-1], e)], -1), log_snr)[..., : x.shape[-1]]

    def given(self, labels: Tensor) -> nn.Module:
        """The same network, weights shared, when it is told these labels.

        Args:
            labels: whole numbers, one for each row that it will be asked for, (m,) or (c, m).

        Returns:
            A network for a `Denoiser`.

        Raises:
            ValueError: labels that are no whole numbers, or have no code.
        """
        if not isinstance(labels, Tensor) or labels.dtype != torch.long or not labels.numel():
            what = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
            raise ValueError(f"labels is {what}: a tensor of whole numbers is needed")
        if labels.min() < 0 or labels.max() >= len(self.codes):
            ends = f"{int(labels.min())} to {int(labels.max())}"
            raise ValueError(f"labels has {ends}: labels 0 to {len(self.codes) - 1} are needed")
        return _Told(self, labels)

    def copy(self, i: int) -> "Labelled":
        """Copy i of a stack as a single network with weights of its own."""
        return type(self)(self.network.copy(i), self.codes)


class _Told(nn.Module):
    """A labelled network and the labels of the rows."""

    def __init__(self, network: Labelled, labels: Tensor):
        super().__init__()
        self.network, self.labels, self.event_shape = network, labels, network.event_shape

    @property
    def copies(self) -> int | None:
        return self.network.copies

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        return self.network(x, log_snr, self.labels)


def told(model: Denoiser, labels: Tensor) -> Denoiser:
    """The score of a labelled network given labels: one label for each row that it is asked for.

    Args:
        model: a denoiser around `Labelled`.
        labels: as in `Labelled.given`.

    Returns:
        A denoiser that shares its weights.

    Raises:
        ValueError: another network, labels without a code.
    """
    if not isinstance(model, Denoiser) or not isinstance(model.network, Labelled):
        raise ValueError(f"model is {type(model).__name__}: a denoiser around a labelled network is needed")
    return model.with_network(model.network.given(labels))


class LabelledTerms:
    """A loss of this room in which the network is told the label of each training image.

    Args:
        inner: the loss.
        labels: of the rows of the training sets, put one behind the other: whole numbers, (rows,).

    Raises:
        ValueError: labels that are no row of whole numbers.
    """

    def __init__(self, inner: Terms, labels: Tensor):
        if not isinstance(labels, Tensor) or labels.dtype != torch.long or labels.ndim != 1:
            raise ValueError(f"labels is {type(labels).__name__}: a row of whole numbers is needed")
        self.inner, self.labels = inner, labels

    def __call__(self, model: Denoiser, x0: Tensor, t: Tensor, eps: Tensor, rows: Tensor) -> Tensor:
        """Losses, the shape of t."""
        return self.inner(told(model, self.labels[rows]), x0, t, eps, rows)
