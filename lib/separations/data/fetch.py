"""Downloads of the data sets that may be downloaded: once, checked, written whole, for use offline afterwards.

By the standard library and not by pooch (1.9), which would save none of the two dozen lines of `_download`: it opens no file:// address (a
mirror on a disk, and the tests), names the file where the address is wanted, raises the errors of requests, and reports
progress to an object in place of a function of the file's name; each of these would be a translation here.
"""

import hashlib
import http.client
import os
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .formats import CIFAR_BATCHES, FLOWERS_MATS, check_sha256, flowers_splits, read_cifar_batches, read_npz
from .images import read_image
from .sources import SPECS

Progress = Callable[[str, int, int], None]  # file, bytes so far, bytes in all
Split = tuple[np.ndarray, np.ndarray]  # images, uint8 (n, h, w, 3), and labels, int64 (n,)


@dataclass(frozen=True)
class Download:
    """The files of a data set with their SHA-256, and the function that turns them into arrays."""

    base: str
    files: dict[str, str]
    megabytes: int
    convert: Callable[[Path], dict[str, Split]]


def fetch(name: str, root: Path, progress: Progress | None = None) -> bool:
    """Download a data set into root/NAME/{train,test,...}.npz; False if it is there already, whole.

    Works in a temporary folder inside root and renames each finished file, so an interrupted call leaves no half file.
    A file that is there is kept, and opened to see that it is whole. ValueError if it is not, if the set cannot be
    downloaded, or if a download is not the published file; ConnectionError without a network.
    """
    if not isinstance(name, str) or name not in DOWNLOADS:
        raise ValueError(f"{name!r} cannot be fetched: {_why_not(name)}. Allowed: {', '.join(DOWNLOADS)}")
    root = _folder(root)
    targets = {split: root / name / f"{split}.npz" for split in SPECS[name].splits}
    wanted = {split: path for split, path in targets.items() if not _is_there(path, name, split)}
    if not wanted:
        return False
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".fetch-") as folder:
        folder = Path(folder)
        for file, sha256 in DOWNLOADS[name].files.items():
            _download(DOWNLOADS[name].base + file, folder / file, sha256, progress)
        (root / name).mkdir(exist_ok=True)
        for split, (x, labels) in DOWNLOADS[name].convert(folder).items():
            _check_complete(name, split, len(x))
            if split in wanted:
                np.savez(folder / f"{split}.npz", x=x, labels=labels)
                os.replace(folder / f"{split}.npz", wanted[split])
    return True


def _folder(root: str | Path) -> Path:
    """The data root as a path, if it is a folder or nothing is there."""
    if not isinstance(root, str | Path) or str(root) == "":
        raise ValueError(f"root = {root!r}: the path of a folder is needed")
    try:
        path = Path(root).expanduser()
    except RuntimeError:
        raise ValueError(f"root = {str(root)!r}: there is no such home folder") from None
    for place in (path, *path.parents):
        if os.path.lexists(place) and not place.is_dir():
            raise ValueError(f"root = {str(root)!r}: {place} is no folder, but a file or a link to nowhere")
    return path


def _is_there(path: Path, name: str, split: str) -> bool:
    """Whether the file of a split is there; ValueError if it is not what was fetched."""
    if not os.path.lexists(path):
        return False
    spec = SPECS[name]
    channels, *sides = spec.shape
    x, labels = read_npz(path, (*sides, channels), spec.classes)
    if len(x) != spec.splits[split] or labels is None:
        raise ValueError(
            f"{path} has {len(x)} rows{'' if labels is not None else ' without labels'}, {name} ({split}) has "
            f"{spec.splits[split]} with labels: take it away, then fetch again"
        )
    return True


def _why_not(name: str) -> str:
    if not isinstance(name, str) or name not in SPECS:
        return "there is no such data set"
    if SPECS[name].places:
        place = SPECS[name].places[0].format(split="train", SPLIT="TRAIN")
        return f"get it from its owners and put it into the data root as {place}"
    return "it comes with the installation"


def _check_complete(name: str, split: str, n: int) -> None:
    if n != SPECS[name].splits[split]:
        raise ValueError(f"{name}, {split}: {n} images in the download, {SPECS[name].splits[split]} are needed")


def _download(url: str, path: Path, sha256: str, progress: Progress | None) -> None:
    digest, done = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=30) as answer, path.open("wb") as file:
            length = answer.headers.get("Content-Length") or ""
            total = int(length) if length.isdecimal() else 0
            while block := answer.read(1 << 20):
                file.write(block)
                digest.update(block)
                done += len(block)
                if progress is not None:
                    progress(path.name, done, total)
    except (OSError, http.client.HTTPException) as error:  # URLError, timeouts and resets are all OSErrors
        reason = getattr(error, "reason", error)
        raise ConnectionError(
            f"{url} could not be downloaded ({reason}): a network and disk space are needed"
        ) from error
    check_sha256(url, digest.hexdigest(), sha256)


def _convert_cifar10(folder: Path) -> dict[str, Split]:
    with tarfile.open(folder / "cifar-10-python.tar.gz") as archive:
        return {
            split: read_cifar_batches(
                {Path(b): _member(archive, f"cifar-10-batches-py/{b}").read() for b in names}, split
            )
            for split, names in CIFAR_BATCHES.items()
        }


def _convert_flowers102(folder: Path) -> dict[str, Split]:
    splits = flowers_splits(*((folder / name).read_bytes() for name in FLOWERS_MATS))
    images = {}
    with tarfile.open(folder / "102flowers.tgz") as archive:
        for member in archive:  # in the order of the archive: a jump back would unpack it again from the start
            if member.isfile() and member.name.endswith(".jpg"):
                number = int(member.name.rsplit("_", 1)[1].removesuffix(".jpg"))
                images[number] = read_image(archive.extractfile(member), 64, name=member.name)
    return {split: (np.stack([images[i] for i in ids]), labels) for split, (ids, labels) in splits.items()}


def _member(archive: tarfile.TarFile, name: str):
    return archive.extractfile(archive.getmember(name))


DOWNLOADS = {
    "cifar10": Download(
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"},
        170,
        _convert_cifar10,
    ),
    "flowers102": Download(
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        {"102flowers.tgz": "2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246", **FLOWERS_MATS},
        345,
        _convert_flowers102,
    ),
}
