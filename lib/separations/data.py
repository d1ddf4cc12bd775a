"""Data sets by name: `load("mnist5k")` and friends, each with its shape, range, licence and source.

Files that do not come with the installation lie in the data root: the argument `root`, else the folder that the
variable SEPARATIONS_DATA names, else ~/.cache/separations. `python -m separations.data` lists what is there;
`python -m separations.data fetch NAME` downloads once, for use offline.
"""

import difflib
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .checks import check_count, check_finite
from .data_fetch import DOWNLOADS
from .data_sources import SPECS, Raw, Spec, image_folder

FOLDER = "folder:"


@dataclass(frozen=True, eq=False, repr=False)
class DataSet:
    """A data set in memory. `index` holds each row's position in the source (file or sorted file names)."""

    x: Tensor  # float32 (n, *shape)
    labels: Tensor | None  # int64 (n,), classes from 0
    name: str
    shape: tuple[int, ...]  # (c, h, w) or (length,)
    range: tuple[float, float]  # lowest and highest value: (-1, 1) for images, measured for signals
    licence: str
    source: str
    index: Tensor = field(default=None)  # int64 (n,)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.x)

    @property
    def d(self) -> int:
        """Numbers in a row."""
        return math.prod(self.shape)

    def __repr__(self) -> str:
        classes = "no labels" if self.labels is None else f"{len(self.labels.unique())} classes"
        low, high = self.range
        values = f"{self.n} x {self.shape} in [{low:.3g}, {high:.3g}]"
        return f"DataSet({self.name}: {values}, {classes}, licence: {self.licence})"

    def take(self, indices: Tensor | Sequence[int]) -> "DataSet":
        """The rows at `indices` (whole numbers in 0..n-1, any order; or a mask of n booleans); ValueError otherwise."""
        rows = torch.as_tensor(indices)
        if rows.dtype == torch.bool and rows.shape == (self.n,):
            rows = rows.nonzero().flatten()
        whole = not rows.is_floating_point() and rows.dtype != torch.bool
        if not (whole and rows.ndim == 1 and len(rows) and rows.min() >= 0 and rows.max() < self.n):
            raise ValueError(f"indices = {indices!r}: a list of whole numbers in 0..{self.n - 1}, not empty, is needed")
        rows = rows.to(torch.int64)
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, x=self.x[rows], labels=labels, index=self.index[rows])

    def split(self, n_train: int, generator: torch.Generator | None = None) -> tuple["DataSet", "DataSet"]:
        """Two disjoint parts, the first with n_train rows and the shares of the classes kept; 1 <= n_train < n.

        With a generator the rows are drawn at random; without one the first rows of each class are taken.
        """
        if check_count(n_train, "n_train") >= self.n:
            raise ValueError(
                f"n_train = {n_train}: a whole number from 1 to {self.n - 1} is needed, {self.name} has {self.n}"
            )
        key = np.arange(self.n) if generator is None else torch.rand(
            self.n, generator=generator, dtype=torch.float64, device=generator.device
        ).cpu().numpy()  # fmt: skip
        order = _stratified_order(None if self.labels is None else self.labels.numpy(), key)
        return self.take(np.sort(order[:n_train])), self.take(np.sort(order[n_train:]))


def load(
    name: str,
    *,
    root: str | Path | None = None,
    split: str = "train",
    size: int | None = None,
    limit: int | None = None,
) -> DataSet:
    """A data set by name: mnist5k, digits, emoji, heartbeats, cifar10, flowers102, ecg5000, or folder:PATH.

    Images are float32 (n, c, h, w) in [-1, 1], signals float32 (n, 140) with mean 0 and variance 1. The order is fixed
    and the same on every machine: every x[:k] has the classes in their shares and is spread over the source, and
    `limit=k` gives the first k rows of `limit=None`.

    root: data root (see the module). split: "train", or "test" or "val" where there is one. size: 32 or 64 for emoji,
    any for folder:PATH (default 64; its images are cropped to the centre square). limit: at most this many rows.
    FileNotFoundError, saying what to do, if the data is not there; ValueError for a wrong argument or a damaged file.
    """
    folder = data_root(root)
    spec = _spec(name)
    if split not in spec.splits:
        raise ValueError(f"split = {split!r}: {name} has {', '.join(spec.splits)} (DataSet.split divides a set)")
    size = _check_size(name, spec, size)
    if limit is not None:
        check_count(limit, "limit")
    raw = spec.read(folder, split, size)
    if raw is None:
        raise FileNotFoundError(_what_to_do(name, spec, split, folder, root))
    golden = np.modf(np.arange(raw.n) * 0.6180339887498949)[0]  # multiples of the golden section fill [0, 1) evenly
    index = _stratified_order(raw.labels, golden)[:limit]
    x, low, high = _scaled(raw, index, name)
    labels = None if raw.labels is None else torch.from_numpy(raw.labels[index])
    return DataSet(x, labels, name, tuple(x.shape[1:]), (low, high), spec.licence, raw.source, torch.from_numpy(index))


