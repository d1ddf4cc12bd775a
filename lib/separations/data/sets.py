"""Data sets by name: `load("mnist5k")` and friends, each with its shape, range, licence and source.

Files that do not come with the installation lie in the data root: the argument `root`, else the folder that the
variable SEPARATIONS_DATA names, else ~/.cache/separations. `python -m separations.data` lists what is there;
`python -m separations.data fetch NAME` downloads once, for use offline.
"""

import difflib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import check_count, check_finite, check_whole
from .data_set import DataSet, _stratified_order
from .ecg import cut_beats
from .fetch import DOWNLOADS
from .sources import SPECS, Raw, Spec, check_number, image_folder

FOLDER = "folder:"
OWN = "that of its owner"  # licence
LARGEST = 2**14  # pixels on a side: an image of that size takes 3 GB as float32


def load(
    name: str,
    *,
    root: str | Path | None = None,
    split: str = "train",
    size: int | None = None,
    limit: int | None = None,
    partial: bool = False,
) -> DataSet:
    """A data set by name.

    Images are float32 (n, c, h, w) in [-1, 1], signals float32 (n, 140) with mean 0 and variance 1. The order is fixed
    and the same on every machine: every x[:k] has the classes in their shares and is spread over the source, and
    `limit=k` gives the first k rows of `limit=None`.

    Args:
        name: mnist5k, digits, emoji, heartbeats, cifar10, flowers102, ecg5000, or folder:PATH.
        root: data root (see the module).
        split: "train", or "test" or "val" where there is one.
        size: 32 or 64 for emoji, any for folder:PATH (default 64; its images are cropped to the centre square).
        limit: at most this many rows.
        partial: True takes a file with another number of rows than the published one, which is an error otherwise.

    Returns:
        A `DataSet`. What is left out or changed on reading is a warning, and stands in its `notes`.

    Raises:
        ValueError: for a wrong argument or a damaged file.
        FileNotFoundError: saying what to do, if the data is not there.
    """
    raw, index, spec = opened(name, root=root, split=split, size=size, limit=limit, partial=partial)
    x, low, high = _scaled(raw, index, name)
    labels = None if raw.labels is None else torch.from_numpy(raw.labels[index])
    notes = _warned(name, raw.notes)
    shape, rows = tuple(x.shape[1:]), torch.from_numpy(index)
    return DataSet(x, labels, name, shape, (low, high), spec.licence, raw.source, rows, notes)


def opened(
    name: str,
    *,
    root=None,
    split: str = "train",
    size: int | None = None,
    limit: int | None = None,
    partial: bool = False,
) -> tuple[Raw, np.ndarray, Spec]:
    """What `load` reads from, the positions of its rows in their order, and what is known of the set; arguments and errors as there."""
    spec = _spec(name)
    folder = data_root(root) if root is not None or spec.places else Path()
    if not isinstance(split, str) or split not in spec.splits:
        raise ValueError(f"split = {split!r}: {name} has {', '.join(spec.splits)} (DataSet.split divides a set)")
    size = _check_size(name, spec, size)
    limit = None if limit is None else check_count(limit, "limit")
    if not isinstance(partial, bool):
        raise ValueError(f"partial = {partial!r}: True or False is needed")
    raw = spec.read(folder, split, size)
    if raw is None:
        raise FileNotFoundError(_what_to_do(name, spec, split, folder, root))
    if not partial:
        check_number(raw, name, split, spec.splits[split])
    index = _spread(raw.n, raw.labels)[:limit]
    return raw, index, spec