def data_root(root: str | Path | None = None) -> Path:
    """Data root: `root`, else $SEPARATIONS_DATA, else ~/.cache/separations; FileNotFoundError for a wrong `root`."""
    if root is None:
        return Path(os.environ.get("SEPARATIONS_DATA") or "~/.cache/separations").expanduser()
    if not Path(root).expanduser().is_dir():
        raise FileNotFoundError(f"root = {str(root)!r}: an existing folder is needed")
    return Path(root).expanduser()


def _spec(name: str) -> Spec:
    if isinstance(name, str) and name.startswith(FOLDER):
        path = Path(name.removeprefix(FOLDER)).expanduser()
        if name == FOLDER or not path.is_dir():
            raise FileNotFoundError(f"name = {name!r}: there is no such folder; {FOLDER}PATH needs a folder of images")
        return Spec(
            lambda root, split, size: image_folder(path, size, f"images under {path}"),
            (3, 64, 64),
            {"train": 0},
            0,
            "that of its owner",
        )
    if name not in SPECS:
        close = difflib.get_close_matches(str(name).lower(), SPECS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"name = {name!r}: {hint}Allowed: {', '.join(SPECS)}, {FOLDER}PATH")
    return SPECS[name]


def _check_size(name: str, spec: Spec, size: int | None) -> int:
    native = spec.shape[-1]
    if size is None or name.startswith(FOLDER):
        return native if size is None else check_count(size, "size")
    allowed = spec.sizes or (native,)
    if size not in allowed or isinstance(size, bool):
        raise ValueError(f"size = {size!r}: {name} comes with size {' or '.join(map(str, allowed))}")
    return size


def _what_to_do(name: str, spec: Spec, split: str, folder: Path, root: str | Path | None) -> str:
    places = ", ".join(place.format(split=split, SPLIT=split.upper()) for place in spec.places)
    place = f"{name} ({split}) is not in {folder} (looked for {places})"
    if name in DOWNLOADS:
        option = "" if root is None else f" --root {root}"
        return f"{place}. Download it once: python -m separations.data fetch {name}{option}"
    return (
        f"{place}. Put it there, or set SEPARATIONS_DATA to the folder that has it; see 'Data and licences' in the book"
    )


def _scaled(raw: Raw, index: np.ndarray, name: str) -> tuple[Tensor, float, float]:
    """Rows as float32, and the range: images from 0..white to [-1, 1] as (m, c, h, w), signals as they are."""
    x = torch.from_numpy(raw.rows(index))
    if x.dtype == torch.uint8:
        x = x.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        return x.div_(raw.white / 2).sub_(1), -1.0, 1.0
    x = check_finite(x.to(torch.float32), name)
    return x, x.min().item(), x.max().item()


def _stratified_order(labels: np.ndarray | None, key: np.ndarray) -> np.ndarray:
    """Order of 0..n-1: every beginning holds the classes in their shares; within a class, by increasing key."""
    _, group, sizes = np.unique(
        np.zeros(len(key)) if labels is None else labels, return_inverse=True, return_counts=True
    )
    by_group = np.lexsort((key, group))
    rank = np.empty(len(key), dtype=np.int64)
    rank[by_group] = np.arange(len(key)) - (np.cumsum(sizes) - sizes)[group[by_group]]
    return np.lexsort((group, (rank + 0.5) / sizes[group]))


if __name__ == "__main__":
    from .data_command import main

    sys.exit(main())