def from_recording(ecg: object, rate: float) -> DataSet:
    """The single heartbeats of a recording of your own, like those of the set heartbeats: float32 (n, 140).

    ecg: one lead, (samples,), in any unit; NaN where samples are missing. rate: samples a second, above 60. Each beat
    is cut around its R peak, 40 % of its length before it, and has mean 0 and variance 1; `index` is the sample of the
    R peak. The order is that of `load`. Beats beside gaps and pops are left out, a record that is upside down is
    turned; each is a warning, and stands in `notes`. ValueError for another shape, and if no heartbeat is found.
    """
    beats = cut_beats(ecg, rate)
    index = _spread(len(beats.x), None)
    x = torch.from_numpy(beats.x[index]).to(torch.float32)
    measured = (x.min().item(), x.max().item())
    source = f"a recording of {len(beats.x)} heartbeats, cut at the R peaks"
    notes = _warned("recording", beats.notes)
    rows = torch.from_numpy(beats.peaks[index])
    return DataSet(x, None, "recording", tuple(x.shape[1:]), measured, OWN, source, rows, notes)


def _warned(name: str, notes: Sequence[str]) -> tuple[str, ...]:
    for note in notes:
        warnings.warn(f"{name}: {note}", stacklevel=3)
    return tuple(notes)


def _spread(n: int, labels: np.ndarray | None) -> np.ndarray:
    """The order of the rows: the classes in their shares, and spread over the source."""
    golden = np.modf(np.arange(n) * 0.6180339887498949)[0]  # multiples of the golden section fill [0, 1) evenly
    return _stratified_order(labels, golden)


def data_root(root: str | Path | None = None) -> Path:
    """Data root: `root`, else $SEPARATIONS_DATA, else ~/.cache/separations.

    FileNotFoundError for a `root` that is not there, or where a file stands at its place; ValueError for no path.
    """
    if root is not None:
        path = _expanded(root, "root")
        if not os.path.isdir(path):
            raise FileNotFoundError(f"root = {str(root)!r}: an existing folder is needed")
        return path
    named = os.environ.get("SEPARATIONS_DATA")
    path = _expanded(named or "~/.cache/separations", "SEPARATIONS_DATA")
    if os.path.exists(path) and not path.is_dir():
        raise FileNotFoundError(f"SEPARATIONS_DATA = {str(path)!r} is a file: a folder is needed")
    return path


def _expanded(path: str | Path, name: str) -> Path:
    """The path, ~ replaced by the home folder; ValueError if that is not known, or for no path."""
    if not isinstance(path, str | os.PathLike) or "\0" in os.fsdecode(path) or path == "":
        raise ValueError(f"{name} = {path!r}: the path of a folder is needed")
    try:
        return Path(os.fsdecode(path)).expanduser()
    except RuntimeError:
        raise ValueError(
            f"{name} = {str(path)!r}: there is no such home folder, the path of a folder is needed"
        ) from None


def _spec(name: str) -> Spec:
    if isinstance(name, str) and name.startswith(FOLDER):
        path = _expanded(name.removeprefix(FOLDER) or name, "name")
        if name == FOLDER or not os.path.isdir(path):
            raise FileNotFoundError(f"name = {name!r}: there is no such folder; {FOLDER}PATH needs a folder of images")
        return Spec(
            lambda root, split, size: image_folder(path, size, f"images under {path}"),
            (3, 64, 64),
            {"train": 0},
            0,
            OWN,
        )
    if not isinstance(name, str) or name not in SPECS:
        close = difflib.get_close_matches(str(name).lower(), SPECS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"name = {name!r}: {hint}Allowed: {', '.join(SPECS)}, {FOLDER}PATH")
    return SPECS[name]


def _check_size(name: str, spec: Spec, size: int | None) -> int:
    native = spec.shape[-1]
    if size is None or name.startswith(FOLDER):
        size = native if size is None else check_count(size, "size")
        return check_whole(size, "size", 1, LARGEST)
    allowed = spec.sizes or (native,)
    try:
        whole = check_count(size, "size")
    except ValueError:
        whole = None
    if whole not in allowed:
        raise ValueError(f"size = {size!r}: {name} comes with size {' or '.join(map(str, allowed))}")
    return whole


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
